"""Code nested as deep as it can be written, in every form."""

from __future__ import annotations

from collections.abc import Callable

from tests.extremes.kit import Case

DEPTHS = (19, 20, 21, 22, 50, 100, 200, 500, 999, 1_000, 1_001, 20_000)

# name -> what opens a level, what stands inside, what closes a level; {i} is the level, from 0
FORMS: dict[str, tuple[str, str, str]] = {
    "if, then": ("(if x ", "7", " 0)"),
    "if, else": ("(if (not x) 0 ", "7", ")"),
    "if, test": ("(if ", "x", " x #f)"),
    "if of calls": ("(if (f x) ", "7", " (f 0))"),
    "let": ("(let ((v{i} 7)) ", "7", ")"),
    "let, in the value": ("(let ((v ", "7", ")) v)"),
    "let that is captured": ("(let ((v{i} 7)) (f (lambda () v{i})) ", "7", ")"),
    "let that is captured and set": (
        "(let ((v{i} 7)) (set! v{i} 8) (f (lambda () v{i})) ",
        "7",
        ")",
    ),
    "let*": ("(let* ((v{i} 7) (w v{i})) ", "7", ")"),
    "letrec": ("(letrec ((v{i} (lambda () v{i}))) ", "7", ")"),
    "lambda that is called": ("((lambda (v{i}) ", "7", ") 7)"),
    "lambda in lambda": ("(lambda () ", "7", ")"),
    "lambda that uses the outer": ("(lambda (v{i}) (f v0) ", "7", ")"),
    "cond, first clause": ("(cond (x ", "7", ") (else 0))"),
    "cond, else": ("(cond ((not x) 0) (else ", "7", "))"),
    "cond, test": ("(cond (", "x", " x))"),
    "cond, arrow": ("(cond (", "7", " => f))"),
    "case": ("(case 1 ((1) ", "7", ") (else 0))"),
    "case, key": ("(case ", "1", " ((1) 1) (else 0))"),
    "case, else": ("(case 1 ((2 3 4 5) 0) (else ", "7", "))"),
    "begin": ("(begin (f 1) ", "7", ")"),
    "begin alone": ("(begin ", "7", ")"),
    "begin of definitions": ("(begin ", "(define z 7)", ")"),
    "when": ("(when x ", "7", ")"),
    "unless": ("(unless (not x) ", "7", ")"),
    "when, effects behind": ("(when x ", "7", " (f 1))"),
    "guard": ("(guard (e (#f 0)) ", "7", ")"),
    "guard that passes on": ("(guard (e (#f 0)) ", "(if x 7 (raise 7))", ")"),
    "guard, in a clause": ("(guard (e (#t ", "7", ")) (raise 1))"),
    "guard in operands": ("(+ 0 (guard (e (#f 0)) ", "7", "))"),
    "guard of while": ("(guard (e (#f 0)) (while (f #f) 1) ", "7", ")"),
    "dynamic-wind": ("(dynamic-wind (lambda () 1) (lambda () ", "7", ") (lambda () 2))"),
    "parameterize": ("(parameterize ((p {i})) ", "7", ")"),
    "named let": ("(let l{i} ((v{i} 1)) (if (= v{i} 0) ", "7", " (l{i} (- v{i} 1))))"),
    "named let that is no tail": (
        "(let l{i} ((v{i} 1)) (if (= v{i} 0) ",
        "7",
        " (+ 0 (l{i} (- v{i} 1)))))",
    ),
    "named let in a lambda": ("(let l{i} ((v{i} 0)) (f (lambda () (l{i} 0))) ", "7", ")"),
    "do": ("(do ((v{i} 0 (+ v{i} 1))) ((= v{i} 1) 7) ", "7", ")"),
    "do, result": ("(do ((v{i} 0 (+ v{i} 1))) ((= v{i} 1) ", "7", "))"),
    "while": ("(let ((v{i} 1)) (while (> v{i} 0) (set! v{i} (- v{i} 1)) ", "7", "))"),
    "quote": ("(", "7", ")"),
    "quasiquote": ("`(1 ,", "7", ")"),
    "quasiquote of lists": ("(a ", ",x", " b)"),
    "quasiquote of vectors": ("#(a ", ",x", " b)"),
    "quasiquote, levels": ("`(1 ", "7", ")"),
    "splices": ("`(,@", "'()", " 1)"),
    "vector literal": ("#(", "7", ")"),
    "table literal": ("{{:a ", "7", "}}"),
    "define in define": ("(let () (define (g{i} y) (f y) ", "7", ") (g{i} 1))"),
    "define in define, values": ("(let () (define g{i} 7) ", "7", ")"),
    "define-values": ("(let () (define-values (a{i} b) (values 1 2)) ", "7", ")"),
    "define-record-type": (
        "(let () (define-record-type t{i} (mk{i} a) t{i}? (a geta)) (mk{i} 1) ",
        "7",
        ")",
    ),
    "and": ("(and x ", "7", ")"),
    "or": ("(or (not x) ", "7", ")"),
    "and, first": ("(and ", "7", " 7)"),
    "or of and": ("(or (and (not x) 1) (and x ", "7", "))"),
    "calls": ("(f ", "7", ")"),
    "calls, last of three": ("(g 1 2 ", "7", ")"),
    "calls that are all operands": ("(g (f 1) ", "7", " (f 2))"),
    "calls of results": ("((h ", "x", ") 1)"),
    "additions": ("(+ 1 ", "7", ")"),
    "car of cons": ("(car (cons ", "7", " 1))"),
    "not": ("(not ", "x", ")"),
    "comparisons": ("(if (= 1 ", "1", ") 1 0)"),
    "set!": ("(begin (set! y ", "7", ") y)"),
    "match": ("(match 1 (1 ", "7", ") (_ 0))"),
    "match, bound": ("(match '(1 2) ((a b) ", "7", ") (_ 0))"),
    "match, subject": ("(match ", "7", " (a a))"),
    "match pattern": ("(", "a", ")"),
    "case-lambda": ("((case-lambda ((a) ", "7", ") ((a b) 0)) 1)"),
    "let-values": ("(let-values (((a{i} b) (values 1 2))) ", "7", ")"),
    "let-values, expression": ("(let-values (((a) ", "7", ")) a)"),
    "receive": ("(receive (a . r{i}) (values 1 2) ", "7", ")"),
    "call-with-values": ("(call-with-values (lambda () ", "7", ") f)"),
    "delay": ("(delay ", "7", ")"),
    "force of delay": ("(force (delay ", "7", "))"),
    "cons-stream": ("(cons-stream 1 ", "7", ")"),
    "with-handler": ("(with-handler ((ask (lambda (q) 1))) ", "7", ")"),
    "scope": ("(scope ", "7", ")"),
    "shield": ("(shield ", "7", ")"),
    "atomic": ("(atomic ", "7", ")"),
    "with-timeout": ("(with-timeout 1000 ", "7", ")"),
    "async": ("(await (async (lambda () ", "7", ")))"),
    "restart-case": ("(restart-case ", "7", " (again () 1))"),
    "with-exception-handler": ("(with-exception-handler (lambda (e) 1) (lambda () ", "7", "))"),
    "call/cc": ("(call/cc (lambda (k) ", "7", "))"),
    "assert": ("(begin (assert ", "x", ") x)"),
    "macro uses": ("(twice ", "7", ")"),
    "macro that binds": ("(bound ", "7", ")"),
    "procedural macro": ("(procedural ", "7", ")"),
    "let-syntax": ("(let-syntax ((m{i} (syntax-rules () ((_ a) a)))) ", "7", ")"),
    "test-group": ('(test-group "t" ', "(check 1 => 1)", ")"),
    "threading": ("(-> ", "7", " (f))"),
    "cut": ("((cut f <>) ", "7", ")"),
    "keywords": ("(kw :a ", "7", ")"),
    "and-let*": ("(and-let* ((a{i} 1)) ", "7", ")"),
    "parameter default": ("((lambda ((a ", "7", ")) a))"),
    "cond-expand": ("(cond-expand (omega ", "7", "))"),
}  # fmt: skip

