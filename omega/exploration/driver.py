"""The driver of explored runs: no step takes time, nothing waits, and calls of the host may fail.

Owns: `StillDriver`; how what befalls a call of a host's function is done.
Refuses: deciding what befalls (weather.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.concurrency import External, VirtualDriver
from omega.concurrency.clock import to_us
from omega.concurrency.driver import POLL_SWITCHES
from omega.concurrency.limits import set_wall_deadline
from omega.errors import Cancelled
from omega.exploration.choosers import Follower
from omega.exploration.weather import HOST, OUTAGE, SLOW, SLOW_S, Weather
from omega.llm import LLMRequest

LOOK_EVERY = 20  # slice ends between two looks at real time
# "refused" and "timeout" come instead of the call, "cut" when it has done its work.
HOST_FAULTS = (SLOW, "refused", "timeout", "cut", OUTAGE)
_LATE = (SLOW, "timeout")  # begin, or fail, after SLOW_S


class StillDriver(VirtualDriver):
    """Virtual time in which steps take none before the run is healed. weather: lets functions of
    the host fail, those that suspend their caller. is_over: looked at now and then; once it is
    true, every task of the run ends.
    """

    def __init__(
        self,
        chooser: Follower,
        weather: Weather | None = None,
        is_over: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__()
        self._chooser, self._is_over = chooser, is_over
        self._weather = weather if weather is not None and HOST in weather.kinds else None
        self._looks = 0
        self._befallen: dict[External, str] = {}

    # ------------------------------------------------------------------ time

    def drive(self, done: Callable[[], bool]) -> None:
        while self._advance(done, closed=True):  # in a host's loop too: nothing waits for it
            pass

    def is_guest_now(self) -> bool:
        return False  # see `drive`

    def now_us(self) -> int:
        healed_at, scheduler = self._chooser.healed_at, self.scheduler
        if scheduler.steps < healed_at:  # a slice does not go beyond
            return self._offset_us
        return self._offset_us + scheduler.steps_now() - healed_at

    def now_ns(self) -> int:
        return self.now_us() * 1000

    def skip_to(self, when_us: int) -> None:
        super().skip_to(when_us)
        self._chooser.time_passed(self.now_us())

    def poll_due(self) -> bool:
        if self._is_over is not None:
            self._look()
        return super().poll_due()

    def poll_switches(self) -> int:
        if self._is_over is not None:
            self._look()
        if self.scheduler.steps >= self._chooser.healed_at:
            return super().poll_switches()
        heap = self.scheduler.timers.heap  # before, none comes due by itself
        return 0 if heap and heap[0][0] <= self._offset_us else POLL_SWITCHES

    def _look(self) -> None:
        self._looks += 1
        if self._looks % LOOK_EVERY == 0 and self.scheduler.wall is None:
            assert self._is_over is not None
            if self._is_over():
                set_wall_deadline(self.scheduler, 0.0)

    # ------------------------------------------------------------------ calls of the host

    def start(self, external: External) -> None:
        self._begin(external, super().start)

    def start_blocking(self, external: External) -> None:
        self._begin(external, super().start_blocking)

    def _begin(self, external: External, start: Callable[[External], None]) -> None:
        """Start it, now or late, or have it fail."""
        what = None
        if self._weather is not None and not _is_of_a_model(external):
            label = external.label
            what = self._weather.befalls(HOST, label, HOST_FAULTS, label)
        if what is None:
            start(external)
            return
        self._befallen[external] = what
        if what == "cut":
            start(external)
        elif what in _LATE:
            self._running[external] = self.scheduler.timers.call(
                self.now_us() + to_us(SLOW_S), lambda: self._late(external, start)
            )
        else:
            self._fail(external)

    def _late(self, external: External, start: Callable[[External], None]) -> None:
        del self._running[external]
        if self._befallen[external] == SLOW:
            start(external)
        else:
            self._fail(external)

    def _fail(self, external: External, error: BaseException | None = None) -> None:
        """It never began: it ends with `error`, or with what has befallen it."""
        if external.start is not None:
            external.start().close()  # a coroutine that is there must not be forgotten
        self.report(external, None, error)

    def abort(self, external: External) -> None:
        if external.handle is None and external in self._running:  # it was to begin late
            self._running.pop(external).cancel()
            self._fail(external, Cancelled(external.abort_reason))
        else:
            super().abort(external)

    def report(
        self, external: External, value: Any = None, error: BaseException | None = None
    ) -> None:
        what = self._befallen.pop(external, SLOW)
        if error is None and what != SLOW:
            value, error = None, _FAILURES[what]()
        super().report(external, value, error)


_FAILURES: dict[str, Callable[[], Exception]] = {
    "refused": lambda: ConnectionRefusedError("the connection was refused"),
    "timeout": lambda: TimeoutError(f"no answer within {SLOW_S:g} s"),
    "cut": lambda: ConnectionResetError("the connection was cut"),
    OUTAGE: lambda: ConnectionRefusedError("the service is down"),
}


def _is_of_a_model(external: External) -> bool:
    """Calls of models have faults of their own: faults.py."""
    subject = external.subject
    return isinstance(subject, tuple) and isinstance(subject[1], LLMRequest)
