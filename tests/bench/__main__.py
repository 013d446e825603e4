"""`python -m tests.bench [--quick] [--only PATTERN] [--write]`: the table of ratios, misses marked.

Owns: the order of the groups, the options. Refuses: failing on a miss: timings decide nothing
here.
"""

from __future__ import annotations

import argparse
import gc
import re

from tests.bench import (
    durable_runs,
    explored,
    floors,
    growth,
    language,
    lisps,
    models,
    peer_runtimes,
    rate_limited,
    replays,
    scheduler_growth,
    schedulers,
    start,
    stores,
)
from tests.bench.kit import (
    HEAD,
    Bench,
    Case,
    Row,
    Skipped,
    calibration_text,
    line,
    machine,
)
from tests.bench.written import write

GROUPS = {
    "Language, beside plain CPython": language.CASES,
    "Language, beside other Lisps in Python and monty": lisps.CASES,
    "Start": start.CASES,
    "Scheduler, beside asyncio": [*schedulers.CASES, *floors.CASES],
    "Scheduler, beside uvloop, trio and gevent": peer_runtimes.CASES,
    "LLM calls over loopback HTTP, beside the vendor's SDK": [
        *models.CASES,
        *rate_limited.CASES,
    ],
    "Replay, beside the recorded run": replays.CASES,
    "Exploring schedules": explored.CASES,
    "Stores of runs": stores.CASES,
    "Durable runs": durable_runs.CASES,
    "Cost as work grows (reference: per unit at the smallest size)": [
        *growth.CASES,
        *scheduler_growth.CASES,
    ],
}


def main() -> int:
    options = parsed()
    bench = Bench(quick=options.quick)
    before = calibration_text()
    print(f"{machine()}; an empty loop: {before} ns per turn (min / median / max)")
    print(line(HEAD))
    groups: list[tuple[str, list[Row]]] = []
    for title, cases in GROUPS.items():
        wanted = [c for c in cases if re.search(options.only, f"{title}: {c.name}", re.IGNORECASE)]
        if wanted:
            print(f"-- {title}")
            groups.append((title, rows_of(wanted, bench)))
    rows = [row for _, some in groups for row in some]
    missed = [row.name for row in rows if row.verdict == "MISS"]
    after = calibration_text()
    foot = [
        f"{len(rows)} rows, {len(missed)} missed" + (": " + "; ".join(missed) if missed else ""),
        f"an empty loop, ns per turn (min / median / max): {before} before, {after} after",
    ]
    foot += [f"skipped: {name}: {why}" for name, why in bench.skipped.items()]
    print("\n".join(foot))
    if options.write:
        write(groups, foot)
    return 0


def rows_of(cases: list[Case], bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for case in cases:
        gc.collect()
        try:
            row = case.run(bench)
        except Skipped as skipped:
            bench.skipped[case.name] = str(skipped)
            continue
        except Exception as error:  # one broken row must not hide the others
            row = Row(
                case.name, "", 0.0, holds=False, note=f"{type(error).__name__}: {first_line(error)}"
            )
        rows.append(row)
        print(line(row.cells()), flush=True)
    return rows


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:100]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few repetitions: does it still run?"
    )
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="only rows whose group or name matches"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the table into docs/benchmarks.md and its main rows into the README",
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
