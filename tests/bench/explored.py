"""Rows: how long an explored run takes, and how many runs it takes to find what is planted.

The scenarios and the mistakes are those of tests/exploration.
"""

from __future__ import annotations

import time

from omega import Interpreter
from omega.errors import OmegaError
from tests.bench.kit import Bench, Case, Row

RUNS = 2_000
SEEDS = 5
DEVIATIONS_MAX = 4


def explored_run(bench: Bench) -> Row:
    """The mean over the scenarios: each run has a scheduler of its own."""
    from tests.exploration import (
        test_scenarios as scenarios,  # with pytest: not before it is needed
    )

    runs = bench.size(RUNS)
    with Interpreter(virtual_time=True) as omega:
        omega.load(str(scenarios.SCENARIOS))
        began = time.process_time()
        done = sum(omega.eval(f"(check-schedules {name} :runs {runs})") for name in scenarios.NAMES)
        took = time.process_time() - began
    note = f"{done / took:,.0f} a second; {done:,} runs of {len(scenarios.NAMES)} scenarios"
    return Row("a run of a scenario, explored", "us", took / done * 1e6, note=note)


def mistakes(bench: Bench) -> Row:
    """The most runs until one of the planted mistakes is found, over all of them and some seeds."""
    from tests.exploration import test_planted as planted

    worst, most, missed, tried = 0, 0, [], 0
    seeds = max(1, bench.size(SEEDS))
    with Interpreter(virtual_time=True) as omega:
        omega.load(str(planted.PLANTED))
        for name in planted.NAMES:
            for seed in range(seeds):
                tried += 1
                try:
                    omega.eval(f"(check-schedules {name} :runs {RUNS} :seed {seed})")
                    missed.append(name)
                except OmegaError as error:
                    notes = [text for text, _ in error.notes]
                    (under,) = [text for text in notes if text.startswith("under schedule")]
                    (again,) = [text for text in notes if text.startswith("again: ")]
                    worst = max(worst, int(under.split()[2].replace(",", "")))
                    most = max(most, len(again.split('"')[1].split()))
    note = f"{tried} searches of {len(planted.NAMES)} kinds; at most {most} deviations told"
    if missed:
        note += f"; not found: {', '.join(missed)}"
    return Row(
        "runs until a planted mistake is found, at most", "runs", worst, goal=RUNS, judged="omega",
        holds=not missed and most <= DEVIATIONS_MAX, note=note,
    )  # fmt: skip


CASES = [Case("explored run", explored_run), Case("planted mistakes", mistakes)]
