"""A part of the library is loaded whole or not at all, wherever its loading is broken off: by a
limit, by Ctrl-C. What is compiled behind that would be kept in the cache for everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import LimitExceeded
from omega.lisp import compiler
from omega.lisp.evaluator import Evaluator

# A procedure of a part, whose text uses macros; a macro of a part; a procedure.
USES = {
    "(define load (once (lambda () 'x))) (load)": "x",
    "(match '(1 2) ((a b) (+ a b)))": "3",
    "(let-values (((a b) (partition even? '(1 2 3 4)))) a)": "(2 4)",
}


class Struck(BaseException):
    """Ctrl-C."""


def value(text: str) -> str:
    with Interpreter(virtual_time=True) as interpreter:
        return str(interpreter.eval(text))


def reads_half(real: Any, what: type[BaseException], left: list[int]) -> Any:
    """`read_all` of the compiler that is broken off in the so manieth text of the library, in its
    middle.
    """

    def read_all(source: Any, *rest: Any) -> Any:
        left[0] -= source.name.startswith("<omega")
        forms = real(source, *rest)
        if left[0] or not source.name.startswith("<omega"):
            return forms
        left[0] = -1
        return broken(list(forms), what)

    return read_all


def broken(forms: list[Any], what: type[BaseException]) -> Iterator[Any]:
    yield from forms[: len(forms) // 2]
    raise LimitExceeded("wall", 1, 1, "s") if what is LimitExceeded else what()


@pytest.mark.parametrize("what", [LimitExceeded, Struck])
@pytest.mark.parametrize("text", USES)
def test_who_asks_again_has_it_and_the_cache_has_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: type[BaseException]
) -> None:
    at, was_struck = 1, True
    while was_struck:
        monkeypatch.setenv("OMEGA_CACHE_DIR", str(tmp_path / f"cache{at}"))
        left = [at]
        with Interpreter(virtual_time=True) as interpreter, monkeypatch.context() as patched:
            patched.setattr(compiler, "read_all", reads_half(compiler.read_all, what, left))
            was_struck = False
            try:
                interpreter.eval(text)
            except (LimitExceeded, Struck):
                was_struck = True
            assert str(interpreter.eval(text)) == USES[text], at
        assert value(text) == USES[text], at
        at += 1
    assert at > 2


@pytest.mark.parametrize("text", USES)
def test_so_it_is_where_a_part_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    real, at, was_struck = Evaluator._run, 1, True
    while was_struck and at < 20:
        left = [at]

        def run(self: Evaluator, thunk: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if not left[0]:
                raise Struck
            return real(self, thunk)

        with Interpreter(virtual_time=True) as interpreter, monkeypatch.context() as patched:
            patched.setattr(Evaluator, "_run", run)
            was_struck = False
            try:
                interpreter.eval(text)
            except Struck:
                was_struck = True
            assert str(interpreter.eval(text)) == USES[text], at
        at += 1
    assert not was_struck
