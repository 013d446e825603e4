"""Drivers of runs that outlive their process: recording ones, which keep what matters in time.

Owns: `DurableDriver`, `VirtualDurableDriver`: what must be kept before what happens, calls that are
made again, how a run stops in one process to go on in another.
Refuses: to know how facts are kept (a `Journal` does), how a run gets where it was (resuming.py).

Kept before it matters. A call that may not be made twice is in the journal before it is made: what
runs it commits first. What came of it is in the journal before any task hears of it; what came of a
function of the host, which the task that called it hears at once, before anything else happens
outside, and at the latest when its slice ends. Whatever else there is to write is kept with that,
or when nothing runs: what it tells follows from the program.

A run that cannot go on here (its journal cannot be written, another process owns it, it waits for
tomorrow) stops where it stands, as a replay does: `failure` is set, no task goes on, nothing is
cleaned up. Somebody else goes on with it.

The clock shows the time of the world, and goes on while nobody runs the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from omega.concurrency import clock
from omega.concurrency.asyncio_driver import AsyncioDriver
from omega.concurrency.driver import VirtualDriver, refuse_running_loop
from omega.concurrency.limits import was_down
from omega.concurrency.outside import External, Start
from omega.concurrency.patience import Patience
from omega.concurrency.recording import (
    LOOP,
    Log,
    RecordingDriver,
    VirtualRecordingDriver,
    _Recording,
)
from omega.concurrency.replaying import ReplayDriver, VirtualReplayDriver, _Replaying
from omega.errors import Cancelled, HostError

PAUSE_S = 10.0  # a wait is cut into pieces: the lease is renewed between them
FOR_EVER_US = 1 << 62
LOOK_S = 0.25  # between two looks for messages
ON_THEIR_WAY = ("paid", "idempotent")  # effect classes of calls that are worth waiting for
SIGNAL = "signal"  # the effect class of a wait for a message: it is nothing that runs


class Journal(Log, Protocol):
    """failure: why nothing can be written any more. us: what the clock has shown last."""

    failure: HostError | None
    us: int

    @property
    def is_pressing(self) -> bool:
        """Whether something was written that is to be kept before anything else happens."""

    def commit(self) -> None:
        """Keep what was written. Raises HostError, which is `failure` from then on."""

    def renew(self) -> None:
        """Now and then: say that the run is alive. Sets `failure` when it is not ours any more."""


# A call that is made again: its number, and what to run instead of its own start.
Again = tuple[int, External, Start | None]


# Called when nothing runs, with how long that has been so, and the time of the next timer: after
# how many seconds to call it again. Raises what ends the run in this process.
OnIdle = Callable[[int, int | None], float]


def unwritable(kind: str, what: str) -> HostError:
    return HostError(
        f"`{kind}` answered {what}, which a journal cannot hold",
        hint="answer plain data: numbers, strings, lists, dictionaries",
    )


class _Durable(_Recording):
    """What both do."""

    log: Journal

    def __init__(self, log: Journal, *settings: Any) -> None:
        super().__init__(log, *settings)
        self.again: deque[Again] = deque()
        self.on_idle: OnIdle = lambda idle_us, when_us: PAUSE_S
        self.on_interrupt: Callable[[], None] = lambda: None
        self.patience = Patience()
        self.patience.on_over = self._waited
        self._late: list[Callable[[], None]] = []  # what has come while a write waited for room
        self._leaving: HostError | None = None
        self._stopped: HostError | None = None

    @property
    def failure(self) -> HostError | None:
        return self._stopped or self.log.failure

    @failure.setter
    def failure(self, error: HostError | None) -> None:
        self._stopped = self._stopped or error

    def commit(self) -> None:
        """Keep what was written, if it is pressing. Raises what `stop` raises."""
        if self.failure is None and self.log.is_pressing:
            try:
                self.log.commit()
            except HostError as error:
                self.failure = error
        if self.failure is not None:
            self.stop(self.failure)

    def adopt(self, replay: _Replaying) -> None:
        """Go on where `replay` has come to."""
        kernel = self.scheduler = replay.scheduler
        self.watch(kernel)
        self._calls = replay._calls
        self._numbers = {external: number for number, external in replay._live.items()}
        self.log.us = replay.tape.us

    def make_again(self) -> None:
        """Start the calls once more that a dead process has left; between batches."""
        while self.again and self.failure is None:
            number, external, start = self.again.popleft()
            if external.done:
                continue
            self.arrived("again", number)
            if external.abort_reason is not None:
                self.report(external, None, Cancelled(external.abort_reason))
                continue
            if start is not None:
                external.start, external.function = start, None
            before, self._where = self._where, LOOP
            self.restart(external)
            self._where = before

    def restart(self, external: External) -> None:
        raise NotImplementedError

    def _called(self, external: External, start: Callable[[External], None]) -> None:
        if self.failure is None:
            super()._called(external, partial(self._committed, start))

    def _committed(self, start: Callable[[External], None], external: External) -> None:
        """Start a call that is in the journal. Of coroutines the first one to run commits: those
        started together are kept together.
        """
        begin = external.start
        if begin is None:
            self.commit()
        else:

            async def committed() -> Any:
                await self.patience.run(self.commit)
                self.commit()  # a wait for room may have been given up
                return await begin()

            external.start = committed
        start(external)

    def wants_control(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return bool(self.again) or self._leaving is not None or super().wants_control()

    def poll_due(self) -> bool:
        self.commit()
        is_due = super().poll_due() or bool(self.again) or self.failure is not None
        return is_due or self._leaving is not None

    def _mark(self) -> None:
        if self.failure is None:
            self.log.renew()
            super()._mark()

    def report(
        self, external: External, value: Any = None, error: BaseException | None = None
    ) -> None:
        if self.patience.is_waiting:
            self._late.append(partial(self.report, external, value, error))
        elif self.failure is None:
            super().report(external, value, error)

    def unwritable(
        self, external: External, value: Any, kept: Any
    ) -> tuple[Any, BaseException | None, Any]:
        """An error: whoever goes on with the run would not have the value."""
        error = unwritable(external.label, kept[1])
        return None, error, self.log.outcome(None, error)

    def report_part(self, external: External, part: Any) -> None:
        if self.patience.is_waiting:
            self._late.append(partial(self.report_part, external, part))
        elif self.failure is None:
            super().report_part(external, part)

    def _waited(self) -> None:
        """A wait for room is over: for the run, what has come since comes now."""
        late, self._late = self._late, []
        for report in late:
            report()
        self.notify()

    def drive(self, done: Callable[[], bool]) -> None:
        refuse_running_loop()
        if self.failure is not None:
            return
        has_returned = False
        try:
            super(_Recording, self).drive(done)
            has_returned = True
        finally:
            if has_returned:
                self.arrived("returned")
                self.log.flush()
            elif self.failure is None:  # the host leaves in its own way: Ctrl-C, a bug
                self.failure = HostError("the host has left the run")

    def heard_interrupt(self) -> None:
        """It stops the run in this process, and is no part of it."""
        self.on_interrupt()

    def leave(self, error: HostError) -> None:
        """Stop the run in this process once the calls that are on their way have ended."""
        self._leaving = error
        self.scheduler.poll_soon()

    def _may_leave(self) -> bool:
        """Whether nothing is on its way whose end would not be known. What was asked for, but not
        begun yet, is begun by whoever goes on.
        """
        begun = self._numbers
        return not any(
            each.effect_class in ON_THEIR_WAY and each in begun for each in self.scheduler.externals
        )

    def waits_only_for_signals(self) -> bool:
        return all(each.effect_class == SIGNAL for each in self.scheduler.externals)


class DurableDriver(_Durable, RecordingDriver):
    """Real time. wall_us: reads the clock of the world, in microseconds since 1970."""

    def __init__(self, log: Journal, wall_us: Callable[[], int], *settings: Any) -> None:
        super().__init__(log, *settings)
        self._wall_us = wall_us
        self._timer_of_looks: Any = None
        self._idle_turns = -1
        self._idle_since_us = 0
        self._idle_s = PAUSE_S
        self._down_us = 0  # for how long nobody ran it; told at the next end of a turn
        self._set_clock(0)

    def _set_clock(self, not_before_us: int) -> None:
        self._offset_us = max(self._wall_us(), not_before_us) - clock.now_us()

    def clock_us(self) -> int:
        return clock.now_us() + self._offset_us

    def adopt(self, replay: _Replaying) -> None:
        super().adopt(replay)
        assert isinstance(replay, ReplayDriver)
        self._returns = replay._returns
        self._told_us = replay._seen_us
        left_us = max(replay._seen_us, replay.tape.us)
        self._set_clock(left_us)
        self._seen_us = self._polled_us = self.clock_us()
        self._down_us = self._seen_us - left_us if left_us else 0
        self._seen_turns = self._polled_turns = self.scheduler.turns

    def _tell_down(self) -> None:
        """A wall limit is that of the time in which somebody ran the run."""
        us, self._down_us = self._down_us, 0
        if us and self.scheduler.wall_timer is not None:
            self.arrived("down", us)
            was_down(self.scheduler, us)

    def _mark(self) -> None:
        if self._down_us and self.failure is None:
            self._tell_down()
        super()._mark()

    def due_us(self) -> int:
        if self._down_us:
            self._tell_down()
        return super().due_us()

    def is_past(self, when_us: int) -> bool:
        return super().is_past(when_us + self._down_us)

    def restart(self, external: External) -> None:
        is_blocking = external.function is not None
        start = AsyncioDriver.start_blocking if is_blocking else AsyncioDriver.start
        self._committed(partial(start, self), external)

    def _plain_round(self, done: Callable[[], bool]) -> bool:
        self._between()
        if self._leaving is not None:
            self.stop(self._leaving)  # a thread that still runs cannot be waited for here
        return super()._plain_round(done)

    def _between(self) -> None:
        """Between batches."""
        self.commit()
        if self._leaving is not None and self._may_leave():
            self.stop(self._leaving)
        self.make_again()

    async def drive_async(self, done: Callable[[], bool]) -> None:
        try:
            await super().drive_async(done)
        except BaseException:
            self.patience.give_up()
            raise

    def _pump(self) -> None:
        self._pump_handle = None
        if not self.patience.is_waiting:
            self.patience.call(self._pump_once, self._loop)

    def _pump_once(self) -> None:
        try:
            self._between()
        except HostError:
            pass  # it is `failure`
        if self._leaving is not None and self.failure is None:
            # No task goes on; the end of a call has us called again.
            self._look_later(PAUSE_S)
            return
        if self.failure is None:
            super()._pump()
        scheduler = self.scheduler
        if self.failure is None and not scheduler.has_work() and not scheduler.in_batch:
            self._look_if_idle()
        if self.failure is not None:
            self._give_up(self.failure)
        else:
            self._look_later(PAUSE_S)

    def _rest(self, seconds: float) -> None:
        self._look_if_idle()
        if self.failure is not None:
            raise self.failure
        self.log.renew()
        super()._rest(min(seconds, self._idle_s))

    def _look_if_idle(self) -> None:
        """Nothing runs: is this process still needed?"""
        scheduler, now_us = self.scheduler, self.clock_us()
        when_us = scheduler.timers.next_event_us()  # a limit is nothing to wait for
        if not self.waits_only_for_signals() or (when_us is None and not scheduler.externals):
            return
        if scheduler.turns != self._idle_turns:
            self._idle_turns, self._idle_since_us = scheduler.turns, now_us
        try:
            self._idle_s = self.on_idle(now_us - self._idle_since_us, when_us)
        except HostError as error:
            self.failure = error

    def _look_later(self, seconds: float) -> None:
        if self._timer_of_looks is None and self._loop is not None:
            seconds = min(seconds, self._idle_s)
            self._timer_of_looks = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._timer_of_looks = None
        if not self.patience.is_waiting:
            self.patience.call(self.log.renew, self._loop)
        self._schedule()  # looks at what came of it

    def _give_up(self, failure: HostError) -> None:
        """Whoever waits for the run is told."""
        for entry in list(self._waits):
            self._waits.remove(entry)
            if entry[1] is None:
                self._failure = failure
                self._loop.stop()
            elif not entry[1].done():
                entry[1].set_exception(failure)

    def close(self, abandon: bool = False) -> None:
        if self._timer_of_looks is not None:
            self._timer_of_looks.cancel()
        # What is in flight was left, not ended: it has to go all the same.
        for external in self.scheduler.externals:
            if external.handle is not None:
                external.handle.cancel()
        super().close(abandon=abandon and self.failure is None)


class VirtualDurableDriver(_Durable, VirtualRecordingDriver):
    """Virtual time."""

    def adopt(self, replay: _Replaying) -> None:
        super().adopt(replay)
        assert isinstance(replay, VirtualReplayDriver)
        self._offset_us = replay._offset_us
        self._steps_seen, self._switches_seen = replay._steps_seen, replay._switches_seen
        for timer in replay._running.values():
            if timer is not None:
                timer.cancel()

    def restart(self, external: External) -> None:
        is_blocking = external.function is not None
        start = VirtualDriver.start_blocking if is_blocking else VirtualDriver.start
        self._committed(partial(start, self), external)

    def report(
        self, external: External, value: Any = None, error: BaseException | None = None
    ) -> None:
        super().report(external, value, error)
        if self.failure is None:
            self.commit()

    async def _advance_as_guest(self, done: Callable[[], bool]) -> bool:
        goes_on: bool = await self.patience.run(lambda: self._advance(done, closed=False))
        return goes_on

    def _advance(self, done: Callable[[], bool], closed: bool) -> bool:
        self.commit()
        if self._leaving is not None:
            self.stop(self._leaving)
        self.make_again()
        return super()._advance(done, closed)

    def resolve_idle(self, closed: bool) -> bool:
        if self.scheduler.externals and self.waits_only_for_signals():
            self.log.flush()
            try:
                self.on_idle(FOR_EVER_US, None)
            except HostError as error:
                self.failure = error
            if self.failure is not None:
                raise self.failure
        return super().resolve_idle(closed)
