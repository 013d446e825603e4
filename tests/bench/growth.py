"""Rows: cost per unit as work grows a hundredfold. A ratio near 1 is linear, 100 quadratic."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from tests.bench import language
from tests.bench.kit import Bench, Case, Row, cpu, timed

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (100, 1_000)
ROUNDS = 5

Work = Callable[[Bench, int], float]  # microseconds in all

LISP = """
(define (growth-nothing) #t)
(define (growth-tasks n)
  (scope (let loop ((i 0)) (when (< i n) (async growth-nothing) (loop (+ i 1))))))
(define (growth-sleepers n)
  (scope (let loop ((i 0)) (when (< i n) (async (lambda () (sleep (modulo i 7)))) (loop (+ i 1))))))
(define (growth-append n) (length (append (iota n) (iota n))))
(define (growth-table n)
  (let ((t (make-hash-table)))
    (let loop ((i 0)) (if (< i n) (begin (hash-set! t i i) (loop (+ i 1))) (hash-count t)))))
"""


def procedure(bench: Bench, name: str) -> Any:
    interpreter = language.interpreter(bench)
    bench.once("growth programs", lambda: (interpreter.eval(LISP), True))
    return interpreter.get(name)


def called(name: str) -> Work:
    def work(bench: Bench, n: int) -> float:
        run = procedure(bench, name)
        gc.collect()
        return timed(lambda: run(n), 1e-6)()

    return work


def source_size(bench: Bench, n: int) -> float:
    """Reading and compiling a text of `n` lines: n / 8 procedures of eight lines."""
    del bench
    from omega.interpreter import Interpreter

    lines = [
        f"(define (f{i} x)\n  (let ((a (+ x {i}))\n        (b (* x 2)))\n    (cond\n"
        f"      ((< a b) (list a b))\n      ((= a b) 'same)\n"
        f"      (else (display-nothing a)\n        (f{i} (- x 1))))))"
        for i in range(max(1, n // 8))
    ]
    text = "(define (display-nothing x) x)\n" + "\n".join(lines)
    with Interpreter(use_cache=False) as made:
        gc.collect()
        began = cpu()
        made.eval(text)
        return (cpu() - began) * 1e6


def growth_row(name: str, work: Work, most: int = SIZES[-1]) -> Case:
    def run(bench: Bench) -> Row:
        sizes = [n for n in (QUICK_SIZES if bench.quick else SIZES) if n <= most]
        rounds: list[list[float]] = []
        for _ in range(1 if bench.quick else ROUNDS):
            rounds.append([work(bench, n) / n for n in sizes])
        per_unit = [min(column) for column in zip(*rounds, strict=True)]
        growth = per_unit[-1] / per_unit[0]
        shown = ", ".join(f"{n:,}: {us:.3g}" for n, us in zip(sizes, per_unit, strict=True))
        return Row(name, "us", per_unit[-1], per_unit[0], ratio=growth, note=f"per unit at {shown}")

    return Case(name, run)


CASES = [
    growth_row("steps", called("bench-loop")),
    growth_row("tasks, spawned and finished", called("growth-tasks")),
    growth_row("tasks, sleeping 0 to 6 ms", called("growth-sleepers")),
    growth_row("list length: build and fold", called("bench-list")),
    growth_row("list length: map, filter, fold", called("bench-hof")),
    growth_row("list length: append", called("growth-append")),
    growth_row("hash table entries", called("growth-table")),
    growth_row("depth of non-tail recursion", called("bench-deep")),
    growth_row("source size, lines compiled", source_size, most=10_000),
]
