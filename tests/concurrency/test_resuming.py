"""A run that was killed goes on from its journal, wherever that ends; and what both processes did
together can be had again as if it had been one.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import Scheduler, SchedulerConfig, clock
from omega.concurrency.choices import TapedChooser
from omega.concurrency.durable import DurableDriver, VirtualDurableDriver
from omega.concurrency.replaying import ReplayDriver, VirtualReplayDriver
from omega.concurrency.resuming import resume_on
from omega.errors import HostError
from omega.exploration.choosers import Follower, Horizon
from omega.exploration.strategies import Dice, Priorities
from omega.tape.facts import FactReader, FactWriter
from tests.concurrency.test_replay import CONFIGS, leaving, performed, wild


class MemoryJournal(FactWriter):
    failure: HostError | None = None
    is_pressing = False

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def put(self, line: str) -> None:
        self.lines.append(line)

    def flush(self) -> None:
        self.put_clocks()

    def commit(self) -> None:
        self.put_clocks()

    def renew(self) -> None:
        pass


class MemoryTape(FactReader):
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("a journal", iter(map(json.loads, lines)))

    def scan(self, kind: str) -> Iterator[list[Any]]:
        return (fact for fact in map(json.loads, self.lines) if fact[0] == kind)


DOWN_S = 3_600  # between two processes
LIMIT_S = 1_800  # of all the time in which somebody runs a run


class Restless(DurableDriver):
    """Marks come at any time, as if there had been none for long."""

    dice = random.Random()

    def _mark(self) -> None:
        if self.dice.random() < 0.3:
            self._marked_us = 0
        super()._mark()


def live(case: Case, process: int) -> tuple[Any, MemoryJournal]:
    """The driver of a process; each runs later than the one before."""
    journal = MemoryJournal()

    def wall_us() -> int:
        return time.time_ns() // 1000 + process * DOWN_S * 1_000_000

    if case.virtual:
        return VirtualDurableDriver(journal), journal
    return (Restless if case.is_restless else DurableDriver)(journal, wall_us), journal


class Case(NamedTuple):
    """A program made of a seed; virtual: the driver's time. strategy: of its schedule, each process
    has another seed; None: the config's policy. program: instead of that one.
    """

    seed: int
    config: SchedulerConfig
    virtual: bool
    strategy: str | None = None
    program: Callable[[Scheduler, list[Any]], None] | None = None
    is_restless: bool = False

    def performed(self, driver: Any, process: int) -> list[Any]:
        def program(s: Scheduler, seen: list[Any]) -> None:
            if self.strategy is not None:
                s.choose_by(TapedChooser(self.chooser(process)))
            if not self.virtual:
                s.set_wall_deadline(LIMIT_S)
            if self.program is not None:
                self.program(s, seen)
            else:
                wild(s, random.Random(self.seed), seen)

        return performed(driver, self.config, program)

    def chooser(self, process: int) -> Follower:
        name, horizon = f"{self.seed} {process}", Horizon(1_000_000)
        if self.strategy == "pct":
            return Priorities(name, 2_000, 4, horizon)
        return Dice(name, 2_000, horizon)


def begun(case: Case) -> tuple[list[Any], list[str]]:
    """What a run did, and the facts of it."""
    driver, journal = live(case, 0)
    did = case.performed(driver, 0)
    journal.flush()
    return did, journal.lines


def resumed(facts: list[str], case: Case, process: int) -> tuple[list[Any], list[str]]:
    """What a run did that went on behind `facts`, and all its facts then."""
    driver, journal = live(case, process)
    resuming: Any = resume_on(MemoryTape(facts), 0.0 if case.virtual else None, driver)
    did = case.performed(resuming, process)
    assert resuming.failure is None
    journal.flush()
    return did, facts + journal.lines


def replayed(facts: list[str], case: Case) -> list[Any]:
    tape = MemoryTape([*facts, '["end",0,[],null,null]'])
    driver: Any = (VirtualReplayDriver if case.virtual else ReplayDriver)(tape)
    did = case.performed(driver, -1)
    assert driver.failure is None and tape.is_at_end
    return did


def holds_for(case: Case, cuts: list[float]) -> None:
    """What several processes do together is one run; each but the last dies at a cut."""
    did, facts = begun(case)
    assert replayed(facts, case) == did
    least = 0
    for process, cut in enumerate(cuts, 1):
        least = max(least, round(cut * len(facts)))
        while least and facts[least - 1].startswith('["slow"'):
            least -= 1  # it is kept with what comes behind it
        did, facts = resumed(facts[:least], case, process)
        assert replayed(facts, case) == did


EXAMPLES = int(os.environ.get("N", "60"))
CUTS = st.lists(st.floats(0, 1), min_size=1, max_size=3)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.booleans(), CUTS)
def test_what_several_processes_did_is_one_run(
    seed: int, config: SchedulerConfig, virtual: bool, cuts: list[float]
) -> None:
    holds_for(Case(seed, config, virtual), cuts)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.sampled_from(("random", "pct")), CUTS)
def test_it_is_under_every_schedule_that_is_explored(
    seed: int, config: SchedulerConfig, strategy: str, cuts: list[float]
) -> None:
    """The journal holds what the choosers have answered; each process has another one."""
    holds_for(Case(seed, config, True, strategy), cuts)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.randoms(use_true_random=True), st.sampled_from(CONFIGS), st.integers(1, 3))
def test_it_is_on_a_machine_that_stalls(
    dice: random.Random, config: SchedulerConfig, processes: int
) -> None:
    """Between any two looks at it the clock may jump: the system has run something else."""
    jumped_us, read = 0, clock.now_us
    stalls = dice.choice((0.01, 0.05, 0.3))
    case = Case(dice.randrange(10**9), config, False, is_restless=True)
    cuts = [dice.random() for _ in range(processes)]

    def now_us() -> int:
        nonlocal jumped_us
        if dice.random() < stalls:
            jumped_us += dice.choice((50, 500, 1_000, 3_000, 150_000))
        return read() + jumped_us

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now_us", now_us)
        patch.setattr(Restless, "dice", dice)
        holds_for(case, cuts)


@pytest.mark.parametrize("config", CONFIGS)
def test_what_the_hub_is_to_do_at_once_is_done_where_the_facts_end(config: SchedulerConfig) -> None:
    """A task has left a call, and its slice ends while the facts do: the visit of the hub that
    aborts the call is made at that end, as it is in a replay of what followed.
    """
    case = Case(0, config, False, program=leaving)
    facts = begun(case)[1]
    for cut in range(len(facts)):
        holds_for(case, [cut / len(facts)])
