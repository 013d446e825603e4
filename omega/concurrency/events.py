"""Events: what can be waited for, and how waits compose (after Concurrent ML).

Owns: the event classes, the flattening of a composed event into branches, one-shot cells.
Refuses: switching and deciding who runs; `Scheduler.sync` does the waiting.

An event is a description; nothing happens until it is synced. The protocol of a base event:
  try_now(scheduler, task)          commit at once and answer the value (or raise), or answer
  UNREADY
  block(scheduler, task, branch)    register the current wait of `task`; a waker presents (task,
  gen, branch)
  lost(scheduler, task)             another branch won, or the wait was cancelled: forget the
  registration
  stays                             once ready it stays so: after the wake-up `try_now` gives the
  answer
Committing happens exactly once per sync: `Scheduler.claim` lets one waker win and counts those who
come late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from omega.concurrency.clock import to_us
from omega.concurrency.config import CANCELLED, COMPLETED, ERROR
from omega.concurrency.task import Task, Waiters
from omega.errors import HostError

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


PARTS = 64  # parts of a composed event that are taken apart between two charges
PART_STEPS = 2  # what one is worth, with what is done with it later


class _Unready:
    def __repr__(self) -> str:
        return "UNREADY"


UNREADY: Any = _Unready()


class Event:
    """Base of all events: base events override the steps, composed ones are flattened."""

    __slots__ = ()
    stays = False
    composed = False
    links = False  # `waits_on` is the whole truth: a cycle through it is a deadlock
    held = False  # what it is for is held by the tasks of `waits_on`

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        return UNREADY

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        return None

    def lost(self, scheduler: Kernel, task: Task) -> None:
        return None

    def finish(self, value: Any) -> Any:
        """In the waiter, woken: the event's value from what the waker presented; may raise."""
        return value

    def waits_on(self) -> list[Task]:
        """The tasks that can make it happen, where known: edges of the wait-for graph."""
        return []

    def lends_to(self) -> Sequence[Any]:
        """What a waiter's priority goes to: tasks, and things that are held (see lending.py)."""
        return self.waits_on()

    def urge(self, level: int) -> None:
        """The waiter's effective priority is `level` now; for what is queued on its behalf."""

    def describe(self) -> str:
        raise NotImplementedError


class Never(Event):
    """Never happens."""

    __slots__ = ()

    def describe(self) -> str:
        return "nothing that can happen"


class Always(Event):
    """Has happened, with a value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        return self.value

    def describe(self) -> str:
        return "what has happened"


class TimerEvent(Event):
    """Happens `seconds` after it is synced, with the value None."""

    __slots__ = ("delay_us",)

    def __init__(self, seconds: float) -> None:
        self.delay_us = to_us(seconds)

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        return UNREADY if self.delay_us > 0 else None

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        scheduler.timers.wake(scheduler.now_us() + self.delay_us, task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        scheduler.timers.forget()

    def describe(self) -> str:
        return f"a timer of {self.delay_us / 1e6:g} s"


class TaskEvent(Event):
    """A task's end: its value, its error, or TaskCancelled."""

    __slots__ = ("task",)
    stays = True
    links = True

    def __init__(self, task: Task) -> None:
        self.task = task

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        awaited = self.task
        awaited.observed = True
        state = awaited.state
        if state is COMPLETED:
            return awaited.outcome
        if state is ERROR:
            raise awaited.outcome.with_traceback(awaited.trace)
        if state is CANCELLED:
            raise awaited.cancelled_error()
        return UNREADY

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        waiters = self.task.waiters
        if waiters is None:
            waiters = self.task.waiters = Waiters()
        waiters.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        if self.task.waiters is not None:
            self.task.waiters.forget()

    def waits_on(self) -> list[Task]:
        return [self.task]

    def describe(self) -> str:
        return f"task {self.task.label}"


class EndEvent(TaskEvent):
    """A task's end, however: the task itself. Never raises."""

    __slots__ = ()

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        self.task.observed = True
        return self.task if self.task.is_done else UNREADY


class Cell:
    """A one-shot box for tasks and the hub: put once, read by any number of waits.

    waits_for: what reports say its waiters wait for. holders: the tasks that will put it, when
    known. on_urge: told the effective priority of the one who waits for it. on_put: called once
    when it is put; it must not wait.
    """

    __slots__ = (
        *("error", "event", "full", "holders", "on_put", "on_urge", "scheduler", "value"),
        *("waiters", "waits_for"),
    )

    def __init__(self, scheduler: Kernel, waits_for: str = "a cell") -> None:
        self.scheduler = scheduler
        self.waits_for = waits_for
        self.holders: Callable[[], list[Task]] | None = None
        self.on_urge: Callable[[int], None] | None = None
        self.on_put: Callable[[], object] | None = None
        self.full = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.waiters = Waiters()
        self.event = CellEvent(self)

    def put(self, value: Any = None) -> bool:
        """Fill it and wake every waiter. False: it was full, nothing changed."""
        if self.full:
            return False
        self.full = True
        self.value = value
        self.scheduler.wake_all(self.waiters)
        if self.on_put is not None:
            self.on_put()
        return True

    def fail(self, error: BaseException) -> bool:
        """Fill it with an error every wait raises. False: it was full."""
        if self.full:
            return False
        self.error = error
        return self.put()


