"""Durable runs from Python: what a host says, and what it is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter, LimitExceeded, Limits, replay
from omega.durable.sqlite import SQLiteStore
from omega.durable.waiting import wall_us
from omega.errors import Fenced, HostError, LispError, RunStopped, UnboundVariable, UnknownOutcome
from omega.runs import session
from omega.runs.exported import export
from omega.runs.journal import JournalReader
from omega.runs.owners import own_name
from omega.runs.session import RunSettings
from omega.runs.shown import words
from omega.runs.taps import effect_key
from omega.runs.unknown import ASK, RETRY

Make = Callable[..., Interpreter]


@pytest.fixture
def host(tmp_path: Path) -> Make:
    def make(**options: Any) -> Interpreter:
        given = {"store": str(tmp_path / "runs.db"), "virtual_time": True}
        return Interpreter(**{**given, "runs": RunSettings(park_after_s=0), **options})  # type: ignore[arg-type]

    return make


def died(act: Callable[[], object]) -> None:
    """`act()` in a process of its own, which kills itself in it."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# -- beginning and ending --------------------------------------------------------------------------


def test_a_run_with_an_id_is_made_once(host: Make) -> None:
    calls: list[int] = []
    for _ in range(2):
        made = host()
        made.define("count", lambda: calls.append(1) or len(calls), effect="paid")
        assert made.run_durable("(+ 40 (count))", id="one") == 41
    assert calls == [1]
    with pytest.raises(HostError, match="there is a run one, and its program are others"):
        host().run_durable("(+ 1 1)", id="one")


@pytest.mark.parametrize(
    "id", ["", "../x", "a b", "a\0b", "a\n", ".a", "\u00e4", "a" * 101, 5, b"a", ["a"]]
)
def test_ids_are_those_that_the_command_line_takes(host: Make, id: Any) -> None:
    made = host()
    asked = [
        lambda: made.run_durable("1", id=id),
        lambda: made.resume(id),
        lambda: asyncio.run(made.runs.begin_async("1", "p", [], id=id)),
        lambda: asyncio.run(made.runs.go_on_async(id)),
    ]
    for ask in asked:
        with pytest.raises(HostError, match="the id of a run is of letters, digits, dots") as told:
            ask()
        assert "\0" not in str(told.value)
    with pytest.raises(HostError, match="a value of the type NoneType"):
        made.resume(None)  # type: ignore[arg-type]
    assert made.runs.store.runs() == []
    for good in ("a", "0", "a" * 100, "A.b-c_d"):
        assert made.run_durable("1", id=good) == made.resume(good) == 1


def test_a_run_that_fails_fails_again_in_the_same_way(host: Make) -> None:
    for _ in range(2):
        with pytest.raises(UnboundVariable, match="`nowhere` is not bound"):
            host().run_durable("(+ 1 nowhere)", id="bad")
    assert host().runs.store.run("bad").state == "failed"


def test_an_interpreter_without_a_store_says_so() -> None:
    with pytest.raises(HostError, match="no store for durable runs"):
        Interpreter().run_durable("1")
    with Interpreter() as made, pytest.raises(LispError, match="this is no durable run"):
        made.eval("(wait-signal 'go)")
    with Interpreter() as made, pytest.raises(LispError, match="only a durable run"):
        made.eval("(continue-as car 1)")


def test_what_has_no_form_in_a_journal_is_no_value_that_is_kept(host: Make) -> None:
    assert callable(host().run_durable("(lambda (x) x)", id="f"))
    with pytest.raises(LispError, match="its value is not kept"):
        host().resume("f")


def test_settings_are_those_the_run_was_begun_with(host: Make) -> None:
    made = host()
    made.define("end", die, effect="pure")
    died(lambda: made.run_durable("(end)", id="a"))
    with pytest.raises(HostError, match="was begun with seed 0, not 7"):
        host(seed=7).resume("a")


# -- effect classes --------------------------------------------------------------------------------


