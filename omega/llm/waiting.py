"""The calls of one lane that wait, and what each of them waits for.

Owns: `Call`, `Waiting`: the queue of a lane, the lines before its budgets, the calls that wait for
a time, the deadlines. Refuses: to decide that a call may be sent (`governor.py`).

A call that waits is in exactly one of these:

    queue   may be sent as soon as the lane can send anything; in the order of `turns.py`
    a line  its budget cannot take it before others give back what they have reserved there. One
            line for each budget (of any level) that was found short, in the same order
    later   a retry that is not due

A line sleeps once its head did not fit, and is woken when its budget has something back; then its
head stands for the lane beside the head of the queue: the better of them goes first. Whoever comes
to a budget with a line goes behind it, unless its priority is higher than that of the line's head:
so small calls do not overtake a large one until it never fits, and calls of other budgets pass.
Within a lane nobody passes a call that waits for a bucket or a gate: they are the same for all,
and who passes would take what the first waits for.

Everything is O(log n) in the calls that wait, and O(1) in the lines that sleep.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from omega.llm.budget import ONE_CALL, Amounts, Budget, Elastic, Reservation
from omega.llm.lane import Lane, Needs
from omega.llm.turns import STALE_MIN, Key, Spot, TurnQueue

QUEUED, ADMITTED, STARTED, GONE = "queued", "admitted", "started", "gone"

Id = TypeVar("Id", bound=Hashable)


class Call(Generic[Id]):
    """A call the governor knows. What it wants is set when it is asked; the rest by who has it.

    place: its turn among equals, given once. turn: the one it had when it was last admitted.
    due_s: it is not sent before. reserve: what it can use of `budget` at most; reservation: that,
    while it is held. elastic: what it may reserve beyond `needed`; extra: how often it did. spot:
    where it is queued, in `queue` (the lane's, or that of `line`). number: of its sending; taken:
    what the lane's buckets had then given out. later_entry, deadline_entry: the number of its live
    entry in those heaps, or 0.
    """

    __slots__ = (
        "asked_s",
        "budget",
        "call_id",
        "deadline_entry",
        "deadline_s",
        "due_s",
        "elastic",
        "extra",
        "group",
        "lane",
        "later_entry",
        "line",
        "needed",
        "needs",
        "number",
        "place",
        "priority",
        "reservation",
        "reserve",
        "sent_s",
        "spot",
        "state",
        "taken",
        "turn",
    )

    def __init__(
        self, call_id: Id, lane: Lane, place: int, priority: int, group: Hashable, asked_s: float
    ) -> None:
        self.call_id, self.lane, self.place = call_id, lane, place
        self.priority, self.group, self.asked_s = priority, group, asked_s
        self.needs: Needs = (1, 0, 0, 0)
        self.deadline_s: float | None = None
        self.budget: Budget | None = None
        self.reserve: Amounts = ONE_CALL
        self.needed: Amounts = ONE_CALL
        self.elastic: Elastic | None = None
        self.extra = 0
        self.reservation: Reservation | None = None
        self.state = QUEUED
        self.turn: int | None = None
        self.due_s = float("-inf")
        self.spot: Spot[Call[Id]] | None = None
        self.line: _Line[Id] | None = None
        self.later_entry = self.deadline_entry = 0
        self.number, self.sent_s = 0, float("-inf")
        self.taken: tuple[float, ...] = ()


class _Line(Generic[Id]):
    """The calls of a lane that wait for one budget."""

    __slots__ = ("budget", "is_awake", "queue")

    def __init__(self, budget: Budget, clock: Iterator[int]) -> None:
        self.budget = budget
        self.queue: TurnQueue[Call[Id]] = TurnQueue(clock)
        self.is_awake = False


_Entry = tuple[float, int, Call[Id]]


class Waiting(Generic[Id]):
    """See the module. by_group: how many calls of each group wait; needs: the sums of theirs.

    clock: gives the turns of all lanes.
    """

    __slots__ = (
        "_awake",
        "_clock",
        "_deadlines",
        "_deadlines_live",
        "_entry",
        "_later",
        "_later_live",
        "_lines",
        "_queue",
        "by_group",
        "count",
        "needs",
    )

    def __init__(self, clock: Iterator[int]) -> None:
        self._clock = clock
        self._queue: TurnQueue[Call[Id]] = TurnQueue(clock)
        self._lines: dict[Budget, _Line[Id]] = {}
        self._awake: list[tuple[Key, int, _Line[Id]]] = []
        self._later: list[_Entry[Id]] = []
        self._deadlines: list[_Entry[Id]] = []
        self._entry = self._later_live = self._deadlines_live = 0
        self.count = 0
        self.by_group: dict[Hashable, int] = {}
        self.needs = [0, 0, 0, 0]

    # Coming and going

    def add(self, call: Call[Id], now_s: float) -> None:
        """It waits: in the queue, or for its time."""
        self.count += 1
        self.by_group[call.group] = self.by_group.get(call.group, 0) + 1
        for kind, need in enumerate(call.needs):
            self.needs[kind] += need
        if call.deadline_s is not None:
            self._deadlines_live += 1
            call.deadline_entry = self._push(
                self._deadlines, call.deadline_s, call, self._deadlines_live
            )
        if call.due_s > now_s:
            self._later_live += 1
            call.later_entry = self._push(self._later, call.due_s, call, self._later_live)
        else:
            self._enqueue(call)

    def discard(self, call: Call[Id]) -> None:
        """It does not wait here any more, wherever it stands."""
        self._unplace(call)
        self.count -= 1
        left = self.by_group[call.group] - 1
        if left:
            self.by_group[call.group] = left
        else:
            del self.by_group[call.group]
        for kind, need in enumerate(call.needs):
            self.needs[kind] -= need
        if call.deadline_entry:
            call.deadline_entry = 0
            self._deadlines_live -= 1

    def move(self, call: Call[Id], priority: int) -> None:
        """Another priority; its place among equals stays."""
        line, spot = call.line, call.spot
        call.priority = priority
        if spot is None:  # later: it is placed when it is due
            return
        self._remove(call, line, spot)
        call.turn = None
        self._enqueue(call)  # also out of a line: it may have become better than the line's head

    def ripen(self, now_s: float) -> None:
        """Calls whose time has come go to where their priority and turn count."""
        while self._later and self._later[0][0] <= now_s:
            _, entry, call = heapq.heappop(self._later)
            if call.later_entry == entry:
                call.later_entry = 0
                self._later_live -= 1
                self._enqueue(call)

    def everyone(self) -> list[Call[Id]]:
        """All that wait, oldest first. For a lane that is shut; costs what it gives."""
        queues = [self._queue, *(line.queue for line in self._lines.values())]
        found = [call for queue in queues for call in queue.items()]
        found += [call for _, entry, call in self._later if call.later_entry == entry]
        return sorted(found, key=lambda call: call.place)

    # Who is next

    def first(self) -> tuple[Key, Call[Id]] | None:
        """The call whose turn it is, of the queue and the lines that are awake."""
        best = self._queue.head()
        while self._awake:
            key, entry, line = self._awake[0]
            head = line.queue.head() if line.is_awake else None
            if head is None:
                heapq.heappop(self._awake)
            elif head.key != key:
                heapq.heapreplace(self._awake, (head.key, entry, line))
            else:
                if best is None or key < best.key:
                    best = head
                break
        return None if best is None else (best.key, best.item)

    def take(self, call: Call[Id]) -> None:
        """The call that `first` gave is admitted."""
        line = call.line
        queue = self._queue if line is None else line.queue
        spot = queue.pop()
        assert spot.item is call and spot is call.spot, "only the first is taken"
        call.spot, call.line, call.turn = None, None, spot.turn
        if line is not None:
            self._left(line)
        self.discard(call)

    def earliest_deadline(self) -> Call[Id] | None:
        while self._deadlines and self._deadlines[0][2].deadline_entry != self._deadlines[0][1]:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][2] if self._deadlines else None

    def next_due_s(self) -> float | None:
        """When the first retry is due."""
        while self._later and self._later[0][2].later_entry != self._later[0][1]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def ahead_of(self, priority: int, group: Hashable) -> int:
        """About how many calls go before a new one."""
        return self._queue.ahead_of(priority, group)

    # Lines before budgets

    @property
    def has_lines(self) -> bool:
        return bool(self._lines)

    def is_behind(self, call: Call[Id], budget: Budget) -> bool:
        """Whether others wait for `budget` that `call` must not pass."""
        line = self._lines.get(budget)
        if line is None or line is call.line:
            return False
        head = line.queue.head()
        assert head is not None, "a line is somebody"
        return call.priority <= head.priority

    def park(self, call: Call[Id], budget: Budget) -> None:
        """The call that `first` gave cannot have `budget` now."""
        line = self._lines.get(budget)
        if line is None:
            line = self._lines[budget] = _Line(budget, self._clock)
            budget.watch(self.wake)
        if line is call.line:
            line.is_awake = False
            return
        old, spot = call.line, call.spot
        assert spot is not None
        self._remove(call, old, spot)
        self._join(call, line)

    def wake(self, budget: Budget) -> None:
        """`budget` has something back."""
        line = self._lines.get(budget)
        if line is not None and not line.is_awake:
            line.is_awake = True
            self._stand(line)

    # Inside

    def _enqueue(self, call: Call[Id]) -> None:
        call.spot = self._queue.push(call, call.priority, call.group, call.place, call.turn)
        call.line = None

    def _join(self, call: Call[Id], line: _Line[Id]) -> None:
        # Without its turn: a line that is woken must not send a whole group before others.
        call.spot = line.queue.push(call, call.priority, call.group, call.place)
        call.line = line
        if line.is_awake:
            self._stand(line)

    def _stand(self, line: _Line[Id]) -> None:
        """A line that is awake has another head, perhaps a better one."""
        head = line.queue.head()
        assert head is not None
        self._entry += 1
        heapq.heappush(self._awake, (head.key, self._entry, line))

    def _unplace(self, call: Call[Id]) -> None:
        if call.spot is not None:
            self._remove(call, call.line, call.spot)
        elif call.later_entry:
            call.later_entry = 0
            self._later_live -= 1

    def _remove(self, call: Call[Id], line: _Line[Id] | None, spot: Spot[Call[Id]]) -> None:
        (self._queue if line is None else line.queue).remove(spot)
        call.spot = call.line = None
        if line is not None:
            self._left(line)

    def _left(self, line: _Line[Id]) -> None:
        """Somebody left the line. A head that slept may have gone: the next has not been tried."""
        if not len(line.queue):
            line.is_awake = False
            del self._lines[line.budget]
            line.budget.unwatch(self.wake)
        elif not line.is_awake:
            line.is_awake = True
            self._stand(line)

    def _push(self, heap: list[_Entry[Id]], time_s: float, call: Call[Id], live: int) -> int:
        """A new entry; heaps are rebuilt when most of their entries are dead. Its number."""
        if len(heap) > 2 * live + STALE_MIN:
            is_later = heap is self._later
            heap[:] = [
                entry
                for entry in heap
                if entry[1] == (entry[2].later_entry if is_later else entry[2].deadline_entry)
            ]
            heapq.heapify(heap)
        self._entry += 1
        heapq.heappush(heap, (time_s, self._entry, call))
        return self._entry

    def _check(self) -> None:
        """Assert the invariants. For tests, after every step."""
        everyone = self.everyone()
        assert self.count == len(everyone) == len({call.place for call in everyone})
        assert self.count == sum(self.by_group.values())
        assert all(count > 0 for count in self.by_group.values())
        assert [sum(call.needs[kind] for call in everyone) for kind in range(4)] == self.needs
        assert self._deadlines_live == sum(call.deadline_s is not None for call in everyone)
        standing = [line for _, _, line in self._awake]
        for call in everyone:
            assert call.state is QUEUED and (call.spot is None) == bool(call.later_entry)
        for budget, line in self._lines.items():
            assert len(line.queue) > 0 and line.budget is budget
            assert not line.is_awake or line in standing
            assert all(call.line is line for call in line.queue.items())
            line.queue._check()
        self._queue._check()
