"""The files of --events and --trace.

Owns: `SeenFile`: what becomes of one that cannot be written. Refuses: what is written to it.
"""

from __future__ import annotations

from collections.abc import Callable

from omega.errors import LispFileError


class SeenFile:
    """Trouble with it never reaches the scheduler: `lost` tells of
    it. finish: called before it is closed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.finish: Callable[[], None] = lambda: None
        self.lost: LispFileError | None = None
        try:
            self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise self._failure(error) from None

    def write(self, text: str) -> None:
        self._try(lambda: self._file.write(text))

    def close(self) -> None:
        """Write what is left. What comes later is no part of it."""
        self.finish()
        self._try(self._file.close)

    def _try(self, act: Callable[[], object]) -> None:
        if self.lost is not None or self._file.closed:
            return
        try:
            act()
        except OSError as error:
            self.lost = self._failure(error)

    def _failure(self, error: Exception) -> LispFileError:
        reason = getattr(error, "strerror", None) or str(error)
        return LispFileError(
            f"cannot write {self._path}: {reason.lower()}",
            hint="name a file that can be written, in a directory that exists",
        )
