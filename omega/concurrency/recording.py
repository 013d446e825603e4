"""Drivers that write down what comes from outside, so that a run can be had again: exactly.

Owns: which facts those are, and when each is written. Refuses: to know how they are kept (a `Log`
does), what effects reply (the effect door's tap tells the same log), the schedule.

The kernel is a function: from the program and what its driver does to it, to everything else. So
the facts are what a driver does, and nothing of what follows from it:

  interrupt, posts, timers   what a visit of the hub found: Ctrl-C, calls of other threads, and what
                             the clock showed when timers were due
  part                       a coroutine has told a part of its result
  ended                      a coroutine or blocking call has ended: with which value or error
  clock                      what the clock showed to the program, or to the kernel on its behalf
  wall                       the wall limit was over where the hub is not visited
  slow                       a slice has taken longer than those before: the event stream may tell
  standstill                 nothing more could come from outside
  act, returned              the host did something between batches; it got control back
  call                       something was started outside; for checking only
  decided                    what a chooser has answered, where the order is free
  again                      a call of a run that was killed meanwhile was started once more
  down                       nobody has run it for so long; where there is a wall limit
  mark                       so far the run had come; for runs that are killed

A fact needs a position when the kernel did not ask for it. The position is the number of turns: a
turn ends at one place only (the end of a slice, a wait, the end of a task), and there, if
anywhere, the hub is visited. What has happened since, at the end of one turn, is told by `stage`:
whether a task that needs a new stack was chosen already, how many callbacks the hub still has to
make, how many tasks are queued. What the kernel asks for itself (clock) needs no position: it asks
in the same order again.

Left out, because it follows:
  who runs, and when         a visit that found nothing changes nothing: see Kernel._run_from_hub
  which timers fired         the heap is the same, so the time is enough
  stamps of tasks            a recorded run has those of the last time that was written
  virtual time               it is counted in steps, and jumps to timers; only sleeps of coroutines,
                             which set timers, and their pauses are written (`slept`)
  chance                     it comes from the seed

An interrupt takes effect at the end of the slice it came in. (Otherwise it takes the rest of the
slice away, at a place between two steps that has no name.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from omega.concurrency import clock
from omega.concurrency.asyncio_driver import AsyncioDriver
from omega.concurrency.driver import Driver, VirtualDriver, refuse_running_loop
from omega.concurrency.outside import External, Inbox
from omega.concurrency.scheduler import Kernel
from omega.errors import HostError

MARK_US = 100_000  # how far a killed run may have come beyond what its tape tells

# Where an end is reported: while its call is started, by a post, by the loop between batches, or by
# a step of a coroutine under virtual time.
START, POST, LOOP, STEP = "start", "post", "loop", "step"


class Log(Protocol):
    def write(self, kind: str, *fields: Any) -> None: ...

    def clock(self, us: int) -> None:
        """The clock was read; it showed `us`."""

    def outcome(self, value: Any, error: BaseException | None, number: int = 0) -> Any:
        """A value or an error, as a field of `write`. number: of the call that has ended so."""

    def called(self, number: int, external: External) -> None:
        """`external` is about to be started, as the run's call `number`."""

    def flush(self) -> None:
        """Have what was written outlive the process."""


def stage(kernel: Kernel) -> list[int]:
    """How far the end of a turn has come."""
    chosen = kernel._resume
    return [
        int(chosen is not None and chosen.stack is None),
        len(kernel.chores),
        len(kernel._ready),
        len(kernel._passed_new) + len(kernel._passed_ready),
    ]


