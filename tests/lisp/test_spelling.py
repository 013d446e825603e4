"""What a name that nothing binds may have been meant to be: the likely, and never the silly."""

from __future__ import annotations

import pytest

import omega
from omega.lisp.spelling import near


def hint(text: str) -> str:
    """The hint of the one finding in a text."""
    with omega.Interpreter() as interpreter:
        (error,) = [e for e in interpreter.check(text) if e.code == "E201"]
    return error.hint or ""


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # the library's
        ("(lenght '(1))", "`length`"),
        ("(vector-reff #(1) 0)", "`vector-ref`"),
        ("(make-chanel)", "`make-channel`"),
        ("(chanel)", "`make-channel` or `channel->list` or `channel->generator`"),
        ("(append-string \"a\")", "`string-append`"),
        ("(string_append \"a\")", "`string-append`"),
        ("(String-Length \"a\")", "`string-length`"),
        ("(hash-get {} 1)", "`hash-ref`"),
        # forms
        ("(lamda (x) x)", "`lambda`"),
        ("(defien (f x) x)", "`define`"),
        ("(define (f x) (cond ((= x 1) 2) (els 3)))", "`else`"),
        ("(whlie #f 1)", "`while`"),
        # the program's own, and local variables where they are in scope
        ("(define (collect-words t) t) (colect-words 1)", "`collect-words`"),
        ("(define (f counter) (+ 1 countr))", "`counter` or `count`"),
        ("(let ((totals 1)) (* totals (lambda (x) (+ x total))))", "`totals`"),
        ("(let-values (((first-part b) (values 1 2))) (+ b first-prat))", "`first-part`"),
        ("(define (f :limit (limit 1)) (+ limit lmit))", "`limit`"),
    ],
)  # fmt: skip
def test_a_slip_is_told_what_was_meant(text, meant):
    assert hint(text) == f"did you mean {meant}?"


@pytest.mark.parametrize(
    "text",
    [
        "(foo 1)",
        "(bar 1)",
        "(x 1)",
        "(go-home)",
        "(qqq)",
        "(process-order 1)",
        "(let ((width 1)) (let ((w 2)) (+ w width)) (quux))",
        "(let ((a 1)) (+ a b))",
        "(let ((counter 1)) (+ 1 counter)) (+ 1 countre)",  # not in scope there
    ],
)
def test_nothing_silly_is_suggested(text):
    assert hint(text).startswith("define it before it is used")


def test_what_a_run_meets_has_the_hint_that_knows_the_scope():
    with omega.Interpreter() as interpreter, pytest.raises(omega.LispError) as caught:
        interpreter.eval("(define (f subtotal) (+ 1 subtotl))\n(f 1)")
    assert caught.value.hint == "did you mean `subtotal`?"


@pytest.mark.parametrize(
    ("name", "known", "wanted"),
    [
        ("limt", ["limit", "model"], ["limit"]),
        ("lists", ["list", "lisp", "list?"], ["list?", "list"]),
        ("cat", ["car", "cdr"], []),
        ("ab", ["abc", "a"], []),
        ("vecotr", ["vector", "vectors"], ["vector"]),
        ("abcdefghij", ["jihgfedcba"], []),
        ("same", ["same"], []),
    ],
)
def test_near_counts_slips(name, known, wanted):
    assert near(name, known) == wanted


def test_where_there_are_few_names_short_ones_may_have_a_wrong_letter():
    assert near("rum", ["run", "eval"], 1, sure_letters_min=0) == ["run"]
