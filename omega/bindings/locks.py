"""The Lisp names of mutexes, semaphores, serializers, barriers and ivars.

Owns: `locks`. Refuses: mechanism (omega/concurrency/sync.py). Bodies given as thunks run behind
`Bindings.guarded`, as those of waits.py do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.bindings.base import Bindings, Table, of_kind
from omega.bindings.waits import named
from omega.concurrency import Barrier, Event, IVar, Mutex, Semaphore, Serializer
from omega.lisp.primitives.check import wrong_type

mutex = of_kind(Mutex, "a mutex")
barrier = of_kind(Barrier, "a barrier")
ivar = of_kind(IVar, "an ivar")


def locks(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def make_mutex(*rest: Any) -> Mutex:
        """(make-mutex [:name "n"]) -> a mutex; use it with (with-mutex mutex body ...)"""
        made: Mutex = b.made(Mutex(scheduler, named("make-mutex", "mutex", 1, rest)))
        return made

    def with_mutex(mutex_: Any, thunk: Any) -> Any:
        """(%with-mutex mutex thunk) -> its value, no other task holding the mutex meanwhile"""
        return mutex("with-mutex", mutex_).hold(b.guarded(thunk))

    def mutex_event(mutex_: Any) -> Event:
        """(mutex-event mutex) -> the event of having taken it; who chose it gives it back by
        mutex-release!
        """
        return mutex("mutex-event", mutex_).event

    def mutex_release(mutex_: Any) -> None:
        """(mutex-release! mutex) -> nothing; whoever waits longest has it now"""
        mutex("mutex-release!", mutex_).release()

    def make_semaphore(slots: Any, *rest: Any) -> Semaphore:
        """(make-semaphore n [:name "n"]) -> a semaphore of n slots"""
        if type(slots) is not int or slots < 1:
            raise wrong_type("make-semaphore", 1, "a positive integer", slots)
        name = named("make-semaphore", "semaphore", 2, rest)
        made: Semaphore = b.made(Semaphore(scheduler, slots, name))
        return made

    def semaphore(name: str, value: Any) -> Semaphore:
        if not isinstance(value, Semaphore) or isinstance(value, Mutex):
            raise wrong_type(name, 1, "a semaphore", value)
        return value

    def with_semaphore(semaphore_: Any, thunk: Any) -> Any:
        """(%with-semaphore semaphore thunk) -> its value, holding a slot meanwhile"""
        return semaphore("with-semaphore", semaphore_).hold(b.guarded(thunk))

    def semaphore_event(semaphore_: Any) -> Event:
        """(semaphore-event semaphore) -> the event of having taken a slot; who chose it gives it
        back by semaphore-release!
        """
        return semaphore("semaphore-event", semaphore_).event

    def semaphore_release(semaphore_: Any) -> None:
        """(semaphore-release! semaphore) -> nothing; whoever waits longest has the slot now"""
        semaphore("semaphore-release!", semaphore_).release()

    def make_serializer() -> Callable[..., Any]:
        """(make-serializer) -> a procedure that wraps a procedure so that wrapped ones run one at a
        time
        """
        serializer = Serializer(scheduler)

        def serialize(f: Any) -> Callable[..., Any]:
            """(serializer f) -> f, one call at a time"""

            def serialized(*arguments: Any) -> Any:
                return serializer.run(lambda: b.rt.call_with(f, arguments))

            return serialized

        return serialize

    table["make-mutex"], table["%with-mutex"] = make_mutex, with_mutex
    table["mutex-event"], table["mutex-release!"] = mutex_event, mutex_release
    table["make-semaphore"], table["%with-semaphore"] = make_semaphore, with_semaphore
    table["semaphore-event"], table["semaphore-release!"] = semaphore_event, semaphore_release
    table["make-serializer"] = make_serializer
    _meetings(b, table)


def _meetings(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def make_barrier(parties: Any, *rest: Any) -> Barrier:
        """(make-barrier n [:name "n"]) -> a barrier at which n tasks wait for each other, as often
        as they like
        """
        if type(parties) is not int or parties < 1:
            raise wrong_type("make-barrier", 1, "a positive integer", parties)
        return Barrier(scheduler, parties, named("make-barrier", "barrier", 2, rest))

    def barrier_wait(barrier_: Any) -> int:
        """(barrier-wait barrier) -> the order of arrival, from 0, once all are there"""
        return barrier("barrier-wait", barrier_).wait()

    def barrier_event(barrier_: Any) -> Event:
        """(barrier-event barrier) -> the event of all being there; who waits for it has arrived,
        and no longer so when another event is chosen
        """
        return barrier("barrier-event", barrier_).event

    def make_ivar(*rest: Any) -> IVar:
        """(make-ivar [:name "n"]) -> a variable that gets its value once"""
        return IVar(scheduler, named("make-ivar", "ivar", 1, rest))

    def ivar_put(ivar_: Any, value: Any) -> None:
        """(ivar-put! ivar value) -> nothing; wakes everybody who waits for it. A second time is an
        error
        """
        ivar("ivar-put!", ivar_).put(value)

    def ivar_take(ivar_: Any) -> Any:
        """(ivar-take ivar) -> its value, once it has one; it keeps it"""
        return ivar("ivar-take", ivar_).take()

    def ivar_event(ivar_: Any) -> Event:
        """(ivar-event ivar) -> the event of its having a value, which is the event's"""
        return ivar("ivar-event", ivar_).event

    table["make-barrier"], table["barrier-wait"] = make_barrier, barrier_wait
    table["barrier-event"] = barrier_event
    table["make-ivar"], table["ivar-put!"], table["ivar-take"] = make_ivar, ivar_put, ivar_take
    table["ivar-event"] = ivar_event
