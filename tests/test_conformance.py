"""Omega and R7RS-small: every name of the report is there, and docs/conformance.md counts what the
suite runs.

tests/spec/r7rs holds the checks, a file per section of the report; the option `refused` marks the
sections about what Omega leaves out on purpose. tests/spec/r7rs/names.txt lists the report's names
by library (its appendix A).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from omega.interpreter import Interpreter
from tests.spec.kit import FOLDER, Section, sections_of

REPORT = FOLDER / "r7rs"
PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
CHECKS_MIN = 1200

# Syntax that other syntax knows by its name, each in a use that fails when it is not known.
AUXILIARY = {
    "else": "(cond (#f 1) (else 2))",
    "=>": "(cond (2 => (lambda (x) x)))",
    "...": "(let-syntax ((m (syntax-rules () ((_ a ...) (+ a ...))))) (m 1 1))",
    "_": "(let-syntax ((m (syntax-rules () ((_ _ b) b)))) (m 1 2))",
}


def names_by_library() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (REPORT / "names.txt").read_text("utf-8").splitlines():
        if line.startswith("(scheme "):
            names = found[line] = []
        elif line and not line.startswith("# "):
            names.extend(line.split())
    return found


NAMES = names_by_library()
EVERY = sorted({name for names in NAMES.values() for name in names})


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Interpreter]:
    with Interpreter(virtual_time=True) as made:
        made.eval("(begin)")
        yield made


def is_bound(interpreter: Interpreter, name: str) -> bool:
    try:
        interpreter._evaluator.lookup(name)
    except KeyError:
        return name in interpreter._evaluator.compiler.program.syntax
    return True


def test_the_list_has_all_libraries_of_the_report() -> None:
    libraries = (
        "base case-lambda char complex cxr eval file inexact lazy load process-context read repl "
        "time write r5rs"
    )
    assert set(NAMES) == {f"(scheme {name})" for name in libraries.split()}
    assert len(EVERY) == 338
    for library, names in NAMES.items():
        assert len(names) == len(set(names)), library
        assert names, library


@pytest.mark.parametrize("library", NAMES)
def test_every_name_of_the_report_is_bound(library: str, interpreter: Interpreter) -> None:
    missing = [
        name for name in NAMES[library] if name not in AUXILIARY and not is_bound(interpreter, name)
    ]
    assert not missing, f"{library}: {' '.join(missing)}"


@pytest.mark.parametrize("name", AUXILIARY)
def test_auxiliary_syntax_is_known(name: str, interpreter: Interpreter) -> None:
    assert name in NAMES["(scheme base)"]
    assert interpreter.eval(AUXILIARY[name]) == 2


# -- the page --------------------------------------------------------------------------------------


def sections() -> list[Section]:
    return [s for path in sorted(REPORT.glob("*.omega")) for s in sections_of(path)]


def test_the_suite_runs_every_check() -> None:
    for section in sections():
        assert list(section.modes), f"{section.file}:{section.line}: never run"


def test_there_are_checks_enough() -> None:
    held = [section for section in sections() if "refused" not in section.options]
    assert sum(e.is_checked for section in held for e in section.expressions) >= CHECKS_MIN


def test_every_file_says_which_section_of_the_report_it_is_about() -> None:
    for path in REPORT.glob("*.omega"):
        title = sections_of(path)[0].title
        assert re.match(r"\d(\.\d+)*(-\d(\.\d+)*)? [A-Z]", title), f"{path.name}: {title}"


def test_the_page_passes_what_it_checks() -> None:
    rows = re.findall(r"^\| [^|]* \| [^|]+ \| (\d+) \| (\d+) \|", PAGE.read_text("utf-8"), re.M)
    assert len(rows) == len(list(REPORT.glob("*.omega")))
    assert all(checks == passing for checks, passing in rows)


def test_every_refusal_is_told_of_and_checked() -> None:
    text = PAGE.read_text("utf-8").partition("## What is refused")[2]
    told = set(re.findall(r"^\| ([a-z][^|]*?) \|", text.partition("```")[0], re.M)) - {"what"}
    marked = {s.options["refused"] for s in sections() if "refused" in s.options}
    assert told == marked
    for section in sections():
        if "refused" in section.options:
            assert any(e.error and "hint:" in e.error[1] for e in section.expressions) or (
                "E104" in section.text
            ), f"{section.file}:{section.line}: no check wants a hint"
