"""The tests of hosts' loops again, with loops of uvloop."""

from __future__ import annotations

from tests.embedding import test_loops
from tests.embedding.test_loops import *  # noqa: F403 - collected here once more
from tests.uvloops import test_the_loops_are_of_uvloop, uvloops  # noqa: F401


def test_there_are_tests_to_run_again() -> None:
    assert sum(name.startswith("test_") for name in vars(test_loops)) > 5
