"""Where forms stand that the reader did not make: copies of its, and lists put together.

Owns: `Places`.
Refuses: knowing anything of pairs that carry their place themselves (reader.SourcePair).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.data import Pair
from omega.lisp.reader import SourcePair


class Places:
    def __init__(self) -> None:
        # The pair is kept, so that its id stays its own.
        self._known: dict[int, tuple[Pair, Span | None, Span | None]] = {}

    def note(self, pair: Pair, place: Span | None, first: Span | None) -> None:
        """The list from `pair` on stands at `place`, its first element at `first`."""
        self._known[id(pair)] = (pair, place, first)

    def of(self, pair: Pair) -> tuple[Span | None, Span | None]:
        """Where the list from `pair` on stands, and its first element."""
        if isinstance(pair, SourcePair):
            return pair.span, pair.car_span
        known = self._known.get(id(pair))
        return (known[1], known[2]) if known is not None and known[0] is pair else (None, None)

    def copy(self, form: Any, copy: Any, count: Callable[[int], None]) -> None:
        """`copy` has the shape of `form`: let it stand where that does. count: called with the
        pairs that were looked at; may raise.
        """
        work = [(form, copy)]
        while work:
            form, copy = work.pop()
            while isinstance(form, Pair):
                if id(copy) in self._known:
                    break
                self.note(copy, *self.of(form))
                count(1)
                if isinstance(form.car, Pair):
                    work.append((form.car, copy.car))
                form, copy = form.cdr, copy.cdr
