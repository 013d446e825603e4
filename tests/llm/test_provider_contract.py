"""What every provider promises, run over all of them: the real SDK against the loopback server, and
the scripted one.

A harness says what the other side shall do, and what reached it.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from omega.errors import CODES, LLMError
from omega.llm import LLMReply, LLMRequest, OpenAIProvider, Provider, ScriptedProvider, Usage
from omega.testing import Fault, LoopbackServer

PROMPTLY_S = 5.0  # what "promptly" may take on a loaded machine
LONG_S = 60.0  # a latency no test waits for


class ScriptedHarness:
    """Drives ScriptedProvider through its callable."""

    def __init__(self) -> None:
        self.reply: Callable[[str], str] = lambda prompt: f"echo: {prompt}"
        self.latency_s = 0.0
        self.faults: list[str] = []
        self.retry_after_s: float | None = None
        self.provider = ScriptedProvider(self._answer, model="default-model")

    def _answer(self, request: LLMRequest) -> dict[str, Any]:
        rule: dict[str, Any] = {
            "reply": self.reply(request.prompt_text).replace("\\", "\\\\"),
            "latency_ms": self.latency_s * 1000,
            "usage": {"input_tokens": 7, "output_tokens": 5},
        }
        if self.faults:
            rule["fault"] = self.faults.pop(0)
            if self.retry_after_s is not None:
                rule["retry_after_ms"] = self.retry_after_s * 1000
        return rule

    def fail_with(self, *faults: str, retry_after_s: float | None = None) -> None:
        self.faults, self.retry_after_s = list(faults), retry_after_s

    def seen(self) -> list[dict[str, Any]]:
        return [
            {
                "prompt": call.request.prompt_text,
                "turns": call.request.turns(),
                "model": call.request.model or "default-model",
                "system": call.request.system,
                "temperature": call.request.temperature,
                "max_tokens": call.request.max_tokens,
                "stop": list(call.request.stop),
            }
            for call in self.provider.calls
        ]

    async def wait_active(self, count: int) -> None:
        for _ in range(10_000):
            if self.provider.in_flight == count:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.provider.in_flight} in flight, expected {count}")

    def peak(self) -> int:
        return self.provider.peak


class OpenAIHarness:
    """Drives OpenAIProvider against a LoopbackServer."""

    def __init__(self, server: LoopbackServer) -> None:
        self.server = server
        self.reply: Callable[[str], str] = lambda prompt: f"echo: {prompt}"
        self.latency_s = 0.0
        server.reply = lambda call: self.reply(call.prompt)
        server.latency_s = lambda call: self.latency_s
        self.provider = OpenAIProvider(
            "default-model", base_url=server.base_url, api_key=server.api_key
        )

    def fail_with(self, *faults: str, retry_after_s: float | None = None) -> None:
        if retry_after_s is None:
            self.server.faults = list(faults)
        else:
            retry_after = f"{retry_after_s:g}"
            self.server.faults = [Fault.http(int(f), retry_after=retry_after) for f in faults]

    def seen(self) -> list[dict[str, Any]]:
        seen = []
        for call in self.server.calls:
            turns = call.body["messages"]
            has_system = turns[0]["role"] == "system"
            seen.append(
                {
                    "prompt": call.prompt,
                    "turns": turns[1:] if has_system else turns,
                    "model": call.body["model"],
                    "system": turns[0]["content"] if has_system else None,
                    "temperature": call.body.get("temperature"),
                    "max_tokens": call.body.get("max_tokens"),
                    "stop": call.body.get("stop", []),
                }
            )
        return seen

    async def wait_active(self, count: int) -> None:
        await asyncio.to_thread(self.server.wait_until, lambda s: s.in_flight == count)

    def peak(self) -> int:
        return self.server.snapshot().peak


Harness = ScriptedHarness | OpenAIHarness


@pytest.fixture(params=["scripted", "openai"])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    if request.param == "scripted":
        yield ScriptedHarness()
        return
    with LoopbackServer() as server:
        yield OpenAIHarness(server)
    gc.collect()  # an unclosed socket must be this test's failure


def run(harness: Harness, body: Callable[[], Awaitable[Any]]) -> Any:
    """Run `body` in a fresh loop, and give the provider's connections back."""

    async def main() -> Any:
        try:
            return await body()
        finally:
            await harness.provider.aclose()

    return asyncio.run(main())


