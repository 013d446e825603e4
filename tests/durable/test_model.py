"""Random histories of a store: the SQLite file does what the plain one in memory does.

Owners that come late, takeovers, signals, forks, new incarnations, restores. OMEGA_MODELS=n in the
environment makes n runs of each.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from omega.durable import states
from omega.durable.records import Batch, Change, Intent, Lease, NewRun, Result
from omega.durable.store import Store
from omega.errors import OmegaError
from tests.durable.kit import SECOND, Clock, Kept, blob

RUNS = int(os.environ.get("OMEGA_MODELS", "25"))
IDS = ["a", "ab", "b", "c"]
OWNERS = ["w1", "w2"]
NAMES = ["go", "stop"]

ids = st.sampled_from(IDS)
small = st.integers(0, 5)


@st.composite
def changes(draw: Any) -> Change:
    state = draw(st.sampled_from(list(states.STATES)))
    has = states.STATES[state].has
    well = draw(st.integers(0, 9)) > 0
    reason = "why" if ("reason" in has) == well else None
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
    wake = draw(st.one_of(st.none(), st.integers(990 * SECOND, 1_100 * SECOND)))
    if ("wait" in has) == well:
        return Change(state, reason, wake, tuple(names) or (() if wake else ("go",)), {"o": 1})
    return Change(state, reason, None, (), [1])


@st.composite
def batches(draw: Any) -> Batch:
    numbers = draw(st.lists(st.integers(1, 6), max_size=3))
    intents = [
        Intent(n, "main", n, "llm", draw(st.sampled_from(["paid", "idempotent"])), "h", "?", n)
        for n in numbers
    ]
    results = [
        Result(n, draw(st.sampled_from(["ok", "error", "unknown"])), draw(small), draw(small))
        for n in draw(st.lists(st.integers(1, 6), max_size=3))
    ]
    return Batch(
        draw(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=5), max_size=3)),
        intents,
        results,
        blob(b"x" * draw(small)) if draw(st.booleans()) else {},
        draw(st.lists(st.integers(1, 5), max_size=1)) if draw(st.integers(0, 3)) == 0 else (),
        draw(changes()) if draw(st.integers(0, 3)) == 0 else None,
        {"again": draw(small)} if draw(st.integers(0, 5)) == 0 else None,
    )


class Stores(RuleBasedStateMachine):
    """Every step is done to both, and comes to the same; then all that can be read is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.clock = Clock()
        self.kept = [Kept(name, Path(self.folder), self.clock) for name in ("memory", "sqlite3")]
        self.model, self.file = (kept.open() for kept in self.kept)
        self.other = self.kept[1].open()  # a second connection: another process, as it were
        self.generations = {self.model.generation: self.file.generation}
        self.leases: list[Lease] = []
        self.copies: list[Any] = []

    def teardown(self) -> None:
        assert self.file.check() == []
        for kept in self.kept:
            kept.close()
        shutil.rmtree(self.folder)

    def both(self, act: Callable[[Store, Callable[[Lease], Lease]], Any], turn: bool) -> Any:
        file = self.other if turn else self.file
        same, theirs = [], lambda lease: self.as_file(lease)
        for store, lease in ((self.model, lambda lease: lease), (file, theirs)):
            try:
                same.append(("value", act(store, lease)))
            except OmegaError as error:
                words = str(error.message).replace(f"{self.kept[1].path}:", "memory:")
                same.append(("error", type(error), words if error.kind != "bug" else ""))
        first, second = same
        if first[0] == "value" and isinstance(first[1], Lease):
            assert self.as_file(first[1]) == second[1]
        else:
            assert first == second
        return first[1] if first[0] == "value" else None

    def as_file(self, lease: Lease) -> Lease:
        generation = self.generations[lease.generation]
        return Lease(lease.run, lease.owner, lease.epoch, generation, lease.until_us)

    def a_lease(self, which: int) -> Lease | None:
        return self.leases[which % len(self.leases)] if self.leases else None

    @rule(id=ids, parent=st.none() | ids, seq=small, turn=st.booleans())
    def create(self, id: str, parent: str | None, seq: int, turn: bool) -> None:
        run = NewRun(id, "job", {"x": seq}, blob(b"x" * seq), parent, seq if parent else 0)
        self.both(lambda store, _: store.create(run), turn)

    @rule(us=st.integers(1, 20 * SECOND))
    def passes(self, us: int) -> None:
        self.clock.passes(us)

    @rule(id=ids, owner=st.sampled_from(OWNERS), s=st.integers(1, 15), turn=st.booleans())
    def acquire(self, id: str, owner: str, s: int, turn: bool) -> None:
        lease = self.both(lambda store, _: store.acquire(id, owner, s * SECOND), turn)
        if lease is not None:
            self.leases.append(lease)

    @rule(which=st.integers(0, 50), s=st.integers(1, 15), turn=st.booleans())
    def renew(self, which: int, s: int, turn: bool) -> None:
        if (lease := self.a_lease(which)) is not None:
            self.both(lambda store, as_: store.renew(as_(lease), s * SECOND), turn)

    @rule(which=st.integers(0, 50), batch=batches(), turn=st.booleans())
    def append(self, which: int, batch: Batch, turn: bool) -> None:
        if (lease := self.a_lease(which)) is not None:
            self.both(lambda store, as_: store.append(as_(lease), batch), turn)

    @rule(batch=batches(), turn=st.booleans())
    def append_to_the_latest(self, batch: Batch, turn: bool) -> None:
        self.append(len(self.leases) - 1, batch, turn)

    @rule(which=st.integers(0, 50), batch=batches(), turn=st.booleans())
    def transact(self, which: int, batch: Batch, turn: bool) -> None:
        if (lease := self.a_lease(which)) is not None:
            self.both(lambda store, as_: store.transact(as_(lease), lambda db: batch), turn)

    @rule(id=ids, name=st.sampled_from(NAMES), key=small, turn=st.booleans())
    def signal(self, id: str, name: str, key: int, turn: bool) -> None:
        self.both(lambda store, _: store.signal(id, name, [key], key=str(key), who="me"), turn)

    @rule(id=ids, change=changes(), turn=st.booleans())
    def change(self, id: str, change: Change, turn: bool) -> None:
        self.both(lambda store, _: store.change(id, change, who="me"), turn)

    @rule(before=st.integers(990 * SECOND, 1_100 * SECOND), keep=ids, turn=st.booleans())
    def prune(self, before: int, keep: str, turn: bool) -> None:
        self.both(lambda store, _: store.prune(ended_before_us=before, keep=[keep]), turn)

    @rule()
    def copy(self) -> None:
        if len(self.copies) < 2:
            self.copies.append([kept.copy() for kept in self.kept])

    @rule(which=st.integers(0, 1))
    def put_back(self, which: int) -> None:
        if self.copies:
            copies = self.copies[which % len(self.copies)]
            model, file = (kept.put_back(c) for kept, c in zip(self.kept, copies, strict=True))
            assert model not in self.generations and file not in self.generations.values()
            self.generations[model] = file

    @invariant()
    def same(self) -> None:
        for ask in (
            lambda store: store.runs(),
            lambda store: store.due(),
            lambda store: store.runs(states=["suspended", "failed"], limit=2),
        ):
            self.both(lambda store, _, ask=ask: ask(store), turn=False)
        for id in IDS:
            for ask in (
                lambda store, id: store.run(id),
                lambda store, id: store.find(id[:1]),
                lambda store, id: list(store.journal(id)),
                lambda store, id: list(store.journal(id, 1, 3)),
                lambda store, id: [store.span(id, each) for each in (None, 1, 2, 3)],
                lambda store, id: store.effects(id),
                lambda store, id: store.effects(id, open_only=True),
                lambda store, id: store.run(id, incarnation=1),
                lambda store, id: store.run(id, incarnation=2),
                lambda store, id: store.effects(id, incarnation=1),
                lambda store, id: store.effects(id, incarnation=2, open_only=True),
                lambda store, id: store.signals(id),
                lambda store, id: store.signals(id, waiting_only=False),
                lambda store, id: store.history(id),
            ):
                self.both(lambda store, _, ask=ask, id=id: ask(store, id), turn=False)
        for n in range(6):
            (hash,) = blob(b"x" * n)
            self.both(lambda store, _, hash=hash: store.blob(hash), turn=False)


def test_the_file_does_what_the_plain_store_does() -> None:
    run_state_machine_as_test(
        Stores,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