class _Recording(Driver):
    """What both do. Mixed into a driver."""

    cuts_slices = False

    def __init__(self, log: Log, *settings: Any) -> None:
        super().__init__(*settings)
        self.log = log
        self._marked_us = 0
        self._returns = 0  # of functions of the host: several may come between two steps
        self._calls = 0
        self._numbers: dict[External, int] = {}
        self._where = LOOP

    def bind(self, scheduler: Kernel) -> None:
        super().bind(scheduler)
        self.watch(scheduler)

    def watch(self, scheduler: Kernel) -> None:
        """What is posted from now on comes in by way of this driver."""
        inbox = _RecordedInbox(self)
        inbox.inherit(scheduler.inbox)
        scheduler.inbox = inbox

    def arrived(self, kind: str, *fields: Any) -> None:
        """Write a fact with its position."""
        us = self.now_us() if self.virtual else None
        self.log.write(kind, self.scheduler.turns, stage(self.scheduler), us, *fields)

    def heard_interrupt(self) -> None:
        self.arrived("interrupt")

    def decided(self, question: str, decide: Callable[[], int]) -> int:
        answer = decide()
        self.log.write("decided", question, answer)
        return answer

    def acted(self, what: str, whom: str | None) -> None:
        self.arrived("act", what, whom)

    def held(self, us: int, by: str | None = None) -> None:
        scheduler = self.scheduler
        self.log.write("slow", scheduler.turns, scheduler.steps_now(), self._returns, by, us)
        super().held(us, by)

    def host_returned(self, name: str) -> None:
        self._returns += 1
        super().host_returned(name)

    def poll_switches(self) -> int:
        self._mark()
        return super().poll_switches()

    def poll_due(self) -> bool:
        self._mark()
        return super().poll_due()

    def _mark(self) -> None:
        """Now and then, at the end of a turn. The hub is not visited for it."""
        now = clock.now_us()
        if now - self._marked_us > MARK_US:
            self._marked_us = now
            self.arrived("mark")
            self.log.flush()

    def resolve_idle(self, closed: bool) -> bool:
        self.arrived("standstill", closed)
        return super().resolve_idle(closed)

    def drive(self, done: Callable[[], bool]) -> None:
        refuse_running_loop()
        try:
            super().drive(done)
        finally:
            self.arrived("returned")
            self.log.flush()

    # ------------------------------------------------------------------ externals

    def start(self, external: External) -> None:
        self._called(external, super().start)

    def start_blocking(self, external: External) -> None:
        self._called(external, super().start_blocking)

    def number_call(self) -> int:
        """The number of what is called next outside."""
        self._calls += 1
        return self._calls

    def _called(self, external: External, start: Callable[[External], None]) -> None:
        self._numbers[external] = self.number_call()
        self.log.called(self._calls, external)
        before, self._where = self._where, START
        try:
            start(external)
        finally:
            self._where = before

    def report(
        self, external: External, value: Any = None, error: BaseException | None = None
    ) -> None:
        where = STEP if self.virtual else self._where
        number = self._numbers.pop(external)
        kept = self.log.outcome(value, error, number)
        if kept[0] == "unwritable":
            value, error, kept = self.unwritable(external, value, kept)
        self.arrived("ended", number, where, kept)
        super().report(external, value, error)

    def unwritable(
        self, external: External, value: Any, kept: Any
    ) -> tuple[Any, BaseException | None, Any]:
        """What the program gets for a value that the log cannot hold, and what the log does."""
        return value, None, kept

    def report_part(self, external: External, part: Any) -> None:
        where = STEP if self.virtual else self._where
        number = self._numbers[external]
        self.arrived("part", number, where, self.log.outcome(part, None))
        super().report_part(external, part)

    def make_post(self, call: Callable[[], None]) -> None:
        """Make a call that was posted. Of the driver's own, the end that it reports is the fact."""
        before, self._where = self._where, POST
        try:
            if not (isinstance(call, partial) and call.func == self.report):
                self.arrived("post")
            call()
        finally:
            self._where = before


class RecordingDriver(_Recording, AsyncioDriver):
    """Real time. The clock that the program sees stands still but for what is written."""

    def __init__(self, log: Log, *settings: Any) -> None:
        super().__init__(log, *settings)
        self._told_us = 0  # the last time that was written

    def now_us(self) -> int:
        self._told_us = us = self.clock_us()
        self.log.clock(us)
        return us

    def now_ns(self) -> int:
        return self._told_us * 1000

    def shown_us(self) -> int:
        return self.clock_us()

    def due_us(self) -> int:
        us = self.clock_us()
        # Not the top of the heap, which may be stale: when those are swept is nobody's business.
        when_us = self.scheduler.timers.next_us()
        if when_us is not None and when_us <= us:
            self._told_us = us
            self.arrived("timers", us)
        return us

    def is_past(self, when_us: int) -> bool:
        if when_us > self.clock_us():
            return False
        self.log.write("wall", self.scheduler.turns, self.scheduler.steps_now())
        return True

    def _rest(self, seconds: float) -> None:
        self.log.flush()  # nothing runs now
        super()._rest(seconds)

    def _pump(self) -> None:
        super()._pump()
        if not self.scheduler.has_work():
            self.log.flush()  # nothing runs now


class VirtualRecordingDriver(_Recording, VirtualDriver):
    """Virtual time."""

    def _resumed(self, external: External, error: BaseException | None) -> float | None:
        seconds = super()._resumed(external, error)
        if seconds is not None:
            self.arrived("slept", self._numbers[external], seconds)
        return seconds


class _RecordedInbox(Inbox):
    __slots__ = ("_driver",)

    def __init__(self, driver: _Recording) -> None:
        super().__init__()
        self._driver = driver

    def take(self) -> list[Callable[[], None]]:
        calls = super().take()
        self._driver.arrived("posts", len(calls))
        return [partial(self._driver.make_post, call) for call in calls]


def check_recordable(driver: Driver) -> None:
    """Raise HostError for a driver of the host's own kind: what such a one does to a scheduler,
    nobody could do again.
    """
    if type(driver) not in (AsyncioDriver, VirtualDriver):
        raise HostError(
            f"a run by a driver of the host's own cannot be recorded: {type(driver).__name__}",
            hint="give an AsyncioDriver or a VirtualDriver, or none",
        )
    if hasattr(driver, "scheduler"):
        raise HostError("a driver serves one scheduler; make a new one")


def recording_like(driver: Driver, log: Log) -> RecordingDriver | VirtualRecordingDriver:
    """A driver that does what `driver` would have done, and writes it down."""
    check_recordable(driver)
    if isinstance(driver, VirtualDriver):
        return VirtualRecordingDriver(log, driver.start_s)
    assert isinstance(driver, AsyncioDriver)
    return RecordingDriver(log, driver.blocking_max)
