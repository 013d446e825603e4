"""What a vendor's headers prove about its bucket: how fast it fills up, and what is left in it.

Owns: `ToldRate`, `ToldLevel`: estimates that err on the side of less. Refuses: a clock; to decide
who may take something (`buckets.py`).

The rate. A header with (limit, remaining, reset) says that limit - remaining units come back in
`reset` seconds: a slope. `remaining` is a whole number. Of a vendor that rounds it down, the slope
(limit - remaining) / reset is never too flat, and one unit less never too steep; of one that rounds
it up, one unit more is never too flat. So the flattest slope that was told is believed, but not
less than what is proven however the vendor rounds: for a bucket of `limit` units that is between
1 - 2 / limit of the true rate and, after a few headers, all of it.

The level. `remaining` was true at some moment between sending the call and its answer, nobody knows
when; calls overtake each other. So each header gives an estimate of what is left now that is wrong
by chance, to either side. Whoever believed the latest one would send whenever one of them errs
upwards, and would be refused. The lowest of many is believed, of the last ROUND answers to twice as
many, over one round trip at least; in between the level moves by what is taken and by the rate.

Where the moment is, shows when the vendor's level moves: `remaining` then fits what had been taken
when the call was sent (the vendor counts what arrives, and says so), or what had been taken when it
was answered. Which of both foretells the next headers better is found out; until then the lower
estimate counts.
"""

from __future__ import annotations

ROUND = 64  # answers
FORGETTING = 0.99  # of the errors of an assumption, with every header
CLEARLY = 2.0  # so many times better is better

_INFINITE = float("inf")
_UNITS_S = (1.0, 1e-3, 0.0)  # in which vendors write `reset`, the last: as it is


class ToldRate:
    """per_s: None before a header told one.

    Headers with less than half missing say little, and count only until one says more. A limit that
    is another than before, or slopes that contradict each other, mean a new limit.
    """

    __slots__ = ("_flattest", "_is_deep", "_limit", "_most", "_proven", "_unit", "per_s")

    def __init__(self) -> None:
        self.per_s: float | None = None
        self._unit = 0
        self._limit = 0.0
        self._forget(is_deep=False)

    def _forget(self, is_deep: bool) -> None:
        self._is_deep = is_deep
        self._flattest = self._most = _INFINITE
        self._proven = 0.0

    def tell(self, limit: float, remaining: float, reset_s: float) -> None:
        missing = limit - remaining
        if missing <= 1 or reset_s <= 0:  # of a single unit, rounding may be all
            return
        if limit != self._limit:
            self._limit = limit
            self._forget(is_deep=False)
        is_deep = 2 * missing >= limit
        if is_deep != self._is_deep:
            if not is_deep:
                return
            self._forget(is_deep=True)
        while (unit_s := _UNITS_S[self._unit]) and not _is_whole(reset_s / unit_s):
            self._unit += 1
        proven = (missing - 1) / (reset_s + unit_s)
        most = (missing + 1) / (reset_s - unit_s) if reset_s > unit_s else _INFINITE
        if proven > self._most or most < self._proven:
            self._forget(is_deep)
        self._flattest = min(self._flattest, missing / reset_s)
        self._proven, self._most = max(self._proven, proven), min(self._most, most)
        self.per_s = max(self._flattest, self._proven)


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) < 1e-6


class ToldLevel:
    """lowest: what recent headers agree is left, moved on by `change`."""

    __slots__ = ("_answered", "_before", "_count", "_errors", "_lately", "_sent", "_turned_s")

    def __init__(self) -> None:
        self._lately = self._before = _INFINITE  # the lowest of this round, and of the one before
        self._count = 0
        self._turned_s = -_INFINITE  # when this round began
        # What is left if headers tell of the moment of sending, or of answering; and how wrong it
        # has been to assume so.
        self._sent = self._answered = _INFINITE
        self._errors = (0.0, 0.0)

    @property
    def lowest(self) -> float:
        return min(self._lately, self._before)

    def change(self, amount: float, burst: float) -> None:
        """So much more is left, or less; never more than the burst."""
        self._lately = min(burst, self._lately + amount)
        self._before = min(burst, self._before + amount)
        self._sent = min(burst, self._sent + amount)
        self._answered = min(burst, self._answered + amount)

    def estimate(self, remaining: float, taken: float, gained: float, burst: float) -> float:
        """What is left by one header. taken, gained: since its call was sent."""
        # What was taken since may have been refused: no vendor's bucket is deep in debt.
        sent = max(-burst, min(burst, remaining - taken + gained))
        answered = min(burst, remaining)
        of_sent, of_answered = self._errors
        if self._count:
            of_sent = FORGETTING * of_sent + abs(sent - self._sent)
            of_answered = FORGETTING * of_answered + abs(answered - self._answered)
        self._errors = of_sent, of_answered
        self._sent, self._answered = sent, answered
        return sent if CLEARLY * of_sent < of_answered else min(sent, answered)

    def keep(self, left: float, sent_s: float, now_s: float) -> None:
        """`left` is the estimate by a call that was sent at `sent_s`."""
        if self._count >= ROUND and sent_s >= self._turned_s:
            self._count, self._turned_s = 0, now_s
            self._before, self._lately = self._lately, left
        self._count += 1
        self._lately = min(self._lately, left)
