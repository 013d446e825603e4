"""Pairs and lists: R7RS 6.4, (scheme cxr), and what of SRFI 1 takes no procedure.

Owns: construction, selection and whole-list operations. Searching is in searching.py.
Refuses: procedures as arguments (map, filter, member with a predicate, ... are in the Lisp
library), and walking circular lists: they are no proper lists.
"""

from __future__ import annotations

import math
from typing import Any

from omega.errors import LispIndexError
from omega.lisp.data import Nil, Pair, cons, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import (
    FREE_ITEMS,
    SHORT,
    index_hint,
    list_size,
    proper_list,
    wrong_type,
)
from omega.lisp.primitives.numbers import add, div, mul, sub
from omega.lisp.primitives.registry import primitive

# steps along a list before list-tail asks whether it is circular
_WALK_BEFORE_CYCLES = 200 * check.WALK_ITEMS

# -- pairs ----------------------------------------------------------------------------------------


@primitive("cons", "pair", result="pair")
def cons_(a: Any, d: Any) -> Pair:
    """(cons a d) -> pair: a fresh pair of a and d."""
    return cons(a, d)


@primitive("car")
def car(p: Any) -> Any:
    """(car pair) -> the first part of the pair."""
    return check.pair("car", 1, p).car


@primitive("cdr")
def cdr(p: Any) -> Any:
    """(cdr pair) -> the second part of the pair; of a list, all but its first element."""
    return check.pair("cdr", 1, p).cdr


@primitive("set-car!")
def set_car(p: Any, x: Any) -> None:
    """(set-car! pair x) -> unspecified: makes x the first part of the pair."""
    check.pair("set-car!", 1, p).car = x


@primitive("set-cdr!")
def set_cdr(p: Any, x: Any) -> None:
    """(set-cdr! pair x) -> unspecified: makes x the second part of the pair."""
    check.pair("set-cdr!", 1, p).cdr = x


def _compose(letters: str) -> None:
    name = f"c{letters}r"

    def access(p: Any) -> Any:
        at = p
        for letter in reversed(letters):
            if not isinstance(at, Pair):
                raise wrong_type(name, 1, f"a list with a {name}", p)
            at = at.car if letter == "a" else at.cdr
        return at

    steps = " of the ".join("car" if letter == "a" else "cdr" for letter in letters)
    access.__doc__ = f"({name} x) -> the {steps} of x."
    primitive(name)(access)


for _size in (2, 3, 4):
    for _number in range(2**_size):
        _compose("".join("d" if _number >> bit & 1 else "a" for bit in reversed(range(_size))))


@primitive("pair?", result="bool")
def is_pair(x: Any) -> bool:
    """(pair? x) -> boolean: whether x is a pair."""
    return isinstance(x, Pair)


@primitive("null?", result="bool")
def is_null(x: Any) -> bool:
    """(null? x) -> boolean: whether x is the empty list."""
    return x is Nil


@primitive("list?", "proper-list?", result="bool")
def is_list(x: Any, *, rt: Any) -> bool:
    """(list? x) -> boolean: whether x is a proper list: it ends in ()."""
    at = x
    for passed in SHORT:  # most are no longer
        if type(at) is not Pair:
            if not isinstance(at, Pair):
                return at is Nil
            return check.measured(at, rt, passed)[1] is Nil
        at = at.cdr
    return check.measured(at, rt, FREE_ITEMS)[1] is Nil


@primitive("circular-list?", result="bool")
def is_circular(x: Any, *, rt: Any) -> bool:
    """(circular-list? x) -> boolean: whether x is a list without end."""
    return isinstance(check.measured(x, rt)[1], Pair)


@primitive("dotted-list?", result="bool")
def is_dotted(x: Any, *, rt: Any) -> bool:
    """(dotted-list? x) -> boolean: whether x ends in something other than ()."""
    end = check.measured(x, rt)[1]
    return end is not Nil and not isinstance(end, Pair)


# -- making lists ---------------------------------------------------------------------------------


@primitive("list", result="list")
def list_(*items: Any, rt: Any) -> Any:
    """(list x ...) -> list: a fresh list of the arguments."""
    if len(items) > FREE_ITEMS:
        check.spend_each(rt, len(items))
    return to_list(items)


@primitive("cons*", "list*")
def cons_star(x: Any, *more: Any, rt: Any) -> Any:
    """(cons* x ... tail) -> a fresh list of all but the last argument, which becomes its tail."""
    check.spend_each(rt, len(more))
    return to_list((x, *more[:-1]), more[-1]) if more else x


