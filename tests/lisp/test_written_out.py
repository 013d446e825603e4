"""What the compiler writes out instead of calling means what it stands for, whatever comes later.

Record procedures are known to the text that defines them only; a later text may define their names
anew. Guards are a `try` of the procedure around them.
"""

from __future__ import annotations

import gc

import pytest

from omega.errors import LispTypeError, UnboundVariable
from omega.interpreter import Interpreter

RECORDS = """
(define-record-type point (make-point x y) point? (x point-x set-point-x!) (y point-y))
(define (x-of p) (point-x p))
(define (next-x p) (+ 1 (point-x p)))
(define (move! p x) (set-point-x! p x))
(define (is-point x) (if (point? x) 'yes 'no))
(define (made) (let ((p (make-point 1 2))) (list (point-x p) (point-y p))))
(define (work p) (+ 1 (point-x (begin (set! seen (+ seen 1)) p))))
(define seen 0)
(define p (make-point 10 20))
"""


@pytest.fixture
def records() -> Interpreter:
    made = Interpreter()
    made.eval(RECORDS)
    return made


def test_records_are_used_as_by_their_procedures(records: Interpreter) -> None:
    assert records.eval("(x-of p)") == 10
    assert records.eval("(next-x p)") == 11
    records.eval("(move! p 5)")
    assert records.eval("(work p)") == 6
    assert records.eval("seen") == 1
    assert records.eval("(equal? (map is-point (list p 5 car)) '(yes no no))")


@pytest.mark.parametrize("use", ["(x-of 5)", "(next-x 5)", "(work 5)"])
def test_another_value_is_refused_by_name_and_place(records: Interpreter, use: str) -> None:
    with pytest.raises(LispTypeError, match="`point-x` expected a point as argument 1, got 5") as e:
        records.eval(use)
    assert e.value.span is not None


def test_a_record_of_a_type_of_the_same_name_is_another(records: Interpreter) -> None:
    records.eval("(define old p)")
    records.eval(RECORDS)
    assert records.eval("(is-point old)") == records.eval("'no")
    with pytest.raises(LispTypeError):
        records.eval("(next-x old)")
    assert records.eval("(next-x p)") == 11


@pytest.mark.parametrize("again", ["(define ({} . l) 40)", "(set! {} (lambda l 40))"])
def test_redefinition_reaches_what_was_compiled_before(records: Interpreter, again: str) -> None:
    records.eval(again.format("point-x"))
    assert records.eval("(x-of p)") == 40
    assert records.eval("(next-x p)") == 41
    assert records.eval("(work 'anything)") == 41
    records.eval(again.format("point?"))
    assert records.eval("(is-point 5)") == records.eval("'yes")
    records.eval(again.format("set-point-x!"))
    assert records.eval("(move! 5 6)") == 40
    records.eval(again.format("make-point"))
    with pytest.raises(LispTypeError, match="`point-y` expected a point as argument 1, got 40"):
        records.eval("(made)")


def test_the_host_may_define_an_accessor(records: Interpreter) -> None:
    records.define("point-x", lambda p: 7)
    assert records.eval("(next-x p)") == 8


def test_a_tail_call_of_what_an_accessor_has_become_is_one(records: Interpreter) -> None:
    records.eval("(define (point-x n) (if (= n 0) 'done (x-of (- n 1))))")
    assert records.eval("(x-of 300000)") == records.eval("'done")


def test_an_accessor_used_before_its_definition_is_unbound() -> None:
    with pytest.raises(UnboundVariable, match="`a-x` is not bound"):
        Interpreter().eval(
            "(define (f r) (a-x r)) (f 1) (define-record-type a (make-a x) a? (x a-x))"
        )


