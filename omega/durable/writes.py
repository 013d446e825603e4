"""What one transaction writes to a run: entry, blobs, state, history.

Owns: the order of it, and what must fit together. Refuses: to begin or end a transaction, and to
ask who may write: sqlite.py has done that, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omega.durable import states
from omega.durable.records import Batch, Change
from omega.durable.rows import (
    LAST,
    SEQ,
    entry,
    has_begun,
    hash_of,
    lineage,
    numbers_at,
    open_effects,
    packed,
    place,
    to_json,
)
from omega.durable.tally import NONE, Tally
from omega.errors import OmegaBug, StoreError

BLOB_BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES_MAX = 64 * 1024 * 1024

Packed = tuple[int, bytes]
Entry = tuple[int, int, str | None, bytes]  # see `rows.entry`

# What a row of the journal is made of; see `row`.
ENTRY = "place, at_us, is_deflated, crc, effects, tokens, cost, reserved, begun, open, calls, facts"


@dataclass(slots=True)
class Head:
    """What a write has to know of its run. sums: effects, tokens, cost, reserved. numbers: begun,
    open, as the last entry of its own tells them.
    """

    number: int
    id: str
    state: str
    owner: str | None
    epoch: int
    seq: int
    incarnation: int
    first_seq: int
    lease_us: int | None
    lease_until_us: int | None
    generation: str
    sums: tuple[int, int, int, int]
    numbers: tuple[int, int] | None


def head(db: Any, run: str) -> Head | None:
    row = db.execute(
        f"SELECT r.number, r.id, r.state, r.owner, r.epoch, {SEQ}, r.incarnation, r.first_seq,"
        " r.lease_us, r.lease_until_us, s.generation || '-' || s.token,"
        " j.effects, j.tokens, j.cost, j.reserved, j.begun, j.open"
        f" FROM store s JOIN runs r {LAST} WHERE r.id = ?",
        (run,),
    ).fetchone()
    if row is None:
        return None
    has_entry = row[11] is not None
    return Head(*row[:11], *((row[11:15], row[15:]) if has_entry else ((0, 0, 0, 0), None)))


@dataclass(slots=True)
class Written:
    """Where a run's journal stands after a write. until_us: of its lease; None when it has ended
    with that write.
    """

    number: int
    seq: int
    tally: Tally
    lease_us: int
    until_us: int | None


@dataclass(slots=True)
class Prepared:
    """What of a batch can be made before anybody is kept waiting."""

    batch: Batch
    entry: Entry | None
    blobs: dict[str, Packed]


def prepare(batch: Batch, blobs: dict[str, Packed]) -> Prepared:
    return Prepared(batch, entry_of(batch), blobs)


def entry_of(batch: Batch) -> Entry | None:
    """None when there is nothing for the journal. Raises StoreError for one that is too large."""
    if not (batch.facts or batch.intents or batch.results):
        return None
    made = entry(batch)
    if len(made[3]) > ENTRY_BYTES_MAX:
        raise StoreError(
            f"an entry of {len(made[3]):,} bytes is too large: {ENTRY_BYTES_MAX:,} are allowed",
            hint="keep large values as blobs, and name them in the journal",
        )
    return made


def pack_blobs(blobs: Mapping[str, bytes], known: Any) -> dict[str, Packed]:
    """known(hash): whether the store has it. Raises StoreError for one that is too large, or whose
    content is not what its name says.
    """
    made = {}
    for hash, content in blobs.items():
        if len(content) > BLOB_BYTES_MAX:
            raise StoreError(
                f"a value of {len(content):,} bytes is too large for a store of runs:"
                f" {BLOB_BYTES_MAX:,} are allowed",
                hint="write it to a file, and keep the file's name and hash",
            )
        if hash_of(content) != hash:
            raise OmegaBug(f"the content of the blob {hash} has another sha256")
        if not known(hash):
            made[hash] = packed(content)
    return made


def write_blobs(db: Any, run: int, blobs: Mapping[str, bytes], made: Mapping[str, Packed]) -> None:
    for hash, content in blobs.items():
        db.execute(
            "INSERT INTO blobs (hash, bytes, is_deflated, content) SELECT ?, ?, ?, ?"
            " WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE hash = ?)",
            # One that was there when it was looked for, and was pruned since, is packed here.
            (hash, len(content), *(made.get(hash) or _late(db, hash, content)), hash),
        )
        db.execute(
            "INSERT OR IGNORE INTO refs (run, blob) SELECT ?, number FROM blobs WHERE hash = ?",
            (run, hash),
        )


def _late(db: Any, hash: str, content: bytes) -> Packed:
    there = db.execute("SELECT 1 FROM blobs WHERE hash = ?", (hash,)).fetchone()
    return (0, b"") if there else packed(content)


def write(db: Any, at: Head, prepared: Prepared, now_us: int, known: Tally | None) -> Written:
    """known: the tally up to the last entry, if that is known; it is changed."""
    batch, seq, tally = prepared.batch, at.seq, known or tally_at(db, at)
    if prepared.entry is not None:
        seq += 1
        tally.add(at.id, batch, lambda number: has_begun(db, at.number, number))
        db.execute(
            f"INSERT INTO journal ({ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row(place(at.number, seq), now_us, tally, prepared.entry),
        )
    if batch.blobs:
        write_blobs(db, at.number, batch.blobs, prepared.blobs)
    until = _extend(db, at, seq, now_us)
    if batch.taken:
        _take(db, at, batch.taken, seq)
    if batch.continues_with is not None:
        if tally.open:  # nobody would ever settle it: its number means another effect then
            raise OmegaBug(f"run {at.id} begins anew with effects that are open")
        _continue(db, at, to_json(batch.continues_with), seq, now_us)
        tally.begun = NONE
    if batch.change is not None and batch.change.state != "running":
        change(db, at, batch.change, at.owner, now_us)
        until = None
    return Written(at.number, seq, tally, at.lease_us or 0, until)


def row(place: int, now_us: int, tally: Tally, entry: Entry) -> tuple[Any, ...]:
    """The columns `ENTRY`."""
    is_deflated, crc, calls, facts = entry
    return (place, now_us, is_deflated, crc, *tally.kept(), calls, facts)


def _extend(db: Any, at: Head, seq: int, now_us: int) -> int | None:
    """The run's own row. Once less than half of the lease is left, a write extends it: an owner
    that writes need not renew, and one that writes often changes this row, and the index of what is
    due, seldom.
    """
    until = at.lease_until_us
    if until is not None and at.lease_us and is_extended(until, at.lease_us, now_us):
        until = now_us + at.lease_us
        db.execute(
            "UPDATE runs SET seen_seq = ?, updated_us = ?, lease_until_us = ?, due_us = ?"
            " WHERE number = ?",
            (seq, now_us, until, until, at.number),
        )
    else:
        db.execute(
            "UPDATE runs SET seen_seq = ?, updated_us = ? WHERE number = ?",
            (seq, now_us, at.number),
        )
    return until


def is_extended(until_us: int, lease_us: int, now_us: int) -> bool:
    """Whether a write gives a lease another end. One that lies further ahead than a lease is long
    is of a clock that was set back since: others would wait for it as long.
    """
    return not lease_us // 2 <= until_us - now_us <= lease_us


def tally_at(db: Any, at: Head) -> Tally:
    """Up to a run's last entry."""
    effects, tokens, cost, reserved = at.sums
    if at.seq < at.first_seq:  # nothing of this incarnation: its numbers begin anew
        return Tally(effects, tokens, cost, reserved)
    begun, many = at.numbers or numbers_at(db, lineage(db, at.number))
    opened = open_effects(db, lineage(db, at.number), many) if many else {}
    return Tally(
        *(effects, tokens, cost, reserved, begun),
        {
            # What a fork shares was reserved by the run that it is one of: it only settles it.
            number: (intent.effect_class == "paid", intent.reserved if is_own else 0)
            for number, (intent, is_own) in opened.items()
        },
    )


