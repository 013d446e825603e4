"""The tests of hosts' loops again, with loops of uvloop."""

from __future__ import annotations

from tests.concurrency import test_asyncio
from tests.concurrency.test_asyncio import *  # noqa: F403 - collected here once more
from tests.uvloops import test_the_loops_are_of_uvloop, uvloops  # noqa: F401

# Such a loop runs what is due before it stops: nothing is left for the next one.
del test_a_batch_that_was_due_in_the_last_loop_never_runs_in_it  # noqa: F821


def test_there_are_tests_to_run_again() -> None:
    assert sum(name.startswith("test_") for name in vars(test_asyncio)) > 5