GUARDED = """
(define (risky x) (if (symbol? x) (raise x) (+ 1 (car x))))
(define (one x) (guard (e ((symbol? e) (list 'symbol e)) ((string? e) e)) (risky x)))
(define (retry n) (guard (e (#t (if (= n 0) 'done (retry (- n 1))))) (raise 'again)))
(define (looping n)
  (let loop ((i 0) (found '()))
    (if (= i n)
        found
        (guard (e ((number? e) (loop (+ i 1) (cons (lambda () e) found)))) (raise i)))))
(define (inner n) (guard (e ((= n 9) 1)) (if (= n 0) (raise 'deep) (+ 1 (inner (- n 1))))))
(define (kept) (let ((x 1)) (guard (e (#t (set! x (+ x 1)) x)) (set! x 10) (raise 'a))))
(define (caught x) (guard (e (#t e)) (car x)))
"""


def test_guards_choose_where_it_was_raised_and_go_on_where_they_stand() -> None:
    with Interpreter() as made:
        made.eval(GUARDED)
        assert made.eval("(equal? (one 'a) '(symbol a))")
        with pytest.raises(LispTypeError, match="`car` expected a pair") as e:
            made.eval("(one 5)")
        assert [name for name, _ in e.value.lisp_traceback[:3]] == ["risky", "guard", "one"]
        assert made.eval("(eq? (retry 100000) 'done)")
        assert made.eval("(equal? (map (lambda (f) (f)) (looping 3)) '(2 1 0))")
        assert made.eval("(inner 9)") == 1
        assert made.eval("(kept)") == 11


def test_handlers_and_parameters_are_those_of_the_guard_again() -> None:
    with Interpreter() as made:
        made.eval("(define p (make-parameter 1)) (define seen '())")
        made.eval(
            "(define (f) (guard (e (#t (set! seen (cons (list 'after (p)) seen))))"
            " (parameterize ((p 2))"
            "  (with-exception-handler (lambda (e) (set! seen (cons (list 'at (p)) seen)))"
            "   (lambda () (+ 1 (raise 'x)))))))"
        )
        made.eval("(f)")
        assert made.eval("(equal? seen '((after 1) (at 2)))")


def test_deeply_nested_guards() -> None:
    text = "(raise 'x)"
    for i in range(25):
        text = (
            f"(guard (e ((eq? e {i}) {i})) (let loop ((i 0)) (if (< i 1) (loop (+ i 1)) {text})))"
        )
    with Interpreter() as made:
        made.eval(f"(define (f) (guard (e (#t (list e 'out))) {text}))")
        assert made.eval("(equal? (f) '(x out))")


def test_what_was_caught_leaves_no_garbage_in_circles() -> None:
    with Interpreter() as made:
        made.eval(GUARDED)
        made.eval("(define (many n) (do ((i 0 (+ i 1))) ((= i n)) (caught 5)))")
        made.eval("(many 10)")
        gc.collect()
        gc.disable()
        try:
            made.eval("(many 100)")
            assert gc.collect() < 100
        finally:
            gc.enable()


def test_an_object_of_the_host_is_no_pair_whatever_attributes_it_answers_for() -> None:
    class Obliging:
        def __getattr__(self, name: str) -> str:
            raise KeyError(name)

    with Interpreter() as made:
        made.define("obliging", Obliging)
        for form in ("(car (obliging))", "(cadr (obliging))", "(+ 1 (cdr (obliging)))"):
            with pytest.raises(LispTypeError, match=r"expected a (pair|list)"):
                made.eval(form)


def test_pairs_under_construction_survive_what_is_evaluated_for_them() -> None:
    with Interpreter() as made:
        made.eval("(define (add1 x) (let ((y (+ x 1))) y)) (define (two x) (list x (add1 x)))")
        made.eval("(define (f x) (list (two x) (let ((z (cons x x))) (car z)) (add1 x)))")
        assert made.eval("(equal? (f 1) '((1 2) 1 2))")
        made.eval("(define (g n l m) (if (= n 0) (list l m) (g (- n 1) (cons n l) (cons l m))))")
        assert made.eval("(equal? (g 2 '() '()) '((1 2) ((2) ())))")
