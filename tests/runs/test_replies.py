"""What an effect may be said to have answered, by kind; and that it counts, whatever its class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omega import Interpreter
from omega.errors import HostError
from omega.runs.forks import fork
from omega.runs.session import RunSettings


def host(folder: Path, how: str, effect: str) -> Interpreter:
    made = Interpreter(
        store=str(folder / "runs.db"),
        virtual_time=how != "blocking",
        runs=RunSettings(park_after_s=0),
    )

    async def later() -> str:
        return "made"

    functions: dict[str, Any] = {
        "called": lambda: "made",
        "blocking": lambda: "made",
        "async": later,
        "in the store": lambda db: "made",
    }
    made.define("act", functions[how], effect=effect, blocking=how == "blocking")
    return made


ANYHOW = [
    (how, effect) for how in ("called", "async", "blocking") for effect in ("paid", "idempotent")
]


@pytest.mark.parametrize(("how", "effect"), [*ANYHOW, ("in the store", "transactional")])
def test_a_fork_is_given_the_reply_of_any_function(tmp_path: Path, how: str, effect: str) -> None:
    made = host(tmp_path, how, effect)
    assert repr(made.run_durable("(list (act) (act))", id="r")) == '("made" "made")'
    for reply, shown in (("", '""'), (5, "5"), ([1], "#(1)")):
        for number in (1, 2):
            again = fork(made.runs.store, "r", number, reply=reply, who="test")
            expected = ['"made"', '"made"']
            expected[number - 1] = shown
            value = host(tmp_path, how, effect).resume(again)
            assert repr(value) == f"({' '.join(expected)})"


@pytest.mark.parametrize("reply", ["", 5, ["x"]])
def test_a_model_answers_with_a_text(tmp_path: Path, reply: Any) -> None:
    made = host(tmp_path, "called", "paid")
    made.run_durable('(llm.infer "one")', id="r")
    for program in (None, ("p", '(llm.infer "one")')):
        with pytest.raises(HostError, match="effect 1 of run r asks a model, which answers with"):
            fork(made.runs.store, "r", 1, reply=reply, program=program, who="test")
    assert len(made.runs.store.runs()) == 1
