"""`omega runs fork`, `omega runs diff`, `omega migrate`: runs that begin where another one was.

Owns: what is said of a trial, and when a change is made. Refuses: how it is found out
(omega/runs/forks.py).
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from omega.cli.dispatch import FAILED, OK, show
from omega.cli.durable import go_to, open_store
from omega.cli.options import usage
from omega.errors import HostError, OmegaError

if TYPE_CHECKING:
    from omega.cli.runs import Given
    from omega.durable.records import RunRecord
    from omega.durable.sqlite import SQLiteStore
    from omega.runs.forks import Trial
    from omega.runs.runs import Runs
    from omega.runs.session import DurableSession

SHOWN_MAX = 10


def fork(given: Given) -> int:
    from omega.calls.calls import WAITS_FOR
    from omega.cli.runs import value_of
    from omega.runs.forks import asked_for
    from omega.runs.forks import fork as forked

    store, options = given.store(), given.options
    record = given.incarnation(store)
    word = given.words[1]
    if not (word.isascii() and word.isdigit()):
        raise usage(f"effects have numbers, got {word!r}", "omega runs journal RUN shows them")
    if "reply" in options and "prompt" in options:
        raise usage(
            "runs fork takes one of --reply and --prompt, got both",
            "with a reply the model is not asked, so there is no prompt",
        )
    reply = options.get("reply")
    if reply is not None and asked_for(store, record, int(word)).kind != WAITS_FOR:
        reply = value_of(reply)
    program, found = None, None
    if "program" in options:
        program, found = _tried_file(store, record, options["program"])
    id = forked(
        *(store, record.id, int(word)),
        incarnation=record.incarnation,
        reply=reply,
        prompt=options.get("prompt"),
        program=program,
        who=given.who(),
    )
    of = f" of incarnation {record.incarnation}" if "incarnation" in options else ""
    told = f"run {id} is run {record.id} up to effect {word}{of}: omega resume {id}"
    facts: dict[str, Any] = {"run": id, "parent": record.id, "effect": int(word)}
    facts["incarnation"] = record.incarnation
    if found is not None:
        told = f"{_told(record, found)}\n{told}"
        facts["does_the_same"] = found.is_same
    return given.tell(told, **facts)


def _tried_file(store: SQLiteStore, record: RunRecord, path: str) -> tuple[tuple[str, str], Trial]:
    """Another program for a fork, and what it does with what the run has got."""
    from omega.programs import read_source

    text = read_source(path)
    path = _from_folder(record, path)
    found = _tried(store, record, path, text)
    if found.error is not None:
        raise HostError(f"{_told(record, found)}: there is no fork")
    return (path, text), found


def _from_folder(record: RunRecord, path: str) -> str:
    """A path as it is written where the run is gone on with: in its folder."""
    folder = record.header.get("folder", os.curdir)
    is_there = os.path.abspath(folder) == os.getcwd()
    return path if is_there else os.path.abspath(path)


def diff(given: Given) -> int:
    from omega.cli import runs_shown
    from omega.runs.differences import differences

    store = given.store()
    first, second = given.run(store), store.find(given.words[1])
    found = differences(store, first.id, second.id)
    if given.as_json:
        lines = [runs_shown.json_line(_facts(each)) for each in found]
        return show("\n".join(lines)) if lines else OK
    if not found:
        return show(f"runs {first.id} and {second.id} have asked for the same, and got the same")
    lines = list[str]()
    beside: tuple[int | None, int | None] = (1, 1)  # which goes without saying
    for each in found:
        if each.incarnations != beside:
            beside = each.incarnations
            lines.append(", ".join(map(_which, (first, second), beside)) + ":")
        lines += _lines(each)
    return show("\n".join(lines))


def _which(run: RunRecord, incarnation: int | None) -> str:
    if incarnation is None:
        return f"run {run.id} has not come so far"
    return f"incarnation {incarnation} of run {run.id}"


def _facts(difference: Any) -> dict[str, Any]:
    def of(made: Any) -> Any:
        if made is None:
            return None
        told = {"asked": made.asked, "outcome": made.outcome}
        return told if made.who is None else {**told, "who": made.who}

    return {
        "kind": difference.kind,
        "task": difference.task,
        "n": difference.n,
        "incarnations": difference.incarnations,
        "first": of(difference.first),
        "second": of(difference.second),
    }


def _lines(difference: Any) -> list[str]:
    from omega.tape.values import in_words

    lines = [f"{difference.kind} {difference.n} of task {difference.task}"]
    for mark, made in (("-", difference.first), ("+", difference.second)):
        if made is not None:
            came = "has not ended" if made.outcome is None else _came(made)
            lines.append(f"  {mark} {in_words(made.asked)}: {came}")
    return lines


def _came(made: Any) -> str:
    from omega.cli.runs_shown import message_text
    from omega.lisp.printer import shorten
    from omega.runs.taps import outcome_of

    if made.who is not None:
        return message_text(made.outcome[1], made.who)
    value, error = outcome_of(made.outcome)
    if error is not None:
        message = str(getattr(error, "message", error))
        return type(error).__name__ + (f": {message}" if message else "")
    return shorten(getattr(value, "text", value))


# ---------------------------------------------------------------------- another program


def run(given: dict[str, Any], words: list[str]) -> int:
    """`omega migrate RUN FILE`."""
    if len(words) != 2:
        how = f"got {words[2]!r} besides" if len(words) > 2 else "needs a RUN and a FILE"
        raise usage(f"migrate {how}", "omega migrate RUN new.omega")
    from omega.programs import read_source

    text = read_source(words[1])
    with closing(open_store(given)) as store:
        record = store.find(words[0])
        return _migrate(given, store, record, _from_folder(record, words[1]), text)


def _migrate(
    given: dict[str, Any], store: SQLiteStore, record: RunRecord, path: str, text: str
) -> int:
    from omega.cli.runs_shown import is_held, owner_text
    from omega.runs.forks import migrate

    if record.outcome is not None:
        raise HostError(
            f"run {record.id} has ended: {record.state}",
            hint=f"omega runs fork {record.id} EFFECT --program FILE begins another one from there",
        )
    if is_held(record):
        raise HostError(
            f"run {record.id} is running: {owner_text(record)}", hint="stop it first, by Ctrl-C"
        )
    found = _tried(store, record, path, text)
    show(_told(record, found))
    if not given.get("commit"):
        return OK if found.is_same else FAILED
    if found.error is not None:
        raise HostError("this program fails before the run is where it was: nothing is changed")
    may_pay = bool(given.get("pay-again"))
    if not found.is_same and not may_pay:
        raise HostError(
            "it does something else than the run has done: nothing is changed",
            hint="--commit --pay-again has it go on with this program, and make those anew",
        )
    migrate(store, record.id, path, text, may_pay_again=may_pay)
    return show(f"run {record.id} goes on with {path}: omega resume {record.id}")


def _tried(store: SQLiteStore, record: RunRecord, path: str, text: str) -> Trial:
    """What comes of the program on what the run has got, in the folder of the run."""
    from omega.runs.forks import try_program

    if record.header.get("command") is None:
        raise HostError(
            f"run {record.id} was begun by a Python program",
            hint="omega.runs.forks.try_program and migrate do this there",
        )
    beside = os.path.dirname(os.path.abspath(path))
    go_to(record)
    runs = silent_runs(store, record, beside)
    return try_program(store, record.id, path, text, runs.run_text, incarnation=record.incarnation)


def silent_runs(store: SQLiteStore, record: RunRecord, beside: str) -> Runs:
    """Runs like `record`, whose output goes nowhere. beside: the folder of their program."""
    from omega.cli.program import make_interpreter
    from omega.runs.runs import Runs
    from omega.runs.session import RunSettings

    def make(session: DurableSession) -> Any:
        interpreter = make_interpreter(record.header["command"]["given"], [beside], session)
        interpreter.door.output = interpreter.door.errors = _Nowhere()
        return interpreter

    return Runs(store, RunSettings(), make)


class _Nowhere:
    """Where a trial writes."""

    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


def _told(record: RunRecord, found: Trial) -> str:
    """What is said of a trial."""
    from omega.tape.values import in_words

    if found.error is not None:
        error = found.error
        message = error.message if isinstance(error, OmegaError) else str(error)
        told = f"the program fails on what run {record.id} has got: {message}"
        hint = getattr(error, "hint", None)
        return f"{told}\n  {hint}" if hint else told
    if found.is_same:
        lines = [f"the program does what run {record.id} has done: it pays for nothing again"]
        if found.missed:
            lines.append("what it asks for then is new:")
    else:
        lines = [f"the program does something else than run {record.id} has done:"]
    for missed in found.missed[:SHOWN_MAX]:
        asks = in_words(missed.asked)
        if not found.is_same:
            then = "nothing" if missed.was is None else in_words(missed.was)
            asks = f"it asks {asks}; the run asked {then}"
        lines.append(f"  {missed.kind} {missed.n} of task {missed.task}: {asks}")
    if len(found.missed) > SHOWN_MAX:
        lines.append(f"  ... and {len(found.missed) - SHOWN_MAX} more")
    if found.left:
        many = len(found.left)
        what = "1 effect that was" if many == 1 else f"{many:,} effects that were"
        lines.append(f"{what} made would not be used:")
        for (kind, task, n, _), asked in found.left[:SHOWN_MAX]:
            lines.append(f"  {kind} {n} of task {task}: {in_words(asked)}")
    return "\n".join(lines)
