"""The tests of hosts' loops again, with loops of uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.concurrency import test_asyncio
from tests.concurrency.test_asyncio import *  # noqa: F403 - collected here once more

# Such a loop runs what is due before it stops: nothing is left for the next one.
del test_a_batch_that_was_due_in_the_last_loop_never_runs_in_it  # noqa: F821

uvloop = pytest.importorskip("uvloop", reason="there is no uvloop for this system")


@pytest.fixture(autouse=True)
def uvloops() -> Iterator[None]:
    usual = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(usual)


def test_the_loops_are_of_uvloop() -> None:
    async def kind() -> type:
        return type(asyncio.get_running_loop())

    assert asyncio.run(kind()) is uvloop.Loop
    assert sum(name.startswith("test_") for name in vars(test_asyncio)) > 5
