"""Rounding, exactness, roots, powers, the transcendental functions, bits, and numbers as text.

Owns: what R7RS has in 6.2.6 beyond arithmetic (numbers.py), (scheme inexact), and the bitwise
basics of SRFI 151. Refuses: complex results (a value-error says so) and integers beyond
`alloc_items` bits.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from omega.errors import DivisionByZero
from omega.lisp.data import Values
from omega.lisp.numbers import (
    INTEGER_BITS_MAX,
    RATIO_BITS_MAX,
    format_int,
    format_number,
    integer_root,
    parse_number,
    power,
    to_float,
)
from omega.lisp.primitives import check
from omega.lisp.primitives.check import invalid
from omega.lisp.primitives.integers import SHORT
from omega.lisp.primitives.numbers import (
    before_ratio,
    bits_allowed,
    div,
    limit_bits,
    ratio_allowed,
)
from omega.lisp.primitives.registry import primitive

_WORD = 64  # bits of a power that is made at once

# -- rounding -------------------------------------------------------------------------------------


def _rounded(name: str, n: Any, how: Callable[[Any], int], rt: Any) -> Any:
    check.number(name, 1, n)
    if type(n) is Fraction:
        before_ratio(n.numerator, n.denominator, rt)
        return how(n)
    if type(n) is int:
        return n
    if not math.isfinite(n) or n.is_integer():
        return n
    return math.copysign(float(how(n)), n)


def _rounding(name: str, how: Callable[[Any], int], what: str) -> None:
    def rounded(n: Any, *, rt: Any) -> Any:
        return _rounded(name, n, how, rt)

    rounded.__doc__ = f"({name} n) -> number: {what}; exact if n is."
    primitive(name, result="number")(rounded)


_rounding("floor", math.floor, "the greatest integer not above n")
_rounding("ceiling", math.ceil, "the least integer not below n")
_rounding("truncate", math.trunc, "n without its fraction")
_rounding("round", round, "the nearest integer, the even one of two")


@primitive("exact", "inexact->exact", result="number")
def exact(n: Any) -> Any:
    """(exact n) -> number: the exact number equal to n: (exact 2.5) is 5/2."""
    check.number("exact", 1, n)
    if type(n) is not float:
        return n
    if not math.isfinite(n):
        raise invalid("exact", f"has no exact number for {format_number(n)}", n)
    return int(n) if n.is_integer() else Fraction(n)


@primitive("inexact", "exact->inexact", result="number")
def inexact(n: Any) -> Any:
    """(inexact n) -> number: the nearest inexact number."""
    return to_float(check.number("inexact", 1, n))


def _ratio(name: str, n: Any) -> Fraction:
    check.number(name, 1, n)
    if type(n) is float and not math.isfinite(n):
        raise invalid(name, f"expected a finite number, got {format_number(n)}", n)
    return Fraction(n)


@primitive("numerator", result="number")
def numerator(n: Any) -> Any:
    """(numerator n) -> integer: above the line when n is written in lowest terms."""
    above = _ratio("numerator", n).numerator
    return to_float(above) if type(n) is float else above


@primitive("denominator", result="number")
def denominator(n: Any) -> Any:
    """(denominator n) -> integer: below the line when n is written in lowest terms."""
    below = _ratio("denominator", n).denominator
    return to_float(below) if type(n) is float else below


@primitive("rationalize", result="number")
def rationalize(x: Any, y: Any, *, rt: Any) -> Any:
    """(rationalize x y) -> number: the simplest rational number that differs from x by at most
    y.
    """
    check.number("rationalize", 1, x)
    check.number("rationalize", 2, y)
    inexact = type(x) is float or type(y) is float
    if inexact:
        x, y = to_float(x), to_float(y)
        if math.isnan(x) or math.isnan(y):
            return math.nan
        if math.isinf(y):
            return math.nan if math.isinf(x) else 0.0
        if math.isinf(x):
            return x
    middle, away = Fraction(x), abs(Fraction(y))
    before_ratio(middle, away, rt)
    low, high = middle - away, middle + away
    ratio_allowed(low, rt)
    ratio_allowed(high, rt)
    if low <= 0 <= high:
        return 0.0 if inexact else 0
    above, below = _simplest(min(abs(low), abs(high)), max(abs(low), abs(high)), rt)
    result = ratio_allowed(Fraction(above if low > 0 else -above, below), rt)
    return to_float(result) if inexact else result


def _simplest(low: Fraction, high: Fraction, rt: Any) -> tuple[int, int]:
    """Numerator and denominator of the fraction of least denominator in [low, high], which are
    positive: the convergents of what the continued fractions of both begin with.
    """
    p, q, r, s = low.numerator, low.denominator, high.numerator, high.denominator
    above, above_before, below, below_before = 1, 0, 0, 1
    while True:
        rt.charge(1 + (p.bit_length() + above.bit_length()) // 4096)
        whole, rest = divmod(p, q)
        last = rest == 0 or whole < r // s
        if rest and last:
            whole += 1
        above, above_before = whole * above + above_before, above
        below, below_before = whole * below + below_before, below
        if last:
            return above, below
        p, q, r, s = s, r - whole * s, q, rest


# -- roots and powers -----------------------------------------------------------------------------


_REAL_FOR = {
    "sqrt": "it is real for numbers that are not negative: test with `negative?` before",
    "expt": "a negative base takes an integer as its exponent",
    "log": "it is real for numbers above zero: test with `positive?` before",
    "asin": "it is real for numbers from -1 to 1",
    "acos": "it is real for numbers from -1 to 1",
}


def _no_real(name: str, n: Any) -> Exception:
    """What `name` of n gives is a complex number."""
    from omega.lisp.printer import shorten

    error = invalid(name, f"of {shorten(n, 30)} is no real number, and Omega has no others", n)
    error.hint = _REAL_FOR[name]
    return error


@primitive("sqrt", result="number")
def sqrt(n: Any, *, rt: Any) -> Any:
    """(sqrt n) -> number: the square root; exact for exact squares. A negative n is a
    value-error.
    """
    if type(n) is int and 0 <= n < SHORT:
        short_root = math.isqrt(n)
        return short_root if short_root * short_root == n else math.sqrt(n)
    check.number("sqrt", 1, n)
    if n < 0:
        raise _no_real("sqrt", n)
    if type(n) is float:
        return math.sqrt(n)
    root, rest = integer_root(int(n.numerator), rt.charge)
    under, rest_under = integer_root(int(n.denominator), rt.charge)
    if rest == 0 and rest_under == 0:
        return root if under == 1 else Fraction(root, under)
    value = to_float(n)
    return math.sqrt(value) if 0 < value < math.inf else to_float(Fraction(root, under or 1))


@primitive("exact-integer-sqrt")
def exact_integer_sqrt(n: Any, *, rt: Any) -> Any:
    """(exact-integer-sqrt n) -> two values: the greatest integer r with r*r not above n, and n -
    r*r.
    """
    if type(n) is int and 0 <= n < SHORT:
        root = math.isqrt(n)
        return Values((root, n - root * root))
    check.natural("exact-integer-sqrt", 1, n)
    return Values(integer_root(n, rt.charge))


@primitive("expt", result="number")
def expt(base: Any, exponent: Any, *, rt: Any) -> Any:
    """(expt base exponent) -> number: the power; exact for an exact base and an integer
    exponent.
    """
    if type(base) is type(exponent) is int and exponent > 0:
        bits = base.bit_length() * exponent
        if bits <= _WORD and bits <= bits_allowed(rt, _WORD):
            return base**exponent
    check.number("expt", 1, base)
    check.number("expt", 2, exponent)
    if type(exponent) is int and type(base) is not float:
        return _exact_power(base, exponent, rt)
    if type(exponent) is Fraction and exponent == Fraction(1, 2) and type(base) is not float:
        return sqrt(base, rt=rt)
    x, y = to_float(base), to_float(exponent)
    if x == 0 and y < 0:
        if type(base) is not float:
            raise DivisionByZero("`expt` cannot raise 0 to a negative power")
        odd = y.is_integer() and y % 2 == 1
        return math.copysign(math.inf, x) if odd else math.inf
    if x < 0 and math.isfinite(y) and not y.is_integer() and math.isfinite(x):
        raise _no_real("expt", base)
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf


def _exact_power(base: Any, exponent: int, rt: Any) -> Any:
    if base == 0 and exponent < 0:
        raise DivisionByZero("`expt` cannot raise 0 to a negative power")
    if base in (0, 1) or exponent == 0:
        return 1 if exponent == 0 else base
    if base == -1:
        return 1 if exponent % 2 == 0 else -1
    is_ratio = type(base) is Fraction or exponent < 0
    above, below = int(base.numerator), int(base.denominator)
    bits = max(abs(above).bit_length() - 1, below.bit_length() - 1, 1) * abs(exponent)
    if not is_ratio:
        limit_bits(rt, bits, INTEGER_BITS_MAX, "bits of a power")
        return power(above, exponent, rt.charge)
    limit_bits(rt, bits, RATIO_BITS_MAX, "bits of a rational number")
    check.spend(rt, bits)
    return ratio_allowed(Fraction(base) ** exponent, rt)


# -- transcendental functions ---------------------------------------------------------------------


def _apply(
    name: str, function: Callable[[float], float], n: Any, overflow: float = math.nan
) -> Any:
    check.number(name, 1, n)
    value = to_float(n)
    try:
        return function(value)
    except OverflowError:
        return overflow
    except ValueError:
        if math.isinf(value):
            return math.nan
        raise _no_real(name, n) from None


@primitive("exp", result="number")
def exp(n: Any) -> Any:
    """(exp n) -> number: e to the power n."""
    return 1 if type(n) is int and n == 0 else _apply("exp", math.exp, n, math.inf)


@primitive("log", result="number")
def log(n: Any, base: Any = None, *, rt: Any) -> Any:
    """(log n [base]) -> number: the logarithm, natural unless a base is given. (log 0.0) is
    -inf.0.
    """
    value = _log(1, n)
    if base is None:
        return value
    below = _log(2, base)
    return div(value, to_float(below), rt=rt)


def _log(position: int, n: Any) -> Any:
    check.number("log", position, n)
    if n < 0 or (n == 0 and type(n) is not float):
        raise _no_real("log", n)
    if n == 0:
        return -math.inf
    if type(n) is Fraction:
        return math.log(n.numerator) - math.log(n.denominator)
    return 0 if type(n) is int and n == 1 else math.log(n)


def _of_angle(
    name: str, at: int, exact: int, function: Callable[[float], float], what: str
) -> None:
    """at: the exact number of which the value is exact as well."""

    def apply(n: Any) -> Any:
        return exact if type(n) is int and n == at else _apply(name, function, n)

    apply.__doc__ = f"({name} n) -> number: {what}."
    primitive(name, result="number")(apply)


_of_angle("sin", 0, 0, math.sin, "the sine of n radians")
_of_angle("cos", 0, 1, math.cos, "the cosine of n radians")
_of_angle("tan", 0, 0, math.tan, "the tangent of n radians")
_of_angle("asin", 0, 0, math.asin, "the angle in radians whose sine is n, for n from -1 to 1")
_of_angle("acos", 1, 0, math.acos, "the angle in radians whose cosine is n, for n from -1 to 1")


@primitive("atan", result="number")
def atan(y: Any, x: Any = None) -> Any:
    """(atan y [x]) -> number: the angle in radians whose tangent is y, or y/x with the quadrant of
    (x, y).
    """
    if x is None:
        return 0 if type(y) is int and y == 0 else _apply("atan", math.atan, y)
    check.number("atan", 1, y)
    check.number("atan", 2, x)
    if type(y) is int and y == 0 and type(x) is not float:
        if x == 0:
            raise DivisionByZero("`atan` of 0 and 0 has no angle")
        return 0 if x > 0 else math.pi
    return math.atan2(to_float(y), to_float(x))


# -- bits -----------------------------------------------------------------------------------------


def _bitwise(
    names: tuple[str, ...], start: int, step: Callable[[int, int], int], what: str
) -> None:
    name = names[0]

    def combine(*numbers: Any, rt: Any) -> int:
        if len(numbers) == 2:  # mostly there are two
            n, m = numbers
            if type(n) is type(m) is int:
                return step(n, m)
        check.spend_each(rt, len(numbers))
        total = start
        for at, n in enumerate(numbers, 1):
            total = step(total, check.integer(name, at, n))
        return total

    combine.__doc__ = f"({name} n ...) -> integer: {what}; {start} without arguments."
    primitive(*names, result="int")(combine)


_bitwise(("bitwise-and",), -1, operator.and_, "the bits all have, in two's complement")
_bitwise(("bitwise-or", "bitwise-ior"), 0, operator.or_, "the bits any has")
_bitwise(("bitwise-xor",), 0, operator.xor, "the bits an odd number of them has")


@primitive("bitwise-not", result="int")
def bitwise_not(n: Any) -> int:
    """(bitwise-not n) -> integer: every bit reversed: -1 - n."""
    return ~check.integer("bitwise-not", 1, n)


@primitive("arithmetic-shift", result="int")
def arithmetic_shift(n: Any, count: Any, *, rt: Any) -> int:
    """(arithmetic-shift n count) -> integer: n shifted left by count bits, or right by -count,
    rounding down.
    """
    if type(n) is not int or type(count) is not int:
        check.integer("arithmetic-shift", 1, n)
        check.integer("arithmetic-shift", 2, count)
    value: int = n
    by: int = count
    if by <= 0:
        return value >> min(-by, value.bit_length() + 1)
    if value == 0:
        return 0
    bits = value.bit_length() + by
    limit_bits(rt, bits, INTEGER_BITS_MAX, "bits of an integer")
    if bits >> 6 > check.FREE_ITEMS:
        check.spend(rt, bits >> 6)
    return value << by


@primitive("bit-count", result="int")
def bit_count(n: Any) -> int:
    """(bit-count n) -> integer: how many bits are 1, or 0 if n is negative."""
    value = check.integer("bit-count", 1, n)
    return (value if value >= 0 else ~value).bit_count()


@primitive("integer-length", result="int")
def integer_length(n: Any) -> int:
    """(integer-length n) -> integer: how many bits n has beside its sign."""
    value = check.integer("integer-length", 1, n)
    return (value if value >= 0 else ~value).bit_length()


# -- numbers as text ------------------------------------------------------------------------------


def _radix(name: str, radix: Any) -> int:
    if type(radix) is not int:
        raise check.wrong_type(name, 2, "a radix (an integer from 2 to 36)", radix)
    if not 2 <= radix <= 36:
        raise invalid(name, f"expected a radix from 2 to 36, got {format_number(radix)}", radix)
    return radix


@primitive("number->string", result="string")
def number_to_string(n: Any, radix: Any = 10, *, rt: Any) -> str:
    """(number->string n [radix]) -> string: how n is written; exact numbers in any radix from 2 to
    36.
    """
    if type(radix) is int and 2 <= radix <= 36:
        if type(n) is int:
            limit_bits(rt, n.bit_length() or 1, INTEGER_BITS_MAX, "bits of an integer")
            return format_int(n, radix, rt.charge)
        if type(n) is float and radix == 10:
            return format_number(n)
    check.number("number->string", 1, n)
    base = _radix("number->string", radix)
    if type(n) is float:
        if base != 10:
            raise invalid("number->string", "writes inexact numbers in radix 10 only", n)
    else:
        bits = max(n.numerator.bit_length(), n.denominator.bit_length())
        limit_bits(rt, bits, INTEGER_BITS_MAX, "bits of an integer")
    return format_number(n, base, rt.charge)


@primitive("string->number")
def string_to_number(s: Any, radix: Any = 10, *, rt: Any) -> Any:
    """(string->number s [radix]) -> number or #f: the number s denotes, #f when it denotes none."""
    text = s if type(s) is str else check.string("string->number", 1, s)
    base = radix if type(radix) is int and 2 <= radix <= 36 else _radix("string->number", radix)
    check.size(rt, len(text), "digits")
    most = INTEGER_BITS_MAX  # too much for a short text
    if len(text) > check.FREE_ITEMS:
        most = bits_allowed(rt, INTEGER_BITS_MAX)
    value = parse_number(text, base, rt.charge, most)
    return False if value is None else value
