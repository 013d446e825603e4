"""The files that a durable run reads and writes, across its processes.

Owns: `OutputFile`, `InputFile`: handles that know how far the run has come in the file, and open it
there when a process goes on.
Refuses: to decide when something is kept; the journal calls `sync` before it tells of it.

What the run has written to a file is in the file before the journal tells anything that came after.
So a process that goes on finds at least what the run has written; what its predecessor wrote beyond
that is written again, the same, and is cut off before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from io import FileIO
from typing import Any

from omega.effects import guarded
from omega.errors import HostError, StoreError, StoreFull

Open = Callable[[], Any]
BUFFER_BYTES = 1 << 16
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputFile:
    """path, as the program wrote it. begins_at: how long the file was. file: without a buffer;
    None while the run is replayed. reopen: opens it again, to append. written: performs a write,
    and keeps that it failed.
    """

    def __init__(
        self,
        path: str,
        begins_at: int,
        file: FileIO | None,
        reopen: Open,
        written: Callable[[str, Callable[[], None]], None],
    ) -> None:
        self.path, self._at, self._file = path, begins_at, file
        self._reopen, self._written = reopen, written
        self._buffer = bytearray()
        self._is_dirty = False
        self._is_closed = False

    def write(self, data: Any) -> None:
        self._perform("write", lambda: self._take(data))

    def flush(self) -> None:
        self._perform("flush", self._drain)

    def close(self) -> None:
        self._perform("close", self._close)

    def _perform(self, what: str, act: Callable[[], None]) -> None:
        self._written(f"file.{what}", lambda: guarded(self.path, act))

    def _take(self, data: Any) -> None:
        content = data.encode() if isinstance(data, str) else data
        self._at += len(content)
        if self._file is not None:
            self._is_dirty = True
            self._buffer += content
            if len(self._buffer) > BUFFER_BYTES:
                self._drain()

    def _drain(self) -> None:
        while self._buffer and self._file is not None:
            taken = self._file.write(self._buffer)
            del self._buffer[: taken or 0]

    def _close(self) -> None:
        self._sync()
        self._is_closed = True
        self.drop()

    def drop(self) -> None:
        """Close it where it is: what is in the buffer belongs to whoever goes on with the run."""
        self._buffer.clear()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def sync(self) -> None:
        """Have what was written outlive the machine. Raises StoreFull, StoreError."""
        try:
            self._sync()
        except OSError as error:
            raise _not_kept(self.path, error) from error

    def _sync(self) -> None:
        if not self._is_dirty or self._file is None:
            return
        self._drain()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            # A pipe, a terminal: nothing of it is kept anyway.
        self._is_dirty = False

    def go_on(self) -> None:
        """A process goes on with the run, which may have the file open. Raises HostError."""
        if self._is_closed:
            return
        self._file = file = self._reopen()
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return
        if found.st_size < self._at:
            raise HostError(
                f"{self.path} has {found.st_size:,} bytes, and the run has written {self._at:,}",
                hint="put back the file as it was, and resume the run again; or start a new run",
            )
        os.ftruncate(file.fileno(), self._at)


def _not_kept(path: str, error: OSError) -> StoreError:
    kind = StoreFull if error.errno in NO_ROOM else StoreError
    reason = (error.strerror or "it cannot be written").lower()
    return kind(f"{path}: what the run has written is not kept: {reason}")


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
