"""Loops of uvloop for the tests of a module that takes these names: see test_uvloop.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

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
