"""The free choices of a kernel: whoever explores schedules answers them in its place.

Owns: `Chooser`, the questions and the answers production gives; `TapedChooser`.
Refuses: to change what is ready; every answer is one that a kernel could have met by itself.

A kernel that has a chooser has no policy: it asks which ready task goes on, after how many steps
somebody else may, whether the running one is to give way then, and where a choice of events begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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


class TapedChooser(Chooser):
    """Has `inner` answer, and the driver keep the answers: a run whose schedule is explored is
    recorded, durable and replayed like any other. While it is replayed they come from its tape, and
    `inner` is not asked.
    """

    def __init__(self, inner: Chooser) -> None:
        self.inner = inner

    def _asked(self, question: str, decide: Callable[[], int]) -> int:
        self.inner.kernel = self.kernel
        return self.kernel.driver.decided(question, decide)

    def slice(self, task: Task) -> int:
        return self._asked("slice", lambda: self.inner.slice(task))

    def slice_ended(self, task: Task, ready: Iterable[Task]) -> None:
        driver = self.kernel.driver
        was_asked = False

        def skipped_us() -> int:
            """How much time the inner one lets pass."""
            nonlocal was_asked
            was_asked, before_us = True, driver.shown_us()
            self.inner.slice_ended(task, ready)
            return driver.shown_us() - before_us if driver.virtual else 0

        skipped = self._asked("skip", skipped_us)
        if skipped and not was_asked:
            driver.skip_to(driver.shown_us() + skipped)

    def became_ready(self, task: Task) -> None:
        running = self.kernel.current
        if running is None or not running.left:
            return  # nothing is left to be cut
        was_asked = False

        def is_cut() -> int:
            nonlocal was_asked
            was_asked = True
            self.inner.became_ready(task)
            return int(not running.left)

        if self._asked("cut", is_cut) and not was_asked:
            self.kernel.cut_slice(running)

    def doomed(self, task: Task) -> None:
        self.inner.doomed(task)

    def preempts(self, task: Task) -> bool:
        return bool(self._asked("preempt", lambda: self.inner.preempts(task)))

    def next(self, ready: list[Task]) -> int:
        return self._asked("next", lambda: self.inner.next(ready))

    def branch(self, task: Task, n: int) -> int:
        return self._asked("branch", lambda: self.inner.branch(task, n))


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
