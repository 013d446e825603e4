"""Messages for durable runs: `omega signal`, and runs that wait for one."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.cli.kit import WAIT_S, killed_in_call, parked


def test_a_parked_run_goes_on_by_a_signal(shell):
    status, output, said = parked(shell)
    assert (status, output) == (75, "first quick\n")
    assert "omega signal r1 go VALUE" in said
    (line,) = shell.lines("runs", "list", "--state", "suspended")
    assert line["waits_for"] == ["go"]
    assert "it waits for it" in shell.ok("signal", "r1", "go", '{"a": [1]}', "--key", "k")
    assert "before" in shell.ok("signal", "r1", "go", '{"a": [1]}', "--key", "k")
    status, output, _ = shell.run("resume", "--new-output", "--park-after", "0", "r1")
    assert (status, output) == (0, "said {a #(1)}\nlast quick\n")


def test_names_of_our_own_are_no_signals(shell):
    parked(shell)
    status, _, said = shell.run("signal", "r1", "omega:settled", "1")
    assert status == 2
    assert "omega runs resolve" in said
    assert shell.store().signals("r1") == []


def test_they_are_refused_in_a_program_too(shell):
    text = """(for-each (lambda (name) (guard (e (#t (displayln (condition-message e))))
                (wait-signal name))) '("" "omega:settled"))"""
    status, output, said = shell.run("run", "--durable", shell.write(text))
    assert status == 0, said
    assert output == (
        "a signal has a name, and this one is empty\n"
        "names that begin with omega: are the run's own, got 'omega:settled'\n"
    )


def test_names_are_shown_without_what_a_terminal_acts_on(shell):
    name = "a\x1b[31m b\n"
    text = f"(wait-signal {json.dumps(name)})".replace("\\u001b", "\\x1b;")
    process = shell.begin(text, "--park-after", "0")
    _, said = process.communicate(timeout=WAIT_S)
    assert "omega signal r1 NAME VALUE" in said
    shown = [said, shell.ok("runs", "show", "r1"), shell.ok("signal", "r1", name, "1")]
    shown += [shell.ok("runs", "show", "r1"), shell.ok("runs", "list")]
    for each in shown:
        assert "\x1b" not in each
        assert "a\N{REPLACEMENT CHARACTER}[31m b\N{REPLACEMENT CHARACTER}" in each
    assert shell.run("resume", "r1")[0] == 0


def test_a_hint_can_be_typed(shell):
    process = shell.begin('(wait-signal "it\'s so")', "--park-after", "0")
    _, said = process.communicate(timeout=WAIT_S)
    (hint,) = [line for line in said.splitlines() if "omega signal" in line]
    assert shlex.split(hint)[:4] == ["omega", "signal", "r1", "it's so"]


@pytest.mark.parametrize("other", [("go", "2"), ("go", "true"), ("stop", "1")])
def test_another_message_with_the_same_key_is_told(shell, other):
    parked(shell)
    key = ("--key", "k", "--who", "ann")
    shell.ok("signal", "r1", "go", "1", *key)
    assert "has had this message" in shell.ok("signal", "r1", "go", "1", *key)
    status, output, _ = shell.run("signal", "r1", *other, *key)
    assert status == 1
    assert "has had another message with the key k before: `go` 1, from ann" in output
    status, output, _ = shell.run("signal", "r1", *other, *key, "--json")
    assert (status, json.loads(output)["differs"]) == (1, True)
    assert [signal.value for signal in shell.store().signals("r1")] == [1]


@pytest.mark.parametrize("value", ["1e400", '{"a": [1, -1e400]}', "[" * 100_000])
def test_a_value_that_cannot_be_kept_is_no_signal_and_no_reply(shell, value):
    parked(shell)
    status, output, said = shell.run("signal", "r1", "go", value)
    assert (status, output) == (2, "")
    assert "the value " in said and len(said) < 500
    assert shell.store().signals("r1") == []


def test_what_is_no_json_is_a_text(shell):
    parked(shell)
    for at, value in enumerate(("NaN", "Infinity", "[1, NaN]", "yes")):
        shell.ok("signal", "r1", "go", value, "--key", str(at))
        assert shell.store().signals("r1")[-1].value == value


@pytest.mark.parametrize("ms", ["1e15", "1e300"])
def test_a_wait_may_end_beyond_all_calendars(shell, ms):
    process = shell.begin(
        f'(displayln (wait-signal "go" :timeout {ms} :default 1))', "--park-after", "0"
    )
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75, said
    assert "run r1 waits until the year " in said
    assert "the year " in shell.ok("runs", "show", "r1")
    shell.ok("signal", "r1", "go", "on")
    assert shell.run("resume", "r1")[:2] == (0, "on\n")


@pytest.mark.parametrize(
    ("value", "kept"), [("-5", -5), ("-0.5e-3", -0.0005), ("-12x", "-12x"), ("-", "-")]
)
def test_a_value_may_begin_with_a_dash(shell, value, kept):
    parked(shell)
    shell.ok("signal", "r1", "go", value)
    assert [signal.value for signal in shell.store().signals("r1")] == [kept]


@pytest.mark.parametrize("value", ["-Infinity", "-NaN", "-x"])
def test_what_could_be_an_option_is_none_behind_two_dashes(shell, value):
    parked(shell)
    status, _, said = shell.run("signal", "r1", "go", value)
    assert status == 2
    assert f"unknown option {value}" in said
    assert "if it is no option, write -- before it" in said
    for at, words in enumerate([("--", "r1", "go", value), ("r1", "--", "go", value)]):
        shell.ok("signal", "--key", str(at), *words)
    shell.ok("signal", "r1", "go", "--key", "2", "--", value)
    assert [signal.value for signal in shell.store().signals("r1")] == [value] * 3


@pytest.mark.parametrize("value", ["-5", "-0.5", "-Infinity"])
def test_a_reply_may_begin_with_a_dash(shell, value):
    killed_in_call(shell)
    assert shell.run("resume", "r1")[0] == 75
    shell.ok("runs", "resolve", "r1", "--reply", value)
    assert shell.ok("resume", "r1") == f"{value}\nafter\n"
    (made,) = shell.lines("runs", "fork", "r1", "1", "--reply", value + "1")
    assert shell.ok("resume", made["run"]) == f"{value}1\nafter\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": 1', r'the text "{\"a\": 1"'),
        ("yes", 'the text "yes"'),
        ("-5", "-5"),
    ],
)
def test_a_value_is_told_as_it_was_read(shell, value, shown):
    parked(shell)
    assert f"gets `go` with {shown}; it waits for it" in shell.ok("signal", "r1", "go", value)
