"""Rows: cost per unit as work grows a hundredfold. A ratio near 1 is linear, 100 quadratic."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from tests.bench import language
from tests.bench.kit import Bench, Case, Row, Skipped, cpu, timed

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (100, 1_000)
ROUNDS, ROUNDS_UP_TO = 5, 100_000
SOURCE, MEGABYTE = "source text, characters compiled", 1_000_000
SOURCE_SIZES = (10_000, 100_000, MEGABYTE, 3_990_000)

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


def source_of(size: int) -> str:
    """About `size` characters of procedures of eight lines."""
    text = ["(define (display-nothing x) x)"]
    length, i = 0, 0
    while length < size:
        text.append(
            f"(define (f{i} x)\n  (let ((a (+ x {i}))\n        (b (* x 2)))\n    (cond\n"
            f"      ((< a b) (list a b))\n      ((= a b) 'same)\n"
            f"      (else (display-nothing a)\n        (f{i} (- x 1))))))"
        )
        length += len(text[-1]) + 1
        i += 1
    return "\n".join(text)


def source_size(bench: Bench, n: int) -> float:
    """Reading, expanding and compiling a text of `n` characters, cold."""
    del bench
    from omega.interpreter import Interpreter

    text = source_of(n)
    with Interpreter(use_cache=False) as made:
        gc.collect()
        began = cpu()
        made.eval(text)
        return (cpu() - began) * 1e6


def growth_row(
    name: str, work: Work, sizes: tuple[int, ...] = SIZES, quick: tuple[int, ...] = QUICK_SIZES
) -> Case:
    def run(bench: Bench) -> Row:
        chosen = quick if bench.quick else sizes
        per_unit = []
        for n in chosen:
            rounds = 1 if bench.quick or n > ROUNDS_UP_TO else ROUNDS
            per_unit.append(min(work(bench, n) / n for _ in range(rounds)))
        growth = per_unit[-1] / per_unit[0]
        shown = ", ".join(f"{n:,}: {us:.3g}" for n, us in zip(chosen, per_unit, strict=True))
        bench.once("growth", dict)[name] = dict(zip(chosen, per_unit, strict=True))
        return Row(name, "us", per_unit[-1], per_unit[0], ratio=growth, note=f"per unit at {shown}")

    return Case(name, run)


def megabyte(bench: Bench) -> Row:
    """The row above, in seconds."""
    measured = bench.kept.get("growth", {}).get(SOURCE, {})
    if MEGABYTE not in measured:
        raise Skipped("needs the row of source text above it")
    took = measured[MEGABYTE] * MEGABYTE / 1e6
    return Row("1 MB of source text, cold", "s", took, goal=15, judged="omega")


CASES = [
    growth_row("steps", called("bench-loop")),
    growth_row("tasks, spawned and finished", called("growth-tasks")),
    growth_row("tasks, sleeping 0 to 6 ms", called("growth-sleepers")),
    growth_row("list length: build and fold", called("bench-list")),
    growth_row("list length: map, filter, fold", called("bench-hof")),
    growth_row("list length: append", called("growth-append")),
    growth_row("hash table entries", called("growth-table")),
    growth_row("depth of non-tail recursion", called("bench-deep")),
    growth_row(SOURCE, source_size, SOURCE_SIZES, (2_000, 10_000)),
    Case("1 MB of source text, cold", megabyte),
]
