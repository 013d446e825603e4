"""When to make a failed call again: a pure policy, without clock, randomness or waiting.

Owns: `RetryPolicy`. Refuses: to decide what is retryable; the error says so (`failures.py`). The
driver draws the uniform number from the run's seeded source, so that equal runs wait equally long.
"""

from __future__ import annotations

from omega.errors import HostError, LLMError

ATTEMPTS_MAX = 100
RETRY_AFTER_S_MAX = (
    120.0  # a provider that asks for more is believed, and not waited for (so does OpenAI's SDK)
)


class RetryPolicy:
    """Exponential delays with full jitter ("Exponential Backoff And Jitter", AWS 2015); Retry-After
    wins.

    attempts: how often a call is made in all, 1..ATTEMPTS_MAX. base_s: the first delay's upper end,
    doubling up to cap_s. retry_after_max_s: the longest Retry-After that is waited for.
    """

    __slots__ = ("attempts", "base_s", "cap_s", "retry_after_max_s")

    def __init__(
        self,
        attempts: int = 5,
        base_s: float = 0.5,
        cap_s: float = 8.0,
        *,
        retry_after_max_s: float = RETRY_AFTER_S_MAX,
    ) -> None:
        if not 1 <= attempts <= ATTEMPTS_MAX:
            raise HostError(f"RetryPolicy: attempts must be 1..{ATTEMPTS_MAX}, got {attempts}")
        if not 0 <= base_s <= cap_s:
            raise HostError(f"RetryPolicy: 0 <= base_s <= cap_s, got {base_s} and {cap_s}")
        self.attempts = attempts
        self.base_s = base_s
        self.cap_s = cap_s
        self.retry_after_max_s = retry_after_max_s

    def delay(self, attempt: int, error: BaseException, uniform: float) -> float | None:
        """Seconds to wait before the next attempt; None when there shall be none.

        attempt: the number of the attempt that failed, from 1. uniform: drawn from 0 <= u < 1.
        """
        assert attempt >= 1 and 0 <= uniform <= 1, (attempt, uniform)
        if not isinstance(error, LLMError) or not error.retryable or attempt >= self.attempts:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= self.retry_after_max_s else None
        return uniform * min(self.cap_s, self.base_s * 2.0 ** (attempt - 1))

    def __repr__(self) -> str:
        return f"RetryPolicy(attempts={self.attempts}, base_s={self.base_s}, cap_s={self.cap_s})"
