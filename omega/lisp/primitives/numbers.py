"""Arithmetic and comparison: exact where the arguments are exact, and strict about what a number
is.

Owns: `+ - * /`, comparisons, predicates, integer division, gcd, min and max; and the binary
functions that compiled code calls when its inline integer test fails: num_eq and LIMITED.
Refuses: booleans, strings, host objects (Python would take some of them for numbers), complex
results.

What takes more than linear time in the size of its numbers is charged for, in pieces as small as
can be: long products, divisions and roots are made of many short ones; of a greatest common
divisor, which CPython finds in one piece, the size is limited (RATIO_BITS_MAX), and so that of
rationals. Integers are limited (INTEGER_BITS_MAX) so that what is linear, such as a sum, is short.

Integers are int, rationals Fraction (never with denominator 1), reals float. Source: R7RS 6.2.6.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

from omega.errors import DivisionByZero, LispTypeError
from omega.lisp.numbers import (
    INTEGER_BITS_MAX,
    RATIO_BITS_MAX,
    STEP_WORK,
    floored,
    multiplied,
    product_steps,
    to_float,
    too_long,
)
from omega.lisp.primitives import check
from omega.lisp.primitives.check import REALS, wrong_type
from omega.lisp.primitives.registry import primitive

Real = int | float | Fraction
_PLAIN = frozenset((int, float))
_BIG = 1 << 4096
_LOW = -_BIG
_SMALL = 8192  # bits of two numbers nothing about which takes long


def _not_numbers(name: str, a: Any, b: Any) -> LispTypeError:
    if type(a) not in REALS:
        return wrong_type(name, 1, "a number", a)
    return wrong_type(name, 2, "a number", b)


def _zero(name: str, dividend: Any) -> DivisionByZero:
    from omega.lisp.printer import shorten

    return DivisionByZero(
        f"`{name}` cannot divide {shorten(dividend)} by zero",
        irritants=[dividend],
        hint="test the divisor with `zero?` before",
    )


# -- the slow paths of compiled code --------------------------------------------------------------


def add(a: Any, b: Any, *, rt: Any) -> Any:
    """a + b; LispTypeError names `+`."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        return _ratio("+", operator.add, a, b, rt)
    try:
        return a + b
    except OverflowError:
        return to_float(a) + to_float(b)


def sub(a: Any, b: Any, *, rt: Any) -> Any:
    """a - b; LispTypeError names `-`."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        return _ratio("-", operator.sub, a, b, rt)
    try:
        return a - b
    except OverflowError:
        return to_float(a) - to_float(b)


def mul(a: Any, b: Any, *, rt: Any) -> Any:
    """a * b; LispTypeError names `*`."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        return _ratio("*", operator.mul, a, b, rt)
    if type(a) is type(b) is int:
        return a * b if _LOW < a < _BIG > b > _LOW else product(a, b, rt=rt)
    try:
        return a * b
    except OverflowError:
        return to_float(a) * to_float(b)


def product(a: int, b: int, *, rt: Any) -> int:
    """A product of long integers: charged for and in pieces, and one beyond the limit refused."""
    if not (a and b):
        return 0
    limit_bits(rt, a.bit_length() + b.bit_length() - 1, INTEGER_BITS_MAX, "bits of a product")
    return multiplied(a, b, rt.charge)


def bits_allowed(rt: Any, most: int) -> int:
    """The most bits a number may have that takes time: `most`, or fewer where `alloc_items` is
    less.
    """
    allowed: int | None = rt.limits.alloc_items
    return most if allowed is None else min(most, allowed)


def limit_bits(rt: Any, bits: int, most: int, what: str) -> None:
    """Refuse a number of more than `most` bits, or fewer where `alloc_items` is less. what: "bits
    of a product".
    """
    allowed = bits_allowed(rt, most)
    if bits > allowed:
        raise too_long(bits, most, allowed, what)


# -- rationals ------------------------------------------------------------------------------------