def test_a_function_says_what_it_does_outside(host: Make) -> None:
    made = host()
    made.define("f", lambda: 1)
    with pytest.raises(HostError, match="`f` of the host has no effect class") as caught:
        made.run_durable("(f)")
    assert 'define("f", f, effect="pure")' in str(caught.value)
    with pytest.raises(HostError, match="effect is one of pure, idempotent, paid, transactional"):
        made.define("g", lambda: 1, effect="free")
    with pytest.raises(HostError, match="`t` is transactional, and so"):
        made.define("t", lambda db: 1, effect="transactional", blocking=True)


class Watched(SQLiteStore):
    """Tells of each batch that is written."""

    watch: Callable[[Any], object]

    def append(self, lease: Any, batch: Any) -> int:
        self.watch(batch)
        return super().append(lease, batch)


def test_effects_in_a_row_take_one_commit_each(host: Make, tmp_path: Path) -> None:
    store, batches = Watched(str(tmp_path / "watched.db")), []
    store.watch = batches.append
    made = host(store=store)
    made.define("pay", lambda n: n, effect="paid")
    made.run_durable("(let loop ((i 0)) (when (< i 50) (pay i) (loop (+ i 1))))")
    assert len(batches) < 60  # the rest: its beginning, its end, the ends of slices


@pytest.mark.parametrize("see", ["(look)", "(begin (display 1) (look))", "(begin (yield) (look))"])
def test_what_came_of_an_effect_is_kept_before_anything_is_seen_of_it(host: Make, see: str) -> None:
    made = host()
    made.define("pay", lambda: 1, effect="paid")
    made.define("look", lambda: bool(made.runs.store.effects("a", open_only=True)), effect="pure")
    assert made.run_durable(f"(pay) {see}", id="a") is False


def test_a_slice_that_ends_keeps_what_came_of_its_effects(host: Make, tmp_path: Path) -> None:
    store, batches = Watched(str(tmp_path / "watched.db")), []
    store.watch = batches.append
    made = host(store=store)
    made.define("pay", lambda: 1, effect="paid")
    made.run_durable(
        "(define (spin n) (when (> n 0) (spin (- n 1)))) (spin 1000) (pay) (spin 1000)"
    )
    (kept,) = [batch for batch in batches if batch.results]
    assert not any('"returned"' in fact for fact in kept.facts)


def test_a_pure_function_is_called_again_and_the_others_are_not(host: Make) -> None:
    calls: list[str] = []
    lives = False

    def made() -> Interpreter:
        interpreter = host()
        interpreter.define("pure", lambda: calls.append("pure"), effect="pure")
        interpreter.define("paid", lambda: calls.append("paid"), effect="paid")
        interpreter.define("once", lambda: None if lives else die(), effect="pure")
        return interpreter

    died(lambda: made().run_durable("(begin (pure) (paid) (once))", id="a"))
    lives = True
    made().resume("a")
    assert calls == ["pure"]  # the other process has called both


@pytest.mark.parametrize("kind", ["plain", "blocking", "async"])
def test_what_may_be_made_twice_is_made_under_the_same_key(
    host: Make, tmp_path: Path, kind: str
) -> None:
    keys = tmp_path / "keys"

    def send(what: str) -> str:
        with keys.open("a") as file:
            file.write(f"{effect_key()}\n")
        if len(keys.read_text().splitlines()) == 2:
            die()
        return what.upper()

    async def send_async(what: str) -> str:
        return send(what)

    def made() -> Interpreter:
        interpreter = host(virtual_time=False)
        function = send_async if kind == "async" else send
        blocking = kind == "blocking"
        interpreter.define("send", function, effect="idempotent", blocking=blocking)
        return interpreter

    program = '(string-append (send "a") (send "b"))'
    died(lambda: made().run_durable(program, id="a"))
    assert made().resume("a") == "AB"
    first, second, again = keys.read_text().splitlines()
    assert first != second == again
    with pytest.raises(HostError, match="no durable run has called this function"):
        send("c")


