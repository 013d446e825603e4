"""The store's connection as a function of the host has it, while its call lasts.

Owns: `lent`, what is refused there. Refuses: to begin or end a transaction; to withstand a host
that means harm, which has the file: this is against mistakes that would break what the store
promises.

Two layers. `Lent` is a face without what acts on the connection as a whole. SQLite's authorizer is
asked whenever a statement is prepared, so a statement that is refused has done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakSet

from omega.durable.connection import Connection, Cursor
from omega.durable.schema import TABLES
from omega.errors import HostError

_ENDING = (
    "leave that to the store: it commits when the function has answered, and an exception undoes"
    " what it did; SAVEPOINT is fine"
)
_SCRIPT = "it commits first: call `execute` with one statement after another"
_OWN = "keep data in tables of your own; the store's may be read"
_SEQUENCE = "SQLite keeps it, for the store's tables as well"
_ATTACH = "a transaction of the store is of its own file: use another connection, in another effect"
_PRAGMA = "the store has set the connection up for itself; a PRAGMA that only tells is fine"

# PRAGMAs that change nothing: whatever they are given, and when they are given nothing.
_LOOKS = (
    *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"),
    *("foreign_key_list", "foreign_key_check", "integrity_check", "quick_check"),
)
_TELLS = (
    *("application_id", "busy_timeout", "cache_size", "collation_list", "compile_options"),
    *("data_version", "database_list", "defer_foreign_keys", "encoding", "foreign_keys"),
    *("freelist_count", "function_list", "journal_mode", "module_list", "page_count"),
    *("page_size", "pragma_list", "recursive_triggers", "schema_version", "synchronous"),
    *("user_version",),
)
# Actions that change a table; which of the authorizer's two arguments names it.
_CHANGES_FIRST = (
    *("INSERT", "UPDATE", "DELETE", "CREATE_TABLE", "CREATE_TEMP_TABLE", "CREATE_VIEW"),
    *("CREATE_TEMP_VIEW", "CREATE_VTABLE", "DROP_TABLE", "DROP_TEMP_TABLE", "ANALYZE"),
)
_CHANGES_SECOND = (
    *("CREATE_INDEX", "CREATE_TRIGGER", "CREATE_TEMP_TRIGGER", "DROP_INDEX", "DROP_TRIGGER"),
    *("DROP_TEMP_TRIGGER", "ALTER_TABLE"),
)


@contextmanager
def lent(db: Connection, place: str, called: str | None) -> Iterator[Lent]:
    """The connection of a transaction for whoever acts in it. place: the file and the run, for
    errors; called: what acts. Raises HostError for what has ended the transaction after all.
    """
    guard = _Guard(place, called)
    connection = Lent(db, guard)
    db.set_authorizer(guard.authorize)
    try:
        yield connection
    finally:
        guard.is_over = True
        for cursor in list(guard.cursors):
            cursor.close()  # a statement with rows left keeps the transaction from its end
        db.set_authorizer(None)
    guard.check(db)


def unmet(place: str, called: str | None, error: BaseException) -> HostError:
    """A constraint of the host's own that is looked at when the transaction ends. See `lent`."""
    return HostError(
        f"{place}: {_named(called)} has left a constraint unmet at the end of the store's"
        f" transaction ({error}): nothing of it is kept",
        hint="one that is DEFERRED has to hold when the function has answered",
    )


def _named(called: str | None) -> str:
    return "what runs in its transaction" if called is None else f"`{called}`"


