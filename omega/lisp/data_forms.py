"""The special forms that make data: records, quasiquote, hash table literals.

Owns: how `define-record-type`, templates and `{...}` become calls of the library.
Refuses: evaluating anything at expansion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.core import (
    Const,
    Node,
)
from omega.lisp.data import Nil, Pair, Symbol, spine, to_list
from omega.lisp.environment import (
    TABLE,
    Alias,
    TopLevel,
    symbol_of,
)
from omega.lisp.expander import AnyScope, Expander
from omega.lisp.reader import HASH_LITERAL
from omega.lisp.special import args, special


def _record_names(form: Any) -> list[Any]:
    parts = spine(form.cdr)
    names: list[Any] = []
    for i, part in enumerate(parts):
        items = spine(part) if isinstance(part, Pair) else [part]
        names += items[1:] if i > 2 else items[:1]
    return names


@special("define-record-type", _record_names)
def define_record_type(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    """R7RS 5.5; see `shape`."""
    shape = (
        "(define-record-type name (constructor field ...) predicate"
        " (field accessor [modifier]) ...)"
    )
    parts = args(ex, form, span, 3, None, shape)
    type_name = parts[0][0].car if isinstance(parts[0][0], Pair) else parts[0][0]
    ex.identifier(type_name, parts[0][1] or span)
    fields = []
    for spec, at in parts[3:]:
        items = [datum for datum, _ in ex.parts(spec)] if isinstance(spec, Pair) else [spec]
        if not 1 <= len(items) <= 3 or not all(isinstance(i, (Symbol, Alias)) for i in items):
            raise ex.error(
                "malformed record field", at or span, "expected (field accessor [modifier])"
            )
        fields.append(items)
    names = [items[0] for items in fields]
    if len(set(names)) < len(names):
        raise ex.error("a record field is named twice", span, "give every field a name of its own")
    shown = symbol_of(type_name)

    def reference(inner: AnyScope) -> Node:
        return ex.reference(type_name, inner, span)

    def call(name: str, *constants: Any) -> Callable[[AnyScope], Node]:
        return lambda inner: ex.library_call(
            name, [reference(inner), *(Const(span, c) for c in constants)], span
        )

    result: list[Any] = [
        (
            type_name,
            lambda _: ex.library_call(
                "%record-type",
                [Const(span, shown), Const(span, [symbol_of(name) for name in names])],
                span,
            ),
        )
    ]
    constructor, at = parts[1]
    if constructor is not False:
        name, indices = _constructor(ex, constructor, names, at or span)
        result.append((name, call("%record-constructor", symbol_of(name), indices)))
    predicate, at = parts[2]
    if predicate is not False:
        ex.identifier(predicate, at or span)
        result.append((predicate, call("%record-predicate", symbol_of(predicate))))
    for i, items in enumerate(fields):
        if len(items) > 1:
            result.append((items[1], call("%record-accessor", symbol_of(items[1]), i)))
        if len(items) > 2:
            result.append((items[2], call("%record-modifier", symbol_of(items[2]), i)))
    is_global = isinstance(scope, TopLevel)  # what a macro inserts has no name of its own there
    defined = [symbol_of(target) if is_global else target for target, _ in result]
    for name in defined:
        if defined.count(name) > 1:
            raise ex.error(
                f"this record type defines `{symbol_of(name).name}` twice",
                span,
                "its type, constructor, predicate and accessors need names of their own",
            )
    return result


def _constructor(
    ex: Expander, spec: Any, fields: list[Any], span: Span | None
) -> tuple[Any, list[int]]:
    """The name of a record's constructor, and the indices of the fields it is given."""
    if not isinstance(spec, Pair):
        return ex.identifier(spec, span), list(range(len(fields)))
    (name, _), *wanted = ex.parts(spec)
    indices: list[int] = []
    for datum, at in wanted:
        field = ex.identifier(datum, at or span)
        if field not in fields:
            raise ex.error(
                f"the record has no field `{symbol_of(field).name}`",
                at or span,
                "fields are declared behind the predicate: (field accessor)",
            )
        indices.append(fields.index(field))
        if len(set(indices)) < len(indices):
            raise ex.error(
                f"the constructor is given the field `{symbol_of(field).name}` twice",
                at or span,
                "name every field once",
            )
    return ex.identifier(name, span), indices


# -- quasiquote and hash literals ------------------------------------------------------------------


@special("quasiquote")
def quasiquote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    ((template, at),) = args(ex, form, span, 1, 1, "`template")
    return _quasi(ex, template, 1, scope, at or span)


