"""The free choices of a kernel: whoever explores schedules answers them in its place.

Owns: `Chooser`, the questions and the answers production gives.
Refuses: to change what is ready; every answer is one that a kernel could have met by itself.

A kernel that has a chooser has no policy: it asks which ready task goes on, after how many steps
somebody else may, whether the running one is to give way then, and where a choice of events begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from omega.concurrency.config import FINAL_STATES
from omega.concurrency.task import Task

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

SLICE_STEPS = 1_000


class Chooser:
    """First come, first served, in slices of SLICE_STEPS. A task is at a slice end before its first
    step, too.
    """

    kernel: Kernel  # set by Kernel.choose_by

    def slice(self, task: Task) -> int:
        """How many steps `task` may take from here to its next slice end; at least 1."""
        return SLICE_STEPS

    def slice_ended(self, task: Task, ready: Iterable[Task]) -> None:
        """The steps of `task` are used up and counted. Called on its stack, before the kernel looks
        at timers.
        """

    def became_ready(self, task: Task) -> None:
        """`task` has just become ready, and may be what the running one did."""

    def doomed(self, task: Task) -> None:
        """`task` has just become doomed: it comes to a slice end before its next step."""

    def preempts(self, task: Task) -> bool:
        """At its slice end, with others ready: shall `task` go behind them?"""
        return task.steps > 0

    def next(self, ready: list[Task]) -> int:
        """Which of the ready tasks, in the order they became ready, gets the processor."""
        return 0

    def branch(self, task: Task, n: int) -> int:
        """Which of the `n` branches of a choice of events is tried first."""
        return 0


class ChosenQueue:
    """Ready tasks in the order they became ready; the chooser says which goes on."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self._tasks: list[Task] = []

    def append(self, task: Task) -> None:
        self._tasks.append(task)
        self._chooser.became_ready(task)

    def appendleft(self, task: Task) -> None:
        self._tasks.insert(0, task)

    def popleft(self) -> Task:
        tasks = self._tasks
        for task in tasks:
            if task.state in FINAL_STATES:  # ended while it was queued
                live = [each for each in tasks if each.state not in FINAL_STATES]
                if not live:
                    return tasks.pop(0)  # whoever takes tasks skips those that have ended
                tasks = self._tasks = live
                break
        return tasks.pop(self._chooser.next(tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)
