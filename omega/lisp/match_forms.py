"""The special forms that take values apart: match and its kin.

Owns: clauses, what follows when one does not fit, and the forms that bind by patterns.
Refuses: patterns themselves (patterns.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.core import (
    Attempt,
    Call,
    Const,
    Fail,
    If,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Seq,
    SetLocal,
    Variable,
)
from omega.lisp.data import Pair, Symbol
from omega.lisp.environment import Alias, Scope
from omega.lisp.expander import AnyScope, Expander, Part
from omega.lisp.forms import LAST_HINT
from omega.lisp.pattern_syntax import is_anything, pattern_variables
from omega.lisp.patterns import Matcher, Then
from omega.lisp.special import args, special

CLAUSE = "expected (pattern body ...), with (guard test) or (=> next) before the body if need be"

# -- clauses ---------------------------------------------------------------------------------------


def _clauses(
    ex: Expander, parts: list[Part], value: Variable, scope: AnyScope, span: Span | None, name: str
) -> Node:
    """The value of the first clause whose pattern fits `value`."""
    made: list[Callable[[Node], Node]] = []
    for i, (clause, at) in enumerate(parts):
        make, is_last = _clause(ex, clause, value, scope, at or span)
        made.append(make)
        if is_last and i + 1 < len(parts):
            fact = "this clause is never tried: the one before it fits every value"
            raise ex.error(fact, parts[i + 1][1] or span, LAST_HINT)
    result = _failed(ex, value, span, name)
    for make in reversed(made):
        result = make(result)
    return result


def _clause(
    ex: Expander, clause: Any, value: Variable, scope: AnyScope, span: Span | None
) -> tuple[Callable[[Node], Node], bool]:
    """(what makes the node, given the node of the clauses behind it; whether it always fits)."""
    items = ex.parts(clause) if isinstance(clause, Pair) else []
    if len(items) < 2:
        raise ex.error("malformed `match` clause", span, CLAUSE)
    (pattern, place), body = items[0], items[1:]
    next_: Variable | None = None
    name = _option(ex, body, scope, "=>")
    if name is not None:
        scope = Scope(scope)
        next_ = ex.bind(name[0], scope, name[1])
    guard = _option(ex, body, scope, "guard")
    if not body:
        raise ex.error("a clause of `match` has no body", span, CLAUSE)
    matcher = Matcher(ex, span)

    def then(inner: AnyScope) -> Node:
        test = None if guard is None else ex.expand(guard[0], inner, guard[1])
        node = ex.body(body, inner, span, "a clause of `match`")
        if test is None:
            return node
        matcher.tests.append(test)
        matcher.fails = True
        return If(span, test, node, Fail(span))

    first = matcher.match(pattern, place, value, scope, then)

    def make(others: Node) -> Node:
        if next_ is None:
            return Attempt(span, first, others, matcher.tests) if matcher.fails else first
        procedure = Lambda(span, next_.name, [], others)
        procedure.signature = f"({next_.name})"
        go_on = Call(span, Local(span, next_), [])
        node = Attempt(span, first, go_on, matcher.tests) if matcher.fails else first
        return Let(span, [next_], [procedure], node)

    return make, is_anything(pattern) and guard is None and next_ is None


def _option(ex: Expander, body: list[Part], scope: AnyScope, name: str) -> Part | None:
    """The datum of `(name datum)`, if the body begins with it; it is taken away."""
    form = body[0][0] if body else None
    if not isinstance(form, Pair) or not ex.is_literal(form.car, scope, name):
        return None
    parts = ex.parts(form)
    if len(parts) != 2:  # (guard (e clause ...) body ...) is an expression
        return None
    del body[0]
    return parts[1]


def _failed(ex: Expander, value: Variable, span: Span | None, name: str) -> Node:
    return ex.library_call("%match-failed", [Const(span, name), Local(span, value)], span)


# -- forms that choose -----------------------------------------------------------------------------


@special("match")
def match(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(match value (pattern body ...) ...)")
    value = Variable("value")
    node = ex.expand(parts[0][0], scope, parts[0][1])
    return Let(span, [value], [node], _clauses(ex, parts[1:], value, scope, span, "match"))


@special("match-lambda")
def match_lambda(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 1, None, "(match-lambda (pattern body ...) ...)")
    value = Variable("value")
    procedure = Lambda(
        span, "lambda", [value], _clauses(ex, parts, value, scope, span, "match-lambda")
    )
    procedure.signature = "(lambda value)"
    return procedure


@special("match-lambda*")
def match_lambda_star(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 1, None, "(match-lambda* ((pattern ...) body ...) ...)")
    values = Variable("values")
    procedure = Lambda(
        span, "lambda", [], _clauses(ex, parts, values, scope, span, "match-lambda*")
    )
    procedure.rest = values
    procedure.signature = "(lambda . values)"
    return procedure


# -- forms that bind -------------------------------------------------------------------------------


def _bindings(ex: Expander, part: Part, span: Span | None, name: str) -> list[tuple[Part, Part]]:
    """(pattern, expression) pairs."""
    found = []
    for binding, at in ex.parts(part[0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) != 2:
            raise ex.error(f"malformed binding in `{name}`", at or span, "expected (pattern value)")
        found.append((items[0], items[1]))
    return found


def _taken_apart(
    ex: Expander,
    pattern: Part,
    value: Variable,
    scope: AnyScope,
    name: str,
    then: Then,
    matcher: Matcher,
) -> Node:
    """`then` with the names of a pattern that has to fit."""
    matcher.tests, matcher.fails = [], False
    first = matcher.match(*pattern, value, scope, then)
    if not matcher.fails:
        return first
    other = _failed(ex, value, pattern[1] or matcher.span, name)
    return Attempt(matcher.span, first, other, matcher.tests)


@special("match-let")
def match_let(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(match-let ((pattern value) ...) body ...)")
    name = parts.pop(0) if isinstance(parts[0][0], (Symbol, Alias)) else None
    if name is not None and len(parts) < 2:
        shape = "expected (match-let name ((pattern value) ...) body ...)"
        raise ex.error("malformed named `match-let`", span, shape)
    bindings = _bindings(ex, parts[0], span, "match-let")
    values = [Variable("value") for _ in bindings]
    inits = ex.each([init for _, init in bindings], scope)
    inner = Scope(scope)
    loop = ex.bind(name[0], inner, name[1]) if name is not None else None
    matcher = Matcher(ex, span)

    def each(i: int, at: AnyScope) -> Node:
        if i == len(bindings):
            return ex.body(parts[1:], at, span, "`match-let`")
        return _nested(bindings[i][0], values[i], at, lambda more: each(i + 1, more))

    def _nested(pattern: Part, value: Variable, at: AnyScope, then: Then) -> Node:
        return _taken_apart(ex, pattern, value, at, "match-let", then, matcher)

    body = each(0, inner)
    if loop is None:
        return Let(span, values, inits, body) if values else body
    procedure = Lambda(span, loop.name, values, body)
    procedure.signature = f"({loop.name} ...)"
    return Letrec(span, [loop], [procedure], Call(span, Local(span, loop), inits))


@special("match-let*")
def match_let_star(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(match-let* ((pattern value) ...) body ...)")
    bindings = _bindings(ex, parts[0], span, "match-let*")

    def each(i: int, at: AnyScope) -> Node:
        if i == len(bindings):
            return ex.body(parts[1:], at, span, "`match-let*`")
        pattern, (init, place) = bindings[i]
        value = Variable("value")
        node = ex.expand(init, at, place)
        matcher = Matcher(ex, span)
        body = _taken_apart(
            ex, pattern, value, at, "match-let*", lambda more: each(i + 1, more), matcher
        )
        return Let(span, [value], [node], body)

    return each(0, scope)


@special("match-letrec")
def match_letrec(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    """The names of all patterns are bound first, then assigned."""
    parts = args(ex, form, span, 2, None, "(match-letrec ((pattern value) ...) body ...)")
    bindings = _bindings(ex, parts[0], span, "match-letrec")
    inner = Scope(scope)
    variables: list[Variable] = []
    for (pattern, at), _ in bindings:
        variables += [ex.bind(name, inner, at) for name in pattern_variables(pattern)]
    body: list[Node] = []
    for pattern, (init, place) in bindings:
        value = Variable("value")
        node = ex.expand(init, inner, place)
        matcher = Matcher(ex, span)

        def assign(_: AnyScope, matcher: Matcher = matcher) -> Node:
            stores: list[Node] = []
            for name, var in matcher.bound.items():
                inner.bindings[name].assigned = True
                stores.append(SetLocal(span, inner.bindings[name], Local(span, var)))
            return Seq(span, [*stores, Const(span, None)])

        assigned = _taken_apart(ex, pattern, value, inner, "match-letrec", assign, matcher)
        body.append(Let(span, [value], [node], assigned))
    body.append(ex.body(parts[1:], inner, span, "`match-letrec`"))
    return Let(span, variables, [Const(span, False) for _ in variables], Seq(span, body))


def _defined_names(form: Any) -> list[Any]:
    return list(pattern_variables(form.cdr.car)) if isinstance(form.cdr, Pair) else []


@special("match-define", _defined_names)
def match_define(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    pattern, (init, place) = args(ex, form, span, 2, 2, "(match-define pattern value)")
    names = pattern_variables(pattern[0])

    def make(inner: AnyScope) -> Node:
        value = Variable("value")
        matcher = Matcher(ex, span)

        def values(_: AnyScope) -> Node:
            found: list[Node] = [Local(span, matcher.bound[name]) for name in names]
            if not found:
                return Const(span, None)
            return found[0] if len(found) == 1 else ex.library_call("values", found, span)

        node = ex.expand(init, inner, place)
        taken = _taken_apart(ex, pattern, value, inner, "match-define", values, matcher)
        return Let(span, [value], [node], taken)

    target: Any = None if not names else names[0] if len(names) == 1 else tuple(names)
    return [(target, make)]
