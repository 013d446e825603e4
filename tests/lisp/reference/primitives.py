"""The primitives of the reference.

Owns: PRIMITIVES: what the compiler writes out as Python operators is said here again, in the
obvious way; everything else is the primitive itself. RUNTIME: what these lean on.

Where an argument is wrong the primitive itself makes the error.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from types import FunctionType
from typing import Any

from omega.errors import DivisionByZero, LimitExceeded
from omega.lisp.data import Char, Eof, Nil, Pair, Symbol
from omega.lisp.host import PlainHost
from omega.lisp.names import library_name
from omega.lisp.primitives.registry import Primitive as Registered
from omega.lisp.records import RECORD_PROCEDURES
from omega.lisp.runtime import Runtime
from omega.lisp.table import HashTable
from tests.lisp.reference.procedures import Primitive, Procedure


class Host(PlainHost):
    """Steps that primitives charge go to the machine that runs."""

    machine: Any = None

    def charge(self, steps: int) -> None:
        if self.machine is not None:
            self.machine.steps += steps


HOST = Host()
RUNTIME = Runtime(HOST)
REALS = (int, float, Fraction)
TEXT_MAX = 1_000_000  # characters of a text that programs are compared with


class Unfit(Exception):
    """The primitive itself is to say what is wrong."""


class Unsaid(BaseException):
    """The program shows what the reference cannot know: how a procedure is written."""


def _numbers(values: Any) -> None:
    if any(type(value) not in REALS for value in values):
        raise Unfit


def _exact(value: Any) -> Any:
    """A ratio that is a whole number is an integer."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return value


def _mixed(a: Any, b: Any) -> tuple[Any, Any]:
    """Both inexact if one is."""
    if isinstance(a, float) or isinstance(b, float):
        try:
            return float(a), float(b)
        except OverflowError:
            raise Unfit from None
    return a, b


def _folding(f: Callable[[Any, Any], Any], first: Any) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        _numbers(values)
        result = values[0] if values else first
        for value in values[1:]:
            result = _exact(f(*_mixed(result, value)))
        return result

    return apply


def _minus(*values: Any) -> Any:
    _numbers(values)
    if len(values) == 1:
        return -values[0]
    return _folding(lambda a, b: a - b, 0)(*values)


def _divide(*values: Any) -> Any:
    _numbers(values)
    result, *rest = values if len(values) > 1 else (1, *values)
    for value in rest:
        a, b = _mixed(result, value)
        if b == 0:
            raise Unfit
        result = _exact(a / b if isinstance(a, float) else Fraction(a) / Fraction(b))
    return result


