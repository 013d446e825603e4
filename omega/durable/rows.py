"""What stands in the rows of a store: texts and blobs as bytes, JSON, runs as records.

Owns: how entries and blobs are packed, the columns of a run, the parts of a journal that forks
share (`lineage`). Refuses: to write.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omega.durable.records import Intent, Result, RunRecord, Signal, Totals
from omega.durable.refusals import no_data

DEFLATE_BYTES_MIN = 512  # shorter ones gain nothing
DEFLATE_LEVEL = 1  # three quarters of what 6 gains, in a third of its time

# -- packing ---------------------------------------------------------------------------------------


def packed(content: bytes) -> tuple[int, bytes]:
    """(is_deflated, as it is kept)."""
    if len(content) >= DEFLATE_BYTES_MIN:
        shorter = zlib.compress(content, DEFLATE_LEVEL)
        if len(shorter) < len(content):
            return 1, shorter
    return 0, content


def unpacked(is_deflated: int, content: bytes) -> bytes:
    """Raises ValueError for what was not packed so."""
    if not is_deflated:
        return content
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def entry(facts: Sequence[str]) -> tuple[int, int, bytes]:
    """(crc, is_deflated, facts): lines as a row of the journal."""
    joined = "\n".join(facts)
    assert joined.count("\n") == len(facts) - 1, "a fact is one line"
    text = joined.encode("utf-8", "surrogatepass")
    return zlib.crc32(text), *packed(text)


def facts_of(crc: int, is_deflated: int, kept: bytes) -> list[str]:
    """Raises ValueError for a row that is damaged."""
    text = unpacked(is_deflated, kept)
    if zlib.crc32(text) != crc:
        raise ValueError("its checksum does not fit")
    return text.decode("utf-8", "surrogatepass").split("\n")


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def message(run: str, value: Any) -> str:
    """The value of a signal as it is kept. Raises HostError when JSON cannot hold it."""
    try:
        return to_json(value)
    except RecursionError:
        why = "it is nested too deeply"
    except (TypeError, ValueError) as error:
        why = str(error)
    raise no_data(run, why)


def as_kept(value: Any) -> Any:
    """JSON data as it is read back."""
    return json.loads(to_json(value))


# The column `place` of the journal: a run's entries are those of one range.
SEQ_BITS = 32
SEQ_MAX = (1 << SEQ_BITS) - 1


def place(run: int, seq: int) -> int:
    """Where the entry `seq` of a run stands, the run told by its number."""
    return run << SEQ_BITS | seq


# -- runs ------------------------------------------------------------------------------------------

RUN = (
    "SELECT r.number, r.id, r.name, r.state, r.reason, i.header, p.id, r.parent_seq, r.incarnation,"
    " r.first_seq, r.seq, r.epoch, r.owner, r.lease_until_us, r.wake_at_us, r.waits_for, r.outcome,"
    " r.effects, r.tokens, r.cost, r.reserved, r.created_us, r.updated_us"
    " FROM runs r JOIN incarnations i ON i.run = r.number AND i.incarnation = r.incarnation"
    " LEFT JOIN runs p ON p.number = r.parent"
)


def record(row: Sequence[Any]) -> RunRecord:
    """A row of `RUN`."""
    return RunRecord(
        id=row[1],
        name=row[2],
        state=row[3],
        reason=row[4],
        header=json.loads(row[5]),
        parent=row[6],
        parent_seq=row[7],
        incarnation=row[8],
        first_seq=row[9],
        seq=row[10],
        epoch=row[11],
        owner=row[12],
        lease_until_us=row[13],
        wake_at_us=row[14],
        waits_for=tuple(json.loads(row[15])) if row[15] else (),
        outcome=None if row[16] is None else json.loads(row[16]),
        totals=Totals(row[17], row[18], row[19]),
        reserved=row[20],
        created_us=row[21],
        updated_us=row[22],
    )


SIGNAL = "SELECT s.id, r.id, s.name, s.value, s.key, s.who, s.at_us, s.taken_seq FROM signals s"


def signal(row: Sequence[Any]) -> Signal:
    return Signal(row[0], row[1], row[2], json.loads(row[3]), *row[4:])


EFFECT = (
    "SELECT number, task, n, kind, effect_class, hash, asked, reserved,"
    " outcome, tokens, cost, result_seq FROM effects"
)


def effect(row: Sequence[Any], until: int) -> tuple[Intent, Result | None]:
    """until: results of later entries are not seen."""
    intent = Intent(*row[:8])
    if row[8] is None or row[11] > until:
        return intent, None
    return intent, Result(row[0], row[8], row[9], row[10])


# -- what forks share ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """The entries (after, until] of a run's journal, by its number; of which incarnation."""

    run: int
    incarnation: int
    after: int
    until: int


def incarnation_at(db: Any, run: int, seq: int) -> tuple[int, int] | None:
    """(incarnation, its first entry) that has the entry `seq`, also where it is an ancestor's.
    None when there is no such entry, or no such run.
    """
    while True:
        row = db.execute(
            "SELECT parent, parent_seq, seq FROM runs WHERE number = ?", (run,)
        ).fetchone()
        if row is None or seq > row[2]:
            return None
        if row[0] is None or seq > row[1]:
            break
        run = row[0]
    found = db.execute(
        "SELECT incarnation, first_seq FROM incarnations WHERE run = ? AND first_seq <= ?"
        " ORDER BY incarnation DESC LIMIT 1",
        (run, max(seq, 1)),
    ).fetchone()
    return None if found is None else (found[0], found[1])


def lineage(db: Any, run: int, of: int | None = None) -> list[Part]:
    """Where the entries of a run's incarnation are, in their order: its own, and before them those
    of the runs that it is a fork of. of: another incarnation than the latest.
    """
    row = db.execute(
        "SELECT parent, parent_seq, incarnation, first_seq, seq FROM runs WHERE number = ?", (run,)
    ).fetchone()
    if row is None:
        return []
    parent, base, incarnation, first, until = row
    if of is not None and of != incarnation:
        bounds = db.execute(
            "SELECT first_seq, (SELECT first_seq - 1 FROM incarnations"
            " WHERE run = ? AND incarnation = ?)"
            " FROM incarnations WHERE run = ? AND incarnation = ?",
            (run, of + 1, run, of),
        ).fetchone()
        if bounds is None:
            return []
        incarnation, (first, until) = of, bounds
    parts = [Part(run, incarnation, max(first - 1, base), until)]
    while parent is not None and base >= first:
        until = base
        above = db.execute(
            "SELECT parent, parent_seq FROM runs WHERE number = ?", (parent,)
        ).fetchone()
        at = incarnation_at(db, parent, until)
        assert above is not None and at is not None, "a parent is never deleted before its fork"
        run, parent, base = parent, above[0], min(above[1], until)
        if until > base:
            parts.append(Part(run, at[0], max(first - 1, base), until))
    return parts[::-1]
