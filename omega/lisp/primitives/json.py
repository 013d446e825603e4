"""JSON: our own reader and writer, iterative, so that depth is no matter, and exact about where a
text is wrong.

Owns: json-read, json-write, and parse_json / format_json for Python callers.
Refuses: NaN and infinities, Python's json module (it recurses in C), objects without a JSON form.

Objects are hash tables with string keys, arrays are vectors, null is the symbol `null`. Written:
strings, numbers (rationals are refused: write (inexact x)), booleans, vectors, lists, hash tables
with string, symbol or keyword keys; symbols and keywords as their names, but the symbol `null` as
null. Source: RFC 8259.

Half a character (a surrogate without its other half, which an escape can name and RFC 8259 leaves
open) is read as U+FFFD: what JSON gives can always be written as UTF-8.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NoReturn

from omega.errors import JsonError, LimitExceeded
from omega.lisp.data import Eof, Keyword, Nil, Pair, Symbol, list_items
from omega.lisp.numbers import Charge, format_number, free, parse_digits
from omega.lisp.ports import TextInput
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.registry import primitive
from omega.lisp.table import HashTable

NULL = Symbol.of("null")
INDENT_MAX = 100
_CHARGE_EVERY = 256  # values, or pieces of a string, between charges
_VALUE_STEPS = 2  # that a value is worth

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
      (?P<string>"[^"\\\x00-\x1f\ud800-\udfff]*")
    | (?P<punctuation>[{}\[\],:])
    | (?P<number>-?(?:0|[1-9][0-9]*+)(?P<part>\.[0-9]++)?(?P<exponent>[eE][-+]?[0-9]++)?
        (?![0-9a-zA-Z.+-]))
    | (?P<word>[a-zA-Z]+)
    | (?P<long>")
    )?""",
    re.VERBOSE,
)
_PIECE = re.compile(r'"[^"\n]{0,20}"?|[^\s\[\]{},:"]{1,20}|\S')
_BLANKS = re.compile(r"[ \t\n\r]*")
_PART = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]+')
_UNICODE = re.compile(r"u([0-9a-fA-F]{4})")
_LOW = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")  # the second half of a character
_LETTERS = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HALF = "\ufffd"  # what is read for a surrogate alone
_WORDS = {"true": True, "false": False, "null": NULL}
_ODD_WORDS = {
    **dict.fromkeys(("nan", "infinity", "inf"), "JSON has no NaN or infinity"),
    **dict.fromkeys(("none", "nil", "undefined"), "nothing is written null"),
    **dict.fromkeys(("true", "false", "null"), "true, false and null are written in small letters"),
}
_ESCAPE = re.compile('["\\\\\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class _Reader:
    """One text. A stack holds the arrays and tables that are open; `expect` says what may come
    next."""

    def __init__(self, text: str, charge: Charge) -> None:
        self.text = text
        self.charge = charge
        self.at = 1 if text.startswith("\ufeff") else 0

    def fail(self, message: str, at: int, hint: str | None = None) -> NoReturn:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise JsonError(f"JSON {line}:{column}: {message}", hint=hint)

    def read(self) -> Any:
        text, charge = self.text, self.charge
        open_: list[Any] = []  # list | HashTable
        keys: list[str] = []  # of the open tables, innermost last
        container: Any = None
        count = 0
        while True:  # a value is expected, or the end of an empty array or of an object
            count += 1
            if count % _CHARGE_EVERY == 0:
                charge(_VALUE_STEPS * _CHARGE_EVERY)
            kind, value, start = self.token()
            if kind == "]" and type(container) is list and not container:
                value = open_.pop()
            elif kind == "[":
                container = []
                open_.append(container)
                continue
            elif kind == "{":
                container = HashTable()
                open_.append(container)
                closed = self.key(keys, True)
                if not closed:
                    continue
                value = open_.pop()
            elif kind != "value":
                self.unexpected(kind, start, "a value", value)
            while True:  # a value is complete
                if not open_:
                    kind, _, start = self.token()
                    if kind != "end":
                        self.fail("text follows the value", start)
                    return value
                container = open_[-1]
                if type(container) is list:
                    container.append(value)
                    kind, odd, start = self.token()
                    if kind == ",":
                        if _next(text, self.at) == "]":
                            self.fail("a comma before `]`", start, "remove it")
                        break
                    if kind != "]":
                        self.unexpected(kind, start, "`,` or `]`", odd)
                else:
                    container[keys.pop()] = value
                    kind, odd, start = self.token()
                    if kind == ",":
                        self.key(keys, False)
                        break
                    if kind != "}":
                        self.unexpected(kind, start, "`,` or `}`", odd)
                value = open_.pop()
                count += 1
                if count % _CHARGE_EVERY == 0:  # a long row of ends
                    charge(_VALUE_STEPS * _CHARGE_EVERY)

    def key(self, keys: list[str], first: bool) -> bool:
        """Read `"key":` onto `keys`; True if the object ends instead (only before its first
        key)."""
        kind, value, start = self.token()
        if kind == "}":
            if first:
                return True
            self.fail("a comma before `}`", start, "remove it")
        if kind != "value" or type(value) is not str:
            self.unexpected(kind, start, "a key in double quotes", value)
        keys.append(value)
        kind, odd, start = self.token()
        if kind != ":":
            self.unexpected(kind, start, "`:` after the key", odd)
        return False

    def unexpected(self, kind: str, start: int, wanted: str, hint: Any) -> NoReturn:
        """hint: the value of the token, which is a hint when its kind is "odd"."""
        if kind == "end":
            self.fail(f"the text ends where {wanted} must stand", start)
        hint = hint if kind == "odd" else None
        self.fail(f"expected {wanted}, found {self.piece(start)}", start, hint)

    def piece(self, start: int) -> str:
        """What stands at `start`, for a message."""
        found = _PIECE.match(self.text, start)
        return f"`{found.group()}`" if found is not None else f"U+{ord(self.text[start]):04X}"

    def token(self) -> tuple[str, Any, int]:
        """(kind, value, start): kind is "value", "end", a punctuation mark, or "odd": what JSON
        does not have, with a hint or None.
        """
        found = _TOKEN.match(self.text, self.at)
        assert found is not None
        kind = found.lastgroup
        if kind is None:
            start = found.end()
            if start >= len(self.text):
                return "end", None, start
            return "odd", self.odd(start), start
        if kind in ("part", "exponent"):
            kind = "number"
        start = found.start(kind)
        self.at = found.end()
        piece = found.group(kind)
        if kind == "string":
            return "value", piece[1:-1], start
        if kind == "punctuation":
            return piece, None, start
        if kind == "number":
            return "value", self.number(found, piece, start), start
        if kind == "long":
            return "value", self.string(start), start
        if piece in _WORDS:
            return "value", _WORDS[piece], start
        return "odd", _ODD_WORDS.get(piece.lower()), start

    def odd(self, start: int) -> str | None:
        """The hint for what is no token at all."""
        text = self.text
        char = text[start]
        if char == "'":
            return "JSON strings stand in double quotes"
        if char == "/":
            return "JSON has no comments"
        if text.startswith("-Infinity", start):
            return _ODD_WORDS["infinity"]
        if char in "+-.0123456789":
            return "JSON numbers are written such as -12, 0.5, 1e9"
        return "JSON has no blanks but space, tab and line ends" if char.isspace() else None

    def number(self, found: re.Match[str], piece: str, start: int) -> Any:
        if found.group("part") is None and found.group("exponent") is None:
            negative = piece.startswith("-")
            value = parse_digits(piece[1:] if negative else piece, 10, self.charge)
            return -value if negative else value
        real = float(piece)
        if real in (float("inf"), float("-inf")):
            self.fail(f"`{piece[:30]}` is too large for a number", start)
        return real

    def string(self, start: int) -> str:
        text, at = self.text, start + 1
        parts: list[str] = []
        while True:
            if len(parts) % _CHARGE_EVERY == _CHARGE_EVERY - 1:
                self.charge(_CHARGE_EVERY)
            found = _PART.match(text, at)
            if found is not None:
                parts.append(found.group())
                at = found.end()
            char = text[at : at + 1]
            if char == '"':
                self.at = at + 1
                return "".join(parts)
            if char != "\\":
                if not char:
                    self.fail("this string is never closed", start)
                if char >= "\ud800":
                    parts.append(_HALF)
                    at += 1
                    continue
                self.fail("a string holds no raw control characters", at, "a line end is \\n")
            letter = text[at + 1 : at + 2]
            if letter in _LETTERS and letter:
                parts.append(_LETTERS[letter])
                at += 2
                continue
            code = _UNICODE.match(text, at + 1)
            if code is None:
                self.fail(f"unknown escape `{text[at : at + 2]}`", at)
            at = code.end()
            value = int(code.group(1), 16)
            if not 0xD800 <= value < 0xE000:
                parts.append(chr(value))
                continue
            low = _LOW.match(text, at) if value < 0xDC00 else None
            if low is None:
                parts.append(_HALF)
                continue
            parts.append(chr(0x10000 + ((value - 0xD800) << 10) + int(low.group(1), 16) - 0xDC00))
            at = low.end()


def _next(text: str, at: int) -> str:
    found = _BLANKS.match(text, at)
    assert found is not None
    return text[found.end() : found.end() + 1]


def parse_json(text: str, charge: Charge = free) -> Any:
    """The data of a JSON text. JsonError says line:column. charge: called with steps now and
    then."""
    return _Reader(text, charge).read()


def format_json(
    obj: Any,
    indent: int | None = None,
    characters_max: int | None = None,
    charge: Charge = free,
) -> str:
    """The JSON text of `obj`, indented by `indent` blanks a level if given.

    JsonError for what has no JSON form or is circular; LimitExceeded("size") beyond
    `characters_max`.
    """
    out: list[str] = []
    size = count = 0
    path: set[int] = set()  # ids of the containers that are open
    stack: list[tuple[Any, list[Any], int, str]] = []  # container, what is left, next, closing mark
    value: Any = obj
    while True:
        count += 1
        if count % _CHARGE_EVERY == 0:
            charge(_VALUE_STEPS * _CHARGE_EVERY)
        parts = _parts(value)
        if parts is None:
            out.append(_atom(value, charge))
        elif id(value) in path:
            raise JsonError("`json-write` cannot write circular data")
        elif not parts:
            out.append("{}" if isinstance(value, HashTable) else "[]")
        else:
            path.add(id(value))
            if len(parts) >= _CHARGE_EVERY:
                charge(len(parts) // 4)
            table = isinstance(value, HashTable)
            out.append("{" if table else "[")
            stack.append((value, parts, 0, "}" if table else "]"))
        size += len(out[-1])
        if characters_max is not None and size > characters_max:
            raise LimitExceeded("size", size, characters_max, "characters")
        while stack:
            container, parts, at, closing = stack.pop()
            depth = len(stack)
            if at == len(parts):
                path.discard(id(container))
                text = closing if indent is None else "\n" + " " * (indent * depth) + closing
                out.append(text)
                size += len(text)
                continue
            stack.append((container, parts, at + 1, closing))
            text = "," if at else ""
            if indent is not None:
                text += "\n" + " " * (indent * (depth + 1))
            elif at:
                text = ", "
            value = parts[at]
            if closing == "}":
                key, value = value
                text += _quoted(key) + ": "
            out.append(text)
            size += len(text)
            break
        else:
            return "".join(out)


def _parts(value: Any) -> list[Any] | None:
    """The elements of an array, the (key, value) pairs of an object, or None for anything else."""
    if type(value) is list:
        return list(value)
    if value is Nil:
        return []
    if isinstance(value, Pair):
        items = list_items(value)
        if items is None:
            raise _unwritable(
                value, "a list to write must be proper; a table is written {key: value}"
            )
        return items
    if not isinstance(value, HashTable):
        return None
    pairs: list[Any] = []
    for key, part in value.items():
        if type(key) is str:
            pairs.append((key, part))
        elif type(key) is Symbol or type(key) is Keyword:
            if key.name in value:
                raise JsonError(f'`json-write` found two keys that are written "{key.name}"')
            pairs.append((key.name, part))
        else:
            raise _unwritable(key, "keys must be strings, symbols or keywords")
    return pairs


def _atom(value: Any, charge: Charge) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return format_number(value, 10, charge)
    if kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise _unwritable(value, "JSON has no NaN or infinity")
        return format_number(value)
    if kind is Symbol or kind is Keyword:
        return "null" if value is NULL else _quoted(value.name)
    if kind is Fraction:
        raise _unwritable(value, "write (inexact x), or a string")
    if value is None:
        raise _unwritable(value, "nothing is written with the symbol null")
    raise _unwritable(value, None)


def _unwritable(value: Any, hint: str | None) -> JsonError:
    from omega.lisp.printer import shorten

    return JsonError(f"`json-write` cannot write {shorten(value)}", irritants=[value], hint=hint)


def _quoted(text: str) -> str:
    return '"' + _ESCAPE.sub(_escaped, text) + '"'


def _escaped(found: re.Match[str]) -> str:
    char = found.group()
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


@primitive("json-read", "string->json")
def json_read(source: Any, *, rt: Any) -> Any:
    """(json-read source) -> the data of a JSON text: a string, or what is left of an input port
    (at its end, eof).

    Objects are hash tables with string keys, arrays are vectors, null is the symbol null. Half a
    character, such as the escape \\ud800 alone, is read as U+FFFD.
    """
    if isinstance(source, TextInput):
        source.check_open("json-read")
        text = source.read_rest(rt.limits.alloc_items)
        if not text.strip():
            return Eof
    elif type(source) is str:
        text = source
    else:
        raise wrong_type("json-read", 1, "a string or an input port", source)
    check.size(rt, len(text), "characters")
    return parse_json(text, rt.charge)


@primitive("json-write", "json->string", result="string")
def json_write(x: Any, *options: Any, rt: Any) -> str:
    """(json-write x [:indent n]) -> string: x as JSON. Lists and vectors are arrays, hash tables
    are objects, symbols and
    keywords are strings, but the symbol null is null."""
    given = check.options("json-write", options, 2, ("indent",))
    indent = given.get("indent")
    if indent is not None and indent is not False:
        if type(indent) is not int or not 0 <= indent <= INDENT_MAX:
            raise wrong_type("json-write", 3, f"an integer from 0 to {INDENT_MAX}", indent)
    else:
        indent = None
    text = format_json(x, indent, rt.limits.alloc_items, rt.charge)
    check.spend(rt, len(text))
    return text
