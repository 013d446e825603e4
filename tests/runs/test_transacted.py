"""Functions of the host in the store's transaction: what they may do there, and what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.durable.memory import MemoryStore
from omega.durable.sqlite import SQLiteStore
from omega.errors import HostError
from omega.runs.session import RunSettings
from tests.durable import apsw_face

Act = Callable[[Any], Any]
CAUGHT = "(guard (e (#t (list (condition-message e) (condition-hint e)))) (act))"


class Host:
    """A store with a run that has ended, and a table of the host's, `mine`, which has one row."""

    def __init__(self, path: Path, connect: Any = None) -> None:
        given = {} if connect is None else {"connect": connect}
        self.path = str(path)
        self.store = SQLiteStore(self.path, **given)
        self.run(lambda db: 42, "(act)", "other")
        self.run(make_mine, "(act)", "setup")
        self.before = self.others()

    def run(self, act: Act, program: str = CAUGHT, id: str = "r1") -> Any:
        """What `program` answers, `act` being its transactional function."""
        made = Interpreter(store=self.store, virtual_time=True, runs=RunSettings(park_after_s=0))
        made.define("act", act, effect="transactional")
        return made.run_durable(program, id=id)

    def others(self) -> Any:
        """All that stands there of the runs "other" and "setup"."""
        return [
            [self.store.run(id), [*self.store.journal(id)], self.store.effects(id)]
            for id in ("other", "setup")
        ]

    def mine(self) -> list[int]:
        return [n for (n,) in self.store.file.read("SELECT n FROM mine ORDER BY n")]

    def check(self) -> None:
        """Nothing of what was refused is there, and the store is whole and works."""
        assert self.mine() == [1]
        assert self.store.check() == []
        assert self.others() == self.before
        with sqlite3.connect(self.path) as outside:  # another process sees the same
            assert outside.execute("SELECT n FROM mine").fetchall() == [(1,)]
        outside.close()
        assert self.run(add(2), "(begin (act) 42)", "after") == 42
        assert self.mine() == [1, 2]


def make_mine(db: Any) -> None:
    db.execute("CREATE TABLE mine (n INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO mine VALUES (1)")


def add(n: int) -> Act:
    def act(db: Any) -> None:
        db.execute("INSERT INTO mine VALUES (?)", (n,))

    return act


def then(sql: str) -> Act:
    """What adds a row, and then does something else."""

    def act(db: Any) -> None:
        add(7)(db)
        db.execute(sql)

    return act


