"""Macros of the program: `define-syntax`, `let-syntax`, `letrec-syntax`, `define-macro`.

Owns: the forms that bind macros, and macros that are procedures. `syntax-rules` itself is in
syntax_rules.py.
"""

from __future__ import annotations

from typing import Any

from omega.errors import OmegaError, Span
from omega.lisp import (  # noqa: F401  fill the table
    binding_forms,
    data_forms,
    forms,
    library_forms,
    match_forms,
)
from omega.lisp.core import Const, Node
from omega.lisp.data import Pair, Symbol
from omega.lisp.environment import (
    EXPANDED,
    Alias,
    Macro,
    Scope,
    Special,
    TopLevel,
    lookup,
    symbol_of,
)
from omega.lisp.expander import FIXED, AnyScope, Expander
from omega.lisp.parameters import procedure
from omega.lisp.special import args, special
from omega.lisp.syntax_rules import Rules

BEFORE = "this is evaluated before the program runs"


def _bind_syntax(ex: Expander, name: Any, macro: Any, scope: AnyScope, span: Span | None) -> None:
    if isinstance(scope, TopLevel):
        text = symbol_of(name).name
        ex.refuse_kept(text, span)
        ex.refuse_imported(text, span)
        if scope.fixed:
            raise ex.error("nothing can be defined in this environment", span, FIXED)
        ex.made_syntax = True
        scope.imports.pop(text, None)
        scope.defined.discard(text)
        scope.syntax[text] = macro
    else:
        ex.refuse_twice(name, scope, span)
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
    (name, at), (rules, _) = parts
    _bind_syntax(ex, name, _transformer(ex, rules, scope, span, name), scope, at or span)
    return [(None, lambda _: Const(span, None))]


@special("let-syntax")
@special("letrec-syntax")
def let_syntax(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> Node:
    own = symbol_of(form.car).name
    parts = args(ex, form, span, 2, None, f"({own} ((name rules) ...) body ...)")
    inner = Scope(scope)
    seen = inner if own == "letrec-syntax" else scope
    for binding, at in ex.parts(parts[0][0]):
        items = ex.parts(binding) if isinstance(binding, Pair) else []
        if len(items) != 2 or not isinstance(items[0][0], (Symbol, Alias)):
            raise ex.error(
                "malformed syntax binding", at or span, "expected (name (syntax-rules ...))"
            )
        macro = _transformer(ex, items[1][0], seen, at or span, items[0][0])
        _bind_syntax(ex, items[0][0], macro, inner, at or span)
    return ex.body(parts[1:], inner, span, f"`{own}`")


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
        node: Node = procedure(ex, _text(ex, name, span), target.cdr, parts[1:], ex.top, span)
    elif len(parts) == 2:
        name = target
        node = ex.expand(parts[1][0], ex.top, parts[1][1])
    else:
        raise ex.error(
            "malformed `define-macro`", span, "expected (define-macro (name arg ...) body ...)"
        )
    text = _text(ex, name, span)
    try:
        transformer = ex.evaluate(node, ex.definitions)
    except OmegaError as error:
        error.notes.append((f"{BEFORE}, for macro `{text}`", ex.span_of(form, span)))
        raise

    if not callable(transformer):
        raise ex.error(
            f"`{text}` is to be a macro, and its value is no procedure",
            span,
            "a macro is a procedure that is given forms and gives a form",
        )

    def transform(use: Any, _scope: AnyScope, _expander: Expander) -> Any:
        try:
            result = ex.call(transformer, [ex.plain(datum) for datum, _ in ex.parts(use)[1:]])
            ex.refuse_round(result)
        except OmegaError as error:
            raise _at_use(error, text, ex.span_of(use, None)) from error.__cause__
        return result

    _bind_syntax(ex, name, Macro(text, transform, ex.span_of(form, span)), scope, span)
    return [(None, lambda _: Const(span, None))]


def _at_use(error: OmegaError, macro: str, use: Span | None) -> OmegaError:
    """An error of a macro's own code, pointing to the use; a note says where it happened."""
    what = f"{EXPANDED} `{macro}`"
    known = error.span is not None and error.span != use
    error.notes.insert(0, (f"{what}, whose code failed here" if known else what, error.span))
    error.span = use
    if error.kind == "unbound-variable":
        error.notes.append((f"{BEFORE}: a macro sees the definitions in front of it", None))
    return error


def _text(ex: Expander, name: Any, span: Span | None) -> str:
    if not isinstance(name, (Symbol, Alias)):
        raise ex.error(
            "a macro's name must be a symbol",
            span,
            "expected (define-macro (name arg ...) body ...)",
        )
    return symbol_of(name).name
