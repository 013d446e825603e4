"""`omega serve-runs`: what is due goes on, each run in a process of its own."""

from __future__ import annotations

import json
import signal

import pytest

from tests.cli.kit import STEPS, WAIT_S, killed_at_signal, killed_in_call, parked


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
