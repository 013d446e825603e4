"""Ready queues: in which order ready tasks get the processor. One class per policy, one interface;
that of a kernel whose order somebody chooses is in choices.py.

append(task): it became ready, or its slice ended. appendleft(task): it was passed over for want of
a slot; it keeps its place. popleft() -> Task, raises IndexError when empty. Iteration shows the
queue in no promised order.
Refuses: to know slots, states or stacks; cancelled entries are skipped by whoever pops them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from omega.concurrency.task import Task


class Ready(Protocol):
    def append(self, task: Task, /) -> None: ...
    def appendleft(self, task: Task, /) -> None: ...
    def popleft(self) -> Task: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Task]: ...


def fifo_queue() -> deque[Task]:
    """Fifo and round-robin order: they differ only in what a slice end does."""
    return deque()


class PriorityQueue:
    """Larger priority first, first come first served among equals, O(log n).

    A waiting task gains one point per `ageing` slices. With linear ageing the order of two waiting
    tasks never changes, so the key (slice it became ready - priority * ageing) is computed once.
    Bound: a task of priority p is overtaken only by tasks that became ready less than (their
    priority - p) * ageing slices after it.
    """

    def __init__(self, ageing: int | None, slice_number: Callable[[], int]) -> None:
        self._ageing = ageing
        self._slice_number = slice_number
        self._heap: list[tuple[int, int, Task]] = []
        self._count = 0

    def append(self, task: Task) -> None:
        self._count += 1
        if self._ageing is None:
            key = -task.priority
        else:
            key = self._slice_number() - task.priority * self._ageing
        task.rank = (key, self._count)
        heapq.heappush(self._heap, (key, self._count, task))

    def appendleft(self, task: Task) -> None:
        key, count = task.rank
        heapq.heappush(self._heap, (key, count, task))

    def popleft(self) -> Task:
        return heapq.heappop(self._heap)[2]

    def preempts(self, task: Task) -> bool:
        """Whether the best ready task should run before `task`, which runs and so has no age."""
        if not self._heap:
            return False
        best = self._heap[0][2]
        if self._ageing is None:
            return best.priority > task.priority
        age = (
            self._slice_number() - best.priority * self._ageing - self._heap[0][0]
        ) // self._ageing
        return best.priority + age > task.priority

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Task]:
        return (entry[2] for entry in self._heap)


class PassedQueue(PriorityQueue):
    """Tasks that were passed over: they keep the rank, and so the age, they got when ready."""

    append = PriorityQueue.appendleft
