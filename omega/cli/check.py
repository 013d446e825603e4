"""`omega check FILE...`: what can be seen to be wrong with programs without running them; with
`--schedules`, what goes wrong when they are run in another order.

Owns: which files are looked at, the summary, the exit code. Refuses: to run anything but macros;
schedules.py does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from omega.cli import terminal
from omega.cli.advice import HOW_TO_RAISE
from omega.cli.dispatch import FAILED, OK, status_at_start
from omega.cli.main import INTERRUPTED
from omega.cli.options import JSON, usage
from omega.errors import LimitExceeded, LispFileError, OmegaError
from omega.programs import SUFFIX

EXPLORING = ("schedules", "schedule", "time-limit")  # each has programs run


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if not arguments:
        raise usage("check needs a FILE", "omega check FILE..., or a directory for all in it")
    as_json = given.get("diagnostics") == JSON
    checked = findings = with_findings = 0
    status = OK
    output = terminal.Output(BrokenPipeError)
    for path in _programs(arguments):
        found, source_of, well, interrupted = _check(path, given)
        for error in found:
            if as_json:  # what was asked for, and so standard output
                output.write(terminal.json_line(error) + "\n")
            else:
                terminal.complain(
                    error, source_of, host_traceback=bool(given.get("host-traceback"))
                )
            status = max(status, _status(error))
        if well and not as_json:
            terminal.say(well)
        checked += 1
        findings += len(found)
        with_findings += bool(found)
        if interrupted:
            status = INTERRUPTED
            break
    if not as_json and (findings or checked > 1):
        terminal.say(_summary(findings, with_findings, checked))
    output.flush()
    return status


def _programs(arguments: list[str]) -> Iterator[str]:
    """The files that are named, and those of the directories that are."""
    for path in arguments:
        if not os.path.isdir(path):
            yield path
            continue
        found = []
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [os.path.join(folder, name) for name in names if name.endswith(SUFFIX)]
        if not found:
            raise usage(f"there is no program in {path}", f"programs are files named *{SUFFIX}")
        yield from sorted(found)


def _check(
    path: str, given: dict[str, Any]
) -> tuple[list[OmegaError], terminal.SourceOf, str, bool]:
    """What is wrong with a file, in the order of its text; where its text is known; what is said of
    one that did well under the schedules asked for; whether Ctrl-C came meanwhile.
    """
    from omega.cli.run import STDIN, read_program
    from omega.interpreter import Interpreter, Limits
    from omega.limits import advise

    name = "<stdin>" if path == STDIN else path
    try:
        text = read_program(path, Limits().source_bytes)
    except (LispFileError, LimitExceeded) as error:  # the other files are looked at all the same
        advise(error, HOW_TO_RAISE)
        return [error], terminal.no_source, "", False
    load_path = [*given.get("load-path", ()), os.path.dirname(path) or os.curdir]
    with Interpreter(load_path=load_path) as interpreter:
        interpreter.how_to_raise = HOW_TO_RAISE
        found, source_of = interpreter.check(text, name), interpreter.source
    if not any(name in given for name in EXPLORING) or any(
        error.severity != "warning" for error in found
    ):
        return found, source_of, "", False
    from omega.cli.schedules import check

    checked = check(text, name, given)
    if checked.failure is not None:
        found = [*found, checked.failure]
    return found, source_of, checked.text, checked.interrupted


def _status(error: OmegaError) -> int:
    if isinstance(error, (LispFileError, LimitExceeded)):
        return status_at_start(error)
    return FAILED


def _summary(findings: int, with_findings: int, checked: int) -> str:
    if not findings:
        return f"nothing found in {checked} files"
    of = f" of {checked}" if checked > with_findings else ""
    return (
        f"{terminal.counted(findings, 'finding')} in {terminal.counted(with_findings, 'file')}{of}"
    )
