"""A queue that is fair by turns: larger priority first, then groups in turn, then the oldest.

Owns: `TurnQueue` and its entries, `Spot`. Refuses: to know what waits, for what, and until when.

Groups of equal priority stand in a ring. Each time one's entry is taken, the group goes to the end
of the ring; so does a group that comes anew. Between two turns of a group, every other one that
waits has at most one: a thousand entries of one group delay the only entry of another by one.

Turns are numbers of one clock that may serve several queues, so that their heads compare: the older
turn has waited longer. An entry that had its turn already, and failed through no fault of its
group, is pushed with that turn: it stands in the ring for itself, in its old place, and costs its
group nothing.

Every operation is O(log n). Removed entries stay in the heaps until they come up, or until they
are more than half of a heap.

Invariants (`_check`): a level, a group and a ring entry are alive exactly as long as an entry of
theirs is; `len` counts the entries alive.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

STALE_MIN = 16  # heaps are rebuilt when more than this and half of their entries are dead
LEVELS_COUNTED_MAX = 64  # by `ahead_of`, an estimate

T = TypeVar("T")

Key = tuple[int, int, int]  # (-priority, turn, place): the smallest goes first, in all queues


class Spot(Generic[T]):
    """An entry. place: unique, given once. turn: None before it came up. level: None: not queued.

    group: None for one that stands in the ring for itself.
    """

    __slots__ = ("group", "item", "level", "place", "priority", "turn")

    def __init__(self, item: T, priority: int, place: int, turn: int | None) -> None:
        self.item, self.priority, self.place, self.turn = item, priority, place, turn
        self.level: _Level[T] | None = None
        self.group: _Group[T] | None = None

    @property
    def key(self) -> Key:
        """Of a head: how it compares with the heads of other queues."""
        assert self.turn is not None, "only a head has a turn"
        return (-self.priority, self.turn, self.place)


class _Group(Generic[T]):
    """The entries of one group at one level. live: how many; a group without any is gone."""

    __slots__ = ("heap", "key", "live", "turn")

    def __init__(self, key: Hashable, turn: int) -> None:
        self.key, self.turn = key, turn
        self.heap: list[tuple[int, int, Spot[T]]] = []  # place, a unique number, entry
        self.live = 0

    def first(self) -> Spot[T]:
        while self.heap[0][2].level is None:
            heapq.heappop(self.heap)
        return self.heap[0][2]

    def drop_stale(self) -> None:
        if len(self.heap) > 2 * self.live + STALE_MIN:
            self.heap = [entry for entry in self.heap if entry[2].level is not None]
            heapq.heapify(self.heap)


class _Rounds:
    """How many entries the next so many rounds take: sums over the sizes of groups (a Fenwick tree
    of the number of groups with at least 1, 2, 3, ... entries).
    """

    __slots__ = ("_counts", "_tree")

    def __init__(self) -> None:
        self._counts = [0, 0]
        self._tree = [0, 0]

    def change(self, size: int, by: int) -> None:
        """A group has `size` entries now (by 1), or no more (by -1)."""
        while size >= len(self._tree):
            self._grow()
        self._counts[size] += by
        tree, most = self._tree, len(self._tree)
        while size < most:
            tree[size] += by
            size += size & -size

    def taken(self, rounds: int) -> int:
        """By the next `rounds` rounds; by all that are needed, when those are fewer."""
        found, at = 0, min(rounds, len(self._tree) - 1)
        while at:
            found += self._tree[at]
            at &= at - 1
        return found

    def _grow(self) -> None:
        self._counts += [0] * len(self._counts)
        tree = self._tree = self._counts.copy()
        for at in range(1, len(tree)):
            above = at + (at & -at)
            if above < len(tree):
                tree[above] += tree[at]


class _Level(Generic[T]):
    """Everything of one priority. sources: the groups, and the entries that stand for themselves.

    ring: (turn, number, source): an entry is dead when its source is gone or has another turn.
    """

    __slots__ = ("groups", "live", "number", "priority", "ring", "rounds", "sources")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.groups: dict[Hashable, _Group[T]] = {}
        self.ring: list[tuple[int, int, _Group[T] | Spot[T]]] = []
        self.rounds = _Rounds()
        self.sources = self.live = self.number = 0

    def enter(self, turn: int, source: _Group[T] | Spot[T]) -> None:
        self.number += 1
        heapq.heappush(self.ring, (turn, self.number, source))
        if len(self.ring) > 2 * self.sources + STALE_MIN:
            self.ring = [entry for entry in self.ring if _is_alive(entry[0], entry[2])]
            heapq.heapify(self.ring)

    def first(self) -> Spot[T]:
        while True:
            turn, _, source = self.ring[0]
            if not _is_alive(turn, source):
                heapq.heappop(self.ring)
            elif isinstance(source, Spot):
                return source
            else:
                spot = source.first()
                spot.turn = turn
                return spot


def _is_alive(turn: int, source: _Group[T] | Spot[T]) -> bool:
    if isinstance(source, Spot):
        return source.level is not None
    return source.live > 0 and source.turn == turn


class TurnQueue(Generic[T]):
    """See the module. clock: gives the turns, growing; shared by queues whose heads compare."""

    __slots__ = ("_clock", "_levels", "_live", "_order")

    def __init__(self, clock: Iterator[int]) -> None:
        self._clock = clock
        self._levels: dict[int, _Level[T]] = {}
        self._order: list[int] = []  # a heap of -priority; may hold levels that are gone
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def push(
        self, item: T, priority: int, group: Hashable, place: int, turn: int | None = None
    ) -> Spot[T]:
        """Queue `item`. turn: the one it had already, when it failed through no fault of its own.

        Entries of a group are taken in the order of their places, whenever they are pushed.
        """
        spot = Spot(item, priority, place, turn)
        level = self._levels.get(priority)
        if level is None:
            level = self._levels[priority] = _Level(priority)
            heapq.heappush(self._order, -priority)
            if len(self._order) > 2 * len(self._levels) + STALE_MIN:
                self._order = [-known for known in self._levels]
                heapq.heapify(self._order)
        spot.level = level
        level.live += 1
        self._live += 1
        if turn is not None:
            level.sources += 1
            level.enter(turn, spot)
            return spot
        mine = level.groups.get(group)
        if mine is None:
            mine = level.groups[group] = _Group(group, next(self._clock))
            mine.live = 1
            level.sources += 1
            level.enter(mine.turn, mine)
        else:
            mine.live += 1
        level.rounds.change(mine.live, 1)
        spot.group = mine
        level.number += 1
        heapq.heappush(mine.heap, (place, level.number, spot))
        return spot

    def head(self) -> Spot[T] | None:
        """The entry whose turn it is."""
        while self._order:
            level = self._levels.get(-self._order[0])
            if level is not None:
                return level.first()
            heapq.heappop(self._order)
        return None

    def pop(self) -> Spot[T]:
        """Take the head; its group goes to the end of the ring."""
        spot = self.head()
        assert spot is not None and spot.level is not None, "the queue is empty"
        level, group = spot.level, spot.group
        spot.level = None
        if group is None or group.live == 1:
            heapq.heappop(level.ring)
        else:
            group.turn = next(self._clock)
            level.number += 1
            heapq.heapreplace(level.ring, (group.turn, level.number, group))
        if group is not None:
            heapq.heappop(group.heap)
        self._forget(level, group)
        return spot

    def remove(self, spot: Spot[T]) -> None:
        """Take an entry that is queued, wherever it stands; its group keeps its turn."""
        level, group = spot.level, spot.group
        assert level is not None, "not queued"
        spot.level = None
        self._forget(level, group)
        if group is not None and group.live:
            group.drop_stale()

    def items(self) -> Iterator[T]:
        """All that is queued, in no useful order. Costs what it gives."""
        for level in self._levels.values():
            for group in level.groups.values():
                yield from (spot.item for _, _, spot in group.heap if spot.level is level)
            for turn, _, source in level.ring:
                if isinstance(source, Spot) and _is_alive(turn, source):
                    yield source.item

    def ahead_of(self, priority: int, group: Hashable) -> int:
        """How many entries go before a new one, if nothing else comes: at least, and at most one of
        each other group more. Of LEVELS_COUNTED_MAX priorities, the rest are not counted.
        """
        ahead = 0
        for level in islice(self._levels.values(), LEVELS_COUNTED_MAX):
            if level.priority > priority:
                ahead += level.live
        own = self._levels.get(priority)
        if own is not None:
            mine = own.groups.get(group)
            loners = own.sources - len(own.groups)
            ahead += loners + own.rounds.taken(1 if mine is None else mine.live)
        return ahead

    def _forget(self, level: _Level[T], group: _Group[T] | None) -> None:
        level.live -= 1
        self._live -= 1
        if group is None:
            level.sources -= 1
        else:
            level.rounds.change(group.live, -1)
            group.live -= 1
            if not group.live:
                level.sources -= 1
                group.heap.clear()  # its ring entry may outlive it
                del level.groups[group.key]
        if not level.live:
            del self._levels[level.priority]

    def _check(self) -> None:
        """Assert the invariants. For tests, after every step."""
        assert self._live == sum(level.live for level in self._levels.values())
        assert all(-priority in self._order for priority in self._levels)
        for priority, level in self._levels.items():
            assert level.priority == priority and level.live > 0
            alive = [entry[2] for entry in level.ring if _is_alive(entry[0], entry[2])]
            assert len(alive) == level.sources
            loners = [source for source in alive if isinstance(source, Spot)]
            groups = [source for source in alive if isinstance(source, _Group)]
            assert sorted(map(id, groups)) == sorted(map(id, level.groups.values()))
            assert level.live == len(loners) + sum(group.live for group in groups)
            sizes = [group.live for group in groups]
            for rounds in range(max(sizes, default=0) + 2):
                assert level.rounds.taken(rounds) == sum(min(size, rounds) for size in sizes)
            for group in groups:
                live = [spot for _, _, spot in group.heap if spot.level is level]
                assert len(live) == group.live > 0
                assert len(group.heap) <= 2 * group.live + STALE_MIN + 1
