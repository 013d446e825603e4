"""What primitives check and how they refuse: one wording for wrong types, indices, sizes and
options.

Owns: the helpers below. They return what they checked, or raise an OmegaError that names the
primitive, the position of the argument, what was expected and what was given.
Refuses: conversions beyond what the name says.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import Any

from omega.errors import ArityError, LimitExceeded, LispIndexError, LispTypeError, LispValueError
from omega.lisp.data import Keyword, Nil, Pair
from omega.lisp.table import HashTable

REALS = frozenset((int, float, Fraction))
_STEP_ITEMS = 64  # items a primitive copies or scans in bulk for one step; fewer are free
_STEP_EACH = 8  # items it looks at or makes one by one for one step
FREE_ITEMS = _STEP_ITEMS - 1  # so many are not worth a step
_INDEX_DIGITS_MAX = 10**18
WALK_ITEMS = 512  # elements of a list walked between charges
_WALK = range(WALK_ITEMS)
_NOWHERE = object()
SHORT = range(FREE_ITEMS)  # so many elements are passed for nothing


def wrong_type(name: str, position: int | str, expected: str, value: Any) -> LispTypeError:
    """The error for argument `position` (from 1, or a keyword ":key") of `name`; expected: with its
    article, "a pair".
    """
    from omega.lisp.hints import hint_for
    from omega.lisp.printer import shorten

    shown = shorten(value)
    where = f"as argument {position}" if isinstance(position, int) else f"for {position}"
    return LispTypeError(
        f"`{name}` expected {expected} {where}, got {shown}",
        irritants=[value],
        hint=hint_for(name, expected, value, shown),
    )


def integer(name: str, position: int, value: Any) -> int:
    """An exact integer."""
    if type(value) is not int:
        raise wrong_type(name, position, "an exact integer", value)
    return value


def natural(name: str, position: int, value: Any) -> int:
    """An exact integer that is not negative: a count or a size."""
    if type(value) is not int:
        raise wrong_type(name, position, "an exact non-negative integer", value)
    if value < 0:
        raise LispIndexError(f"`{name}` expected a count of at least 0, got {_brief(value)}")
    return value


def number(name: str, position: int, value: Any) -> Any:
    if type(value) not in REALS:
        raise wrong_type(name, position, "a number", value)
    return value


def string(name: str, position: int, value: Any) -> str:
    if type(value) is not str:
        raise wrong_type(name, position, "a string", value)
    return value


def vector(name: str, position: int, value: Any) -> list[Any]:
    if type(value) is not list:
        raise wrong_type(name, position, "a vector", value)
    return value


def byte(name: str, position: int, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise wrong_type(name, position, "a byte (an integer from 0 to 255)", value)
    return value


def table(name: str, position: int, value: Any) -> HashTable:
    if not isinstance(value, HashTable):
        raise wrong_type(name, position, "a hash table", value)
    return value


def pair(name: str, position: int, value: Any) -> Pair:
    if not isinstance(value, Pair):
        raise wrong_type(name, position, "a pair", value)
    return value


def proper_list(name: str, position: int, value: Any, rt: Any) -> list[Any]:
    """The elements of a proper list, as a fresh Python list; the walk is charged for."""
    items: list[Any] = []
    at = value
    try:
        for _ in SHORT:
            if at is Nil:
                return items
            items.append(at.__car__)  # what is no pair has no such attribute
            at = at.__cdr__
    except AttributeError:
        pass
    items, end = _walked_on(items, at, rt)
    if end is not Nil:
        raise wrong_type(name, position, "a proper list", value)
    return items


def walked(value: Any, rt: Any) -> tuple[list[Any], Any]:
    """The elements of a list and what it ends in: () if it is proper, a pair if it goes round. The
    walk is charged for while it lasts.
    """
    items: list[Any] = []
    at = value
    for _ in SHORT:
        if type(at) is not Pair:
            break
        items.append(at.car)
        at = at.cdr
    return (items, Nil) if at is Nil else _walked_on(items, at, rt)


def _walked_on(items: list[Any], at: Any, rt: Any) -> tuple[list[Any], Any]:
    """`walked`, when the first `items` have been passed and the rest is `at`."""
    add = items.append
    met, known = _NOWHERE, WALK_ITEMS
    stretch = range(len(items), WALK_ITEMS)
    while True:
        for _ in stretch:
            if type(at) is not Pair and not isinstance(at, Pair):
                spend_each(rt, len(items) % WALK_ITEMS)
                return items, at
            add(at.car)
            at = at.cdr
            if at is met:
                return items, at
        stretch = _WALK
        rt.charge(WALK_ITEMS // _STEP_EACH)
        if len(items) >= known:  # Brent: a pair met again is one of a round
            met, known = at, 2 * len(items)


def measured(value: Any, rt: Any, passed: int = 0) -> tuple[int, Any]:
    """How many elements a list has and what it ends in, as `walked`. passed: how many there are
    before it, at most FREE_ITEMS.
    """
    at, met, size, known = value, _NOWHERE, 0, WALK_ITEMS
    stretch = range(passed, WALK_ITEMS)
    while True:
        for here in stretch:
            if type(at) is not Pair and not isinstance(at, Pair):
                spend_each(rt, here)
                return size + here, at
            at = at.cdr
            if at is met:
                return size + here + 1, at
        stretch = _WALK
        size += WALK_ITEMS
        rt.charge(WALK_ITEMS // _STEP_EACH)
        if size >= known:
            met, known = at, 2 * size


def index(name: str, position: int, value: Any, length: int, what: str) -> int:
    """An index of something of `length` (what: "vector", "string", ...)."""
    if type(value) is not int:
        raise wrong_type(name, position, "an index (an exact integer)", value)
    if not 0 <= value < length:
        raise LispIndexError(
            f"`{name}` index {_brief(value)} is out of range for a {what} of length {length}",
            hint=index_hint(length, what),
        )
    return value


def index_hint(length: int, what: str) -> str:
    """Which indices there are."""
    return f"indices run from 0 to {length - 1}" if length else f"the {what} is empty: it has none"


def span(name: str, position: int, start: Any, end: Any, length: int, what: str) -> tuple[int, int]:
    """Optional start and end (None: not given) of a range of something of `length`; start stands
    at `position`.
    """
    first = 0 if start is None else start
    last = length if end is None else end
    if type(first) is int and type(last) is int and 0 <= first <= last <= length:
        return first, last
    for at, value in ((position, first), (position + 1, last)):
        if type(value) is not int:
            raise wrong_type(name, at, "an index (an exact integer)", value)
    raise LispIndexError(
        f"`{name}` range {_brief(first)} to {_brief(last)} is out of range "
        f"for a {what} of length {length}",
        hint=f"0 <= start <= end <= {length} is needed; the end itself is left out",
    )


def fits(rt: Any, items: int, unit: str = "items") -> None:
    """Refuse to make something of more than `alloc_items` items."""
    most = rt.limits.alloc_items
    if most is not None and items > most:
        raise LimitExceeded("size", min(items, _INDEX_DIGITS_MAX), most, unit)


def size(rt: Any, items: int, unit: str = "items") -> None:
    """Refuse to make something of more than `alloc_items` items, and charge for making it in
    bulk.
    """
    most = rt.limits.alloc_items
    if most is not None and items > most:
        fits(rt, items, unit)
    if items >= _STEP_ITEMS:
        rt.charge(items // _STEP_ITEMS)


def list_size(rt: Any, items: int) -> None:
    """Refuse to make a list of more than `alloc_items` items, and charge for making it."""
    most = rt.limits.alloc_items
    if most is not None and items > most:
        fits(rt, items)
    if items >= _STEP_ITEMS:
        rt.charge(items // _STEP_EACH)


def spend(rt: Any, items: int) -> None:
    """Charge the steps that work on `items` items is worth."""
    if items >= _STEP_ITEMS:
        rt.charge(items // _STEP_ITEMS)


def spend_each(rt: Any, items: int) -> None:
    """Charge the steps that work is worth which Python does on `items` items one by one, such as
    making a list of them.
    """
    if items >= _STEP_ITEMS:
        rt.charge(items // _STEP_EACH)


def options(
    name: str, arguments: tuple[Any, ...], position: int, allowed: Collection[str]
) -> dict[str, Any]:
    """`:key value` pairs among the arguments from `position` on, by key; ArityError for unknown or
    odd ones.
    """
    found: dict[str, Any] = {}
    for at in range(0, len(arguments), 2):
        key = arguments[at]
        if not isinstance(key, Keyword):
            raise wrong_type(name, position + at, "a keyword", key)
        if key.name not in allowed:
            known = ", ".join(f":{k}" for k in allowed)
            raise ArityError(f"`{name}` takes no :{key.name}", hint=f"it takes {known}")
        if key.name in found:
            raise ArityError(f"`{name}` got :{key.name} twice", hint="leave one of them out")
        if at + 1 == len(arguments):
            raise ArityError(
                f"`{name}` got :{key.name} without a value", hint=f"write :{key.name} value"
            )
        found[key.name] = arguments[at + 1]
    return found


def invalid(name: str, message: str, *irritants: Any) -> LispValueError:
    """The error for a value of the right type that `name` cannot take."""
    return LispValueError(f"`{name}` {message}", irritants=irritants)


def _brief(value: int) -> str:
    from omega.lisp.printer import shorten

    return shorten(value, 30)
