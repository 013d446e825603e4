"""Invariants of the kernel: of every explored run now and then, in tests after every step.

Owns: `check`, `breach`. Refuses: `assert`: a user's run may be explored under `python -O`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omega.concurrency import limits, scopes
from omega.concurrency.config import (
    CANCELLED,
    COMPLETED,
    ERROR,
    FINAL_STATES,
    PENDING,
    RUNNING,
    SUSPENDED,
)
from omega.concurrency.task import Task
from omega.errors import OmegaBug

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


def check(scheduler: Kernel) -> None:
    """Raise OmegaBug where something does not hold."""
    found = breach(scheduler)
    if found is not None:
        raise OmegaBug(found)


def breach(kernel: Kernel) -> str | None:
    """What does not hold, in words; None: all does. Between two slices, and at slice ends."""
    live = limits.all_tasks(kernel)
    return next(_places(kernel, live), None) or next(_counts(kernel, live), None)


def _places(kernel: Kernel, live: list[Task]) -> Iterator[str]:
    """Each live task in exactly one place; doom is what the scopes say."""
    places: dict[Task, int] = {}
    for task in kernel.queued():
        places[task] = places.get(task, 0) + 1
    current = kernel.current
    for task in live:
        state = task.state
        if state in FINAL_STATES:
            yield f"{task} has ended and is still owned"
        parked = state is SUSPENDED and task.waiting is not None
        here = places.get(task, 0) + parked + (task is current)
        if here != 1:
            yield f"{task} is in {here} places"
        if task.doom is not scopes.doom_of(kernel, task):
            yield f"{task}: doom is out of date"
        if state is PENDING and task.stack is not None:
            yield f"{task} has a stack"


def _counts(kernel: Kernel, live: list[Task]) -> Iterator[str]:
    """Counters add up."""
    counters, ended = kernel.counters, kernel.ended
    if len(live) != kernel.live:
        yield f"{kernel.live} tasks are counted as live, and {len(live)} are"
    if kernel.spawned != ended + len(live):
        yield "spawned tasks are miscounted"
    if counters.cancelled + counters.failed > ended:
        yield "ends are miscounted"
    if ended == len(kernel.finished):  # every task that ended is still known
        ends = [task.state for task in kernel.finished]
        completed = ended - counters.cancelled - counters.failed
        if ends.count(CANCELLED) != counters.cancelled:
            yield "cancelled tasks are miscounted"
        if ends.count(ERROR) != counters.failed:
            yield "failed tasks are miscounted"
        if ends.count(COMPLETED) != completed:
            yield "completed tasks are miscounted"
    if kernel.lending is not None:
        kernel.lending.check()
    running = len([task for task in live if task.state is RUNNING])
    if running != kernel.running_count():
        yield f"{kernel.running_count()} tasks are counted as running, and {running} are"
    waiting = len([task for task in live if task.state is SUSPENDED])
    if waiting != kernel._suspended:
        yield f"{kernel._suspended} tasks are counted as suspended, and {waiting} are"
    woken = len([task for task in live if task.is_ready])
    if woken != kernel.woken_count():
        yield f"{kernel.woken_count()} tasks are counted as woken, and {woken} are"
    daemons = len([task for task in live if task.daemon])
    if daemons != kernel.daemons:
        yield f"{kernel.daemons} tasks are counted as daemons, and {daemons} are"
    if any(external.done for external in kernel.externals):
        yield "what has ended outside is still in flight"
