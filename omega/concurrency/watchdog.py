"""The watchdog: who held the processor for long. It never reads the clock itself.

Owns: the longest slice, the event SliceOverrun for those beyond `slow_slice`.
Refuses: to interrupt anybody, and to look at the clock: drivers tell what they saw. Under virtual
time no driver tells anything: nothing takes real time there that a program could mean.

Drivers read the clock at slice ends, when a host function has returned, and when the hub is
visited: there a reading is made anyway. What lies between two readings is known to be one task's
when at most one had the processor since. So while nobody listens, a slow slice that ends in a wait
is seen if the hub is visited next, which it is wherever slices are slow; one among many short ones
is not. While somebody listens, the clock is read at every wait and end of a task as well, which is
little beside the events that are made there.

What took long before a wait is on the stack no more when the wait is seen. A primitive is known all
the same, by what it charged for its work (`charged`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from omega.concurrency.listing import place as place_of

if TYPE_CHECKING:
    from omega.concurrency.state import KernelState

NO_LIMIT_US = 1 << 62
EXPLAINED_US = 1_000  # who held a slice shorter than this is not looked up
CHARGED_STEPS = 2_000  # whoever charges less at once takes no time to speak of

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

    __slots__ = (
        "_charge", "_kernel", "_limit_us", "longest_by", "longest_us", "look", "noted_us",
    )  # fmt: skip

    def __init__(self, kernel: KernelState) -> None:
        self._kernel = kernel
        self._limit_us = NO_LIMIT_US
        self._charge: tuple[int, str | None, str | None] | None = None  # turn, by whom, where
        self.longest_us = 0
        self.longest_by: str | None = None
        self.noted_us = 0
        self.look: Look = whose

    def limit(self, seconds: float | None) -> None:
        """Tell of slices that take longer; None: of none."""
        self._limit_us = NO_LIMIT_US if seconds is None else round(seconds * 1e6)
        self.noted_us = min(self._limit_us, self.longest_us)

    def charged(self) -> None:
        """Much was charged for work at once, which may come only now."""
        self._charge = (self._kernel.turns, *self.look(sys._getframe(1)))

    def took(self, us: int, by: str | None = None) -> None:
        """The task that runs, or came to the hub last, has had the processor for `us`; by: in this
        host function.
        """
        place: str | None = None
        if us >= EXPLAINED_US or us > self._limit_us:
            name, place = self._who()
            by = by or name
        if us > self.longest_us:
            self.longest_us = us
            self.longest_by = ", ".join(filter(None, (by and f"`{by}`", place))) or None
        if us > self._limit_us:
            task = self._kernel.current or self._kernel.came
            self._kernel.emit("SliceOverrun", task, by=by, seconds=us / 1e6, place=place)
        self.noted_us = min(self._limit_us, self.longest_us)

    def took_once(self, us: int) -> None:
        """A slice that has ended long ago took so long."""
        self.longest_us = max(us, self.longest_us)
        self.noted_us = min(self._limit_us, self.longest_us)

    def _who(self) -> tuple[str | None, str | None]:
        """(by whom, where), as far as it is known."""
        kernel, charge = self._kernel, self._charge
        if charge is not None and charge[0] == kernel.turns:
            return charge[1:]
        if kernel.current is not None:
            return self.look(sys._getframe(2))
        came = kernel.came
        if came is None:
            return None, None
        return (None, place_of(came)) if came.stack is None else self.look(came.stack.gr_frame)
