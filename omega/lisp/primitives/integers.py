"""Integers divided, and their common divisors and multiples (R7RS 6.2.6).

Owns: odd? and even?, the divisions that round down and towards zero, gcd and lcm. An integer may be
inexact, such as 2.0; then the result is.
Refuses: long work in one piece or for nothing: see numbers.py.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from omega.lisp.data import Values
from omega.lisp.numbers import RATIO_BITS_MAX, STEP_WORK, floored, to_float
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.numbers import division_by_zero, limit_bits, mul
from omega.lisp.primitives.registry import primitive

SHORT = 1 << 1000  # integers below are divided, and have roots, in no time worth a step


def _integral(name: str, position: int, value: Any) -> int:
    """The integer an integer argument (2 or 2.0) stands for."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise wrong_type(name, position, "an integer", value)


def _like(value: int, *arguments: Any) -> Any:
    """`value`, inexact if any argument is."""
    return to_float(value) if float in map(type, arguments) else value


def _divided(name: str, a: Any, b: Any) -> tuple[int, int]:
    x, y = _integral(name, 1, a), _integral(name, 2, b)
    if y == 0:
        raise division_by_zero(name, a)
    return x, y


def _truncated(x: int, y: int, rt: Any) -> tuple[int, int]:
    """The quotient rounded towards zero, and what it leaves."""
    q, r = floored(x, y, rt.charge)
    return (q + 1, r - y) if r and (x < 0) is not (y < 0) else (q, r)


def _common_divisor(a: int, b: int, rt: Any) -> int:
    a, b = abs(a), abs(b)
    if a < b:
        a, b = b, a
    if b and a.bit_length() * b.bit_length() >= 1 << STEP_WORK:
        a, b = b, floored(a, b, rt.charge)[1]
        bits = b.bit_length()
        limit_bits(rt, bits, RATIO_BITS_MAX, "bits of a common divisor's numbers")
        rt.charge(a.bit_length() * bits >> STEP_WORK)
    return math.gcd(a, b)


@primitive("odd?", result="bool")
def is_odd(n: Any) -> bool:
    """(odd? n) -> boolean: whether the integer n is odd."""
    return _integral("odd?", 1, n) % 2 == 1


@primitive("even?", result="bool")
def is_even(n: Any) -> bool:
    """(even? n) -> boolean: whether the integer n is even."""
    return _integral("even?", 1, n) % 2 == 0


def _floored(x: int, y: int, rt: Any) -> tuple[int, int]:
    return floored(x, y, rt.charge)


Divide = Callable[[int, int, Any], tuple[int, int]]


def _division(
    names: tuple[str, ...],
    divide: Divide,
    part: int,
    of_short: Callable[[int, int], int],
    what: str,
) -> None:
    """part: 0 for the quotient, 1 for what it leaves. of_short: the same of short integers."""
    name = names[0]

    def divided(n: Any, m: Any, *, rt: Any) -> Any:
        if type(n) is type(m) is int and m and -SHORT < n < SHORT:
            return of_short(n, m)
        x, y = _divided(name, n, m)
        return _like(divide(x, y, rt)[part], n, m)

    divided.__doc__ = f"({name} n m) -> integer: {what}."
    primitive(*names, result="number")(divided)


def _short_quotient(n: int, m: int) -> int:
    return n // m if (n < 0) is (m < 0) else -(-n // m)


def _short_remainder(n: int, m: int) -> int:
    return n % m if (n < 0) is (m < 0) else -(-n % m)


_division(
    ("quotient", "truncate-quotient"),
    _truncated,
    0,
    _short_quotient,
    "n divided by m, rounded towards zero",
)
_division(
    ("remainder", "truncate-remainder"),
    _truncated,
    1,
    _short_remainder,
    "what (quotient n m) leaves; has the sign of n",
)
_division(
    ("modulo", "floor-remainder"),
    _floored,
    1,
    operator.mod,
    "what (floor-quotient n m) leaves; has the sign of m",
)
_division(("floor-quotient",), _floored, 0, operator.floordiv, "n divided by m, rounded down")


@primitive("floor/")
def floor_divide(n: Any, m: Any, *, rt: Any) -> Any:
    """(floor/ n m) -> two values: (floor-quotient n m) and (floor-remainder n m)."""
    if type(n) is type(m) is int and m and -SHORT < n < SHORT:
        return Values(divmod(n, m))
    return _both(_floored(*_divided("floor/", n, m), rt), n, m)


@primitive("truncate/")
def truncate_divide(n: Any, m: Any, *, rt: Any) -> Any:
    """(truncate/ n m) -> two values: (truncate-quotient n m) and (truncate-remainder n m)."""
    if type(n) is type(m) is int and m and -SHORT < n < SHORT:
        return Values((_short_quotient(n, m), _short_remainder(n, m)))
    return _both(_truncated(*_divided("truncate/", n, m), rt), n, m)


def _both(results: tuple[int, int], *arguments: Any) -> Any:
    return Values(tuple(_like(result, *arguments) for result in results))


def _are_two_short(numbers: tuple[Any, ...]) -> bool:
    if len(numbers) != 2:
        return False
    n, m = numbers
    return type(n) is type(m) is int and -SHORT < n < SHORT and -SHORT < m < SHORT


@primitive("gcd", result="number")
def gcd(*numbers: Any, rt: Any) -> Any:
    """(gcd n ...) -> integer: the greatest common divisor, never negative; 0 without arguments."""
    if _are_two_short(numbers):
        return math.gcd(*numbers)
    check.spend_each(rt, len(numbers))
    values = [_integral("gcd", at, n) for at, n in enumerate(numbers, 1)]
    found = 0
    for value in values:
        found = _common_divisor(found, value, rt)
    return _like(found, *numbers)


@primitive("lcm", result="number")
def lcm(*numbers: Any, rt: Any) -> Any:
    """(lcm n ...) -> integer: the least common multiple, never negative; 1 without arguments."""
    if _are_two_short(numbers):
        return math.lcm(*numbers)
    check.spend_each(rt, len(numbers))
    values = [_integral("lcm", at, n) for at, n in enumerate(numbers, 1)]
    found = 1
    for value in values:
        if value == 0:
            return _like(0, *numbers)
        rest = floored(found, _common_divisor(found, value, rt), rt.charge)[0]
        found = mul(rest, abs(value), rt=rt)
    return _like(found, *numbers)
