"""What a user sees of an error: place, code, fact, source line with caret, hint, Lisp backtrace,
task.

Owns: `report`, `as_data`. Refuses: colour and output (the command line's).

Invariant: a report is made of any error whatever, and any stream can print it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import OmegaBug, OmegaError, Source, Span, printable

LINE_MAX = 120  # columns of a source line that are shown
TRACE_SHOWN = 6


def report(error: OmegaError, source_of: Callable[[str], Source | None]) -> str:
    """The report of an error, without a final newline."""
    span = error.span
    head = f"{error.severity}[{error.code}]: {fact(error)}"
    lines = [f"{span}: {head}" if span is not None else head]
    if span is not None:
        lines += excerpt(span, source_of(span.file))
    for text, place in error.notes:
        if place is None:
            lines.append(f"  {text}")
        elif place != span:
            lines.append(f"  {text}: {place}")
            lines += excerpt(place, source_of(place.file))
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    trace = _trace(error)
    if trace:
        lines.append(f"  {trace}")
    if isinstance(error, OmegaBug):
        lines.append("  this is a mistake in Omega, not in the program; please report it")
    return printable("\n".join(lines))


def as_data(error: OmegaError) -> dict[str, Any]:
    """What a report says, as data for other programs: docs/cli.md, Diagnostics as JSON."""
    return {
        **_place(error.span),
        "severity": error.severity,
        "code": error.code,
        "kind": error.kind,
        "message": printable(fact(error)),
        "hint": None if error.hint is None else printable(error.hint),
        "notes": [{**_place(span), "message": printable(text)} for text, span in error.notes],
        "backtrace": [
            {**_place(span), "procedure": printable(name)}
            for name, span in error.lisp_traceback
            if name
        ],
        "task": _task(error),
    }


def _place(span: Span | None) -> dict[str, Any]:
    names = ("file", "line", "column", "end_line", "end_column")
    return {name: None if span is None else getattr(span, name) for name in names}


def fact(error: OmegaError) -> str:
    """What went wrong: the message, and the values that were given with it."""
    return error.message + _irritants(error)


def _irritants(error: OmegaError) -> str:
    cause = error.__cause__
    if error.kind == "tasks-failed" and isinstance(cause, OmegaError):
        error = cause  # the message ends with that one's
    if error.kind != "error" or not error.irritants:
        return ""  # other messages name their values themselves
    from omega.lisp.printer import shorten

    return "".join(" " + shorten(irritant, 60) for irritant in error.irritants)


def excerpt(span: Span, source: Source | None) -> list[str]:
    """The source line with the place underlined; nothing when the text is not at hand."""
    if source is None:
        source = _from_file(span.file)
    line = source.line(span.line) if source is not None else ""
    if not line.strip():
        return []
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    cut = max(0, start - LINE_MAX // 2) if len(line) > LINE_MAX else 0
    shown = line[cut : cut + LINE_MAX]
    # Tabs are kept in the line below, so that the caret stands under its place whatever a tab is
    # worth.
    gap = "".join("\t" if c == "\t" else " " for c in line[cut:start])
    width = max(1, min(end, cut + LINE_MAX) - start)
    number = f"{span.line:>5}"
    return [f"{number} | {shown}", f"{' ' * len(number)} | {gap}{'^' * width}"]


def _from_file(path: str) -> Source | None:
    if path.startswith("<"):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return Source(path, file.read(4_000_000))
    except (OSError, ValueError):  # no text, or a name no file can have
        return None


def _trace(error: OmegaError) -> str:
    places = [(name, span) for name, span in error.lisp_traceback if name]
    parts: list[str] = []
    runs: list[tuple[str, Span, int]] = []  # the same call again and again is shown once
    for name, span in places:
        if runs and runs[-1][:2] == (name, span):
            runs[-1] = (name, span, runs[-1][2] + 1)
        else:
            runs.append((name, span, 1))
    for i, (name, span, times) in enumerate(runs[:TRACE_SHOWN]):
        often = " again and again" if times > 2 else ""
        parts.append(f"{'called from' if i else 'in'} {name} ({span}){often}")
    if len(runs) > TRACE_SHOWN:
        parts.append(f"and {len(runs) - TRACE_SHOWN} more")
    task = _task(error)
    if task is not None:
        parts.append(f'task "{task}"')
    return ", ".join(parts)


def _task(error: OmegaError) -> str | None:
    """The task to name: not the one that has its name from the text the place is in, `<eval>` from
    `<eval 2>`.
    """
    task, span = error.task, error.span
    if task is None or span is None:
        return task
    return None if task in (span.file, f"{span.file.rpartition(' ')[0]}>") else task
