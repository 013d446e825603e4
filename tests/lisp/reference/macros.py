"""Macros of the reference: `syntax-rules` by matching and filling in, `define-macro` by calling.

Owns: the forms that bind macros.
"""

from __future__ import annotations

from typing import Any

from omega.errors import Span
from omega.lisp.data import Nil, Pair, Symbol, cons, to_list
from omega.lisp.equality import is_equal
from omega.lisp.reader import HASH_LITERAL
from tests.lisp.reference.core import Const, Node, Variable
from tests.lisp.reference.expander import AnyScope, Expander
from tests.lisp.reference.scopes import (
    Alias,
    Macro,
    Malformed,
    Scope,
    Special,
    Top,
    is_name,
    items_of,
    lookup,
    plain,
    symbol_of,
)


class Macros(Expander):
    def form_define_syntax(self, form: Any, scope: AnyScope, span: Span | None) -> Any:
        _, name, rules = items_of(form)
        self._bind(name, self._macro(rules, scope), scope)
        return [(None, lambda _: Const(span, None))]

    def form_let_syntax(self, form: Any, scope: AnyScope, span: Span | None) -> Node:
        inner = Scope(scope)
        seen = inner if symbol_of(form.car).name == "letrec-syntax" else scope
        for name, rules in (items_of(each) for each in items_of(form.cdr.car)):
            self._bind(name, self._macro(rules, seen), inner)
        return self.body(form.cdr.cdr, inner, span)

    form_letrec_syntax = form_let_syntax

    def form_define_macro(self, form: Any, scope: AnyScope, span: Span | None) -> Any:
        target = form.cdr.car
        if isinstance(target, Pair):
            name: Any = target.car
            node: Node = self.procedure(target.cdr, form.cdr.cdr, self.top, span)
        else:
            name = target
            node = self.expand(form.cdr.cdr.car, self.top, span)
        self.settle()
        call = self.transformer(node, self.nodes)
        transform = Macro(lambda use, _: call([plain(part) for part in items_of(use.cdr)]))
        self._bind(name, transform, scope)
        return [(None, lambda _: Const(span, None))]

    def _bind(self, name: Any, macro: Any, scope: AnyScope) -> None:
        if isinstance(scope, Top):
            text = symbol_of(name).name
            scope.defined.discard(text)
            scope.syntax[text] = macro
        else:
            scope.names[name] = macro

    def _macro(self, rules: Any, scope: AnyScope) -> Any:
        if is_name(rules):
            meaning = lookup(rules, scope)
            if isinstance(meaning, (Macro, Special)):
                return meaning
        items = items_of(rules)[1:]
        ellipsis = items.pop(0) if is_name(items[0]) else Symbol.of("...")
        literals = items_of(items[0])
        made = [Rule(items_of(rule), literals, ellipsis, scope) for rule in items[1:]]

        def transform(use: Any, at: AnyScope) -> Any:
            for rule in made:
                bound: dict[Any, Any] = {}
                if rule.matches(rule.pattern.cdr, use.cdr, at, bound):
                    return _placed(rule.fill(rule.template, bound, {}), use)
            raise Malformed(use)

        return Macro(transform)