def test_a_transactional_function_has_been_called_when_the_journal_says_so(host: Make) -> None:
    def made(dies: bool) -> Interpreter:
        def put(db: Any, n: int) -> int:
            db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
            db.execute("INSERT INTO t VALUES (?)", (n,))
            if n == 2 and dies:
                die()
            if n == 3:
                raise ValueError("three")
            return n

        interpreter = host()
        interpreter.define("put", put, effect="transactional")
        return interpreter

    program = "(define (try n) (guard (e (#t 'no)) (put n))) (map try (list 1 2 3 4))"
    died(lambda: made(True).run_durable(program, id="a"))
    assert str(made(False).resume("a")) == "(1 2 no 4)"
    store: Any = made(False).runs.store
    assert store.file.read("SELECT n FROM t ORDER BY n") == [(1,), (2,), (4,)]
    outside = host()
    outside.define("put", lambda db: 1, effect="transactional")
    with pytest.raises(HostError, match="is transactional, and this is no durable run"):
        outside.eval("(put)")


def test_what_a_journal_cannot_hold_is_an_error_at_once(host: Make) -> None:
    made = host()
    made.define("odd", lambda: object(), effect="paid")
    with pytest.raises(HostError, match="`host odd` answered an object, which a journal cannot"):
        made.run_durable("(odd)")


def test_what_a_function_raised_without_a_word_is_its_class(host: Make) -> None:
    def late() -> None:
        raise TimeoutError

    made = host()
    made.define("late", late, effect="paid")
    text = "(guard (e (#t (condition-message e))) (late))"
    assert made.run_durable(text) == "host function `late` raised TimeoutError"


def test_an_effect_that_is_about_to_be_made_is_shown_by_its_number(host: Make) -> None:
    made = host()
    made.define("pay", lambda: 1, effect="paid")
    made.run_durable("(begin (pay) (pay))", id="r")
    store = made.runs.store
    shown = [words(fact) for fact in JournalReader(store, "r").facts() if fact[0] == "asked"]
    numbers = [intent.number for intent, _ in store.effects("r")]
    assert [text.split(":")[0] for text in shown] == [
        f"call {number}, about to be made" for number in numbers
    ]


def test_a_function_of_a_durable_run_does_not_call_the_program(host: Make) -> None:
    made = host()
    made.define("each", lambda f: f(1), effect="paid")
    with pytest.raises(HostError, match="cannot use the interpreter in a durable run"):
        made.run_durable("(each (lambda (x) x))")


# -- outcomes that nobody knows --------------------------------------------------------------------


@pytest.mark.parametrize("blocking", [False, True])
def test_the_host_may_find_out_what_became_of_an_effect(host: Make, blocking: bool) -> None:
    def made(found: Any = ASK, dies: bool = False) -> Interpreter:
        settings = RunSettings(reconcile=lambda intent: found, park_after_s=0)
        interpreter = host(runs=settings, virtual_time=False)
        pay = die if dies else (lambda n: n)
        interpreter.define("pay", pay, effect="paid", blocking=blocking)
        return interpreter

    for id, found in (("a", 7), ("b", RETRY)):
        died(lambda id=id: made(dies=True).run_durable("(+ 1 (pay 4))", id=id))  # type: ignore[misc]
        with pytest.raises(RunStopped, match="nobody knows what became of effect 1") as caught:
            made().resume(id)
        assert (caught.value.state, caught.value.reason) == ("blocked", "unknown-outcome")
        assert made(found).resume(id) == (8 if id == "a" else 5)


@pytest.mark.parametrize("blocking", [False, True])
def test_a_text_that_a_function_has_answered_is_a_text(host: Make, blocking: bool) -> None:
    def made(dies: bool) -> Interpreter:
        settings = RunSettings(reconcile=lambda intent: "paid", park_after_s=0)
        interpreter = host(runs=settings, virtual_time=False)
        interpreter.define("pay", die if dies else len, effect="paid", blocking=blocking)
        return interpreter

    died(lambda: made(True).run_durable('(pay "ten")', id="a"))
    assert made(False).resume("a") == "paid"


