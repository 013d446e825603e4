"""`match` of the reference: patterns as tests within tests.

Owns: the form `match` with names, `_`, constants, lists, vectors, `...` at the end of a list,
`and`, `or`, `not`, `?`, `=`, `$`, quasi-patterns, guards and (=> next).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.data import Nil, Pair, to_list
from tests.lisp.reference.core import (
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
from tests.lisp.reference.expander import AnyScope, Expander
from tests.lisp.reference.scopes import (
    Malformed,
    Scope,
    is_name,
    is_word,
    items_of,
    plain,
    symbol_of,
)

Then = Callable[[AnyScope], Node]
HEADS = ("quote", "quasiquote", "and", "or", "not", "?", "=", "$")


class Patterns(Expander):
    def form_match(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        value = Variable("value")
        result: Node = self.library("%match-failed", [Const(span, ""), Local(None, value)], span)
        for clause in reversed(items_of(form.cdr.cdr)):
            at = getattr(clause, "span", None) or span
            result = self._clause(clause.car, clause.cdr, value, scope, at, result)
        return Let(span, [value], [self.expand(form.cdr.car, scope)], result)

    def _clause(
        self, pattern: Any, body: Any, value: Variable, scope: AnyScope, span: Any, others: Node
    ) -> Node:
        next_: Variable | None = None
        if _option(body, scope, "=>"):
            scope = Scope(scope)
            next_ = scope.bind(body.car.cdr.car)
            body = body.cdr
        test = body.car.cdr.car if _option(body, scope, "guard") else None
        if test is not None:
            body = body.cdr
        matcher = Matcher(self, None)

        def then(inner: AnyScope) -> Node:
            if test is None:
                return self.body(body, inner, span)
            condition = matcher.tested(self.expand(test, inner))
            return If(span, condition, self.body(body, inner, span), Fail())

        first = matcher.match(pattern, value, scope, then)
        if next_ is None:
            return Attempt(span, first, others, matcher.tests) if matcher.fails else first
        again = Call(span, Local(span, next_), [])
        node = Attempt(span, first, again, matcher.tests) if matcher.fails else first
        return Let(span, [next_], [Lambda(span, [], others)], node)


def _option(body: Any, scope: AnyScope, word: str) -> bool:
    form = body.car
    return (
        isinstance(form, Pair)
        and is_word(form.car, scope, word)
        and isinstance(form.cdr, Pair)
        and form.cdr.cdr is Nil
    )


class Matcher:
    """tests: what may be evaluated when the pattern fails. fails: whether it can."""

    def __init__(self, ex: Expander, span: Span | None) -> None:
        self.ex, self.span = ex, span
        self.bound: dict[Any, Variable] = {}
        self.tests: list[Node] = []
        self.fails = False

    def tested(self, test: Node) -> Node:
        self.tests.append(test)
        self.fails = True
        return test

    def when(self, test: Node, scope: AnyScope, then: Then) -> Node:
        return If(self.span, self.tested(test), then(scope), Fail())

    def ask(self, name: str, value: Variable, *constants: Any) -> Node:
        arguments: list[Node] = [Local(None, value)]
        arguments += [Const(None, constant) for constant in constants]
        return self.ex.library(name, arguments, self.span)

    def match(self, pattern: Any, value: Variable, scope: AnyScope, then: Then) -> Node:
        if is_name(pattern):
            return self._name(pattern, value, scope, then)
        if pattern is Nil:
            return self.when(self.ask("null?", value), scope, then)
        if type(pattern) is list:
            return self._vector(pattern, value, scope, then)
        if not isinstance(pattern, Pair):
            return self.when(self.ask("eqv?", value, pattern), scope, then)
        head = symbol_of(pattern.car).name if is_name(pattern.car) else ""
        if head in HEADS and isinstance(pattern.cdr, Pair):
            return self._special(head, items_of(pattern.cdr), value, scope, then)
        if isinstance(pattern.cdr, Pair) and _is_ellipsis(pattern.cdr.car):
            return self._all(pattern.car, value, scope, then)

        def parts(inner: AnyScope) -> Node:
            first, rest = self.ask("car", value), self.ask("cdr", value)
            return self._part(
                first, pattern.car, inner, lambda at: self._part(rest, pattern.cdr, at, then)
            )

        return self.when(self.ask("pair?", value), scope, parts)

    def _name(self, name: Any, value: Variable, scope: AnyScope, then: Then) -> Node:
        if symbol_of(name).name == "_":
            return then(scope)
        if name in self.bound:
            before = [Local(None, self.bound[name]), Local(None, value)]
            return self.when(self.ex.library("equal?", before, self.span), scope, then)  # type: ignore[arg-type]
        inner = Scope(scope)
        var = self.bound[name] = inner.bind(name)
        return Let(self.span, [var], [Local(None, value)], then(inner))

    def _special(
        self, head: str, parts: list[Any], value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        match head:
            case "quote":
                datum = plain(parts[0])
                if datum is Nil:
                    return self.when(self.ask("null?", value), scope, then)
                same = "equal?" if isinstance(datum, (Pair, list)) else "eqv?"
                return self.when(self.ask(same, value, datum), scope, then)
            case "quasiquote":
                return self.match(_of_template(parts[0]), value, scope, then)
            case "and":
                if not parts:
                    return then(scope)
                return self.match(
                    parts[0],
                    value,
                    scope,
                    lambda at: self._special("and", parts[1:], value, at, then),
                )
            case "or":
                return self._either(parts, value, scope, then)
            case "not":
                test = self._fits(parts[0], value, scope, {}, Const(None, False))
                return self.when(self.ex.library("not", [test], self.span), scope, then)
            case "?":
                test = self._applied(parts[0], value, scope)
                return self.when(
                    test, scope, lambda at: self._special("and", parts[1:], value, at, then)
                )
            case "=":
                return self._part(
                    self._applied(parts[0], value, scope), parts[1], scope, then, pure=False
                )
        kind = self.ex.expand(parts[0], scope)
        arguments = [Local(None, value), kind, Const(None, len(parts) - 1)]
        test = self.ex.library("%record-of-type?", arguments, self.span)

        def fields(i: int, at: AnyScope) -> Node:
            if i == len(parts):
                return then(at)
            field = self.ask("%record-field", value, i - 1)
            return self._part(field, parts[i], at, lambda more: fields(i + 1, more))

        return self.when(test, scope, lambda at: fields(1, at))

    def _applied(self, f: Any, value: Variable, scope: AnyScope) -> Node:
        function = self.ex.expand(f, scope)
        argument: list[Node] = [Local(None, value)]
        if isinstance(function, Lambda) and len(function.required) == 1 and not function.rest:
            return Let(self.span, function.required, argument, function.body)
        return Call(self.span, function, argument)

    def _part(
        self, node: Node, pattern: Any, scope: AnyScope, then: Then, *, pure: bool = True
    ) -> Node:
        if is_name(pattern) and symbol_of(pattern).name == "_" and pure:
            return then(scope)
        self.tests.append(node)
        if is_name(pattern) and symbol_of(pattern).name != "_" and pattern not in self.bound:
            inner = Scope(scope)
            var = self.bound[pattern] = inner.bind(pattern)
            return Let(self.span, [var], [node], then(inner))
        part = Variable("part")
        return Let(self.span, [part], [node], self.match(pattern, part, scope, then))

    def _vector(self, pattern: list[Any], value: Variable, scope: AnyScope, then: Then) -> Node:
        if any(_is_ellipsis(item) for item in pattern):
            whole = to_list(pattern)
            return self.when(
                self.ask("vector?", value),
                scope,
                lambda at: self._part(self.ask("vector->list", value), whole, at, then),
            )
        length = [self.ask("vector-length", value), Const(None, len(pattern))]
        fits = self.ex.library("=", length, self.span)
        test = If(self.span, self.ask("vector?", value), fits, Const(None, False))

        def elements(i: int, at: AnyScope) -> Node:
            if i == len(pattern):
                return then(at)
            element = self.ask("vector-ref", value, i)
            return self._part(element, pattern[i], at, lambda more: elements(i + 1, more))

        return self.when(test, scope, lambda at: elements(0, at))

    # -- patterns that are tried apart, and store what they bind -------------------------------

    def _fits(
        self, pattern: Any, value: Variable, scope: AnyScope, into: dict[Any, Variable], other: Node
    ) -> Node:
        """#t when a pattern fits, having stored what it binds; else `other`."""
        inner = Matcher(self.ex, self.span)
        inner.bound = dict(self.bound)

        def stored(_: AnyScope) -> Node:
            stores: list[Node] = [
                SetLocal(None, var, Local(None, inner.bound[name])) for name, var in into.items()
            ]
            return Seq(None, [*stores, Const(None, True)])

        first = inner.match(pattern, value, scope, stored)
        return Attempt(self.span, first, other, inner.tests) if inner.fails else first

    def _shared(self, into: dict[Any, Variable], test: Node, scope: AnyScope, then: Then) -> Node:
        if not into:
            return self.when(test, scope, then)
        inner = Scope(scope)
        made = [inner.bind(name) for name in into]
        self.bound.update(zip(into, made, strict=True))
        self.tested(test)
        values: list[Node] = [Local(None, var) for var in into.values()]
        branch = If(self.span, test, Let(None, made, values, then(inner)), Fail())
        return Let(None, list(into.values()), [Const(None, False) for _ in into], branch)

    def _either(self, parts: list[Any], value: Variable, scope: AnyScope, then: Then) -> Node:
        names = [n for n in _variables(parts[0] if parts else Nil) if n not in self.bound]
        into = {name: Variable(symbol_of(name).name) for name in names}
        test: Node = Const(None, False)
        for pattern in reversed(parts):
            test = self._fits(pattern, value, scope, into, test)
        return self._shared(into, test, scope, then)

    def _all(self, pattern: Any, value: Variable, scope: AnyScope, then: Then) -> Node:
        """(pattern ...): a loop over the elements, which collects what each binds."""
        if is_name(pattern):
            return self.when(
                self.ask("list?", value), scope, lambda at: self.match(pattern, value, at, then)
            )
        return self.when(
            self.ask("list?", value), scope, lambda at: self._each(pattern, value, at, then)
        )

    def _each(self, pattern: Any, value: Variable, scope: AnyScope, then: Then) -> Node:
        names = _variables(pattern)
        into = {name: Variable(symbol_of(name).name) for name in names}
        so_far = {name: Variable(symbol_of(name).name) for name in names}
        loop, at, element = Variable("each"), Variable("at"), Variable("element")
        inner = Matcher(self.ex, self.span)
        inner.bound = dict(self.bound)

        def again(_: AnyScope) -> Node:
            next_ = [self.ask("cdr", at)]
            for name in names:
                pair: list[Node] = [Local(None, inner.bound[name]), Local(None, so_far[name])]
                next_.append(self.ex.library("cons", pair, self.span))
            return Call(self.span, Local(None, loop), next_)

        turn = inner.match(pattern, element, scope, again)
        if inner.fails:
            turn = Attempt(self.span, turn, Const(None, False), inner.tests)
        stores: list[Node] = [
            SetLocal(None, into[name], self.ask("reverse!", so_far[name])) for name in names
        ]
        turn = Let(self.span, [element], [self.ask("car", at)], turn)
        body = If(self.span, self.ask("pair?", at), turn, Seq(None, [*stores, Const(None, True)]))
        made = Lambda(self.span, [at, *so_far.values()], body)
        starts: list[Node] = [Local(None, value), *(Const(None, Nil) for _ in names)]
        entry = Call(self.span, Local(None, loop), starts)
        return self._shared(into, Letrec(None, [loop], [made], entry), scope, then)


