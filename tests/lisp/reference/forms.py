"""The special forms of the reference, each as it is explained to people.

Owns: `Forms`, the Expander with them; SPECIALS, their names.
"""

from __future__ import annotations

from typing import Any

from omega.errors import Span
from omega.lisp.data import Nil, Pair, Symbol, to_list
from omega.lisp.reader import HASH_LITERAL
from tests.lisp.reference.core import (
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
from tests.lisp.reference.expander import AnyScope, Definition
from tests.lisp.reference.macros import Macros
from tests.lisp.reference.patterns import Patterns
from tests.lisp.reference.scopes import (
    Malformed,
    Scope,
    Special,
    Top,
    is_name,
    is_word,
    items_of,
    lookup,
    plain,
    symbol_of,
)


class Forms(Macros, Patterns):
    # -- constants, variables, control ---------------------------------------------------------

    def form_quote(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        return Const(span, plain(form.cdr.car))

    def form_hash_literal(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        return self.library("hash-table", self.operands(form.cdr, scope, span), span)

    def form_set(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        _, target, value = items_of(form)
        meaning = lookup(target, scope)
        node = self.expand(value, scope)
        if isinstance(meaning, Variable):
            return SetLocal(span, meaning, node)
        if not isinstance(meaning, str):
            raise Malformed(target)
        if self.top.known(meaning):
            self.top.defined.add(meaning)
        return SetGlobal(span, meaning, self.top.is_library, node, False)

    def form_if(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        nodes = self.operands(form.cdr, scope, span)
        return If(span, nodes[0], nodes[1], nodes[2] if len(nodes) == 3 else Const(span, None))

    def form_begin(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        return self.sequence(form.cdr, scope, span)

    def form_when(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        body = self.sequence(form.cdr.cdr, scope, span)
        return If(span, self.expand(form.cdr.car, scope), body, Const(span, None))

    def form_unless(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        body = self.sequence(form.cdr.cdr, scope, span)
        return If(span, self.expand(form.cdr.car, scope), Const(span, None), body)

    def form_and(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        nodes = self.operands(form.cdr, scope, span) or [Const(span, True)]
        while len(nodes) > 1:
            last = nodes.pop()
            nodes.append(If(span, nodes.pop(), last, Const(span, False)))
        return nodes[0]

    def form_or(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        nodes = self.operands(form.cdr, scope, span) or [Const(span, False)]
        while len(nodes) > 1:
            last = nodes.pop()
            nodes.append(self.unless_false(nodes.pop(), None, last, span))
        return nodes[0]

    def unless_false(self, test: Node, then: Any, other: Node, span: Span | None) -> Node:
        """The value of a test that is not #f, or what `then` makes of it."""
        var = Variable("it")
        value: Node = Local(span, var)
        return Let(span, [var], [test], If(span, value, then(value) if then else value, other))

    def form_cond(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        result: Node = Const(span, None)
        for clause in reversed(items_of(form.cdr)):
            at = getattr(clause, "span", None) or span
            if is_word(clause.car, scope, "else"):
                result = self.sequence(clause.cdr, scope, at)
                continue
            test = self.expand(clause.car, scope)
            if clause.cdr is Nil:
                result = self.unless_false(test, None, result, at)
            elif is_word(clause.cdr.car, scope, "=>"):
                receiver = self.expand(clause.cdr.cdr.car, scope)
                result = self.unless_false(
                    test, lambda value, r=receiver, at=at: Call(at, r, [value]), result, at
                )
            else:
                result = If(at, test, self.sequence(clause.cdr, scope, at), result)
        return result

    def form_case(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        key = Variable("key")
        result: Node = Const(span, None)
        for clause in reversed(items_of(form.cdr.cdr)):
            at = getattr(clause, "span", None) or span
            rest = clause.cdr
            if rest is not Nil and is_word(rest.car, scope, "=>"):
                body: Node = Call(at, self.expand(rest.cdr.car, scope), [Local(at, key)])
            else:
                body = self.sequence(rest, scope, at)
            if is_word(clause.car, scope, "else"):
                result = body
                continue
            test: Node = Const(at, False)
            for datum in reversed(items_of(clause.car)):
                same = self.library("eqv?", [Local(at, key), Const(at, plain(datum))], at)
                test = If(at, same, Const(at, True), test)
            result = If(at, test, body, result)
        return Let(span, [key], [self.expand(form.cdr.car, scope)], result)

    # -- binding -------------------------------------------------------------------------------

    def form_lambda(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        return self.procedure(form.cdr.car, form.cdr.cdr, scope, span)

    def form_case_lambda(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        clauses: list[Node] = [Const(span, "")]
        for clause in items_of(form.cdr):
            clauses.append(self.procedure(clause.car, clause.cdr, scope, span))
        return self.library("%case-lambda", clauses, span)

    def form_define(self, form: Any, scope: AnyScope, span: Span | None) -> list[Definition]:
        target, body = form.cdr.car, form.cdr.cdr
        if isinstance(target, Pair):
            return [(target.car, lambda at: self.procedure(target.cdr, body, at, span))]
        if body is Nil:
            return [(target, lambda at: Const(span, None))]
        if body.cdr is not Nil:  # "documentation" value
            body = body.cdr
        where = getattr(body, "car_span", None)
        return [(target, lambda at: self.expand(body.car, at, where))]

    def form_define_values(self, form: Any, scope: AnyScope, span: Span | None) -> Any:
        return [(_formals(form.cdr.car), lambda at: self.expand(form.cdr.cdr.car, at))]

    def bindings(self, form: Any) -> list[tuple[Any, Any]]:
        pairs = [items_of(binding) for binding in items_of(form)]
        return [(name, value) for name, value in pairs]

    def form_let(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        first, rest = form.cdr.car, form.cdr.cdr
        if is_name(first):
            bindings = self.bindings(rest.car)
            inits = [self.expand(init, scope) for _, init in bindings]
            inner = Scope(scope)
            loop = inner.bind(first)
            params = to_list([name for name, _ in bindings])
            made = self.procedure(params, rest.cdr, inner, span)
            return Letrec(span, [loop], [made], Call(span, Local(span, loop), inits))
        inits = [self.expand(init, scope) for _, init in self.bindings(first)]
        inner = Scope(scope)
        variables = [inner.bind(name) for name, _ in self.bindings(first)]
        body = self.body(rest, inner, span)
        return Let(span, variables, inits, body) if variables else body

    def form_let_star(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        made = []
        for name, init in self.bindings(form.cdr.car):
            node = self.expand(init, scope)
            scope = Scope(scope)
            made.append((scope.bind(name), node))
        body = self.body(form.cdr.cdr, scope, span)
        for var, node in reversed(made):
            body = Let(span, [var], [node], body)
        return body

    def form_letrec(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        inner = Scope(scope)
        bindings = self.bindings(form.cdr.car)
        variables = [inner.bind(name) for name, _ in bindings]
        inits = [self.expand(init, inner) for _, init in bindings]
        body = self.body(form.cdr.cdr, inner, span)
        return Letrec(span, variables, inits, body) if variables else body

    def form_do(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        inner = Scope(scope)
        loop = Variable("do")
        specs = [items_of(spec) for spec in items_of(form.cdr.car)]
        inits = [self.expand(spec[1], scope) for spec in specs]
        variables = [inner.bind(spec[0]) for spec in specs]
        end = form.cdr.cdr.car
        test = self.expand(end.car, inner)
        result = self.sequence(end.cdr, inner, span)
        body = self.operands(form.cdr.cdr.cdr, inner, span)
        steps = [self.expand(spec[2] if len(spec) == 3 else spec[0], inner) for spec in specs]
        again = Call(span, Local(span, loop), steps)
        turn: Node = Seq(span, [*body, again]) if body else again
        made = Lambda(span, variables, If(span, test, result, turn))
        return Letrec(span, [loop], [made], Call(span, Local(span, loop), inits))

    def form_let_values(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        in_order = symbol_of(form.car).name == "let*-values"
        inner: Any = Scope(scope)
        made = []
        for formals, producer in self.bindings(form.cdr.car):
            node = self.expand(producer, inner if in_order else scope)
            inner = Scope(inner) if in_order else inner
            required, rest = _formals(formals)
            bound = [inner.bind(name) for name in required]
            made.append((bound, inner.bind(rest) if rest else None, node))
        body = self.body(form.cdr.cdr, inner, span)
        for bound, last, node in reversed(made):
            body = Receive(span, bound, last, node, body)
        return body

    # -- conditions, parameters, promises ------------------------------------------------------

    def form_guard(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        """A thunk for the body, and a procedure that tests the clauses where a condition is raised
        and gives a thunk for the one that fits, or #f.
        """
        head = form.cdr.car
        inner = Scope(scope)
        var = inner.bind(head.car)
        selector: Node = Const(span, False)
        for clause in reversed(items_of(head.cdr)):
            at = getattr(clause, "span", None) or span
            if is_word(clause.car, inner, "else"):
                selector = Lambda(at, [], self.sequence(clause.cdr, inner, at))
                continue
            test = self.expand(clause.car, inner)
            if clause.cdr is Nil:
                selector = self.unless_false(test, lambda v: Lambda(None, [], v), selector, at)
            elif is_word(clause.cdr.car, inner, "=>"):
                receiver = self.expand(clause.cdr.cdr.car, inner)
                selector = self.unless_false(
                    test,
                    lambda v, r=receiver, at=at: Lambda(None, [], Call(at, r, [v])),
                    selector,
                    at,
                )
            else:
                then = Lambda(at, [], self.sequence(clause.cdr, inner, at))
                selector = If(at, test, then, selector)
        body = Lambda(span, [], self.body(form.cdr.cdr, scope, span))
        return Call(span, self.library("%guard", [body, Lambda(span, [var], selector)], span), [])

    def form_parameterize(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        items: list[Node] = []
        for parameter, value in self.bindings(form.cdr.car):
            items += [self.expand(parameter, scope), self.expand(value, scope)]
        body = Lambda(span, [], self.body(form.cdr.cdr, scope, span))
        return self.library("%parameterize", [self.library("list", items, span), body], span)

    def form_delay(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        value = self.library("make-promise", [self.expand(form.cdr.car, scope)], span)
        return self.library("%make-lazy", [Lambda(span, [], value)], span)

    def form_delay_force(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        body = self.expand(form.cdr.car, scope)
        return self.library("%make-lazy", [Lambda(span, [], body)], span)

    def form_assert(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        nodes = self.operands(form.cdr, scope, span)
        failed = self.library("%assertion-failed", [Const(span, False), *nodes[1:]], span)
        return If(span, nodes[0], Const(span, None), failed)

    # -- data ----------------------------------------------------------------------------------

    def form_define_record_type(self, form: Any, scope: AnyScope, span: Span | None) -> Any:
        kind, constructor, predicate, *specs = items_of(form.cdr)
        kind = kind.car if isinstance(kind, Pair) else kind
        fields = [items_of(spec) for spec in specs]
        names = [items[0] for items in fields]

        def call(name: str, *constants: Any) -> Any:
            return lambda at: self.library(
                name, [self.name(kind, at, span), *(Const(span, c) for c in constants)], span
            )

        symbols = [symbol_of(name) for name in names]
        found: list[Definition] = [
            (
                kind,
                lambda at: self.library(
                    "%record-type", [Const(span, symbol_of(kind)), Const(span, symbols)], span
                ),
            )
        ]
        if isinstance(constructor, Pair):
            wanted = [names.index(name) for name in items_of(constructor.cdr)]
            made = symbol_of(constructor.car)
            found.append((constructor.car, call("%record-constructor", made, wanted)))
        elif constructor is not False:
            every = list(range(len(names)))
            found.append((constructor, call("%record-constructor", symbol_of(constructor), every)))
        if predicate is not False:
            found.append((predicate, call("%record-predicate", symbol_of(predicate))))
        for i, items in enumerate(fields):
            for name, kind_of in zip(
                items[1:], ("%record-accessor", "%record-modifier"), strict=False
            ):
                found.append((name, call(kind_of, symbol_of(name), i)))
        return found

    def form_quasiquote(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        return self._quasi(form.cdr.car, 1, scope, span)

    def _quasi(self, datum: Any, depth: int, scope: AnyScope, span: Span | None) -> Node:
        """Built pair by pair; a template in which nothing is unquoted is a constant."""
        if not self._has_unquote(datum, depth, scope):
            return Const(span, plain(datum))
        if type(datum) is list:
            items = self._quasi(to_list(datum), depth, scope, span)
            return self.library("list->vector", [items], None)
        if datum.car is HASH_LITERAL:
            parts = [self._quasi(item, depth, scope, span) for item in items_of(datum.cdr)]
            return self.library("hash-table", parts, None)
        for word, change in (("unquote", -1), ("quasiquote", 1)):
            if self._is(datum, scope, word):
                if depth + change == 0:
                    return self.expand(datum.cdr.car, scope, getattr(datum.cdr, "car_span", None))
                inner = self._quasi(datum.cdr, depth + change, scope, span)
                return self.library("cons", [Const(span, symbol_of(datum.car)), inner], None)
        rest = self._quasi(datum.cdr, depth, scope, span)
        if self._is(datum.car, scope, "unquote-splicing"):
            if depth == 1:
                spliced = self.expand(datum.car.cdr.car, scope)
                tail = [] if datum.cdr is Nil else [rest]
                return self.library("append", [spliced, *tail], None)
            inner = self._quasi(datum.car.cdr, depth - 1, scope, span)
            kept = Const(span, symbol_of(datum.car.car))
            first: Node = self.library("cons", [kept, inner], None)
        else:
            first = self._quasi(datum.car, depth, scope, span)
        return self.library("cons", [first, rest], None)

    def _is(self, datum: Any, scope: AnyScope, word: str) -> bool:
        return (
            isinstance(datum, Pair)
            and is_word(datum.car, scope, word)
            and isinstance(datum.cdr, Pair)
            and datum.cdr.cdr is Nil
        )

    def _has_unquote(self, datum: Any, depth: int, scope: AnyScope) -> bool:
        if type(datum) is list:
            return any(self._has_unquote(item, depth, scope) for item in datum)
        if not isinstance(datum, Pair):
            return False
        for word in ("unquote", "unquote-splicing"):
            if self._is(datum, scope, word):
                return depth == 1 or self._has_unquote(datum.cdr, depth - 1, scope)
        if self._is(datum, scope, "quasiquote"):
            return self._has_unquote(datum.cdr, depth + 1, scope)
        return self._has_unquote(datum.car, depth, scope) or self._has_unquote(
            datum.cdr, depth, scope
        )


def _formals(formals: Any) -> tuple[list[Any], Any]:
    required = []
    while isinstance(formals, Pair):
        required.append(formals.car)
        formals = formals.cdr
    return required, None if formals is Nil else formals


NAMES = (
    "quote", "set!", "if", "begin", "when", "unless", "and", "or", "cond", "case", "lambda",
    "case-lambda", "define", "define-values", "let", "let*", "letrec", "letrec*", "do",
    "let-values", "let*-values", "guard", "parameterize", "delay", "delay-force", "assert",
    "define-record-type", "quasiquote", "match", "define-syntax", "let-syntax", "letrec-syntax",
    "define-macro",
)  # fmt: skip
SPECIALS = {name: Special(name) for name in NAMES}

__all__ = ["Forms", "Global", "Seq", "SPECIALS", "Symbol", "Top"]
