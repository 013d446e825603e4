"""Deep programs and deep data: an answer or a clear limit on every Python, never a crash.

Each program runs in a process of its own: a segmentation fault is then a failure, not the end of
the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from omega import Interpreter
from omega.errors import LimitExceeded

NEST = "(let loop ((n 1000000) (s '())) (if (= n 0) s (loop (- n 1) {})))"

PROGRAMS = {
    "plain recursion": ("(define (f n) (if (= n 0) 0 (+ 1 (f (- n 1))))) (f 1000000)", "1000000"),
    "recursion in a task": (
        "(define (f n) (if (= n 0) 0 (+ 1 (f (- n 1))))) (await (async (lambda () (f 1000000))))",
        "1000000",
    ),
    "mutual tail calls": (
        "(define (e? n) (if (= n 0) #t (o? (- n 1)))) (define (o? n) (if (= n 0) #f (e? (- n "
        "1)))) (e? 1000000)",
        "#t",
    ),
    "continuations as closures": (
        "(define (c n k) (if (= n 0) (k 0) (c (- n 1) (lambda (v) (k (+ v 1)))))) (c 1000000 "
        "(lambda (v) v))",
        "1000000",
    ),
    "lists in lists": (f"(define s {NEST.format('(list s)')}) (equal? s s)", "#t"),
    "vectors in vectors": (f"(define s {NEST.format('(vector s)')}) (equal? s s)", "#t"),
    "tables in tables": (f"(define s {NEST.format('(hash-table 1 s)')}) (set! s #f) 1", "1"),
    "promises in promises": (f"(define s {NEST.format('(delay s)')}) (set! s #f) 1", "1"),
    "records in records": (
        f"(define-record-type box (make-box v) box? (v unbox)) (define s "
        f"{NEST.format('(make-box s)')}) (set! s #f) 1",
        "1",
    ),
    "nested data is written": (
        f"(define s {NEST.format('(list s)')})"
        " (string-length (call-with-output-string (lambda (p) (write s p))))",
        "2000002",
    ),
    "nested data is read": (
        "(define s (read (open-input-string (string-append (make-string 300000 #\\() "
        "(make-string 300000 #\\))))))"
        " (pair? s)",
        "#t",
    ),
    "an error under many frames": (
        "(define (f n) (if (= n 0) (car 5) (+ 1 (f (- n 1))))) (guard (e (#t 'caught)) (f 500000))",
        "caught",
    ),
    "guards in guards": (
        "(define (g n) (guard (e (#f 1)) (if (= n 0) (car 5) (+ 1 (g (- n 1))))))"
        " (guard (e (#t 'caught)) (g 20000))",
        "caught",
    ),
    "dynamic-wind in dynamic-wind": (
        "(define (w n) (dynamic-wind (lambda () 1) (lambda () (if (= n 0) 0 (+ 1 (w (- n 1))))) "
        "(lambda () 2)))"
        " (w 100000)",
        "100000",
    ),
    "call/cc in call/cc": (
        "(define (h n) (call/cc (lambda (k) (if (= n 0) 0 (+ 1 (h (- n 1))))))) (h 100000)",
        "100000",
    ),
    "apply in apply": (
        "(define (a n) (if (= n 0) 0 (+ 1 (apply a (list (- n 1)))))) (a 100000)",
        "100000",
    ),
    "map in map": (
        "(define (m n) (if (= n 0) 0 (+ 1 (car (map (lambda (x) (m (- n 1))) (list 1)))))) (m "
        "50000)",
        "50000",
    ),
    "tasks awaiting tasks": (
        "(define (t n) (if (= n 0) 0 (+ 1 (await (async (lambda () (t (- n 1)))))))) (t 5000)",
        "5000",
    ),
    "parameterize in parameterize": (
        "(define p (make-parameter 0))"
        " (define (q n) (if (= n 0) (p) (parameterize ((p n)) (q (- n 1))))) (q 20000)",
        "1",
    ),
}

LIMITED = {
    "endless recursion": "(define (f n) (+ 1 (f n))) (f 1)",
    "endless recursion inside a guard": "(define (f n) (+ 1 (f n))) (guard (e (#t 'no)) (f 1))",
    "calls through C in calls through C": (
        "(define (w n . r) (if (= n 0) 0 (+ 1 (apply w (- n 1) (iota 300))))) (w 1000)"
    ),
    "a number too large": "(expt 10 (expt 10 10))",
    "a vector too large": "(make-vector 1000000000000 0)",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the library: compiled once."""
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    return folder


