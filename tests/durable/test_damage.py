"""A store that is damaged, or was changed by hand: what is wrong is found, and told."""

from __future__ import annotations

import random
import re
import sqlite3
import zlib
from pathlib import Path

import pytest

from omega.durable import rows, schema, writes
from omega.durable.records import Change
from omega.errors import StoreError
from tests.durable.kit import TTL, blob, fact, opened

GUARDS = {
    name: sql
    for sql in schema.MIGRATIONS[0]
    for name in ("runs_journal", "journal_kept")
    if sql.startswith(f"CREATE TRIGGER {name} ")
}


def by_hand(path: Path, *script: str) -> None:
    """What is done to a file by somebody who first takes its guards away."""
    db = sqlite3.connect(path, isolation_level=None)
    for name in GUARDS:
        db.execute(f"DROP TRIGGER {name}")
    for sql in script:
        db.execute(sql)
    for sql in GUARDS.values():
        db.execute(sql)
    db.close()


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_found_and_told_never_raised_as_something_else(path: Path, seed: int) -> None:
    """A page of the file is overwritten: what is read is right, or a StoreError."""
    store = opened(path)
    wanted = list(store.journal("r1"))
    store.close()
    rng = random.Random(seed)
    content = bytearray(path.read_bytes())
    at = rng.randrange(1, len(content) // 4096) * 4096
    content[at : at + 4096] = rng.choice([bytes(4096), rng.randbytes(4096)])
    path.write_bytes(content)
    try:
        store = opened(path)
        assert store.check() != [] or list(store.journal("r1")) == wanted
        for ask in (lambda: list(store.journal("r1")), store.runs, lambda: store.effects("r1")):
            try:
                ask()
            except StoreError:
                pass
        store.close()
    except StoreError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "UPDATE journal SET facts = CAST(x'00' || facts AS BLOB) WHERE seq = 7",
            "entry 7 of run r1 is damaged",
        ),
        ("UPDATE journal SET is_deflated = 1 - is_deflated WHERE seq = 7", "entry 7 of run r1"),
        ("DELETE FROM journal WHERE seq = 7", "run r1 has no entry 7; its last is 20"),
        ("UPDATE blobs SET content = x'00'", "the content .* cannot be unpacked"),
        ("UPDATE blobs SET content = x'00', is_deflated = 0", "the content .* has another sha256"),
        ("DELETE FROM refs", "nothing refers to the content"),
        ("UPDATE journal SET calls = '[]' WHERE seq = 3", "entry 3 of run r1 is damaged"),
        ("UPDATE journal SET reserved = 1 WHERE seq = 3", "run r1, entry 3: its totals are not"),
        ("UPDATE journal SET tokens = 1 WHERE seq = 20", "run r1, entry 20: its totals are not"),
        ("DELETE FROM history WHERE new = 'pending'", "run r1: its history has a gap"),
        ("DELETE FROM history WHERE new = 'running'", "its history does not end with its state"),
        ("DELETE FROM incarnations", "run r1: its incarnations are not counted through"),
        ("DELETE FROM store", "the store tells of itself 0 times"),
        ("DELETE FROM runs", "refers to nothing in runs"),
        ("DELETE FROM runs", "entries of a run with the number 1: there is none"),
    ],
)
def test_check_finds_what_does_not_fit(path: Path, sql: str, told: str) -> None:
    by_hand(path, sql)
    store = opened(path)
    found = store.check()
    store.close()
    assert any(re.search(told, line) for line in found), found


