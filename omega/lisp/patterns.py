"""Patterns of `match`: what each tests of a value, and the names it binds.

Owns: `Matcher`, which turns a pattern into core nodes. A pattern becomes
tests within tests with the clause's body at the bottom; where one fails, a Fail stands: no
closures, no lists of bindings, and the body stays in tail position.
Refuses: clauses and the forms around them (match_forms.py).

The patterns are those of Alex Shinn's `match` (as in Chibi and SRFI 204), and hash tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import LispSyntaxError, Span
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
from omega.lisp.data import Nil, Pair, Symbol, to_list
from omega.lisp.environment import Alias, Identifier, Scope, strip, symbol_of
from omega.lisp.expander import AnyScope, Expander, Part
from omega.lisp.pattern_syntax import (
    ELLIPSES,
    TABLE,
    elements_of,
    head_of,
    is_anything,
    is_ellipsis,
    is_name,
    of_template,
    pattern_variables,
)

Then = Callable[[AnyScope], Node]


class Matcher:
    """Makes the nodes of one pattern.

    bound: the variable of each name so far. tests: what may have been evaluated when the match
    fails. fails: whether it can.
    """

    def __init__(self, ex: Expander, span: Span | None) -> None:
        self.ex, self.span = ex, span
        self.bound: dict[Identifier, Variable] = {}
        self.tests: list[Node] = []
        self.fails = False

    def match(
        self, pattern: Any, at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        """Nodes that test whether `value` fits, and go on with `then(scope)`, the scope of what was
        bound; or Fail. `then` is called once.
        """
        if isinstance(pattern, (Symbol, Alias)):
            return self._symbol(pattern, at, value, scope, then)
        if pattern is Nil:
            return self._when(self._call("null?", value), scope, then)
        if type(pattern) is list:
            return self._vector(pattern, at, value, scope, then)
        if not isinstance(pattern, Pair):
            return self._when(self._is(value, pattern), scope, then)
        at = self.ex.span_of(pattern, at)
        head, rest = head_of(pattern), pattern.cdr
        parts = self.ex.parts(pattern)[1:] if head else []
        if head == TABLE:
            return self._table(parts, at, value, scope, then)
        match head:
            case "quote" | "quasiquote" | "not" if len(parts) != 1:
                raise self._malformed(f"({head} datum)" if head != "not" else "(not pattern)", at)
            case "quote":
                return self._quote(strip(rest.car), value, scope, then)
            case "quasiquote":
                return self.match(of_template(rest.car), at, value, scope, then)
            case "and":
                return self._all(parts, value, scope, then)
            case "or":
                return self._or(parts, at, value, scope, then)
            case "not":
                return self._when(self._negated(parts[0], value, scope), scope, then)
            case "?":
                return self._predicate(parts, value, scope, then)
            case "=":
                return self._field(parts, at, value, scope, then)
            case "$" | "@":
                return self._record(head, parts, at, value, scope, then)
        return self._list(pattern, at, value, scope, then)

    # -- names and constants -------------------------------------------------------------------

    def _symbol(
        self, name: Any, at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        text = symbol_of(name).name
        if text == "_":
            return then(scope)
        if text in ELLIPSES:
            raise self._error(f"`{text}` follows no pattern here", at, "write (pattern ... )")
        if name in self.bound:
            same = self.ex.library_call(
                "equal?", [Local(self.span, self.bound[name]), Local(None, value)], self.span
            )
            return self._when(same, scope, then)
        inner = Scope(scope)
        var = self.bound[name] = self.ex.bind(name, inner, at)
        return Let(self.span, [var], [Local(self.span, value)], then(inner))

    def _quote(self, datum: Any, value: Variable, scope: AnyScope, then: Then) -> Node:
        if isinstance(datum, Pair) or type(datum) is list:
            same = [Local(None, value), Const(self.span, datum)]
            return self._when(self.ex.library_call("equal?", same, self.span), scope, then)
        return self._when(self._is(value, datum), scope, then)

    def _is(self, value: Variable, datum: Any) -> Node:
        if datum is Nil:
            return self._call("null?", value)
        same = "equal?" if isinstance(datum, bytearray) else "eqv?"
        constant = Const(self.span, datum)
        return self.ex.library_call(same, [Local(None, value), constant], self.span)

    # -- combinations --------------------------------------------------------------------------

    def _all(self, parts: list[Part], value: Variable, scope: AnyScope, then: Then) -> Node:
        """All the patterns, one after the other."""
        if not parts:
            return then(scope)
        (pattern, at), rest = parts[0], parts[1:]
        return self.match(
            pattern, at, value, scope, lambda inner: self._all(rest, value, inner, then)
        )

    def _or(
        self, parts: list[Part], at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        """A pattern that fits: its names are copied into variables that all of them share."""
        names = pattern_variables(parts[0][0]) if parts else []
        for pattern, place in parts[1:]:
            others = pattern_variables(pattern)
            if odd := [n for n in [*names, *others] if n not in names or n not in others]:
                raise self._error(
                    f"`{symbol_of(odd[0]).name}` is bound by some patterns of an `or` only",
                    place or at,
                    "all of them bind the same names; `_` stands for what is not wanted",
                )
        fresh = [name for name in names if name not in self.bound]
        shared = [Variable(symbol_of(name).name) for name in fresh]
        stores = dict(zip(fresh, shared, strict=True))
        test: Node = Const(self.span, False)
        for pattern, place in reversed(parts):
            test = self._either(pattern, place, value, scope, stores, test)
        return self._with_shared(fresh, shared, test, scope, then)

    def _either(
        self,
        pattern: Any,
        at: Span | None,
        value: Variable,
        scope: AnyScope,
        shared: dict[Identifier, Variable],
        other: Node,
    ) -> Node:
        """#t when the pattern fits, having stored what it binds, else the value of `other`."""
        inner = Matcher(self.ex, self.span)
        inner.bound = dict(self.bound)

        def fits(_: AnyScope) -> Node:
            stores = [self._store(shared[name], inner.bound[name]) for name in shared]
            yes = Const(self.span, True)
            return Seq(self.span, [*stores, yes]) if stores else yes

        first = inner.match(pattern, at, value, scope, fits)
        if isinstance(first, If) and isinstance(first.then, Const):  # one test: no more than that
            return If(self.span, first.test, first.then, other)
        return Attempt(self.span, first, other, inner.tests) if inner.fails else first

    def _store(self, shared: Variable, var: Variable) -> Node:
        shared.assigned = True
        return SetLocal(self.span, shared, Local(self.span, var))

    def _with_shared(
        self,
        names: list[Identifier],
        shared: list[Variable],
        test: Node,
        scope: AnyScope,
        then: Then,
    ) -> Node:
        """Go on, when `test` holds, with `names` bound to what it stored in `shared`."""
        if not names:
            return self._when(test, scope, then)
        inner = Scope(scope)
        made = [self.ex.bind(name, inner, self.span) for name in names]
        self.bound.update(zip(names, made, strict=True))
        self._fail(test)
        values: list[Node] = [Local(self.span, var) for var in shared]
        body = Let(self.span, made, values, then(inner))
        branch = If(self.span, test, body, Fail(self.span))
        return Let(self.span, shared, [Const(self.span, False) for _ in shared], branch)

    def _negated(self, part: Part, value: Variable, scope: AnyScope) -> Node:
        test = self._either(part[0], part[1], value, scope, {}, Const(self.span, False))
        return self.ex.library_call("not", [test], self.span)

    def _predicate(self, parts: list[Part], value: Variable, scope: AnyScope, then: Then) -> Node:
        test = self._applied(parts[0], value, scope)
        return self._when(test, scope, lambda inner: self._all(parts[1:], value, inner, then))

    def _field(
        self, parts: list[Part], at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        if len(parts) != 2:
            raise self._malformed("(= procedure pattern)", at)
        node = self._applied(parts[0], value, scope)
        return self._part(node, parts[1], scope, then, is_pure=False)

    def _applied(self, part: Part, value: Variable, scope: AnyScope) -> Node:
        """The call of a procedure the pattern names."""
        function = self.ex.expand(part[0], scope, part[1])
        argument = Local(self.span, value)
        if isinstance(function, Lambda) and function.is_plain and len(function.required) == 1:
            return Let(self.span, function.required, [argument], function.body)
        return Call(part[1] or self.span, function, [argument])

    # -- parts of values -----------------------------------------------------------------------

    def _part(
        self, node: Node, part: Part, scope: AnyScope, then: Then, *, is_pure: bool = True
    ) -> Node:
        """Match the value of `node`. is_pure: nobody misses it if it is not evaluated."""
        pattern, at = part
        if is_pure and is_anything(pattern) and not is_name(pattern):
            return then(scope)
        self.tests.append(node)
        if is_name(pattern) and pattern not in self.bound:
            inner = Scope(scope)
            var = self.bound[pattern] = self.ex.bind(pattern, inner, at)
            return Let(self.span, [var], [node], then(inner))
        var = Variable("part")
        return Let(self.span, [var], [node], self.match(pattern, at, var, scope, then))

    def _list(
        self, pattern: Pair, at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        """(first . rest): a pair of both, unless an ellipsis follows."""
        first = (pattern.car, getattr(pattern, "car_span", None) or at)
        rest = (pattern.cdr, at)
        if isinstance(pattern.cdr, Pair) and is_ellipsis(pattern.cdr.car):
            return self._repeated(first, pattern.cdr, value, scope, then)
        car, cdr = self._call("car", value), self._call("cdr", value)

        def parts(inner: AnyScope) -> Node:
            return self._part(car, first, inner, lambda more: self._part(cdr, rest, more, then))

        return self._when(self._call("pair?", value), scope, parts)

    def _vector(
        self, pattern: list[Any], at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        if any(is_ellipsis(item) for item in pattern):
            items = (to_list(pattern), at)

            def as_list(inner: AnyScope) -> Node:
                return self._part(self._call("vector->list", value), items, inner, then)

            return self._when(self._call("vector?", value), scope, as_list)
        length = self._call("vector-length", value)
        fits = self.ex.library_call("=", [length, Const(self.span, len(pattern))], self.span)

        def elements(i: int, inner: AnyScope) -> Node:
            if i == len(pattern):
                return then(inner)
            element = self._call("vector-ref", value, i)
            return self._part(element, (pattern[i], at), inner, lambda more: elements(i + 1, more))

        return self._when(
            If(self.span, self._call("vector?", value), fits, Const(self.span, False)),
            scope,
            lambda inner: elements(0, inner),
        )

    def _record(
        self,
        head: str,
        parts: list[Part],
        at: Span | None,
        value: Variable,
        scope: AnyScope,
        then: Then,
    ) -> Node:
        """($ type pattern ...), all fields in order, or (@ type (field pattern) ...), some."""
        (kind, place), fields = parts[0], parts[1:]
        names: list[Any] = list(range(len(fields)))
        count = len(fields) if head == "$" else -1
        if head == "@":
            for field, where in fields:
                items = elements_of(field)
                if len(items) != 2 or not isinstance(items[0], (Symbol, Alias)):
                    raise self._malformed("(@ type (field pattern) ...)", where or at)
            names = [symbol_of(field.car) for field, _ in fields]
            fields = [self.ex.parts(field)[1] for field, _ in fields]
        type_ = self.ex.expand(kind, scope, place)
        arguments = [Local(self.span, value), type_, Const(self.span, count)]
        test = self.ex.library_call("%record-of-type?", arguments, place or at)

        def each(i: int, inner: AnyScope) -> Node:
            if i == len(fields):
                return then(inner)
            node = self._call("%record-field", value, names[i], span=fields[i][1] or at)
            # A name that the type has not is a mistake even where `_` stands for its value.
            return self._part(
                node, fields[i], inner, lambda more: each(i + 1, more), is_pure=head == "$"
            )

        return self._when(test, scope, lambda inner: each(0, inner))

    def _table(
        self, parts: list[Part], at: Span | None, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        """{key pattern ...}: a hash table that has the keys; it may have others."""
        keys = []
        for key, where in parts[::2]:
            if head_of(key) == "quote":
                key = key.cdr.car
            elif isinstance(key, (Symbol, Alias, Pair, list)):
                raise self._error(
                    f"the key of a hash table pattern is a constant, not {shown(key)}",
                    where or at,
                    'write :name, "name", a number or \'name',
                )
            keys.append(strip(key))

        def each(i: int, inner: AnyScope) -> Node:
            if i == len(keys):
                return then(inner)
            found = self._call("hash-ref", value, keys[i], False)

            def has(more: AnyScope) -> Node:
                return self._part(found, parts[2 * i + 1], more, lambda last: each(i + 1, last))

            return self._when(self._call("hash-has-key?", value, keys[i]), inner, has)

        return self._when(self._call("hash-table?", value), scope, lambda inner: each(0, inner))

    # -- ellipses ------------------------------------------------------------------------------

    def _repeated(
        self, part: Part, ellipsis: Pair, value: Variable, scope: AnyScope, then: Then
    ) -> Node:
        """(pattern ... . rest): as many elements as leave those that `rest` begins with."""
        pattern, at = part
        fewest = ELLIPSES[symbol_of(ellipsis.car).name]
        rest, following = ellipsis.cdr, 0
        while isinstance(rest, Pair) and not head_of(rest):
            if is_ellipsis(rest.car):
                raise self._error("a list pattern has one ellipsis", at, "nest the lists")
            following, rest = following + 1, rest.cdr
        if again := [name for name in pattern_variables(pattern) if name in self.bound]:
            raise self._error(
                f"`{symbol_of(again[0]).name}` stands before an ellipsis and elsewhere, too",
                at,
                "give one of the two another name, and compare them in (guard ...)",
            )
        if rest is Nil and not following:
            whole = self._call("list?", value)
            if fewest:
                whole = If(self.span, self._call("pair?", value), whole, Const(self.span, False))
            if is_anything(pattern):
                return self._when(
                    whole, scope, lambda inner: self.match(pattern, at, value, inner, then)
                )

            def elements(inner: AnyScope) -> Node:
                return self._each(part, value, None, inner, then)

            return self._when(whole, scope, elements)
        return self._before(part, ellipsis.cdr, fewest, following, value, scope, then)

    def _before(
        self,
        part: Part,
        rest: Any,
        fewest: int,
        following: int,
        value: Variable,
        scope: AnyScope,
        then: Then,
    ) -> Node:
        """The elements before the last `following`, which `rest` begins with."""
        pairs, count = Variable("pairs"), Variable("count")
        left = self._call("-", pairs, following)
        enough = self._call(">=", count, fewest)

        def go_on(inner: AnyScope) -> Node:
            tail = self.ex.library_call(
                "list-tail", [Local(self.span, value), Local(self.span, count)], self.span
            )
            return self._part(tail, (rest, part[1]), inner, then)

        def elements(inner: AnyScope) -> Node:
            if is_anything(part[0]):
                taken = self.ex.library_call(
                    "list-head", [Local(self.span, value), Local(self.span, count)], self.span
                )
                return self._part(taken, part, inner, go_on)
            return self._each(part, value, count, inner, go_on)

        body = Let(self.span, [count], [left], self._when(enough, scope, elements))
        return Let(self.span, [pairs], [self._call("%pairs", value)], body)

    def _each(
        self, part: Part, value: Variable, count: Variable | None, scope: AnyScope, then: Then
    ) -> Node:
        """Match the first `count` elements of a list, or all: a loop that collects, name by name,
        what they bind.
        """
        names = pattern_variables(part[0])
        shared = [Variable(symbol_of(name).name) for name in names]
        collected = [Variable(symbol_of(name).name) for name in names]
        loop, at, left, element = (Variable(n) for n in ("each", "at", "left", "element"))
        inner = Matcher(self.ex, self.span)
        inner.bound = dict(self.bound)

        def fits(_: AnyScope) -> Node:
            next_: list[Node] = [self._call("cdr", at)]
            if count is not None:
                next_.append(self._call("-", left, 1))
            for name, so_far in zip(names, collected, strict=True):
                one: Node = Local(self.span, inner.bound[name])
                pair = self.ex.library_call("cons", [one, Local(self.span, so_far)], self.span)
                next_.append(pair)
            return Call(self.span, Local(self.span, loop), next_)

        turn = inner.match(*part, element, scope, fits)
        if inner.fails:
            turn = Attempt(self.span, turn, Const(self.span, False), inner.tests)
        stores: list[Node] = []
        for to, so_far in zip(shared, collected, strict=True):
            to.assigned = True
            stores.append(SetLocal(self.span, to, self._call("reverse!", so_far)))
        done = Seq(self.span, [*stores, Const(self.span, True)])
        turn = Let(self.span, [element], [self._call("car", at)], turn)
        starts: list[Node] = [Local(self.span, value)]
        if count is None:
            body = If(self.span, self._call("pair?", at), turn, done)
            params = [at]
        else:
            body = If(self.span, self._call(">", left, 0), turn, done)
            params = [at, left]
            starts.append(Local(self.span, count))
        procedure = Lambda(self.span, "match", [*params, *collected], body)
        procedure.signature = "(match ...)"
        starts += [Const(self.span, Nil) for _ in collected]
        entry = Call(self.span, Local(self.span, loop), starts)
        test = Letrec(self.span, [loop], [procedure], entry)
        return self._with_shared(names, shared, test, scope, then)

    # -- helpers -------------------------------------------------------------------------------

    def _when(self, test: Node, scope: AnyScope, then: Then) -> Node:
        self._fail(test)
        return If(self.span, test, then(scope), Fail(self.span))

    def _fail(self, test: Node) -> None:
        self.tests.append(test)
        self.fails = True

    def _call(self, name: str, value: Variable, *constants: Any, span: Span | None = None) -> Node:
        arguments: list[Node] = [Local(self.span, value)]
        arguments += [Const(self.span, constant) for constant in constants]
        return self.ex.library_call(name, arguments, span or self.span)

    def _malformed(self, shape: str, at: Span | None) -> LispSyntaxError:
        return self._error("malformed pattern", at, f"expected {shape}")

    def _error(self, fact: str, at: Span | None, hint: str) -> LispSyntaxError:
        return self.ex.error(fact, at or self.span, hint)


def shown(pattern: Any) -> str:
    from omega.lisp.printer import shorten

    return shorten(strip(pattern), 60)
