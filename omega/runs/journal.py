"""The facts of a run in a store: what is written when, and read again.

Owns: `JournalWriter`, `JournalReader`; that a fact which is long stands by itself, under its hash.
Refuses: to know what facts there are (tape/facts.py), SQL (a `Store` does).

What was written is in the store when it is pressing, or when nothing runs: see
concurrency/durable.py. Facts that were not kept follow from those that were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from omega.concurrency import External
from omega.concurrency.durable import SIGNAL
from omega.concurrency.recalling import RECALLED
from omega.durable.records import Batch, Change, Intent, Lease, Result
from omega.durable.store import Store
from omega.durable.writes import BLOB_BYTES_MAX
from omega.errors import Fenced, HostError, StoreBusy, StoreError, StoreFull
from omega.runs.owners import disown
from omega.tape.facts import PLACED, FactReader, FactWriter, as_line, told

BLOB_CHARS = 8_192  # of a fact; longer ones stand by themselves
# A mark tells how far a run had come. Here it only divides what is asked for between two facts with
# a position: a reader reads as far as the next one.
MARK = "mark"
UNPLACED_MAX = 500
# Of facts that are not kept yet, though nothing presses: a run that is given again what it had got
# may take long to come to anything new.
UNKEPT_CHARS = 1 << 16
# Of a value as it is kept; the rest of its fact is short.
VALUE_CHARS_MAX = BLOB_BYTES_MAX - (1 << 16)
OPEN_CLASSES = ("idempotent", "paid", "transactional")

# What an effect has cost: tokens, pico-dollars.
Priced = Callable[[External, Any, BaseException | None], tuple[int, int]]


# There is no room, or others keep the store, so many times now: None tries again; else the run ends
# in this process by that.
OnFull = Callable[[StoreError, int], HostError | None]


class JournalWriter(FactWriter):
    """A Journal (concurrency/durable.py) in a store. The lease is renewed by each commit."""

    def __init__(self, store: Store, lease: Lease, ttl_us: int, now_us: Callable[[], int]) -> None:
        super().__init__()
        self.store, self.lease = store, lease
        self.failure: HostError | None = None
        self.is_pressing = False
        self.priced: Priced = lambda external, value, error: (0, 0)
        self.reserved: Callable[[External], int] = lambda external: 0
        self.before_commit: Callable[[], None] = lambda: None
        self.on_full: OnFull = lambda error, times: error
        self.is_over = False
        self._ttl_us, self._now_us = ttl_us, now_us
        self._renewed_us = now_us()
        self._lines: list[str] = []
        self._chars = 0  # of them
        self._blobs: dict[str, bytes] = {}
        self._intents: list[Intent] = []
        self._results: list[Result] = []
        self._taken: list[int] = []
        self._open: dict[int, External] = {}
        self._unkept = Batch()  # for which there was no room
        self._unplaced = 0  # facts without a position, since the last one with it

    # ------------------------------------------------------------------ writing

    def put(self, line: str) -> None:
        if self.failure is not None or self.is_over:
            return
        if len(line) > BLOB_CHARS:
            content = line.encode()
            name = sha256(content).hexdigest()
            self._blobs[name] = content
            line = as_line(["@", name])
        self._lines.append(line)
        self._chars += len(line)
        if self._chars > UNKEPT_CHARS:
            self.is_pressing = True

    def write(self, kind: str, *fields: Any) -> None:
        if kind == MARK and self._unplaced < UNPLACED_MAX:
            return
        self._unplaced = 0 if kind in PLACED else self._unplaced + 1
        super().write(kind, *fields)

    def called(self, number: int, external: External) -> None:
        super().called(number, external)
        if external.effect_class in OPEN_CLASSES:
            about, most = told(external.subject), self.reserved(external)
            self.intends(number, about, external.label, external.effect_class, most)
        self.reopen(number, external)

    def intends(
        self, number: int, subject: list[Any], kind: str, effect_class: str, reserved: int = 0
    ) -> None:
        """An effect is about to be made, once this is kept. reserved: what it may cost at most."""
        task, n, asked, hash_ = subject
        intent = Intent(number, task, n, kind, effect_class, hash_, asked, reserved)
        self._intents.append(intent)
        self.is_pressing = True

    def outcome(self, value: Any, error: BaseException | None, number: int = 0) -> Any:
        external = self._open.pop(number, None)
        kept = super().outcome(value, error)
        if kept[0] == "ok" and (chars := _chars(kept[1])) > VALUE_CHARS_MAX:
            kept = ["unwritable", f"a value of {chars:,} bytes ({VALUE_CHARS_MAX:,} are allowed)"]
        if external is not None and external.effect_class == RECALLED:
            self.ends(number, kept)
        elif external is not None and external.effect_class != SIGNAL:
            self.ends(number, kept, *self.priced(external, value, error))
        elif external is not None and error is None:
            self._taken.append(value[0])
            self.is_pressing = True
        return kept

    def ends(self, number: int, kept: list[Any], tokens: int = 0, cost: int = 0) -> None:
        """An effect has ended."""
        how = "ok" if kept[0] == "ok" else "error"
        self._results.append(Result(number, how, tokens, cost))
        self.is_pressing = True

    def reopen(self, number: int, external: External) -> None:
        """A call is on its way: its intent stands in the store, or is about to."""
        if external.effect_class in OPEN_CLASSES or external.effect_class == SIGNAL:
            self._open[number] = external

    # ------------------------------------------------------------------ keeping

    def batch(self, change: Change | None = None) -> Batch:
        """What is to be written; it is off our hands then."""
        self.put_clocks()
        batch = Batch(
            facts=tuple(self._lines),
            intents=tuple(self._intents),
            results=tuple(self._results),
            blobs=self._blobs,
            taken=tuple(self._taken),
            change=change,
        )
        self._lines, self._blobs, self._intents, self._results, self._taken = [], {}, [], [], []
        self._chars = 0
        self.is_pressing = False
        return batch

    def put_back(self, batch: Batch) -> None:
        """What `batch` gave, and was not written, is to be written before all else."""
        after = self.batch()
        whole = joined(batch, after)
        self._lines, self._blobs = list(whole.facts), dict(whole.blobs)
        self._intents, self._results = list(whole.intents), list(whole.results)
        self._taken = list(whole.taken)
        self.is_pressing = True

    def commit(self, change: Change | None = None) -> None:
        """Raises HostError, which is `failure` from then on: what was written is lost then."""
        if self.failure is not None:
            raise self.failure
        if self.is_over:
            return
        self._unkept = batch = self.batch(change)
        self.guarded(lambda: self.store.append(self.lease, batch))
        self._unkept = Batch()

    def give_up(self, change: Change) -> None:
        """The run is left where it is. What there was no room for is tried once more, and nobody
        waits for it: if it cannot be kept, whoever comes next finds out what became of its effects.
        """
        self.is_over = True
        try:
            self.store.append(
                self.lease, self._unkept._replace(change=self._unkept.change or change)
            )
        except BaseException as error:
            disown(self.lease.owner)
            if not isinstance(error, Fenced | StoreError):
                raise

    def begin_anew(self, header: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        """End this incarnation of the run with the next one's header, and content it refers to."""
        opened = self.store.effects(self.lease.run, open_only=True)
        last = self.batch(Change("pending"))
        ended = {result.number for result in last.results}
        unknown = [Result(i.number, "unknown") for i, _ in opened if i.number not in ended]
        last = last._replace(
            results=[*last.results, *unknown],
            blobs={**last.blobs, **blobs},
            continues_with=header,
        )
        self.guarded(lambda: self.store.append(self.lease, last))

    def guarded(self, act: Callable[[], Any]) -> Any:
        """What `act` answers, which writes to the store; made again where that could not be written
        to: to give up would make what was paid for meanwhile unknown.
        """
        times = 0
        while True:
            full: StoreError | None = None
            try:
                self.before_commit()
                value = act()
            except (StoreFull, StoreBusy) as error:
                full = error
            except (Fenced, StoreError) as error:
                self.failure = error
                raise
            if full is None:
                break
            times += 1
            self.failure = self.on_full(full, times)
            if self.failure is not None:
                raise self.failure
        self._renewed_us = self._now_us()
        return value

    def flush(self) -> None:
        if self.failure is not None or self.is_over:
            return
        self.put_clocks()
        if self._lines or self.is_pressing:
            self._quietly(self.commit)

    def renew(self) -> None:
        if self.failure is None and not self.is_over:
            late_us = self._now_us() - self._renewed_us
            if not 0 <= late_us <= self._ttl_us // 3:  # below 0: the clock was set back
                self._quietly(self._renew)

    def _renew(self) -> None:
        self.lease = self.store.renew(self.lease, self._ttl_us)

    def _quietly(self, act: Callable[[], Any]) -> None:
        """Whoever asks next is told what went wrong."""
        try:
            self.guarded(act)
        except HostError:
            if self.failure is None:
                raise


