"""How deep host functions may go: on a task's stack the recursion limit is far above what C bears.

Owns: how many frames a host function gets: `HostStack`.
Refuses: to set the limit: omega/concurrency/depth.py does, and not while another thread runs tasks.

Lisp needs no C stack, so its depth is free; whatever recurses through C (`repr`, `==`, `copy`)
would end the process long before the limit of a task's stack stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrecursionlimit
from typing import Any

from omega.concurrency import Scheduler, depth

SPARE = 1_000  # frames a host function may add at least; at most twice that
SPARE_NESTED = 250  # the same when another host function waits for it
SPARE_DEEP = 100  # ... and when more than NESTED_MAX do
NESTED_MAX = 10


class HostStack:
    """The recursion limit of one interpreter's host functions. `leave` and `enter_again`, in pairs,
    are for calls of Lisp by a host function: Lisp has the limit of the task's stack, `most`, and
    other tasks may run until it returns. nested: how many such calls are under way.

    A host function that waits by itself switches to other tasks as well: by way of the hub, which
    gives them their limit. It goes on without a bound of its own.
    """

    __slots__ = ("_most", "_scheduler", "nested")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._most = scheduler, scheduler.stack_depth
        self.nested = 0

    def run(
        self,
        function: Callable[..., Any],
        positional: list[Any],
        keywords: Any,
        *,
        may_wait: bool,
    ) -> Any:
        """Call a host function."""
        before, nested = getrecursionlimit(), self.nested
        spare = SPARE if not nested else SPARE_NESTED if nested < NESTED_MAX else SPARE_DEEP
        depth.lower(spare, before)
        if may_wait:
            self._scheduler.poll_soon()
        try:
            return function(*positional, **keywords)
        finally:
            depth.raise_to(before)

    def leave(self) -> int:
        """Lisp is called by a host function. The limit to `enter_again` with."""
        before = getrecursionlimit()
        depth.raise_to(self._most)
        return before

    def enter_again(self, before: int) -> None:
        if before < self._most:
            depth.lower_to(before)
            self._scheduler.poll_soon()
