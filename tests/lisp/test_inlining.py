"""Small procedures in place of their calls: nobody can tell but by the clock."""

from __future__ import annotations

from typing import Any

import pytest

from omega import Interpreter
from omega.errors import LispError, UnboundVariable
from omega.errors import Source as Text


def python_of(text: str) -> str:
    with Interpreter(use_cache=False) as interpreter:
        return interpreter.python(Text("<text>", text))


def test_mutual_recursion_in_tail_position_becomes_a_loop() -> None:
    code = python_of(
        """(define (ping n) (if (= n 0) 'done (pong (- n 1))))
        (define (pong n) (if (= n 0) 'gone (ping (- n 1))))"""
    )
    ping = code[code.index("def ping") : code.index("def pong")]
    assert "while True" in ping
    assert "pongǁf1" in ping  # looked at each time round


def test_a_local_procedure_nobody_needs_any_more_is_not_made() -> None:
    code = python_of("(define (f x) (define (twice y) (* 2 y)) (+ (twice x) (twice 3)))")
    assert "def twice" not in code
    code = python_of("(define (f x) (define (twice y) (* 2 y)) (list twice (twice 3)))")
    assert "def twice" in code


CALLERS = """
(define (small x) (* x 2))
(define (caller a) (+ 1 (small a)))
(define (tail a) (small a))
(define (test a) (if (small a) 'yes 'no))
(define (work a) (small (+ a 1)))
"""
USES = "(list (caller 1) (tail 1) (test 1) (work 1))"


@pytest.mark.parametrize(
    "again",
    [
        "(define (small x) (+ x 100))",
        "(set! small (lambda (x) (+ x 100)))",
        "(define small (let ((by 100)) (lambda (x) (+ x by))))",
        "(define (change!) (set! small (lambda (x) (+ x 100)))) (change!)",
    ],
)
def test_callers_see_a_later_definition(again: str) -> None:
    with Interpreter() as interpreter:
        interpreter.eval(CALLERS)
        assert interpreter.eval(f"(equal? {USES} '(3 2 yes 4))") is True
        interpreter.eval(again)
        assert interpreter.eval(f"(equal? {USES} '(102 101 yes 102))") is True
        interpreter.eval("(define (small x) #f)")
        assert interpreter.eval("(list (tail 1) (test 1))") is not None
        assert interpreter.eval("(test 1)").name == "no"


def test_callers_see_what_the_host_defines() -> None:
    with Interpreter() as interpreter:
        interpreter.eval(CALLERS)
        interpreter.define("small", lambda x: 40 + x)
        assert interpreter.eval("(caller 1)") == 42


def test_an_argument_that_redefines_the_procedure_comes_too_late() -> None:
    with Interpreter() as interpreter:
        interpreter.eval("(define (small x) (+ x 1)) (define (caller) (small (change!)))")
        interpreter.eval("(define (change!) (set! small (lambda (x) 0)) 1)")
        assert interpreter.eval("(caller)") == 2
        assert interpreter.eval("(caller)") == 0


def test_a_procedure_used_before_its_definition_is_unbound() -> None:
    with Interpreter() as interpreter:
        with pytest.raises(UnboundVariable) as caught:
            interpreter.eval("(define (user) (late (car 5))) (user) (define (late x) x)")
        assert "`late` is not bound" in caught.value.message


def places(program: str, **options: Any) -> list[tuple[str, str]]:
    with Interpreter(**options) as interpreter, pytest.raises(LispError) as caught:
        interpreter.eval(program)
    return [(name, str(place)) for name, place in caught.value.lisp_traceback if name]


def test_a_backtrace_shows_calls_that_were_replaced() -> None:
    program = """(define (inner x) (car x))
(define (middle y) (cons 1 (inner y)))
(define (outer z) (list (middle (vector z)) 2))
(define (run) (list (outer 3)))
(list (run))"""
    assert places(program) == [
        ("inner", "<eval>:1:19"),
        ("middle", "<eval>:2:28"),
        ("outer", "<eval>:3:25"),
        ("run", "<eval>:4:21"),
    ]


def test_a_backtrace_shows_a_local_procedure_that_was_replaced_in_a_loop_at_top_level() -> None:
    program = """(do ((i 0 (+ i 1))) ((= i 3))
  (let ((pick (lambda (v) (vector-ref v i)))) (pick (vector 1 2))))"""
    assert places(program) == [("pick", "<eval>:2:27")]


def test_very_many_replaced_calls_in_one_procedure() -> None:
    calls = " ".join("(small i)" for _ in range(1_500))
    program = f"(define (small x) (+ x 1)) (define (many i) (+ {calls})) (many 1)"
    with Interpreter() as interpreter:
        assert interpreter.eval(program) == 3_000


@pytest.mark.parametrize(
    ("definition", "call", "value"),
    [
        ("(define (f x) (let ((y (* x x))) (+ y y)))", "(f 3)", 18),
        ("(define (f x) (begin (set! count (+ count 1)) x))", "(begin (f 1) (f 2) count)", 2),
        ("(define (f a b) (- a b))", "(f (begin (set! count 5) 5) (begin (set! count 3) 1))", 4),
        ("(define (f a) a)", "(let ((x 1)) (f (begin (set! x 2) x)))", 2),
        ("(define (f a) (set! count (+ count 10)) (+ a count))", "(let ((c 1)) (f c))", 11),
        ("(define (f a b) (if a b 0))", "(f #t (f #f 1))", 0),
        ("(define (f g) (g 1))", "(f (lambda (x) (f (lambda (y) (+ x y)))))", 2),
        ("(define (f n) (if (< n 1) 0 (g n))) (define (g n) (+ 1 (f (- n 1))))", "(f 100)", 100),
    ],
)  # fmt: skip
def test_what_is_replaced_means_the_same(definition: str, call: str, value: Any) -> None:
    with Interpreter() as interpreter:
        text = f"(define count 0) {definition} (define (run) {call}) (run)"
        assert interpreter.eval(text) == value
