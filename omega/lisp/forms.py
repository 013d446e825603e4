"""The special forms: what `if`, `let`, `cond`, `do`, `guard` and the rest expand to.

Owns: SPECIALS, the table of them. One function a form, registered by `@special`.
Refuses: macros of the program (macros.py) and anything that could be a library macro instead
(library/macros.omega): what stands here is what the compiler must know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import LispSyntaxError, Span
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
    SetGlobal,
    SetLocal,
    Variable,
)
from omega.lisp.data import Keyword, Nil, Pair, Symbol, to_list
from omega.lisp.environment import (
    Alias,
    GlobalBinding,
    Macro,
    Scope,
    Special,
    lookup,
    strip,
    symbol_of,
)
from omega.lisp.expander import AnyScope, Expander, Part, spine
from omega.lisp.reader import HASH_LITERAL

SPECIALS: dict[str, Special | Macro] = {}

Handler = Callable[[Expander, Any, AnyScope, Span | None], Any]


def special(name: str, names: Callable[[Any], list[Any]] | None = None) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        SPECIALS[name] = Special(name, handler, names)
        return handler

    return register


def _args(
    ex: Expander, form: Any, span: Span | None, low: int, high: int | None, shape: str
) -> list[Part]:
    """The parts after the keyword, when there are `low` to `high` of them."""
    parts = ex.parts(form)[1:]
    if len(parts) < low or (high is not None and len(parts) > high):
        raise ex.error(f"malformed `{symbol_of(form.car).name}`", span, f"expected {shape}")
    return parts


# -- constants and variables -----------------------------------------------------------------------


@special("quote")
def quote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return Const(span, strip(_args(ex, form, span, 1, 1, "(quote datum)")[0][0]))


@special("set!")
def set_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    (target, at), (value, value_at) = _args(ex, form, span, 2, 2, "(set! name value)")
    if not isinstance(target, (Symbol, Alias)):
        raise ex.error("`set!` needs a name", at or span)
    meaning = lookup(target, scope)
    node = ex.expand(value, scope, value_at)
    if isinstance(meaning, Variable):
        meaning.assigned = True
        return SetLocal(span, meaning, node)
    if not isinstance(meaning, GlobalBinding):
        raise ex.error(f"`{meaning.name}` is syntax and cannot be assigned", at or span)
    library = ex.top.is_library
    if meaning.name in ex.top.library:
        ex.top.defined.add(meaning.name)  # the name is the program's own, with the library's value at first
    return SetGlobal(span, meaning.name, library, node, False)


def _define_names(form: Any) -> list[Any]:
    target = form.cdr.car if isinstance(form.cdr, Pair) else None
    while isinstance(target, Pair):
        target = target.car
    return [target]


@special("define", _define_names)
def define(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    parts = _args(ex, form, span, 1, None, "(define name value) or (define (name param ...) body ...)")
    target, at = parts[0]
    body = parts[1:]
    if not isinstance(target, Pair):
        if len(body) > 2 or not isinstance(target, (Symbol, Alias)):
            raise ex.error("malformed `define`", at or span, "expected (define name value)")
        name = symbol_of(target).name
        if len(body) == 2 and isinstance(body[0][0], str):
            body = body[1:]  # (define name "doc" value)

        def make_value(inner: AnyScope) -> Node:
            value = ex.expand(body[0][0], inner, body[0][1]) if body else Const(span, None)
            if isinstance(value, Lambda) and value.name.startswith("lambda"):
                value.name = name
                value.signature = f"({name}{value.signature[len('(lambda') :]}"
            return value

        return [(target, make_value)]
    if isinstance(target.car, Pair):  # curried: (define ((f a) b) ...) is (define (f a) (lambda (b) ...))
        inner_form = to_list([Symbol.of("define"), target.car, _lambda_form(target.cdr, form.cdr.cdr)])
        return define(ex, inner_form, scope, span)
    name = symbol_of(target.car).name if isinstance(target.car, (Symbol, Alias)) else "?"

    def make(inner: AnyScope) -> Node:
        return ex.lambda_(name, target.cdr, body, inner, span)

    return [(target.car, make)]


def _lambda_form(params: Any, body: Any) -> Any:
    pair = Pair()
    pair.car, pair.cdr = params, body
    head = Pair()
    head.car, head.cdr = Alias(Symbol.of("lambda"), _specials_scope()), pair
    return head


def _specials_scope() -> Any:
    from omega.lisp.environment import TopLevel

    return TopLevel(dict(SPECIALS), {})


@special("define-values", lambda form: spine(form.cdr.car) if isinstance(form.cdr, Pair) else [])
def define_values(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    (formals, _), (producer, at) = _args(ex, form, span, 2, 2, "(define-values (name ...) expr)")
    required, rest = _formals(ex, formals, span)
    targets: list[Any] = [*required, (rest,)] if rest is not None else list(required)
    return [(targets, lambda inner: ex.expand(producer, inner, at))]


def _formals(ex: Expander, formals: Any, span: Span | None) -> tuple[list[Any], Any]:
    """(required identifiers, rest identifier or None) of a plain formals list."""
    required = []
    at = formals
    while isinstance(at, Pair):
        required.append(at.car)
        at = at.cdr
    if not all(isinstance(name, (Symbol, Alias)) for name in required):
        raise ex.error("a variable must be a symbol", span)
    return required, (None if at is Nil else at)


@special("lambda")
def lambda_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 2, None, "(lambda (param ...) body ...)")
    return ex.lambda_("lambda", parts[0][0], parts[1:], scope, span)


@special("case-lambda")
def case_lambda(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    clauses: list[Node] = []
    for clause, at in ex.parts(form)[1:]:
        parts = ex.parts(clause)
        if len(parts) < 2:
            raise ex.error("malformed `case-lambda` clause", at or span, "expected ((param ...) body ...)")
        clauses.append(ex.lambda_("lambda", parts[0][0], parts[1:], scope, at or span))
    return ex.library_call("%case-lambda", clauses, span)


# -- control ---------------------------------------------------------------------------------------


@special("if")
def if_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    nodes = ex.each(_args(ex, form, span, 2, 3, "(if test then [else])"), scope)
    return If(span, nodes[0], nodes[1], nodes[2] if len(nodes) == 3 else Const(span, None))


@special("begin")
def begin(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return ex.sequence(ex.parts(form)[1:], scope, span)


@special("when")
def when(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 1, None, "(when test body ...)")
    test = ex.expand(parts[0][0], scope, parts[0][1])
    return If(span, test, ex.sequence(parts[1:], scope, span), Const(span, None))


@special("unless")
def unless(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 1, None, "(unless test body ...)")
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
                raise ex.error("`else` is not the last clause", parts[0][1] or at or span)
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
    parts = _args(ex, form, span, 1, None, "(case key ((datum ...) body ...) ... (else body ...))")
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
                raise ex.error("`else` is not the last clause", at or span)
            result = body
        else:
            result = If(at or span, _case_test(ex, items[0], key, at or span), body, result)
    return Let(span, [key], [ex.expand(parts[0][0], scope, parts[0][1])], result)


def _case_test(ex: Expander, part: Part, key: Variable, span: Span | None) -> Node:
    data = [strip(datum) for datum, _ in ex.parts(part[0])]
    test: Node = Const(span, False)
    for datum in reversed(data):
        same = ex.library_call("eqv?", [Local(span, key), Const(span, datum)], span)
        test = same if isinstance(test, Const) else If(span, same, Const(span, True), test)
    return test


# -- binding ---------------------------------------------------------------------------------------


def _bindings(ex: Expander, part: Part, span: Span | None, name: str) -> list[tuple[Any, Part]]:
    """(identifier, init part) pairs of a binding list."""
    result = []
    if part[0] is not Nil and not isinstance(part[0], Pair):
        raise ex.error(f"malformed `{name}`", part[1] or span, f"expected ({name} ((name value) ...) body ...)")
    for binding, at in ex.parts(part[0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) != 2 or not isinstance(items[0][0], (Symbol, Alias)):
            raise ex.error(f"malformed binding in `{name}`", at or span, "expected (name value)")
        result.append((items[0][0], items[1]))
    return result


@special("let")
def let(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 2, None, "(let ((name value) ...) body ...)")
    if isinstance(parts[0][0], (Symbol, Alias)):
        return _named_let(ex, parts, scope, span)
    bindings = _bindings(ex, parts[0], span, "let")
    inits = [ex.expand(init, scope, at) for _, (init, at) in bindings]
    inner = Scope(scope)
    variables = [ex.bind(name, inner) for name, _ in bindings]
    body = ex.body(parts[1:], inner, span, "`let`")
    _name_lambdas(variables, inits)
    return Let(span, variables, inits, body) if variables else body


def _name_lambdas(variables: list[Variable], inits: list[Node]) -> None:
    for var, init in zip(variables, inits, strict=True):
        if isinstance(init, Lambda) and init.name == "lambda":
            init.name = var.name
            init.signature = f"({var.name}{init.signature[len('(lambda') :]}"


def _named_let(ex: Expander, parts: list[Part], scope: AnyScope, span: Span | None) -> Node:
    if len(parts) < 3:
        raise ex.error("malformed named `let`", span, "expected (let name ((var init) ...) body ...)")
    bindings = _bindings(ex, parts[1], span, "let")
    inits = [ex.expand(init, scope, at) for _, (init, at) in bindings]
    outer = Scope(scope)
    loop = ex.bind(parts[0][0], outer)
    procedure = ex.lambda_(loop.name, to_list([n for n, _ in bindings]), parts[2:], outer, span)
    call = Call(span, Local(span, loop), inits)
    return Letrec(span, [loop], [procedure], call)


@special("let*")
def let_star(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 2, None, "(let* ((name value) ...) body ...)")
    made: list[tuple[Variable, Node]] = []
    for name, (init, at) in _bindings(ex, parts[0], span, "let*"):
        value = ex.expand(init, scope, at)
        scope = Scope(scope)
        made.append((ex.bind(name, scope), value))
        _name_lambdas([made[-1][0]], [value])
    body = ex.body(parts[1:], scope, span, "`let*`")
    for var, value in reversed(made):
        body = Let(span, [var], [value], body)
    return body


@special("letrec*")
@special("letrec")
def letrec(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 2, None, "(letrec ((name value) ...) body ...)")
    bindings = _bindings(ex, parts[0], span, "letrec")
    inner = Scope(scope)
    variables = [ex.bind(name, inner) for name, _ in bindings]
    inits = [ex.expand(init, inner, at) for _, (init, at) in bindings]
    _name_lambdas(variables, inits)
    body = ex.body(parts[1:], inner, span, "`letrec`")
    return Letrec(span, variables, inits, body) if variables else body


@special("do")
def do(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    shape = "(do ((var init [step]) ...) (test result ...) body ...)"
    parts = _args(ex, form, span, 2, None, shape)
    inner = Scope(scope)
    loop = Variable("do")
    inits, steps, variables = [], [], []
    for binding, at in ex.parts(parts[0][0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) not in (2, 3):
            raise ex.error("malformed binding in `do`", at or span, "expected (var init [step])")
        inits.append(ex.expand(items[1][0], scope, items[1][1]))
        variables.append(ex.bind(items[0][0], inner))
        steps.append(items[2] if len(items) == 3 else items[0])
    exit_parts = ex.parts(parts[1][0]) if isinstance(parts[1][0], Pair) else []
    if not exit_parts:
        raise ex.error("malformed `do`", span, f"expected {shape}")
    test = ex.expand(exit_parts[0][0], inner, exit_parts[0][1])
    result = ex.sequence(exit_parts[1:], inner, span)
    body = ex.each(parts[2:], inner)
    again = Call(span, Local(span, loop), ex.each(steps, inner))
    turn: Node = Seq(span, [*body, again]) if body else again
    procedure = Lambda(span, "do", variables, If(span, test, result, turn))
    procedure.signature = "(do ...)"
    return Letrec(span, [loop], [procedure], Call(span, Local(span, loop), inits))


@special("let-values")
@special("let*-values")
def let_values(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 2, None, "(let-values (((name ...) expr) ...) body ...)")
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


# -- conditions, parameters, promises, records -----------------------------------------------------


def _thunk(body: Node, span: Span | None, name: str = "lambda") -> Lambda:
    node = Lambda(span, name, [], body)
    node.signature = f"({name})"
    return node


@special("guard")
def guard(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    """((%guard body-thunk selector)): the selector tests the clauses where the condition was raised and answers
    with a thunk for the clause that matched, or #f; the thunk runs where the guard stands, in its tail position.
    """
    parts = _args(ex, form, span, 2, None, "(guard (name clause ...) body ...)")
    head = ex.parts(parts[0][0]) if isinstance(parts[0][0], Pair) else []
    if not head:
        raise ex.error("malformed `guard`", span, "expected (guard (name clause ...) body ...)")
    inner = Scope(scope)
    var = ex.bind(head[0][0], inner)
    selector: Node = Const(span, False)
    made: list[Callable[[Node], Node]] = []
    for clause, at in head[1:]:
        items = ex.parts(clause) if isinstance(clause, Pair) else []
        if not items:
            raise ex.error("malformed `guard` clause", at or span, "expected (test body ...)")
        if ex.is_literal(items[0][0], inner, "else"):
            selector = _thunk(ex.sequence(items[1:], inner, at), at or span, "guard")
        else:
            made.append(_guard_clause(ex, items, inner, at or span))
    for make in reversed(made):
        selector = make(selector)
    procedure = Lambda(span, "guard", [var], selector)
    procedure.signature = "(guard condition)"
    body = _thunk(ex.body(parts[1:], scope, span, "`guard`"), span, "guard")
    return Call(span, ex.library_call("%guard", [body, procedure], span), [])


def _guard_clause(
    ex: Expander, items: list[Part], scope: AnyScope, span: Span | None
) -> Callable[[Node], Node]:
    test = ex.expand(items[0][0], scope, items[0][1])
    if len(items) == 1 or ex.is_literal(items[1][0], scope, "=>"):
        var = Variable("it")
        value: Node = Local(span, var)
        if len(items) > 1:
            value = Call(span, ex.expand(items[2][0], scope, items[2][1]), [value])
        then = _thunk(value, span, "guard")
        return lambda other: Let(span, [var], [test], If(span, Local(span, var), then, other))
    body = _thunk(ex.sequence(items[1:], scope, span), span, "guard")
    return lambda other: If(span, test, body, other)


@special("parameterize")
def parameterize(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 2, None, "(parameterize ((param value) ...) body ...)")
    items: list[Node] = []
    for binding, at in ex.parts(parts[0][0]):
        pair = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(pair) != 2:
            raise ex.error("malformed binding in `parameterize`", at or span, "expected (param value)")
        items += ex.each(pair, scope)
    body = _thunk(ex.body(parts[1:], scope, span, "`parameterize`"), span, "parameterize")
    return ex.library_call("%parameterize", [ex.library_call("list", items, span), body], span)


@special("delay")
def delay(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    ((body, at),) = _args(ex, form, span, 1, 1, "(delay expression)")
    inner = ex.library_call("make-promise", [ex.expand(body, scope, at)], span)
    return ex.library_call("%make-lazy", [_thunk(inner, span, "delay")], span)


@special("delay-force")
def delay_force(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    ((body, at),) = _args(ex, form, span, 1, 1, "(delay-force expression)")
    return ex.library_call("%make-lazy", [_thunk(ex.expand(body, scope, at), span, "delay")], span)


def _record_names(form: Any) -> list[Any]:
    parts = spine(form.cdr)
    names: list[Any] = []
    for i, part in enumerate(parts):
        items = spine(part) if isinstance(part, Pair) else [part]
        names += items[1:] if i > 2 else items[:1]
    return names


@special("define-record-type", _record_names)
def define_record_type(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    """(define-record-type name (constructor field ...) predicate (field accessor [modifier]) ...)"""
    shape = "(define-record-type name (constructor field ...) predicate (field accessor [modifier]) ...)"
    parts = _args(ex, form, span, 3, None, shape)
    type_name = parts[0][0].car if isinstance(parts[0][0], Pair) else parts[0][0]
    fields = []
    for spec, at in parts[3:]:
        items = [datum for datum, _ in ex.parts(spec)] if isinstance(spec, Pair) else [spec]
        if not 1 <= len(items) <= 3 or not all(isinstance(i, (Symbol, Alias)) for i in items):
            raise ex.error("malformed record field", at or span, "expected (field accessor [modifier])")
        fields.append(items)
    names = [symbol_of(items[0]) for items in fields]
    if len(set(names)) < len(names):
        raise ex.error("a record field is named twice", span)
    shown = symbol_of(type_name)

    def reference(inner: AnyScope) -> Node:
        return ex.reference(type_name, inner, span)

    def call(name: str, *constants: Any) -> Callable[[AnyScope], Node]:
        return lambda inner: ex.library_call(
            name, [reference(inner), *(Const(span, c) for c in constants)], span
        )

    result: list[Any] = [
        (type_name, lambda _: ex.library_call("%record-type", [Const(span, shown), Const(span, list(names))], span))
    ]
    constructor, at = parts[1]
    if isinstance(constructor, Pair):
        wanted = [datum for datum, _ in ex.parts(constructor)]
        indices = []
        for field in wanted[1:]:
            if symbol_of(field) not in names:
                raise ex.error(f"the record has no field `{symbol_of(field).name}`", at or span)
            indices.append(names.index(symbol_of(field)))
        result.append((wanted[0], call("%record-constructor", symbol_of(wanted[0]), indices)))
    elif isinstance(constructor, (Symbol, Alias)):
        every = list(range(len(names)))
        result.append((constructor, call("%record-constructor", symbol_of(constructor), every)))
    predicate = parts[2][0]
    if isinstance(predicate, (Symbol, Alias)):
        result.append((predicate, call("%record-predicate", symbol_of(predicate))))
    for i, items in enumerate(fields):
        if len(items) > 1:
            result.append((items[1], call("%record-accessor", symbol_of(items[1]), i)))
        if len(items) > 2:
            result.append((items[2], call("%record-modifier", symbol_of(items[2]), i)))
    defined = [symbol_of(target) for target, _ in result]
    for name in defined:
        if defined.count(name) > 1:
            raise ex.error(
                f"this record type defines `{name.name}` twice",
                span,
                "its type, constructor, predicate and accessors need names of their own",
            )
    return result


# -- quasiquote and hash literals ------------------------------------------------------------------


@special("quasiquote")
def quasiquote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    ((template, at),) = _args(ex, form, span, 1, 1, "`template")
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
            return Const(span, strip(datum))
        return ex.library_call("list->vector", [items], span)
    if isinstance(datum, Pair):
        return _quasi_list(ex, datum, depth, scope, span)
    return Const(span, strip(datum))


def _kept(
    ex: Expander, name: str, datum: Any, depth: int, scope: AnyScope, span: Span | None
) -> Node:
    """`(name part)` that stays in the result; its part is a template `depth` deep, and may splice."""
    part = _quasi_list(ex, datum.cdr, depth, scope, span)
    return ex.library_call("cons", [Const(span, Symbol.of(name)), part], span)


def _quasi_list(ex: Expander, datum: Any, depth: int, scope: AnyScope, span: Span | None) -> Node:
    """A list template: runs of elements become (list ...), splices stay, all joined by one append."""
    segments: list[tuple[bool, list[Node]]] = []  # (is a splice, nodes)
    at = datum
    while isinstance(at, Pair):
        if at is not datum and _unquoted(ex, at, scope, "unquote"):
            break  # (a . ,b)
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
    if all(not s and all(isinstance(n, Const) for n in ns) for s, ns in segments) and isinstance(tail, Const):
        return Const(span, strip(datum))
    pieces = [ns[0] if s else ex.library_call("list", ns, span) for s, ns in segments]
    if isinstance(tail, Const) and tail.value is Nil:  # a splice at the end may give an improper tail
        lone = len(pieces) == 1 and not segments[-1][0]
        return pieces[0] if lone else ex.library_call("append", pieces, span)
    return ex.library_call("append", [*pieces, tail], span)


@special("unquote")
@special("unquote-splicing")
def unquote(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    raise ex.error("an unquote (, or ,@) outside of a quasiquote (`)", span)


@special(HASH_LITERAL.name)
def hash_literal(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    return ex.library_call("hash-table", ex.each(ex.parts(form)[1:], scope), span)


# -- syntax that chooses or refuses at expansion ---------------------------------------------------

FEATURES = frozenset({"omega", "r7rs", "exact-closed", "ratios", "full-unicode", "else"})


@special("syntax-error")
def syntax_error(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    """(syntax-error "message" form ...): what a macro's rule says of a wrong use. R7RS 4.3.3."""
    from omega.lisp.printer import display_string, write_string

    parts = _args(ex, form, span, 1, None, '(syntax-error "message" form ...)')
    shown = [write_string(strip(datum)) for datum, _ in parts[1:]]
    raise ex.error(" ".join([display_string(strip(parts[0][0])), *shown]), span)


