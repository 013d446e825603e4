"""What an interpreter leaves behind when it is closed, as warnings with their places.

Owns: `left_behind`, `warn`. Refuses: to decide what a leak is (omega/concurrency/leaks.py).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from omega.concurrency import Scheduler
from omega.errors import OmegaError
from omega.lisp.sites import places

SHOWN_MAX = 20  # by a ResourceWarning


def left_behind(scheduler: Scheduler) -> list[OmegaError]:
    """One warning for each thing that would be left behind if it were closed now."""
    found = []
    for text, hint, origin in scheduler.leaks():
        error = OmegaError(text, kind="left-behind", hint=hint)
        error.severity = "warning"
        if origin is not None:
            error.span = next((span for _, span in places(*origin)), None)
        found.append(error)
    return found


def warn(left: Sequence[OmegaError], stacklevel: int) -> None:
    """A ResourceWarning about them, which Python shows when it is asked to (`-X dev`, tests); none
    while an exception is on its way: that explains what is left.
    """
    if not left or sys.exc_info()[0] is not None:
        return
    lines = [f"{error.span}: {error.message}" if error.span else error.message for error in left]
    if len(lines) > SHOWN_MAX:
        lines[SHOWN_MAX:] = [f"... and {len(lines) - SHOWN_MAX} more"]
    text = "an interpreter was closed, and left behind:\n  " + "\n  ".join(lines)
    warnings.warn(text, ResourceWarning, stacklevel=stacklevel + 1)
