"""Which failure a vendor's words stand for: as the vendors write them."""

from __future__ import annotations

import pytest

from omega.llm.failures import http_failure, stream_failure

# status, type, code, the vendor's words -> throttle
THROTTLED = [
    (429, "requests", "rate_limit_exceeded", "Rate limit reached for gpt-4o on RPM", "rate"),
    (429, "tokens", "rate_limit_exceeded", "Rate limit reached on tokens per min (TPM)", "rate"),
    (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota", "quota"),
    (429, None, "429", "Requests have exceeded call rate limit of your tier", "rate"),  # Azure
    # Google's is about a minute or a day, whatever it calls it
    (429, None, "429", "You exceeded your current quota. Please retry in 34s.", "rate"),
    (429, None, None, "The engine is currently overloaded, please try again later", "overload"),
    (429, None, "limit_burst_rate", "Request rate increased too quickly", "slope"),  # Alibaba
    (429, None, None, "request reached max organization concurrency: 3", "concurrency"),  # Kimi
    (429, None, None, "", "rate"),
    (503, None, None, "Slow Down", "slope"),
    (503, None, None, "That model is currently overloaded", "overload"),
    (503, None, None, "", "overload"),
    (
        *(429, "rate_limit_error", None),
        "This request would exceed your organization's rate limit of 50,000 input tokens a minute",
        "rate",
    ),
    (
        *(429, "rate_limit_error", None),
        "Number of concurrent connections has exceeded your rate limit",
        "concurrency",
    ),
    (
        *(429, "rate_limit_error", None),
        "This request would exceed your organization's maximum usage increase rate for input "
        "tokens per minute. Please scale up your input tokens usage more gradually",
        "slope",
    ),
    (429, "rate_limit_error", "ramp_limit_exceeded", "", "slope"),
    (429, "rate_limit_error", "contract_spend_limit_reached", "", "quota"),
    (529, "overloaded_error", None, "Overloaded", "overload"),
    (402, "billing_error", None, "", "quota"),
    (400, "invalid_request_error", None, "Your credit balance is too low", "quota"),
    (400, None, None, "You have reached your specified API usage limits", "quota"),
    (500, "api_error", None, "Internal server error", None),
    (400, None, None, "temperature must be at most 1", None),
]


@pytest.mark.parametrize(("status", "error_type", "code", "words", "throttle"), THROTTLED)
def test_which_throttling_it_is(
    status: int, error_type: str | None, code: str | None, words: str, throttle: str | None
) -> None:
    error = http_failure("x", status, words, code=code, error_type=error_type, retry_after_s=2)
    assert error.throttle == throttle
    if throttle == "quota":
        assert (error.kind, error.retryable, error.retry_after_s) == ("refused", False, None)
    elif throttle is not None:
        assert (error.retryable, error.retry_after_s) == (True, 2)


ALL = ("schema", "tools", "images")
REFUSED = [
    (400, "context_length_exceeded", "", ALL, "context"),
    (400, None, "This model's maximum context length is 8192 tokens", ALL, "context"),
    (400, None, "prompt is too long: 250000 tokens > 200000 maximum", ALL, "context"),
    (413, None, "Request exceeds the maximum size", ALL, "context"),
    (400, "content_filter", "The response was filtered", ALL, "content"),
    (400, None, "Output blocked by content filtering policy", ALL, "content"),
    (400, None, "'response_format' of type 'json_schema' is not supported", ALL, "schema"),
    (422, None, "response_format: extra inputs are not permitted", ALL, "schema"),
    (400, None, "Invalid schema for response_format 'answer'", ALL, "schema"),
    (400, None, "tools is not supported in this model", ALL, "tools"),
    (400, None, "tools is not supported in this model", ("schema",), None),
    (400, None, "This model does not support image input", ALL, "images"),
    (400, None, "This model does not support image input", (), None),
    (401, "invalid_api_key", "Incorrect API key provided", ALL, "key"),
    (403, None, "", ALL, "key"),
    (404, "model_not_found", "The model `x` does not exist", ALL, "model"),
    (400, None, "stop must have at most 4 items", ALL, None),
    (500, None, "schema", ALL, None),
]


@pytest.mark.parametrize(("status", "code", "words", "uses", "reason"), REFUSED)
def test_which_reason_a_refusal_has(
    status: int, code: str | None, words: str, uses: tuple[str, ...], reason: str | None
) -> None:
    error = http_failure("x", status, words, code=code, uses=uses, key_name="X_KEY")
    assert error.reason == reason
    if status < 500:
        assert (error.kind, error.retryable) == ("refused", False) and error.hint
    assert ("X_KEY" in (error.hint or "")) == (reason == "key")


@pytest.mark.parametrize(
    ("error_type", "code", "status", "kind"),
    [
        ("overloaded_error", None, 529, "llm-unavailable"),
        ("rate_limit_error", None, 429, "rate-limited"),
        ("requests", "rate_limit_exceeded", 429, "rate-limited"),
        ("insufficient_quota", "insufficient_quota", 429, "refused"),
        ("api_error", None, 500, "llm-unavailable"),
        ("server_error", None, 500, "llm-unavailable"),
        ("invalid_request_error", None, 400, "refused"),
        (None, None, 500, "llm-unavailable"),
        ("never_heard_of", "nor_this", 500, "llm-unavailable"),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_as_if_it_were_the_status(
    error_type: str | None, code: str | None, status: int, kind: str
) -> None:
    error = stream_failure("x", "words", error_type=error_type, code=code)
    assert (error.status, error.kind) == (status, kind)
    assert error.message == f"x broke off its answer with {status}: words"
