"""How a durable run stops before its end: by Ctrl-C, by whoever cancels it, without room."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.cli.kit import STEPS, WAIT_S, Shell, in_flight, killed_at_signal, waits


def test_ctrl_c_waits_for_what_is_on_its_way(shell):
    process = shell.begin('(displayln (llm.infer "soon")) (displayln (wait-signal "go"))')
    shell.until(in_flight)
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75, said
    assert "was interrupted" in said
    assert shell.store().effects("r1", open_only=True) == []
    shell.ok("signal", "r1", "go", "on")
    status, output, _ = shell.run("resume", "r1")
    assert (status, output) == (0, "there\non\n")
    assert shell.store().run("r1").totals.effects == 1


def test_ctrl_c_does_not_wait_for_what_waits_for_its_turn(shell):
    """Three times as many calls as may overlap: the others were asked for, and are not begun."""
    text = '(for-each displayln (par-map (lambda (n) (llm.infer (string "soon " n))) (iota 6)))'
    process = shell.begin(text, "--max-llm", "2")
    shell.until(in_flight)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75, said
    assert shell.store().effects("r1", open_only=True) == []
    assert 2 <= shell.store().run("r1").totals.effects < 6
    status, output, _ = shell.run("resume", "r1")
    assert (status, output) == (0, "there\n" * 6)
    assert shell.store().run("r1").totals.effects == 6


def test_a_run_has_one_owner(shell):
    process = shell.begin(STEPS)
    shell.until(waits)
    status, _, said = shell.run("resume", "r1")
    assert status == 1
    assert "error[E915]" in said
    status, _, said = shell.run("runs", "cancel", "r1")
    assert status == 1
    assert "error[E915]" in said
    status, _, said = shell.run("runs", "resolve", "r1", "--retry")
    assert status == 2
    assert "is running" in said
    shell.ok("signal", "r1", "go", "yes")
    output, said = process.communicate(timeout=WAIT_S)
    assert (process.returncode, output) == (0, "first quick\nsaid yes\nlast quick\n"), said


def test_a_run_whose_owner_has_died_is_cancelled_at_once(shell):
    killed_at_signal(shell)
    assert "which has died" in shell.ok("runs", "show", "r1")
    shell.ok("runs", "cancel", "r1", "--reason", "not needed")
    record = shell.store().run("r1")
    assert (record.state, record.reason) == ("cancelled", "not needed")
    status, _, said = shell.run("resume", "r1")
    assert status == 1
    assert "cancelled (not needed)" in said
    assert shell.run("signal", "r1", "go")[0] == 1


def without_room(shell: Shell) -> tuple[subprocess.Popen[str], Callable[[int], None]]:
    """A run that has come to where its store has no room; and what sets how large files may be."""
    process = shell.begin(STEPS)
    shell.until(waits)

    def allow(size: int) -> None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    allow(os.path.getsize(f"{shell.path}-wal"))
    shell.ok("signal", "r1", "go", "yes")
    assert process.stderr is not None
    assert "begins" in process.stderr.readline()
    assert "no room for more" in (said := process.stderr.readline())
    assert "the run pauses until there is room" in said
    return process, allow


def test_a_run_pauses_while_there_is_no_room(shell):
    process, allow = without_room(shell)
    allow(resource.RLIM_INFINITY)
    output, said = process.communicate(timeout=WAIT_S)
    assert (process.returncode, output) == (0, "first quick\nsaid yes\nlast quick\n"), said
    assert shell.store().run("r1").totals.effects == 2


def test_a_run_that_is_stopped_without_room_goes_on_later(shell):
    process, _ = without_room(shell)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75, said
    assert "make room, then omega resume r1" in said
    status, output, said = shell.run("resume", "r1")
    assert (status, output) == (0, "first quick\nsaid yes\nlast quick\n"), said
    store = shell.store()
    assert store.run("r1").totals.effects == 2 and store.check() == []


# As `omega`; but once a run is over, no file may become larger.
FULL_AT_THE_END = """
import resource
from omega.cli.main import main
from omega.runs.session import DurableSession
end = DurableSession.end
def full(self, *words):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    return end(self, *words)
DurableSession.end = full
main()
"""


@pytest.mark.parametrize(
    ("text", "status"),
    [("1", 0), ("(exit 3)", 3), ("(emergency-exit 4)", 4), ('(error "so")', 1)],
)
def test_ctrl_c_stops_a_run_that_waits_for_room_at_its_very_end(shell, text, status):
    omega, shell.command = shell.command, [sys.executable, "-c", FULL_AT_THE_END]
    process = shell.begin(f'(displayln (llm.infer "one")) {text}')
    shell.command = omega
    said = ""
    while "pauses until" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    output, more = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75, said + more
    assert output == "quick\n"
    assert more.startswith("run r1 has stopped: ") and "omega resume r1" in more
    code, output, said = shell.run("resume", "r1")
    assert (code, output) == (status, "quick\n"), said
    assert shell.store().run("r1").totals.effects == 1
