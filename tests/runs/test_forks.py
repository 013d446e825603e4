"""Forks, and runs whose program is changed: what was paid for is not paid for again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from omega.errors import HostError
from omega.runs.differences import differences
from omega.runs.forks import fork, migrate, try_program
from tests.runs.kit import PROGRAMS, RUN, World
from tests.runs.test_kills import undisturbed


@pytest.fixture(params=[True, False], ids=["virtual", "real"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, "fan-out", request.param)


def number_of(world: World, asked: str) -> int:
    return next(i.number for i, _ in world.store().effects(RUN) if asked in i.asked)


def resumed(world: World, run: str) -> str:
    return str(world.host(world.store(), "ask").resume(run))


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
    for at in range(statements, 0, -1):
        for path in world.folder.iterdir():
            path.unlink()
        if world.die(at, True):
            ended = [result is not None for _, result in world.store().effects(RUN)]
            if ended == [True] * 7:
                return str(value)
    raise AssertionError("the run was never there")


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
