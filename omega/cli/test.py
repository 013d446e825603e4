"""`omega test [PATH...]`: run the tests that programs hold, each file in an interpreter of its own.

Owns: which files are tests, the order, the summary, the exit code.
Refuses: to know what a check is (omega/bindings/testing.py counts them).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from omega.cli import terminal
from omega.cli.dispatch import FAILED, OK
from omega.cli.options import usage
from omega.errors import LimitExceeded, OmegaError
from omega.programs import SUFFIX

BEGIN, END = "test-", "-test" + SUFFIX  # how names of files of tests begin, or end


def run(given: dict[str, Any], arguments: list[str]) -> int:
    output = terminal.Output(BrokenPipeError)
    given["virtual-time"] = not given.get("real-time")
    totals = {"passed": 0, "failed": 0, "errors": 0}
    files = 0
    for path in _files(arguments or ["."]):
        files += 1
        for what, count in _File(given, path, output).run().items():
            totals[what] += count
    if not files:
        where = " ".join(arguments) or "this folder"
        raise usage(
            f"there are no tests in {where}", f"they are files named *{END}, {BEGIN}*{SUFFIX}"
        )
    output.write(_summary(files, totals) + "\n")
    output.flush()
    return FAILED if totals["failed"] or totals["errors"] else OK


def _files(paths: list[str]) -> Iterator[str]:
    """The files that are named, and the tests in the directories that are."""
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        found = []
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [os.path.join(folder, name) for name in names if _is_test(name)]
        yield from sorted(os.path.normpath(name) for name in found)


def _is_test(name: str) -> bool:
    return name.endswith(END) or (name.startswith(BEGIN) and name.endswith(SUFFIX))


class _File:
    """One file of tests, run from its start to the end of its tasks."""

    def __init__(self, given: dict[str, Any], path: str, output: terminal.Output) -> None:
        self.given, self.path, self.output = given, path, output

    def run(self) -> dict[str, int]:
        from omega.cli.program import limits_of, make_interpreter
        from omega.cli.run import read_program

        text = read_program(self.path, limits_of(self.given).source_bytes)
        with make_interpreter(self.given, [os.path.dirname(self.path) or os.curdir]) as interpreter:
            interpreter.door.output = self.output
            tests = interpreter.runtime.tests
            tests.tell = self._tell
            tests.wanted = self.given.get("only", "")
            errors = [interpreter.explained(error) for error in self._outcome(interpreter, text)]
            for error in errors:
                self._tell(f"{self.path} ended with an error:\n{error}")
            return {
                "passed": tests.passed,
                "failed": tests.failed,
                "errors": tests.errors + len(errors),
            }

    def _outcome(self, interpreter: Any, text: str) -> list[OmegaError]:
        """The errors outside of any group: the program's own, and those of tasks nobody awaited."""
        scheduler = interpreter.scheduler
        failures: list[OmegaError] = []
        try:
            interpreter.only_text()
            scheduler.wait(interpreter.spawn_text(text, self.path))
            scheduler.run()
            interpreter.check_limits()
        except OmegaError as error:
            failures.append(scheduler.limit_reached() or error)
        for task in scheduler.unobserved_failures():
            lost = task.error
            if isinstance(lost, OmegaError) and not isinstance(lost, LimitExceeded):
                failures.append(lost)
        return failures

    def _tell(self, text: str) -> None:
        self.output.write(text + "\n\n")


def _summary(files: int, totals: dict[str, int]) -> str:
    parts = [f"{terminal.counted(totals['passed'], 'check')} passed", f"{totals['failed']} failed"]
    if totals["errors"]:
        parts.append(terminal.counted(totals["errors"], "error"))
    return f"{', '.join(parts)} in {terminal.counted(files, 'file')}"