def _ratio(name: str, operate: Callable[[Any, Any], Any], a: Any, b: Any, rt: Any) -> Any:
    """The value of an operation with a rational in it, or the error of one that has no numbers."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers(name, a, b)
    if type(a) is float or type(b) is float:
        return operate(to_float(a), to_float(b))
    before_ratio(a, b, rt)
    return ratio_allowed(operate(a, b), rt)


def _bits(n: int | Fraction) -> int:
    return max(n.numerator.bit_length(), n.denominator.bit_length())


def before_ratio(a: Any, b: Any, rt: Any) -> None:
    """Charge for an operation that takes common divisors of the parts of a and b, or refuse it."""
    x, y = _bits(a), _bits(b)
    if x + y < _SMALL:
        return
    limit_bits(rt, max(x, y) // 2, RATIO_BITS_MAX, "bits of a rational number")
    rt.charge(x * y >> STEP_WORK)


def ratio_allowed(value: Any, rt: Any) -> Any:
    """An exact value as Lisp has it; LimitExceeded for a rational that has become too long."""
    if type(value) is not Fraction:
        return value
    if value.denominator == 1:
        return value.numerator
    limit_bits(rt, _bits(value), RATIO_BITS_MAX, "bits of a rational number")
    return value


def div(a: Any, b: Any, *, rt: Any) -> Any:
    """a / b, exact for exact operands; DivisionByZero for an exact zero, infinite or nan for
    0.0.
    """
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("/", a, b)
    if b == 0:
        if type(b) is not float:
            raise _zero("/", a)
        a = to_float(a)
        if a == 0 or a != a:
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    if type(a) is float or type(b) is float:
        a, b = to_float(a), to_float(b)
        return a / b if b else div(a, b, rt=rt)  # an exact one may be 0.0 as a float
    if type(a) is int and type(b) is int and a.bit_length() + b.bit_length() > _SMALL:
        quotient, rest = floored(a, b, rt.charge)
        if rest == 0:
            return quotient
    before_ratio(a, b, rt)
    if type(a) is int and type(b) is int:
        return ratio_allowed(Fraction(a, b), rt)
    return ratio_allowed(a * Fraction(b) ** -1, rt)  # a reciprocal takes no common divisor


def num_eq(a: Any, b: Any) -> bool:
    """a = b by value, whatever the exactness."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("=", a, b)
    return bool(a == b)


def _before_order(name: str, a: Any, b: Any, rt: Any) -> None:
    """Check what is to be put in order, and charge for the products that takes of a rational."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers(name, a, b)
    if (type(a) is Fraction or type(b) is Fraction) and float not in (type(a), type(b)):
        long, short = sorted((_bits(a), _bits(b)))[::-1]
        if long > _SMALL:
            rt.charge(product_steps(long, short))


def lt(a: Any, b: Any, *, rt: Any) -> bool:
    """a < b, exactly."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        _before_order("<", a, b, rt)
    return bool(a < b)


def gt(a: Any, b: Any, *, rt: Any) -> bool:
    """a > b, exactly."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        _before_order(">", a, b, rt)
    return bool(a > b)


def le(a: Any, b: Any, *, rt: Any) -> bool:
    """a <= b, exactly."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        _before_order("<=", a, b, rt)
    return bool(a <= b)


def ge(a: Any, b: Any, *, rt: Any) -> bool:
    """a >= b, exactly."""
    if type(a) not in _PLAIN or type(b) not in _PLAIN:
        _before_order(">=", a, b, rt)
    return bool(a >= b)


# What compiled code calls bound to a runtime.
LIMITED: tuple[Any, ...] = (add, sub, mul, div, product, lt, gt, le, ge)

# -- sums and products ----------------------------------------------------------------------------


def _checked(name: str, numbers: tuple[Any, ...], rt: Any) -> None:
    check.spend_each(rt, len(numbers))
    for at, value in enumerate(numbers, 1):
        if type(value) not in REALS:
            raise wrong_type(name, at, "a number", value)


@primitive("+", result="number")
def plus(*numbers: Any, rt: Any) -> Any:
    """(+ number ...) -> number: the sum; 0 without arguments."""
    if len(numbers) == 2:
        return add(*numbers, rt=rt)
    _checked("+", numbers, rt)
    if not numbers:
        return 0
    total = numbers[0]
    for value in numbers[1:]:
        total = add(total, value, rt=rt)
    return total


@primitive("*", result="number")
def times(*numbers: Any, rt: Any) -> Any:
    """(* number ...) -> number: the product; 1 without arguments."""
    if len(numbers) == 2:
        return mul(*numbers, rt=rt)
    _checked("*", numbers, rt)
    if not numbers:
        return 1
    total = numbers[0]
    for value in numbers[1:]:
        total = mul(total, value, rt=rt)
    return total


@primitive("-", result="number")
def minus(number: Any, *numbers: Any, rt: Any) -> Any:
    """(- number ...) -> number: the first less all others; of one argument, its negative."""
    _checked("-", (number, *numbers), rt)
    if not numbers:
        return -number
    for value in numbers:
        number = sub(number, value, rt=rt)
    return number


@primitive("/", result="number")
def divide(number: Any, *numbers: Any, rt: Any) -> Any:
    """(/ number ...) -> number: the first divided by all others; of one argument, its reciprocal.
    (/ 1 3) is exact.
    """
    _checked("/", (number, *numbers), rt)
    if not numbers:
        return div(1, number, rt=rt)
    for value in numbers:
        number = div(number, value, rt=rt)
    return number


