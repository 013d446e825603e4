"""Recorded runs are had again: the same events, in the same slices, at the same steps."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import (
    EventWriter,
    Mutex,
    Scheduler,
    SchedulerConfig,
    Semaphore,
    choose,
    end_event,
    timer_event,
    wrap,
)
from omega.concurrency.recording import RecordingDriver, VirtualRecordingDriver
from omega.concurrency.replaying import ReplayDriver, VirtualReplayDriver
from omega.tape import TapeReader, TapeWriter
from tests.concurrency.programs import steps

CONFIGS = [
    SchedulerConfig(fairness_mode=mode, yield_every=every, max_concurrent_tasks=limit)
    for mode in ("fifo", "round-robin", "priority")
    for every, limit in ((7, 3), (100, 1), (100, 10_000))
]


class Lines:
    """What a run did: its events, as --events writes them, and what its tasks saw."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines.append(text)


def wild(s: Scheduler, rng: random.Random, seen: list[Any]) -> None:
    """A program that does everything at random: also what reaches outside, in real time."""
    channels = [s.channel(n) for n in (0, 1, 3)]
    mutex, semaphore = Mutex(s), Semaphore(s, 2)
    tasks: list[Any] = []

    async def call(seconds: float, value: int, fails: bool) -> int:
        await s.driver.sleep(seconds)
        if fails:
            raise ValueError(value)
        return value + random.randrange(1_000_000)

    def outside(what: int, value: int) -> None:
        seconds, fails = rng.randrange(3) / 1000, rng.random() < 0.2
        if what == 0:
            external = s.external(lambda: call(seconds, value, fails))
        else:
            external = s.blocking(lambda: (value, random.random()))
        if rng.random() < 0.2:
            external.abort("wild")
        try:
            if rng.random() < 0.3:
                seen.append(s.sync(choose(external.event, timer_event(0.001))))
            else:
                seen.append(s.sync(external.event))
        except ValueError as error:
            seen.append(str(error))

    def act(depth: int) -> None:
        what = rng.randrange(17)
        if what == 0:
            s.yield_now()
        elif what == 1:
            s.sleep(rng.randrange(4) / 1000)
        elif what == 2:
            steps(s, rng.randrange(1, 300))
        elif what == 3 and depth < 4:
            options: dict[str, Any] = {"priority": rng.randrange(3), "daemon": rng.random() < 0.1}
            if rng.random() < 0.2:
                options["timeout"] = 0.002
            if rng.random() < 0.2:
                options["queue_timeout"] = 0.001
            tasks.append(s.spawn(lambda: live(depth + 1), **options))
        elif what == 4 and tasks:
            s.cancel(rng.choice(tasks), "wild")
        elif what == 5 and tasks:
            s.sync(choose(end_event(rng.choice(tasks)), timer_event(0.003)))
        elif what == 6:
            s.sync(choose(rng.choice(channels).recv_event(), timer_event(0.001)))
        elif what == 7:
            s.sync(choose(rng.choice(channels).send_event(1), wrap(timer_event(0.001), str)))
        elif what == 8:
            with mutex.held():
                s.sleep(0.0005)
        elif what == 9:
            with semaphore.held():
                s.yield_now()
        elif what == 10 and depth < 4:
            s.with_timeout(rng.randrange(1, 4) / 1000, lambda: live(depth + 1))
        elif what == 11 and depth < 4:
            s.with_scope(lambda: live(depth + 1))
        elif what == 12 and depth < 4:
            s.shield(lambda: act(depth + 1))
        elif what == 13 and rng.random() < 0.2:
            raise ValueError("wild")
        elif what == 14:
            seen.append(s.now_us())
        elif what in (15, 16):
            outside(what - 15, rng.randrange(10))

    def live(depth: int) -> None:
        for _ in range(rng.randrange(1, 8)):
            act(depth)
            seen.append(s.current.id)  # type: ignore[union-attr]

    for _ in range(4):
        tasks.append(s.spawn(lambda: live(0)))


def performed(
    driver: Any, config: SchedulerConfig, program: Callable[[Scheduler, list[Any]], None]
) -> list[Any]:
    """All that can be seen of a run."""
    s = Scheduler(config, driver=driver)
    lines, seen = Lines(), []
    s.listeners.append(EventWriter(lines))
    program(s, seen)
    s.run()
    s._check()
    stats = s.stats()
    s.close()
    return [lines.lines, seen, stats, s.steps, s.turns]


def twice(
    path: str,
    config: SchedulerConfig,
    program: Callable[[Scheduler, list[Any]], None],
    virtual: bool = False,
) -> tuple[list[Any], list[Any]]:
    """A recorded run, and the replay of its tape."""
    writer = TapeWriter(path)
    writer.begin({})
    recording = (VirtualRecordingDriver if virtual else RecordingDriver)(writer)
    first = performed(recording, config, program)
    recording.arrived("end", None)
    writer.close()
    reader = TapeReader(path)
    replaying = (VirtualReplayDriver if virtual else ReplayDriver)(reader)
    again = performed(replaying, config, program)
    assert replaying.failure is None and reader.is_at_end
    reader.close()
    return first, again


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.booleans())
def test_a_replay_has_the_events_of_the_recorded_run(
    seed: int, config: SchedulerConfig, virtual: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, again = twice(
            str(Path(folder, "run.tape")),
            config,
            lambda s, seen: wild(s, random.Random(seed), seen),
            virtual,
        )
        assert again == first
