"""The table of special forms, and what every form's expansion starts with.

Owns: SPECIALS, `@special`, `args`. The forms themselves: forms.py, binding_forms.py,
data_forms.py and macros.py fill the table when they are imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.environment import (
    Macro,
    Special,
    TopLevel,
)
from omega.lisp.expander import AnyScope, Expander, Part

SPECIALS: dict[str, Special | Macro] = {}

Handler = Callable[[Expander, Any, AnyScope, Span | None], Any]


def special(
    name: str, names: Callable[[Any], list[Any]] | None = None, *, declares: bool = False
) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        SPECIALS[name] = Special(name, handler, names, declares=declares)
        return handler

    return register


def args(
    ex: Expander, form: Any, span: Span | None, low: int, high: int | None, shape: str
) -> list[Part]:
    """The parts after the keyword, when there are `low` to `high` of them."""
    parts = ex.parts(form)[1:]
    if len(parts) < low or (high is not None and len(parts) > high):
        fact = f"malformed `{ex.called(form)}`"
        if parts and len(parts) == low - 1 and shape.endswith(" body ...)"):
            fact += ": it has no body"
        raise ex.error(fact, span, f"expected {shape}")
    return parts


def specials_scope() -> TopLevel:
    """A scope in which every special form has its name, whatever the program calls so."""
    return TopLevel(dict(SPECIALS), {})
