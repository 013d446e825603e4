"""Whether a store is whole.

Owns: `check`: what SQLite can say of its file, and what only we know: content fits its hash,
journals have no gap, the totals of a run are the sums of its effects. Refuses: to mend.
"""

from __future__ import annotations

from typing import Any

from omega.durable import rows
from omega.durable.connection import File

COMPLAINTS_MAX = 100


def check(file: File) -> list[str]:
    """What is wrong, each in a sentence."""
    found = [row[0] for row in file.read(f"PRAGMA integrity_check({COMPLAINTS_MAX})")]
    if found != ["ok"]:
        return found  # of a file that is damaged, the rest would be noise
    found = []
    with file.reading() as db:
        for table, rowid, parent, _ in db.execute("PRAGMA foreign_key_check"):
            found.append(f"row {rowid} of {table} refers to nothing in {parent}")
        for part in (_blobs, _journals, _strays, _books, _counted):
            found += part(db)
            if len(found) >= COMPLAINTS_MAX:
                break
    return found[:COMPLAINTS_MAX]


def _blobs(db: Any) -> list[str]:
    found = []
    for hash, size, is_deflated, kept in db.execute(
        "SELECT hash, bytes, is_deflated, content FROM blobs"
    ):
        try:
            content = rows.unpacked(is_deflated, kept)
        except ValueError as error:
            found.append(f"the content {hash} cannot be unpacked: {error}")
            continue
        if rows.hash_of(content) != hash or len(content) != size:
            found.append(f"the content {hash} has another sha256")
    found += [
        f"nothing refers to the content {hash}"
        for (hash,) in db.execute(
            "SELECT hash FROM blobs WHERE number NOT IN (SELECT blob FROM refs)"
        )
    ]
    return found


def _journals(db: Any) -> list[str]:
    """A run has its own entries from where it was forked off to its last, each whole."""
    found = []
    for number, id, base, last in db.execute("SELECT number, id, parent_seq, seq FROM runs"):
        expected = base + 1
        for seq, *kept in db.execute(
            "SELECT seq, crc, is_deflated, facts FROM journal WHERE place BETWEEN ? AND ?"
            " ORDER BY place",
            (rows.place(number, 0), rows.place(number, rows.SEQ_MAX)),
        ):
            if seq != expected:
                break
            expected += 1
            try:
                rows.facts_of(*kept)
            except ValueError as error:
                found.append(f"entry {seq} of run {id} is damaged: {error}")
        if expected != last + 1:
            found.append(f"run {id} has no entry {expected}; its last is {last}")
    return found


def _strays(db: Any) -> list[str]:
    """Entries of no run: no foreign key says it of a part of a number."""
    found = db.execute(
        "SELECT DISTINCT run FROM journal WHERE run NOT IN (SELECT number FROM runs) LIMIT ?",
        (COMPLAINTS_MAX,),
    )
    return [
        f"the journal has entries of a run with the number {run}: there is none" for (run,) in found
    ]


# Each gives the ids of runs it does not hold for.
_BOOKS = (
    (
        "its totals are not what its effects come to",
        """SELECT r.id FROM runs r LEFT JOIN effects e ON e.run = r.number GROUP BY r.number
        HAVING r.tokens <> coalesce(sum(e.tokens), 0) OR r.cost <> coalesce(sum(e.cost), 0)
        OR r.effects <> count(*) FILTER (WHERE e.effect_class = 'paid' AND e.outcome IS NOT NULL)
        OR r.reserved <> coalesce(sum(e.reserved) FILTER (WHERE e.outcome IS NULL), 0)""",
    ),
    (
        "its effects were written with entries that it does not have",
        """SELECT DISTINCT r.id FROM runs r JOIN effects e ON e.run = r.number
        WHERE e.seq > r.seq OR e.result_seq > r.seq OR e.result_seq < e.seq""",
    ),
    (
        "its incarnations are not counted through",
        """SELECT r.id FROM runs r LEFT JOIN incarnations i ON i.run = r.number GROUP BY r.number
        HAVING count(i.run) <> r.incarnation OR max(i.incarnation) IS NOT r.incarnation
        OR max(i.first_seq) IS NOT r.first_seq""",
    ),
    (
        "its history does not end with its state",
        """SELECT r.id FROM runs r WHERE r.state IS NOT (SELECT new FROM history
        WHERE run = r.number ORDER BY id DESC LIMIT 1)""",
    ),
    (
        "its history has a gap",
        """SELECT DISTINCT r.id FROM runs r JOIN (SELECT run, old, lag(new) OVER
        (PARTITION BY run ORDER BY id) AS before FROM history) h ON h.run = r.number
        WHERE h.old IS NOT h.before""",
    ),
    (
        "it waits for a signal that has come, and is not due",
        """SELECT DISTINCT r.id FROM runs r JOIN signals s ON s.run = r.number
        WHERE r.state = 'suspended' AND s.taken_seq IS NULL AND r.due_us IS NULL
        AND s.name IN (SELECT value FROM json_each(r.waits_for))""",
    ),
)


def _books(db: Any) -> list[str]:
    return [f"run {id}: {what}" for what, sql in _BOOKS for (id,) in db.execute(sql)]


def _counted(db: Any) -> list[str]:
    stores = db.execute("SELECT count(*) FROM store").fetchone()[0]
    return [] if stores == 1 else [f"the store tells of itself {stores} times, not once"]
