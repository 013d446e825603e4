"""How calls fail: ONE place that turns what went wrong on the wire into an `LLMError`.

Owns: which status is which kind, which failures may be retried (llm.md: 429, 5xx, 408, 409, 529,
broken connections; never quota, authentication, bad requests), the reading of Retry-After, and the
hints. Refuses: vendor objects. Providers pass plain numbers and texts, and remove their key from
them first.
"""

from __future__ import annotations

from collections.abc import Mapping

from omega.errors import LLMError

SLOWER_HINT = "a larger :timeout waits longer; fewer calls at once may be answered sooner"
DETAIL_CHARS_MAX = 300  # of a provider's own words, in a message

# 429 that no waiting cures: the vendors' codes for an exhausted account.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "quota_exceeded",
        "credit_balance_too_low",
    }
)


def http_failure(
    provider: str,
    status: int,
    detail: str = "",
    *,
    code: str | None = None,
    retry_after_s: float | None = None,
    key_name: str | None = None,
) -> LLMError:
    """The error for an answer with HTTP `status` >= 300.

    detail: the provider's own words. code: its error code ("insufficient_quota"). key_name: the
    environment variable that holds the key, for the hint.
    """
    kind, retryable, hint = _classify(status, code, key_name)
    said = shortened(detail)
    message = f"{provider} answered {status}" + (f": {said}" if said else "")
    return LLMError(
        message,
        kind=kind,
        hint=hint,
        status=status,
        retry_after_s=retry_after_s if retryable else None,
        retryable=retryable,
    )


def _classify(status: int, code: str | None, key_name: str | None) -> tuple[str, bool, str | None]:
    """(kind, retryable, hint) of a status."""
    if status == 429:
        if code in QUOTA_CODES:
            return "refused", False, "the account has no credit left; waiting will not help"
        return "rate-limited", True, "lower max_concurrent_llm_calls, or ask for a higher limit"
    if status >= 500:
        return "llm-unavailable", True, "the server itself has trouble: its log may say more"
    if status == 408:
        return "llm-timeout", True, SLOWER_HINT
    if status == 409:
        return "llm-unavailable", True, "the server is busy with a call like this: try again later"
    if status in (401, 403):
        hint = f"check the key in {key_name}" if key_name else "check the key"
        return "refused", False, hint
    if status == 404:
        return "refused", False, "check the name of the model and the base URL"
    if status < 400:
        return "bad-response", False, "check the base URL"
    return "refused", False, "check the name of the model and the options of the call"


def connection_failure(
    provider: str, detail: str, *, url: str | None = None, hint: str | None = None
) -> LLMError:
    """The connection could not be made, or broke before the answer was complete.

    url: what was tried, without secrets. hint: how this provider is told another one.
    """
    at = f" at {url}" if url else ""
    return LLMError(
        f"{provider} could not be reached{at}: {shortened(detail)}",
        kind="llm-unavailable",
        retryable=True,
        hint=hint or "is the server running, and is the network up?",
    )


def timeout_failure(provider: str, timeout_s: float | None) -> LLMError:
    """No answer in time. Not retryable: the time that was allowed is used up."""
    waited = f" within {timeout_s:g} s" if timeout_s is not None else " in time"
    return LLMError(f"{provider} did not answer{waited}", kind="llm-timeout", hint=SLOWER_HINT)


def bad_response(provider: str, detail: str) -> LLMError:
    """An answer came, and makes no sense.

    Not retryable: it was paid for, and the next will be alike.
    """
    return LLMError(
        f"{provider} sent no usable answer: {shortened(detail)}",
        kind="bad-response",
        hint="check the base URL, and that the server speaks the provider's protocol",
    )


def misconfigured(message: str, hint: str | None = None) -> LLMError:
    """The host set something up that cannot work."""
    return LLMError(message, kind="llm-configuration", hint=hint)


def shortened(text: str) -> str:
    """`text` on one line and at most DETAIL_CHARS_MAX long."""
    line = " ".join(text[: 4 * DETAIL_CHARS_MAX].split())
    return line if len(line) <= DETAIL_CHARS_MAX else line[: DETAIL_CHARS_MAX - 3] + "..."


def retry_after_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Seconds the answer asks to wait, >= 0; None when it does not say, or says nonsense.

    Reads `retry-after-ms`, then `Retry-After` as whole or fractional seconds or as an HTTP date
    (RFC 9110, 10.2.3). A date is measured from the answer's own `Date` when it has one: the clocks
    may differ.
    headers: lookups must ignore case, or the names be in lower case.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _seconds(text)
    if seconds is not None or text is None:
        return seconds
    until = _http_date(text)
    if until is None:
        return None
    sent = _http_date(headers.get("date") or "")
    return max(0.0, until - (now_unix_s if sent is None else sent))


def _seconds(text: str | None) -> float | None:
    """A non-negative finite number, or None. Negative ones mean "now"."""
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if -1e12 < number < 1e12 else None


def _http_date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # 10 ms, and only a date needs it

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
