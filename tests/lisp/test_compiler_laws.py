"""The compiler against the reference evaluator: values, errors, places, effects, steps.

The law is `Bench` of fuzz/workbench.py. It is tried on the programs that once broke it
(tests/lisp/corpus, a file each) and on random ones, the same each time; `make fuzz` tries others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lisp.fuzz.forms import parsed, written
from tests.lisp.fuzz.run import Found, disagreement, search
from tests.lisp.fuzz.workbench import Bench

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.omega"))
PROGRAMS = int(os.environ.get("OMEGA_FUZZ_PROGRAMS", "1200"))
SHARES = 4  # tests the random programs are divided into
LEAST = {
    "guard": 20,
    "call/cc": 10,
    "set!": 50,
    "match": 15,
    "define-syntax": 30,
    "dynamic-wind": 5,
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_programs_that_once_disagreed(path: Path, bench: Bench) -> None:
    found = disagreement(bench, parsed(path.read_text()))
    assert found is not None, "the program is not compared: it goes on for too long"
    assert not found, found.text


@pytest.mark.parametrize("share", range(SHARES))
def test_random_programs(share: int) -> None:
    total = Found()
    size = PROGRAMS // SHARES
    for found in search("the same each time", range(share * size, (share + 1) * size)):
        total.add(found)
    assert not total.failures, "\n\n".join(f"{t}\n{what}" for _, t, what in total.failures)
    compared = total.programs - total.discarded
    assert compared > 0.95 * total.programs
    # Most programs do something, and errors of several kinds are met.
    assert 0.5 < total.ends["value"] / compared < 0.95
    if size >= 200:
        assert {"E201", "E301", "E303"} <= set(total.ends)
        for form, percent in LEAST.items():
            assert 100 * total.forms[form] / compared > percent, form


def test_forms_are_written_as_they_were_read() -> None:
    text = """(define (f x . y) `(a ,x ,@y #\\( "q\\"(" 'b #(1 2)))\n(f 1 '())"""
    forms = parsed(text)
    assert "\n".join(written(form) for form in forms) == text
