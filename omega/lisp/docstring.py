"""What the docstring of a Lisp procedure's Python function holds: signature, place, documentation.

Owns: its form. A code object knows its first line only, and costs nothing at run time to keep the
rest here:

    (f x . more)
    ;12:5-14:20

    the documentation, if there is any

Natives and primitives are documented by hand: `(car pair) -> its first field`, and have no place.
"""

from __future__ import annotations

import re
from typing import Any

from omega.errors import Span

_PLACE = re.compile(r"\n;(\d+):(\d+)-(\d+):(\d+)")


def docstring(signature: str, span: Span | None, text: str | None) -> str:
    place = ""
    if span is not None:
        place = f"\n;{span.line}:{span.column}-{span.end_line}:{span.end_column}"
    return signature + place + (f"\n\n{text}" if text else "")


def signature_of(function: Any) -> str | None:
    """`(name param ...)` as shown to people; None when nothing is known of it."""
    line = _of(function).split("\n", 1)[0]
    return line.split(" -> ", 1)[0].strip() if line.startswith("(") else None


def place_of(function: Any) -> Span | None:
    """Where a procedure of a program was written."""
    found = _PLACE.search(_of(function))
    if found is None:
        return None
    line, column, end_line, end_column = map(int, found.groups())
    return Span(function.__code__.co_filename, line, column, end_line, end_column)


def documentation_of(function: Any) -> str:
    """The docstring for people, without the place; "" when there is none."""
    return _PLACE.sub("", _of(function), count=1)


def _of(function: Any) -> str:
    text = getattr(function, "__doc__", None)
    return text if isinstance(text, str) else ""
