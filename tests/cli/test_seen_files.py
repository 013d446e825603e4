"""The files of --trace and --events are whole, however a program ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from omega.cli.interrupts import AGAIN_S
from tests.concurrency.traces import check

WAIT_S = 60.0
OTHERS = """
(define ch (make-channel))
(async (lambda () (recv! ch)) :daemon #t)
(define asked (async (lambda () (llm.infer "slow")) :daemon #t))
(sleep 1)
"""
# How it ends: (options, program, exit code).
ENDS = {
    "well": ((), "1", 0),
    "exit in a task": ((), "(async (lambda () (exit 7))) (sleep 9000)", 7),
    "emergency-exit in a task": ((), "(async (lambda () (emergency-exit 7))) (sleep 9000)", 7),
    "emergency-exit": ((), "(dynamic-wind void (lambda () (emergency-exit 7)) void)", 7),
    "an error": ((), "(car 5)", 1),
    "an error in a task": ((), "(async (lambda () (car 5)))", 1),
    "out of fuel": (("--fuel", "5000"), "(let loop () (loop))", 3),
    "out of time": (("--timeout", "0.5"), "(let loop () (sleep 100) (loop))", 3),
    "too many tasks": (("--max-live-tasks", "10"), "(let loop () (async loop) (loop))", 3),
    "a deadlock": ((), "(recv! (make-channel))", 4),
}
SEEN = ("--trace", "run.trace", "--events", "run.events")


def look(folder: Path) -> tuple[list[Any], list[str]]:
    """What the two files hold, which are as they should be."""
    trace = json.loads((folder / "run.trace").read_text("utf-8"))
    check(trace)
    text = (folder / "run.events").read_text("utf-8")
    assert text.endswith("\n")
    events = text.splitlines()
    assert all(" slice=" in line and " task=" in line for line in events)
    assert sum(line.startswith("TaskStarted") for line in events) >= 3
    started = [line for line in events if line.startswith("TaskStarted")]
    assert sum(event.get("name") == "running" for event in trace) >= len(started)
    return trace, events


@pytest.mark.parametrize("end", sorted(ENDS))
def test_they_are_whole_however_it_ends(omega: Any, program: Any, tmp_path: Path, end: str) -> None:
    options, text, status = ENDS[end]
    path = program(OTHERS + text)
    done = omega("run", "--virtual-time", *SEEN, *options, path)
    assert done.returncode == status, done.stderr
    _, events = look(tmp_path)
    if "emergency" not in end:
        ends = ("TaskCompleted", "TaskFailed", "TaskCancelled")
        assert sum(line.startswith(ends) for line in events) == sum(
            line.startswith("TaskCreated") for line in events
        )


@pytest.mark.parametrize(
    ("text", "presses"),
    [
        ("(sleep 3600000)", 1),
        ("(let loop () (loop))", 1),
        ("(dynamic-wind void (lambda () (sleep 3600000)) (lambda () (ready) (sleep 3600000)))", 2),
    ],
)
def test_they_are_whole_after_ctrl_c(
    command: Any, environment: Any, tmp_path: Path, text: str, presses: int
) -> None:
    """A second one does not wait for cleanup; on a machine so slow that it comes a second after the
    first, it takes a third.
    """
    ready = '(define (ready) (displayln "ready") (flush-output-port)) '
    process = subprocess.Popen(
        [*command, "eval", *SEEN, f"{OTHERS} {ready} (ready) {text}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    for _ in range(presses):
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
    end_s = time.monotonic() + WAIT_S
    while True:
        try:
            process.communicate(timeout=WAIT_S if presses == 1 else 2 * AGAIN_S)
            break
        except subprocess.TimeoutExpired:
            assert presses == 2 and time.monotonic() < end_s
            process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    trace, _ = look(tmp_path)
    assert presses == 2 or any(event.get("name") == "TaskCancelled" for event in trace)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(("text", "status"), [("1", 1), ("(emergency-exit)", 1), ("(exit 7)", 7)])
def test_that_they_cannot_be_written_is_told(omega: Any, text: str, status: int) -> None:
    done = omega("eval", "--trace", "/dev/full", text)
    assert "cannot write /dev/full" in done.stderr
    assert done.returncode == status


@pytest.mark.parametrize("first", [True, False])
def test_to_look_is_no_part_of_a_recorded_run(
    omega: Any, program: Any, tmp_path: Path, first: bool
) -> None:
    """A tape is replayed with a trace or without, whichever it was recorded with."""
    path = program(OTHERS + "(displayln (exact (floor (* 0 (now)))))")
    done = omega("run", "--record", "run.tape", *(SEEN if first else ()), path)
    assert done.returncode == 0, done.stderr
    again = omega("replay", *(() if first else SEEN), "run.tape")
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, done.stderr)
    look(tmp_path)
