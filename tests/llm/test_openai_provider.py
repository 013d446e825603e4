"""What only the OpenAI provider does: every Retry-After form, the environment, odd answers, the
key, connections.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from omega.errors import LLMError
from omega.llm import LLMReply, LLMRequest, OpenAIProvider, ToolCall, Usage
from omega.llm.answers import UnreadableAnswer, parse_json, without_secrets
from omega.llm.openai_provider import ChatStream, can_be_strict, chat_parameters, read_reply
from omega.testing import Fault, LoopbackServer, http_date


def provider_for(server: LoopbackServer, **fields: Any) -> OpenAIProvider:
    fields = {"base_url": server.base_url, "api_key": server.api_key, **fields}
    return OpenAIProvider("m", **fields)


def call(provider: OpenAIProvider, prompt: str = "p", **fields: Any) -> LLMReply:
    async def main() -> LLMReply:
        try:
            return await provider.infer(LLMRequest(prompt, **fields), sleep=asyncio.sleep)
        finally:
            await provider.aclose()

    return asyncio.run(main())


def failure(provider: OpenAIProvider, **fields: Any) -> LLMError:
    with pytest.raises(LLMError) as caught:
        call(provider, **fields)
    return caught.value


@pytest.mark.parametrize(
    ("headers", "low_s", "high_s"),
    [
        ({"retry_after": "2"}, 2, 2),
        ({"retry_after": "0.125"}, 0.125, 0.125),
        ({"retry_after_ms": "1500"}, 1.5, 1.5),
        ({"retry_after_ms": "10", "retry_after": "2"}, 0.01, 0.01),
        ({"retry_after": "-3"}, 0, 0),
        ({"retry_after_ms": "nonsense", "retry_after": "4"}, 4, 4),
    ],
)
def test_retry_after_in_numbers(headers: dict[str, str], low_s: float, high_s: float) -> None:
    with LoopbackServer(faults=[Fault.http(429, **headers)]) as server:
        error = failure(provider_for(server))
    assert error.retry_after_s is not None and low_s <= error.retry_after_s <= high_s


def test_retry_after_as_a_date_counts_from_the_servers_clock() -> None:
    with LoopbackServer(faults=lambda _: Fault.http(429, retry_after=http_date(30))) as server:
        error = failure(provider_for(server))
    assert error.retry_after_s is not None and 29 <= error.retry_after_s <= 31


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "1e400", "", "Mon, 99 Foo 2020"])
def test_a_retry_after_that_makes_no_sense_is_ignored(text: str) -> None:
    with LoopbackServer(faults=[Fault.http(503, retry_after=text)]) as server:
        error = failure(provider_for(server))
    assert (error.retry_after_s, error.retryable) == (None, True)


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_exhausted_account_is_refused_although_the_status_is_429(code: str) -> None:
    with LoopbackServer(faults=[Fault.http(429, code=code, retry_after="1")]) as server:
        error = failure(provider_for(server))
    assert (error.kind, error.status, error.retryable) == ("refused", 429, False)


def test_the_sdk_does_not_retry() -> None:
    with LoopbackServer(faults=["429"] * 9) as server:
        failure(provider_for(server))
        assert server.snapshot().requests == 1


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        error = failure(OpenAIProvider("m", base_url=url, api_key="sk-nobody-home"))
    assert (error.kind, error.retryable) == ("llm-unavailable", True)


def test_key_and_base_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, f" {value}\n")  # as `cat key.txt` leaves it
        assert call(OpenAIProvider("m")).text == "echo: p"
        assert server.calls[0].headers["authorization"] == f"Bearer {server.api_key}"


@pytest.mark.parametrize("key", ["", "  \n"])
def test_a_missing_key_names_the_variable_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(LLMError, match="OPENAI_API_KEY") as caught:
        OpenAIProvider("m")
    assert caught.value.kind == "llm-configuration"
    assert "--llm scripted" in (caught.value.hint or "")


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nb", "sk-é", "“sk-quoted”"])
def test_a_key_that_cannot_be_sent_is_named_but_not_shown(key: str) -> None:
    with pytest.raises(LLMError) as caught:
        OpenAIProvider("m", api_key=key)
    assert caught.value.kind == "llm-configuration"
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://x", "file:///etc"])
def test_a_base_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(LLMError, match="base URL") as caught:
        OpenAIProvider("m", api_key="sk-12345678", base_url=url)
    assert caught.value.kind == "llm-configuration"


def test_a_missing_sdk_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LLMError) as caught:
        OpenAIProvider("m", api_key="sk-12345678")
    assert caught.value.kind == "llm-configuration"
    assert caught.value.hint == "pip install omega-lisp[openai]"


def test_a_server_that_echoes_the_key_does_not_leak_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    echo: Callable[[Any], Fault] = lambda got: Fault.http(  # noqa: E731
        401, message=f"bad key {got.headers['authorization']}", code=got.headers["authorization"]
    )
    with LoopbackServer(faults=echo) as server:
        error = failure(provider_for(server))
        key = server.api_key
    shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text
    assert "bad key" in error.message
    assert key not in shown
    assert "OPENAI_API_KEY" in (error.hint or "")


def test_short_keys_are_hidden_as_words_only() -> None:
    assert without_secrets("x marks the box", "x") == "[key] marks the box"
    assert without_secrets("http://me:pass@host/v1 failed", "") == "http://host/v1 failed"


def test_no_model_is_a_configuration_error() -> None:
    provider = OpenAIProvider(None, base_url="http://127.0.0.1:1/v1", api_key="sk-12345678")
    assert failure(provider).kind == "llm-configuration"


def test_what_cannot_be_written_as_json_is_refused_without_a_request() -> None:
    with LoopbackServer() as server:
        for fields in ({"extra": {"x": object()}}, {"system": "\ud800"}):
            error = failure(provider_for(server), **fields)
            assert (error.kind, error.retryable) == ("refused", False)
        assert server.snapshot().requests == 0


def test_extra_parameters_reach_the_server() -> None:
    with LoopbackServer() as server:
        call(provider_for(server), extra={"top_p": 0.5, "vendor": {"deep": [1]}})
        assert server.calls[0].body["top_p"] == 0.5
        assert server.calls[0].body["vendor"] == {"deep": [1]}


def test_openai_itself_gets_max_completion_tokens_and_others_max_tokens() -> None:
    request = LLMRequest("p", max_tokens=5)
    assert chat_parameters(request, "m", is_official=True)["max_completion_tokens"] == 5
    assert chat_parameters(request, "m", is_official=False)["max_tokens"] == 5
    urls = {
        "https://api.openai.com/v1": True,
        "https://api.openai.com.evil.test/v1": False,
        "http://localhost/api.openai.com": False,
    }
    for url, is_official in urls.items():
        provider = OpenAIProvider("m", api_key="sk-12345678", base_url=url)
        assert provider._is_official is is_official


def completion(**message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        None,
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "text"}]},
        completion(content=17),
        completion(content=None, tool_calls=[{}]),
        {"error": {"message": "no such deployment"}},
    ],
)
def test_an_answer_of_another_shape_is_a_bad_response(body: Any) -> None:
    provider = OpenAIProvider("m", api_key="sk-12345678")
    outcome = provider._whole(json.dumps(body).encode(), {}, LLMRequest("p"), "m")
    assert isinstance(outcome, LLMError) and outcome.kind == "bad-response"


def test_an_answer_without_text_is_empty_and_a_refusal_is_refused() -> None:
    empty = read_reply(completion(content=None), "openai", "m")
    assert isinstance(empty, LLMReply) and empty.text == ""
    assert empty.usage == Usage(is_reported=False)
    refusal = read_reply(completion(content=None, refusal="I will not"), "openai", "m")
    assert isinstance(refusal, LLMError) and refusal.kind == "refused"


CLOSED = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
CLOSED = {**CLOSED, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "properties": {"a": CLOSED}}, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "properties": {"a": {"type": "object"}}}, False),
        ({**CLOSED, "$defs": {"x": {"items": [{"properties": {}}]}}}, False),
        ({"type": "array", "items": CLOSED}, False),
        ({}, False),
        ({"type": "object", "required": 5, "additionalProperties": False}, False),
    ],
)
def test_a_schema_is_enforced_where_openai_can(schema: Any, is_strict: bool) -> None:
    assert can_be_strict(schema) is is_strict
    sent = chat_parameters(
        LLMRequest("p", schema=schema, schema_name="pick"), "m", is_official=True
    )
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "pick", "schema": schema, "strict": is_strict},
    }


def test_the_usage_of_streams_is_asked_of_openai_itself_only() -> None:
    def asks(url: str | None, **options: Any) -> bool:
        provider = OpenAIProvider("m", api_key="sk-12345678", base_url=url, **options)
        return "stream_options" in provider._stream_parameters()

    assert asks("") and not asks("http://localhost/v1")
    assert asks("http://localhost/v1", stream_usage=True) and not asks("", stream_usage=False)


def streamed(*chunks: Any) -> ChatStream:
    reader = ChatStream(LLMRequest("p"), "m")
    for chunk in chunks:
        text = reader.feed("", chunk if isinstance(chunk, str) else json.dumps(chunk))
        reader.pieces.append(text)
    return reader


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def test_streams_of_other_servers_are_understood() -> None:
    """No [DONE], usage in the last chunk, calls without ids, or all of them with index 0."""
    reply = streamed(
        delta(role="assistant", content=None),
        delta(content="hi", reasoning_content="hm"),
        {"choices": []},
        {**delta("stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
    ).reply("openai")
    assert isinstance(reply, LLMReply)
    assert (reply.text, reply.usage, reply.finish_reason) == ("hi", Usage(3, 1), "stop")

    def part(id: str | None, name: str | None, arguments: str, index: int | None = 0) -> Any:
        function = {"name": name, "arguments": arguments}
        return delta(tool_calls=[{"index": index, "id": id, "function": function}])

    same_index = streamed(
        part("a", "f", "{}"), part("b", "g", '{"x":'), part(None, None, "1}"), "[DONE]"
    ).reply("openai")
    no_id = streamed(part(None, "f", "", 0), part(None, "f", "[1]", 1), "[DONE]").reply("openai")
    assert isinstance(same_index, LLMReply) and isinstance(no_id, LLMReply)
    assert same_index.tool_calls == (ToolCall("a", "f", {}), ToolCall("b", "g", {"x": 1}))
    assert no_id.tool_calls == (ToolCall("call_0", "f", {}), ToolCall("call_1", "f", "[1]"))


@pytest.mark.parametrize(
    "chunk", ["{", "[]", "7", delta(content=5), delta("stop", tool_calls=[{"index": 0}])]
)
def test_chunks_that_make_no_sense_are_unreadable(chunk: Any) -> None:
    with pytest.raises(UnreadableAnswer):
        streamed(chunk).reply("openai")


def test_deep_json_is_refused_and_not_recursed_into() -> None:
    for text in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 300 + b"]" * 300):
        with pytest.raises(ValueError, match="deep"):
            parse_json(text)
    brackets = "[{" * 10_000  # inside a string they are only text
    assert parse_json(json.dumps({"a": brackets + '"\\'}).encode()) == {"a": brackets + '"\\'}


def test_connections_are_kept_and_used_again() -> None:
    with LoopbackServer() as server:
        provider = provider_for(server)

        async def main() -> None:
            for number in range(5):
                await provider.infer(LLMRequest(f"p{number}"), sleep=asyncio.sleep)
            await provider.aclose()

        asyncio.run(main())
        assert {got.connection for got in server.calls} == {1}


def test_loading_the_sdk_does_not_stop_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import takes 0.4 s; timers of other tasks must go on meanwhile."""
    import threading

    imported, ticked = threading.Event(), threading.Event()
    real = importlib.import_module

    def slow_import(name: str, package: str | None = None) -> Any:
        assert ticked.wait(5), "the loop stood still while the SDK was loaded"
        imported.set()
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", slow_import)
    with LoopbackServer() as server:
        provider = provider_for(server)

        async def main() -> None:
            task = asyncio.create_task(provider.infer(LLMRequest("p"), sleep=asyncio.sleep))
            await asyncio.sleep(0.01)
            assert not imported.is_set()
            ticked.set()
            assert (await task).text == "echo: p"
            await provider.aclose()

        asyncio.run(main())
