"""Ctrl-C while a host without a handler of its own drives the scheduler.

Owns: the handler that stands in for Python's default one meanwhile. That would raise
KeyboardInterrupt between any two instructions, also where a task is in no queue. Here the first
Ctrl-C ends the slice, and on the hub what the host waits for is cancelled; once it has ended,
KeyboardInterrupt is raised. A second one does not wait for that end; a third is raised in place,
for host code that never comes back.
Refuses: signals when the host (or the command line) handles them, or in another thread.
"""

from __future__ import annotations

# Not `signal`: that loads enum, and every program pays for it at its start.
from _signal import (  # type: ignore[import-not-found]
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)
from typing import TYPE_CHECKING, Any

from omega.concurrency import hub

if TYPE_CHECKING:
    from omega.concurrency.interface import Scheduler


class Interrupts:
    """A context manager around driving `scheduler`."""

    __slots__ = ("_active", "_count", "_scheduler")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._active = False
        self._count = 0

    def __enter__(self) -> None:
        if self._scheduler.on_interrupt is None and getsignal(SIGINT) is default_int_handler:
            try:
                signal(SIGINT, self._heard)
            except ValueError:
                return  # not the main thread: signals do not come here
            self._active = True
            self._scheduler.on_interrupt = self._on_hub

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._active:
            return
        signal(SIGINT, default_int_handler)
        self._scheduler.on_interrupt = None
        self._scheduler.forget_interrupt()
        if self._count and error is None:
            raise KeyboardInterrupt

    def _heard(self, number: int, frame: Any) -> None:
        self._count += 1
        if self._count > 2:
            raise KeyboardInterrupt
        self._scheduler.interrupt()

    def _on_hub(self) -> None:
        if self._count > 1 or not hub.cancel_watched(self._scheduler):
            raise KeyboardInterrupt
