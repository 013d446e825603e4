"""Macros of the program: `define-macro`, `define-syntax` and friends, and `syntax-rules`.

Owns: the syntax-rules matcher and template filler, and the forms that bind macros.
Hygiene: see environment.py. R7RS section 4.3.2; nested ellipses, `(... ...)`, custom ellipsis,
literals, vectors, patterns with a tail after the ellipsis.

Invariant: what a template inserts is an Alias (one per symbol and use); what the use gave is passed
on untouched, spans included.
"""

from __future__ import annotations

from typing import Any

from omega.errors import OmegaError, Span
from omega.lisp import binding_forms, data_forms, forms  # noqa: F401  fill the table
from omega.lisp.core import Const, Node
from omega.lisp.data import Keyword, Nil, Pair, Symbol, to_list
from omega.lisp.environment import (
    EXPANDED,
    Alias,
    Macro,
    Scope,
    Special,
    TopLevel,
    lookup,
    same_meaning,
    strip,
    symbol_of,
)
from omega.lisp.equality import is_equal
from omega.lisp.expander import AnyScope, Expander, spine
from omega.lisp.reader import SourcePair
from omega.lisp.special import special


def _bind_syntax(ex: Expander, name: Any, macro: Any, scope: AnyScope) -> None:
    if isinstance(scope, TopLevel):
        ex.made_syntax = True
        text = symbol_of(name).name
        scope.defined.discard(text)
        scope.syntax[text] = macro
    else:
        scope.bindings[name] = macro


def _first_name(form: Any) -> list[Any]:
    return []


