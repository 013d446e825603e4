"""The limits of a loopback server, kept as a vendor keeps them.

Owns: `LoopbackLimits` (what a test says) and `Limiter` (its state). Refuses: clocks: the server
says what time it is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

RETRY_AFTER_FORMS = ("seconds", "fractional", "date", "ms")


class LoopbackLimits:
    """What is allowed before the server answers 429.

    requests_per_s, burst: a token bucket, full at the start; None: no such limit. tokens_per_s,
    token_burst: the same for tokens, of which a request takes what its answer's usage is.
    concurrency: requests being answered at once. growth: in a window of growth_window_s at most
    this many times the requests that came in the window before, and growth_floor of them always:
    a limit of the increase, that none of the others can stand for. retry_after: the form of the
    429's Retry-After: "seconds" (whole, rounded up), "fractional", "date", "ms"
    (`retry-after-ms`), "all" (by turns), or None.
    """

    def __init__(
        self,
        *,
        requests_per_s: float | None = None,
        burst: int = 1,
        tokens_per_s: float | None = None,
        token_burst: int = 1000,
        concurrency: int | None = None,
        growth: float | None = None,
        growth_window_s: float = 0.1,
        growth_floor: int = 1,
        retry_after: str | None = "fractional",
    ) -> None:
        if retry_after not in (*RETRY_AFTER_FORMS, "all", None):
            raise ValueError(f"unknown form of Retry-After: {retry_after!r}")
        self.requests_per_s = requests_per_s
        self.burst = burst
        self.tokens_per_s = tokens_per_s
        self.token_burst = token_burst
        self.concurrency = concurrency
        self.growth = growth
        self.growth_window_s, self.growth_floor = growth_window_s, growth_floor
        self.retry_after = retry_after


class Bucket:
    """So much a second, saved up to `size`."""

    def __init__(self, per_s: float, size: float) -> None:
        self.per_s, self.size = per_s, size
        self._level = size
        self._at_s = 0.0

    def level(self, now_s: float) -> float:
        self._level = min(self.size, self._level + max(0.0, now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        return self._level

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` can be taken; 0.0: now."""
        return max(0.0, (min(amount, self.size) - self.level(now_s)) / self.per_s)

    def take(self, amount: float, now_s: float) -> None:
        self._level = self.level(now_s) - amount

    def reset_s(self, now_s: float) -> float:
        """Seconds until it is full."""
        return (self.size - self.level(now_s)) / self.per_s


class Slope:
    """How fast requests may become more: a window that slides, beside the one before it."""

    def __init__(self, growth: float, window_s: float, floor: int) -> None:
        self.growth, self.window_s, self.floor = growth, window_s, floor
        self._taken_s: deque[float] = deque()  # when, in the last two windows

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more may come, if no other does; 0.0: now."""
        while self._taken_s and self._taken_s[0] + 2 * self.window_s <= now_s:
            self._taken_s.popleft()
        moments = [at_s + self.window_s for at_s in self._taken_s]  # when there is room again
        later = (at_s for at_s in moments if at_s > now_s and self._has_room(at_s))
        return 0.0 if self._has_room(now_s) else next(later) - now_s

    def _has_room(self, now_s: float) -> bool:
        window_s = self.window_s
        latest = sum(at_s + window_s > now_s for at_s in self._taken_s)
        before = sum(at_s + 2 * window_s > now_s for at_s in self._taken_s) - latest
        return latest < max(self.floor, int(self.growth * before))

    def take(self, now_s: float) -> None:
        self._taken_s.append(now_s)


class Refusal:
    """Why a request is answered 429. kind: "concurrency", "rate" or "slope"."""

    def __init__(self, kind: str, headers: dict[str, str]) -> None:
        self.kind, self.headers = kind, headers


class Limiter:
    """The state of a server's limits."""

    def __init__(self, limits: LoopbackLimits, date: Callable[[float], str]) -> None:
        self.limits = limits
        self.requests: Bucket | None = None
        self.tokens: Bucket | None = None
        if limits.requests_per_s is not None:
            self.requests = Bucket(limits.requests_per_s, limits.burst)
        if limits.tokens_per_s is not None:
            self.tokens = Bucket(limits.tokens_per_s, limits.token_burst)
        self.slope: Slope | None = None
        if limits.growth is not None:
            self.slope = Slope(limits.growth, limits.growth_window_s, limits.growth_floor)
        self._date = date
        self._refused = 0
        self._in_flight = 0

    def refusal(self, now_s: float, tokens: int) -> Refusal | None:
        """None when a request of `tokens` may come in; it counts as in flight until `left`."""
        limits = self.limits
        if limits.concurrency is not None and self._in_flight >= limits.concurrency:
            return Refusal("concurrency", self._retry_after(None))
        wait_s = 0.0 if self.requests is None else self.requests.wait_s(1.0, now_s)
        if self.tokens is not None:
            wait_s = max(wait_s, self.tokens.wait_s(tokens, now_s))
        if wait_s > 0:
            return Refusal("rate", self._retry_after(wait_s))
        wait_s = 0.0 if self.slope is None else self.slope.wait_s(now_s)
        if wait_s > 0:
            return Refusal("slope", self._retry_after(wait_s))
        if self.requests is not None:
            self.requests.take(1.0, now_s)
        if self.tokens is not None:
            self.tokens.take(tokens, now_s)
        if self.slope is not None:
            self.slope.take(now_s)
        self._in_flight += 1
        return None

    def left(self) -> None:
        """A request that came in is over."""
        self._in_flight -= 1

    def told(self, now_s: float) -> dict[str, tuple[int, int, float]]:
        """Subject -> (limit, remaining, seconds until full), for the headers of an answer."""
        subjects = {"requests": self.requests, "tokens": self.tokens}
        return {
            name: (int(bucket.size), max(0, int(bucket.level(now_s))), bucket.reset_s(now_s))
            for name, bucket in subjects.items()
            if bucket is not None
        }

    def _retry_after(self, wait_s: float | None) -> dict[str, str]:
        """wait_s: None when nobody knows how long it will take."""
        form = self.limits.retry_after
        if form is None or wait_s is None:
            return {}
        if form == "all":
            form = RETRY_AFTER_FORMS[self._refused % len(RETRY_AFTER_FORMS)]
            self._refused += 1
        if form == "ms":
            return {"Retry-After-Ms": f"{wait_s * 1000:.3f}"}
        if form == "date":  # of whole seconds, rounded down: one more is surely late enough
            return {"Retry-After": self._date(math.ceil(wait_s) + 1)}
        return {"Retry-After": str(math.ceil(wait_s)) if form == "seconds" else f"{wait_s:.6f}"}
