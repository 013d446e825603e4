"""What the tests of stores share: a clock that is set, stores of every kind, short batches."""

from __future__ import annotations

import hashlib
import random
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omega.durable.backups import restore
from omega.durable.memory import MemoryStore
from omega.durable.records import Batch, Intent, NewRun, Result
from omega.durable.sqlite import SQLiteStore
from omega.durable.store import Store
from tests.durable import apsw_face

SECOND = 1_000_000
TTL = 10 * SECOND


class Clock:
    """Microseconds, as they are set."""

    def __init__(self, now: int = 1_000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def passes(self, us: int) -> None:
        self.now += us


def never(seconds: float) -> None:
    raise AssertionError(f"nobody else uses this file: a pause of {seconds} s")


class Kept:
    """A place where runs are kept, and ways to it. name: "memory", "sqlite3", "apsw"."""

    def __init__(self, name: str, folder: Path, clock: Clock, seed: int = 0) -> None:
        self.name, self.folder, self.clock, self.seed = name, folder, clock, seed
        self.path = str(folder / "runs.db")
        self._memory = MemoryStore(clock_us=clock) if name == "memory" else None
        self._opened: list[Store] = []

    def open(self, pause: Callable[[float], None] = never) -> Store:
        """The same runs, through a connection of its own where there are connections."""
        if self._memory is not None:
            return self._memory
        given: dict[str, Any] = {"connect": apsw_face.connect} if self.name == "apsw" else {}
        self.seed += 1
        store = SQLiteStore(
            self.path,
            clock_us=self.clock,
            rng=random.Random(self.seed),
            pause=pause,
            **given,
        )
        self._opened.append(store)
        return store

    def copy(self) -> Any:
        """What `put_back` takes."""
        if self._memory is not None:
            return self._memory.snapshot()
        self.seed += 1
        path = str(self.folder / f"backup-{self.seed}.db")
        store = self.open()
        store.backup(path)
        store.close()
        return path

    def put_back(self, copy: Any) -> str:
        if self._memory is not None:
            return self._memory.restore(copy)
        given: dict[str, Any] = {"connect": apsw_face.connect} if self.name == "apsw" else {}
        self.seed += 1
        rng = random.Random(self.seed)
        return restore(self.path, copy, clock_us=self.clock, rng=rng, **given)

    def close(self) -> None:
        for store in self._opened:
            store.close()


def blob(content: bytes) -> dict[str, bytes]:
    return {hashlib.sha256(content).hexdigest(): content}


def intent(number: int, reserved: int = 0, effect_class: str = "paid") -> Intent:
    return Intent(number, "main", number, "llm", effect_class, f"hash {number}", "hi", reserved)


def fact(*lines: str, **rest: Any) -> Batch:
    return Batch(lines, **rest)


def done(number: int, tokens: int = 0, cost: int = 0, outcome: str = "ok") -> Result:
    return Result(number, outcome, tokens, cost)


def unsynced(path: str) -> sqlite3.Connection:
    """For what is not about the disk: faster."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, factory=Unsynced)


class Unsynced(sqlite3.Connection):
    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(re.sub(r"(synchronous) = \w+", r"\1 = OFF", sql), *parameters)


OPENED: list[SQLiteStore] = []


def opened(path: Path, **given: Any) -> SQLiteStore:
    given = {"clock_us": Clock(), "rng": random.Random(1), "pause": never, **given}
    OPENED.append(SQLiteStore(str(path), **given))
    return OPENED[-1]


def new(id: str = "r1", **rest: object) -> NewRun:
    return NewRun(id, "job", {"args": [1, "ö", None]}, **rest)


def journal(store: Store, run: str, *bounds: int) -> list[list[str]]:
    return list(store.journal(run, *bounds))
