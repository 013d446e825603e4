"""What limits mean while a text is compiled: macros are programs, and their expansions are work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from omega.errors import LimitExceeded
from omega.interpreter import Interpreter, Limits
from omega.lisp.expansion import STEPS_PER_FORM


def doubling(template: str, argument: str, levels: int = 40) -> str:
    """A program whose macros double their argument `levels` times; the last fills in `template`."""
    macros = [f"(define-syntax m0 (syntax-rules () ((_ x) {template})))"]
    for level in range(1, levels + 1):
        macros.append(f"(define-syntax m{level} (syntax-rules () ((_ x) (m{level - 1} (x x)))))")
    return "\n".join([*macros, f"(m{levels} {argument})"])


EXPONENTIAL = [
    doubling("(if #f x)", "car"),
    doubling("`x", ",(f)"),
    doubling("(lambda ((a x)) x)", "car"),
    doubling("(define-syntax k (syntax-rules () ((_ x) 1)))", "1"),
    doubling("(define-syntax k (syntax-rules () ((_ y) x)))", "1"),
    "(define-macro (m n x) (if (= n 0) x `(begin (m ,(- n 1) ,x) (m ,(- n 1) ,x)))) (m 40 1)",
    "(define-syntax m (syntax-rules () ((_ x ...) (begin (m x ... x ...) 1)))) (m 1 2)",
]


@pytest.mark.parametrize("text", EXPONENTIAL)
def test_expansion_uses_fuel(text: str) -> None:
    fuel = 500_000
    with Interpreter(use_cache=False, limits=Limits(fuel=fuel)) as interpreter:
        began = time.process_time()
        with pytest.raises(LimitExceeded, match="fuel limit exceeded: 500,000 steps") as caught:
            interpreter.eval(text)
        assert time.process_time() - began < 5
        assert caught.value.span is not None
        with pytest.raises(LimitExceeded):
            interpreter.eval("(let loop ((i 0)) (if (< i 100000) (loop (+ i 1))))")


ENDLESS = "(define-macro (m) (let loop ((i 0)) (loop (+ i 1)))) (m)"


@pytest.mark.parametrize("text", [*EXPONENTIAL, ENDLESS])
def test_expansion_notices_the_wall_limit(text: str) -> None:
    with Interpreter(use_cache=False, limits=Limits(wall_s=0.05)) as interpreter:
        began = time.process_time()
        with pytest.raises(LimitExceeded, match="wall limit"):
            interpreter.eval(text)
        assert time.process_time() - began < 2


def test_expansion_without_limits_has_one() -> None:
    with Interpreter(use_cache=False) as interpreter:
        with pytest.raises(LimitExceeded, match="forms made by macros in one program"):
            interpreter.eval(EXPONENTIAL[0])
        assert interpreter.eval("(+ 1 2)") == 3


def test_data_that_share_their_parts_stay_small() -> None:
    """A constant is as large as what it is made of, also on its way to the cache."""
    with Interpreter() as interpreter:
        interpreter.eval(doubling("(define shared 'x)", "a"))
        assert interpreter.eval("(eq? (car shared) (cadr shared))") is True


def test_a_text_without_macros_takes_no_steps_to_compile() -> None:
    text = "\n".join(
        f"(define (f{n} x) (let ((y (* x {n}))) (if (> y 3) (list y) 'small)))" for n in range(500)
    )
    with Interpreter(use_cache=False) as interpreter:
        interpreter.eval("1")
        before = interpreter.scheduler.steps
        interpreter.eval(text)
        assert interpreter.scheduler.steps - before < 10


def test_a_warm_start_takes_the_steps_of_a_cold_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("OMEGA_CACHE_DIR", str(tmp_path))
    text = doubling("(if #f x)", "car", 10) + "(define-macro (m) (iota 100) 1) (m)"
    steps = []
    for _ in range(2):
        with Interpreter() as interpreter:
            interpreter.only_text()
            interpreter.eval(text)
            steps.append(interpreter.scheduler.steps)
    assert steps[0] == steps[1] > 1000 * STEPS_PER_FORM


def test_macroexpand_charges_its_task() -> None:
    text = """
    (define-macro (m) (let loop ((i 0)) (if (< i 100000) (loop (+ i 1)) 1)))
    (define (again n) (if (> n 0) (begin (macroexpand '(m)) (again (- n 1)))))
    (again 1000)
    """
    with (
        Interpreter(use_cache=False, limits=Limits(fuel=2_000_000)) as interpreter,
        pytest.raises(LimitExceeded, match="fuel limit"),
    ):
        interpreter.eval(text)


def test_primitives_of_a_macro_are_charged() -> None:
    text = """
    (define-macro (m)
      (do ((i 0 (+ i 1))) ((= i 1000000) 1) (make-vector 1000000 0)))
    (m)
    """
    with (
        Interpreter(use_cache=False) as interpreter,
        pytest.raises(LimitExceeded, match="steps in the macros of a program"),
    ):
        interpreter.eval(text)
