"""Ready queues: in which order ready tasks get the processor. One class per policy, one interface;
that of a kernel whose order somebody chooses is in choices.py.

append(task): it became ready, or its slice ended. appendleft(task): it was passed over for want of
a slot; it keeps its place. popleft() -> Task, raises IndexError when empty. Iteration shows the
queue in no promised order.
Refuses: to know slots or stacks; cancelled entries are skipped by whoever pops them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol

from omega.concurrency.config import PENDING
from omega.concurrency.lending import Lending
from omega.concurrency.scopes import Scope
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
    """Larger effective priority first, first come first served among equals, O(log n).

    A waiting task gains one point per `ageing` slices. With linear ageing the order of two waiting
    tasks never changes, so the key (slice it became ready - level * ageing) is computed once, and
    again only when its level does. An explicit yield (`append_last`) goes behind everyone who is
    ready: it gets a key no better than theirs, and ages from there.

    Bound: let P be the highest level of any task, p that of a ready task (for one that has yielded,
    the lowest of those it went behind), and n how many others are ready. It runs within
    B = (P - p + 1) * ageing + n slices. For: whatever becomes ready (P - p) * ageing slices after
    it has a key no better than its own. One point of ageing later its age counts more than
    whoever runs, so every slice end takes the head of the queue; and those before it in the queue,
    n at most, run one slice each before they come back behind it.
    With `ageing` None (strict priority) there is no bound.
    """

    def __init__(
        self, ageing: int | None, slice_number: Callable[[], int], lending: Lending
    ) -> None:
        self._ageing = ageing
        self._slice_number = slice_number
        self._lending = lending
        # (key, number of arrival, serial, task); stale unless _at has this very entry.
        self._heap: list[tuple[int, int, int, Task]] = []
        self._at: dict[Task, tuple[int, int, int, Task]] = {}
        self._count = 0
        self._serial = 0
        self._worst = 0  # no key in the queue is larger
        self._is_worst_known = True  # ... and one of them is as large

    def append(self, task: Task) -> None:
        self._append(task, self._key(task))

    def append_last(self, task: Task) -> None:
        """Behind every task that is in the queue now."""
        key = self._key(task)
        if self._at and not self._is_worst_known:
            self._worst = max(entry[0] for entry in self._at.values())
            self._is_worst_known = True
        self._append(task, max(key, self._worst) if self._at else key)

    def _key(self, task: Task) -> int:
        lending = self._lending
        if task.state is PENDING and task.scope in lending.nodes:
            lending.joined(task.scope, task)
        node = lending.nodes.get(task)
        if node is not None and node.targets:
            lending.end(task, node)
        level = lending.level(task)
        if self._ageing is None:
            return -level
        return self._slice_number() - level * self._ageing

    def _append(self, task: Task, key: int) -> None:
        if key > self._worst or not self._at:
            self._worst = key
        self._count += 1
        self._push(task, key, self._count)

    def _push(self, task: Task, key: int, count: int) -> None:
        self._serial += 1
        task.rank = (key, count, self._lending.level(task))
        entry = self._at[task] = (key, count, self._serial, task)
        heapq.heappush(self._heap, entry)

    def appendleft(self, task: Task) -> None:
        key, count, _ = task.rank
        self._worst = max(key, self._worst) if self._at else key
        self._push(task, key, count)

    def rerank(self, task: Task) -> bool:
        """The level of `task` has changed. False: it is not in this queue."""
        if task not in self._at:
            return False
        key, count, level = task.rank
        self._is_worst_known = False  # it may have been this one's
        key -= (self._lending.level(task) - level) * (self._ageing or 1)
        self._worst = max(key, self._worst)
        self._push(task, key, count)
        return True

    def popleft(self) -> Task:
        at = self._at
        while True:
            entry = heapq.heappop(self._heap)
            task = entry[3]
            if at.get(task) is entry:
                del at[task]
                return task

    def preempts(self, task: Task) -> bool:
        """Whether the best ready task should run before `task`, which runs and so has no age."""
        heap, at = self._heap, self._at
        if not at:
            return False
        while at.get(heap[0][3]) is not heap[0]:
            heapq.heappop(heap)
        key = heap[0][0]
        if self._ageing is None:
            return -key > self._lending.level(task)
        return (self._slice_number() - key) // self._ageing > self._lending.level(task)

    def __len__(self) -> int:
        return len(self._at)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._at)


class PassedQueue(PriorityQueue):
    """Tasks that were passed over: they keep the rank, and so the age, they got when ready."""

    append = PriorityQueue.appendleft


class ScopeQueue:
    """Round-robin over groups first, then over the tasks of a group, each O(1).

    A group is what lives in one scope opened right below the root, at any depth; a task of the root
    itself is a group of its own. What a task spawns into the root counts to its own group. Why:
    docs/decisions/0024-fair-by-scope.md.

    An explicit yield (`append_last`) goes behind everyone who is ready, of whatever group: it is
    put aside until all who were queued before it have been taken. An *age* is what was queued
    between two yields: `_ages` counts, oldest first, how many of each are queued still.
    """

    def __init__(self) -> None:
        self._groups: dict[Scope | Task, deque[Task]] = {}  # none is empty
        self._turns: deque[Scope | Task] = deque()  # the same groups, whose turn it is first
        self._count = 0
        self._ages = deque((0,))
        self._oldest = 0  # the age of _ages[0]
        self._yielded: deque[Task] = deque()  # in order; the first belongs to the oldest age

    def append(self, task: Task) -> None:
        task.rank = self._oldest + len(self._ages) - 1
        self._ages[-1] += 1
        self._count += 1
        self._queue(task)

    def append_last(self, task: Task) -> None:
        """Behind every task that is in the queue now."""
        if not self._count:
            self.append(task)
            return
        self._count += 1
        self._yielded.append(task)
        self._ages.append(0)

    def appendleft(self, task: Task) -> None:
        task.rank = self._oldest
        self._ages[0] += 1
        self._count += 1
        group = task.scope.group or task
        tasks = self._groups.get(group)
        if tasks is None:
            self._groups[group] = deque((task,))
            self._turns.appendleft(group)
        else:
            tasks.appendleft(task)

    def popleft(self) -> Task:
        group = self._turns.popleft()
        tasks = self._groups[group]
        task = tasks.popleft()
        if tasks:
            self._turns.append(group)
        else:
            del self._groups[group]
        self._count -= 1
        ages = self._ages
        ages[task.rank - self._oldest] -= 1
        while self._yielded and not ages[0]:
            ages.popleft()
            self._oldest += 1
            last = self._yielded.popleft()
            last.rank = self._oldest
            ages[0] += 1
            self._queue(last)
        return task

    def _queue(self, task: Task) -> None:
        group = task.scope.group or task
        tasks = self._groups.get(group)
        if tasks is None:
            self._groups[group] = deque((task,))
            self._turns.append(group)
        else:
            tasks.append(task)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Task]:
        return chain(chain.from_iterable(self._groups.values()), self._yielded)
