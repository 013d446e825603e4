"""`omega`: begins and ends the process. What lies between is dispatch.py.

Owns: Ctrl-C until a command takes it over; leaving without taking the interpreter apart.
Refuses: to import anything before Ctrl-C is quiet: Python would show where in an import it came.
"""

from __future__ import annotations

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the exit status.

    Without `argv`: the process's own, and the process ends here.
    """
    if argv is None:
        _quiet_interrupts()
    import gc

    gc.disable()  # what is made at the start stays; program.py turns it on
    from omega.cli.dispatch import run

    status = run(list(sys.argv[1:] if argv is None else argv))
    if argv is None:
        _leave(status)
    gc.enable()
    return status


def _quiet_interrupts() -> None:
    """Ctrl-C ends the process with 130, at once, until somebody knows better."""
    import _signal  # type: ignore[import-not-found]  # `signal` wraps it in enums, which a warm start would wait for

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda number, frame: os._exit(130))


def _leave(status: int) -> None:
    """End the process: nothing in it is waited for any more.

    A thread that still reads standard input would otherwise hold up, or break, Python's own end.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    if sys.gettrace() is None and sys.getprofile() is None:
        os._exit(status)
