"""The real driver: waits on the machine's clock, and in an asyncio loop once I/O matters.

Owns: every real wait, the private asyncio loop, the pool of threads for blocking calls.
Refuses: to import asyncio before it is needed. While only timers matter it waits on a plain lock;
the first external makes it move into a private loop (kept until close); inside a host's running
loop it is a guest of that one.

As a guest it runs bare `call_soon` callbacks, each a batch of at most BATCH_US, so the loop's other
users and its I/O get their turn. Other threads and signal handlers reach it only through `wake`.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from functools import partial
from typing import Any

from omega.concurrency import clock, idle
from omega.concurrency.driver import UNASKED, Driver, refuse_running_loop, running_loop
from omega.concurrency.outside import External
from omega.concurrency.threads import ThreadPool
from omega.errors import Cancelled, HostError

BATCH_US = 200  # how long tasks run before the loop gets its turn
CALLS_BATCH_US = 50  # the same while calls of ours are in flight: their I/O is waited for
SKIPS_MAX = 3  # rounds of the loop left to its other callbacks: a completion takes several of them
POLL_SWITCHES_MAX = 64  # switches between two visits of the hub
BLOCKING_MAX = 16  # threads for blocking calls
WAIT_S_MAX = 3600.0  # a longer wait is cut into several
# Python's handler of a signal runs between two steps of the main thread. A signal that comes just
# before that waits, or is delivered to another thread, ends no wait: so no wait is longer.
HEARD_S = 0.5


class AsyncioDriver(Driver):
    """Real time. blocking_max: threads for blocking calls."""

    def __init__(self, blocking_max: int = BLOCKING_MAX) -> None:
        self.blocking_max = blocking_max
        self._alarm = allocate_lock()
        self._alarm.acquire()
        self._runner: Any = None
        self._loop: Any = None  # the loop we are guest of, while one is known
        self._needs_loop = False
        self._in_loop = False  # batches run from loop callbacks
        self._pump_handle: Any = None  # of the call of `_pump` that is due in the loop
        self._timer: Any = None
        self._timer_us = 0
        self._glance: Any = None  # of the call of `while_waiting` that is due in the loop
        self._ear: Any = None  # of the call of `_listen`
        self._batch_end_us = 0
        self._waits: list[
            tuple[Callable[[], bool], Any]
        ] = []  # (done, future or None for our own loop)
        self._closed_world = False
        self._failure: BaseException | None = None
        self._seen_us = 0  # the last reading the watchdog goes by, and in which slice it was made
        self._seen_turns = 0
        self._polled_us = 0
        self._polled_turns = 0
        self._pace_us = 0.0  # how long a turn took of late
        self._skipped = 0
        self._pauses: dict[External, Any] = {}  # coroutines whose reader is behind -> a future
        self._pool = ThreadPool(blocking_max)

    # ------------------------------------------------------------------ time

    now_us = due_us = staticmethod(clock.now_us)
    now_ns = staticmethod(clock.now_ns)

    def clock_us(self) -> int:
        """What every wait here goes by."""
        return clock.now_us()

    def poll_switches(self) -> int:
        """As many as fit into the rest of the batch at the pace of late."""
        now = self._seen_us = self.clock_us()
        turns = self._seen_turns = self.scheduler.turns
        took, done = now - self._polled_us, turns - self._polled_turns
        self._polled_us, self._polled_turns = now, turns
        if done:
            self._pace_us = took / done
        rest = self._batch_end_us - now if self._in_loop else BATCH_US
        return max(0, min(POLL_SWITCHES_MAX, int(rest / self._pace_us) - 1 if self._pace_us else 0))

    def poll_due(self) -> bool:
        now = self._look()
        scheduler = self.scheduler
        heap = scheduler.timers.heap
        return (
            (bool(heap) and heap[0][0] <= now)
            or (self._in_loop and now >= self._batch_end_us)
            or scheduler.inbox.filled
            or (self._needs_loop and not self._in_loop)
        )

    def _look(self) -> int:
        """What the clock shows now, at the end of a slice: how long that took, if it is known."""
        now = self.clock_us()
        scheduler = self.scheduler
        held_us = now - self._seen_us
        if held_us > scheduler.watchdog.noted_us and scheduler.turns - self._seen_turns <= 1:
            self.held(held_us)
        self._seen_us = now
        self._seen_turns = scheduler.turns
        return now

    leaves = _look

    def host_returned(self, name: str) -> None:
        now = self.clock_us()
        if now - self._seen_us > self.scheduler.watchdog.noted_us:
            # Whatever else had the processor since then has told so, or took next to nothing.
            self.held(now - self._seen_us, name)
        self._seen_us = now

    def wants_control(self) -> bool:
        scheduler = self.scheduler
        if scheduler.turns - self._seen_turns == 1 and not scheduler.listeners:
            self._look()  # whoever listens has been told at the end of the turn
        return (self._in_loop and self.clock_us() >= self._batch_end_us) or (
            self._needs_loop and not self._in_loop
        )

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)

    # ------------------------------------------------------------------ without a host's loop

    def drive(self, done: Callable[[], bool]) -> None:
        refuse_running_loop()
        while not done():
            if self._needs_loop or self._runner is not None:
                self._drive_private(done)
                return
            if not self._plain_round(done):
                return

    def _plain_round(self, done: Callable[[], bool]) -> bool:
        """A batch and a wait, without asyncio. False: nothing more can happen."""
        scheduler = self.scheduler
        scheduler.run_batch()
        if done() or self._needs_loop or scheduler.has_work():
            return True
        if not idle.may_progress(scheduler):
            return self.resolve_idle(closed=True)
        when_us = scheduler.timers.next_us()
        seconds = (
            WAIT_S_MAX if when_us is None else min(WAIT_S_MAX, (when_us - self.clock_us()) / 1e6)
        )
        if seconds > 0:
            self._rest(seconds)
        return True

    def _rest(self, seconds: float) -> None:
        """Wait, until `wake` at the longest."""
        end_us = clock.now_us() + int(seconds * 1e6)
        while seconds > 0:
            again_s = None if self.while_waiting is None else self.while_waiting()
            most_s = HEARD_S if again_s is None else min(HEARD_S, again_s)
            if self._alarm.acquire(timeout=min(seconds, most_s)):
                return
            seconds = (end_us - clock.now_us()) / 1e6

    def _drive_private(self, done: Callable[[], bool]) -> None:
        loop = self._own_loop()
        self._needs_loop = False
        entry = (done, None)
        self._waits.append(entry)
        outer, self._closed_world = self._closed_world, True
        try:
            self._schedule()
            self._listen(loop)
            loop.run_forever()
        finally:
            self._closed_world = outer
            if self._ear is not None:
                self._ear.cancel()
            if entry in self._waits:
                self._waits.remove(entry)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _listen(self, loop: Any) -> None:
        """Have a loop of our own wake up for signals now and then."""
        self._ear = loop.call_later(HEARD_S, self._listen, loop)

    def _own_loop(self) -> Any:
        """The private loop, which is used from now on."""
        import asyncio

        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        loop = self._runner.get_loop()
        self._use_loop(loop)
        return loop

    def _use_loop(self, loop: Any) -> None:
        if self._loop is loop:
            return
        in_flight = (each for each in self.scheduler.externals if each.handle is not None)
        if self._loop is not None and any(in_flight):
            raise HostError(
                "calls in flight belong to another asyncio loop",
                hint="finish them in their own loop",
            )
        self._leave_loop()
        self._loop = loop

    def _leave_loop(self) -> None:
        """Nothing of ours is left to be called by it: it may go on without us."""
        for handle in (self._pump_handle, self._timer, self._glance):
            if handle is not None:
                handle.cancel()
        self._pump_handle = self._timer = self._glance = self._loop = None

    # ------------------------------------------------------------------ as a guest of a loop

    async def drive_async(self, done: Callable[[], bool]) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        self._use_loop(loop)
        if done():
            return
        future = loop.create_future()
        entry = (done, future)
        self._waits.append(entry)
        self._schedule()
        try:
            await future
        finally:
            if entry in self._waits:
                self._waits.remove(entry)

    def _schedule(self) -> None:
        # Without a loop: closing cancels what is left in it, and that tells of its end.
        if self._pump_handle is None and self._loop is not None:
            self._pump_handle = self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """A callback of the loop: run a batch, and have us called again when there is more."""
        self._pump_handle = None
        scheduler = self.scheduler
        if scheduler.in_batch:  # a host function runs the loop inside a slice
            return
        if self._skipped < SKIPS_MAX and getattr(self._loop, "_ready", None):
            self._skipped += 1
            self._schedule()
            return
        self._skipped = 0
        self._in_loop = True
        length_us = CALLS_BATCH_US if scheduler.externals else BATCH_US
        self._batch_end_us = self.clock_us() + length_us
        try:
            scheduler.run_batch()
        except BaseException as failure:
            self._fail(failure)
        finally:
            self._in_loop = False
        self._settle()
        if self._failure is not None:
            return  # the host gets it now, and goes on, or not
        if scheduler.has_work():
            self._schedule()
            return
        if not idle.may_progress(scheduler):
            if self.resolve_idle(closed=self._closed_world):
                self._schedule()
            else:
                self._settle(idle=True)
            return
        when_us = scheduler.timers.next_us()
        if when_us is not None:
            self._arm(when_us)
        if self.while_waiting is not None and self._glance is None:
            self._look_on()

    def _look_on(self) -> None:
        """Call `while_waiting`, and have it called again while anybody waits for us."""
        self._glance = None
        again_s = None if self.while_waiting is None else self.while_waiting()
        if again_s is not None and self._waits and self._loop is not None:
            self._glance = self._loop.call_later(again_s, self._look_on)

    def _arm(self, when_us: int) -> None:
        if self._timer is not None:
            if not self._timer.cancelled() and self._timer_us <= when_us:
                return  # it is early at worst, and looks again
            self._timer.cancel()
        self._timer_us = when_us
        self._timer = self._loop.call_later(max(0.0, (when_us - self.clock_us()) / 1e6), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._pump_handle is None:
            self._pump()

    def _settle(self, idle: bool = False) -> None:
        """Let go of those whose wait is over; `idle`: of everyone who waits in a closed world."""
        for entry in list(self._waits):
            done, future = entry
            if not (
                done()
                or (idle and future is None)
                or (future is None and self._failure is not None)
            ):
                continue
            self._waits.remove(entry)
            if future is None:
                self._loop.stop()
            elif not future.done():
                future.set_result(None)

    def _fail(self, failure: BaseException) -> None:
        """A batch raised: KeyboardInterrupt, SystemExit, or a bug. The host gets it."""
        if any(future is None for _, future in self._waits):
            self._failure = failure
            return
        for entry in list(self._waits):
            self._waits.remove(entry)
            if entry[1] is not None and not entry[1].done():
                entry[1].set_exception(
                    failure if isinstance(failure, Exception) else HostError(repr(failure))
                )
        raise failure

    def notify(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed() and not self._in_loop:
            self._schedule()

    def wake(self) -> None:
        try:
            self._alarm.release()
        except RuntimeError:
            pass  # it rings already
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self.notify)
            except RuntimeError:
                pass  # that loop is closed

    # ------------------------------------------------------------------ externals

    def start(self, external: External) -> None:
        import asyncio

        assert external.start is not None
        loop = running_loop()
        if loop is None:  # the batch ends, and the next one runs in the private loop
            loop = self._own_loop()
            self._needs_loop = True
        made: Any = None
        failure: BaseException | None = None
        try:
            made = external.context.run(external.start)
        except Exception as error:
            failure = error
        if failure is not None:
            self.report(external, None, failure)
            return
        # Not loop.create_task: a host's eager task factory would run it inside this very batch.
        task = asyncio.Task(_settled(made), loop=loop, context=external.context)
        external.handle = task
        task.add_done_callback(partial(self._ended, external, made))

    def _ended(self, external: External, made: Any, task: Any) -> None:
        if hasattr(made, "close"):
            made.close()  # one that was cancelled at once has not begun
        if external.done:
            return
        if task.cancelled() and external.abort_reason is None and not task.cancelling():
            self.report(external, None, RuntimeError(UNASKED))
        elif task.cancelled():
            reason = external.abort_reason or "cancelled by the event loop"
            self.report(external, None, Cancelled(reason))
        else:
            error = task.exception()
            value: Any = None if error is not None else task.result()
            if type(value) is _Leaving:
                value, error = None, value.error
            self.report(external, value, error)
        if not self._in_loop:
            self._schedule()

    def report_part(self, external: External, part: Any) -> None:
        super().report_part(external, part)
        if not self._in_loop:
            self._schedule()

    async def pause(self, external: External) -> None:
        import asyncio

        self._pauses[external] = future = asyncio.get_running_loop().create_future()
        try:
            await future
        finally:
            del self._pauses[external]

    def go_on(self, external: External) -> None:
        future = self._pauses.get(external)
        if future is not None and not future.done():
            future.set_result(None)

    def abort(self, external: External) -> None:
        if external.function is not None:
            self._pool.abandon(external)
        elif external.handle is not None:
            external.handle.cancel()

    def start_blocking(self, external: External) -> None:
        def ended(value: Any, error: BaseException | None) -> None:
            self.scheduler.post(partial(self.report, external, value, error))

        self._pool.submit(external, ended)

    def is_guest_now(self) -> bool:
        return running_loop() is not None

    def close(self, abandon: bool = False) -> None:
        for _, future in self._waits:  # hosts that still wait in their loop are told
            if future is not None and not future.done():
                future.set_result(None)
        self._waits = []
        self._pool.close()
        runner, self._runner = self._runner, None
        self._leave_loop()
        if runner is None:
            return
        if abandon:
            runner.get_loop().close()  # the runner itself would run it until every task ends
        else:
            runner.close()


class _Leaving:
    """What a coroutine has raised that asyncio would raise from the loop, in the middle of it."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _settled(coroutine: Any) -> Any:
    """Whoever waits for it is told of SystemExit, too, and the host by way of that."""
    try:
        return await coroutine
    except (KeyboardInterrupt, SystemExit) as error:
        return _Leaving(error)
