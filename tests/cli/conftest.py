"""The command as users run it: in a process of its own, with a cache of its own.

`omega` and `shell` fork it (tests/forked.py); whoever is given `command` starts Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import forked
from tests.cli.kit import Shell

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60.0  # of one command; only a hang comes near
Omega = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    return str(folder)


@pytest.fixture
def environment(cache: str, tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "OMEGA_"))}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **kept,
        "PYTHONPATH": path,
        "OMEGA_CACHE_DIR": cache,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "xterm",
    }


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, "-m", "omega"]


@pytest.fixture
def omega(environment: dict[str, str], command: list[str], tmp_path: Path) -> Omega:
    """Run `omega WORDS...` in a folder of its own."""

    def run(
        *words: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = forked.run(
            command,
            list(words),
            stdin=stdin or "",
            cwd=tmp_path,
            env={**environment, **(env or {})},
            timeout=SECONDS_MAX,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "E999" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """The path of a program with this text."""

    def make(text: str, name: str = "program.omega") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return make


@pytest.fixture
def shell(command, environment, tmp_path):
    made = Shell(command, environment, tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
