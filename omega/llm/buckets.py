"""Token buckets: how much of a rate is left, on given times.

Owns: `Bucket`. Refuses: a clock (every time is the caller's, of one clock that never goes back),
and to know what its units are: requests or tokens.

A bucket holds at most `burst` units and gains `rate_s` units a second. What is taken before its
truth is known is an estimate: `settle` gives the truth, and a truth that is larger leaves a debt
(a level below zero) that the rate pays off before anything else fits.

Two kinds of bucket:
- a *given* one has the rate and burst somebody configured. What a vendor's headers say only makes
  it stricter.
- a *learned* one is unlimited until the first headers come, and is then what they say.

What headers say may be late, out of order and rounded: `told.py`. A vendor that says nothing of the
time in which its limit comes back is taken to mean a minute; when its bucket is full all the same
although everything that may be sent is sent, twice as fast is tried, once per round trip.

A given bucket that equals the vendor's has nothing to spare: calls that take longer to the vendor
than those sent after them arrive closer together than they were sent, and some too early. So a take
counts as if it arrived `margin_s` later: it leaves in the bucket at most what the vendor's is sure
to hold then. That costs so much of a burst, once, and nothing of the rate while the burst has room
for it; where it has not, SLOWED of the rate. Nobody is refused whose way varies by no more. What is
refused all the same teaches a larger margin (`refused`), which is slowly forgotten.

Invariants (tests/llm/test_buckets.py): what is taken when `ready_s` says now, within any time t,
is at most burst + rate * t (+ what a single amount exceeds the burst by). Against a vendor that is
known by its headers alone (tests/llm/test_told.py), or that was configured as it is and tells
nothing (tests/llm/test_margin.py): at most one request in a hundred is refused, and all but a few
percent of the rate are used.
"""

from __future__ import annotations

from omega.llm.told import ToldLevel, ToldRate

SLACK_S = 1e-6  # the scheduler counts in microseconds; below that "later" is rounding
PERIOD_S = 60.0  # of a vendor's limit, until its headers show how fast it fills up
SLOWED = 0.02  # of a rate whose burst has no room for the margin
CAUTION = 1.5  # times the margin, for a refusal
CAUTION_MAX = 25.0  # times the margin: half of the rate where there is no burst
FORGOTTEN = 0.002  # of the caution, with every take: refusals settle below one in a hundred

_INFINITE = float("inf")


class Rate:
    """A rate somebody configured. per_s: units a second, > 0. burst: units at once, > 0.

    burst: None holds what comes in one second, at least one unit: the strictest window a vendor
    that says "per minute" is known to enforce.
    """

    __slots__ = ("burst", "per_s")

    def __init__(self, per_s: float, burst: float | None = None) -> None:
        self.per_s = _positive("per_s", per_s)
        self.burst = max(1.0, self.per_s) if burst is None else _positive("burst", burst)

    @classmethod
    def per_minute(cls, units: float, burst: float | None = None) -> Rate:
        """`units` a minute, as vendors give their limits."""
        return cls(_positive("units", units) / 60, burst)

    def __repr__(self) -> str:
        return f"Rate(per_s={self.per_s:g}, burst={self.burst:g})"


def _positive(name: str, value: float) -> float:
    from omega.errors import HostError

    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < _INFINITE:
        raise HostError(f"a rate's {name} must be a positive number, got {value!r}")
    return float(value)


