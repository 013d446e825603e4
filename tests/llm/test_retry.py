"""When a failed call is made again, and how failures are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.codes import CODES, is_kind
from omega.errors import HostError, LispValueError, LLMError
from omega.llm import RetryPolicy
from omega.llm.failures import (
    DETAIL_CHARS_MAX,
    bad_response,
    connection_failure,
    http_failure,
    misconfigured,
    retry_after_s,
    timeout_failure,
)

LIMITED = http_failure("p", 429)


def test_delays_double_up_to_the_cap_with_full_jitter() -> None:
    policy = RetryPolicy(attempts=9)
    assert [policy.delay(n, LIMITED, 1.0) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert policy.delay(3, LIMITED, 0.25) == 0.5
    assert policy.delay(3, LIMITED, 0.0) == 0.0


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy()
    assert policy.attempts == 5
    assert policy.delay(4, LIMITED, 0.5) is not None
    assert policy.delay(5, LIMITED, 0.5) is None
    assert RetryPolicy(attempts=1).delay(1, LIMITED, 0.5) is None
    assert RetryPolicy(attempts=100).delay(99, LIMITED, 1.0) == 8.0


def test_retry_after_wins_unless_it_is_too_long() -> None:
    policy = RetryPolicy()
    assert policy.delay(1, http_failure("p", 429, retry_after_s=3.25), 0.9) == 3.25
    assert policy.delay(1, http_failure("p", 503, retry_after_s=0.0), 0.9) == 0.0
    assert policy.delay(1, http_failure("p", 429, retry_after_s=3600.0), 0.9) is None
    assert RetryPolicy(retry_after_max_s=3600).delay(
        1, http_failure("p", 429, retry_after_s=3600.0), 0.9
    )


@pytest.mark.parametrize(
    ("error", "kind", "is_retried"),
    [
        (http_failure("p", 429), "rate-limited", True),
        (http_failure("p", 500), "llm-unavailable", True),
        (http_failure("p", 503), "llm-unavailable", True),
        (http_failure("p", 529), "llm-unavailable", True),
        (http_failure("p", 408), "llm-timeout", True),
        (http_failure("p", 409), "llm-unavailable", True),
        (connection_failure("p", "reset"), "llm-unavailable", True),
        (http_failure("p", 429, code="insufficient_quota"), "refused", False),
        (http_failure("p", 400), "refused", False),
        (http_failure("p", 401), "refused", False),
        (http_failure("p", 403), "refused", False),
        (http_failure("p", 404), "refused", False),
        (http_failure("p", 302), "bad-response", False),
        (timeout_failure("p", 3), "llm-timeout", False),
        (bad_response("p", "?"), "bad-response", False),
        (misconfigured("?"), "llm-configuration", False),
        (LLMError("?"), "llm-error", False),
        (LispValueError("?"), "value-error", False),
        (ValueError("?"), None, False),
    ],
)
def test_what_is_retried(error: BaseException, kind: str | None, is_retried: bool) -> None:
    assert (RetryPolicy().delay(1, error, 0.5) is not None) is is_retried
    if isinstance(error, LLMError):
        assert error.kind == kind and is_kind(error.kind, "llm-error") and error.kind in CODES


@given(attempt=st.integers(1, 200), uniform=st.floats(0, 1), after=st.none() | st.floats(0, 1e6))
def test_a_delay_is_bounded_and_equal_inputs_give_equal_delays(
    attempt: int, uniform: float, after: float | None
) -> None:
    policy, error = RetryPolicy(), http_failure("p", 429, retry_after_s=after)
    delay = policy.delay(attempt, error, uniform)
    assert delay == policy.delay(attempt, error, uniform)
    assert delay is None or 0 <= delay <= max(policy.cap_s, policy.retry_after_max_s)


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    for fields in ({"attempts": 0}, {"attempts": 101}, {"base_s": -1}, {"base_s": 9, "cap_s": 8}):
        with pytest.raises(HostError):
            RetryPolicy(**fields)


def test_a_long_detail_is_shortened_to_one_line() -> None:
    error = http_failure("p", 500, "<html>\n" + "x" * 100_000)
    assert len(error.message) < DETAIL_CHARS_MAX + 50
    assert "\n" not in error.message


def test_retry_after_date_without_a_date_header_counts_from_now() -> None:
    until = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert retry_after_s({"retry-after": until}, 1445412470.0) == 10
    assert retry_after_s({"retry-after": until}, 1445412490.0) == 0
    sent = {"date": "Wed, 21 Oct 2015 07:27:00 GMT"}
    assert retry_after_s({"retry-after": until, **sent}, 0.0) == 60
    assert retry_after_s({}, 0.0) is None


@given(text=st.text(max_size=30))
def test_any_retry_after_text_is_a_sane_number_or_nothing(text: str) -> None:
    seconds = retry_after_s({"retry-after": text, "retry-after-ms": text[::-1]}, 1e9)
    assert seconds is None or 0 <= seconds < 1e12
