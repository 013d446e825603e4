"""The shapes of a conversation, the same for every vendor: messages, content parts, tools.

Owns: what a message, a part, a tool and a schema look like, and the errors for those that do not.
Refuses: to know how a vendor writes them; each provider translates.

    {"role": "system" or "user", "content": CONTENT}
    {"role": "assistant", "content": CONTENT, "tool_calls": [{"id", "name", "arguments"}, ...]}
    {"role": "tool", "tool_call_id": id, "content": CONTENT, "is_error": boolean}

CONTENT is a text, or a list of {"type": "text", "text"}, {"type": "image", "media_type", "data"}
(base64) and {"type": "image", "url"}. Beside tool calls it may be left out. `arguments` is an
object, or the text the model wrote when that was none. A tool is {"name", "description",
"parameters": JSON Schema}.

A text or an image may have {"cache": true}: what comes up to it is worth keeping at the vendor's.
What the assistant thought stands in its content where it came, as {"type": "thinking", "vendor",
"text", "opaque"}: that vendor gets it back as it was, since it may refuse a conversation without,
and no other is shown it. `opaque` is whatever the vendor sent beside the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omega.errors import LispTypeError, LispValueError

NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every vendor takes as the name of a tool
_MEDIA_TYPE = re.compile(r"image/[\w.+-]+")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class ToolCall:
    """A tool the model asks for.

    id: what the answer to it is to name. arguments: a dict, or the text the model wrote when that
    is no JSON object.
    """

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id: str, name: str, arguments: dict[str, Any] | str) -> None:
        self.id = id
        self.name = name
        self.arguments = arguments

    def as_message(self) -> dict[str, Any]:
        """As it stands in the `tool_calls` of a message."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToolCall) and self.as_message() == other.as_message()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ToolCall({self.id!r}, {self.name!r}, {self.arguments!r})"


def checked_messages(messages: object) -> tuple[dict[str, Any], ...]:
    """Copies of `messages`. Raises LispTypeError or LispValueError, naming index and field."""
    if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
        raise LispTypeError(f"an LLM request's messages must be a list, got {kind_name(messages)}")
    asked: set[str] = set()
    turns = []
    for index, message in enumerate(messages):
        where = f"message {index} of an LLM request"
        if not isinstance(message, Mapping):
            raise LispTypeError(f"{where} must be a mapping, got {kind_name(message)}")
        turn = _message(message, where)
        if turn["role"] == "assistant":
            asked.update(call["id"] for call in turn.get("tool_calls", ()))
        elif turn["role"] == "tool" and turn["tool_call_id"] not in asked:
            raise LispValueError(
                f"{where}, field `tool_call_id`: no message before it asks for "
                f"{turn['tool_call_id']!r}",
                hint="the assistant's message with its tool_calls comes first",
            )
        turns.append(turn)
    return tuple(turns)


def checked_tools(tools: object) -> tuple[dict[str, Any], ...]:
    """Copies of `tools`, complete. Raises LispTypeError or LispValueError, naming the field."""
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence):
        raise LispTypeError(f"an LLM request's tools must be a list, got {kind_name(tools)}")
    checked: list[dict[str, Any]] = []
    for index, tool in enumerate(tools):
        where = f"tool {index} of an LLM request"
        if not isinstance(tool, Mapping):
            raise LispTypeError(f"{where} must be a mapping, got {kind_name(tool)}")
        _only(tool, ("name", "description", "parameters"), where)
        name = checked_name(tool.get("name"), f"{where}, field `name`")
        if any(other["name"] == name for other in checked):
            raise LispValueError(f"{where}: there are two tools named {name!r}")
        parameters = tool.get("parameters", NO_PARAMETERS)
        if not isinstance(parameters, Mapping):
            raise _type_error(where, "parameters", "a JSON Schema (a mapping)", parameters)
        if parameters.get("type") != "object":
            raise LispValueError(f'{where}, field `parameters`: its "type" must be "object"')
        description = _string(tool.get("description", ""), where, "description")
        checked.append({"name": name, "description": description, "parameters": dict(parameters)})
    return tuple(checked)


def checked_schema(schema: object) -> dict[str, Any] | None:
    """A copy of a JSON Schema, or None. What it says is the validator's to judge."""
    if schema is None:
        return None
    if not isinstance(schema, Mapping):
        raise LispTypeError(
            f"an LLM request's schema must be a JSON Schema (a mapping), got {kind_name(schema)}"
        )
    return dict(schema)


def checked_name(name: object, where: str) -> str:
    """A name that every vendor takes."""
    if not isinstance(name, str):
        raise LispTypeError(f"{where} must be a string, got {kind_name(name)}")
    if not _NAME.fullmatch(name):
        raise LispValueError(
            f"{where}: {name!r} is no name for a model",
            hint="1 to 64 letters, digits, `_` and `-`",
        )
    return name


def text_of(content: object) -> str:
    """The text of a content: itself, or that of its text parts."""
    if isinstance(content, str):
        return content
    assert isinstance(content, Sequence)
    return "".join(part["text"] for part in content if part["type"] == "text")


def thinking_of(content: object) -> str:
    """What a model thought, of a content: the text of its thinking parts."""
    if isinstance(content, str):
        return content and ""
    assert isinstance(content, Sequence)
    thought = [part["text"] for part in content if part["type"] == "thinking"]
    return "\n\n".join(text for text in thought if text)


