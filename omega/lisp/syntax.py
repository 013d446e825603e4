"""Small constructors of Python syntax trees, each node at the Lisp place being compiled.

Owns: `Builder`: ast nodes with line and column of a Span; templates with placeholders.
Refuses: knowing what any of it means.
"""

from __future__ import annotations

import ast
import sys
from typing import Any

from omega.errors import Span
from omega.lisp.sites import NOWHERE, SITE, Files

LOAD, STORE = ast.Load(), ast.Store()
_HAS_TYPE_PARAMS = sys.version_info >= (3, 12)

Block = list[ast.stmt]


class Builder:
    """Makes nodes at the current place; `at(span)` moves it. site, files: see sites.py. file: the
    one whose code this is.
    """

    def __init__(self) -> None:
        self.site = 0
        self.file = ""
        self.files = Files()
        self.place: dict[str, Any] = {
            "lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0,
        }  # fmt: skip

    def at(self, span: Span | None) -> None:
        if span is not None:
            before = 0 if span.file == self.file else self.files.lines_before(span.file)
            self.place = {
                "lineno": span.line + before,
                "col_offset": min(span.column, SITE) - 1,
                "end_lineno": span.end_line + before,
                "end_col_offset": min(span.end_column, SITE) - 1 + self.site * SITE,
            }

    def nowhere(self) -> None:
        """What follows has no place of its own: a procedure calls its worker, which has all."""
        self.place = {**self.place, "end_col_offset": NOWHERE * SITE}

    def name(self, name: str) -> ast.Name:
        return ast.Name(name, LOAD, **self.place)

    def const(self, value: Any) -> ast.Constant:
        return ast.Constant(value, **self.place)

    def call(self, function: str | ast.expr, *arguments: ast.expr) -> ast.Call:
        if isinstance(function, str):
            function = self.name(function)
        return ast.Call(function, list(arguments), [], **self.place)

    def attribute(self, of: ast.expr, name: str) -> ast.Attribute:
        return ast.Attribute(of, name, LOAD, **self.place)

    def part_of(self, value: ast.expr, index: int) -> ast.Subscript:
        return ast.Subscript(value, self.const(index), LOAD, **self.place)

    def set_attribute(self, of: ast.expr, name: str, value: ast.expr) -> ast.Assign:
        target = ast.Attribute(of, name, STORE, **self.place)
        return ast.Assign([target], value, **self.place)

    def try_(self, body: Block, kind: str, name: str, handler: Block) -> ast.Try:
        """`try: body` / `except kind as name: handler`."""
        caught = ast.ExceptHandler(self.name(kind), name, handler, **self.place)
        return ast.Try(body, [caught], [], [], **self.place)

    def walrus(self, name: str, value: ast.expr) -> ast.NamedExpr:
        return ast.NamedExpr(ast.Name(name, STORE, **self.place), value, **self.place)

    def choose(self, test: ast.expr, then: ast.expr, other: ast.expr) -> ast.IfExp:
        return ast.IfExp(test, then, other, **self.place)

    def compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.Compare:
        return ast.Compare(left, [op], [right], **self.place)

    def not_(self, operand: ast.expr) -> ast.UnaryOp:
        return ast.UnaryOp(ast.Not(), operand, **self.place)

    def both(self, op: ast.boolop, values: list[ast.expr]) -> ast.BoolOp:
        return ast.BoolOp(op, values, **self.place)

    def tuple(self, items: list[ast.expr]) -> ast.Tuple:
        return ast.Tuple(items, LOAD, **self.place)

    def assign(self, name: str, value: ast.expr) -> ast.Assign:
        return ast.Assign([ast.Name(name, STORE, **self.place)], value, **self.place)

    def assign_all(self, names: list[str], value: ast.expr) -> ast.Assign:
        targets: list[ast.expr] = [ast.Name(name, STORE, **self.place) for name in names]
        return ast.Assign([ast.Tuple(targets, STORE, **self.place)], value, **self.place)

    def evaluate(self, value: ast.expr) -> ast.Expr:
        return ast.Expr(value, **self.place)

    def return_(self, value: ast.expr) -> ast.Return:
        return ast.Return(value, **self.place)

    def if_(self, test: ast.expr, body: Block, other: Block) -> ast.If:
        return ast.If(test, body or [self.pass_()], other, **self.place)

    def pass_(self) -> ast.Pass:
        return ast.Pass(**self.place)

    def break_(self) -> ast.Break:
        return ast.Break(**self.place)

    def continue_(self) -> ast.Continue:
        return ast.Continue(**self.place)

    def forever(self, body: Block) -> ast.While:
        return ast.While(self.const(True), body, [], **self.place)

    def per_step(self, body: Block, ran_out: Block) -> ast.For:
        """`for _ in _it: body` / `else: ran_out`: one step of the slice, or what to do when none is
        left.
        """
        target = ast.Name("_", STORE, **self.place)
        return ast.For(target, self.name("_it"), body, ran_out, **self.place)

    def global_(self, names: list[str]) -> ast.Global:
        return ast.Global(names, **self.place)

    def nonlocal_(self, names: list[str]) -> ast.Nonlocal:
        return ast.Nonlocal(names, **self.place)

    def def_(
        self,
        name: str,
        params: list[str],
        body: Block,
        optional: list[str] | None = None,
        rest: str | None = None,
    ) -> ast.FunctionDef:
        """A function; each of `optional` defaults to the unset mark `_U`."""
        every = [ast.arg(param, **self.place) for param in params + (optional or [])]
        arguments = ast.arguments(
            posonlyargs=[],
            args=every,
            vararg=ast.arg(rest, **self.place) if rest else None,
            kwonlyargs=[],
            kw_defaults=[],
            kwarg=None,
            defaults=[self.name("_U") for _ in optional or []],
        )
        extra: dict[str, Any] = {"type_params": []} if _HAS_TYPE_PARAMS else {}
        return ast.FunctionDef(name, arguments, body, [], None, None, **extra, **self.place)

    def fill(self, template: ast.expr, parts: dict[str, Any]) -> ast.expr:
        """A copy of `template` at this place, with the Names in `parts` replaced."""
        result: ast.expr = self._copy(template, parts)
        return result

    def _copy(self, node: Any, parts: dict[str, Any]) -> Any:
        if isinstance(node, ast.Name):
            part = parts.get(node.id)
            if part is None:
                return ast.Name(node.id, LOAD, **self.place)
            return part
        if isinstance(node, ast.NamedExpr):
            name = parts[node.target.id].id
            return self.walrus(name, self._copy(node.value, parts))
        if isinstance(node, ast.expr):
            fields = {name: self._copy(getattr(node, name), parts) for name in node._fields}
            return type(node)(**fields, **self.place)
        if isinstance(node, list):
            return [self._copy(item, parts) for item in node]
        return node  # an operator, or no node: it has no place


def parse_template(text: str) -> ast.expr:
    """A template from a Python expression."""
    return ast.parse(text, mode="eval").body


def calls_of(name: str, times: int) -> ast.Module:
    """A module of a function of this name that makes and calls so many functions of the same name,
    which do nothing yet; the value of the last is its own.
    """
    builder = Builder()
    builder.nowhere()
    body: Block = []
    for i in range(times):
        builder.place = {**builder.place, "lineno": i + 1, "end_lineno": i + 1}  # no two are equal
        body.append(builder.def_(name, [], [builder.pass_()]))
        body.append(builder.evaluate(builder.call(name)))
    body[-1] = builder.return_(builder.call(name))
    return ast.Module([builder.def_(name, [], body)], [])
