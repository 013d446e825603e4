"""A store's file: opening it, transactions, waiting for others, what its errors mean.

Owns: `File`. Refuses: to know what stands in the tables, and files that are none of ours: it
changes nothing in them.

It never pauses inside of a transaction, only before one begins, and then begins with the right to
write. So nobody is kept waiting by somebody who waits, two writers cannot block each other, and a
`pause` may let others use the same store meanwhile.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from omega.durable import schema
from omega.durable.waiting import LOOK_US, WAIT_S, Clock, Pause, Turn, pauses
from omega.errors import Closed, HostError, OmegaBug, OmegaError, StoreBusy, StoreError, StoreFull

if TYPE_CHECKING:
    import sqlite3

COPY_PAUSE_S = 0.000_4
# A write changes a page, now and then three, by some hundred bytes, and each is written whole: half
# of SQLite's own size makes a write a tenth cheaper. A quarter of it holds one or two entries.
PAGE_BYTES = 2048
WAL_BYTES = 64 * 1024 * 1024  # a log that a long reader made grow is cut to this
NO_FILES = ("", ":memory:")  # SQLite keeps these in memory
_OTHER = "name another file: this one has not been changed"
_LOCAL = "name a file on a local disk"


class Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def close(self) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What a store needs of a connection; `sqlite3.Connection` is one, in autocommit mode. Its
    errors are those of the module `sqlite3`, with `sqlite_errorcode`.
    """

    @property
    def in_transaction(self) -> bool: ...
    def cursor(self) -> Any: ...
    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...
    def set_authorizer(self, authorizer: Callable[..., int] | None, /) -> None: ...
    def backup(
        self, target: Any, /, *, progress: Callable[[int, int, int], None], sleep: float
    ) -> None: ...
    def close(self) -> None: ...


Connect = Callable[[str], Any]


def _made_private(path: str) -> None:
    """A file that is not there is made, for its owner alone: a journal tells what a program has
    read. The log beside it gets the same rights.
    """
    try:
        Path(path).touch(mode=0o600)
    except (OSError, ValueError):
        pass  # whoever opens it says what is wrong


