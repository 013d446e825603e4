"""`omega replay [OPTIONS] TAPE`: run a recorded program again, on what it got from outside.

Owns: what the options mean; with which settings, text and arguments the program runs.
Refuses: how a program runs (program.py), where it stops (stepping.py, breakpoint.py).
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from typing import Any

from omega.cli.options import usage
from omega.errors import HostError

# What is given to `omega replay` itself, and not what the recorded command was given.
OWN = ("quiet", "events", "trace", "stats", "diagnostics", "host-traceback")
OF_COMMAND = ("record", "llm", *OWN)


def run(given: dict[str, Any], arguments: list[str]) -> int:
    given, path = _given(given, arguments)
    with ExitStack() as held:
        if not os.path.exists(path):
            path = _tape_of_run(given, path, held)
        elif "incarnation" in given:
            raise usage(
                f"{path} is a tape, which has no --incarnation",
                "omega runs export RUN FILE --incarnation N writes one of an earlier time",
            )
        return _replay(given, path)


def _replay(given: dict[str, Any], path: str) -> int:
    from omega.cli.program import run_program
    from omega.runs.exported import replay_of
    from omega.tape import TapeReader

    tape = TapeReader(path)
    command = tape.header.get("command")
    if command is None:
        raise HostError(
            f"{path} was recorded by a Python program, a host, which has to do again what it did",
            hint="omega.replay(path) gives that program an interpreter, in place of "
            "Interpreter(record=path); omega replay takes what omega run --record wrote",
        )
    breaks = given.get("break")
    if breaks is None:
        session = replay_of(tape)
    else:
        from omega.cli.stepping import SteppingScheduler

        session = replay_of(tape, SteppingScheduler)
    session.takes_any_text = "program" in given
    text = _text(given, tape)
    options = {k: v for k, v in command["given"].items() if k not in OF_COMMAND}
    options.update((name, given[name]) for name in OWN if name in given)
    return run_program(
        options, text, command["file"], command["arguments"], session=session, breaks=breaks
    )


def _tape_of_run(given: dict[str, Any], run: str, held: ExitStack) -> str:
    """The path of a tape of a durable run, which is there as long as `held` is; `run` itself when
    there is no store that could have it.
    """
    from tempfile import TemporaryDirectory

    from omega.cli.durable import open_store, store_path
    from omega.runs.exported import export

    if not os.path.exists(store_path(given)):
        return run
    store = held.enter_context(closing(open_store(given)))
    record = store.run(store.find(run).id, incarnation=given.get("incarnation"))
    path = os.path.join(held.enter_context(TemporaryDirectory()), f"{record.id}.tape")
    export(store, record, path)
    return path


def _given(given: dict[str, Any], words: list[str]) -> tuple[dict[str, Any], str]:
    """The options and the tape. A break may be two words."""
    if "break" in given:
        parts = [given["break"], *(w for w in words if w.startswith(("task=", "step=")))]
        words = [word for word in words if not word.startswith(("task=", "step="))]
        given["break"] = _break(",".join(parts))
    if len(words) != 1:
        how = "needs a TAPE" if not words else f"takes one TAPE, got {len(words)}"
        raise usage(f"replay {how}", "omega run --record TAPE FILE writes one")
    return given, words[0]


def _break(text: str) -> tuple[str, int]:
    """(task, step) of `task=1.7,step=1200`."""
    parts = dict(part.partition("=")[::2] for part in text.replace(",", " ").split())
    task, step = parts.pop("task", ""), parts.pop("step", "1")
    if parts or not task.replace(".", "").isdigit() or not step.isdigit() or int(step) < 1:
        raise usage(
            f"--break takes the id of a task and the number of a step, got {text!r}",
            "write --break task=1.2 step=300; ids of tasks are as (ps) and --events show them",
        )
    return task, int(step)


def _text(given: dict[str, Any], tape: Any) -> str:
    """The program's text: the recorded one, or that of --program."""
    from omega.programs import read_source
    from omega.runs.continuing import text_of
    from omega.tape.values import text_hash

    if "program" in given:
        return text_of(read_source(given["program"]), given["program"], tape.header)
    for _, hash_, text in tape.texts():
        if text_hash(text) != hash_:
            raise HostError(
                f"the program in {tape.path} is not the one it was recorded with: its hash is "
                f"{text_hash(text)}, recorded is {hash_}",
                hint="--program FILE replays another text, as far as it does the same",
            )
        return str(text)
    raise HostError(f"{tape.path} ends before the program began", hint="record it again")
