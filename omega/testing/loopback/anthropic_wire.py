"""Anthropic's messages as a server writes them.

Owns: the bodies, the events of a stream, the errors and the headers; and what a request must be:
what the vendor answers 400 is answered 400 here, as far as a client is likely to get it wrong.
Refuses: sockets and behaviour.

Source: https://docs.anthropic.com/en/api/messages, .../streaming, .../errors, .../rate-limits
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

from omega.testing.loopback.faults import Fault
from omega.testing.loopback.record import LoopbackCall
from omega.testing.loopback.replies import LoopbackReply, in_parts

NAME = "anthropic"
PATH = "/v1/messages"

STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Kind of a status -> (code among the details, message).
KINDS: dict[str, tuple[str | None, str]] = {
    "rate": (None, "This request would exceed your organization's rate limit"),
    "concurrency": (None, "Number of concurrent connections has exceeded your rate limit"),
    "slope": (
        "ramp_limit_exceeded",
        "This request would exceed your organization's maximum usage increase rate",
    ),
    "quota": ("enforced_spend_limit_reached", "You have reached your API usage limit"),
    "overload": (None, "Overloaded"),
    "key": (None, "invalid x-api-key"),
    "model": (None, "model: no such model"),
    "context": (None, "prompt is too long: 250000 tokens > 200000 maximum"),
    "content": (None, "Output blocked by content filtering policy"),
    "schema": (None, "output_config.format: this model does not support output format"),
    "tools": (None, "tools: this model does not support tools"),
    "images": (None, "messages.0.content.0: this model does not support images"),
}
EFFORTS = ("low", "medium", "high", "xhigh", "max")
REDACTED = "loopback-redacted:"
FINISH_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def error_body(fault: Fault) -> dict[str, Any]:
    """The JSON of an error answer."""
    code, message = KINDS[fault.status_kind] if fault.status_kind else (None, "fault")
    error: dict[str, Any] = {
        "type": fault.error_type or STATUS_TYPES.get(fault.status, "api_error"),
        "message": fault.message or message,
    }
    if code := fault.code or code:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_loopback"}


def error_event(fault: Fault) -> bytes:
    """An error in the middle of a stream."""
    return _event(error_body(Fault.http(529, kind="overload", message=fault.message)))


def limit_headers(told: Mapping[str, tuple[int, int, float]]) -> dict[str, str]:
    headers = {}
    for subject, (limit, remaining, reset_s) in told.items():
        moment = time.gmtime(math.ceil(time.time() + reset_s))
        headers[f"anthropic-ratelimit-{subject}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{subject}-remaining"] = str(remaining)
        headers[f"anthropic-ratelimit-{subject}-reset"] = time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", moment
        )
    return headers


def api_key(headers: Mapping[str, str]) -> str:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return headers.get("x-api-key") or bearer


# -- requests --------------------------------------------------------------------------------------


def problem(body: Mapping[str, Any]) -> str | None:
    """What the vendor would refuse a request for; None when it is right."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        return "messages: Field required"
    if not isinstance(body.get("model"), str):
        return "model: Field required"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return "max_tokens: Field required"
    if not 0 <= body.get("temperature", 0) <= 1:
        return "temperature: range: 0..1"
    waiting: set[str] = set()  # ids of tool uses without a result
    for at, turn in enumerate(messages):
        if turn.get("role") not in ("user", "assistant"):
            return f"messages.{at}.role: expected 'user' or 'assistant'"
        content = turn.get("content")
        blocks = [{"type": "text", "text": "-"}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not blocks:
            return f"messages.{at}.content: Field required"
        used: set[str] = set()
        for number, block in enumerate(blocks):
            where = f"messages.{at}.content.{number}"
            found = _block_problem(block, where, turn["role"], waiting, used)
            if found:
                return found
        if waiting:
            missing = ", ".join(sorted(waiting))
            return f"messages.{at}: `tool_use` ids without `tool_result` blocks: {missing}"
        waiting = used
    if waiting:
        return f"`tool_use` ids were found without `tool_result` blocks: {', '.join(waiting)}"
    return _thinking_problem(body) or _tools_problem(body)


def _thinking_problem(body: Mapping[str, Any]) -> str | None:
    """What is wrong with thinking, when it is asked for."""
    effort = (body.get("output_config") or {}).get("effort")
    if effort not in (None, *EFFORTS):
        return f"output_config.effort: Input should be one of {', '.join(EFFORTS)}"
    if not thinks(body):
        return None
    budget = body["thinking"].get("budget_tokens")
    if not isinstance(budget, int) or budget < 1024:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if budget >= body["max_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`"
    if body.get("temperature", 1) != 1:
        return "`temperature` may only be set to 1 when thinking is enabled"
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    *_, turn = (None, *(turn for turn in body["messages"] if turn["role"] == "assistant"))
    content = turn["content"] if turn else None
    blocks = content if isinstance(content, list) else []
    is_asking = any(block["type"] == "tool_use" for block in blocks)
    if is_asking and blocks[0]["type"] not in ("thinking", "redacted_thinking"):
        return (
            f"Expected `thinking` or `redacted_thinking`, but found `{blocks[0]['type']}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block"
        )
    return None


def thinks(body: Mapping[str, Any]) -> bool:
    return (body.get("thinking") or {}).get("type") == "enabled"


def signature(text: str) -> str:
    """What proves that the model has thought `text`."""
    return hashlib.sha256(b"loopback" + text.encode()).hexdigest()


def _block_problem(
    block: Mapping[str, Any], where: str, role: str, waiting: set[str], used: set[str]
) -> str | None:
    kind = block.get("type")
    if kind in ("thinking", "redacted_thinking") and role == "assistant":
        if kind == "thinking":
            is_known = block.get("signature") == signature(str(block.get("thinking")))
        else:
            is_known = str(block.get("data")).startswith(REDACTED)
        return None if is_known else f"{where}: Invalid `signature` in `{kind}` block"
    marked = block.get("cache_control")
    if marked is not None and marked.get("type") != "ephemeral":
        return f"{where}.cache_control.type: Input should be 'ephemeral'"
    if kind == "text":
        return None if block.get("text") else f"{where}: text content blocks must be non-empty"
    if kind == "image":
        source = block.get("source") or {}
        if source.get("type") == "url" and str(source.get("url")).startswith("http"):
            return None
        is_data = source.get("type") == "base64" and source.get("media_type") and source.get("data")
        return None if is_data else f"{where}.image.source: Field required"
    if kind == "tool_use" and role == "assistant":
        if not isinstance(block.get("input"), dict):
            return f"{where}.tool_use.input: Input should be a valid dictionary"
        used.add(block["id"])
        return None
    if kind == "tool_result" and role == "user":
        if block.get("tool_use_id") not in waiting:
            return f"{where}: unexpected `tool_use_id` found in `tool_result` blocks"
        waiting.discard(block["tool_use_id"])
        return None
    return f"{where}: Input tag {kind!r} does not match any of the expected tags"


def _tools_problem(body: Mapping[str, Any]) -> str | None:
    for at, tool in enumerate(body.get("tools") or []):
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool.get("name") or ""):
            return f"tools.{at}.custom.name: String should match pattern"
        if (tool.get("input_schema") or {}).get("type") != "object":
            return f"tools.{at}.custom.input_schema.type: Input should be 'object'"
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is not None and not isinstance(wanted.get("schema"), dict):
        return "output_config.format.schema: Field required"
    if wanted is not None and wanted["schema"].get("type") == "object":
        closed = wanted["schema"].get("additionalProperties") is False
        return (
            None if closed else "output_config.format.schema: 'additionalProperties' must be false"
        )
    return None


def features(body: Mapping[str, Any]) -> set[str]:
    """Which of "schema", "tools", "images" a request uses."""
    used = {"schema"} if (body.get("output_config") or {}).get("format") else set()
    used |= {"tools"} if body.get("tools") else set()
    contents = [turn["content"] for turn in body["messages"]]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return used | ({"images"} if any(block["type"] == "image" for block in blocks) else set())


def forced_tool(body: Mapping[str, Any]) -> str | None:
    """The tool the model is made to call."""
    choice = body.get("tool_choice") or {}
    return choice.get("name") if choice.get("type") == "tool" else None


# -- answers ---------------------------------------------------------------------------------------


def whole(call: LoopbackCall, reply: LoopbackReply, model: str, usage: Any) -> dict[str, Any]:
    blocks = _thoughts(call, reply)
    blocks += [{"type": "text", "text": reply.text}] if reply.text else []
    blocks += [_tool_use(call, at, *one) for at, one in enumerate(reply.tool_calls)]
    answer = {**_head(call, model), "content": blocks, **_stop(reply)}
    return answer if usage is None else {**answer, "usage": _usage(usage)}


def events(call: LoopbackCall, reply: LoopbackReply, model: str, usage: Any) -> list[bytes]:
    """The events of a stream, each as its bytes."""
    start = {**_head(call, model), "content": [], "stop_reason": None, "stop_sequence": None}
    if usage is not None:
        start["usage"] = {**_usage(usage), "output_tokens": 1}
    made = [{"type": "message_start", "message": start}]
    at = 0
    for block in _thoughts(call, reply):
        deltas: list[dict[str, Any]] = []
        if block["type"] == "thinking":
            parts = in_parts(block["thinking"])
            deltas = [{"type": "thinking_delta", "thinking": part} for part in parts]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            block = {"type": "thinking", "thinking": "", "signature": ""}
        made += _block_events(at, block, deltas)
        at += 1
    if reply.pieces:
        deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
        made += _block_events(at, {"type": "text", "text": ""}, deltas)
        at += 1
    for number, (name, arguments) in enumerate(reply.tool_calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        block = {**_tool_use(call, number, name, {}), "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in in_parts(text)]
        made += _block_events(at, block, deltas)
        at += 1
    made.insert(min(2, len(made)), {"type": "ping"})
    delta: dict[str, Any] = {"type": "message_delta", "delta": _stop(reply)}
    if usage is not None:
        delta["usage"] = {"output_tokens": usage[1]}
    return [_event(event) for event in [*made, delta, {"type": "message_stop"}]]


def _thoughts(call: LoopbackCall, reply: LoopbackReply) -> list[dict[str, Any]]:
    """The blocks of thinking, when the request asks for it."""
    text = reply.thinking
    if text is None or not thinks(call.body):
        return []
    if reply.redacted:
        return [{"type": "redacted_thinking", "data": REDACTED + signature(text)}]
    return [{"type": "thinking", "thinking": text, "signature": signature(text)}]


def _block_events(
    at: int, block: Mapping[str, Any], deltas: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": at, "content_block": block},
        *({"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": at},
    ]


def garbage_event() -> bytes:
    return b'event: content_block_delta\ndata: {"type": "content_\xff\xfe not json\n\n'


def _event(data: Mapping[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _head(call: LoopbackCall, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{call.index}",
        "type": "message",
        "role": "assistant",
        "model": model,
    }


def _stop(reply: LoopbackReply) -> dict[str, Any]:
    if reply.refusal is not None:
        details = {"type": "refusal", "category": None, "explanation": reply.refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    reason = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    return {"stop_reason": FINISH_REASONS.get(reason, reason), "stop_sequence": None}


def _tool_use(call: LoopbackCall, at: int, name: str, arguments: Any) -> dict[str, Any]:
    given = arguments if isinstance(arguments, Mapping) else {"text": arguments}
    return {"type": "tool_use", "id": f"toolu_{call.index}_{at}", "name": name, "input": given}


def _usage(usage: tuple[int, ...]) -> dict[str, Any]:
    """The prompt's tokens without those from the cache, which are told apart."""
    prompt, completion, *parts = usage
    cached, written, thought = (*parts, 0, 0, 0)[:3]
    counts: dict[str, Any] = {"input_tokens": prompt - cached - written}
    if cached:
        counts["cache_read_input_tokens"] = cached
    if written:
        counts["cache_creation_input_tokens"] = written
    if thought:
        counts["output_tokens_details"] = {"thinking_tokens": thought}
    return {**counts, "output_tokens": completion}
