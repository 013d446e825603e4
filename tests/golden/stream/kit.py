"""The event stream of a fixed program, as it is today.

Owns: how program.omega is run. `python -m tests.golden.stream.kit` writes events.txt anew, for
somebody to read.
"""

from __future__ import annotations

import io
from pathlib import Path

from omega.concurrency import EventWriter, SchedulerConfig
from omega.interpreter import Interpreter
from omega.llm import ScriptedProvider

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "events.txt"
RULES = [
    {"match": "again", "fault": "500", "times": 1, "latency_ms": 2},
    {"match": "refuse", "fault": "401", "latency_ms": 2},
    {"match": "slow", "reply": "late", "latency_ms": 60_000},
    {"match": ".", "reply": "fine", "latency_ms": 3},
]


def stream() -> str:
    """What the program's listeners hear, and the value it has at the end."""
    out = io.StringIO()
    config = SchedulerConfig(yield_every=50, max_concurrent_tasks=4, max_concurrent_llm_calls=2)
    with Interpreter(
        llm=ScriptedProvider(RULES), virtual_time=True, seed=7, scheduler=config
    ) as omega:
        omega.define("slowly", lambda thunk: thunk())
        omega.scheduler.listeners.append(EventWriter(out))
        value = omega.eval((FOLDER / "program.omega").read_text("utf-8"), filename="program.omega")
        out.write(f"{omega.runtime.display(value)}\n")
    return out.getvalue()


if __name__ == "__main__":
    GOLDEN.write_text(stream(), "utf-8")
