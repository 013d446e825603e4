"""Forks of runs, and other programs for runs in flight, from the command line."""

from __future__ import annotations

from tests.cli.kit import WAIT_S, Shell

PROGRAM = """
(define (rate n) (llm.infer (string-append "rate " (number->string n))))
(define rated (par-map rate (iota 3)))
(displayln rated)
(displayln (llm.infer (string-append "best of " (apply string-append rated))))
(wait-signal "go")
(displayln "done")
"""


def parked(shell: Shell) -> None:
    process = shell.begin(PROGRAM, "--park-after", "0")
    assert process.wait(60) == 75


def test_a_fork_answers_otherwise_from_an_effect_on(shell: Shell) -> None:
    parked(shell)
    (made,) = shell.lines("runs", "fork", "r1", "2", "--reply", "twelve")
    status, output, _ = shell.run("resume", "--park-after", "0", made["run"])
    assert (status, output.splitlines()[0]) == (75, "(quick twelve quick)")
    told = shell.ok("runs", "diff", "r1", made["run"])
    assert "  - the prompt 'rate 1': \"quick\"\n" in told
    assert "  + the prompt 'rate 1': \"twelve\"\n" in told
    assert "same" in shell.ok("runs", "diff", "r1", "r1")
    (whole,) = shell.lines("runs", "show", made["run"])
    assert whole["parent"] == "r1"


def test_a_fork_asks_another_prompt(shell: Shell) -> None:
    parked(shell)
    (made,) = shell.lines("runs", "fork", "r1", "2", "--prompt", "judge this")
    status, output, _ = shell.run("resume", "--park-after", "0", made["run"])
    assert (status, output.splitlines()[0]) == (75, "(quick quick quick)")
    told = shell.ok("runs", "diff", "r1", made["run"])
    assert "  - the prompt 'rate 1': \"quick\"\n  + the prompt 'judge this': \"quick\"\n" in told
    shown = shell.ok("runs", "show", made["run"])
    assert "\"judge this\" by number 1 of task 1.2, instead of 'rate 1'" in shown
    assert "the prompt 'judge this'" in shell.ok("runs", "journal", made["run"])
    shell.ok("signal", made["run"], "go")
    output = shell.ok("resume", made["run"])
    assert shell.ok("replay", made["run"]) == output


def test_a_fork_may_be_of_another_program(shell: Shell) -> None:
    parked(shell)
    other = shell.write(PROGRAM.replace('"best of "', '"worst of "'), "other.omega")
    told = shell.ok("runs", "fork", "r1", "2", "--program", other, "--reply", "twelve")
    assert "it asks the prompt 'worst of quickquickquick'; the run asked the prompt 'best" in told
    run = told.split()[-1]
    status, output, _ = shell.run("resume", "--park-after", "0", run)
    assert (status, output.splitlines()[0]) == (75, "(quick twelve quick)")
    (whole,) = shell.lines("runs", "show", run)
    assert (whole["parent"], whole["effects"]) == ("r1", 1)
    assert whole["begun_with"]["program"]["file"] == "other.omega"
    (made,) = shell.lines("runs", "fork", "r1", "2", "--program", other)
    assert made["does_the_same"] is False
    bad = shell.write(PROGRAM.replace("iota", "nota"), "bad.omega")
    runs = shell.lines("runs", "list")
    status, _, said = shell.run("runs", "fork", "r1", "2", "--program", bad)
    assert status == 2 and "`nota` is not bound" in said and "there is no fork" in said
    assert shell.lines("runs", "list") == runs


def test_bad_forks_are_told(shell: Shell) -> None:
    parked(shell)
    for words, told in (
        (("r1",), "runs fork needs an EFFECT"),
        (("r1", "two"), "effects have numbers, got 'two'"),
        (("r1", "77"), "run r1 has no effect 77 that has ended"),
        (("r1", "77", "--prompt", "x"), "run r1 has no effect 77"),
        (("r1", "1", "--prompt", "x", "--reply", "y"), "takes one of --reply and --prompt"),
        (("r1", "5", "--prompt", "x"), "effect 5 of run r1 asks no model, and has no prompt"),
        (("r1", "1", "--program", "missing.omega"), "cannot open missing.omega"),
        (("nobody", "1"), "there is no run nobody"),
    ):
        status, _, said = shell.run("runs", "fork", *words)
        assert status != 0 and told in said