class Bucket:
    """See the module. taken: everything ever taken, given back or not; a call remembers it when it
    is sent, for `adopt` and `refused`. margin_s: of a given one, by how much the way of calls to
    the vendor may vary.
    """

    __slots__ = (
        "_at_s",
        "_caution",
        "_given_burst",
        "_given_s",
        "_level",
        "_margin_s",
        "_raised_s",
        "_taught",
        "_told_level",
        "_told_rate",
        "burst",
        "rate_s",
        "taken",
    )

    def __init__(self, rate: Rate | None = None, margin_s: float = 0.0) -> None:
        self._margin_s = 0.0 if rate is None else margin_s
        self._caution = 1.0
        self._taught = 0.0  # `taken` at the last lesson
        self._given_s = self.rate_s = None if rate is None else rate.per_s
        self._given_burst = self.burst = _INFINITE if rate is None else rate.burst
        self._level = self.burst
        self._at_s = -_INFINITE
        self._told_rate = ToldRate()
        self._told_level: ToldLevel | None = None  # before the first headers
        self._raised_s = -_INFINITE  # when a rate that nobody told was last raised
        self.taken = 0.0

    @property
    def is_known(self) -> bool:
        """Whether there is a limit: a configured one, or one the vendor told."""
        return self.rate_s is not None

    def level(self, now_s: float) -> float:
        """Units left, below zero for a debt; infinite while nothing is known."""
        self._advance(now_s)
        return self._level

    def ready_s(self, amount: float, now_s: float) -> float:
        """When `amount` fits: `now_s`, or later.

        More than the bucket holds fits when the bucket is full, and leaves a debt: the estimate may
        be wrong, and only the vendor can say that it never takes so much.
        """
        if self.rate_s is None:
            return now_s
        self._advance(now_s)
        missing = min(amount, self.burst) - self._level
        return now_s if missing <= self.rate_s * SLACK_S else now_s + missing / self.rate_s

    def expected_s(self, amount: float, now_s: float) -> float:
        """When the last of many takes that add up to `amount` fits, if nothing else is taken. To
        look ahead changes nothing.
        """
        if self.rate_s is None:
            return now_s
        gained = self.rate_s * max(0.0, now_s - self._at_s) if self._at_s > -_INFINITE else 0.0
        level = min(self.burst, self._level + gained)
        return now_s + max(0.0, amount - level) / self.rate_s

    def reserve(self, amount: float, now_s: float) -> float:
        """Take `amount` now; answers when it fits (`ready_s`), until when whoever took it waits."""
        ready_s = self.ready_s(amount, now_s)
        self.take(amount, now_s)
        return ready_s

    def take(self, amount: float, now_s: float) -> None:
        """Take `amount`, whether it fits or not."""
        self.taken += amount
        if self.rate_s is not None:
            self._advance(now_s)
            if self._margin_s:
                self._keep_margin(amount, self.rate_s)
            self._change(-amount)

    def settle(self, estimate: float, truth: float, now_s: float) -> None:
        """`estimate` units were reserved; `truth` were used."""
        if truth > estimate:
            self.taken += truth - estimate
        if self.rate_s is not None:
            self._advance(now_s)
            self._change(estimate - truth)

    def refund(self, amount: float, now_s: float) -> None:
        """What was reserved is not used after all.

        `taken` keeps it: whoever counts what was taken since must not count too little.
        """
        self.settle(amount, 0.0, now_s)

    def refused(self, taken_before: float, now_s: float) -> None:
        """The vendor said that nothing is left, without figures, to a call after whose sending
        `taken` was `taken_before`.

        Those that were sent before the last lesson say the same thing once.
        """
        if self.rate_s is not None:
            self._advance(now_s)
            self._level = min(self._level, 0.0)
        if taken_before > self._taught:
            self._taught = self.taken
            self._caution = min(CAUTION_MAX, CAUTION * self._caution)

    def adopt(
        self,
        limit: float | None,
        remaining: float | None,
        reset_s: float | None,
        *,
        taken_before: float,
        sent_s: float,
        now_s: float,
    ) -> None:
        """What the headers of an answer said. Nonsense (negative, infinite) is not believed.

        limit: the vendor's burst. remaining: left when it counted the call. reset_s: seconds until
        it is full again. taken_before: `taken` as it was once the call itself had been taken, at
        `sent_s`.
        """
        limit, remaining, reset_s = _fact(limit), _fact(remaining), _fact(reset_s)
        if limit == 0:  # a key without any allowance says so by refusing
            limit = None
        self._advance(now_s)
        if limit is not None:
            self.burst = min(self._given_burst, limit)
            self._change(0.0)
            self._learn_rate(limit, remaining, reset_s, sent_s, now_s)
        if remaining is not None and self.rate_s is not None:
            told = self._told_level
            if told is None:
                told = self._told_level = ToldLevel()
            gained = self.rate_s * max(0.0, now_s - sent_s)
            left = told.estimate(remaining, self.taken - taken_before, gained, self.burst)
            told.keep(left, sent_s, now_s)
            self._level = told.lowest if self._given_s is None else min(self._level, left)

    def _learn_rate(
        self,
        limit: float,
        remaining: float | None,
        reset_s: float | None,
        sent_s: float,
        now_s: float,
    ) -> None:
        if remaining is not None and reset_s is not None:
            self._told_rate.tell(limit, remaining, reset_s)
        told_s = self._told_rate.per_s
        if told_s is not None:
            self.rate_s = told_s if self._given_s is None else min(self._given_s, told_s)
        elif self.rate_s is None:
            self.rate_s = limit / PERIOD_S
        elif self._given_s is None and self._level < 1 and sent_s >= self._raised_s:
            is_full = remaining is not None and remaining >= limit - 1
            if is_full:  # though all that may be sent is sent
                self.rate_s, self._raised_s = 2 * self.rate_s, now_s

    def _keep_margin(self, amount: float, rate_s: float) -> None:
        """`amount` is about to be taken: leave what is left even if it arrives late."""
        caution = self._caution
        sure = self.burst - caution * self._margin_s * rate_s
        self._level = min(self._level, max(sure, amount * (1 - caution * SLOWED)))
        self._caution = max(1.0, caution * (1 - FORGOTTEN))

    def _change(self, amount: float) -> None:
        """So much more is left, or less."""
        self._level = min(self.burst, self._level + amount)
        if self._told_level is not None:
            self._told_level.change(amount, self.burst)

    def _advance(self, now_s: float) -> None:
        if now_s > self._at_s:
            if self.rate_s is not None and self._at_s > -_INFINITE:
                self._change(self.rate_s * (now_s - self._at_s))
            self._at_s = now_s


def _fact(value: float | None) -> float | None:
    return value if value is not None and 0 <= value < _INFINITE else None