@primitive("make-list", result="list")
def make_list(n: Any, fill: Any = None, *, rt: Any) -> Any:
    """(make-list n [fill]) -> list: n times fill."""
    count = check.natural("make-list", 1, n)
    check.list_size(rt, count)
    return to_list([fill] * count)


@primitive("iota", result="list")
def iota(count: Any, start: Any = 0, step: Any = 1, *, rt: Any) -> Any:
    """(iota count [start [step]]) -> list: count numbers from start (0), step (1) apart."""
    if type(count) is type(start) is type(step) is int and count >= 0:
        return _progression(count, start, step, rt)
    n = check.natural("iota", 1, count)
    check.number("iota", 2, start)
    check.number("iota", 3, step)
    return _progression(n, start, step, rt)


def _progression(count: int, start: Any, step: Any, rt: Any) -> Any:
    """The list of `count` numbers from `start`, `step` apart. Long ones count by their words."""
    if type(start) is type(step) is int:
        list_size(rt, count * (1 + max(start.bit_length(), step.bit_length()) // 64))
        return to_list(list(range(start, start + count * step, step)) if step else [start] * count)
    check.list_size(rt, count)
    numbers: list[Any] = []
    for at in range(count):
        if at % check.WALK_ITEMS == 0:
            rt.charge(min(check.WALK_ITEMS, count - at))
        numbers.append(add(start, mul(at, step, rt=rt), rt=rt))
    return to_list(numbers)


@primitive("range", result="list")
def range_(start: Any, end: Any = None, step: Any = 1, *, rt: Any) -> Any:
    """(range end), (range start end [step]) -> list: the numbers from start (0) to before end,
    step (1) apart.
    """
    if end is None:
        start, end = 0, start
    if type(start) is type(end) is type(step) is int and step:
        return _progression(max(0, -((start - end) // step)), start, step, rt)
    for at, n in enumerate((start, end, step), 1):
        check.number("range", at, n)
        if type(n) is float and not math.isfinite(n):
            raise check.invalid("range", "expected finite numbers", n)
    if step == 0:
        raise check.invalid("range", "expected a step other than 0", step)
    ratio = div(sub(end, start, rt=rt), step, rt=rt)
    if type(ratio) is float and not math.isfinite(ratio):
        raise check.invalid("range", "is too long for its step", step)
    return _progression(max(0, math.ceil(ratio)), start, step, rt)


@primitive("list-copy")
def list_copy(x: Any, *, rt: Any) -> Any:
    """(list-copy x) -> a fresh list of the same elements and tail; x itself if it is no pair."""
    items, end = check.walked(x, rt)
    if isinstance(end, Pair):
        raise wrong_type("list-copy", 1, "a list that ends", x)
    most = rt.limits.alloc_items
    if most is not None and len(items) > most:
        check.fits(rt, len(items))
    return to_list(items, end)


@primitive("append")
def append(*lists: Any, rt: Any) -> Any:
    """(append list ... x) -> the elements of all lists in one; the last argument becomes its
    tail.
    """
    if not lists:
        return Nil
    result = lists[-1]
    copied = 0
    for at in range(len(lists) - 2, -1, -1):
        result, copied = _copied("append", at + 1, lists[at], result, copied, rt)
    return result


def _copied(name: str, position: int, lst: Any, tail: Any, copied: int, rt: Any) -> tuple[Any, int]:
    """The elements of a proper list in front of `tail`; how many are copied, with the `copied`
    before.
    """
    if lst is Nil:
        return tail, copied
    at = lst
    before = last = Pair()  # stands before the first
    try:
        for size in SHORT:  # most are no longer, and walked once
            if at is Nil:
                most = rt.limits.alloc_items
                if most is not None and copied + size > most:
                    check.fits(rt, copied + size)
                return before.cdr, copied + size
            pair = Pair()
            pair.car = at.__car__  # what is no pair has no such attribute
            pair.cdr = tail
            last.cdr = last = pair
            at = at.__cdr__
    except AttributeError:
        pass
    items = proper_list(name, position, lst, rt)
    check.fits(rt, copied + len(items))
    last.cdr = to_list(items[FREE_ITEMS:], tail)
    return before.cdr, copied + len(items)


@primitive("concatenate")
def concatenate(lists: Any, *, rt: Any) -> Any:
    """(concatenate lists) -> the elements of all lists of a list in one."""
    return append(*proper_list("concatenate", 1, lists, rt), rt=rt)


@primitive("reverse", result="list")
def reverse(lst: Any, *, rt: Any) -> Any:
    """(reverse list) -> list: its elements, the last first."""
    return _turned("reverse", lst, Nil, rt)


@primitive("append-reverse")
def append_reverse(lst: Any, tail: Any, *, rt: Any) -> Any:
    """(append-reverse list tail) -> the reversed list in front of tail."""
    return _turned("append-reverse", lst, tail, rt)


def _turned(name: str, lst: Any, tail: Any, rt: Any) -> Any:
    """The elements of a proper list, the last first, in front of `tail`."""
    at, result = lst, tail
    try:
        for _ in SHORT:  # most are no longer, and walked once
            if at is Nil:
                return result
            pair = Pair()
            pair.car = at.__car__  # what is no pair has no such attribute
            pair.cdr = result
            result = pair
            at = at.__cdr__
    except AttributeError:
        pass
    items = proper_list(name, 1, lst, rt)[FREE_ITEMS:]
    items.reverse()
    return to_list(items, result)


@primitive("flatten", result="list")
def flatten(x: Any, *, rt: Any) -> Any:
    """(flatten x) -> list: every element of x and of the lists inside it that is no list, in
    order.
    """
    out: list[Any] = []
    stack: list[Any] = [x]
    done = 0
    while stack:
        at = stack.pop()
        done += 1
        if done % check.WALK_ITEMS == 0:
            check.fits(rt, done)
            check.spend_each(rt, check.WALK_ITEMS)
        if isinstance(at, Pair):
            if at.cdr is not Nil:
                stack.append(at.cdr)
            stack.append(at.car)
        elif at is not Nil:
            out.append(at)
    check.spend_each(rt, done % check.WALK_ITEMS)
    return to_list(out)


# -- parts ----------------------------------------------------------------------------------------


@primitive("length", result="int")
def length(lst: Any, *, rt: Any) -> int:
    """(length list) -> integer: how many elements it has."""
    at = lst
    size = 0
    try:
        for size in SHORT:
            if at is Nil:
                return size
            at = at.__cdr__  # what is no pair has no such attribute
        size = FREE_ITEMS
    except AttributeError:
        pass
    size, end = check.measured(at, rt, size)
    if end is not Nil:
        raise wrong_type("length", 1, "a proper list", lst)
    return size


@primitive("length+")
def length_plus(lst: Any, *, rt: Any) -> Any:
    """(length+ list) -> integer or #f: how many elements it has, #f if it is circular."""
    size, end = check.measured(lst, rt)
    if end is Nil:
        return size
    if isinstance(end, Pair):
        return False
    raise wrong_type("length+", 1, "a proper or circular list", lst)


def _after(name: str, lst: Any, k: Any, element: bool, rt: Any) -> Any:
    """The rest of `lst` after k elements; a pair if an element is wanted there."""
    if type(k) is int and 0 <= k <= FREE_ITEMS:
        at = lst
        try:
            for _ in range(k):
                at = at.__cdr__
            if not element or type(at) is Pair:
                return at
        except AttributeError:
            pass
    count = check.natural(name, 2, k)
    at = lst
    left = count
    passed = 0
    while left > 0:
        stretch = min(left, check.WALK_ITEMS)
        for here in range(stretch):
            if not isinstance(at, Pair):
                raise _too_short(name, lst, passed + here, count)
            at = at.cdr
        check.spend_each(rt, stretch)
        left -= stretch
        passed += stretch
        if passed == _WALK_BEFORE_CYCLES:
            left = _without_rounds(at, left, rt)
    if element and not isinstance(at, Pair):
        raise _too_short(name, lst, count, count)
    return at


def _without_rounds(at: Any, steps: int, rt: Any) -> int:
    """`steps` from `at`, less whole rounds when the list is circular."""
    seen: dict[int, int] = {}
    while isinstance(at, Pair):
        if id(at) in seen:
            entry, length = seen[id(at)], len(seen) - seen[id(at)]
            return steps if steps < entry else entry + (steps - entry) % length
        seen[id(at)] = len(seen)
        if len(seen) % check.WALK_ITEMS == 0:
            check.spend_each(rt, check.WALK_ITEMS)
        at = at.cdr
    return steps


def _too_short(name: str, lst: Any, size: int, k: int) -> Exception:
    if lst is not Nil and not isinstance(lst, Pair):
        return wrong_type(name, 1, "a list", lst)
    from omega.lisp.printer import shorten

    return LispIndexError(
        f"`{name}` index {shorten(k, 30)} is out of range for a list of length {size}",
        hint=index_hint(size, "list"),
    )


@primitive("list-tail", "drop")
def list_tail(lst: Any, k: Any, *, rt: Any) -> Any:
    """(list-tail list k) -> list: what is left after the first k elements."""
    return _after("list-tail", lst, k, False, rt)


@primitive("list-ref")
def list_ref(lst: Any, k: Any, *, rt: Any) -> Any:
    """(list-ref list k) -> element k of the list, counting from 0."""
    return _after("list-ref", lst, k, True, rt).car


@primitive("list-set!")
def list_set(lst: Any, k: Any, x: Any, *, rt: Any) -> None:
    """(list-set! list k x) -> unspecified: makes x element k of the list."""
    _after("list-set!", lst, k, True, rt).car = x


def _first(name: str, lst: Any, k: Any, rt: Any) -> list[Any]:
    count = k if type(k) is int and k >= 0 else check.natural(name, 2, k)
    check.fits(rt, count)
    items: list[Any] = []
    at = lst
    while len(items) < count:
        stretch = min(count - len(items), check.WALK_ITEMS)
        if stretch > FREE_ITEMS:
            check.spend_each(rt, stretch)
        for _ in range(stretch):
            if not isinstance(at, Pair):
                raise _too_short(name, lst, len(items), count)
            items.append(at.car)
            at = at.cdr
    return items


@primitive("take", "list-head", result="list")
def take(lst: Any, k: Any, *, rt: Any) -> Any:
    """(take list k) -> list: its first k elements."""
    return to_list(_first("take", lst, k, rt))


@primitive("take-right")
def take_right(lst: Any, k: Any, *, rt: Any) -> Any:
    """(take-right list k) -> list: its last k elements."""
    items = proper_list("take-right", 1, lst, rt)
    count = check.natural("take-right", 2, k)
    if count > len(items):
        raise _too_short("take-right", lst, len(items), count)
    return _after("take-right", lst, len(items) - count, False, rt)


@primitive("drop-right", result="list")
def drop_right(lst: Any, k: Any, *, rt: Any) -> Any:
    """(drop-right list k) -> list: all but its last k elements."""
    items = proper_list("drop-right", 1, lst, rt)
    count = check.natural("drop-right", 2, k)
    if count > len(items):
        raise _too_short("drop-right", lst, len(items), count)
    return to_list(items[: len(items) - count])


@primitive("split-at")
def split_at(lst: Any, k: Any, *, rt: Any) -> Any:
    """(split-at list k) -> two values: the first k elements, and the rest."""
    from omega.lisp.data import Values

    front = to_list(_first("split-at", lst, k, rt))
    return Values((front, _after("split-at", lst, k, False, rt)))


@primitive("sublist", result="list")
def sublist(lst: Any, start: Any, end: Any, *, rt: Any) -> Any:
    """(sublist list start end) -> list: the elements from start to before end."""
    items = proper_list("sublist", 1, lst, rt)
    first, last = check.span("sublist", 2, start, end, len(items), "list")
    return to_list(items[first:last])


@primitive("last-pair")
def last_pair(lst: Any, *, rt: Any) -> Any:
    """(last-pair list) -> pair: the last pair of a list that is not empty."""
    return _last_pair("last-pair", lst, rt)


def _last_pair(name: str, lst: Any, rt: Any) -> Any:
    at, passed = lst, 0
    try:
        for _ in SHORT:
            rest = at.__cdr__  # what is no pair has no such attribute
            if rest is Nil:
                return at
            at = rest
        passed = FREE_ITEMS
    except AttributeError:
        pass
    if not isinstance(at, Pair):  # no list, or one that ends in something else
        at, passed = check.pair(name, 1, lst), 0
    size, end = check.measured(at, rt, passed)
    if isinstance(end, Pair):
        raise wrong_type(name, 1, "a list that ends", lst)
    for _ in range(size - passed - 1):
        if isinstance(at.cdr, Pair):
            at = at.cdr
    return at


@primitive("last")
def last(lst: Any, *, rt: Any) -> Any:
    """(last list) -> its last element."""
    return _last_pair("last", lst, rt).car


def _ordinal(name: str, at: int) -> None:
    def element(lst: Any, *, rt: Any) -> Any:
        return _after(name, lst, at, True, rt).car

    element.__doc__ = f"({name} list) -> its {name} element."
    primitive(name)(element)


for _at, _name in enumerate(
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
):
    _ordinal(_name, _at)


@primitive("rest")
def rest(lst: Any) -> Any:
    """(rest list) -> list: all but its first element."""
    return check.pair("rest", 1, lst).cdr


@primitive("alist-copy", result="list")
def alist_copy(alist: Any, *, rt: Any) -> Any:
    """(alist-copy alist) -> list: a copy with fresh pairs."""
    items = proper_list("alist-copy", 1, alist, rt)
    check.spend_each(rt, len(items))
    return to_list([cons(x.car, x.cdr) if isinstance(x, Pair) else x for x in items])
