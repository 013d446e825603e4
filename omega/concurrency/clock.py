"""The clock: the only module that reads time.

Owns: the monotonic clock, as whole microseconds. Refuses: wall-clock dates, waiting.
All times inside the kernel are integers of microseconds, so sums are exact and equal in every run.
"""

from __future__ import annotations

from time import monotonic_ns

now_ns = monotonic_ns  # the bare function: stamps are taken in the hottest paths


def now_us() -> int:
    """Microseconds on the machine's monotonic clock; only differences mean something."""
    return monotonic_ns() // 1000


def to_us(seconds: float) -> int:
    """Seconds as whole microseconds; what is positive stays positive."""
    us = round(seconds * 1_000_000)
    return 1 if us == 0 and seconds > 0 else us
