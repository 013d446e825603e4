"""Parts of strings and what two have in common (SRFI 13, 130, 152): what calls no procedure.

Owns: taking and dropping, common prefixes and suffixes, searching from the right, pieces joined in
reverse; and, for the library's Lisp, joining what a procedure gave.
"""

from __future__ import annotations

from typing import Any

from omega.errors import LispIndexError
from omega.lisp.data import Char, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import string, wrong_type
from omega.lisp.primitives.registry import primitive


def _part(name: str, s: Any, n: Any) -> tuple[str, int]:
    """The string and a count of characters it has at least."""
    text, count = string(name, 1, s), check.natural(name, 2, n)
    if count > len(text):
        from omega.lisp.printer import shorten

        raise LispIndexError(
            f"`{name}` expected a count of at most {len(text)}, got {shorten(count, 30)}",
            hint="the count is of characters of the string",
        )
    return text, count


def _cut(text: str, first: int, last: int, rt: Any) -> str:
    check.spend(rt, last - first)
    return text[first:last]


@primitive("string-take", result="string")
def string_take(s: Any, n: Any, *, rt: Any) -> str:
    """(string-take s n) -> string: its first n characters. SRFI 13."""
    text, count = _part("string-take", s, n)
    return _cut(text, 0, count, rt)


@primitive("string-drop", result="string")
def string_drop(s: Any, n: Any, *, rt: Any) -> str:
    """(string-drop s n) -> string: all but its first n characters. SRFI 13."""
    text, count = _part("string-drop", s, n)
    return _cut(text, count, len(text), rt)


@primitive("string-take-right", result="string")
def string_take_right(s: Any, n: Any, *, rt: Any) -> str:
    """(string-take-right s n) -> string: its last n characters. SRFI 13."""
    text, count = _part("string-take-right", s, n)
    return _cut(text, len(text) - count, len(text), rt)


@primitive("string-drop-right", result="string")
def string_drop_right(s: Any, n: Any, *, rt: Any) -> str:
    """(string-drop-right s n) -> string: all but its last n characters. SRFI 13."""
    text, count = _part("string-drop-right", s, n)
    return _cut(text, 0, len(text) - count, rt)


def _two(name: str, s: Any, t: Any, ranges: tuple[Any, ...]) -> tuple[str, str]:
    """The parts meant by two strings and up to two ranges."""
    a, b = string(name, 1, s), string(name, 2, t)
    start, end, start2, end2 = ranges
    first, last = check.span(name, 3, start, end, len(a), "string")
    first2, last2 = check.span(name, 5, start2, end2, len(b), "string")
    return a[first:last], b[first2:last2]


def _common(a: str, b: str) -> int:
    """How many characters both begin with."""
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return at
    return min(len(a), len(b))


@primitive("string-prefix-length", result="int")
def string_prefix_length(
    s: Any, t: Any, start: Any = None, end: Any = None, start2: Any = None, end2: Any = None,
    *, rt: Any,
) -> int:  # fmt: skip
    """(string-prefix-length s t [start end [start2 end2]]) -> integer: how many characters both
    begin with. The ranges are of s and of t. SRFI 13.
    """
    a, b = _two("string-prefix-length", s, t, (start, end, start2, end2))
    check.spend_each(rt, min(len(a), len(b)))
    return _common(a, b)


@primitive("string-suffix-length", result="int")
def string_suffix_length(
    s: Any, t: Any, start: Any = None, end: Any = None, start2: Any = None, end2: Any = None,
    *, rt: Any,
) -> int:  # fmt: skip
    """(string-suffix-length s t [start end [start2 end2]]) -> integer: how many characters both
    end with. The ranges are of s and of t. SRFI 13.
    """
    a, b = _two("string-suffix-length", s, t, (start, end, start2, end2))
    check.spend_each(rt, min(len(a), len(b)))
    return _common(a[::-1], b[::-1])


@primitive("string-contains-right")
def string_contains_right(
    s: Any, part: Any, start: Any = None, end: Any = None, start2: Any = None, end2: Any = None,
    *, rt: Any,
) -> Any:  # fmt: skip
    """(string-contains-right s part [start end [start2 end2]]) -> integer or #f: where `part` last
    stands in s. The ranges are of s and of part. SRFI 152.
    """
    text, wanted = _two("string-contains-right", s, part, (start, end, start2, end2))
    check.spend(rt, len(text))
    at = text.rfind(wanted)
    return False if at < 0 else at + (start or 0)


@primitive("string-concatenate-reverse", result="string")
def string_concatenate_reverse(strings: Any, final: Any = "", end: Any = None, *, rt: Any) -> str:
    """(string-concatenate-reverse list [final [end]]) -> string: the strings of a list in one, the
    last first, then the characters of `final` before end. SRFI 13.
    """
    name = "string-concatenate-reverse"
    parts = check.proper_list(name, 1, strings, rt)
    for part in parts:
        if type(part) is not str:
            raise wrong_type(name, 1, "a list of strings", strings)
    text = string(name, 2, final)
    _, last = check.span(name, 2, None, end, len(text), "string")
    check.size(rt, sum(map(len, parts)) + last, "characters")
    return "".join([*reversed(parts), text[:last]])


@primitive("reverse-list->string", result="string")
def reverse_list_to_string(chars: Any, *, rt: Any) -> str:
    """(reverse-list->string list) -> string: of a list of characters, the last first. SRFI 13."""
    items = check.proper_list("reverse-list->string", 1, chars, rt)
    for item in items:
        if type(item) is not Char:
            raise wrong_type("reverse-list->string", 1, "a list of characters", chars)
    return "".join([item.value for item in reversed(items)])


@primitive("string-segment", result="list")
def string_segment(s: Any, size: Any, *, rt: Any) -> Any:
    """(string-segment s n) -> list: the string in pieces of n characters; the last may be shorter.
    SRFI 152.
    """
    text, width = string("string-segment", 1, s), check.natural("string-segment", 2, size)
    if width == 0:
        raise check.invalid("string-segment", "expected pieces of at least 1 character")
    check.spend_each(rt, len(text))
    return to_list([text[at : at + width] for at in range(0, len(text), width)])


@primitive("%given-characters", result="string")
def given_characters(name: Any, parts: Any, backwards: Any, *, rt: Any) -> str:
    """(%given-characters name list backwards?) -> the characters and strings in a list that a
    procedure gave, as one string; the last first if wanted.
    """
    if type(name) is not str:
        raise wrong_type("%given-characters", 1, "a name", name)
    texts = []
    for part in check.proper_list(name, 1, parts, rt):
        if type(part) is Char:
            texts.append(part.value)
        elif type(part) is str:
            texts.append(part)
        else:
            raise wrong_type(name, "the value of its procedure", "a character", part)
    check.size(rt, sum(map(len, texts)), "characters")
    return "".join(texts[::-1] if backwards is not False else texts)