@pytest.fixture(params=["sqlite3", "apsw"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "runs.db", apsw_face.connect if request.param == "apsw" else None)
    yield made
    made.store.close()


# -- what is refused -------------------------------------------------------------------------------

ENDING = {
    "commit": lambda db: db.commit(),
    "rollback": lambda db: db.rollback(),
    "close": lambda db: db.close(),
    "executescript": lambda db: db.executescript("INSERT INTO mine VALUES (8)"),
    "cursor().executescript": lambda db: db.cursor().executescript("DELETE FROM mine"),
    "with": lambda db: db.__enter__(),
}


@pytest.mark.parametrize("what", ENDING)
def test_what_acts_on_the_whole_connection_is_refused(host: Host, what: str) -> None:
    def act(db: Any) -> None:
        add(7)(db)
        ENDING[what](db)
        raise ValueError("it has come further")

    message, hint = host.run(act)
    name = what.rpartition(".")[2]
    assert message.startswith(f"{host.path}: run r1: `host act` tried `{name}")
    assert message.endswith("and it runs in the store's transaction") and hint
    host.check()


STATEMENTS = {
    "COMMIT": "`COMMIT`",
    "END": "`COMMIT`",
    "ROLLBACK": "`ROLLBACK`",
    "BEGIN": "`BEGIN`",
    "DELETE FROM journal": "to change `journal`",
    "DELETE FROM Main.JOURNAL": "to change `journal`",
    "UPDATE runs SET state = 'pending'": "to change `runs`",
    "INSERT INTO history (run, at_us, new, epoch) VALUES (1, 1, 'x', 1)": "to change `history`",
    "REPLACE INTO store VALUES (1, 9, 'x', 1)": "to change `store`",
    "WITH gone AS (SELECT 1) DELETE FROM blobs": "to change `blobs`",
    "DROP TABLE signals": "to change `signals`",
    "DROP INDEX runs_due": "to change `runs`",
    "DROP TRIGGER runs_journal": "to change `runs`",
    "ALTER TABLE signals RENAME TO gone": "to change `signals`",
    "ALTER TABLE refs ADD COLUMN more": "to change `refs`",
    "CREATE INDEX quick ON journal (at_us)": "to change `journal`",
    "CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM mine; END": "to change `journal`",
    "CREATE TEMP TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM mine; END": "to change `runs`",
    "CREATE TEMP TABLE runs (id)": "to change `runs`",
    "CREATE TEMP VIEW journal AS SELECT 1 AS place": "to change `journal`",
    "UPDATE sqlite_sequence SET seq = 0": "to change `sqlite_sequence`",
    "DELETE FROM sqlite_sequence": "to change `sqlite_sequence`",
    "ATTACH ':memory:' AS more": "to attach the file `:memory:`",
    "DETACH main": "to detach `main`",
    "PRAGMA foreign_keys = OFF": "`PRAGMA foreign_keys = OFF`",
    "PRAGMA Writable_Schema = 1": "`PRAGMA Writable_Schema = 1`",
    "PRAGMA user_version = 7": "`PRAGMA user_version = 7`",
    "PRAGMA wal_checkpoint": "`PRAGMA wal_checkpoint`",
}


@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_statement_that_would_break_the_promise_is_refused(host: Host, sql: str) -> None:
    message, hint = host.run(then(sql))
    assert message.startswith(f"{host.path}: run r1: `host act` tried {STATEMENTS[sql]}"), message
    assert hint
    host.check()


@pytest.mark.parametrize("way", ["cursor", "executemany"])
def test_it_is_refused_whatever_way_it_comes(host: Host, way: str) -> None:
    def act(db: Any) -> None:
        add(7)(db)
        if way == "cursor":
            db.cursor().execute("DELETE FROM journal")
        else:
            db.executemany("DELETE FROM journal WHERE place = ?", [(1,), (2,)])

    message, _ = host.run(act)
    assert "tried to change `journal`" in message
    host.check()


def test_a_trigger_of_ones_own_does_not_reach_the_stores_tables(host: Host) -> None:
    def act(db: Any) -> None:
        db.execute("CREATE TRIGGER reach AFTER INSERT ON mine BEGIN DELETE FROM journal; END")
        add(7)(db)

    message, _ = host.run(act)
    assert "tried to change `journal`" in message
    host.check()


def test_a_temporary_table_does_not_come_to_hide_one_of_the_store(host: Host) -> None:
    def act(db: Any) -> None:
        db.execute("CREATE TEMP TABLE scratch (id)")
        db.execute("ALTER TABLE scratch RENAME TO runs")

    message, _ = host.run(act)
    assert "tried to alter `scratch`, a temporary table" in message
    host.check()


def test_a_program_that_does_not_handle_it_fails_by_it(host: Host) -> None:
    with pytest.raises(HostError, match="run r1: `host act` tried `COMMIT`, and it runs in the"):
        host.run(then("COMMIT"), "(act)")
    assert host.store.run("r1").state == "failed"
    host.check()


def test_what_fails_in_the_function_is_as_before(host: Host) -> None:
    message, _ = host.run(then("nonsense"))
    assert "host function `act` raised OperationalError" in message and "syntax error" in message
    host.check()


def test_a_function_may_handle_it_and_go_on(host: Host) -> None:
    def act(db: Any) -> int:
        for sql in ("DELETE FROM journal", "COMMIT"):
            with pytest.raises(HostError):
                db.execute(sql)
        assert host.store.run("other").state == "completed"  # the store may be asked meanwhile
        add(5)(db)
        return 5

    assert host.run(act) == 5
    assert host.mine() == [1, 5] and host.store.check() == [] and host.others() == host.before


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_conflict_that_rolls_all_back_is_told(host: Host, goes_on: bool) -> None:
    """SQLite asks nobody then, and what came after would be kept at once."""

    def act(db: Any) -> None:
        add(7)(db)
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("INSERT OR ROLLBACK INTO mine VALUES (1)")
        if goes_on:
            add(8)(db)

    message, hint = host.run(act)
    assert "run r1: `host act` has ended the store's transaction: nothing of it" in message
    assert "OR ROLLBACK" in hint
    host.check()


def test_a_connection_that_outlives_its_call_is_refused(host: Host) -> None:
    kept: list[Any] = []

    def act(db: Any) -> None:
        kept.extend((db, db.execute("SELECT n FROM mine")))

    host.run(act)
    for use in (lambda: kept[0].execute("DELETE FROM mine"), kept[0].cursor, kept[1].fetchone):
        with pytest.raises(HostError, match="the call of `host act` is over, and so is its conn"):
            use()
    host.check()


def test_the_store_itself_is_not_used_for_a_transaction_in_it(host: Host) -> None:
    message, hint = host.run(lambda db: host.store.signal("r1", "go", 1, key="k", who="me") or None)
    assert "the store is in the middle of a transaction" in message
    assert "uses the connection it is given" in hint
    host.check()


# -- what is allowed -------------------------------------------------------------------------------


def test_what_a_function_does_with_tables_of_its_own(host: Host) -> None:
    def act(db: Any) -> list[Any]:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, history TEXT)")
        db.execute("CREATE INDEX items_history ON items (history)")
        db.execute("CREATE TRIGGER kept AFTER DELETE ON items BEGIN DELETE FROM mine; END")
        cursor = db.cursor()
        assert cursor.connection is db
        cursor.executemany("INSERT INTO items (history) VALUES (?)", [("a",), ("b",)])
        db.executemany("INSERT INTO items (history) VALUES (?)", [("c",)])
        ((id,),) = cursor.execute(
            "INSERT INTO items (history) VALUES (?) RETURNING id", ("d",)
        ).fetchall()
        db.execute("SAVEPOINT part")
        db.execute("DELETE FROM items")
        db.execute("ROLLBACK TO part")
        db.execute("RELEASE part")
        db.execute("SAVEPOINT left_open")
        db.execute("ALTER TABLE items RENAME TO things")
        db.execute("UPDATE things SET history = upper(history) WHERE id < ?", (3,))
        db.execute("CREATE TEMP TABLE scratch AS SELECT * FROM things")
        names = [name for (_, name, *_) in db.execute("PRAGMA table_info(things)")]
        db.execute("CREATE TABLE passing (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        db.execute("DROP TABLE passing")
        db.execute("INSERT INTO things (history) VALUES ('e'), ('f') RETURNING id")  # not fetched
        rows = db.execute("SELECT history FROM scratch ORDER BY id")
        runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
        return [id, next(rows)[0], [text for (text,) in rows], names, runs, db.in_transaction]

    told = host.run(act, "(act)")
    assert told == [4, "A", ["B", "c", "d"], ["id", "history"], 3, True]
    assert host.store.file.one("SELECT count(*) FROM things") == (6,)
    host.check()


def test_rows_are_had_as_ever(tmp_path: Path) -> None:
    host = Host(tmp_path / "runs.db")

    def act(db: Any) -> list[Any]:
        cursor = db.cursor()
        cursor.execute("INSERT INTO mine VALUES (:n)", {"n": 3})
        told: list[Any] = [cursor.lastrowid, cursor.rowcount]
        db.row_factory = sqlite3.Row
        found = db.execute("SELECT n FROM mine ORDER BY n")
        told += [found.description[0][0], [row["n"] for row in found]]
        assert db.cursor().row_factory is sqlite3.Row
        cursor.row_factory = lambda _, row: {"is": row[0]}
        told += cursor.execute("SELECT n FROM mine ORDER BY n").fetchmany(1)
        told += [row["is"] for row in cursor.fetchall()]
        db.execute("DELETE FROM mine WHERE n = 3")
        return told

    assert host.run(act) == [3, 1, "n", [1, 3], {"is": 1}, 3]
    host.check()  # whose rows are tuples: the factory was the function's
    host.store.close()


def test_a_store_in_memory_undoes_what_its_function_did() -> None:
    store = MemoryStore()
    made = Interpreter(store=store, virtual_time=True, runs=RunSettings(park_after_s=0))

    def act(tables: dict[str, Any], n: int) -> int:
        tables["n"] = n
        if n == 2:
            raise HostError("no two")
        return n

    made.define("act", act, effect="transactional")
    program = "(map (lambda (n) (guard (e (#t (condition-message e))) (act n))) (list 1 2))"
    assert str(made.run_durable(program)) == '(1 "no two")'
    assert store.tables == {"n": 1}


def test_a_constraint_that_is_unmet_at_the_end_is_a_failure_of_the_function(host: Host) -> None:
    def make(db: Any) -> None:
        db.execute(
            "CREATE TABLE child (n INTEGER REFERENCES mine (n) DEFERRABLE INITIALLY DEFERRED)"
        )

    def orphan(db: Any) -> None:
        add(7)(db)
        db.execute("INSERT INTO child VALUES (99)")

    host.run(make, "(act)", "table")
    message, hint = host.run(orphan)
    assert message == (
        f"{host.path}: run r1: `host act` has left a constraint unmet at the end of the store's"
        " transaction (FOREIGN KEY constraint failed): nothing of it is kept"
    )
    assert "DEFERRED" in hint
    host.check()
