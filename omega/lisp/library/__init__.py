"""The library's Lisp sources: PRELUDE (procedures) and MACROS (syntax-rules).

Owns: where these texts are. Whatever calls a Lisp procedure back is written here, in Lisp, so that
it can wait, be cancelled and count steps like any other Lisp code.
"""

from __future__ import annotations

import os

PRELUDE = ("lists.omega", "sorting.omega", "vectors.omega", "tables.omega")
MACROS = ("macros.omega",)


def text_of(names: tuple[str, ...]) -> str:
    """The texts of these files, one after the other."""
    here = os.path.dirname(__file__)
    parts = []
    for name in names:
        with open(os.path.join(here, name), encoding="utf-8") as file:
            parts.append(file.read())
    return "\n".join(parts)
