"""The recursion limit of the process: raised while task stacks run, the host's own value otherwise.

Owns: `sys.setrecursionlimit`. It is one number for all threads, so schedulers in several threads
share it here: the first to enter saves the host's value, the last to leave restores it.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock

_lock = allocate_lock()
_entered = 0
_host_limit = 0


def enter(limit: int) -> None:
    """Let this thread's stacks be `limit` frames deep, until the matching `leave`."""
    global _entered, _host_limit
    with _lock:
        if _entered == 0:
            _host_limit = sys.getrecursionlimit()
        _entered += 1
        if limit > sys.getrecursionlimit():
            sys.setrecursionlimit(limit)


def leave() -> None:
    """Give the host its own limit back when the last scheduler has left."""
    global _entered
    with _lock:
        _entered -= 1
        if _entered == 0:
            sys.setrecursionlimit(_host_limit)
