"""What the docstring of a Lisp procedure's Python function holds: signature, place, documentation.

Owns: its form. A code object knows its first line only, and costs nothing at run time to keep the
rest here:

    (f x . more)
    ;12:5-14:20
    ;>g 13:7-13:14 0        a site: see sites.py
    ;<other.omega           a file its text includes; lines of the n-th are FILE * n too high
    ;[13:2:13:20 vector-ref v i     a subscript: see refusals.py

    the documentation, if there is any

Natives and primitives are documented by hand: `(car pair) -> its first field`, and have no place.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any

from omega.errors import Span
from omega.lisp.names import mangle

_SITE, _FILE = ";>", ";<"
FILE = 1 << 23  # lines: a file has fewer
FILES_MAX = 200


def docstring(
    signature: str,
    span: Span | None,
    text: str | None,
    sites: Sequence[tuple[str, Span, int]] = (),
    files: Sequence[str] = (),
    subscripts: Sequence[str] = (),
) -> str:
    """files: those the text includes."""

    def written(span: Span) -> str:
        before = (files.index(span.file) + 1) * FILE if span.file in files else 0
        lines = (span.line + before, span.end_line + before)
        return f"{lines[0]}:{span.column}-{lines[1]}:{span.end_column}"

    lines = [signature]
    if span is not None:
        lines.append(f";{written(span)}")
    lines += [f"{_SITE}{mangle(name)} {written(call)} {outer}" for name, call, outer in sites]
    lines += [f"{_FILE}{file.encode('unicode_escape').decode()}" for file in files]
    lines += subscripts
    if text:
        lines += ["", text]
    return "\n".join(lines)


def sites_of(code: CodeType) -> list[tuple[str, tuple[int, int, int, int], int]]:
    """(name in Python's spelling, line, column and their ends of the call, outer site) of each site
    of a function.
    """
    found = []
    for line in lines_of(code, _SITE):
        name, span, outer = line.split(" ")
        at, column, end_line, end_column = map(int, span.replace("-", ":").split(":"))
        found.append((name, (at, column, end_line, end_column), int(outer)))
    return found


def files_of(code: CodeType) -> list[str]:
    """The file of a function's code, and those whose lines are shifted."""
    files = lines_of(code, _FILE)
    return [code.co_filename, *(file.encode().decode("unicode_escape") for file in files)]


def lines_of(code: CodeType, mark: str) -> list[str]:
    """What follows `mark` in the lines of a function's docstring that begin with it."""
    text = code.co_consts[0] if code.co_consts else None
    lines = text.partition("\n\n")[0].split("\n") if isinstance(text, str) else ()
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


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
    number, line = divmod(line, FILE)
    file = files_of(function.__code__)[number]
    return Span(file, line, column, end_line % FILE, end_column)


def documentation_of(function: Any) -> str:
    """The docstring for people, without the place; "" when there is none."""
    text = _of(function)
    if place_of(function) is None:
        return text
    head, blank, shown = text.partition("\n\n")
    return head.partition("\n")[0] + blank + shown


def _of(function: Any) -> str:
    text = getattr(function, "__doc__", None)
    return text if isinstance(text, str) else ""
