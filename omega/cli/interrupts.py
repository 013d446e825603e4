"""Ctrl-C: the first asks, the second insists, the third ends the process.

Owns: the handler of SIGINT while a program runs, and the watch over whether it is heeded.
Refuses: to raise anything at a random place: the handler sets a flag and ends the slice.

The first Ctrl-C cancels through the scheduler, so that cleanup runs. A second within AGAIN_S calls
`insist` (the process ends at once, or the prompt comes back). A third at any time, or no safepoint
within HEED_S, ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from omega.cli.main import INTERRUPTED, AtStart, at_start
from omega.concurrency import Scheduler
from omega.concurrency.clock import now_us

AGAIN_S = 1.0
HEED_S = 2.0


def leave_now() -> None:
    """End the process at once, with what its streams hold written if that is possible."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(INTERRUPTED)


def about_to_begin(*, is_heard: bool) -> None:
    """A program is made ready. is_heard: it will hear of a Ctrl-C that comes meanwhile: a durable
    run is not left while it is begun, or taken over.
    """
    start = at_start()
    if start is not None and is_heard:
        start.holds()
    elif start is not None:
        start.begins()


class Watch:
    """Ends the process by `leave` unless `heeded` is called within HEED_S of `start`."""

    def __init__(self, leave: Callable[[], object]) -> None:
        self._has_timer = hasattr(signal, "setitimer")
        self._leave = leave

    def start(self) -> None:
        if self._has_timer:
            signal.signal(signal.SIGALRM, lambda number, frame: self._leave())
            signal.setitimer(signal.ITIMER_REAL, HEED_S)

    def heeded(self) -> None:
        if self._has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0)


class Interrupts:
    """A context manager: while inside, Ctrl-C calls `cancel` on the scheduler's hub.

    The scheduler may belong to another thread; signals come to the main one, which enters this.
    insist: called in the signal handler for the second, and leave, which ends the process; what
    they raise is raised in the main thread.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        cancel: Callable[[], object],
        insist: Callable[[], object] | None = None,
        leave: Callable[[], object] | None = None,
    ) -> None:
        leave = leave or leave_now
        self.count = 0
        self._scheduler, self._cancel = scheduler, cancel
        self._insist, self._leave = insist or leave, leave
        self._last_s = 0.0
        self._watch = Watch(leave)
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        self._scheduler.on_interrupt = self._heard
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:  # as in the background of a shell
            signal.signal(signal.SIGINT, self._signal)
        if isinstance(self._before, AtStart):
            self._before.begins()
            if self._before.kept:  # while we were being made
                self._signal(signal.SIGINT, None)
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.heeded()
        signal.signal(signal.SIGINT, self._before)
        self._scheduler.on_interrupt = None

    def _signal(self, number: int, frame: object) -> None:
        now_s = now_us() / 1e6
        self.count += 1
        if self.count > 2:
            self._leave()
        if self.count == 2 and now_s - self._last_s <= AGAIN_S:
            self._watch.heeded()
            self._insist()
            return
        self._last_s = now_s
        self._watch.start()
        self._scheduler.interrupt()

    def _heard(self) -> None:
        """On the hub: every task is at a safepoint."""
        self._watch.heeded()
        self._cancel()
