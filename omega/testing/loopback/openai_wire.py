"""OpenAI's chat completions as a server writes them.

Owns: the bodies, the events of a stream, the errors and the headers; and what a request must be:
what the vendor answers 400 is answered 400 here, as far as a client is likely to get it wrong.
Refuses: sockets and behaviour.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from omega.testing.loopback.faults import Fault
from omega.testing.loopback.record import LoopbackCall
from omega.testing.loopback.replies import LoopbackReply, in_parts

NAME = "openai"
PATH = "/chat/completions"

# Kind of a status -> (type, code, message).
KINDS: dict[str, tuple[str, str | None, str]] = {
    "rate": ("requests", "rate_limit_exceeded", "Rate limit reached on requests per min (RPM)"),
    "concurrency": ("requests", "rate_limit_exceeded", "Too many concurrent requests"),
    "slope": ("server_error", "slow_down", "Slow down: a sudden increase in your request rate"),
    "quota": (
        *("insufficient_quota", "insufficient_quota"),
        "You exceeded your current quota, please check your plan and billing details",
    ),
    "overload": ("server_error", None, "The engine is currently overloaded"),
    "key": ("invalid_request_error", "invalid_api_key", "Incorrect API key provided"),
    "model": ("invalid_request_error", "model_not_found", "The model does not exist"),
    "context": (
        *("invalid_request_error", "context_length_exceeded"),
        "This model's maximum context length is exceeded by your messages",
    ),
    "content": ("invalid_request_error", "content_policy_violation", "Your request was rejected"),
    "schema": (
        *("invalid_request_error", None),
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported",
    ),
    "tools": ("invalid_request_error", None, "tools is not supported with this model"),
    "images": ("invalid_request_error", None, "image_url is not supported by this model"),
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
STATUS_TYPES = {429: ("requests", "rate_limit_exceeded"), 401: KINDS["key"][:2]}


def error_body(fault: Fault) -> dict[str, Any]:
    """The JSON of an error answer."""
    by_status = STATUS_TYPES.get(fault.status, (None, None))
    kind: tuple[str | None, ...] = (None, None, None)
    if fault.status_kind is not None:
        kind = KINDS[fault.status_kind]
    default = "server_error" if fault.status >= 500 else "invalid_request_error"
    error = {
        "message": fault.message or kind[2] or "fault",
        "type": fault.error_type or kind[0] or by_status[0] or default,
        "param": None,
        "code": fault.code or (kind[1] if fault.status_kind else by_status[1]),
    }
    return {"error": error}


def error_event(fault: Fault) -> bytes:
    """An error in the middle of a stream."""
    body = error_body(Fault.http(500, message=fault.message or "The server had an error"))
    return _event(body)


def limit_headers(told: Mapping[str, tuple[int, int, float]]) -> dict[str, str]:
    headers = {}
    for subject, (limit, remaining, reset_s) in told.items():
        headers[f"x-ratelimit-limit-{subject}"] = str(limit)
        headers[f"x-ratelimit-remaining-{subject}"] = str(remaining)
        headers[f"x-ratelimit-reset-{subject}"] = duration(reset_s)
    return headers


def duration(seconds: float) -> str:
    """As OpenAI writes it: "120ms", "8.64s", "6m0s"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:.3f}s"


