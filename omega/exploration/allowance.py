"""What explored runs may take of the real world: steps and seconds each, and seconds in all.

Owns: `Allowance`. Refuses: to end anything; drivers and searches ask.
"""

from __future__ import annotations

from collections.abc import Callable

from omega.concurrency.clock import now_us, to_us

_NEVER_US = 1 << 62


class Allowance:
    """fuel: steps of one run. run_s: seconds of one. all_s: seconds of all, from now on."""

    __slots__ = ("_until_us", "all_s", "fuel", "run_s")

    def __init__(
        self, *, fuel: int | None = None, run_s: float | None = None, all_s: float | None = None
    ) -> None:
        self.fuel, self.run_s, self.all_s = fuel, run_s, all_s
        self._until_us = _NEVER_US if all_s is None else now_us() + to_us(all_s)

    def is_over(self) -> bool:
        """Whether all have had their time."""
        return self._until_us != _NEVER_US and now_us() >= self._until_us

    def run_begins(self) -> Callable[[], bool]:
        """A run begins: answers what tells whether it has to end."""
        until_us = _NEVER_US if self.run_s is None else now_us() + to_us(self.run_s)
        return lambda: now_us() >= min(until_us, self._until_us)

    def stop(self) -> None:
        """Time is over now. May be called from a signal handler."""
        self._until_us = 0

    def lift(self) -> None:
        """From now on, all may take as long as they like: a failure is to be told."""
        self._until_us = _NEVER_US
