"""Arithmetic and comparison: exact where the arguments are exact, and strict about what a number
is.

Owns: `+ - * /`, comparisons, predicates, integer division, gcd, min and max; and the binary
functions below that compiled code calls when its inline integer test fails: add sub mul div num_eq
lt gt le ge neg quotient remainder modulo.
Refuses: booleans, strings, host objects (Python would take some of them for numbers), complex
results.

Integers are int, rationals Fraction (never with denominator 1), reals float. Source: R7RS 6.2.6.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from omega.errors import DivisionByZero, LispTypeError
from omega.lisp.numbers import to_float
from omega.lisp.primitives import check
from omega.lisp.primitives.check import REALS, wrong_type
from omega.lisp.primitives.registry import primitive

Real = int | float | Fraction


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


def add(a: Any, b: Any) -> Any:
    """a + b; LispTypeError names `+`."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("+", a, b)
    try:
        result = a + b
    except OverflowError:
        return to_float(a) + to_float(b)
    return result.numerator if type(result) is Fraction and result.denominator == 1 else result


def sub(a: Any, b: Any) -> Any:
    """a - b; LispTypeError names `-`."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("-", a, b)
    try:
        result = a - b
    except OverflowError:
        return to_float(a) - to_float(b)
    return result.numerator if type(result) is Fraction and result.denominator == 1 else result


def mul(a: Any, b: Any) -> Any:
    """a * b; LispTypeError names `*`."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("*", a, b)
    try:
        result = a * b
    except OverflowError:
        return to_float(a) * to_float(b)
    return result.numerator if type(result) is Fraction and result.denominator == 1 else result


def div(a: Any, b: Any) -> Any:
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
        return to_float(a) / to_float(b)
    result = Fraction(a, b)
    return result.numerator if result.denominator == 1 else result


def neg(a: Any) -> Any:
    """-a; LispTypeError names `-`."""
    if type(a) not in REALS:
        raise wrong_type("-", 1, "a number", a)
    return -a


def num_eq(a: Any, b: Any) -> bool:
    """a = b by value, whatever the exactness."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("=", a, b)
    return bool(a == b)


def lt(a: Any, b: Any) -> bool:
    """a < b, exactly."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("<", a, b)
    return bool(a < b)


def gt(a: Any, b: Any) -> bool:
    """a > b, exactly."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers(">", a, b)
    return bool(a > b)


def le(a: Any, b: Any) -> bool:
    """a <= b, exactly."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers("<=", a, b)
    return bool(a <= b)


def ge(a: Any, b: Any) -> bool:
    """a >= b, exactly."""
    if type(a) not in REALS or type(b) not in REALS:
        raise _not_numbers(">=", a, b)
    return bool(a >= b)


# -- sums and products ----------------------------------------------------------------------------


def _checked(name: str, numbers: tuple[Any, ...]) -> None:
    for at, value in enumerate(numbers, 1):
        if type(value) not in REALS:
            raise wrong_type(name, at, "a number", value)


@primitive("+", result="number")
def plus(*numbers: Any) -> Any:
    """(+ number ...) -> number: the sum; 0 without arguments."""
    _checked("+", numbers)
    if not numbers:
        return 0
    total = numbers[0]
    for value in numbers[1:]:
        total = add(total, value)
    return total


@primitive("*", result="number")
def times(*numbers: Any) -> Any:
    """(* number ...) -> number: the product; 1 without arguments."""
    _checked("*", numbers)
    if not numbers:
        return 1
    total = numbers[0]
    for value in numbers[1:]:
        total = mul(total, value)
    return total


@primitive("-", result="number")
def minus(number: Any, *numbers: Any) -> Any:
    """(- number ...) -> number: the first less all others; of one argument, its negative."""
    _checked("-", (number, *numbers))
    if not numbers:
        return -number
    for value in numbers:
        number = sub(number, value)
    return number


@primitive("/", result="number")
def divide(number: Any, *numbers: Any) -> Any:
    """(/ number ...) -> number: the first divided by all others; of one argument, its reciprocal.
    (/ 1 3) is exact.
    """
    _checked("/", (number, *numbers))
    if not numbers:
        return div(1, number)
    for value in numbers:
        number = div(number, value)
    return number


@primitive("1+", result="number")
def one_plus(n: Any) -> Any:
    """(1+ n) -> number: n plus one."""
    return add(check.number("1+", 1, n), 1)


@primitive("-1+", "1-", result="number")
def minus_one_plus(n: Any) -> Any:
    """(-1+ n) -> number: n less one."""
    return sub(check.number("-1+", 1, n), 1)


# -- comparison -----------------------------------------------------------------------------------


@primitive("=", result="bool")
def equal_numbers(*numbers: Any) -> bool:
    """(= number ...) -> boolean: whether all are the same number, whatever their exactness."""
    _checked("=", numbers)
    return all(numbers[at] == numbers[at + 1] for at in range(len(numbers) - 1))


@primitive("<", result="bool")
def less(*numbers: Any) -> bool:
    """(< number ...) -> boolean: whether each is less than the next."""
    _checked("<", numbers)
    return all(numbers[at] < numbers[at + 1] for at in range(len(numbers) - 1))


