"""The process that runs cases: `python -m tests.extremes.child MEMORY FOLDER`, see kit.py.

The ways of a text: "eval" in an interpreter, "untrusted" in one with the limits for programs nobody
has read, "python" as Python with `omega` at hand, which leaves its answer in `answer`; "run",
"check", "eval-cli" and "repl" as the command line takes it.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from omega.cli.program import COLLECTED_AFTER

SOURCE_MAX = 1_000_000_000
COMMAND_CPU_S = 60  # of a command


def main() -> None:
    memory, folder = int(sys.argv[1]), Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        began = _cpu_s()
        kind, text = WAYS[job["way"]](job["text"], folder)
        cpu = _cpu_s() - began
        print(json.dumps({"kind": kind, "text": text, "cpu": cpu}), file=answers, flush=True)


def _cpu_s() -> float:
    """Seconds of the processor, with those of the processes that have ended."""
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def _guarded(run: Any) -> tuple[str, str]:
    from omega.errors import LimitExceeded, OmegaBug, OmegaError

    try:
        return "value", run()
    except LimitExceeded as error:
        return "limit", f"{error.limit}: {error.message[:200]}"
    except OmegaBug as error:
        return "bug", str(error)[-800:]
    except OmegaError as error:
        return error.kind, str(error)[:800]
    except BaseException as error:
        return "Python's own", f"{type(error).__name__}: {str(error)[:800]}"


def in_interpreter(text: str, folder: Path, **limits: Any) -> tuple[str, str]:
    from omega import Interpreter, Limits
    from omega.lisp.printer import write_string

    bounds = Limits.untrusted() if limits else Limits()
    bounds.source_bytes = SOURCE_MAX

    def run() -> str:
        with Interpreter(virtual_time=True, limits=bounds) as made:
            value = write_string(made.eval(text))
        return value if len(value) < 100_000 else f"{len(value)} characters"

    return _guarded(run)


def untrusted(text: str, folder: Path) -> tuple[str, str]:
    return in_interpreter(text, folder, untrusted=True)


def python(text: str, folder: Path) -> tuple[str, str]:
    import omega

    scope: dict[str, Any] = {"omega": omega}

    def run() -> str:
        exec(text, scope)
        return str(scope["answer"])

    return _guarded(run)


def command(*arguments: str) -> Any:
    """The command line with a file that holds the text."""

    def way(text: str, folder: Path) -> tuple[str, str]:
        file = folder / "program.omega"
        file.write_text(text, "utf-8")
        line = [str(file) if each == "FILE" else each for each in arguments]
        return _ran(line, "")

    return way


def _ran(line: list[str], given: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "omega", *line],
        input=given,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (COMMAND_CPU_S,) * 2),
    )
    out, err = done.stdout, done.stderr
    if done.returncode < 0 or "Traceback" in err or "bug in Omega" in err:
        return "bug", f"exit {done.returncode}: {err[-800:]}"
    found = re.search(r"error\[(E\d+)\]: (.*)", err + out)
    if found and found[1] == "E801":
        return "limit", found[2]
    if found or done.returncode:
        return "error", f"exit {done.returncode}: {(err + out)[:800]}"
    return "value", out.strip()[-200:]


def repl(text: str, folder: Path) -> tuple[str, str]:
    return _ran(["repl"], text + "\n")


def eval_command(text: str, folder: Path) -> tuple[str, str]:
    return _ran(["eval", text], "")


WAYS = {
    "eval": in_interpreter,
    "untrusted": untrusted,
    "python": python,
    "run": command("run", "FILE"),
    "check": command("check", "FILE"),
    "repl": repl,
    "eval-cli": eval_command,
}

if __name__ == "__main__":
    main()
