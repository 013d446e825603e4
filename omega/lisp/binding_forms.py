"""The special forms that bind: define, lambda, let and its kin, do.

Owns: how a binding form's names, values and bodies become core nodes.
Refuses: records (data_forms.py) and macros (macros.py).
"""

from __future__ import annotations

from typing import Any

from omega.errors import Span
from omega.lisp.arity import ANONYMOUS
from omega.lisp.core import (
    Call,
    Const,
    Global,
    If,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Receive,
    Seq,
    Variable,
)
from omega.lisp.data import Nil, Pair, Symbol, spine, to_list
from omega.lisp.environment import (
    Alias,
    Scope,
    symbol_of,
)
from omega.lisp.expander import AnyScope, Expander, Part
from omega.lisp.parameters import procedure
from omega.lisp.special import args, special, specials_scope


def _define_names(form: Any) -> list[Any]:
    target = form.cdr.car if isinstance(form.cdr, Pair) else None
    while isinstance(target, Pair):
        target = target.car
    return [target]


@special("define", _define_names)
def define(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    parts = args(
        ex, form, span, 1, None, "(define name value) or (define (name param ...) body ...)"
    )
    target, at = parts[0]
    body = parts[1:]
    if not isinstance(target, Pair):
        if not isinstance(target, (Symbol, Alias)):
            raise ex.error("malformed `define`", at or span, "expected (define name value)")
        name = symbol_of(target).name
        if len(body) == 2 and isinstance(body[0][0], str):
            body = body[1:]  # (define name "doc" value)
        if len(body) > 1:
            raise ex.error(
                f"malformed `define`: `{name}` gets one value", span, _one_value(name, body)
            )

        def make_value(inner: AnyScope) -> Node:
            value = ex.expand(body[0][0], inner, body[0][1]) if body else Const(span, None)
            _name_value(value, name)
            return value

        return [(target, make_value)]
    if isinstance(
        target.car, Pair
    ):  # curried: (define ((f a) b) ...) is (define (f a) (lambda (b) ...))
        inner_form = to_list(
            [Symbol.of("define"), target.car, _lambda_form(target.cdr, form.cdr.cdr)]
        )
        return define(ex, inner_form, scope, span)
    name = symbol_of(target.car).name if isinstance(target.car, (Symbol, Alias)) else "?"

    def make(inner: AnyScope) -> Node:
        return procedure(ex, name, target.cdr, body, inner, span)

    return [(target.car, make)]


def _one_value(name: str, body: list[Part]) -> str:
    """A hint for a definition of a variable that goes on behind its value."""
    first = body[0][0]
    if isinstance(first, (Symbol, Alias)) and symbol_of(first).name in ("=", ":=", "is"):
        return f"there is no sign between the two: (define {name} value)"
    return f"expected (define {name} value); a procedure is (define ({name} param ...) body ...)"


def _name_value(value: Node, name: str) -> None:
    """A procedure without a name is called as the variable it is bound to."""
    if isinstance(value, Lambda) and value.name == ANONYMOUS:
        value.name = name
        value.signature = f"({name}{value.signature[len(ANONYMOUS) + 1 :]}"
    elif isinstance(value, Call) and _makes_case_lambda(value.function):
        called, *clauses = value.arguments
        if isinstance(called, Const) and called.value == "case-lambda":
            called.value = name
            for clause in clauses:
                _name_value(clause, name)


def _makes_case_lambda(function: Node) -> bool:
    return (
        isinstance(function, Global)
        and function.library is True
        and function.name == "%case-lambda"
    )


def _lambda_form(params: Any, body: Any) -> Any:
    pair = Pair()
    pair.car, pair.cdr = params, body
    head = Pair()
    head.car, head.cdr = Alias(Symbol.of("lambda"), specials_scope()), pair
    return head


@special("define-values", lambda form: spine(form.cdr.car) if isinstance(form.cdr, Pair) else [])
def define_values(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    (formals, _), (producer, at) = args(ex, form, span, 2, 2, "(define-values (name ...) expr)")
    required, rest = _formals(ex, formals, span)
    targets = (*required, (rest,)) if rest is not None else tuple(required)
    return [(targets, lambda inner: ex.expand(producer, inner, at))]


def _formals(ex: Expander, formals: Any, span: Span | None) -> tuple[list[Any], Any]:
    """(required identifiers, rest identifier or None) of a plain formals list."""
    required = []
    at = formals
    while isinstance(at, Pair):
        required.append(at.car)
        at = at.cdr
    rest = None if at is Nil else at
    names = required if rest is None else [*required, rest]
    if not all(isinstance(name, (Symbol, Alias)) for name in names):
        raise ex.error(
            "a variable must be a symbol", span, "names are written without quotes and brackets"
        )
    for i, name in enumerate(names):
        if any(name is other for other in names[:i]):
            raise ex.error(
                f"`{symbol_of(name).name}` is bound twice here",
                span,
                "give one of the two another name",
            )
    return required, rest


@special("lambda")
def lambda_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(lambda (param ...) body ...)")
    return procedure(ex, ANONYMOUS, parts[0][0], parts[1:], scope, span, what=ex.called(form))


@special("case-lambda")
def case_lambda(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    clauses: list[Node] = [Const(span, "case-lambda")]
    for clause, at in ex.parts(form)[1:]:
        parts = ex.parts(clause)
        if len(parts) < 2:
            raise ex.error(
                "malformed `case-lambda` clause", at or span, "expected ((param ...) body ...)"
            )
        clauses.append(
            procedure(ex, ANONYMOUS, parts[0][0], parts[1:], scope, at or span, what="case-lambda")
        )
    return ex.library_call("%case-lambda", clauses, span)


# -- binding ---------------------------------------------------------------------------------------


def _bindings(ex: Expander, part: Part, span: Span | None, name: str) -> list[tuple[Part, Part]]:
    """(identifier part, init part) pairs of a binding list."""
    result = []
    if part[0] is not Nil and not isinstance(part[0], Pair):
        raise ex.error(
            f"malformed `{name}`", part[1] or span, f"expected ({name} ((name value) ...) body ...)"
        )
    for binding, at in ex.parts(part[0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) != 2 or not isinstance(items[0][0], (Symbol, Alias)):
            hint = "expected (name value)"
            if not items:
                hint += f"; all bindings stand in brackets: ({name} ((x 1) (y 2)) ...)"
            raise ex.error(f"malformed binding in `{name}`", at or span, hint)
        result.append((items[0], items[1]))
    return result


@special("let")
def let(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(let ((name value) ...) body ...)")
    if isinstance(parts[0][0], (Symbol, Alias)):
        return _named_let(ex, parts, scope, span)
    bindings = _bindings(ex, parts[0], span, "let")
    inits = [ex.expand(init, scope, at) for _, (init, at) in bindings]
    inner = Scope(scope)
    variables = [_bound(ex, name, inner) for name, _ in bindings]
    body = ex.body(parts[1:], inner, span, "`let`")
    _name_lambdas(variables, inits)
    return Let(span, variables, inits, body) if variables else body


def _bound(ex: Expander, name: Part, scope: Scope) -> Variable:
    return ex.bind(name[0], scope, name[1], name[1])


def _name_lambdas(variables: list[Variable], inits: list[Node]) -> None:
    for var, init in zip(variables, inits, strict=True):
        _name_value(init, var.name)


def _named_let(ex: Expander, parts: list[Part], scope: AnyScope, span: Span | None) -> Node:
    if len(parts) < 3:
        raise ex.error(
            "malformed named `let`", span, "expected (let name ((var init) ...) body ...)"
        )
    bindings = _bindings(ex, parts[1], span, "let")
    inits = [ex.expand(init, scope, at) for _, (init, at) in bindings]
    outer = Scope(scope)
    loop = ex.bind(parts[0][0], outer)
    params = to_list([n for (n, _), _ in bindings])
    body = procedure(ex, loop.name, params, parts[2:], outer, span)
    return Letrec(span, [loop], [body], Call(span, Local(span, loop), inits))


@special("let*")
def let_star(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(let* ((name value) ...) body ...)")
    made: list[tuple[Variable, Node]] = []
    for name, (init, at) in _bindings(ex, parts[0], span, "let*"):
        value = ex.expand(init, scope, at)
        scope = Scope(scope)
        made.append((_bound(ex, name, scope), value))
        _name_lambdas([made[-1][0]], [value])
    body = ex.body(parts[1:], scope, span, "`let*`")
    for var, value in reversed(made):
        body = Let(span, [var], [value], body)
    return body


@special("letrec*")
@special("letrec")
def letrec(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(letrec ((name value) ...) body ...)")
    bindings = _bindings(ex, parts[0], span, "letrec")
    inner = Scope(scope)
    variables = [_bound(ex, name, inner) for name, _ in bindings]
    inits = [ex.expand(init, inner, at) for _, (init, at) in bindings]
    _name_lambdas(variables, inits)
    body = ex.body(parts[1:], inner, span, "`letrec`")
    return Letrec(span, variables, inits, body) if variables else body


@special("do")
def do(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    shape = "(do ((var init [step]) ...) (test result ...) body ...)"
    parts = args(ex, form, span, 2, None, shape)
    inner = Scope(scope)
    loop = Variable("do")
    inits, steps, variables = [], [], []
    for binding, at in ex.parts(parts[0][0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) not in (2, 3):
            raise ex.error("malformed binding in `do`", at or span, "expected (var init [step])")
        inits.append(ex.expand(items[1][0], scope, items[1][1]))
        variables.append(_bound(ex, items[0], inner))
        steps.append(items[2] if len(items) == 3 else items[0])
    exit_parts = ex.parts(parts[1][0]) if isinstance(parts[1][0], Pair) else []
    if not exit_parts:
        raise ex.error("malformed `do`", span, f"expected {shape}")
    test = ex.expand(exit_parts[0][0], inner, exit_parts[0][1])
    result = ex.sequence(exit_parts[1:], inner, span)
    body = ex.each(parts[2:], inner)
    again = Call(span, Local(span, loop), ex.each(steps, inner))
    turn: Node = Seq(span, [*body, again]) if body else again
    body_of_loop = Lambda(span, "do", variables, If(span, test, result, turn))
    body_of_loop.signature = "(do ...)"
    return Letrec(span, [loop], [body_of_loop], Call(span, Local(span, loop), inits))


@special("let-values")
@special("let*-values")
def let_values(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = args(ex, form, span, 2, None, "(let-values (((name ...) expr) ...) body ...)")
    sequential = symbol_of(form.car).name == "let*-values"
    inner: AnyScope = Scope(scope)
    made: list[tuple[list[Variable], Variable | None, Node]] = []
    for binding, at in ex.parts(parts[0][0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) != 2:
            raise ex.error("malformed binding", at or span, "expected ((name ...) expr)")
        producer = ex.expand(items[1][0], inner if sequential else scope, items[1][1])
        if sequential:
            inner = Scope(inner)
        assert isinstance(inner, Scope)
        names, rest = _formals(ex, items[0][0], at or span)
        required = [ex.bind(name, inner) for name in names]
        made.append((required, ex.bind(rest, inner) if rest is not None else None, producer))
    body = ex.body(parts[1:], inner, span, "`let-values`")
    for required, rest_var, producer in reversed(made):
        body = Receive(span, required, rest_var, producer, body)
    return body
