"""Durable runs from the command line: `omega run --durable`, `omega resume RUN`.

Owns: where runs are kept, what the store keeps of a command, what is said of a run, its exit codes.
Refuses: how a program runs (program.py), how it goes on (omega/runs).
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from omega.cli import terminal
from omega.cli.dispatch import STOPPED
from omega.cli.options import usage
from omega.errors import HostError, LispFileError, RunOwned, StoreFull

if TYPE_CHECKING:
    from omega.durable.records import RunRecord
    from omega.durable.sqlite import SQLiteStore
    from omega.errors import StoreError

STORE_FILE = "omega-runs.db"
STORE_VARIABLE = "OMEGA_STORE"
# What is told to this command, and not kept for the next one that goes on with the run.
OWN = ("events", "trace", "stats", "diagnostics", "host-traceback", "no-progress", "unknown",
       "park-after", "store", "new-output", "if-free", "run-id", "durable")  # fmt: skip


def store_path(given: dict[str, Any]) -> str:
    return str(given.get("store") or os.environ.get(STORE_VARIABLE) or STORE_FILE)


def open_store(given: dict[str, Any], *, is_new: bool = False) -> SQLiteStore:
    """The store that the options name. is_new: one that is not there is made. It is to be closed:
    what was written is in the file alone then, and in no log beside it.
    """
    from omega.durable.sqlite import SQLiteStore

    path = store_path(given)
    if not is_new and not os.path.exists(path):
        raise LispFileError(
            f"there is no store of runs at {path}",
            hint="omega run --durable FILE makes one; --store names another",
        )
    return SQLiteStore(path)


def settings_of(given: dict[str, Any]) -> Any:
    from omega.runs.session import PARK_AFTER_S, RunSettings

    after_s = given.get("park-after", PARK_AFTER_S)
    return RunSettings(given.get("unknown", "ask"), None, after_s, on_full=_say_full)


def _say_full(error: StoreError) -> None:
    end = "there is room" if isinstance(error, StoreFull) else "they leave it"
    terminal.say(f"{error.message}: the run pauses until {end}, or Ctrl-C stops it")


def begin(given: dict[str, Any], text: str, file: str, arguments: list[str]) -> int:
    """Run a program durably; its exit status."""
    from omega.cli.program import run_program
    from omega.runs.runs import new_run
    from omega.runs.session import DurableSession

    if "record" in given:
        raise usage("--record and --durable do not go together", "a durable run is recorded anyway")
    kept = {name: value for name, value in given.items() if name not in OWN}
    new = new_run(
        text,
        file,
        arguments,
        id=given.get("run-id"),
        command={"given": kept},
        folder=os.getcwd(),
    )
    with closing(open_store(given, is_new=True)) as store:
        session = DurableSession(store, settings_of(given), new=new, on_begin=_say_begun)
        status = run_program(given, text, file, arguments, session=session)
        return _go_on(given, store, store.run(new.id)) if session.continues else status


def _say_begun(run: str) -> None:
    terminal.say(f"run {run} begins; if it is stopped or killed: omega resume {run}")


def run(given: dict[str, Any], arguments: list[str]) -> int:
    """`omega resume RUN`."""
    if len(arguments) != 1:
        how = f"got {arguments[1]!r} besides" if arguments else "needs a RUN"
        raise usage(
            f"resume {how}", "write omega resume RUN; omega runs list shows which there are"
        )
    with closing(open_store(given)) as store:
        try:
            return _resume(given, store, arguments[0])
        except RunOwned:
            if given.get("if-free"):
                return STOPPED
            raise


def _resume(given: dict[str, Any], store: SQLiteStore, run: str) -> int:
    record = store.find(run)
    command = record.header.get("command")
    if record.outcome is not None:
        if not given.get("if-free"):
            terminal.say(f"run {record.id} has ended: {ending(record)}")
        return int(record.outcome.get("status", record.state != "completed"))
    if command is None:
        raise HostError(
            f"run {record.id} was begun by a Python program",
            hint="that program goes on with it: Interpreter(store=...).resume(id)",
        )
    go_to(record)
    from omega.runs.forks import bring_up, is_of_this_version

    if not is_of_this_version(record):
        from omega.cli.changes import silent_runs

        beside = os.path.dirname(record.header["program"]["file"]) or os.curdir
        record = bring_up(store, record, silent_runs(store, record, beside).run_text)
    return _go_on(given, store, record)


def _go_on(given: dict[str, Any], store: SQLiteStore, record: RunRecord) -> int:
    """Go on with a run, through all its incarnations; the exit status."""
    from omega.cli.program import run_program
    from omega.runs.session import DurableSession, program_of

    while True:
        file, text = program_of(store, record.header)
        options = {**record.header["command"]["given"], **given}
        session = DurableSession(store, settings_of(given), record=record)
        status = run_program(options, text, file, record.header["arguments"], session=session)
        if not session.continues:
            return status
        record = store.run(record.id)


def go_to(record: RunRecord) -> None:
    """The folder that the run was begun in: the files it names are there."""
    folder = record.header["folder"]
    try:
        os.chdir(folder)
    except OSError as error:
        reason = (error.strerror or "it cannot be entered").lower()
        raise LispFileError(
            f"run {record.id} was begun in {folder}: {reason}",
            hint="its files are named from there; put the folder back",
        ) from None


def ending(record: RunRecord) -> str:
    return record.state if record.reason is None else f"{record.state} ({record.reason})"
