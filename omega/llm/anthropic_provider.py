"""Anthropic's models through the official async SDK.

Owns: `AnthropicProvider`: the Messages API: parameters out, whole answers and streams in. Refuses:
what `vendor.py` has for every vendor.

Environment: ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL. Extra: `omega-lisp[anthropic]`.

A schema goes out as the API's own output format where the SDK and the model have it, else as a tool
the model is made to call, whose arguments are then the answer's text. There a value that is no
object travels inside of one.

Thinking counts as output, within max_tokens: a request that names no max_tokens may answer with as
many as without thinking. Its blocks, redacted ones too, are kept in the reply as they came, with
their signatures, and go back so in the next request: the API refuses results of tools to a model
that thought before it called them, when they are missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omega.errors import LLMError
from omega.llm.answers import (
    UnreadableAnswer,
    error_facts,
    parse_arguments,
    parse_json,
    token_counts,
)
from omega.llm.failures import content_refused, schema_refused
from omega.llm.messages import ToolCall, text_of
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.llm.vendor import BrokenOff, StreamReader, Vendor, VendorProvider

MAX_TOKENS = 8192  # the API wants a number; all models but those of 2024 take this one
THINKING_MIN = 1024  # fewer tokens than these the API takes for no thinking
WRAPPED = "value"
THOUGHTS = ("thinking", "redacted_thinking")

# Models from before structured outputs (November 2025).
_NO_OUTPUT_FORMAT = re.compile(r"claude-(?:instant|2|3|(?:sonnet|opus)-4-(?:0|2025))(?:\b|[-.\d])")
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}


class AnthropicProvider(VendorProvider):
    """The Messages API.

    max_tokens: of answers whose request names none. output_format: whether schemas go out as the
    API's own output format; None decides by the SDK and the model. For the other parameters and
    errors see `VendorProvider`.
    """

    vendor = Vendor(
        "anthropic",
        key_name="ANTHROPIC_API_KEY",
        base_url_name="ANTHROPIC_BASE_URL",
        base_url="https://api.anthropic.com",
        example_url="http://localhost:8080",
    )

    def __init__(
        self,
        model: str | None = None,
        *,
        max_tokens: int = MAX_TOKENS,
        output_format: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self._max_tokens = max_tokens
        self._output_format = output_format

    def _complete_url(self, url: str) -> str:
        return re.sub(r"/v1/?$", "", url)  # the SDK adds it

    def _new_client(self, sdk: Any, **options: Any) -> Any:
        return sdk.AsyncAnthropic(**options)

    def _endpoint(self, client: Any) -> Any:
        return client.messages

    def _parameters(self, request: LLMRequest, model: str) -> dict[str, Any]:
        parameters = message_parameters(request, model, self._max_tokens)
        body = parameters["extra_body"]
        wanted: dict[str, Any] = {} if request.effort is None else {"effort": request.effort}
        if (tool := self._answer_tool(request, model)) is not None:
            parameters.update(tool.parameters(request.tools, may_force="thinking" not in body))
        elif request.schema is not None:
            schema = self._accepted(request.schema)
            wanted["format"] = {"type": "json_schema", "schema": schema}
        if wanted:
            parameters["extra_body"] = {"output_config": wanted, **body}
        return parameters

    def _accepted(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema within what the API takes: what is not becomes part of descriptions."""
        try:
            accepted: dict[str, Any] = self._sdk.transform_schema(schema)
            return accepted
        except Exception as error:
            problem = str(error) or type(error).__name__
        raise schema_refused(self.name, self._clean(problem))

    def _has_output_format(self, model: str) -> bool:
        if self._output_format is not None:
            return self._output_format
        return hasattr(self._sdk, "transform_schema") and not _NO_OUTPUT_FORMAT.match(model)

    def _read(self, body: Any, request: LLMRequest, model: str) -> LLMReply | LLMError:
        return read_message(body, self.name, model, self._answer_tool(request, model))

    def _reader(self, request: LLMRequest, model: str) -> StreamReader:
        return MessageStream(request, model, self._answer_tool(request, model))

    def _answer_tool(self, request: LLMRequest, model: str) -> AnswerTool | None:
        if request.schema is None or self._has_output_format(model):
            return None
        return AnswerTool(request.schema_name, request.schema)


