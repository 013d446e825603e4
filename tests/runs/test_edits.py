"""Programs that are changed while their run is in flight. Without a word the run goes on with the
program it was begun with; asked, the change is tried on what the run has got: it fits, or what does
not is named. What fits is taken, and pays for nothing again.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from omega.errors import RunStopped
from omega.runs.forks import Trial, migrate, try_program
from tests.runs.kit import PROGRAMS, RUN, World
from tests.runs.test_forks import stopped

BASE = PROGRAMS["fan-out"]

# What changes nothing of what the run has done: the edit, and how its value ends then.
FITS = {
    "a remark": BASE + "; more\n",
    "another name of a variable": BASE.replace("rated", "ratings"),
    "another layout": BASE.replace(" ", "\n ").replace('"rate\n "', '"rate "').replace(
        '"best\n of\n "', '"best of "'),
    "a definition nobody uses": "(define (unused x) (* x x))\n" + BASE,
    "a definition that is inlined": "(define (text n) (number->string n))\n"
    + BASE.replace("(number->string n)", "(text n)"),
    "a loop written otherwise": BASE.replace("(iota 6)", "(list 0 1 2 3 4 5)"),
    "output": "(displayln 'hello)\n" + BASE,
    "another way to add": BASE.replace("(list rated best)", "(cons rated (cons best '()))"),
    "work between two effects": BASE.replace(
        "(define best",
        "(define sum (let loop ((i 0)) (if (< i 1000) (loop (+ i 1)) i)))\n(define best"),
    "an effect behind all that was made": BASE.replace(
        "(list rated best)", '(charge "more" 1) (list rated best)'),
}  # fmt: skip

# What does not fit: the edit, and what it is told of: (kind, asked now, asked then).
DIFFERS: dict[str, tuple[str, tuple[str, str | None]]] = {
    "another prompt": (
        BASE.replace('"rate "', '"judge "'), ("judge 0", "rate 0")),
    "another prompt for one": (
        BASE.replace('"rate "', '(if (= n 4) "judge " "rate ")'), ("judge 4", "rate 4")),
    "a prompt that depends on the others": (
        BASE.replace('"best of "', '"worst of "'), ("worst of", "best of")),
    "another order of the operands": (
        BASE.replace("(iota 6)", "(reverse (iota 6))"), ("rate 5", "rate 0")),
    "an effect in front": (
        '(charge "first" 1)\n' + BASE, ("first", None)),
    "an effect less": (
        BASE.replace("(iota 6)", "(iota 5)"), ("best of", "best of")),
    "one after the other": (
        BASE.replace("par-map", "map"), ("rate 0", "best of")),
    "a system prompt": (
        BASE.replace('(number->string n))))', '(number->string n)) :system "be brief"))'),
        ("rate 0", "rate 0")),
}  # fmt: skip

# What fails: the edit, and the error.
FAILS = {
    "a mistake in the text": (BASE + "(display", "unclosed"),
    "a name that is not there": (BASE.replace("par-map", "par-mop"), "unbound-variable"),
    "an error before the end": (
        BASE.replace("(define best", "(car '()) (define best"), "type-error"),
}  # fmt: skip


@pytest.fixture(scope="module")
def journal() -> Iterator[Path]:
    """The folder of a run that was killed between its last two effects."""
    with TemporaryDirectory() as folder:
        stopped(World(Path(folder), "fan-out"))
        yield Path(folder)


@pytest.fixture
def world(journal: Path, tmp_path: Path) -> World:
    shutil.copytree(journal, tmp_path, dirs_exist_ok=True)
    return World(tmp_path, "fan-out")


def tried(world: World, text: str) -> Trial:
    paid = world.books.read()
    found = try_program(world.store(), RUN, "new.omega", text, world.runs(world.store()).run_text)
    assert world.books.read() == paid  # a trial asks nobody
    return found


@pytest.mark.parametrize("edit", FITS)
def test_an_edit_that_fits_is_taken(world: World, edit: str) -> None:
    found = tried(world, FITS[edit])
    assert found.is_same, found
    paid = Counter(world.books.read())
    migrate(world.store(), RUN, "new.omega", FITS[edit])
    value = str(world.host(world.store(), "ask").resume(RUN))
    assert value.startswith('(("<rate 0>"')
    assert all(line.startswith("charge") for line in Counter(world.books.read()) - paid)


@pytest.mark.parametrize("edit", DIFFERS)
def test_an_edit_that_does_not_fit_is_named(world: World, edit: str) -> None:
    text, (now, then) = DIFFERS[edit]
    found = tried(world, text)
    assert not found.is_same
    missed = found.missed[0]
    assert now in missed.asked, missed
    assert missed.was is None if then is None else then in str(missed.was)


@pytest.mark.parametrize("edit", FAILS)
def test_an_edit_that_fails_is_told(world: World, edit: str) -> None:
    text, kind = FAILS[edit]
    error: Any = tried(world, text).error
    assert error is not None and error.kind == kind


def test_without_a_word_a_run_goes_on_with_its_own_program(world: World) -> None:
    """Its text is kept with it: what becomes of the file does not matter."""
    assert "best of" in str(world.host(world.store(), "ask").resume(RUN))


def of_another_version(store: Any) -> None:
    with store.file.writing() as db:
        db.execute("UPDATE incarnations SET header = json_set(header, '$.step-model', 1)")


@pytest.mark.parametrize("is_guest", [False, True])
def test_a_run_of_a_version_that_counts_steps_otherwise_goes_on(
    world: World, is_guest: bool
) -> None:
    """It begins anew on what it has got."""
    of_another_version(world.store())
    paid = Counter(world.books.read())
    host = world.host(world.store(), "ask")
    value = asyncio.run(host.runs.go_on_async(RUN)) if is_guest else host.resume(RUN)
    assert "best of" in str(value)
    assert set(Counter(world.books.read()) - paid) == {"charge report 58"}
    assert world.store().run(RUN).incarnation == 2


@pytest.mark.parametrize("is_guest", [False, True])
def test_so_does_one_in_real_time(tmp_path: Path, is_guest: bool) -> None:
    world = World(tmp_path, "signals", is_virtual=False)
    text = """(list (llm.infer "quick a") (wait-signal "go") (llm.infer "quick b"))"""
    with pytest.raises(RunStopped):
        world.host(world.store(), "ask").run_durable(text, id=RUN)
    of_another_version(world.store())
    store = world.store()
    store.signal(RUN, "go", 7, key="go", who="test")
    host = world.host(store, "ask")
    value = asyncio.run(host.runs.go_on_async(RUN)) if is_guest else host.resume(RUN)
    assert str(value) == '("<quick a>" 7 "<quick b>")'
    assert world.books.read() == ["quick a", "quick b"]
