"""Rows: Omega's scheduler, from Python and from Lisp, beside asyncio.

Owns: sizes and goals. What is run is in runtimes.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.bench import runtimes
from tests.bench.kit import Bench, Case, Row, Skipped

OURS: dict[str, Callable[[], Any]] = {"Python": runtimes.Omega, "Lisp": runtimes.Lisp}

# what -> (title, full size, unit, goal, most pairs)
WORK: dict[str, tuple[str, int, str, float | None, int]] = {
    "spawn": ("spawn and finish a task", 100_000, "us", 0.25, 25),
    "switch": ("switch between two tasks", 200_000, "us", 0.5, 25),
    "sleep": ("10k tasks sleep 10 ms: CPU per task", 10_000, "us", 2.0, 25),
    "bounded": ("10k jobs of 5 ms, limit 64: wall/ideal", 10_000, "x", None, 3),
    "cancel": ("cancel a sleeping task", 10_000, "us", None, 25),
    "wake": ("I/O wake-up beside a busy task, p50", 300, "us", 1.2, 3),
}
NOTES = {"bounded": "wanted <= 1.2 of ideal", "cancel": "wanted <= 1.5x"}
DEPTHS = (10, 1_000, 100_000)


def runtime(bench: Bench, name: str, make: Callable[[], Any]) -> Any:
    return bench.once(f"runtime {name}", make)


def work_row(what: str, level: str) -> Case:
    title, full, unit, goal, most = WORK[what]
    title = title if level == "Python" else f"{title}, in Lisp"

    def run(bench: Bench) -> Row:
        n = bench.size(full)
        ours = getattr(runtime(bench, level, OURS[level]), what)
        theirs = getattr(runtime(bench, "asyncio", runtimes.Asyncio), what)
        omega, reference, ratio = bench.pairs(
            lambda: ours(n), lambda: theirs(n), waits=most == 3, most=most
        )
        notes = [NOTES.get(what, "")]
        if (what, level) == ("spawn", "Python"):
            # Collections cost the more, the more tasks live at once.
            _, _, few = bench.pairs(lambda: ours(n // 10), lambda: theirs(n // 10), most=most)
            notes.append(f"{n:,} at once; {n // 10:,} at once: {few:.2f}x")
        return Row(
            title,
            unit,
            omega,
            reference,
            ratio=ratio,
            goal=goal,
            note="; ".join(filter(None, notes)),
        )

    return Case(title, run)


def guest_switch(bench: Bench) -> Row:
    n = bench.size(200_000)
    ours = runtime(bench, "Python", runtimes.Omega).switch_as_guest
    theirs = runtime(bench, "asyncio", runtimes.Asyncio).switch
    omega, reference, ratio = bench.pairs(lambda: ours(n), lambda: theirs(n))
    return Row(
        "switch as a guest of a running loop", "us", omega, reference, ratio=ratio, goal=0.65
    )


def timer_row(level: str) -> Case:
    title = "10 ms timer beside a busy loop: median late" + (
        "" if level == "Python" else ", in Lisp"
    )

    def run(bench: Bench) -> Row:
        n = bench.size(50)
        ours = runtime(bench, level, OURS[level]).timer
        theirs = runtime(bench, "asyncio", runtimes.Asyncio).timer
        omega, reference, ratio = bench.pairs(
            lambda: ours(n), lambda: theirs(n), waits=True, most=3
        )
        return Row(title, "us", omega, reference, ratio=ratio, goal=1000, judged="omega")

    return Case(title, run)


def memory_row(what: str, title: str, goal: float, judged: str) -> Case:
    def measure(bench: Bench, name: str) -> float:
        command = [sys.executable, "-m", "tests.bench.memory", name, str(bench.size(10_000))]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Skipped(f"failed: {(done.stderr.splitlines() or ['no message'])[-1]}")
        return float(done.stdout)

    def run(bench: Bench) -> Row:
        omega, reference = measure(bench, what), measure(bench, "asyncio")
        return Row(title, "B", omega, reference, goal=goal, judged=judged)

    return Case(title, run)


def depth_row(depth: int) -> Case:
    title = f"switch between tasks {depth:,} calls deep"

    def run(bench: Bench) -> Row:
        n = bench.size(20_000) if depth <= 1000 else bench.size(2_000)
        ours = runtime(bench, "Python", runtimes.Omega).switch_at_depth
        deep, shallow, ratio = bench.pairs(lambda: ours(depth, n), lambda: ours(1, n), most=5)
        return Row(title, "us", deep, shallow, ratio=ratio, note="reference: one call deep")

    return Case(title, run)


CASES = [
    *(work_row(what, level) for what in WORK for level in OURS),
    Case("switch as a guest of a running loop", guest_switch),
    *(timer_row(level) for level in OURS),
    memory_row("suspended", "memory of a suspended task", 8_000, "omega"),
    memory_row("lisp", "memory of a suspended task, in Lisp", 8_000, "omega"),
    memory_row("unstarted", "memory of an unstarted task", 0.5, "ratio"),
    *(depth_row(depth) for depth in DEPTHS),
]
