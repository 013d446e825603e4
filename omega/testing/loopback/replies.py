"""What a loopback server answers.

Owns: `LoopbackReply`. Refuses: to know a vendor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any


class LoopbackReply:
    """One answer.

    tool_calls: (name, arguments) pairs, the arguments a mapping, or a text that is sent as it is.
    finish_reason: the vendor's word; None: the usual one. usage: (prompt tokens, completion
    tokens), then those of the prompt read from the cache, those written to it, and those of the
    completion that are thinking; None: the server's. refusal: the model will not answer, in these
    words. thinking: what the model thinks first, if it is asked to; with `redacted` nobody may read
    it. pieces: the text as it is streamed; None: by words.
    headers: of the answer.
    """

    def __init__(
        self,
        text: str = "",
        *,
        tool_calls: Iterable[tuple[str, Mapping[str, Any] | str]] = (),
        finish_reason: str | None = None,
        usage: tuple[int, ...] | None = None,
        refusal: str | None = None,
        thinking: str | None = None,
        redacted: bool = False,
        pieces: Iterable[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.text = text
        self.tool_calls = [(name, arguments) for name, arguments in tool_calls]
        self.finish_reason = finish_reason
        self.usage = usage
        self.refusal = refusal
        self.thinking, self.redacted = thinking, redacted
        self.pieces = words(text) if pieces is None else list(pieces)
        self.headers = dict(headers or {})

    def as_call_of(self, tool: str) -> LoopbackReply:
        """The same by a call of `tool`, as a model answers that is made to call one: the text must
        be a JSON object.
        """
        arguments = json.loads(self.text)
        return LoopbackReply(tool_calls=[(tool, arguments)], usage=self.usage, headers=self.headers)


def words(text: str) -> list[str]:
    """A text in pieces that are words with the space before them."""
    return re.findall(r"\s*\S+|\s+$", text)


def in_parts(text: str, size: int = 12) -> list[str]:
    """A text in pieces of at most `size` characters."""
    return [text[at : at + size] for at in range(0, len(text), size)]
