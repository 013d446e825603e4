"""Rows: how long a process takes until it has evaluated something, beside `python -c pass`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from tests.bench.kit import Bench, Case, Row, Skipped, clock, timed

BARE = ["-c", "pass"]
WARM = 4.3  # 45 ms where bare Python takes 10.5
EMBEDDED = ["-c", "from omega.interpreter import Interpreter; Interpreter().eval('1')"]


def process(arguments: list[str]) -> Callable[[], None]:
    command = [sys.executable, *arguments]

    # Modules are compiled once, as for any user, whatever this environment says.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    return run


def beside_bare(name: str, arguments: list[str], goal: float | None) -> Case:
    def run(bench: Bench) -> Row:
        ours = process(arguments)
        try:
            ours()
        except subprocess.CalledProcessError as failed:
            raise Skipped(f"`python {' '.join(arguments)}` answers {failed.returncode}") from None
        omega, bare, ratio = bench.pairs(timed(ours, now=clock), timed(process(BARE), now=clock))
        return Row(
            name,
            "ms",
            omega,
            bare,
            ratio=ratio,
            goal=goal,
            note="reference: python -c pass",
        )

    return Case(name, run)


CASES = [
    beside_bare("omega eval 1, warm", ["-m", "omega", "eval", "1"], WARM),
    beside_bare("import, Interpreter().eval('1')", EMBEDDED, None),
    beside_bare("import omega.interpreter", ["-c", "import omega.interpreter"], None),
]
