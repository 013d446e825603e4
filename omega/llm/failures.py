"""How calls fail: ONE place that turns what went wrong on the wire into an `LLMError`.

Owns: which status is which kind, which failures may be retried (llm.md: 429, 5xx, 408, 409, 529,
broken connections; never quota, authentication, bad requests), which kind of throttling a 429 is,
why a request was refused, the reading of Retry-After, and the hints. Refuses: vendor objects.
Providers pass plain numbers and texts, and remove their key from them first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from omega.errors import LLMError

SLOWER_HINT = "a larger :timeout waits longer; fewer calls at once may be answered sooner"
DETAIL_CHARS_MAX = 300  # of a provider's own words, in a message

# What vendors call an account that is used up: no waiting cures it.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "quota_exceeded",
        "credit_balance_too_low",
        "billing_error",
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
    }
)
# Their codes for usage that grows too fast, for too many calls at once, for their own trouble.
SLOPE_CODES = frozenset({"ramp_limit_exceeded", "slow_down", "limit_burst_rate"})
CONCURRENCY_CODES = frozenset({"concurrency_limit_exceeded", "concurrent_requests_exceeded"})
OVERLOAD_CODES = frozenset({"overloaded_error", "overloaded", "engine_overloaded"})
THROTTLES = ("concurrency", "rate", "slope", "quota", "overload")

CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
CONTENT_CODES = frozenset({"content_filter", "content_policy_violation"})
REASONS = ("key", "model", "context", "content", "schema", "tools", "images")

# The same said in words only, in the order of THROTTLES' tests.
_QUOTA_WORDS = (
    r"credit balance|insufficient balance|(?:spend|spending|api usage) limit"
    r"|usage limits\. you will regain"
)
_SLOPE_WORDS = (
    r"usage increase rate|rate increased too|acceleration|ramp limit|slow down"
    r"|sudden increase|more gradually|gradually increase"
)
_CONCURRENCY_WORDS = r"concurren|simultaneous|at the same time|parallel requests"
_OVERLOAD_WORDS = r"overload|at capacity|over capacity"
_CONTEXT_WORDS = (
    r"context.{0,20}(?:length|window|limit)|prompt is too long|input is too long"
    r"|too many (?:input )?tokens|maximum context"
)
_CONTENT_WORDS = r"content (?:filter|policy|management)|safety system"
_WORDS_OF_USE = {
    "schema": r"response_format|json_schema|output_config|output_format|structured output|schema",
    "tools": r"tool|function.calling",
    "images": r"image|vision|multimodal",
}

# What an error in the middle of a stream stands for: its type or code, as a status.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def http_failure(
    provider: str,
    status: int,
    detail: str = "",
    *,
    code: str | None = None,
    error_type: str | None = None,
    retry_after_s: float | None = None,
    key_name: str | None = None,
    uses: Collection[str] = (),
    throttle: str | None = None,
    reason: str | None = None,
    said: str = "answered",
) -> LLMError:
    """The error for an answer with HTTP `status` >= 300.

    detail: the provider's own words. code, error_type: its names for the error
    ("insufficient_quota", "overloaded_error"). key_name: the environment variable that holds the
    key, for the hint. uses: which of "schema", "tools", "images" the request has: what a server may
    not be able to do. throttle, reason: known already, not to be read from the words. said: the
    verb of the message.
    """
    names = {name.lower() for name in (code, error_type) if name}
    words = detail.lower()
    throttle = throttle or throttle_of(status, names, words)
    if reason is None and throttle is None:
        reason = _reason(status, names, words, uses)
    kind, retryable, hint = _classify(status, throttle, reason, key_name)
    shown = shortened(detail)
    return LLMError(
        f"{provider} {said} {status}" + (f": {shown}" if shown else ""),
        kind=kind,
        hint=hint,
        status=status,
        retry_after_s=retry_after_s if retryable else None,
        retryable=retryable,
        throttle=throttle,
        reason=reason,
    )


def stream_failure(
    provider: str,
    detail: str,
    *,
    code: str | None = None,
    error_type: str | None = None,
    **facts: Any,
) -> LLMError:
    """The error for one that a vendor sent in the middle of a stream: as if it had been the
    answer's status, which was 200.
    """
    statuses = [_STATUSES[name] for name in (code, error_type) if name in _STATUSES]
    status = statuses[0] if statuses else 500
    facts.update(code=code, error_type=error_type, said="broke off its answer with")
    return http_failure(provider, status, detail, **facts)


def throttle_of(status: int, names: Collection[str], words: str) -> str | None:
    """Which of THROTTLES an answer is; None when it is none.

    names: the vendor's codes and types of the error, words: what it says, all in lower case.
    """
    if status not in (400, 402, 403, 429, 503, 529):
        return None
    if status == 402 or not QUOTA_CODES.isdisjoint(names) or re.search(_QUOTA_WORDS, words):
        return "quota"
    if status in (400, 403):
        return None
    if not SLOPE_CODES.isdisjoint(names) or re.search(_SLOPE_WORDS, words):
        return "slope"
    if status in (503, 529) or not OVERLOAD_CODES.isdisjoint(names):
        return "overload"
    if not CONCURRENCY_CODES.isdisjoint(names) or re.search(_CONCURRENCY_WORDS, words):
        return "concurrency"
    return "overload" if re.search(_OVERLOAD_WORDS, words) else "rate"


def _reason(status: int, names: Collection[str], words: str, uses: Collection[str]) -> str | None:
    """Which of REASONS a refusal has, as far as the answer tells."""
    if status in (401, 403):
        return "key"
    if status == 404:
        return "model"
    if status == 413:
        return "context"
    if status not in (400, 422):
        return None
    if not CONTEXT_CODES.isdisjoint(names) or re.search(_CONTEXT_WORDS, words):
        return "context"
    if not CONTENT_CODES.isdisjoint(names) or re.search(_CONTENT_WORDS, words):
        return "content"
    for use, pattern in _WORDS_OF_USE.items():
        if use in uses and re.search(pattern, words):
            return use
    return None


_THROTTLE_HINTS = {
    "concurrency": "lower max_concurrent_llm_calls, or ask for a higher limit",
    "rate": "lower max_concurrent_llm_calls, or ask for a higher limit",
    "slope": "the number of calls grew too fast: begin with fewer",
    "quota": "the account has no credit left; waiting will not help",
    "overload": "the server itself has trouble: its log may say more",
}
_REASON_HINTS = {
    "model": "check the name of the model and the base URL",
    "context": "the prompt is too long for the model: shorten it, or ask in several calls",
    "content": "the model will not answer this: ask otherwise",
    "schema": "this model or server takes no such JSON Schema: ask for JSON in the prompt instead",
    "tools": "this model or server takes no such tools",
    "images": "this model or server takes no such images",
}


def _classify(
    status: int, throttle: str | None, reason: str | None, key_name: str | None
) -> tuple[str, bool, str | None]:
    """(kind, retryable, hint) of a status."""
    if throttle == "quota":
        return "refused", False, _THROTTLE_HINTS["quota"]
    if status == 429:
        assert throttle is not None
        return "rate-limited", True, _THROTTLE_HINTS[throttle]
    if status >= 500:
        return "llm-unavailable", True, _THROTTLE_HINTS[throttle or "overload"]
    if status == 408:
        return "llm-timeout", True, SLOWER_HINT
    if status == 409:
        return "llm-unavailable", True, "the server is busy with a call like this: try again later"
    if reason == "key":
        return "refused", False, f"check the key in {key_name}" if key_name else "check the key"
    if reason is not None:
        return "refused", False, _REASON_HINTS[reason]
    if status < 400:
        return "bad-response", False, "check the base URL"
    return "refused", False, "check the name of the model and the options of the call"


def content_refused(provider: str, detail: str, partial: str | None = None) -> LLMError:
    """The model, or a filter behind it, would not answer."""
    return LLMError(
        f"{provider}: the model refused: {shortened(detail)}",
        kind="refused",
        reason="content",
        hint=_REASON_HINTS["content"],
        partial=partial,
    )


def schema_refused(provider: str, detail: str) -> LLMError:
    """A JSON Schema that the provider cannot send."""
    return LLMError(
        f"{provider} takes no such JSON Schema: {shortened(detail)}",
        kind="refused",
        reason="schema",
        hint=_REASON_HINTS["schema"],
    )


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


NOT_READY = "not-ready"  # the reason of what is no mistake, but lacks something on this machine


def not_ready(message: str, hint: str | None = None) -> LLMError:
    """This machine has not what the provider needs: a key, a package."""
    return LLMError(message, kind="llm-configuration", hint=hint, reason=NOT_READY)


NOT_SENT = "not-sent"  # the reason of an attempt that was not made, also in tapes


def not_sent() -> LLMError:
    """For an attempt that is not made: nobody waits for it any more."""
    return LLMError("cancelled before it was sent", reason=NOT_SENT)


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
    until = http_date_s(text)
    if until is None:
        return None
    sent = http_date_s(headers.get("date") or "")
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


def http_date_s(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None when it is none."""
    from email.utils import parsedate_to_datetime  # 10 ms, and only a date needs it

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
