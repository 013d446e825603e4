"""The language's own tests: each `.omega` file in `tests/spec`, or in a folder of it, is a program
with its expectations in comments.

A spec is split at lines `---` into sections; each section meets a fresh interpreter under virtual
time. An expectation stands behind a top-level expression, on the line where it ends, or on comment
lines right below it:

    (+ 1 2)                 ;=> 3
    (car 5)                 ;!! E301 expected a pair
    (display "a\\nb")        ;>> a\\nb

- `;=> text`: `write` of the value is this text (or what this text, read and written again, gives).
- `;!! CODE pattern`: it fails with this code, and the report (without the source it shows) matches
  the pattern (a regular expression, searched).
- `;>> text`: what it displays, a newline as `\\n`; one at the very end is not shown. Output nobody
  expects is ignored.

`;=>` and `;!!` exclude each other; each may stand with `;>>`. A comment that looks like an
expectation and belongs to no expression is an error, so none goes unchecked; so is a section or a
file without any.

A section runs twice. As at a prompt: one `eval` an expression, in one interpreter. As a program:
the whole section is one text, expectations put into it as calls around their expressions. The two
are compiled differently (a program's procedures are known to each other), and must agree. With
OMEGA_SPEC_NO_OPT=1 in the environment (`make fuzz`) both are run without optimisation, too. Lines
`;%% key value` set options of their section: `only prompt` or `only program` (for what is meant to
differ), `depth N`, `fuel N`, `llm SPEC` (a file of rules lies beside the specs), `seed N`, `files
yes` (a folder of the section's own may be read and written; its path with a slash is the string
`scratch`), `refused WHAT` (this is what docs/conformance.md calls so). Sections that expect errors
of reading, syntax or limits, or of a definition, run at the prompt only: those end a program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from omega.effects import Grants
from omega.errors import OmegaError, Raised, Source
from omega.interpreter import Interpreter, Limits
from omega.lisp.printer import write_string
from omega.lisp.reader import read_all
from tests.spec.kit import FOLDER, Expression, Section, SpecError, sections_of


def _llm(spec: str | None) -> str | None:
    """The option of a section; files of rules lie beside the specs."""
    name, colon, file = (spec or "").partition(":")
    return f"{name}:{FOLDER / file}" if colon else spec


class Output:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> None:
        self.parts.append(text)

    def take(self) -> str:
        text = "".join(self.parts)
        self.parts.clear()
        return text.removesuffix("\n").replace("\n", "\\n")


class Trial:
    """One section in one interpreter."""

    def __init__(self, section: Section, optimize: bool = True) -> None:
        options = section.options
        limits = {key: int(options[key]) for key in ("depth", "fuel") if key in options}
        self.section = section
        self.output = Output()
        self.interpreter = Interpreter(
            virtual_time=True,
            output=self.output,
            limits=Limits(**limits),
            llm=_llm(options.get("llm")),
            seed=int(options.get("seed", 0)),
            grants=self._grants(),
            optimize=optimize,
        )
        if self.scratch is not None:
            self.interpreter.define("scratch", f"{self.scratch.name}/")
        self.faults: list[str] = []
        self.checked = 0

    def _grants(self) -> Grants:
        self.scratch = TemporaryDirectory() if "files" in self.section.options else None
        if self.scratch is None:
            return Grants()
        return Grants(read=[self.scratch.name], write=[self.scratch.name])

    def close(self) -> None:
        self.interpreter.leaks()  # what specs leave behind is for tests/embedding/test_leaks.py
        self.interpreter.close()
        if self.scratch is not None:
            self.scratch.cleanup()

    def fault(self, e: Expression, expected: str, got: str) -> None:
        text = e.text if len(e.text) <= 300 else e.text[:300] + " ..."
        self.faults.append(f"{e.file}:{e.line}: {text}\n  expected {expected}\n  got      {got}")

    def value(self, e: Expression, value: Any) -> None:
        """Check what an expression gave."""
        self.checked += 1
        written = write_string(value)
        if e.error is not None:
            self.fault(e, f"error {e.error[0]} {e.error[1]}", written)
        elif e.value is not None and written != e.value and written != _normal(e.value):
            self.fault(e, e.value, written)
        self.displayed(e)

    def failure(self, e: Expression, error: OmegaError) -> None:
        """Check how an expression failed."""
        self.checked += 1
        report = f"{error.code} {error}"
        if e.error is None:
            expected = e.value if e.value is not None else "no error"
            self.fault(e, expected, report)
        elif error.code != e.error[0] or not re.search(e.error[1], _without_source(str(error))):
            self.fault(e, f"error {e.error[0]} {e.error[1]}", report)
        self.displayed(e)

    def displayed(self, e: Expression) -> None:
        shown = self.output.take()
        if e.output is not None and shown != e.output:
            self.fault(e, f"output {e.output!r}", repr(shown))

    # -- the two ways to run -------------------------------------------------------------------

    def prompt(self) -> None:
        inside = self.interpreter.runtime
        for e in self.section.expressions:
            kept: list[Any] = []
            self.interpreter._seam.to_host = lambda value, kept=kept: kept.append(value)
            try:
                text = e.text
                self.interpreter.eval(text, filename=f"{e.file}:{e.line}")
            except OmegaError as error:
                self.failure(e, error)
            else:
                assert kept[-1] is not inside.marker
                self.value(e, kept[-1])
        self.checked_all(len(self.section.expressions))

    def program(self) -> None:
        """The whole section as one text, with `(%spec-value n expression)` for what is checked,
        and `(%spec-failure n (lambda () expression))` for what is to fail.
        """
        pieces: list[str] = []
        at = 0
        section = self.section
        for n, e in enumerate(section.expressions):
            if e.is_checked:
                name = "%spec-failure" if e.error else "%spec-value"
                inner = (
                    f"({name} {n} (lambda () {e.text}))" if e.error else f"({name} {n} {e.text})"
                )
                pieces += (section.text[at : e.start], f"(%spec-clear) {inner}")
                at = e.end
        pieces.append(section.text[at:])
        self._define_checks()
        try:
            self.interpreter.eval(GUARD, filename="<spec>")
            self.interpreter.eval("".join(pieces), filename=section.file)
        except OmegaError as error:
            self.faults.append(f"{section.file}:{section.line}: as a program it failed: {error}")
            return
        self.checked_all(sum(e.is_checked for e in section.expressions))

    def _define_checks(self) -> None:
        expressions = self.section.expressions

        def value(n: int, result: Any) -> None:
            self.value(expressions[n], result)

        def failure(n: int, condition: Any) -> None:
            if not isinstance(condition, OmegaError):
                condition = Raised(condition, f"uncaught raise of {write_string(condition)}")
            self.failure(expressions[n], self.interpreter.explained(condition))

        def clear() -> None:
            self.output.take()

        define = self.interpreter._evaluator.define
        define("%spec-value", value)
        define("%spec-failed", failure)
        define("%spec-clear", clear)

    def checked_all(self, count: int) -> None:
        if not self.faults and self.checked != count:
            where = f"{self.section.file}:{self.section.line}"
            self.faults.append(f"{where}: {count} expressions to check, {self.checked} checked")


GUARD = """
(define %spec-failure
  (let ((failed %spec-failed) (note %spec-value))
    (lambda (n thunk)
      (let ((failure (guard (condition (#t (list condition))) (note n (thunk)) #f)))
        (when failure (failed n (car failure)))))))
"""


def _without_source(report: str) -> str:
    """A report without the source lines it shows: those hold the expectation too."""
    return "\n".join(line for line in report.split("\n") if not re.match(r"\s*\d*\s+\|", line))


def _normal(text: str) -> str | None:
    """`text` read and written again; None when it is not one datum."""
    try:
        forms = read_all(Source("<expected>", text))
    except OmegaError:
        return None
    return write_string(forms[0][0]) if len(forms) == 1 else None


@pytest.fixture(scope="session", autouse=True)
def compiled_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of our own: the library is compiled once, and nobody's earlier work is met."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        folder.chmod(0o700)
        patch.setenv("OMEGA_CACHE_DIR", str(folder))
        yield


def _all() -> Iterator[Any]:
    for path in sorted(FOLDER.rglob("*.omega")):
        stem = path.relative_to(FOLDER).with_suffix("").as_posix()
        for section in sections_of(path):
            for mode in section.modes:
                title = re.sub(r"[^\w>*!?=-]+", "_", section.title)[:50].strip("_")
                name = f"{stem}-{section.line}-{title}-{mode}".replace("--", "-")
                yield pytest.param(section, mode, True, id=name)
                if os.environ.get("OMEGA_SPEC_NO_OPT"):
                    yield pytest.param(section, mode, False, id=f"{name}-no-opt")


@pytest.mark.parametrize("section, mode, optimize", list(_all()))
def test_spec(section: Section, mode: str, optimize: bool) -> None:
    trial = Trial(section, optimize)
    try:
        getattr(trial, mode)()
    finally:
        trial.close()
    assert not trial.faults, "\n" + "\n".join(trial.faults)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("(+ 1 2)", "expects nothing"),
        ("1 ;=> 1\n\n;=> 2\n\n(+ 1 2)\n; hm ;=> 3", "of no expression"),
        ("(+ 1 ;=> 1\n 2) ;=> 3", "of no expression"),
        ("(car 1) ;!! type", "needs a code"),
        ("1 ;=> 1 ;=> 2", "a second"),
        (";%% speed 3\n1 ;=> 1", "unknown option"),
        ("(car ;=> 1", "cannot be read"),
    ],
)
def test_malformed_spec_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        Section("x.omega", 1, text)


@pytest.mark.parametrize(
    "text",
    [
        "(+ 1 2) ;=> 4",
        "(+ 1 2) ;!! E301 .",
        "(car 1) ;=> 1",
        "(car 1) ;!! E302 .",
        "(car 1) ;!! E301 no such words",
        '(display "a") ;>> b',
        '(begin (display "a") 3) ;>> b ;=> 3',
    ],
)
@pytest.mark.parametrize("mode", ["prompt", "program"])
def test_failing_expectation_is_reported(text: str, mode: str) -> None:
    section = Section("x.omega", 1, text)
    trial = Trial(section)
    getattr(trial, mode)()
    assert len(trial.faults) == 1
    assert trial.faults[0].startswith("x.omega:1: ")
