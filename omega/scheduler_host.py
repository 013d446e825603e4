"""The language's Host on the scheduler: what omega/lisp asks of whatever runs it.

Owns: `SchedulerHost`.
Refuses: mechanism: slices and steps are the scheduler's, effects are the door's.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from omega.concurrency import Scheduler
from omega.effects import Door
from omega.lisp.host import Dynamics


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
