"""A run that was killed goes on from its journal, wherever that ends; and what both processes did
together can be had again as if it had been one.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import SchedulerConfig
from omega.concurrency.durable import DurableDriver, VirtualDurableDriver
from omega.concurrency.replaying import ReplayDriver, VirtualReplayDriver
from omega.concurrency.resuming import resume_on
from omega.errors import HostError
from omega.tape.facts import FactReader, FactWriter
from tests.concurrency.test_replay import CONFIGS, performed, wild


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


def wall_us() -> int:
    return time.time_ns() // 1000


def live(virtual: bool) -> tuple[Any, MemoryJournal]:
    journal = MemoryJournal()
    return VirtualDurableDriver(journal) if virtual else DurableDriver(journal, wall_us), journal


def begun(seed: int, config: SchedulerConfig, virtual: bool) -> list[str]:
    """The facts of a whole run."""
    driver, journal = live(virtual)
    performed(driver, config, lambda s, seen: wild(s, random.Random(seed), seen))
    journal.flush()
    return journal.lines


def resumed(
    facts: list[str], seed: int, config: SchedulerConfig, virtual: bool
) -> tuple[list[Any], list[str]]:
    """What a run did that went on behind `facts`, and all its facts then."""
    driver, journal = live(virtual)
    resuming: Any = resume_on(MemoryTape(facts), 0.0 if virtual else None, driver)
    did = performed(resuming, config, lambda s, seen: wild(s, random.Random(seed), seen))
    assert resuming.failure is None
    journal.flush()
    return did, facts + journal.lines


def replayed(facts: list[str], seed: int, config: SchedulerConfig, virtual: bool) -> list[Any]:
    tape = MemoryTape(facts)
    driver: Any = (VirtualReplayDriver if virtual else ReplayDriver)(tape)
    did = performed(driver, config, lambda s, seen: wild(s, random.Random(seed), seen))
    assert driver.failure is None and tape.is_at_end
    return did


@settings(max_examples=int(__import__("os").environ.get("N", "60")), deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from(CONFIGS),
    st.booleans(),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_what_several_processes_did_is_one_run(
    seed: int, config: SchedulerConfig, virtual: bool, cuts: list[float]
) -> None:
    facts = begun(seed, config, virtual)
    least = 0
    for cut in cuts:
        least = max(least, round(cut * len(facts)))
        while least and facts[least - 1].startswith('["slow"'):
            least -= 1  # it is kept with what comes behind it
        did, facts = resumed(facts[:least], seed, config, virtual)
        assert replayed([*facts, '["end",0,[],null,null]'], seed, config, virtual) == did
