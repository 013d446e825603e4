"""Whether a store is whole.

Owns: `check`: what SQLite can say of its file, and what only we know: content fits its hash,
journals have no gap, the sums that stand in them are those of the effects. Refuses: to mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from omega.durable import rows
from omega.durable.connection import File
from omega.durable.records import Batch, Intent, Result
from omega.durable.tally import NONE, Tally
from omega.errors import OmegaBug

COMPLAINTS_MAX = 100
CLASSES = ("paid", "idempotent", "transactional")
OUTCOMES = ("ok", "error", "unknown")


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
    for number, id, base, seen in db.execute(
        "SELECT number, id, parent_seq, seen_seq FROM runs ORDER BY number"
    ):
        expected, books = base + 1, _Books(db, number)
        bounds = (rows.place(number, 0), rows.place(number, rows.SEQ_MAX))
        for seq, crc, is_deflated, calls, facts, *sums in db.execute(
            "SELECT seq, crc, is_deflated, calls, facts, effects, tokens, cost, reserved, begun,"
            " open FROM journal WHERE place BETWEEN ? AND ? ORDER BY place",
            bounds,
        ):
            if seq != expected:
                break
            expected += 1
            try:
                rows.facts_of(crc, is_deflated, calls, facts)
            except ValueError as error:
                found.append(f"entry {seq} of run {id} is damaged: {error}")
                books.is_wrong = True
            found += [f"run {id}, entry {seq}: {what}" for what in books.add(seq, calls, sums)]
        last = db.execute(
            "SELECT max(seq) FROM journal WHERE place BETWEEN ? AND ?", bounds
        ).fetchone()[0]
        last = max(last or 0, seen)
        if expected <= last:
            found.append(f"run {id} has no entry {expected}; its last is {last}")
    return found


class _Books:
    """The effects of a run, added up entry by entry, beside the sums that stand there."""

    def __init__(self, db: Any, number: int) -> None:
        self.is_wrong = False  # all that comes behind would be told again
        self._tally = Tally()
        self._begun: set[int] = set()
        shared = [part for part in rows.lineage(db, number, 1) if part.run != number]
        for call in rows.calls_in(db, shared):  # it has paid nothing for those
            if isinstance(call, Intent):
                self._tally.open[call.number] = (call.effect_class == "paid", 0)
                self._tally.begun = max(self._tally.begun, call.number)
                self._begun.add(call.number)
            else:
                self._tally.open.pop(call.number, None)
        self._anew = {
            first
            for (first,) in db.execute(
                "SELECT first_seq FROM incarnations WHERE run = ? AND incarnation > 1", (number,)
            )
        }

    def add(self, seq: int, calls: str | None, sums: Sequence[int]) -> Iterator[str]:
        """What is wrong with an entry, the first time that something is."""
        if self.is_wrong:
            return
        if seq in self._anew:
            self._tally.begun = NONE
            self._begun.clear()
        wrong = self._wrong(calls)
        if wrong is None and self._tally.kept() != tuple(sums):
            wrong = "its totals are not what the effects come to"
        if wrong is not None:
            self.is_wrong = True
            yield wrong

    def _wrong(self, calls: str | None) -> str | None:
        try:
            told = [] if calls is None else list(rows.calls_of(calls))
        except (ValueError, TypeError) as error:
            return f"its effects cannot be read: {error}"
        intents = [call for call in told if isinstance(call, Intent)]
        results = [call for call in told if isinstance(call, Result)]
        for intent in intents:
            if intent.effect_class not in CLASSES or intent.reserved < 0:
                return f"effect {intent.number} began as what none is"
        for result in results:
            if result.outcome not in OUTCOMES or result.tokens < 0 or result.cost < 0:
                return f"effect {result.number} ended as none does"
        try:
            self._tally.add("", Batch((), intents, results), self._begun.__contains__)
        except OmegaBug as error:
            return str(error.message)
        self._begun.update(intent.number for intent in intents)
        return None


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