@primitive(">", result="bool")
def greater(*numbers: Any) -> bool:
    """(> number ...) -> boolean: whether each is greater than the next."""
    _checked(">", numbers)
    return all(numbers[at] > numbers[at + 1] for at in range(len(numbers) - 1))


@primitive("<=", result="bool")
def less_or_equal(*numbers: Any) -> bool:
    """(<= number ...) -> boolean: whether none is greater than the next."""
    _checked("<=", numbers)
    return all(numbers[at] <= numbers[at + 1] for at in range(len(numbers) - 1))


@primitive(">=", result="bool")
def greater_or_equal(*numbers: Any) -> bool:
    """(>= number ...) -> boolean: whether none is less than the next."""
    _checked(">=", numbers)
    return all(numbers[at] >= numbers[at + 1] for at in range(len(numbers) - 1))


def _extreme(name: str, numbers: tuple[Any, ...], sign: int) -> Any:
    _checked(name, numbers)
    best = numbers[0]
    inexact = False
    for value in numbers:
        inexact = inexact or type(value) is float
        if value != value:
            return math.nan
        if (value < best) if sign < 0 else (value > best):
            best = value
    return to_float(best) if inexact else best


@primitive("min", result="number")
def minimum(number: Any, *numbers: Any) -> Any:
    """(min number ...) -> number: the least; inexact if any argument is."""
    return _extreme("min", (number, *numbers), -1)


@primitive("max", result="number")
def maximum(number: Any, *numbers: Any) -> Any:
    """(max number ...) -> number: the greatest; inexact if any argument is."""
    return _extreme("max", (number, *numbers), 1)


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


def _quotient(x: int, y: int) -> int:
    return x // y if (x < 0) is (y < 0) else -(-x // y)


@primitive("odd?", result="bool")
def is_odd(n: Any) -> bool:
    """(odd? n) -> boolean: whether the integer n is odd."""
    return _integral("odd?", 1, n) % 2 == 1


@primitive("even?", result="bool")
def is_even(n: Any) -> bool:
    """(even? n) -> boolean: whether the integer n is even."""
    return _integral("even?", 1, n) % 2 == 0


@primitive("quotient", "truncate-quotient", result="number")
def quotient(n: Any, m: Any) -> Any:
    """(quotient n m) -> integer: n divided by m, rounded towards zero."""
    x, y = _divided("quotient", n, m)
    return _like(_quotient(x, y), n, m)


@primitive("remainder", "truncate-remainder", result="number")
def remainder(n: Any, m: Any) -> Any:
    """(remainder n m) -> integer: what (quotient n m) leaves; has the sign of n."""
    x, y = _divided("remainder", n, m)
    return _like(x - y * _quotient(x, y), n, m)


@primitive("modulo", "floor-remainder", result="number")
def modulo(n: Any, m: Any) -> Any:
    """(modulo n m) -> integer: what (floor-quotient n m) leaves; has the sign of m."""
    x, y = _divided("modulo", n, m)
    return _like(x % y, n, m)


@primitive("floor-quotient", result="number")
def floor_quotient(n: Any, m: Any) -> Any:
    """(floor-quotient n m) -> integer: n divided by m, rounded down."""
    x, y = _divided("floor-quotient", n, m)
    return _like(x // y, n, m)


@primitive("floor/")
def floor_divide(n: Any, m: Any) -> Any:
    """(floor/ n m) -> two values: (floor-quotient n m) and (floor-remainder n m)."""
    from omega.lisp.data import Values

    x, y = _divided("floor/", n, m)
    return Values((_like(x // y, n, m), _like(x % y, n, m)))


@primitive("truncate/")
def truncate_divide(n: Any, m: Any) -> Any:
    """(truncate/ n m) -> two values: (truncate-quotient n m) and (truncate-remainder n m)."""
    from omega.lisp.data import Values

    x, y = _divided("truncate/", n, m)
    q = _quotient(x, y)
    return Values((_like(q, n, m), _like(x - y * q, n, m)))


@primitive("gcd", result="number")
def gcd(*numbers: Any) -> Any:
    """(gcd n ...) -> integer: the greatest common divisor, never negative; 0 without arguments."""
    values = [_integral("gcd", at, n) for at, n in enumerate(numbers, 1)]
    return _like(math.gcd(*values), *numbers)


@primitive("lcm", result="number")
def lcm(*numbers: Any) -> Any:
    """(lcm n ...) -> integer: the least common multiple, never negative; 1 without arguments."""
    values = [_integral("lcm", at, n) for at, n in enumerate(numbers, 1)]
    return _like(math.lcm(*values), *numbers)


@primitive("abs", "magnitude", result="number")
def absolute(n: Any) -> Any:
    """(abs n) -> number: n without its sign."""
    return abs(check.number("abs", 1, n))


@primitive("square", result="number")
def square(n: Any) -> Any:
    """(square n) -> number: n times n."""
    return mul(check.number("square", 1, n), n)
