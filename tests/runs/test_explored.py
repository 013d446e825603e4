"""Durable runs under explored schedules: whoever is stopped where, and wherever the process dies,
the journal is that of one run, which replays event by event; and nothing is paid twice.

OMEGA_SCHEDULES=1000 explores so many of each program; by default a few.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter, replay
from omega.concurrency import EventWriter
from omega.concurrency.choices import Chooser, TapedChooser
from omega.durable.memory import MemoryStore
from omega.durable.records import Batch, Lease
from omega.errors import LispError, StoreError
from omega.exploration.choosers import Horizon
from omega.exploration.strategies import Dice, Priorities
from omega.runs.exported import export
from omega.runs.runs import Runs
from omega.runs.session import RunSettings
from tests.runs.kit import FAN_OUT, RACE, RETRIES, RUN, Books, Vendor

SCHEDULES = int(os.environ.get("OMEGA_SCHEDULES", "25"))
LENGTH = 400  # steps that such a program takes, about
TIMEOUTS = """
(define (try ms prompt)
  (guard (e ((timeout-error? e) (charge "late" ms)))
    (with-timeout ms (scope (async (lambda () (llm.infer prompt))) (llm.infer "quick too")))))
(define winner (race (lambda () (sleep 5) 'sleeper) (lambda () (llm.infer "quick one"))))
(define tried (par-map (lambda (ms) (try ms (if (< ms 15) "slow" "quick"))) '(5 10 15 20)))
(list winner tried)
"""
PROGRAMS = {"gather": FAN_OUT, "race": RACE, "timeouts": TIMEOUTS, "retries": RETRIES}


class Mortal(MemoryStore):
    """Its process dies before or after its so manieth append."""

    def __init__(self) -> None:
        super().__init__(clock_us=lambda: self.now_us)
        self.now_us = 1_800_000_000_000_000
        self.left, self.is_kept = 0, False

    def reborn(self, left: int, is_kept: bool) -> None:
        """Another process uses it, once the lease of the dead one has passed."""
        self.left, self.is_kept = left, is_kept
        self.now_us += 60_000_000

    def append(self, lease: Lease, batch: Batch) -> int:
        self.left -= 1
        if self.left == 0 and not self.is_kept:
            raise StoreError("dead")
        seq = super().append(lease, batch)
        if self.left == 0:
            raise StoreError("dead")
        return seq


class Explored:
    """A run, its books, and what its last process did."""

    def __init__(self, folder: Path, text: str, seed: int) -> None:
        self.folder, self.text = folder, text
        self.chance = random.Random(seed)
        self.store = Mortal()
        self.books = Books(folder)
        self.events: list[str] = []
        self.unknown = 0  # calls that nobody knew the end of when a process died

    def write(self, line: str) -> None:  # of the event stream
        self.events.append(line)

    def goes_on(self, processes: int) -> str:
        """The value, once so many processes have died, or fewer if one came to the end."""
        for _ in range(processes):
            self.store.reborn(self.chance.randrange(1, 25), self.chance.random() < 0.5)
            try:
                return self.one_process()
            except StoreError:
                self.unknown += len(self.store.effects(RUN, open_only=True))
        self.store.reborn(0, False)
        return self.one_process()

    def one_process(self) -> str:
        if not any(run.outcome for run in self.store.runs()):  # else it died when it had ended
            self.events.clear()
        runs = Runs(self.store, RunSettings("retry", park_after_s=0), self.made)
        return outcome(lambda: runs.begin(self.text, "<run>", [], id=RUN))

    def made(self, session: Any) -> Interpreter:
        made = Interpreter(virtual_time=True, llm=Vendor(self.books), session=session)
        self.prepare(made)
        name, horizon = str(self.chance.random()), Horizon(1_000_000)
        strategies = [Dice(name, LENGTH, horizon), Priorities(name, LENGTH, 4, horizon)]
        made.scheduler.choose_by(TapedChooser(self.chance.choice(strategies)))
        return made

    def prepare(self, made: Interpreter) -> None:
        def charge(what: str, amount: int) -> int:
            self.books.write(f"charge {what} {amount}")
            return amount * 2

        def note(connection: Any, text: str) -> str:
            return text

        made.define("charge", charge, effect="paid")
        made.define("note", note, effect="transactional")
        made.scheduler.listeners.append(EventWriter(self))

    def replayed(self) -> str:
        path = self.folder / "run.tape"
        path.unlink(missing_ok=True)
        export(self.store, self.store.run(RUN), str(path))
        self.events.clear()
        with replay(str(path)) as made:
            self.prepare(made)
            made.scheduler.choose_by(TapedChooser(Chooser()))
            return outcome(lambda: (made.eval(self.text, filename="<run>"), made.run())[0])


def outcome(act: Callable[[], object]) -> str:
    """A value, or how the program has failed: with some schedules a deadline is too near."""
    try:
        return str(act())
    except LispError as error:
        return f"{error.kind}: {error.message}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_run_is_replayed_as_it_was(tmp_path: Path, program: str) -> None:
    seen = set()
    for seed in range(SCHEDULES):
        (tmp_path / "books.txt").unlink(missing_ok=True)
        run = Explored(tmp_path, PROGRAMS[program], seed)
        value = run.goes_on(seed % 3)
        did, books = list(run.events), run.books.read()
        assert run.replayed() == value, seed
        assert run.events == did, seed
        assert run.books.read() == books, seed
        assert len(books) <= len(run.store.effects(RUN)) + run.unknown, seed
        seen.add("".join(did))
    assert len(seen) > 10, "schedules differ"
