"""The compiler against a direct evaluator: generated programs give equal values, effects, steps.

The law: both agree on the value (or the code of the error), on everything noted in order, and on
the number of steps, whether a program comes as one text or form by form.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, given, settings

from omega.errors import OmegaError
from omega.interpreter import Interpreter
from omega.lisp.data import Nil, Pair, Symbol
from tests.lisp.direct_evaluator import Closure, Escape, Failure, Raise, Reference, TooLong
from tests.lisp.program_strategies import programs, text

EXAMPLES = int(os.environ.get("OMEGA_FUZZ_EXAMPLES", "300"))


def shown(value: Any) -> Any:
    """A value of either evaluator as plain data."""
    if isinstance(value, Pair):
        return (shown(value.car), shown(value.cdr))
    if isinstance(value, tuple):
        return tuple(shown(part) for part in value)
    if isinstance(value, list):
        return [shown(part) for part in value]
    if value is Nil:
        return ()
    if isinstance(value, OmegaError) or value == "error":
        return "error"
    if isinstance(value, Closure) or callable(value):
        return "procedure"
    return (type(value).__name__, value.name if isinstance(value, Symbol) else value)


@contextmanager
def deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def expected(forms: list[Any]) -> tuple[Any, list[Any], int] | None:
    """(outcome, log, steps) by the reference; None for a program that does not end soon."""
    reference = Reference()
    with deep():
        try:
            outcome: Any = ("value", shown(reference.program(forms)))
        except Failure as failure:
            outcome = ("error", failure.args[0])
        except Raise as raised:
            value = shown(raised.args[0])
            outcome = ("error", "error") if value == "error" else ("raised", value)
        except Escape:
            outcome = ("error", "E307")
        except TooLong:
            return None
    return outcome, [shown(item) for item in reference.log], reference.steps


def actual(forms: list[Any], *, split: bool) -> tuple[Any, list[Any], int]:
    """The same by Omega; split: as many texts as there are forms."""
    log: list[Any] = []
    with Interpreter(virtual_time=True) as interpreter:

        def note(value: Any) -> Any:
            log.append(shown(value))
            return value

        interpreter._evaluator.define("note", note)
        interpreter._seam.to_host = lambda value: value
        before = interpreter.scheduler.stats().steps
        texts = [text(form) for form in forms]
        outcome: Any = None
        try:
            for part in texts if split else ["\n".join(texts)]:
                outcome = ("value", shown(interpreter.eval(part)))
        except OmegaError as error:
            if hasattr(error, "payload"):
                value = shown(error.payload)
                outcome = ("raised", value)
            else:
                outcome = ("error", error.code)
        return outcome, log, interpreter.scheduler.stats().steps - before


def check(forms: list[Any]) -> None:
    wanted = expected(forms)
    if wanted is None:
        return
    for split in (False, True):
        got = actual(forms, split=split)
        if wanted[0] == ("error", "error") and got[0][0] == "error":
            got = (wanted[0], *got[1:])
        assert got == wanted, "\n".join(text(form) for form in forms)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
@given(programs())
def test_compiled_program_equals_direct_evaluation(forms: list[Any]) -> None:
    check(forms)