def test_another_program_is_tried_and_taken(shell: Shell) -> None:
    parked(shell)
    other = shell.write(PROGRAM.replace('"rate "', '"judge "'), "other.omega")
    status, output, _ = shell.run("migrate", "r1", other)
    assert status == 1
    assert "it asks the prompt 'judge 0'; the run asked the prompt 'rate 0'" in output
    assert "4 effects that were made would not be used" in output
    status, _, said = shell.run("migrate", "r1", other, "--commit")
    assert status == 2 and "nothing is changed" in said
    same = shell.write(PROGRAM.replace('"done"', '"all done"').replace("rated", "found"), "b.omega")
    assert "pays for nothing again" in shell.ok("migrate", "r1", same)
    shell.ok("migrate", "r1", same, "--commit")
    shell.ok("signal", "r1", "go")
    assert shell.ok("resume", "r1").splitlines()[-1] == "all done"
    (whole,) = shell.lines("runs", "show", "r1")
    assert (whole["state"], whole["incarnation"]) == ("completed", 2)
    assert shell.ok("replay", "r1").splitlines()[-1] == "all done"


def test_programs_that_fail_or_are_not_there_are_told(shell: Shell) -> None:
    parked(shell)
    bad = shell.write(PROGRAM.replace("iota", "nota"), "bad.omega")
    status, output, _ = shell.run("migrate", "r1", bad)
    assert status == 1 and "`nota` is not bound" in output
    status, _, said = shell.run("migrate", "r1", "missing.omega")
    assert status == 2 and "cannot open missing.omega" in said
    status, _, said = shell.run("migrate", "r1")
    assert status == 2 and "migrate needs a RUN and a FILE" in said


def test_a_change_pays_again_only_when_told(shell: Shell) -> None:
    parked(shell)
    other = shell.write(PROGRAM.replace('"best of "', '"worst of "'), "other.omega")
    shell.ok("migrate", "r1", other, "--commit", "--pay-again")
    status, _, _ = shell.run("resume", "r1", "--park-after", "0")
    assert status == 75
    (whole,) = shell.lines("runs", "show", "r1")
    assert whole["effects"] == 5  # four before, and the one that was made anew
    told = shell.ok("runs", "cost", "r1")
    assert "are of incarnation 2" in told and "which made 5 effects together" in told


LOOP = """
(define (loop n)
  (displayln n)
  (llm.infer "step")
  (if (= n 1) (wait-signal "fin") (continue-as loop 1)))
(loop 0)
"""


def begun_anew(shell: Shell) -> None:
    assert shell.begin(LOOP, "--park-after", "0").wait(60) == 75


def test_a_run_that_has_begun_anew_goes_on_with_its_call_in_another_program(shell: Shell) -> None:
    begun_anew(shell)
    told = shell.ok("migrate", "r1", "program.omega")
    assert told == "the program does what run r1 has done: it pays for nothing again\n"
    wait = '(wait-signal "fin")'
    more = f'(begin (displayln (llm.infer "more")) (displayln {wait}))'
    other = shell.write(LOOP.replace(wait, more), "other.omega")
    told = shell.ok("migrate", "r1", other, "--commit")
    assert "what it asks for then is new:\n  an LLM call 2 of task 1: the prompt 'more'\n" in told
    shell.ok("signal", "r1", "fin", "end")
    assert shell.ok("resume", "r1") == "1\nquick\nend\n"
    assert shell.ok("replay", "r1", "--program", other) == "1\nquick\nend\n"
    assert "prompt 'step'" in shell.ok("runs", "journal", "r1", "--incarnation", "2")


def test_a_call_that_another_program_has_not_is_told(shell: Shell) -> None:
    begun_anew(shell)
    gone = shell.write('(displayln "new")', "gone.omega")
    status, output, said = shell.run("migrate", "r1", gone, "--commit")
    assert status == 2 and "nothing is changed" in said
    assert (
        "it goes on with, (loop 1), cannot be made: `loop` is not bound\n  define `loop`" in output
    )
    status, _, said = shell.run("runs", "fork", "r1", "1", "--program", gone)
    assert status == 2 and "(loop 1), cannot be made" in said and "there is no fork" in said


