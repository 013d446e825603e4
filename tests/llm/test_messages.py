"""Messages, parts, tools and schemas: what is right is kept, what is wrong is named by place."""

from __future__ import annotations

from typing import Any

import pytest

from omega.errors import LispTypeError, LispValueError
from omega.llm import LLMReply, LLMRequest, ToolCall

CALL = {"id": "c1", "name": "f", "arguments": {"x": 1}}
ASKING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}


def test_what_is_right_is_kept_and_completed() -> None:
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image", "media_type": "image/png", "data": "aGk="},
        {"type": "image", "url": "https://x.test/y.png"},
        {"type": "text", "text": "b"},
    ]
    turns: list[Any] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": parts},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    request = LLMRequest(messages=turns, tools=[{"name": "g"}], schema={"type": "object"})
    assert request.messages == (
        turns[0],
        {"role": "user", "content": parts},
        ASKING,
        {"role": "tool", "tool_call_id": "c1", "content": "r", "is_error": False},
    )
    assert request.tools[0]["parameters"] == {"type": "object", "properties": {}}
    assert LLMRequest(messages=turns[:2]).prompt_text == "ab"


def test_a_reply_becomes_the_next_message() -> None:
    call = ToolCall("c1", "f", {"x": 1})
    assert LLMReply("", tool_calls=[call]).as_message() == ASKING
    assert LLMReply("hi").as_message() == {"role": "assistant", "content": "hi"}
    with_calls = LLMRequest(messages=[{"role": "assistant", "tool_calls": [call]}])
    assert with_calls.messages == (ASKING,)
    odd = ToolCall("c2", "f", "no object")
    LLMRequest(messages=[LLMReply("", tool_calls=[odd]).as_message()])
    assert call == ToolCall("c1", "f", {"x": 1}) != odd
    assert repr(odd) == "ToolCall('c2', 'f', 'no object')"


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": "ok"}, {"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("messages", "error", "words"),
    [
        ("hi", LispTypeError, "messages must be a list, got str"),
        ([1], LispTypeError, "message 0 of an LLM request must be a mapping, got int"),
        ([{"content": "x"}], LispValueError, "message 0 .* needs a role and a content"),
        ([{"role": "user"}], LispValueError, "message 0 .* needs a role and a content"),
        ([{"role": "boss", "content": ""}], LispValueError, "`role`: 'boss' is none of system"),
        ([{"role": ["x"], "content": ""}], LispValueError, "`role`"),
        ([{"role": "user", "content": 5}], LispTypeError, "`content` must be a string or a list"),
        ([{"role": "user", "content": "", "name": "x"}], LispValueError, "unknown field `name`"),
        (user(7), LispTypeError, "message 1 .*part 0 of its content must be a mapping"),
        (user({"type": "text"}), LispTypeError, "part 0 .*`text` must be a string"),
        (user({"type": "video"}), LispValueError, "'video' is none of text, image"),
        (user({"type": "image"}), LispTypeError, "`media_type` must be a string"),
        (
            user({"type": "image", "media_type": "text/html", "data": "aGk="}),
            *(LispValueError, "'text/html' is no image's"),
        ),
        (
            user({"type": "image", "media_type": "image/png", "data": "a b"}),
            *(LispValueError, "`data`: no base64"),
        ),
        (user({"type": "image", "url": "file:///etc"}), LispValueError, "no http"),
        (user({"type": "image", "url": "http://x", "data": ""}), LispValueError, "field `data`"),
        ([{"role": "assistant", "tool_calls": 5}], LispTypeError, "`tool_calls` must be a list"),
        ([{"role": "assistant", "tool_calls": []}], LispValueError, "needs a role and a content"),
        ([{"role": "assistant", "tool_calls": [5]}], LispTypeError, "tool call 0 must be a map"),
        (
            [{"role": "assistant", "tool_calls": [CALL, {**CALL, "arguments": [1]}]}],
            *(LispTypeError, "tool call 1, field `arguments` must be a mapping, got list"),
        ),
        (
            [{"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}],
            *(LispValueError, "field `id` is empty"),
        ),
        (
            [{"role": "tool", "tool_call_id": "c1", "content": ""}],
            *(LispValueError, "no message before it asks for 'c1'"),
        ),
        (
            [ASKING, {"role": "tool", "tool_call_id": "c1", "content": "", "is_error": 1}],
            *(LispTypeError, "message 1 .*`is_error` must be a boolean"),
        ),
        ([ASKING, {"role": "tool", "content": ""}], LispTypeError, "`tool_call_id` must be"),
    ],
)
def test_a_wrong_message_is_named_by_index_and_field(
    messages: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        LLMRequest(messages=messages)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"tools": "f"}, LispTypeError, "tools must be a list"),
        ({"tools": [1]}, LispTypeError, "tool 0 .* must be a mapping"),
        ({"tools": [TOOL, {}]}, LispTypeError, "tool 1 .*`name` must be a string"),
        ({"tools": [{"name": "a b!"}]}, LispValueError, "'a b!' is no name"),
        ({"tools": [TOOL, TOOL]}, LispValueError, "two tools named 'f'"),
        ({"tools": [{**TOOL, "strict": 1}]}, LispValueError, "unknown field `strict`"),
        ({"tools": [{**TOOL, "parameters": 1}]}, LispTypeError, "`parameters` must be a JSON Sch"),
        ({"tools": [{**TOOL, "parameters": {}}]}, LispValueError, '"type" must be "object"'),
        ({"tools": [{**TOOL, "description": 1}]}, LispTypeError, "`description`"),
        ({"schema": "x"}, LispTypeError, "schema must be a JSON Schema"),
        ({"schema_name": "no name!"}, LispValueError, "schema_name"),
    ],
)
def test_a_wrong_tool_or_schema_is_named(fields: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        LLMRequest("p", **fields)


def test_all_of_it_is_in_the_hash() -> None:
    schema = {"type": "object"}
    requests = [
        LLMRequest("p"),
        LLMRequest("p", tools=[TOOL]),
        LLMRequest("p", tools=[{**TOOL, "description": "other"}]),
        LLMRequest("p", schema=schema),
        LLMRequest("p", schema=schema, schema_name="other"),
        LLMRequest("p", schema={}),
        LLMRequest("p", messages=[ASKING]),
        LLMRequest("p", messages=[{**ASKING, "tool_calls": [{**CALL, "arguments": {}}]}]),
        LLMRequest("", messages=user({"type": "text", "text": "a"})),
        LLMRequest("", messages=user({"type": "image", "url": "http://x/a"})),
    ]
    assert len({request.content_hash() for request in requests}) == len(requests)
    # A request of earlier versions keeps its hash: tapes and caches hold them.
    assert LLMRequest("p").content_hash().startswith("083470792136ff8c")
