"""Drivers wait for the outside on behalf of a scheduler: the protocol, the virtual driver.

A driver tells the time, waits when nothing is ready, runs coroutines and blocking calls, and wakes
on a post.
Refuses: to know about tasks; it calls `run_batch` and asks `has_work`, and `idle.py` when it has
none.

The virtual driver: one microsecond per step, and when nothing is ready time jumps to the next
timer. Coroutines run too, but may await only `driver.sleep(seconds)`; blocking calls run at once,
on the hub. No threads, no real waiting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, NoReturn

from omega.concurrency import idle
from omega.concurrency.clock import to_us
from omega.concurrency.outside import External
from omega.errors import Cancelled, HostError, LoopIsRunning

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

IDLE_SWITCHES = 1_000  # so many switches without a step cost a microsecond: waits alone age, too
POLL_SWITCHES = 32  # switches between two visits of the hub


UNASKED = "CancelledError, though nobody cancelled it: what it awaited was"


class Driver:
    """Base of all drivers. One driver serves one scheduler."""

    virtual = False
    # What a slice end without a switch puts the next visit of the hub off by: visits are for those
    # who switch, and on CPython 3.12 one takes time in proportion to the stack.
    stay_turns = 1
    cuts_slices = True  # an interrupt takes the rest of a slice away, wherever it is
    # For whoever shows a run to people: called before a real wait, and again in the middle of it
    # after as many seconds as it answers (None: no more). The scheduler is not told of it, so
    # nothing that is called here counts for what may still happen. A virtual driver never waits.
    while_waiting: Callable[[], float | None] | None = None
    failure: HostError | None = None  # it can do nothing any more: what it was to do is left
    scheduler: Kernel

    def bind(self, scheduler: Kernel) -> None:
        if hasattr(self, "scheduler"):
            raise HostError("a driver serves one scheduler; make a new one")
        self.scheduler = scheduler

    def stop(self, error: HostError) -> NoReturn:
        """End the run in this process: the host gets `error`, or what stopped it before; no task
        goes on.
        """
        if self.failure is None:
            self.failure = error
        scheduler = self.scheduler
        if scheduler.in_batch and scheduler.current is not None:
            scheduler._hub.switch()  # comes back by an exception only, when all is closed
        raise self.failure

    def now_us(self) -> int:
        """The time, in microseconds; never goes back."""
        raise NotImplementedError

    def now(self) -> float:
        """The time, in seconds; never goes back."""
        return self.now_us() / 1e6

    def now_ns(self) -> int:
        """The time, in nanoseconds; for stamps."""
        return self.now_us() * 1000

    def shown_us(self) -> int:
        """The time for whoever looks at a run: to look is no part of it."""
        return self.now_us()

    def due_us(self) -> int:
        """The time as a visit of the hub has it: timers up to it are fired now."""
        return self.now_us()

    def is_past(self, when_us: int) -> bool:
        """Whether a limit that ends at `when_us` is over; asked where the hub is not visited."""
        return when_us <= self.now_us()

    def poll_switches(self) -> int:
        """After how many switches the hub is to be visited again."""
        return POLL_SWITCHES

    def skip_to(self, when_us: int) -> None:
        """Let time pass until then. Only a virtual driver can."""
        raise HostError("real time cannot be skipped", hint="use a VirtualDriver")

    def poll_due(self) -> bool:
        """Asked at slice ends: is there something for the hub to do?"""
        raise NotImplementedError

    def host_returned(self, name: str) -> None:
        """The host function `name` has returned to the running task."""

    def leaves(self) -> object:
        """The running task gives up the processor, or has ended. Asked while somebody listens."""

    def held(self, us: int, by: str | None = None) -> None:
        """The task that runs, or came to the hub last, has held the processor for so long; by: in
        this host function.
        """
        self.scheduler.watchdog.took(us, by)

    def tell_held(self) -> None:
        """Call `held` for whatever is known and was not told yet."""

    def wants_control(self) -> bool:
        """Asked by the hub between tasks: shall the batch end, for the driver to look at I/O?"""
        return False

    def drive(self, done: Callable[[], bool]) -> None:
        """Run the scheduler on this stack until `done()`, or until nothing can ever happen."""
        raise NotImplementedError

    async def drive_async(self, done: Callable[[], bool]) -> None:
        """The same as a guest of the running asyncio loop, whose other users go on."""
        raise NotImplementedError

    def decided(self, question: str, decide: Callable[[], int]) -> int:
        """What a chooser answers to the kernel: see choices.TapedChooser."""
        return decide()

    def acted(self, what: str, whom: str | None) -> None:
        """The host is about to do something to the scheduler, between batches."""

    def heard_interrupt(self) -> None:
        """The hub is about to act on an interrupt."""

    def notify(self) -> None:
        """Something became ready while no batch runs. Called from the owner's thread."""

    def wake(self) -> None:
        """Something was posted. May be called from any thread and from signal handlers."""

    def start(self, external: External) -> None:
        """Start the coroutine of `external`; report its end by `external.finish` on the hub."""
        raise NotImplementedError

    def start_blocking(self, external: External) -> None:
        """Run the function of `external` where it may block."""
        raise NotImplementedError

    def abort(self, external: External) -> None:
        """Ask the coroutine or call to end; its end is reported as ever."""
        raise NotImplementedError

    def report(
        self, external: External, value: Any = None, error: BaseException | None = None
    ) -> None:
        """`external` has really ended. Every end of what was started goes through here."""
        external.finish(value, error)

    def report_part(self, external: External, part: Any) -> None:
        """A part of the result of `external` has come. Every one goes through here."""
        external.told(part)

    async def tell(self, external: External, part: Any) -> None:
        """For coroutines run by this driver: give a part of the result of `external`, whose
        coroutine this is; waits while the reader is behind.
        """
        self.report_part(external, part)
        while external.is_behind and not external.done:
            await self.pause(external)

    async def pause(self, external: External) -> None:
        """For the coroutine of `external`: wait for `go_on`."""
        raise NotImplementedError

    def go_on(self, external: External) -> None:
        """The coroutine of `external` may go on, if it has paused."""
        raise NotImplementedError

    def resolve_idle(self, closed: bool) -> bool:
        """Nothing is ready or will happen by itself: see idle.py."""
        return idle.resolve_idle(self.scheduler, closed)

    async def sleep(self, seconds: float) -> None:
        """For coroutines run by this driver: wait."""
        raise NotImplementedError

    def is_guest_now(self) -> bool:
        """Whether a host's asyncio loop runs on this stack, so that `drive` cannot wait."""
        return False

    def close(self, abandon: bool = False) -> None:
        """Give back everything. No call follows. abandon: something still runs and will not end:
        do not wait for it.
        """


