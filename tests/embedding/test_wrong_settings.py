"""A setting of a wrong kind is refused where it is given, by its name, and not once it is used."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from omega import Grants, Interpreter, Limits
from omega.concurrency import SchedulerConfig, VirtualDriver
from omega.errors import HostError
from omega.llm import ScriptedProvider
from omega.llm.budget import Budget
from omega.runs.session import RunSettings

NAN, INFINITE = float("nan"), float("inf")
ODD: dict[str, list[Any]] = {
    "llm": [5, [], {}, b"x", True, ScriptedProvider],
    "budget": [{}, {"calls": 5}, 5, [], "calls=5", True, Budget],
    "scheduler": [{}, 5, "fifo", [], SchedulerConfig],
    "limits": [{}, 5, "x", [1], Limits],
    "grants": [{}, 5, "x", True, [1], Grants],
    "seed": ["x", None, [], 1.5, True],
    "virtual_time": ["yes", 1, None, []],
    "driver": ["x", {}, 5, True, VirtualDriver],
    "output": ["x", 5, {}, True, io.StringIO],
    "use_cache": ["no", None, 0],
    "load_path": ["lib", b"lib", 5, [5], None, {}, iter(["lib"])],
    "optimize": ["x", None, 0],
    "record": [5, {}, True, b"x"],
    "record_prompts": ["x", None],
    "session": ["x", 5, {}],
    "store": [5, {}, True, b"x", Path("runs.db")],
    "runs": ["x", {}, 5, RunSettings],
}


@pytest.mark.parametrize("name", ODD)
def test_a_setting_of_another_kind_is_refused_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ODD[name]:
        with pytest.raises(HostError, match=rf"^Interpreter\({name}=\.\.\.\) is ") as refused:
            Interpreter(**{name: value})
        assert len(str(refused.value)) < 250
    assert os.listdir(tmp_path) == []  # nothing was begun


def test_what_was_meant_is_told() -> None:
    for given, meant in (
        ({"budget": {"calls": 5}}, "Budget(calls=50"),
        ({"load_path": "lib"}, "load_path=['lib']"),
        ({"store": Path("runs.db")}, "store=str(path)"),
        ({"limits": Limits}, "limits=Limits(...)"),
    ):
        with pytest.raises(HostError) as refused:
            Interpreter(**given)  # type: ignore[arg-type]
        assert meant in (refused.value.hint or "")


def test_every_setting_is_looked_at() -> None:
    from inspect import signature

    assert set(signature(Interpreter).parameters) == set(ODD)


def test_a_path_that_is_no_list_grants_nothing() -> None:
    """The characters of "/tmp" are paths, too: one of them is "/"."""
    for name in ("read", "write", "env"):
        for value in ("/tmp", b"/tmp", None, 5, [5], {}, Path("/tmp")):
            with pytest.raises(HostError, match=rf"^Grants\({name}=\.\.\.\) is a list of "):
                Grants(**{name: value})
    for name in ("llm", "stdin", "scheduler"):
        for value in ("no", None, 1, []):
            with pytest.raises(HostError, match=rf"^Grants\({name}=\.\.\.\) is True or False"):
                Grants(**{name: value})
    granted = Grants(read=[Path("/tmp")], write=("/tmp",), env={"HOME"}, stdin=True)  # type: ignore[list-item,arg-type]
    assert granted.read == (os.path.realpath("/tmp"),)


def test_a_limit_that_would_be_none_is_refused() -> None:
    for name in Limits.__slots__:
        for value in ("x", 0, -1, True, NAN, INFINITE, []):
            with pytest.raises(HostError, match=rf"^Limits\({name}=\.\.\.\) must be positive"):
                Limits(**{name: value})
        if name != "wall_s":
            with pytest.raises(HostError, match=r"a whole number above 0, got 1\.5"):
                Limits(**{name: 1.5})
        if name != "depth":
            Limits(**{name: None})
    for depth in (None, 10**30):
        with pytest.raises(HostError, match="depth"):
            Limits(depth=depth)  # type: ignore[arg-type]


def test_a_budget_lies_in_a_budget() -> None:
    for value in ({}, 5, "all", True):
        with pytest.raises(HostError, match=r"^the parent of budget `mine` is a Budget"):
            Budget(5, parent=value, name="mine")  # type: ignore[arg-type]
