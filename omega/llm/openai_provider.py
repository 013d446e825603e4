"""OpenAI, and every server that speaks its protocol, through the official async SDK.

Owns: `OpenAIProvider`: chat completions: parameters out, whole answers and streams in. Refuses:
what `vendor.py` has for every vendor.

Environment: OPENAI_API_KEY, OPENAI_BASE_URL (vLLM, Ollama, llama.cpp, LM Studio). Extra:
`omega-lisp[openai]`.

Differences between OpenAI itself and other servers: `is_official` in `chat_parameters`. Servers
that show what a model thought (`reasoning_content`) do not get it back: it is for reading only.
"""

from __future__ import annotations

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
from omega.llm.failures import content_refused
from omega.llm.messages import ToolCall, has_images, text_of
from omega.llm.request import LLMReply, LLMRequest, Usage
from omega.llm.vendor import BrokenOff, StreamReader, Vendor, VendorProvider

SHOWN_BY = "What was shown by the tool call"
SEE_BELOW = "(see the images below)"
SCHEMA_NODES_MAX = 10_000  # looked at to see whether a schema can be enforced


class OpenAIProvider(VendorProvider):
    """Chat completions.

    stream_usage: whether the usage of streams is asked for; None asks OpenAI itself only: some
    other servers refuse the question. For the other parameters and errors see `VendorProvider`.
    """

    vendor = Vendor(
        "openai",
        key_name="OPENAI_API_KEY",
        base_url_name="OPENAI_BASE_URL",
        base_url="https://api.openai.com/v1",
        example_url="http://localhost:11434/v1",
    )

    def __init__(
        self, model: str | None = None, *, stream_usage: bool | None = None, **options: Any
    ) -> None:
        super().__init__(model, **options)
        self._stream_usage = self._is_official if stream_usage is None else stream_usage

    def _new_client(self, sdk: Any, **options: Any) -> Any:
        return sdk.AsyncOpenAI(**options)

    def _endpoint(self, client: Any) -> Any:
        return client.chat.completions

    def _parameters(self, request: LLMRequest, model: str) -> dict[str, Any]:
        return chat_parameters(request, model, is_official=self._is_official)

    def _stream_parameters(self) -> dict[str, Any]:
        asked = {"stream_options": {"include_usage": True}} if self._stream_usage else {}
        return {"stream": True, **asked}

    def _read(self, body: Any, request: LLMRequest, model: str) -> LLMReply | LLMError:
        return read_reply(body, self.name, model)

    def _reader(self, request: LLMRequest, model: str) -> StreamReader:
        return ChatStream(request, model)


# -- out -------------------------------------------------------------------------------------------


