"""Runs whose program is changed again while they are still given what they had got before.

What was paid for is not paid for again, whichever of the journals tells of it; and the trial of the
second change says what would be.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import RunStopped
from omega.runs.forks import Trial, fork, migrate, try_program
from omega.runs.session import RunSettings
from omega.runs.sources import left_to_recall
from omega.runs.taps import effect_key
from tests.runs.kit import RUN, World
from tests.runs.test_edits import of_another_version

PAYS = 8
PROGRAM = """
(define (more) 0)
(define (pay n)
  (let ((called (call n)))
    (if (= n 1) (await (async more)))
    (list called (charge n))))
(define got (map pay (iota 4)))
"""
FIRST = PROGRAM + '(list got (wait-signal "fin"))'
SECOND = FIRST.replace("(define (more) 0)", "(define (more) (call 100))")
THIRD = SECOND.replace("(list got", "(list 'third got")


class Paying(World):
    """Its functions write to the books under which key they were called."""

    def host(self, store: Any, policy: Any = "retry") -> Interpreter:
        def charge(n: int) -> int:
            self.books.write(f"{effect_key()} charge {n}")
            return n * 2

        async def call(n: int) -> int:
            self.books.write(f"{effect_key()} call {n}")
            await asyncio.sleep(0)
            return n * 3

        made = Interpreter(
            store=store, virtual_time=self.is_virtual, runs=RunSettings(policy, park_after_s=0)
        )
        made.define("charge", charge, effect="paid")
        made.define("call", call, effect="paid")
        return made

    def killed(self, act: Callable[[Interpreter], Any], at: int) -> bool:
        """`act(host)` in a process that dies behind its store's so manieth statement. False: it has
        come to its end, or waits for the signal.
        """
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store = self.store(at, True)
                try:
                    act(self.host(store))
                except RunStopped as stopped:
                    assert stopped.state == "suspended", stopped
                store.close()
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        assert ended in (0, signal.SIGKILL), f"the process ended with {ended}"
        return ended == signal.SIGKILL

    def ended(self, run: str = RUN) -> str:
        store = self.store()
        store.signal(run, "fin", "end", key="fin", who="test")
        return str(self.host(store).resume(run))

    def tried(self, text: str, run: str = RUN) -> Trial:
        paid = self.books.read()
        store = self.store()
        found = try_program(store, run, "new.omega", text, self.host(store).runs.run_text)
        assert self.books.read() == paid
        return found


@pytest.fixture
def world(tmp_path: Path) -> Paying:
    """A run that has paid for all, and waits."""
    world = Paying(tmp_path, "", is_virtual=False)
    with pytest.raises(RunStopped):
        world.host(world.store()).run_durable(FIRST, id=RUN)
    assert len(world.books.read()) == PAYS
    return world


def killed_while_recalling(world: Paying, run: str = RUN) -> None:
    """In a process that has paid for what is new, and was to be given more of the old."""
    for at in range(80, 400):
        assert world.killed(lambda host: host.resume(run), at), "it was never there"
        store = world.store()
        is_known = not store.effects(run, open_only=True)
        has_paid = any("call 100" in line for line in world.books.read())
        is_recalling = left_to_recall(store, store.run(run)) is not None
        store.close()
        if has_paid and is_known:
            assert is_recalling
            return
    raise AssertionError("it was never there")


def paid_again(world: Paying, run: str = RUN) -> list[str]:
    """By the same effect, and what `run` has paid for that the run it was forked from had."""
    lines = Counter(line.partition("/")[2] for line in world.books.read())
    return [line for line, times in lines.items() if times > 1 and "call 100" not in line]


def test_a_run_that_is_changed_again_while_it_recalls_recalls_from_both(world: Paying) -> None:
    store = world.store()
    migrate(store, RUN, "new.omega", SECOND)
    killed_while_recalling(world)
    paid = world.books.read()
    found = world.tried(THIRD)
    assert found.is_same and not found.missed and not found.open, found
    migrate(store, RUN, "new.omega", THIRD)
    assert world.ended() == '(third ((0 0) (3 2) (6 4) (9 6)) "end")'
    assert world.books.read() == paid


def test_so_does_one_that_is_killed_and_changed_many_times(world: Paying) -> None:
    store = world.store()
    migrate(store, RUN, "new.omega", SECOND)
    killed_while_recalling(world)
    paid = world.books.read()
    for at in range(0, 400, 40):
        text = THIRD.replace("'third", f"'at-{at}")
        assert world.tried(text).is_same
        migrate(store, RUN, "new.omega", text)
        world.killed(lambda host: host.resume(RUN), 30 + at)
    assert world.ended().startswith("(at-360 ((0 0)")
    assert world.books.read() == paid
    assert "before" not in store.run(RUN).header["recalls"]  # it had got all by then


def test_what_is_still_to_be_recalled_may_be_left_over(world: Paying) -> None:
    migrate(world.store(), RUN, "new.omega", SECOND)
    killed_while_recalling(world)
    found = world.tried(THIRD.replace("(iota 4)", "(iota 3)"))
    assert not found.is_same
    assert [(key[0], asked) for key, asked in found.left] == [("call", "3"), ("host charge", "3")]
    found = world.tried(
        THIRD.replace("(list called (charge n))", "(list called (charge (+ n 10)))")
    )
    assert [(each.asked, each.was) for each in found.missed] == [("10", "0")]


def test_what_the_program_before_had_dropped_is_no_difference_and_may_come_back(
    world: Paying,
) -> None:
    """All it has paid for is kept; the journals of a run are."""
    fewer = FIRST.replace("(iota 4)", "(iota 3)")
    store, paid = world.store(), world.books.read()
    assert len(world.tried(fewer).left) == 2
    migrate(store, RUN, "new.omega", fewer)
    with pytest.raises(RunStopped):
        world.host(store).resume(RUN)
    found = world.tried("; a remark\n" + fewer)
    assert found.is_same, found
    found = world.tried(FIRST)
    assert found.is_same and not found.missed, found
    migrate(store, RUN, "new.omega", FIRST)
    assert world.ended() == '(((0 0) (3 2) (6 4) (9 6)) "end")'
    assert world.books.read() == paid


def test_messages_that_are_to_be_received_again_are(tmp_path: Path) -> None:
    world = Paying(tmp_path, "", is_virtual=False)
    text = """
    (define (more) 0)
    (define first (wait-signal "a"))
    (define middle (await (async more)))
    (define second (wait-signal "b"))
    (list first second (call 1) (wait-signal "fin"))
    """
    store = world.store()
    with pytest.raises(RunStopped):
        world.host(store).run_durable(text, id=RUN)
    for name in ("a", "b"):
        store.signal(RUN, name, name, key=name, who="test")
        with pytest.raises(RunStopped):
            world.host(store).resume(RUN)
    migrate(store, RUN, "n", text.replace("(more) 0", "(more) (call 100)"))
    killed_while_recalling(world)
    migrate(store, RUN, "n", text.replace("(more) 0", "(more) (call 100)") + ";")
    assert world.ended() == '("a" "b" 3 "end")'
    assert not paid_again(world)


def number_of(store: Any, asked: str) -> int:
    return next(each.number for each, _ in store.effects(RUN) if each.asked == asked)


@pytest.mark.parametrize("how", [{}, {"reply": 7}], ids=["again", "reply"])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_fork_whose_program_is_replaced_has_what_it_shares_and_what_it_recalls(
    world: Paying, how: dict[str, Any], is_resumed: bool
) -> None:
    """is_resumed: it was, and killed while it recalled. What it is forked at stays as it is."""
    store = world.store()
    paid = Counter(world.books.read())
    made = fork(store, RUN, number_of(store, "0"), **how, program=("n", SECOND), who="test")
    if is_resumed:
        killed_while_recalling(world, made)
    found = world.tried(THIRD, made)
    is_again = not how and not is_resumed
    assert [each.asked for each in found.missed] == ["0" if is_again else "100"][: not is_resumed]
    migrate(store, made, "new.omega", THIRD, may_pay_again=True)
    value = world.ended(made)
    assert value == f'(third (({how.get("reply", 0)} 0) (3 2) (6 4) (9 6)) "end")'
    again = Counter(world.books.read()) - paid
    expected = {f"{made}/1/1 call 0"} if not how else set()
    assert {line for line in again if "call 100" not in line} == expected


@pytest.mark.parametrize("reply", [None, 7])
def test_so_has_a_fork_of_the_same_program(world: Paying, reply: int | None) -> None:
    """Its program is replaced before anybody has gone on with it."""
    store = world.store()
    paid = Counter(world.books.read())
    made = fork(store, RUN, number_of(store, "1"), reply=reply, who="test")
    text = FIRST.replace("(list got", "(list 'third got")
    found = world.tried(text, made)
    assert found.is_same and len(found.open) == (reply is None), found
    migrate(store, made, "new.omega", text, may_pay_again=reply is None)
    value = world.ended(made)
    assert value == f'(third ((0 0) ({3 if reply is None else reply} 2) (6 4) (9 6)) "end")'
    again = Counter(world.books.read()) - paid
    assert [line.split(" ", 1)[1] for line in again] == ["call 1"] * (reply is None)


def test_a_fork_of_a_run_that_recalls_has_what_that_was_to_recall(world: Paying) -> None:
    store = world.store()
    migrate(store, RUN, "new.omega", SECOND)
    killed_while_recalling(world)
    paid = Counter(world.books.read())
    made = fork(store, RUN, number_of(store, "100"), reply=5, who="test")
    assert world.ended(made) == '(((0 0) (3 2) (6 4) (9 6)) "end")'
    assert Counter(world.books.read()) == paid


@pytest.mark.parametrize("is_guest", [False, True])
def test_a_run_of_another_version_that_recalls_goes_on_with_both(
    world: Paying, is_guest: bool
) -> None:
    store = world.store()
    migrate(store, RUN, "new.omega", SECOND)
    killed_while_recalling(world)
    of_another_version(store)
    paid = world.books.read()
    store.signal(RUN, "fin", "end", key="fin", who="test")
    host = world.host(store)
    value = asyncio.run(host.runs.go_on_async(RUN)) if is_guest else host.resume(RUN)
    assert str(value) == '(((0 0) (3 2) (6 4) (9 6)) "end")'
    assert world.books.read() == paid
    assert store.run(RUN).incarnation == 3