class Rule:
    """One rule: a pattern and a template. What a variable under an ellipsis matched is a list of
    what it matched each time.
    """

    def __init__(self, rule: list[Any], literals: list[Any], ellipsis: Any, scope: AnyScope):
        self.pattern, self.template = rule
        self.literals, self.ellipsis, self.scope = literals, ellipsis, scope

    def is_ellipsis(self, datum: Any) -> bool:
        return (
            is_name(datum)
            and symbol_of(datum) is symbol_of(self.ellipsis)
            and datum not in self.literals
        )

    def matches(self, pattern: Any, datum: Any, at: AnyScope, bound: dict[Any, Any]) -> bool:
        if is_name(pattern):
            if pattern in self.literals:
                return is_name(datum) and _same(datum, at, pattern, self.scope)
            if symbol_of(pattern).name != "_":
                bound[pattern] = datum
            return True
        if isinstance(pattern, Pair):
            if isinstance(pattern.cdr, Pair) and self.is_ellipsis(pattern.cdr.car):
                return self._repeats(pattern, datum, at, bound)
            return (
                isinstance(datum, Pair)
                and self.matches(pattern.car, datum.car, at, bound)
                and self.matches(pattern.cdr, datum.cdr, at, bound)
            )
        if type(pattern) is list:
            return type(datum) is list and self.matches(to_list(pattern), to_list(datum), at, bound)
        return not isinstance(datum, (Pair, Alias, list)) and bool(is_equal(pattern, datum))

    def _repeats(self, pattern: Any, datum: Any, at: AnyScope, bound: dict[Any, Any]) -> bool:
        after = pattern.cdr.cdr
        count = _pairs(datum) - _pairs(after)
        if count < 0:
            return False
        found: list[dict[Any, Any]] = []
        for _ in range(count):
            found.append({})
            if not self.matches(pattern.car, datum.car, at, found[-1]):
                return False
            datum = datum.cdr
        for name in self._variables(pattern.car):
            bound[name] = [each[name] for each in found]
        return self.matches(after, datum, at, bound)

    def _variables(self, pattern: Any) -> list[Any]:
        if isinstance(pattern, Pair):
            return self._variables(pattern.car) + self._variables(pattern.cdr)
        if type(pattern) is list:
            return [name for item in pattern for name in self._variables(item)]
        if not is_name(pattern) or pattern in self.literals or self.is_ellipsis(pattern):
            return []
        return [] if symbol_of(pattern).name == "_" else [pattern]

    def fill(self, template: Any, bound: dict[Any, Any], fresh: dict[Any, Alias]) -> Any:
        if is_name(template):
            if template in bound:
                return bound[template]
            if template is HASH_LITERAL:
                return template
            return fresh.setdefault(template, Alias(template, self.scope))
        if type(template) is list:
            return items_of(self.fill(to_list(template), bound, fresh))
        if not isinstance(template, Pair):
            return template
        if self.is_ellipsis(template.car):  # (... template)
            return Rule([Nil, Nil], self.literals, Symbol("none"), self.scope).fill(
                template.cdr.car, bound, fresh
            )
        rest, depth = template.cdr, 0
        while isinstance(rest, Pair) and self.is_ellipsis(rest.car):
            rest, depth = rest.cdr, depth + 1
        result = self.fill(rest, bound, fresh)
        for datum in reversed(self._filled(template.car, depth, bound, fresh)):
            result = cons(datum, result)
        return result

    def _filled(
        self, template: Any, depth: int, bound: dict[Any, Any], fresh: dict[Any, Alias]
    ) -> list[Any]:
        """What a template with `depth` ellipses behind it gives."""
        if depth == 0:
            return [self.fill(template, bound, fresh)]
        names = [n for n in self._variables(template) if isinstance(bound.get(n), list)]
        names = [n for n in names if n in self._repeated()]
        lengths = {len(bound[name]) for name in names}
        if len(lengths) != 1:
            raise Malformed("lengths under an ellipsis")
        found: list[Any] = []
        for i in range(lengths.pop()):
            inner = {**bound, **{name: bound[name][i] for name in names}}
            found += self._filled(template, depth - 1, inner, fresh)
        return found

    def _repeated(self) -> set[Any]:
        """The variables that stand under an ellipsis of the pattern."""
        found: set[Any] = set()
        work = [self.pattern]
        while work:
            at = work.pop()
            if type(at) is list:
                at = to_list(at)
            if isinstance(at, Pair):
                if isinstance(at.cdr, Pair) and self.is_ellipsis(at.cdr.car):
                    found.update(self._variables(at.car))
                work += (at.car, at.cdr)
        return found


def _pairs(datum: Any) -> int:
    count = 0
    while isinstance(datum, Pair):
        count, datum = count + 1, datum.cdr
    return count


def _same(a: Any, scope_a: AnyScope, b: Any, scope_b: AnyScope) -> bool:
    one, other = lookup(a, scope_a), lookup(b, scope_b)
    if isinstance(one, Variable) or isinstance(other, Variable):
        return one is other
    return bool(one == other)


def _placed(result: Any, use: Any) -> Any:
    """What a macro made stands where it was used."""
    if not isinstance(result, Pair) or not hasattr(use, "span"):
        return result
    placed = type(use)()
    placed.car, placed.cdr = result.car, result.cdr
    placed.span, placed.car_span = use.span, None
    return placed
