"""How values and errors are kept in a tape, as JSON: what comes back is what went in.

Owns: `encode`, `decode`, `encode_error`, `decode_error`, `digest`, `in_words`.
Refuses: objects of the host and procedures (`Unwritable`): there is nothing to make them from.

What JSON has stands for itself; everything else is an object with one key, which says what it is.
"""

from __future__ import annotations

import builtins
import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from fractions import Fraction
from hashlib import sha256
from importlib import import_module
from typing import Any

from omega import errors
from omega.errors import (
    Cancelled,
    LimitExceeded,
    OmegaError,
    OwnCondition,
    Raised,
    Span,
    TasksFailed,
)
from omega.lisp.data import Char, Eof, Keyword, Nil, Pair, Symbol, Values, spine, to_list
from omega.lisp.printer import shorten
from omega.lisp.table import HashTable
from omega.llm.messages import ToolCall
from omega.llm.rate_limits import Limit, RateLimits
from omega.llm.request import LLMReply, LLMRequest, Usage

DEPTH_MAX = 100  # levels of a value; json's encoder in C recurses
SMALL = 1 << 53  # integers that every reader of JSON takes
TEXT_MAX = 100  # characters of what is asked of the outside, as people are shown it
DIGEST_CHARS = 16

# What an error is besides its message, by name; of whatever class has it.
_FIELDS = ("hint", "irritants", "status", "retry_after_s", "retryable", "limit", "used", "allowed",
           "reason", "by", "task_id", "kinds", "fields", "payload",
           "throttle", "model", "attempts", "partial", "usage", "limits")  # fmt: skip


class Unwritable(Exception):
    """A value that a tape cannot hold. The text says what it is. digested: what stands for it where
    a hash is made of what is asked, the same for good: the hash is in journals.
    """

    def __init__(self, what: str, digested: str | None = None) -> None:
        super().__init__(what)
        self.digested = what if digested is None else digested