class _Guard:
    """What one call may do. place, called: see `lent`."""

    def __init__(self, place: str, called: str | None) -> None:
        import sqlite3

        self._place = place
        self._called = _named(called)
        self.is_over = False
        self.cursors: WeakSet[LentCursor] = WeakSet()
        self._refused: tuple[str, str] | None = None  # by the statement that is prepared
        self._defines = False  # the statement drops or alters a table
        self._ok, self._deny = sqlite3.SQLITE_OK, sqlite3.SQLITE_DENY
        self._first = {getattr(sqlite3, f"SQLITE_{name}") for name in _CHANGES_FIRST}
        self._second = {getattr(sqlite3, f"SQLITE_{name}") for name in _CHANGES_SECOND}
        self._sqlite = sqlite3

    def refuse(self, tried: str, hint: str) -> NoReturn:
        raise HostError(
            f"{self._place}: {self._called} tried {tried}, and it runs in the store's transaction",
            hint=hint,
        )

    def check(self, db: Connection) -> None:
        """Whether the transaction goes on. No authorizer hears of a conflict that ends it."""
        if not db.in_transaction:
            raise HostError(
                f"{self._place}: {self._called} has ended the store's transaction: nothing of it is"
                " kept",
                hint="a conflict with OR ROLLBACK, or RAISE(ROLLBACK), does: ABORT undoes the"
                " statement alone",
            )

    def asked(self, db: Connection, act: Callable[..., Any], *arguments: Any) -> Any:
        """`act(*arguments)`, which may prepare statements. Raises HostError for one refused."""
        if self.is_over:
            raise HostError(
                f"{self._place}: the call of {self._called} is over, and so is its connection",
                hint="use the connection a function is given inside of it, fetch rows there",
            )
        self.check(db)
        self._refused, self._defines = None, False
        try:
            return act(*arguments)
        except Exception:
            if self._refused is not None:
                tried, hint = self._refused
                self.refuse(tried, hint)
            raise

    def authorize(
        self, action: int, first: str | None, second: str | None, base: str | None, by: str | None
    ) -> int:
        """SQLite's question: an action, its two arguments, the database, the trigger or view."""
        refused = self._against(action, first or "", second)
        if refused is None:
            return self._ok
        self._refused = refused
        return self._deny

    def _against(self, action: int, first: str, second: str | None) -> tuple[str, str] | None:
        """(what is tried, a hint) of what is refused."""
        sqlite = self._sqlite
        if action == sqlite.SQLITE_TRANSACTION:
            return f"`{first}`", _ENDING
        if action == sqlite.SQLITE_ATTACH:
            return f"to attach the file `{first}`", _ATTACH
        if action == sqlite.SQLITE_DETACH:
            return f"to detach `{first}`", _ATTACH
        if action == sqlite.SQLITE_PRAGMA:
            name = first.lower()
            if name in _LOOKS or (second is None and name in _TELLS):
                return None
            return f"`PRAGMA {first}{'' if second is None else f' = {second}'}`", _PRAGMA
        if action in (sqlite.SQLITE_DROP_TABLE, sqlite.SQLITE_ALTER_TABLE):
            self._defines = True
        if action not in self._first and action not in self._second:
            return None
        table = (first if action in self._first else second or "").lower()
        if table in TABLES:
            return f"to change `{table}`, a table of the store's own", _OWN
        if table == "sqlite_sequence" and not self._defines:
            return f"to change `{table}`", _SEQUENCE
        if action == sqlite.SQLITE_ALTER_TABLE and first == "temp":
            # It is not told the new name, which might hide a table of the store.
            return f"to alter `{table}`, a temporary table", "make a new one"
        return None


class Lent:
    """A connection for one call. Like a `sqlite3.Connection`, as far as it goes; row_factory: of
    the cursors made from then on.
    """

    __slots__ = ("_db", "_guard", "row_factory")

    def __init__(self, db: Connection, guard: _Guard) -> None:
        self._db, self._guard = db, guard
        self.row_factory: Any = None

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def cursor(self) -> LentCursor:
        return self._lent(self._db.cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> LentCursor:
        return self._lent(self._db.execute, sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> LentCursor:
        return self._lent(self._db.executemany, sql, parameters)

    def _lent(self, act: Callable[..., Cursor], *arguments: Any) -> LentCursor:
        cursor = self._guard.asked(self._db, act, *arguments)
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        return LentCursor(self, cursor, self._db, self._guard)

    def commit(self) -> NoReturn:
        self._guard.refuse("`commit()`", _ENDING)

    def rollback(self) -> NoReturn:
        self._guard.refuse("`rollback()`", _ENDING)

    def close(self) -> NoReturn:
        self._guard.refuse("`close()`", "leave it open: it is the store's, which goes on with it")

    def executescript(self, script: str, /) -> NoReturn:
        self._guard.refuse("`executescript()`", _SCRIPT)

    def __enter__(self) -> NoReturn:
        self._guard.refuse("`with` its connection, which commits", _ENDING)

    def __exit__(self, *error: object) -> None:
        raise AssertionError("it is not entered")


class LentCursor:
    """A cursor for one call. Like a `sqlite3.Cursor`, as far as it goes."""

    __slots__ = ("__weakref__", "_cursor", "_db", "_guard", "connection")

    def __init__(self, connection: Lent, cursor: Any, db: Connection, guard: _Guard) -> None:
        self.connection = connection
        self._cursor, self._db, self._guard = cursor, db, guard
        guard.cursors.add(self)

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    @property
    def lastrowid(self) -> int | None:
        found: int | None = self._cursor.lastrowid
        return found

    @property
    def row_factory(self) -> Any:
        return self._cursor.row_factory

    @row_factory.setter
    def row_factory(self, factory: Any) -> None:
        self._cursor.row_factory = factory

    def execute(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = (), /) -> LentCursor:
        self._guard.asked(self._db, self._cursor.execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> LentCursor:
        self._guard.asked(self._db, self._cursor.executemany, sql, parameters)
        return self

    def executescript(self, script: str, /) -> NoReturn:
        self._guard.refuse("`executescript()`", _SCRIPT)

    def fetchone(self) -> Any:
        return self._guard.asked(self._db, self._cursor.fetchone)

    def fetchmany(self, size: int = 1, /) -> list[Any]:
        found: list[Any] = self._guard.asked(self._db, self._cursor.fetchmany, size)
        return found

    def fetchall(self) -> list[Any]:
        found: list[Any] = self._guard.asked(self._db, self._cursor.fetchall)
        return found

    def __iter__(self) -> LentCursor:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def close(self) -> None:
        self._cursor.close()