def run(program: str, cache: Path) -> tuple[int, str, str]:
    text = (
        "import sys\nfrom omega import Interpreter, LimitExceeded\n"
        "from omega.lisp.printer import write_string\n"
        "with Interpreter(virtual_time=True) as omega:\n"
        "    try:\n        print(write_string(omega.eval(sys.argv[1])))\n"
        "    except LimitExceeded as error:\n        print('limit', error.limit)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, program],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMEGA_CACHE_DIR": str(cache)},
    )
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_deep_programs_and_data_give_their_value(name: str, cache: Path) -> None:
    program, expected = PROGRAMS[name]
    code, out, err = run(program, cache)
    assert (code, out) == (0, expected), err[-2000:]


@pytest.mark.parametrize("name", LIMITED)
def test_what_has_no_end_meets_a_limit(name: str, cache: Path) -> None:
    code, out, err = run(LIMITED[name], cache)
    assert code == 0, err[-2000:]
    assert out.startswith("limit "), out


def test_calls_with_many_arguments_have_a_bound_where_they_nest_through_c() -> None:
    zeros = " ".join("0" * 30)
    with Interpreter() as omega:
        omega.eval(f"(define (f n . r) (if (= n 0) 0 (+ 1 ((car fs) (- n 1) {zeros}))))")
        omega.eval(f"(define (g n . r) (if (= n 0) 0 (+ 1 ((cdr fs) (- n 1) {zeros[2:]}))))")
        omega.eval("(define fs (cons f g))")
        omega.eval(f"(define (named n . r) (if (= n 0) 0 (+ 1 (named (- n 1) {zeros}))))")
        assert omega.eval("(f 100)") == 100
        assert omega.eval("(g 100000)") == 100000
        assert omega.eval("(named 100000)") == 100000  # its arguments become a list in place
        with pytest.raises(LimitExceeded, match="over 30 arguments"):
            omega.eval("(f 40000)")
        waiting = f"(define (h n . r) (sleep 1) n) (define (wide i) (h i {zeros}))"
        omega.eval(waiting)
        assert omega.eval("(length (par-map wide (iota 500)))") == 500


@pytest.mark.parametrize(
    "inner",
    [
        "(((make-serializer) (lambda () (f (- n 1)))))",
        "(with-handler ((ask (lambda () (f (- n 1))))) (effect 'ask))",
    ],
    ids=["serializers", "effect handlers"],
)
def test_what_calls_back_nests_without_c_frames(inner: str) -> None:
    with Interpreter() as omega:
        omega.eval(f"(define (f n) (if (= n 0) 0 (+ 1 {inner})))")
        assert omega.eval("(f 25000)") == 25000


def test_closing_unwinds_a_generator_that_is_suspended_very_deep() -> None:
    """Its stack was broken off under the host's recursion limit: cleanup failed, or CPython 3.11
    aborted.
    """
    log: list[str] = []
    with Interpreter() as interpreter:
        interpreter.define("note", log.append)
        bottom = interpreter.eval(
            """(define (deep n)
                 (make-generator
                   (lambda (yield)
                     (let loop ((i 0))
                       (if (< i n)
                           (+ 1 (loop (+ i 1)))
                           (dynamic-wind
                             void
                             (lambda () (yield 7) 0)
                             (lambda () (note "cleaned up"))))))))
               ((deep 100000))"""
        )
        assert bottom == 7
    assert log == ["cleaned up"]