def _unquoted(ex: Expander, datum: Any, scope: AnyScope, name: str) -> bool:
    return (
        isinstance(datum, Pair)
        and ex.is_literal(datum.car, scope, name)
        and isinstance(datum.cdr, Pair)
        and datum.cdr.cdr is Nil
    )


def _quasi(ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None) -> Node:
    if _unquoted(ex, datum, scope, "unquote"):
        if depth == 1:
            return ex.expand(datum.cdr.car, scope, getattr(datum.cdr, "car_span", span))
        return _kept(ex, "unquote", datum, depth - 1, scope, span)
    if _unquoted(ex, datum, scope, "quasiquote"):
        return _kept(ex, "quasiquote", datum, depth + 1, scope, span)
    if depth == 1 and _unquoted(ex, datum, scope, "unquote-splicing"):
        raise ex.error("a splice (,@) stands outside of a list or vector", span)
    if type(datum) is list:
        items = _quasi_list(ex, to_list(datum), depth, scope, span)
        if isinstance(items, Const):
            return Const(span, ex.constant(datum, span))
        return ex.library_call("list->vector", [items], span)
    if not isinstance(datum, Pair):
        return Const(span, ex.constant(datum, span))
    if datum.car is HASH_LITERAL:
        return _quasi_table(ex, datum, depth, scope, span)
    return _quasi_list(ex, datum, depth, scope, span)


def _quasi_table(ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None) -> Node:
    """A table template: a fresh table each time, a constant if nothing in it is computed."""
    nodes: list[Node] = []
    for item, at in ex.parts(datum)[1:]:
        if depth == 1 and _unquoted(ex, item, scope, "unquote-splicing"):
            raise ex.error(
                "a splice (,@) stands in a table literal",
                at or span,
                "(apply hash-table `(key value ,@more)) makes a table of a list",
            )
        nodes.append(_quasi(ex, item, depth, scope, at or span))
    if all(isinstance(node, Const) for node in nodes):
        return Const(span, ex.constant(datum, span))
    return ex.library_call("hash-table", nodes, span)


def _kept(
    ex: Expander, name: str, datum: Any, depth: int, scope: AnyScope, span: Span | None
) -> Node:
    """`(name part)` that stays in the result; its part is a template `depth` deep."""
    part = _quasi_list(ex, datum.cdr, depth, scope, span)
    return ex.library_call("cons", [Const(span, Symbol.of(name)), part], span)


def _quasi_list(ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None) -> Node:
    """A list template: runs of elements become (list ...); one append joins them and splices."""
    segments: list[tuple[bool, list[Node]]] = []  # (is a splice, nodes)
    at = datum
    while isinstance(at, Pair):
        ex.count(1)
        if at is not datum and (
            _unquoted(ex, at, scope, "unquote") or _unquoted(ex, at, scope, "quasiquote")
        ):
            break  # (a . ,b) and (a . `b)
        item = at.car
        where = getattr(at, "car_span", None) or span
        if depth == 1 and _unquoted(ex, item, scope, "unquote-splicing"):
            segments.append((True, [ex.expand(item.cdr.car, scope, where)]))
        else:
            if _unquoted(ex, item, scope, "unquote-splicing"):
                node = _kept(ex, "unquote-splicing", item, depth - 1, scope, where)
            else:
                node = _quasi(ex, item, depth, scope, where)
            if segments and not segments[-1][0]:
                segments[-1][1].append(node)
            else:
                segments.append((False, [node]))
        at = at.cdr
    tail = Const(span, Nil) if at is Nil else _quasi(ex, at, depth, scope, span)
    if all(not s and all(isinstance(n, Const) for n in ns) for s, ns in segments) and isinstance(
        tail, Const
    ):
        return Const(span, ex.constant(datum, span))
    pieces = [ns[0] if s else ex.library_call("list", ns, span) for s, ns in segments]
    if (
        isinstance(tail, Const) and tail.value is Nil
    ):  # a splice at the end may give an improper tail
        lone = len(pieces) == 1 and not segments[-1][0]
        return pieces[0] if lone else ex.library_call("append", pieces, span)
    return ex.library_call("append", [*pieces, tail], span)


@special("unquote")
@special("unquote-splicing")
def unquote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    raise ex.error("an unquote (, or ,@) outside of a quasiquote (`)", span)


def table(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return ex.library_call("hash-table", ex.each(ex.parts(form)[1:], scope), span)


TABLE.expand = table
