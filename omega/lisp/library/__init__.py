"""The library's Lisp sources.

Owns: where these texts are, and which are there from the start: PRELUDE (procedures) and MACROS.
Every other file is a *part*: `streams.omega` holds its procedures, `streams-syntax.omega` its
macros, and both are loaded when a program first names something of theirs; PARTS says what that is.
Whatever calls a Lisp procedure back is written here, in Lisp, so that it can wait, be cancelled and
count steps like any other Lisp code.
"""

from __future__ import annotations

import os

from omega.lisp.library.index import PARTS as PARTS

PRELUDE = ("lists.omega", "sorting.omega", "vectors.omega", "tables.omega")
MACROS = ("macros.omega",)
SYNTAX = "-syntax"  # how the names of files of macros end

_HERE = os.path.dirname(__file__)


def text_of(names: tuple[str, ...]) -> str:
    """The texts of these files, one after the other."""
    texts = []
    for name in names:
        with open(os.path.join(_HERE, name), encoding="utf-8") as file:
            texts.append(file.read())
    return "\n".join(texts)


def part_text(part: str) -> str:
    """The text of one file of a part; "" when the part has no such file."""
    try:
        return text_of((part + ".omega",))
    except FileNotFoundError:
        return ""
