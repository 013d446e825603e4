"""Programs and data at their extremes, at a part of the sizes of `make extremes`: a value or a
clear limit, never a crash, an exception of Python's own or no answer.
"""

from __future__ import annotations

import pytest

from tests.extremes import hosts, nesting, sizes
from tests.extremes.kit import Case, run_all

PART = 100  # of the sizes
DEPTHS = (21, 110, 1_001)
GROUP = 12  # cases a process


def groups(cases: list[Case]) -> list[list[Case]]:
    return [cases[at : at + GROUP] for at in range(0, len(cases), GROUP)]


def ended_badly(jobs: list[tuple[Case, int]]) -> list[str]:
    return [f"{each.name}: {each.text}" for each in run_all(jobs) if not each.good]


@pytest.mark.parametrize("cases", groups(nesting.CASES), ids=lambda group: group[0].name)
def test_code_may_nest_in_every_form_until_a_limit_is_met(cases: list[Case]) -> None:
    assert not ended_badly([(case, depth) for case in cases for depth in DEPTHS])


@pytest.mark.parametrize(
    "cases",
    groups(sizes.data_cases() + sizes.wide_cases()),
    ids=lambda group: group[0].name,
)
def test_texts_and_data_may_be_long(cases: list[Case]) -> None:
    assert not ended_badly([(case, max(10, case.size // PART)) for case in cases])


def test_a_host_gives_and_takes_what_is_long_or_deep() -> None:
    cases = [case for case in hosts.host_cases() if case.way == "python"]
    assert not ended_badly([(case, case.size // PART) for case in cases])
