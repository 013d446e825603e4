"""What one character of a pattern can be: a literal, a class, the dot.

Owns: the sets of characters, whether a character is in one, and how one is written for Python's
`re`. Refuses: sequences of characters.

Invariant: `test` agrees with `re` on `source` for every single character.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# A member of a class: a range of characters, or the letter of a category (d D w W s S).
Member = tuple[str, str] | str

CATEGORIES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
    "D": lambda char: not char.isdecimal(),
    "W": lambda char: not (char.isalnum() or char == "_"),
    "S": lambda char: not char.isspace(),
}
POSIX: dict[str, tuple[Member, ...]] = {
    "alpha": (("A", "Z"), ("a", "z")),
    "digit": (("0", "9"),),
    "alnum": (("A", "Z"), ("a", "z"), ("0", "9")),
    "upper": (("A", "Z"),),
    "lower": (("a", "z"),),
    "space": ((" ", " "), ("\t", "\r")),
    "blank": ((" ", " "), ("\t", "\t")),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
    "word": (("A", "Z"), ("a", "z"), ("0", "9"), ("_", "_")),
    "cntrl": (("\0", "\x1f"), ("\x7f", "\x7f")),
    "print": ((" ", "~"),),
    "graph": (("!", "~"),),
}


class Atom:
    """A set of characters.

    source: as `re` writes it, flags included. literal: the character, if it is that one alone.
    """

    __slots__ = ("literal", "source", "test")

    def __init__(self, source: str, test: Callable[[str], bool], literal: str | None) -> None:
        self.source, self.test, self.literal = source, test, literal


def literal(char: str, ignore_case: bool) -> Atom:
    source = re.escape(char)
    if ignore_case and (char.lower() != char or char.upper() != char or not char.isascii()):
        return _folded(source)
    return Atom(source, char.__eq__, char)


def dot(all_characters: bool) -> Atom:
    if all_characters:
        return Atom(r"[\s\S]", lambda _: True, None)
    return Atom(r"[^\n]", "\n".__ne__, None)


def category(letter: str) -> Atom:
    return Atom("\\" + letter, CATEGORIES[letter], None)


def members(items: list[Member], negated: bool, ignore_case: bool) -> Atom:
    """A class in brackets."""
    source = "[" + "^" * negated + "".join(map(_member, items)) + "]"
    if ignore_case:
        return _folded(source)
    ranges = [(item[0], item[1]) for item in items if isinstance(item, tuple)]
    tests = [CATEGORIES[item] for item in items if isinstance(item, str)]

    def test(char: str) -> bool:
        for low, high in ranges:
            if low <= char <= high:
                return not negated
        return any(t(char) for t in tests) is not negated

    return Atom(source, test, None)


def _folded(source: str) -> Atom:
    source = f"(?i:{source})"
    match = re.compile(source).match
    return Atom(source, lambda char: match(char) is not None, None)


def _member(item: Member) -> str:
    if isinstance(item, str):
        return "\\" + item
    low, high = item
    return _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}"


def _escaped(char: str) -> str:
    return char if char.isalnum() and char.isascii() else f"\\U{ord(char):08x}"


def is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
