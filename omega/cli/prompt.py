"""Where the REPL's lines come from: a terminal with history and completion, or a pipe.

Owns: readline, the history file, the prompt, and keeping what tasks print apart from the line that
is being typed. Refuses: to know what a line means.

Lines are read in the main thread, which therefore gets Ctrl-C; whatever prints does so in another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from omega.cli.terminal import is_terminal

HISTORY_LINES_MAX = 2_000
CLEAR_LINE = "\r\033[K"
DELIMITERS = " \t\n()[]{}'`,;\""


class Prompt:
    """names: for completion, asked when Tab is pressed."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.is_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
        self._names = names
        self._shown: str | None = None  # the prompt on the screen, while a line is typed
        self._readline: Any = None
        self._found: list[str] = []
        if self.is_terminal:
            self._set_up()

    def read(self, prompt: str) -> str | None:
        """The next line, without its end; None when there are no more. Raises KeyboardInterrupt."""
        if not self.is_terminal:
            line = sys.stdin.readline() if sys.stdin is not None else ""
            return line.rstrip("\n") if line else None
        self._shown = prompt
        try:
            return input(prompt)
        except EOFError:
            return None
        finally:
            self._shown = None

    @property
    def is_waiting(self) -> bool:
        """Whether a line is being typed right now."""
        return self._shown is not None

    def around(self, print_: Callable[[], object]) -> None:
        """Print whole lines: the line being typed is taken off the screen and put back."""
        shown = self._shown
        if shown is None:
            print_()
            return
        sys.stdout.write(CLEAR_LINE)
        sys.stdout.flush()
        print_()
        typed = self._readline.get_line_buffer() if self._readline is not None else ""
        sys.stdout.write(shown + typed)
        sys.stdout.flush()

    def close(self) -> None:
        """Keep the history."""
        if self._readline is None:
            return
        path = history_path()
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            Path(path).touch(0o600)
            os.chmod(path, 0o600)
            self._readline.set_history_length(HISTORY_LINES_MAX)
            self._readline.write_history_file(path)
            os.chmod(path, 0o600)
        except OSError:
            pass

    def _set_up(self) -> None:
        try:
            import readline
        except ImportError:
            return
        self._readline = readline
        try:
            readline.read_history_file(history_path())
        except OSError:
            pass
        readline.set_completer(self._complete)
        readline.set_completer_delims(DELIMITERS)
        readline.parse_and_bind("tab: complete")

    def _complete(self, start: str, state: int) -> str | None:
        if state == 0:
            self._found = sorted(name for name in self._names() if name.startswith(start))
        return self._found[state] if state < len(self._found) else None


def history_path() -> str:
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(base, "omega", "history")