def infer(harness: Harness, prompt: str, **fields: Any) -> Coroutine[Any, Any, LLMReply]:
    return harness.provider.infer(LLMRequest(prompt, **fields), sleep=asyncio.sleep)


def failure(harness: Harness, prompt: str = "p", **fields: Any) -> LLMError:
    """The LLMError of one call."""
    with pytest.raises(LLMError) as caught:
        run(harness, lambda: infer(harness, prompt, **fields))
    error = caught.value
    assert error.kind in CODES and error.code
    assert error.__cause__ is None and error.__context__ is None
    return error


def test_it_is_a_provider(harness: Harness) -> None:
    assert isinstance(harness.provider, Provider)
    assert harness.provider.name.isidentifier()


def test_plain_reply(harness: Harness) -> None:
    reply = run(harness, lambda: infer(harness, "hello"))
    assert reply.text == "echo: hello"
    assert reply.model == "default-model"
    assert reply.finish_reason == "stop"


def test_usage_is_reported(harness: Harness) -> None:
    assert run(harness, lambda: infer(harness, "hello")).usage == Usage(7, 5)


def test_every_parameter_is_passed_on(harness: Harness) -> None:
    run(
        harness,
        lambda: infer(
            harness,
            "the prompt",
            messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            model="other-model",
            system="be brief",
            temperature=0.25,
            max_tokens=17,
            stop=["END", "###"],
        ),
    )
    assert harness.seen() == [
        {
            "prompt": "the prompt",
            "turns": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "the prompt"},
            ],
            "model": "other-model",
            "system": "be brief",
            "temperature": 0.25,
            "max_tokens": 17,
            "stop": ["END", "###"],
        }
    ]


def test_parameters_left_out_are_not_sent(harness: Harness) -> None:
    run(harness, lambda: infer(harness, "p"))
    (seen,) = harness.seen()
    assert seen["system"] is seen["temperature"] is seen["max_tokens"] is None
    assert seen["stop"] == []


@pytest.mark.parametrize("seconds", [None, 0.0, 0.25, 3.0])
def test_429_is_rate_limited_and_says_how_long_to_wait(
    harness: Harness, seconds: float | None
) -> None:
    harness.fail_with("429", retry_after_s=seconds)
    error = failure(harness)
    assert (error.kind, error.status, error.retryable) == ("rate-limited", 429, True)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_5xx_is_unavailable_and_retryable(harness: Harness, status: int) -> None:
    harness.fail_with(str(status))
    error = failure(harness)
    assert (error.kind, error.status, error.retryable) == ("llm-unavailable", status, True)


