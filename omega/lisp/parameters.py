"""Parameter lists: what a procedure takes, and the core Lambda of it.

Owns: `procedure`: required, optional, keyword and rest parameters with their defaults, the
signature shown to people, the doc string. language.md, Forms.
Refuses: binding what a call gives to them (keywords.py, at run time).
"""

from __future__ import annotations

from typing import Any

from omega.errors import Span
from omega.lisp.arity import ANONYMOUS
from omega.lisp.core import Const, Lambda, Node, Variable
from omega.lisp.data import Keyword, Nil, Pair, Symbol, cons
from omega.lisp.environment import Alias, Scope, strip, symbol_of
from omega.lisp.expander import AnyScope, Expander, Part, shown

SIGNATURE_MAX = 1_000  # characters of a signature


def procedure(
    ex: Expander,
    name: str,
    params: Any,
    body: list[Part],
    scope: AnyScope,
    span: Span | None,
    what: str | None = None,
) -> Lambda:
    """A procedure of a parameter list and a body. what: how an error calls it, if not by name."""
    inner = Scope(scope)
    node = Lambda(span, name, [], Const(span, None))
    node.signature = _signature(name, params)
    at = params
    mode = "required"
    while isinstance(at, Pair):
        item, place = at.car, ex.place_of_car(at) or span
        if isinstance(item, Keyword):
            mode = "keys"
            at = _keyword_parameter(ex, node, at, inner, place)
            continue
        if isinstance(item, Pair):
            if mode == "keys":
                raise ex.error(
                    "an optional parameter follows a keyword one",
                    place,
                    "write optional parameters before the first keyword",
                )
            mode = "optional"
            default = _default(ex, item, inner, place)
            node.optional.append((_parameter(ex, item.car, node, inner, place), default))
        elif mode == "required":
            node.required.append(_parameter(ex, item, node, inner, place))
        else:
            raise ex.error(
                f"required parameter `{shown(item)}` follows an optional one",
                place,
                f"move it before them, or give it a default: ({shown(item)} value)",
            )
        at = at.cdr
    if at is not Nil:
        if node.keys or node.all_keys:
            raise ex.error(
                "keyword and rest parameters exclude each other",
                span,
                ":* table collects unknown keywords",
            )
        node.rest = _parameter(ex, at, node, inner, span)
    if len(body) > 1 and isinstance(body[0][0], str):
        node.doc = body[0][0]
    node.body = ex.body(body, inner, span, f"`{what or name}`")
    return node


def _parameter(ex: Expander, name: Any, node: Lambda, inner: Scope, place: Span | None) -> Variable:
    if isinstance(name, (Symbol, Alias)) and name in inner.bindings:
        raise ex.error(
            f"parameter `{symbol_of(name).name}` is declared twice in {_declared(node)}",
            place,
            "give one of the two another name",
        )
    return ex.bind(name, inner, place)


def _keyword_parameter(
    ex: Expander, node: Lambda, at: Pair, inner: Scope, place: Span | None
) -> Any:
    """`:name var`, `:name (var default)` or `:* var`; returns what follows."""
    keyword = at.car.name
    if not isinstance(at.cdr, Pair):
        raise ex.error(
            f"keyword parameter :{keyword} names no variable",
            place,
            f"write :{keyword} variable, or :{keyword} (variable default)",
        )
    if any(keyword == known for known, _, _ in node.keys) or (keyword == "*" and node.all_keys):
        raise ex.error(
            f"keyword parameter :{keyword} is declared twice in {_declared(node)}",
            place,
            "leave one of the two out",
        )
    item, place = at.cdr.car, ex.place_of_car(at.cdr) or place
    if keyword == "*":
        node.all_keys = _parameter(ex, item, node, inner, place)
    elif isinstance(item, Pair):
        default = _default(ex, item, inner, place)
        var = _parameter(ex, item.car, node, inner, place)
        node.keys.append((keyword, var, default))
    else:
        # Without a default the keyword must be given: its default raises.
        facts: list[Node] = [Const(place, node.signature), Const(place, keyword)]
        missing = ex.library_call("%missing-keyword", facts, node.span)
        node.keys.append((keyword, _parameter(ex, item, node, inner, place), missing))
    return at.cdr.cdr


def _default(ex: Expander, item: Pair, inner: Scope, span: Span | None) -> Node:
    parts = ex.parts(item)
    if len(parts) > 2:
        raise ex.error("malformed optional parameter", span, "expected (name default)")
    if len(parts) == 1:
        return Const(span, False)
    return ex.expand(parts[1][0], inner, parts[1][1])


def _declared(node: Lambda) -> str:
    """A parameter list as it was written."""
    if node.name != ANONYMOUS:
        return node.signature
    return f"({ANONYMOUS} ({node.signature[1:-1].partition(' ')[2]}) ...)"


def _signature(name: str, params: Any) -> str:
    from omega.lisp.printer import shorten

    # A default may be as long as the text: no more of it is looked at than is shown.
    return shorten(strip(cons(Symbol.of(name), params), SIGNATURE_MAX), SIGNATURE_MAX)