class _Sleep:
    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@coroutine
def _sleep(seconds: float) -> Generator[_Sleep, None, None]:
    yield _Sleep(seconds)


PAUSED = -1.0  # instead of the seconds that a coroutine sleeps: it waits for `go_on`


@coroutine
def _pause() -> Generator[_Sleep, None, None]:
    yield _Sleep(PAUSED)


class VirtualDriver(Driver):
    """Time that costs nothing. start_s: what the clock shows at first."""

    virtual = True

    def __init__(self, start_s: float = 0.0) -> None:
        self.start_s = start_s
        self._offset_us = to_us(start_s)
        self._steps_seen = 0
        self._switches_seen = 0
        self._running: dict[External, Any] = {}
        self._nudge: Any = (
            None  # a future of the host's loop: a standstill waits for the outside on it
        )

    def now_us(self) -> int:
        return self._offset_us + self.scheduler.steps_now()

    def poll_switches(self) -> int:
        """None while a timer may come due before: it is late by a slice at most."""
        heap = self.scheduler.timers.heap
        soon = POLL_SWITCHES * self.scheduler.config.yield_every
        return 0 if heap and heap[0][0] - self.now_us() < soon else POLL_SWITCHES

    def skip_to(self, when_us: int) -> None:
        """Let time pass until then, whoever could run meanwhile."""
        self._offset_us += max(0, when_us - self.now_us())

    def poll_due(self) -> bool:
        heap = self.scheduler.timers.heap
        return (bool(heap) and heap[0][0] <= self.now_us()) or self.scheduler.inbox.filled

    def wants_control(self) -> bool:
        scheduler = self.scheduler
        if scheduler.steps != self._steps_seen:
            self._steps_seen = scheduler.steps
            self._switches_seen = scheduler.turns
        elif scheduler.turns - self._switches_seen > IDLE_SWITCHES:
            self._offset_us += 1
            self._switches_seen = scheduler.turns
        return False

    def drive(self, done: Callable[[], bool]) -> None:
        refuse_running_loop()
        while self._advance(done, closed=True):
            pass

    def _advance(self, done: Callable[[], bool], closed: bool) -> bool:
        """One batch, and a jump if nothing is ready after it.

        False: done, or nothing more can happen.
        """
        scheduler = self.scheduler
        if done():
            return False
        scheduler.run_batch()
        if done():
            return False
        if self.has_more():
            return True
        if not idle.may_progress(scheduler):
            return self.resolve_idle(closed)
        when_us = scheduler.timers.next_us()
        if (
            when_us is None
        ):  # only what is held outside could go on, and nothing outside moves virtual time
            return self.resolve_idle(closed)
        self.skip_to(when_us)
        return True

    def has_more(self) -> bool:
        """Whether there is something to do before time goes on."""
        return self.scheduler.has_work()

    def is_guest_now(self) -> bool:
        return running_loop() is not None

    async def drive_async(self, done: Callable[[], bool]) -> None:
        import asyncio

        while not done():
            if await self._advance_as_guest(done):
                await asyncio.sleep(0)
            elif not done():
                self._nudge = asyncio.get_running_loop().create_future()
                await self._nudge

    async def _advance_as_guest(self, done: Callable[[], bool]) -> bool:
        return self._advance(done, closed=False)

    def notify(self) -> None:
        nudge, self._nudge = self._nudge, None
        if nudge is not None and not nudge.done():
            nudge.set_result(None)

    def wake(self) -> None:
        nudge = self._nudge
        if nudge is not None:
            nudge.get_loop().call_soon_threadsafe(self.notify)

    def start(self, external: External) -> None:
        self._step(external, None)

    def _step(self, external: External, error: BaseException | None) -> None:
        """Let the coroutine go on: to its end, or to a wait, after which it is called again."""
        self._running.pop(external, None)
        seconds = self._resumed(external, error)
        if seconds == PAUSED:
            self._running[external] = None
        elif seconds is not None:
            self._running[external] = self.scheduler.timers.call(
                self.now_us() + to_us(seconds), lambda: self._step(external, None)
            )

    def _resumed(self, external: External, error: BaseException | None) -> float | None:
        """Let the coroutine run to its next wait: how long it sleeps, or PAUSED. None: its end is
        reported.
        """
        while True:
            failure: BaseException | None = None
            asked: Any = None
            try:
                if external.handle is None:
                    assert external.start is not None
                    external.handle = external.context.run(external.start)
                made = external.handle
                if error is None:
                    asked = external.context.run(made.send, None)
                else:
                    asked = external.context.run(made.throw, error)
            except StopIteration as stop:
                self.report(external, stop.value)
                return None
            except BaseException as raised:
                failure = raised
            if failure is not None:
                self._report_failure(external, failure)
                return None
            if isinstance(asked, _Sleep):
                return asked.seconds
            error = HostError(
                f"{external.label} needs real time:"
                " under virtual time a coroutine may await only driver.sleep()",
                hint="use the asyncio driver, or a scripted provider",
            )

    def _report_failure(self, external: External, failure: BaseException) -> None:
        is_cancel = isinstance(failure, _cancelled_class())
        if external.abort_reason is not None and (is_cancel or isinstance(failure, Cancelled)):
            failure = Cancelled(external.abort_reason)
        elif is_cancel:
            failure = RuntimeError(UNASKED)
        self.report(external, None, failure)

    def abort(self, external: External) -> None:
        if external in self._running:
            timer = self._running.pop(external)
            if timer is not None:
                timer.cancel()
            self._step(external, _cancelled_class()())

    async def pause(self, external: External) -> None:
        await _pause()

    def go_on(self, external: External) -> None:
        if external in self._running and self._running[external] is None:
            self._step(external, None)

    def start_blocking(self, external: External) -> None:
        assert external.function is not None
        value: Any = None
        failure: BaseException | None = None
        try:
            value = external.context.run(external.function)
        except BaseException as error:  # as a thread tells it
            failure = error
        self.report(external, value, failure)

    async def sleep(self, seconds: float) -> None:
        await _sleep(seconds)


def _cancelled_class() -> type[BaseException]:
    """What cancels a coroutine: asyncio's class if anybody uses asyncio, else our own."""
    asyncio = sys.modules.get("asyncio")
    found = getattr(asyncio, "CancelledError", None)
    return found if isinstance(found, type) else Cancelled


def running_loop() -> Any:
    """The asyncio loop running in this thread, if any; does not import asyncio to find out."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()


def refuse_running_loop() -> None:
    """Raise LoopIsRunning inside a running asyncio loop: to wait there would stop it."""
    if running_loop() is not None:
        raise LoopIsRunning(
            "an asyncio loop is running in this thread",
            hint="await wait_async(...) or run_async() instead",
        )
