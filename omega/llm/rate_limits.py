"""What a vendor's headers tell of its limits, in one shape.

Owns: `RateLimits`, and the reading of `x-ratelimit-*` (OpenAI and those who speak its protocol) and
`anthropic-ratelimit-*`. Refuses: to decide anything; that is the governor's.

Headers come from outside: what makes no sense is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from omega.llm.failures import http_date_s

RESET_S_MAX = 31 * 86_400.0  # no vendor's limit has a longer period; the year 9999 is a mistake
EPOCH_S_MIN = 1e9  # a smaller number is a duration, a larger one a moment (2001 and later)

_OPENAI = re.compile(
    r"x-ratelimit-(limit|remaining|reset)(?:-(requests|tokens|input-tokens|output-tokens))?"
)
_ANTHROPIC = re.compile(
    r"anthropic-ratelimit-(requests|tokens|input-tokens|output-tokens)-(limit|remaining|reset)"
)
_DURATION = re.compile(
    r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)
_UNITS_S = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)


class Limit:
    """One limit. Each field is None when the vendor does not tell it.

    limit: how much in a period. remaining: how much of it is left now. reset_s: seconds from the
    answer until all of it is there again.
    """

    __slots__ = ("limit", "remaining", "reset_s")

    def __init__(
        self,
        limit: int | None = None,
        remaining: int | None = None,
        reset_s: float | None = None,
    ) -> None:
        self.limit = limit
        self.remaining = remaining
        self.reset_s = reset_s

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Limit) and all(
            getattr(self, name) == getattr(other, name) for name in Limit.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Limit(limit={self.limit}, remaining={self.remaining}, reset_s={self.reset_s})"


class RateLimits:
    """The limits of an account and model as the vendor told them with an answer.

    requests, tokens; input_tokens and output_tokens where the vendor limits them apart. Each a
    `Limit`, or None.
    """

    __slots__ = ("input_tokens", "output_tokens", "requests", "tokens")

    def __init__(
        self,
        *,
        requests: Limit | None = None,
        tokens: Limit | None = None,
        input_tokens: Limit | None = None,
        output_tokens: Limit | None = None,
    ) -> None:
        self.requests = requests
        self.tokens = tokens
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateLimits) and all(
            getattr(self, name) == getattr(other, name) for name in RateLimits.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        told = {name: getattr(self, name) for name in ("requests", "tokens")}
        told |= {name: getattr(self, name) for name in ("input_tokens", "output_tokens")}
        shown = (f"{name}={limit!r}" for name, limit in told.items() if limit is not None)
        return f"RateLimits({', '.join(shown)})"


def read_rate_limits(headers: Mapping[str, str], now_unix_s: float) -> RateLimits | None:
    """The limits in an answer's headers; None when it tells none.

    now_unix_s: the wall clock, for moments when the answer has no `Date` of its own.
    """
    limits: RateLimits | None = None
    sent_s: float | None = None
    for header, text in headers.items():
        name = header.lower()
        if not name.startswith(("x-ratelimit-", "anthropic-ratelimit-")):
            continue
        if found := _OPENAI.fullmatch(name):
            field, subject = found[1], found[2] or "requests"
        elif found := _ANTHROPIC.fullmatch(name):
            subject, field = found[1], found[2]
        else:
            continue
        value: float | None
        if field != "reset":
            value = _count(text)
        elif (value := _duration_s(text)) is None and (moment := _moment_s(text)) is not None:
            if sent_s is None:
                date_s = http_date_s(headers.get("date") or "")
                sent_s = now_unix_s if date_s is None else date_s
            value = max(0.0, moment - sent_s)
        if value is None or (field == "reset" and value > RESET_S_MAX):
            continue
        limits = limits or RateLimits()
        attribute = subject.replace("-", "_")
        limit = getattr(limits, attribute) or Limit()
        setattr(limit, "reset_s" if field == "reset" else field, value)
        setattr(limits, attribute, limit)
    return limits


def _count(text: str) -> int | None:
    digits = text.strip().removesuffix(".0")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
        return None
    return int(digits)


def _duration_s(text: str) -> float | None:
    """Seconds of "6m0s", "120ms", "1.5"; None of what is no duration."""
    text = text.strip()
    found = _DURATION.fullmatch(text)
    if found is None:
        number = _number(text)
        return number if number is not None and number < EPOCH_S_MIN else None
    parts = [part for part in zip(found.groups(), _UNITS_S, strict=True) if part[0]]
    seconds = sum(float(number) * unit for number, unit in parts)
    return seconds if parts and seconds < EPOCH_S_MIN else None


def _moment_s(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 date, or of a number of seconds or milliseconds."""
    number = _number(text)
    if number is not None:
        return number / 1000 if number >= 100 * EPOCH_S_MIN else number
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None
