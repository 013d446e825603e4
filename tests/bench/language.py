"""Rows: programs.omega beside programs.py and everyday.py, tail calls, deep recursion, the step
counter's price.

Owns: the interpreters the rows share, with steps and limits as a program meets them by default.
They are embedded in this process, so CPython's collector is what Python has set: nothing frozen,
its own thresholds, the same for both sides. `omega run` sets it otherwise (docs/decisions/0018).
Refuses: other languages: see lisps.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import everyday, programs
from tests.bench.kit import Bench, Case, Row, Skipped, geometric_mean, timed

PROGRAMS = Path(__file__).with_name("programs.omega")
MEAN_GOAL, ROW_GOAL = 1.5, 3.0
STEP_FIB_GOAL, STEP_MEAN_GOAL = 1.45, 1.15

# name of the program -> (what the row is called, full size, quick size)
PROGRAM_ROWS: dict[str, tuple[str, int, int]] = {
    "fib": ("fib(25)", 25, 15),
    "tak": ("tak(18, 12, 6)", 18, 13),
    "loop": ("loop, 1M turns", 1_000_000, 20_000),
    "list": ("list, build and fold 200k", 200_000, 5_000),
    "hof": ("map, filter, fold of 200k", 200_000, 5_000),
    "string": ("string-append of 100k parts", 100_000, 3_000),
    "join": ("string-join of 100k parts", 100_000, 3_000),
    "words": ("word count, 100k on a hash table", 100_000, 3_000),
    "vector": ("vector, fill and sum 200k", 200_000, 5_000),
    "sieve": ("sieve of the primes to 200k", 200_000, 5_000),
    "ackermann": ("ackermann(2, 250)", 250, 20),
    "queens": ("8 queens, all solutions", 8, 5),
    "primes": ("primes to 30k by division", 30_000, 1_000),
    "matrix": ("product of 60x60 matrices", 60, 10),
    "mandelbrot": ("mandelbrot, 80x80", 80, 15),
    "quicksort": ("quicksort of a vector of 30k", 30_000, 1_000),
    "deriv": ("symbolic differentiation, 5k times", 5_000, 200),
    "trees": ("binary trees, 2^16 leaves", 16, 8),
    "churn": ("hash table, 200k puts and deletes", 200_000, 5_000),
    "records": ("records, 200k made and changed", 200_000, 5_000),
    "closures": ("closures, 100k times two", 100_000, 3_000),
    "exceptions": ("guard 100k times, a third raises", 100_000, 3_000),
    "generators": ("a generator that walks a tree, 16k values", 16_384, 256),
}
# What else programs are made of: their mean is told, and has no goal of its own.
MORE_ROWS: dict[str, tuple[str, int, int]] = {
    "assoc": ("assv and member, 100k times", 100_000, 3_000),
    "sort": ("sort of a list of 50k", 50_000, 1_000),
    "arguments": ("apply, optional, rest, keyword: 50k times", 50_000, 1_000),
    "parameterize": ("parameterize, 50k times", 50_000, 1_000),
    "case": ("case and cond, 200k times", 200_000, 3_000),
    "floats": ("floats, 200k turns", 200_000, 5_000),
    "bignums": ("factorial of 2,000", 2_000, 200),
    "rationals": ("harmonic number 800", 800, 100),
    "recursion": ("copies of a list of 20k, not by tail calls", 20_000, 1_000),
}
STEP_ROWS = ("fib", "tak", "loop", "list", "hof", "vector", "sieve")


def interpreter(bench: Bench) -> Any:
    def make() -> Any:
        from omega.interpreter import Interpreter

        made = Interpreter()
        made.eval(PROGRAMS.read_text(encoding="utf-8"))
        return made

    return bench.once("interpreter", make)


def program(bench: Bench, name: str) -> Callable[[int], Any]:
    found: Callable[[int], Any] = interpreter(bench).get(f"bench-{name}")
    return found


def in_python(name: str) -> Callable[[int], Any] | None:
    found: Callable[[int], Any] | None = getattr(programs, name, getattr(everyday, name, None))
    return found


def language_row(name: str) -> Case:
    title, full, quick = {**PROGRAM_ROWS, **MORE_ROWS}[name]

    def run(bench: Bench) -> Row:
        n = quick if bench.quick else full
        ours, plain = program(bench, name), in_python(f"bench_{name}")
        assert plain is not None, f"bench_{name} is missing"
        assert ours(n) == plain(n), f"{name} disagrees with Python"
        omega, python, ratio = bench.pairs(timed(lambda: ours(n)), timed(lambda: plain(n)))
        bench.once("language ratios", dict)[name] = ratio
        idiomatic = in_python(f"idiomatic_{name}")
        note = ""
        if idiomatic is not None:
            took = bench.best(timed(lambda: idiomatic(n)))
            note = f"idiomatic Python {took:.2f} ms: {omega / took:.1f}x"
        return Row(title, "ms", omega, python, ratio=ratio, goal=ROW_GOAL, note=note)

    return Case(title, run)


def language_mean(rows: dict[str, tuple[str, int, int]], goal: float | None, what: str) -> Case:
    def run(bench: Bench) -> Row:
        ratios = bench.kept.get("language ratios", {})
        if any(name not in ratios for name in rows):
            raise Skipped("needs every row above it")
        mean = geometric_mean(ratios[name] for name in rows)
        return Row(what, "", mean, 1.0, goal=goal)

    return Case(what, run)


def tail_calls(bench: Bench) -> Row:
    n = bench.size(1_000_000)
    ours = program(bench, "even")
    took = bench.best(timed(lambda: ours(n))) * 1_000_000 / n
    return Row("1M mutual tail calls", "ms", took, goal=60, judged="omega", note="Python has none")


def deep_recursion(bench: Bench) -> Row:
    n = bench.size(1_000_000)
    ours = program(bench, "deep")
    assert ours(n) == n * (n + 1) // 2
    took = bench.best(timed(lambda: ours(n)))
    return Row(f"sum to {n:,}, not by tail calls", "ms", took, note="survives")


# -- the step counter ------------------------------------------------------------------------------


@contextmanager
def no_steps() -> Iterator[None]:
    """While inside, the compiler writes loops and procedures without safepoints.

    `for _ in _it: body` / `else: ...` becomes `while True: body`: every body ends by leaving the
    loop or by its `continue`, so it means the same with an endless slice.
    """
    import ast

    from omega.lisp.syntax import Builder

    def per_step(self: Any, body: Any, ran_out: Any) -> ast.stmt:
        del ran_out
        return ast.While(self.const(True), body, [], **self.place)

    kept = Builder.per_step
    setattr(Builder, "per_step", per_step)
    try:
        yield
    finally:
        setattr(Builder, "per_step", kept)


def uncounted(bench: Bench) -> Any:
    """An interpreter whose library and programs were compiled without safepoints."""

    def make() -> Any:
        from omega.interpreter import Interpreter

        with no_steps():
            made = Interpreter(use_cache=False)
            made.eval(PROGRAMS.read_text(encoding="utf-8"))
        steps = made.scheduler.steps_now()
        made.get("bench-loop")(1000)
        if made.scheduler.steps_now() - steps > 100:
            raise Skipped("the compiler's safepoints could not be left out from outside")
        return made

    return bench.once("uncounted", make)


def step_row(name: str) -> Case:
    title = f"step counter on/off: {name}"

    def run(bench: Bench) -> Row:
        _, full, quick = PROGRAM_ROWS[name]
        n = quick if bench.quick else full
        on, off = program(bench, name), uncounted(bench).get(f"bench-{name}")
        with_steps, without, ratio = bench.pairs(timed(lambda: on(n)), timed(lambda: off(n)))
        bench.once("step ratios", dict)[name] = ratio
        goal = STEP_FIB_GOAL if name == "fib" else None
        return Row(title, "ms", with_steps, without, ratio=ratio, goal=goal)

    return Case(title, run)


def step_mean(bench: Bench) -> Row:
    ratios = bench.kept.get("step ratios", {})
    if len(ratios) < len(STEP_ROWS):
        raise Skipped("needs every row above it")
    return Row(
        "step counter on/off: geometric mean",
        "",
        geometric_mean(ratios.values()),
        1.0,
        goal=STEP_MEAN_GOAL,
    )


CASES = [
    *(language_row(name) for name in PROGRAM_ROWS),
    language_mean(PROGRAM_ROWS, MEAN_GOAL, "geometric mean of the rows above"),
    *(language_row(name) for name in MORE_ROWS),
    language_mean(MORE_ROWS, None, "geometric mean of the rows since"),
    Case("1M mutual tail calls", tail_calls),
    Case("deep recursion", deep_recursion),
    *(step_row(name) for name in STEP_ROWS),
    Case("step counter on/off: geometric mean", step_mean),
]
