"""Host functions on a task's stack: whatever recurses through C is a limit, never a crash.

Each program runs in a process of its own: a segmentation fault is then a failure, not the end of
the tests.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

SET_UP = """
import sys
from omega import Interpreter, LimitExceeded, Limits

def c_recursion(n):
    return max([n], key=c_recursion)

def recursion(n):
    return recursion(n + 1)

before = sys.getrecursionlimit()
it = Interpreter(limits=Limits.untrusted())
for name, function in dict(
    repr=repr, same=lambda a, b: a == b, c_recursion=c_recursion, recursion=recursion,
    call=lambda f: f(), first=lambda values: 1,
).items():
    it.define(name, function)
it.define("call_again", lambda f: f(), reentrant=True)
it.define("c_recursion_again", lambda: c_recursion(1), reentrant=True)
it.define("repr_apart", lambda data: len(repr(data)), blocking=True)
it.define("recursion_apart", lambda: recursion(1), blocking=True)
it.define("c_recursion_apart", lambda: c_recursion(1), blocking=True)
it.eval("(define (deep n v) (if (= n 0) v (deep (- n 1) (vector v))))")
it.eval("(define (sum n) (if (= n 0) 0 (+ 1 (sum (- n 1)))))")
it.eval("(define (under n f) (if (= n 0) (f) (car (list (under (- n 1) f)))))")
it.eval("(define (nest n f) (call (lambda () (if (= n 0) (f) (nest (- n 1) f)))))")
it.eval("(define (many n v) (if (= n 0) v (many (- n 1) (values v v))))")
try:
    print(it.eval(sys.argv[1]))
except LimitExceeded as error:
    print(error.limit)
assert sys.getrecursionlimit() == before
"""

PROGRAMS = {
    "data too deep to be shown": ("(repr (deep 200000 1))", "native-depth"),
    "data too deep to be compared": ("(same (deep 200000 1) (deep 200000 1))", "native-depth"),
    "recursion through C": ("(c_recursion 1)", "native-depth"),
    "recursion of Python": ("(recursion 1)", "native-depth"),
    "the same under much Lisp": ("(under 20000 (lambda () (c_recursion 1)))", "native-depth"),
    "the same under host functions": ("(nest 140 (lambda () (c_recursion 1)))", "native-depth"),
    "a call under much Lisp": ("(under 20000 (lambda () (repr (deep 20 1))))", "[" * 20),
    "deep Lisp called by a host function": ("(call (lambda () (sum 30000)))", "30000"),
    "recursion of a function that may wait": ("(c_recursion_again)", "native-depth"),
    "the same under Lisp that waits": (
        "(call_again (lambda () (sleep 1) (c_recursion_again)))",
        "native-depth",
    ),
    "deep Lisp that waits, called by such a function": (
        "(call_again (lambda () (sleep 1) (sum 30000)))",
        "30000",
    ),
    "deep data shown in a thread": ("(repr_apart (deep 200000 1))", "native-depth"),
    "recursion in a thread": ("(recursion_apart)", "native-depth"),
    "recursion through C in a thread": ("(c_recursion_apart)", "native-depth"),
    "values in values": ("(first (many 200000 1))", "1"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_host_function_meets_its_limit_before_the_process_ends(name: str) -> None:
    program, expected = PROGRAMS[name]
    done = subprocess.run(
        [sys.executable, "-c", SET_UP, program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith(expected)
