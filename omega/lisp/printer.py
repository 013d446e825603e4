"""The printer: data to text that the reader reads back as equal data, as far as data have a
written form.

Owns: write_string, display_string, shorten, type_name.
Refuses: calling `__repr__` or `__str__` of anything (host objects print as `#<type>`), recursing,
and endless output.

A stack of small frames is worked off; each frame is (operation, object). Cycles are found first,
by a walk, and printed with datum labels: only where a cycle closes (`write`, `display`), wherever
anything is shared (`write-shared`) or never (`write-simple`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from omega.errors import LimitExceeded, OmegaError, ReadError, Source
from omega.lisp.data import (
    CHAR_NAMES,
    Char,
    Eof,
    Keyword,
    Nil,
    Pair,
    Record,
    RecordType,
    Symbol,
    Values,
)
from omega.lisp.names import demangle
from omega.lisp.numbers import Charge, format_number, free
from omega.lisp.reader import HASH_LITERAL
from omega.lisp.table import HashTable

CHARACTERS_MAX = 200_000_000  # of one printed text, when nobody gives a smaller limit

_PLAIN_NAME = re.compile(r"(?:[a-zA-Z!$%&*/<=>?^_~][a-zA-Z0-9!$%&*/<=>?^_~:.@+#-]*|[-+]|\.\.\.)\Z")
_PLAIN_KEYWORD = re.compile(r"[a-zA-Z0-9!$%&*/<=>?^_~.+#-][a-zA-Z0-9!$%&*/<=>?^_~:.@+#-]*\Z")
_NEEDS_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff]')
_BAR_ESCAPE = re.compile(r"[|\\\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff]")
_LETTERS = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_NAME_OF_CHAR: dict[str, str] = {}
for _name, _value in CHAR_NAMES.items():
    _NAME_OF_CHAR.setdefault(_value, _name)
for _odd in ("\f", "\v"):  # R7RS has no names for these
    del _NAME_OF_CHAR[_odd]
_QUOTES = {
    Symbol.of("quote"): "'",
    Symbol.of("quasiquote"): "`",
    Symbol.of("unquote"): ",",
    Symbol.of("unquote-splicing"): ",@",
}
_PROCEDURES = (FunctionType, BuiltinFunctionType, MethodType)

_CHARGE_EVERY = 512  # pieces of text, or objects looked at, between charges
_LONG = 1_000  # characters or bytes of an atom that is charged for

# operations of a frame
_EMIT, _PRINT, _TAIL, _ITEMS = range(4)


def write_string(
    obj: Any,
    *,
    labels: str = "cycles",
    characters_max: int = CHARACTERS_MAX,
    charge: Charge | None = None,
) -> str:
    """The external representation: strings quoted, characters as `#\\a`.

    labels: "cycles", "shared" or "none" (endless data then end at characters_max).
    LimitExceeded("size") beyond `characters_max`. charge: called with steps now and then.
    """
    return _Printer(True, labels, characters_max, charge).text(obj)


def display_string(
    obj: Any,
    *,
    characters_max: int = CHARACTERS_MAX,
    charge: Charge | None = None,
) -> str:
    """What `display` shows: like write_string, with strings and characters as they are."""
    if type(obj) is str:
        return obj
    return _Printer(False, "cycles", characters_max, charge).text(obj)


def shorten(obj: Any, limit: int = 60) -> str:
    """The written form of `obj` for a message, cut to `limit` characters; cheap however big `obj`
    is.
    """
    printer = _Printer(True, "none", limit, None)
    printer.cut = True
    text = printer.text(obj)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def type_name(obj: Any) -> str:
    """The name of a host object's type, without asking the object."""
    name: str = type.__dict__["__name__"].__get__(type(obj))
    return name


def procedure_name(procedure: Any) -> str:
    """The Lisp name of a procedure, "" when it has none."""
    name = getattr(procedure, "__name__", "")
    name = name if type(name) is str else ""
    return "" if name == "<lambda>" else demangle(name)