def has_images(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a message shows an image."""
    return any(
        part["type"] == "image"
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
    )


def kind_name(value: object) -> str:
    return type(value).__name__


# One message


def _message(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    if "role" not in message:
        raise LispValueError(f"{where} needs a role and a content")
    role = message["role"]
    read = _ROLES.get(role) if isinstance(role, str) else None
    if read is None:
        known = ", ".join(_ROLES)
        raise LispValueError(f"{where}, field `role`: {role!r} is none of {known}")
    return read(message, where)


def _plain(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    _only(message, ("role", "content"), where)
    return {"role": message["role"], "content": _content(message, where)}


def _assistant(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    _only(message, ("role", "content", "tool_calls"), where)
    calls = message.get("tool_calls", ())
    if isinstance(calls, (str, bytes)) or not isinstance(calls, Sequence):
        raise _type_error(where, "tool_calls", "a list", calls)
    if not calls:
        return {"role": "assistant", "content": _content(message, where)}
    if message.get("content") is None:
        message = {**message, "content": ""}
    read = [_tool_call(call, f"{where}, tool call {at}") for at, call in enumerate(calls)]
    return {"role": "assistant", "content": _content(message, where), "tool_calls": read}


def _tool_call(call: object, where: str) -> dict[str, Any]:
    if isinstance(call, ToolCall):
        call = call.as_message()
    if not isinstance(call, Mapping):
        raise LispTypeError(f"{where} must be a mapping, got {kind_name(call)}")
    _only(call, ("id", "name", "arguments"), where)
    arguments = call.get("arguments")
    if not isinstance(arguments, (str, Mapping)):
        raise _type_error(where, "arguments", "a mapping", arguments)
    return {
        "id": _full(call.get("id"), where, "id"),
        "name": _full(call.get("name"), where, "name"),
        "arguments": arguments if isinstance(arguments, str) else dict(arguments),
    }


def _tool(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    _only(message, ("role", "content", "tool_call_id", "is_error"), where)
    is_error = message.get("is_error", False)
    if not isinstance(is_error, bool):
        raise _type_error(where, "is_error", "a boolean", is_error)
    return {
        "role": "tool",
        "tool_call_id": _full(message.get("tool_call_id"), where, "tool_call_id"),
        "content": _content(message, where),
        "is_error": is_error,
    }


_ROLES: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "system": _plain,
    "user": _plain,
    "assistant": _assistant,
    "tool": _tool,
}


# One content


def _content(message: Mapping[str, Any], where: str) -> str | list[dict[str, Any]]:
    if "content" not in message:
        raise LispValueError(f"{where} needs a role and a content")
    content = message["content"]
    if isinstance(content, str):
        return content
    if isinstance(content, bytes) or not isinstance(content, Sequence):
        raise _type_error(where, "content", "a string or a list of parts", content)
    return [_part(part, f"{where}, part {at} of its content") for at, part in enumerate(content)]


def _part(part: object, where: str) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        raise LispTypeError(f"{where} must be a mapping, got {kind_name(part)}")
    kind = part.get("type")
    if kind == "thinking":
        return _thinking(part, where)
    cached = _cached(part, where)
    if kind == "text":
        _only(part, ("type", "text", "cache"), where)
        return {"type": "text", "text": _string(part.get("text"), where, "text"), **cached}
    if kind != "image":
        raise LispValueError(f"{where}, field `type`: {kind!r} is none of text, image, thinking")
    if "url" in part:
        _only(part, ("type", "url", "cache"), where)
        url = _string(part["url"], where, "url")
        if not url.startswith(("http://", "https://")):
            hint = "an image of your own is given by `media_type` and `data`"
            raise LispValueError(f"{where}, field `url`: no http(s) URL", hint=hint)
        return {"type": "image", "url": url, **cached}
    _only(part, ("type", "media_type", "data", "cache"), where)
    media_type = _string(part.get("media_type"), where, "media_type")
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise LispValueError(
            f"{where}, field `media_type`: {media_type!r} is no image's", hint="such as image/png"
        )
    data = _full(part.get("data"), where, "data")
    if not _BASE64.fullmatch(data):
        raise LispValueError(f"{where}, field `data`: no base64")
    return {"type": "image", "media_type": media_type, "data": data, **cached}


def _cached(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The mark of a part, if it has one: what says no is left out."""
    cache = part.get("cache", False)
    if not isinstance(cache, bool):
        raise _type_error(where, "cache", "a boolean", cache)
    return {"cache": True} if cache else {}


def _thinking(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    _only(part, ("type", "vendor", "text", "opaque"), where)
    opaque = part.get("opaque", {})
    if not isinstance(opaque, Mapping):
        raise _type_error(where, "opaque", "a mapping", opaque)
    return {
        "type": "thinking",
        "vendor": _full(part.get("vendor"), where, "vendor"),
        "text": _string(part.get("text", ""), where, "text"),
        "opaque": dict(opaque),
    }


def _only(given: Mapping[str, Any], fields: tuple[str, ...], where: str) -> None:
    for field in given:
        if field not in fields:
            raise LispValueError(
                f"{where}: unknown field `{field}`", hint=f"fields: {', '.join(fields)}"
            )


def _string(value: object, where: str, field: str) -> str:
    if not isinstance(value, str):
        raise _type_error(where, field, "a string", value)
    return value


def _full(value: object, where: str, field: str) -> str:
    text = _string(value, where, field)
    if not text:
        raise LispValueError(f"{where}, field `{field}` is empty")
    return text


def _type_error(where: str, field: str, wanted: str, got: object) -> LispTypeError:
    return LispTypeError(f"{where}, field `{field}` must be {wanted}, got {kind_name(got)}")
