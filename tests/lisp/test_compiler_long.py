"""Programs that are long, wide or deep as texts: what CPython's compiler must take of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omega.errors import LispTypeError, OmegaError
from omega.interpreter import Interpreter


def value_of(program: str) -> Any:
    with Interpreter(virtual_time=True, use_cache=False) as interpreter:
        return interpreter.eval(program)


def nested(depth: int, opening: Callable[[int], str], inside: str, closing: str = ")") -> str:
    return "".join(opening(i) for i in range(depth)) + inside + closing * depth


def cond_of(clauses: int) -> str:
    return "(cond " + " ".join(f"((= x {i}) {i * 2})" for i in range(clauses)) + " (else 'none))"


PROGRAMS: dict[str, tuple[str, Any]] = {
    "cond of 2000 clauses, first": (f"(define (f x) {cond_of(2000)}) (f 0)", 0),
    "cond of 2000 clauses, last": (f"(define (f x) {cond_of(2000)}) (f 1999)", 3998),
    "cond of 2000 clauses as an operand": (f"(define (f x) (+ 1 {cond_of(2000)})) (f 1500)", 3001),
    "cond of 500 clauses in a loop": (
        f"(let loop ((x 0) (s 0)) (if (= x 500) s (loop (+ x 1) (+ s {cond_of(500)}))))",
        500 * 499,
    ),
    "case of 2000 clauses": (
        "(define (f x) (case x "
        + " ".join(f"(({i}) {i + 1})" for i in range(2000))
        + ")) (f 1234)",
        1235,
    ),
    "case of one clause of 2000 data": (
        f"(define (f x) (case x (({' '.join(map(str, range(2000)))}) 'in) (else 'out)))"
        " (if (eq? (f 1999) 'in) (eq? (f 2000) 'out) #f)",
        True,
    ),
    "350 definitions with guards, used before and behind": (
        "(define (all x) (apply + (map (lambda (f) (f x)) (list f0 f120 f349)))) "
        + " ".join(f"(define (f{i} x) (guard (e (#t (+ e {i}))) (raise x)))" for i in range(350))
        + " (equal? (list (all 1) (f349 0) (f99 (f100 (f101 0)))) '(472 349 300))",
        True,
    ),
    "300 nested lets": (
        nested(300, lambda i: f"(let ((x{i} {f'(+ x{i - 1} 1)' if i else '0'})) ", "x299"),
        299,
    ),
    "300 nested lets that are captured": (
        nested(
            300,
            lambda i: f"(let ((x{i} {f'(+ x{i - 1} 1)' if i else '0'})) ",
            "((lambda () (+ x0 x299)))",
        ),
        299,
    ),
    "let* of 1000": (
        "(let* ("
        + " ".join(f"(x{i} {f'(+ x{i - 1} 1)' if i else '0'})" for i in range(1000))
        + ") x999)",
        999,
    ),
    "25 nested named lets": (
        "(define n 0)"
        + "".join(f"(let l{i} ((i{i} 0)) (when (< i{i} 1) " for i in range(25))
        + "(set! n (+ n 1))"
        + "".join(f" (l{i} (+ i{i} 1))))" for i in range(24, -1, -1))
        + " n",
        1,
    ),
    "25 nested dos": (
        "(define n 0)"
        + nested(25, lambda i: f"(do ((i{i} 0 (+ i{i} 1))) ((= i{i} 1)) ", "(set! n (+ n 1))")
        + " n",
        1,
    ),
    "200 nested ifs in the test": (
        f"(define (f x) {nested(200, lambda i: '(if ', 'x', ' #t #f)')}) (f 1)",
        True,
    ),
    "200 nested ifs in a branch": (
        f"(define (f x) {nested(200, lambda i: f'(if (= x {i}) {i} ', chr(39) + 'none')}) (f 150)",
        150,
    ),
    "200 nested ifs in the first branch": (
        f"(define (f x) {nested(200, lambda i: f'(if (< x {1000 - i}) ', 'x', ' 0)')}) (f 5)",
        5,
    ),
    "300 nested calls": (f"(define (f x) (+ x 1)) {nested(300, lambda i: '(f ', '0')}", 300),
    "900 nested additions": (nested(900, lambda i: "(+ 1 ", "0"), 900),
    "300 nested lambdas": (nested(300, lambda i: f"((lambda (x{i}) ", "x0", ") 7)"), 7),
    "100 nested procedures": (
        nested(
            100, lambda i: f"(let () (define (f{i}) {f'(+ 1 (f{i - 1}))' if i else '0'}) ", "(f99)"
        ),
        99,
    ),
    "100 nested guards": (nested(100, lambda i: "(guard (e (#f 1)) ", "(+ 1 1)"), 2),
    "quasiquote of 2000 elements": (
        "(define x 1) (length `(" + " ".join(f"a ,(+ x {i})" for i in range(1000)) + "))",
        2000,
    ),
    "quasiquote of 5000 elements": ("(define x 1) (length `(" + ",x " * 5000 + "))", 5000),
    "quasiquote with 500 splices": ("(define x '(1 2)) (length `(" + ",@x " * 500 + "))", 1000),
    "a list of 2000 elements": ("(length (list " + "1 " * 2000 + "))", 2000),
    "a literal of 10000 elements": ("(length '(" + "1 " * 10000 + "))", 10000),
    "a sum of 2000": ("(+ " + "1 " * 2000 + ")", 2000),
    "a sum of 2000 calls": ("(define (f) 1) (+ " + "(f) " * 2000 + ")", 2000),
    "and of 1000": ("(and " + "1 " * 1000 + "5)", 5),
    "or of 1000": ("(or " + "#f " * 1000 + "5)", 5),
    "or of 1000 calls": ("(define (f) #f) (or " + "(f) " * 1000 + "5)", 5),
    "begin of 5000": ("(define x 0) (begin " + "(set! x (+ x 1)) " * 5000 + "x)", 5000),
    "2000 definitions": (
        "(define (f0 x) x)"
        + "".join(f"(define (f{i} x) (f{i - 1} (+ x 1)))" for i in range(1, 2000))
        + "(f1999 0)",
        1999,
    ),
    "2000 values": ("".join(f"(define v{i} {i})" for i in range(2000)) + "(+ v0 v1999)", 1999),
    "200 parameters": (
        f"(define (f {' '.join(f'p{i}' for i in range(200))}) (+ p0 p199))"
        f" (f {' '.join(map(str, range(200)))})",
        199,
    ),
    "a body of 500 internal definitions": (
        "(define (f) "
        + "".join(f"(define (g{i}) {f'(+ 1 (g{i - 1}))' if i else '0'})" for i in range(500))
        + "(g499)) (f)",
        499,
    ),
    "a letrec of 500": (
        "(letrec ("
        + "".join(f"(g{i} (lambda () {f'(+ 1 (g{i - 1}))' if i else '0'}))" for i in range(500))
        + ") (g499))",
        499,
    ),
    "a string of 100000 characters": ('(string-length "' + "x" * 100_000 + '")', 100_000),
    "a symbol of 5000 characters": ("(define " + "a" * 5000 + " 5) " + "a" * 5000, 5),
    "a table of 1000 entries": (
        "(hash-count {" + " ".join(f"{i} {i}" for i in range(1000)) + "})",
        1000,
    ),
    "a macro used 2000 times": (
        "(define-syntax inc! (syntax-rules () ((_ x) (set! x (+ x 1))))) (define x 0)"
        + "(inc! x)" * 2000
        + "x",
        2000,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_long_program(name: str) -> None:
    program, value = PROGRAMS[name]
    assert value_of(program) == value


@pytest.mark.parametrize("depth", [10, 11, 12, 13, 19, 20, 21, 22, 40])
def test_loops_nest_beyond_the_blocks_python_allows(depth: int) -> None:
    """CPython takes 20 nested blocks; a loop is one or two of them."""
    program = "(define n 0)"
    program += nested(
        depth, lambda i: f"(do ((i{i} 0 (+ i{i} 1))) ((= i{i} 1)) ", "(set! n (+ n 1))"
    )
    assert value_of(program + " n") == 1
    tails = "".join(f"(let l{i} ((i{i} 0)) (if (= i{i} 1) {i} " for i in range(depth))
    ends = "".join(
        f"(l{i} (+ i{i} 1))))" if i == depth - 1 else "))" for i in range(depth - 1, -1, -1)
    )
    assert value_of(tails + ends) == depth - 1


@pytest.mark.parametrize("depth", [990, 1200, 20_000])
def test_nesting_beyond_the_limit_is_an_error(depth: int) -> None:
    from omega.errors import LimitExceeded

    program = nested(depth, lambda i: "(car ", "'()")
    if depth < 1000:
        with pytest.raises(Exception, match="expected a pair"):
            value_of(program)
        return
    with pytest.raises(LimitExceeded, match="nesting"):
        value_of(program)


DEEP = {
    "let": ("(let ((x 1)) ", ")"),
    "begin": ("(begin 1 ", ")"),
    "if": ("(if 1 ", " 0)"),
    "cond": ("(cond (1 ", "))"),
    "when": ("(when 1 ", ")"),
    "and": ("(and 1 ", ")"),
    "or": ("(or #f ", ")"),
    "not": ("(not ", ")"),
    "called lambda": ("((lambda (x) ", ") 1)"),
    "list": ("(list 1 ", ")"),
    "quasiquote": ("`(1 ,", ")"),
    "named let": ("(let loop ((x 1)) ", ")"),
    "case": ("(case 1 ((1) ", "))"),
    "letrec": ("(letrec ((x 1)) ", ")"),
    "let-values": ("(let-values (((x) 1)) ", ")"),
    "macro": ("(receive (x) 1 ", ")"),
    "set!": ("(set! x ", ")"),
    "vector-ref": ("(+ 1 (vector-ref (vector 1) ", "))"),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_of_each_form(name: str) -> None:
    """Passes over forms and nodes must not use up the C stack, which Python 3.12 limits most."""
    opening, closing = DEEP[name]
    if name != "vector-ref":
        value_of("(define x 1)" + opening * 490 + "0" + closing * 490)
    value_of(f"(define x 1) (define (f) {opening * 400}x{closing * 400})")


@pytest.mark.parametrize(
    "opening", ["(lambda (x) ", "(delay ", "(guard (e (1 e)) ", "(let f () (define (g) "]
)
def test_nested_procedures_up_to_a_limit(opening: str) -> None:
    closing = ") (g))" if "define" in opening else ")"
    value_of(opening * 60 + "0" + closing * 60)


def test_an_error_of_a_long_text_tells_its_place_and_nothing_of_the_parts() -> None:
    lines = [f"(define (f{i} x) (+ 1 (car x)))" for i in range(250)]
    lines += ["(f249 (list 1))", "(f120 5)"]
    with pytest.raises(OmegaError) as raised:
        value_of("\n".join(lines))
    error = raised.value
    assert error.span is not None
    assert error.span.line == 121
    assert [(name, span.line) for name, span in error.lisp_traceback] == [("f120", 121), ("", 252)]


def test_what_stands_among_many_definitions_is_done_in_order() -> None:
    many = [f"(define (f{i} x) (set! log (cons {i} log)) x)" for i in range(1_200)]
    calls = [
        f"(set! log (cons (let ((v {i})) (guard (e (#t (condition-message e)))"
        f' (if (even? v) (error "even") ((lambda () (set! v (+ v 1)) v))))) log))'
        for i in range(1_200)
    ]
    text = "\n".join(["(define log '())", *(a + b for a, b in zip(many, calls, strict=True))])
    shown = "(list (length log) (car log) (cadr log) (f1 5) (car log))"
    assert value_of(f'{text}(equal? {shown} \'(1200 1200 "even" 5 1))') is True


def test_a_line_may_be_longer_than_the_columns_that_are_told() -> None:
    line = f"(define x '({'a ' * 600_000}))"
    assert value_of(f"{line} (define (f) (car 5)) (length x)") == 600_000
    with pytest.raises(LispTypeError) as caught:
        value_of(f"{line} (define (f) (car 5)) (f)")
    assert caught.value.span is not None
    assert (caught.value.span.line, caught.value.span.column) == (1, 1 << 20)
