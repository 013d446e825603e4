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
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

    deadly = -1  # the process dies in that call

    def host(self, store: Any, policy: Any = "retry") -> Interpreter:
        def charge(n: int) -> int:
            self.books.write(f"{effect_key()} charge {n}")
            return n * 2

        async def call(n: int) -> int:
            self.books.write(f"{effect_key()} call {n}")
            if n == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
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
        while True:
            try:
                return str(self.host(store).resume(run))
            except RunStopped as stopped:  # until a time that is about to come
                if not store.run(run).wake_at_us:
                    raise stopped

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
    for at in range(20, 400):
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
    for at in range(0, 200, 20):
        text = THIRD.replace("'third", f"'at-{at}")
        assert world.tried(text).is_same
        migrate(store, RUN, "new.omega", text)
        world.killed(lambda host: host.resume(RUN), 15 + at)
    assert world.ended().startswith("(at-180 ((0 0)")
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


def test_what_a_fork_has_an_effect_answer_is_no_answer_of_another_program(world: Paying) -> None:
    """That may make another effect under the same number, and die then."""
    store = world.store()
    number = number_of(store, "1")
    made = fork(store, RUN, number, reply=7, who="test")
    text = "(define first (call 0)) (charge 0) (list first (call 50))"
    migrate(store, made, "new.omega", text)

    def dies(host: Interpreter) -> None:
        world.deadly = 50
        host.resume(made)

    assert world.killed(dies, 100_000)
    ((intent, _),) = store.effects(made, open_only=True)
    assert (intent.number, intent.asked) == (number, "50")
    with pytest.raises(RunStopped, match="nobody knows what became of"):
        world.host(store, "ask").resume(made)


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


# -- the law ---------------------------------------------------------------------------------------

# What a random program does, one after the other: a kind and a number that no other one has.
KINDS = {
    "call": "(call {})",
    "charge": "(charge {})",
    "both": "(begin (call {0}) (charge {0}))",
    "task": "(await (async (lambda () (call {0}) (charge {0}))))",
    "fan": "(par-map (lambda (i) (call (+ i {0}))) (iota 3))",
    "sleep": "(begin (sleep 1) {0})",
}
STEP = 10  # between two numbers: a fan uses several
Program = list[tuple[str, int]]


def text_of(program: Program) -> str:
    lines = [KINDS[kind].format(number * STEP) for kind, number in program]
    return "\n".join([*lines, '(wait-signal "fin")'])


@st.composite
def edited(draw: st.DrawFn, program: Program, first: int) -> Program:
    """Some are added, with numbers from `first` on, and some are left out, anywhere."""
    made = [each for each in program if draw(st.integers(0, 9))]
    for number in range(first, first + draw(st.integers(0, 2))):
        at = draw(st.one_of(st.just(len(made)), st.integers(0, len(made))))
        made.insert(at, (draw(st.sampled_from(sorted(KINDS))), number))
    return made


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Program], list[int]]:
    """Three programs, each an edit of the one before, and where the first two are killed."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=6))
    programs: list[Program] = [[(kind, number) for number, kind in enumerate(kinds)]]
    for first in (20, 30):
        programs.append(draw(edited(programs[-1], first)))
    kills = [draw(st.integers(15, 140)), draw(st.integers(15, 140))]
    return programs, kills


def keys(world: Paying) -> Counter[tuple[str, ...]]:
    """(task/number, function, argument) of what was paid for."""
    return Counter(
        (line.partition("/")[2].split(" ")[0], *line.split(" ")[1:]) for line in world.books.read()
    )


def key_of(kind: str, task: str, n: int, asked: str) -> tuple[str, ...]:
    return f"{task}/{n}", kind.removeprefix("host "), asked


@settings(max_examples=int(os.environ.get("OMEGA_LAWS", "12")), deadline=None)
@given(histories())
def test_law_what_was_paid_for_is_not_paid_for_again_unless_that_was_told(
    history: tuple[list[Program], list[int]],
) -> None:
    """Of the same effect of the same task. Told is by the trial, or by the store: what was on its
    way when its process died, and is made again since its host allows that.
    """
    programs, kills = history
    with TemporaryDirectory() as folder:
        world = Paying(Path(folder), "", is_virtual=False)
        world.store().close()  # it is there when its process dies at once
        may_be_twice: Counter[tuple[str, ...]] = Counter()
        is_there = False
        for index, program in enumerate(programs):
            text, store = text_of(program), world.store()
            is_there = bool(store.runs())
            if index and is_there:
                found = world.tried(text)
                assert found.error is None, found
                told = (key_of(e.kind, e.task, e.n, e.asked) for e in (*found.missed, *found.open))
                may_be_twice += Counter(told)
                if found.is_same and not found.missed:
                    assert not found.left
                migrate(store, RUN, "new.omega", text, may_pay_again=True)
            if index < len(kills):
                world.killed(
                    lambda host, text=text, go=is_there: begun(host, text, go), kills[index]
                )
                may_be_twice += Counter(
                    key_of(each.kind, each.task, each.n, each.asked)
                    for each, _ in (store.effects(RUN, open_only=True) if store.runs() else ())
                )
            elif is_there:
                world.ended()
            store.close()
        store = world.store()
        assert not is_there or store.run(RUN).state == "completed"
        assert not store.check()
        store.close()
        again = Counter({key: times - 1 for key, times in keys(world).items() if times > 1})
        assert not again - may_be_twice, (again, may_be_twice)


def begun(host: Interpreter, text: str, is_there: bool) -> None:
    if is_there:
        host.resume(RUN)
    else:
        host.run_durable(text, id=RUN)