def _take(db: Any, at: Head, taken: Sequence[int], seq: int) -> None:
    for id in taken:
        if not db.execute(
            "UPDATE signals SET taken_seq = ? WHERE id = ? AND run = ? AND taken_seq IS NULL"
            " RETURNING id",
            (seq, id, at.number),
        ).fetchall():
            raise OmegaBug(f"run {at.id}: there is no signal {id} waiting for it")


def _continue(db: Any, at: Head, header: str, seq: int, now_us: int) -> None:
    db.execute(
        "UPDATE runs SET incarnation = incarnation + 1, first_seq = ? WHERE number = ?",
        (seq + 1, at.number),
    )
    db.execute(
        "INSERT INTO incarnations (run, incarnation, first_seq, header, at_us)"
        " VALUES (?, ?, ?, ?, ?)",
        (at.number, at.incarnation + 1, seq + 1, header, now_us),
    )


def change(db: Any, at: Head, to: Change, who: str | None, now_us: int) -> None:
    """Another state, which is no "running": nobody owns the run then."""
    has_wait = to.wake_at_us is not None or bool(to.waits_for)
    if not states.is_allowed(at.state, to.state):
        raise OmegaBug(f"run {at.id} is {at.state}: it cannot become {to.state}")
    if not states.fits(to.state, reason=to.reason is not None, wait=has_wait):
        raise OmegaBug(f"run {at.id} cannot become {to.state} with what it was told: {to}")
    due = now_us if to.state == states.FIRST else to.wake_at_us
    if to.waits_for:
        names = to_json(list(to.waits_for))
        came = db.execute(
            "SELECT 1 FROM signals WHERE run = ? AND taken_seq IS NULL"
            " AND name IN (SELECT value FROM json_each(?)) LIMIT 1",
            (at.number, names),
        ).fetchone()
        if came:  # between its last look and now
            due = now_us if due is None else min(due, now_us)
    db.execute(
        "UPDATE runs SET state = ?, reason = ?, owner = NULL, lease_us = NULL,"
        " lease_until_us = NULL, wake_at_us = ?, waits_for = ?, due_us = ?, outcome = ?,"
        " updated_us = ? WHERE number = ?",
        (
            to.state,
            to.reason,
            to.wake_at_us,
            names if to.waits_for else None,
            due,
            to_json(to.outcome) if to.state in states.ENDS else None,
            now_us,
            at.number,
        ),
    )
    remember(db, at, to.state, to.reason, who, at.epoch, now_us)


def remember(
    db: Any, at: Head, new: str, reason: str | None, owner: str | None, epoch: int, now_us: int
) -> None:
    db.execute(
        "INSERT INTO history (run, at_us, old, new, reason, owner, epoch)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at.number, now_us, at.state, new, reason, owner, epoch),
    )
