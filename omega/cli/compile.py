"""`omega compile --show-python FILE`: what a program is compiled to."""

from __future__ import annotations

import os
from typing import Any

from omega.cli.options import usage


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise usage("compile takes one FILE", "omega compile --show-python FILE")
    from omega.cli import terminal
    from omega.cli.dispatch import FAILED, OK, show
    from omega.cli.run import read_program
    from omega.errors import OmegaError, Source
    from omega.interpreter import Interpreter

    path = arguments[0]
    load_path = [*given.get("load-path", ()), os.path.dirname(path) or os.curdir]
    with Interpreter(load_path=load_path, optimize=not given.get("no-opt")) as interpreter:
        source = Source(path, read_program(path, interpreter.limits.source_bytes))
        try:
            text = interpreter.python(source)
        except OmegaError as error:
            known = interpreter.source
            terminal.complain(
                error,
                lambda file: source if file == path else known(file),
                host_traceback=bool(given.get("host-traceback")),
            )
            return FAILED
    return show(text) if given.get("show-python") else OK
