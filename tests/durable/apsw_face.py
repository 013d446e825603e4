"""The connection a store needs, over apsw: another build of SQLite, and the way to its VFS.

Owns: `connect`, the map from apsw's errors to those of the module `sqlite3`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw


@contextmanager
def told_as_sqlite3() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        code = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
        of = sqlite3.OperationalError
        if code & 0xFF == sqlite3.SQLITE_CONSTRAINT:
            of = sqlite3.IntegrityError
        elif code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            of = sqlite3.DatabaseError
        same = of(str(error))
        same.sqlite_errorcode = code
        raise same from error


class Cursor:
    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        return int(self._cursor.connection.changes())

    def fetchone(self) -> Any:
        with told_as_sqlite3():
            return next(self._cursor, None)

    def fetchall(self) -> list[Any]:
        with told_as_sqlite3():
            return list(self._cursor)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        with told_as_sqlite3():
            self._cursor.execute(sql, tuple(parameters))
        return self

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        with told_as_sqlite3():
            self._cursor.executemany(sql, parameters)
        return self

    def close(self) -> None:
        self._cursor.close(True)

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row


class Connection:
    def __init__(self, path: str, vfs: str | None = None) -> None:
        with told_as_sqlite3():
            self.apsw = apsw.Connection(path, vfs=vfs)
            self.apsw.set_busy_timeout(0)

    @property
    def in_transaction(self) -> bool:
        return bool(self.apsw.in_transaction)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        with told_as_sqlite3():
            return Cursor(self.apsw.execute(sql, tuple(parameters)))

    def cursor(self) -> Cursor:
        return Cursor(self.apsw.cursor())

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        return self.cursor().executemany(sql, parameters)

    def set_authorizer(self, authorizer: Callable[..., int] | None, /) -> None:
        self.apsw.set_authorizer(authorizer)

    def backup(
        self, target: Connection, /, *, progress: Callable[[int, int, int], None], sleep: float
    ) -> None:
        with told_as_sqlite3(), target.apsw.backup("main", self.apsw, "main") as copying:
            while not copying.done:
                status = 0
                try:
                    copying.step()
                except (apsw.BusyError, apsw.LockedError) as error:
                    status = error.result
                    time.sleep(sleep)
                progress(status, copying.remaining, copying.page_count)

    def close(self) -> None:
        self.apsw.close()


def connect(path: str) -> Connection:
    return Connection(path)
