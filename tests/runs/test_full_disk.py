"""No room for a run: it pauses, nothing it has got is lost, and it goes on once there is some. What
was paid for is not paid for again.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.durable.memory import MemoryStore
from omega.durable.records import Batch, Lease
from omega.errors import RunStopped, StoreFull
from omega.runs.runs import Runs
from omega.runs.session import RunSettings
from tests.runs.kit import FAN_OUT, PROGRAMS, RUN, Books, Vendor, World
from tests.runs.test_kills import effects, files, undisturbed

WAIT_S, LOOK_S = 60.0, 0.02
FULL = "the store has no room for more"


class Small(MemoryStore):
    """Has no room from its so manieth append on, until there is some."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def append(self, lease: Lease, batch: Batch) -> int:
        if not self.room:
            raise StoreFull(FULL)
        self.room -= 1
        return super().append(lease, batch)

    def transact(self, lease: Lease, act: Any, **rest: Any) -> int:
        if not self.room:
            act(self)  # what it does is undone
            raise StoreFull(FULL)
        self.room -= 1
        return super().transact(lease, act, **rest)


def host(store: Any, books: Books, settings: RunSettings) -> Runs:
    def made(session: Any) -> Interpreter:
        interpreter = Interpreter(virtual_time=True, llm=Vendor(books), session=session)
        interpreter.define("charge", lambda what, n: books.write(f"charge {what}") or n * 2,
                           effect="paid")  # fmt: skip
        interpreter.define("note", lambda connection, text: text, effect="transactional")
        return interpreter

    return Runs(store, settings, made)


@pytest.mark.parametrize("program", ["fan-out", "race", "retries"])
def test_a_run_pauses_wherever_there_is_no_room(tmp_path: Path, program: str) -> None:
    expected, value, room, pauses = None, None, 10_000, 1
    while pauses:
        (tmp_path / "books.txt").unlink(missing_ok=True)
        store, books, told = Small(room), Books(tmp_path), []

        def make_room(error: StoreFull, store: Small = store, told: list[Any] = told) -> None:
            told.append(error)
            store.room = 10_000

        settings = RunSettings(park_after_s=0, on_full=make_room)
        value = str(host(store, books, settings).begin(PROGRAMS[program], "p", [], id=RUN))
        if expected is None:
            expected, room, told = (value, Counter(books.read())), 1, ["at first"]
        else:
            assert (value, Counter(books.read())) == expected, room
            assert len(told) <= 1
            room += 3
        assert store.run(RUN).state == "completed" and not store.effects(RUN, open_only=True)
        pauses = len(told)
    assert room > 10


def test_who_gives_up_waiting_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """A host's loop is not held up: the run stops, and goes on once there is room."""
    store, books = Small(4), Books(tmp_path)
    runs = host(store, books, RunSettings("retry", park_after_s=0))
    with pytest.raises(RunStopped, match=f"has stopped: {FULL}") as caught:
        asyncio.run(runs.begin_async(FAN_OUT, "p", [], id=RUN))
    assert (caught.value.state, caught.value.reason) == ("blocked", "disk-full")
    paid = Counter(books.read())
    ended = [i.asked for i, result in store.effects(RUN) if result is not None]
    store.room = 1_000
    store.acquire(RUN, "another", 1, dead=store.run(RUN).owner)  # as if our process had ended
    assert "best of" in str(runs.go_on(RUN))
    again = Counter(books.read()) - paid
    assert not any(f"LLMRequest({asked!r})" in ended for asked in again)


def limited(world: World, size: int) -> int:
    """A process that runs it, in which no file may become larger."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            world.on_full = lambda error: world.books.write("full")
            world.go("ask")
            status = 0
        finally:
            os._exit(status)
    return child


@pytest.mark.parametrize("program", ["fan-out", "retries"])
@pytest.mark.parametrize("size", [125_000, 140_000, 150_000])
def test_a_limit_of_the_system_pauses_it(tmp_path: Path, program: str, size: int) -> None:
    """Its files may be larger once it has said that it pauses."""
    expected, made, books, written, _ = undisturbed(program)
    world = World(tmp_path, program)
    child = limited(world, size)
    has_paused, end = False, time.monotonic() + WAIT_S
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(LOOK_S)
        if not has_paused and "full" in world.books.read():
            has_paused = True
            resource.prlimit(
                child, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
    assert status == 0
    assert has_paused
    assert world.go("ask") == expected
    assert Counter(world.books.read()) - Counter(["full"]) == books
    store = world.store()
    assert effects(store) == made and files(world) == written
    assert store.check() == []
    store.close()
