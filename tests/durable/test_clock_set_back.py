"""The wall clock is set back: an owner that goes on writing is not taken for the owner for longer
than its lease.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from omega.errors import RunOwned
from omega.runs.journal import JournalWriter
from tests.durable.kit import SECOND, TTL, Clock, Kept, fact, new

HOURS = 3 * 3600 * SECOND


@pytest.mark.parametrize("kind", ["memory", "sqlite3", "apsw"])
@pytest.mark.parametrize("remembers", [True, False], ids=["the same store", "another opening"])
def test_the_next_write_gives_a_lease_an_end_that_can_be(
    tmp_path: Path, kind: str, remembers: bool
) -> None:
    clock = Clock(HOURS * 10)
    kept = Kept(kind, tmp_path, clock)
    store = kept.open()
    store.create(new())
    lease = store.acquire("r1", "ann", TTL)
    store.append(lease, fact("one"))
    clock.now -= HOURS
    with pytest.raises(RunOwned) as refused:  # nothing has been written since
        store.acquire("r1", "bob", TTL)
    assert refused.value.until_us == HOURS * 10 + TTL
    writer = store if remembers else kept.open()
    writer.append(lease, fact("two"))
    assert store.run("r1").lease_until_us == clock.now + TTL
    assert store.due(10) == []
    writer.append(lease, fact("three"))  # and goes on as before
    clock.passes(TTL)
    assert [record.id for record in store.due(10)] == ["r1"]
    assert store.acquire("r1", "bob", TTL).epoch == 2
    assert kind == "memory" or store.check() == []
    kept.close()


def test_an_owner_that_has_nothing_to_write_extends_its_lease_all_the_same(tmp_path: Path) -> None:
    clock = Clock(HOURS * 10)
    store = Kept("sqlite3", tmp_path, clock).open()
    store.create(new())
    writer = JournalWriter(store, store.acquire("r1", "ann", TTL), TTL, lambda: clock.now)
    clock.now -= HOURS
    writer.renew()
    assert store.run("r1").lease_until_us == clock.now + TTL
    writer.renew()  # it has just done that
    clock.passes(TTL // 4)
    writer.renew()
    assert store.run("r1").lease_until_us == clock.now - TTL // 4 + TTL
    store.close()
