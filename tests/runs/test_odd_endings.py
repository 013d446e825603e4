"""Functions of the host that raise what is no `Exception`, or answer what no journal holds: their
outcome is known, and is kept.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import HostFunctionError, RunStopped
from omega.runs import journal
from omega.runs.session import RunSettings


class Own(BaseException):
    pass


RAISED = {"SystemExit: 3": SystemExit(3), "KeyboardInterrupt": KeyboardInterrupt(),
          "Own: x": Own("x")}  # fmt: skip
WAYS = [
    (how, effect) for how in ("called", "blocking", "async") for effect in ("paid", "idempotent")
]


def host(folder: Path, how: str, effect: str, act: Any, *, is_virtual: bool = True) -> Interpreter:
    made = Interpreter(
        store=str(folder / "runs.db"),
        virtual_time=is_virtual and how != "blocking",
        runs=RunSettings(park_after_s=0),
    )

    async def later() -> Any:
        return act()

    functions = {"async": later, "in the store": lambda db: act()}
    function = functions.get(how, act)
    made.define("act", function, effect=effect, blocking=how == "blocking")
    return made


@pytest.mark.parametrize("is_virtual", [True, False])
@pytest.mark.parametrize("told", RAISED)
@pytest.mark.parametrize(("how", "effect"), [*WAYS, ("in the store", "transactional")])
def test_what_it_has_raised_is_a_failure_of_the_run(
    tmp_path: Path, how: str, effect: str, told: str, is_virtual: bool
) -> None:
    calls: list[int] = []

    def act() -> None:
        calls.append(1)
        raise RAISED[told]

    for _ in range(2):
        made = host(tmp_path, how, effect, act, is_virtual=is_virtual)
        with made:
            with pytest.raises(HostFunctionError, match=f"function `act` raised {told}"):
                made.run_durable("(act)", id="r")
            assert made.runs.store.run("r").state == "failed"
        text = '(guard (e (#t (string-length (condition-message e)))) (act) "no")'
        with host(tmp_path, how, effect, act, is_virtual=is_virtual) as other:
            assert other.run_durable(text, id="guarded") > 10
    assert len(calls) == 2


def test_ctrl_c_pressed_on_and_on_is_no_outcome(tmp_path: Path) -> None:
    """The third is raised in the middle of the function: nobody knows what that has done."""

    def act() -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)

    made = host(tmp_path, "called", "paid", act)
    with pytest.raises(KeyboardInterrupt):
        made.run_durable("(act)", id="r")
    made.close()
    with host(tmp_path, "called", "paid", act) as again, pytest.raises(RunStopped) as stopped:
        again.resume("r")
    assert "nobody knows what became of effect 1" in str(stopped.value)


UNHELD = {
    "an object": object,
    "a value of 70,002 bytes (60,000 are allowed)": lambda: "x" * 70_000,
    "a value of 140,007 bytes (60,000 are allowed)": lambda: ["x" * 70_000] * 2,
}


@pytest.mark.parametrize("what", UNHELD)
@pytest.mark.parametrize(("how", "effect"), [*WAYS, ("in the store", "transactional")])
def test_what_no_journal_holds_is_a_failure_of_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, effect: str, what: str
) -> None:
    """Also where it runs elsewhere: who goes on with the run would not have it."""
    monkeypatch.setattr(journal, "VALUE_CHARS_MAX", 60_000)
    calls: list[int] = []

    def act() -> Any:
        calls.append(1)
        return UNHELD[what]()

    text = """(define got (guard (e (#t (condition-message e))) (act) "nothing"))
              (wait-signal "go") got"""
    with host(tmp_path, how, effect, act) as made, pytest.raises(RunStopped):
        made.run_durable(text, id="r")
    with host(tmp_path, how, effect, act) as again:
        assert again.runs.store.run("r").state == "suspended"
        again.runs.store.signal("r", "go", 1, key="k", who="w")
        got = again.resume("r")
        assert again.runs.store.check() == []
    assert got.endswith(f"act` answered {what}, which a journal cannot hold")
    assert len(calls) == 1
