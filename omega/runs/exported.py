"""Durable runs as tapes: what a journal tells, in a file that `omega replay` replays.

Owns: `export`, `replay_of`; what a journal's facts ask of a replay that those of a recorded run do
not: effects that were intended first, files that know how far they were written, signals.
Refuses: the format of the file (tape/files.py), replaying (tape/session.py).
"""

from __future__ import annotations

import os
from typing import Any

from omega.calls.calls import CallingScheduler
from omega.durable.records import RunRecord
from omega.durable.store import Store
from omega.effects import Act
from omega.errors import HostError, LispFileError
from omega.runs.continuing import CONTINUED
from omega.runs.journal import JournalReader, JournalWriter
from omega.runs.prompts import OVERRIDES, Prompts
from omega.runs.signals import Mailboxes
from omega.runs.taps import DurableTap
from omega.tape import Replay, TapeReader, TapeWriter
from omega.tape.facts import FactWriter, as_line

RUN = "run"  # in a tape's first line: the run that it was exported from


def export(store: Store, record: RunRecord, path: str) -> int:
    """Write the journal of a run, as far as it has come, to a tape; how many facts. Of a run that
    has begun anew it is that of the incarnation that `record` is of.

    Raises LispFileError when there is something at `path`, or it cannot be written, and HostError
    when the run has not begun.
    """
    if os.path.lexists(path):
        raise LispFileError(
            f"{path}: there is something here already", hint="name a file that is not there"
        )
    header = record.header
    about = {"version": header["version"], "python": header["python"], RUN: record.id}
    for name in (CONTINUED, OVERRIDES):
        if name in header:
            about[name] = header[name]
    command = header.get("command")
    if command is not None:
        file, arguments = header["program"]["file"], header["arguments"]
        about["command"] = {"given": command["given"], "file": file, "arguments": arguments}
    facts = JournalReader(store, record.id, incarnation=record.incarnation).facts()
    first = next(facts, None)  # what is wrong with the journal shows before there is a file
    if first is None:
        raise HostError(
            f"run {record.id} is {record.state} and has got nothing yet that could be exported",
            hint=f"it begins, or begins anew, with omega resume {record.id}",
        )
    tape = TapeWriter(path)
    count = 0
    try:
        tape.begin({**header["settings"], **about}, header["step-model"])
        while first is not None:
            tape.put(as_line(first))
            count, first = count + 1, next(facts, None)
    finally:
        lost = tape.close()
    if lost is not None:
        raise lost
    return count


def replay_of(tape: TapeReader, scheduler: type[CallingScheduler] = CallingScheduler) -> Replay:
    """What replays a tape, wherever it comes from."""
    return (ExportedReplay if RUN in tape.header else Replay)(tape, scheduler)


class ExportedReplay(Replay):
    """A durable run that is had again. classes: of the functions of the host."""

    def __init__(
        self, tape: TapeReader, scheduler: type[CallingScheduler] = CallingScheduler
    ) -> None:
        super().__init__(tape, scheduler)
        tape.ended_since = "had come so far when it was exported"
        self.classes: dict[str, str] = {}

    def attach(self, interpreter: Any) -> None:
        super().attach(interpreter)
        tap = _ExportedTap(interpreter.scheduler, self.tape)
        door = interpreter.door
        tap.door, tap.classes = door, self.classes
        self.tap, door.tap = tap.replayer, tap
        door.replaced = Prompts(self.tape.header.get(OVERRIDES, ())).replaced
        door.continue_as = lambda procedure, arguments: None  # the tape ends there
        door.continued = self.tape.header.get(CONTINUED, {}).get("arguments", ())
        self.tap.takes_any_text = self.takes_any_text
        interpreter._evaluator.modules.files.tap = tap
        mailboxes = Mailboxes(
            None,  # type: ignore[arg-type]  # no call of the outside is started
            *(self.tape.header[RUN], interpreter.scheduler, tap, interpreter.runtime),
        )
        door.wait_signal = mailboxes.wait


class _NoWriter(FactWriter):
    """A replay writes nothing."""

    failure = None
    is_over = False

    def put(self, line: str) -> None:
        raise HostError("a replay of a durable run has come to something that it would write")


class _ExportedTap(DurableTap):
    """Everything comes from the tape."""

    def __init__(self, scheduler: Any, tape: TapeReader) -> None:
        writer: JournalWriter = _NoWriter()  # type: ignore[assignment]
        super().__init__(scheduler, writer, tape, lambda: False)  # type: ignore[arg-type]
        assert self._replayer is not None
        self.replayer = self._replayer

    def written(self, kind: str, act: Act) -> None:
        self.replayer.written(kind, act)

    def file(self, key: str, act: Act) -> Any:
        return self.replayer.file(key, act)

    def text(self, filename: str, text: str) -> None:
        self.replayer.text(filename, text)

    def effect(self, kind: str, arguments: Any, effect_class: str, act: Act, again: Act) -> Any:
        if self.replayer.is_paused:
            return self.replayer.fact(kind, arguments, act)  # says that it cannot be
        return super().effect(kind, arguments, effect_class, act, again)
