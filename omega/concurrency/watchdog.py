"""The watchdog: who held the processor for long. It never reads the clock itself.

Owns: the longest slice, the event SliceOverrun for those beyond `slow_slice`.
Refuses: to interrupt anybody, and to look at the clock: drivers tell what they saw, at slice ends
and when a host function has returned, where a reading is made anyway. Under virtual time no driver
tells anything: nothing takes real time there that a program could mean.

What a slice took is known when at most one task had the processor since the reading before; waits
that end a slice in the middle are not measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omega.concurrency.state import KernelState

NO_LIMIT_US = 1 << 62
EXPLAINED_US = 1_000  # who held a slice shorter than this is not looked up

# (name of what holds the processor, its place in the source), from its stack.
Look = Callable[[FrameType], tuple[str | None, str | None]]


def whose(frame: FrameType) -> tuple[str | None, str | None]:
    """The innermost function on the stack that is not ours."""
    at: FrameType | None = frame
    while at is not None:
        if not str(at.f_globals.get("__name__", "")).startswith("omega."):
            return at.f_code.co_qualname, f"{at.f_code.co_filename}:{at.f_lineno}"
        at = at.f_back
    return None, None


class Watchdog:
    """longest_us: the longest slice so far, longest_by who held it. noted_us: drivers tell of what
    took longer. look: finds out who, from a stack; a layer above may know better.
    """

    __slots__ = ("_kernel", "_limit_us", "longest_by", "longest_us", "look", "noted_us")

    def __init__(self, kernel: KernelState) -> None:
        self._kernel = kernel
        self._limit_us = NO_LIMIT_US
        self.longest_us = 0
        self.longest_by: str | None = None
        self.noted_us = 0
        self.look: Look = whose

    def limit(self, seconds: float | None) -> None:
        """Tell of slices that take longer; None: of none."""
        self._limit_us = NO_LIMIT_US if seconds is None else round(seconds * 1e6)
        self.noted_us = min(self._limit_us, self.longest_us)

    def took(self, us: int, by: str | None = None) -> None:
        """The running task has had the processor for `us`; by: in this host function."""
        place: str | None = None
        if us >= EXPLAINED_US or us > self._limit_us:
            name, place = self.look(sys._getframe(1))
            by = by or name
        if us > self.longest_us:
            self.longest_us = us
            self.longest_by = ", ".join(filter(None, (by and f"`{by}`", place))) or None
        if us > self._limit_us:
            self._kernel.emit(
                "SliceOverrun", self._kernel.current, by=by, seconds=us / 1e6, place=place
            )
        self.noted_us = min(self._limit_us, self.longest_us)