@primitive("1+", "inc", result="number")
def one_plus(n: Any, *, rt: Any) -> Any:
    """(1+ n) -> number: n plus one."""
    return add(check.number("1+", 1, n), 1, rt=rt)


@primitive("-1+", "1-", "dec", result="number")
def minus_one_plus(n: Any, *, rt: Any) -> Any:
    """(-1+ n) -> number: n less one."""
    return sub(check.number("-1+", 1, n), 1, rt=rt)


# -- comparison -----------------------------------------------------------------------------------


def _comparison(
    name: str, relation: Callable[[Any, Any], bool], text: str, of_two: Callable[..., bool]
) -> None:
    def compare(*numbers: Any, rt: Any) -> bool:
        if len(numbers) == 2:
            return of_two(*numbers, rt=rt)
        _checked(name, numbers, rt)
        if Fraction in map(type, numbers):
            for a, b in pairwise(numbers):
                _before_order(name, a, b, rt)
        return all(map(relation, numbers, numbers[1:]))

    compare.__doc__ = f"({name} number ...) -> boolean: whether {text}."
    primitive(name, result="bool")(compare)


def _equal(a: Any, b: Any, *, rt: Any) -> bool:
    return num_eq(a, b)


_comparison("=", operator.eq, "all are the same number, whatever their exactness", _equal)
_comparison("<", operator.lt, "each is less than the next", lt)
_comparison(">", operator.gt, "each is greater than the next", gt)
_comparison("<=", operator.le, "none is greater than the next", le)
_comparison(">=", operator.ge, "none is less than the next", ge)


def _extreme(name: str, numbers: tuple[Any, ...], sign: int, rt: Any) -> Any:
    _checked(name, numbers, rt)
    best = numbers[0]
    inexact = False
    for value in numbers:
        inexact = inexact or type(value) is float
        if value != value:
            return math.nan
        if type(value) is Fraction or type(best) is Fraction:
            _before_order(name, value, best, rt)
        if (value < best) if sign < 0 else (value > best):
            best = value
    return to_float(best) if inexact else best


@primitive("min", result="number")
def minimum(number: Any, *numbers: Any, rt: Any) -> Any:
    """(min number ...) -> number: the least; inexact if any argument is."""
    return _extreme("min", (number, *numbers), -1, rt)


@primitive("max", result="number")
def maximum(number: Any, *numbers: Any, rt: Any) -> Any:
    """(max number ...) -> number: the greatest; inexact if any argument is."""
    return _extreme("max", (number, *numbers), 1, rt)


# -- predicates -----------------------------------------------------------------------------------


@primitive("number?", "complex?", "real?", result="bool")
def is_number(x: Any) -> bool:
    """(number? x) -> boolean: whether x is a number."""
    return type(x) in REALS


@primitive("rational?", result="bool")
def is_rational(x: Any) -> bool:
    """(rational? x) -> boolean: whether x is a finite number."""
    return type(x) in (int, Fraction) or (type(x) is float and math.isfinite(x))


@primitive("integer?", result="bool")
def is_integer(x: Any) -> bool:
    """(integer? x) -> boolean: whether x is an integer, such as 2 or 2.0."""
    return type(x) is int or (type(x) is float and x.is_integer())


@primitive("exact-integer?", result="bool")
def is_exact_integer(x: Any) -> bool:
    """(exact-integer? x) -> boolean: whether x is an exact integer."""
    return type(x) is int


@primitive("exact-rational?", result="bool")
def is_exact_rational(x: Any) -> bool:
    """(exact-rational? x) -> boolean: whether x is an exact number."""
    return type(x) is int or type(x) is Fraction


@primitive("exact-nonnegative-integer?", "natural?", result="bool")
def is_natural(x: Any) -> bool:
    """(exact-nonnegative-integer? x) -> boolean: whether x is an exact integer of at least 0."""
    return type(x) is int and x >= 0


@primitive("exact?", result="bool")
def is_exact(n: Any) -> bool:
    """(exact? n) -> boolean: whether the number n is exact."""
    return type(check.number("exact?", 1, n)) is not float


@primitive("inexact?", result="bool")
def is_inexact(n: Any) -> bool:
    """(inexact? n) -> boolean: whether the number n is inexact."""
    return type(check.number("inexact?", 1, n)) is float


@primitive("nan?", result="bool")
def is_nan(n: Any) -> bool:
    """(nan? n) -> boolean: whether n is +nan.0."""
    return bool(check.number("nan?", 1, n) != n)


