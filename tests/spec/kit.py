"""The format of specs: a file's sections, their expressions, what is expected of each. It is
described at the head of tests/test_specs.py.

Owns: `sections_of`, `Section`, `Expression`. Refuses: running anything (test_specs.py does), so
that documentation can count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omega.errors import OmegaError, Source
from omega.lisp.reader import read_all

FOLDER = Path(__file__).resolve().parent
OPTIONS = frozenset({"only", "depth", "fuel", "llm", "seed", "files", "refused"})
_EXPECTATION = re.compile(r";(=>|!!|>>)")
_OPTION = re.compile(r"\s*;%%\s+(\S+)\s+(.+?)\s*$")
_ENDS_PROGRAMS = ("E1", "E8")  # codes of reading and syntax, and of limits


class SpecError(Exception):
    """The spec itself is malformed."""


class Expression:
    """One top-level expression: where it stands, and what is expected of it."""

    def __init__(self, file: str, line: int, text: str, start: int, end: int) -> None:
        self.file, self.line, self.text, self.start, self.end = file, line, text, start, end
        self.value: str | None = None
        self.error: tuple[str, str] | None = None
        self.output: str | None = None

    @property
    def is_checked(self) -> bool:
        return not (self.value is None and self.error is None and self.output is None)

    def expect(self, kind: str, text: str) -> None:
        if kind == "=>":
            if self.value is not None or self.error is not None:
                raise SpecError(f"{self.file}:{self.line}: a second expectation of a value")
            self.value = text
        elif kind == "!!":
            if self.value is not None or self.error is not None:
                raise SpecError(f"{self.file}:{self.line}: a second expectation of a value")
            code, _, pattern = text.partition(" ")
            if not re.fullmatch(r"E\d\d\d", code):
                raise SpecError(f"{self.file}:{self.line}: `;!!` needs a code, got {text!r}")
            self.error = (code, pattern.strip())
        else:
            if self.output is not None:
                raise SpecError(f"{self.file}:{self.line}: a second expectation of output")
            self.output = text


class Section:
    """A part of a spec between `---` lines. `line`: of its first line, from 1."""

    def __init__(self, file: str, line: int, text: str) -> None:
        self.file, self.line, self.text = file, line, text
        self.options: dict[str, str] = {}
        self.expressions: list[Expression] = []
        self.title = self._parse()

    def _parse(self) -> str:
        lines = self.text.split("\n")
        title = ""
        for n, line in enumerate(lines):
            if match := _OPTION.match(line):
                if match[1] not in OPTIONS:
                    raise SpecError(f"{self.file}:{self.line + n}: unknown option {match[1]!r}")
                self.options[match[1]] = match[2]
            elif not title and re.match(r";\s+\w", line):
                title = line.lstrip("; ").strip()
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        spans = [span for _, span in self._forms() if span is not None]
        claimed: set[int] = set()
        for i, span in enumerate(spans):
            start = starts[span.line - 1] + span.column - 1
            end = starts[span.end_line - 1] + span.end_column - 1
            found = Expression(
                self.file, self.line + span.line - 1, self.text[start:end], start, end
            )
            until = spans[i + 1].line if i + 1 < len(spans) else len(lines) + 1
            self._claim(found, lines, span, until, claimed)
            self.expressions.append(found)
        for n, line in enumerate(lines):
            if _EXPECTATION.search(line) and n not in claimed:
                raise SpecError(
                    f"{self.file}:{self.line + n}: this expectation is of no expression"
                )
        if not any(e.is_checked for e in self.expressions):
            raise SpecError(f"{self.file}:{self.line}: a section that expects nothing")
        return title

    def _forms(self) -> list[Any]:
        """The forms; those that are meant to be unreadable stand in `(unreadable "text")`."""
        try:
            return read_all(Source(self.file, self.text))
        except OmegaError as error:
            raise SpecError(f"{self.file}:{self.line}: section cannot be read: {error}") from None

    def _claim(
        self, found: Expression, lines: list[str], span: Any, until: int, claimed: set[int]
    ) -> None:
        """Take the expectations behind an expression, and those on comment lines below it."""
        n = span.end_line - 1
        text = lines[n][span.end_column - 1 :]
        while True:
            match = re.match(r"\s*;(=>|!!|>>)(.*)$", text)
            if match:
                claimed.add(n)
                parts = re.split(r"\s;(=>|!!|>>)", " ;" + match[1] + match[2])[1:]
                for kind, content in zip(parts[::2], parts[1::2], strict=True):
                    found.expect(kind, content.strip())
            elif n >= span.end_line:
                return
            n += 1
            if n + 1 >= until or n >= len(lines):
                return
            text = lines[n]

    @property
    def modes(self) -> Iterator[str]:
        only = self.options.get("only")
        if only != "program":
            yield "prompt"
        ends = any(
            e.error and (e.error[0].startswith(_ENDS_PROGRAMS) or e.text.startswith("(define"))
            for e in self.expressions
        )
        if only != "prompt" and not ends:
            yield "program"


def sections_of(path: Path) -> list[Section]:
    found: list[Section] = []
    line, start = 1, 1
    held: list[str] = []
    for text in [*path.read_text().split("\n"), "---"]:
        if text.rstrip() == "---":
            if any(part.strip() for part in held):
                found.append(Section(path.name, start, "\n".join(held)))
            held, start = [], line + 1
        else:
            held.append(text)
        line += 1
    if not found:
        raise SpecError(f"{path.name}: a spec without sections")
    return found
