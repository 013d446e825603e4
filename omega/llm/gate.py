"""A gate: closed while a provider wants nothing sent.

Owns: `Gate`, for one lane. Refuses: a clock, and to know what waits behind it.

An answer that says how long (Retry-After) closes it for that long; the strictest answer counts, so
a gate only ever moves later. An answer that does not say closes it for a guess, which doubles with
every burst of such answers until a call that was sent afterwards succeeds.

A burst: calls that were all sent before the first of them was refused say the same thing once.
Calls are told apart by the numbers of their sending, not by times: 64 calls are often sent in the
same microsecond.
"""

from __future__ import annotations

from omega.errors import HostError

GUESS_S = 0.5
GUESS_S_MAX = 30.0
BURSTS_MAX = 64  # doublings: beyond any sensible guess, and still a finite float


class Gate:
    """until_s: when it opens, or opened; -inf when it was never closed. bursts: of refusals, with
    no success in between.
    """

    __slots__ = ("_mark", "bursts", "guess_s", "guess_s_max", "until_s")

    def __init__(self, guess_s: float = GUESS_S, guess_s_max: float = GUESS_S_MAX) -> None:
        if not 0 < guess_s <= guess_s_max < float("inf"):
            raise HostError(f"a gate needs 0 < guess_s <= guess_s_max: {guess_s}, {guess_s_max}")
        self.guess_s, self.guess_s_max = guess_s, guess_s_max
        self.until_s = float("-inf")
        self.bursts = 0
        self._mark = 0  # the last number sent when the latest burst began

    def is_closed(self, now_s: float) -> bool:
        return now_s < self.until_s

    def close(self, now_s: float, retry_after_s: float | None, sent: int, last: int) -> None:
        """A call was refused. sent: its number; last: the highest number sent so far."""
        is_new = sent > self._mark
        if is_new:
            self._mark = last
            self.bursts = min(BURSTS_MAX, self.bursts + 1)
        if retry_after_s is not None:
            self.until_s = max(self.until_s, now_s + retry_after_s)
        elif is_new:
            guess_s = min(self.guess_s_max, self.guess_s * 2.0 ** (self.bursts - 1))
            self.until_s = max(self.until_s, now_s + guess_s)

    def close_until(self, until_s: float) -> None:
        """Somebody knows the moment."""
        assert until_s == until_s, "a gate needs a time"
        self.until_s = max(self.until_s, until_s)

    def succeeded(self, sent: int) -> None:
        """The call with that number succeeded; one sent since the last burst ends the doubling."""
        if sent > self._mark:
            self.bursts = 0