def chat_parameters(request: LLMRequest, model: str, *, is_official: bool) -> dict[str, Any]:
    """What `chat.completions.create` gets. Fields the request leaves out are left out.

    is_official: OpenAI itself, which refuses `max_tokens` for its newer models; other servers know
    no other name.
    """
    if request.thinking is not None:
        raise _without_budget(request.thinking)
    messages = chat_messages(request.turns())
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    parameters: dict[str, Any] = {"model": model, "messages": messages}
    if request.temperature is not None:
        parameters["temperature"] = request.temperature
    if request.max_tokens is not None:
        name = "max_completion_tokens" if is_official else "max_tokens"
        parameters[name] = request.max_tokens
    if request.stop:
        parameters["stop"] = list(request.stop)
    if request.tools:
        parameters["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
    if request.schema is not None:
        wanted: dict[str, Any] = {"name": request.schema_name, "schema": request.schema}
        wanted["strict"] = can_be_strict(request.schema)
        parameters["response_format"] = {"type": "json_schema", "json_schema": wanted}
    # In the body, since the oldest SDKs have no name for it.
    effort = {} if request.effort is None else {"reasoning_effort": request.effort}
    if extra := {**effort, **request.extra}:
        parameters["extra_body"] = extra
    return parameters


def _without_budget(tokens: int) -> LLMError:
    return LLMError(
        f"openai: its models take no number of tokens to think for (:thinking {tokens})",
        kind="refused",
        hint='give :effort "low", "medium" or "high" instead',
    )


def chat_messages(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages as the protocol writes them. A tool's answer is text only there: its images come
    as the user's, after the answers to all calls of the turn, which must not be parted.
    """
    messages: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []  # images of the tools' answers before
    for turn in turns:
        if turn["role"] != "tool" and shown:
            messages.append({"role": "user", "content": shown})
            shown = []
        messages.append(chat_message(turn))
        if turn["role"] == "tool" and has_images([turn]):
            shown.append({"type": "text", "text": f"{SHOWN_BY} {turn['tool_call_id']}:"})
            shown += [_part(part) for part in turn["content"] if part["type"] == "image"]
    if shown:
        messages.append({"role": "user", "content": shown})
    return messages


def chat_message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A message as the protocol writes it."""
    content = turn["content"]
    if turn["role"] == "tool":
        # No flag for errors there, and texts only.
        text = text_of(content) or (SEE_BELOW if has_images([turn]) else "")
        text = f"error: {text}" if turn["is_error"] else text
        return {"role": "tool", "tool_call_id": turn["tool_call_id"], "content": text}
    if isinstance(content, str) or any(part["type"] == "thinking" for part in content):
        content = text_of(content)
    parts = content if isinstance(content, str) else [_part(part) for part in content]
    message: dict[str, Any] = {"role": turn["role"], "content": parts}
    if calls := turn.get("tool_calls"):
        message["tool_calls"] = [_tool_call(call) for call in calls]
    return message


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    url = part.get("url") or f"data:{part['media_type']};base64,{part['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    import json

    arguments = call["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": text},
    }


def can_be_strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI enforces `schema`: it wants every object closed, and all of its properties
    required. Others are a guide to the model only.
    """
    stack: list[Any] = [schema]
    for _ in range(SCHEMA_NODES_MAX):
        if not stack:
            return schema.get("type") == "object"
        at = stack.pop()
        if isinstance(at, Mapping):
            properties = at.get("properties")
            if at.get("type") == "object" or isinstance(properties, Mapping):
                required = at.get("required") or []
                names = list(properties) if isinstance(properties, Mapping) else []
                is_complete = isinstance(required, list) and sorted(map(str, required)) == sorted(
                    names
                )
                if at.get("additionalProperties") is not False or not is_complete:
                    return False
            stack.extend(at.values())
        elif isinstance(at, list):
            stack.extend(at)
    return False


# -- in --------------------------------------------------------------------------------------------


def read_reply(body: Any, provider: str, model: str) -> LLMReply | LLMError:
    """The reply in a chat completion.

    Raises ValueError when it is none.
    """
    if not isinstance(body, dict):
        raise ValueError(f"expected a JSON object, got {type(body).__name__}")
    problem = body.get("error")
    if problem and not body.get("choices"):  # gateways that fail with status 200
        raise ValueError(error_facts(body)[0] or str(problem))
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("the answer has no choices")
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise ValueError("the answer has no message")
    calls = _read_tool_calls(message.get("tool_calls") or [])
    text = message.get("content")
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise ValueError("the answer's content is no text")
    finish_reason = str(choice.get("finish_reason") or "stop")
    refusal = message.get("refusal")
    usage = _usage(body.get("usage"))
    model = str(body.get("model") or model)
    thought = _thought(message)
    return _finished(provider, text, thought, refusal, usage, model, finish_reason, calls)


def _thought(message: Mapping[str, Any]) -> str:
    """What some servers show of the model's thinking; they have two names for it."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(thought := message.get(name), str) and thought:
            return thought
    return ""


def _finished(
    provider: str,
    text: str,
    thought: str,
    refusal: Any,
    usage: Usage,
    model: str,
    finish_reason: str,
    calls: list[ToolCall],
) -> LLMReply | LLMError:
    if refusal or finish_reason == "content_filter":
        reason = refusal if isinstance(refusal, str) else "stopped by the content filter"
        error = content_refused(provider, reason, text or None)
        error.model, error.usage = model, usage
        return error
    parts: list[dict[str, Any]] = []
    if thought:
        parts.append({"type": "thinking", "vendor": "openai", "text": thought, "opaque": {}})
        parts += [{"type": "text", "text": text}] if text else []
    return LLMReply(text, usage, model, finish_reason, tool_calls=calls, parts=parts)


def _read_tool_calls(raw: Any) -> list[ToolCall]:
    if not isinstance(raw, list):
        raise ValueError("the answer's tool calls are no list")
    calls: list[ToolCall] = []
    for call in raw:
        function = call.get("function") if isinstance(call, dict) else None
        function = function if isinstance(function, dict) else {}
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("a tool call of the answer has no name")
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, (str, dict)):
            raise ValueError("a tool call's arguments are no text")
        read = parse_arguments(arguments) if isinstance(arguments, str) else arguments
        # Some servers name no id; any will do that is unique in its turn.
        calls.append(ToolCall(str(call.get("id") or f"call_{len(calls)}"), name, read))
    return calls


