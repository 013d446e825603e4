"""The language on its own: no scheduler, no tasks, nothing granted."""

from __future__ import annotations

import pytest

from omega.errors import LimitExceeded, PermissionDenied
from omega.lisp.evaluator import Evaluator
from omega.lisp.host import PlainHost


def evaluator(host: PlainHost) -> Evaluator:
    made = Evaluator(host, use_cache=False)
    host.start()
    made.load_library()
    return made


def run(made: Evaluator, text: str) -> object:
    thunk, _ = made.prepare(text)
    return made.runtime.call(thunk)


def test_programs_run_on_the_callers_stack() -> None:
    made = evaluator(PlainHost())
    assert run(made, "(define (f n) (if (= n 0) 0 (+ 1 (f (- n 1))))) (f 100)") == 100
    assert run(made, "(fold + 0 (map (lambda (x) (* x x)) '(1 2 3)))") == 14


def test_fuel_and_effects_are_the_hosts() -> None:
    made = evaluator(PlainHost(fuel=10_000, effects={"file.exists": lambda path: path == "a"}))
    assert run(made, '(file-exists? "a")') is True
    with pytest.raises(PermissionDenied):
        run(made, '(delete-file "a")')
    with pytest.raises(LimitExceeded):
        run(made, "(let loop () (loop))")
