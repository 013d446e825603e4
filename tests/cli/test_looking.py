"""What `omega runs` shows of durable runs."""

from __future__ import annotations

import json

from tests.cli.kit import WAIT_S, parked


def test_what_a_run_is_and_did_is_shown(shell):
    parked(shell)
    table = shell.ok("runs", "list").splitlines()
    again = shell.ok("runs").splitlines()
    assert [line.split()[:3] for line in again] == [line.split()[:3] for line in table]
    assert table[0].split() == [
        *("ID", "STATE", "NAME", "AGE", "EFFECTS", "TOKENS", "COST", "WAITS", "FOR")
    ]
    assert table[1].split()[:3] == ["r1", "suspended", "program.omega"]
    shown = shell.ok("runs", "show", "r1")
    for part in ("incarnation 1", "nobody", "`go`", "pending -> running", "to the step", "rules"):
        assert part in shown, part
    journal = shell.ok("runs", "journal", "r1")
    assert "the prompt 'one'" in journal
    assert '"quick"' in journal
    assert "LLMRequest" not in journal
    raw = shell.ok("runs", "journal", "r1", "--raw").splitlines()
    kinds = [json.loads(line.split("\t", 1)[1])[0] for line in raw]
    assert kinds.count("call") == 2  # the model, and the signal
    (cost,) = shell.lines("runs", "cost", "r1")
    assert (cost["kind"], cost["calls"], cost["open"]) == ("an LLM call", 1, 0)
    assert cost["tokens"] > 0
    assert "in all" in shell.ok("runs", "cost", "r1")
    assert shell.ok("runs", "list", "--name", "other", "--json") == ""


def test_a_run_is_found_by_state_name_and_number(shell):
    parked(shell)
    assert shell.run("run", "--durable", "--run-id", "z", shell.write("1", "other.omega"))[0] == 0
    assert [line["id"] for line in shell.lines("runs", "list")] == ["z", "r1"]
    assert [line["id"] for line in shell.lines("runs", "list", "--limit", "1")] == ["z"]
    assert [line["id"] for line in shell.lines("runs", "list", "--state=suspended,failed")] == [
        "r1"
    ]
    assert [line["id"] for line in shell.lines("runs", "list", "--name", "other.omega")] == ["z"]


def test_messages_are_shown_as_they_were_sent_and_by_whom(shell):
    text = '(displayln (wait-signal "go")) (displayln (wait-signal "go"))'
    for run, last in (("r1", "1"), ("r2", "2")):
        shell.begin(text, "--park-after", "0", run=run).communicate(timeout=WAIT_S)
        shell.ok("signal", run, "go", '{"a": [1, null]}', "--who", f"ann-{run}")
        shell.ok("signal", run, "go", last, "--who", "bob")
        shell.ok("resume", run)
    journal = shell.ok("runs", "journal", "r1")
    assert ': {"a": [1, null]}, from ann-r1\n' in journal
    assert ": 1, from bob\n" in journal
    assert "tuple" not in journal
    lines = shell.ok("runs", "diff", "r1", "r2").splitlines()  # they have got the first one alike
    assert lines[0].startswith("the signal `go` 2 of task")
    assert [line.split(": ")[-1] for line in lines[1:]] == ["1, from bob", "2, from bob"]
    (fact,) = shell.lines("runs", "diff", "r1", "r2")
    assert fact["first"]["outcome"] == ["ok", 1]
    assert fact["first"]["who"] == "bob"


def test_a_fork_has_received_what_was_sent_to_the_run_it_comes_from(shell):
    text = """(displayln (wait-signal "go")) (displayln (llm.infer "one"))"""
    shell.begin(text, "--park-after", "0").communicate(timeout=WAIT_S)
    shell.ok("signal", "r1", "go", '"now"', "--who", "ann")
    shell.ok("resume", "r1")
    number = next(intent.number for intent, _ in shell.store().effects("r1"))
    (told,) = shell.lines("runs", "fork", "r1", str(number), "--reply", "else")
    shell.ok("resume", told["run"])
    assert ': "now", from ann\n' in shell.ok("runs", "journal", told["run"])


def test_what_earlier_incarnations_have_cost_is_shown(shell):
    text = """
    (define (last-one) (displayln "done"))
    (define (next) (llm.infer "two") (continue-as last-one))
    (llm.infer "one")
    (continue-as next)
    """
    process = shell.begin(text)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    totals = shell.store().run("r1").totals
    assert totals.effects == 2 and totals.tokens > 0
    told = shell.ok("runs", "cost", "r1")
    assert f"{totals.tokens:,}" in next(line for line in told.splitlines() if "in all" in line)
    assert "of every one, which made 2 effects together" in told
    (line,) = shell.lines("runs", "cost", "r1")
    assert (line["incarnations"], line["effects"], line["tokens"]) == (3, 2, totals.tokens)
