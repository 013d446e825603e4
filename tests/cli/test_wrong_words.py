"""Commands of durable runs that are given what is wrong: told, and nothing is changed."""

from __future__ import annotations

import json

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
    ],
)
def test_bad_usage_is_told_and_changes_nothing(shell, words, said):
    parked(shell)
    before = shell.lines("runs", "show", "r1")
    status, output, told = shell.run("runs", *words)
    assert (status, output) == (2, "")
    assert said in told
    assert shell.lines("runs", "show", "r1") == before
