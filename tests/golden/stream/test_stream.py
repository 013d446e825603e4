"""The event stream is the same, byte for byte, in every run and on every version of Python."""

from __future__ import annotations

import ast
from pathlib import Path

import omega
from tests.golden.stream.kit import GOLDEN, stream


def kinds() -> set[str]:
    """Every event the source can tell of."""
    found = set()
    for path in Path(omega.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "emit":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and str(first.value)[:1].isupper():
                    found.add(str(first.value))
    return found


def test_the_stream_is_as_reviewed_on_this_python_too() -> None:
    golden = GOLDEN.read_text("utf-8")
    now = stream()
    for number, (ours, theirs) in enumerate(
        zip(now.splitlines(), golden.splitlines(), strict=False), 1
    ):
        assert ours == theirs, f"line {number}; to review it: python -m tests.golden.stream.kit"
    assert now == golden


def test_the_golden_stream_tells_of_every_kind_of_event() -> None:
    told = {line.split(" ", 1)[0] for line in GOLDEN.read_text("utf-8").splitlines()}
    assert kinds() - told == set()
