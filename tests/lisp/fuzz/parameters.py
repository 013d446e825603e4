"""Procedures with optional, keyword and rest parameters, and calls that fit them, or do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lisp.fuzz.forms import Form

if TYPE_CHECKING:
    from tests.lisp.fuzz.expressions import Scope
    from tests.lisp.fuzz.generator import Generator


class Shape:
    """A parameter list of one required parameter and others, which are integers, and what is given
    for them.
    """

    def __init__(self, make: Generator) -> None:
        self.of = make.kind()
        self.first, self.second, self.third = make.names(3)
        self.variant = make.pick(5)

    def procedure(self, make: Generator, kind: str, scope: Scope, depth: int) -> list[Form]:
        """["lambda", parameters, body ...]"""
        inner = scope.having(self.first, self.of)
        default = make.expr("int", inner, depth)
        second, third = [self.second, default], [self.third, make.leaf("int", scope)]
        params: Form = {
            0: [self.first, second],
            1: [self.first, ":key", second],
            2: [self.first, ".", self.second],
            3: [self.first, second, ":key", third],
            4: [self.first, ":other", third, ":key", second],
        }[self.variant]
        inner = inner.having(self.second, "list" if self.variant == 2 else "int")
        if self.variant > 2:
            inner = inner.having(self.third, "int")
        return ["lambda", params, *make.sequence(kind, inner, depth)]

    def call(self, make: Generator, name: str, scope: Scope, depth: int) -> Form:
        extra = make.expr("int", scope, depth)
        keyed: list[Form] = [":key", extra] if make.one_in(2) else []
        match self.variant:
            case 0:
                more: list[Form] = [extra] * make.pick(2)
            case 2:
                more = [extra] * make.pick(3)
            case 3:
                more = [make.expr("any" if make.one_in(6) else "int", scope, depth), *keyed]
                more = more[make.pick(2) :]
            case 4:
                more = [":other", make.leaf("int", scope), *keyed]
                if make.one_in(2):
                    more = [*keyed, ":other", make.leaf("int", scope)]
            case _:
                more = keyed
        if make.one_in(20):
            more = [make.choose((":other", ":key", ":else")), *more]
        return [name, make.expr(self.of, scope, depth), *more]
