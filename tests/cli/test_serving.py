"""`omega serve-runs`: what is due goes on, each run in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from tests.cli.kit import STEPS, WAIT_S, killed_at_signal, killed_in_call, parked, waits


def test_serving_goes_on_with_what_is_due_and_nothing_else(shell):
    """One that waits, one whose signal has come, one that was killed, one that is blocked."""
    for run in ("waits", "signalled"):
        process = shell.begin(STEPS, "--park-after", "0", run=run)
        process.communicate(timeout=WAIT_S)
        assert process.returncode == 75
    shell.ok("signal", "signalled", "go", "yes")
    killed_in_call(shell, '(displayln (llm.infer "slow"))')
    assert shell.run("resume", "r1")[0] == 75
    shell.ok("runs", "resolve", "r1", "--reply", "found")
    status, output, said = shell.run("serve-runs", "--once", "--max", "2")
    assert (status, output) == (0, ""), said
    states = {line["id"]: line["state"] for line in shell.lines("runs", "list")}
    assert states == {"waits": "suspended", "signalled": "completed", "r1": "completed"}
    assert "run signalled is completed" in said
    assert "run waits" not in said
    folder = shell.folder / "omega-runs.db.output"
    assert (folder / "signalled.txt").read_text() == "said yes\nlast quick\n"
    assert (folder / "r1.txt").read_text() == "found\n"


def test_serving_takes_over_what_was_killed(shell):
    killed_at_signal(shell)
    shell.ok("signal", "r1", "go", "yes")
    assert shell.run("serve-runs", "--once")[0] == 0
    assert shell.store().run("r1").state == "completed"


def test_serving_passes_over_runs_of_python_programs(shell):
    from omega.durable.records import NewRun

    shell.store().create(NewRun("host", "host", {}))
    status, _, said = shell.run("serve-runs", "--once", "--json")
    assert status == 0
    events = [json.loads(line) for line in said.splitlines()]
    assert [e["event"] for e in events if e["run"] == "host"] == ["passes over"]
    assert shell.store().run("host").state == "pending"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serving_stops_what_it_runs_where_it_can_go_on(shell, number, status):
    parked(shell)
    text = '(displayln (wait-signal "go")) (displayln (llm.infer "soon")) (wait-signal "more")'
    process = shell.begin(text, "--park-after", "0", run="r2")
    process.communicate(timeout=WAIT_S)
    shell.ok("signal", "r2", "go", "1")
    server = shell.start("serve-runs", "--poll", "0.1", "--max", "2")
    shell.until(lambda store: store.effects("r2", open_only=True))
    server.send_signal(number)
    _, said = server.communicate(timeout=WAIT_S)
    assert server.returncode == status, said
    record = shell.store().run("r2")
    assert record.state == "pending"  # nobody need say anything
    assert shell.store().effects("r2", open_only=True) == []
    assert shell.run("serve-runs", "--once", "--park-after", "0")[0] == 0
    assert shell.store().run("r2").state == "suspended"


# Serves as `omega serve-runs` does; but another one is always first with a run it has chosen.
LATE = """
from omega.cli import serve
from omega.cli.main import main
from omega.durable.sqlite import SQLiteStore
from omega.runs.owners import own_name
command = serve._Server._command
def late(self, run):
    store = SQLiteStore(self._path)
    store.acquire(run, own_name(), 3_600_000_000)
    store.close()
    return command(self, run)
serve._Server._command = late
main()
"""


def test_who_comes_too_late_for_a_run_writes_nothing_into_its_output(shell):
    parked(shell)
    shell.ok("signal", "r1", "go", "yes")
    omega, shell.command = shell.command, [sys.executable, "-c", LATE]
    status, output, said = shell.run("serve-runs", "--once", "--json")
    shell.command = omega
    assert (status, output) == (0, ""), said
    events = [json.loads(line) for line in said.splitlines()]
    assert [e["event"] for e in events if e["run"]] == ["goes on", "goes on elsewhere"]
    assert (shell.folder / "omega-runs.db.output" / "r1.txt").read_text() == ""


def test_a_person_is_told_who_works_on_a_run_unless_it_is_not_asked(shell):
    process = shell.begin(STEPS)
    shell.until(waits)
    status, output, said = shell.run("resume", "r1")
    assert (status, output) == (1, "")
    assert "E915" in said and "holds run r1" in said
    assert shell.run("resume", "--if-free", "r1") == (75, "", "")
    shell.kill(process)
    shell.ok("signal", "r1", "go", "yes")
    assert shell.run("resume", "--if-free", "--new-output", "r1")[:2] == (
        0,
        "said yes\nlast quick\n",
    )
    assert shell.run("resume", "--if-free", "r1") == (0, "", "")


@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo], ids=["a folder", "a pipe nobody reads"])
def test_a_run_whose_output_cannot_be_written_does_not_begin_and_keeps_nobody(shell, put):
    for run in ("r1", "r2"):
        shell.begin(STEPS, "--park-after", "0", run=run).communicate(timeout=WAIT_S)
        shell.ok("signal", run, "go", "yes")
    folder = shell.folder / "omega-runs.db.output"
    folder.mkdir()
    put(folder / "r1.txt")
    status, _, said = shell.run("serve-runs", "--once")
    assert status == 0
    assert "run r1 cannot go on: error cannot write" in said
    assert "Omega went wrong" not in said
    states = {line["id"]: line["state"] for line in shell.lines("runs", "list")}
    assert states == {"r1": "suspended", "r2": "completed"}
    assert shell.store().run("r1").totals.effects == 1
