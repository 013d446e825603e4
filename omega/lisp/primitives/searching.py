"""Searching lists by eq?, eqv? and equal?: member, assoc and their kin; delete.

Owns: the walks along a list that compare, and what they are charged. Searching with a procedure is
in the Lisp library.
Refuses: walking circular lists: they are no proper lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.lisp.data import Nil, Pair, to_list
from omega.lisp.equality import PLAIN_KEYS, is_eq, is_equal, is_eqv, key_of, weight
from omega.lisp.primitives import check
from omega.lisp.primitives.check import FREE_ITEMS, proper_list, wrong_type
from omega.lisp.primitives.registry import primitive

_COMPOUND = 8  # how many comparisons of atoms one of compound data is worth, however it comes out

Same = Callable[[Any, Any], bool]


def _search(name: str, x: Any, lst: Any, same: Same, rt: Any, price: int = 1) -> Any:
    """The pair whose car is the `same` as x, or #f. price: how many comparisons of small atoms one
    is worth.
    """
    at = lst
    met: Any = None
    price += weight(x)
    passed, known = 0, check.WALK_ITEMS
    stretch = max(8, check.WALK_ITEMS // price)
    while True:
        for here in range(stretch):
            if not isinstance(at, Pair):
                check.spend_each(rt, here * price)
                if at is not Nil:
                    raise wrong_type(name, 2, "a proper list", lst)
                return False
            if same(x, at.car):
                check.spend_each(rt, here * price)
                return at
            at = at.cdr
            if at is met and isinstance(at, Pair):
                raise wrong_type(name, 2, "a list that ends", lst)
        check.spend_each(rt, stretch * price)
        passed += stretch
        if passed >= known:
            met, known = at, 2 * passed


_NEAR = range(check.WALK_ITEMS)
_SHORT, _SMALL = 1_000, 1 << 1_000  # letters of a string, integers that are compared at once


def _near(x: Any, lst: Any, keyed: bool, by_value: bool, rt: Any) -> Any:
    """`_search_plain` among the first elements, as fast as can be; None when that is not enough or
    something is wrong.
    """
    kind, at, here = type(x), lst, 0
    by_value = by_value and (kind is int or kind is str)  # the others are only themselves
    if by_value and (len(x) > _SHORT if kind is str else x > _SMALL or x < -_SMALL):
        return None
    try:
        for here in _NEAR:
            if at is Nil:
                if here > FREE_ITEMS:
                    check.spend_each(rt, here)
                return False
            item = at.__car__  # what is no pair has no such attribute
            if keyed:
                item = item.__car__
            if item is x or (by_value and type(item) is kind and item == x):
                if here > FREE_ITEMS:
                    check.spend_each(rt, here)
                return at
            at = at.__cdr__
    except AttributeError:
        pass
    return None


def _search_plain(name: str, x: Any, lst: Any, keyed: bool, by_value: bool, rt: Any) -> Any:
    """`_search` for an x that is plain, without a call for each element. keyed: compare with the
    cars of the elements, which are pairs. by_value: not only with x itself.
    """
    found = _near(x, lst, keyed, by_value, rt)
    if found is not None:
        return found
    at, kind = lst, type(x)
    met: Any = None
    price = 1 + weight(x)
    passed, known = 0, check.WALK_ITEMS
    stretch = max(8, check.WALK_ITEMS // price)
    while True:
        for here in range(stretch):
            if not isinstance(at, Pair):
                check.spend_each(rt, here * price)
                if at is not Nil:
                    raise wrong_type(name, 2, "a proper list", lst)
                return False
            item = at.car
            if keyed:
                if not isinstance(item, Pair):
                    raise wrong_type(name, 2, "a list of pairs", lst)
                item = item.car
            if item is x or (by_value and type(item) is kind and item == x):
                check.spend_each(rt, here * price)
                return at
            at = at.cdr
            if at is met and isinstance(at, Pair):
                raise wrong_type(name, 2, "a list that ends", lst)
        check.spend_each(rt, stretch * price)
        passed += stretch
        if passed >= known:
            met, known = at, 2 * passed


def _member(name: str, x: Any, lst: Any, same: Same | None, rt: Any) -> Any:
    """same: None is equal?."""
    if type(x) in PLAIN_KEYS:
        return _search_plain(name, x, lst, False, type(x) is int or same is not is_eq, rt)
    if same is None:
        same, price = _equal_to(x, rt)
        return _search(name, x, lst, same, rt, price)
    return _search(name, x, lst, same, rt)


@primitive("memq")
def memq(x: Any, lst: Any, *, rt: Any) -> Any:
    """(memq x list) -> list or #f: the rest of the list from the first element that is eq? to x."""
    return _member("memq", x, lst, is_eq, rt)


