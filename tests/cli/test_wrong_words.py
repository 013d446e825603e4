"""Commands of durable runs that are given what is wrong: told, and nothing is changed."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.kit import parked


@pytest.mark.parametrize("words", [("resume",), ("runs", "show"), ("runs", "cost"), ("signal",)])
def test_an_unknown_run_is_told_with_those_like_it(shell, words):
    parked(shell)
    arguments = [*words, "r12", *(["go"] if words == ("signal",) else [])]
    status, _, said = shell.run(*arguments)
    assert status == 1
    assert "error[E913]: omega-runs.db: there is no run r12" in said
    assert "did you mean r1?" in said
    status, _, said = shell.run("runs", "show", "r12", "--json")
    assert json.loads(said)["code"] == "E913"


@pytest.mark.parametrize(
    "words",
    [
        *(("resume", ""), ("signal", "", "go"), ("migrate", "", "program.omega"), ("replay", "")),
        *(("runs", action, "") for action in ("show", "journal", "cost", "resolve", "cancel")),
        *(("runs", "fork", "", "1"), ("runs", "diff", "r1", ""), ("runs", "export", "", "x.tape")),
    ],
)
def test_nothing_is_no_run(shell, words):
    """Although there is only one."""
    parked(shell)
    before = shell.lines("runs", "show", "r1")
    status, output, said = shell.run(*words)
    assert (status, output) == (1, "")
    assert "a run has an id, and this one is empty" in said
    assert shell.lines("runs", "show", "r1") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lst",), "did you mean omega runs list?"),
        (("show",), "runs show needs a RUN"),
        (("show", "a", "b"), "got 'b' besides"),
        (("list", "--reply", "x"), "runs list takes no --reply"),
        (("list", "--state", "dead"), "--state takes pending"),
        (("list", "--limit", "0"), "--limit takes a whole number"),
        (("prune",), "--older-than DAYS"),
        (("prune", "--older-than", "-1"), "--older-than takes a number"),
        (("resolve", "r1", "--retry", "--fail"), "one of --retry, --fail and --reply"),
        (("resolve", "r1", "x", "--retry"), "effects have numbers"),
        (("resolve", "r1", "9", "--retry"), "has no effect 9"),
        (("export", "r1"), "runs export needs a FILE"),
        (("fork", "r1"), "runs fork needs an EFFECT"),
        (("r1",), "omega runs show r1 would show a run"),
        (("journal", "r1", "--incarnation", "2"), "run r1 has 1 incarnation, got number 2"),
    ],
)
def test_bad_usage_is_told_and_changes_nothing(shell, words, said):
    parked(shell)
    before = shell.lines("runs", "show", "r1")
    status, output, told = shell.run("runs", *words)
    assert (status, output) == (2, "")
    assert said in told
    assert shell.lines("runs", "show", "r1") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs", "resolve", "r1", "-5", "--retry"), "effects have numbers, got '-5'"),
        (("runs", "resolve", "r1", "--reply", "--who", "ann"), "--reply needs a value"),
        (("runs", "fork", "r1", "-1", "--reply", "x"), "effects have numbers, got '-1'"),
        (("runs", "cancel", "r1", "--reason"), "--reason needs a value"),
    ],
)
def test_words_that_begin_with_a_dash(shell, words, said):
    parked(shell)
    before = shell.lines("runs", "show", "r1")
    status, output, told = shell.run(*words)
    assert (status, output) == (2, "")
    assert said in told
    assert shell.lines("runs", "show", "r1") == before


@pytest.mark.parametrize("name", ["resume", "signal", "runs", "migrate", "serve-runs", "replay"])
def test_help_may_stand_behind_the_arguments(shell, name):
    assert shell.ok(name, "r1", "--help").startswith(f"usage: omega {name} ")


BAD_IDS = ["", "a" * 101, "a/b", "../a", "-a", ".a", "a b", "a\n", "\x1b[31m", "\u00e4", "a\u200b"]


@pytest.mark.parametrize("id", BAD_IDS)
def test_an_id_that_no_run_can_have_is_told_with_its_option(shell, id):
    file = shell.write("(displayln 1)")
    status, output, said = shell.run("run", "--durable", f"--run-id={id}", file)
    assert (status, output) == (2, "")
    assert "--run-id: the id of a run is of letters, digits, dots, dashes" in said
    assert f"got {ascii(id[:100])[:-1]}" in said
    assert "leave it out, and the run gets a new one" in said
    assert not shell.path.exists()


def test_an_id_may_be_how_others_begin(shell):
    """The whole id names its run; less of it only what no other begins with."""
    file = shell.write("(displayln 1)")
    for id in ("a1", "a12", "a1-b", "a" * 100, "A1"):
        shell.ok("run", "--durable", "--run-id", id, file)
        assert [line["id"] for line in shell.lines("runs", "show", id)] == [id]
    assert shell.lines("runs", "show", "a1-")[0]["id"] == "a1-b"
    status, _, said = shell.run("runs", "show", "a")
    assert status == 1 and "the ids of several runs begin with a: " in said
    status, _, said = shell.run("run", "--durable", "--run-id", "a1", file)
    assert status == 1 and "there is a run a1 already" in said and "omega resume a1" in said


@pytest.mark.parametrize("option", ["--run-id=a", "--store=other.db", "--unknown=fail"])
def test_options_of_durable_runs_are_for_those(shell, option):
    status, output, said = shell.run("run", option, shell.write("(displayln 1)"))
    assert (status, output) == (2, "")
    assert f"{option.split('=')[0]} is for a durable run" in said
    assert "--durable" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resume",), "resume needs a RUN"),
        (("resume", "r1", "x"), "resume got 'x' besides"),
        (("migrate", "r1"), "migrate needs a RUN and a FILE"),
        (("migrate", "r1", "a.omega", "x"), "migrate got 'x' besides"),
    ],
)
def test_too_many_arguments_are_told_from_too_few(shell, words, said):
    parked(shell)
    status, output, told = shell.run(*words)
    assert (status, output) == (2, "")
    assert said in told


def test_no_number_is_too_large(shell):
    parked(shell)
    shell.ok("run", "--durable", "--run-id", "z", shell.write("1", "other.omega"))
    for days in ("1e15", "1e300"):
        assert shell.ok("runs", "prune", "--older-than", days) == "0 runs are deleted\n"
    assert len(shell.lines("runs", "list", "--limit", "9" * 30)) == 2


NO_TEXT = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    "words",
    [
        ("resume", NO_TEXT),
        ("signal", NO_TEXT, "go"),
        ("signal", "r1", NO_TEXT),
        ("signal", "r1", "go", "1", f"--key={NO_TEXT}"),
        ("signal", "r1", "go", "1", "--who", f"ann {NO_TEXT}"),
        ("runs", "show", NO_TEXT),
        ("runs", "list", f"--name={NO_TEXT}"),
        ("runs", "cancel", "r1", f"--reason={NO_TEXT}"),
        ("runs", "diff", "r1", NO_TEXT),
        ("migrate", NO_TEXT, "program.omega"),
    ],
    ids=ascii,
)
def test_a_word_that_is_no_text_is_refused(shell, words):
    parked(shell)
    status, output, said = shell.run(*words)
    assert (status, output) == (2, "")
    assert said.startswith("error[E905]: ") and ascii(NO_TEXT)[1:-1] in said
    assert shell.store().run("r1").state == "suspended"
    assert shell.store().signals("r1") == []