def test_the_journal_of_each_incarnation_is_shown(shell: Shell) -> None:
    begun_anew(shell)
    last = shell.ok("runs", "journal", "r1")
    assert last.startswith("incarnation 2 of 2\n") and "the signal `fin`" in last
    assert shell.ok("runs", "journal", "r1", "--incarnation", "2") == last
    first = shell.lines("runs", "journal", "r1", "--incarnation", "1")
    second = shell.lines("runs", "journal", "r1")
    entries = [each["entry"] for each in first + second]
    assert entries[0] == 1 and sorted(entries) == entries
    assert (
        set(entries) == set(range(1, entries[-1] + 1))
        and first[-1]["entry"] + 1 == second[0]["entry"]
    )
    status, _, said = shell.run("runs", "journal", "r1", "--incarnation", "3")
    assert status == 2 and "run r1 has 2 incarnations, got number 3" in said


def test_an_earlier_incarnation_is_forked_exported_and_replayed(shell: Shell) -> None:
    begun_anew(shell)
    shell.ok("signal", "r1", "fin", "end")
    whole = shell.ok("resume", "r1")
    first = shell.lines("runs", "journal", "r1", "--incarnation", "1")
    number = next(each["fact"][1] for each in first if each["fact"][0] == "call")
    told = shell.ok("runs", "fork", "r1", str(number), "--incarnation", "1", "--reply", "other")
    made = told.split()[1]
    assert told == (
        f"run {made} is run r1 up to effect {number} of incarnation 1: omega resume {made}\n"
    )
    assert shell.ok("resume", made).endswith(whole)
    assert "incarnation 2 from entry" in shell.ok("runs", "show", made)
    assert shell.ok("replay", "r1") == whole
    before = shell.ok("replay", "r1", "--incarnation", "1")
    shell.ok("runs", "export", "r1", "first.tape", "--incarnation", "1")
    assert shell.ok("replay", "first.tape") == before != whole
    for words, said_ in (
        (("replay", "first.tape", "--incarnation", "1"), "first.tape is a tape, which has no"),
        (("replay", "r1", "--incarnation", "3"), "run r1 has 2 incarnations, got number 3"),
        (("runs", "fork", "r1", "1", "--incarnation", "3"), "has 2 incarnations, got number 3"),
        (("runs", "export", "r1", "x", "--incarnation", "0"), "incarnation"),
    ):
        status, _, said = shell.run(*words)
        assert status == 2 and said_ in said


def test_a_trial_reads_nothing_of_standard_input(shell: Shell) -> None:
    assert shell.begin('(wait-signal "go")', "--park-after", "0", "--virtual-time").wait(60) == 75
    other = shell.write('(read-line) (llm.infer "never asked")', "other.omega")
    told = shell.ok("migrate", "r1", other)
    assert told.endswith("stdin.read-line 1 of task 1: a line of standard input\n")


def test_a_fork_is_given_no_reply_that_the_effect_cannot_have(shell: Shell) -> None:
    parked(shell)
    shell.ok("signal", "r1", "go", "1")
    shell.ok("resume", "r1")
    for reply in ("", "  ", "5"):
        status, output, said = shell.run("runs", "fork", "r1", "4", "--reply", reply)
        assert (status == 0) == bool(reply), said
        if not reply:
            assert (
                "effect 4 of run r1 asks a model, which answers with a text, got an empty" in said
            )
            assert "such as --reply 'I do not know'" in said
            assert "the prompt 'best of " in said
    status, output, said = shell.run("runs", "fork", "r1", "5", "--reply", "2")
    assert (status, output) == (2, "")
    assert "effect 5 of run r1 waits for a message, and has no reply: the signal `go`" in said
    assert "omega signal RUN NAME VALUE" in said
    assert len(shell.lines("runs", "list")) == 3
    (made,) = shell.lines("runs", "fork", "r1", "5")
    assert shell.run("resume", "--park-after", "0", made["run"])[0] == 75
    shell.ok("signal", made["run"], "go", "2")
    assert shell.ok("resume", made["run"]).endswith("done\n")


def test_a_run_that_has_ended_goes_on_with_no_other_program(shell: Shell) -> None:
    shell.begin('(displayln (llm.infer "one"))').communicate(timeout=WAIT_S)
    status, _, said = shell.run("migrate", "r1", "program.omega")
    assert status == 2
    assert "run r1 has ended: completed" in said
    assert "omega runs fork r1 EFFECT --program FILE" in said
