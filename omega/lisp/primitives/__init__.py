"""The primitives, one module per subject. `load()` imports them all and answers the table."""

from __future__ import annotations

from omega.lisp.primitives.registry import PRIMITIVES, Primitive


def load() -> dict[str, Primitive]:
    """Every primitive by its Lisp name."""
    from omega.lisp.primitives import (  # noqa: F401
        basics,
        bits,
        chars,
        complex,
        conditions,
        files,
        formatting,
        integers,
        json,
        lists,
        matching,
        numbers,
        ports,
        reals,
        regex,
        searching,
        strings,
        substrings,
        tables,
        vectors,
        walks,
    )

    return PRIMITIVES
