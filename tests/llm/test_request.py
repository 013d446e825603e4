"""Requests are checked when made, and have an identity that is the same everywhere."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from omega.errors import LispTypeError, LispValueError
from omega.llm import LLMReply, LLMRequest, Usage

FULL: dict[str, Any] = {
    "messages": [{"role": "user", "content": "earlier"}],
    "model": "m",
    "system": "s",
    "temperature": 0.5,
    "max_tokens": 9,
    "stop": ["a", "b"],
    "extra": {"top_p": 0.1, "z": [1, None, {"k": True}]},
}


def test_the_hash_is_the_same_in_every_process() -> None:
    program = (
        f"from omega.llm import LLMRequest\nprint(LLMRequest('grüße', **{FULL!r}).content_hash())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {LLMRequest("grüße", **FULL).content_hash() + "\n"}


def test_everything_that_may_change_the_answer_changes_the_hash() -> None:
    changes: list[dict[str, Any]] = [
        {"messages": []},
        {"model": None},
        {"model": "n"},
        {"system": None},
        {"system": ""},
        {"temperature": None},
        {"temperature": 0},
        {"max_tokens": 10},
        {"stop": ["ab"]},
        {"stop": ["b", "a"]},
        {"extra": {}},
        {"extra": {"top_p": 0.1, "z": [1, None, {"k": 1}]}},
        {"extra": {"top_p": 0.1, "z": [1.0, None, {"k": True}]}},
        {"extra": {"top_p": 0.1, "z": [[1, None], {"k": True}]}},
    ]
    hashes = {LLMRequest("p", **{**FULL, **change}).content_hash() for change in changes}
    hashes |= {LLMRequest("p", **FULL).content_hash(), LLMRequest("q", **FULL).content_hash()}
    assert len(hashes) == len(changes) + 2


def test_what_cannot_change_the_answer_leaves_the_hash_alone() -> None:
    base = LLMRequest("p", **FULL).content_hash()
    assert LLMRequest("p", timeout_s=3, **FULL).content_hash() == base
    turned = {"z": FULL["extra"]["z"], "top_p": 0.1}
    assert LLMRequest("p", **{**FULL, "extra": turned}).content_hash() == base
    assert LLMRequest("p", temperature=1).content_hash() == (
        LLMRequest("p", temperature=1.0).content_hash()
    )


def test_deep_and_odd_data_is_hashed_without_recursion() -> None:
    deep: Any = 10**5000
    for _ in range(200_000):
        deep = [deep]
    LLMRequest("\ud800", extra={"deep": deep}).content_hash()
    while isinstance(deep, list):  # taken apart: a deep value's own end recurses
        deep = deep.pop()


def test_a_cycle_or_no_json_data_is_an_error() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(LispValueError, match="more than"):
        LLMRequest("p", extra={"cycle": cycle}).content_hash()
    with pytest.raises(LispTypeError, match="object"):
        LLMRequest("p", extra={"x": object()}).content_hash()
    with pytest.raises(LispTypeError, match="string keys"):
        LLMRequest("p", extra={"x": {1: 2}}).content_hash()


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"prompt": 5}, LispTypeError, "prompt must be a string, got int"),
        ({"prompt": None}, LispTypeError, "prompt"),
        ({"model": 1}, LispTypeError, "model"),
        ({"temperature": "hot"}, LispTypeError, "temperature must be a number"),
        ({"temperature": True}, LispTypeError, "temperature"),
        ({"temperature": -1}, LispValueError, "temperature"),
        ({"temperature": math.nan}, LispValueError, "temperature"),
        ({"timeout_s": math.inf}, LispValueError, "timeout_s"),
        ({"timeout_s": 0}, LispValueError, "timeout_s"),
        ({"max_tokens": 0}, LispValueError, "max_tokens"),
        ({"max_tokens": 1.5}, LispTypeError, "max_tokens must be an integer"),
        ({"stop": [1]}, LispTypeError, "stop"),
        ({"stop": 7}, LispTypeError, "stop"),
        ({"messages": "hi"}, LispTypeError, "messages must be a list"),
        ({"messages": [1]}, LispTypeError, "message 0"),
        ({"messages": [{"content": "x"}]}, LispValueError, "message 0"),
        ({"extra": [1]}, LispTypeError, "extra"),
    ],
)
def test_a_wrong_field_is_named(fields: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        LLMRequest(**fields)


def test_turns_and_prompt_text() -> None:
    one, two = {"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}
    assert LLMRequest("").turns() == [{"role": "user", "content": ""}]
    assert LLMRequest(messages=[one, two]).turns() == [one, two]
    assert LLMRequest("3", messages=[one]).turns() == [one, {"role": "user", "content": "3"}]
    assert LLMRequest(messages=[one, two]).prompt_text == "2"
    assert LLMRequest("p", stop="x").stop == ("x",)


def test_reprs_are_short() -> None:
    assert len(repr(LLMRequest("x" * 100_000, model="m"))) < 120
    assert repr(LLMReply("hi")).startswith("LLMReply('hi', Usage(")
    assert Usage(1, 2).total_tokens == 3
    assert Usage(1, 2) == Usage(1, 2) != Usage(1, 2, is_reported=False)
    assert len({Usage(1, 2), Usage(1, 2)}) == 1
    assert Usage(5, 2, cached_tokens=3) != Usage(5, 2)
    assert repr(Usage(5, 2, cached_tokens=3)).endswith("output_tokens=2, cached_tokens=3)")
