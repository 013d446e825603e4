"""A few thousand of the ties of `ties.py`, with every invariant; the million is its own command."""

from __future__ import annotations

from tests.concurrency import ties


def test_ties_lose_nothing_deliver_nothing_twice_and_leak_no_slot():
    counts = ties.run(4_000, deep=True)
    assert sum(sum(ways.values()) for ways in counts.values()) == 4_000
    for name, ways in counts.items():
        assert len(ways) > 1, f"{name}: the same one always wins, so it is no tie"
