"""Characters (R7RS 6.6 and (scheme char)).

Owns: everything on `Char`. Letters, digits and case are Unicode's, as Python's `str` has them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from omega.lisp.data import Char, is_scalar
from omega.lisp.primitives import check
from omega.lisp.primitives.registry import primitive

_SEPARATORS = frozenset("\x1c\x1d\x1e\x1f")  # blanks for Python, no White_Space for Unicode


def char(name: str, position: int, x: Any) -> str:
    """The character as a string of length one."""
    if type(x) is not Char:
        raise check.wrong_type(name, position, "a character", x)
    return x.value


@primitive("char?", result="bool")
def is_char(x: Any) -> bool:
    """(char? x) -> boolean: whether x is a character."""
    return type(x) is Char


@primitive("char->integer", result="int")
def char_to_integer(c: Any) -> int:
    """(char->integer c) -> integer: its Unicode code point."""
    return ord(char("char->integer", 1, c))


@primitive("integer->char", result="char")
def integer_to_char(n: Any) -> Char:
    """(integer->char n) -> character: the one of that Unicode code point."""
    from omega.lisp.printer import shorten

    code = check.integer("integer->char", 1, n)
    if not is_scalar(code):
        raise check.invalid(
            "integer->char",
            "expected a code point from 0 to #xD7FF or from #xE000 to #x10FFFF, "
            f"got {shorten(n, 30)}",
            n,
        )
    return Char.of(chr(code))


def _ordered(
    name: str, relation: Callable[[str, str], bool], chars: tuple[Any, ...], fold: bool, rt: Any
) -> bool:
    check.spend_each(rt, len(chars))
    texts = [char(name, at, c) for at, c in enumerate(chars, 1)]
    if fold:
        texts = [text.casefold() for text in texts]
    return all(relation(texts[at], texts[at + 1]) for at in range(len(texts) - 1))


def _comparisons() -> None:
    relations: list[tuple[str, str, Callable[[str, str], bool]]] = [
        ("=?", "all are the same character", operator.eq),
        ("<?", "each comes before the next by code point", operator.lt),
        (">?", "each comes after the next by code point", operator.gt),
        ("<=?", "none comes after the next by code point", operator.le),
        (">=?", "none comes before the next by code point", operator.ge),
    ]
    for fold, prefix in ((False, "char"), (True, "char-ci")):
        for suffix, text, relation in relations:
            _comparison(prefix + suffix, relation, fold, text)


def _comparison(name: str, relation: Callable[[str, str], bool], fold: bool, text: str) -> None:
    def compare(c: Any, *chars: Any, rt: Any) -> bool:
        if len(chars) == 1:  # mostly there are two
            (d,) = chars
            if type(c) is type(d) is Char:
                a, b = c.value, d.value
                return relation(a.casefold(), b.casefold()) if fold else relation(a, b)
        return _ordered(name, relation, (c, *chars), fold, rt)

    compare.__doc__ = (
        f"({name} c ...) -> boolean: whether {text}{', ignoring case' if fold else ''}."
    )
    primitive(name, result="bool")(compare)


_comparisons()


@primitive("char-alphabetic?", result="bool")
def is_alphabetic(c: Any) -> bool:
    """(char-alphabetic? c) -> boolean: whether c is a letter."""
    text = char("char-alphabetic?", 1, c)
    if text.isalpha() or text < "\u0100":
        return text.isalpha()
    from omega.lisp.primitives.alphabetic import is_other_alphabetic

    return is_other_alphabetic(text)


@primitive("char-numeric?", result="bool")
def is_numeric(c: Any) -> bool:
    """(char-numeric? c) -> boolean: whether c is a decimal digit of any script."""
    return char("char-numeric?", 1, c).isdecimal()


@primitive("char-whitespace?", result="bool")
def is_whitespace(c: Any) -> bool:
    """(char-whitespace? c) -> boolean: whether c is a blank."""
    text = char("char-whitespace?", 1, c)
    return text.isspace() and text not in _SEPARATORS


@primitive("char-upper-case?", result="bool")
def is_upper_case(c: Any) -> bool:
    """(char-upper-case? c) -> boolean: whether c is an upper-case letter."""
    return char("char-upper-case?", 1, c).isupper()


@primitive("char-lower-case?", result="bool")
def is_lower_case(c: Any) -> bool:
    """(char-lower-case? c) -> boolean: whether c is a lower-case letter."""
    return char("char-lower-case?", 1, c).islower()


def _one(changed: str, c: Any) -> Char:
    """The changed character, or c itself where the change would take several characters."""
    return Char.of(changed) if len(changed) == 1 else c


@primitive("char-upcase", result="char")
def char_upcase(c: Any) -> Char:
    """(char-upcase c) -> character: c in upper case, if it has one."""
    return _one(char("char-upcase", 1, c).upper(), c)


@primitive("char-downcase", result="char")
def char_downcase(c: Any) -> Char:
    """(char-downcase c) -> character: c in lower case, if it has one."""
    return _one(char("char-downcase", 1, c).lower(), c)


@primitive("char-foldcase", result="char")
def char_foldcase(c: Any) -> Char:
    """(char-foldcase c) -> character: c as comparison that ignores case sees it."""
    return _one(char("char-foldcase", 1, c).casefold(), c)


@primitive("digit-value")
def digit_value(c: Any) -> Any:
    """(digit-value c) -> integer or #f: the value of a decimal digit, #f for any other
    character.
    """
    text = char("digit-value", 1, c)
    return int(text) if text.isdecimal() else False
