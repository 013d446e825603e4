"""How deep host functions may go: on a task's stack the recursion limit is far above what C bears.

Owns: the recursion limit while a host function runs: `HostStack`.
Refuses: to lower it while tasks of another thread run: it is one number for all threads, and theirs
may be deep at that moment.

Lisp needs no C stack, so its depth is free; whatever recurses through C (`repr`, `==`, `copy`)
would end the process long before the limit of a task's stack stops it. Python tells nobody how deep
it is, but it refuses a limit that is exceeded already: so the depth is found.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from sys import getrecursionlimit, setrecursionlimit
from typing import Any

from omega.concurrency import depth

SPARE = 1_000  # frames a host function may add at least; at most twice that
SPARE_NESTED = 250  # the same when another host function waits for it
SPARE_DEEP = 100  # ... and when more than NESTED_MAX do
NESTED_MAX = 10

# By thread: how many interpreters have a host function under way; their tasks stand still.
_standing: dict[int, list[int]] = {}


class HostStack:
    """The recursion limit of one interpreter's host functions. `leave` and `enter_again`, in pairs,
    are for calls of Lisp by a host function: Lisp has the limit of the task's stack.
    """

    __slots__ = ("_calls", "_full", "_standing")

    def __init__(self) -> None:
        self._calls = 0  # under way
        self._full = 0  # the limit of a task's stack
        self._standing = _standing.setdefault(get_ident(), [0])

    def run(
        self, function: Callable[..., Any], positional: list[Any], keywords: Any, nested: int
    ) -> Any:
        """Call a host function, for whose end `nested` others wait."""
        before = getrecursionlimit()
        with depth._lock:
            if not self._calls:
                self._full = before
                self._standing[0] += 1
            self._calls += 1
            if depth._entered == self._standing[0]:
                spare = SPARE if not nested else SPARE_NESTED if nested < NESTED_MAX else SPARE_DEEP
                try:
                    setrecursionlimit(spare)
                    room = spare
                except RecursionError:
                    room = _room(spare, before)
                setrecursionlimit(min(room + spare, before))
        try:
            return function(*positional, **keywords)
        finally:
            with depth._lock:
                self._calls -= 1
                if not self._calls:
                    self._standing[0] -= 1
                if before > getrecursionlimit():
                    setrecursionlimit(before)

    def leave(self) -> int:
        """Lisp is called by a host function. The limit to `enter_again` with."""
        before = getrecursionlimit()
        if self._calls and before < self._full:
            setrecursionlimit(self._full)
        return before

    def enter_again(self, before: int) -> None:
        if self._calls and before < getrecursionlimit():
            with depth._lock:
                if depth._entered == self._standing[0]:
                    setrecursionlimit(before)


def _room(step: int, most: int) -> int:
    """The least multiple of `step` above the present depth, which is below `most`."""
    low, high = 1, -(-most // step)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            setrecursionlimit(middle * step)
            high = middle
        except RecursionError:
            low = middle
    return high * step
