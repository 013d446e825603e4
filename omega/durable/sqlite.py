"""Runs in a SQLite file, shared by the processes of one machine.

Owns: `SQLiteStore`: which transaction looks at what and writes what. Its parts: schema.py (tables),
connection.py (file, waiting, errors), writes.py (what a write does), standing.py (what need not be
read for one), rows.py (packing, forks), backups.py. Refuses: to be used by several threads; each
opens the file for itself.

Who checks what: this module, in the transaction that writes, that a lease is the latest and of this
generation; writes.py, that a change is one of states.py; the file itself (CHECK, triggers, foreign
keys), the same again for whoever comes without this code.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from omega.durable import backups, rows, states, writes
from omega.durable.checking import check
from omega.durable.connection import Connect, File
from omega.durable.connection import connect as connect_sqlite3
from omega.durable.lending import lent, unmet
from omega.durable.records import (
    Batch,
    Change,
    Intent,
    Lease,
    NewRun,
    Result,
    RunRecord,
    Signal,
)
from omega.durable.refusals import (
    ALIKE_AMONG,
    checked_id,
    ended,
    entry_unknown,
    late,
    no_change,
    no_content,
    no_incarnation,
    one_of,
    owned,
    taken,
    too_late,
    unknown,
)
from omega.durable.standing import ADD, Standing, is_entry, is_higher
from omega.durable.waiting import Clock, Pause, chance, wall_us
from omega.durable.waiting import pause as pause_thread
from omega.errors import (
    OmegaBug,
    StoreError,
    UnknownRun,
)

ENTRIES_AT_ONCE = 256  # a reader of a journal holds no transaction open between them
REFUSALS_MAX = 1000  # per run; the oldest are forgotten
PRUNED_AT_ONCE = 50  # runs per transaction: others write in between
STANDING_MAX = 10_000  # runs; an owner that was fenced does not say that it has left

T = TypeVar("T")


class SQLiteStore:
    """See `Store`. path: of the file, made when it is not there; its folder must be.

    connect: opens the file; the default is the module `sqlite3`. clock_us: the wall clock. rng: of
    pauses and tokens. pause: waits so many seconds, only ever between transactions.
    """

    def __init__(
        self,
        path: str,
        *,
        connect: Connect = connect_sqlite3,
        clock_us: Clock = wall_us,
        rng: random.Random | None = None,
        pause: Pause = pause_thread,
    ) -> None:
        self.path = path
        self.clock_us, self._connect = clock_us, connect
        self._standing: dict[str, Standing] = {}
        self.file = File(path, connect, clock_us, rng or chance(), pause)

    @property
    def generation(self) -> str:
        return str(self.file.one("SELECT generation || '-' || token FROM store")[0])

    def close(self) -> None:
        self.file.close()

    # -- runs ----------------------------------------------------------------------------------

    def create(self, run: NewRun) -> RunRecord:
        checked_id(run.id)
        header = rows.to_json(run.header)
        made = writes.pack_blobs(run.blobs, self._has_blob)
        now = self.clock_us()
        with self.file.writing() as db:
            if db.execute("SELECT 1 FROM runs WHERE id = ?", (run.id,)).fetchone():
                raise taken(self.path, run.id)
            parent, first = self._parent(db, run)
            db.execute(
                "INSERT INTO runs (id, name, state, parent, parent_seq, incarnation, first_seq,"
                " seen_seq, epoch, due_us, created_us, updated_us)"
                " VALUES (?, ?, ?, ?, ?, 1, ?, ?, 0, ?, ?, ?)",
                (
                    *(run.id, run.name, states.FIRST, parent, run.parent_seq),
                    *(first, run.parent_seq, now, now, now),
                ),
            )
            number = db.execute("SELECT last_insert_rowid()").fetchone()[0]
            db.execute(
                "INSERT INTO incarnations (run, incarnation, first_seq, header, at_us)"
                " VALUES (?, 1, ?, ?, ?)",
                (number, first, header, now),
            )
            writes.write_blobs(db, number, run.blobs, made)
            db.execute(
                "INSERT INTO history (run, at_us, old, new, epoch) VALUES (?, ?, NULL, ?, 0)",
                (number, now, states.FIRST),
            )
            return self._record(db, run.id)

    def _parent(self, db: Any, run: NewRun) -> tuple[int | None, int]:
        """(the parent's number, the first entry of the incarnation that is shared)."""
        if run.parent is None:
            if run.parent_seq:
                raise OmegaBug(f"run {run.id} shares {run.parent_seq} entries of no run")
            return None, 1
        number = self._number(db, run.parent)
        at = rows.incarnation_at(db, number, run.parent_seq)
        if at is None or run.parent_seq < 0:
            raise entry_unknown(self.path, run.parent, run.parent_seq)
        return number, at[1]

    def run(self, id: str, *, incarnation: int | None = None) -> RunRecord:
        row = self.file.one(f"{rows.RUN} WHERE r.id = ?", (id,))
        if row is None:
            raise self._unknown(id)
        record = rows.record(row)
        if incarnation in (None, record.incarnation):
            return record
        with self.file.reading() as db:
            found = rows.earlier(db, row[0], incarnation)
        if found is None:
            raise no_incarnation(self.path, record, incarnation)
        return rows.as_it_was(record, incarnation, *found)

    def find(self, prefix: str) -> RunRecord:
        found = self.file.read(
            f"{rows.RUN} WHERE r.id >= ? AND r.id < ? || char(1114111) ORDER BY r.id LIMIT 4",
            (prefix, prefix),
        )
        id = one_of(
            self.path, prefix, [row[1] for row in found], self._newest() if not found else []
        )
        return next(rows.record(row) for row in found if row[1] == id)

    def runs(
        self, *, states: Sequence[str] = (), name: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        found = self.file.read(
            f"{rows.RUN} WHERE (? OR r.state IN (SELECT value FROM json_each(?)))"
            " AND (? IS NULL OR r.name = ?) ORDER BY r.number DESC LIMIT ?",
            (not states, rows.to_json(list(states)), name, name, limit),
        )
        return [rows.record(row) for row in found]

    def due(self, limit: int = 100) -> list[RunRecord]:
        found = self.file.read(
            f"{rows.RUN} WHERE r.due_us <= ? ORDER BY r.due_us, r.number LIMIT ?",
            (self.clock_us(), limit),
        )
        return [rows.record(row) for row in found]

    # -- ownership -----------------------------------------------------------------------------

    def acquire(self, run: str, owner: str, ttl_us: int, *, dead: str | None = None) -> Lease:
        assert ttl_us > 0 and owner
        with self.file.writing() as db:
            now = self.clock_us()
            at = self._head(db, run)
            self._refuse_ended(at)
            self._refuse_owned(at, now, but=(owner, dead))
            until, epoch = now + ttl_us, at.epoch + 1
            db.execute(
                "UPDATE runs SET state = 'running', reason = NULL, owner = ?, epoch = ?,"
                " lease_us = ?, lease_until_us = ?, wake_at_us = NULL, waits_for = NULL,"
                " due_us = ?, updated_us = ? WHERE number = ?",
                (owner, epoch, ttl_us, until, until, now, at.number),
            )
            writes.remember(db, at, "running", None, owner, epoch, now)
        return Lease(run, owner, epoch, at.generation, until)

    def renew(self, lease: Lease, ttl_us: int) -> Lease:
        assert ttl_us > 0
        self._standing.pop(lease.run, None)

        def longer(db: Any, at: writes.Head, now: int) -> int:
            until = now + ttl_us
            db.execute(
                "UPDATE runs SET lease_us = ?, lease_until_us = ?, due_us = ? WHERE number = ?",
                (ttl_us, until, until, at.number),
            )
            return until

        return replace(lease, until_us=self._as_owner(lease, "renew", longer))

    def _as_owner(self, lease: Lease, what: str, act: Callable[[Any, writes.Head, int], T]) -> T:
        """`act(connection, head, now)` in a transaction in which the lease is the latest."""
        with self.file.writing() as db:
            at = writes.head(db, lease.run)
            why = late(at, lease)
            if why is None:
                assert at is not None
                return act(db, at, self.clock_us())
        if at is not None:
            self._refused(at.number, lease, what)
        raise too_late(self.path, lease, what, why)

    def _refused(self, number: int, lease: Lease, what: str) -> None:
        try:
            with self.file.writing() as db:
                db.execute(
                    "INSERT INTO refusals (run, at_us, refused, owner, epoch)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (number, self.clock_us(), what, lease.owner, lease.epoch),
                )
                db.execute(
                    "DELETE FROM refusals WHERE run = ? AND id <= (SELECT id FROM refusals"
                    " WHERE run = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (number, number, REFUSALS_MAX),
                )
        except (StoreError, OmegaBug):
            pass  # no room for it, or the run was pruned since: it is refused all the same

    # -- the journal ---------------------------------------------------------------------------

    def append(self, lease: Lease, batch: Batch) -> int:
        at = self._standing.pop(lease.run, None)
        if at is not None and not at.is_of(lease):
            at = None
        if at is not None and is_entry(batch):
            seq = self._add(at, lease, batch)
            if seq is not None:
                return seq
            at = None  # it may have been wrong
        prepared = self._prepared(batch)

        def act(db: Any, head: writes.Head, now: int) -> writes.Written:
            tally = at.tally if at is not None and at.seq == head.seq else None
            return writes.write(db, head, prepared, now, tally)

        return self._stands(lease, self._as_owner(lease, "append", act))

    def _add(self, at: Standing, lease: Lease, batch: Batch) -> int | None:
        """`append` of an entry, and nothing else, by an owner whose last write went through this
        store: one statement, which asks whether the lease is the latest and writes when it is. None
        when it has written nothing: the lease is to be extended, others hold the file, or the
        journal does not stand where it did.
        """
        now, tally = self.clock_us(), at.tally
        if writes.is_extended(at.until_us, at.lease_us, now):
            return None
        try:
            tally.add(lease.run, batch, is_higher)
        except OmegaBug:  # not by what was remembered: another store may have written for its owner
            return None
        made = writes.entry_of(batch)
        assert made is not None
        at.seq += 1
        row = writes.row(rows.place(at.number, at.seq), now, tally, made)
        asked = (*row, at.number, lease.epoch, lease.owner, lease.generation)
        if not self.file.alone(ADD, asked, now):
            return None
        self._standing[lease.run] = at
        return at.seq

    def _stands(self, lease: Lease, written: writes.Written) -> int:
        """Remember where a run's journal stands, for `_add`. The entry's seq."""
        if written.until_us is None:
            self._standing.pop(lease.run, None)
        else:
            if len(self._standing) >= STANDING_MAX:
                self._standing.clear()
            self._standing[lease.run] = Standing(lease, written)
        return written.seq

    def transact(
        self, lease: Lease, act: Callable[[Any], Batch], *, called: str | None = None
    ) -> int:
        is_written = False

        def both(db: Any, at: writes.Head, now: int) -> writes.Written:
            nonlocal is_written
            try:
                with lent(db, f"{self.path}: run {lease.run}", called) as connection:
                    batch = act(connection)
            except BaseException as error:
                raise _Raised(error) from None
            written = writes.write(db, at, self._prepared(batch), now, None)
            is_written = True
            return written

        try:
            return self._stands(lease, self._as_owner(lease, "transact", both))
        except _Raised as raised:
            error = raised.error
        except OmegaBug as bug:
            if (
                not is_written
                or bug.__cause__ is None
                or not self.file.is_constraint(bug.__cause__)
            ):
                raise
            # None of the store's own constraints waits for the end.
            error = unmet(f"{self.path}: run {lease.run}", called, bug.__cause__)
        raise error

    def _prepared(self, batch: Batch) -> writes.Prepared:
        return writes.prepare(
            batch, writes.pack_blobs(batch.blobs, self._has_blob) if batch.blobs else {}
        )

    def journal(
        self,
        run: str,
        after: int = 0,
        until: int | None = None,
        *,
        incarnation: int | None = None,
    ) -> Iterator[list[str]]:
        with self.file.reading() as db:
            parts = rows.lineage(db, self._number(db, run), incarnation)
        return itertools.chain.from_iterable(
            self._entries(
                *(run, part, max(after, part.after)),
                part.until if until is None else min(part.until, until),
            )
            for part in parts
        )

    def span(self, run: str, incarnation: int | None = None) -> tuple[int, int]:
        with self.file.reading() as db:
            parts = rows.lineage(db, self._number(db, run), incarnation)
        return (parts[0].after, parts[-1].until) if parts else (0, 0)

    def _entries(self, run: str, part: rows.Part, after: int, last: int) -> Iterator[list[str]]:
        while after < last:
            found = self.file.read(
                "SELECT seq, crc, is_deflated, calls, facts FROM journal"
                " WHERE place > ? AND place <= ? ORDER BY place LIMIT ?",
                (rows.place(part.run, after), rows.place(part.run, last), ENTRIES_AT_ONCE),
            )
            for seq, *kept in found:
                after += 1
                if seq != after:
                    break
                try:
                    yield rows.facts_of(*kept)
                except ValueError as error:
                    raise self.file.damaged(f"entry {seq} of run {run}: {error}") from None
            if not found or seq != after:
                missing = after if found else after + 1
                self.run(run)  # it may have been pruned since
                raise self.file.damaged(f"run {run} has no entry {missing}")

    def blob(self, hash: str) -> bytes:
        row = self.file.one("SELECT is_deflated, content FROM blobs WHERE hash = ?", (hash,))
        if row is None:
            raise no_content(self.path, hash)
        try:
            content = rows.unpacked(*row)
        except ValueError:
            content = b""
        if rows.hash_of(content) != hash:
            raise self.file.damaged(f"the content {hash} has another sha256")
        return content

    def _has_blob(self, hash: str) -> bool:
        return self.file.one("SELECT 1 FROM blobs WHERE hash = ?", (hash,)) is not None

    def effects(
        self, run: str, *, open_only: bool = False, incarnation: int | None = None
    ) -> list[tuple[Intent, Result | None]]:
        with self.file.reading() as db:
            parts = rows.lineage(db, self._number(db, run), incarnation)
            try:
                if open_only:
                    opened = rows.open_effects(db, parts, rows.numbers_at(db, parts)[1])
                    return [(opened[n][0], None) for n in sorted(opened)]
                found = rows.effects(db, parts)
            except (ValueError, KeyError) as error:
                raise self.file.damaged(f"an effect of run {run}: {error}") from None
        return [found[n] for n in sorted(found)]

    # -- signals -------------------------------------------------------------------------------

    def signal(self, run: str, name: str, value: Any, *, key: str, who: str) -> bool:
        text = rows.message(run, value)
        with self.file.writing() as db:
            now = self.clock_us()
            at = self._head(db, run)
            if db.execute(
                "SELECT 1 FROM signals WHERE run = ? AND key = ?", (at.number, key)
            ).fetchone():
                return False
            self._refuse_ended(at)
            db.execute(
                "INSERT INTO signals (run, name, value, key, who, at_us) VALUES (?, ?, ?, ?, ?, ?)",
                (at.number, name, text, key, who, now),
            )
            if at.state == "suspended":
                db.execute(
                    "UPDATE runs SET due_us = min(coalesce(due_us, ?), ?) WHERE number = ?"
                    " AND ? IN (SELECT value FROM json_each(waits_for))",
                    (now, now, at.number, name),
                )
        return True

    def signals(self, run: str, *, waiting_only: bool = True) -> list[Signal]:
        with self.file.reading() as db:
            found = db.execute(
                f"{rows.SIGNAL} JOIN runs r ON r.number = s.run WHERE r.number = ?"
                " AND (s.taken_seq IS NULL OR NOT ?) ORDER BY s.id",
                (self._number(db, run), waiting_only),
            ).fetchall()
        return [rows.signal(row) for row in found]

    # -- the rest ------------------------------------------------------------------------------

    def change(self, run: str, change: Change, *, who: str) -> RunRecord:
        with self.file.writing() as db:
            now = self.clock_us()
            at = self._head(db, run)
            self._refuse_ended(at)
            self._refuse_owned(at, now)
            if not states.is_allowed(at.state, change.state) or change.state == "running":
                raise no_change(self.path, run, at.state, change.state)
            writes.change(db, at, change, who, now)
            return self._record(db, run)

    def history(self, run: str) -> list[dict[str, Any]]:
        with self.file.reading() as db:
            number = self._number(db, run)
            changes = db.execute(
                "SELECT at_us, old, new, reason, owner, epoch FROM history WHERE run = ?"
                " ORDER BY id",
                (number,),
            ).fetchall()
            refused = db.execute(
                "SELECT at_us, refused, owner, epoch FROM refusals WHERE run = ? ORDER BY id",
                (number,),
            ).fetchall()
        found = [_named("at_us from to reason owner epoch", row) for row in changes]
        found += [_named("at_us refused owner epoch", row) for row in refused]
        return sorted(found, key=lambda fact: int(fact["at_us"]))

    def prune(self, *, ended_before_us: int, keep: Sequence[str] = ()) -> int:
        pruned, referred = 0, list[int]()
        while True:
            with self.file.writing() as db:
                numbers = [
                    row[0]
                    for row in db.execute(
                        "SELECT number FROM runs r WHERE state IN (SELECT value FROM json_each(?))"
                        " AND updated_us < ? AND id NOT IN (SELECT value FROM json_each(?))"
                        " AND NOT EXISTS (SELECT 1 FROM runs f WHERE f.parent = r.number)"
                        " AND number NOT IN (SELECT value FROM json_each(?)) LIMIT ?",
                        (
                            rows.to_json(list(states.ENDS)),
                            ended_before_us,
                            rows.to_json(list(keep)),
                            rows.to_json(referred),
                            PRUNED_AT_ONCE,
                        ),
                    )
                ]
                stay = [number for number in numbers if not self._delete(db, number)]
            if not numbers:
                return pruned
            referred += stay
            pruned += len(numbers) - len(stay)

    def _delete(self, db: Any, number: int) -> bool:
        """False for a run that stays, since a table of the host's refers to it."""
        db.execute("SAVEPOINT whole")
        try:
            _delete(db, number)
        except Exception as error:
            if not self.file.is_constraint(error):
                raise
            db.execute("ROLLBACK TO whole")
            return False
        finally:
            db.execute("RELEASE whole")
        return True

    def backup(self, path: str) -> None:
        backups.backup(self.file, path, self._connect)

    def check(self) -> list[str]:
        """What is wrong with the file, each in a sentence: nothing, mostly. Reads all of it."""
        return check(self.file)

    # Inside

    def _head(self, db: Any, run: str) -> writes.Head:
        at = writes.head(db, run)
        if at is None:
            raise self._unknown(run)
        return at

    def _number(self, db: Any, run: str) -> int:
        row = db.execute("SELECT number FROM runs WHERE id = ?", (run,)).fetchone()
        if row is None:
            raise self._unknown(run)
        return int(row[0])

    def _record(self, db: Any, run: str) -> RunRecord:
        return rows.record(db.execute(f"{rows.RUN} WHERE r.id = ?", (run,)).fetchone())

    def _unknown(self, run: str) -> UnknownRun:
        return unknown(self.path, run, self._newest())

    def _newest(self) -> list[str]:
        found = self.file.read("SELECT id FROM runs ORDER BY number DESC LIMIT ?", (ALIKE_AMONG,))
        return [row[0] for row in found]

    def _refuse_ended(self, at: writes.Head) -> None:
        if at.state in states.ENDS:
            raise ended(self.path, at.id, at.state)

    def _refuse_owned(self, at: writes.Head, now: int, but: tuple[str | None, ...] = ()) -> None:
        if at.owner is not None and at.owner not in but:
            assert at.lease_until_us is not None
            if at.lease_until_us > now:
                raise owned(self.path, at.id, at.owner, at.lease_until_us, now)


class _Raised(BaseException):
    """What a host's own part of a transaction raised, on its way out of it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _named(names: str, row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names.split(), row, strict=True))


def _delete(db: Any, number: int) -> None:
    blobs = db.execute("SELECT blob FROM refs WHERE run = ?", (number,)).fetchall()
    db.execute(
        "DELETE FROM journal WHERE place BETWEEN ? AND ?",
        (rows.place(number, 0), rows.place(number, rows.SEQ_MAX)),
    )
    for table in ("refs", "signals", "history", "refusals", "incarnations"):
        db.execute(f"DELETE FROM {table} WHERE run = ?", (number,))
    db.execute("DELETE FROM runs WHERE number = ?", (number,))
    for (blob,) in blobs:
        db.execute(
            "DELETE FROM blobs WHERE number = ? AND NOT EXISTS (SELECT 1 FROM refs WHERE blob = ?)",
            (blob, blob),
        )
