"""How many tokens a call will have: estimates, and exact counts where a tokenizer is at hand.

Owns: `TokenCounter`, `TokenCount`, the two estimates. Refuses: to download anything, and to be
exact about what only vendors know (how they write roles, tools and images into a prompt).

Two numbers are wanted, for two uses:
- the *typical* one, for rate limits: too much wastes rate, too little is settled afterwards;
- the *most* it can be, for budgets: a reservation below the truth would break the budget's law.

For text, the most is its number of bytes in UTF-8: the tokenizers of both vendors are byte-level
pair encodings, where every token stands for at least one byte (Sennrich et al. 2016; GPT-2).
Anthropic's has been seen to normalize its text (NFKC) first, which may make it longer: the longer
of both counts.

Typical is a quarter of a token per ASCII character, five eighths for the letters of other
alphabets, one for Chinese, Japanese and Korean. Beside o200k_base and cl100k_base: English prose
1.2 times the truth, Python code 1.0, Markdown with tables 0.65, JSON and digits 0.6, base64 0.5,
other scripts 0.8 to 2, since newer tokenizers know them better.

With the package `tiktoken` installed, text for OpenAI's models is counted exactly, if the file of
the model's encoding is already where tiktoken keeps it: tiktoken itself would fetch it, from the
network, in the middle of a program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omega.llm.request import LLMRequest

EXACT_CHARS_MAX = 200_000  # of one text; beyond it an estimate is near enough, and much faster
PARTS_MAX = 1_000_000  # values walked in a request

# What is around the texts: (typical, most) tokens.
MESSAGE = (4, 16)  # a turn's role and separators
REQUEST = (3, 32)  # the beginning of the answer
TOOLS = (300, 1_000)  # what a vendor says about tools when there are any
IMAGE = (1_000, 50_000)  # a gpt-4o-mini counts 2,833 + 5,667 for each of up to 8 tiles

_URL = "https://openaipublic.blob.core.windows.net/encodings/"
# encoding -> (where tiktoken gets it, SHA-256 of that file), as in tiktoken 0.14: its cache is
# keyed by the first, and a file that does not have the second is fetched again.
ENCODINGS = {
    "cl100k_base": (
        _URL + "cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        _URL + "o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}

Count = Callable[[str], int]


def typical_tokens(text: str) -> int:
    """About how many tokens `text` is."""
    chars = len(text)
    beyond_ascii = 0 if text.isascii() else _bytes(text) - chars  # 1, 2 or 3 for each such char
    return (2 * chars + 3 * beyond_ascii + 7) // 8


def most_tokens(text: str) -> int:
    """How many tokens `text` cannot exceed."""
    if text.isascii():
        return len(text)
    from unicodedata import normalize

    return max(_bytes(text), _bytes(normalize("NFKC", text)))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class TokenCount:
    """typical, most: tokens. is_exact: the texts were counted by the model's own tokenizer."""

    __slots__ = ("is_exact", "most", "typical")

    def __init__(self, typical: int, most: int, is_exact: bool = False) -> None:
        self.typical, self.most, self.is_exact = typical, most, is_exact

    def __repr__(self) -> str:
        return f"TokenCount({self.typical}, {self.most}, is_exact={self.is_exact})"


class TokenCounter:
    """Counts, with the tokenizers it has found. encodings: as ENCODINGS."""

    def __init__(self, encodings: Mapping[str, tuple[str, str]] = ENCODINGS) -> None:
        self._encodings = encodings
        self._by_model: dict[str, Count | None] = {}
        self._by_encoding: dict[str, Count | None] = {}

    def text(self, text: str, model: str | None = None) -> TokenCount:
        """The tokens of a text for `model`."""
        count = None if model is None else self._count_for(model)
        if count is None or len(text) > EXACT_CHARS_MAX:
            return TokenCount(typical_tokens(text), most_tokens(text))
        exact = count(text)
        return TokenCount(exact, exact, True)

    def input(
        self, request: LLMRequest, model: str | None = None, *, exact: bool = True
    ) -> TokenCount:
        """The input tokens of a call. model: the one that is asked, when the request names none.
        exact: False estimates, which takes no time, and loads no tokenizer.
        """
        walk = _Walk(self, (request.model or model) if exact else None)
        walk.add(REQUEST)
        if request.system:
            walk.add(MESSAGE)
            walk.text(request.system)
        for turn in request.turns():
            walk.add(MESSAGE)
            walk.data(turn.get("content"))
            for field, value in turn.items():
                if field not in ("role", "content"):
                    walk.data(value)
        if request.tools or request.schema is not None:
            walk.add(TOOLS)
            walk.data([*request.tools, request.schema])
        return TokenCount(walk.typical, walk.most, walk.is_exact)

    def _count_for(self, model: str) -> Count | None:
        if model not in self._by_model:
            self._by_model[model] = self._find(model)
        return self._by_model[model]

    def _find(self, model: str) -> Count | None:
        from importlib import import_module

        try:
            tiktoken: Any = import_module("tiktoken")
            name: str = tiktoken.encoding_name_for_model(model)
        except (ImportError, KeyError):
            return None
        if name not in self._by_encoding:
            self._by_encoding[name] = self._load(tiktoken, name)
        return self._by_encoding[name]

    def _load(self, tiktoken: Any, name: str) -> Count | None:
        """The encoding, when tiktoken need not fetch it."""
        if name not in self._encodings or not _is_at_hand(*self._encodings[name]):
            return None
        encode = tiktoken.get_encoding(name).encode_ordinary
        return lambda text: len(encode(text))


def _is_at_hand(url: str, digest: str) -> bool:
    """Whether tiktoken has the file, whole."""
    import hashlib
    import os
    import tempfile

    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if folder == "":  # tiktoken's word for "keep nothing"
        return False
    path = Path(folder) / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


class _Walk:
    """Sums over everything in a request that becomes tokens."""

    def __init__(self, counter: TokenCounter, model: str | None) -> None:
        self._counter, self._model = counter, model
        self.typical = self.most = self._parts = 0
        self.is_exact = True

    def add(self, tokens: tuple[int, int]) -> None:
        self.typical += tokens[0]
        self.most += tokens[1]

    def text(self, text: str) -> None:
        found = self._counter.text(text, self._model)
        self.add((found.typical, found.most))
        self.is_exact = self.is_exact and found.is_exact

    def data(self, value: object) -> None:
        """Texts, images, and JSON data: that counts as it is written."""
        stack = [value]
        while stack:
            self._parts += 1
            at = stack.pop()
            if self._parts > PARTS_MAX:  # the request's own hash refuses as much
                return
            if isinstance(at, str):
                self.text(at)
            elif isinstance(at, Mapping):
                if at.get("type") == "image":
                    self.add(IMAGE)
                    continue
                for key, part in at.items():
                    self.add((2, len(str(key).encode("utf-8", "surrogatepass")) + 6))
                    stack.append(part)
            elif isinstance(at, (list, tuple)):
                self.add((len(at), 2 * len(at) + 2))
                stack.extend(at)
            elif at is not None:
                self.add((2, 32))  # a number or a boolean
