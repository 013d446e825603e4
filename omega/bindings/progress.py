"""The Lisp names of progress: how far a program has come, for whoever watches it.

Owns: `progress`. Refuses: drawing; the host does, if it has asked to be told.
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table, of_kind
from omega.lisp.primitives.check import wrong_type
from omega.progress import Progress

of_progress = of_kind(Progress, "a progress")


def progress(b: Bindings, table: Table) -> None:
    def make_progress(label: Any, total: Any = False) -> Progress:
        """(make-progress label [total]) -> a progress that is shown while the program runs: a bar
        on a terminal, lines elsewhere, nothing with --no-progress or in a host that does not ask
        """
        if not isinstance(label, str):
            raise wrong_type("make-progress", 1, "a string", label)
        if total is not False and (type(total) is not int or total < 0):
            raise wrong_type("make-progress", 2, "a whole number from 0 on, or #f", total)
        return b.interpreter.progresses.begin(label, None if total is False else total)  # type: ignore[no-any-return]

    def progress_add(progress: Any, count: Any = 1) -> None:
        """(progress-add! progress [n]) -> nothing; n more (1) are done"""
        if type(count) is not int or count < 0:
            raise wrong_type("progress-add!", 2, "a whole number from 0 on", count)
        of_progress("progress-add!", progress).add(count)

    def progress_end(progress: Any) -> None:
        """(progress-end! progress) -> nothing; no more will come"""
        of_progress("progress-end!", progress).end()

    table["make-progress"] = make_progress
    table["progress-add!"], table["progress-end!"] = progress_add, progress_end
