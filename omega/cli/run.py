"""`omega run [OPTIONS] FILE [ARGS...]`: run a program from a file or from standard input."""

from __future__ import annotations

import sys
from typing import Any

from omega.cli.options import DURABLE_OPTIONS, usage
from omega.errors import LispFileError

STDIN = "-"


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if not arguments:
        raise usage("run needs a FILE", "omega run FILE, or omega run - for standard input")
    if given.get("no-prompts") and "record" not in given:
        raise usage("--no-prompts is for a tape", "--record TAPE writes one")
    if not given.get("durable"):
        foreign = next((each.name for each in DURABLE_OPTIONS if each.name in given), None)
        if foreign is not None:
            raise usage(f"--{foreign} is for a durable run", "--durable makes it one")
    from omega.cli.program import limits_of, run_program

    path = arguments[0]
    text = read_program(path, limits_of(given).source_bytes)
    file = "<stdin>" if path == STDIN else path
    session = None
    if given.get("durable"):
        from omega.cli.durable import begin

        return begin(given, text, file, arguments)
    if "record" in given:
        from omega.tape import Recording

        command = {"given": given, "file": file, "arguments": arguments}
        prompts = not given.get("no-prompts")
        session = Recording(given["record"], {"command": command}, prompts=prompts)
    return run_program(given, text, file, arguments, session=session)


def read_program(path: str, characters_max: int) -> str:
    """The text of a program. Raises LispFileError, LimitExceeded."""
    from omega.programs import UTF8_BYTES, decoded, read_source

    if path != STDIN:
        return read_source(path, characters_max)
    if sys.stdin is None:
        raise LispFileError("cannot read standard input: it is closed")
    return decoded(sys.stdin.buffer.read(UTF8_BYTES * characters_max + 1), "<stdin>")
