"""What vendors' headers tell of their limits, as they write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.llm import Limit, RateLimits
from omega.llm.rate_limits import read_rate_limits

NOW_S = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"  # NOW_S


def test_openais() -> None:
    headers = {
        "X-RateLimit-Limit-Requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
        "content-type": "application/json",
    }
    assert read_rate_limits(headers, NOW_S) == RateLimits(
        requests=Limit(60, 59, 1.0), tokens=Limit(150_000, 149_984, 360.0)
    )


def test_anthropics_count_from_the_answers_own_clock() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:35Z",
        "anthropic-ratelimit-input-tokens-remaining": "30000",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-reset": "2023-11-14T22:13:10+00:00",
        "date": DATE,
    }
    assert read_rate_limits(headers, NOW_S + 5000) == RateLimits(
        requests=Limit(50, 0, 15.0),
        input_tokens=Limit(None, 30_000, None),
        output_tokens=Limit(8000, None, 0.0),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120ms", 0.12),
        ("8.64s", 8.64),
        ("1h2m3s", 3723.0),
        ("2m59.56s", 179.56),
        ("1d", 86_400.0),
        ("1m5ms", 60.005),
        ("0", 0.0),
        ("2.5", 2.5),
        ("1700000030", 30.0),  # a moment in seconds, and in milliseconds
        ("1700000030500", 30.5),
        ("2023-11-14T22:13:50Z", 30.0),
        ("2023-11-14T22:13:50.250", 30.25),
    ],
)
def test_every_form_of_a_reset(text: str, seconds: float) -> None:
    limits = read_rate_limits({"x-ratelimit-reset-tokens": text}, NOW_S)
    assert limits is not None and limits.tokens is not None
    assert limits.tokens.reset_s == pytest.approx(seconds)


def test_a_header_without_a_subject_is_about_requests() -> None:
    assert read_rate_limits({"x-ratelimit-remaining": "9"}, NOW_S) == RateLimits(
        requests=Limit(remaining=9)
    )


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "nan", "inf", "1e400", "9" * 400, "9" * 400 + "s", "5x", "ms"]
)
def test_nonsense_is_left_out(text: str) -> None:
    headers = {"x-ratelimit-limit-tokens": text, "x-ratelimit-reset-tokens": text}
    assert read_rate_limits(headers, NOW_S) is None
    assert read_rate_limits({"x-ratelimit-foo": "1", "anthropic-ratelimit-x": "1"}, NOW_S) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("anthropic-ratelimit-requests-reset", "9999-12-31T23:59:59Z"),
        ("x-ratelimit-reset-requests", "32d"),
    ],
)
def test_a_reset_that_nobody_lives_to_see_is_left_out(name: str, text: str) -> None:
    assert read_rate_limits({name: text}, NOW_S) is None
    assert read_rate_limits({"x-ratelimit-reset-requests": "31d"}, NOW_S) is not None


@given(st.text(max_size=20))
def test_no_text_breaks_it(text: str) -> None:
    for name in ("x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"):
        limits = read_rate_limits({name: text, "date": text}, NOW_S)
        assert limits is None or limits.tokens is not None


def test_it_shows_what_it_knows() -> None:
    assert repr(RateLimits(tokens=Limit(5))) == (
        "RateLimits(tokens=Limit(limit=5, remaining=None, reset_s=None))"
    )
