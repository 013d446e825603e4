"""`omega check FILE`: what can be seen to be wrong with a program without running it.

Owns: finding more than the first syntax error: a top-level form that does not expand is blanked out
and the rest is compiled again. Refuses: to run anything but macros.

What a blanked form would have defined is not reported as unbound.
"""

from __future__ import annotations

from typing import Any

from omega.cli import terminal
from omega.cli.advice import HOW_TO_RAISE
from omega.cli.dispatch import FAILED, LIMIT, OK
from omega.cli.options import usage
from omega.errors import OmegaBug, OmegaError, ReadError, Source, Span

ERRORS_MAX = 20  # syntax errors reported


def run(given: dict[str, Any], arguments: list[str]) -> int:
    if len(arguments) != 1:
        raise usage("check takes one FILE", "omega check FILE")
    from omega.cli.run import STDIN, read_program
    from omega.interpreter import Limits

    path = arguments[0]
    text = read_program(path, Limits().source_bytes)
    name = "<stdin>" if path == STDIN else path
    source = Source(name, text)
    found = check(text, name)
    for error, level in found:
        terminal.complain(
            error,
            lambda file: source if file == name else None,
            level=level,
            host_traceback=bool(given.get("host-traceback")),
        )
    if any(error.kind == "limit-exceeded" for error, _ in found):
        return LIMIT
    return FAILED if found else OK


def check(text: str, name: str) -> list[tuple[OmegaError, str]]:
    """(finding, "error" or "warning"), in the order of the text."""
    found: list[tuple[OmegaError, str]] = []
    blanked: set[str] = set()
    while len(found) < ERRORS_MAX:
        try:
            warnings = _compiled(text, name)
        except OmegaError as error:
            if isinstance(error, OmegaBug):
                raise
            found.append((error, "error"))
            form = None if isinstance(error, ReadError) else _form_around(text, name, error.span)
            if form is None:
                break
            blanked |= _names_defined(form[0])
            text = _without(text, form[1])
            continue
        for warning in warnings:
            if not (warning.kind == "unbound-variable" and _name_of(warning) in blanked):
                found.append((warning, "warning"))
        break
    return sorted(found, key=lambda each: _position(each[0].span))


def _compiled(text: str, name: str) -> list[OmegaError]:
    """The findings of a text. Raises its first syntax error."""
    from omega.interpreter import Interpreter

    with Interpreter(use_cache=True) as interpreter:
        interpreter.how_to_raise = HOW_TO_RAISE
        interpreter.only_text()
        interpreter.spawn_text(text, name)  # never run: closing ends it before it starts
        return list(interpreter.findings)


def _form_around(text: str, name: str, span: Span | None) -> tuple[Any, Span] | None:
    """The top-level form that holds a place, and where it stands."""
    if span is None or span.file != name:
        return None
    from omega.lisp.reader import read_all

    at = (span.line, span.column)
    for datum, place in read_all(Source(name, text), None):
        if (place.line, place.column) <= at < (place.end_line, place.end_column):
            return datum, place
    return None


def _names_defined(datum: Any) -> set[str]:
    """The names a `(define... name ...)` would have bound; for others, none."""
    from omega.lisp.data import Pair, Symbol

    if not isinstance(datum, Pair) or not str(datum.car).startswith("define"):
        return set()
    if isinstance(datum.car, Symbol) and datum.car.name in ("define-record-type", "define-values"):
        return {item.name for item in _symbols(datum.cdr)}
    target = datum.cdr.car if isinstance(datum.cdr, Pair) else None
    while isinstance(target, Pair):
        target = target.car
    return {target.name} if isinstance(target, Symbol) else set()


def _symbols(datum: Any) -> list[Any]:
    from omega.lisp.data import Pair, Symbol

    found, work = [], [datum]
    while work:
        item = work.pop()
        if isinstance(item, Symbol):
            found.append(item)
        elif isinstance(item, Pair):
            work += [item.car, item.cdr]
    return found


def _without(text: str, span: Span) -> str:
    """The text with a region blanked out: every other place stays where it is."""
    lines = text.split("\n")
    for number in range(span.line, span.end_line + 1):
        line = lines[number - 1]
        start = span.column - 1 if number == span.line else 0
        end = span.end_column - 1 if number == span.end_line else len(line)
        lines[number - 1] = line[:start] + " " * (end - start) + line[end:]
    return "\n".join(lines)


def _name_of(warning: OmegaError) -> str:
    """The name an unbound-variable finding is about: it stands between backquotes."""
    return warning.message.split("`")[1] if warning.message.count("`") >= 2 else ""


def _position(span: Span | None) -> tuple[int, int]:
    return (0, 0) if span is None else (span.line, span.column)