@pytest.mark.parametrize("status", [408, 409])
def test_408_and_409_are_retryable(harness: Harness, status: int) -> None:
    harness.fail_with(str(status))
    error = failure(harness)
    assert (error.status, error.retryable) == (status, True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_4xx_is_refused_for_good(harness: Harness, status: int) -> None:
    harness.fail_with(str(status))
    error = failure(harness)
    assert (error.kind, error.status, error.retryable) == ("refused", status, False)


def test_no_answer_in_time_is_a_timeout(harness: Harness) -> None:
    harness.fail_with("timeout")
    started = time.monotonic()
    error = failure(harness, timeout_s=0.1)
    assert (error.kind, error.retryable) == ("llm-timeout", False)
    assert "0.1 s" in error.message
    assert 0.05 < time.monotonic() - started < PROMPTLY_S


def test_an_answer_that_is_slower_than_the_timeout_is_a_timeout(harness: Harness) -> None:
    harness.latency_s = LONG_S
    assert failure(harness, timeout_s=0.05).kind == "llm-timeout"


@pytest.mark.parametrize("fault", ["cut:0", "cut:20"])
def test_a_cut_connection_is_unavailable_and_retryable(harness: Harness, fault: str) -> None:
    harness.fail_with(fault)
    error = failure(harness)
    assert (error.kind, error.status, error.retryable) == ("llm-unavailable", None, True)


def test_garbage_is_a_bad_response(harness: Harness) -> None:
    harness.fail_with("garbage")
    error = failure(harness)
    assert (error.kind, error.retryable) == ("bad-response", False)


def test_after_any_fault_the_next_call_succeeds(harness: Harness) -> None:
    faults = ["429", "500", "400", "cut:0", "cut:20", "garbage", "timeout"]
    harness.fail_with(*faults)

    async def body() -> list[str]:
        kinds = []
        for fault in faults:
            try:
                await infer(harness, fault, timeout_s=0.2 if fault == "timeout" else None)
            except LLMError as error:
                kinds.append(error.kind)
        assert (await infer(harness, "after")).text == "echo: after"
        return kinds

    assert len(run(harness, body)) == len(faults)


def test_cancel_ends_the_call_promptly(harness: Harness) -> None:
    harness.latency_s = LONG_S

    async def body() -> float:
        task = asyncio.create_task(infer(harness, "p"))
        await harness.wait_active(1)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await harness.wait_active(0)  # the other side has seen it, not only we
        took_s = time.monotonic() - started
        harness.latency_s = 0
        assert (await infer(harness, "next")).text == "echo: next"
        return took_s

    assert run(harness, body) < PROMPTLY_S


def test_cancel_before_the_first_step_costs_nothing(harness: Harness) -> None:
    async def body() -> None:
        task = asyncio.create_task(infer(harness, "p"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert harness.seen() == []

    run(harness, body)


def test_calls_overlap_without_a_limit_of_the_provider(harness: Harness) -> None:
    harness.latency_s = LONG_S
    count = 150

    async def body() -> None:
        tasks = [asyncio.create_task(infer(harness, f"p{i}")) for i in range(count)]
        await harness.wait_active(count)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await harness.wait_active(0)

    run(harness, body)
    assert harness.peak() == count


def test_overlapping_calls_get_their_own_answers(harness: Harness) -> None:
    harness.latency_s = 0.02

    async def body() -> list[LLMReply]:
        return await asyncio.gather(*(infer(harness, f"p{i}") for i in range(20)))

    replies = run(harness, body)
    assert [reply.text for reply in replies] == [f"echo: p{i}" for i in range(20)]


@pytest.mark.parametrize(
    "text", ["", "grüße 你好 🎉 \u0000\u2028 \\1 \\g<x> \"'\r\n\t", "\ufeffbom", "x" * 1_000_000]
)
def test_prompts_and_answers_arrive_unchanged(harness: Harness, text: str) -> None:
    harness.reply = lambda prompt: prompt
    reply = run(harness, lambda: infer(harness, text))
    assert reply.text == text
    assert harness.seen()[0]["prompt"] == text


def test_one_provider_serves_loop_after_loop(harness: Harness) -> None:
    for number in range(3):
        assert run(harness, lambda: infer(harness, "p")).text == "echo: p", number


def test_aclose_may_be_called_twice_and_before_any_call(harness: Harness) -> None:
    async def body() -> None:
        await harness.provider.aclose()
        await infer(harness, "p")
        await harness.provider.aclose()
        await harness.provider.aclose()
        await infer(harness, "p")

    run(harness, body)


def test_no_key_in_any_error(harness: Harness) -> None:
    key = harness.server.api_key if isinstance(harness, OpenAIHarness) else "sk-"
    for fault in ["429", "401", "500", "cut:0", "cut:20", "garbage", "timeout"]:
        harness.fail_with(fault)
        error = failure(harness, timeout_s=0.2 if fault == "timeout" else None)
        shown = f"{error} {error!r} {error.hint} {error.args} {harness.provider!r}"
        assert key not in shown
