"""What the docstring of a Lisp procedure's Python function holds: signature, place, documentation.

Owns: its form. A code object knows its first line only, and costs nothing at run time to keep the
rest here:

    (f x . more)
    ;12:5-14:20

    the documentation, if there is any

Natives and primitives are documented by hand: `(car pair) -> its first field`, and have no place.
"""

from __future__ import annotations

from typing import Any

from omega.errors import Span


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
    _, mark, rest = _of(function).partition("\n;")
    numbers = rest.partition("\n")[0].replace("-", ":").split(":")
    if not mark or len(numbers) != 4 or not all(number.isdigit() for number in numbers):
        return None
    line, column, end_line, end_column = map(int, numbers)
    return Span(function.__code__.co_filename, line, column, end_line, end_column)


def documentation_of(function: Any) -> str:
    """The docstring for people, without the place; "" when there is none."""
    text = _of(function)
    if place_of(function) is None:
        return text
    head, _, rest = text.partition("\n;")
    _, blank, shown = rest.partition("\n")
    return head + blank + shown


def _of(function: Any) -> str:
    text = getattr(function, "__doc__", None)
    return text if isinstance(text, str) else ""
