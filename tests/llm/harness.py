"""The other side of every provider, for the suites that run over all of them: what it shall do, and
what reached it.

`ScriptedHarness` drives the scripted provider through its callable; `OpenAIHarness` and
`AnthropicHarness` drive the providers with the vendors' real SDKs against a LoopbackServer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from omega.codes import CODES
from omega.errors import LLMError
from omega.llm import (
    AnthropicProvider,
    LLMReply,
    LLMRequest,
    OpenAIProvider,
    ScriptedProvider,
)
from omega.llm.anthropic_provider import MAX_TOKENS
from omega.testing import Fault, LoopbackReply, LoopbackServer
from tests.leftovers import collected

PROMPTLY_S = 5.0  # what "promptly" may take on a loaded machine
LONG_S = 60.0  # a latency no test waits for

Calls = list[tuple[str, dict[str, Any]]]


class ScriptedHarness:
    """Drives ScriptedProvider through its callable."""

    kind = "scripted"

    def __init__(self) -> None:
        self.reply: Callable[[str], str] = lambda prompt: f"echo: {prompt}"
        self.calls: Callable[[str], Calls] = lambda prompt: []
        self.latency_s = 0.0
        self.faults: list[str] = []
        self.retry_after_s: float | None = None
        self.provider = ScriptedProvider(self._answer, model="default-model")

    def _answer(self, request: LLMRequest) -> dict[str, Any]:
        prompt = request.prompt_text
        rule: dict[str, Any] = {
            "reply": self.reply(prompt).replace("\\", "\\\\"),
            "tool_calls": [{"name": n, "arguments": a} for n, a in self.calls(prompt)],
            "latency_ms": self.latency_s * 1000,
            "usage": {"input_tokens": 7, "output_tokens": 5, "cached_tokens": 3},
        }
        if self.faults:
            fault = self.faults.pop(0)
            rule["fault"] = fault.replace("cut-words", "cut")
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

    @property
    def key(self) -> str:
        return "sk-"


class VendorHarness:
    """Drives a vendor's provider against a LoopbackServer."""

    kind = ""
    events_before_text = 0

    def __init__(self, server: LoopbackServer) -> None:
        self.server = server
        self.reply: Callable[[str], str] = lambda prompt: f"echo: {prompt}"
        self.calls: Callable[[str], Calls] = lambda prompt: []
        self.latency_s = 0.0
        server.usage = (7, 5, 3)
        server.reply = lambda call: LoopbackReply(
            self.reply(call.prompt), tool_calls=self.calls(call.prompt)
        )
        server.latency_s = lambda call: self.latency_s
        self.provider = self.make()

    def make(self, **options: Any) -> Any:
        raise NotImplementedError

    def fail_with(self, *faults: str, retry_after_s: float | None = None) -> None:
        if retry_after_s is None:
            self.server.faults = [self._fault(fault) for fault in faults]
        else:
            retry_after = f"{retry_after_s:g}"
            self.server.faults = [Fault.http(int(f), retry_after=retry_after) for f in faults]

    def _fault(self, word: str) -> str:
        name, _, count = word.partition(":")
        if name == "cut-words":
            return f"cut-events:{int(count) + self.events_before_text}"
        return word

    def seen(self) -> list[dict[str, Any]]:
        return [self.read(call.body) | {"prompt": call.prompt} for call in self.server.calls]

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def wait_active(self, count: int) -> None:
        await asyncio.to_thread(self.server.wait_until, lambda s: s.in_flight == count, LONG_S)

    def peak(self) -> int:
        return self.server.snapshot().peak

    @property
    def key(self) -> str:
        return self.server.api_key


class OpenAIHarness(VendorHarness):
    kind = "openai"
    events_before_text = 1

    def make(self, **options: Any) -> OpenAIProvider:
        options = {"base_url": self.server.base_url, "api_key": self.server.api_key, **options}
        return OpenAIProvider("default-model", stream_usage=True, **options)

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        turns = body["messages"]
        has_system = turns[0]["role"] == "system"
        return {
            "turns": turns[1:] if has_system else turns,
            "model": body["model"],
            "system": turns[0]["content"] if has_system else None,
            "temperature": body.get("temperature"),
            "max_tokens": body.get("max_tokens"),
            "stop": body.get("stop", []),
        }


class AnthropicHarness(VendorHarness):
    kind = "anthropic"
    events_before_text = 3  # message_start, content_block_start, ping

    def make(self, **options: Any) -> AnthropicProvider:
        options = {"base_url": self.server.anthropic_url, "api_key": self.server.api_key, **options}
        return AnthropicProvider("default-model", **options)

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        most = body["max_tokens"]
        return {
            "turns": body["messages"],
            "model": body["model"],
            "system": body.get("system"),
            "temperature": body.get("temperature"),
            "max_tokens": None if most == MAX_TOKENS else most,
            "stop": body.get("stop_sequences", []),
        }


Harness = ScriptedHarness | OpenAIHarness | AnthropicHarness
VENDORS: dict[str, type[OpenAIHarness] | type[AnthropicHarness]] = {
    "openai": OpenAIHarness,
    "anthropic": AnthropicHarness,
}


@contextmanager
def harness_of(kind: str) -> Iterator[Harness]:
    if kind == "scripted":
        yield ScriptedHarness()
        return
    with collected(), LoopbackServer() as server:
        yield VENDORS[kind](server)


def run(harness: Harness, body: Callable[[], Awaitable[Any]]) -> Any:
    """Run `body` in a fresh loop, and give the provider's connections back."""

    async def main() -> Any:
        try:
            return await body()
        finally:
            await harness.provider.aclose()

    return asyncio.run(main())


class Pieces(list[str]):
    """An `emit` that keeps what it gets, and what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Any] = []

    async def __call__(self, text: str) -> None:
        self.append(text)

    def note(self, usage: Any, limits: Any) -> None:
        self.notes.append((usage, limits))


async def asked(harness: Harness, how: str, prompt: str = "p", **fields: Any) -> LLMReply:
    """One call, how: "whole" or "streamed"; then the pieces must be the text."""
    request = LLMRequest(prompt, **fields)
    if how == "whole":
        return await harness.provider.infer(request, sleep=asyncio.sleep)
    pieces = Pieces()
    reply = await harness.provider.stream(request, sleep=asyncio.sleep, emit=pieces)
    assert "".join(pieces) == reply.text and all(pieces)
    return reply


def failed(harness: Harness, how: str, prompt: str = "p", **fields: Any) -> LLMError:
    """The LLMError of one call."""
    with pytest.raises(LLMError) as caught:
        run(harness, lambda: asked(harness, how, prompt, **fields))
    return checked(caught.value)


def checked(error: LLMError) -> LLMError:
    assert error.kind in CODES and error.code
    assert error.__cause__ is None and error.__context__ is None
    assert error.model == "default-model"
    return error