def _cond_expand(form: Any, scope: AnyScope) -> Any:
    """(cond-expand (requirement form ...) ...): the forms of the first requirement that holds. R7RS 4.2.1."""
    for clause in spine(form.cdr):
        if not isinstance(clause, Pair):
            raise _malformed("cond-expand", clause)
        if _holds(clause.car):
            return _begin_form(clause.cdr)
    return _begin_form(Nil)


def _holds(requirement: Any) -> bool:
    if isinstance(requirement, (Symbol, Alias)):
        return symbol_of(requirement).name in FEATURES
    if not isinstance(requirement, Pair) or not isinstance(requirement.car, (Symbol, Alias)):
        raise _malformed("cond-expand", requirement)
    parts = spine(requirement.cdr)
    match symbol_of(requirement.car).name:
        case "and":
            return all([_holds(part) for part in parts])
        case "or":
            return any([_holds(part) for part in parts])
        case "not" if len(parts) == 1:
            return not _holds(parts[0])
        case "library" if len(parts) == 1:
            names = [str(strip(part)) for part in spine(parts[0])]
            return names[:1] == ["scheme"]
    raise _malformed("cond-expand", requirement)


def _malformed(name: str, datum: Any) -> LispSyntaxError:
    from omega.lisp.printer import shorten

    return LispSyntaxError(
        f"malformed `{name}`: {shorten(strip(datum), 60)}",
        span=getattr(datum, "span", None),
        hint="a requirement is a feature, (and ...), (or ...), (not ...), (library ...) or else",
    )


def _begin_form(body: Any) -> Any:
    pair = Pair()
    pair.car, pair.cdr = Alias(Symbol.of("begin"), _specials_scope()), body
    return pair


SPECIALS["cond-expand"] = Macro("cond-expand", _cond_expand)


@special("assert")
def assert_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = _args(ex, form, span, 1, 2, "(assert expression [message])")
    nodes = ex.each(parts, scope)
    text = Const(span, strip(parts[0][0]))
    failure = ex.library_call("%assertion-failed", [text, *nodes[1:]], span)
    return If(span, nodes[0], Const(span, None), failure)


__all__ = ["SPECIALS", "Global", "Keyword"]
