"""Steps and ranges for the library's own Lisp: several lists walked at once, ranges checked.

Owns: primitives whose names begin with %, which take the name of the procedure they work for, so
that errors tell of that one.
Refuses: walking on its own: a step takes one element of each list, and the Lisp that asked calls
what is to be called.
"""

from __future__ import annotations

from typing import Any

from omega.lisp.data import Char, Nil, Pair, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import FREE_ITEMS, wrong_type
from omega.lisp.primitives.registry import primitive

_STRETCH = range(check.WALK_ITEMS)  # of a list, between charges
_NOWHERE = object()


def _taken(own: str, **given: tuple[Any, type]) -> None:
    """Refuse arguments only the library gives, should a program give others."""
    for at, (what, (value, kind)) in enumerate(given.items(), 1):
        if type(value) is not kind:
            raise wrong_type(own, at, f"the {what}", value)


def _ended(own: str, name: Any, position: Any, ats: Any, rt: Any) -> bool:
    """Whether one of the lists has no more elements; the others may go on, or round."""
    if type(name) is not str or type(position) is not int or type(ats) is not list:
        _taken(own, name=(name, str), position=(position, int), lists=(ats, list))
    if len(ats) > FREE_ITEMS:
        check.spend_each(rt, len(ats))
    for at in ats:
        if type(at) is not Pair and not isinstance(at, Pair):
            for i, each in enumerate(ats):
                if each is not Nil and not isinstance(each, Pair):
                    raise wrong_type(name, position + i, "a list", each)
            return True
    return False


@primitive("%step!")
def step(name: Any, position: Any, ats: Any, more: Any, *, rt: Any) -> Any:
    """(%step! name position lists more) -> the next element of each list, in front of the list
    `more`; #f when a list has ended. lists: a vector, which is moved on; the first stands at
    `position`.
    """
    if _ended("%step!", name, position, ats, rt):
        return False
    result = more
    for i in range(len(ats) - 1, -1, -1):
        at = ats[i]
        pair = Pair()
        pair.car = at.car
        pair.cdr = result
        result = pair
        ats[i] = at.cdr
    return result


@primitive("%step-pairs!")
def step_pairs(name: Any, position: Any, ats: Any, more: Any, *, rt: Any) -> Any:
    """(%step-pairs! name position lists more) -> as %step!, with the pairs instead of the
    elements.
    """
    if _ended("%step-pairs!", name, position, ats, rt):
        return False
    result = to_list(list(ats), more)
    ats[:] = [at.cdr for at in ats]
    return result


@primitive("%ends")
def ends(name: Any, position: Any, *lists: Any, rt: Any) -> None:
    """(%ends name position list ...) -> nothing, if one of the lists ends: what gathers a value for
    each element would else go on until the memory is used up. The first stands at `position`.
    """
    for lst in lists:
        at = lst
        for _ in _STRETCH:
            if type(at) is not Pair and not isinstance(at, Pair):
                return
            at = at.cdr
    _taken("%ends", name=(name, str), position=(position, int))
    if lists and all(_goes_round(lst, rt) for lst in lists):
        raise wrong_type(name, position, "a list that ends", lists[0])


def _goes_round(lst: Any, rt: Any) -> bool:
    at, met, walked, known = lst, _NOWHERE, 0, check.WALK_ITEMS
    while True:
        for i in _STRETCH:
            if type(at) is not Pair and not isinstance(at, Pair):
                check.spend(rt, i)
                return False
            at = at.cdr
            if at is met:
                return True
        check.spend(rt, check.WALK_ITEMS)
        walked += check.WALK_ITEMS
        if walked >= known:  # Brent: a pair met again is one of a round
            met, known = at, 2 * walked


@primitive("%natural", result="int")
def natural(name: Any, position: Any, n: Any) -> int:
    """(%natural name position n) -> n, which must be an exact integer of at least 0."""
    _taken("%natural", name=(name, str), position=(position, int))
    return check.natural(name, position, n)


@primitive("%index", result="int")
def index(name: Any, position: Any, k: Any, length: Any, what: Any) -> int:
    """(%index name position k length what) -> k, which must be an index of something of that
    length.
    """
    _taken("%index", name=(name, str), position=(position, int))
    _taken("%index", length=(length, int), what=(what, str))
    return check.index(name, position, k, length, what)


@primitive("%string-end", result="int")
def string_end(name: Any, position: Any, s: Any, at: Any, start: Any, end: Any) -> int:
    """(%string-end name position s at start end) -> the end of a range of the string s, its length
    when end is #f; start stands at argument `at`.
    """
    _taken("%string-end", name=(name, str), position=(position, int))
    _taken("%string-end", at=(at, int))
    text = check.string(name, position, s)
    return check.span(name, at, start, None if end is False else end, len(text), "string")[1]