class _Printer:
    """One printing. cut: stop quietly once the text is longer than characters_max."""

    def __init__(
        self,
        write: bool,
        labels: str,
        characters_max: int,
        charge: Charge | None,
    ) -> None:
        self.write = write
        self.labels = labels
        self.characters_max = characters_max
        self.charge = charge or free
        self.cut = False
        self.out: list[str] = []
        self.size = 0
        self.stack: list[tuple[int, Any]] = []
        self.labelled: dict[int, int | None] = {}  # id -> number once printed
        self.numbered = 0

    def text(self, obj: Any) -> str:
        if self.labels != "none" and _is_compound(obj):
            self.labelled = _find_labels(obj, self.labels == "shared", self.charge)
        stack, out = self.stack, self.out
        stack.append((_PRINT, obj))
        paid = 0
        while stack:
            if len(out) - paid >= _CHARGE_EVERY:
                self.charge((len(out) - paid) // 2)
                paid = len(out)
            operation, thing = stack.pop()
            if operation == _EMIT:
                out.append(thing)
                self.size += len(thing)
            elif operation == _PRINT:
                self._print(thing)
            elif operation == _TAIL:
                self._tail(thing)
            else:
                self._items(thing)
            if self.size > self.characters_max:
                if self.cut:
                    break
                raise LimitExceeded("size", self.size, self.characters_max, "printed characters")
        return "".join(out)

    def emit(self, text: str) -> None:
        self.out.append(text)
        self.size += len(text)

    def _print(self, obj: Any) -> None:
        if not _is_compound(obj):
            self.emit(self._atom(obj))
            return
        if id(obj) in self.labelled:
            number = self.labelled[id(obj)]
            if number is not None:
                self.emit(f"#{number}#")
                return
            number = self.labelled[id(obj)] = self.numbered
            self.numbered += 1
            self.emit(f"#{number}=")
        if isinstance(obj, Pair):
            self._pair(obj)
        elif type(obj) is list:
            self.emit("#(")
            self.stack.append((_ITEMS, (self._some(obj), 0, ")")))
        elif isinstance(obj, HashTable):
            self.emit("{")
            flat = [part for item in self._some(obj.entries()) for part in item]
            self.stack.append((_ITEMS, (flat, 0, "}")))
        elif isinstance(obj, Values):
            self.emit("#<values" + (" " if obj.items else ""))
            self.stack.append((_ITEMS, (list(obj.items), 0, ">")))
        else:
            self._record(obj)

    def _some(self, items: Iterable[Any]) -> list[Any]:
        """A snapshot of what will be printed at most."""
        return list(islice(items, self.characters_max + 1) if self.cut else items)

    def _pair(self, obj: Pair) -> None:
        rest = obj.cdr
        if isinstance(rest, Pair) and rest.cdr is Nil and id(rest) not in self.labelled:
            prefix = _QUOTES.get(obj.car) if type(obj.car) is Symbol else None
            if prefix is not None:
                self.emit(prefix)
                self.stack.append((_PRINT, rest.car))
                return
        if obj.car is HASH_LITERAL and (rest is Nil or isinstance(rest, Pair)):
            items: list[Any] = []
            at: Any = rest
            while isinstance(at, Pair) and id(at) not in self.labelled:
                items.append(at.car)
                at = at.cdr
            if at is Nil:
                self.emit("{")
                self.stack.append((_ITEMS, (items, 0, "}")))
                return
        self.emit("(")
        self.stack.append((_TAIL, rest))
        self.stack.append((_PRINT, obj.car))

    def _tail(self, rest: Any) -> None:
        """The rest of a list whose earlier elements are printed."""
        while True:
            if rest is Nil:
                self.emit(")")
                return
            if not isinstance(rest, Pair) or id(rest) in self.labelled:
                self.emit(" . ")
                self.stack.append((_EMIT, ")"))
                self.stack.append((_PRINT, rest))
                return
            self.emit(" ")
            item = rest.car
            rest = rest.cdr
            if (
                _is_compound(item)
                or self.size > self.characters_max
                or len(self.out) % _CHARGE_EVERY == 0
            ):
                self.stack.append((_TAIL, rest))
                self.stack.append((_PRINT, item))
                return
            self.emit(self._atom(item))

    def _items(self, state: tuple[list[Any], int, str]) -> None:
        items, at, closing = state
        size = len(items)
        while at < size:
            if at:
                self.emit(" ")
            item = items[at]
            at += 1
            if _is_compound(item) or self.size > self.characters_max or at % _CHARGE_EVERY == 0:
                self.stack.append((_ITEMS, (items, at, closing)))
                self.stack.append((_PRINT, item))
                return
            self.emit(self._atom(item))
        self.emit(closing)

    def _record(self, obj: Record) -> None:
        kind = type(obj)
        self.emit(f"#<{kind.type_name}")
        self.stack.append((_EMIT, ">"))
        for number in range(len(kind.field_names) - 1, -1, -1):
            value = getattr(obj, f"f{number}", None)
            self.stack.append((_PRINT, value))
            self.stack.append((_EMIT, f" {kind.field_names[number]}: "))

    def _atom(self, obj: Any) -> str:
        kind = type(obj)
        if kind is str:
            if not self.write:
                return str(obj)
            text = obj[: self.characters_max + 1] if self.cut else obj
            if len(text) > _LONG:
                self.charge(len(text) >> 4)
            return '"' + _NEEDS_ESCAPE.sub(_escaped, text) + '"'
        if kind is Symbol or kind is Keyword:
            name: str = obj.name[: self.characters_max + 1] if self.cut else obj.name
            if not self.write:
                return name if kind is Symbol else ":" + name
            return _symbol(name) if kind is Symbol else _keyword(name)
        if kind is int or kind is float or kind is Fraction:
            if self.cut and _bits(obj) > 4 * self.characters_max + 64:
                return f"#<a number of about {_bits(obj) * 3 // 10:,} digits>"
            return format_number(obj, 10, self.charge)
        if kind is bool:
            return "#t" if obj else "#f"
        if obj is Nil:
            return "()"
        if kind is Char:
            return _char(obj.value) if self.write else str(obj.value)
        if obj is None:
            return "#<unspecified>"
        if kind is bytearray:
            data = obj[: self.characters_max + 1] if self.cut else obj
            if len(data) > _LONG:
                self.charge(len(data) >> 3)
            return f"#u8({' '.join(map(str, data))})"
        return _opaque(obj)


def _is_compound(obj: Any) -> bool:
    return isinstance(obj, (Pair, HashTable, Values, Record)) or type(obj) is list


def _bits(number: Any) -> int:
    if isinstance(number, float):
        return 0
    return int(number.numerator.bit_length() + number.denominator.bit_length())


def _opaque(obj: Any) -> str:
    if obj is Eof:
        return "#<eof>"
    if isinstance(obj, _PROCEDURES):
        name = procedure_name(obj)
        return f"#<procedure {name}>" if name else "#<procedure>"
    if isinstance(obj, OmegaError):
        message = _NEEDS_ESCAPE.sub(_escaped, obj.message[:10_000])
        return f'#<{obj.own_kind} "{message}">'
    if type(obj) is RecordType:
        return f"#<record-type {obj.cls.type_name}>"
    members = type(obj).__dict__
    label, text = members.get("lisp_type"), members.get("lisp_text")
    shown = f"#<{label if type(label) is str else type_name(obj)}"
    if type(text) is str:  # of our own opaque types: the attribute with a text that says which one
        shown += f' "{_NEEDS_ESCAPE.sub(_escaped, getattr(obj, text)[:10_000])}"'
    return shown + ">"


def _escaped(match: re.Match[str]) -> str:
    char = match.group()
    if char in '"\\|':
        return "\\" + char
    return _LETTERS.get(char) or f"\\x{ord(char):x};"


def _symbol(name: str) -> str:
    if _PLAIN_NAME.match(name) or _reads_as(name, Symbol, name):
        return name
    return "|" + _BAR_ESCAPE.sub(_escaped, name) + "|"


def _keyword(name: str) -> str:
    if _PLAIN_KEYWORD.match(name) or _reads_as(":" + name, Keyword, name):
        return ":" + name
    return ":|" + _BAR_ESCAPE.sub(_escaped, name) + "|"


def _reads_as(text: str, kind: type[Symbol] | type[Keyword], name: str) -> bool:
    """Whether the reader takes `text`, written bare, for the symbol or keyword `name`."""
    if len(text) > 500 or text[:1] in ("", "#", "@") or "\\" in text or not text.isprintable():
        return False
    from omega.lisp.lexer import Lexer

    try:
        tokens = list(Lexer(Source("", text)).tokens())
    except ReadError:
        return False
    if len(tokens) != 1 or tokens[0].type != "ATOM" or type(tokens[0].value) is not kind:
        return False
    value: Symbol | Keyword = tokens[0].value
    return value.name == name


def _char(value: str) -> str:
    name = _NAME_OF_CHAR.get(value)
    if name is not None:
        return "#\\" + name
    if value.isprintable() and not value.isspace():
        return "#\\" + value
    return f"#\\x{ord(value):x}"


def _children(obj: Any) -> list[Any]:
    """The parts of anything compound but a pair."""
    if type(obj) is list:
        return obj
    if isinstance(obj, HashTable):
        return [part for item in obj.items() for part in item]
    if isinstance(obj, Values):
        return list(obj.items)
    return [getattr(obj, f"f{n}", None) for n in range(len(type(obj).field_names))]


def _find_labels(root: Any, shared: bool, charge: Charge) -> dict[int, int | None]:
    """The ids of what needs a datum label: what a cycle leads back to, or (shared) what is met
    twice.
    """
    found: dict[int, int | None] = {}
    state: dict[int, bool] = {}  # True while the walk is below the object
    stack: list[tuple[Any, bool]] = [(root, False)]
    turns = 0
    while stack:
        turns += 1
        if turns % _CHARGE_EVERY == 0:
            charge(_CHARGE_EVERY)
        obj, leaving = stack.pop()
        at = id(obj)
        if leaving:
            state[at] = False
            continue
        below = state.get(at)
        if below is None:
            state[at] = True
            stack.append((obj, True))
            if isinstance(obj, Pair):
                if obj.cdr is not Nil and _is_compound(obj.cdr):
                    stack.append((obj.cdr, False))
                if _is_compound(obj.car):
                    stack.append((obj.car, False))
                continue
            for child in reversed(_children(obj)):
                if _is_compound(child):
                    stack.append((child, False))
        elif below or shared:
            found[at] = None
    return found
