"""The files that a durable run reads and writes, across its processes.

Owns: `OutputFile`, `InputFile`: handles that know how far the run has come in the file, and open it
there when a process goes on.
Refuses: to decide when something is kept; the journal calls `sync` before it tells of it.

What the run has written to a file is in the file before the journal tells anything that came after.
So a process that goes on finds at least what the run has written; what its predecessor wrote beyond
that is written again, the same, and is cut off before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from omega.errors import HostError

Open = Callable[[], Any]  # a handle of the door's


class OutputFile:
    """path, as the program wrote it. begins_at: how long the file was. reopen: opens it again, to
    append. written: performs a write, and keeps that it failed. is_live: whether anything is to
    happen.
    """

    def __init__(
        self,
        path: str,
        begins_at: int,
        reopen: Open,
        written: Callable[[str, Callable[[], None]], None],
        is_live: Callable[[], bool],
    ) -> None:
        self.path, self._at = path, begins_at
        self._reopen, self._written, self._is_live = reopen, written, is_live
        self.handle: Any = None
        self._is_dirty = False

    def write(self, data: Any) -> None:
        self._at += len(data if isinstance(data, bytes | bytearray) else data.encode())
        self._is_dirty = True
        self._perform("write", data)

    def flush(self) -> None:
        self._perform("flush")

    def close(self) -> None:
        self._perform("close")
        self._is_dirty = False

    def _perform(self, what: str, *arguments: Any) -> None:
        def act() -> None:
            if self._is_live():
                getattr(self.handle, what)(*arguments)

        self._written(f"file.{what}", act)

    def sync(self) -> None:
        """Have what was written outlive the machine."""
        if self._is_dirty and self.handle is not None:
            self._is_dirty = False
            self.handle.flush()
            try:
                os.fsync(self.handle.fileno())
            except OSError:
                pass  # a pipe, a terminal: nothing of it is kept anyway

    def go_on(self) -> None:
        """A process goes on with the run, which has the file open. Raises HostError."""
        self.handle = self._reopen()
        number = self.handle.fileno()
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            return
        if found.st_size < self._at:
            self.handle.close()
            raise HostError(
                f"{self.path} has {found.st_size:,} bytes, and the run has written {self._at:,}",
                hint="put back the file as it was, and resume the run again; or start a new run",
            )
        os.ftruncate(number, self._at)


class InputFile:
    """replied: the reply of an effect, from the journal or from what is done."""

    def __init__(self, path: str, handle: Any, reopen: Open, replied: Callable[..., Any]) -> None:
        self.path, self.handle = path, handle
        self._reopen, self._replied = reopen, replied
        self._read = 0

    def read(self, n: int) -> Any:
        got = self._replied("file.read", (self.path, n), lambda: self._reached().read(n))
        self._read += len(got)
        return got

    def _reached(self) -> Any:
        """The handle, where the run has come to."""
        if self.handle is None:
            self.handle = self._reopen()
            left = self._read
            while left:
                skipped = len(self.handle.read(left))
                if not skipped:
                    break
                left -= skipped
        return self.handle

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()
