"""An owner that comes late changes nothing, however late it comes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omega.durable.records import Change, Lease, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.errors import Fenced, RunOwned
from tests.durable.kit import SECOND, TTL, Clock, fact, intent, never, unsynced

ROOT = Path(__file__).parents[2]
SEEDS = 200


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """(clock, three connections to one file)."""
    clock, path = Clock(), str(tmp_path_factory.mktemp("fencing") / "runs.db")
    given: dict[str, Any] = {"clock_us": clock, "pause": never, "connect": unsynced}
    made = [SQLiteStore(path, rng=random.Random(i), **given) for i in range(3)]
    yield clock, made
    assert made[0].check() == []
    for store in made:
        store.close()


class Owner:
    """Works on a run as long as it believes to own it: it knows only what the store answers."""

    def __init__(self, name: str, store: SQLiteStore, run: str) -> None:
        self.name, self.store, self.run = name, store, run
        self.lease: Lease | None = None
        self.kept: list[str] = []
        self.intents: list[int] = []
        self.refused = 0

    def act(self, rng: random.Random) -> None:
        if self.lease is None:
            try:
                self.lease = self.store.acquire(self.run, self.name, rng.randint(1, 10) * SECOND)
            except RunOwned:
                pass
            return
        lease, number = self.lease, len(self.kept)
        text = json.dumps([lease.epoch, self.name, number])
        try:
            kind = rng.randrange(8)
            if kind == 0:
                self.lease = self.store.renew(lease, TTL)
            elif kind == 1:
                self.store.append(lease, fact(text, change=Change("pending")))
                self.kept.append(text)
                self.lease = lease if rng.random() < 0.5 else None  # it may forget to let go
            elif kind == 2:
                self.store.transact(lease, lambda db: fact(text))
                self.kept.append(text)
            else:
                effect = intent(lease.epoch * 1000 + number)
                self.store.append(lease, fact(text, intents=[effect]))
                self.kept.append(text)
                self.intents.append(effect.number)
        except Fenced:
            self.refused += 1
            self.lease = lease if rng.random() < 0.3 else None  # it may not have understood


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_a_late_owner_changes_nothing_and_is_written_down(stores: Any, first: int) -> None:
    clock, connections = stores
    late = 0
    for seed in range(first, first + 20):
        rng, run = random.Random(seed), f"run-{seed}"
        connections[0].create(NewRun(run, "job", {}))
        owners = [Owner(f"w{i}", connections[i], run) for i in range(3)]
        for _ in range(40):
            clock.passes(rng.choice([1, 1, SECOND, 12 * SECOND]))
            rng.choice(owners).act(rng)
        entries = [line for facts in connections[0].journal(run) for line in facts]
        assert sorted(entries) == sorted(line for owner in owners for line in owner.kept)
        epochs = [json.loads(line)[0] for line in entries]
        assert epochs == sorted(epochs), f"seed {seed}: an older owner wrote after a newer one"
        owner_of = {(json.loads(line)[0], json.loads(line)[1]) for line in entries}
        assert len(owner_of) == len(set(epochs)), f"seed {seed}: two owners of one epoch"
        refused = sum("refused" in f for f in connections[1].history(run))
        assert refused == sum(owner.refused for owner in owners)
        made = sorted(number for owner in owners for number in owner.intents)
        assert [i.number for i, _ in connections[2].effects(run)] == made
        late += refused
    assert late > 40  # they did come late


# -- processes -------------------------------------------------------------------------------------

OWNER = """
import sys
from omega.durable.records import Batch
from omega.durable.sqlite import SQLiteStore
from omega.errors import Fenced
path, owner, ttl_us = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SQLiteStore(path)
lease = store.acquire("r1", owner, ttl_us)
print(lease.epoch, flush=True)
for line in sys.stdin:
    if line == "write on\\n":
        n = 0
        while True:
            n += 1
            print(store.append(lease, Batch([f"{owner} {n}"])), flush=True)
    try:
        print(store.append(lease, Batch([f"{owner} {line.strip()}"])), flush=True)
    except Fenced as error:
        print("fenced:", error.message, flush=True)