@primitive("%string-part", result="string")
def string_part(name: Any, position: Any, s: Any, at: Any, start: Any, end: Any, *, rt: Any) -> str:
    """(%string-part name position s at start end) -> the characters of a range as %string-end
    has it.
    """
    if type(name) is not str or type(position) is not int or type(at) is not int:
        _taken("%string-part", name=(name, str), position=(position, int))
        _taken("%string-part", at=(at, int))
    text = s if type(s) is str else check.string(name, position, s)
    first, last = check.span(name, at, start, None if end is False else end, len(text), "string")
    if last - first > FREE_ITEMS:
        check.spend(rt, last - first)
    return text[first:last]


@primitive("%vector-end", result="int")
def vector_end(name: Any, position: Any, v: Any, at: Any, start: Any, end: Any) -> int:
    """(%vector-end name position v at start end) -> the end of a range of the vector v, its length
    when end is #f; start stands at argument `at`.
    """
    _taken("%vector-end", name=(name, str), position=(position, int))
    _taken("%vector-end", at=(at, int))
    items = check.vector(name, position, v)
    return check.span(name, at, start, None if end is False else end, len(items), "vector")[1]


@primitive("%wanted-characters")
def wanted_characters(name: Any, position: Any, wanted: Any) -> Any:
    """(%wanted-characters name position wanted) -> a string of the characters meant, or #f when a
    procedure is to tell.
    """
    if type(wanted) is str:
        return wanted
    if type(wanted) is Char:
        return wanted.value
    if callable(wanted):
        return False
    _taken("%wanted-characters", name=(name, str), position=(position, int))
    raise wrong_type(name, position, "a character, a string of characters or a predicate", wanted)


def _scanned(own: str, s: Any, wanted: Any, start: Any, end: Any) -> None:
    check.span(own, 4, start, end, len(check.string(own, 1, s)), "string")
    check.string(own, 2, wanted)


@primitive("%string-scan")
def string_scan(s: Any, wanted: Any, among: Any, start: Any, end: Any, *, rt: Any) -> Any:
    """(%string-scan s wanted among? start end) -> the first index from start to before end whose
    character is (or, unless among?, is not) one of those in the string `wanted`; #f if there is
    none.
    """
    _scanned("%string-scan", s, wanted, start, end)
    if among is True and len(wanted) == 1:
        at = s.find(wanted, start, end)
        check.spend(rt, (end if at < 0 else at) - start)
        return False if at < 0 else at
    chars = frozenset(wanted)
    for at in range(start, end):
        if (s[at] in chars) is among:
            check.spend_each(rt, at - start)
            return at
    check.spend_each(rt, end - start)
    return False


@primitive("%string-scan-right")
def string_scan_right(s: Any, wanted: Any, among: Any, start: Any, end: Any, *, rt: Any) -> Any:
    """(%string-scan-right s wanted among? start end) -> as %string-scan, the last such index."""
    _scanned("%string-scan-right", s, wanted, start, end)
    chars = frozenset(wanted)
    for at in range(end - 1, start - 1, -1):
        if (s[at] in chars) is among:
            check.spend_each(rt, end - at)
            return at
    check.spend_each(rt, end - start)
    return False


@primitive("%string-keep", result="string")
def string_keep(s: Any, wanted: Any, among: Any, *, rt: Any) -> str:
    """(%string-keep s wanted among?) -> the characters of s that are (or, unless among?, are not)
    some of those in the string `wanted`.
    """
    check.spend_each(rt, len(check.string("%string-keep", 1, s)))
    check.string("%string-keep", 2, wanted)
    chars = frozenset(wanted)
    return "".join([c for c in s if (c in chars) is among])


@primitive("%shortest", result="int")
def shortest(name: Any, position: Any, vectors: Any, *, rt: Any) -> int:
    """(%shortest name position vectors) -> the length of the shortest vector of a vector of them,
    the first of which stands at `position`.
    """
    _taken("%shortest", name=(name, str), position=(position, int), vectors=(vectors, list))
    check.spend_each(rt, len(vectors))
    return min(
        (len(check.vector(name, position + at, each)) for at, each in enumerate(vectors)),
        default=0,
    )


@primitive("%row", result="list")
def row(vectors: Any, k: Any, *, rt: Any) -> Any:
    """(%row vectors k) -> the list of the elements at index k of a vector of vectors."""
    if type(k) is int and type(vectors) is list:
        check.spend_each(rt, len(vectors))
        for each in vectors:
            if type(each) is not list or not -1 < k < len(each):
                break
        else:
            return to_list([each[k] for each in vectors])
    items = []
    for each in check.vector("%row", 1, vectors):
        size = len(check.vector("%row", 1, each))
        items.append(each[check.index("%row", 2, k, size, "vector")])
    return to_list(items)
