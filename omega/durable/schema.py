"""The file's format: its tables, and how a file of an older format becomes one of this.

Owns: `APPLICATION`, `VERSION`, `MIGRATIONS`, `FINGERPRINT`. Refuses: to open files.

Migrations only go forward. Each is one transaction together with the number of its format, so one
that is killed anywhere has not begun, and the next to open the file makes it. A migration that has
been published is never changed: files made by it are out there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from omega.durable import states

APPLICATION = 0x4F_4D_52_4E  # "OMRN", in the file's header
SQLITE_MIN = (3, 37, 0)  # STRICT tables

_RUN = "run INTEGER NOT NULL REFERENCES runs (number)"

_FIRST = (
    # One row: what the store is as a whole. generation: rises with each restore; token: so that no
    # two restores of one backup are the same.
    """CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    token TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT""",
    # The row that every write reads: short. Headers, which are long, stand apart. How far the run
    # has come, and what it has cost, is told by the last entry of its journal.
    # parent, parent_seq: the journal up to there is the parent's. first_seq: of this incarnation.
    # seen_seq: of the last entry when this row was written: the journal does not end before it.
    # lease_us: how long its owner asked for. due_us: when somebody is to go on with it.
    f"""CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE CHECK (id <> ''),
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    parent INTEGER REFERENCES runs (number),
    parent_seq INTEGER NOT NULL CHECK (parent_seq >= 0),
    incarnation INTEGER NOT NULL CHECK (incarnation >= 1),
    first_seq INTEGER NOT NULL CHECK (first_seq >= 1),
    seen_seq INTEGER NOT NULL CHECK (seen_seq >= first_seq - 1),
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    owner TEXT,
    lease_us INTEGER CHECK (lease_us > 0),
    lease_until_us INTEGER,
    wake_at_us INTEGER,
    waits_for TEXT CHECK (waits_for IS NULL OR json_valid(waits_for)),
    due_us INTEGER,
    outcome TEXT CHECK (outcome IS NULL OR json_valid(outcome)),
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    CHECK (parent IS NOT NULL OR parent_seq = 0),
    {f",{chr(10)}    ".join(states.checks())}
) STRICT""",
    "CREATE INDEX runs_due ON runs (due_us) WHERE due_us IS NOT NULL",
    "CREATE INDEX runs_state ON runs (state)",
    "CREATE INDEX runs_name ON runs (name)",
    "CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL",
    *states.triggers(),
    # What a run was started with, and each time it began anew.
    f"""CREATE TABLE incarnations (
    {_RUN},
    incarnation INTEGER NOT NULL CHECK (incarnation >= 1),
    first_seq INTEGER NOT NULL,
    header TEXT NOT NULL CHECK (json_valid(header)),
    at_us INTEGER NOT NULL,
    PRIMARY KEY (run, incarnation)
) STRICT""",
    # A row is what one transaction wrote: its lines, deflated when that makes them shorter. A run's
    # own entries only: those it shares are its parent's. place: run and seq in one number, so that
    # SQLite appends to the table, where an index would be rebalanced: that writes a page less per
    # commit. crc: of facts and calls. calls: the effects that began and ended with it (rows.py).
    # effects to open: the sums of those, up to here (tally.py): what is written with each entry is
    # this row, and nothing else.
    """CREATE TABLE journal (
    place INTEGER PRIMARY KEY,
    run INTEGER GENERATED ALWAYS AS (place >> 32) VIRTUAL CHECK (run >= 1),
    seq INTEGER GENERATED ALWAYS AS (place & 4294967295) VIRTUAL CHECK (seq >= 1),
    at_us INTEGER NOT NULL,
    is_deflated INTEGER NOT NULL CHECK (is_deflated IN (0, 1)),
    crc INTEGER NOT NULL,
    effects INTEGER NOT NULL CHECK (effects >= 0),
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    cost INTEGER NOT NULL CHECK (cost >= 0),
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    begun INTEGER NOT NULL CHECK (begun >= -1),
    open INTEGER NOT NULL CHECK (open >= 0),
    calls TEXT,
    facts BLOB NOT NULL,
    CHECK (open > 0 OR reserved = 0),
    CHECK (open = 0 OR begun >= 0)
) STRICT""",
    """CREATE TRIGGER journal_kept BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'an entry of a journal does not change'); END""",
    """CREATE TRIGGER runs_journal BEFORE DELETE ON runs
WHEN EXISTS (SELECT 1 FROM journal WHERE place > OLD.number << 32
    AND place < (OLD.number + 1) << 32)
BEGIN SELECT RAISE(ABORT, 'a run keeps its journal'); END""",
    # Content by its sha256, once, whoever refers to it.
    """CREATE TABLE blobs (
    number INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    is_deflated INTEGER NOT NULL CHECK (is_deflated IN (0, 1)),
    content BLOB NOT NULL
) STRICT""",
    f"""CREATE TABLE refs (
    {_RUN},
    blob INTEGER NOT NULL REFERENCES blobs (number),
    PRIMARY KEY (run, blob)
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX refs_blob ON refs (blob)",
    # taken_seq NULL: the run has not received it yet.
    f"""CREATE TABLE signals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_RUN},
    name TEXT NOT NULL,
    value TEXT NOT NULL CHECK (json_valid(value)),
    key TEXT NOT NULL,
    who TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    taken_seq INTEGER,
    UNIQUE (run, key)
) STRICT""",
    f"""CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    {_RUN},
    at_us INTEGER NOT NULL,
    old TEXT,
    new TEXT NOT NULL,
    reason TEXT,
    owner TEXT,
    epoch INTEGER NOT NULL
) STRICT""",
    "CREATE INDEX history_run ON history (run)",
    f"""CREATE TABLE refusals (
    id INTEGER PRIMARY KEY,
    {_RUN},
    at_us INTEGER NOT NULL,
    refused TEXT NOT NULL,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL
) STRICT""",
    "CREATE INDEX refusals_run ON refusals (run)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
VERSION = len(MIGRATIONS)
# Of the newest format, see `fingerprint`: a file that says it is of this format, and is not, was
# changed by hand, or was made by an Omega that was never published.
FINGERPRINT = "5cc7d5c1810de345"
TABLES = (
    *("store", "runs", "incarnations", "journal", "blobs", "refs", "signals", "history"),
    "refusals",
)
# Everything that a format makes; what a host or a hand has put beside it is not looked at.
NAMES = tuple(sql.split(None, 3)[2] for migration in MIGRATIONS for sql in migration)


def fingerprint(made: Iterable[tuple[str, str]]) -> str:
    """Of (name, sql) of what a file has."""
    text = "\n".join(sql for _, sql in sorted(made))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
