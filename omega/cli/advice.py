"""How a limit is raised on the command line: for hints.

Owns: `HOW_TO_RAISE`. (omega/limits.py has the same for hosts.)
"""

from __future__ import annotations

_FIXED = "the command line has no option for more"

HOW_TO_RAISE = {
    "fuel": "--fuel N allows more",
    "wall": "--timeout SECONDS allows more",
    "tasks": "--max-live-tasks N allows more",
    "depth": _FIXED,
    "output": _FIXED,
    "source-size": _FIXED,
    "size": _FIXED,
}
