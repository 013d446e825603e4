"""What only the Anthropic provider does: its messages, its schemas two ways, its odd answers, the
key.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import traceback
from typing import Any

import pytest

from omega.errors import LLMError
from omega.llm import AnthropicProvider, LLMReply, LLMRequest, ToolCall, Usage
from omega.llm.anthropic_provider import (
    MAX_TOKENS,
    AnswerTool,
    joined,
    message_parameters,
    read_message,
)
from omega.testing import Fault, LoopbackReply, LoopbackServer
from tests.llm.harness import Pieces

OBJECT = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
LIST = {"type": "array", "items": {"type": "string"}}
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {}}}


def provider_for(server: LoopbackServer, **fields: Any) -> AnthropicProvider:
    fields = {"base_url": server.anthropic_url, "api_key": server.api_key, **fields}
    return AnthropicProvider("claude-x", **fields)


def call(provider: AnthropicProvider, prompt: str = "p", **fields: Any) -> LLMReply:
    """The reply, whole and streamed alike."""

    async def main() -> LLMReply:
        request, pieces = LLMRequest(prompt, **fields), Pieces()
        try:
            whole = await provider.infer(request, sleep=asyncio.sleep)
            streamed = await provider.stream(request, sleep=asyncio.sleep, emit=pieces)
        finally:
            await provider.aclose()
        for name in ("text", "finish_reason", "usage", "model"):
            assert getattr(whole, name) == getattr(streamed, name), name
        assert [c.arguments for c in whole.tool_calls] == [c.arguments for c in streamed.tool_calls]
        assert "".join(pieces) == whole.text
        return whole

    return asyncio.run(main())


def failure(provider: AnthropicProvider, **fields: Any) -> LLMError:
    with pytest.raises(LLMError) as caught:
        call(provider, **fields)
    return caught.value


# -- the key and the address -----------------------------------------------------------------------


def test_key_and_base_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(checks_key=True) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, f" {value}\n")  # as `cat key.txt` leaves it
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-one")
        assert call(AnthropicProvider("m")).text == "echo: p"
        assert "another-one" not in str([got.headers for got in server.calls])


def test_the_key_may_be_in_another_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(checks_key=True) as server:
        monkeypatch.setenv("MY_KEY", server.api_key)
        url = server.base_url + "/"  # with the /v1 that the SDK adds by itself
        assert call(AnthropicProvider("m", base_url=url, key_name="MY_KEY")).text == "echo: p"
        monkeypatch.setenv("MY_KEY", "sk-wrong")
        error = failure(AnthropicProvider("m", base_url=url, key_name="MY_KEY"))
        assert (error.reason, error.hint) == ("key", "check the key in MY_KEY")


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(LLMError, match="ANTHROPIC_API_KEY") as caught:
        AnthropicProvider("m")
    assert caught.value.kind == "llm-configuration"


def test_a_missing_sdk_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LLMError) as caught:
        AnthropicProvider("m", api_key="sk-12345678")
    assert caught.value.hint == "pip install omega-lisp[anthropic]"


def test_a_server_that_echoes_the_key_does_not_leak_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(got: Any) -> Fault:
        shown = got.headers.get("authorization") or got.headers.get("x-api-key")
        return Fault.http(401, message=f"bad key {shown}", code=shown, error_type=shown)

    with LoopbackServer(faults=echo) as server:
        error = failure(provider_for(server))
        key = server.api_key
    shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text
    assert "bad key" in error.message and key not in shown
    assert key not in repr(provider_for(server))


def test_the_sdk_does_not_retry() -> None:
    with LoopbackServer(faults=["529"] * 9) as server:
        assert failure(provider_for(server)).throttle == "overload"
        assert server.snapshot().requests == 1


# -- messages --------------------------------------------------------------------------------------


def test_one_side_speaks_once_and_the_system_apart() -> None:
    calls = [ToolCall("a", "f", {}), ToolCall("b", "f", "odd")]
    request = LLMRequest(
        "and?",
        system="s1",
        messages=[
            {"role": "system", "content": "s2"},
            {"role": "user", "content": "x"},
            LLMReply("", tool_calls=calls).as_message(),
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "2", "is_error": True},
        ],
    )
    sent = message_parameters(request, "m", 5)
    assert sent["system"] == "s1\n\ns2"
    assert sent["messages"] == [
        {"role": "user", "content": "x"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {"text": "odd"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b", "content": "2", "is_error": True},
                {"type": "text", "text": "and?"},
            ],
        },
    ]


def test_joining_changes_no_message_of_the_request() -> None:
    request = LLMRequest("c", messages=[{"role": "user", "content": "a"}] * 2)
    before = json.dumps(request.messages)
    assert joined(request.turns())[0]["content"] == [
        {"type": "text", "text": text} for text in "aac"
    ]
    assert json.dumps(request.messages) == before


def test_max_tokens_is_a_must_and_has_a_default() -> None:
    with LoopbackServer() as server:
        call(provider_for(server))
        call(provider_for(server, max_tokens=99))
        call(provider_for(server), max_tokens=5, extra={"top_k": 3})
        sent = [(got.body["max_tokens"], got.body.get("top_k")) for got in server.calls]
    assert sent == [(MAX_TOKENS, None)] * 2 + [(99, None)] * 2 + [(5, 3)] * 2


# -- schemas ---------------------------------------------------------------------------------------


def test_a_schema_is_the_apis_output_format_where_the_model_has_it() -> None:
    with LoopbackServer(reply='{"n": 5}') as server:
        provider = provider_for(server)
        assert call(provider, schema=OBJECT, temperature=0).text == '{"n": 5}'
        body = server.calls[0].body
    sent = body["output_config"]["format"]["schema"]
    assert sent["additionalProperties"] is False  # as the API wants it
    assert "minimum" in sent["properties"]["n"]["description"]  # which it takes in words only
    assert "tools" not in body and body["temperature"] == 0


@pytest.mark.parametrize(
    ("model", "is_native"),
    [
        ("claude-sonnet-4-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-opus-5", True),
        ("claude-3-5-haiku-latest", False),
        ("claude-3-opus-20240229", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-opus-4-0", False),
        ("claude-2.1", False),
    ],
)
def test_older_models_are_made_to_call_a_tool(model: str, is_native: bool) -> None:
    provider = AnthropicProvider(model, api_key="sk-12345678")
    asyncio.run(provider._load_sdk())
    sent = provider._parameters(LLMRequest("p", schema=OBJECT), model)
    assert ("output_config" in sent["extra_body"]) is is_native
    assert ("tool_choice" in sent) is not is_native


@pytest.mark.parametrize(
    ("schema", "arguments", "text"),
    [(OBJECT, {"n": 5}, '{"n": 5}'), (LIST, {"value": ["a", "ü"]}, '["a", "ü"]')],
)
def test_the_arguments_of_that_tool_are_the_answer(schema: Any, arguments: Any, text: str) -> None:
    """A text beside it is no part of it."""
    reply = LoopbackReply("Sure!", tool_calls=[("pick", arguments)])
    with LoopbackServer(reply=reply) as server:
        provider = provider_for(server, output_format=False)
        got = call(provider, schema=schema, schema_name="pick")
        body = server.calls[0].body
    assert json.loads(got.text) == json.loads(text)
    assert (got.tool_calls, got.finish_reason) == ((), "stop")
    assert body["tool_choice"] == {"type": "tool", "name": "pick"}


def test_beside_tools_the_model_may_choose() -> None:
    first = LoopbackReply(tool_calls=[("look", {})])
    plain = LoopbackReply("no JSON at all")
    with LoopbackServer(reply=lambda got: plain if got.prompt == "plain" else first) as server:
        provider = provider_for(server, output_format=False)
        looked = call(provider, schema=OBJECT, tools=[TOOL])
        said = call(provider, "plain", schema=OBJECT, tools=[TOOL])
        assert server.calls[0].body["tool_choice"] == {"type": "any"}
        assert [tool["name"] for tool in server.calls[0].body["tools"]] == ["look", "answer"]
    assert (looked.finish_reason, [c.name for c in looked.tool_calls]) == ("tool_calls", ["look"])
    assert (said.text, said.tool_calls) == ("no JSON at all", ())


def test_an_answer_that_was_cut_off_is_what_there_is_of_it() -> None:
    reply = LoopbackReply(tool_calls=[("answer", '{"n": 12')], finish_reason="length")
    with LoopbackServer(reply=reply) as server:
        provider, pieces = provider_for(server, output_format=False), Pieces()

        async def main() -> LLMReply:
            request = LLMRequest("p", schema=OBJECT)
            try:
                return await provider.stream(request, sleep=asyncio.sleep, emit=pieces)
            finally:
                await provider.aclose()

        got = asyncio.run(main())
    assert (got.text, got.finish_reason) == ('{"n": 12', "length")


def test_a_schema_that_cannot_be_sent_is_refused_without_a_request() -> None:
    with LoopbackServer() as server:
        error = failure(provider_for(server), schema={"properties": 7})
        assert (error.kind, error.reason, error.model) == ("refused", "schema", "claude-x")
        assert server.snapshot().requests == 0


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        {},
        {"content": "text"},
        {"content": [{"type": "text"}]},
        {"content": [{"type": "tool_use", "id": "x", "name": "f", "input": "no"}]},
        {"content": [{"type": "tool_use", "id": "x", "input": {}}]},
        {"type": "error", "error": {"type": "api_error", "message": "odd"}},
    ],
)
def test_an_answer_of_another_shape_is_a_bad_response(body: Any) -> None:
    provider = AnthropicProvider("m", api_key="sk-12345678")
    outcome = provider._whole(json.dumps(body).encode(), {}, LLMRequest("p"), "m")
    assert isinstance(outcome, LLMError) and outcome.kind == "bad-response"


def test_blocks_of_other_kinds_are_passed_over() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "text", "text": "a"},
        {"type": "server_tool_use", "id": "s"},
        {"type": "text", "text": "b"},
        "odd",
    ]
    reply = read_message({"content": content, "stop_reason": "pause_turn"}, "anthropic", "m")
    assert isinstance(reply, LLMReply)
    assert (reply.text, reply.finish_reason, reply.usage.is_reported) == ("ab", "pause_turn", False)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, 2)),
        (
            {
                "input_tokens": 5,
                "output_tokens": 2,
                "cache_read_input_tokens": 90,
                "cache_creation_input_tokens": 7,
            },
            Usage(102, 2, cached_tokens=90, written_tokens=7),
        ),
        ({"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": None}, Usage(5, 2)),
        ({"input_tokens": -5, "output_tokens": 2}, Usage(is_reported=False)),
        ({"input_tokens": 5}, Usage(is_reported=False)),
        (None, Usage(is_reported=False)),
    ],
)
def test_input_tokens_are_all_that_was_sent(told: Any, usage: Usage) -> None:
    reply = read_message({"content": [], "usage": told}, "anthropic", "m")
    assert isinstance(reply, LLMReply) and reply.usage == usage


def test_an_answer_tool_keeps_objects_as_they_are() -> None:
    assert AnswerTool("x", OBJECT).schema is OBJECT
    assert AnswerTool("x", LIST).schema["properties"] == {"value": LIST}
    assert AnswerTool("x", LIST).text({"other": 1}) == '{"other": 1}'  # the validator's to judge
