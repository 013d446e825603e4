"""What we say, and where the program's output goes.

Owns: standard error (reports, colour), standard output as a program writes to it (`Output`).
Refuses: to decide what is said.

Everything of ours goes to standard error, so that a program's output can be piped; colour only on a
terminal and never with NO_COLOR.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from omega.errors import LispFileError, OmegaError, Source

BOLD, RED, YELLOW, CYAN, PLAIN = "\033[1m", "\033[31m", "\033[33m", "\033[36m", "\033[0m"
ERASE = "\033[2K"  # the line
STDOUT = "standard output"


def counted(number: int, what: str) -> str:
    """For people: "1 effect", "2,000 effects"."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def say(text: str) -> None:
    """A line, or several, on standard error."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except UnicodeEncodeError:  # a stream of few characters that was told to be strict
        say(text.encode("ascii", "backslashreplace").decode())
    except (OSError, AttributeError, ValueError):
        pass  # closed: nobody is there to be told


def show(text: str) -> None:
    """A line on standard error, a terminal, in place of the last one shown; "" takes it away."""
    try:
        sys.stderr.write(f"\r{ERASE}{text}")
        sys.stderr.flush()
    except (OSError, AttributeError, ValueError):
        pass


def has_colour(stream: Any) -> bool:
    return (
        is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


SourceOf = Callable[[str], Source | None]


def no_source(file: str) -> Source | None:
    return None


def complain(
    error: OmegaError,
    source_of: SourceOf = no_source,
    *,
    as_json: bool = False,
    host_traceback: bool = False,
) -> None:
    """Print the report of an error, and of the others that were found with it. as_json: a line of
    JSON for each.
    """
    from omega.lisp.report import report

    for each in (error, *error.others):
        if as_json:
            say(json_line(each))
            continue
        lines = report(each, source_of).split("\n")
        say(painted(lines) if has_colour(sys.stderr) else "\n".join(lines))
    if host_traceback:
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())


def json_line(error: OmegaError) -> str:
    import json

    from omega.lisp.report import as_data

    return json.dumps(as_data(error))


def painted(lines: list[str]) -> str:
    """The lines of a report in colour."""
    out = []
    for at, line in enumerate(lines):
        head, colon, fact = line.partition("]: ")
        if at == 0 and colon:
            place, _, kind = head.rpartition(" ")
            colour = YELLOW if kind.startswith("warning") else RED
            line = f"{BOLD}{place}{' ' if place else ''}{colour}{kind}]:{PLAIN}{BOLD} {fact}{PLAIN}"
        elif line.startswith("  hint: "):
            line = f"  {CYAN}hint:{PLAIN}{line[7:]}"
        elif " | " in line[:9] and line.endswith("^") and not line[:8].strip(" |^"):
            bar = line.index("|") + 1
            line = f"{line[:bar]}{RED}{line[bar:]}{PLAIN}"
        out.append(line)
    return "\n".join(out)


class Output:
    """Standard output as the program's output port writes to it.

    stopped: called when whoever read it has gone; the writer then does not go on. is_quiet: nothing
    is written.
    """

    is_quiet = False
    is_at_start = True  # of a line of the terminal
    before: Callable[[], None] | None = None  # called before a terminal is written to
    tap: Any = None  # of the effect door: is told when it cannot be written

    def __init__(self, stopped: Callable[[], BaseException]) -> None:
        self._stopped = stopped
        self._stream: Any = sys.stdout
        self.is_broken = False
        self._is_terminal = is_terminal(self._stream)  # then parts of a line are seen at once
        if self._stream is not None and hasattr(self._stream, "reconfigure"):
            # A pipe has a reader who waits for lines; a file has not.
            self._stream.reconfigure(
                errors="backslashreplace", line_buffering=not _is_file(self._stream)
            )

    def write(self, text: str) -> None:
        if self.is_broken:
            raise self._stopped()
        self._act("stdout.write", lambda stream: self._write(stream, text))

    def _write(self, stream: Any, text: str) -> None:
        if self._is_terminal and self.before is not None:
            self.before()
        stream.write(text)
        if self._is_terminal:
            stream.flush()
            self.is_at_start = text.endswith("\n") if text else self.is_at_start

    def flush(self) -> None:
        """Hand on what is buffered. Raises LispFileError when it cannot be written."""
        if self._stream is not None and not self.is_broken:
            self._act("stdout.flush", lambda stream: stream.flush())

    def _act(self, what: str, act: Callable[[Any], object]) -> None:
        failure: BaseException
        try:
            if self.tap is None:
                self._reach(act)
            else:
                self.tap.written(what, lambda: self._reach(act))
            return
        except BrokenPipeError:
            self.is_broken = True
            failure = self._stopped()
        except OSError as error:
            self.is_broken = True
            reason = (error.strerror or type(error).__name__).lower()
            failure = LispFileError(f"cannot write to {STDOUT}: {reason}")
        raise failure

    def _reach(self, act: Callable[[Any], object]) -> None:
        if self.is_quiet:
            return
        if self._stream is None or self._stream.closed:
            raise LispFileError(f"cannot write to {STDOUT}: it is closed")
        act(self._stream)


class Errors:
    """Standard error as the program's error port writes to it. before: called first."""

    is_at_start = True  # of a line

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def write(self, text: str) -> None:
        self._before()
        sys.stderr.write(text)
        self.is_at_start = text.endswith("\n") if text else self.is_at_start


def is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _is_file(stream: Any) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return (mode & 0o170000) == 0o100000
