"""Invariants of the kernel, checked by tests after every step."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


def check(scheduler: Kernel) -> None:
    """Each live task in exactly one place; counters add up; doom is what the scopes say."""
    live = limits.all_tasks(scheduler)
    places: dict[int, int] = {}
    for task in scheduler.queued():
        places[task.seq] = places.get(task.seq, 0) + 1
    running = woken = 0
    for task in live:
        assert task.state not in FINAL_STATES, f"{task} has ended and is still owned"
        parked = task.state is SUSPENDED and task.waiting is not None
        here = places.get(task.seq, 0) + parked + (task is scheduler.current)
        assert here == 1, f"{task} is in {here} places"
        assert task.doom is scopes.doom_of(scheduler, task), f"{task}: doom is out of date"
        running += task.state is RUNNING
        woken += task.is_ready
        assert (task.state is PENDING) <= (task.stack is None), f"{task} has a stack"
    assert len(live) == scheduler.live, "live tasks miscounted"
    counters = scheduler.counters
    assert counters.cancelled + counters.failed <= scheduler.ended, "ends miscounted"
    if scheduler.ended == len(scheduler.finished):  # every task that ended is still known
        ends = [task.state for task in scheduler.finished]
        assert counters.cancelled == ends.count(CANCELLED), "cancelled tasks miscounted"
        assert counters.failed == ends.count(ERROR), "failed tasks miscounted"
        completed = scheduler.ended - counters.cancelled - counters.failed
        assert completed == ends.count(COMPLETED), "completed tasks miscounted"
    assert scheduler.spawned == scheduler.ended + len(live), "spawned tasks miscounted"
    if scheduler.lending is not None:
        scheduler.lending.check()
    assert running == scheduler.running_count(), "running tasks miscounted"
    assert woken == scheduler.woken_count(), "woken tasks miscounted"
    assert scheduler.daemons == sum(task.daemon for task in live), "daemons miscounted"
    assert all(not external.done for external in scheduler.externals)
