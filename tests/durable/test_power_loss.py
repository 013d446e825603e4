"""The power fails, at every moment of a long run: nothing that was acknowledged is lost.

OMEGA_POWER_CUTS=n in the environment cuts n times in all, spread over the run.
The same with `synchronous = NORMAL` loses facts, which shows that these tests would see it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from omega.durable.records import Change, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import Fenced
from tests.durable import apsw_face, power
from tests.durable.kit import TTL, Clock, blob, done, fact, intent, never, unsynced

CUTS = int(os.environ.get("OMEGA_POWER_CUTS", "500"))
CHECKPOINT_PAGES = 24  # often, so that many cuts fall into one


class Connection(apsw_face.Connection):
    """On a disk that keeps a log. synchronous: what it has instead of FULL."""

    def __init__(self, path: str, disk: power.Disk, synchronous: str) -> None:
        super().__init__(path, disk.name)
        self.synchronous = synchronous
        self.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> apsw_face.Cursor:
        if sql == "PRAGMA synchronous = FULL":
            sql = f"PRAGMA synchronous = {self.synchronous}"
        return super().execute(sql, parameters)


def dump(store: SQLiteStore) -> Any:
    """All that a store tells."""
    return [
        (
            run,
            list(store.journal(run.id)),
            store.effects(run.id),
            store.signals(run.id, waiting_only=False),
            store.history(run.id),
        )
        for run in store.runs()
    ]


class Recorded:
    """A run on a disk with a log. after: what the store tells after each acknowledged call.
    acked: the length of the log then.
    """

    def __init__(self, folder: Path, synchronous: str) -> None:
        self.disk = power.Disk(f"power-{synchronous}")
        self.folder = folder
        self.after: list[Any] = [[]]
        self.acked = [0]
        clock = Clock()
        self.store = SQLiteStore(
            str(folder / "runs.db"),
            connect=lambda path: Connection(path, self.disk, synchronous),
            clock_us=clock,
            rng=random.Random(1),
            pause=never,
        )
        self._acknowledged()
        self.work(clock, random.Random(2))
        self.store.close()

    def _acknowledged(self) -> None:
        self.acked.append(len(self.disk.log))
        self.after.append(dump(self.store))

    def work(self, clock: Clock, rng: random.Random) -> None:
        """Three runs side by side, with whatever happens to runs."""
        store, leases = self.store, {}
        for id in "abc":
            content = blob(rng.randbytes(rng.choice([10, 3_000, 9_000])))
            store.create(NewRun(id, "job", {"id": id}, content))
            self._acknowledged()
            leases[id] = store.acquire(id, "w", TTL)
            self._acknowledged()
        for turn in range(40):
            clock.passes(TTL // 7)
            id = rng.choice("abc")
            number = turn + 1
            text = "x" * rng.choice([5, 200, 6_000])
            store.append(leases[id], fact(f"asks {text}", intents=[intent(number, 5)]))
            self._acknowledged()
            store.append(leases[id], fact(f"has {text}", results=[done(number, 1, 2)]))
            self._acknowledged()
            if turn % 5 == 1:
                store.signal(id, "go", turn, key=str(turn), who="me")
                self._acknowledged()
            if turn % 5 == 2:
                late = leases[id]
                leases[id] = store.acquire(id, "w", TTL)
                self._acknowledged()
                with pytest.raises(Fenced):
                    store.append(late, fact("late"))
                self._acknowledged()
            if turn % 5 == 3:
                store.append(leases[id], fact("waits", change=Change("suspended", None, 5)))
                self._acknowledged()
                leases[id] = store.acquire(id, "w", TTL)
                self._acknowledged()
            if turn % 5 == 4:
                store.append(leases[id], fact("anew", continues_with={"turn": turn}))
                self._acknowledged()
        store.append(leases["a"], fact("end", change=Change("completed")))
        self._acknowledged()
        store.prune(ended_before_us=clock.now + 1)
        self._acknowledged()

    def cut(self, at: int, seed: int, folder: Path) -> int:
        """How many acknowledged calls are lost when the power fails at entry `at` of the log.
        What is left is whole, and one moment of the run.
        """
        power.put(self.disk.after(at, random.Random(seed)), folder)
        acked = max(i for i, length in enumerate(self.acked) if length <= at)
        store = SQLiteStore(str(folder / "runs.db"), connect=unsynced, clock_us=Clock())
        try:
            found = dump(store)
            assert store.check() == [], f"cut {at}, seed {seed}"
        finally:
            store.close()
        # The call that was under way may have come to its end.
        for i in range(min(acked + 1, len(self.after) - 1), -1, -1):
            if self.after[i] == found:
                return max(0, acked - i)
        raise AssertionError(f"cut {at}, seed {seed}: what is left is no moment of the run")


def lost(recorded: Recorded, cuts: int, folder: Path) -> list[int]:
    folder.mkdir()
    moments = len(recorded.disk.log) + 1
    # Evenly over the whole run; and again with other luck when there are more cuts than moments.
    return [
        recorded.cut(i * moments // cuts if cuts < moments else i % moments, i, folder)
        for i in range(cuts)
    ]


def test_no_acknowledged_fact_is_lost_whenever_the_power_fails(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    recorded = Recorded(tmp_path / "run", "FULL")
    kinds = {(act[0], act[1]) for act in recorded.disk.log}
    assert {("sync", "runs.db"), ("sync", "runs.db-wal"), ("write", "runs.db")} <= kinds
    assert lost(recorded, CUTS, tmp_path / "left") == [0] * CUTS


def test_the_same_run_loses_facts_when_it_syncs_less(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    recorded = Recorded(tmp_path / "run", "NORMAL")
    losses = lost(recorded, max(CUTS // 10, 50), tmp_path / "left")
    assert sum(1 for n in losses if n) > len(losses) // 4 and max(losses) > 3
