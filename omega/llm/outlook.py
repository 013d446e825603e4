"""What the calls of a lane wait for, and how long: for whoever wants to know, and decides nothing.

Owns: `Outlook`, `WaitingLane`: a lane with its queue. Refuses: to change anything by looking.

Only what time alone decides is foretold: a closed gate, rates. How long calls take that are under
way nobody knows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Generic, TypeVar

from omega.llm.lane import KINDS, Lane, LaneLimits
from omega.llm.waiting import Waiting

Id = TypeVar("Id", bound=Hashable)


class Outlook:
    """waits_for: what keeps the calls longest, "gate" or one of KINDS. count: how many wait.
    next_s: when the first of them may be sent, last_s: when the last may, if nothing else is asked.
    """

    __slots__ = ("count", "last_s", "next_s", "waits_for")

    def __init__(self, waits_for: str, count: int, next_s: float, last_s: float) -> None:
        self.waits_for, self.count, self.next_s, self.last_s = waits_for, count, next_s, last_s


class WaitingLane(Lane, Generic[Id]):
    """A lane and what waits for it. refused: calls that were not to be sent."""

    def __init__(
        self, key: Hashable, number: int, limits: LaneLimits, clock: Iterator[int]
    ) -> None:
        super().__init__(key, number, limits)
        self.waiting: Waiting[Id] = Waiting(clock)
        self.refused = 0

    def outlook(self, now_s: float) -> Outlook | None:
        """None when no call has to wait for a time."""
        if not self.waiting.count:
            return None
        first = self.waiting.first()
        opens_s = next_s = self.gate.until_s
        last = opens_s, "gate"
        for at, (kind, bucket) in enumerate(zip(KINDS, self.buckets, strict=True)):
            last = max(last, (bucket.expected_s(self.waiting.needs[at], now_s), kind))
            if first is not None:
                need = min(first[1].needs[at], bucket.burst)
                next_s = max(next_s, bucket.expected_s(need, now_s))
        last_s, waits_for = last
        if last_s <= now_s:
            return None
        return Outlook(waits_for, self.waiting.count, max(now_s, next_s), max(opens_s, last_s))

    def stats(self, now_s: float) -> dict[str, Any]:
        outlook = self.outlook(now_s)
        return {
            **super().stats(now_s),
            "queued": self.waiting.count,
            "queued_by_group": dict(self.waiting.by_group),
            "waits_for": None if outlook is None else outlook.waits_for,
            "next_s": None if outlook is None else outlook.next_s,
            "last_s": None if outlook is None else outlook.last_s,
            "refused": self.refused,
        }
