"""The data Lisp programs are made of, as the Python objects a host sees.

Owns: Symbol, Keyword, Char, Pair, Nil, Eof, Values, Record, RecordType, and the conversions between
lists and pairs.
Refuses: printing (printer.py), equality (equality.py), reading (reader.py).

Integers, rationals and reals are int, Fraction and float; strings are str; vectors are list;
bytevectors are bytearray; `#t` and `#f` are True and False; the unspecified value is None.
Everything else is opaque.

Invariant: no constructor of a type made in bulk runs a Python `__init__` from generated code, and
no method here recurses on data: a million nested pairs are walked with a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

REPR_MAX = 1_000  # characters of a pair's repr


class Symbol:
    """An interned name: `Symbol.of("x") is Symbol.of("x")`. `Symbol(name)` is a gensym."""

    __slots__ = ("name",)
    _table: ClassVar[dict[str, Symbol]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def of(cls, name: str) -> Symbol:
        found = cls._table.get(name)
        return found if found is not None else cls._table.setdefault(name, cls(name))

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], Symbol], tuple[str]]:
        return (Symbol.of, (self.name,))


class Keyword:
    """An interned keyword, `:name`; evaluates to itself. `name` is without the colon."""

    __slots__ = ("name",)
    _table: ClassVar[dict[str, Keyword]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def of(cls, name: str) -> Keyword:
        found = cls._table.get(name)
        return found if found is not None else cls._table.setdefault(name, cls(name))

    def __repr__(self) -> str:
        return ":" + self.name

    def __reduce__(self) -> tuple[Callable[[str], Keyword], tuple[str]]:
        return (Keyword.of, (self.name,))


class Char:
    """An interned character; `value` is a string of length one."""

    __slots__ = ("value",)
    _table: ClassVar[dict[str, Char]] = {}

    def __init__(self, value: str) -> None:
        self.value = value

    @classmethod
    def of(cls, value: str) -> Char:
        found = cls._table.get(value)
        return found if found is not None else cls._table.setdefault(value, cls(value))

    @classmethod
    def each(cls, text: str) -> list[Char]:
        """The characters of `text`."""
        try:
            return list(map(cls._table.__getitem__, text))
        except KeyError:
            return [cls.of(value) for value in text]

    def __repr__(self) -> str:
        return f"Char({self.value!r})"

    def __reduce__(self) -> tuple[Callable[[str], Char], tuple[str]]:
        return (Char.of, (self.value,))


def is_scalar(code: int) -> bool:
    """Whether `code` is that of a character: a code point that is no surrogate, the half of one."""
    return 0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF


# The names `#\name` knows; the first of each character is how it is written.
CHAR_NAMES = {
    "alarm": "\a", "backspace": "\b", "delete": "\x7f", "escape": "\x1b", "newline": "\n",
    "null": "\0", "return": "\r", "space": " ", "tab": "\t",
    "nul": "\0", "altmode": "\x1b", "rubout": "\x7f", "linefeed": "\n", "page": "\f", "vtab": "\v",
}  # fmt: skip


class NilType:
    """The empty list. One instance, `Nil`; iterates as an empty sequence."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Nil"

    def __reduce__(self) -> str:
        return "Nil"


Nil = NilType()


class Pair:
    """A mutable cons cell. Made by `cons`, or inline as `p = Pair(); p.car = a; p.cdr = d` (no
    `__init__`: speed).

    Iterates over the elements of the list it starts; an improper tail raises ValueError.
    """

    __slots__ = ("car", "cdr")
    car: Any
    cdr: Any

    def __iter__(self) -> Iterator[Any]:
        at: Any = self
        while isinstance(at, Pair):
            yield at.car
            at = at.cdr
        if at is not Nil:
            raise ValueError("improper list")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        from omega.lisp.printer import shorten

        return shorten(self, REPR_MAX)  # as Lisp writes it; iterative, so depth does not matter


class EofType:
    """What reading past the end answers. One instance, `Eof`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Eof"


Eof = EofType()


class Values:
    """Zero, two or more values on their way to a receiver; `(values x)` is x itself."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Any, ...]) -> None:
        self.items = items


class Record:
    """Base of the classes `define-record-type` makes: one subclass per type, fields in `__slots__`.

    A subclass sets `type_name` (str) and `field_names` (tuple of str); slot i is named `f{i}`.
    """

    __slots__ = ()
    type_name: ClassVar[str] = "record"
    field_names: ClassVar[tuple[str, ...]] = ()


class RecordType:
    """What the name of a record type is bound to. cls: the class of its records, which no program
    gets to see.
    """

    __slots__ = ("cls",)

    def __init__(self, cls: type[Record]) -> None:
        self.cls = cls


def cons(car: Any, cdr: Any) -> Pair:
    pair = Pair()
    pair.car = car
    pair.cdr = cdr
    return pair


def to_list(items: Iterable[Any], tail: Any = Nil) -> Any:
    """The Lisp list of `items`, ending in `tail`."""
    result = tail
    for item in reversed(items if type(items) is list or type(items) is tuple else list(items)):
        pair = Pair()
        pair.car = item
        pair.cdr = result
        result = pair
    return result


def list_items(lst: Any) -> list[Any] | None:
    """The elements of a proper list as a Python list; None when `lst` is improper, circular or no
    list.
    """
    items: list[Any] = []
    slow = lst
    at = lst
    while isinstance(at, Pair):
        items.append(at.car)
        at = at.cdr
        if len(items) & 1 == 0:
            slow = slow.cdr
            if slow is at and isinstance(at, Pair):
                return None
    return items if at is Nil else None


def spine(lst: Any) -> list[Any]:
    """The elements of a list up to its tail; an improper tail counts as one more."""
    items = []
    while isinstance(lst, Pair):
        items.append(lst.car)
        lst = lst.cdr
    if lst is not Nil and lst is not None:
        items.append(lst)
    return items
