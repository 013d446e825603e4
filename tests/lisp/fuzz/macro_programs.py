"""Macros for random programs: hygiene in every way it can be broken.

Owns: MACROS, each with its definition and its uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.lisp.fuzz.forms import Form, parsed

Use = Callable[[Any, str, Any, int], Form]


class MacroProgram:
    def __init__(self, text: str, use: Use) -> None:
        (self.definition,) = parsed(text)
        self.use = use


def _or(g: Any, kind: str, scope: Any, depth: int) -> Form:
    inner = scope.having("t", "any")
    return ["let", [["t", g.expr("any", scope, depth)]],
            ["my-or", ["not", g.test(inner, depth)], g.expr(kind, inner, depth)]]  # fmt: skip


def _swap(g: Any, kind: str, scope: Any, depth: int) -> Form:
    inner = scope.having("tmp", kind).having("y", kind)
    bindings = [["tmp", g.expr(kind, scope, depth)], ["y", g.expr(kind, scope, depth)]]
    return ["let", bindings, ["swap!", "tmp", "y"], g.expr(kind, inner, depth)]


def _while(g: Any, kind: str, scope: Any, depth: int) -> Form:
    inner = scope.having("loop", "int")
    turn = ["set!", "loop", ["+", "loop", "1"]]
    return ["let", [["loop", "0"]],
            ["while-do", ["<", "loop", g.choose(("1", "2", "3"))], g.effect(inner, depth), turn],
            g.expr(kind, inner, depth)]  # fmt: skip


def _my_let(g: Any, kind: str, scope: Any, depth: int) -> Form:
    names = g.names(1 + g.pick(2))
    bindings = [[name, g.expr("int", scope, depth)] for name in names]
    body = g.sequence(kind, scope.with_all(names, ["int"] * len(names)), depth)
    return [g.choose(("my-let", "my-let*")), bindings, *body]


def _lets(g: Any, kind: str, scope: Any, depth: int) -> Form:
    return ["my-let", *_my_let(g, kind, scope, depth)[1:]]


def _for(g: Any, kind: str, scope: Any, depth: int) -> Form:
    (name,) = g.names(1)
    inner = scope.having(name, "int")
    return ["begin", ["for", name, "in", g.expr("list", scope, depth), g.effect(inner, depth)],
            g.expr(kind, scope, depth)]  # fmt: skip


def _unless2(g: Any, kind: str, scope: Any, depth: int) -> Form:
    made = ["my-if", g.test(scope, depth), g.expr(kind, scope, depth), g.expr(kind, scope, depth)]
    return ["let", [["if", "list"], ["not", "5"]], made] if g.one_in(2) else made


def _table(g: Any, kind: str, scope: Any, depth: int) -> Form:
    rows = [
        [g.choose(("a", "b", "c")), *g.several("int", scope, depth, g.pick(3))]
        for _ in range(g.pick(3))
    ]
    return ["begin", ["note", ["rows", *rows]], g.expr(kind, scope, depth)]


def _twice(g: Any, kind: str, scope: Any, depth: int) -> Form:
    return ["twice", g.expr(kind, scope, depth)]


def _define(g: Any, kind: str, scope: Any, depth: int) -> Form:
    first, second = g.names(2)
    inner = scope.having(first, kind).having(second, kind)
    return ["let", [], ["define-two", first, second, g.expr(kind, scope, depth)],
            g.expr(kind, inner, depth)]  # fmt: skip


def _local(g: Any, kind: str, scope: Any, depth: int) -> Form:
    (name,) = g.names(1)
    word = g.choose(("let-syntax", "letrec-syntax"))
    rules = [
        "syntax-rules",
        [],
        [["_", "e"], ["let", [[name, "1"]], ["begin", ["note", name], "e"]]],
    ]
    body = ["once", g.expr(kind, scope.having(name, "int"), depth)]
    return ["let", [[name, "7"]], [word, [["once", rules]], body]]


def _unhygienic(g: Any, kind: str, scope: Any, depth: int) -> Form:
    return ["with-it", g.expr("int", scope, depth), g.expr(kind, scope.having("it", "int"), depth)]


def _my_cond(g: Any, kind: str, scope: Any, depth: int) -> Form:
    clauses = [[g.test(scope, depth), g.expr(kind, scope, depth)] for _ in range(g.pick(3))]
    return ["my-cond", *clauses, ["else", g.expr(kind, scope, depth)]]


def _tail(g: Any, kind: str, scope: Any, depth: int) -> Form:
    return ["note-then", g.expr("int", scope, depth), *g.several("any", scope, depth, g.pick(2)),
            g.expr(kind, scope, depth)]  # fmt: skip


MACROS: dict[str, MacroProgram] = {
    "my-or": MacroProgram(
        "(define-syntax my-or (syntax-rules () ((_) #f) ((_ e) e)"
        " ((_ e r ...) (let ((t e)) (if t t (my-or r ...))))))",
        _or,
    ),
    "swap!": MacroProgram(
        "(define-syntax swap! (syntax-rules () ((_ a b) (let ((tmp a)) (set! a b) (set! b tmp)))))",
        _swap,
    ),
    "while-do": MacroProgram(
        "(define-syntax while-do (syntax-rules ()"
        " ((_ test body ...) (let loop () (when test body ... (loop))))))",
        _while,
    ),
    "my-let": MacroProgram(
        "(define-syntax my-let (syntax-rules ()"
        " ((_ ((n v) ...) body ...) ((lambda (n ...) body ...) v ...))))",
        _lets,
    ),
    "for": MacroProgram(
        "(define-syntax for (syntax-rules (in)"
        " ((_ x in l body ...) (for-each (lambda (x) body ...) l))))",
        _for,
    ),
    "my-if": MacroProgram(
        "(define-syntax my-if (syntax-rules () ((_ c a b) (cond ((not c) b) (else a)))))",
        _unless2,
    ),
    "rows": MacroProgram(
        "(define-syntax rows (syntax-rules ()"
        " ((_ (k v ...) ...) (list (list 'k (+ v 1) ...) ... (quote (v ... ...))))))",
        _table,
    ),
    "twice": MacroProgram("(define-macro (twice e) `(begin ,e ,e))", _twice),
    "define-two": MacroProgram(
        "(define-syntax define-two (syntax-rules ()"
        " ((_ a b v) (begin (define tmp v) (define a tmp) (define b tmp)))))",
        _define,
    ),
    "once": MacroProgram(
        "(define-syntax once (syntax-rules () ((_ e) e)))",
        _local,
    ),
    "with-it": MacroProgram("(define-macro (with-it v e) `(let ((it ,v)) ,e))", _unhygienic),
    "my-cond": MacroProgram(
        "(define-syntax my-cond (syntax-rules (else) ((_ (else e)) e)"
        " ((_ (c e) more ...) (if c e (my-cond more ...)))))",
        _my_cond,
    ),
    "note-then": MacroProgram(
        "(define-syntax note-then (syntax-rules () ((_ e ... last) (begin (note e) ... last))))",
        _tail,
    ),
}
