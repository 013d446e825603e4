"""The library under the reference: its own Lisp sources, expanded and evaluated by it.

Owns: LIBRARY: the values of library names, made when first asked for; top levels and expanders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from omega.errors import Source
from omega.lisp.data import Pair, Symbol
from omega.lisp.library import MACROS, PARTS, PRELUDE, SYNTAX, part_text, text_of
from omega.lisp.primitives.registry import Primitive as Registered
from omega.lisp.reader import read_all
from tests.lisp.reference.core import Node
from tests.lisp.reference.forms import SPECIALS, Forms
from tests.lisp.reference.primitives import HOST, PRIMITIVES, RUNTIME
from tests.lisp.reference.scopes import Macro, Top


class _Expander(Forms):
    def is_primitive(self, name: str) -> bool:
        return isinstance(RUNTIME.library.get(name), Registered)


_DEFINE_SYNTAX = Symbol.of("define-syntax")


class Library:
    """values: of the names asked for so far. sources: name -> its defining form."""

    def __init__(self) -> None:
        from tests.lisp.reference.control import CONTROL

        self.values: dict[str, Any] = {**PRIMITIVES, **CONTROL}
        self.sources: dict[str, Any] = {}
        self.top = Top(SPECIALS, lambda name: True, True)
        self._read(text_of(PRELUDE))
        for form, _ in read_all(Source("<macros>", text_of(MACROS))):
            self.expander(self.top, _no_transformer).program([form])
        for part in PARTS:
            text = part_text(part + SYNTAX)
            self._read(part_text(part))
            for form, _ in read_all(Source("<macros>", text)):
                self.expander(self.top, _no_transformer).program([form])

    def _read(self, text: str) -> None:
        for form, _ in read_all(Source("<library>", text)):
            if form.car is _DEFINE_SYNTAX:
                self.expander(self.top, _no_transformer).program([form])
                continue
            target = form.cdr.car
            while isinstance(target, Pair):
                target = target.car
            if isinstance(target, Symbol):
                self.sources[target.name] = form

    def offers(self, name: str) -> bool:
        return name[:1] != "%" and (name in self.values or name in self.sources)

    def program_top(self) -> Top:
        syntax = {name: SPECIALS.get(name, found) for name, found in self.top.syntax.items()}
        return Top(syntax, self.offers, False)

    def expander(self, top: Top, transformer: Callable[[Node, list[Node]], Any]) -> _Expander:
        return _Expander(top, transformer)

    @contextmanager
    def serving(self, machine: Any) -> Iterator[None]:
        before, HOST.machine = HOST.machine, machine
        try:
            yield
        finally:
            HOST.machine = before

    def value(self, name: str) -> Any:
        if name not in self.values:
            from tests.lisp.reference.machine import Frame, Machine

            (node,) = self.expander(self.top, _no_transformer).program([self.sources[name]])
            Machine().eval(node, Frame({}, None))
        return self.values[name]


def _no_transformer(node: Node, before: list[Node]) -> Any:
    raise AssertionError("the library has no macros of this kind")


LIBRARY = Library()
__all__ = ["LIBRARY", "Macro"]
