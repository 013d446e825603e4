"""What the kernel and the library promise holds under every schedule that is tried:
scenarios.omega. `python -m tests.exploration` tries many more.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from omega import Interpreter

SCENARIOS = Path(__file__).parent / "scenarios.omega"
NAMES = [
    "pipeline",
    "shared-channel",
    "locks",
    "serializer",
    "timeouts",
    "races",
    "par-maps",
    "scopes",
    "shields",
    "any-of",
    "choices",
    "parameters",
    "atomics",
    "cancels",
]


@pytest.fixture(scope="module")
def omega():
    with Interpreter(virtual_time=True) as interpreter:
        interpreter.load(str(SCENARIOS))
        yield interpreter
        gc.collect()  # what the runs left behind is none of its own


def test_every_scenario_is_tried(omega):
    assert [str(name) for name in omega.eval("(map symbol->string names)")] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_does_well_under_every_schedule(omega, name):
    assert omega.eval(f"(check-schedules {name} :runs 200)") == 200