class CellEvent(Event):
    __slots__ = ("cell",)
    stays = True

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        if not self.cell.full:
            return UNREADY
        if self.cell.error is not None:
            raise self.cell.error
        return self.cell.value

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        self.cell.waiters.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        self.cell.waiters.forget()

    def waits_on(self) -> list[Task]:
        return self.cell.holders() if self.cell.holders is not None else []

    def urge(self, level: int) -> None:
        if self.cell.on_urge is not None:
            self.cell.on_urge(level)

    def describe(self) -> str:
        return self.cell.waits_for


class Composed(Event):
    __slots__ = ()
    composed = True

    def describe(self) -> str:
        return "a composed event"


class Choose(Composed):
    """The first of several to happen; the lowest index among those ready at once."""

    __slots__ = ("events",)

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events


class Wrap(Composed):
    """An event whose value goes through a function, called by the waiting task."""

    __slots__ = ("event", "function")

    def __init__(self, event: Event, function: Callable[[Any], Any]) -> None:
        self.event = event
        self.function = function


class Guard(Composed):
    """An event made when it is synced. with_nack:

    `make` gets an event that tells when another branch was chosen.
    """

    __slots__ = ("make", "nack")

    def __init__(self, make: Callable[..., Event], nack: bool) -> None:
        self.make = make
        self.nack = nack


class Branch:
    """One base event of a composed wait, its wrap functions, and the nacks it spares."""

    __slots__ = ("event", "functions", "nacks")

    def __init__(self, event: Event, functions: Any, nacks: Any) -> None:
        self.event = event
        self.functions = functions  # nested (function, outer), innermost first
        self.nacks = nacks  # nested (cell, outer)

    def finish(self, value: Any) -> Any:
        functions = self.functions
        while functions is not None:
            value = functions[0](value)
            functions = functions[1]
        return value


class Choice:
    """A composed event taken apart for one sync: branches, and the nacks made on the way.

    steps_aside: a branch was ready whose task is to go behind the others, once the nacks are told.
    """

    __slots__ = ("branches", "nacks", "steps_aside")

    def __init__(self) -> None:
        self.branches: list[Branch] = []
        self.nacks: list[Cell] = []
        self.steps_aside = False

    def refuse(self, chosen: Branch | None) -> None:
        """Tell the nacks that do not belong to the chosen branch, in the order they were made."""
        spared = set()
        nacks = None if chosen is None else chosen.nacks
        while nacks is not None:
            spared.add(nacks[0])
            nacks = nacks[1]
        for cell in self.nacks:
            if cell not in spared:
                cell.put()

    def waits_on(self) -> list[Task]:
        return [task for branch in self.branches for task in branch.event.waits_on()]

    def lends_to(self) -> Sequence[Any]:
        return [each for branch in self.branches for each in branch.event.lends_to()]

    def urge(self, level: int) -> None:
        for branch in self.branches:
            branch.event.urge(level)

    def describe(self) -> str:
        if not self.branches:
            return "nothing that can happen"
        return " or ".join(branch.event.describe() for branch in self.branches)


def flatten(scheduler: Kernel, event: Event, choice: Choice) -> None:
    """Take `event` apart into `choice`, left to right, calling guards. Flat for any nesting.

    What a guard raises goes through; the caller then refuses `choice`, so nacks already handed out
    are told.
    """
    work: list[tuple[Event, Any, Any]] = [(event, None, None)]
    done = 0
    while work:
        done += 1
        if done % PARTS == 0:
            scheduler.charge(PARTS * PART_STEPS)
        at, functions, nacks = work.pop()
        while isinstance(at, (Wrap, Guard)):
            done += 1
            if done % PARTS == 0:
                scheduler.charge(PARTS * PART_STEPS)
            if isinstance(at, Wrap):
                functions = (at.function, functions)
                at = at.event
            elif at.nack:
                cell = Cell(scheduler, "another branch to be chosen")
                choice.nacks.append(cell)
                nacks = (cell, nacks)
                at = at.make(cell.event)
            else:
                at = at.make()
        if isinstance(at, Choose):
            work.extend((below, functions, nacks) for below in reversed(at.events))
        elif isinstance(at, Event):
            choice.branches.append(Branch(at, functions, nacks))
        else:
            raise HostError(f"an event was expected, not {at!r}")


never: Event = Never()


def always(value: Any) -> Event:
    """An event that has happened, with `value`."""
    return Always(value)


def timer_event(seconds: float) -> Event:
    """An event that happens `seconds` after it is synced."""
    return TimerEvent(seconds)


def task_event(task: Task) -> Event:
    """The end of `task`: its value, or its error (or TaskCancelled) raised in the waiter."""
    return TaskEvent(task)


def end_event(task: Task) -> Event:
    """The end of `task`, however it ends; the value is the task."""
    return EndEvent(task)


def choose(*events: Event) -> Event:
    """The first of `events` to happen; `choose()` never does."""
    return Choose(events)


def wrap(event: Event, function: Callable[[Any], Any]) -> Event:
    """`event`, its value passed through `function`."""
    return Wrap(event, function)


def guard_event(make: Callable[[], Event]) -> Event:
    """The event `make()` answers, made anew at every sync."""
    return Guard(make, nack=False)


def on_refusal(nack: Event, act: Callable[[], object]) -> None:
    """Have `act` called when `nack`, which `with_nack` gave, happens: at once, by whoever ends the
    wait; it must not wait itself.
    """
    assert isinstance(nack, CellEvent)
    nack.cell.on_put = act


def with_nack(make: Callable[[Event], Event]) -> Event:
    """The event `make(nack)` answers; `nack` happens if it is not chosen or the wait ends."""
    return Guard(make, nack=True)
