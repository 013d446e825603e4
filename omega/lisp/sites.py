"""Where code comes from that a code object's own file and lines do not tell: calls that were
replaced, forms of included files.

Owns: how code of a procedure that was put in place of a call keeps both places. The end column of
its instructions is shifted by `SITE` for each *site*, a call that was replaced; what the sites are
stands in the function's docstring (docstring.py). Likewise the line of what a text includes is
shifted by `FILE` for each file. So it costs nothing at run time, and a backtrace shows the same
calls as if they were made.
"""

from __future__ import annotations

from itertools import islice
from types import CodeType

from omega.errors import Span
from omega.lisp.docstring import FILE, FILES_MAX, files_of, sites_of
from omega.lisp.names import demangle

SITE = 1 << 20  # columns; a place further right in its line is told as if it were there
SITES_MAX = 1_000  # of one function
NOWHERE = SITES_MAX + 1  # the site of what is to stand in no backtrace


class Files:
    """The files of the text that is being emitted, other than its own."""

    def __init__(self) -> None:
        self.known: list[str] = []

    def lines_before(self, file: str) -> int:
        """How far the lines of `file` are shifted. Beyond FILES_MAX files, places are those of the
        last.
        """
        if file not in self.known and len(self.known) < FILES_MAX:
            self.known.append(file)
        number = self.known.index(file) if file in self.known else FILES_MAX - 1
        return (number + 1) * FILE


class Sites:
    """The sites of the function that is being emitted; site 0 is its own code."""

    def __init__(self) -> None:
        self.known: list[tuple[str, Span, int]] = []

    def number(self, callee: str, call: Span | None, outer: int) -> int:
        """The site for the code of `callee` in place of `call`, which stands at site `outer`; when
        there is no room, that of its surroundings.
        """
        if call is None:
            return outer
        site = (callee, call, outer)
        if site in self.known:
            return self.known.index(site) + 1
        if len(self.known) == SITES_MAX:
            return outer
        self.known.append(site)
        return len(self.known)


def places(code: CodeType, instruction: int) -> list[tuple[str, Span]]:
    """(procedure, place) of an instruction (a tb_lasti) of generated code: its own, then those of
    the calls it was inlined for, innermost first.
    """
    position = next(islice(code.co_positions(), instruction // 2, None), None)
    if position is None:
        return []
    line, end_line, column, end_column = position
    if line is None or column is None:
        return []
    files = files_of(code)
    site, end_column = divmod(end_column or column, SITE)
    if site == NOWHERE:
        return []
    span = _place(files, line, column + 1, end_line or line, end_column + 1)
    found: list[tuple[str, Span]] = []
    sites = sites_of(code) if site else []
    while site:
        callee, numbers, site = sites[site - 1]
        found.append((demangle(callee), span))
        span = _place(files, *numbers)
    found.append(("" if code.co_name == "_unit" else demangle(code.co_name), span))
    return found


def _place(files: list[str], line: int, column: int, end_line: int, end_column: int) -> Span:
    number, line = divmod(line, FILE)
    return Span(files[number], line, column, end_line % FILE, end_column)
