"""The language's Host on the scheduler: what omega/lisp asks of whatever runs it.

Owns: `SchedulerHost`, `Lookout`, `metered` (limits where no task runs).
Refuses: mechanism: slices and steps are the scheduler's, effects are the door's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FrameType
from typing import Any

from omega.concurrency import Scheduler
from omega.concurrency.limits import check_wall
from omega.effects import Door
from omega.lisp.host import Dynamics
from omega.lisp.primitives.registry import PRIMITIVES
from omega.lisp.runtime import Runtime
from omega.lisp.sites import places

LOOP_CALL_STEPS_MAX = 100_000_000  # of a procedure called, not awaited, in an asyncio loop


class SchedulerHost:
    """The language's Host: tasks are the scheduler's, effects go through the door."""

    def __init__(self, scheduler: Scheduler, door: Door) -> None:
        self.scheduler, self.door = scheduler, door
        self.registers = scheduler.registers
        self.slice_end = scheduler.slice_end
        self.charge = scheduler.charge
        self.shielded = scheduler.shielded
        self._outside = Dynamics()

    def dynamics(self) -> Dynamics:
        task = self.scheduler.current
        if task is None:
            return self._outside
        if task.locals is None:
            task.locals = Dynamics()
        dynamics: Dynamics = task.locals
        return dynamics

    def perform(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        return self.door.perform(kind, arguments)

    def no_switch(self, name: str) -> AbstractContextManager[None]:
        return self.scheduler.no_switch(name)


class Lookout:
    """For the watchdog: which primitive holds the processor, and where the program called it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._names: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType) -> tuple[str | None, str | None]:
        registers, drive = self._runtime.registers, self._runtime.drive.__code__
        name: str | None = None
        at: FrameType | None = frame
        while at is not None:
            code = at.f_code
            if at.f_globals is registers and code is not drive:
                if not code.co_filename.startswith("<omega"):
                    found = places(code, at.f_lasti)
                    if found:
                        return name, f"{found[0][1].file}:{found[0][1].line}"
            elif name is None:
                name = self._known().get(code)
            at = at.f_back
        return name, None

    def _known(self) -> dict[CodeType, str]:
        """The primitives by their code; made when it is first asked for."""
        if not self._names:
            self._names = {each.function.__code__: each.name for each in PRIMITIVES.values()}
        return self._names


@contextmanager
def metered(scheduler: Scheduler, runtime: Runtime, where: str) -> Iterator[None]:
    """Outside of tasks, too, the interpreter's limits of steps and seconds are in force."""
    left = runtime.metered_left()
    if scheduler.current is not None:
        yield
        return
    outermost = left is None
    if left is None:
        left = max(0, min(LOOP_CALL_STEPS_MAX, scheduler.fuel_end - scheduler.steps))
    try:
        with runtime.metered(left, where, lambda: check_wall(scheduler)):
            yield
    finally:
        if outermost:
            scheduler.steps += runtime.metered_steps
