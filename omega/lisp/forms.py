"""The special forms of control: quote, set!, if, cond, guard, parameterize, delay and the rest.

Owns: what they expand to. Binding forms are in binding_forms.py, those that make data in
data_forms.py.
Refuses: anything that could be a library macro instead (library/macros.omega): what stands here is
what the compiler must know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.core import (
    Call,
    Const,
    Global,
    Guard,
    If,
    Lambda,
    Let,
    Local,
    Node,
    Parameterize,
    Seq,
    SetGlobal,
    SetLocal,
    Variable,
)
from omega.lisp.data import Keyword, Pair, Symbol
from omega.lisp.environment import (
    Alias,
    GlobalBinding,
    Scope,
    imported_as,
    lookup,
    strip,
    symbol_of,
)
from omega.lisp.expander import FIXED, AnyScope, Expander, Part, shown
from omega.lisp.names import home_of, plain
from omega.lisp.special import SPECIALS, args, special

LAST_HINT = "move it behind the others: what follows it would never be tried"

# -- constants and variables -----------------------------------------------------------------------


@special("quote")
def quote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return Const(span, ex.constant(args(ex, form, span, 1, 1, "(quote datum)")[0][0], span))


@special("set!")
def set_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    (target, at), (value, value_at) = args(ex, form, span, 2, 2, "(set! name value)")
    if not isinstance(target, (Symbol, Alias)):
        raise ex.error("`set!` needs a name", at or span, "expected (set! name value)")
    imported = imported_as(target, scope)
    if imported is not None:
        raise ex.error(
            f"`{symbol_of(target).name}` is imported from {imported.library}, so it is constant",
            at or span,
            "it changes only where it is defined: the library may export a procedure for that",
        )
    meaning = lookup(target, scope)
    node = ex.expand(value, scope, value_at)
    if isinstance(meaning, Variable):
        meaning.assigned = True
        return SetLocal(span, meaning, node)
    if not isinstance(meaning, GlobalBinding):
        raise ex.error(
            f"`{meaning.name}` is syntax and cannot be assigned",
            at or span,
            f"use another name, or (define {meaning.name} ...) to make it a variable",
        )
    library = ex.top.is_library
    if ex.top.fixed and home_of(meaning.name) in ("", ex.top.home):
        fact = f"`{plain(meaning.name)}` cannot be assigned in this environment"
        raise ex.error(fact, at or span, FIXED)
    if ex.top.offers(meaning.name):
        ex.top.defined.add(
            meaning.name
        )  # the name is the program's own, with the library's value at first
    return SetGlobal(span, meaning.name, library, node, False)


# -- control ---------------------------------------------------------------------------------------


@special("if")
def if_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    nodes = ex.each(args(ex, form, span, 2, 3, "(if test then [else])"), scope)
    return If(span, nodes[0], nodes[1], nodes[2] if len(nodes) == 3 else Const(span, None))


@special("begin")
def begin(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return ex.sequence(ex.parts(form)[1:], scope, span)


@special("when")
def when(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 1, None, "(when test body ...)")
    test = ex.expand(parts[0][0], scope, parts[0][1])
    return If(span, test, ex.sequence(parts[1:], scope, span), Const(span, None))


@special("unless")
def unless(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 1, None, "(unless test body ...)")
    test = ex.expand(parts[0][0], scope, parts[0][1])
    return If(span, test, Const(span, None), ex.sequence(parts[1:], scope, span))


@special("and")
def and_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    nodes = ex.each(ex.parts(form)[1:], scope) or [Const(span, True)]
    result = nodes[-1]
    for node in reversed(nodes[:-1]):
        result = If(span, node, result, Const(span, False))
    return result


@special("or")
def or_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    nodes = ex.each(ex.parts(form)[1:], scope) or [Const(span, False)]
    result = nodes[-1]
    for node in reversed(nodes[:-1]):
        result = _or(node, result, span)
    return result


def _or(first: Node, other: Node, span: Span | None) -> Node:
    var = Variable("or")
    return Let(span, [var], [first], If(span, Local(span, var), Local(span, var), other))


@special("cond")
def cond(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    clauses = ex.parts(form)[1:]
    result: Node = Const(span, None)
    made: list[Callable[[Node], Node]] = []
    for i, (clause, at) in enumerate(clauses):
        parts = ex.parts(clause) if isinstance(clause, Pair) else []
        if not parts:
            raise ex.error("malformed `cond` clause", at or span, "expected (test body ...)")
        if ex.is_literal(parts[0][0], scope, "else"):
            if i + 1 < len(clauses):
                raise ex.error(
                    "`else` is not the last clause", parts[0][1] or at or span, LAST_HINT
                )
            result = ex.sequence(parts[1:], scope, at or span)
        else:
            made.append(_cond_clause(ex, parts, scope, at or span))
    for make in reversed(made):
        result = make(result)
    return result


def _cond_clause(
    ex: Expander, parts: list[Part], scope: AnyScope, span: Span | None
) -> Callable[[Node], Node]:
    test = ex.expand(parts[0][0], scope, parts[0][1])
    if len(parts) == 1:
        return lambda other: _or(test, other, span)
    if ex.is_literal(parts[1][0], scope, "=>"):
        if len(parts) != 3:
            raise ex.error("malformed `=>` clause", span, "expected (test => procedure)")
        var = Variable("it")
        receiver = ex.expand(parts[2][0], scope, parts[2][1])
        then: Node = Call(span, receiver, [Local(span, var)])
        return lambda other: Let(span, [var], [test], If(span, Local(span, var), then, other))
    body = ex.sequence(parts[1:], scope, span)
    return lambda other: If(span, test, body, other)


@special("case")
def case(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 1, None, "(case key ((datum ...) body ...) ... (else body ...))")
    key = Variable("key")
    result: Node = Const(span, None)
    for i, (clause, at) in reversed(list(enumerate(parts[1:]))):
        items = ex.parts(clause) if isinstance(clause, Pair) else []
        if not items:
            raise ex.error("malformed `case` clause", at or span, "expected ((datum ...) body ...)")
        if len(items) == 3 and ex.is_literal(items[1][0], scope, "=>"):
            body: Node = Call(at, ex.expand(items[2][0], scope, items[2][1]), [Local(at, key)])
        else:
            body = ex.sequence(items[1:], scope, at or span)
        if ex.is_literal(items[0][0], scope, "else"):
            if i + 2 < len(parts):
                raise ex.error(
                    "`else` is not the last clause", items[0][1] or at or span, LAST_HINT
                )
            result = body
        else:
            result = If(at or span, _case_test(ex, items[0], key, at or span), body, result)
    return Let(span, [key], [ex.expand(parts[0][0], scope, parts[0][1])], result)


def _case_test(ex: Expander, part: Part, key: Variable, span: Span | None) -> Node:
    test: Node = Const(span, False)
    for datum, at in reversed(ex.parts(part[0])):
        constant = Const(at or span, ex.constant(datum, at or span))
        same = ex.library_call("eqv?", [Local(span, key), constant], span)
        test = same if isinstance(test, Const) else If(span, same, Const(span, True), test)
    return test


# -- conditions, parameters, promises, records -----------------------------------------------------


def _thunk(body: Node, span: Span | None, name: str = "lambda") -> Lambda:
    node = Lambda(span, name, [], body)
    node.signature = f"({name})"
    return node


@special("guard")
def guard(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    """R7RS 4.2.7. The tests are evaluated where the condition was raised, the rest of a clause
    where the guard stands, in its tail position.
    """
    parts = args(ex, form, span, 2, None, "(guard (name clause ...) body ...)")
    head = ex.parts(parts[0][0]) if isinstance(parts[0][0], Pair) else []
    if not head:
        raise ex.error("malformed `guard`", span, "expected (guard (name clause ...) body ...)")
    inner = Scope(scope)
    var = ex.bind(head[0][0], inner)
    tests: list[Node] = []
    clauses: list[Lambda] = []
    for i, (clause, at) in enumerate(head[1:], 2):
        items = ex.parts(clause) if isinstance(clause, Pair) else []
        if not items:
            raise ex.error("malformed `guard` clause", at or span, "expected (test body ...)")
        if not ex.is_literal(items[0][0], inner, "else"):
            tests.append(ex.expand(items[0][0], inner, items[0][1]))
        elif i < len(head):
            raise ex.error("`else` is not the last clause", items[0][1] or at or span, LAST_HINT)
        clauses.append(_guard_clause(ex, items, scope, head[0][0], at or span))
    chosen: Node = Const(span, False)
    for i, made in reversed(list(enumerate(clauses))):
        at = made.span
        number: Node = Const(at, i)
        if i == len(tests):
            chosen = number
        elif len(made.required) == 1:
            chosen = If(at, tests[i], number, chosen)
        else:
            it = Variable("it")
            pair = ex.library_call("cons", [number, Local(at, it)], at)
            chosen = Let(at, [it], [tests[i]], If(at, Local(at, it), pair, chosen))
    selector = Lambda(span, "guard", [var], chosen)
    selector.signature = "(guard condition)"
    body = _thunk(ex.body(parts[1:], scope, span, "`guard`"), span, "guard")
    made_of: Node = Guard(span, body, selector, clauses)
    return _with_shared(var, selector, clauses, made_of) if var.assigned else made_of


def _with_shared(var: Variable, selector: Lambda, clauses: list[Lambda], guard: Node) -> Node:
    """The guard, where a test assigns the variable of the condition: its clauses see that."""
    span = guard.span
    given = Variable(var.name)
    selector.required = [given]
    selector.body = Seq(span, [SetLocal(span, var, Local(span, given)), selector.body])
    for clause in clauses:
        own, clause.required[0] = clause.required[0], Variable(var.name)
        clause.body = Let(span, [own], [Local(span, var)], clause.body)
    return Let(span, [var], [Const(span, False)], guard)


def _guard_clause(
    ex: Expander, items: list[Part], scope: AnyScope, name: Any, span: Span | None
) -> Lambda:
    """What a clause gives: a procedure of the condition and, of some, of what its test gave."""
    inner = Scope(scope)
    parameters = [ex.bind(name, inner)]
    if len(items) == 1 or ex.is_literal(items[1][0], inner, "=>"):
        parameters.append(Variable("it"))
        body: Node = Local(span, parameters[1])
        if len(items) > 1:
            if len(items) != 3:
                raise ex.error("malformed `=>` clause", span, "expected (test => procedure)")
            body = Call(span, ex.expand(items[2][0], inner, items[2][1]), [body])
    else:
        body = ex.sequence(items[1:], inner, span)
    clause = Lambda(span, "guard", parameters, body)
    clause.signature = "(guard)"
    return clause


@special("parameterize")
def parameterize(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(parameterize ((param value) ...) body ...)")
    items: list[Node] = []
    for binding, at in ex.parts(parts[0][0]):
        pair = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(pair) != 2:
            raise ex.error(
                "malformed binding in `parameterize`", at or span, "expected (param value)"
            )
        items += ex.each(pair, scope)
    body = _thunk(ex.body(parts[1:], scope, span, "`parameterize`"), span, "parameterize")
    return Parameterize(span, items, body)


@special("delay")
def delay(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    ((body, at),) = args(ex, form, span, 1, 1, "(delay expression)")
    inner = ex.library_call("%make-forced", [ex.expand(body, scope, at)], span)
    return ex.library_call("%make-lazy", [_thunk(inner, span, "delay")], span)


@special("delay-force")
def delay_force(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    ((body, at),) = args(ex, form, span, 1, 1, "(delay-force expression)")
    return ex.library_call("%make-lazy", [_thunk(ex.expand(body, scope, at), span, "delay")], span)


# -- syntax that chooses or refuses at expansion ---------------------------------------------------


@special("syntax-error")
def syntax_error(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    """(syntax-error "message" form ...): what a macro's rule says of a wrong use. R7RS 4.3.3."""
    parts = args(ex, form, span, 1, None, '(syntax-error "message" form ...)')
    message = parts[0][0]
    told = message if isinstance(message, str) else shown(message)
    raise ex.error(" ".join([told, *(shown(datum) for datum, _ in parts[1:])]), span)


@special("%place")
def place(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    """(%place datum): where the datum stands, as #(file line column end-line end-column); #f when
    nobody knows.
    """
    ((datum, at),) = args(ex, form, span, 1, 1, "(%place datum)")
    here = ex.span_of(datum, at or span)
    if here is None:
        return Const(span, False)
    return Const(span, [here.file, here.line, here.column, here.end_line, here.end_column])


@special("assert")
def assert_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 1, 2, "(assert expression [message])")
    nodes = ex.each(parts, scope)
    text = Const(span, strip(parts[0][0]))
    failure = ex.library_call("%assertion-failed", [text, *nodes[1:]], span)
    return If(span, nodes[0], Const(span, None), failure)


__all__ = ["SPECIALS", "Global", "Keyword"]
