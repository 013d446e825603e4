from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durable.kit import Clock, Kept


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite3", "apsw"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Kept]:
    made = Kept(request.param, tmp_path, clock)
    yield made
    made.close()
