"""No room for a run: it pauses, nothing it has got is lost, and it goes on once there is some. What
was paid for is not paid for again.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.durable.memory import MemoryStore
from omega.durable.records import Batch, Lease
from omega.durable.sqlite import SQLiteStore
from omega.errors import RunStopped, StoreBusy, StoreError, StoreFull
from omega.runs import session
from omega.runs.runs import Runs
from omega.runs.session import RunSettings
from tests.runs.kit import PROGRAMS, RUN, Books, Vendor, World
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


def host(store: Any, books: Books, settings: RunSettings, is_virtual: bool = True) -> Runs:
    def made(of: Any) -> Interpreter:
        interpreter = Interpreter(virtual_time=is_virtual, llm=Vendor(books), session=of)
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


ONE_BY_ONE = """
(define (pay n) (begin (charge "item" n) (llm.infer (number->string n))))
(define (later n) (if (= n 0) '() (begin (sleep 1) (cons (pay (+ n 10)) (later (- n 1))))))
(define more (async (lambda () (later 3))))
(list (par-map pay (iota 3)) (await more) (note "all"))
"""


class Loop:
    """A loop of the host, whose other work goes on: once it has, for a while, there is room."""

    def __init__(self, store: Small, act: Callable[[], object] = lambda: None) -> None:
        self.store, self.act = store, act
        self.turns = self.pauses = 0
        self.task: Any = None

    def is_full(self, error: StoreFull) -> None:
        self.pauses += 1
        self.task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0.001)
            self.turns += 1
        self.act()


@pytest.mark.parametrize("is_virtual", [True, False], ids=["virtual", "real"])
def test_a_run_in_a_loop_of_the_host_pauses_wherever_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_virtual: bool
) -> None:
    monkeypatch.setattr(session, "ROOM_S", 0.002)
    expected: Any = None
    room, has_paused = 10_000, True
    while has_paused:
        (tmp_path / "books.txt").unlink(missing_ok=True)
        store, books = Small(room), Books(tmp_path)
        loop = Loop(store, lambda store=store: setattr(store, "room", 10_000))
        runs = host(store, books, RunSettings(on_full=loop.is_full), is_virtual)
        value = str(asyncio.run(runs.begin_async(ONE_BY_ONE, "p", [], id=RUN)))
        has_paused = bool(loop.pauses)
        if expected is None:
            expected, room, has_paused = (value, Counter(books.read())), 1, True
            continue
        assert (value, Counter(books.read())) == expected, room
        assert loop.turns == 5 * loop.pauses
        assert store.run(RUN).state == "completed" and not store.effects(RUN, open_only=True)
        room += 1
    assert room > 10


@pytest.mark.parametrize("is_virtual", [True, False], ids=["virtual", "real"])
def test_who_gives_up_waiting_loses_nothing_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_virtual: bool
) -> None:
    """The host cancels what waits for the run: it stops, and goes on once there is room."""
    monkeypatch.setattr(session, "ROOM_S", 0.02)
    for room in range(1, 30):
        (tmp_path / "books.txt").unlink(missing_ok=True)
        store, books = Small(room), Books(tmp_path)
        if not cancelled_when_full(store, books, is_virtual):
            break
        paid = Counter(books.read())
        ended = [i.asked for i, result in store.effects(RUN) if result is not None]
        loop = Loop(store, lambda store=store: setattr(store, "room", 10_000))
        runs = host(store, books, RunSettings("retry", on_full=loop.is_full), is_virtual)
        assert "all" in str(asyncio.run(runs.go_on_async(RUN)))
        assert loop.pauses == 1
        again = Counter(books.read()) - paid
        assert not any(f"LLMRequest({asked!r})" in ended for asked in again), room
    assert room > 10


def cancelled_when_full(store: Small, books: Books, is_virtual: bool) -> bool:
    async def main() -> bool:
        loop = Loop(store, lambda: task.cancel())
        runs = host(store, books, RunSettings("retry", on_full=loop.is_full), is_virtual)
        task = asyncio.create_task(runs.begin_async(ONE_BY_ONE, "p", [], id=RUN))
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    return asyncio.run(main())


def test_who_interrupts_a_run_that_waits_for_room_may_go_on_with_it_at_once(tmp_path: Path) -> None:
    """Also in the same process: the store could not be told that it has left the run."""
    for room in range(1, 40):
        (tmp_path / "books.txt").unlink(missing_ok=True)
        store, books, told = Small(room), Books(tmp_path), list[StoreError]()

        def interrupt(error: StoreError, told: list[StoreError] = told) -> None:
            told.append(error)
            os.kill(os.getpid(), signal.SIGINT)

        runs = host(store, books, RunSettings("retry", on_full=interrupt), is_virtual=False)
        try:
            runs.begin(ONE_BY_ONE, "p", [], id=RUN)
        except (RunStopped, KeyboardInterrupt):
            assert told
        assert bool(told) == (store.run(RUN).state != "completed")
        if not told:
            break
        paid, store.room = Counter(books.read()), 10_000
        ended = [i.asked for i, result in store.effects(RUN) if result is not None]
        assert "all" in str(runs.go_on(RUN))
        again = Counter(books.read()) - paid
        assert not any(f"LLMRequest({asked!r})" in ended for asked in again), room
    assert room > 10


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


def test_others_who_keep_the_store_for_long_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was paid for meanwhile would be unknown otherwise."""
    monkeypatch.setattr(session, "ROOM_S", 0.002)
    store, paid, told = SQLiteStore(str(tmp_path / "runs.db")), list[int](), list[StoreError]()
    store.file._wait_s = 0.005
    other = sqlite3.connect(tmp_path / "runs.db", isolation_level=None, check_same_thread=False)

    def charge(n: int) -> int:
        paid.append(n)
        other.execute("BEGIN IMMEDIATE")
        return n

    def is_busy(error: StoreError) -> None:
        told.append(error)
        threading.Timer(0.05, lambda: other.execute("ROLLBACK")).start()

    made = Interpreter(store=store, runs=RunSettings(on_full=is_busy))
    made.define("charge", charge, effect="paid")
    assert list(made.run_durable("(list (charge 1) (charge 2))", id=RUN)) == [1, 2]
    assert paid == [1, 2] and {type(error) for error in told} == {StoreBusy}
    assert store.run(RUN).state == "completed" and store.check() == []
    made.close()
    store.close()
    other.close()


@pytest.mark.parametrize("failure", [StoreBusy, StoreFull, StoreError])
def test_a_store_that_a_transactional_function_uses_itself_is_not_the_runs(
    tmp_path: Path, failure: type[StoreError]
) -> None:
    store, calls = SQLiteStore(str(tmp_path / "runs.db")), list[int]()

    def act(connection: Any) -> None:
        calls.append(1)
        raise failure("another one")

    made = Interpreter(store=store, virtual_time=True)
    made.define("act", act, effect="transactional")
    for _ in range(2):
        with pytest.raises(failure, match="another one"):
            made.run_durable("(act)", id=RUN)
        assert store.run(RUN).state == "failed"
    assert calls == [1]
    made.close()
    store.close()
