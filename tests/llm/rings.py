"""Turns by plain lists: the model that queues are compared with."""

from __future__ import annotations

from collections.abc import Iterator


class Rings:
    """What waits: for each priority [turn, group or None, [places]], in any order.

    clock: gives the turns, growing.
    """

    def __init__(self, clock: Iterator[int]) -> None:
        self.clock = clock
        self.rings: dict[int, list[list]] = {}  # type: ignore[type-arg]
        self.group_of: dict[int, str] = {}

    def insert(self, place: int, priority: int, group: str, turn: int | None = None) -> None:
        self.group_of[place] = group
        ring = self.rings.setdefault(priority, [])
        if turn is not None:
            ring.append([turn, None, [place]])
            return
        for source in ring:
            if source[1] == group:
                source[2] = sorted([*source[2], place])
                return
        ring.append([next(self.clock), group, [place]])

    def head(self) -> tuple[int, int, int] | None:
        """(-priority, turn, place)."""
        if not self.rings:
            return None
        priority = max(self.rings)
        turn, _, places = min(self.rings[priority], key=lambda source: source[0])
        return (-priority, turn, places[0])

    def pop(self) -> tuple[int, int, str, int]:
        """(place, priority, group, turn)."""
        priority = max(self.rings)
        source = min(self.rings[priority], key=lambda source: source[0])
        turn, place = source[0], source[2].pop(0)
        if source[2]:
            source[0] = next(self.clock)
        else:
            self._drop(priority, source)
        return (place, priority, self.group_of[place], turn)

    def remove(self, place: int) -> bool:
        for priority, ring in list(self.rings.items()):
            for source in ring:
                if place in source[2]:
                    source[2].remove(place)
                    if not source[2]:
                        self._drop(priority, source)
                    return True
        return False

    def order(self) -> list[int]:
        """All places as they would be taken, if nothing else came."""
        order = []
        for priority in sorted(self.rings, reverse=True):
            ring = [[turn, list(places)] for turn, _, places in self.rings[priority]]
            later = max(turn for turn, _ in ring)
            while ring:
                ring.sort(key=lambda source: source[0])
                order.append(ring[0][1].pop(0))
                later += 1
                ring[0][0] = later
                if not ring[0][1]:
                    ring.pop(0)
        return order

    def _drop(self, priority: int, source: list) -> None:  # type: ignore[type-arg]
        self.rings[priority].remove(source)
        if not self.rings[priority]:
            del self.rings[priority]
