"""Cases, the process that runs them, and what is made of how it ended.

A case ends well with its value or with a clear limit. A process that a signal ended, one that gave
no answer in its time, an exception of Python's own: each is a bug.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
MEMORY_BYTES = 6_000_000_000
CPU_S = 60.0
WAIT_MAX = 20


class Case(NamedTuple):
    """make: of a size, the text of a program. expected: its value as `write` has it; None: any.
    limited: whether a limit will do as well. way: what the text is given to, see child.py.
    error: the code of the error or warning it must end with instead of a value.
    """

    name: str
    make: Callable[[int], str]
    size: int
    expected: Callable[[int], str] | str | None = None
    limited: bool = False
    way: str = "eval"
    cpu_s: float = CPU_S
    error: str = ""

    def value(self, size: int) -> str | None:
        return self.expected(size) if callable(self.expected) else self.expected


class Outcome(NamedTuple):
    """What became of a case. good: whether that will do."""

    name: str
    text: str
    good: bool
    cpu_s: float = 0.0


def run(case: Case, size: int, python: str = sys.executable) -> Outcome:
    """The case at a size, in a process of its own."""
    return next(run_all([(case, size)], python))


def run_all(cases: list[tuple[Case, int]], python: str = sys.executable) -> Iterator[Outcome]:
    """The cases, one after the other in one process; in another one from where it died."""
    at = 0
    while at < len(cases):
        for answer in _process(cases[at:], python):
            yield _judged(*cases[at], answer)
            at += 1


# the library's compiled text, for all processes
_CACHE = tempfile.TemporaryDirectory(prefix="omega-extremes-")


def _process(cases: list[tuple[Case, int]], python: str) -> Iterator[dict[str, Any]]:
    """The answers of one process, at least one: the last may be how it died."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "err").open("w+") as err:
        with _child(python, folder, err) as process:
            assert process.stdin and process.stdout
            for case, size in cases:
                job = json.dumps({"way": case.way, "text": case.make(size)})
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(job + "\n")
                    process.stdin.flush()
                late = not _answers(process, case.cpu_s)
                line = "" if late else process.stdout.readline()
                if not line:
                    break
                yield json.loads(line)
            else:
                return
            process.kill() if late else process.wait()
        died = f"exit {process.returncode}"
        if late:
            died = "no answer in time"
        elif process.returncode < 0:
            died = signal.Signals(-process.returncode).name
        err.seek(0)
        yield {"died": died, "text": err.read()[-1500:]}


def _child(python: str, folder: str, err: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-X", "faulthandler", "-m", "tests.extremes.child", str(MEMORY_BYTES), folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=err,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMEGA_CACHE_DIR": _CACHE.name},
        text=True,
    )


def _answers(process: subprocess.Popen[str], cpu_s: float) -> bool:
    """Wait for an answer that takes up to `cpu_s` of the processor's time; whether it came. What
    waits for something else has WAIT_MAX times as long.
    """
    began = _cpu_s(process.pid)
    for _ in range(int(cpu_s * WAIT_MAX)):
        if select.select([process.stdout], [], [], 1.0)[0]:
            return True
        if _cpu_s(process.pid) - began > cpu_s:
            return False
    return False


def _cpu_s(pid: int) -> float:
    """Seconds of the processor that a process has taken (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _judged(case: Case, size: int, answer: dict[str, Any]) -> Outcome:
    name = f"{case.name} [{size:,}]"
    if "died" in answer:
        return Outcome(name, f"{answer['died']}: {answer['text']}", False)
    cpu = answer["cpu"]
    kind, text = answer["kind"], answer["text"]
    if case.error and kind not in ("bug", "Python's own", "limit"):
        good = f"[{case.error}]" in text
        return Outcome(name, f"{'' if good else 'no '}{case.error}: {text[:200]}", good, cpu)
    if kind == "value":
        expected = case.value(size)
        good = expected is None or text == expected
        return Outcome(name, "value" if good else f"not {expected} but {text[:200]}", good, cpu)
    if kind == "limit":
        return Outcome(name, f"limit {text}", case.limited, cpu)
    return Outcome(name, f"{kind}: {text[:600]}", False, cpu)
