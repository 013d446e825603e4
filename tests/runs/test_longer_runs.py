"""Runs that have begun anew by `continue-as`, and programs that are changed then: the new program's
definitions, and the call that the run has come to. What was paid for since is not paid for again.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from omega.concurrency.asyncio_driver import AsyncioDriver
from omega.errors import HostError, RunStopped
from omega.runs.differences import differences, stages
from omega.runs.forks import Trial, fork, migrate, try_program
from omega.runs.journal import JournalReader
from tests.runs.kit import RUN, World

STEPS = """
(define (loop n acc)
  (define got (llm.infer (string-append "step " (number->string n) acc)))
  (if (= n 2)
      (list n got (wait-signal "fin"))
      (continue-as loop (+ n 1) (string-append acc "+"))))
(charge "once" 1)
(loop 0 "")
"""
LAST = "step 2++"  # what the last incarnation has asked, which waits for the signal
WAITS = """
(define (loop n) (if (= n 1) (wait-signal "fin") (continue-as loop 1)))
(loop 0)
"""

# What the run that waits would come to next -> what is told of it as new, in real and virtual time.
NEXT = {
    "a model": ('(llm.infer "more")', "more"),
    "a sleep": ("(sleep 100000)", None),
    "a sleep with a limit": (
        "(guard (e ((timeout-error? e) 'late)) (with-timeout 100000 (sleep 200000)))",
        None,
    ),
    "another signal": ('(wait-signal "other")', None),
    "a function": ('(charge "more" 1)', "more"),
    "continue-as": ("(continue-as loop 0)", None),
}


@pytest.fixture(params=[True, False], ids=["virtual", "real"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, "fan-out", request.param)


def parked(world: World, text: str) -> None:
    with pytest.raises(RunStopped) as stopped:
        world.host(world.store(), "ask").run_durable(text, id=RUN)
    assert stopped.value.state == "suspended"
    assert world.store().run(RUN).incarnation > 1


def tried(world: World, text: str) -> Trial:
    paid = world.books.read()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AsyncioDriver, "_rest", waited)
        runs = world.runs(world.store())
        found = try_program(world.store(), RUN, "new.omega", text, runs.run_text)
    assert world.books.read() == paid
    return found


def waited(driver: Any, seconds: float) -> None:
    raise AssertionError(f"a trial has waited {seconds} s")


def ended(world: World, run: str = RUN) -> str:
    world.store().signal(run, "fin", "end", key="fin", who="test")
    return str(world.host(world.store(), "ask").resume(run))


@pytest.mark.parametrize("text", [STEPS, WAITS], ids=["steps", "waits"])
def test_the_same_program_is_the_same(world: World, text: str) -> None:
    parked(world, text)
    found = tried(world, text)
    assert found.is_same and not found.missed, found


def test_another_program_goes_on_with_the_call_that_the_run_has_come_to(world: World) -> None:
    parked(world, STEPS)
    text = STEPS.replace("(list n", "(list 'changed n acc")
    assert tried(world, text).is_same
    paid = Counter(world.books.read())
    migrate(world.store(), RUN, "new.omega", text)
    assert ended(world) == f'(changed 2 "++" "<{LAST}>" "end")'
    assert Counter(world.books.read()) == paid


def test_another_program_that_begins_anew_itself_does_so_with_its_own_definitions(
    world: World,
) -> None:
    parked(world, STEPS)
    again = STEPS.replace("(= n 2)", "(= n 3)").replace("(list n", "(list 'later n")
    assert tried(world, again).is_same
    paid = Counter(world.books.read())
    migrate(world.store(), RUN, "new.omega", again)
    assert ended(world) == '(later 3 "<step 3+++>" "end")'
    assert Counter(world.books.read()) - paid == Counter(["step 3+++"])


def test_what_a_changed_program_asks_otherwise_is_told(world: World) -> None:
    parked(world, STEPS)
    found = tried(world, STEPS.replace("step ", "stage "))
    assert [(each.asked, each.was) for each in found.missed] == [
        ("LLMRequest('stage 2++')", f"LLMRequest('{LAST}')")
    ]
    assert [asked for _, asked in found.left] == [f"LLMRequest('{LAST}')"]
    assert not found.is_same


def test_a_fork_of_another_program_goes_on_with_the_call(world: World) -> None:
    parked(world, STEPS)
    ((intent, _),) = world.store().effects(RUN)
    paid = Counter(world.books.read())
    text = STEPS.replace("(list n", "(list 'fork n")
    made = fork(
        world.store(), RUN, intent.number, reply="other", program=("f.omega", text), who="test"
    )
    assert ended(world, made) == '(fork 2 "other" "end")'
    assert ended(world) == f'(2 "<{LAST}>" "end")'
    assert Counter(world.books.read()) == paid


def test_an_effect_of_an_earlier_incarnation_is_told_as_that(world: World) -> None:
    """Numbers begin anew: the first incarnation has one more effect than the last."""
    parked(world, STEPS)
    store = world.store()
    last = max(intent.number for intent, _ in store.effects(RUN))
    with pytest.raises(HostError, match=f"incarnation 3 of run r1 has no effect {last + 1}") as no:
        fork(store, RUN, last + 1, who="test")
    assert no.value.hint == "incarnation 1 has one: it is named by --incarnation, or incarnation="
    with pytest.raises(HostError, match=f"incarnation 3 of run r1 has no effect {last + 9}") as no:
        fork(store, RUN, last + 9, who="test")
    assert no.value.hint == "omega runs journal r1 shows its effects, by number"
    with pytest.raises(HostError, match="incarnation 1 of run r1 has no effect") as no:
        fork(store, RUN, last + 9, incarnation=1, who="test")
    assert no.value.hint == "omega runs journal r1 --incarnation 1 shows its effects, by number"
    with pytest.raises(HostError, match="run r1 has 3 incarnations, got number 4"):
        fork(store, RUN, 1, incarnation=4, who="test")


def numbered(world: World, incarnation: int, asked: str, run: str = RUN) -> int:
    """The number of an effect, made or recalled."""
    facts = JournalReader(world.store(), run, incarnation=incarnation).facts()
    return next(f[1] for f in facts if f[0] in ("call", "asked") and asked in str(f))


# What is told of an effect of the first or second incarnation -> how the fork ends, what it pays.
EARLIER: dict[str, tuple[int, str, dict[str, Any], str, list[str]]] = {
    "anew": (1, "step 0", {}, f'(2 "<{LAST}>" "end")', ["step 0"]),
    "a reply": (1, "step 0", {"reply": "x"}, f'(2 "<{LAST}>" "end")', []),
    "a prompt": (1, "step 0", {"prompt": "x"}, f'(2 "<{LAST}>" "end")', ["x"]),
    "a function": (1, "charge", {"reply": 7}, f'(2 "<{LAST}>" "end")', []),
    "the second": (2, "step 1+", {"reply": "x"}, f'(2 "<{LAST}>" "end")', []),
    "a program": (1, "step 0", {"program": ("p", STEPS.replace('"+"', '"-"'))},
                  '(2 "<step 2-->" "end")', ["step 0", "step 1-", "step 2--"]),
    "a program later": (2, "step 1+", {"program": ("p", STEPS.replace('"+"', '"-"'))},
                        '(2 "<step 2+->" "end")', ["step 1+", "step 2+-"]),
}  # fmt: skip


@pytest.mark.parametrize("which", EARLIER)
def test_a_fork_of_an_earlier_incarnation_is_given_what_the_run_got_behind_it(
    world: World, which: str
) -> None:
    incarnation, asked, how, value, pays = EARLIER[which]
    parked(world, STEPS)
    whole = ended(world)
    paid = Counter(world.books.read())
    number = numbered(world, incarnation, asked)
    made = fork(world.store(), RUN, number, incarnation=incarnation, **how, who="test")
    host = world.host(world.store(), "ask")
    try:
        said = str(host.resume(made))
    except RunStopped:  # at the signal: its message is nothing that the fork is given
        said = ended(world, made)
    assert said == value
    again = Counter(world.books.read()) - paid
    assert again == Counter(pays), again
    assert world.store().run(made).incarnation == 4 - incarnation
    for each in range(1, 5 - incarnation):
        made_ = world.store().effects(made, incarnation=each)
        assert all(result is not None and result.outcome == "ok" for _, result in made_)
    assert str(world.host(world.store(), "ask").resume(RUN)) == whole
    assert world.store().check() == []


def test_what_follows_from_another_reply_in_an_earlier_incarnation_is_paid_for(
    world: World,
) -> None:
    text = """
    (define (go n got)
      (let ((now (cons (llm.infer (apply string-append "quick " (number->string n) got)) got)))
        (if (= n 3) now (continue-as go (+ n 1) now))))
    (go 0 '())
    """
    world.host(world.store(), "ask").run_durable(text, id=RUN)
    paid = Counter(world.books.read())
    number = numbered(world, 2, "quick 1")
    made = fork(world.store(), RUN, number, incarnation=2, reply="other", who="test")
    value = str(world.host(world.store(), "ask").resume(made))
    assert value.endswith('"other" "<quick 0>")') and value.count("other") == 4
    assert sum((Counter(world.books.read()) - paid).values()) == 2
    # A fork of the fork, where its second incarnation is the third of the first run.
    paid = Counter(world.books.read())
    number = numbered(world, 2, "quick 2", made)
    again = fork(world.store(), made, number, incarnation=2, who="test")
    assert str(world.host(world.store(), "ask").resume(again)) == value
    assert sum((Counter(world.books.read()) - paid).values()) == 1


def test_how_runs_differ_is_told_of_all_incarnations(world: World) -> None:
    parked(world, STEPS)
    ended(world)
    store, number = world.store(), numbered(world, 2, "step 1+")
    assert differences(store, RUN, RUN) == []
    made = fork(store, RUN, number, incarnation=2, reply="x", who="test")
    world.host(world.store(), "ask").resume(made)
    store = world.store()
    (reply,) = differences(store, RUN, made)
    assert reply.incarnations == (2, 1) and not reply.is_asked_otherwise
    assert "<step 1+>" in str(reply.first) and "'x'" in str(reply.second)
    later = fork(store, RUN, numbered(world, 1, "step 0"), incarnation=1, prompt="y", who="test")
    found = differences(store, RUN, later)  # nobody has gone on with it
    assert {each.incarnations for each in found} == {(1, 1), (2, None), (3, None)}
    assert all(each.second is None for each in found if each.incarnations[1] is None)
    # A change of program takes the place of what it has changed, in the fork of the fork, too.
    migrate(store, later, "n.omega", STEPS.replace("(list n", "(list 'changed n"))
    world.host(world.store(), "ask").resume(later)
    store = world.store()
    assert stages(store, later) == {0: 2, 1: 3, 2: 4}
    again = fork(store, later, numbered(world, 3, "step 1", later), incarnation=3, who="test")
    assert stages(store, again) == {1: 1}
    (asked, *_) = differences(store, RUN, later)
    assert asked.incarnations == (1, 2) and asked.is_asked_otherwise


def test_a_fork_of_an_earlier_incarnation_whose_program_was_changed_since(world: World) -> None:
    """The incarnation behind a change is none that a `continue-as` has come to."""
    parked(world, STEPS)
    migrate(world.store(), RUN, "n.omega", STEPS.replace("(list n", "(list 'changed n"))
    assert ended(world) == f'(changed 2 "<{LAST}>" "end")'
    paid = Counter(world.books.read())
    for incarnation, asked in ((1, "step 0"), (2, "step 1+"), (3, LAST)):
        number = numbered(world, incarnation, asked)
        made = fork(world.store(), RUN, number, incarnation=incarnation, reply="x", who="test")
        with pytest.raises(RunStopped):  # the signal came behind the change
            world.host(world.store(), "ask").resume(made)
        got = "x" if incarnation == 3 else f"<{LAST}>"
        assert ended(world, made) == f'(2 "{got}" "end")'
    assert Counter(world.books.read()) == paid


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("", "`loop` is not bound"),
        ("(define (loop n acc more) n)", "but it is given 2 arguments"),
        ("(define loop 5)", "this is not a procedure"),
    ],
    ids=["gone", "arguments", "no procedure"],
)
def test_a_call_that_cannot_be_made_is_refused(world: World, definition: str, told: str) -> None:
    parked(world, STEPS)
    found = tried(world, definition + '\n(charge "top level" 1)\n')
    assert isinstance(found.error, HostError) and not found.is_same
    assert '(loop 2 "++")' in found.error.message and told in found.error.message
    assert found.error.hint is not None and "define `loop`" in found.error.hint


def test_errors_behind_the_call_are_the_programs_own(world: World) -> None:
    parked(world, STEPS)
    for text, told in (
        ("(define (loop n acc)\n  (loop 1))", "`loop` is called as"),
        ("(define (loop n acc)\n  (lop 1))", "`lop` is not bound"),
        ("(define (loop n acc)", "never closed"),
    ):
        error = tried(world, text).error
        assert error is not None and told in str(error) and "cannot be made" not in str(error)


@pytest.mark.parametrize("what", NEXT)
@pytest.mark.parametrize("first", [STEPS, WAITS], ids=["steps", "waits"])
def test_a_trial_waits_for_nothing(world: World, first: str, what: str) -> None:
    """Also where the run has never read a clock."""
    form, asked = NEXT[what]
    parked(world, first)
    found = tried(world, first.replace('(wait-signal "fin")', f'(begin {form} (wait-signal "x"))'))
    assert found.is_same, found
    assert [asked for each in found.missed if asked and asked in each.asked] == [asked] * bool(
        asked
    )


def test_a_program_that_is_changed_twice_has_got_what_the_run_has(world: World) -> None:
    """The run has not gone on between the two: its journal is empty then."""
    parked(world, STEPS)
    for word in ("first", "second"):
        text = STEPS.replace("(list n", f"(list '{word} n")
        found = tried(world, text)
        assert found.is_same and not found.missed
        assert not tried(world, STEPS.replace("step ", "stage ")).is_same
        migrate(world.store(), RUN, "new.omega", text)
    paid = Counter(world.books.read())
    assert ended(world) == f'(second 2 "<{LAST}>" "end")'
    assert Counter(world.books.read()) == paid


def test_a_run_that_has_begun_anew_is_found_by_its_id_and_its_program(world: World) -> None:
    parked(world, STEPS)
    paid = Counter(world.books.read())
    with pytest.raises(HostError, match="its program are others"):
        world.host(world.store(), "ask").run_durable(STEPS.replace("step ", "stage "), id=RUN)
    world.store().signal(RUN, "fin", "end", key="fin", who="test")
    value = world.host(world.store(), "ask").run_durable(STEPS, id=RUN)
    assert str(value) == f'(2 "<{LAST}>" "end")'
    assert Counter(world.books.read()) == paid
