"""Mutexes, semaphores, serializers, barriers and ivars, made of events.

Owns: first come, first served hand-off: a slot passes straight to the head waiter, never through
"free".
Refuses: barging. Releasing never switches, so `finally: m.release()` is safe; a cancelled waiter
takes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from omega.concurrency.events import UNREADY, Cell, Event
from omega.concurrency.task import Task, Waiters
from omega.errors import HostError, TaskError

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


class Semaphore:
    """`slots` slots. `event` takes one; `release()` gives one back, from a task or from the hub."""

    __slots__ = ("__weakref__", "event", "free", "holders", "name", "scheduler", "slots", "waiters")

    def __init__(self, scheduler: Kernel, slots: int, name: str = "a semaphore") -> None:
        if slots < 0:
            raise HostError(f"a semaphore has at least 0 slots, not {slots}")
        self.scheduler = scheduler
        self.name = name
        self.slots = slots
        self.free = slots
        self.waiters = Waiters()
        # Task -> slots it has taken; kept while priorities are lent. A slot that another task than
        # its holder gives back is taken to be the oldest holder's.
        self.holders: dict[Task, int] | None = None
        self.event: Event = SlotEvent(self)

    def acquire(self) -> None:
        """Wait for a slot and take it."""
        self.scheduler.sync(self.event)

    def release(self) -> None:
        """Give a slot back: to the head waiter if there is one."""
        if self.holders:
            self._given_back(self.holders)
        if not self._hand_over():
            self.free += 1

    def resize(self, slots: int) -> None:
        """Change how many slots there are; those taken stay taken, `free` may be negative."""
        self.free += slots - self.slots
        self.slots = slots
        while self.free > 0 and self._hand_over():
            self.free -= 1

    def _hand_over(self) -> bool:
        if self.free < 0:
            return False
        entries = self.waiters.entries
        while entries:
            task, gen, branch, _ = entries.popleft()
            if task.gen == gen and self.scheduler.claim(task, gen, branch):
                self._taken_by(task)
                return True
        return False

    def _taken_by(self, task: Task) -> None:
        lending = self.scheduler.lending
        if lending is None:
            return
        if self.holders is None:
            self.holders = {}
        self.holders[task] = self.holders.get(task, 0) + 1
        lending.moved(self)

    def _given_back(self, holders: dict[Task, int]) -> None:
        me = self.scheduler.current
        holder = me if me is not None and me in holders else next(iter(holders))
        holders[holder] -= 1
        if not holders[holder]:
            del holders[holder]
        if self.scheduler.lending is not None:
            self.scheduler.lending.moved(self)

    def held_by(self) -> list[Task]:
        """The tasks known to have a slot."""
        return [task for task in self.holders or () if not task.is_done]

    def blockers(self) -> list[Task]:
        """The tasks without which nobody gets a slot. Any task may give back one of a semaphore."""
        return []

    def hold(self, body: Callable[[], Any]) -> Any:
        """The value of `body()`, run with a slot taken; gives back exactly that one."""
        self.scheduler.sync(self.event)
        try:
            return body()
        finally:
            self.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """`with semaphore.held():` takes a slot and gives back exactly that one."""
        self.acquire()
        try:
            yield
        finally:
            self.release()


class SlotEvent(Event):
    __slots__ = ("of",)
    links = True
    held = True

    def __init__(self, of: Semaphore) -> None:
        self.of = of

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        if self.of.free <= 0:
            return UNREADY
        self.of.free -= 1
        self.of._taken_by(task)
        return None

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        self.of.waiters.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        self.of.waiters.forget()

    def waits_on(self) -> list[Task]:
        return self.of.blockers()

    def lends_to(self) -> tuple[Semaphore]:
        return (self.of,)

    def describe(self) -> str:
        return self.of.name


class Mutex(Semaphore):
    """One slot with a holder; releasing what another task holds is an error."""

    __slots__ = ("holder",)

    def __init__(self, scheduler: Kernel, name: str = "a mutex") -> None:
        super().__init__(scheduler, 1, name)
        self.holder: Task | None = None

    def _taken_by(self, task: Task) -> None:
        self.holder = task
        if self.scheduler.lending is not None:
            self.scheduler.lending.moved(self)

    def held_by(self) -> list[Task]:
        return [] if self.holder is None else [self.holder]

    blockers = held_by

    def release(self) -> None:
        me = self.scheduler.current
        if self.holder is None or self.holder is not me:
            held = "nobody" if self.holder is None else f"task {self.holder.label}"
            raise TaskError(f"{self.name} is held by {held}, not by the task that releases it")
        self.holder = None
        super().release()


class Serializer:
    """Runs thunks one at a time, first come first served, waits inside included."""

    __slots__ = ("mutex",)

    def __init__(self, scheduler: Kernel, name: str = "a serializer") -> None:
        self.mutex = Mutex(scheduler, name)

    def run(self, thunk: Callable[[], Any]) -> Any:
        return self.mutex.hold(thunk)

    def wrap(self, thunk: Callable[[], Any]) -> Callable[[], Any]:
        """A procedure that runs `thunk` in its turn."""
        return lambda: self.run(thunk)


class Barrier:
    """`parties` tasks wait until all have arrived; then it is ready for the next round.

    event: having arrived together with the others; its value is the order of arrival, from 0. Who
    waits for it has arrived, and no longer so once the wait ends otherwise.
    """

    __slots__ = ("arrived", "event", "name", "parties", "scheduler", "waiters")

    def __init__(self, scheduler: Kernel, parties: int, name: str = "a barrier") -> None:
        if parties < 1:
            raise HostError(f"a barrier has at least 1 party, not {parties}")
        self.scheduler = scheduler
        self.parties = parties
        self.name = name
        self.arrived: dict[Task, int] = {}  # who waits -> by how many branches of its wait
        self.waiters = Waiters()
        self.event: Event = ArrivalEvent(self)

    def wait(self) -> int:
        """Arrive and wait for the others; answers the order of arrival, from 0.

        A cancelled wait has not arrived.
        """
        order: int = self.scheduler.sync(self.event)
        return order


class ArrivalEvent(Event):
    __slots__ = ("barrier",)

    def __init__(self, barrier: Barrier) -> None:
        self.barrier = barrier

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        barrier = self.barrier
        if len(barrier.arrived) + 1 < barrier.parties:
            return UNREADY
        # A wait that was cancelled may not have come to tell so.
        if len(set(barrier.waiters.live())) + 1 < barrier.parties:
            return UNREADY
        order = 0
        barrier.arrived.clear()
        entries = barrier.waiters.entries
        while entries:
            other, gen, branch, _ = entries.popleft()
            if other.gen == gen and scheduler.claim(other, gen, branch, order):
                order += 1
        scheduler.owe(order)
        return order

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        arrived = self.barrier.arrived
        arrived[task] = arrived.get(task, 0) + 1
        self.barrier.waiters.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        barrier = self.barrier
        if task in barrier.arrived:  # else the round it had arrived for is over
            barrier.arrived[task] -= 1
            if not barrier.arrived[task]:
                del barrier.arrived[task]
            barrier.waiters.forget()

    def describe(self) -> str:
        here, parties = len(self.barrier.arrived), self.barrier.parties
        return f"{self.barrier.name} ({here} of {parties} are there)"


class IVar:
    """A variable put once; `take` waits for it."""

    __slots__ = ("cell",)

    def __init__(self, scheduler: Kernel, name: str = "an ivar") -> None:
        self.cell = Cell(scheduler, name)

    @property
    def event(self) -> Event:
        return self.cell.event

    def put(self, value: Any) -> None:
        if not self.cell.put(value):
            raise TaskError(
                f"{self.cell.waits_for} has its value already",
                hint="it is put once; a channel takes several values",
            )

    def take(self) -> Any:
        return self.cell.scheduler.sync(self.cell.event)