BEGUN = '[9, "main", 9, "llm", "{}", "hash", "hi", {}]'


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ("[", "its effects cannot be read"),
        ("7", "its effects cannot be read"),
        ("[[1, 2, 3]]", "its effects cannot be read: an effect of 3 parts"),
        ('[[9, "ok", 1, 1]]', "there is no open effect 9 to have a result"),
        ('[[3, "ok", 1, 1], [3, "ok", 1, 1]]', "there is no open effect 3 to have a result"),
        ('[[3, "well", 1, 1]]', "effect 3 ended as none does"),
        ('[[3, "ok", -1, 1]]', "effect 3 ended as none does"),
        (f"[{BEGUN.format('free', 1)}]", "effect 9 began as what none is"),
        (f"[{BEGUN.format('paid', -1)}]", "effect 9 began as what none is"),
        (f"[{BEGUN.format('paid', 1)}, {BEGUN.format('paid', 1)}]", "there is an effect 9 already"),
        ('[[3, "ok", 1, 1]]', "its totals are not what the effects come to"),
    ],
)
def test_check_finds_effects_that_cannot_be(path: Path, calls: str, told: str) -> None:
    """Written by somebody who also mends the checksum."""
    db = sqlite3.connect(path)
    facts, is_deflated = db.execute(
        "SELECT facts, is_deflated FROM journal WHERE seq = 7"
    ).fetchone()
    db.close()
    crc = zlib.crc32(rows.unpacked(is_deflated, facts) + calls.encode())
    by_hand(path, f"UPDATE journal SET calls = '{calls}', crc = {crc} WHERE seq = 7")
    store = opened(path)
    assert (
        [line for line in store.check() if "entry" in line]
        == [line for line in store.check() if re.search(f"run r1, entry 7: .*{told}", line)]
        != []
    )
    store.close()


def test_an_entry_that_is_gone_from_the_end_is_missed_once_its_owner_let_go(path: Path) -> None:
    store = opened(path)
    lease = store.acquire("r1", "w", TTL)
    store.append(lease, fact("last", change=Change("pending")))
    store.close()
    by_hand(path, "DELETE FROM journal WHERE seq = 21")
    store = opened(path)
    assert store.check() == ["run r1 has no entry 21; its last is 21"]
    store.close()


ADDED = f"INSERT INTO journal ({writes.ENTRY}) VALUES"


@pytest.mark.parametrize(
    "sql",
    [
        f"{ADDED} (7, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, x'00')",  # of no run
        f"{ADDED} (1 << 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, x'00')",  # before the first one
        f"{ADDED} ((1 << 32) + 77, 0, 2, 0, 0, 0, 0, 0, 0, 0, NULL, x'00')",
        f"{ADDED} ((1 << 32) + 77, 0, 0, 0, -1, 0, 0, 0, 0, 0, NULL, x'00')",
        f"{ADDED} ((1 << 32) + 77, 0, 0, 0, 0, 0, -1, 0, 0, 0, NULL, x'00')",
        f"{ADDED} ((1 << 32) + 77, 0, 0, 0, 0, 0, 0, 1, 1, 0, NULL, x'00')",  # reserves for nothing
        f"{ADDED} ((1 << 32) + 77, 0, 0, 0, 0, 0, 0, 0, 1, -1, NULL, x'00')",
        f"{ADDED} ((1 << 32) + 77, 0, 0, 0, 0, 0, 0, 0, -1, 1, NULL, x'00')",  # none began
        "UPDATE journal SET facts = x'00' WHERE seq = 3",
        "UPDATE journal SET place = 1 << 32 WHERE seq = 3",
        "PRAGMA foreign_keys = OFF; DELETE FROM runs",
    ],
)
def test_the_file_itself_refuses_rows_that_say_what_cannot_be(path: Path, sql: str) -> None:
    db = sqlite3.connect(path)
    refused = r"CHECK constraint failed|keeps its journal|an entry of a journal does not change"
    with pytest.raises(sqlite3.IntegrityError, match=refused):
        db.executescript(sql)
    db.close()


def test_a_damaged_entry_is_an_error_where_it_is_read(path: Path) -> None:
    by_hand(
        path,
        "UPDATE journal SET facts = CAST(x'00' || facts AS BLOB) WHERE seq = 3",
        "DELETE FROM journal WHERE seq = 9",
        "UPDATE blobs SET content = x'00'",
    )
    store = opened(path)
    entries = store.journal("r1")
    assert next(entries)[0].startswith("fact 0") and next(entries)[0].startswith("fact 1")
    with pytest.raises(StoreError, match="the store is damaged: entry 3 of run r1"):
        next(entries)
    with pytest.raises(StoreError, match="the store is damaged: run r1 has no entry 9"):
        list(store.journal("r1", 3))
    with pytest.raises(
        StoreError, match=r"the store is damaged: the content .* has another sha256"
    ):
        store.blob(next(iter(blob(b"y" * 9_000))))
    store.close()