def test_a_run_that_is_blocked_in_a_loop_of_the_host_is_blocked(host: Make) -> None:
    def made(dies: bool) -> Interpreter:
        interpreter = host(virtual_time=False)
        interpreter.define("pay", die if dies else (lambda: 1), effect="paid")
        return interpreter

    program = "(begin (async (lambda () (wait-signal 'go))) (sleep 1) (pay))"
    died(lambda: made(True).run_durable(program, id="a"))
    waiting = made(False)
    with pytest.raises(RunStopped, match="nobody knows"):
        asyncio.run(waiting.runs.go_on_async("a"))
    record = waiting.runs.store.run("a")
    assert (record.state, record.reason, record.owner) == ("blocked", "unknown-outcome", None)


def test_an_unknown_outcome_may_be_a_condition(host: Make) -> None:
    def made(dies: bool) -> Interpreter:
        interpreter = host(runs=RunSettings("fail"))
        interpreter.define("pay", die if dies else (lambda: 1), effect="paid")
        return interpreter

    died(lambda: made(True).run_durable("(pay)", id="a"))
    with pytest.raises(UnknownOutcome, match="nobody knows whether this was done: effect 1"):
        made(False).resume("a")


# -- owners ----------------------------------------------------------------------------------------


def test_two_processes_do_not_go_on_with_one_run(host: Make) -> None:
    store = host().runs.store
    made = host()
    made.define("end", lambda: store.acquire("a", own_name(), 1), effect="pure")
    with pytest.raises(LispError, match="holds run a"):
        made.run_durable("(end)", id="a")


def test_an_owner_that_comes_late_changes_nothing(host: Make, tmp_path: Path) -> None:
    """Its lease has passed, and another one has taken the run over."""
    now = [1_800_000_000_000_000]
    store = SQLiteStore(str(tmp_path / "late.db"), clock_us=lambda: now[0])
    made = host(store=store)
    calls: list[int] = []

    def take_over() -> None:
        now[0] += 60_000_000
        SQLiteStore(store.path, clock_us=lambda: now[0]).acquire("a", "another", 60_000_000)

    made.define("sleep-long", take_over, effect="pure")
    made.define("pay", lambda: calls.append(1), effect="paid")
    with pytest.raises(Fenced):
        made.run_durable("(begin (sleep-long) (pay))", id="a")
    assert calls == []
    record = store.run("a")
    assert (record.state, record.owner, record.epoch) == ("running", "another", 2)
    assert any("refused" in line for line in store.history("a"))


# -- signals, parking ------------------------------------------------------------------------------


def test_a_run_that_waits_is_parked_and_goes_on_when_it_is_told(host: Make) -> None:
    program = '(list (wait-signal \'a) (wait-signal "b"))'
    with pytest.raises(RunStopped, match="waits for the signal `a`"):
        host().run_durable(program, id="r")
    store = host().runs.store
    record = store.run("r")
    assert (record.state, record.waits_for) == ("suspended", ("a",)) and not store.due()
    assert store.signal("r", "b", 2, key="1", who="me")
    assert store.signal("r", "a", {"x": [1, None]}, key="2", who="me")
    assert not store.signal("r", "a", "again", key="2", who="me")
    assert [each.id for each in store.due()] == ["r"]
    value = str(host().resume("r"))
    assert value == '(#hash(("x" . #(1 null))) 2)' or "x" in value
    assert not store.signals("r")


@pytest.mark.parametrize("virtual", [True, False])
def test_a_wait_that_is_over_is_not_waited_for(host: Make, virtual: bool) -> None:
    program = """
    (define other (async (lambda () (wait-signal "x"))))
    (yield)
    (cancel other)
    (list (wait-signal "y") (wait-signal "x"))
    """
    with pytest.raises(RunStopped) as stopped:
        host(virtual_time=virtual).run_durable(program, id="r")
    assert stopped.value.message == "run r waits for the signal `y`"
    assert stopped.value.hint == "omega signal r y VALUE"
    store = host().runs.store
    assert store.run("r").waits_for == ("y",)
    store.signal("r", "x", 1, key="x", who="me")
    assert not store.due()  # it is not woken for that
    store.signal("r", "y", 2, key="y", who="me")
    assert [each.id for each in store.due()] == ["r"]
    assert str(host(virtual_time=virtual).resume("r")) == "(2 1)"


