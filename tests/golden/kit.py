"""Golden reports: for every error code a program, and what the command line prints about it.

`CODE.txt` is a transcript: a line `$ command`, what it printed on both streams, and its exit code
when it is not 0. Beside it stand the files the command names. `python -m tests.golden` writes all
transcripts anew, for somebody to read.

docs/errors.md shows them, so that what it says of a report is so.
"""

from __future__ import annotations

import atexit
import os
import re
import shlex
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests import forked

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
SECONDS_MAX = 60.0

# Codes no program can make an example of, each with its reason. The list only shrinks.
WITHOUT = {
    "E000": "the root of the tree: nothing is raised with it",
    "E999": "a mistake in Omega: those that are known are mended",
}


def command_of(code: str) -> str:
    """The command line of a transcript."""
    first = (FOLDER / f"{code}.txt").read_text("utf-8").split("\n", 1)[0]
    assert first.startswith("$ "), f"{code}.txt begins with a command"
    return first[2:]


def files_of(code: str) -> list[Path]:
    """The files a code's command works on."""
    return sorted(path for path in FOLDER.glob(f"{code}.*") if path.suffix != ".txt")


def transcript(code: str) -> str:
    """What the command of a code prints now, in a folder that holds its files only."""
    command = command_of(code)
    words = shlex.split(command)
    python = forked.COMMAND if words[0] == "omega" else [sys.executable]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "OMEGA_"))}
    with tempfile.TemporaryDirectory() as folder:
        for path in files_of(code):
            shutil.copy(path, folder)
        done = forked.run(
            python,
            words[1:],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(ROOT), "OMEGA_CACHE_DIR": _cache(), "NO_COLOR": "1"},
            merged=True,
            timeout=SECONDS_MAX,
        )
        printed = done.stdout.replace(os.path.realpath(folder), "/work").replace(folder, "/work")
    end = f"exit code {done.returncode}\n" if done.returncode else ""
    return f"$ {command}\n{printed}{end}"


@cache
def _cache() -> str:
    """A cache for the transcripts of this process, which begins empty."""
    folder = tempfile.mkdtemp()  # ours alone, as it has to be
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def codes() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def is_told(code: str, text: str) -> bool:
    """Whether a transcript is about its code."""
    return re.search(rf"\b(error|warning)\[{code}\]", text) is not None
