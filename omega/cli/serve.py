"""`omega serve-runs`: go on with the runs of a store whenever they are due.

Owns: which runs are taken, one process for each, when it is tried again with one that gets nowhere,
how all of it stops.
Refuses: to run a program in this process: one that crashes hurts no other. What is due, the store
says; how a run goes on, `omega resume`.

It waits as tasks of a scheduler do: for the next look, or until a process has ended.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from stat import S_ISFIFO
from typing import TYPE_CHECKING, Any, BinaryIO

from omega.cli import terminal
from omega.cli.dispatch import OK, STOPPED
from omega.cli.durable import open_store, store_path
from omega.cli.main import INTERRUPTED, at_start
from omega.cli.options import usage
from omega.errors import LispFileError, OmegaError, StoreBusy, StoreFull, UnknownRun

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from omega.durable.records import RunRecord

POLL_S = 1.0
AGAIN_MOST_S = 60.0  # between two tries with a run that gets nowhere
TRIES_ONCE = 2  # with --once
LOOKED_AT = 100  # runs that are due
WHO = "omega serve-runs"


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if arguments:
        raise usage(f"serve-runs takes no arguments, got {arguments[0]!r}", "see its --help")
    return _Server(given).serve()


class _Server:
    def __init__(self, given: dict[str, Any]) -> None:
        from omega.concurrency import Scheduler

        self._given = given
        self._store = open_store(given)
        self._path = os.path.abspath(store_path(given))
        self._output = os.path.abspath(given.get("output") or f"{self._path}.output")
        self._poll_s: float = given.get("poll", POLL_S)
        self._most: int = given.get("max", 1)
        self._scheduler = Scheduler()
        self._news = self._scheduler.cell("a run that ends")
        self._taken: dict[str, Process | None] = {}  # runs that we go on with
        self._stopped: set[str] = set()  # those that we have asked to stop
        self._foreign: set[str] = set()  # begun by other programs, which go on with them
        self._nowhere: dict[str, tuple[int, float]] = {}  # tries in a row, when to try again
        self._signal: int | None = None  # that has ended it
        self._signals = 0

    # ------------------------------------------------------------------ from start to end

    def serve(self) -> int:
        try:
            os.makedirs(self._output, exist_ok=True)
        except OSError as error:
            raise _cannot_write(self._output, error) from None
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        start = at_start()
        if start is not None:
            start.begins()
        scheduler = self._scheduler
        scheduler.on_interrupt = self._stop
        try:
            for number, handler in before.items():
                # One that is ignored is ignored; but what we start is to heed it.
                ignored = handler is signal.SIG_IGN
                signal.signal(number, _ignore if ignored else self._heard)
            self._tell("serves", store=self._path, at_once=self._most, output=self._output)
            looking = scheduler.spawn(self._look, name="looks for runs that are due")
            scheduler.run_until(lambda: scheduler.live == 0)
            scheduler.result_of(looking)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            scheduler.on_interrupt = None
            scheduler.close()
            self._store.close()
        self._tell("stops serving", store=self._path)
        return INTERRUPTED if self._signal == signal.SIGINT else OK

    def _heard(self, number: int, frame: object) -> None:
        self._signal = number
        self._scheduler.interrupt()

    def _stop(self) -> None:
        """On the hub: no more are begun; those that run are asked to stop, again each time."""
        self._signals += 1
        if self._signals == 1:
            self._tell("is asked to stop", running=len(self._taken))
        for run, process in self._taken.items():
            if process is not None:
                self._ask_to_stop(run, process)
        self._news.put()

    def _ask_to_stop(self, run: str, process: Process) -> None:
        self._stopped.add(run)
        if process.returncode is None:
            try:
                process.send_signal(signal.SIGINT)
            except ProcessLookupError:
                pass  # it has just ended

    # ------------------------------------------------------------------ what is due

    def _look(self) -> None:
        from omega.concurrency import choose, timer_event

        while self._signal is None:
            self._news = self._scheduler.cell("a run that ends")
            try:
                found = self._due()
            except (StoreBusy, StoreFull) as error:  # nothing was changed: again, later
                self._tell("cannot look", error=error.message)
                found = []
            for record in found[: self._most - len(self._taken)]:
                self._taken[record.id] = None
                self._scheduler.spawn(partial(self._go_on, record), name=record.id)
            if self._given.get("once") and not self._taken:
                return
            self._scheduler.sync(choose(self._news.event, timer_event(self._poll_s)))

    def _due(self) -> list[RunRecord]:
        """Those that are due and not taken, the longest due first."""
        passed_over = len(self._foreign) + len(self._nowhere) + len(self._taken)
        found = self._store.due(LOOKED_AT + passed_over)
        found += self._orphans()
        records = {record.id: record for record in found}
        return [record for record in records.values() if self._may_take(record)]

    def _orphans(self) -> list[RunRecord]:
        """Those whose process has surely died: their leases need not be waited for."""
        from omega.runs.owners import is_dead

        found = self._store.runs(states=("running",), limit=LOOKED_AT)
        return [each for each in found if each.owner is not None and is_dead(each.owner)]

    def _is_due(self, run: str) -> bool:
        """Whether a run that has just stopped is due again: it gets nowhere."""
        return any(each.id == run for each in (*self._store.due(sys.maxsize), *self._orphans()))

    def _may_take(self, record: RunRecord) -> bool:
        if record.id in self._taken or record.id in self._foreign:
            return False
        if record.header.get("command") is None:
            self._foreign.add(record.id)
            self._tell(
                "passes over", run=record.id, because="it was begun by a program, which resumes it"
            )
            return False
        tries, again_s = self._nowhere.get(record.id, (0, 0.0))
        if self._given.get("once"):
            return tries < TRIES_ONCE
        return self._scheduler.driver.now() >= again_s

    # ------------------------------------------------------------------ one run

    def _go_on(self, record: RunRecord) -> None:
        """In a task of its own: go on with a run, as far as it goes now."""
        scheduler = self._scheduler
        try:
            self._tell("goes on", run=record.id, name=record.name, state=record.state)
            path = os.path.join(self._output, f"{record.id}.txt")
            try:
                with _appended(path) as output:
                    external = scheduler.external(
                        lambda: self._process(record.id, output), waits_for=f"run {record.id}"
                    )
                    status = scheduler.sync(external.event)
            except OSError as error:
                self._tell("cannot go on", run=record.id, error=_cannot_write(path, error).message)
                status = None
            self._ended(record, status)
        finally:
            del self._taken[record.id]
            self._news.put()

    async def _process(self, run: str, output: BinaryIO) -> int:
        import asyncio

        process = await asyncio.create_subprocess_exec(
            *self._command(run),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C at the terminal comes to us, and from us to it
        )
        self._taken[run] = process
        if self._signal is not None:
            self._ask_to_stop(run, process)
        return await process.wait()

    def _command(self, run: str) -> list[str]:
        words = [sys.executable, "-m", "omega", "resume", "--store", self._path]
        # Others may serve the store, too: nothing of who comes first is any of the run's output.
        words += ["--if-free", "--new-output", "--no-progress"]
        # One that waits needs no process: it would keep its place from those that are due.
        given = {"park-after": 0, **self._given}
        for name in ("unknown", "park-after", "diagnostics"):
            if name in given:
                words += [f"--{name}", str(given[name])]
        return [*words, run]

    def _ended(self, before: RunRecord, status: int | None) -> None:
        """A process has ended: tell how far its run has come."""
        try:
            record = self._store.run(before.id)
            if before.id in self._stopped:
                record = self._free(record)
        except UnknownRun:
            self._tell("is gone", run=before.id)
            return
        except OmegaError as error:
            self._tell("cannot look", run=before.id, error=error.message)
            return
        if record.id not in self._stopped and self._is_due(record.id):
            tries = self._nowhere.get(record.id, (0, 0.0))[0] + 1
            later_s = min(AGAIN_MOST_S, self._poll_s * 2.0 ** min(tries, 16))
            self._nowhere[record.id] = tries, self._scheduler.driver.now() + later_s
        else:
            self._nowhere.pop(record.id, None)
        is_elsewhere = status == STOPPED and record.state == "running"
        what = "goes on elsewhere" if is_elsewhere else f"is {record.state}"
        self._tell(what, run=record.id, reason=record.reason, status=status)

    def _free(self, record: RunRecord) -> RunRecord:
        """We have stopped it, and not a person: whoever serves next goes on with it."""
        from omega.durable.records import Change

        if record.state == "blocked" and record.reason == "interrupted":
            return self._store.change(record.id, Change("pending"), who=WHO)
        return record

    # ------------------------------------------------------------------ telling

    def _tell(self, what: str, *, run: str | None = None, **facts: Any) -> None:
        from omega.cli.runs_shown import clean, date, json_line
        from omega.durable.waiting import wall_us

        now_us = wall_us()
        told = {name: value for name, value in facts.items() if value is not None}
        if self._given.get("json"):
            terminal.say(json_line({"at_us": now_us, "event": what, "run": run, **told}))
            return
        more = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())
        whom = WHO if run is None else f"run {run}"
        terminal.say(clean(f"{date(now_us)}  {whom} {what}" + (f": {more}" if more else ""), 500))


def _ignore(number: int, frame: object) -> None:
    """A handler, which is not handed on to other processes as SIG_IGN would be."""


def _appended(path: str) -> BinaryIO:
    """The file, to write at its end. A pipe is refused: who opens one waits for its reader."""
    if os.path.exists(path) and S_ISFIFO(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is a pipe", path)
    return open(path, "ab")


def _cannot_write(path: str, error: OSError) -> LispFileError:
    reason = (error.strerror or type(error).__name__).lower()
    return LispFileError(
        f"cannot write {path}: {reason}", hint="--output names another folder for what runs write"
    )
