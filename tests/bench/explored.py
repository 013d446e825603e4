"""Rows: how long an explored run takes, and how many runs it takes to find what is planted.

The scenarios and the mistakes are those of tests/exploration.
"""

from __future__ import annotations

import time

from omega.errors import OmegaError
from tests.bench.kit import Bench, Case, Row
from tests.exploration.kit import (
    DEVIATIONS_MAX,
    MISTAKES,
    OPTIONS,
    PLANTED,
    PROMISES,
    SCENARIOS,
    loaded,
    schedule_of,
)

RUNS = 2_000
SEEDS = 5


def explored_run(bench: Bench) -> Row:
    """The mean over the scenarios: each run has a scheduler of its own."""
    runs = bench.size(RUNS)
    with loaded(SCENARIOS) as omega:
        began = time.process_time()
        done = sum(omega.eval(f"(check-schedules {name} :runs {runs})") for name in PROMISES)
        took = time.process_time() - began
    note = f"{done / took:,.0f} a second; {done:,} runs of {len(PROMISES)} scenarios"
    return Row("a run of a scenario, explored", "us", took / done * 1e6, note=note)


def mistakes(bench: Bench) -> Row:
    """The most runs until one of the planted mistakes is found, over all of them and some seeds."""
    worst, most, missed, tried = 0, 0, [], 0
    seeds = max(1, bench.size(SEEDS))
    with loaded(PLANTED) as omega:
        for name in MISTAKES:
            for seed in range(seeds):
                tried += 1
                try:
                    options = OPTIONS.get(name, "")
                    omega.eval(f"(check-schedules {name} :runs {RUNS} :seed {seed} {options})")
                    missed.append(name)
                except OmegaError as error:
                    notes = [text for text, _ in error.notes]
                    (under,) = [text for text in notes if text.startswith("under schedule")]
                    worst = max(worst, int(under.split()[2].replace(",", "")))
                    most = max(most, len(schedule_of(error).split()))
    note = f"{tried} searches of {len(MISTAKES)} kinds; at most {most} deviations told"
    if missed:
        note += f"; not found: {', '.join(missed)}"
    return Row(
        "runs until a planted mistake is found, at most", "runs", worst, goal=RUNS, judged="omega",
        holds=not missed and most <= DEVIATIONS_MAX, note=note,
    )  # fmt: skip


CASES = [Case("explored run", explored_run), Case("planted mistakes", mistakes)]
