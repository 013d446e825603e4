"""Durable runs that are killed in earnest go on: nothing is asked twice, and a person says what
became of that which nobody knows.
"""

from __future__ import annotations

from tests.cli.kit import killed_at_signal, killed_in_call


def test_a_killed_run_goes_on_and_asks_nothing_twice(shell):
    killed_at_signal(shell)
    shell.ok("signal", "r1", "go", "yes")
    status, output, said = shell.run("resume", "r")  # a prefix of its id
    assert (status, output) == (0, "first quick\nsaid yes\nlast quick\n"), said
    assert (shell.folder / "notes.txt").read_text() == "quick yes"  # its port was never closed
    store = shell.store()
    assert store.run("r1").state == "completed"
    assert store.run("r1").totals.effects == 2
    assert store.check() == []


def test_only_new_output_is_written_when_that_is_asked_for(shell):
    killed_at_signal(shell)
    shell.ok("signal", "r1", "go", "7")
    status, output, _ = shell.run("resume", "--new-output", "r1")
    assert (status, output) == (0, "said 7\nlast quick\n")


def test_a_run_that_has_ended_is_told_and_keeps_its_exit_code(shell):
    status, _, _ = shell.run("run", "--durable", "--run-id", "r1", shell.write("(exit 7)"))
    assert status == 7
    status, _, said = shell.run("resume", "r1")
    assert status == 7
    assert "failed (exit code 7)" in said


def test_an_unknown_outcome_blocks_until_somebody_says(shell):
    killed_in_call(shell)
    status, output, said = shell.run("resume", "r1")
    assert (status, output) == (75, "")
    assert "the prompt 'slow one'" in said
    assert "LLMRequest" not in said
    assert "omega runs resolve r1" in said
    (line,) = shell.lines("runs", "list")
    assert (line["state"], line["reason"]) == ("blocked", "unknown-outcome")
    assert "the prompt 'slow one'" in shell.ok(
        "runs", "resolve", "r1"
    )  # shows, and changes nothing
    assert shell.store().run("r1").state == "blocked"

    told = shell.ok("runs", "resolve", "r1", "--reply", "found out", "--who", "ann")
    assert "effect 1" in told
    assert shell.store().run("r1").state == "pending"
    told = shell.ok("runs", "resolve", "r1", "--reply", "found out")
    assert "nothing to settle" in told
    status, _, said = shell.run("runs", "resolve", "r1", "1", "--fail")
    assert status == 2
    assert "was settled before" in said
    status, output, said = shell.run("resume", "r1")
    assert (status, output) == (0, "found out\nafter\n"), said
    (sent,) = shell.lines("runs", "show", "r1")[0]["signals"]
    assert sent["who"] == "ann"


def test_what_was_settled_by_fail_is_an_error_of_the_program(shell):
    killed_in_call(shell, '(displayln (guard (e (#t "unknown")) (llm.infer "slow")))')
    assert shell.run("resume", "r1")[0] == 75
    shell.ok("runs", "resolve", "r1", "1", "--fail")
    status, output, _ = shell.run("resume", "r1")
    assert (status, output) == (0, "unknown\n")


def test_a_retry_counts_for_one_try(shell):
    """The effect is made again; its process dies again: a person is asked again."""
    killed_in_call(shell)
    assert shell.run("resume", "r1")[0] == 75
    shell.ok("runs", "resolve", "r1", "--retry")
    again = shell.start("resume", "r1")
    shell.until(lambda store: any('"again"' in f for e in store.journal("r1") for f in e))
    shell.kill(again)
    assert shell.run("resume", "r1")[0] == 75
    assert "nobody knows" in shell.ok("runs", "resolve", "r1")
    shell.ok("runs", "resolve", "r1", "--reply", "at last")
    status, output, _ = shell.run("resume", "r1")
    assert (status, output) == (0, "at last\nafter\n")


def test_one_reply_is_for_one_effect(shell):
    process = shell.begin('(displayln (par-map llm.infer (list "slow a" "slow b")))')
    shell.until(lambda store: len(store.effects("r1", open_only=True)) == 2)
    shell.kill(process)
    assert shell.run("resume", "r1")[0] == 75
    status, _, said = shell.run("runs", "resolve", "r1", "--reply", "x")
    assert status == 2
    assert "one effect" in said
    told = shell.ok("runs", "resolve", "r1", "1", "--reply", "x")
    assert "nobody has settled 2" in told
    assert shell.store().run("r1").state == "blocked"
    shell.ok("runs", "resolve", "r1", "2", "--reply", "y")
    status, output, _ = shell.run("resume", "r1")
    assert (status, output) == (0, "(x y)\n")


def test_a_model_is_not_settled_to_have_answered_nothing(shell):
    killed_in_call(shell)
    assert shell.run("resume", "r1")[0] == 75
    status, _, said = shell.run("runs", "resolve", "r1", "--reply", "")
    assert status == 2
    assert "effect 1 of run r1 asks a model, which answers with a text, got an empty one" in said
    assert shell.store().run("r1").state == "blocked"
    shell.ok("runs", "resolve", "r1", "--reply", "something")
    assert shell.ok("resume", "r1") == "something\nafter\n"