def _comparing(f: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def apply(*values: Any) -> bool:
        _numbers(values)
        return all(f(a, b) for a, b in pairwise(values))

    return apply


def _whole(f: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        if type(a) is not int or type(b) is not int:
            raise Unfit
        if b == 0:
            raise DivisionByZero("division by zero")
        return f(a, b)

    return apply


def _quotient(a: int, b: int) -> int:
    sign = -1 if (a < 0) != (b < 0) else 1
    return sign * (abs(a) // abs(b))


def _path(*steps: str) -> Callable[[Any], Any]:
    """(cadr x) and its kin; steps: from the outside in."""

    def apply(value: Any) -> Any:
        for step in reversed(steps):
            if not isinstance(value, Pair):
                raise Unfit
            value = value.car if step == "a" else value.cdr
        return value

    return apply


def _vector_ref(vector: Any, k: Any) -> Any:
    if type(vector) is not list or type(k) is not int or not 0 <= k < len(vector):
        raise Unfit
    return vector[k]


def _vector_set(vector: Any, k: Any, value: Any) -> None:
    if type(vector) is not list or type(k) is not int or not 0 <= k < len(vector):
        raise Unfit
    vector[k] = value


def _set_half(name: str) -> Callable[[Any, Any], None]:
    def apply(pair: Any, value: Any) -> None:
        if not isinstance(pair, Pair):
            raise Unfit
        setattr(pair, name, value)

    return apply


def _length_of(kind: type) -> Callable[[Any], int]:
    def apply(value: Any) -> int:
        if type(value) is not kind:
            raise Unfit
        return len(value)

    return apply


def _number(f: Callable[[Any], bool], *kinds: type) -> Callable[[Any], bool]:
    def apply(value: Any) -> bool:
        if type(value) not in kinds:
            raise Unfit
        return f(value)

    return apply


def _eqv(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or type(a) not in (*REALS, str):
        return a is b
    if type(a) is str:
        raise Unfit  # which strings are one is not for us to say
    return a == b and str(a) == str(b)


def _string(*parts: Any) -> str:
    if any(type(part) not in (*REALS, str, bool, Char, Symbol) for part in parts):
        raise Unsaid
    raise Unfit


def _string_append(*strings: Any) -> str:
    if any(type(string) is not str for string in strings):
        raise Unfit
    size = sum(map(len, strings))
    if size > TEXT_MAX:  # it doubles in a loop that does not end, say
        raise LimitExceeded("size", size, TEXT_MAX, "characters")
    return "".join(strings)


OWN: dict[str, Callable[..., Any]] = {
    "+": _folding(lambda a, b: a + b, 0),
    "*": _folding(lambda a, b: a * b, 1),
    "-": _minus,
    "/": _divide,
    "=": _comparing(lambda a, b: a == b),
    "<": _comparing(lambda a, b: a < b),
    ">": _comparing(lambda a, b: a > b),
    "<=": _comparing(lambda a, b: a <= b),
    ">=": _comparing(lambda a, b: a >= b),
    "quotient": _whole(_quotient),
    "remainder": _whole(lambda a, b: a - b * _quotient(a, b)),
    "modulo": _whole(lambda a, b: a % b),
    "zero?": _number(lambda a: a == 0, *REALS),
    "positive?": _number(lambda a: a > 0, *REALS),
    "negative?": _number(lambda a: a < 0, *REALS),
    "even?": _number(lambda a: a % 2 == 0, int),
    "odd?": _number(lambda a: a % 2 == 1, int),
    "not": lambda a: a is False,
    "null?": lambda a: a is Nil,
    "pair?": lambda a: isinstance(a, Pair),
    "string?": lambda a: type(a) is str,
    "symbol?": lambda a: isinstance(a, Symbol),
    "vector?": lambda a: type(a) is list,
    "eof-object?": lambda a: a is Eof,
    "hash-table?": lambda a: type(a) is HashTable,
    "eqv?": _eqv,
    "procedure?": lambda a: isinstance(a, Procedure),
    **{f"c{path}r": _path(*path) for path in ("a", "d", "aa", "ad", "da", "dd", "add", "ddd")},
    "set-car!": _set_half("car"),
    "set-cdr!": _set_half("cdr"),
    "vector-ref": _vector_ref,
    "vector-set!": _vector_set,
    "vector-length": _length_of(list),
    "string-length": _length_of(str),
    "string-append": _string_append,
    "string": _string,
}


def _either(own: Callable[..., Any], itself: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*arguments: Any) -> Any:
        try:
            return own(*arguments)
        except Unfit:
            pass
        return itself(*arguments)

    return apply


def _looking(function: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive that does something else when it is given certain primitives."""

    def apply(*arguments: Any) -> Any:
        return function(*(a.itself if isinstance(a, Primitive) else a for a in arguments))

    return apply


def _made() -> dict[str, Primitive]:
    found = {}
    for name, kind in RUNTIME.library.items():
        if not isinstance(kind, Registered):
            continue
        itself = function = RUNTIME.registers[library_name(name)]
        if name in OWN:
            function = _either(OWN[name], itself)
        elif name.startswith("%sort"):
            function = _looking(itself)
        found[name] = Primitive(name, function, kind.low, kind.high)
        found[name].itself = itself
    for name, function in RECORD_PROCEDURES.items():
        found[name] = _of_function(name, function)
    return found


def of_function(name: str, function: FunctionType) -> Primitive:
    """A procedure that the program sees and the runtime made: of a record."""
    low, high = RUNTIME.arity(function)
    return Primitive(name, function, low, high)


def _of_function(name: str, function: Callable[..., Any]) -> Primitive:
    """A procedure of the runtime that makes procedures."""
    low, high = RUNTIME.arity(function)

    def apply(*arguments: Any) -> Any:
        made = function(*arguments)
        return of_function("", made) if isinstance(made, FunctionType) else made

    return Primitive(name, apply, low, high)


PRIMITIVES = _made()
