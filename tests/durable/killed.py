"""`python -m tests.durable.killed FOLDER [OLD]`: files whose migration was killed anywhere.

A process of its own, since it forks: pytest's have threads. For every statement of opening a file
(a new one, or a copy of OLD) with two migrations: one process that is killed there, then one that
opens the file again. Prints the number of statements; the files are FOLDER/killed-N.db.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from omega.durable import schema
from omega.durable.connection import File
from tests.durable.kit import Clock, never

SECOND = (
    "ALTER TABLE runs ADD COLUMN color TEXT",
    "CREATE TABLE colors (name TEXT PRIMARY KEY) STRICT",
    "UPDATE runs SET color = 'red'",
)
MIGRATIONS = (*schema.MIGRATIONS, SECOND)


class Counting(sqlite3.Connection):
    """Counts the statements that are made; dies at one of them."""

    count, dies_at = 0, -1

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        Counting.count += 1
        if Counting.count == Counting.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(sql, *parameters)


def counting(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=0, isolation_level=None, factory=Counting)


def opened(path: Path, dies_at: int = -1) -> int:
    """In a process that dies at that statement; how many there were, or -9."""
    child = os.fork()
    if child == 0:
        Counting.count, Counting.dies_at = 0, dies_at
        given = (counting, Clock(), random.Random(1), never)
        File(str(path), *given, migrations=MIGRATIONS).close()
        os._exit(Counting.count)
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def main(folder: Path, old: str | None = None) -> None:
    def file(at: int) -> Path:
        made = folder / f"killed-{at}.db"
        if old is not None:
            shutil.copy(old, made)
        return made

    statements = opened(file(0))
    for at in range(1, statements + 1):
        path = file(at)
        assert opened(path, dies_at=at) == -signal.SIGKILL, at
        assert opened(path) > 0, at
    print(statements)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