@special("define-syntax", _first_name)
def define_syntax(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    parts = ex.parts(form)[1:]
    if len(parts) != 2 or not isinstance(parts[0][0], (Symbol, Alias)):
        raise ex.error(
            "malformed `define-syntax`", span, "expected (define-syntax name (syntax-rules ...))"
        )
    _bind_syntax(ex, parts[0][0], _transformer(ex, parts[1][0], scope, span, parts[0][0]), scope)
    return [(None, lambda _: Const(span, None))]


@special("let-syntax")
@special("letrec-syntax")
def let_syntax(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    parts = ex.parts(form)[1:]
    if len(parts) < 2:
        raise ex.error(
            "malformed `let-syntax`", span, "expected (let-syntax ((name rules) ...) body ...)"
        )
    inner = Scope(scope)
    seen = inner if symbol_of(form.car).name == "letrec-syntax" else scope
    for binding, at in ex.parts(parts[0][0]):
        items = ex.parts(binding)
        if len(items) != 2 or not isinstance(items[0][0], (Symbol, Alias)):
            raise ex.error(
                "malformed syntax binding", at or span, "expected (name (syntax-rules ...))"
            )
        inner.bindings[items[0][0]] = _transformer(ex, items[1][0], seen, at or span, items[0][0])
    return ex.body(parts[1:], inner, span, "`let-syntax`")


def _transformer(ex: Expander, form: Any, scope: AnyScope, span: Span | None, name: Any) -> Any:
    """What a name is bound to by define-syntax: a Macro, or the meaning of another keyword."""
    if isinstance(form, (Symbol, Alias)):
        meaning = lookup(form, scope)
        if isinstance(meaning, (Macro, Special)):
            return meaning
    form, meaning = ex.head(form, scope, span)
    if not (isinstance(meaning, Special) and meaning.name == "syntax-rules"):
        raise ex.error(
            "a macro is made by syntax-rules", span, "or by (define-macro (name arg ...) body ...)"
        )
    return Rules(ex, form, scope, symbol_of(name).name, span).macro()


@special("syntax-rules")
def syntax_rules(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    raise ex.error(
        "`syntax-rules` stands only in define-syntax, let-syntax or letrec-syntax",
        span,
        "write (define-syntax name (syntax-rules ...))",
    )


@special("define-macro", _first_name)
def define_macro(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Any:
    """(define-macro (name . params) body ...) or (define-macro name procedure): unhygienic, gets
    and gives data.
    """
    parts = ex.parts(form)[1:]
    if not parts:
        raise ex.error(
            "malformed `define-macro`", span, "expected (define-macro (name arg ...) body ...)"
        )
    target, _ = parts[0]
    if isinstance(target, Pair):
        name = target.car
        node: Node = ex.lambda_(_text(ex, name, span), target.cdr, parts[1:], ex.top, span)
    elif len(parts) == 2:
        name = target
        node = ex.expand(parts[1][0], ex.top, parts[1][1])
    else:
        raise ex.error(
            "malformed `define-macro`", span, "expected (define-macro (name arg ...) body ...)"
        )
    text = _text(ex, name, span)
    transformer = ex.evaluate(node, dict(ex.procedures))

    def transform(use: Any, _scope: AnyScope) -> Any:
        try:
            return ex.call(transformer, [ex.plain(datum) for datum, _ in ex.parts(use)[1:]])
        except OmegaError as error:
            raise _at_use(error, text, ex.span_of(use, None)) from error.__cause__

    _bind_syntax(ex, name, Macro(text, transform, ex.span_of(form, span)), scope)
    return [(None, lambda _: Const(span, None))]


def _at_use(error: OmegaError, macro: str, use: Span | None) -> OmegaError:
    """An error of a macro's own code, pointing to the use; a note says where it happened."""
    what = f"{EXPANDED} `{macro}`"
    known = error.span is not None and error.span != use
    error.notes.insert(0, (f"{what}, whose code failed here" if known else what, error.span))
    error.span = use
    return error


def _text(ex: Expander, name: Any, span: Span | None) -> str:
    if not isinstance(name, (Symbol, Alias)):
        raise ex.error(
            "a macro's name must be a symbol",
            span,
            "expected (define-macro (name arg ...) body ...)",
        )
    return symbol_of(name).name


class _Many:
    """What a pattern variable under an ellipsis matched: one binding set or datum an occurrence."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items


class Rules:
    """One `syntax-rules`: its literals, ellipsis and (pattern, template) rules."""

    def __init__(
        self, ex: Expander, form: Any, scope: AnyScope, name: str, span: Span | None
    ) -> None:
        self.ex, self.scope, self.name, self.span = ex, scope, name, span
        self.defined = None if ex.top.is_library else span
        parts = [datum for datum, _ in ex.parts(form)[1:]]
        self.ellipsis: Any = Symbol.of("...")
        if parts and isinstance(
            parts[0], (Symbol, Alias, Keyword)
        ):  # R7RS's `:::` reads as a keyword
            self.ellipsis = parts.pop(0)
        if not parts:
            raise ex.error(
                "malformed `syntax-rules`",
                span,
                "expected (syntax-rules (literal ...) (pattern template) ...)",
            )
        self.literals = spine(parts[0])
        self.rules: list[tuple[Any, Any]] = []
        for rule in parts[1:]:
            items = [datum for datum, _ in ex.parts(rule)] if isinstance(rule, Pair) else []
            if len(items) != 2 or not isinstance(items[0], Pair):
                raise ex.error(
                    f"malformed rule of `{name}`",
                    ex.span_of(rule, span),
                    "expected (pattern template)",
                )
            self.rules.append((items[0].cdr, items[1]))

    def macro(self) -> Macro:
        return Macro(self.name, self.transform, self.defined)

    def transform(self, use: Any, scope: AnyScope) -> Any:
        for pattern, template in self.rules:
            bound: dict[Any, Any] = {}
            if self._match(pattern, use.cdr, scope, bound):
                renamed: dict[Any, Alias] = {}
                result = self._fill(template, bound, renamed)
                return _placed(result, use)
        raise self.ex.error(
            f"no rule of `{self.name}` matches this use",
            self.ex.span_of(use, None),
            "its rules are " + " ".join(self._shape(p) for p, _ in self.rules),
        )

    def _shape(self, pattern: Any) -> str:
        from omega.lisp.printer import write_string

        pair = Pair()
        pair.car, pair.cdr = Symbol.of(self.name), strip(pattern)
        return write_string(pair)

    def _is_ellipsis(self, datum: Any) -> bool:
        if isinstance(self.ellipsis, Keyword):
            return datum is self.ellipsis
        if not isinstance(datum, (Symbol, Alias)) or any(datum is lit for lit in self.literals):
            return False
        return symbol_of(datum) is symbol_of(self.ellipsis)

    # -- matching ------------------------------------------------------------------------------

    def _match(self, pattern: Any, datum: Any, scope: AnyScope, bound: dict[Any, Any]) -> bool:
        while isinstance(pattern, Pair):
            if isinstance(pattern.cdr, Pair) and self._is_ellipsis(pattern.cdr.car):
                return self._match_many(pattern, datum, scope, bound)
            if not isinstance(datum, Pair) or not self._match(pattern.car, datum.car, scope, bound):
                return False
            pattern, datum = pattern.cdr, datum.cdr
        if isinstance(pattern, (Symbol, Alias)):
            if any(pattern is literal for literal in self.literals):
                return isinstance(datum, (Symbol, Alias)) and same_meaning(
                    datum, scope, pattern, self.scope
                )
            if symbol_of(pattern).name != "_":
                bound[pattern] = datum
            return True
        if pattern is Nil:
            return datum is Nil
        if type(pattern) is list:
            return type(datum) is list and self._match(
                to_list(pattern), to_list(datum), scope, bound
            )
        return bool(is_equal(pattern, strip(datum)))

    def _match_many(
        self, pattern: Pair, datum: Any, scope: AnyScope, bound: dict[Any, Any]
    ) -> bool:
        """`sub ... after`: as many `sub` as leave enough for `after`."""
        sub, after = pattern.car, pattern.cdr.cdr
        least = 0
        at = after
        while isinstance(at, Pair):
            least += 1
            at = at.cdr
        items: list[Any] = []
        rest = datum
        while isinstance(rest, Pair):
            items.append(rest)
            rest = rest.cdr
            self.ex.count(1)
        count = len(items) - least
        if count < 0:
            return False
        matches: list[dict[Any, Any]] = []
        for cell in items[:count]:
            inner: dict[Any, Any] = {}
            if not self._match(sub, cell.car, scope, inner):
                return False
            matches.append(inner)
        for var in self._variables(sub):
            bound[var] = _Many([match[var] for match in matches])
        return self._match(after, items[count] if count < len(items) else rest, scope, bound)

    def _variables(self, pattern: Any) -> list[Any]:
        found: list[Any] = []
        work = [pattern]
        while work:
            item = work.pop()
            if isinstance(item, Pair):
                work += (item.cdr, item.car)
            elif type(item) is list:
                work += item
            elif (
                isinstance(item, (Symbol, Alias))
                and symbol_of(item).name != "_"
                and not self._is_ellipsis(item)
                and not any(item is literal for literal in self.literals)
            ):
                found.append(item)
        return found

    # -- filling in ----------------------------------------------------------------------------

    def _fill(self, template: Any, bound: dict[Any, Any], renamed: dict[Any, Alias]) -> Any:
        if isinstance(template, (Symbol, Alias)):
            if template in bound:
                value = bound[template]
                if isinstance(value, _Many):
                    raise self._too_few(template)
                return value
            if template not in renamed:
                renamed[template] = Alias(template, self.scope)
            return renamed[template]
        if isinstance(template, Pair):
            if self._is_ellipsis(template.car) and isinstance(template.cdr, Pair):
                return Escaped(self).fill(template.cdr.car, bound, renamed)
            return self._fill_list(template, bound, renamed)
        if type(template) is list:
            return spine(self._fill_list(to_list(template), bound, renamed)) if template else []
        return template

    def _too_few(self, name: Any) -> Exception:
        return self.ex.error(
            f"pattern variable `{symbol_of(name).name}` of `{self.name}` needs an ellipsis "
            f"after it",
            self.span,
        )

    def _fill_list(self, template: Any, bound: dict[Any, Any], renamed: dict[Any, Alias]) -> Any:
        out: list[tuple[Any, Any]] = []  # (datum, place)
        at = template
        while isinstance(at, Pair):
            if at is not template and self._is_ellipsis(at.car):
                break
            item, depth, after = at.car, 0, at.cdr
            while isinstance(after, Pair) and self._is_ellipsis(after.car):
                depth, after = depth + 1, after.cdr
            place = at.car_span if isinstance(at, SourcePair) else None
            if depth:
                out += [(v, place) for v in self._fill_many(item, depth, bound, renamed)]
            else:
                out.append((self._fill(item, bound, renamed), place))
            at = after
        result = Nil if at is Nil else self._fill(at, bound, renamed)
        for datum, _place in reversed(out):
            pair = Pair()
            pair.car, pair.cdr = datum, result
            result = pair
        return result

    def _fill_many(
        self, template: Any, depth: int, bound: dict[Any, Any], renamed: dict[Any, Alias]
    ) -> list[Any]:
        names = [
            v for v in dict.fromkeys(self._variables(template)) if isinstance(bound.get(v), _Many)
        ]
        if not names:
            raise self.ex.error(
                f"an ellipsis in a template of `{self.name}` follows nothing that repeats",
                self.span,
            )
        length = max(len(bound[v].items) for v in names)
        if any(len(bound[v].items) != length for v in names):
            raise self.ex.error(f"`{self.name}`: parts of different lengths under one ellipsis")
        result: list[Any] = []
        self.ex.count(length)
        for i in range(length):
            inner = {**bound, **{v: bound[v].items[i] for v in names}}
            if depth > 1:
                result += self._fill_many(template, depth - 1, inner, renamed)
            else:
                result.append(self._fill(template, inner, renamed))
        return result


class Escaped(Rules):
    """`(... template)`: in it the ellipsis is an ordinary symbol."""

    def __init__(self, rules: Rules) -> None:
        self.ex, self.scope, self.name, self.span = rules.ex, rules.scope, rules.name, rules.span
        self.literals, self.ellipsis = rules.literals, Symbol("no ellipsis")

    def fill(self, template: Any, bound: dict[Any, Any], renamed: dict[Any, Alias]) -> Any:
        return self._fill(template, bound, renamed)


def _placed(result: Any, use: Any) -> Any:
    """The expansion, at the place of the macro's use."""
    if isinstance(result, Pair) and isinstance(use, SourcePair):
        placed = SourcePair()
        placed.car, placed.cdr = result.car, result.cdr
        placed.span, placed.car_span = use.span, None
        return placed
    return result
