"""What an interpreter is given to run durably: its driver, its door's tap, its place in the store.

Owns: `DurableSession`: how a run begins, goes on and ends in one process, when it stops in it; what
the store keeps of its settings.
Refuses: to make interpreters (runs.py), to know what is in a journal.
"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from omega import __version__
from omega.calls.calls import CallingScheduler
from omega.concurrency import AsyncioDriver, Driver, VirtualDriver
from omega.concurrency.durable import LOOK_S, DurableDriver, VirtualDurableDriver
from omega.concurrency.recalling import (
    RECALLED,
    Recall,
    RecallingDriver,
    VirtualRecallingDriver,
)
from omega.concurrency.recording import check_recordable
from omega.concurrency.resuming import Live, ResumingDriver, resume_on
from omega.durable.records import Change, NewRun, RunRecord
from omega.durable.store import Store
from omega.durable.waiting import date, pause, wall_us
from omega.errors import HostError, ReplayDivergence, RunStopped, StoreError, StoreFull
from omega.runs.continuing import CONTINUED, Continuation, continued_text
from omega.runs.journal import JournalReader, JournalWriter
from omega.runs.owners import take_over
from omega.runs.prompts import OVERRIDES, Prompts
from omega.runs.signals import Mailboxes, shown_name
from omega.runs.sources import RECALLS, recall_of, recalls_next
from omega.runs.taps import DurableTap, outcome_of
from omega.runs.unknown import Policy, Reconcile, Unknown
from omega.tape.facts import STEP_MODEL, told
from omega.tape.session import settings_of, watch_files

TTL_US = 30_000_000  # of a lease
FAR_US = 1 << 62  # a store's times are whole numbers of 64 bits
PARK_AFTER_S = 60.0  # with nothing to do for so long, a run needs no process
SOON_S = 0.01
ROOM_S = 0.25  # between two looks whether the store has room again
DISK_FULL, BUSY = "disk-full", "store-busy"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # without letters that look like digits


def new_id(now_us: int) -> str:
    """An id that sorts by time and can be typed: seven characters of seconds, five of chance."""
    number = (now_us // 1_000_000 << 25) | secrets.randbits(25)
    return "".join(ALPHABET[number >> shift & 31] for shift in range(55, -1, -5))


class RunSettings:
    """How runs are run in this process. unknown, reconcile: see unknown.py. park_after_s: None
    keeps the process, however long there is nothing to do. on_full: told when the store has no
    room (StoreFull), or others keep it (StoreBusy), and the run pauses until that is over; a host's
    loop goes on meanwhile.
    """

    __slots__ = ("on_full", "park_after_s", "reconcile", "ttl_us", "unknown")

    def __init__(
        self,
        unknown: Policy = "ask",
        reconcile: Reconcile | None = None,
        park_after_s: float | None = PARK_AFTER_S,
        ttl_us: int = TTL_US,
        on_full: Callable[[StoreError], object] = lambda error: None,
    ) -> None:
        self.unknown: Policy = unknown
        self.reconcile, self.park_after_s, self.ttl_us = reconcile, park_after_s, ttl_us
        self.on_full = on_full


class DurableSession:
    """A run in this process. new: what the store is to keep of a run that begins; record: of one
    that goes on.
    """

    is_program = True
    is_replay = False
    scheduler = CallingScheduler

    def __init__(
        self,
        store: Store,
        settings: RunSettings,
        *,
        new: NewRun | None = None,
        record: RunRecord | None = None,
        trial: Recall | None = None,
        on_begin: Callable[[str], None] = lambda run: None,
    ) -> None:
        self.store, self.settings = store, settings
        self.when_live: Callable[[], None] = lambda: None  # its journal is behind it
        self.is_guest = False  # a loop of the host runs it, which has other work
        self._new, self._record, self._on_begin = new, record, on_begin
        self._recall, self.is_trial = trial, trial is not None
        self._continuation: Continuation | None = None
        self.classes: dict[str, str] = {}  # of the functions of the host
        self.run: str = record.id if record is not None else new.id  # type: ignore[union-attr]
        self._live: Live
        self._resuming: ResumingDriver | None = None
        self._writer: JournalWriter
        self._reader: JournalReader | None = None
        self.tap: DurableTap

    # ------------------------------------------------------------------ it begins

    def begin(self, facts: dict[str, Any], driver: Driver, *parts: Any) -> Any:
        """Take the run over, or have it created; the interpreter's driver, in place of `driver`.
        Raises HostError when a run that goes on was begun with other settings.
        """
        check_recordable(driver)
        made = json.loads(json.dumps(settings_of(facts, driver, *parts)))
        if self._record is None:
            assert self._new is not None
            python = ".".join(map(str, sys.version_info[:3]))
            about = {"version": __version__, "python": python, "step-model": STEP_MODEL}
            header = {**about, "settings": made, **self._new.header}
            self._record = self.store.create(
                NewRun(self._new.id, self._new.name, header, self._new.blobs)
            )
        else:
            self._check(made)
        lease = take_over(self.store, self._record, self.settings.ttl_us)
        self._writer = JournalWriter(self.store, lease, self.settings.ttl_us, wall_us)
        self._writer.on_full = self._full
        self._recall = self._recall or recall_of(self.store, self._record.header)
        self._live = self._recorded(driver)
        self._live.patience.is_on = self.is_guest
        self._live.on_idle, self._live.on_interrupt = self._idle, self._interrupted
        self._on_begin(self.run)
        if self._record.seq < self._record.first_seq:
            return self._live
        self._reader = JournalReader(self.store, self.run)
        start_s = driver.start_s if isinstance(driver, VirtualDriver) else None
        self._resuming = resume_on(self._reader, start_s, self._live)
        self._resuming.on_live = self._goes_live
        if self._recall is not None:
            self._recall.forget(JournalReader(self.store, self.run).facts())
        return self._resuming

    def _recorded(self, driver: Driver) -> Live:
        """What does as `driver` would, and keeps it in the journal."""
        if isinstance(driver, VirtualDriver):
            kind = VirtualDurableDriver if self._recall is None else VirtualRecallingDriver
            return self._recalling(kind(self._writer, driver.start_s))
        assert isinstance(driver, AsyncioDriver)
        real = DurableDriver if self._recall is None else RecallingDriver
        return self._recalling(real(self._writer, wall_us, driver.blocking_max))

    def _recalling(self, live: Live) -> Live:
        if isinstance(live, RecallingDriver | VirtualRecallingDriver):
            assert self._recall is not None
            live.outcome_of, live.told, live.is_trial = outcome_of, told, self.is_trial
            live.recalls(self._recall)
        return live

    def _check(self, made: dict[str, Any]) -> None:
        assert self._record is not None
        header = self._record.header
        if header["step-model"] != STEP_MODEL:
            raise HostError(
                f"run {self.run} was begun by Omega {header['version']}, which counts steps"
                " in another way",
                hint="resume it with that version",
            )
        for name, value in made.items():
            begun = header["settings"].get(name)
            if begun != value:
                raise HostError(
                    f"run {self.run} was begun with {name} {json.dumps(begun)},"
                    f" not {json.dumps(value)}",
                    hint="make the interpreter as it was made when the run began",
                )

    def attach(self, interpreter: Any) -> None:
        resuming = self._resuming
        self.tap = DurableTap(
            interpreter.scheduler,
            self._writer,
            self._reader,
            lambda: resuming is None or resuming.is_live(),
        )
        self._unknown = Unknown(
            *(self.store, self.run, self.settings.unknown, self.settings.reconcile),
            stopped=self._writer.lease.epoch - 1,
        )
        self.tap.door, self.tap.settle = interpreter.door, self._unknown.effect
        self.tap.recall, self.tap.is_trial = self._recall, self.is_trial
        self.tap.classes = self.classes
        interpreter.door.tap = self.tap
        interpreter.door.replaced = Prompts(self._header.get(OVERRIDES, ())).replaced
        interpreter.door.continue_as = self._continue_as
        interpreter.door.continued = self._header.get(CONTINUED, {}).get("arguments", ())
        interpreter.door.wait_signal = Mailboxes(
            self.store, self.run, interpreter.scheduler, self.tap, interpreter.runtime
        ).wait
        self._writer.priced = interpreter.calls.paid
        self._writer.reserved = interpreter.calls.reserved
        watch_files(interpreter, self.tap)

    def _goes_live(self, left: Any) -> Any:
        recall, recalled, others = self._recall, [], []
        for number, external in left:
            fields = told(external.subject)
            is_free = recall is not None and fields and not self._unknown.is_settled(number)
            if is_free and recall.has(external.label, *fields):  # type: ignore[union-attr]
                recalled.append((number, external, None))
            else:
                if recall is not None and fields:  # somebody has said otherwise
                    recall.take(external.label, *fields)
                others.append((number, external))
        again = [*recalled, *self._unknown.calls(others)]
        self.tap.go_on()
        self.when_live()
        for number, external, _ in recalled:
            if not self._unknown.is_intended(number):
                external.effect_class = RECALLED  # as when it was asked for: it has no intent
        for number, external, _ in again:
            self._writer.reopen(number, external)
        for _, external, _ in recalled:
            external.effect_class = RECALLED
        return again

    @property
    def is_resumed(self) -> bool:
        return self._resuming is not None

    # ------------------------------------------------------------------ it stops, or ends

    @property
    def failure(self) -> HostError | None:
        """Why the run goes no further in this process."""
        if self._resuming is not None and not self._resuming.has_gone_live:
            return self._resuming.failure  # type: ignore[no-any-return]
        return self._live.failure

    def _idle(self, idle_us: int, when_us: int | None) -> float:
        """See OnIdle (concurrency/durable.py)."""
        after_s = self.settings.park_after_s
        if after_s is None:
            return LOOK_S
        if when_us is None and not self._live.scheduler.externals:
            return LOOK_S  # it waits for nothing: it is about to end
        if any(each.abort_reason is not None for each in self._live.scheduler.externals):
            return SOON_S  # their coroutines are about to end, and others may go on then
        after_us = round(after_s * 1_000_000)
        if idle_us >= after_us and (when_us is None or when_us - self._live.shown_us() > after_us):
            if not self._has_message():
                raise self._parked(when_us)
            return SOON_S  # its coroutine has not looked yet
        return max(SOON_S, min(LOOK_S, (after_us - idle_us) / 1e6))

    def _has_message(self) -> bool:
        """Whether a message has come that is waited for."""
        names = self._waited_for()
        return any(signal.name in names for signal in self.store.signals(self.run))

    def _parked(self, when_us: int | None) -> RunStopped:
        names = self._waited_for()
        if when_us is not None:
            when_us = min(when_us, FAR_US)
        waits = [f"until {date(when_us)}"] if when_us is not None else []
        waits += [f"for the signal `{shown_name(name)}`" for name in names]
        hint = f"omega signal {self.run} {_as_word(names[0])} VALUE" if names else ""
        error = RunStopped(f"run {self.run} waits {' or '.join(waits)}", self.run, "suspended",
                           hint=hint)  # fmt: skip
        self._writer.commit(Change("suspended", wake_at_us=when_us, waits_for=names))
        self._writer.is_over = True
        return error

    def _full(self, error: StoreError, times: int) -> HostError | None:
        """See OnFull (journal.py). Nothing that was got is given up: the run waits, with its
        process or in the host's loop, unless somebody interrupts it, or nobody waits for it.
        """
        if times == 1:
            self.settings.on_full(error)
        is_left = self._live.scheduler.is_interrupted
        if is_left or (self.is_guest and not self._live.patience.wait(ROOM_S)):
            is_full = isinstance(error, StoreFull)
            reason, first = (DISK_FULL, "make room") if is_full else (BUSY, "end who keeps it")
            return RunStopped(
                *(f"run {self.run} has stopped: {error.message}", self.run, "blocked", reason),
                hint=f"{first}, then omega resume {self.run}",
            )
        if not self.is_guest:
            pause(ROOM_S)
        return None

    def _interrupted(self) -> None:
        self.interrupted()

    def interrupted(self) -> bool:
        """Ctrl-C: the run stops here once the calls that are on their way have ended."""
        error = RunStopped(
            *(f"run {self.run} was interrupted", self.run, "blocked", "interrupted"),
            hint=f"omega resume {self.run}",
        )
        if self._resuming is not None and not self._resuming.is_live():
            self._resuming.current().failure = error
        else:
            self._live.leave(error)
        return True

    def _waited_for(self) -> list[str]:
        """The names of signals. A wait that is over, by a timeout say, is in flight until its
        coroutine has ended.
        """
        externals = self._live.scheduler.externals
        return sorted(each.subject[1][0] for each in externals if each.abort_reason is None)

    def left(self) -> None:
        """The host has left the run where it is: Ctrl-C, an exception that is none of ours."""
        self._live.failure = self._live.failure or HostError("the host has left the run")
        if self._writer.is_over:
            return
        if isinstance(self._writer.failure, RunStopped):
            self.stopped()  # while it waited for room
        elif self._writer.failure is None:
            self._writer.batch()  # whoever goes on does again what was not kept
            self._writer.give_up(Change("blocked", reason="interrupted"))

    async def patiently(self, act: Callable[[], Any]) -> Any:
        """What `act()` answers, which writes: where there is no room, the host's loop goes on."""
        return await self._live.patience.run(act)

    def stopped(self) -> None:
        """The interpreter has stopped because of `failure`: the store is told why."""
        failure = self.failure
        if isinstance(failure, RunStopped) and failure.state != "blocked":
            return  # it was told
        reason = None
        if isinstance(failure, RunStopped):
            reason = failure.reason
            if reason in (DISK_FULL, BUSY):
                self._writer.give_up(Change("blocked", reason=reason))
                return
        elif isinstance(failure, ReplayDivergence):
            reason = f"divergence: {failure.message}"
        if reason is not None and self._writer.failure is None:
            self._writer.batch()  # what was done since it began to live here is nothing yet
            self._writer.commit(Change("blocked", reason=reason))

    @property
    def _header(self) -> Mapping[str, Any]:
        assert self._record is not None
        return self._record.header

    def _continue_as(self, procedure: str, arguments: list[Any]) -> None:
        self._continuation = Continuation(procedure, arguments)

    @property
    def continues(self) -> bool:
        """Whether the run has ended here to begin anew."""
        return self._continuation is not None and self._writer.is_over

    def _begin_anew(self, continuation: Continuation) -> None:
        file, text = program_of(self.store, self._header)
        program, blobs = kept_program(file, continued_text(text, file, continuation.procedure))
        header = {**self._header, "program": program, CONTINUED: continuation._asdict()}
        for of_this_journal in (RECALLS, OVERRIDES):
            header.pop(of_this_journal, None)
        recalled = recalls_next(self.store, self._header)
        if recalled is not None:
            header[RECALLS] = recalled
        self._writer.begin_anew(header, blobs)
        self._writer.is_over = True

    def end(self, status: int | None = None, outcome: Any = None) -> int | None:
        """The run is over. status: the exit code of a program. Raises ReplayDivergence when it did
        less than its journal tells.
        """
        if self._writer.is_over or self.failure is not None:
            return status
        if self._resuming is not None and not self._resuming.is_live():
            assert self._reader is not None
            error = self._reader.left_over()
            self._resuming.current().failure = error
            self.stopped()
            raise error
        self._live.arrived("end", status or 0)
        if self._continuation is not None:
            self._begin_anew(self._continuation)
            return status
        state = "completed" if not status else "failed"
        reason = None if state == "completed" else f"exit code {status}"
        told = {"status": status or 0} if outcome is None else outcome
        self._writer.commit(Change(state, reason=reason, outcome=told))
        self._writer.is_over = True
        return status

    def close(self) -> None:
        """Its interpreter has been closed."""
        self.tap.close()


def kept_program(file: str, text: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """(what a header says of a program, the content that the store is to keep)."""
    content = text.encode("utf-8", "surrogatepass")
    hash_ = sha256(content).hexdigest()
    return {"file": file, "hash": hash_}, {hash_: content}


def program_of(store: Store, header: Mapping[str, Any]) -> tuple[str, str]:
    """(file, text) of a run's program, as it was when the run began."""
    program = header["program"]
    return program["file"], store.blob(program["hash"]).decode("utf-8", "surrogatepass")


def _as_word(name: str) -> str:
    """A name as a word of a shell; NAME for one that cannot be typed."""
    return shlex.quote(name) if name.isprintable() else "NAME"