def _is_ellipsis(datum: Any) -> bool:
    return is_name(datum) and symbol_of(datum).name == "..."


def _variables(pattern: Any) -> list[Any]:
    found: dict[Any, None] = {}

    def walk(at: Any) -> None:
        if is_name(at):
            if symbol_of(at).name not in ("_", "..."):
                found[at] = None
        elif type(at) is list:
            for item in at:
                walk(item)
        elif isinstance(at, Pair):
            head = symbol_of(at.car).name if is_name(at.car) else ""
            if head in HEADS and isinstance(at.cdr, Pair):
                if head == "quasiquote":
                    walk(_of_template(at.cdr.car))
                elif head not in ("quote", "not"):
                    for item in items_of(at.cdr)[head in ("?", "=", "$") :]:
                        walk(item)
            else:
                walk(at.car)
                walk(at.cdr)

    walk(pattern)
    return list(found)


def _of_template(template: Any) -> Any:
    """The pattern a quasi-pattern means."""
    if type(template) is list:
        return [_of_template(item) for item in template]
    if is_name(template):
        return template if _is_ellipsis(template) else to_list([_quote(), template])
    if not isinstance(template, Pair):
        return template
    if is_name(template.car) and isinstance(template.cdr, Pair) and template.cdr.cdr is Nil:
        word = symbol_of(template.car).name
        if word == "unquote":
            return template.cdr.car
        if word in ("unquote-splicing", "quasiquote"):
            raise Malformed(word)
    pair = Pair()
    pair.car, pair.cdr = _of_template(template.car), _of_template(template.cdr)
    return pair


def _quote() -> Any:
    from omega.lisp.data import Symbol

    return Symbol.of("quote")
