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
    return _filled(ex, template, _quasi(ex, template, 1, scope, at or span), at or span)


def _filled(ex: Expander, template: Any, node: Node | None, span: Span | None) -> Node:
    """The node of a template; of one without holes, a constant."""
    return Const(span, ex.constant(template, span)) if node is None else node


def _unquoted(ex: Expander, datum: Any, scope: AnyScope, name: str) -> bool:
    return (
        isinstance(datum, Pair)
        and ex.is_literal(datum.car, scope, name)
        and isinstance(datum.cdr, Pair)
        and datum.cdr.cdr is Nil
    )


def _quasi(ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None) -> Node | None:
    """What makes a copy of the template with its holes filled; None when it has none."""
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
        return None if items is None else ex.library_call("list->vector", [items], span)
    if not isinstance(datum, Pair):
        return None
    if datum.car is HASH_LITERAL:
        return _quasi_table(ex, datum, depth, scope, span)
    return _quasi_list(ex, datum, depth, scope, span)


def _quasi_table(
    ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None
) -> Node | None:
    """A table template: a fresh table each time, a constant if nothing in it is computed."""
    parts: list[tuple[Any, Node | None, Span | None]] = []
    for item, at in ex.parts(datum)[1:]:
        if depth == 1 and _unquoted(ex, item, scope, "unquote-splicing"):
            raise ex.error(
                "a splice (,@) stands in a table literal",
                at or span,
                "(apply hash-table `(key value ,@more)) makes a table of a list",
            )
        parts.append((item, _quasi(ex, item, depth, scope, at or span), at or span))
    if all(node is None for _, node, _ in parts):
        return None
    return ex.library_call("hash-table", [_filled(ex, *part) for part in parts], span)


def _kept(
    ex: Expander, name: str, datum: Any, depth: int, scope: AnyScope, span: Span | None
) -> Node | None:
    """`(name part)` that stays in the result; its part is a template `depth` deep."""
    part = _quasi_list(ex, datum.cdr, depth, scope, span)
    if part is None:
        return None
    return ex.library_call("cons", [Const(span, Symbol.of(name)), part], span)


def _quasi_list(
    ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None
) -> Node | None:
    """A list template: runs of elements become (list ...); one append joins them and splices."""
    runs: list[Any] = []  # a Node for a splice, else (datum, its node if it has holes, place) each
    has_holes = False
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
            runs.append(ex.expand(item.cdr.car, scope, where))
            has_holes = True
        else:
            if _unquoted(ex, item, scope, "unquote-splicing"):
                node = _kept(ex, "unquote-splicing", item, depth - 1, scope, where)
            else:
                node = _quasi(ex, item, depth, scope, where)
            if not (runs and type(runs[-1]) is list):
                runs.append([])
            runs[-1].append((item, node, where))
            has_holes = has_holes or node is not None
        at = at.cdr
    tail = None if at is Nil else _quasi(ex, at, depth, scope, span)
    if not has_holes and tail is None:
        return None
    pieces = [
        ex.library_call("list", [_filled(ex, *part) for part in run], span)
        if type(run) is list
        else run
        for run in runs
    ]
    if at is not Nil:
        pieces.append(_filled(ex, at, tail, span))
    # A splice at the end may give an improper tail.
    lone = len(pieces) == 1 and type(runs[-1]) is list
    return pieces[0] if lone else ex.library_call("append", pieces, span)


@special("unquote")
@special("unquote-splicing")
def unquote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    raise ex.error("an unquote (, or ,@) outside of a quasiquote (`)", span)


def table(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return ex.library_call("hash-table", ex.each(ex.parts(form)[1:], scope), span)


TABLE.expand = table
