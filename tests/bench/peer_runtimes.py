"""Rows: Omega's scheduler beside uvloop, trio and gevent, which live in the peers' environment.

Owns: `python -m tests.bench.peer_runtimes NAME WHAT N`, one figure of one of them, printed by their
own interpreter. Refuses: what is measured; that is in runtimes.py, for all alike.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench import runtimes
from tests.bench.kit import Bench, Case, Row, Skipped
from tests.bench.peer_process import interpreter

ROOT = Path(__file__).parents[2]
RUNTIMES: dict[str, Any] = {
    "uvloop": runtimes.Uvloop,
    "trio": runtimes.Trio,
    "gevent": runtimes.Gevent,
}
WITHIN_S = 120.0
# what -> (title, size, unit); small enough for three rounds of three peers
WORK = {
    "spawn": ("spawn and finish a task", 50_000, "us"),
    "switch": ("switch between two tasks", 200_000, "us"),
    "sleep": ("10k tasks sleep 10 ms: CPU per task", 10_000, "us"),
    "bounded": ("10k jobs of 5 ms, limit 64: wall/ideal", 10_000, "x"),
    "cancel": ("cancel a sleeping task", 10_000, "us"),
    "wake": ("I/O wake-up beside a busy task, p50", 300, "us"),
}


def figure(name: str, what: str, n: int) -> float:
    """Raises Skipped where that peer is not installed, or fails."""
    command = [interpreter(), "-m", "tests.bench.peer_runtimes", name, what, str(n)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise Skipped(f"{name}: {type(failed).__name__}") from None
    if done.returncode:
        raise Skipped((done.stderr.splitlines() or ["it failed without a word"])[-1])
    return float(done.stdout)


def row(name: str, what: str) -> Case:
    title, full, unit = WORK[what]
    title = f"{title}, beside {name}"

    def run(bench: Bench) -> Row:
        n = bench.size(full)
        ours = getattr(bench.once("runtime Python", runtimes.Omega), what)
        omega, reference, ratio = bench.pairs(
            lambda: ours(n),
            lambda: figure(name, what, n),
            waits=what in ("bounded", "wake"),
            most=3,
        )
        return Row(title, unit, omega, reference, ratio=ratio)

    return Case(title, run)


CASES = [row(name, what) for what in WORK for name in RUNTIMES]


if __name__ == "__main__":
    asked, work, size = sys.argv[1:]
    print(getattr(RUNTIMES[asked](), work)(int(size)))
