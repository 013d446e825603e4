"""Exported runs: whatever has befallen a run, its tape gives the same value, and asks nothing of
the outside.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from omega import replay
from omega.durable.records import NewRun
from omega.errors import HostError, LispFileError, ReplayDivergence, TapeEnded
from omega.runs.exported import export
from tests.runs.kit import PROGRAMS, RUN, World

STATEMENTS_MAX = 200  # of a run; later ones are its end


def exported(world: World, name: str = "run.tape") -> str:
    path = str(world.folder / name)
    store = world.store()
    export(store, store.run(RUN), path)
    store.close()
    return path


def replayed(path: str, text: str) -> str:
    """The value of a program on a tape, whose host must not be asked for anything."""

    def asked(*arguments: object) -> object:
        raise AssertionError(f"the host was asked for {arguments}")

    with replay(path) as interpreter:
        interpreter.define("charge", asked, effect="paid")
        interpreter.define("note", asked, effect="transactional")
        value = str(interpreter.eval(text, filename="<run>"))
        interpreter.run()
    return value


@pytest.mark.parametrize("is_virtual", [True, False], ids=["virtual", "real"])
@pytest.mark.parametrize("program", ["fan-out", "retries", "signals"])
def test_a_run_has_the_same_value_again(tmp_path, monkeypatch, program, is_virtual):
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path, program, is_virtual)
    value = world.go()
    books = world.books.read()
    written = (tmp_path / "out.txt").read_text() if program == "signals" else None
    assert replayed(exported(world), PROGRAMS[program]) == value
    assert world.books.read() == books
    if written is not None:
        assert (tmp_path / "out.txt").read_text() == written


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_run_that_was_killed_has_it_too(tmp_path: Path, monkeypatch, program, seed):
    """Killed at three statements of the store, before or after them."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    world = World(tmp_path, program)
    for _ in range(3):
        if not world.die(chance.randrange(15, STATEMENTS_MAX), chance.random() < 0.5):
            break
    value = world.go()
    books = world.books.read()
    assert replayed(exported(world), PROGRAMS[program]) == value
    assert world.books.read() == books


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_has_not_ended_is_replayed_up_to_where_it_is(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path, "signals")
    assert world.die(random.Random(seed).randrange(80, 110), False)
    path = exported(world)
    with pytest.raises(TapeEnded, match="had come so far when it was exported"):
        replayed(path, PROGRAMS["signals"])


def test_another_program_differs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path, "fan-out")
    world.go()
    path = exported(world)
    with pytest.raises(ReplayDivergence):
        replayed(path, "(charge 'other 1)")
    with pytest.raises(LispFileError, match="something here already"):
        exported(world)


def test_a_run_that_has_not_begun_has_nothing_to_export(tmp_path: Path) -> None:
    world = World(tmp_path, "fan-out")
    store = world.store()
    store.create(NewRun(RUN, "p", {"version": "1", "python": "3"}))
    with pytest.raises(HostError, match="run r1 is pending and has got nothing yet"):
        export(store, store.run(RUN), str(tmp_path / "run.tape"))
    assert not (tmp_path / "run.tape").exists()