@primitive("memv")
def memv(x: Any, lst: Any, *, rt: Any) -> Any:
    """(memv x list) -> list or #f: the rest of the list from the first element that is eqv? to
    x.
    """
    return _member("memv", x, lst, is_eqv, rt)


@primitive("member")
def member(x: Any, lst: Any, *, rt: Any) -> Any:
    """(member x list) -> list or #f: the rest of the list from the first element that is equal? to
    x.
    """
    return _member("member", x, lst, None, rt)


def _equal_to(x: Any, rt: Any) -> tuple[Same, int]:
    """How to compare with x by equal?, and the price."""
    if type(x) in PLAIN_KEYS:
        return is_eqv, 1
    return lambda a, b: is_equal(a, b, rt.charge), _COMPOUND


def _associate(name: str, x: Any, lst: Any, given: Same | None, rt: Any) -> Any:
    """given: how to compare; None is equal?."""
    if type(x) in PLAIN_KEYS:
        found = _search_plain(name, x, lst, True, type(x) is int or given is not is_eq, rt)
        return found if found is False else found.car
    same, price = _equal_to(x, rt) if given is None else (given, 1)

    def matches(key: Any, entry: Any) -> bool:
        if not isinstance(entry, Pair):
            raise wrong_type(name, 2, "a list of pairs", lst)
        return same(key, entry.car)

    found = _search(name, x, lst, matches, rt, price)
    return found if found is False else found.car


@primitive("assq")
def assq(x: Any, alist: Any, *, rt: Any) -> Any:
    """(assq x alist) -> pair or #f: the first pair whose car is eq? to x."""
    return _associate("assq", x, alist, is_eq, rt)


@primitive("assv")
def assv(x: Any, alist: Any, *, rt: Any) -> Any:
    """(assv x alist) -> pair or #f: the first pair whose car is eqv? to x."""
    return _associate("assv", x, alist, is_eqv, rt)


@primitive("assoc")
def assoc(x: Any, alist: Any, *, rt: Any) -> Any:
    """(assoc x alist) -> pair or #f: the first pair whose car is equal? to x."""
    return _associate("assoc", x, alist, None, rt)


@primitive("assoc-ref")
def assoc_ref(alist: Any, key: Any, default: Any = False, *, rt: Any) -> Any:
    """(assoc-ref alist key [default]) -> the value that goes with the key, or the default (#f)."""
    found = _associate("assoc-ref", key, alist, None, rt)
    return default if found is False else found.cdr


@primitive("delete", result="list")
def delete(x: Any, lst: Any, *, rt: Any) -> Any:
    """(delete x list) -> list: the elements that are not equal? to x."""
    items = proper_list("delete", 2, lst, rt)
    kind = type(x)
    if kind in PLAIN_KEYS and len(items) <= FREE_ITEMS and not weight(x):
        return to_list(
            [item for item in items if not (item is x or (type(item) is kind and item == x))]
        )
    same, price = _equal_to(x, rt)
    price += weight(x)
    stretch = max(8, check.WALK_ITEMS // price)
    kept: list[Any] = []
    for at in range(0, len(items), stretch):
        some = items[at : at + stretch]
        check.spend_each(rt, len(some) * price)
        kept += [item for item in some if not same(x, item)]
    return to_list(kept)


@primitive("delete-duplicates", result="list")
def delete_duplicates(lst: Any, *, rt: Any) -> Any:
    """(delete-duplicates list) -> list: each element once, where it comes first; compared with
    equal?.
    """
    items = proper_list("delete-duplicates", 1, lst, rt)
    seen: set[Any] = set()
    kept: list[Any] = []
    for at, item in enumerate(items):
        if at % check.WALK_ITEMS == 0:
            rt.charge(min(check.WALK_ITEMS, len(items) - at))
        key = item if type(item) in PLAIN_KEYS else key_of(item, rt.charge)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return to_list(kept)
