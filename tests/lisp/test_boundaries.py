"""Forms that hold dynamic state, seen from a failure that passes them."""

from __future__ import annotations

import tracemalloc

import pytest

from omega import Interpreter, Limits
from omega.errors import LimitExceeded, LispError

AROUND = {
    "nothing": "(+ 1 (g))",
    "guard": "(+ 1 (guard (e ((string? e) 1)) (+ 1 (g))))",
    "handler": "(+ 1 (with-exception-handler (lambda (e) (raise e)) (lambda () (+ 1 (g)))))",
    "dynamic-wind": "(+ 1 (dynamic-wind void (lambda () (+ 1 (g))) void))",
    "parameterize": "(+ 1 (parameterize ((p 1)) (+ 1 (g))))",
    "call/cc": "(+ 1 (call/cc (lambda (k) (+ 1 (g)))))",
}


@pytest.mark.parametrize("form", AROUND)
def test_recursion_through_a_form_meets_the_depth_limit_by_its_name(form: str) -> None:
    with Interpreter(limits=Limits(depth=5_000)) as interpreter:
        interpreter.eval(f"(define p (make-parameter 0)) (define (g) {AROUND[form]})")
        with pytest.raises(LimitExceeded) as caught:
            interpreter.eval("(g)")
    assert (caught.value.limit, caught.value.allowed) == ("depth", 5_000)
    assert "Limits(depth=...)" in (caught.value.hint or "")


@pytest.mark.parametrize("form", AROUND)
@pytest.mark.parametrize("failing", ["(car 5)", '(error "no")', "(raise 'no)", "nowhere"])
def test_a_backtrace_goes_on_beyond_a_form_that_a_failure_passes(form: str, failing: str) -> None:
    with Interpreter() as interpreter:
        interpreter.eval(
            f"""(define p (make-parameter 0))
            (define (g) (+ 1 {failing}))
            (define (middle) {AROUND[form]})
            (define (outer) (+ 1 (middle)))"""
        )
        with pytest.raises(LispError) as caught:
            interpreter.eval("(+ 1 (outer))")
    names = [name for name, _ in caught.value.lisp_traceback if name]
    raised_anew = form == "handler" and failing == "(raise 'no)"  # by the handler: no condition
    assert names[0] == ("lambda" if raised_anew else "g")
    assert names[-2:] == ["middle", "outer"]


def test_a_condition_raised_again_keeps_its_first_place() -> None:
    with Interpreter() as interpreter:
        interpreter.eval(
            """(define (g) (+ 1 (error "no")))
            (define (again) (+ 1 (guard (e (#t (+ 1 (raise e)))) (g))))"""
        )
        with pytest.raises(LispError) as caught:
            interpreter.eval("(+ 1 (again))")
    assert str(caught.value.span) == "<eval>:1:18"
    assert [name for name, _ in caught.value.lisp_traceback if name][:1] == ["g"]
    assert "again" in [name for name, _ in caught.value.lisp_traceback]


def test_cleanup_of_many_levels_keeps_nothing_of_each() -> None:
    levels = 3_000
    with Interpreter(limits=Limits(fuel=levels)) as interpreter:
        interpreter.eval("(define (g) (dynamic-wind void g g))")
        tracemalloc.start()
        try:
            with pytest.raises(LimitExceeded) as caught:
                interpreter.eval("(g)")
            kept = tracemalloc.get_traced_memory()[0] / levels
        finally:
            tracemalloc.stop()
    assert caught.value.limit == "fuel"
    assert kept < 3_000  # bytes: frames and their places in the traceback
