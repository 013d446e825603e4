"""What stands in the rows of a store: texts and blobs as bytes, JSON, runs as records.

Owns: how entries, their effects and blobs are packed, the columns of a run, the parts of a journal
that forks share (`lineage`). Refuses: to write.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from omega.durable.records import Batch, Intent, Result, RunRecord, Signal, Totals
from omega.durable.refusals import no_data
from omega.durable.tally import NONE

DEFLATE_BYTES_MIN = 512  # shorter ones gain nothing
DEFLATE_LEVEL = 1  # three quarters of what 6 gains, in a third of its time
INTENT_FIELDS, RESULT_FIELDS = 8, 4

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


def entry(batch: Batch) -> tuple[int, int, str | None, bytes]:
    """(is_deflated, crc, calls, facts): a batch as a row of the journal."""
    facts = batch.facts
    joined = "\n".join((*facts, ""))
    assert joined.count("\n") == len(facts), "a fact is one line"
    text = joined.encode("utf-8", "surrogatepass")
    calls = None
    if batch.intents or batch.results:
        calls = calls_text(batch.intents, batch.results)
    is_deflated, kept = packed(text)
    return is_deflated, _crc(text, calls), calls, kept


def facts_of(crc: int, is_deflated: int, calls: str | None, kept: bytes) -> list[str]:
    """Raises ValueError for a row that is damaged."""
    text = unpacked(is_deflated, kept)
    if _crc(text, calls) != crc:
        raise ValueError("its checksum does not fit")
    return text.decode("utf-8", "surrogatepass").split("\n")[:-1]


def _crc(text: bytes, calls: str | None) -> int:
    return zlib.crc32(text if calls is None else text + calls.encode("utf-8", "surrogatepass"))


def calls_text(intents: Sequence[Intent], results: Sequence[Result]) -> str:
    """A row's effects, as JSON: those that began, then those that ended. By hand: an encoder with
    settings of its own takes as long as the rest of a write.
    """
    began = [
        f"[{i.number},{quoted(i.task)},{i.n},{quoted(i.kind)},{quoted(i.effect_class)},"
        f"{quoted(i.hash)},{quoted(i.asked)},{i.reserved}]"
        for i in intents
    ]
    ended = [f"[{r.number},{quoted(r.outcome)},{r.tokens},{r.cost}]" for r in results]
    return f"[{','.join(began + ended)}]"


def calls_of(text: str) -> Iterator[Intent | Result]:
    """What `calls_text` was given. Raises ValueError for what it has not written."""
    for fields in json.loads(text):
        if len(fields) == INTENT_FIELDS:
            yield Intent(*fields)
        elif len(fields) == RESULT_FIELDS:
            yield Result(*fields)
        else:
            raise ValueError(f"an effect of {len(fields)} parts")


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

# The last entry, as j, of a run r: of its own, which it may not have yet.
LAST = (
    "LEFT JOIN journal j ON j.place = (SELECT place FROM journal WHERE place > r.number << 32"
    " AND place < (r.number + 1) << 32 ORDER BY place DESC LIMIT 1)"
)
SEQ = "coalesce(j.seq, r.parent_seq)"
RUN = (
    "SELECT r.number, r.id, r.name, r.state, r.reason, i.header, p.id, r.parent_seq, r.incarnation,"
    f" r.first_seq, {SEQ}, r.epoch, r.owner, r.lease_until_us, r.wake_at_us, r.waits_for,"
    " r.outcome, coalesce(j.effects, 0), coalesce(j.tokens, 0), coalesce(j.cost, 0),"
    " coalesce(j.reserved, 0), r.created_us, max(r.updated_us, coalesce(j.at_us, 0))"
    " FROM runs r JOIN incarnations i ON i.run = r.number AND i.incarnation = r.incarnation"
    f" LEFT JOIN runs p ON p.number = r.parent {LAST}"
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


def as_it_was(record: RunRecord, incarnation: int, first: int, last: int, header: str) -> RunRecord:
    """A run, as one of its earlier incarnations has left it."""
    return replace(
        record, header=json.loads(header), incarnation=incarnation, first_seq=first, seq=last
    )


SIGNAL = "SELECT s.id, r.id, s.name, s.value, s.key, s.who, s.at_us, s.taken_seq FROM signals s"


def signal(row: Sequence[Any]) -> Signal:
    return Signal(row[0], row[1], row[2], json.loads(row[3]), *row[4:])


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
            f"SELECT r.parent, r.parent_seq, {SEQ} FROM runs r {LAST} WHERE r.number = ?", (run,)
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


def earlier(db: Any, run: int, incarnation: int) -> tuple[int, int, str] | None:
    """(its first entry, its last one, header) of an incarnation of a run that is over."""
    found: tuple[int, int, str] | None = db.execute(
        "SELECT i.first_seq, next.first_seq - 1, i.header FROM incarnations i"
        " JOIN incarnations next ON next.run = i.run AND next.incarnation = i.incarnation + 1"
        " WHERE i.run = ? AND i.incarnation = ?",
        (run, incarnation),
    ).fetchone()
    return found


def lineage(db: Any, run: int, of: int | None = None) -> list[Part]:
    """Where the entries of a run's incarnation are, in their order: its own, and before them those
    of the runs that it is a fork of. of: another incarnation than the latest.
    """
    row = db.execute(
        f"SELECT r.parent, r.parent_seq, r.incarnation, r.first_seq, {SEQ} FROM runs r {LAST}"
        " WHERE r.number = ?",
        (run,),
    ).fetchone()
    if row is None:
        return []
    parent, base, incarnation, first, until = row
    if of is not None and of != incarnation:
        found = earlier(db, run, of)
        if found is None:
            return []
        incarnation, (first, until, _) = of, found
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


def effects(db: Any, parts: Sequence[Part]) -> dict[int, tuple[Intent, Result | None]]:
    """Of an incarnation, by number, those it shares included. Raises ValueError, KeyError."""
    found: dict[int, tuple[Intent, Result | None]] = {}
    for call in calls_in(db, parts):
        if isinstance(call, Intent):
            found[call.number] = (call, None)
        else:
            found[call.number] = (found[call.number][0], call)
    return found


def calls_in(db: Any, parts: Sequence[Part]) -> Iterator[Intent | Result]:
    """As they began and ended. Raises ValueError."""
    for part in parts:
        for (text,) in db.execute(f"{_CALLS} ORDER BY place", _bounds(part)):
            yield from calls_of(text)


def numbers_at(db: Any, parts: Sequence[Part]) -> tuple[int, int]:
    """begun, open (tally.py), as the last entry tells them, whosever it is."""
    for part in reversed(parts):
        if part.until > part.after:
            found: tuple[int, int] = db.execute(
                "SELECT begun, open FROM journal WHERE place = ?", (place(part.run, part.until),)
            ).fetchone()
            return found
    return NONE, 0


def open_effects(db: Any, parts: Sequence[Part], many: int) -> dict[int, tuple[Intent, bool]]:
    """Those `many` that have not ended, and whether the run began them itself. From the last entry
    back to the one with which the first of them began. Raises ValueError.
    """
    found: dict[int, tuple[Intent, bool]] = {}
    ended: set[int] = set()
    for part in reversed(parts):
        rows = iter(db.execute(f"{_CALLS} ORDER BY place DESC", _bounds(part)))
        while len(found) < many and (row := next(rows, None)) is not None:
            for call in reversed(list(calls_of(row[0]))):
                if isinstance(call, Result):
                    ended.add(call.number)
                elif call.number not in ended:
                    found[call.number] = (call, part.run == parts[-1].run)
    return found


def has_begun(db: Any, run: int, number: int) -> bool:
    """Whether an effect of a run's incarnation has that number. Raises ValueError."""
    return any(call.number == number for call in calls_in(db, lineage(db, run)))


# Calls are asked for by place: what stands before a run's first own entry is another one's.
_CALLS = "SELECT calls FROM journal WHERE place > ? AND place <= ? AND calls IS NOT NULL"


def _bounds(part: Part) -> tuple[int, int]:
    return place(part.run, part.after), place(part.run, part.until)
