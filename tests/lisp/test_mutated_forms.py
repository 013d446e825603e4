"""Whatever stands where a form was expected: an error of the program, never one of ours.

Valid uses of every special form and of every macro of the library are broken in all the ways a
program is broken: parts left out, doubled, exchanged, replaced by what does not belong there,
lists made improper, and each of it inside a macro's template, too. What comes of it must be a
value, or an error that a program can meet.

More of it: OMEGA_MUTATIONS=20000 pytest tests/lisp/test_mutated_forms.py
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from omega.errors import OmegaError, Source
from omega.interpreter import Interpreter, Limits
from omega.lisp.data import Nil, Pair
from omega.lisp.printer import write_string
from omega.lisp.reader import HASH_LITERAL, read_all

MUTATIONS = int(os.environ.get("OMEGA_MUTATIONS", "400"))  # texts in all
TEXTS_PER_INTERPRETER = 25
MUTATIONS_MAX = 4  # of one form
FUEL = 20_000  # steps of one text
SECONDS_MAX = 20

FORMS = """
(quote (a b . c))
'{:a 1}
(quasiquote (a (unquote (+ 1 2)) (unquote-splicing (list 1 2)) . b))
`#(1 ,(+ 1 2) {:k ,(car '(1))} ,@(list 1 2))
`(1 `(2 ,(3 ,(+ 1 2))))
(lambda (a (b 2) :key (c 3) :* rest) (list a b c rest))
(lambda (a b . c) "documented" (define x 1) (list a b c x))
(case-lambda ((a) a) ((a b) b) (rest rest))
(begin (define v 1) (define (f x) x) (f v))
(define (g (x 1) :k y) "documented" x)
(define ((curried a) b) (list a b))
(define name "documentation" 5)
(define-values (p q . r) (values 1 2 3))
(let () (define-values (p . q) (values 1 2)) (list p q))
(define-record-type point (make-point x y) point? (x point-x set-point-x!) (y point-y))
(let () (define-record-type <p> (mk a) p? (a p-a)) (p-a (mk 1)))
(let ((v 1)) (set! v 2) v)
(if (< 1 2) 'yes 'no)
(cond ((assv 'b '((a 1) (b 2))) => cadr) (#f 1) (5) (else 'other))
(case (* 2 3) ((2 3 5) 'prime) ((1 4 6) => list) (else 'none))
(when (> 1 0) 1 2)
(unless (> 1 0) 1 2)
(and 1 2 #f)
(or #f 1 2)
(let ((a 1) (b 2)) (define c 3) (+ a b c))
(let loop ((i 0) (acc '())) (if (< i 3) (loop (+ i 1) (cons i acc)) acc))
(let* ((a 1) (b (+ a 1))) b)
(letrec ((even? (lambda (n) (if (= n 0) #t (odd? (- n 1))))) (odd? (lambda (n) #f))) (even? 2))
(letrec* ((a 1) (b (+ a 1))) b)
(let-values (((a b) (values 1 2)) ((c . d) (values 3 4))) (list a b c d))
(let*-values (((a b) (values 1 2)) (all (values a b))) all)
(do ((i 0 (+ i 1)) (acc '() (cons i acc))) ((= i 3) acc) (list i))
(delay (+ 1 2))
(force (delay-force (delay 1)))
(parameterize ((current-output-port (open-output-string))) (display 1))
(guard (c ((symbol? c) (list c)) ((assq 'a c) => cdr) ((string? c)) (else 'other)) (raise 'boom))
(let-syntax ((m (syntax-rules (lit) ((_ lit a) a) ((_ (a b ...) ...) '((b ... a) ...))))) (m lit 1))
(letrec-syntax ((m (syntax-rules ::: () ((_) 1) ((_ a :::) (m))))) (m 1 2))
(begin (define-syntax sw (syntax-rules () ((_ a b) (list b a)))) (sw 1 2))
(begin (define-syntax e (syntax-rules () ((_ #(a ...) b ... . c) '(#(a ... b ...) c)))) (e #(1) 2))
(begin (define-macro (mm a . b) `(list ,a ,@b)) (mm 1 2))
(define-macro other (lambda (x) x))
(syntax-error "message" (a b))
(cond-expand ((and omega (not foo)) 1) ((or foo r7rs) 2) ((library (scheme base)) 3) (else 4))
(assert (= 1 1) "message")
(import (scheme base) (omega task))
(scope (+ 1 2))
(shield (+ 1 2))
(atomic (+ 1 2))
(with-timeout 1000 (+ 1 2))
(with-budget {:calls 5} (+ 1 2))
(with-stream (s "x") (stream-text s))
(with-mutex (make-mutex) (+ 1 2))
(with-semaphore (make-semaphore 1) (+ 1 2))
(with-handler ((ask (lambda (x) (* x 2))) (tell (lambda (x) x))) (effect 'ask 5))
(receive (a . rest) (values 1 2 3) (list a rest))
(let ((i 0)) (while (< i 3) (set! i (+ i 1))))
(cons-stream 1 (cons-stream 2 '()))
(-> 5 (- 3) list (cons 1))
(->> 5 (- 3) list)
{:a 1 "b" (+ 1 1)}
(match '(1 (2 3) . 4) ((a (b c ...) . d) (guard (> a 0)) (list a b c d)) (_ 'other))
(match (list 1 2) ((a b) (=> next) (if (> a b) 'more (next))) (`(1 ,x ,@_) x) (#(a b) a) ({:a v} v))
(match '(1 2) ((or ((? odd? x) y) (and x (not 7) (= car y))) (list x y)) ((x ... 'end) x) (() 0))
(let () (define-record-type p (mk a) p? (a p-a)) (match (mk 1) (($ p 2) 0) ((@ p (a x)) x)))
(map (match-lambda ((a b) (+ a b)) (x x)) '((1 2) 3))
((match-lambda* ((a) (list 'one a)) ((a b) (list 'two a b))) 1 2)
(match-let loop (((x . rest) '(1 2 3)) (sum 0)) (if (null? rest) (+ sum x) (loop rest (+ sum x))))
(match-let* (((a b) '(1 2)) ((c) (list (+ a b)))) c)
(match-letrec (((f g) (list (lambda () (g)) (lambda () 1)))) (f))
(let () (match-define (a (b c ...)) '(1 (2 3 4))) (list a b c))
(%place (+ 1 2))
(define-library (a b) (export c (rename d e)) (import (only (scheme base) define))
  (cond-expand (omega (begin (define c 1))) (else (include "f"))) (begin (define d 1)))
(import (prefix (except (rename (scheme base) (car kar)) cdr) p:))
(include-ci "other.omega")
(include "file")
(let ((else 1)) (cond (else 2)))
(define (if x) x)
"""

# What does not belong there, wherever it is put.
STRANGERS = (
    """
5|-1|1/2|2.5|"text"|#\\a|#t|#f|()|#()|#(1 x)|#u8(1 2)|:key|sym|else|=>|...|_|unquote
'x|''x|`(a ,b)|,x|,@x|(a . b)|(a b . c)|(((x)))|(quote)|(quote a b)|(quasiquote)|{:a 1}|{x y}
define|begin|lambda|if|quote|let|cond|syntax-rules|define-syntax|guard|define-record-type
(define z 1)|(begin)|(begin 1)|(define-values (z) 1)|(define-syntax z (syntax-rules ()))
(lambda x x)|(syntax-rules () ((_ a ...) 'a))|(... ...)|(x ...)|#0=(a . #0#)|#1=#(1 #1#)|car
(car '())|(values 1 2)|(values)|(? odd?)|(= car)|(x ... y ...)|(@ car)|($)|(or)|(=> k)
%guard|%parameterize|hash-literal|(cond-expand (foo 1))|(define)
""".strip()
    .replace("\n", "|")
    .split("|")
)

CONTEXTS = [
    "FORM",
    "FORM FORM",
    "(let () FORM)",
    "(let () FORM 1)",
    "(define (in-body) FORM 1) (in-body)",
    "(list FORM)",
    "(guard (c (#t c)) FORM)",
    "(lambda (x) FORM)",
    "(define-syntax wrap (syntax-rules () ((_ x ...) (begin x ...)))) (wrap FORM)",
    "(define-syntax wrap (syntax-rules () ((_) FORM))) (wrap)",
    "(let-syntax ((wrap (syntax-rules () ((_ (x . y) ...) (list (x . y) ...))))) (wrap FORM))",
    "(define-macro (wrap) 'FORM) (wrap)",
    "(macroexpand 'FORM)",
    "(scope FORM)",
    "'FORM",
    "`FORM",
]


class Tree:
    """A compound datum: items, and what stands behind the dot or None. A leaf is its text."""

    def __init__(self, opening: str, items: list[Any], tail: Any = None) -> None:
        self.opening, self.items, self.tail = opening, items, tail

    def copy(self) -> Tree:
        items = [item.copy() if isinstance(item, Tree) else item for item in self.items]
        tail = self.tail.copy() if isinstance(self.tail, Tree) else self.tail
        return Tree(self.opening, items, tail)

    def below(self) -> Iterator[Tree]:
        """All compounds, this one first."""
        yield self
        for item in [*self.items, self.tail]:
            if isinstance(item, Tree):
                yield from item.below()

    def __str__(self) -> str:
        inside = " ".join(map(str, self.items))
        if self.tail is not None:
            inside += f" . {self.tail}"
        return self.opening + inside + ("}" if self.opening == "{" else ")")


def tree(datum: Any) -> Any:
    if isinstance(datum, Pair) and datum.car is HASH_LITERAL:
        return Tree("{", [tree(item) for item in datum.cdr])
    if isinstance(datum, Pair):
        items = []
        while isinstance(datum, Pair):
            items.append(tree(datum.car))
            datum = datum.cdr
        return Tree("(", items, None if datum is Nil else tree(datum))
    if type(datum) is list:
        return Tree("#(", [tree(item) for item in datum])
    return write_string(datum)


SEEDS = [tree(datum) for datum, _ in read_all(Source("<forms>", FORMS))]


def mutated(form: Tree, random: Random) -> Tree:
    """The form with a few mistakes in it."""
    form = form.copy()
    for _ in range(random.randint(1, MUTATIONS_MAX)):
        here = random.choice(list(form.below()))
        at = random.randrange(len(here.items) + 1)
        stranger = random.choice(STRANGERS)
        match random.randrange(10):
            case 0:
                del here.items[at : at + 1]
            case 1:
                here.items[at:at] = here.items[at : at + 1]
            case 2:
                random.shuffle(here.items)
            case 3 | 4:
                here.items[at : at + 1] = [stranger]
            case 5:
                here.items.insert(at, stranger)
            case 6:
                here.items[at : at + 1] = [random.choice(list(random.choice(SEEDS).below())).copy()]
            case 7 if here.opening == "(" and here.items:
                here.tail = here.items.pop() if random.random() < 0.5 else stranger
            case 8:
                here.opening = random.choice(["(", "#(", "{"])
                here.tail = None
            case 9 if at < len(here.items):
                item = here.items[at]
                spliced = isinstance(item, Tree) and random.random() < 0.5
                here.items[at : at + 1] = item.items if spliced else [Tree("(", [item])]
    return form


def texts(seed: int, count: int) -> list[str]:
    random = Random(seed)
    found = []
    for n in range(count):
        form = str(mutated(SEEDS[(seed + n) % len(SEEDS)], random))
        found.append(random.choice(CONTEXTS).replace("FORM", form))
    return found


@pytest.mark.parametrize("batch", range(-(-MUTATIONS // TEXTS_PER_INTERPRETER)))
def test_a_broken_form_is_an_error_of_the_program(batch: int) -> None:
    """Several texts in one interpreter: what one of them defined meets the next."""
    with Interpreter(virtual_time=True, use_cache=False, limits=Limits(depth=5_000)) as interpreter:
        for text in texts(batch * TEXTS_PER_INTERPRETER, TEXTS_PER_INTERPRETER):
            scheduler = interpreter.scheduler
            scheduler.set_fuel(scheduler.steps + FUEL)
            began = time.process_time()
            try:
                write_string(interpreter.eval(text))
            except OmegaError as error:
                assert error.code != "E999", f"{text}\n{error}"
            except Exception as error:
                raise AssertionError(f"{type(error).__name__}: {error}\n{text}") from error
            assert time.process_time() - began < SECONDS_MAX, text


def test_every_form_is_among_those_that_are_broken() -> None:
    with Interpreter(use_cache=False) as interpreter:
        interpreter.eval("1")
        known = interpreter._evaluator.compiler.program.syntax
    names = {name for name in known if isinstance(name, str)}
    missing = {
        name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", FORMS)
    }
    assert missing <= {"unquote", "unquote-splicing"} - {"unquote"}, missing


def test_the_forms_are_valid() -> None:
    for form in SEEDS:
        with Interpreter(virtual_time=True, use_cache=False) as interpreter:
            try:
                interpreter.eval(str(form))
            except OmegaError as error:
                assert re.match(r"\((syntax-error|define-library|include|let-syntax)", str(form)), (
                    error
                )