def encode(value: Any, depth: int = 0) -> Any:
    """A value as JSON data. Raises Unwritable."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if depth > DEPTH_MAX:
        raise Unwritable(f"a value more than {DEPTH_MAX} levels deep")
    if kind is int:
        return value if -SMALL < value < SMALL else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    write = _WRITERS.get(kind)
    if write is not None:
        return write(value, depth + 1)
    for plain in (int, float, str):  # of a subclass (IntEnum): it crosses as the plain value
        if isinstance(value, plain):
            return encode(plain(value), depth)
    name = kind.__name__
    raise Unwritable(f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}", f"a {name}")


def _items(values: Any, depth: int) -> list[Any]:
    return [encode(value, depth) for value in values]


def _pair(value: Pair, depth: int) -> dict[str, Any]:
    seen: set[int] = set()
    at: Any = value
    while isinstance(at, Pair):
        if id(at) in seen:
            raise Unwritable("a circular list")
        seen.add(id(at))
        at = at.cdr
    items = _items(spine(value), depth)
    return {"list": items} if at is Nil or at is None else {"dotted": items}


def _reply(value: LLMReply, depth: int) -> dict[str, Any]:
    kept = [value.text, _usage(value.usage), value.model, value.finish_reason]
    if value.tool_calls or value.limits is not None or value.parts:
        calls = [[c.id, c.name, encode(c.arguments, depth + 1)] for c in value.tool_calls]
        parts = [encode([dict(part) for part in value.parts], depth)] if value.parts else []
        kept.append([calls, encode(value.limits, depth), *parts])
    return {"reply": kept}


def _read_reply(kept: list[Any]) -> LLMReply:
    text, usage, model, finish_reason, *more = kept
    calls, limits, *parts = more[0] if more else ([], None)
    return LLMReply(
        text,
        _read_usage(usage),
        model,
        finish_reason,
        tool_calls=[ToolCall(id, name, decode(arguments)) for id, name, arguments in calls],
        limits=decode(limits),
        parts=decode(parts[0]) if parts else (),
    )


def _usage(value: Usage) -> list[Any]:
    counts = [value.input_tokens, value.output_tokens, value.is_reported]
    parts = [value.cached_tokens, value.written_tokens, value.reasoning_tokens]
    while parts and not parts[-1]:
        parts.pop()
    return [*counts, *parts]


def _read_usage(kept: list[Any]) -> Usage:
    sent, answered, is_reported, *parts = kept
    cached, written, thought = (*parts, 0, 0, 0)[:3]
    return Usage(
        sent,
        answered,
        cached_tokens=cached,
        written_tokens=written,
        reasoning_tokens=thought,
        is_reported=is_reported,
    )


def _limits(value: RateLimits) -> dict[str, Any]:
    told = {name: getattr(value, name) for name in RateLimits.__slots__}
    return {
        "limits": {
            name: [limit.limit, limit.remaining, limit.reset_s]
            for name, limit in told.items()
            if limit is not None
        }
    }


def _read_limits(kept: dict[str, Any]) -> RateLimits:
    return RateLimits(**{name: Limit(*fields) for name, fields in kept.items()})


def _entries(items: Any, depth: int) -> list[Any]:
    return [[encode(key, depth), encode(value, depth)] for key, value in items]


_WRITERS: dict[type, Callable[[Any, int], Any]] = {
    tuple: lambda value, depth: {"tuple": _items(value, depth)},
    dict: lambda value, depth: {"dict": _entries(value.items(), depth)},
    HashTable: lambda value, depth: {"table": _entries(value.items(), depth)},
    Pair: _pair,
    type(Nil): lambda value, depth: {"list": []},
    type(Eof): lambda value, depth: {"eof": True},
    Symbol: lambda value, depth: {"symbol": value.name},
    Keyword: lambda value, depth: {"keyword": value.name},
    Char: lambda value, depth: {"char": value.value},
    bytes: lambda value, depth: {"bytes": b64encode(value).decode()},
    bytearray: lambda value, depth: {"bytearray": b64encode(value).decode()},
    Fraction: lambda value, depth: {"ratio": [encode(value.numerator), encode(value.denominator)]},
    complex: lambda value, depth: {"complex": [encode(value.real), encode(value.imag)]},
    Values: lambda value, depth: {"values": _items(value.items, depth)},
    LLMReply: _reply,
    Usage: lambda value, depth: {"usage": _usage(value)},
    RateLimits: lambda value, depth: _limits(value),
}


def decode(kept: Any) -> Any:
    """The value that `encode` made `kept` of."""
    if type(kept) is list:
        return [decode(item) for item in kept]
    if type(kept) is not dict:
        return kept
    ((kind, content),) = kept.items()
    return _READERS[kind](content)


def _decoded(items: Any) -> list[Any]:
    return [decode(item) for item in items]


def _pairs(content: Any) -> list[tuple[Any, Any]]:
    return [(decode(key), decode(value)) for key, value in content]


def _dotted(content: Any) -> Any:
    *items, tail = _decoded(content)
    return to_list(items, tail)


_READERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda content: int(content, 16),
    "float": float,
    "tuple": lambda content: tuple(_decoded(content)),
    "dict": lambda content: dict(_pairs(content)),
    "table": lambda content: HashTable(_pairs(content)),
    "list": lambda content: to_list(_decoded(content)),
    "dotted": _dotted,
    "eof": lambda content: Eof,
    "symbol": Symbol.of,
    "keyword": Keyword.of,
    "char": Char.of,
    "bytes": b64decode,
    "bytearray": lambda content: bytearray(b64decode(content)),
    "ratio": lambda content: Fraction(*_decoded(content)),
    "complex": lambda content: complex(*_decoded(content)),
    "values": lambda content: Values(tuple(_decoded(content))),
    "reply": _read_reply,
    "usage": _read_usage,
    "limits": _read_limits,
}


# -- errors ----------------------------------------------------------------------------------------


def encode_error(error: BaseException) -> dict[str, Any]:
    """An error as JSON data. What of it a tape cannot hold is left out."""
    kept: dict[str, Any] = {"class": type(error).__name__}
    if not isinstance(error, (Exception, Cancelled)):
        kept["leaves"] = True
        if isinstance(error, SystemExit) and isinstance(error.code, (int, str)):
            kept["code"] = error.code
    if isinstance(error, OSError):
        kept["os"] = [error.errno, error.strerror]
    if isinstance(error, OmegaError):
        kept["kind"] = error.kind
        span = error._span
        if span is not None:
            kept["span"] = [span.file, span.line, span.column, span.end_line, span.end_column]
    kept["message"] = error.message if isinstance(error, OmegaError) else _text(error)
    for name in _FIELDS:
        value = getattr(error, name, None)
        if value is not None and value not in ([], ()):
            try:
                kept[name] = encode(list(value) if name == "irritants" else value)
            except Unwritable:
                pass
    return kept


# Exceptions that are no `Exception`, by where hosts have their classes from.
_ELSEWHERE = {"CancelledError": "asyncio", "GreenletExit": "greenlet"}


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its text cannot be shown)"


def decode_error(kept: dict[str, Any]) -> BaseException:
    """An error as `encode_error` saw it: its class, if it is one of ours or of Python's. What is no
    `Exception`, and so leaves a program for its host, does so again.
    """
    name = kept["class"]
    fields = {name: decode(kept[name]) for name in _FIELDS if name in kept}
    if name == Cancelled.__name__:
        return Cancelled(fields.get("reason"), fields.get("by"))
    cls = getattr(errors, name, None)
    if "kind" in kept:
        if not (isinstance(cls, type) and issubclass(cls, OmegaError)):
            cls = errors.LispError
        return _own(cls, kept, fields)
    base = OSError if "os" in kept else BaseException if "leaves" in kept else Exception
    cls = getattr(import_module(_ELSEWHERE[name]) if name in _ELSEWHERE else builtins, name, None)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        cls = type(name, (base,), {})
    error = _foreign(cls, kept["message"])
    if isinstance(error, SystemExit):
        error.code = kept.get("code")
    if isinstance(error, OSError):
        error.errno, error.strerror = kept["os"]
    return error


def _own(cls: type[OmegaError], kept: dict[str, Any], fields: dict[str, Any]) -> OmegaError:
    error = cls.__new__(cls)
    span = Span(*kept["span"]) if "span" in kept else None
    hint = fields.pop("hint", None)
    OmegaError.__init__(error, kept["message"], kind=kept["kind"], hint=hint, span=span)
    if isinstance(error, TasksFailed):
        error.outcomes = []
    needed: tuple[str, ...] = ()
    if isinstance(error, LimitExceeded):
        needed = ("limit", "used", "allowed")
    elif isinstance(error, errors.LLMError):
        needed = ("status", "retry_after_s", "retryable", "throttle", "reason", "model", "attempts",
                  "partial", "usage", "limits")  # fmt: skip
    elif isinstance(error, errors.TaskCancelled):
        needed = ("task_id", "reason", "by")
    elif isinstance(error, OwnCondition):
        needed = ("kinds", "fields")
    elif isinstance(error, Raised):
        needed = ("payload",)
    for name in {*needed, *fields}:
        setattr(error, name, fields.get(name))
    return error


def _foreign(cls: type[BaseException], text: str) -> BaseException:
    """An exception that is shown as it was, whatever its class makes of arguments."""
    shown: Any = type(cls.__name__, (cls,), {"__str__": lambda self: text})
    error: BaseException = shown.__new__(shown, text)
    return error


# -- what is asked ---------------------------------------------------------------------------------


def digest(asked: Any, *, shows_prompts: bool = True) -> list[str]:
    """[a short text, a hash] of what is asked of the outside: arguments, a request.

    shows_prompts: whether the beginning of a prompt is in the text, or the hash in its place.
    """
    if isinstance(asked, LLMRequest):
        try:
            hash_ = asked.content_hash()[:DIGEST_CHARS]
        except OmegaError:
            hash_ = "-"
        if shows_prompts:
            return [repr(asked), hash_]
        model = "" if asked.model is None else f", model={asked.model!r}"
        return [f"LLMRequest(#{hash_}{model})", hash_]
    text = " ".join(shorten(item, TEXT_MAX) for item in asked)
    data = json.dumps([_canonical(item) for item in asked])
    return [text[:TEXT_MAX], sha256(data.encode()).hexdigest()[:DIGEST_CHARS]]


_PROMPT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_REQUEST = re.compile(rf"LLMRequest\(({_PROMPT}|#[0-9a-f-]+)(?:, model=({_PROMPT}))?\)")


def in_words(text: str) -> str:
    """The short text of `digest`, for people."""
    request = _REQUEST.fullmatch(text)
    if request is None:
        return text
    prompt, model = request.groups()
    return f"the prompt {prompt}" + (f" for the model {model}" if model else "")


def model_asked(text: str) -> str | None:
    """The model that the short text of a request names."""
    request = _REQUEST.fullmatch(text)
    return None if request is None or request[2] is None else request[2][1:-1]


def prompt_asked(text: str) -> str | None:
    """The beginning of the prompt that the short text of a request shows; None: it is of none."""
    request = _REQUEST.fullmatch(text)
    return None if request is None else request[1]


def text_hash(text: str) -> str:
    """The hash by which a program's text is known."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(item: Any) -> Any:
    try:
        return encode(item)
    except Unwritable as unwritable:
        return {"other": unwritable.digested}