"""


class Process:
    def __init__(self, path: Path, owner: str, ttl_us: int) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(path), owner, str(ttl_us)],
            *(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def hears(self) -> str:
        return self.popen.stdout.readline().strip()

    def says(self, line: str) -> None:
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def ends(self) -> None:
        self.popen.kill()
        self.popen.communicate()


def acquired(store: SQLiteStore, owner: str) -> Lease:
    """As soon as the lease of whoever has the run has passed: real time."""
    while True:
        try:
            return store.acquire("r1", owner, TTL)
        except RunOwned:
            os.sched_yield()


def test_a_stopped_process_that_goes_on_is_fenced(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SQLiteStore(str(path))
    store.create(NewRun("r1", "job", {}))
    owner = Process(path, "w1", SECOND // 5)
    try:
        assert owner.hears() == "1"
        owner.says("before")
        assert owner.hears() == "1"
        owner.popen.send_signal(signal.SIGSTOP)  # between two writes: it waits for a line
        lease = acquired(store, "w2")
        assert store.append(lease, fact("w2")) == 2
        owner.popen.send_signal(signal.SIGCONT)
        owner.says("after")
        assert "append of w1 comes too late (epoch 1): w2 has taken it over" in owner.hears()
        assert list(store.journal("r1")) == [["w1 before"], ["w2"]]
        assert [f["refused"] for f in store.history("r1") if "refused" in f] == ["append"]
    finally:
        owner.ends()
        store.close()


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
def test_what_a_killed_process_was_told_is_there_and_its_run_goes_on(
    tmp_path: Path, acknowledged: int
) -> None:
    path = tmp_path / "runs.db"
    store = SQLiteStore(str(path))
    store.create(NewRun("r1", "job", {}))
    owner = Process(path, "w1", SECOND // 5)
    try:
        assert owner.hears() == "1"
        owner.says("write on")
        for i in range(1, acknowledged + 1):
            assert owner.hears() == str(i)
    finally:
        owner.ends()
    lease = acquired(store, "w2")
    seq = store.append(lease, fact("w2"))
    assert seq > acknowledged and lease.epoch == 2
    assert list(store.journal("r1")) == [[f"w1 {i}"] for i in range(1, seq)] + [["w2"]]
    assert store.check() == []
    store.close()


def test_backups_made_while_others_write_are_each_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SQLiteStore(str(path))
    store.create(NewRun("r1", "job", {}))
    owner = Process(path, "w1", TTL)
    lengths = []
    try:
        assert owner.hears() == "1"
        owner.says("write on")
        for i in range(5):
            for _ in range(10):
                told = int(owner.hears())
            store.backup(str(tmp_path / f"backup-{i}.db"))
            lengths.append(told)
    finally:
        owner.ends()
    for i, told in enumerate(lengths):
        copy = SQLiteStore(str(tmp_path / f"backup-{i}.db"))
        assert copy.check() == [] and copy.run("r1").seq >= told
        assert list(copy.journal("r1"))[told - 1] == [f"w1 {told}"]
        copy.close()
    store.close()


WRITER = """
import sys
from omega.durable.records import Batch, NewRun
from omega.durable.sqlite import SQLiteStore
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SQLiteStore(path)
store.create(NewRun(name, "job", {}))
lease = store.acquire(name, name, 60_000_000)
sys.stdin.readline()
for i in range(count):
    store.append(lease, Batch([f"{name} {i}"]))
    store.signal("all", "told", [name, i], key=f"{name} {i}", who=name)
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path, count = tmp_path / "runs.db", 60
    store = SQLiteStore(str(path))
    store.create(NewRun("all", "job", {}))
    names = ["a", "b", "c", "d"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name, str(count)],
            *(), stdin=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for name in names
    ]  # fmt: skip
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    for name in names:
        assert list(store.journal(name)) == [[f"{name} {i}"] for i in range(count)]
    told = [tuple(s.value) for s in store.signals("all")]
    assert len(told) == 4 * count
    assert all([n for n, _ in told].count(name) == count for name in names)
    assert all([i for n, i in told if n == name] == list(range(count)) for name in names)
    assert store.check() == []
    store.close()
