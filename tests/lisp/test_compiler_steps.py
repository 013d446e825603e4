"""Step counts, as omega/lisp/core.py defines them: one a turn of a loop, and one for a procedure
that comes to a call of anything but a primitive, whatever the compiler makes of it.
"""

from __future__ import annotations

import pytest

from omega.interpreter import Interpreter


def steps(program: str, *, texts: int = 1) -> int:
    with Interpreter(virtual_time=True) as interpreter:
        parts = [program] if texts == 1 else program.split("\n")
        for part in parts[:-1]:
            interpreter.eval(part)
        before = interpreter.scheduler.stats().steps
        interpreter.eval(parts[-1])
        return interpreter.scheduler.stats().steps - before


PROGRAMS = [
    # no call of a procedure, no step
    ("1", 0),
    ("(+ 1 (* 2 3))", 0),
    ("(let ((x 1)) (if (< x 2) (list x) (vector x)))", 0),
    # entering a leaf is none
    ("(define (leaf x) (* x x)) (leaf 1)", 0),
    ("(define (leaf x) (* x x)) (list (leaf 1) (leaf 2))", 0),
    # entering a procedure that calls one is
    ("(define (leaf x) (* x x)) (define (caller x) (leaf x)) (caller 1)", 1),
    ("(define (leaf x) (* x x)) (define (caller x) (leaf x)) (caller 1) (caller 2)", 2),
    # when it comes to the call
    ("(define (leaf x) x) (define (maybe x) (if x (leaf x) 0)) (maybe #f)", 0),
    ("(define (leaf x) x) (define (maybe x) (if x (leaf x) 0)) (maybe #t)", 1),
    ("(define (leaf x) x) (define (f x) (cond ((< x 1) 0) ((leaf #f) 1) (else 2))) (f 0)", 0),
    ("(define (leaf x) x) (define (f x) (cond ((< x 1) 0) ((leaf #f) 1) (else 2))) (f 1)", 1),
    ("(define (leaf x) x) (define (f x) (let ((y (* x x))) (and (> y 4) (leaf y)))) (f 2)", 0),
    ("(define (leaf x) x) (define (f x) (let ((y (* x x))) (and (> y 4) (leaf y)))) (f 3)", 1),
    ("(define (leaf x) x) (define (f x) (leaf x) (if x 1 (leaf 2))) (f 3)", 1),
    ("(define (leaf x) x) (define (f x (y (leaf x))) y) (f 3)", 1),
    ("(define (leaf x) x) (define (f x (y (leaf x))) y) (f 3 4)", 1),
    # a call in a procedure made inside is not its own
    ("(define (leaf x) x) (define (maker x) (lambda () (leaf x))) (maker 1)", 0),
    ("(define (leaf x) x) (define (maker x) (lambda () (leaf x))) ((maker 1))", 1),
    # loops: one a turn, the last included
    ("(let loop ((i 0)) (if (< i 10) (loop (+ i 1))))", 11),
    ("(do ((i 0 (+ i 1))) ((= i 10)))", 11),
    ("(define (count n) (if (= n 0) 0 (count (- n 1)))) (count 10)", 11),
    ("(define (count n) (if (= n 0) 0 (+ 1 (count (- n 1))))) (count 10)", 10),
    ("(let loop ((i 3)) (if (= i 0) '() (cons i (loop (- i 1)))))", 3),
    ("(let loop () 5)", 0),
    # nested loops, and inner ones that continue outer ones
    ("(do ((i 0 (+ i 1))) ((= i 3)) (do ((j 0 (+ j 1))) ((= j 4))))", 4 + 3 * 5),
    ("(let a ((i 0)) (if (< i 3) (let b ((j 0)) (if (< j 4) (b (+ j 1)) (a (+ i 1))))))", 18),
    # mutual recursion
    ("(define (e? n) (if (= n 0) #t (o? (- n 1))))"
     " (define (o? n) (if (= n 0) #f (e? (- n 1)))) (e? 9)", 9),
    # integers or not, worked out by different code
    ("(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 10)", 88),
    ("(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 10.0)", 88),
    ("(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 20/2)", 88),
    ("(define (sum i s) (if (= i 0) s (sum (- i 1) (+ s 0.5)))) (sum 10 0)", 11),
    ("(define (tak x y z) (if (not (< y x)) z"
     " (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y)))) (tak 6 4 2)", 13),
]  # fmt: skip


@pytest.mark.parametrize("program, count", PROGRAMS, ids=[text[:60] for text, _ in PROGRAMS])
def test_steps_of_a_program(program: str, count: int) -> None:
    assert steps(program) == count


def test_steps_do_not_depend_on_the_texts_a_program_came_in() -> None:
    fib = "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))"
    assert steps(f"{fib}\n(fib 10)") == steps(f"{fib}\n(fib 10)", texts=2) == 88


def test_steps_of_a_redefined_procedure_are_those_of_the_new_one() -> None:
    texts = "(define (leaf x) x)\n(define (f x) (leaf x))\n(define (g x) x)"
    texts += "\n(define (leaf x) (list (g x)))\n(f 1)"
    assert steps(texts, texts=2) == 2


@pytest.mark.parametrize("every", [1, 2, 7, 1000])
def test_the_length_of_a_slice_changes_no_step_count(every: int) -> None:
    from omega.concurrency import SchedulerConfig

    with Interpreter(
        virtual_time=True, scheduler=SchedulerConfig(yield_every=every)
    ) as interpreter:
        interpreter.eval("(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))")
        before = interpreter.scheduler.stats().steps
        assert interpreter.eval("(fib 10)") == 55
        interpreter.eval("(let loop ((i 0)) (if (< i 100) (loop (+ i 1))))")
        assert interpreter.scheduler.stats().steps - before == 88 + 101
