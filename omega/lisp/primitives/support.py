"""Primitives the library's own Lisp code is built on.

Owns: `reverse!`, `%wrong-type` and `%sort-runs!`. The library builds a list back to front and turns
it round once; it sorts by merging.
"""

from __future__ import annotations

from typing import Any

from omega.lisp.data import Nil, Pair
from omega.lisp.names import library_name
from omega.lisp.primitives import check
from omega.lisp.primitives.check import FREE_ITEMS, wrong_type
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
    if passed > FREE_ITEMS:
        check.spend_each(rt, passed)
    if at is not Nil:
        raise wrong_type("reverse!", 1, "a list", lst)
    return result


SORTED_RUN = 32_768  # elements CPython sorts at once: a few milliseconds
# What compares plain values as CPython does: name -> (the types it is for, whether it is backwards)
_ORDERS = {
    "<": ((int, float), False),
    ">": ((int, float), True),
    "string<?": ((str,), False),
    "string>?": ((str,), True),
}


@primitive("%sort-runs!", result="int")
def sort_runs(items: Any, less: Any, *, rt: Any) -> int:
    """(%sort-runs! vector less?) -> how long the runs are that are in order now: 1, unless the
    elements are all of one plain type and less? is a primitive of their order.
    """
    of = check.vector("%sort-runs!", 1, items)
    known = rt.registers
    order = next((o for name, o in _ORDERS.items() if less is known[library_name(name)]), None)
    if order is None:
        return 1
    kinds, backwards = order
    for at in range(0, len(of), SORTED_RUN):
        run = of[at : at + SORTED_RUN]
        rt.charge(len(run) * len(run).bit_length() // 64)
        types = set(map(type, run))
        if len(types) != 1 or types.pop() not in kinds or any(x != x for x in run):
            return 1
        run.sort(reverse=backwards)
        of[at : at + SORTED_RUN] = run
    return SORTED_RUN


@primitive("%wrong-type")
def wrong_type_here(name: Any, position: Any, expected: Any, value: Any) -> Any:
    """(%wrong-type name position expected value) -> never returns: raises the type-error
    of a primitive.
    """
    for at, (given, kind) in enumerate(((name, str), (position, int), (expected, str)), 1):
        if type(given) is not kind:
            raise wrong_type("%wrong-type", at, f"a value of type {kind.__name__}", given)
    raise wrong_type(name, position, expected, value)
