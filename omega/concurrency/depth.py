"""The recursion limit of the process: raised while task stacks run, the host's own value otherwise.

Owns: `sys.setrecursionlimit`. It is one number for all threads, so schedulers in several threads
share it here: the first to enter saves the host's value, the last to leave restores it.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from sys import getrecursionlimit, setrecursionlimit

_lock = allocate_lock()
_entered: dict[int, int] = {}  # by thread: how many schedulers run tasks
_host_limit = 0


def enter(limit: int) -> None:
    """Let this thread's stacks be `limit` frames deep, until the matching `leave`."""
    global _host_limit
    thread = get_ident()
    with _lock:
        if not _entered:
            _host_limit = getrecursionlimit()
        _entered[thread] = _entered.get(thread, 0) + 1
        raise_to(limit)


def leave() -> None:
    """Give the host its own limit back when the last scheduler has left."""
    thread = get_ident()
    with _lock:
        _entered[thread] -= 1
        if not _entered[thread]:
            del _entered[thread]
        if not _entered:
            setrecursionlimit(_host_limit)


def raise_to(limit: int) -> None:
    """Let the stack that runs be `limit` frames deep, at least."""
    if limit > getrecursionlimit():
        setrecursionlimit(limit)


def lower_to(limit: int) -> None:
    """Let it be `limit` deep, unless another thread runs tasks: theirs may be deep now."""
    with _lock:
        if len(_entered) == 1:
            setrecursionlimit(limit)


def lower(spare: int, most: int) -> None:
    """Let it be from `spare` to twice as many frames deeper than it is, but no deeper than `most`;
    unless another thread runs tasks.
    """
    with _lock:
        if len(_entered) != 1:
            return
        try:
            setrecursionlimit(spare)
            room = spare
        except RecursionError:
            room = _room(spare, most)
        setrecursionlimit(min(room + spare, most))


def _room(step: int, most: int) -> int:
    """The least multiple of `step` above the present depth, which is below `most`.

    Python tells nobody how deep it is, but it refuses a limit that is exceeded already.
    """
    low, high = 1, -(-most // step)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            setrecursionlimit(middle * step)
            high = middle
        except RecursionError:
            low = middle
    return high * step
