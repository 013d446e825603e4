"""Long operations at n and at 4n, by the processor's time: linear is a ratio of 4."""

from __future__ import annotations

from collections.abc import Iterator

from tests.extremes import kit
from tests.extremes.kit import Case, Outcome

RATIO_MAX = 10.0  # 4 is linear, 16 quadratic
LEAST_S = 0.1  # what takes less tells nothing
LOGARITHMIC = 16.0  # of numbers: multiplication and radix conversion are above linear


def ratios(cases: list[Case], scale: int, python: str) -> Iterator[Outcome]:
    """For each case, how much longer four times the size takes."""
    jobs = [
        (case, max(1, n))
        for case in cases
        for n in (case.size // scale // 4 - 1, case.size // scale // 4, case.size // scale)
    ]  # the first time is for what is loaded once; of another size, for texts are compiled once
    answers = kit.run_all(jobs, python)
    for case in cases:
        _, small, large = next(answers), next(answers), next(answers)
        if not (small.good and large.good):
            yield Outcome(case.name, f"{small.text} / {large.text}", False)
            continue
        most = LOGARITHMIC if case.name.startswith("number") else RATIO_MAX
        ratio = large.cpu_s / max(small.cpu_s, LEAST_S)
        text = f"{small.cpu_s:.2f} s, four times as much {large.cpu_s:.2f} s: {ratio:.1f}"
        yield Outcome(case.name, text, ratio < most, large.cpu_s)