def _identity(path: str) -> tuple[int, int] | None:
    """Which file has that name; None: none has, or its names are not the system's."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def connect(path: str) -> sqlite3.Connection:
    import sqlite3  # 10 ms, and few programs keep their runs

    return sqlite3.connect(path, timeout=0, isolation_level=None)


class File:
    """An open file. Belongs to the thread that made it. only_read: it is left in the format it has.
    Raises StoreError for one that is foreign,
    damaged, newer, or cannot be opened.
    """

    def __init__(
        self,
        path: str,
        connect: Connect,
        clock_us: Clock,
        rng: random.Random,
        pause: Pause,
        *,
        wait_s: float = WAIT_S,
        migrations: Sequence[Sequence[str]] = schema.MIGRATIONS,
        only_read: bool = False,
    ) -> None:
        import sqlite3

        if sqlite3.sqlite_version_info < schema.SQLITE_MIN:
            raise StoreError(
                f"a store of runs needs SQLite {'.'.join(map(str, schema.SQLITE_MIN))}, this Python"
                f" has {sqlite3.sqlite_version}"
            )
        if path in NO_FILES:
            raise StoreError(f"`{path}` is no file: nothing would be kept there", hint=_LOCAL)
        self.path, self.clock_us = path, clock_us
        self.rng, self._pause, self._wait_s = rng, pause, wait_s
        self._turn = Turn(path, rng, pause)
        self._sqlite: Any = sqlite3
        self._db: Connection | None = None
        self._full_path = os.path.abspath(path)  # the program may go to another folder
        self._identity: tuple[int, int] | None = None
        self._looked_us = -LOOK_US
        try:
            if not only_read and not os.path.exists(path):
                _made_private(path)
            self._db = connect(path)
            self.read("PRAGMA busy_timeout = 0")
            if not only_read:
                self._prepare(migrations)
            elif self._version(len(migrations)) == 0:
                raise StoreError(f"{path}: this file is empty: it is no store of runs", hint=_OTHER)
            self._identity = _identity(self._full_path)
        except (sqlite3.Error, OmegaError) as error:
            self.close()
            if isinstance(error, OmegaError):
                raise
            self.fail(error)

    @property
    def db(self) -> Connection:
        if self._db is None:
            raise Closed(f"{self.path}: this store is closed")
        return self._db

    def close(self) -> None:
        db, self._db = self._db, None
        self._turn.close()
        if db is not None:
            db.close()

    def __del__(self) -> None:
        """Dropped, it is closed: a host's runs end with the host, whatever that closes itself."""
        try:
            self.close()
        except Exception:  # it was made half, or belongs to another thread
            pass

    def copy_to(self, path: str, connect: Connect) -> None:
        """Make the file at `path` what this one is at one moment, in one transaction there."""
        sqlite, left = self._sqlite, self._wait_s
        target: Any = None

        def waits(status: int, remaining: int, total: int) -> None:
            nonlocal left
            if status in (sqlite.SQLITE_BUSY, sqlite.SQLITE_LOCKED):
                left -= COPY_PAUSE_S
                if left < 0:
                    raise self._busy(path)

        try:
            if not os.path.exists(path):
                _made_private(path)
            target = connect(path)
            target.execute("PRAGMA synchronous = FULL")
            self.db.backup(target, progress=waits, sleep=COPY_PAUSE_S)
        except sqlite.Error as error:
            is_damaged = self._code(error) & 0xFF == sqlite.SQLITE_CORRUPT
            self.fail(error, self.path if is_damaged else path)
        finally:
            if target is not None:
                target.close()

    def token(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"

    # -- statements ----------------------------------------------------------------------------

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of one statement that stands alone."""
        db = self.db
        rows: list[Any] = self._when_free(lambda: db.execute(sql, parameters).fetchall())
        return rows

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        rows = self.read(sql, parameters)
        return rows[0] if rows else None

    def writing(self) -> _Writing:
        """A transaction that may write: what is done to the connection inside is done at once when
        it ends, or not at all when it raises.
        """
        return _Writing(self)

    def alone(self, sql: str, parameters: Sequence[Any], now_us: int) -> bool:
        """A statement that writes a row, a transaction of its own; whether it has. It has not while
        others hold the file, or wait for it, and where the file's constraints are against it.
        """
        db = self._free()
        if not 0 <= now_us - self._looked_us < LOOK_US:  # each look costs a tenth of a write
            self._looked_us = now_us
            self._check_there()
            if not self._turn.is_free():
                return False
        try:
            return bool(db.execute(sql, parameters).rowcount == 1)
        except self._sqlite.Error as error:
            if not (self._is_busy(error) or self.is_constraint(error)):
                self.fail(error)
        return False

    def _free(self) -> Connection:
        """The connection, for a transaction of its own."""
        db = self.db
        if db.in_transaction:
            raise HostError(
                f"{self.path}: the store is in the middle of a transaction",
                hint="a function that runs in it uses the connection it is given, not the store",
            )
        return db

    def _check_there(self) -> None:
        """Raises StoreError when nobody would ever see what is written now.

        A file that others have copied over keeps its identity, and is not noticed: SQLite shows us
        its log and its memory; its time and size change with each checkpoint; and to open it beside
        SQLite would, once closed, give up the locks that SQLite has on it.
        """
        if self._identity is not None and _identity(self._full_path) != self._identity:
            raise StoreError(
                f"{self.path}: the store's file was removed while it was in use, or another one put"
                " in its place",
                hint="what would be written now is seen by nobody: put the file back, with the log"
                " beside it; omega runs restore replaces a store that is in use",
            )

    def begin(self) -> Connection:
        db = self._free()
        self._check_there()
        self._turn.take()
        try:
            self._when_free(lambda: db.execute("BEGIN IMMEDIATE"))
        finally:
            self._turn.give()
        return db

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Several statements that see the same moment. Short, or the log grows meanwhile."""
        db = self._free()
        self._check_there()
        # A read that begins with one statement takes its moment there.
        self._when_free(lambda: self._begin_reading(db))
        try:
            yield db
        except BaseException as error:
            self.undo(db)
            if isinstance(error, self._sqlite.Error):
                self.fail(error)
            raise
        self.undo(db)

    def _begin_reading(self, db: Connection) -> None:
        db.execute("BEGIN")
        try:
            db.execute("SELECT generation FROM store").fetchone()
        except BaseException:
            self.undo(db)
            raise

    def undo(self, db: Connection) -> None:
        if db.in_transaction:
            try:
                db.execute("ROLLBACK")
            except self._sqlite.Error:  # what was raised first says more
                pass

    def _when_free(self, act: Callable[[], Any]) -> Any:
        """`act()`, again while others hold the file. It has done nothing when it was refused."""
        left: Iterator[float] | None = None
        while True:
            try:
                return act()
            except self._sqlite.Error as error:
                if not self._is_busy(error):
                    self.fail(error)
                if left is None:
                    left = pauses(self.rng, self._wait_s)
                seconds = next(left, None)
                if seconds is None:
                    self.fail(error)
            self._pause(seconds)

    # -- opening -------------------------------------------------------------------------------

    def _prepare(self, migrations: Sequence[Sequence[str]]) -> None:
        """Look whose file it is before anything is changed, then bring it to this format."""
        newest = len(migrations)
        version = self._version(newest)
        if self.read("PRAGMA journal_mode")[0][0] != "wal":
            # With FULL, the old mode's journal could be there again after a power failure, and
            # undo what was written since. EXTRA has its folder written, too.
            self.read("PRAGMA synchronous = EXTRA")
            if version == 0:
                self.read(f"PRAGMA page_size = {PAGE_BYTES}")
            mode = self.read("PRAGMA journal_mode = WAL")[0][0]
            if mode != "wal":
                raise StoreError(
                    f"{self.path}: a store of runs is kept in SQLite's WAL mode, and SQLite keeps"
                    f" this one in the mode `{mode}`",
                    hint=_LOCAL,
                )
        self.read("PRAGMA synchronous = FULL")
        self.read("PRAGMA foreign_keys = ON")
        self.read(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        while version < newest:
            version = self._migrate(version, newest, migrations)
        have = {row[0] for row in self.read("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if missing := [name for name in schema.TABLES if name not in have]:
            raise self.damaged(f"it has no table `{missing[0]}`")
        if migrations is schema.MIGRATIONS:
            self._check_schema()

    def _check_schema(self) -> None:
        marks = ", ".join("?" * len(schema.NAMES))
        made = self.read(
            f"SELECT name, sql FROM sqlite_master WHERE name IN ({marks})", schema.NAMES
        )
        if schema.fingerprint(made) != schema.FINGERPRINT:
            raise StoreError(
                f"{self.path}: the tables of this store are not those of its format"
                f" ({schema.VERSION})",
                hint="they were changed by hand, or the file was made by an Omega that was never"
                " published: name another file, this one has not been changed",
            )

    def _migrate(self, version: int, newest: int, migrations: Sequence[Sequence[str]]) -> int:
        with self.writing() as db:
            # Another process may have been here first.
            found = self._version(newest)
            if found == version:
                for statement in migrations[version]:
                    db.execute(statement)
                if version == 0:
                    db.execute(
                        "INSERT INTO store (one, generation, token, created_us)"
                        " VALUES (1, 1, ?, ?)",
                        (self.token(), self.clock_us()),
                    )
                    db.execute(f"PRAGMA application_id = {schema.APPLICATION}")
                found = version + 1
                db.execute(f"PRAGMA user_version = {found}")
        return found

    def _version(self, newest: int) -> int:
        """Its format; 0 for a file that is empty. Raises StoreError for one that is not ours."""
        # The names first: with these three in this order, a file that is being made meanwhile may
        # look empty, which is looked at again, but never foreign.
        names = [
            row[0]
            for row in self.read("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 4")
        ]
        version = int(self.read("PRAGMA user_version")[0][0])
        application = self.read("PRAGMA application_id")[0][0]
        if application == 0 and version == 0 and not names:
            return 0
        if application != schema.APPLICATION:
            what = f"tables {', '.join(names[:3])}" if names else "no tables of runs"
            raise StoreError(
                f"{self.path}: this SQLite file is no store of runs (it has {what})", hint=_OTHER
            )
        if version > newest:
            raise StoreError(
                f"{self.path}: the store was made by a newer Omega (format {version}, this one"
                f" knows {newest})",
                hint="use that Omega, or name another file: this one has not been changed",
            )
        return version

    # -- errors --------------------------------------------------------------------------------

    def damaged(self, fact: str) -> StoreError:
        return StoreError(
            f"{self.path}: the store is damaged: {fact}",
            hint="put back a backup with omega runs restore (to copy over a store that is in use"
            " damages it), and keep this file aside: what is whole in it can be read",
        )

    def is_of_sqlite(self, error: BaseException) -> bool:
        return isinstance(error, self._sqlite.Error)

    def _is_busy(self, error: BaseException) -> bool:
        """Whether others hold the file: nothing was done, and it may be tried again."""
        return self._code(error) & 0xFF in (self._sqlite.SQLITE_BUSY, self._sqlite.SQLITE_LOCKED)

    def is_constraint(self, error: BaseException) -> bool:
        return self.is_of_sqlite(error) and (
            self._code(error) & 0xFF == int(self._sqlite.SQLITE_CONSTRAINT)
        )

    def _busy(self, path: str) -> StoreBusy:
        return StoreBusy(
            f"{path}: other processes held the store for {self._wait_s:g} s",
            hint="nothing was changed, and the same may be tried again; is one of them stopped in"
            " the middle of a transaction?",
        )

    def _code(self, error: BaseException) -> int:
        return int(getattr(error, "sqlite_errorcode", 0) or 0)

    def fail(self, error: BaseException, path: str | None = None) -> NoReturn:
        """Raise what an error of SQLite means. path: of the file, when it is not this one."""
        path = path or self.path
        sqlite, code = self._sqlite, self._code(error)
        primary, said = code & 0xFF, str(error)
        if isinstance(error, (sqlite.ProgrammingError, sqlite.InterfaceError)):
            raise error  # used from another thread, or our bug
        if primary in (sqlite.SQLITE_BUSY, sqlite.SQLITE_LOCKED):
            raise self._busy(path) from error
        if primary == sqlite.SQLITE_FULL or code in (
            sqlite.SQLITE_IOERR_WRITE,
            sqlite.SQLITE_IOERR_SHMSIZE,
        ):
            raise StoreFull(
                f"{path}: the store has no room for more: {said}",
                hint="nothing was changed; make room on its disk, then the same may be tried again",
            ) from error
        if primary == sqlite.SQLITE_NOTADB:
            raise StoreError(
                f"{path}: this file is no store of runs, or its beginning is damaged: {said}",
                hint="name another file, or put back a backup: this one has not been changed",
            ) from error
        if primary == sqlite.SQLITE_CORRUPT:
            raise self.damaged(said) from error
        if primary == sqlite.SQLITE_CONSTRAINT:
            raise OmegaBug(f"{path}: the store refuses what it was told to write: {said}") from (
                error
            )
        raise StoreError(
            f"{path}: the store cannot be used: {said}", hint=self._why(path, primary)
        ) from error

    def _why(self, path: str, primary: int) -> str:
        """What may be the matter with a path."""
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            return f"there is no folder {folder}: make it, or name another file"
        if os.path.isdir(path):
            return "it is a folder: name a file"
        if primary == self._sqlite.SQLITE_READONLY:
            return "the file, or its disk, is read-only: a store is written to whenever it is used"
        return "may this program read and write the file, and make others beside it?"


class _Writing:
    """See `File.writing`. A class, since every fact of every run goes through it."""

    __slots__ = ("_db", "_file")

    def __init__(self, file: File) -> None:
        self._file = file

    def __enter__(self) -> Connection:
        self._db = self._file.begin()
        return self._db

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
                return
        except Exception as failed:  # rolled back below, as what failed inside
            error = failed
        self._file.undo(self._db)
        if self._file.is_of_sqlite(error):
            self._file.fail(error)
        if kind is None:
            raise error
