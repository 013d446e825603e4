"""Answers kept in a file, across runs and between processes.

Owns: `SQLiteCache`: the file's format, its version, its errors. Refuses: files it did not make, and
those of a newer Omega; it changes nothing in them. Refuses also to be waited for: a cache that is
in the way of its program has no use, so what cannot be written within BUSY_S is forgotten, and
counted (`dropped`).

The file is SQLite in WAL mode: readers never wait for writers, and several processes may use it at
once. One table, STRICT; `application_id` says whose file it is, `user_version` which format. A file
that is damaged, or has been put there by something else, is one clear error that names it.

Past `bytes_max` the oldest tenth of the answers is forgotten: by age, not by use, since a cache
that writes whenever it is read makes its readers wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from omega.errors import LLMError
from omega.llm.cache import reply_from_text, reply_to_text
from omega.llm.failures import misconfigured, shortened
from omega.llm.request import LLMReply

if TYPE_CHECKING:
    import sqlite3

APPLICATION = 0x4F_4D_4C_43  # "OMLC", in the file's header
VERSION = 1
SQLITE_MIN = (3, 37, 0)  # STRICT tables
OPEN_S = 5.0  # another process may be making the file
BUSY_S = 0.05
FILE_BYTES = 1024 * 1024 * 1024
FORGOTTEN_SHARE = 10  # a tenth at a time

_TABLE = """CREATE TABLE replies (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    reply TEXT NOT NULL
) STRICT"""
_COLUMNS = [("number", "INTEGER"), ("key", "TEXT"), ("reply", "TEXT")]
_DELETE_IT = "delete the file, or name another one: answers will be asked for again"


class SQLiteCache:
    """See `ReplyCache`. path: of the file, made when it is not there; its folder must be.

    dropped: answers that could not be written, in all. Belongs to the thread that made it. Raises
    LLMError (llm-configuration), from any method, for a file that is no such cache, or damaged.
    """

    def __init__(self, path: str, bytes_max: int = FILE_BYTES) -> None:
        import sqlite3  # 10 ms, and few programs keep a cache in a file

        if sqlite3.sqlite_version_info < SQLITE_MIN:
            raise misconfigured(
                f"a cache in a file needs SQLite {'.'.join(map(str, SQLITE_MIN))},"
                f" this Python has {sqlite3.sqlite_version}"
            )
        self.path, self.bytes_max = path, bytes_max
        self.hits = self.misses = self.dropped = 0
        self._db: sqlite3.Connection | None = None
        try:
            self._db = sqlite3.connect(path, timeout=OPEN_S, isolation_level=None)
            self._prepare(self._db)
            self._db.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
        except (sqlite3.Error, LLMError) as error:
            self.close()
            if isinstance(error, LLMError):
                raise
            self._fail(error)

    def get(self, key: str) -> LLMReply | None:
        found = self._run("SELECT reply FROM replies WHERE key = ?", key)
        if not found:
            self.misses += 1
            return None
        try:
            reply = reply_from_text(found[0][0])
        except (ValueError, KeyError, TypeError):
            raise misconfigured(
                f"{self.path}: the cache is damaged: the answer of {key} is no reply", _DELETE_IT
            ) from None
        self.hits += 1
        return reply

    def put(self, key: str, reply: LLMReply) -> None:
        if self._db is None:
            return
        insert = "INSERT OR REPLACE INTO replies (key, reply) VALUES (?, ?)"
        if self._run(insert, key, reply_to_text(reply)) is None:
            self.dropped += 1
        elif self.bytes_used > self.bytes_max:
            self._forget_oldest()

    def clear(self) -> None:
        self._run("DELETE FROM replies")

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def __len__(self) -> int:
        found = self._run("SELECT count(*) FROM replies")
        return int(found[0][0]) if found else 0

    @property
    def bytes_used(self) -> int:
        """Of the file, without what it has free inside."""
        found = self._run(
            "SELECT (page_count - freelist_count) * page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        )
        return int(found[0][0]) if found else 0

    # Inside

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Make the table, or make sure that it is ours, before anything is changed."""
        # Several processes may be here at once: each looks at one state of the file, and the second
        # to write finds what the first one made.
        db.execute("BEGIN")
        is_ours = self._is_ours(db)
        db.execute("COMMIT")
        if not is_ours:
            db.execute("BEGIN IMMEDIATE")
            if not self._is_ours(db):
                db.execute(_TABLE)
                db.execute(f"PRAGMA application_id = {APPLICATION}")
                db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        if _one(db, "PRAGMA journal_mode") != "wal":
            self._run_on(db, "PRAGMA journal_mode = WAL")  # None: whoever uses it now does it, too
        db.execute("PRAGMA synchronous = NORMAL")

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        """False for a file that is empty. Raises LLMError for one that is somebody else's."""
        application = _one(db, "PRAGMA application_id")
        version = _one(db, "PRAGMA user_version")
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        if application == 0 and version == 0 and not names:
            return False
        if application != APPLICATION:
            what = f"tables {', '.join(names[:3])}" if names else "no table of answers"
            raise misconfigured(
                f"{self.path}: this SQLite file is not a cache of answers (it has {what})",
                "name another file: this one has not been changed",
            )
        if version > VERSION:
            raise misconfigured(
                f"{self.path}: the cache was made by a newer Omega (format {version}, this one"
                f" knows {VERSION})",
                "use that Omega, or name another file: this one has not been changed",
            )
        columns = [tuple(row[1:3]) for row in db.execute("PRAGMA table_info(replies)")]
        if version != VERSION or columns != _COLUMNS:
            raise misconfigured(
                f"{self.path}: the cache is damaged: it has no table `replies` of format {VERSION}",
                _DELETE_IT,
            )
        return True

    def _run(self, statement: str, *values: str) -> list[Any] | None:
        """The rows of a statement; None when the file is closed, or the statement could not be done
        now: another process writes, or the disk is full.
        """
        return None if self._db is None else self._run_on(self._db, statement, *values)

    def _run_on(self, db: sqlite3.Connection, statement: str, *values: str) -> list[Any] | None:
        import sqlite3

        try:
            return db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL):
                return None
            self._fail(error)

    def _forget_oldest(self) -> None:
        self._run(
            "DELETE FROM replies WHERE number <= (SELECT number FROM replies ORDER BY number"
            f" LIMIT 1 OFFSET (SELECT count(*) / {FORGOTTEN_SHARE} FROM replies))"
        )

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        import sqlite3

        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        said = shortened(str(error))
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            message = f"{self.path}: the cache is damaged, or no SQLite file: {said}"
            raise misconfigured(message, _DELETE_IT) from None
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
            raise error  # used from another thread, or our bug
        raise misconfigured(
            f"{self.path}: the cache cannot be used: {said}",
            "is its folder there, and may this program write there?",
        ) from None


def _one(db: sqlite3.Connection, statement: str) -> Any:
    return db.execute(statement).fetchone()[0]
