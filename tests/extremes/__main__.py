"""`python -m tests.extremes [GROUP ...]`: the cases at their full size, and how each ended.

--python FILE   another Python, which must have what Omega needs; may be given several times
--part N        a part of each size: 10 is a tenth
--growth        n beside 4n, by the processor's time
--only TEXT     cases whose names have it
"""

from __future__ import annotations

import argparse
import sys

from tests.extremes import hosts, nesting, sizes
from tests.extremes.growth import ratios
from tests.extremes.kit import Case, Outcome, run_all

GROUPS = {
    "data": sizes.data_cases,
    "deep": sizes.deep_cases,
    "wide": sizes.wide_cases,
    "hosts": hosts.host_cases,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("groups", nargs="*", choices=[*GROUPS, "nesting", []])
    options.add_argument("--python", action="append", default=[])
    options.add_argument("--part", type=int, default=1)
    options.add_argument("--growth", action="store_true")
    options.add_argument("--only", default="")
    given = options.parse_args()
    bad = 0
    for python in given.python or [sys.executable]:
        print(f"== {python}", flush=True)
        for group in given.groups or [*GROUPS, "nesting"]:
            bad += _group(group, python, given)
    print(f"{bad} of them bad" if bad else "all well")
    sys.exit(bool(bad))


def _group(group: str, python: str, given: argparse.Namespace) -> int:
    cases = nesting.CASES if group == "nesting" else GROUPS[group]()
    cases = [case for case in cases if given.only in case.name]
    if given.growth:
        sized = [case for case in cases if case.size >= 1_000]
        return sum(not _told(each) for each in ratios(sized, given.part, python))
    jobs: list[tuple[Case, int]] = [(case, max(10, case.size // given.part)) for case in cases]
    if group == "nesting":
        jobs = [(case, depth) for case in cases for depth in nesting.DEPTHS]
    return sum(not _told(each) for each in run_all(jobs, python))


def _told(outcome: Outcome) -> bool:
    mark = "   " if outcome.good else "BAD"
    text = " ".join(outcome.text.split())[: 80 if outcome.good else 400]
    print(f"{mark} {outcome.name}: {text} ({outcome.cpu_s:.1f} s)", flush=True)
    return outcome.good


if __name__ == "__main__":
    main()
