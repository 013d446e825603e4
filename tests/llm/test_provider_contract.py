"""What every provider promises of a call, whole or streamed, run over all of them: the vendors'
real SDKs against the loopback server, and the scripted one. Streams alone:
test_streaming_contract.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Any

import pytest

from omega.errors import LLMError
from omega.llm import LLMReply, LLMRequest, Provider, StreamingProvider, Usage
from omega.testing import LoopbackReply
from tests.llm.harness import (
    LONG_S,
    PROMPTLY_S,
    Harness,
    ScriptedHarness,
    VendorHarness,
    asked,
    checked,
    failed,
    run,
)

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}
TOOL = {
    "name": "weather",
    "description": "The weather of a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}
CANCELS = int(os.environ.get("OMEGA_CANCELS", "120"))
IMAGE = "iVBORw0KGgo="


def test_it_is_a_provider(harness: Harness) -> None:
    assert isinstance(harness.provider, Provider)
    assert isinstance(harness.provider, StreamingProvider)
    assert harness.provider.name.isidentifier()


def test_a_reply_has_its_text_its_model_and_its_usage(harness: Harness, how: str) -> None:
    reply = run(harness, lambda: asked(harness, how, "hello you"))
    assert reply.text == "echo: hello you"
    assert reply.model == "default-model"
    assert reply.finish_reason == "stop" and reply.tool_calls == ()
    assert reply.usage == Usage(7, 5, cached_tokens=3)


def test_every_parameter_is_passed_on(harness: Harness, how: str) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    fields: dict[str, Any] = {
        "model": "other-model",
        "system": "be brief",
        "temperature": 0.25,
        "max_tokens": 17,
        "stop": ["END", "###"],
    }
    run(harness, lambda: asked(harness, how, "the prompt", messages=turns, **fields))
    (seen,) = harness.seen()
    assert seen == {
        "prompt": "the prompt",
        "turns": [*turns, {"role": "user", "content": "the prompt"}],
        **fields,
    }


def test_parameters_left_out_are_not_sent(harness: Harness, how: str) -> None:
    run(harness, lambda: asked(harness, how))
    (seen,) = harness.seen()
    assert seen["system"] is seen["temperature"] is seen["max_tokens"] is None
    assert seen["stop"] == []


def failures(harness: Harness, how: str, *faults: str, **fields: Any) -> list[LLMError]:
    """The errors of one call for each fault, over one connection where that is possible."""
    harness.fail_with(*faults)

    async def body() -> list[LLMError]:
        errors = []
        for _ in faults:
            with pytest.raises(LLMError) as caught:
                await asked(harness, how, **fields)
            errors.append(checked(caught.value))
        assert (await asked(harness, how, "after")).text == "echo: after"
        return errors

    errors: list[LLMError] = run(harness, body)
    return errors


@pytest.mark.parametrize("seconds", [None, 0.0, 0.25, 3.0])
def test_429_is_rate_limited_and_says_how_long_to_wait(
    harness: Harness, how: str, seconds: float | None
) -> None:
    harness.fail_with("429", retry_after_s=seconds)
    error = failed(harness, how)
    assert (error.kind, error.status, error.retryable) == ("rate-limited", 429, True)
    assert (error.retry_after_s, error.throttle) == (seconds, "rate")


def test_each_status_has_its_kind(harness: Harness, how: str) -> None:
    wanted = {
        **dict.fromkeys((500, 502, 503, 529, 409), ("llm-unavailable", True)),
        408: ("llm-timeout", True),
        **dict.fromkeys((400, 401, 402, 403, 404, 413, 422), ("refused", False)),
    }
    errors = failures(harness, how, *map(str, wanted))
    got = {error.status: (error.kind, error.retryable) for error in errors}
    assert got == wanted


def test_each_kind_of_throttling_is_told(harness: Harness, how: str) -> None:
    wanted = {
        "429:rate": ("rate-limited", "rate"),
        "429:concurrency": ("rate-limited", "concurrency"),
        "429:slope": ("rate-limited", "slope"),
        "429:quota": ("refused", "quota"),
        "529:overload": ("llm-unavailable", "overload"),
        "503:slope": ("llm-unavailable", "slope"),
        "500": ("llm-unavailable", None),
    }
    errors = failures(harness, how, *wanted)
    got = {fault: (e.kind, e.throttle) for fault, e in zip(wanted, errors, strict=True)}
    assert got == wanted
    assert [e.retryable for e in errors] == [fault != "429:quota" for fault in wanted]


def test_each_reason_of_a_refusal_is_told(harness: Harness, how: str) -> None:
    wanted = {
        "401:key": "key",
        "404:model": "model",
        "400:context": "context",
        "413": "context",
        "400:content": "content",
        "400:schema": "schema",
        "400:tools": "tools",
        "400:images": "images",
        "400": None,
    }
    picture = {"type": "image", "media_type": "image/png", "data": IMAGE}
    messages = [{"role": "user", "content": [picture]}]
    errors = failures(harness, how, *wanted, schema=SCHEMA, tools=[TOOL], messages=messages)
    assert {fault: e.reason for fault, e in zip(wanted, errors, strict=True)} == wanted
    assert all(error.kind == "refused" and error.hint for error in errors)


def test_no_answer_in_time_is_a_timeout(harness: Harness, how: str) -> None:
    harness.fail_with("timeout")
    started = time.monotonic()
    error = failed(harness, how, timeout_s=0.1)
    assert (error.kind, error.retryable) == ("llm-timeout", False)
    assert "0.1 s" in error.message
    assert 0.05 < time.monotonic() - started < PROMPTLY_S


def test_an_answer_that_is_slower_than_the_timeout_is_a_timeout(harness: Harness, how: str) -> None:
    harness.latency_s = LONG_S
    assert failed(harness, how, timeout_s=0.05).kind == "llm-timeout"


def test_a_cut_connection_is_unavailable_and_retryable(harness: Harness, how: str) -> None:
    for error in failures(harness, how, "cut:0", "cut:1", "cut:20"):
        assert (error.kind, error.status, error.retryable) == ("llm-unavailable", None, True)


def test_garbage_is_a_bad_response(harness: Harness, how: str) -> None:
    (error,) = failures(harness, how, "garbage")
    assert (error.kind, error.retryable) == ("bad-response", False)


def test_cancel_ends_the_call_promptly(harness: Harness, how: str) -> None:
    harness.latency_s = LONG_S

    async def body() -> float:
        task = asyncio.create_task(asked(harness, how))
        await harness.wait_active(1)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await harness.wait_active(0)  # the other side has seen it, not only we
        took_s = time.monotonic() - started
        harness.latency_s = 0
        assert (await asked(harness, how, "next")).text == "echo: next"
        return took_s

    assert run(harness, body) < PROMPTLY_S


def test_cancel_before_the_first_step_costs_nothing(harness: Harness, how: str) -> None:
    async def body() -> None:
        task = asyncio.create_task(asked(harness, how))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert harness.seen() == []

    run(harness, body)


def test_calls_overlap_without_a_limit_of_the_provider(harness: Harness, how: str) -> None:
    harness.latency_s = LONG_S
    count = 120  # more than the SDKs keep connections

    async def body() -> None:
        tasks = [asyncio.create_task(asked(harness, how, f"p{i}")) for i in range(count)]
        await harness.wait_active(count)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await harness.wait_active(0)

    run(harness, body)
    assert harness.peak() == count


def test_overlapping_calls_get_their_own_answers(harness: Harness, how: str) -> None:
    harness.latency_s = 0.02

    async def body() -> list[LLMReply]:
        return await asyncio.gather(*(asked(harness, how, f"p{i}") for i in range(20)))

    replies = run(harness, body)
    assert [reply.text for reply in replies] == [f"echo: p{i}" for i in range(20)]


ODD_TEXTS = ["", "grüße 你好 🎉 \u0000\u2028 \\1 \\g<x> \"'\r\n\t", "\ufeffbom", "x" * 1_000_000]


def test_prompts_and_answers_arrive_unchanged(harness: Harness, how: str) -> None:
    harness.reply = lambda prompt: prompt

    async def body() -> list[str]:
        return [(await asked(harness, how, text)).text for text in ODD_TEXTS]

    assert run(harness, body) == ODD_TEXTS
    assert [seen["prompt"] for seen in harness.seen()] == ODD_TEXTS


def test_one_provider_serves_loop_after_loop(harness: Harness) -> None:
    for number in range(3):
        assert run(harness, lambda: asked(harness, "whole")).text == "echo: p", number


def test_aclose_may_be_called_twice_and_before_any_call(harness: Harness) -> None:
    async def body() -> None:
        await harness.provider.aclose()
        await asked(harness, "whole")
        await harness.provider.aclose()
        await harness.provider.aclose()
        await asked(harness, "streamed")

    run(harness, body)


def test_no_key_in_any_error(harness: Harness, how: str) -> None:
    faults = ["429", "401:key", "500", "cut:0", "cut:20", "garbage"]
    for error in failures(harness, how, *faults):
        shown = f"{error} {error!r} {error.hint} {error.args} {vars(error)} {harness.provider!r}"
        assert harness.key not in shown


# -- tools, schemas, images ------------------------------------------------------------------------


def test_tools_go_out_and_their_calls_come_back(harness: Harness, how: str) -> None:
    """Two calls in one turn, their results as messages, one of them an error."""
    harness.calls = lambda prompt: (
        [] if "cold" in prompt else [("weather", {"place": "Köln"}), ("weather", {})]
    )
    harness.reply = lambda prompt: "so: " + prompt if "cold" in prompt else ""

    async def body() -> tuple[LLMReply, LLMReply]:
        first = await asked(harness, how, "the weather?", tools=[TOOL])
        one, two = first.tool_calls
        turns = [
            {"role": "user", "content": "the weather?"},
            first.as_message(),
            {"role": "tool", "tool_call_id": one.id, "content": "very "},
            {"role": "tool", "tool_call_id": two.id, "content": "cold", "is_error": True},
        ]
        return first, await asked(harness, how, "", messages=turns, tools=[TOOL])

    first, second = run(harness, body)
    assert (first.text, first.finish_reason) == ("", "tool_calls")
    assert [(call.name, call.arguments) for call in first.tool_calls] == [
        ("weather", {"place": "Köln"}),
        ("weather", {}),
    ]
    assert len({call.id for call in first.tool_calls}) == 2
    assert second.text.startswith("so: ") and second.text.endswith("cold")
    assert second.tool_calls == ()


def test_text_may_come_beside_tool_calls(harness: Harness, how: str) -> None:
    harness.calls = lambda prompt: [("weather", {"place": "x"})]
    harness.reply = lambda prompt: "let me look"
    reply = run(harness, lambda: asked(harness, how, tools=[TOOL]))
    assert reply.text == "let me look" and len(reply.tool_calls) == 1


def test_a_schema_goes_out_and_json_comes_back(harness: Harness, how: str) -> None:
    harness.reply = lambda prompt: '{"colour": "red"}'
    reply = run(harness, lambda: asked(harness, how, schema=SCHEMA, schema_name="pick"))
    assert reply.text == '{"colour": "red"}' and reply.tool_calls == ()


def test_images_go_out_as_data_and_as_addresses(harness: Harness, how: str) -> None:
    parts = [
        {"type": "text", "text": "what is "},
        {"type": "image", "media_type": "image/png", "data": IMAGE},
        {"type": "image", "url": "https://example.org/x.png"},
        {"type": "text", "text": "this?"},
    ]
    messages = [{"role": "user", "content": parts}]
    assert run(harness, lambda: asked(harness, how, "", messages=messages)).text == (
        "echo: what is this?"
    )


def test_what_a_vendor_tells_of_its_limits_comes_with_replies_and_errors(
    harness: Harness, how: str
) -> None:
    if isinstance(harness, ScriptedHarness):
        pytest.skip("it has none")
    subject = {
        "openai": ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
        "anthropic": (
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
        ),
    }[harness.kind]
    harness.server.headers = dict(zip(subject, ("60", "59"), strict=True))
    reply = run(harness, lambda: asked(harness, how))
    harness.fail_with("429")
    error = failed(harness, how)
    for limits in (reply.limits, error.limits):
        assert (limits.requests.limit, limits.requests.remaining) == (60, 59)
        assert limits.tokens is None


# -- over the wire ---------------------------------------------------------------------------------


def test_a_refusal_says_why_and_what_it_has_cost(vendor: VendorHarness, how: str) -> None:
    vendor.server.reply = LoopbackReply(refusal="this could do harm")
    error = failed(vendor, how)
    assert (error.kind, error.reason) == ("refused", "content")
    assert error.usage == Usage(7, 5, cached_tokens=3)
    assert "this could do harm" in error.message


def test_cancels_at_any_moment_leak_no_connection(vendor: VendorHarness, how: str) -> None:
    """Pool slots leaked by cancelled requests: httpx #3782. Also cancelled twice, and while the
    reader of a stream is waited for.
    """
    pick = random.Random(7)
    vendor.reply = lambda prompt: "word " * 8
    vendor.server.latency_s = lambda got: (0, 0.002, 0.004, LONG_S)[got.index % 4]
    vendor.server.piece_s = lambda got: (0, 0.0005, 0.002, LONG_S)[got.index // 4 % 4]

    async def emit(text: str) -> None:
        await asyncio.sleep(0.0005)

    async def one(number: int) -> None:
        asking: dict[str, Any] = {"sleep": asyncio.sleep}
        ask = vendor.provider.infer
        if how == "streamed":
            asking["emit"], ask = emit, vendor.provider.stream
        task = asyncio.create_task(ask(LLMRequest(f"p{number}"), **asking))
        for _ in range(pick.randrange(60)):
            await asyncio.sleep(0)
        await asyncio.sleep(pick.choice([0, 0, 0.001, 0.004, 0.01]))
        task.cancel()
        if pick.random() < 0.5:  # a second cancel, while the first is closing the connection
            for _ in range(pick.randrange(6)):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def body() -> None:
        await asked(vendor, how, "warm")
        for start in range(0, CANCELS, 30):
            await asyncio.gather(*(one(start + number) for number in range(30)))
        await vendor.wait_active(0)
        assert vendor.server.snapshot().early_closes > CANCELS / 12
        (client,) = vendor.provider._clients.values()
        pool = client._client._transport._pool
        assert not pool._requests
        assert all(connection.is_idle() for connection in pool.connections)
        await vendor.provider.aclose()
        await asyncio.to_thread(vendor.server.wait_until, lambda s: s.open_connections == 0)

    run(vendor, body)
