"""Primitives the library's own Lisp code is built on.

Owns: `reverse!` and `%wrong-type`. The library builds a list back to front and turns it round once.
"""

from __future__ import annotations

from typing import Any

from omega.lisp.data import Nil, Pair
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.registry import primitive


@primitive("reverse!", result="list")
def reverse_in_place(lst: Any, *, rt: Any) -> Any:
    """(reverse! list) -> its pairs in reverse order; the list given is used up."""
    result: Any = Nil
    at = lst
    passed = 0
    while type(at) is Pair:
        at.cdr, result, at = result, at, at.cdr
        passed += 1
    check.spend_each(rt, passed)
    if at is not Nil:
        raise wrong_type("reverse!", 1, "a list", lst)
    return result


@primitive("%wrong-type")
def wrong_type_here(name: Any, position: Any, expected: Any, value: Any) -> Any:
    """(%wrong-type name position expected value) -> never returns: raises the type-error
    of a primitive.
    """
    for at, (given, kind) in enumerate(((name, str), (position, int), (expected, str)), 1):
        if type(given) is not kind:
            raise wrong_type("%wrong-type", at, f"a value of type {kind.__name__}", given)
    raise wrong_type(name, position, expected, value)
