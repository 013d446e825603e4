"""Calls of primitives, written out as Python: templates filled with operands, pairs built in place.

Owns: `PrimitiveCalls`. Which operators and tests these are is in inline.py.
Refuses: calls of anything else (expressions.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from omega.lisp import inline
from omega.lisp.core import Call, Const, Local, Node, Variable
from omega.lisp.expressions import IDENTITY, Expressions, names
from omega.lisp.inline import Lows
from omega.lisp.versions import low_of, type_of

SUM_MAX = 30  # operands of a sum or product that is written out
LIST_MAX = 6  # operands of a `list`, or of a sum of what is work, that is written out


class PrimitiveCalls(Expressions):
    def inline(self, node: Call, name: str) -> ast.expr | None:
        arguments = node.arguments
        if node in self.kept and not self.pinned:
            return self._built(node)
        if name == "list" and 0 < len(arguments) <= LIST_MAX:
            made: ast.expr = self.name("_Nil")
            for value in reversed(self.operands(arguments)):
                made = self.call("_cons", value, made)
            return made
        if len(arguments) == 1 and name in inline.UNARY:
            return self._fill(inline.UNARY[name], arguments)
        if inline.CHECKED.get(name) == len(arguments):
            return self._inline_checked(name, arguments)
        if len(arguments) > 2 and name in ("+", "*"):
            # The primitive evaluates all operands before it adds any: only what is no work can
            # wait, unless nobody can tell.
            if len(arguments) > SUM_MAX:
                return None
            are_ints = name == "+" and all(type_of(argument) == "int" for argument in arguments)
            if not are_ints and not all(self.is_atom(argument) for argument in arguments[2:]):
                return self._evaluated_first(node, name)
        elif len(arguments) != 2:
            return None
        if name in ("eq?", "eqv?"):
            return self._inline_same(arguments, name)
        if name in inline.EXTREMES and len(arguments) == 2:
            return self._extreme(name, arguments)
        if name not in inline.BINARY:
            return None
        if len(arguments) > 2:  # left to right, as the primitive folds
            rest = Call(node.span, node.function, arguments[:-1])
            return self.inline(Call(node.span, node.function, [rest, arguments[-1]]), name)
        fused = self._sum_of_product(node, name)
        if fused is not None:
            return fused
        left, right = (
            argument.value if isinstance(argument, Const) else None for argument in arguments
        )
        kind = inline.kind_of(name, type_of(arguments[0]), type_of(arguments[1]), (left, right))
        sure = {"a": arguments[0], "b": arguments[1]}.get(kind.partition("-")[0])
        once = ""
        if sure is not None and not self.is_atom(sure):
            if name != "*" and self._is_sum(sure):
                once = kind[0].upper()
            else:
                kind = "both"  # a side that is known is written first, but is evaluated in order
        template = inline.BINARY[name][kind]
        if kind == "ints" and all(self.is_atom(argument) for argument in arguments):
            one, other = self.lows(arguments)
            template = inline.ATOMS_PRODUCT
            if one is not None or other is not None:
                template = inline.NATURAL_PRODUCT if one is not None else inline.PRODUCT_BY_NATURAL
        return self._fill(template, arguments, once)

    def _sum_of_product(self, node: Call, name: str) -> ast.expr | None:
        """A sum or difference of an atom and a product of which nothing is known, or None."""
        for i, product in enumerate(node.arguments):
            atom = node.arguments[1 - i]
            template = inline.SUMS_OF_PRODUCTS.get((name, i == 0, type_of(atom)))
            if template is None or not (isinstance(product, Call) and names(product, "*")):
                continue
            if [type_of(factor) for factor in product.arguments] != [None, None]:
                continue
            if not (self.is_atom(atom) and all(map(self.is_simple, product.arguments))):
                continue
            operands = [*product.arguments, atom] if i == 0 else [atom, *product.arguments]
            parts = self._parts(template, operands, self.operands(operands))
            place = self.place
            self.at(product.span)
            x, y = (parts["A"], parts["B"]) if i == 0 else (parts["B"], parts["C"])
            parts["D"] = self.call("_mul", x, y)
            self.place = place
            return self.fill(template, parts)
        return None

    def keep(self, nodes: Iterable[Node]) -> None:
        """What these make is kept by the procedure's own variables, or given back: pairs among them
        are made by statements. (The temporaries of a call in progress must name none: they would
        keep all of a list that the callee walks.)
        """
        for node in nodes:
            if isinstance(node, Call) and (
                (names(node, "cons") and len(node.arguments) == 2)
                or (names(node, "list") and 0 < len(node.arguments) <= LIST_MAX)
            ):
                self.kept.add(node)

    def _built(self, node: Call) -> ast.expr:
        """A pair or a list, from its first to its last: see docs/decisions/0002."""
        items, last = node.arguments, None
        if names(node, "cons"):
            items, last = items[:1], items[1]
        self.keep(node.arguments)
        place, at = self.place, ""
        first = ""
        for item in items:
            name = self.temp()
            self.built.append(name)
            self.out.append(self.assign(name, self.call("_Pair")))
            if at:
                self.out.append(self.set_attribute(self.name(at), "cdr", self.name(name)))
            first, at = first or name, name
            value = self.expr(item)
            self.out.append(self.set_attribute(self.name(at), "car", value))
        rest = self.name("_Nil") if last is None else self.expr(last)
        self.place = place
        self.out.append(self.set_attribute(self.name(at), "cdr", rest))
        return self.name(first)

    def _evaluated_first(self, node: Call, name: str) -> ast.expr | None:
        """`+` or `*` of operands that are work: they are evaluated, then they are added."""
        if len(node.arguments) > LIST_MAX:
            return None
        values = self.operands(node.arguments)
        atoms: list[Node] = []
        for i, (argument, value) in enumerate(zip(node.arguments, values, strict=True)):
            if isinstance(argument, Const) or (
                isinstance(argument, Local) and self.is_atom(argument)
            ):
                atoms.append(argument)
                continue
            var = Variable("operand")
            var.python, var.type, var.low = self.temp(), type_of(argument), None
            atoms.append(Local(argument.span, var))
            values[i] = self.walrus(var.python, value)
        total = self.inline(Call(node.span, node.function, atoms), name)
        if total is None:
            return None
        return self.part_of(self.tuple([*values, total]), len(values))

    def _is_sum(self, node: Node) -> bool:
        """Whether the operand is a sum or difference of integers that are no work: it cannot fail,
        and nobody can tell when it is evaluated.
        """
        return (
            isinstance(node, Call)
            and (names(node, "+") or names(node, "-"))
            and len(node.arguments) == 2
            and all(self.is_atom(part) and type_of(part) == "int" for part in node.arguments)
        )

    def _extreme(self, name: str, arguments: list[Node]) -> ast.expr | None:
        types = [type_of(argument) for argument in arguments]
        if not all(type_ in (None, "int") for type_ in types):
            return None
        # A side that is known is written without a test, so it has to be no work.
        left, right = (
            type_ == "int" and (types == ["int", "int"] or self.is_atom(argument))
            for type_, argument in zip(types, arguments, strict=True)
        )
        return self._fill(inline.EXTREMES[name][left, right], arguments)

    def _inline_checked(self, name: str, arguments: list[Node]) -> ast.expr | None:
        work = tuple(not self.is_atom(argument) for argument in arguments)
        if any(work[1:]) and not self.is_simple(arguments[1]):
            return None
        if any(work[2:]):
            return None
        second = arguments[1] if len(arguments) == 2 else None
        divisor = second.value if isinstance(second, Const) and type_of(second) == "int" else None
        types = tuple(type_of(argument) for argument in arguments)
        lows = self.lows(arguments)
        values = self.operands(arguments)
        bare = name in inline.SUBSCRIPTS
        template = inline.checked(name, types, lows, divisor, work, bare)
        parts = self._parts(template, arguments, values, folded="A")
        if bare and not self.subscripts.add(self.place, name, (parts["A"], parts["B"])):
            template = inline.checked(name, types, lows, divisor, work, False)
            parts = self._parts(template, arguments, values, folded="A")
        return self.fill(template, parts)

    def lows(self, operands: list[Node]) -> Lows:
        """Of each operand: 1 or 0 when it is an integer never below that."""
        found = [low_of(operand) for operand in operands]
        return tuple(None if low is None or low < 0 else min(low, 1) for low in found)

    def _inline_same(self, arguments: list[Node], name: str) -> ast.expr | None:
        for one, other in (arguments, reversed(arguments)):
            if isinstance(other, Const) and isinstance(other.value, IDENTITY):
                del one
                left, right = self.operands(arguments)
                return self.compare(left, ast.Is(), right)
        if name == "eqv?" and isinstance(arguments[1], Const) and type(arguments[1].value) is int:
            return self._fill(inline.EQV_INT, arguments)
        return None

    def _fill(self, template: ast.expr, nodes: list[Node], once: str = "") -> ast.expr:
        """The template with operands. once: letters of those it evaluates once, however it goes."""
        return self.fill(template, self._parts(template, nodes, self.operands(nodes), once))

    def _parts(
        self,
        template: ast.expr,
        nodes: list[Node],
        values: list[ast.expr],
        once: str = "",
        folded: str = "ABC",
    ) -> dict[str, Any]:
        """What stands in the template for its letters. folded: those of which CPython would make
        something else, subscripts and products, if the tuples that stand for literals were there.
        """
        parts: dict[str, Any] = {}
        again = inline.names_in(template)
        for letter, node, value in zip("ABC", nodes, values, strict=False):
            is_temp = isinstance(value, ast.Name) and value.id[:1] == "_"
            is_literal = (
                letter in folded
                and letter + "_" in again
                and isinstance(value, ast.Constant)
                and isinstance(value.value, tuple)
            )
            is_single = letter in once or letter not in again
            if (self.is_atom(node) and not is_literal) or is_temp or is_single:
                parts[letter] = parts[letter + "_"] = value
            else:
                name = self.temp()
                parts[letter] = self.name(name)
                parts[letter + "_"] = self.walrus(name, value)
        for letter in again & {"T"}:
            parts[letter] = self.name(self.temp())
        return parts
