"""Runs in memory, gone with the process: for tests, and as the plain statement of the rules.

Owns: `MemoryStore`, which does what a store does with lists and dictionaries; the SQLite store is
compared with it. Refuses: to be durable, to be shared by processes, to be backed up to a file.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from omega.durable import states as table
from omega.durable.records import (
    Batch,
    Change,
    Intent,
    Lease,
    NewRun,
    Result,
    RunRecord,
    Signal,
    Totals,
)
from omega.durable.refusals import (
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
from omega.durable.rows import as_kept, hash_of, message
from omega.durable.waiting import Clock, wall_us
from omega.durable.writes import is_extended
from omega.errors import OmegaBug, StoreError

PLACE = "memory"


@dataclass
class _Effect:
    intent: Intent
    incarnation: int
    seq: int
    result: Result | None = None
    result_seq: int = 0


@dataclass
class _Run:
    """record: as it is told. journal: its own entries by seq. first, headers: of each incarnation;
    the latest's header is the record's.
    """

    record: RunRecord
    lease_us: int = 0
    due_us: int | None = None
    journal: dict[int, list[str]] = field(default_factory=dict)
    first: list[int] = field(default_factory=list)
    headers: list[Mapping[str, Any]] = field(default_factory=list)
    effects: list[_Effect] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    blobs: set[str] = field(default_factory=set)
    history: list[dict[str, Any]] = field(default_factory=list)

    def scratch(self) -> _Run:
        """To work on: what is appended or replaced in it, is not in this one."""
        return _Run(
            *(self.record, self.lease_us, self.due_us, dict(self.journal), list(self.first)),
            list(self.headers),
            [copy.copy(effect) for effect in self.effects],
            *(list(self.signals), set(self.blobs), list(self.history)),
        )


class MemoryStore:
    """See `Store`. What `transact` hands to its act is `tables`, a dictionary for whatever the host
    keeps there: changes of it are undone with the rest.
    """

    def __init__(self, *, clock_us: Clock = wall_us) -> None:
        self.clock_us = clock_us
        self.tables: dict[str, Any] = {}
        self._generation = 1
        self._runs: dict[str, _Run] = {}
        self._blobs: dict[str, bytes] = {}
        self._signals = 0

    @property
    def generation(self) -> str:
        return f"{self._generation}-memory"

    def close(self) -> None:
        pass

    # -- runs ----------------------------------------------------------------------------------

    def create(self, run: NewRun) -> RunRecord:
        if checked_id(run.id) in self._runs:
            raise taken(PLACE, run.id)
        first = self._first_shared(run)
        self._keep(run.blobs)
        now = self.clock_us()
        record = RunRecord(
            id=run.id,
            name=run.name,
            state=table.FIRST,
            reason=None,
            header=as_kept(run.header),
            parent=run.parent,
            parent_seq=run.parent_seq,
            incarnation=1,
            first_seq=first,
            seq=run.parent_seq,
            epoch=0,
            owner=None,
            lease_until_us=None,
            wake_at_us=None,
            waits_for=(),
            outcome=None,
            totals=Totals(),
            reserved=0,
            created_us=now,
            updated_us=now,
        )
        made = _Run(record, due_us=now, first=[first], blobs=set(run.blobs))
        _remember(made, None, table.FIRST, None, None, 0, now)
        self._runs[run.id] = made
        return record

    def _first_shared(self, run: NewRun) -> int:
        if run.parent is None:
            if run.parent_seq:
                raise OmegaBug(f"run {run.id} shares {run.parent_seq} entries of no run")
            return 1
        at = self._at(run.parent, run.parent_seq)
        if at is None:
            raise entry_unknown(PLACE, run.parent, run.parent_seq)
        return at[1]

    def run(self, id: str, *, incarnation: int | None = None) -> RunRecord:
        run = self._of(id)
        if incarnation in (None, run.record.incarnation):
            return run.record
        if incarnation not in range(1, run.record.incarnation):
            raise no_incarnation(PLACE, run.record, incarnation)
        return replace(
            run.record,
            header=run.headers[incarnation - 1],
            incarnation=incarnation,
            first_seq=run.first[incarnation - 1],
            seq=run.first[incarnation] - 1,
        )

    def find(self, prefix: str) -> RunRecord:
        found = sorted(id for id in self._runs if id.startswith(prefix))
        return self.run(one_of(PLACE, prefix, found, list(reversed(self._runs))))

    def runs(
        self, *, states: Sequence[str] = (), name: str | None = None, limit: int = 100
    ) -> list[RunRecord]:
        found = [
            run.record
            for run in reversed(self._runs.values())
            if (not states or run.record.state in states) and name in (None, run.record.name)
        ]
        return found[:limit]

    def due(self, limit: int = 100) -> list[RunRecord]:
        now = self.clock_us()
        found = [r for r in self._runs.values() if r.due_us is not None and r.due_us <= now]
        return [r.record for r in sorted(found, key=lambda r: r.due_us or 0)][:limit]

    # -- ownership -----------------------------------------------------------------------------

    def acquire(self, run: str, owner: str, ttl_us: int, *, dead: str | None = None) -> Lease:
        assert ttl_us > 0 and owner
        at, now = self._of(run), self.clock_us()
        self._refuse(at, now, but=(owner, dead))
        epoch, until = at.record.epoch + 1, now + ttl_us
        _remember(at, at.record.state, "running", None, owner, epoch, now)
        at.record = replace(
            at.record,
            state="running",
            reason=None,
            owner=owner,
            epoch=epoch,
            lease_until_us=until,
            wake_at_us=None,
            waits_for=(),
            updated_us=now,
        )
        at.lease_us, at.due_us = ttl_us, until
        return Lease(run, owner, epoch, self.generation, until)

    def renew(self, lease: Lease, ttl_us: int) -> Lease:
        assert ttl_us > 0
        at = self._owned(lease, "renew")
        until = self.clock_us() + ttl_us
        at.record = replace(at.record, lease_until_us=until)
        at.lease_us, at.due_us = ttl_us, until
        return replace(lease, until_us=until)

    def _owned(self, lease: Lease, what: str) -> _Run:
        at = self._runs.get(lease.run)
        why = late(None if at is None else _Head(at, self.generation), lease)
        if why is None:
            assert at is not None
            return at
        if at is not None:
            fact = {"at_us": self.clock_us(), "refused": what}
            at.history.append({**fact, "owner": lease.owner, "epoch": lease.epoch})
        raise too_late(PLACE, lease, what, why)

    # -- the journal ---------------------------------------------------------------------------

    def append(self, lease: Lease, batch: Batch) -> int:
        return self._write(self._owned(lease, "append"), batch)

    def transact(
        self, lease: Lease, act: Callable[[Any], Batch], *, called: str | None = None
    ) -> int:
        at = self._owned(lease, "transact")
        before = copy.deepcopy(self.tables)
        try:
            return self._write(at, act(self.tables))
        except BaseException:
            self.tables = before
            raise

    def _write(self, at: _Run, batch: Batch) -> int:
        now, made = self.clock_us(), at.scratch()
        run = made.record
        has_entry = bool(batch.facts or batch.intents or batch.results)
        seq = run.seq + has_entry
        if has_entry:
            made.journal[seq] = list(batch.facts)
        begun = {intent.number for intent, _ in self.effects(run.id)}
        for intent in batch.intents:
            if intent.number in begun:
                raise OmegaBug(f"run {run.id}: there is an effect {intent.number} already")
            begun.add(intent.number)
            made.effects.append(_Effect(intent, run.incarnation, seq))
        totals = run.totals
        for result in batch.results:
            effect = self._settled(made, result, seq)
            totals = Totals(
                totals.effects + (effect.intent.effect_class == "paid"),
                totals.tokens + result.tokens,
                totals.cost + result.cost,
            )
        open_now = [e for e in made.effects if e.result is None]
        reserved = sum(effect.intent.reserved for effect in open_now)
        made.record = replace(run, seq=seq, updated_us=now, totals=totals, reserved=reserved)
        if run.lease_until_us is not None and is_extended(run.lease_until_us, made.lease_us, now):
            made.due_us = now + made.lease_us
            made.record = replace(made.record, lease_until_us=made.due_us)
        for id in batch.taken:
            here = [i for i, s in enumerate(made.signals) if s.id == id and s.taken_seq is None]
            if not here:
                raise OmegaBug(f"run {run.id}: there is no signal {id} waiting for it")
            made.signals[here[0]] = replace(made.signals[here[0]], taken_seq=seq)
        if batch.continues_with is not None:
            if open_now:
                raise OmegaBug(f"run {run.id} begins anew with effects that are open")
            made.first.append(seq + 1)
            made.headers.append(run.header)
            made.record = replace(
                made.record,
                header=as_kept(batch.continues_with),
                incarnation=run.incarnation + 1,
                first_seq=seq + 1,
            )
        if batch.change is not None and batch.change.state != "running":
            self._change(made, batch.change, run.owner, now)
        self._keep(batch.blobs)
        made.blobs |= set(batch.blobs)
        self._runs[run.id] = made
        return seq

    def _settled(self, made: _Run, result: Result, seq: int) -> _Effect:
        """The open effect that has this result now; one that it shares becomes its own."""
        run = made.record
        own = [
            e
            for e in made.effects
            if e.intent.number == result.number and e.incarnation == run.incarnation
        ]
        if not own:
            shared = {i.number: r for i, r in self.effects(run.id)}
            intents = {i.number: i for i, _ in self.effects(run.id)}
            if shared.get(result.number, result) is None:
                own = [_Effect(intents[result.number], run.incarnation, seq)]
                made.effects += own
        if not own or own[0].result is not None:
            raise OmegaBug(f"run {run.id}: there is no open effect {result.number}")
        own[0].result, own[0].result_seq = result, seq
        return own[0]

    def _at(self, run: str, seq: int) -> tuple[int, int] | None:
        """(incarnation, its first entry) that has the entry, also where it is an ancestor's."""
        at = self._of(run)
        if not 0 <= seq <= at.record.seq:
            return None
        if at.record.parent is not None and seq <= at.record.parent_seq:
            return self._at(at.record.parent, seq)
        return max((i, first) for i, first in enumerate(at.first, 1) if first <= max(seq, 1))

    def _lineage(self, id: str, of: int | None = None) -> list[tuple[_Run, int, int, int]]:
        """(run, incarnation, after, until) of where the entries of its incarnation are. of: another
        one than the latest.
        """
        run = self._of(id)
        r = run.record
        incarnation, first, last = r.incarnation, r.first_seq, r.seq
        if of is not None and of != incarnation:
            if not 1 <= of < incarnation:
                return []
            incarnation, first, last = of, run.first[of - 1], run.first[of] - 1
        parts = [(run, incarnation, max(first - 1, r.parent_seq), last)]
        parent, base = r.parent, r.parent_seq
        while parent is not None and base >= first:
            above, until = self._of(parent), base
            at = self._at(parent, until)
            assert at is not None
            parent, base = above.record.parent, min(above.record.parent_seq, until)
            if until > base:
                parts.append((above, at[0], max(first - 1, base), until))
        return parts[::-1]

    def journal(
        self,
        run: str,
        after: int = 0,
        until: int | None = None,
        *,
        incarnation: int | None = None,
    ) -> Iterator[list[str]]:
        parts = self._lineage(run, incarnation)
        return itertools.chain.from_iterable(
            (
                list(at.journal[seq])
                for seq in range(
                    max(after, low) + 1, (high if until is None else min(high, until)) + 1
                )
            )
            for at, _, low, high in parts
        )

    def span(self, run: str, incarnation: int | None = None) -> tuple[int, int]:
        parts = self._lineage(run, incarnation)
        return (parts[0][2], parts[-1][3]) if parts else (0, 0)

    def blob(self, hash: str) -> bytes:
        if hash not in self._blobs:
            raise no_content(PLACE, hash)
        return self._blobs[hash]

    def _keep(self, blobs: Mapping[str, bytes]) -> None:
        for hash, content in blobs.items():
            if hash_of(content) != hash:
                raise OmegaBug(f"the content of the blob {hash} has another sha256")
        self._blobs.update(blobs)

    def effects(
        self, run: str, *, open_only: bool = False, incarnation: int | None = None
    ) -> list[tuple[Intent, Result | None]]:
        found: dict[int, tuple[Intent, Result | None]] = {}
        for at, of, _, until in self._lineage(run, incarnation):
            for e in at.effects:
                if e.incarnation == of and e.seq <= until:
                    result = e.result if e.result_seq <= until else None
                    found[e.intent.number] = (e.intent, result)
        return [found[n] for n in sorted(found) if not open_only or found[n][1] is None]

    # -- signals -------------------------------------------------------------------------------

    def signal(self, run: str, name: str, value: Any, *, key: str, who: str) -> bool:
        text = message(run, value)
        at, now = self._of(run), self.clock_us()
        if any(signal.key == key for signal in at.signals):
            return False
        if at.record.state in table.ENDS:
            raise ended(PLACE, run, at.record.state)
        self._signals += 1
        kept = json.loads(text)
        at.signals.append(Signal(self._signals, run, name, kept, key, who, now, None))
        if at.record.state == "suspended" and name in at.record.waits_for:
            at.due_us = now if at.due_us is None else min(at.due_us, now)
        return True

    def signals(self, run: str, *, waiting_only: bool = True) -> list[Signal]:
        return [s for s in self._of(run).signals if s.taken_seq is None or not waiting_only]

    # -- the rest ------------------------------------------------------------------------------

    def change(self, run: str, change: Change, *, who: str) -> RunRecord:
        at, now = self._of(run), self.clock_us()
        self._refuse(at, now)
        if not table.is_allowed(at.record.state, change.state) or change.state == "running":
            raise no_change(PLACE, run, at.record.state, change.state)
        self._change(at, change, who, now)
        return at.record

    def _change(self, at: _Run, to: Change, who: str | None, now: int) -> None:
        run = at.record
        if not table.is_allowed(run.state, to.state):
            raise OmegaBug(f"run {run.id} is {run.state}: it cannot become {to.state}")
        has_wait = to.wake_at_us is not None or bool(to.waits_for)
        if not table.fits(to.state, reason=to.reason is not None, wait=has_wait):
            raise OmegaBug(f"run {run.id} cannot become {to.state} with what it was told: {to}")
        _remember(at, run.state, to.state, to.reason, who, run.epoch, now)
        at.due_us = now if to.state == table.FIRST else to.wake_at_us
        if any(s.taken_seq is None and s.name in to.waits_for for s in at.signals):
            at.due_us = now if at.due_us is None else min(at.due_us, now)
        at.record = replace(
            run,
            state=to.state,
            reason=to.reason,
            owner=None,
            lease_until_us=None,
            wake_at_us=to.wake_at_us,
            waits_for=tuple(to.waits_for),
            outcome=as_kept(to.outcome) if to.state in table.ENDS else None,
            updated_us=now,
        )

    def history(self, run: str) -> list[dict[str, Any]]:
        facts = self._of(run).history
        changes = [fact for fact in facts if "to" in fact]
        refused = [fact for fact in facts if "refused" in fact]
        return sorted(changes + refused, key=lambda fact: int(fact["at_us"]))

    def prune(self, *, ended_before_us: int, keep: Sequence[str] = ()) -> int:
        pruned = 0
        while True:
            parents = {run.record.parent for run in self._runs.values()}
            gone = [
                id
                for id, run in self._runs.items()
                if run.record.state in table.ENDS
                and run.record.updated_us < ended_before_us
                and id not in parents
                and id not in keep
            ]
            for id in gone:
                del self._runs[id]
            if not gone:
                used = {hash for run in self._runs.values() for hash in run.blobs}
                self._blobs = {hash: self._blobs[hash] for hash in used}
                return pruned
            pruned += len(gone)

    def backup(self, path: str) -> None:
        raise StoreError(
            f"{path}: a store in memory is not backed up to a file",
            hint="`snapshot` copies it, in memory",
        )

    def snapshot(self) -> Any:
        """What `restore` takes."""
        return copy.deepcopy((self._runs, self._blobs, self._signals, self.tables))

    def restore(self, snapshot: Any) -> str:
        """Be again what it was; the new generation. Runs that were running then are due at once."""
        self._runs, self._blobs, self._signals, self.tables = copy.deepcopy(snapshot)
        self._generation += 1
        now = self.clock_us()
        for run in self._runs.values():
            if run.record.state == "running":
                run.record = replace(run.record, lease_until_us=now, updated_us=now)
                run.due_us = now
        return self.generation

    # Inside

    def _of(self, run: str) -> _Run:
        if run not in self._runs:
            raise unknown(PLACE, run, list(reversed(self._runs)))
        return self._runs[run]

    def _refuse(self, at: _Run, now: int, but: tuple[str | None, ...] = ()) -> None:
        run = at.record
        if run.state in table.ENDS:
            raise ended(PLACE, run.id, run.state)
        if run.owner not in (None, *but):
            assert run.owner is not None and run.lease_until_us is not None
            if run.lease_until_us > now:
                raise owned(PLACE, run.id, run.owner, run.lease_until_us, now)


class _Head:
    """What `late` asks for."""

    def __init__(self, at: _Run, generation: str) -> None:
        self.generation, self.epoch = generation, at.record.epoch
        self.state, self.owner = at.record.state, at.record.owner


def _remember(
    at: _Run, old: str | None, new: str, reason: str | None, owner: str | None, epoch: int, now: int
) -> None:
    fact = {"at_us": now, "from": old, "to": new, "reason": reason}
    at.history.append({**fact, "owner": owner, "epoch": epoch})
