"""Recorded runs are had again: the same events, in the same slices, at the same steps."""

from __future__ import annotations

import json
import random
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import (
    EventWriter,
    Mutex,
    Parts,
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
from omega.errors import ReplayDivergence, TapeEnded
from omega.tape import TapeReader, TapeWriter, files
from tests.concurrency.programs import steps

CONFIGS = [
    SchedulerConfig(
        fairness_mode=mode,
        yield_every=every,
        max_concurrent_tasks=limit,
        slow_slice=0.1 if every == 7 else 2e-6,  # then nearly all are slow
    )
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

    def stream(count: int, pause: float, slow: float) -> None:
        """A coroutine tells parts; the reader may be slower, or leave."""
        parts = Parts(s, 2)

        async def tell() -> int:
            for i in range(count):
                await s.driver.sleep(pause)
                await s.driver.tell(external, i * 1000 + random.randrange(1000))
            return count

        ended = s.cell("the end of the parts")
        external = s.external(tell, on_done=lambda external: ended.put(external.value))
        parts.come_from(external)
        if rng.random() < 0.2:
            external.abort("wild")
        while True:
            what = s.sync(choose(wrap(parts.next, lambda part: (part,)), ended.event))
            seen.append(what)
            if not isinstance(what, tuple):
                return
            if slow:
                s.sleep(slow)

    def act(depth: int) -> None:
        what = rng.randrange(19)
        if what == 0:
            s.yield_now()
        elif what == 1:
            s.sleep(rng.randrange(4) / 1000)
        elif what == 2:
            steps(s, rng.choice((rng.randrange(1, 300), 3_000)))
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
        elif what == 17:
            pauses = rng.choice((0.0, 0.0005)), rng.choice((0.0, 0.001))
            if rng.random() < 0.3:
                s.with_timeout(0.002, lambda: stream(9, *pauses))
            else:
                stream(rng.randrange(5), *pauses)
        elif what == 18:
            seen.append(s.stats().longest_slice_ms)

    def live(depth: int) -> None:
        for _ in range(rng.randrange(1, 8)):
            act(depth)
            seen.append(s.current.id)  # type: ignore[union-attr]

    for _ in range(4):
        tasks.append(s.spawn(lambda: live(0)))


class Marking(RecordingDriver):
    """As if the machine were slow: marks at every turn."""

    def _mark(self) -> None:
        self._marked_us = 0
        super()._mark()


def performed(
    driver: Any,
    config: SchedulerConfig,
    program: Callable[[Scheduler, list[Any]], None],
    is_heard: bool = True,
) -> list[Any]:
    """All that can be seen of a run; without its events if nobody listens."""
    s = Scheduler(config, driver=driver)
    lines, seen = Lines(), []
    if is_heard:
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
    heard: tuple[bool, bool] = (True, True),
    real: type[RecordingDriver] = RecordingDriver,
) -> tuple[list[Any], list[Any]]:
    """A recorded run, and the replay of its tape."""
    writer = TapeWriter(path)
    writer.begin({})
    recording = (VirtualRecordingDriver if virtual else real)(writer)
    first = performed(recording, config, program, heard[0])
    recording.arrived("end", None)
    writer.close()
    reader = TapeReader(path)
    replaying = (VirtualReplayDriver if virtual else ReplayDriver)(reader)
    again = performed(replaying, config, program, heard[1])
    assert replaying.failure is None and reader.is_at_end
    reader.close()
    return first, again


def wild_twice(
    seed: int, config: SchedulerConfig, virtual: bool, heard: tuple[bool, bool] = (True, True)
) -> tuple[list[Any], list[Any]]:
    """`twice` of a program made of `seed`."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "run.tape"))
        return twice(
            path, config, lambda s, seen: wild(s, random.Random(seed), seen), virtual, heard
        )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.booleans())
def test_a_replay_has_the_events_of_the_recorded_run(
    seed: int, config: SchedulerConfig, virtual: bool
) -> None:
    first, again = wild_twice(seed, config, virtual)
    assert again == first


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.booleans(), st.booleans())
def test_a_replay_is_the_same_whether_somebody_listens_or_not(
    seed: int, config: SchedulerConfig, virtual: bool, is_first_heard: bool
) -> None:
    """The watchdog looks more often where somebody listens."""
    first, again = wild_twice(seed, config, virtual, (is_first_heard, not is_first_heard))
    assert again[1:] == first[1:]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.booleans())
def test_posts_and_interrupts_come_in_where_they_came_in(
    seed: int, config: SchedulerConfig, virtual: bool
) -> None:
    """Another thread posts and interrupts while tasks run; in the replay it posts when it likes."""
    rng = random.Random(seed)
    pauses = [rng.random() / 500 for _ in range(rng.randrange(1, 6))]
    interrupts = rng.random() < 0.5
    is_first = True

    def program(s: Scheduler, seen: list[Any]) -> None:
        nonlocal is_first
        hold = s.hold_external()
        done = threading.Event()

        def busy() -> None:
            for _ in range(2_000):
                steps(s, 30)
                s.yield_now()

        def posted(i: int) -> None:
            seen.append(i)
            s.spawn(lambda: steps(s, 50 * i + 1), name=f"posted {i}")
            if i == len(pauses) - 1:
                hold.release()

        def elsewhere(is_first: bool) -> None:
            for i, pause in enumerate(pauses):
                if is_first:
                    done.wait(pause)
                    if interrupts and i == 0:
                        s.interrupt()
                s.post(lambda i=i: posted(i))  # type: ignore[misc]

        s.on_interrupt = lambda: seen.append(f"interrupted at {s.cancel_all('interrupt')}")
        s.spawn(busy, name="busy")
        wild(s, random.Random(seed), seen)
        threading.Thread(target=elsewhere, args=(is_first,), daemon=True).start()
        is_first = False

    with tempfile.TemporaryDirectory() as folder:
        first, again = twice(str(Path(folder, "run.tape")), config, program, virtual)
        assert again == first


@pytest.mark.parametrize("virtual", [False, True])
def test_a_task_that_is_alone_stays_where_it_is(
    tmp_path: Path, virtual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visit of the hub takes time in proportion to the stack, on CPython 3.12. Both sides visit
    it where a timer is due, and at the ends of tasks.
    """
    visits: list[int] = []
    run_from_hub = Scheduler._run_from_hub
    monkeypatch.setattr(
        Scheduler, "_run_from_hub", lambda s, task: visits.append(1) or run_from_hub(s, task)
    )
    counts: list[int] = []

    def program(s: Scheduler, seen: list[Any]) -> None:
        def alone() -> None:
            s.sleep(0.000_01)
            steps(s, 1_000_000)
            seen.append(s.now_us())

        counts.append(len(visits))
        s.spawn(alone)

    first, again = twice(str(tmp_path / "run.tape"), SchedulerConfig(), program, virtual)
    assert first == again
    assert counts[1] - counts[0] < 10 and len(visits) - counts[1] < 10


def test_what_a_killed_run_has_done_alone_is_in_its_tape(tmp_path: Path) -> None:
    """Marks are written although the hub is not visited, and passed in a replay without a visit."""
    path = str(tmp_path / "run.tape")
    marks: list[int] = []

    def program(s: Scheduler, seen: list[Any]) -> None:
        s.spawn(lambda: (steps(s, 2_000), seen.append(s.now_us()), steps(s, 2_000)))

    writer = TapeWriter(path)
    writer.begin({})
    driver = Marking(writer)
    first = performed(driver, CONFIGS[2], program)
    driver.arrived("end", None)
    writer.close()
    text = Path(path).read_text()
    marks = [int(line.split(",")[1]) for line in text.splitlines() if line.startswith('["mark"')]
    assert len(set(marks)) > 30, "about one for each slice"
    reader = TapeReader(path)
    assert performed(ReplayDriver(reader), CONFIGS[2], program) == first
    reader.close()
    torn = text[: text.index(f'["mark",{marks[len(marks) // 2]}')]
    Path(path).write_text(torn)
    reader = TapeReader(path)
    s = Scheduler(CONFIGS[2], driver=ReplayDriver(reader))
    program(s, [])
    with pytest.raises(TapeEnded):
        s.run()
    assert marks[len(marks) // 2] - 2 <= s.turns <= marks[len(marks) // 2]
    s.close()
    reader.close()


def leaving(s: Scheduler, seen: list[Any]) -> None:
    """A task leaves a call, and its slice ends before it has given way: the call is aborted there.
    Who comes next looks at the clock.
    """
    channel = s.channel(1)

    def look() -> None:
        s.sync(channel.recv_event())
        seen.append(s.now_us())
        s.yield_now()

    def leave() -> None:
        external = s.external(lambda: s.driver.sleep(3_600))
        seen.append(s.sync(choose(external.event, timer_event(0.001))))
        s.sync(channel.send_event(1))
        steps(s, 300)

    s.spawn(look)
    s.spawn(leave)


@pytest.mark.parametrize("config", CONFIGS)
def test_what_the_hub_is_to_do_at_once_waits_for_no_fact(
    tmp_path: Path, config: SchedulerConfig
) -> None:
    """A mark at the end of the slice in which somebody has left a call asks for no visit of the
    hub; the visit that aborts the call is made all the same.
    """
    first, again = twice(str(tmp_path / "run.tape"), config, leaving, real=Marking)
    assert first == again


@pytest.mark.parametrize("real", [RecordingDriver, Marking])
def test_a_replay_ends_where_a_torn_tape_ends(tmp_path: Path, real: type[RecordingDriver]) -> None:
    path = str(tmp_path / "run.tape")

    def program(s: Scheduler, seen: list[Any]) -> None:
        wild(s, random.Random(4), seen)

    config = SchedulerConfig(yield_every=7, max_concurrent_tasks=3, slow_slice=None)
    first, _ = twice(path, config, program, real=real)
    whole = Path(path).read_bytes()
    end = whole.rindex(b'["act"') - 1  # from there on it is closed
    for cut in range(whole.index(b"\n") + 1, end, len(whole) // 40):
        Path(path).write_bytes(whole[:cut])
        reader = TapeReader(path)
        s = Scheduler(config, driver=ReplayDriver(reader))
        lines, seen = Lines(), []
        s.listeners.append(EventWriter(lines))
        with pytest.raises(TapeEnded):
            program(s, seen)
            s.run()
            s.close()
        assert lines.lines == first[0][: len(lines.lines)]
        s.close()
        reader.close()


def test_a_program_that_differs_is_stopped_and_nothing_of_it_goes_on(tmp_path: Path) -> None:
    path = str(tmp_path / "run.tape")
    cleaned: list[str] = []

    def program(asks: int) -> Callable[[Scheduler, list[Any]], None]:
        def body(s: Scheduler) -> None:
            try:
                for _ in range(asks):
                    s.sleep(0.001)
            except Exception:
                cleaned.append("handled")

        return lambda s, seen: [s.spawn(lambda: body(s)) for _ in range(3)] and None

    twice(path, CONFIGS[0], program(2))
    for asks in (1, 3):
        reader = TapeReader(path)
        s = Scheduler(CONFIGS[0], driver=ReplayDriver(reader))
        program(asks)(s, [])
        with pytest.raises(ReplayDivergence):
            s.run()
        s.close()
        reader.close()
    assert cleaned == []


def test_the_number_of_switches_follows_from_the_schedule(tmp_path: Path) -> None:
    """However often the hub is visited in between: a task that goes on after it has not left."""

    class Restless(RecordingDriver):
        def poll_switches(self) -> int:
            super().poll_switches()
            return 0

        def poll_due(self) -> bool:
            return True

    def program(s: Scheduler, seen: list[Any]) -> None:
        def body() -> None:
            steps(s, 1000)
            s.yield_now()
            s.sleep(0.001)

        s.spawn(body)
        s.run()
        s.spawn(body)
        s.spawn(body)

    found = []
    for n, kind in enumerate((RecordingDriver, Restless)):
        writer = TapeWriter(str(tmp_path / f"{n}.tape"))
        writer.begin({})
        _, _, stats, *more = performed(kind(writer), SchedulerConfig(), program)
        found.append([stats.switches, stats.slices, *more])
        writer.close()
    assert found[0] == found[1]


@given(
    st.lists(st.one_of(st.integers(0, 99), st.sampled_from(["slow", "mark", "wall"])), max_size=30),
    st.sampled_from([1, 30, 100]),
)
def test_a_tape_holds_the_same_however_often_it_is_flushed(
    facts: list[int | str], flush_bytes: int
) -> None:
    """Numbers are readings of the clock."""

    def read(flush_bytes: int) -> list[Any]:
        found: list[Any] = []
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "FLUSH_BYTES", flush_bytes)
            writer = TapeWriter(str(Path(folder, "run.tape")))
            writer.begin({})
            us = 0
            for at, fact in enumerate(facts):
                if isinstance(fact, int):
                    us += fact
                    writer.clock(us)
                else:
                    writer.write(fact, at)
            writer.write("end")
            writer.close()
            for line in Path(folder, "run.tape").read_text().splitlines()[1:]:
                kind, *fields = json.loads(line)
                assert fields or kind == "end", line
                found += [("clock", us) for us in fields] if kind == "clock" else [(kind, fields)]
        return found

    assert read(flush_bytes) == read(1_000_000)
