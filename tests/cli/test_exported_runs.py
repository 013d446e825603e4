"""Durable runs as tapes: `omega runs export`, `omega replay`."""

from __future__ import annotations

from tests.cli.kit import STEPS, WAIT_S, ended, parked, waits


def test_an_exported_run_is_replayed_with_the_same_output(shell):
    """Also of one that was killed in the middle, twice, and settled by a person."""
    text = STEPS + '(displayln (par-map llm.infer (list "slow a" "b")))\n(delete-file "notes.txt")'
    process = shell.begin(text)
    shell.until(waits)
    shell.kill(process)
    shell.ok("signal", "r1", "go", "yes")
    process = shell.start("resume", "r1")
    shell.until(lambda store: ended(store, "'b'") is True and ended(store, "slow a") is False)
    shell.kill(process)
    assert shell.run("resume", "r1")[0] == 75
    shell.ok("runs", "resolve", "r1", "--reply", "found")
    status, output, said = shell.run("resume", "r1")
    assert (status, output.splitlines()[-1]) == (0, "(found quick)"), said

    told = shell.ok("runs", "export", "r1", "r1.tape")
    assert "omega replay r1.tape" in told
    status, replayed, said = shell.run("replay", "r1.tape")
    assert (status, replayed, said) == (0, output, "")
    status, _, said = shell.run("runs", "export", "r1", "r1.tape")
    assert status == 2
    assert "something here already" in said


def test_a_run_that_has_not_ended_is_replayed_as_far_as_it_came(shell):
    parked(shell)
    shell.ok("runs", "export", "r1", "r1.tape")
    status, output, said = shell.run("replay", "r1.tape")
    assert (status, output) == (0, "first quick\n")
    assert "the tape ends here" in said


def test_a_replay_of_another_program_differs(shell):
    assert shell.begin('(displayln (llm.infer "a"))').wait(WAIT_S) == 0
    shell.ok("runs", "export", "r1", "r1.tape")
    other = shell.write('(displayln (llm.infer "b"))', "other.omega")
    status, _, said = shell.run("replay", "--program", other, "r1.tape")
    assert status == 1
    assert "error[E902]" in said


def test_the_exit_code_of_an_exported_run_is_replayed(shell):
    shell.run("run", "--durable", "--run-id", "r1", "--virtual-time", shell.write("(exit 7)"))
    shell.ok("runs", "export", "r1", "r1.tape")
    assert shell.run("replay", "r1.tape")[0] == 7