class AnswerTool:
    """A tool whose arguments are the answer. is_wrapped: the answer is no object, but in one."""

    __slots__ = ("is_wrapped", "name", "schema")

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        self.name = name
        self.is_wrapped = schema.get("type") != "object"
        self.schema = schema
        if self.is_wrapped:
            self.schema = {"type": "object", "properties": {WRAPPED: schema}, "required": [WRAPPED]}

    def parameters(self, tools: Sequence[Mapping[str, Any]], may_force: bool) -> dict[str, Any]:
        """What makes the model call it, or else one of the request's `tools`. may_force: a model
        that thinks can be asked only.
        """
        tool = {
            "name": self.name,
            "description": "Gives the answer. There is no other way to give it.",
            "input_schema": self.schema,
        }
        choice = {"type": "any"} if tools else {"type": "tool", "name": self.name}
        if not may_force:
            choice = {"type": "auto"}
        return {"tools": [*map(_tool, tools), tool], "tool_choice": choice}

    def text(self, arguments: dict[str, Any] | str) -> str:
        """The answer as JSON; of one that was cut off, what there is of it."""
        import json

        if isinstance(arguments, str):
            return arguments
        is_value = self.is_wrapped and WRAPPED in arguments
        return json.dumps(arguments[WRAPPED] if is_value else arguments, ensure_ascii=False)


# -- out -------------------------------------------------------------------------------------------


def message_parameters(request: LLMRequest, model: str, max_tokens: int) -> dict[str, Any]:
    """What `messages.create` gets, without the schema. Fields the request leaves out are left
    out.
    """
    turns = request.turns()
    thinking = _thinking(request, turns)
    parameters: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens or max_tokens + (thinking or 0),
        "messages": joined([turn for turn in turns if turn["role"] != "system"]),
    }
    if system := _system(request.system, turns):
        parameters["system"] = system
    if request.stop:
        parameters["stop_sequences"] = list(request.stop)
    if request.tools:
        parameters["tools"] = [_tool(tool) for tool in request.tools]
    # Newer versions of the SDK have no name for it, though the API has.
    body: dict[str, Any] = {}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if thinking is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": thinking}
    parameters["extra_body"] = {**body, **request.extra}
    return parameters


