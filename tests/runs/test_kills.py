"""The process of a run dies before and after every statement of its store; another one goes on.

What is to hold: the result, the journal's effects and the files are those of a run that nobody
killed; nothing that was paid for is paid for twice, but what somebody allowed to be made again.

All of it is 970 points, two minutes of one core: OMEGA_KILLS=1. Otherwise each fifth one, and the
next ones on the next day: a failure tells its point.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from omega.errors import RunStopped
from tests.runs.kit import PROGRAMS, RUN, World

STRIDE = 1 if os.environ.get("OMEGA_KILLS") else 5
FIRST = date.today().toordinal() % STRIDE
PARTS = 4


def effects(store: Any) -> dict[tuple[str, int, str, str], str | None]:
    """How each effect ended, at last: by who made it, and what was asked."""
    return {
        (intent.task, intent.n, intent.kind, intent.hash): result and result.outcome
        for intent, result in store.effects(RUN)
    }


@cache
def undisturbed(program: str) -> tuple[Any, Any, Counter[str], dict[str, str], int]:
    """(value, effects, books, files, statements) of a run that nobody kills."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder), program)
        value = world.go()
        assert world.db is not None
        made = world.db.made
        return value, effects(world.store()), Counter(world.books.read()), files(world), made


def files(world: World) -> dict[str, str]:
    return {path.name: path.read_text() for path in world.folder.glob("out*")}


def notes(store: Any) -> list[str]:
    return [text for (text,) in store.file.read("SELECT text FROM notes")]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_is_killed_goes_on_and_pays_nothing_twice(program: str, part: int) -> None:
    value, made, books, written, statements = undisturbed(program)
    points = [(at, is_after) for at in range(1, statements + 1) for is_after in (False, True)]
    for at, is_after in points[FIRST::STRIDE][part::PARTS]:
        with TemporaryDirectory() as folder:
            world = World(Path(folder), program)
            if not world.die(at, is_after):
                continue
            unknown = open_effects(world)
            assert world.go() == value, (at, is_after)
            store = world.store()
            assert effects(store) == made, (at, is_after)
            assert files(world) == written, (at, is_after)
            again = Counter(world.books.read()) - books
            assert sum(again.values()) <= len(unknown), (at, is_after, again, unknown)
            assert store.run(RUN).state == "completed"
            store.close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_word_nothing_is_made_again(program: str) -> None:
    """The policy is to ask: the run is blocked where nobody knows, and goes on once told."""
    value, _, books, _, statements = undisturbed(program)
    for at in range(2, statements, 7):
        with TemporaryDirectory() as folder:
            world = World(Path(folder), program)
            if not world.die(at, True):
                continue
            unknown = open_effects(world)
            try:
                assert world.go("ask") == value
                assert Counter(world.books.read()) == books
            except RunStopped as stopped:
                assert stopped.state == "blocked" and unknown
                assert world.store().run(RUN).state == "blocked"
                assert not Counter(world.books.read()) - books
                assert world.go("retry") == value


def open_effects(world: World) -> list[str]:
    """What was asked by those effects whose end nobody knows."""
    store = world.store()
    try:
        return [intent.asked for intent, _ in store.effects(RUN, open_only=True)]
    except Exception:
        return []  # it was dead before there was a run
    finally:
        store.close()