def test_a_run_that_sleeps_for_days_is_woken_by_the_clock(host: Make) -> None:
    made = host(virtual_time=False)
    with pytest.raises(RunStopped, match=r"waits until \d+-\d+-\d+ .* UTC"):
        made.run_durable("(begin (sleep 172800000) 'late)", id="r")
    record = made.runs.store.run("r")
    assert record.wake_at_us is not None
    days = (record.wake_at_us - record.created_us) / 86_400e6
    assert 1.99 < days < 2.01


def test_a_time_in_which_nobody_runs_it_counts_for_no_limit(
    host: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is parked three times, for a day each; the limit is of ten seconds."""
    days = 0
    monkeypatch.setattr(session, "wall_us", lambda: wall_us() + days * 86_400_000_000)
    limits = Limits(wall_s=10)
    program = """(define (later n) (wait-signal "go") (sleep 2) (if (= n 0) (now) (later (- n 1))))
                 (later 2)"""
    keep = RunSettings(park_after_s=0.1)
    for days in range(4):
        made = host(virtual_time=False, limits=limits, runs=keep)
        if days == 3:
            made.run_durable(program, id="r")
        else:
            with pytest.raises(RunStopped, match="waits for the signal `go`"):
                made.run_durable(program, id="r")
            assert made.runs.store.run("r").wake_at_us is None
            made.runs.store.signal("r", "go", None, key=str(days), who="me")
    path = str(tmp_path / "r.tape")
    export(made.runs.store, made.runs.store.run("r"), path)
    with replay(path) as again:
        again.eval(program, filename="<run>")
        again.run()
    stays = RunSettings(park_after_s=None)
    made = host(virtual_time=False, limits=Limits(wall_s=0.05), runs=stays)
    with pytest.raises(LimitExceeded, match=r"0\.05"):
        made.run_durable("(sleep 5000)", id="s")


def test_several_runs_go_on_in_one_loop(host: Make) -> None:
    made = host(virtual_time=False, runs=RunSettings(park_after_s=None))
    program = "(begin (sleep 20) (wait-signal 'go))"

    async def main() -> list[Any]:
        runs = [made.runs.begin_async(program, "p", [], id=f"r{i}") for i in range(3)]
        tasks = [asyncio.ensure_future(each) for each in runs]
        while len(made.runs.store.runs()) < 3:
            await asyncio.sleep(0.001)
        for i in range(3):
            made.runs.store.signal(f"r{i}", "go", i, key="k", who="me")
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(main()) == [0, 1, 2]
    assert [run.state for run in made.runs.store.runs()] == ["completed"] * 3


# -- going on in a fresh journal -------------------------------------------------------------------


def test_a_run_begins_anew_with_what_it_is_given(host: Make) -> None:
    calls: list[int] = []
    made = host()
    made.define("pay", lambda n: calls.append(n) or n, effect="paid")
    program = """
    (define base 10)
    (define (go n sum)
      (if (= n 3) (list sum (continued-arguments)) (continue-as go (+ n 1) (+ sum base (pay n)))))
    (pay 99)
    (go 0 0)
    """
    assert str(made.run_durable(program, id="r")) == "(33 (3 33))"
    assert calls == [99, 0, 1, 2]
    record = made.runs.store.run("r")
    assert (record.incarnation, record.totals.effects) == (4, 4)
    with pytest.raises(LispError, match="cannot carry over a"):
        made.run_durable("(define (go f) 1) (continue-as go (lambda () 1))")
    with pytest.raises(LispError, match="expected a global procedure"):
        made.run_durable("(let ((go (lambda () 1))) (continue-as go))")


def test_a_definition_without_a_value_is_passed_over(host: Make) -> None:
    """`continue-as` looks for the name of what it is given among the program's definitions."""
    with pytest.raises(LispError, match="expected a global procedure"):
        host().run_durable("(define (f . all) all) (continue-as car 5) (define a-value (f 1))")
    program = """
    (define (go . all) all)
    (unless (pair? (continued-arguments)) (continue-as go 5))
    (define a-value (go 1))
    """
    assert str(host().run_durable(program)) == "(5)"
