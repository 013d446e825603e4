"""Arithmetic and comparison: exact where the arguments are exact, and strict about what a number
is.

Owns: `+ - * /`, comparisons, predicates, min and max; and the binary functions that compiled code
calls when its inline integer test fails: num_eq and LIMITED. Division of integers is in
integers.py.
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


def division_by_zero(name: str, dividend: Any) -> DivisionByZero:
    """The error of `name` for an exact divisor that is 0."""
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
    allowed = rt.limits.alloc_items
    if bits > most or (allowed is not None and bits > allowed):
        raise too_long(bits, most, bits_allowed(rt, most), what)


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
            raise division_by_zero("/", a)
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
    if len(numbers) <= check.FREE_ITEMS:
        total: Any = 0
        for value in numbers:  # mostly integers
            if type(value) is not int:
                break
            total += value
        else:
            return total
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
    if len(numbers) == 1:
        return sub(number, numbers[0], rt=rt)
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
    if len(numbers) == 1:
        return div(number, numbers[0], rt=rt)
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


def _extreme(
    name: str, before: Callable[[Any, Any], bool], numbers: tuple[Any, ...], rt: Any
) -> Any:
    best = numbers[0]
    kind = type(best)
    if kind in _PLAIN and len(numbers) <= check.FREE_ITEMS:
        for value in numbers:  # mostly all are integers, or all are inexact
            if type(value) is not kind or value != value:
                break
            if before(value, best):
                best = value
        else:
            return best
    _checked(name, numbers, rt)
    best = numbers[0]
    inexact = False
    for value in numbers:
        inexact = inexact or type(value) is float
        if value != value:
            return math.nan
        if type(value) is Fraction or type(best) is Fraction:
            _before_order(name, value, best, rt)
        if before(value, best):
            best = value
    return to_float(best) if inexact else best


def _extremum(name: str, before: Callable[[Any, Any], bool], what: str) -> None:
    def extremum(number: Any, *numbers: Any, rt: Any) -> Any:
        if len(numbers) == 1:  # mostly there are two, of one kind
            (other,) = numbers
            kind = type(number)
            if kind is type(other) and (kind is int or kind is float):
                if before(other, number):
                    return other
                if number == other or before(number, other):  # none is nan
                    return number
        return _extreme(name, before, (number, *numbers), rt)

    extremum.__doc__ = f"({name} number ...) -> number: the {what}; inexact if any argument is."
    primitive(name, result="number")(extremum)


_extremum("min", operator.lt, "least")
_extremum("max", operator.gt, "greatest")


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


# -- of one number ---------------------------------------------------------------------------------


@primitive("abs", "magnitude", result="number")
def absolute(n: Any) -> Any:
    """(abs n) -> number: n without its sign."""
    return abs(check.number("abs", 1, n))


@primitive("square", result="number")
def square(n: Any, *, rt: Any) -> Any:
    """(square n) -> number: n times n."""
    return mul(check.number("square", 1, n), n, rt=rt)
