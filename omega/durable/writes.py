"""What one transaction writes to a run: entry, effects, blobs, totals, state, history.

Owns: the order of it, and what must fit together. Refuses: to begin or end a transaction, and to
ask who may write: sqlite.py has done that, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omega.durable import states
from omega.durable.records import Batch, Change, Intent, Result
from omega.durable.rows import EFFECT, effect, entry, hash_of, lineage, packed, place, to_json
from omega.errors import OmegaBug, StoreError

BLOB_BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES_MAX = 64 * 1024 * 1024

Packed = tuple[int, bytes]


@dataclass(slots=True)
class Head:
    """What a write has to know of its run."""

    number: int
    id: str
    state: str
    owner: str | None
    epoch: int
    seq: int
    incarnation: int
    parent: int | None
    lease_us: int | None
    lease_until_us: int | None
    generation: str


def head(db: Any, run: str) -> Head | None:
    row = db.execute(
        "SELECT r.number, r.id, r.state, r.owner, r.epoch, r.seq, r.incarnation, r.parent,"
        " r.lease_us, r.lease_until_us, s.generation || '-' || s.token"
        " FROM runs r, store s WHERE r.id = ?",
        (run,),
    ).fetchone()
    return None if row is None else Head(*row)


@dataclass(slots=True)
class Prepared:
    """What of a batch can be made before anybody is kept waiting."""

    batch: Batch
    entry: tuple[int, int, bytes] | None
    blobs: dict[str, Packed]


def prepare(batch: Batch, blobs: dict[str, Packed]) -> Prepared:
    made = entry(batch.facts) if batch.facts else None
    if made and len(made[2]) > ENTRY_BYTES_MAX:
        raise StoreError(
            f"an entry of {len(made[2]):,} bytes is too large: {ENTRY_BYTES_MAX:,} are allowed",
            hint="keep large values as blobs, and name them in the journal",
        )
    return Prepared(batch, made, blobs)


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


def write(db: Any, at: Head, prepared: Prepared, now_us: int) -> int:
    """The seq of the entry; of the last one when there are no facts."""
    batch, seq = prepared.batch, at.seq
    if prepared.entry is not None:
        seq += 1
        db.execute(
            "INSERT INTO journal (place, at_us, crc, is_deflated, facts) VALUES (?, ?, ?, ?, ?)",
            (place(at.number, seq), now_us, *prepared.entry),
        )
    if batch.blobs:
        write_blobs(db, at.number, batch.blobs, prepared.blobs)
    reserved = _intents(db, at, batch.intents, seq) if batch.intents else 0
    effects = tokens = cost = 0
    for result in batch.results:
        paid, freed = _result(db, at, result, seq)
        effects, reserved = effects + paid, reserved - freed
        tokens, cost = tokens + result.tokens, cost + result.cost
    # Once less than half of the lease is left, a write extends it: an owner that writes need not
    # renew, and one that writes often changes the index of what is due seldom.
    until = at.lease_until_us
    if until is not None and at.lease_us and until - now_us < at.lease_us // 2:
        until = now_us + at.lease_us
        db.execute(
            "UPDATE runs SET seq = ?, updated_us = ?, effects = effects + ?, tokens = tokens + ?,"
            " cost = cost + ?, reserved = reserved + ?, lease_until_us = ?, due_us = ?"
            " WHERE number = ?",
            (seq, now_us, effects, tokens, cost, reserved, until, until, at.number),
        )
    else:
        db.execute(
            "UPDATE runs SET seq = ?, updated_us = ?, effects = effects + ?, tokens = tokens + ?,"
            " cost = cost + ?, reserved = reserved + ? WHERE number = ?",
            (seq, now_us, effects, tokens, cost, reserved, at.number),
        )
    if batch.taken:
        _take(db, at, batch.taken, seq)
    if batch.continues_with is not None:
        _continue(db, at, to_json(batch.continues_with), seq, now_us)
    if batch.change is not None and batch.change.state != "running":
        change(db, at, batch.change, at.owner, now_us)
    return seq


def _intents(db: Any, at: Head, intents: Sequence[Intent], seq: int) -> int:
    """What they reserve."""
    reserved = 0
    for i in intents:
        db.execute(
            "INSERT INTO effects (run, incarnation, number, seq, task, n, kind, effect_class, hash,"
            " asked, reserved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(at.number, at.incarnation, i.number, seq, i.task, i.n, i.kind, i.effect_class),
                *(i.hash, i.asked, i.reserved),
            ),
        )
        reserved += i.reserved
    return reserved


def _result(db: Any, at: Head, result: Result, seq: int) -> tuple[int, int]:
    """(1 for a paid effect, what it had reserved)."""
    rows = db.execute(
        "UPDATE effects SET outcome = ?, tokens = ?, cost = ?, result_seq = ?"
        " WHERE run = ? AND incarnation = ? AND number = ? AND outcome IS NULL"
        " RETURNING effect_class, reserved",
        (
            *(result.outcome, result.tokens, result.cost, seq),
            *(at.number, at.incarnation, result.number),
        ),
    ).fetchall()
    if rows:
        return int(rows[0][0] == "paid"), rows[0][1]
    intent = _shared_intent(db, at, result.number)
    if intent is None:
        raise OmegaBug(f"run {at.id}: there is no open effect {result.number} to have a result")
    # Reserved by the run that it was a fork of: this one only settles it for itself.
    db.execute(
        "INSERT INTO effects (run, incarnation, number, seq, task, n, kind, effect_class, hash,"
        " asked, reserved, outcome, tokens, cost, result_seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(at.number, at.incarnation, intent.number, seq, intent.task, intent.n, intent.kind),
            *(intent.effect_class, intent.hash, intent.asked, intent.reserved),
            *(result.outcome, result.tokens, result.cost, seq),
        ),
    )
    return int(intent.effect_class == "paid"), 0


def _shared_intent(db: Any, at: Head, number: int) -> Intent | None:
    """The effect that was open where the run was forked off."""
    if at.parent is None:
        return None
    for part in reversed(lineage(db, at.number)):
        row = db.execute(
            f"{EFFECT} WHERE run = ? AND incarnation = ? AND number = ? AND seq <= ?",
            (part.run, part.incarnation, number, part.until),
        ).fetchone()
        if row is not None:
            intent, result = effect(row, part.until)
            return intent if result is None else None
    return None


def _take(db: Any, at: Head, taken: Sequence[int], seq: int) -> None:
    for id in taken:
        if not db.execute(
            "UPDATE signals SET taken_seq = ? WHERE id = ? AND run = ? AND taken_seq IS NULL"
            " RETURNING id",
            (seq, id, at.number),
        ).fetchall():
            raise OmegaBug(f"run {at.id}: there is no signal {id} waiting for it")


def _continue(db: Any, at: Head, header: str, seq: int, now_us: int) -> None:
    # Nobody would ever settle it: its number means another effect from now on.
    if db.execute(
        "SELECT 1 FROM effects WHERE run = ? AND incarnation = ? AND outcome IS NULL LIMIT 1",
        (at.number, at.incarnation),
    ).fetchone():
        raise OmegaBug(f"run {at.id} begins anew with effects that are open")
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
