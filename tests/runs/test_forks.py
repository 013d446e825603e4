"""Forks, and runs whose program is changed: what was paid for is not paid for again."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from omega.errors import HostError, RunStopped
from omega.llm.request import LLMRequest
from omega.runs.differences import differences
from omega.runs.exported import export
from omega.runs.forks import fork, migrate, try_program
from omega.runs.prompts import with_prompt
from tests.runs.kit import PROGRAMS, RUN, World
from tests.runs.test_exported import replayed
from tests.runs.test_kills import undisturbed


@pytest.fixture(params=[True, False], ids=["virtual", "real"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, "fan-out", request.param)


def number_of(world: World, asked: str) -> int:
    return next(i.number for i, _ in world.store().effects(RUN) if asked in i.asked)


def resumed(world: World, run: str) -> str:
    value = str(world.host(world.store(), "ask").resume(run))
    assert not world.store().effects(run, open_only=True)
    return value


def test_a_fork_with_another_reply_pays_only_for_what_follows_from_it(world: World) -> None:
    first = world.go()
    paid = Counter(world.books.read())
    made = fork(world.store(), RUN, number_of(world, "rate 2"), reply="<changed>", who="test")
    value = resumed(world, made)
    assert value == first.replace("<rate 2>", "<changed>")
    again = Counter(world.books.read()) - paid
    assert sum(again.values()) == 2  # the best of others, and the report of another length
    assert all(text.startswith(("best of <rate 0><rate 1><changed>", "charge")) for text in again)
    assert world.go() == first  # the run it was forked from has not changed
    assert resumed(world, made) == value


def test_a_fork_without_a_reply_makes_the_effect_again(world: World) -> None:
    first = world.go()
    paid = Counter(world.books.read())
    made = fork(world.store(), RUN, number_of(world, "rate 0"), who="test")
    assert resumed(world, made) == first
    assert Counter(world.books.read()) - paid == Counter(["rate 0"])
    facts = [json.loads(line) for lines in world.store().journal(made) for line in lines]
    waited_us = [us for fact in facts if fact[0] == "clock" for us in fact[1:]][1:]
    assert all(us < 5_000_000 for us in waited_us), "nothing that is recalled is waited for"


def numbers(store: Any, run: str) -> dict[str, int]:
    """Of the calls in a journal, by what they ask."""
    facts = [json.loads(line) for lines in store.journal(run) for line in lines]
    return {fact[5]: fact[1] for fact in facts if fact[0] == "call" and len(fact) > 3}


def test_a_fork_with_another_prompt_asks_that(world: World) -> None:
    first = world.go()
    paid = Counter(world.books.read())
    made = fork(world.store(), RUN, number_of(world, "rate 2"), prompt="judge 2", who="test")
    value = resumed(world, made)
    assert value == first.replace("<rate 2>", "<judge 2>")
    again = Counter(world.books.read()) - paid
    others = "best of <rate 0><rate 1><judge 2><rate 3><rate 4><rate 5>"
    assert set(again) == {"judge 2", others, "charge report 59"}
    asked = numbers(world.store(), made)
    assert "LLMRequest('judge 2')" in asked and "LLMRequest('rate 2')" not in asked
    assert world.go() == first and resumed(world, made) == value
    path = str(world.folder / "fork.tape")
    export(world.store(), world.store().run(made), path)
    assert replayed(path, PROGRAMS["fan-out"]) == value


@pytest.mark.parametrize(
    ("program", "asked", "how"),
    [
        ("fan-out", "rate 2", {"prompt": "judge 2"}),
        ("retries", "flaky 1", {"prompt": "flaky one"}),
        ("fan-out", "rate 2", {"reply": "<judge 2>"}),
    ],
)
def test_a_fork_that_is_killed_goes_on_as_it_was_forked(
    tmp_path: Path, program: str, asked: str, how: dict[str, Any]
) -> None:
    """At every third statement of its store."""
    world = World(tmp_path, program)
    first = world.go()
    (new,) = how.values()
    expected = first.replace(f"<{asked}>", new if "reply" in how else f"<{new}>")
    at, kills, is_over = 0, 0, False
    while not is_over:
        at += 3
        number = number_of(world, asked)
        made = fork(world.store(), RUN, number, **how, who="test", id=f"at-{at}")
        paid = Counter(world.books.read())
        is_over = not world.die(at, True, run=made)
        kills += not is_over
        opened = world.store().effects(made, open_only=True)
        assert world.go(run=made) == expected, at
        again = Counter(world.books.read()) - paid
        assert again[asked] == 0
        if "prompt" in how:
            attempts = 2 if program == "retries" else 1
            assert 0 < again[new] <= attempts + len(opened), at
    assert kills > 20


def test_another_prompt_is_one_of_all_attempts(tmp_path: Path) -> None:
    """The fork is before the first, whichever of them it is named by."""
    world = World(tmp_path, "retries")
    first = world.go()
    attempts = [i.number for i, _ in world.store().effects(RUN) if "flaky 3" in i.asked]
    assert len(attempts) == 2
    for number in attempts:
        made = fork(world.store(), RUN, number, prompt=f"flaky {number}!", who="test")
        assert world.go(run=made) == first.replace("<flaky 3>", f"<flaky {number}!>")


def test_a_fork_of_a_fork_has_both_prompts(world: World) -> None:
    first = world.go()
    store = world.store()
    one = fork(store, RUN, number_of(world, "rate 2"), prompt="judge 2", who="test")
    expected = first.replace("<rate 2>", "<judge 2>")
    assert resumed(world, one) == expected
    at = numbers(store, one)["LLMRequest('rate 4')"]
    two = fork(store, one, at, prompt="judge 4", who="test")
    expected = expected.replace("<rate 4>", "<judge 4>")
    assert resumed(world, two) == expected
    at = numbers(store, two)["LLMRequest('judge 2')"]
    three = fork(store, two, at, prompt="weigh 2", who="test")
    assert resumed(world, three) == expected.replace("<judge 2>", "<weigh 2>")


@pytest.mark.parametrize("reply", [None, "<other>"])
def test_a_fork_of_a_fork_may_be_at_an_effect_that_was_recalled(
    world: World, reply: str | None
) -> None:
    first = world.go()
    store = world.store()
    one = fork(store, RUN, number_of(world, "rate 2"), prompt="judge 2", who="test")
    expected = resumed(world, one)
    assert expected == first.replace("<rate 2>", "<judge 2>")
    paid = Counter(world.books.read())
    at = numbers(store, one)["LLMRequest('rate 4')"]
    two = fork(store, one, at, reply=reply, who="test")
    assert resumed(world, two) == expected.replace("<rate 4>", reply or "<rate 4>")
    again = Counter(world.books.read()) - paid
    assert (again["rate 4"], again["judge 2"]) == (int(reply is None), 0)


def test_what_asks_no_model_has_no_prompt(world: World) -> None:
    world.go()
    store = world.store()
    with pytest.raises(HostError, match=r"effect \d+ of run r1 asks no model, and has no prompt"):
        fork(store, RUN, number_of(world, "report"), prompt="x", who="test")
    with pytest.raises(HostError, match="takes a reply or a prompt, and got both"):
        fork(store, RUN, number_of(world, "rate 2"), prompt="x", reply="y", who="test")
    with pytest.raises(HostError, match="run r1 has no effect 99"):
        fork(store, RUN, 99, prompt="x", who="test")
    assert [run.id for run in store.runs()] == [RUN]


IMAGE = {"type": "image", "url": "https://example.org/cat.png"}
TURNS = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "yes"}]


@pytest.mark.parametrize(
    ("request_", "prompt", "messages"),
    [
        (LLMRequest("old"), "new", []),
        (LLMRequest("old", messages=TURNS), "new", TURNS),
        (
            LLMRequest(messages=TURNS),
            "",
            [{"role": "user", "content": "new"}, TURNS[1]],
        ),
        (
            LLMRequest(messages=[{"role": "user", "content": [
                {"type": "text", "text": "old"}, IMAGE, {"type": "text", "text": "er"}]}]),
            "",
            [{"role": "user", "content": [IMAGE, {"type": "text", "text": "new"}]}],
        ),
        (LLMRequest(messages=TURNS[1:]), "new", TURNS[1:]),
    ],
)  # fmt: skip
def test_another_prompt_is_the_text_of_the_users_last_turn(
    request_: LLMRequest, prompt: str, messages: list[Any]
) -> None:
    asked = with_prompt(request_, "new")
    assert (asked.prompt, list(asked.messages)) == (prompt, messages)


def test_a_fork_in_a_later_incarnation_shares_nothing_of_the_one_before(tmp_path: Path) -> None:
    world = World(tmp_path, "fan-out")
    host = world.host(world.store(), "ask")
    program = """
    (define (go n got)
      (let ((now (cons (llm.infer (string-append "quick " (number->string n))) got)))
        (if (= n 2) now (continue-as go (+ n 1) now))))
    (go 0 '())
    """
    host.run_durable(program, id=RUN)
    made = fork(world.store(), RUN, number_of(world, "quick 2"), prompt="quick two", who="test")
    assert resumed(world, made) == '("<quick two>" "<quick 1>" "<quick 0>")'
    made = fork(world.store(), RUN, number_of(world, "quick 2"), reply="2", who="test")
    assert resumed(world, made) == '("2" "<quick 1>" "<quick 0>")'


NEAR_END, TRIES = 25, 20

# -- with another program --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["again", "reply", "prompt"])
def test_a_fork_may_be_of_another_program(world: World, how: str) -> None:
    first = world.go()
    paid = Counter(world.books.read())
    text = PROGRAMS["fan-out"].replace("(list rated best)", "(cons best rated)")
    given: dict[str, Any] = {"again": {}, "reply": {"reply": "<x>"}, "prompt": {"prompt": "x"}}[how]
    number = number_of(world, "rate 2")
    made = fork(world.store(), RUN, number, **given, program=("n.omega", text), who="test")
    value = resumed(world, made)
    again = Counter(world.books.read()) - paid
    if how == "again":
        assert set(again) == {"rate 2"} and "<rate 2>" in value
    else:
        assert "rate 2" not in value and value.count("<x>") == 2
        assert ("x" in again) == (how == "prompt") and sum(again.values()) == 2 + ("x" in again)
    assert value.startswith('("<best of') and value != first
    with pytest.raises(HostError, match="has no effect 99"):
        fork(world.store(), RUN, 99, program=("n.omega", text), who="test")


def test_an_effect_that_is_none_cannot_be_forked_at(world: World) -> None:
    world.go()
    with pytest.raises(HostError, match="has no effect 99 that has ended"):
        fork(world.store(), RUN, 99, who="test")


def trial(world: World, text: str) -> Any:
    return try_program(world.store(), RUN, "new.omega", text, world.runs(world.store()).run_text)


def test_a_program_that_does_the_same_goes_on_with_a_run_for_nothing(world: World) -> None:
    first = stopped(world)
    paid = Counter(world.books.read())
    text = "; a remark\n" + PROGRAMS["fan-out"].replace("rated", "ratings")
    found = trial(world, text)
    assert found.is_same and not Counter(world.books.read()) - paid
    migrate(world.store(), RUN, "new.omega", text)
    assert resumed(world, RUN) == first
    again = Counter(world.books.read()) - paid
    assert set(again) == {"charge report 58"}


def test_a_program_that_does_something_else_is_told(world: World) -> None:
    stopped(world)
    text = PROGRAMS["fan-out"].replace('"rate "', '(if (= n 3) "judge " "rate ")')
    found = trial(world, text)
    (missed,) = [each for each in found.missed if "judge" in each.asked]
    assert (missed.task, missed.was) == ("1.4", "LLMRequest('rate 3')")
    assert any("rate 3" in asked for _, asked in found.left)
    assert "judge 3" not in world.books.read()


def stopped(world: World) -> str:
    """The value of an undisturbed run. The world's own was killed between its last two effects."""
    value, _, _, _, statements = undisturbed("fan-out")
    # In real time answers may come together, and there are fewer statements: try again.
    for at in [*range(statements, statements - NEAR_END, -1)] * TRIES:
        for path in world.folder.iterdir():
            path.unlink()
        if world.die(at, True):
            ended = [result is not None for _, result in world.store().effects(RUN)]
            if ended == [True] * 7:
                return str(value)
    raise AssertionError("the run was never there")


def test_what_is_recalled_stays_in_the_store(tmp_path: Path) -> None:
    """In memory is where it is told: some hundred bytes an effect, however long the replies are;
    and as much of journals as is read and written at once.
    """
    effects, reply_chars, bytes_max, at_once = 1_200, 7_900, 400, 6_000_000
    world = World(tmp_path, "")
    host = world.host(world.store(), "ask")
    host.define("wordy", lambda n: f"{n:0{reply_chars}}", effect="paid")
    text = f"""
    (define (go n sum)
      (if (= n {effects}) sum (go (+ n 1) (+ sum (string-length (wordy n))))))
    (define sum (go 0 0))
    (wait-signal "go")
    sum
    """
    with pytest.raises(RunStopped):
        host.run_durable(text, id=RUN)
    made = fork(world.store(), RUN, 1, reply="short", who="test")
    changed = f"(define more 1) {text}"
    tracemalloc.start(1)
    try:
        with pytest.raises(RunStopped):
            host.resume(made)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        assert try_program(host.runs.store, RUN, "n", changed, host.runs.run_text).is_same
        _, peak_of_trial = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(peak, peak_of_trial) < effects * bytes_max + at_once < effects * reply_chars


def test_how_a_fork_differs_is_told(world: World) -> None:
    world.go()
    store = world.store()
    made = fork(store, RUN, number_of(world, "rate 2"), reply="<changed>", who="test")
    resumed(world, made)
    found = differences(store, RUN, made)
    rate, best, report = sorted(found, key=lambda each: each.task != "1.3")
    assert (rate.task, rate.is_asked_otherwise) == ("1.3", False)
    assert best.is_asked_otherwise and "<changed>" in best.second.asked  # type: ignore[union-attr]
    assert report.kind == "host charge"
    assert not differences(store, RUN, RUN)