@primitive("finite?", result="bool")
def is_finite(n: Any) -> bool:
    """(finite? n) -> boolean: whether n is neither infinite nor nan."""
    check.number("finite?", 1, n)
    return type(n) is not float or math.isfinite(n)


@primitive("infinite?", result="bool")
def is_infinite(n: Any) -> bool:
    """(infinite? n) -> boolean: whether n is +inf.0 or -inf.0."""
    check.number("infinite?", 1, n)
    return type(n) is float and math.isinf(n)


@primitive("zero?", result="bool")
def is_zero(n: Any) -> bool:
    """(zero? n) -> boolean: whether n is 0."""
    return bool(check.number("zero?", 1, n) == 0)


@primitive("positive?", result="bool")
def is_positive(n: Any) -> bool:
    """(positive? n) -> boolean: whether n is greater than 0."""
    return bool(check.number("positive?", 1, n) > 0)


@primitive("negative?", result="bool")
def is_negative(n: Any) -> bool:
    """(negative? n) -> boolean: whether n is less than 0."""
    return bool(check.number("negative?", 1, n) < 0)


# -- integers -------------------------------------------------------------------------------------


def _integral(name: str, position: int, value: Any) -> int:
    """The integer an integer argument (2 or 2.0) stands for."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise wrong_type(name, position, "an integer", value)


def _like(value: int, *arguments: Any) -> Any:
    """`value`, inexact if any argument is."""
    return to_float(value) if any(type(argument) is float for argument in arguments) else value


def _divided(name: str, a: Any, b: Any) -> tuple[int, int]:
    x, y = _integral(name, 1, a), _integral(name, 2, b)
    if y == 0:
        raise _zero(name, a)
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


def _division(names: tuple[str, ...], divide: Divide, part: int, what: str) -> None:
    """part: 0 for the quotient, 1 for what it leaves."""
    name = names[0]

    def divided(n: Any, m: Any, *, rt: Any) -> Any:
        x, y = _divided(name, n, m)
        return _like(divide(x, y, rt)[part], n, m)

    divided.__doc__ = f"({name} n m) -> integer: {what}."
    primitive(*names, result="number")(divided)


_division(("quotient", "truncate-quotient"), _truncated, 0, "n divided by m, rounded towards zero")
_division(
    ("remainder", "truncate-remainder"),
    _truncated,
    1,
    "what (quotient n m) leaves; has the sign of n",
)
_division(
    ("modulo", "floor-remainder"),
    _floored,
    1,
    "what (floor-quotient n m) leaves; has the sign of m",
)
_division(("floor-quotient",), _floored, 0, "n divided by m, rounded down")


@primitive("floor/")
def floor_divide(n: Any, m: Any, *, rt: Any) -> Any:
    """(floor/ n m) -> two values: (floor-quotient n m) and (floor-remainder n m)."""
    return _both(_floored(*_divided("floor/", n, m), rt), n, m)


@primitive("truncate/")
def truncate_divide(n: Any, m: Any, *, rt: Any) -> Any:
    """(truncate/ n m) -> two values: (truncate-quotient n m) and (truncate-remainder n m)."""
    return _both(_truncated(*_divided("truncate/", n, m), rt), n, m)


def _both(results: tuple[int, int], *arguments: Any) -> Any:
    from omega.lisp.data import Values

    return Values(tuple(_like(result, *arguments) for result in results))


@primitive("gcd", result="number")
def gcd(*numbers: Any, rt: Any) -> Any:
    """(gcd n ...) -> integer: the greatest common divisor, never negative; 0 without arguments."""
    check.spend_each(rt, len(numbers))
    values = [_integral("gcd", at, n) for at, n in enumerate(numbers, 1)]
    found = 0
    for value in values:
        found = _common_divisor(found, value, rt)
    return _like(found, *numbers)


@primitive("lcm", result="number")
def lcm(*numbers: Any, rt: Any) -> Any:
    """(lcm n ...) -> integer: the least common multiple, never negative; 1 without arguments."""
    check.spend_each(rt, len(numbers))
    values = [_integral("lcm", at, n) for at, n in enumerate(numbers, 1)]
    found = 1
    for value in values:
        if value == 0:
            return _like(0, *numbers)
        rest = floored(found, _common_divisor(found, value, rt), rt.charge)[0]
        found = mul(rest, abs(value), rt=rt)
    return _like(found, *numbers)


@primitive("abs", "magnitude", result="number")
def absolute(n: Any) -> Any:
    """(abs n) -> number: n without its sign."""
    return abs(check.number("abs", 1, n))


@primitive("square", result="number")
def square(n: Any, *, rt: Any) -> Any:
    """(square n) -> number: n times n."""
    return mul(check.number("square", 1, n), n, rt=rt)
