"""Copies of a store, and putting one back.

Owns: `backup`, `restore`. Both are one transaction of SQLite's backup API: a copy is one moment of
the store however many write meanwhile (copying the file with other tools gives a damaged one), and
a restored file changes under the eyes of whoever has it open, at once. Replacing the file instead
would leave its owners writing to one that nobody sees.

A restored store has a new generation, which it is given before anybody sees it. Whoever wrote to
the runs before holds leases of the old one, and is refused.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omega.durable.connection import Connect, File
from omega.durable.connection import connect as connect_sqlite3
from omega.durable.waiting import Clock, Pause, chance, wall_us
from omega.durable.waiting import pause as pause_thread
from omega.errors import StoreError

_BESIDE = ("", "-wal", "-shm", "-journal")


def backup(file: File, path: str, connect: Connect) -> None:
    """See `Store.backup`."""
    if os.path.lexists(path):
        raise _taken(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise StoreError(
            f"{path}: there is no folder for the backup", hint=f"make {folder}, or name another"
        )
    with _scratch(path, file.rng) as scratch:
        file.copy_to(scratch, connect)
        _put(scratch, path)


def restore(
    path: str,
    backup: str,
    *,
    connect: Connect = connect_sqlite3,
    clock_us: Clock = wall_us,
    rng: random.Random | None = None,
    pause: Pause = pause_thread,
) -> str:
    """Make the store at `path`, which may be in use or not be there, what it was when `backup` was
    made. Its new generation. Runs that were running then are due at once.

    Raises StoreError for a backup or a store that is foreign, damaged or newer: nothing has been
    changed then.
    """
    rng = rng or chance()
    if not os.path.isfile(backup):
        raise StoreError(f"{backup}: there is no backup here to restore", hint="name its file")
    given = (connect, clock_us, rng, pause)
    with _scratch(path, rng) as scratch:
        _copy(backup, scratch, given)
        renewed = File(scratch, *given)
        try:
            _check(renewed, backup)
            last = _generation(path, given)
            with renewed.writing() as db:
                db.execute(
                    "UPDATE store SET generation = max(generation, ?) + 1, token = ?",
                    (last, renewed.token()),
                )
                # Leases from before are worth nothing.
                db.execute(
                    "UPDATE runs SET lease_until_us = ?, due_us = ?, updated_us = ?"
                    " WHERE state = 'running'",
                    (clock_us(),) * 3,
                )
            renewed.copy_to(path, connect)
            return str(renewed.one("SELECT generation || '-' || token FROM store")[0])
        finally:
            renewed.close()


def _generation(path: str, given: Any) -> int:
    """Of the store that is there now; 0 when there is none."""
    if not os.path.exists(path):
        return 0
    store = File(path, *given)
    try:
        return int(store.one("SELECT generation FROM store")[0])
    finally:
        store.close()


def _copy(backup: str, scratch: str, given: Any) -> None:
    """A copy of the backup to work on: nothing, not even a log, is to appear beside it."""
    source = File(backup, *given, only_read=True)
    try:
        source.copy_to(scratch, given[0])
    finally:
        source.close()


def _check(file: File, backup: str) -> None:
    said = [row[0] for row in file.read("PRAGMA integrity_check(1)")]
    if said != ["ok"]:
        raise StoreError(
            f"{backup}: the backup is damaged: {said[0]}",
            hint="restore another one: the store has not been changed",
        )


@contextmanager
def _scratch(path: str, rng: random.Random) -> Iterator[str]:
    """The name of a file beside `path`, gone afterwards with what SQLite puts beside it."""
    scratch = f"{path}.{rng.getrandbits(64):016x}.partial"
    try:
        yield scratch
    finally:
        for end in _BESIDE:
            try:
                os.unlink(scratch + end)
            except OSError:
                pass


def _put(scratch: str, path: str) -> None:
    """Give the finished copy its name, which nobody has taken meanwhile."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise _taken(path) from None
        os.rename(scratch, path)
    if os.name == "posix":  # a name is durable when its folder has been written
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _taken(path: str) -> StoreError:
    return StoreError(
        f"{path}: there is something here already: a backup overwrites nothing",
        hint="name a file that is not there, or move this one away",
    )
