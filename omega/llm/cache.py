"""Answers kept for requests that are asked again: the interface of a cache, and the one in memory.

Owns: `ReplyCache` (what any cache promises), `MemoryCache`, how a reply is written down. Refuses:
to decide which requests are kept (the effect door: `:cache #t`, or temperature 0), and to know
requests: a key is the hash of a request's content.

A cache may forget at any time, and never gives an answer that was not put under that key. Replies
are kept as JSON text: nobody who got one can change what the next one gets, and a file holds the
same. What a reply says of the moment (the vendor's rate limits) is not kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from omega.errors import HostError
from omega.llm.request import LLMReply, Usage

if TYPE_CHECKING:
    from omega.llm.messages import ToolCall

MEMORY_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 300  # what an entry costs beside its text: key, dictionary, links


class ReplyCache(Protocol):
    """What `MemoryCache` and `SQLiteCache` have in common. hits, misses: of `get`, in all."""

    hits: int
    misses: int

    def get(self, key: str) -> LLMReply | None:
        """The reply put under `key`, a new object; None when there is none, or no more."""

    def put(self, key: str, reply: LLMReply) -> None:
        """Keep `reply`; what was there under `key` is replaced."""

    def clear(self) -> None:
        """Forget everything."""

    def close(self) -> None:
        """Give back what is held. Idempotent; afterwards nothing is found or kept."""

    def __len__(self) -> int: ...


class MemoryCache:
    """Keeps up to `bytes_max` bytes; what was used longest ago goes first."""

    def __init__(self, bytes_max: int = MEMORY_BYTES) -> None:
        if isinstance(bytes_max, bool) or not isinstance(bytes_max, int) or bytes_max < 0:
            raise HostError(f"a cache's bytes_max must be a whole number >= 0, got {bytes_max!r}")
        self.bytes_max = bytes_max
        self.bytes_used = self.hits = self.misses = self.evicted = 0
        self._texts: OrderedDict[str, bytes] = OrderedDict()  # oldest use first
        self._is_closed = False

    def get(self, key: str) -> LLMReply | None:
        text = self._texts.get(key)
        if text is None:
            self.misses += 1
            return None
        self._texts.move_to_end(key)
        self.hits += 1
        return reply_from_text(text.decode())

    def put(self, key: str, reply: LLMReply) -> None:
        self._forget(key)
        text = reply_to_text(reply).encode()
        size = _size(key, text)
        if size > self.bytes_max or self._is_closed:  # it would drive out all others for nothing
            return
        self._texts[key] = text
        self.bytes_used += size
        while self.bytes_used > self.bytes_max:
            self._forget(next(iter(self._texts)))
            self.evicted += 1

    def clear(self) -> None:
        self._texts.clear()
        self.bytes_used = 0

    def close(self) -> None:
        self.clear()
        self._is_closed = True

    def __len__(self) -> int:
        return len(self._texts)

    def _forget(self, key: str) -> None:
        text = self._texts.pop(key, None)
        if text is not None:
            self.bytes_used -= _size(key, text)


def _size(key: str, text: bytes) -> int:
    return len(key) + len(text) + ENTRY_BYTES


def reply_to_text(reply: LLMReply) -> str:
    """A reply as JSON that any encoding of text can hold."""
    usage = reply.usage
    data: dict[str, Any] = {
        "text": reply.text,
        "model": reply.model,
        "finish_reason": reply.finish_reason,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "is_reported": usage.is_reported,
    }
    data |= usage.parts()
    if reply.parts:
        data["parts"] = [dict(part) for part in reply.parts]
    if reply.tool_calls:
        data["tool_calls"] = [call.as_message() for call in reply.tool_calls]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which a model may well send
        text = json.dumps(data, separators=(",", ":"))
    return text


def reply_from_text(text: str) -> LLMReply:
    """The reply written as `text`. Raises ValueError, KeyError or TypeError for any other text."""
    data = json.loads(text)
    usage = Usage(
        data["input_tokens"],
        data["output_tokens"],
        cached_tokens=data.get("cached_tokens", 0),
        written_tokens=data.get("written_tokens", 0),
        reasoning_tokens=data.get("reasoning_tokens", 0),
        is_reported=data["is_reported"],
    )
    calls: list[ToolCall] = []
    if "tool_calls" in data:
        from omega.llm.messages import ToolCall

        calls = [ToolCall(**call) for call in data["tool_calls"]]
    return LLMReply(
        data["text"],
        usage,
        data["model"],
        data["finish_reason"],
        tool_calls=calls,
        parts=data.get("parts", ()),
    )
