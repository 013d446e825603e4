"""The folder of compiled texts does not grow without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from omega import Interpreter
from omega.lisp import cache


def test_the_oldest_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OMEGA_CACHE_DIR", str(folder))
    monkeypatch.setattr(cache, "FILES_MAX", 40)
    most = 0
    with Interpreter() as interpreter:
        for number in range(600):
            interpreter.eval(f"(+ 1 {number})")
            most = max(most, len(list(folder.iterdir())))
    assert 40 < most < 250  # the names are by chance: it is looked at with every sixteenth
    assert len(list(folder.iterdir())) < 600 / 2
