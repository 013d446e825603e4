"""What functions of the host raise, also what is no `Exception`: it is told as what it is, and the
same where the run is recorded and where that is replayed.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from greenlet import GreenletExit

import omega
from omega import Interpreter
from omega.errors import RunStopped
from omega.runs.session import RunSettings


class Own(BaseException):
    pass


class OwnTimeout(OSError):
    pass


# Some leave the program for the host, which gets what was raised; the others the program handles.
LEAVES: list[BaseException] = [
    GeneratorExit("x"), SystemExit(3), SystemExit("so"), KeyboardInterrupt("x"), Own("x"),
    asyncio.CancelledError("x"), GreenletExit("x"),
]  # fmt: skip
FAILS: list[BaseException] = [
    StopIteration(5), StopAsyncIteration("x"), ValueError("x"), TimeoutError("x"),
    OSError(errno.ENOENT, "gone", "file"), FileNotFoundError(errno.ENOENT, "gone", "a", None, "b"),
    OwnTimeout("x"), OwnTimeout(5, "odd"), ConnectionResetError(),
]  # fmt: skip
TEXT = (
    """(list "got" (guard (e (#t (list "caught" (condition-message e)))) (list "value" (act))))"""
)


def shape(how: str, error: BaseException) -> tuple[Callable[[], Any], dict[str, Any]]:
    def called() -> Any:
        raise error

    async def later() -> Any:
        await asyncio.sleep(0)
        raise error

    async def at_once() -> Any:
        raise error

    functions: dict[str, Callable[[], Any]] = {
        "async": later, "async, at once": at_once, "answers a coroutine": lambda: later(),
    }  # fmt: skip
    return functions.get(how, called), {"blocking": how == "blocking"}


SHAPES = ["called", "reentrant", "blocking", "async", "async, at once", "answers a coroutine"]
REPLAYED = [(how, error, False) for how in SHAPES for error in LEAVES + FAILS]
# Under virtual time a coroutine awaits nothing of asyncio's.
REPLAYED += [
    (how, error, True) for how in (*SHAPES[:3], "async, at once") for error in LEAVES + FAILS
]
# GreenletExit may be what ends the stack of a task that waits: no outcome of a function.
DURABLE = [
    (how, error)
    for how in SHAPES
    for error in LEAVES + FAILS
    if not (how == "reentrant" and isinstance(error, GreenletExit))
]


def shot(interpreter: Interpreter, how: str, error: BaseException) -> Any:
    """What the program gets, or the host."""
    function, options = shape(how, error)
    options["reentrant"] = how == "reentrant"
    interpreter.define("act", function, **options)
    try:
        return str(interpreter.eval(TEXT))
    except BaseException as raised:
        return [each.__name__ for each in type(raised).mro() if each.__module__ != "omega.tape"], (
            str(raised), getattr(raised, "code", None)
        )  # fmt: skip
    finally:
        interpreter.close()


@pytest.mark.parametrize(("how", "error", "is_virtual"), REPLAYED, ids=repr)
def test_a_replay_tells_what_was_told(
    tmp_path: Path, how: str, error: BaseException, is_virtual: bool
) -> None:
    tape = str(tmp_path / "run.tape")
    plain = shot(Interpreter(virtual_time=is_virtual), how, error)
    assert shot(Interpreter(record=tape, virtual_time=is_virtual), how, error) == plain
    again = shot(omega.replay(tape), how, error)
    is_handled = error in FAILS or (how[:1] == "a" and type(error) is asyncio.CancelledError)
    if is_handled:
        assert '"caught" "host function `act` raised ' in plain
        assert again == plain
        return
    classes, told = plain
    assert classes[0] == type(error).__name__ and told[0] == str(error)
    assert again[1] == told
    assert again[0][0] == classes[0] and "Exception" not in again[0]
    if type(error) is not Own:  # a class that only the host knows
        assert set(classes) <= set(again[0])


@pytest.mark.parametrize(("how", "error"), DURABLE, ids=repr)
@pytest.mark.parametrize("effect", ["pure", "paid"])
def test_a_durable_run_has_it_as_how_the_effect_has_ended(
    tmp_path: Path, how: str, effect: str, error: BaseException
) -> None:
    text = f'(define got {TEXT}) (wait-signal "go") got'
    got: list[str] = []
    for turn in range(2):
        made = Interpreter(store=str(tmp_path / "runs.db"), runs=RunSettings(park_after_s=0))
        function, options = shape(how, error)
        made.define("act", function, effect=effect, reentrant=how == "reentrant", **options)
        with made:
            if turn == 0:
                with pytest.raises(RunStopped):
                    made.run_durable(text, id="r")
                assert made.runs.store.run("r").state == "suspended"
                made.runs.store.signal("r", "go", 1, key="k", who="w")
            else:
                got.append(str(made.resume("r")))
                assert made.runs.store.check() == []
    if how == "answers a coroutine" and effect != "pure":
        assert "answered a coroutine, which a journal cannot hold" in got[0]
    else:
        assert '"caught" "host function `act` raised ' in got[0]
        named = type(error).__name__
        assert named in got[0]


def test_a_task_that_is_cancelled_in_the_middle_of_a_function_replays(tmp_path: Path) -> None:
    """The function calls the program, which waits there until its time is over."""
    tape, text = (
        str(tmp_path / "run.tape"),
        """
        (define (wait) (sleep 60000))
        (guard (e (#t (condition-kind e))) (with-timeout 20 (act wait)))""",
    )

    def got(interpreter: Interpreter) -> Any:
        with interpreter:
            interpreter.define("act", lambda wait: wait(), reentrant=True)
            return interpreter.eval(text)

    plain = got(Interpreter())
    assert str(plain) == "timeout-error"
    assert got(Interpreter(record=tape)) == plain
    assert got(omega.replay(tape)) == plain
