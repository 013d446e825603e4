"""`--no-opt`: the same programs mean the same, take the same steps, and are compiled plainly."""

from __future__ import annotations

import re

PROGRAM = """
(define (twice x) (* 2 x))
(define (sum n acc) (if (= n 0) acc (sum (- n 1) (+ acc (twice n)))))
(define (pick v i) (vector-ref v i))
(displayln (list (sum 10 0) (pick (vector 1 2 3) 1)))
(displayln (let loop ((i 0) (made '()))
  (if (< i 3) (loop (+ i 1) (cons (lambda () i) made)) (map (lambda (f) (f)) made))))
(guard (e (#t (displayln (condition-code e)))) (car (twice 3)))
"""


def steps_of(stats: str) -> str:
    match = re.search(r"steps +(\S+)", stats)
    assert match is not None, stats
    return match[1]


def test_a_program_says_the_same_in_as_many_steps(omega, program):
    path = program(PROGRAM)
    fast = omega("run", "--stats", path)
    plain = omega("run", "--stats", "--no-opt", path)
    again = omega("run", "--stats", "--no-opt", path)  # from the cache, which tells them apart
    assert fast.stdout == plain.stdout == again.stdout == "(110 2)\n(2 1 0)\nE301\n"
    assert steps_of(fast.stderr) == steps_of(plain.stderr) == steps_of(again.stderr)


def test_an_expression_and_tests_may_be_compiled_so(omega, program):
    assert (
        omega("eval", "--no-opt", "(let loop ((i 0)) (if (< i 9) (loop (+ i 1)) i))").stdout
        == "9\n"
    )
    done = omega("test", "--no-opt", program("(check (+ 1 2) => 3)"))
    assert (done.returncode, done.stdout) == (0, "1 check passed, 0 failed in 1 file\n")


def test_the_prompt_may_compile_so(omega):
    done = omega("repl", "--no-opt", stdin="(define (f x) (* x 3))\n(f 4)\n")
    assert "12" in done.stdout


def test_what_is_left_out_is_to_be_seen(omega, program):
    path = program(PROGRAM)
    fast = omega("compile", "--show-python", path).stdout
    plain = omega("compile", "--show-python", "--no-opt", path).stdout
    assert "while True" in fast or "for _ in _it" in fast
    assert re.search(r"_type\(", fast)
    assert not re.search(r"_type\(|ǁ[fviw]\d?|while True", plain)
    assert "return ж_(2, x)" in plain  # the primitive itself
