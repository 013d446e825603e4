"""Limits of an interpreter: what meets them, and what is raised."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from omega import (
    Deadlock,
    Interpreter,
    LimitExceeded,
    Limits,
)
from omega.errors import (
    HostError,
    LispSyntaxError,
)


@pytest.fixture
def omega() -> Iterator[Interpreter]:
    with Interpreter(virtual_time=True) as made:
        yield made


def test_deadlock_and_limits_have_classes_of_their_own(omega: Interpreter) -> None:
    with pytest.raises(Deadlock):
        omega.eval("(recv! (make-channel))")
    with Interpreter(limits=Limits(fuel=1000)) as small:
        with pytest.raises(LimitExceeded) as caught:
            small.eval("(let loop () (loop))")
        assert (caught.value.limit, caught.value.allowed) == ("fuel", 1000)
        with pytest.raises(LimitExceeded):
            small.eval("(guard (e (#t 'caught)) (let loop () (loop)))")


def test_depth_and_output_and_wall_limits_hold() -> None:
    with Interpreter(limits=Limits(depth=10_000)) as omega:
        with pytest.raises(LimitExceeded) as caught:
            omega.eval("(define (f n) (+ 1 (f n))) (f 1)")
        assert caught.value.limit == "depth"
        assert omega.eval("(+ 1 1)") == 2
    with Interpreter(limits=Limits(output_bytes=100), output=io.StringIO()) as omega:
        with pytest.raises(LimitExceeded) as caught:
            omega.eval('(let loop () (display "0123456789") (loop))')
        assert caught.value.limit == "output"
    with Interpreter(limits=Limits(wall_s=0.05)) as omega:
        with pytest.raises(LimitExceeded) as caught:
            omega.eval("(let loop () (loop))")
        assert caught.value.limit == "wall"
    with Interpreter(limits=Limits(wall_s=0.05)) as omega, pytest.raises(LimitExceeded):
        omega.eval("(sleep 100000)")


@pytest.mark.parametrize(
    "program",
    [
        "#0=(+ 1 . #0#)",
        "#0=(1 . #0#)",
        "(begin #0=(cond-expand . #0#))",
        "(define-values #0=(a . #0#) 1)",
        "(define-macro (m) (let ((l (list '+ 1))) (set-cdr! (cdr l) (cdr l)) l)) (m)",
        "(macroexpand '#0=(cond-expand . #0#))",
    ],
)
def test_code_that_contains_itself_is_refused(omega: Interpreter, program: str) -> None:
    with pytest.raises(LispSyntaxError, match="a form contains itself"):
        omega.eval(program)


@pytest.mark.parametrize(
    "program",
    [
        "(define-macro (m) (let ((l (list 'quote 1))) (set-cdr! l l) l)) (m)",
        "(define-macro (m) (let loop ((i 0) (l 1))"
        " (if (= i 60) l (loop (+ i 1) (list '+ l l))))) (m)",
        "(define-syntax m (syntax-rules () ((_ x ...) (m x ... x ...)))) (m 1 2)",
        "(define-macro (m) (let loop ((i 0)) (if (< i 4900000) (loop (+ i 1)) 1)))"
        " (list (m) (m) (m) (m) (m) (m))",
    ],
)
def test_endless_expansions_meet_a_limit(omega: Interpreter, program: str) -> None:
    with pytest.raises(LimitExceeded):
        omega.eval(program)


def test_tasks_that_have_not_ended_are_bounded() -> None:
    forever = "(let loop () (async (lambda () (sleep 1e9))) (loop))"
    with (
        pytest.warns(ResourceWarning, match=r"has not (ended|begun)(.|\n)*and 19979 more"),
        Interpreter(limits=Limits.untrusted(), virtual_time=True) as small,
    ):
        with pytest.raises(LimitExceeded, match="20,000 allowed") as caught:
            small.eval(f"(guard (e (#t 'caught)) {forever})")
        assert caught.value.limit == "tasks"
        assert caught.value.hint == "Limits(tasks=...) allows more"
    with Interpreter(limits=Limits(tasks=5), virtual_time=True) as small:
        assert small.eval("(apply + (par-map (lambda (x) 1) (iota 100) :max-par 4))") == 100
    with pytest.raises(HostError, match="tasks"):
        Limits(tasks=0)


def test_a_channel_holds_no_more_than_a_list() -> None:
    with Interpreter(limits=Limits.untrusted()) as small:
        small.eval("(make-channel 1000000)")
        with pytest.raises(LimitExceeded, match="items in a channel"):
            small.eval("(make-channel 1000001)")


def test_append_knows_the_largest_list(omega: Interpreter) -> None:
    with Interpreter(limits=Limits.untrusted()) as small:
        for program in (
            "(let loop ((s (list 1 2))) (loop (append s s)))",
            "(apply append (make-list 10000 (iota 100000)))",
        ):
            with pytest.raises(LimitExceeded):
                small.eval(program)
