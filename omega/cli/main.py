"""`omega`: begins and ends the process. What lies between is dispatch.py.

Owns: Ctrl-C until a command takes it over; leaving without taking the interpreter apart.
Refuses: to import anything before Ctrl-C is quiet: Python would show where in an import it came.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


class AtStart:
    """The handler of Ctrl-C until somebody knows better: it ends the process, with a word.

    A command that begins something tells us: `begins` when that may have been done from now on, or
    `holds` when it takes over soon, and what it begins is not to be left in the middle. Then the
    first Ctrl-C is `kept` for it; a second one ends the process all the same.
    """

    def __init__(self, is_silent: bool) -> None:
        self.is_silent = is_silent
        self.has_begun = self.is_held = self.kept = False

    def __call__(self, number: int, frame: object) -> None:
        if self.is_held and not self.kept:
            self.kept = True
            return
        if not self.is_silent:
            say_interrupted("" if self.has_begun else ": nothing was begun")
        os._exit(INTERRUPTED)

    def begins(self) -> None:
        self.has_begun, self.is_held = True, False

    def holds(self) -> None:
        self.has_begun = self.is_held = True


def say_interrupted(more: str = "") -> None:
    """In a handler: the stream may be in the middle of a write."""
    try:
        os.write(2, f"interrupted{more}\n".encode())
    except OSError:
        pass


def at_start() -> AtStart | None:
    """Our handler, if it is what hears Ctrl-C in this process."""
    import _signal  # type: ignore[import-not-found]  # `signal` wraps it in enums, which a warm start would wait for

    handler = _signal.getsignal(_signal.SIGINT)
    return handler if isinstance(handler, AtStart) else None


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
    import _signal

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        wants_json = any(word in ("--json", "json", "--diagnostics=json") for word in sys.argv)
        _signal.signal(_signal.SIGINT, AtStart(wants_json))


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
