"""The driver of a run that goes on: it replays what its journal tells, and is alive behind it.

Owns: `ResumingDriver`: where the facts end, and what happens there.
Refuses: to replay (replaying.py), to keep what happens from then on (durable.py).

A journal ends anywhere: it is a prefix of what happened. The run is alive from the moment on at
which somebody asks for more than it tells; that may be in the middle of a visit of the hub, or of a
task's slice. What the run did before its process died, beyond the journal's end, it does again, and
nobody outside can tell: whatever they could have seen was kept first.

Calls that were on their way when the process died are given to `on_live`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omega.concurrency.driver import Driver, refuse_running_loop
from omega.concurrency.durable import Again, DurableDriver, VirtualDurableDriver
from omega.concurrency.outside import External
from omega.concurrency.replaying import ReplayDriver, Tape, VirtualReplayDriver, _Replaying
from omega.concurrency.scheduler import Kernel
from omega.errors import HostError

# Told the calls that were on their way, by number: answers which of them to make again, and how.
# Those left out have ended by themselves. Raises HostError when the run cannot go on.
OnLive = Callable[[Sequence[tuple[int, External]]], Sequence[Again]]


class ResumingDriver:
    """Stands for a replaying driver, and then for a durable one.

    It is asked for everything, so it sees the first question that the journal does not answer.
    """

    def __init__(self, replay: ResumedReplay | ResumedVirtualReplay, live: Live) -> None:
        self._inner: Driver = replay
        self._replay, self._live = replay, live
        self.virtual = replay.virtual
        self.on_live: OnLive = lambda calls: [(*call, None) for call in calls]
        self.has_gone_live = False

    def bind(self, scheduler: Kernel) -> None:
        self._replay.bind(scheduler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current(), name)

    def current(self) -> Driver:
        """Who has it now."""
        if not self.has_gone_live and self._replay.tape.is_over and self._replay.failure is None:
            self._go_live()
        return self._inner

    def is_live(self) -> bool:
        """Whether the facts are behind the run."""
        self.current()
        return self.has_gone_live

    def _go_live(self) -> None:
        replay, live = self._replay, self._live
        self.has_gone_live = True
        self._inner = live
        live.adopt(replay)
        left = sorted((n, each) for n, each in replay.in_flight() if not each.done)
        error: HostError | None = None
        try:
            live.again.extend(self.on_live(left))
        except HostError as raised:
            error = raised
        if error is not None:
            live.stop(error)

    def now_ns(self) -> int:
        """Bound once, by stacks that live longer than the replay."""
        return self._inner.now_ns()

    def acted(self, what: str, whom: str | None) -> None:
        if self.current() is self._replay:
            self._replay.advance_to_act()  # the facts may end on the way there
        self.current().acted(what, whom)

    def drive(self, done: Callable[[], bool]) -> None:
        refuse_running_loop()
        driver = self.current()
        if driver is self._replay and self._replay.replay_until(done):
            return
        if self._replay.failure is None:
            self.current().drive(done)

    async def drive_async(self, done: Callable[[], bool]) -> None:
        import asyncio

        while self.current() is self._replay and self._replay.failure is None and not done():
            await self._live.patience.run(self._replay.advance)
            await asyncio.sleep(0)
        if not done() and self._replay.failure is None:
            await self.current().drive_async(done)


Live = DurableDriver | VirtualDurableDriver


class _Resumed(_Replaying):
    """What both do: the end of the facts is no end."""

    def _check_end(self) -> None:
        """Whoever asks next asks the one who goes on."""

    took_last = _check_end

    def in_flight(self) -> list[tuple[int, External]]:
        return list(self._live.items())

    def replay_until(self, done: Callable[[], bool]) -> bool:
        """Go on until the host got control back; False: the facts end before."""
        raise NotImplementedError

    def _host_got_control(self) -> bool:
        if self.due("returned") is None:
            return False
        self.take_head()
        return True


class ResumedReplay(_Resumed, ReplayDriver):
    def replay_until(self, done: Callable[[], bool]) -> bool:
        while self.failure is None and not self.tape.is_over:
            if self._host_got_control():
                return True
            self.advance()
        if self.failure is not None:
            raise self.failure
        return False


class ResumedVirtualReplay(_Resumed, VirtualReplayDriver):
    def replay_until(self, done: Callable[[], bool]) -> bool:
        while self.failure is None and not self.tape.is_over:
            goes_on = self._advance(done, closed=True) or self.is_again_due()
            if not goes_on and not self.tape.is_over:
                if self._host_got_control():
                    return True
                self.tape.miss("the end of a run by the host")
        if self.failure is not None:
            raise self.failure
        return False

    def has_more(self) -> bool:
        return self.tape.is_over or super().has_more()

    def _resumed(self, external: External, error: BaseException | None) -> float | None:
        return None if self.tape.is_over else super()._resumed(external, error)


def resume_on(tape: Tape, virtual_from_s: float | None, live: Live) -> ResumingDriver:
    """A driver that replays `tape` and goes on as `live`. virtual_from_s: where virtual time began;
    None: time is real.
    """
    if virtual_from_s is None:
        return ResumingDriver(ResumedReplay(tape), live)
    return ResumingDriver(ResumedVirtualReplay(tape, virtual_from_s), live)
