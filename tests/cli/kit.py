"""What the tests of durable runs at the command line share: a shell, programs, how they are killed.

Nothing here goes by time: a process is killed when the store shows that it has come somewhere, and
every wait is for a condition.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega.durable.sqlite import SQLiteStore
from tests import forked

Started = subprocess.Popen[str] | forked.Process

WAIT_S = 60.0
LOOK_S = 0.02

RULES = {
    "rules": [
        {"match": "slow", "reply": "late", "latency_ms": 3_600_000},
        {"match": "soon", "reply": "there", "latency_ms": 1_000},
        {"match": "", "reply": "quick", "latency_ms": 1},
    ]
}
# A file takes the side of a vendor that keeps books: what was asked is counted in the journal.
STEPS = """
(define (say . items) (for-each display items) (newline))
(define first (llm.infer "one"))
(say "first " first)
(define out (open-output-file "notes.txt"))
(display first out)
(define said (wait-signal "go"))
(display " " out)
(display said out)
(say "said " said)
(say "last " (llm.infer "two"))
"""
SLOW = '(displayln (llm.infer "slow one")) (displayln "after")'


class Shell:
    """The command line in one folder, with one store."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.command, self.environment, self.folder = command, environment, folder
        self.path = folder / "omega-runs.db"
        self.processes: list[Started] = []
        (folder / "rules.json").write_text(json.dumps(RULES))

    def write(self, text: str, name: str = "program.omega") -> str:
        (self.folder / name).write_text(text)
        return name

    def start(self, *words: str) -> Started:
        process: Started
        if forked.is_forked(self.command, self.environment):
            process = forked.Process(list(words), cwd=self.folder, env=self.environment)
            self.processes.append(process)
            return process
        process = subprocess.Popen(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        self.processes.append(process)
        return process

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        output, said = process.communicate(timeout=WAIT_S)
        assert "Traceback" not in said, said
        return process.returncode, output, said

    def begin(self, text: str, *options: str, run: str = "r1") -> Started:
        file = self.write(text)
        return self.start(
            *("run", "--durable", "--run-id", run, "--llm", "scripted:rules.json", *options, file)
        )

    def store(self) -> SQLiteStore:
        return SQLiteStore(str(self.path))

    def ok(self, *words: str) -> str:
        status, output, said = self.run(*words)
        assert status == 0, said
        return output

    def lines(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.ok(*words, "--json").splitlines()]

    def until(self, what: Callable[[SQLiteStore], Any]) -> Any:
        """What `what` answers of the store, once that is something."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.path.exists():
                try:
                    store = self.store()
                    found = what(store)
                    store.close()
                except Exception:  # it is being made
                    found = None
                if found:
                    return found
            time.sleep(LOOK_S)
        pytest.fail("it has not come so far")

    def kill(self, process: Started) -> tuple[str, str]:
        process.send_signal(signal.SIGKILL)
        return process.communicate(timeout=WAIT_S)


def in_flight(store: SQLiteStore) -> bool:
    return bool(store.effects("r1", open_only=True))


def ended(store: SQLiteStore, asked: str) -> bool | None:
    """Whether the effect with that in its text has ended; None: there is none."""
    found = [result for intent, result in store.effects("r1") if asked in intent.asked]
    return found[0] is not None if found else None


def waits(store: SQLiteStore) -> bool:
    """It waits for its signal: the first effect has ended, and the file was opened."""
    facts = [fact for entry in store.journal("r1") for fact in entry]
    return any("the signal `go`" in fact for fact in facts)


def killed_at_signal(shell: Shell) -> None:
    process = shell.begin(STEPS)
    shell.until(waits)
    shell.kill(process)


def killed_in_call(shell: Shell, text: str = SLOW) -> None:
    process = shell.begin(text)
    shell.until(in_flight)
    shell.kill(process)


def parked(shell: Shell) -> tuple[int, str, str]:
    process = shell.begin(STEPS, "--park-after", "0")
    output, said = process.communicate(timeout=WAIT_S)
    return process.returncode, output, said
