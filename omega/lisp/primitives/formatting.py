"""Formats: `string-format`, a text with places for values.

Owns: the placeholders, and every message about one.
Refuses: attribute access, indexing, conversion by the value's own methods: `{}` shows an argument,
nothing else. A template of a model reaches nothing that was not given to it.

    {}              the next argument, as `display` shows it
    {2}             argument 2, from 0
    {name}          the argument after :name, or the value of that key of a hash table given last
    {:spec}         with [[fill]< ^ >][+][0][width][, or _][.digits][d x X b o f e % w]

    < ^ >           to the left, in the middle, to the right (numbers, unless told otherwise)
    +               a sign for numbers that are not negative, too
    0               filled with zeros after the sign
    , _             between thousands
    .digits         so many decimals, rounded half to even on the exact value
    d x X b o       an integer: decimal, hexadecimal, binary, octal
    f e %           with decimals (6 unless told otherwise; of % none), with an exponent, in percent
    w               as `write` shows it

The braces themselves are {{ and }}.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from omega.errors import LispValueError
from omega.lisp.data import Keyword, Symbol
from omega.lisp.numbers import format_int, format_number
from omega.lisp.primitives import check
from omega.lisp.primitives.check import string, wrong_type
from omega.lisp.primitives.registry import primitive
from omega.lisp.table import HashTable

NAME = "string-format"
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SPEC = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>^]))?(?P<sign>\+)?(?P<zero>0)?(?P<width>[0-9]{0,18})"
    r"(?P<group>[,_])?(?:\.(?P<digits>[0-9]{1,3}))?(?P<type>[dxXbofe%w])?",
    re.DOTALL,
)
_KEY = re.compile(r"[^\W\d][\w-]*[?!]?")
_SPEC_HINT = "after the colon: [[fill]< ^ >][+][0][width][,][.digits][d x X b o f e % w]"
_HINT = "write {}, {0}, {name}, {:>8} or {:.2}; the braces themselves are {{ and }}"
_RADIX = {"d": 10, "x": 16, "X": 16, "b": 2, "o": 8}
_ABSENT = object()


@primitive("string-format", "format-string", result="string")
def string_format(template: Any, *items: Any, rt: Any) -> str:
    """(string-format template x ...) -> string: the template with every {} replaced by the next x
    as `display` shows it.

    {0} names an argument, {name} the one after :name or an entry of a hash table given last; {:8}
    {:>8} {:<8} {:^8} {:*^8} {:08} pad to a width, {:.2} writes so many decimals, {:,} thousands,
    {:+} a sign, {:x} {:b} {:o} {:e} {:%} integers and numbers in other ways, {:w} what `write`
    shows; {{ and }} are braces. Where no placeholder names its value, none may be left over.
    """
    text = string(NAME, 1, template)
    check.spend(rt, len(text))
    out: list[str] = []
    at = following = size = 0
    is_named = False  # some value is: who names them need not use all
    for found in _BRACES.finditer(text):
        start, piece = found.start(), found.group()
        out.append(text[at:start])
        at = found.end()
        if piece in ("{{", "}}"):
            out.append(piece[0])
            continue
        if len(piece) == 1:
            what = "this { is never closed" if piece == "{" else "this } closes nothing"
            raise _bad(start, what, _HINT)
        which, _, spec = found.group(1).partition(":")
        is_named = is_named or bool(which)
        if not which:
            which, following = str(following), following + 1
        item, position = _item(which, items, start)
        out.append(_placed(item, position, spec, start, rt))
        size += len(out[-1])
        check.size(rt, size, "characters")
    if following < len(items) and not is_named:
        given = "one value" if len(items) == 1 else f"{len(items)} values"
        fact = f"`{NAME}` was given {given}, but its template takes {following or 'none'}"
        raise LispValueError(fact, hint=_HINT)
    out.append(text[at:])
    return "".join(out)


def _bad(start: int, problem: str, hint: str | None = None) -> LispValueError:
    message = f"`{NAME}` cannot read its template at character {start + 1}: {problem}"
    return LispValueError(message, hint=hint)


def _item(which: str, items: tuple[Any, ...], start: int) -> tuple[Any, int]:
    """The value a placeholder names, and its position among the arguments."""
    if which.isdecimal():
        number = int(which) if len(which) < 7 else 1_000_000
        if number >= len(items):
            count = f"{len(items)} given" if items else "none given"
            raise _bad(start, f"there is no argument for {{{which[:9]}}}: {count}", _HINT)
        return items[number], number + 2
    if not _KEY.fullmatch(which):
        raise _bad(start, f"`{{{which[:20]}}}` is no placeholder", _HINT)
    for at in range(len(items) - 2, -1, -2):  # the pairs at the end
        key = items[at]
        if type(key) is not Keyword:
            break
        if key.name == which:
            return items[at + 1], at + 3
    if items and isinstance(items[-1], HashTable):
        table = items[-1]
        for key in (which, Keyword.of(which), Symbol.of(which)):
            value = table.get(key, _ABSENT)
            if value is not _ABSENT:
                return value, len(items) + 1
    hint = f"give :{which} VALUE after the other arguments, or a hash table with that key last"
    raise _bad(start, f"there is nothing named `{which[:60]}`", hint)


def _placed(item: Any, position: int, spec: str, start: int, rt: Any) -> str:
    if not spec:
        return _shown(item, rt, False)
    found = _SPEC.fullmatch(spec) if len(spec) < 60 else None
    if found is None:
        raise _bad(start, f"`:{spec[:30]}` is no way to show a value", _SPEC_HINT)
    fill, align, sign, zero, width, group, digits, type_ = found.groups()
    is_number = bool(sign or zero or group or digits or (type_ or "w") != "w")
    if is_number and type(item) not in check.REALS:
        raise wrong_type(NAME, position, "a number", item)
    if is_number:
        shown = _number(item, position, group, digits, type_, rt)
        if sign and not shown.startswith("-"):
            shown = "+" + shown
    else:
        shown = _shown(item, rt, type_ == "w")
    count = int(width or 0)
    if count <= len(shown):
        return shown
    check.size(rt, count, "characters")
    if zero and not align:
        head = shown[0] if shown[0] in "+-" else ""
        return head + shown[len(head) :].rjust(count - len(head), "0")
    fill = fill or " "
    if align == "^":
        return shown.rjust(len(shown) + (count - len(shown)) // 2, fill).ljust(count, fill)
    right = align == ">" or (not align and type(item) in check.REALS)
    return shown.rjust(count, fill) if right else shown.ljust(count, fill)


def _shown(item: Any, rt: Any, is_written: bool) -> str:
    if type(item) is str and not is_written:
        return item
    from omega.lisp.printer import display_string, write_string

    show = write_string if is_written else display_string
    text = show(item, characters_max=rt.limits.alloc_items, charge=rt.charge)
    check.spend(rt, len(text))
    return text


def _number(
    item: Any, position: int, group: str | None, digits: str | None, type_: str | None, rt: Any
) -> str:
    """A number without sign or padding of its own."""
    if type_ in _RADIX:
        if type(item) is not int:
            raise wrong_type(NAME, position, "an exact integer", item)
        if digits:
            raise check.invalid(NAME, f"shows no decimals with `{type_}`")
        text = format_int(item, _RADIX[type_])
        text = text.upper() if type_ == "X" else text
    elif type(item) is float and (item != item or item in (float("inf"), float("-inf"))):
        return format_number(item)
    elif type_ == "e":
        text = _with_exponent(item, position, 6 if digits is None else int(digits))
    elif digits is None and type_ is None:
        text = format_number(item)
    elif type_ == "%":
        text = _decimal(Fraction(item) * 100, int(digits or 0)) + "%"
    else:
        text = _decimal(Fraction(item), 6 if digits is None else int(digits))
    check.spend(rt, len(text))
    return _grouped(text, group) if group else text


def _decimal(value: Fraction, places: int) -> str:
    """With so many decimals, rounded half to even on the exact value; zero has no sign."""
    scaled = round(value * 10**places)
    text = format_int(abs(scaled)).rjust(places + 1, "0")
    return ("-" if scaled < 0 else "") + (f"{text[:-places]}.{text[-places:]}" if places else text)


def _with_exponent(item: Any, position: int, digits: int) -> str:
    try:
        return f"{float(item):.{digits}e}"
    except OverflowError:
        pass
    raise wrong_type(NAME, position, "a number within the range of reals", item)


def _grouped(text: str, mark: str) -> str:
    """With a mark between thousands of the digits before the point."""
    start = 1 if text.startswith("-") else 0
    end = start
    while end < len(text) and text[end].isdigit():
        end += 1
    digits = text[start:end]
    first = len(digits) % 3 or 3
    parts = [digits[:first], *(digits[i : i + 3] for i in range(first, len(digits), 3))]
    return text[:start] + mark.join(parts) + text[end:]
