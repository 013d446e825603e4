"""What crosses from the host to Lisp: procedures of other interpreters, cycles, subclasses."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from omega import HostError, Interpreter, LimitExceeded, Limits, OmegaError


def test_a_procedure_of_another_interpreter_runs_there_under_its_limits() -> None:
    with Interpreter(limits=Limits(fuel=100_000)) as theirs, Interpreter() as ours:
        theirs.eval("(define (spin n) (if (= n 0) 'done (spin (- n 1))))")
        theirs.eval("(define (wait) (sleep 1) 7)")
        spin, wait = theirs.get("spin"), theirs.get("wait")
        ours.define("spin", spin)
        ours.define("give", lambda: wait)
        assert str(ours.eval("(spin 10)")) == "done"
        assert ours.eval("((give))") == 7
        assert ours.eval("(eq? (give) (give))") is True
        assert ours.get("spin") is spin
        with pytest.raises(LimitExceeded, match="steps"):
            ours.eval("(spin 100000000)")


def test_cycles_and_sharing_of_host_data_are_kept() -> None:
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    shared = [1]
    ring: list[Any] = [shared, shared]
    ring.append(ring)
    with Interpreter() as omega:
        omega.define("cyclic", lambda: cyclic)
        omega.define("ring", lambda: (ring, ring))
        omega.eval("(define c (cyclic)) (define r (vector-ref (ring) 0))")
        assert omega.eval('(eq? c (hash-ref c "self"))') is True
        assert omega.eval("(eq? (vector-ref r 0) (vector-ref r 1))") is True
        assert omega.eval("(eq? r (vector-ref r 2))") is True


class Colour(enum.IntEnum):
    RED = 3


class Big(int):
    def __int__(self) -> int:
        return 99


class Name(str):
    def __str__(self) -> str:
        return "other"


class Ratio(float):
    pass


@pytest.mark.parametrize(
    ("given", "plain"), [(Colour.RED, 3), (Big(5), 5), (Name("a"), "a"), (Ratio(1.5), 1.5)]
)
def test_instances_of_subclasses_of_plain_types_are_the_plain_value(given: Any, plain: Any) -> None:
    with Interpreter() as omega:
        omega.define("bare", lambda: given)
        omega.define("inside", lambda: ({"k": given},))
        omega.define("key", lambda: {given: True})
        omega.define("plain", plain)
        for program in ("(bare)", '(hash-ref (vector-ref (inside) 0) "k")'):
            assert type(omega.eval(program)) is type(plain)
            assert omega.eval(program) == plain
        assert omega.eval("(hash-ref (key) plain)") is True


def test_a_bool_stays_one() -> None:
    with Interpreter() as omega:
        omega.define("yes", lambda: (True,))
        assert omega.eval("(vector-ref (yes) 0)") is True


def test_an_object_that_answers_to_any_name_is_refused() -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments: (name, arguments)

    with Interpreter() as interpreter:
        with pytest.raises(HostError, match="would pass for a pair"):
            interpreter.define("proxy", Proxy())
        interpreter.define("make", lambda: Proxy())
        with pytest.raises(OmegaError, match="would pass for a pair"):
            interpreter.eval("(car (make))")
