"""The library (scheme complex), for the numbers there are: all of them are real (R7RS 6.2.6).

Owns: the parts of a number, and numbers made of parts. Refuses: a number with an imaginary part: a
value-error says so.
"""

from __future__ import annotations

import math
from typing import Any

from omega.lisp.primitives import check
from omega.lisp.primitives.check import invalid
from omega.lisp.primitives.registry import primitive

_HINT = "keep the two numbers apart, as a pair or a record: (cons 1 2)"


def _complex(name: str, first: Any, second: Any) -> Exception:
    from omega.lisp.printer import shorten

    given = f"{shorten(first, 30)} and {shorten(second, 30)}"
    error = invalid(name, f"of {given} is a complex number, and Omega has none", first, second)
    error.hint = _HINT
    return error


@primitive("real-part", result="number")
def real_part(n: Any) -> Any:
    """(real-part n) -> number: n itself, since every number is real."""
    return check.number("real-part", 1, n)


@primitive("imag-part", result="number")
def imag_part(n: Any) -> Any:
    """(imag-part n) -> number: 0, since every number is real."""
    check.number("imag-part", 1, n)
    return 0


@primitive("angle", result="number")
def angle(n: Any) -> Any:
    """(angle n) -> number: 0, and pi for a negative n."""
    check.number("angle", 1, n)
    if type(n) is float:
        return math.atan2(0.0, n)
    return math.pi if n < 0 else 0


@primitive("make-rectangular", result="number")
def make_rectangular(real: Any, imaginary: Any) -> Any:
    """(make-rectangular x y) -> number: x, for an exact y of 0; any other y is a value-error."""
    check.number("make-rectangular", 1, real)
    check.number("make-rectangular", 2, imaginary)
    if type(imaginary) is float or imaginary != 0:
        raise _complex("make-rectangular", real, imaginary)
    return real


@primitive("make-polar", result="number")
def make_polar(magnitude: Any, direction: Any) -> Any:
    """(make-polar r angle) -> number: r, for an exact angle of 0; any other is a value-error."""
    check.number("make-polar", 1, magnitude)
    check.number("make-polar", 2, direction)
    if type(direction) is float or direction != 0:
        raise _complex("make-polar", magnitude, direction)
    return magnitude