def _chars(content: Any) -> int:
    """How long a value is as it is kept: nothing that is to be known exactly of a short text."""
    is_short = isinstance(content, str) and len(content) < BLOB_CHARS
    return len(content) if is_short else len(as_line(content))


def joined(first: Batch, second: Batch) -> Batch:
    """What both are to write, in this order."""
    return second._replace(
        facts=(*first.facts, *second.facts),
        intents=(*first.intents, *second.intents),
        results=(*first.results, *second.results),
        blobs={**first.blobs, **second.blobs},
        taken=(*first.taken, *second.taken),
    )


def fact_of(store: Store, line: str) -> list[Any]:
    """The fact that a line of a journal tells."""
    fact: list[Any] = json.loads(line)
    return json.loads(store.blob(fact[1])) if fact[0] == "@" else fact


class JournalReader(FactReader):
    """The facts of a run so far, an entry at a time."""

    def __init__(self, store: Store, run: str, *, incarnation: int | None = None) -> None:
        self._store, self._run, self._incarnation = store, run, incarnation
        super().__init__(f"the journal of run {run}", self.facts())

    def facts(self) -> Iterator[list[Any]]:
        """All of them, from the first one on."""
        for lines in self._store.journal(self._run, incarnation=self._incarnation):
            for line in lines:
                yield fact_of(self._store, line)

    def scan(self, kind: str) -> Iterator[list[Any]]:
        return (fact for fact in self.facts() if fact[0] == kind)

    def close(self) -> None:
        """Nothing is open."""
