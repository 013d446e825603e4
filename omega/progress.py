"""How far a program has come, for whoever watches it: counts with labels, and who is told.

Owns: `Progress`, `Progresses` (one per interpreter). Refuses: to draw, and to know the time:
whoever is told does both. Nobody is told unless the host has asked for it.
"""

from __future__ import annotations

from collections.abc import Callable


class Progress:
    """total: None while it is not known. failed: those of `done` that went wrong."""

    __slots__ = ("_all", "done", "failed", "is_over", "label", "total")

    def __init__(self, all_: Progresses, label: str, total: int | None) -> None:
        self._all = all_
        self.label, self.total = label, total
        self.done = self.failed = 0
        self.is_over = False

    def add(self, count: int = 1, failed: int = 0) -> None:
        """So many more are done. After the end: nothing."""
        if not self.is_over:
            self.done += count
            self.failed += failed
            self._all.told(self)

    def end(self) -> None:
        """No more will come. Idempotent."""
        if not self.is_over:
            self.is_over = True
            self._all.ended(self)


class Progresses:
    """listener: called with every progress that begins, moves or ends; the host sets it."""

    __slots__ = ("listener", "open")

    def __init__(self) -> None:
        self.open: dict[Progress, None] = {}  # in the order they began
        self.listener: Callable[[Progress], None] | None = None

    def begin(self, label: str, total: int | None = None) -> Progress:
        progress = Progress(self, label, total)
        self.open[progress] = None
        self.told(progress)
        return progress

    def told(self, progress: Progress) -> None:
        if self.listener is not None:
            self.listener(progress)

    def ended(self, progress: Progress) -> None:
        del self.open[progress]
        self.told(progress)