def api_key(headers: Mapping[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


# -- requests --------------------------------------------------------------------------------------


def problem(body: Mapping[str, Any]) -> str | None:
    """What the vendor would refuse a request for; None when it is right."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        return "expected an object with messages"
    if not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    if body.get("reasoning_effort") not in (None, *EFFORTS):
        return f"Invalid value: {body['reasoning_effort']!r}: reasoning_effort"
    if body.get("stream_options") is not None and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    waiting: list[str] = []  # ids of tool calls without an answer
    for at, turn in enumerate(messages):
        found = _turn_problem(turn, f"messages[{at}]", waiting)
        if found:
            return found
    if waiting:
        return f"tool_call_ids did not have response messages: {', '.join(waiting)}"
    return _tools_problem(body) or _format_problem(body)


def _turn_problem(turn: Mapping[str, Any], where: str, waiting: list[str]) -> str | None:
    role, content = turn.get("role"), turn.get("content")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        return f"Invalid value: {role!r}: {where}.role"
    if role == "tool":
        if turn.get("tool_call_id") not in waiting:
            return f"{where}: messages with role 'tool' must be a response to 'tool_calls'"
        waiting.remove(turn["tool_call_id"])
    elif waiting:
        return f"{where}: tool_call_ids did not have response messages: {', '.join(waiting)}"
    for part in content if isinstance(content, list) else []:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            continue
        url = (part.get("image_url") or {}).get("url", "") if kind == "image_url" else ""
        if role == "tool" or not url.startswith(("http://", "https://", "data:image/")):
            return f"{where}.content: no such part"
    if not isinstance(content, (str, list)) and not turn.get("tool_calls"):
        return f"{where}.content is missing"
    for call in turn.get("tool_calls") or []:
        function = call.get("function") or {}
        if call.get("type") != "function" or not isinstance(function.get("arguments"), str):
            return f"{where}.tool_calls: each needs a function with a name and arguments"
        waiting.append(call["id"])
    return None


def _tools_problem(body: Mapping[str, Any]) -> str | None:
    for at, tool in enumerate(body.get("tools") or []):
        function = tool.get("function") or {}
        if tool.get("type") != "function":
            return f"Missing required parameter: 'tools[{at}].type'."
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", function.get("name") or ""):
            return f"Invalid 'tools[{at}].function.name'"
        if (function.get("parameters") or {}).get("type") != "object":
            return f"Invalid schema for function: tools[{at}]: schema must be of type 'object'"
    return None


def _format_problem(body: Mapping[str, Any]) -> str | None:
    wanted = body.get("response_format")
    if wanted is None or wanted.get("type") in ("text", "json_object"):
        return None
    inner = wanted.get("json_schema") or {}
    if wanted.get("type") != "json_schema" or not inner.get("name"):
        return "Missing required parameter: 'response_format.json_schema.name'."
    schema = inner.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "Invalid schema for response_format: schema must be of type 'object'"
    if inner.get("strict") and schema.get("additionalProperties") is not False:
        return "Invalid schema for response_format: 'additionalProperties' must be false"
    return None


def features(body: Mapping[str, Any]) -> set[str]:
    """Which of "schema", "tools", "images" a request uses."""
    used = {"schema"} if body.get("response_format") else set()
    used |= {"tools"} if body.get("tools") else set()
    contents = [turn.get("content") for turn in body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return used | ({"images"} if any(part["type"] == "image_url" for part in parts) else set())


def forced_tool(body: Mapping[str, Any]) -> str | None:
    """The tool the model is made to call."""
    choice = body.get("tool_choice")
    return choice["function"]["name"] if isinstance(choice, dict) else None


# -- answers ---------------------------------------------------------------------------------------


def whole(call: LoopbackCall, reply: LoopbackReply, model: str, usage: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.refusal is not None:
        message.update(content=None, refusal=reply.refusal)
    if reply.thinking:  # as DeepSeek and vLLM show it; OpenAI itself does not
        message["reasoning_content"] = reply.thinking
    if reply.tool_calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [_tool_call(call, at, *one) for at, one in _numbered(reply)]
    answer: dict[str, Any] = {
        "id": f"chatcmpl-{call.index}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish_reason(reply)}],
    }
    return answer if usage is None else {**answer, "usage": _usage(usage)}


def events(call: LoopbackCall, reply: LoopbackReply, model: str, usage: Any) -> list[bytes]:
    """The events of a stream, each as its bytes."""
    wants_usage = (call.body.get("stream_options") or {}).get("include_usage") and usage is not None
    head: dict[str, Any] = {
        "id": f"chatcmpl-{call.index}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"reasoning_content": part} for part in in_parts(reply.thinking or "")]
    deltas += [{"content": piece} for piece in reply.pieces]
    if reply.refusal is not None:
        deltas += [{"refusal": piece} for piece in in_parts(reply.refusal)]
    for at, (name, arguments) in _numbered(reply):
        made = _tool_call(call, at, name, arguments)
        text = made["function"]["arguments"]
        made["function"] = {"name": name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": at, **made}]})
        deltas += [
            {"tool_calls": [{"index": at, "function": {"arguments": part}}]}
            for part in in_parts(text)
        ]
    null_usage = {"usage": None} if wants_usage else {}
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": _finish_reason(reply)})
    made_events = [_event({**head, "choices": [choice], **null_usage}) for choice in choices]
    if wants_usage:
        made_events.append(_event({**head, "choices": [], "usage": _usage(usage)}))
    return [*made_events, b"data: [DONE]\n\n"]


def garbage_event() -> bytes:
    return b'data: {"choices": [{"del\xff\xfe not json\n\n'


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _numbered(reply: LoopbackReply) -> list[tuple[int, tuple[str, Any]]]:
    return list(enumerate(reply.tool_calls))


def _tool_call(call: LoopbackCall, at: int, name: str, arguments: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "id": f"call_{call.index}_{at}",
        "type": "function",
        "function": {"name": name, "arguments": text},
    }


def _finish_reason(reply: LoopbackReply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(usage: tuple[int, ...]) -> dict[str, Any]:
    prompt, completion, *parts = usage
    cached, written, thought = (*parts, 0, 0, 0)[:3]
    counts: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if cached or written:
        counts["prompt_tokens_details"] = {"cached_tokens": cached, "cache_write_tokens": written}
    if thought:
        counts["completion_tokens_details"] = {"reasoning_tokens": thought}
    return counts
