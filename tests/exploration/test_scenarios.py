"""What the kernel and the library promise holds under every schedule that is tried:
scenarios.omega. `python -m tests.exploration` tries many more.
"""

from __future__ import annotations

import pytest

from tests.exploration.kit import PROMISES, SCENARIOS, loaded


@pytest.fixture(scope="module")
def omega():
    with loaded(SCENARIOS) as interpreter:
        yield interpreter


def test_every_scenario_is_tried(omega):
    assert [str(name) for name in omega.eval("(map symbol->string names)")] == PROMISES


@pytest.mark.parametrize("name", PROMISES)
def test_it_does_well_under_every_schedule(omega, name):
    assert (
        50 <= omega.eval(f"(check-schedules {name} :runs 200)") <= 200
    )  # all there are, or so many