def _usage(raw: Any) -> Usage:
    if not isinstance(raw, dict):
        return Usage(is_reported=False)
    counts = token_counts(
        raw.get("prompt_tokens"),
        raw.get("completion_tokens"),
        _detail(raw, "prompt_tokens_details", "cached_tokens"),
        _detail(raw, "prompt_tokens_details", "cache_write_tokens"),
        _detail(raw, "completion_tokens_details", "reasoning_tokens"),
    )
    if counts is None:
        return Usage(is_reported=False)
    asked, answered, cached, written, thought = counts
    return Usage(
        asked,
        answered,
        cached_tokens=cached,
        written_tokens=written,
        reasoning_tokens=thought,
    )


def _detail(raw: Mapping[str, Any], group: str, name: str) -> Any:
    details = raw.get(group)
    return (details.get(name) if isinstance(details, dict) else None) or 0


class ChatStream(StreamReader):
    """The events of a streamed chat completion.

    A chunk with the reason it finished, then (where it was asked for, or the server likes to) one
    with the usage, then `[DONE]`, which some servers leave out.
    """

    def __init__(self, request: LLMRequest, model: str) -> None:
        super().__init__(request, model)
        self._finish_reason = ""
        self._refusal = ""
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []  # {"index", "id", "function": {...}}

    def feed(self, name: str, data: str) -> str:
        if data.strip() == "[DONE]":
            self.is_done = True
            return ""
        chunk = parse_json(data)
        if not isinstance(chunk, dict):
            raise UnreadableAnswer(f"expected a JSON object, got {type(chunk).__name__}")
        if chunk.get("error") or name == "error":
            said, code, error_type = error_facts(chunk)
            raise BrokenOff(said or data, code, error_type)
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        if isinstance(chunk.get("model"), str):
            self.model = chunk["model"] or self.model
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return ""
        self._finish_reason = str(choice.get("finish_reason") or self._finish_reason)
        delta = choice.get("delta")
        return self._delta(delta) if isinstance(delta, dict) else ""

    def _delta(self, delta: dict[str, Any]) -> str:
        refusal = delta.get("refusal")
        self._refusal += refusal if isinstance(refusal, str) else ""
        self._thoughts.append(_thought(delta))
        calls = delta.get("tool_calls")
        for part in calls if isinstance(calls, list) else []:
            if isinstance(part, dict):
                self._tool_call(part)
        content = delta.get("content")
        if content is not None and not isinstance(content, str):
            raise UnreadableAnswer("a piece's content is no text")
        return content or ""

    def _tool_call(self, part: dict[str, Any]) -> None:
        """Join a part to its call: one of the same index, unless its id is another's."""
        index, id = part.get("index"), part.get("id")
        known = [call for call in self._calls if call["index"] == index]
        call = known[-1] if known else None
        if call is None or (id and call["id"] and call["id"] != id):
            call = {"index": index, "id": None, "function": {"name": "", "arguments": ""}}
            self._calls.append(call)
        call["id"] = call["id"] or id
        function = part.get("function")
        if isinstance(function, dict):
            for field in ("name", "arguments"):
                said = function.get(field)
                call["function"][field] += said if isinstance(said, str) else ""

    def reply(self, provider: str) -> LLMReply | LLMError | None:
        if not self._finish_reason and not self.is_done:
            return None
        try:
            calls = _read_tool_calls(self._calls)
        except ValueError as error:
            raise UnreadableAnswer(str(error)) from None
        return _finished(
            provider,
            "".join(self.pieces),
            "".join(self._thoughts),
            self._refusal,
            self.usage or Usage(is_reported=False),
            self.model,
            self._finish_reason or "stop",
            calls,
        )
