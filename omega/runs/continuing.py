"""`(continue-as procedure argument ...)`: a long run ends, and goes on in a fresh journal.

Owns: `continued_text`: the program of the next incarnation: the definitions of this one, then the
call; `text_of`: the same of another program; `Continuation`.
Refuses: to carry anything over but the arguments: what is not in them is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from omega.errors import Source
from omega.lisp.data import Pair, Symbol, spine
from omega.lisp.printer import write_string
from omega.lisp.reader import read_all

# Beginnings of top-level forms that the next incarnation has as well, besides every `define...`.
KEPT = frozenset(("import", "include", "include-ci", "library"))
ALL_OF = frozenset(("begin",))  # kept when all in it is
ARGUMENTS = "continued-arguments"
CONTINUED = "continued"  # in a header: the Continuation that this incarnation began with


class Continuation(NamedTuple):
    """procedure: the name of a global one. arguments: as a journal keeps them."""

    procedure: str
    arguments: list[Any]


def continued_text(text: str, file: str, procedure: str) -> str:
    """The definitions of `text`, each where it stands there, and a call of `procedure` with the
    arguments that the run was given.
    """
    lines = text.split("\n")
    blank = [[" "] * len(line) for line in lines]
    for form, span in read_all(Source(file, text), None):
        if _is_kept(form):
            for number in range(span.line, span.end_line + 1):
                line = lines[number - 1]
                begin = span.column - 1 if number == span.line else 0
                end = span.end_column - 1 if number == span.end_line else len(line)
                blank[number - 1][begin:end] = line[begin:end]
    kept = "\n".join("".join(line).rstrip() for line in blank).rstrip("\n")
    return f"{kept}\n(apply {write_string(Symbol.of(procedure))} ({ARGUMENTS}))\n"


def text_of(text: str, file: str, header: Mapping[str, Any]) -> str:
    """What a run with this header runs of a program: all of it, or, once the run has begun anew,
    what it would if `continue-as` had led to this program. The same once more changes nothing.
    Raises ReadError.
    """
    continued = header.get(CONTINUED)
    return text if continued is None else continued_text(text, file, continued["procedure"])


def _is_kept(form: Any) -> bool:
    head = form.car if isinstance(form, Pair) else None
    if not isinstance(head, Symbol):
        return False
    if head.name in ALL_OF:
        return all(_is_kept(each) for each in list(spine(form))[1:])
    return head.name.startswith("define") or head.name in KEPT
