"""Deadlines: a point in time by which a task, and whatever it spawns, has to have ended.

Owns: Deadline: who is bound by it, what happens when it has passed.
Refuses: timeouts, which count from a start (limits.py), and those of scopes (scoped.py).

The task that was given the deadline ends with TimeoutExpired; those that inherited it are
cancelled: each limit converts only its own cancel. Detached tasks inherit none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omega.concurrency import scopes
from omega.concurrency.scopes import CancelRequest
from omega.concurrency.task import Task

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel
    from omega.concurrency.timers import TimerHandle


class Deadline:
    """One deadline, shared by the task it was given to and all it spawned: one timer serves all."""

    __slots__ = ("_kernel", "_label", "_owner", "_timer", "tasks", "when_us")

    def __init__(self, kernel: Kernel, owner: Task, when_us: int) -> None:
        self._kernel = kernel
        self._owner: Task | None = owner  # while it lives
        self._label = owner.label
        self.when_us = when_us
        self.tasks: dict[Task, None] = {}  # live ones, in spawn order
        self._timer: TimerHandle = kernel.timers.call(when_us, self._over)

    def bind(self, task: Task) -> None:
        task.own_terms().deadline = self
        task.watch(self, self._ended)
        self.tasks[task] = None
        if self._timer.gen:
            self._end(task)  # it has passed: a task that swallowed its cancel spawns another

    def _ended(self, task: Task) -> None:
        del self.tasks[task]
        if task is self._owner:
            self._owner = None
        if not self.tasks:
            self._timer.cancel()

    def _over(self) -> None:
        for task in reversed(list(self.tasks)):
            self._end(task)

    def _end(self, task: Task) -> None:
        kernel = self._kernel
        if task is self._owner:
            kind, reason = "timeout", f"task {self._label} had not ended by its deadline"
        else:
            kind, reason = "cancel", f"the deadline of task {self._label} has passed"
        request = CancelRequest(kind, reason, None, kernel.now_us())
        scopes.cancel_task(kernel, task, request)
