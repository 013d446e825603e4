"""What expansion costs: forms that are looked at, steps charged for them, forms without an end.

Owns: `Work`, the account of one text; `size_of`, `goes_round`.
Refuses: errors with places (the expander's).

A text's own forms are free: its length is limited. What macros make of them is not, since a few
lines of macros that double their argument make any number of forms: every further form that is
looked at costs what compiling it costs, and no text may make more than MADE_MAX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from omega.lisp.data import Pair, Symbol

LOOKS = 2  # how often an element of a text is looked at without being paid for
STEPS_PER_FORM = 50  # about 40 us: read, expanded, analysed, emitted, compiled by CPython
PAID_AT_ONCE = 64  # forms
MADE_MAX = 300_000  # forms that the macros of one text may make

_QUOTE = Symbol.of("quote")


class Work:
    """charge: called with steps; may raise. steps: charged so far."""

    def __init__(self, charge: Callable[[int], None]) -> None:
        self.charge = charge
        self.steps = 0
        self.made = 0  # forms beyond the text's own
        self._looks = 0
        self._due = PAID_AT_ONCE  # looks at which to pay again

    def text(self, elements: int) -> None:
        """A text of so many elements is to be expanded."""
        self._due += LOOKS * elements

    def count(self, looks: int) -> bool:
        """Note that so many more forms are looked at; False: they are too many."""
        self._looks += looks
        return self._looks < self._due or self._pay()

    def _pay(self) -> bool:
        made = self._looks - self._due + PAID_AT_ONCE
        self._due = self._looks + PAID_AT_ONCE
        self.made += made
        self.steps += made * STEPS_PER_FORM
        self.charge(made * STEPS_PER_FORM)
        return self.made <= MADE_MAX


def size_of(forms: Iterable[Any], most: int) -> int:
    """How many pairs and elements of vectors `forms` hold, about `most` at most."""
    size, work = 0, list(forms)
    while work and size < most:
        item = work.pop()
        while isinstance(item, Pair) and size < most:
            size += 1
            if isinstance(item.car, Pair) or type(item.car) is list:
                work.append(item.car)
            item = item.cdr
        if type(item) is list:
            size += len(item)
            work += item
    return size


def goes_round(form: Any) -> bool:
    """Whether a form contains itself, quoted data aside: no code does."""
    below: dict[int, bool] = {}  # False: all of it was looked at
    work: list[tuple[Any, bool]] = [(form, False)]
    while work:
        item, leaving = work.pop()
        if leaving:
            below[id(item)] = False
        elif isinstance(item, Pair):
            known = below.get(id(item))
            if known:
                return True
            if known is None and item.car is not _QUOTE:
                below[id(item)] = True
                work += ((item, True), (item.cdr, False))
                if isinstance(item.car, Pair) or type(item.car) is list:
                    work.append((item.car, False))
        elif type(item) is list:  # a pattern, a template, or data that ought to be quoted
            known = below.get(id(item))
            if known:
                return True
            if known is None:
                below[id(item)] = True
                work.append((item, True))
                work += [(x, False) for x in item if isinstance(x, Pair) or type(x) is list]
    return False
