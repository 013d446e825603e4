"""Models that think before they answer, over the wire: what is asked, what is kept of it, and that
it goes back as it came. The server refuses conversations as the vendor does: those with thinking
left out, changed or parted from its tool calls.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.errors import LispTypeError, LispValueError
from omega.llm import LLMReply, LLMRequest, Usage
from omega.llm.anthropic_provider import MAX_TOKENS, message_parameters
from omega.llm.cache import reply_from_text, reply_to_text
from omega.llm.openai_provider import chat_parameters
from omega.llm.tokens import TokenCounter
from omega.testing import LoopbackReply, LoopbackServer
from tests.llm.harness import (
    AnthropicHarness,
    OpenAIHarness,
    VendorHarness,
    asked,
    failed,
    harness_of,
    run,
)

TOOL = {"name": "look", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
THOUGHT = "The cat: is it in?\nLet me see. 🐈"


@pytest.fixture
def claude() -> Iterator[AnthropicHarness]:
    with harness_of("anthropic") as made:
        assert isinstance(made, AnthropicHarness)
        yield made


@pytest.fixture
def gpt() -> Iterator[OpenAIHarness]:
    with harness_of("openai") as made:
        assert isinstance(made, OpenAIHarness)
        yield made


def thinking_tools(*, redacted: bool = False) -> Any:
    """A model that thinks, asks for a tool, and answers what the tool said."""

    def reply(call: Any) -> LoopbackReply:
        if call.prompt == "in":
            return LoopbackReply("it is in", thinking="So it is.", usage=(30, 9, 10, 5, 4))
        return LoopbackReply(
            "let me look", thinking=THOUGHT, redacted=redacted, tool_calls=[("look", {})]
        )

    return reply


def turns_after(reply: LLMReply, said: str = "in") -> list[dict[str, Any]]:
    (call,) = reply.tool_calls
    return [
        {"role": "user", "content": "where?"},
        reply.as_message(),
        {"role": "tool", "tool_call_id": call.id, "content": said},
    ]


@pytest.mark.parametrize("redacted", [False, True])
def test_thinking_goes_back_as_it_came(claude: AnthropicHarness, how: str, redacted: bool) -> None:
    claude.server.reply = thinking_tools(redacted=redacted)
    known: dict[str, Any] = {"tools": [TOOL], "thinking": 2000}

    async def body() -> tuple[LLMReply, LLMReply]:
        first = await asked(claude, how, "where?", **known)
        kept = reply_from_text(reply_to_text(first))  # through a cache
        return first, await asked(claude, how, "", messages=turns_after(kept), **known)

    first, second = run(claude, body)
    assert first.thinking == ("" if redacted else THOUGHT)
    assert (first.text, first.finish_reason) == ("let me look", "tool_calls")
    assert (second.text, second.thinking) == ("it is in", "So it is.")
    assert second.usage == Usage(30, 9, cached_tokens=10, written_tokens=5, reasoning_tokens=4)
    one, other = (call.body for call in claude.server.calls)
    assert one["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert one["max_tokens"] == MAX_TOKENS + 2000, "as much is left for the answer as without"
    blocks = [block["type"] for block in other["messages"][1]["content"]]
    assert blocks == ["redacted_thinking" if redacted else "thinking", "text", "tool_use"]


def test_the_server_refuses_thinking_that_was_changed(claude: AnthropicHarness) -> None:
    """So that the tests above can fail."""
    claude.server.reply = thinking_tools()
    first = run(claude, lambda: asked(claude, "whole", "where?", tools=[TOOL], thinking=2000))
    turns = turns_after(first)
    turns[1]["content"][0]["text"] += "!"
    error = failed(claude, "whole", "", messages=turns, tools=[TOOL], thinking=2000)
    assert error.kind == "refused" and "signature" in error.message


def test_tools_called_without_thinking_are_answered_without(
    claude: AnthropicHarness, how: str
) -> None:
    """By another model, or a handler of the program: the vendor refuses to begin in the middle."""
    call = {"id": "x", "name": "look", "arguments": {}}
    turns = [
        {"role": "user", "content": "where?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "x", "content": "in"},
    ]
    claude.server.reply = thinking_tools()
    known: dict[str, Any] = {"tools": [TOOL], "thinking": 2000}
    reply = run(claude, lambda: asked(claude, how, "", messages=turns, **known))
    assert (reply.text, reply.thinking) == ("it is in", "")
    again = [*turns, reply.as_message(), {"role": "user", "content": "in"}]
    assert run(claude, lambda: asked(claude, how, "", messages=again, **known)).thinking


def test_no_vendor_sees_what_anothers_model_thought(gpt: OpenAIHarness) -> None:
    part = {
        "type": "thinking",
        "vendor": "anthropic",
        "text": THOUGHT,
        "opaque": {"type": "thinking", "signature": "s"},
    }
    turns = [{"role": "assistant", "content": [part, {"type": "text", "text": "hm"}]}]
    run(gpt, lambda: asked(gpt, "whole", "p", messages=turns))
    assert gpt.server.calls[0].body["messages"][0] == {"role": "assistant", "content": "hm"}
    other = {**part, "vendor": "openai", "opaque": {}}
    sent = message_parameters(
        LLMRequest(messages=[{"role": "assistant", "content": [other]}]), "m", 9
    )
    assert sent["messages"][0]["content"] == []


def test_a_schema_by_a_tool_and_thinking_go_together(how: str) -> None:
    """A model that thinks cannot be made to call a tool."""

    def reply(call: Any) -> LoopbackReply:
        return LoopbackReply("so", thinking=THOUGHT, tool_calls=[("answer", {"n": 1})])

    with LoopbackServer(reply=reply) as server:
        harness = AnthropicHarness(server)
        server.reply = reply
        harness.provider = harness.make(output_format=False)
        got = run(harness, lambda: asked(harness, how, schema=SCHEMA, thinking=1024))
        assert (got.text, got.thinking, got.tool_calls) == ('{"n": 1}', THOUGHT, ())
        assert server.calls[0].body["tool_choice"] == {"type": "auto"}
        content = got.as_message()["content"]
        assert [part["type"] for part in content] == ["thinking", "text"]


@given(st.integers(1, 100_000), st.integers(1024, 100_000))
def test_an_answer_always_has_room_beside_its_thinking(most: int, thinking: int) -> None:
    """max_tokens is never exceeded for thinking, nor used up by it."""
    sent = message_parameters(LLMRequest("p", max_tokens=most, thinking=thinking), "m", 9)
    assert sent["max_tokens"] == most
    asked_for = sent["extra_body"].get("thinking")
    if asked_for is None:
        assert most * 3 // 4 < 1024
    else:
        assert 1024 <= asked_for["budget_tokens"] <= min(thinking, most * 3 // 4) < most


def test_effort_is_passed_on_in_the_vendors_word() -> None:
    for name in ("anthropic", "openai"):
        with harness_of(name) as harness:
            assert isinstance(harness, VendorHarness)
            run(harness, lambda h=harness: asked(h, "whole", effort="low", schema=CLOSED))
            body = harness.server.calls[0].body
            if name == "openai":
                assert body["reasoning_effort"] == "low"
            else:
                assert body["output_config"]["effort"] == "low"
                assert body["output_config"]["format"]["type"] == "json_schema"
            error = failed(harness, "whole", effort="some")
            assert error.kind == "refused" and "effort" in error.message


def test_what_other_servers_show_of_thinking_is_read(gpt: OpenAIHarness, how: str) -> None:
    gpt.server.reply = LoopbackReply("so", thinking=THOUGHT, usage=(7, 5, 3, 0, 2))
    reply = run(gpt, lambda: asked(gpt, how))
    assert (reply.text, reply.thinking) == ("so", THOUGHT)
    assert reply.usage == Usage(7, 5, cached_tokens=3, reasoning_tokens=2)
    turns = [{"role": "user", "content": "a"}, reply.as_message()]
    run(gpt, lambda: asked(gpt, how, "b", messages=turns))
    assert gpt.server.calls[1].body["messages"][1] == {"role": "assistant", "content": "so"}


def test_a_number_of_tokens_to_think_for_is_anthropics_only(gpt: OpenAIHarness) -> None:
    error = failed(gpt, "whole", thinking=2000)
    assert error.kind == "refused" and ":effort" in (error.hint or "")
    assert gpt.server.calls == []


def test_thinking_and_effort_belong_to_what_is_asked() -> None:
    plain = LLMRequest("p")
    assert LLMRequest("p").content_hash() == plain.content_hash()
    hashes = {
        request.content_hash()
        for request in (
            plain,
            plain.replaced(thinking=1024),
            plain.replaced(thinking=2048),
            plain.replaced(effort="low"),
            plain.replaced(effort="low", thinking=1024),
        )
    }
    assert len(hashes) == 5
    for fields, error in (
        ({"thinking": 0}, LispValueError),
        ({"thinking": "much"}, LispTypeError),
        ({"effort": 3}, LispTypeError),
    ):
        with pytest.raises(error):
            LLMRequest("p", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "error", "words"),
    [
        ({"vendor": "", "text": ""}, LispValueError, "`vendor` is empty"),
        ({"vendor": "v", "text": 1}, LispTypeError, "`text` must be a string"),
        ({"vendor": "v", "opaque": []}, LispTypeError, "`opaque` must be a mapping"),
        ({"vendor": "v", "cache": True}, LispValueError, "unknown field `cache`"),
    ],
)
def test_thinking_that_is_none_is_named_by_its_place(
    part: dict[str, Any], error: type[Exception], words: str
) -> None:
    message = {"role": "assistant", "content": [{"type": "thinking", **part}]}
    with pytest.raises(error, match=f"message 0 .*part 0 .*{words}"):
        LLMRequest(messages=[message])


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_thinking_is_kept_whatever_it_holds(text: str, opaque: dict[str, str]) -> None:
    part = {"type": "thinking", "vendor": "anthropic", "text": text, "opaque": opaque}
    reply = LLMReply(
        "so", Usage(1, 2, written_tokens=1), parts=[part, {"type": "text", "text": "so"}]
    )
    kept = reply_from_text(reply_to_text(reply))
    assert (kept.parts, kept.usage, kept.text) == (reply.parts, reply.usage, "so")
    message = kept.as_message()
    request = LLMRequest("next", messages=[message])
    assert request.messages[0]["content"] == [part, {"type": "text", "text": "so"}]
    count = TokenCounter().input(request)
    assert count.typical <= count.most and count.most >= len(text)


# -- what stands in the vendor's cache -------------------------------------------------------------


def test_a_marked_part_goes_out_marked(claude: AnthropicHarness, how: str) -> None:
    long = {"type": "text", "text": "long", "cache": True}
    image = {"type": "image", "url": "https://example.org/x.png", "cache": True}
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": [long]},
        {"role": "user", "content": [image, {"type": "text", "text": "?", "cache": False}]},
    ]
    given_turns = copy.deepcopy(turns)
    run(claude, lambda: asked(claude, how, "", messages=turns, system="first"))
    assert turns == given_turns
    body = claude.server.calls[0].body
    mark = {"cache_control": {"type": "ephemeral"}}
    assert body["system"] == [
        {"type": "text", "text": "first"},
        {"type": "text", "text": "long", **mark},
    ]
    source = {"type": "url", "url": image["url"]}
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": source, **mark},
        {"type": "text", "text": "?"},
    ]
    sent = chat_parameters(LLMRequest(messages=turns), "m", is_official=True)
    assert "cache" not in str(sent), "OpenAI keeps what it will"


def test_a_marked_answer_of_a_tool_goes_out_marked() -> None:
    call = {"id": "x", "name": "look", "arguments": {}}
    part = {"type": "text", "text": "much", "cache": True}
    turns: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "x", "content": [part]},
        {"role": "user", "content": "and?"},
    ]
    sent = message_parameters(LLMRequest(messages=turns), "m", 9)
    (result, after) = sent["messages"][1]["content"]
    assert result["content"] == [
        {"type": "text", "text": "much", "cache_control": {"type": "ephemeral"}}
    ]
    assert after == {"type": "text", "text": "and?"}


# -- images of tools -------------------------------------------------------------------------------

PNG = {"type": "image", "media_type": "image/png", "data": "iVBORw0KGgo="}


def test_images_of_tools_reach_every_model(how: str) -> None:
    for name in ("anthropic", "openai"):
        with harness_of(name) as harness:
            assert isinstance(harness, VendorHarness)
            calls = [{"id": x, "name": "look", "arguments": {}} for x in ("a", "b")]
            turns: list[dict[str, Any]] = [
                {"role": "user", "content": "where?"},
                {"role": "assistant", "content": "", "tool_calls": calls},
                {"role": "tool", "tool_call_id": "a", "content": [PNG]},
                {
                    "role": "tool",
                    "tool_call_id": "b",
                    "content": [{"type": "text", "text": "two"}, PNG, PNG],
                },
                {"role": "user", "content": "so?"},
            ]
            run(harness, lambda h=harness, t=turns: asked(h, how, "", messages=t, tools=[TOOL]))
            body = harness.server.calls[0].body
            assert str(body).count(PNG["data"]) == 3, name
    messages = body["messages"]
    assert [turn["role"] for turn in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
        "user",
    ]
    assert [turn["content"] for turn in messages[2:4]] == ["(see the images below)", "two"]
    shown = [part.get("text", "image") for part in messages[4]["content"]]
    assert shown == [
        "What was shown by the tool call a:",
        "image",
        "What was shown by the tool call b:",
        "image",
        "image",
    ]


def test_providers_are_what_they_were_for_requests_without_thinking() -> None:
    """Nothing of it is sent that was not asked for."""
    request = LLMRequest("p", extra={"top_k": 3})
    assert message_parameters(request, "m", 9)["extra_body"] == {"top_k": 3}
    assert chat_parameters(request, "m", is_official=True)["extra_body"] == {"top_k": 3}
    assert "extra_body" not in chat_parameters(LLMRequest("p"), "m", is_official=True)
