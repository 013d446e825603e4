"""Lisp procedures that are explored: their names, an interpreter that has loaded them, and what a
failure tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omega import Interpreter
from omega.errors import OmegaError
from tests.leftovers import collected

FOLDER = Path(__file__).parent
# Mistakes, each with `name/mended` beside it; told with at most so many deviations.
PLANTED = "planted.omega"
MISTAKES = [
    "lost-update",
    "two-orders",
    "missed-wake-up",
    "double-release",
    "cancelled-in-hand",
    "check-then-act",
    "starved",
    "slot-leak",
    "out-of-order",
    "lazy-init",
    "early-close",
    "depth-3",
    "torn",
    "lost-signal-spin",
    "late-answer",
    "outage",
]
OPTIONS = {"outage": ":faults '(llm)"}  # what it takes to find them
DEVIATIONS_MAX = 4
# What holds under every schedule.
SCENARIOS = "scenarios.omega"
PROMISES = [
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


@contextmanager
def loaded(file: str) -> Iterator[Interpreter]:
    """An interpreter under virtual time that has loaded a file beside this one."""
    with Interpreter(virtual_time=True) as omega:
        omega.load(str(FOLDER / file))
        with collected():  # what the runs left behind is none of its own
            yield omega


def schedule_of(failure: OmegaError) -> str:
    """The schedule that the error of a failing exploration tells."""
    (again,) = [text for text, _ in failure.notes if text.startswith("again: ")]
    return again.partition('"')[2].rpartition('"')[0]