SET_UP = """(define x #t) (define y 0) (define p (make-parameter 0))
(define (f a) (if (procedure? a) 1 a)) (define (g a b c) c) (define (h a) (lambda (b) h))
(define (kw :a (a 1)) a)
(define-syntax twice (syntax-rules () ((_ a) (begin 1 a))))
(define-syntax bound (syntax-rules () ((_ a) (let ((t 1)) a))))
(define-macro (procedural a) (list 'begin a))
"""
AROUND = {
    "quote": "'{}",
    "quasiquote of lists": "`{}",
    "quasiquote of vectors": "`{}",
    "match pattern": "(match 1 ({} 1) (_ 0))",
}


def nested(name: str) -> Callable[[int], str]:
    opening, inside, closing = FORMS[name]
    around = AROUND.get(name, "{}")

    def make(depth: int) -> str:
        opened = "".join(opening.format(i=i) for i in range(depth))
        closed = "".join(closing.format(i=i) for i in reversed(range(depth)))
        code = around.replace("{}", opened + inside + closed)
        return f"{SET_UP}{code}\n'done"

    return make


BY_EVAL = ("if, test", "let", "lambda in lambda", "calls", "quasiquote", "guard", "macro uses")


def evaluated(name: str) -> Callable[[int], str]:
    """The form as data that the program evaluates."""
    opening, inside, closing = FORMS[name]
    opening, inside, closing = (part.replace("{i}", "") for part in (opening, inside, closing))

    def make(depth: int) -> str:
        code = opening * depth + inside + closing * depth
        text = code.replace("\\", "\\\\").replace('"', '\\"')
        return f'{SET_UP}(eval (read (open-input-string "{text}")))\n\'done'

    return make


RECURSIVE: dict[str, tuple[str, Callable[[int], str]]] = {
    "a macro that uses itself": (
        "(define-syntax down (syntax-rules () ((_) 7) ((_ a . rest) (let ((t 1)) (down . rest)))))",
        lambda n: f"(down {'a ' * n})",
    ),
    "a macro that nests what it is given": (
        "(define-syntax wrap (syntax-rules () ((_ e) e) ((_ e a . r) (wrap (if x e 0) . r))))",
        lambda n: f"(wrap 7 {'a ' * n})",
    ),
    "a procedural macro that recurs": (
        "(define-macro (down n) (if (= n 0) 7 `(+ 0 (down ,(- n 1)))))",
        lambda n: f"(down {n})",
    ),
}


def recursive(name: str) -> Callable[[int], str]:
    before, use = RECURSIVE[name]
    return lambda n: f"{SET_UP}{before}{use(n)}\n'done"


CASES = [Case(name, nested(name), 0, None, limited=True) for name in FORMS]
CASES += [Case(f"eval: {name}", evaluated(name), 0, None, limited=True) for name in BY_EVAL]
CASES += [Case(name, recursive(name), 0, None, limited=True) for name in RECURSIVE]
