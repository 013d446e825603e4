"""Timers: a heap with lazy deletion.

Owns: what happens when. Refuses: to read a clock or to run anything; the hub pops what is due.
Entries are (when_us, seq, target, gen, branch); an entry is stale once `target.gen` has moved on.
Targets are tasks (wake them) and TimerHandles (call them). `seq` makes equal times first come first
served.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from omega.concurrency.task import Task

STALE_TIMERS_MAX = 64  # swept when more, and more than half of the heap, are stale

Entry = tuple[int, int, Any, int, int]


class TimerHandle:
    """A callback waiting for its time.

    `cancel()` is idempotent and may come too late without harm.
    """

    __slots__ = ("_timers", "callback", "gen", "grace", "passive", "when_us")

    def __init__(self, timers: Timers, when_us: int, callback: Callable[[], None]) -> None:
        self._timers = timers
        self.callback: Callable[[], None] | None = callback
        self.when_us = when_us
        self.gen = 0
        self.grace = False  # it ends what should long have ended by itself
        self.passive = False  # it only ends things: no reason to believe that anything will go on

    def cancel(self) -> None:
        if self.gen == 0:
            self.gen = 1
            self.callback = None
            self._timers.forget()

    def fire(self) -> None:
        callback = self.callback
        self.gen = 1
        self.callback = None
        if callback is not None:
            callback()


class Timers:
    """The heap of one scheduler."""

    def __init__(self) -> None:
        self.heap: list[Entry] = []
        self.seq = 0
        self.stale = 0

    def wake(self, when_us: int, task: Task, branch: int) -> None:
        """Wake the current wait of `task` at `when_us`."""
        self.seq = seq = self.seq + 1
        heapq.heappush(self.heap, (when_us, seq, task, task.gen, branch))

    def call(self, when_us: int, callback: Callable[[], None]) -> TimerHandle:
        handle = TimerHandle(self, when_us, callback)
        self.seq += 1
        heapq.heappush(self.heap, (when_us, self.seq, handle, 0, 0))
        return handle

    def forget(self) -> None:
        """One entry has become stale."""
        self.stale += 1
        if self.stale > STALE_TIMERS_MAX and self.stale * 2 > len(self.heap):
            self.heap[:] = [entry for entry in self.heap if entry[2].gen == entry[3]]
            heapq.heapify(self.heap)
            self.stale = 0

    def next_us(self) -> int | None:
        """When the next live timer is due."""
        heap = self.heap
        while heap:
            entry = heap[0]
            if entry[2].gen == entry[3]:
                return entry[0]
            heapq.heappop(heap)
            self.stale = max(0, self.stale - 1)
        return None

    def next_event_us(self) -> int | None:
        """When the next live timer is due that a program may count on: none that bounds cleanup."""
        return min(
            (
                when_us
                for when_us, _, target, gen, _ in self.heap
                if target.gen == gen
                and (isinstance(target, Task) or not (target.grace or target.passive))
            ),
            default=None,
        )

    def pop_due(self, now_us: int) -> Entry | None:
        """The next live entry due at `now_us`, taken out of the heap."""
        heap = self.heap
        while heap and heap[0][0] <= now_us:
            entry = heapq.heappop(heap)
            if entry[2].gen == entry[3]:
                return entry
            self.stale = max(0, self.stale - 1)
        return None

    def live(self) -> list[Entry]:
        return [entry for entry in self.heap if entry[2].gen == entry[3]]