def _thinking(request: LLMRequest, turns: Sequence[Mapping[str, Any]]) -> int | None:
    """How many tokens the model may think for. None: it shall not.

    Where max_tokens is set, the answer needs some of them: a quarter at least.
    """
    budget = request.thinking
    if budget is None or _is_unthought(turns):
        return None
    if request.max_tokens is not None and budget > (most := request.max_tokens * 3 // 4):
        budget = most if most >= THINKING_MIN else None
    return budget


def _is_unthought(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the tool calls that are being answered were made without thinking, by another model
    or a handler: from there on the API takes none until the turn has ended.
    """
    if turns[-1]["role"] != "tool":
        return False
    asking = next(turn for turn in reversed(turns) if turn["role"] == "assistant")
    content = _blocks(asking["content"])
    return not content or content[0]["type"] not in ("thinking", "redacted_thinking")


def _system(text: str | None, turns: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
    """The system prompt: a text, or blocks where one is marked for the vendor's cache."""
    contents = [] if text is None else [text]
    contents += [turn["content"] for turn in turns if turn["role"] == "system"]
    blocks = [block for content in contents for block in _blocks(content)]
    if any("cache_control" in block for block in blocks):
        return blocks
    return "\n\n".join(text_of(content) for content in contents)


def joined(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages, those of one side after each other as one: the answers to all tool calls of a
    turn must come in the next.
    """
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role = "assistant" if turn["role"] == "assistant" else "user"
        content = _content(turn)
        if messages and messages[-1]["role"] == role:
            before = messages[-1]["content"]
            messages[-1]["content"] = _blocks(before) + _blocks(content)
        else:
            messages.append({"role": role, "content": content})
    return messages


def _content(turn: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    content = turn["content"]
    if turn["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": turn["tool_call_id"]}
        result["content"] = content if isinstance(content, str) else _blocks(content)
        return [{**result, "is_error": True} if turn["is_error"] else result]
    calls = turn.get("tool_calls")
    if not calls:
        return content if isinstance(content, str) else _blocks(content)
    uses = [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["name"],
            # An object is a must: what the model wrote instead of one is put into one.
            "input": {"text": text} if isinstance(text := call["arguments"], str) else text,
        }
        for call in calls
    ]
    return _blocks(content) + uses


def _blocks(content: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []  # empty ones are refused
    return [block for part in content if (block := _block(part)) is not None]


def _block(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """None for what another vendor's model thought."""
    if part["type"] == "thinking" and "opaque" in part:
        if part["vendor"] != "anthropic":
            return None
        block = dict(part["opaque"])
        return {**block, "thinking": part["text"]} if block["type"] == "thinking" else block
    mark = {"cache_control": {"type": "ephemeral"}} if part.get("cache") else {}
    if part["type"] != "image" or "source" in part:
        return {**{name: value for name, value in part.items() if name != "cache"}, **mark}
    source = {"type": "base64", "media_type": part.get("media_type"), "data": part.get("data")}
    if "url" in part:
        source = {"type": "url", "url": part["url"]}
    return {"type": "image", "source": source, **mark}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": tool["name"], "input_schema": tool["parameters"]}
    return {**made, "description": tool["description"]} if tool["description"] else made


# -- in --------------------------------------------------------------------------------------------


def read_message(
    body: Any, provider: str, model: str, answer: AnswerTool | None = None
) -> LLMReply | LLMError:
    """The reply in a message. Raises ValueError when it is none."""
    if not isinstance(body, dict):
        raise ValueError(f"expected a JSON object, got {type(body).__name__}")
    if body.get("type") == "error":
        raise ValueError(error_facts(body)[0] or "an error without words")
    content = body.get("content")
    if not isinstance(content, list):
        raise ValueError("the answer has no content")
    parts: list[dict[str, Any]] = []
    calls: list[ToolCall] = []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            parts.append({"type": "text", "text": _string(block.get("text"), "a text")})
        elif kind in THOUGHTS:
            parts.append(_thought(block, _string(block.get("thinking", ""), "its thinking")))
        elif kind == "tool_use":
            given = block.get("input")
            name = _string(block.get("name"), "a tool's name")
            if not isinstance(given, dict):
                raise ValueError("a tool call's input is no object")
            calls.append(ToolCall(_string(block.get("id"), "a tool call's id"), name, given))
    return _finished(
        provider,
        text_of(parts),
        parts,
        calls,
        _usage(body.get("usage")),
        str(body.get("model") or model),
        body.get("stop_reason"),
        body.get("stop_details"),
        answer,
    )


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} of the answer is no text")
    return value


def _thought(block: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A block of thinking as a content part."""
    opaque = {name: value for name, value in block.items() if name != "thinking"}
    return {"type": "thinking", "vendor": "anthropic", "text": text, "opaque": opaque}


def _finished(
    provider: str,
    text: str,
    parts: list[dict[str, Any]],
    calls: list[ToolCall],
    usage: Usage,
    model: str,
    stop_reason: Any,
    stop_details: Any,
    answer: AnswerTool | None,
) -> LLMReply | LLMError:
    if stop_reason == "refusal":
        said = stop_details.get("explanation") if isinstance(stop_details, dict) else None
        error = content_refused(provider, said or "it gave no reason", text or None)
        error.model, error.usage = model, usage
        return error
    reason = str(stop_reason or "end_turn")
    finish_reason = _FINISH_REASONS.get(reason, reason)
    answers = [call for call in calls if answer is not None and call.name == answer.name]
    if answer is not None and answers:
        text = answer.text(answers[0].arguments)
        calls = [call for call in calls if call.name != answer.name]
        parts = [part for part in parts if part["type"] == "thinking"]
        parts.append({"type": "text", "text": text})
        if finish_reason == "tool_calls" and not calls:
            finish_reason = "stop"
    if all(part["type"] == "text" for part in parts):
        parts = []
    return LLMReply(text, usage, model, finish_reason, tool_calls=calls, parts=parts)


def _usage(raw: Any) -> Usage:
    """Input tokens are told in three parts: read from the cache, written to it, and the rest."""
    if not isinstance(raw, dict):
        return Usage(is_reported=False)
    details = raw.get("output_tokens_details")
    counts = token_counts(
        raw.get("input_tokens"),
        raw.get("output_tokens"),
        raw.get("cache_read_input_tokens") or 0,
        raw.get("cache_creation_input_tokens") or 0,
        (details.get("thinking_tokens") if isinstance(details, dict) else None) or 0,
    )
    if counts is None:
        return Usage(is_reported=False)
    fresh, answered, cached, written, thought = counts
    return Usage(
        fresh + cached + written,
        answered,
        cached_tokens=cached,
        written_tokens=written,
        reasoning_tokens=thought,
    )


class MessageStream(StreamReader):
    """The events of a streamed message.

    Of an answer given by a tool, the pieces are those of the tool's arguments; what the model says
    beside them is no part of it.
    """

    def __init__(self, request: LLMRequest, model: str, answer: AnswerTool | None) -> None:
        super().__init__(request, model)
        self._answer = answer
        self._told: dict[str, Any] = {}  # of the usage
        self._stop_reason: Any = None
        self._stop_details: Any = None
        self._blocks: dict[Any, tuple[dict[str, Any], list[str]]] = {}  # texts and thinking
        self._tools: dict[Any, dict[str, Any]] = {}  # index of a block -> id, name, input, json

    def feed(self, name: str, data: str) -> str:
        event = parse_json(data)
        if not isinstance(event, dict):
            raise UnreadableAnswer(f"expected a JSON object, got {type(event).__name__}")
        kind = event.get("type") or name
        if kind == "error":
            said, code, error_type = error_facts(event)
            raise BrokenOff(said or data, code, error_type)
        if kind == "message_start":
            message = _mapping(event, "message")
            self.model = str(message.get("model") or self.model)
            self._count(message.get("usage"))
        elif kind == "content_block_start":
            return self._block(event.get("index"), _mapping(event, "content_block"))
        elif kind == "content_block_delta":
            return self._delta(event.get("index"), _mapping(event, "delta"))
        elif kind == "message_delta":
            delta = _mapping(event, "delta")
            self._stop_reason = delta.get("stop_reason") or self._stop_reason
            self._stop_details = delta.get("stop_details") or self._stop_details
            self._count(event.get("usage"))
        elif kind == "message_stop":
            self.is_done = True
            return self._rest()
        return ""

    def _count(self, usage: Any) -> None:
        """Later counts are totals, and may leave out what has not changed."""
        if isinstance(usage, dict):
            self._told.update({name: n for name, n in usage.items() if n is not None})
            self.usage = _usage(self._told)

    def _block(self, index: Any, block: dict[str, Any]) -> str:
        kind = block.get("type")
        if kind == "text":
            return self._text(index, block.get("text"))
        if kind in THOUGHTS:
            self._blocks[index] = (dict(block), [])
            self._think(index, block.get("thinking", ""))
        if block.get("type") == "tool_use":
            self._tools[index] = {**block, "json": ""}
        return ""

    def _delta(self, index: Any, delta: dict[str, Any]) -> str:
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(index, delta.get("text"))
        if kind == "thinking_delta":
            return self._think(index, delta.get("thinking"))
        if kind == "signature_delta" and index in self._blocks:
            block, _ = self._blocks[index]
            block["signature"] = str(block.get("signature") or "") + str(delta.get("signature"))
            return ""
        tool = self._tools.get(index)
        part = delta.get("partial_json")
        if kind != "input_json_delta" or tool is None or not isinstance(part, str):
            return ""
        tool["json"] += part
        return part if tool is self._given_by() and not self._is_wrapped else ""

    def _text(self, index: Any, text: Any) -> str:
        if not isinstance(text, str):
            raise UnreadableAnswer("a piece's text is no text")
        self._blocks.setdefault(index, ({"type": "text"}, []))[1].append(text)
        return text if self._answer is None else ""

    def _think(self, index: Any, text: Any) -> str:
        """Thinking is no part of the answer's text."""
        if not isinstance(text, str):
            raise UnreadableAnswer("a piece of thinking is no text")
        self._blocks.setdefault(index, ({"type": "thinking"}, []))[1].append(text)
        return ""

    def _parts(self) -> list[dict[str, Any]]:
        """What has come besides tool calls, as content parts."""
        return [
            _thought(block, "".join(texts))
            if block["type"] in THOUGHTS
            else {"type": "text", "text": "".join(texts)}
            for block, texts in self._blocks.values()
        ]

    @property
    def _is_wrapped(self) -> bool:
        return self._answer is not None and self._answer.is_wrapped

    def _given_by(self) -> dict[str, Any] | None:
        """The call that gives the answer, if it has come."""
        wanted = None if self._answer is None else self._answer.name
        found = (tool for tool in self._tools.values() if tool.get("name") == wanted)
        return next(found, None) if wanted is not None else None

    def _rest(self) -> str:
        """What the answer's pieces leave out of it."""
        if self._answer is None:
            return ""
        tool = self._given_by()
        if tool is None:
            return text_of(self._parts())
        if tool["json"] and not self._is_wrapped:
            return ""
        return self._answer.text(_arguments(tool))

    def reply(self, provider: str) -> LLMReply | LLMError | None:
        if not self.is_done:
            return None
        calls = [
            ToolCall(str(tool.get("id")), str(tool.get("name")), _arguments(tool))
            for tool in self._tools.values()
        ]
        outcome = _finished(
            provider,
            "".join(self.pieces),
            self._parts(),
            calls,
            self.usage or Usage(is_reported=False),
            self.model,
            self._stop_reason,
            self._stop_details,
            self._answer,
        )
        if isinstance(outcome, LLMReply):
            outcome.text = "".join(self.pieces)
        return outcome


def _mapping(event: dict[str, Any], field: str) -> dict[str, Any]:
    value = event.get(field)
    if not isinstance(value, dict):
        raise UnreadableAnswer(f"an event {event.get('type')} without {field}")
    return value


def _arguments(tool: dict[str, Any]) -> dict[str, Any] | str:
    given = tool.get("input")
    return given if not tool["json"] and isinstance(given, dict) else parse_arguments(tool["json"])
