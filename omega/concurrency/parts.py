"""Parts of a result that come one after the other, for one reader: the end of a stream in tasks.

Owns: the buffer between a coroutine that tells parts (`Driver.tell`) and the task that takes them,
and the back-pressure from the one to the other.
Refuses: more than one reader; to know when no more will come: the end of the External tells.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from omega.concurrency.events import UNREADY, Event
from omega.concurrency.outside import External
from omega.concurrency.task import Task, Waiters

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


class Parts:
    """capacity: once so many wait for the reader, the coroutine waits, until half of them are
    taken. next: the event of the next part. source: who tells them.
    """

    __slots__ = ("_capacity", "_kernel", "_waiters", "items", "next", "source")

    def __init__(self, kernel: Kernel, capacity: int) -> None:
        self._kernel, self._capacity = kernel, capacity
        self.source: External | None = None
        self._waiters = Waiters()
        self.items: deque[Any] = deque()
        self.next = NextPart(self)

    def come_from(self, external: External) -> None:
        """`external` tells them from now on, and nothing else."""
        self.source = external
        external.on_part = self.add

    def add(self, part: Any) -> None:
        """A part has come from the source."""
        self.items.append(part)
        if len(self.items) >= self._capacity and self.source is not None:
            self.source.is_behind = True
        self._kernel.wake_all(self._waiters)

    def take(self) -> Any:
        """The first part that waits."""
        part = self.items.popleft()
        source = self.source
        if source is not None and source.is_behind and 2 * len(self.items) <= self._capacity:
            source.go_on()
        return part


class NextPart(Event):
    __slots__ = ("_parts",)
    stays = True

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        return self._parts.take() if self._parts.items else UNREADY

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        self._parts._waiters.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        self._parts._waiters.forget()

    def describe(self) -> str:
        return "the next part of a result"
