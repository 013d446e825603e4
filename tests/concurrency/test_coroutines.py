"""Coroutines from the host's side: who closes them, and what may stand around them."""

from __future__ import annotations

import pytest

from omega import Interpreter, LimitExceeded, Limits, OmegaError

UPTO = """
(define (upto n)
  (make-generator
    (lambda (yield) (let loop ((i 0)) (when (< i n) (yield i) (loop (+ i 1)))))))
"""


class Output:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def test_suspended_generator_cleans_up_when_the_interpreter_is_closed() -> None:
    output = Output()
    with Interpreter(output=output) as omega:
        omega.eval(
            """(define g (make-generator (lambda (yield)
                 (dynamic-wind void (lambda () (yield 1) (yield 2))
                   (lambda () (display "closed"))))))
               (g)"""
        )
        assert output.text == ""
    assert output.text == "closed"


def test_generator_that_waits_is_closed_with_its_task() -> None:
    output = Output()
    with (
        pytest.warns(ResourceWarning, match="it waits for a sleep"),
        Interpreter(output=output) as omega,
    ):
        omega.eval(
            """(define g (make-generator (lambda (yield)
                 (dynamic-wind void (lambda () (sleep 100000))
                   (lambda () (display "closed"))))))
               (async-detached (lambda () (g)))
               (sleep 1)"""
        )
    assert output.text == "closed"


def test_generator_is_asked_from_a_host_function_and_from_the_host() -> None:
    with Interpreter() as omega:
        omega.eval(UPTO)
        omega.define("call", lambda f: f())
        assert list(omega.eval("(call (lambda () (let ((g (upto 3))) (list (g) (g)))))")) == [0, 1]
        generator = omega.eval("(upto 2)")
        assert [generator(), generator()] == [0, 1]
        with pytest.raises(OmegaError, match="cannot wait here"):
            omega.eval("(call (make-generator (lambda (yield) (sleep 1) (yield 2))))")


def test_ended_generators_leave_no_stacks() -> None:
    with Interpreter() as omega:
        omega.eval(UPTO)
        omega.eval("(define (use n) (when (> n 0) (scope ((upto 2))) (use (- n 1))))")
        omega.eval("(use 10)")
        stacks = len(omega.scheduler._stacks)
        omega.eval("(use 200)")
        assert len(omega.scheduler._stacks) == stacks


def test_generator_without_end_meets_the_fuel_limit() -> None:
    with Interpreter(limits=Limits(fuel=10_000)) as omega, pytest.raises(LimitExceeded):
        omega.eval(
            """(generator->list
                 (make-generator (lambda (y) (let loop ((i 0)) (y i) (loop (+ i 1))))))"""
        )
