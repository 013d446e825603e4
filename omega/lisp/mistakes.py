"""What goes wrong with expanding a text: several mistakes of it at once, macros without an end.

Owns: `Mistakes`: which errors the expander goes on after, and what it then takes a name for;
`too_much`.
Refuses: to let a text with a mistake run: `raise_first` ends its expansion.

What is put together wrongly becomes a constant, and a macro that could not be made one that expands
into a constant, so that a mistake is met once.
"""

from __future__ import annotations

from typing import Any

from omega.errors import LimitExceeded, LispError, LispSyntaxError, OmegaError, Span
from omega.lisp.core import Const
from omega.lisp.data import Pair, Symbol
from omega.lisp.environment import Macro, Special, TopLevel
from omega.lisp.expansion import size_of

MISTAKES_MAX = 20  # of one text that are told
ENDLESS_USES_MIN = 100  # uses of a macro within each other from which on it may be endless
SIZE_MAX = 100_000  # of a form, when sizes are compared
_MACRO_FORMS = frozenset({"define-syntax", "define-macro"})


class Mistakes:
    def __init__(self) -> None:
        self.found: list[LispError] = []

    def accept(self, error: LispError) -> None:
        """Note an error that the expansion goes on after.

        The code of a macro fails easily where a procedure it calls has a mistake: once there is
        one, such a failure tells nothing.
        """
        is_news = isinstance(error, LispSyntaxError) or not self.found
        if is_news and len(self.found) < MISTAKES_MAX:
            self.found.append(error)
            self.found += [other for other in error.others if isinstance(other, LispError)]
            error.others = ()

    def accept_definition(self, error: LispError, form: Any, meaning: Any, top: TopLevel) -> None:
        """As `accept`, of a form at the top level: the macro it would have made is known as one."""
        if isinstance(meaning, Special) and meaning.name in _MACRO_FORMS:
            target = form.cdr.car if isinstance(form.cdr, Pair) else None
            name = target.car if isinstance(target, Pair) else target
            if isinstance(name, Symbol):
                nothing = Const(None, None)
                top.syntax[name.name] = Macro(name.name, lambda use, scope, expander: nothing)
        self.accept(error)

    def in_order(self) -> list[OmegaError]:
        """The mistakes, as the text has them."""
        return sorted(self.found, key=_place)

    def raise_first(self) -> None:
        """Raise the first mistake, if there is one; the others are its `others`."""
        found = self.in_order()
        if found:
            found[0].others = found[1:]
            raise found[0]


def _place(error: OmegaError) -> tuple[int, int]:
    span: Span | None = error.span
    return (0, 0) if span is None else (span.line, span.column)


def too_much(chain: list[tuple[Macro, Any]], used: int, allowed: int, what: str) -> LimitExceeded:
    """The error for forms beyond a limit. chain: the macro uses they came out of; a macro that goes
    on and on is named.
    """
    macro = _endless(chain)
    if macro is None:
        return LimitExceeded("nesting", used, allowed, what)
    error = LimitExceeded(
        "nesting", None, None, f"macro `{macro.name}` expands into itself without end",
        hint=f"`{macro.name}` needs a case that does not use `{macro.name}` again",
    )  # fmt: skip
    if macro.span is not None:
        error.notes.append((f"`{macro.name}` is defined here", macro.span))
    return error


def _endless(chain: list[tuple[Macro, Any]]) -> Macro | None:
    """The macro the current form comes out of again and again, if its uses grow no smaller."""
    uses: dict[Macro, list[Any]] = {}
    for macro, form in chain:
        uses.setdefault(macro, []).append(form)
    if not uses:
        return None
    macro, forms = max(uses.items(), key=lambda item: len(item[1]))
    if len(forms) < ENDLESS_USES_MIN:
        return None
    last, before = forms[-1], forms[len(forms) // 2]
    return macro if size_of([last], SIZE_MAX) >= size_of([before], SIZE_MAX) else None
