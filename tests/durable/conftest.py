from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omega.durable.records import NewRun
from omega.durable.store import Store
from tests.durable.kit import OPENED, TTL, Clock, Kept, blob, fact, intent, opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite3", "apsw"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Kept]:
    made = Kept(request.param, tmp_path, clock)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a store with a run, closed."""
    store = opened(tmp_path / "runs.db")
    store.create(NewRun("r1", "job", {}, blob(b"y" * 9_000)))
    lease = store.acquire("r1", "w", TTL)
    for i in range(20):
        store.append(lease, fact(f"fact {i} " + "x" * 900, intents=[intent(i, 5)]))
    store.close()
    return tmp_path / "runs.db"


@pytest.fixture
def store(kept: Kept) -> Store:
    return kept.open()
