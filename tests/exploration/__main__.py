"""`python -m tests.exploration [--runs N] [--seed S]`: the project's scenarios under N schedules in
all (100,000 unless told otherwise). Exit code 1 when something fails, which is told.
"""

from __future__ import annotations

import argparse
import sys
import time

from omega.errors import OmegaError
from tests.exploration.kit import PROMISES, SCENARIOS, loaded

RUNS = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    each = max(1, -(-given.runs // len(PROMISES)))
    done, failed, began = 0, 0, time.perf_counter()
    with loaded(SCENARIOS) as omega:
        for name in PROMISES:
            try:
                done += omega.eval(f"(check-schedules {name} :runs {each} :seed {given.seed})")
            except OmegaError as error:
                failed += 1
                sys.stdout.write(f"{name}: {error}\n")
    took = time.perf_counter() - began
    sys.stdout.write(
        f"{done:,} schedules of {len(PROMISES)} scenarios, {failed} failed; seed {given.seed}, "
        f"{took:.0f} s, {done / took:,.0f} a second\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
