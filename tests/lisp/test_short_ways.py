"""What takes a short way for few and plain arguments answers, refuses and charges as the long way
does on both sides of where it ends.
"""

from __future__ import annotations

import gc

import pytest

from omega import Interpreter, Limits
from omega.errors import LimitExceeded, LispTypeError
from omega.lisp.data import Nil, list_items, to_list
from omega.lisp.primitives.check import FREE_ITEMS
from tests.lisp.primitive_kit import FakeRuntime, call

SIZES = [0, 1, 2, FREE_ITEMS - 1, FREE_ITEMS, FREE_ITEMS + 1, 511, 512, 513, 1100]


@pytest.mark.parametrize("size", SIZES)
def test_lists_about_as_long_as_the_short_way_are_walked_whole(size: int) -> None:
    items = list(range(size))
    lst, dotted = to_list(items), to_list(items, 7)
    rt = FakeRuntime()
    assert call("length", lst, rt=rt) == size
    assert rt.charged == size // 512 * 64 + (size % 512 // 8 if size % 512 > FREE_ITEMS else 0)
    assert list_items(call("reverse", lst)) == items[::-1]
    assert list_items(call("append", lst, lst)) == items + items
    assert list_items(call("list-copy", lst)) == items
    assert call("list?", lst)
    assert not call("list?", dotted)
    if size:
        assert call("last", lst) == call("last", dotted) == size - 1
        assert call("last-pair", dotted).cdr == 7
        for name in ("length", "reverse", "list->vector"):
            with pytest.raises(LispTypeError, match="a proper list"):
                call(name, dotted)


def test_the_short_way_keeps_to_the_limit_of_items() -> None:
    rt = FakeRuntime(alloc_items=2)
    lst = to_list([1, 2, 3])
    for name, arguments in {
        "append": (lst, Nil),
        "list-copy": (lst,),
        "string-append": ("ab", "c"),
        "string->list": ("abc",),
        "number->string": (8,),
        "expt": (2, 3),
    }.items():
        with pytest.raises(LimitExceeded):
            call(name, *arguments, rt=rt)


@pytest.mark.parametrize("digits", [1, FREE_ITEMS - 2, FREE_ITEMS - 1, FREE_ITEMS, 200])
def test_what_is_displayed_short_is_what_is_displayed_long(digits: int) -> None:
    for number in (10**digits, -(10**digits)):
        text = str(number)
        for name in ("display", "write"):
            rt, port = FakeRuntime(), call("open-output-string")
            call(name, number, port, rt=rt)
            call("display", text, port, rt=rt)
            call("write-string", text, port, rt=rt)
            assert call("get-output-string", port) == text * 3
            assert (rt.charged > 0) == (len(text) > FREE_ITEMS)
        with pytest.raises(LimitExceeded):
            call("display", number, call("open-output-string"), rt=FakeRuntime(alloc_items=1))


def test_a_vector_grows_to_the_limit_of_items_and_no_further() -> None:
    text = "(define v (vector)) (define (go i) (when (< i n) (vector-push! v i) (go (+ i 1))))"
    with Interpreter(limits=Limits(alloc_items=1000)) as omega:
        omega.eval(f"(define n 1000) {text} (go 0)")
        assert omega.eval("(vector-length v)") == 1000
        with pytest.raises(LimitExceeded, match="size"):
            omega.eval("(set! n 1001) (go 1000)")
        assert omega.eval("(vector-length v)") == 1000


def test_an_escape_leaves_nothing_for_the_collector() -> None:
    with Interpreter() as omega:
        text = "(define (go n) (if (> n 0) (begin (call/cc (lambda (k) (k n))) (go (- n 1))) 0))"
        omega.eval(text + " (go 10)")
        gc.collect()
        gc.disable()
        try:
            omega.eval("(go 1000)")
            assert gc.collect() < 1000
        finally:
            gc.enable()
