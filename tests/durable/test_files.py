"""Files that cannot be a store, or cannot be one now: told clearly, and left as they are."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from omega.durable import schema, writes
from omega.durable.backups import restore
from omega.durable.records import Batch, Change, NewRun
from omega.durable.sqlite import SQLiteStore
from omega.durable.waiting import LOOK_US, TURN_S, Turn
from omega.errors import Closed, Fenced, HostError, StoreBusy, StoreError, StoreFull
from tests.durable.kit import TTL, Clock, blob, fact, intent, never, opened

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


# -- files that are none ---------------------------------------------------------------------------


def foreign_text(path: Path) -> None:
    path.write_text("a shopping list, which is longer than SQLite's header is: bread, milk. " * 9)


def foreign_tables(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE songs (title TEXT)")
    db.commit()
    db.close()


def foreign_application(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA application_id = 77")
    db.execute("VACUUM")
    db.close()


def newer(path: Path) -> None:
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {schema.VERSION + 8}")
    db.close()


def no_table(path: Path) -> None:
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("DROP TABLE signals")
    db.close()


def changed(path: Path) -> None:
    """As those are that were made before the format was published."""
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE runs ADD COLUMN seq INTEGER")
    db.close()


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "fact", "hint"),
    [
        (foreign_text, "is no store of runs, or its beginning is damaged", "name another file"),
        (foreign_tables, r"this SQLite file is no store of runs \(it has tables songs", "another"),
        (
            foreign_application,
            r"no store of runs \(it has no tables of runs",
            "has not been changed",
        ),
        (newer, r"made by a newer Omega \(format 9, this one knows 1\)", "use that Omega"),
        (
            no_table,
            "the store is damaged: it has no table `signals`",
            "put back a backup with omega runs restore",
        ),
        (changed, r"the tables of this store are not those of its format \(1\)", "by hand"),
        (a_folder, "the store cannot be used: ", "it is a folder: name a file"),
    ],
)
def test_a_file_that_is_no_store_is_told_and_left_as_it_is(
    tmp_path: Path, make: Any, fact: str, hint: str
) -> None:
    make(tmp_path / "runs.db")
    before = contents(tmp_path)
    with pytest.raises(StoreError, match=fact) as caught:
        opened(tmp_path / "runs.db")
    assert str(caught.value).startswith(f"{tmp_path}/runs.db: ") and hint in str(caught.value.hint)
    assert contents(tmp_path) == before
    with pytest.raises(StoreError):
        restore(str(tmp_path / "other.db"), str(tmp_path / "runs.db"))
    assert contents(tmp_path) == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open") as caught:
        opened(tmp_path / "no" / "runs.db")
    assert caught.value.hint == f"there is no folder {tmp_path}/no: make it, or name another file"


def test_a_file_that_may_not_be_written_is_told(path: Path) -> None:
    before = contents(path.parent)

    def read_only(name: str) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=0, isolation_level=None)

    store = opened(path, connect=read_only)
    assert store.run("r1").seq == 20  # to look is possible
    with pytest.raises(StoreError, match="attempt to write a readonly database") as caught:
        store.create(NewRun("r2", "job", {}))
    assert "the file, or its disk, is read-only" in str(caught.value.hint)
    store.close()
    assert {k: v for k, v in contents(path.parent).items() if k == "runs.db"} == before


def test_a_store_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("", ":memory:"):
        with pytest.raises(StoreError, match=f"`{name}` is no file: nothing would be kept there"):
            SQLiteStore(name)
    assert contents(tmp_path) == {}


def test_a_file_that_sqlite_cannot_log_beside_is_refused(tmp_path: Path) -> None:
    def in_memory(name: str) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", timeout=0, isolation_level=None)

    with pytest.raises(StoreError, match="SQLite keeps this one in the mode `memory`"):
        SQLiteStore(str(tmp_path / "runs.db"), connect=in_memory)


class Left(Exception):
    pass


def test_who_waits_writes_before_who_has_just_written(path: Path) -> None:
    def leave(seconds: float) -> None:
        raise Left

    def come_back(seconds: float) -> None:
        """The other one ends its write, and would begin the next one at once."""
        if busy.in_transaction:
            busy.execute("COMMIT")
            with pytest.raises(Left):
                other.create(NewRun("r2", "job", {}))

    other, store = opened(path, pause=leave), opened(path, pause=come_back)
    busy = other.file.begin()
    store.create(NewRun("r3", "job", {}))
    assert [run.id for run in store.runs()] == ["r3", "r1"]
    other.create(NewRun("r2", "job", {}))


def test_one_who_stops_while_it_is_his_turn_is_passed_by(path: Path) -> None:
    waited: list[float] = []
    stopped = Turn(str(path), random.Random(1), never)
    stopped.take()
    store = opened(path, pause=waited.append)
    store.create(NewRun("r2", "job", {}))
    assert TURN_S <= sum(waited) < 2 * TURN_S
    waited.clear()
    store.create(NewRun("r3", "job", {}))
    assert not waited  # it is known by now
    stopped.give()
    store.create(NewRun("r4", "job", {}))
    stopped.take()
    store.create(NewRun("r5", "job", {}))
    assert waited
    stopped.close()


def test_a_closed_store_says_so(path: Path) -> None:
    store = opened(path)
    store.close()
    store.close()
    with pytest.raises(Closed, match=r"runs\.db: this store is closed"):
        store.run("r1")


# -- no room ---------------------------------------------------------------------------------------


def short_of_pages(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=0, isolation_level=None)
    db.execute("PRAGMA max_page_count = 120")
    return db


def fill(store: SQLiteStore, acknowledged: list[str]) -> None:
    """Write until there is no room."""
    lease = store.acquire("r1", "w", TTL)
    for i in range(1_000):
        text = f"more {i} " + random.Random(i).randbytes(900).hex()
        store.append(lease, fact(text, intents=[intent(1_000 + i)]))
        acknowledged.append(text)
    pytest.fail("there is no end to this disk")


def test_a_full_disk_changes_nothing_and_the_store_goes_on_when_there_is_room(path: Path) -> None:
    store, acknowledged = opened(path, connect=short_of_pages), []
    with pytest.raises(StoreFull, match="the store has no room for more") as caught:
        fill(store, acknowledged)
    assert "make room on its disk" in str(caught.value.hint)
    assert [facts[0] for facts in store.journal("r1", 20)] == acknowledged != []
    assert store.check() == []
    with pytest.raises(StoreFull):
        store.create(NewRun("r2", "job", {"x": "y" * 100_000}))
    store.close()
    store = opened(path)
    lease = store.acquire("r1", "w", TTL)
    assert store.append(lease, fact("room again")) == 21 + len(acknowledged)
    store.close()


def test_a_late_writer_is_fenced_also_where_there_is_no_room_to_write_it_down(path: Path) -> None:
    store = opened(path, connect=short_of_pages)
    late = store.acquire("r1", "w", TTL)
    with pytest.raises(StoreFull):
        fill(store, [])
    with pytest.raises(Fenced):
        for _ in range(100):
            store.append(late, fact("late"))
    store.close()


LIMITED = """
import resource, sys
from omega.durable.sqlite import SQLiteStore
from omega.durable.records import Batch
from omega.errors import StoreFull
store = SQLiteStore(sys.argv[1])
lease = store.acquire("r1", "w", 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    for i in range(100_000):
        store.append(lease, Batch([f"more {i} " + "x" * 400]))
        print(i, flush=True)
except StoreFull as error:
    print("full:", error.message, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("then:", store.append(lease, Batch(["room again"])), store.check())
"""


def test_a_limit_of_the_system_on_files_is_a_full_disk(path: Path) -> None:
    done_ = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(400_000)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    *acknowledged, full, then = done_.stdout.splitlines()
    assert full.startswith(f"full: {path}: the store has no room for more") and acknowledged
    assert then == f"then: {21 + len(acknowledged)} []"


def test_a_value_that_is_too_large_is_told_with_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "BLOB_BYTES_MAX", 1_000)
    monkeypatch.setattr(writes, "ENTRY_BYTES_MAX", 1_000)
    store = opened(path)
    lease = store.acquire("r1", "w", TTL)
    with pytest.raises(StoreError, match=r"a value of 1,001 bytes is too large.*1,000 are allowed"):
        store.append(lease, fact("a", blobs=blob(b"x" * 1_001)))
    with pytest.raises(StoreError, match=r"an entry of [0-9,]+ bytes is too large") as caught:
        store.append(lease, fact(random.Random(1).randbytes(2_000).hex()))
    assert "keep large values as blobs" in str(caught.value.hint)
    assert store.run("r1").seq == 20
    store.close()


# -- others ----------------------------------------------------------------------------------------


def test_a_store_that_others_hold_is_waited_for_and_then_told(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 100:
            other.execute("COMMIT")

    store = opened(path, pause=pause)
    store.create(NewRun("r2", "job", {}))
    assert len(pauses) == 100 and all(0.00005 <= s <= 0.0004 for s in pauses)
    assert max(pauses[:3]) < max(pauses[20:])
    other.execute("BEGIN IMMEDIATE")
    assert store.run("r2").state == "pending"  # readers wait for nobody
    del pauses[:]
    pauses += [0.0] * 101
    with pytest.raises(StoreBusy, match="other processes held the store for 10 s") as caught:
        store.create(NewRun("r3", "job", {}))
    assert 10 <= sum(pauses) < 10.001 and "nothing was changed" in str(caught.value.hint)
    other.close()
    store.create(NewRun("r3", "job", {}))
    store.close()


def test_what_ends_the_transaction_it_runs_in_is_told(path: Path) -> None:
    store = opened(path)
    lease = store.acquire("r1", "w", TTL)

    def ends(db: Any) -> Any:
        db.execute("CREATE TABLE mine (n INTEGER UNIQUE)")
        for _ in range(2):
            try:
                db.execute("INSERT OR ROLLBACK INTO mine VALUES (1)")
            except sqlite3.IntegrityError:
                pass
        return fact("a")

    with pytest.raises(HostError, match="what runs in its transaction has ended the store's"):
        store.transact(lease, ends)
    assert store.run("r1").seq == 20 and not store.file.db.in_transaction
    assert store.file.read("SELECT 1 FROM sqlite_master WHERE name = 'mine'") == []
    store.close()


def test_a_late_writer_in_a_loop_does_not_fill_the_store(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omega.durable.sqlite.REFUSALS_MAX", 10)
    store = opened(path)
    late = store.acquire("r1", "w", TTL)
    store.acquire("r1", "w", TTL)
    for _ in range(25):
        with pytest.raises(Fenced):
            store.append(late, fact("late"))
    assert sum("refused" in f for f in store.history("r1")) == 10
    store.close()


# -- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_old", [False, True])
def test_a_migration_that_is_killed_anywhere_is_made_by_the_next(
    tmp_path: Path, path: Path, is_old: bool
) -> None:
    words = [str(tmp_path), str(path)] if is_old else [str(tmp_path)]
    told = subprocess.run(
        [sys.executable, "-m", "tests.durable.killed", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=True,
    )
    statements = int(told.stdout)
    assert statements > (10 if is_old else 35)
    for at in range(statements + 1):
        db = sqlite3.connect(tmp_path / f"killed-{at}.db")
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM store").fetchone() == (1,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        colors = db.execute("SELECT id, color FROM runs").fetchall()
        assert colors == ([("r1", "red")] if is_old else [])
        db.close()


def test_processes_that_open_a_new_store_at_once_make_it_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    script = (
        "import sys; from omega.durable.sqlite import SQLiteStore; sys.stdin.readline();"
        " print(SQLiteStore(sys.argv[1]).generation)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            *(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(5)
    ]  # fmt: skip
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = {process.communicate(timeout=60)[0] for process in processes}
    assert len(told) == 1 and all(process.returncode == 0 for process in processes)


def test_a_run_that_the_hosts_own_table_refers_to_is_not_pruned(tmp_path: Path) -> None:
    store = opened(tmp_path / "runs.db")
    for id in ("r1", "r2", "r3"):
        store.create(NewRun(id, "job", {}, blob(id.encode())))
        lease = store.acquire(id, "w", TTL)

        def act(db: Any, id: str = id) -> Batch:
            db.execute("CREATE TABLE IF NOT EXISTS bills (run TEXT REFERENCES runs (id))")
            if id == "r2":
                db.execute("INSERT INTO bills VALUES ('r2')")
            return fact("billed", change=Change("completed"))

        store.transact(lease, act)
    late = store.clock_us() + 1
    assert store.prune(ended_before_us=late) == 2
    assert [run.id for run in store.runs()] == ["r2"] and list(store.journal("r2")) == [["billed"]]
    assert store.check() == []
    with store.file.writing() as db:
        db.execute("DELETE FROM bills")
    assert store.prune(ended_before_us=late) == 1 and store.runs() == []


# -- copies ----------------------------------------------------------------------------------------


def test_a_backup_overwrites_nothing_and_leaves_nothing_behind(path: Path) -> None:
    store = opened(path)
    (path.parent / "there").write_text("mine")
    with pytest.raises(StoreError, match="there is something here already"):
        store.backup(str(path.parent / "there"))
    with pytest.raises(StoreError, match=r"no/copy\.db: there is no folder for the backup"):
        store.backup(str(path.parent / "no" / "copy.db"))
    store.backup(str(path.parent / "copy.db"))
    store.close()
    assert sorted(contents(path.parent)) == ["copy.db", "runs.db", "there"]
    assert (path.parent / "there").read_text() == "mine"


def test_a_backup_that_is_damaged_is_not_restored(path: Path) -> None:
    store = opened(path)
    store.backup(str(path.parent / "copy.db"))
    content = bytearray((path.parent / "copy.db").read_bytes())
    content[3 * 4096 :] = bytes(len(content) - 3 * 4096)
    (path.parent / "copy.db").write_bytes(content)
    store.close()
    before = contents(path.parent)
    with pytest.raises(StoreError, match="damaged"):
        restore(str(path), str(path.parent / "copy.db"))
    assert contents(path.parent) == before
    with pytest.raises(StoreError, match="there is no backup here to restore"):
        restore(str(path), str(path.parent / "none.db"))
    with pytest.raises(StoreError, match="damaged"):
        restore(str(path.parent / "new.db"), str(path.parent / "copy.db"))
    assert contents(path.parent) == before


def test_a_store_that_is_not_there_is_restored(path: Path) -> None:
    store = opened(path)
    store.backup(str(path.parent / "copy.db"))
    before = store.generation
    store.close()
    path.unlink()
    saved = (path.parent / "copy.db").read_bytes()
    assert restore(str(path), str(path.parent / "copy.db")) != before
    store = opened(path)
    assert store.check() == [] and store.run("r1").seq == 20
    store.close()
    assert (path.parent / "copy.db").read_bytes() == saved
    assert sorted(contents(path.parent)) == ["copy.db", "runs.db"]


def test_content_that_many_runs_have_is_kept_once(tmp_path: Path) -> None:
    store = opened(tmp_path / "runs.db")
    for i in range(50):
        store.create(NewRun(f"r{i}", "job", {}, blob(bytes(range(256)) * 400)))
    assert store.file.one("SELECT count(*), sum(length(content)) < 9000 FROM blobs") == (1, 1)
    assert store.file.one("SELECT count(*) FROM refs") == (50,)
    store.close()


def test_a_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A journal tells what a program has read."""
    path = tmp_path / "runs.db"
    store = SQLiteStore(str(path))
    store.create(NewRun("r1", "job", {}))
    store.backup(str(tmp_path / "copy.db"))
    made = [p for p in tmp_path.iterdir() if p.name.startswith(("runs.db", "copy.db"))]
    assert {p.stat().st_mode & 0o777 for p in made} == {0o600}
    store.close()


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_is_taken_away_while_it_is_in_use(path: Path, is_replaced: bool) -> None:
    """Nobody would ever see what is written then."""
    clock = Clock()
    store = opened(path, clock_us=clock)
    lease = store.acquire("r1", "w", TTL, dead="w")
    store.append(lease, fact("before"))
    clock.passes(LOOK_US)
    other = path.parent / "other.db"
    opened(other).close()
    if is_replaced:
        other.rename(path)
    else:
        path.unlink()
    writes = [
        lambda: store.append(lease, fact("lost")),
        lambda: store.renew(lease, TTL),
        lambda: store.create(NewRun("r2", "job", {})),
        lambda: store.effects("r1"),
    ]
    for write in writes:
        with pytest.raises(StoreError, match="removed while it was in use, or another one") as told:
            write()
        assert "omega runs restore" in str(told.value.hint)


def test_a_store_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened(Path("runs.db"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.create(NewRun("r1", "job", {}))
    assert store.run("r1").seq == 0
