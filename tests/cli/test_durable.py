"""Durable runs as users and operators meet them: real processes, killed in earnest.

Nothing here goes by time: a process is killed when the store shows that it has come somewhere, and
every wait is for a condition.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omega.durable.sqlite import SQLiteStore

WAIT_S = 60.0
LOOK_S = 0.02

RULES = {
    "rules": [
        {"match": "slow", "reply": "late", "latency_ms": 3_600_000},
        {"match": "soon", "reply": "there", "latency_ms": 1_000},
        {"match": "", "reply": "quick", "latency_ms": 1},
    ]
}
# A file takes the side of a vendor that keeps books: what was asked is counted in the journal.
STEPS = """
(define (say . items) (for-each display items) (newline))
(define first (llm.infer "one"))
(say "first " first)
(define out (open-output-file "notes.txt"))
(display first out)
(define said (wait-signal "go"))
(display " " out)
(display said out)
(say "said " said)
(say "last " (llm.infer "two"))
"""
SLOW = '(displayln (llm.infer "slow one")) (displayln "after")'


class Shell:
    """The command line in one folder, with one store."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.command, self.environment, self.folder = command, environment, folder
        self.path = folder / "omega-runs.db"
        self.processes: list[subprocess.Popen[str]] = []
        (folder / "rules.json").write_text(json.dumps(RULES))

    def write(self, text: str, name: str = "program.omega") -> str:
        (self.folder / name).write_text(text)
        return name

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        self.processes.append(process)
        return process

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        output, said = process.communicate(timeout=WAIT_S)
        assert "Traceback" not in said, said
        return process.returncode, output, said

    def begin(self, text: str, *options: str, run: str = "r1") -> subprocess.Popen[str]:
        file = self.write(text)
        return self.start(
            *("run", "--durable", "--run-id", run, "--llm", "scripted:rules.json", *options, file)
        )

    def store(self) -> SQLiteStore:
        return SQLiteStore(str(self.path))

    def ok(self, *words: str) -> str:
        status, output, said = self.run(*words)
        assert status == 0, said
        return output

    def lines(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.ok(*words, "--json").splitlines()]

    def until(self, what: Callable[[SQLiteStore], Any]) -> Any:
        """What `what` answers of the store, once that is something."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if self.path.exists():
                try:
                    store = self.store()
                    found = what(store)
                    store.close()
                except Exception:  # it is being made
                    found = None
                if found:
                    return found
            time.sleep(LOOK_S)
        pytest.fail("it has not come so far")

    def kill(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        process.send_signal(signal.SIGKILL)
        return process.communicate(timeout=WAIT_S)


@pytest.fixture
def shell(command, environment, tmp_path):
    made = Shell(command, environment, tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def in_flight(store: SQLiteStore) -> bool:
    return bool(store.effects("r1", open_only=True))


def ended(store: SQLiteStore, asked: str) -> bool | None:
    """Whether the effect with that in its text has ended; None: there is none."""
    found = [result for intent, result in store.effects("r1") if asked in intent.asked]
    return found[0] is not None if found else None


def waits(store: SQLiteStore) -> bool:
    """It waits for its signal: the first effect has ended, and the file was opened."""
    facts = [fact for entry in store.journal("r1") for fact in entry]
    return any("the signal `go`" in fact for fact in facts)


def killed_at_signal(shell: Shell) -> None:
    process = shell.begin(STEPS)
    shell.until(waits)
    shell.kill(process)


def killed_in_call(shell: Shell, text: str = SLOW) -> None:
    process = shell.begin(text)
    shell.until(in_flight)
    shell.kill(process)


# -- run, kill, resume -----------------------------------------------------------------------------


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


# -- parked, signals -------------------------------------------------------------------------------


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


def parked(shell: Shell) -> tuple[int, str, str]:
    process = shell.begin(STEPS, "--park-after", "0")
    output, said = process.communicate(timeout=WAIT_S)
    return process.returncode, output, said


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


# -- what is wrong with what is given --------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("resume", "r1"),
        ("runs", "list"),
        ("runs", "check"),
        ("runs", "backup", "b"),
        ("signal", "r1", "go"),
        ("serve-runs", "--once"),
    ],
)
def test_a_store_that_is_not_there_is_told_and_not_made(shell, words):
    status, output, said = shell.run(*words)
    assert (status, output) == (2, "")
    assert "there is no store of runs at omega-runs.db" in said
    assert not shell.path.exists()
    assert sorted(path.name for path in shell.folder.iterdir()) == ["rules.json"]


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


def test_the_store_is_named_by_the_environment_or_an_option(shell):
    parked(shell)
    elsewhere = shell.folder / "there.db"
    shell.path.rename(elsewhere)
    assert shell.run("runs", "list")[0] == 2
    assert "r1" in shell.ok("runs", "list", "--store", "there.db")
    shell.environment["OMEGA_STORE"] = str(elsewhere)
    assert "r1" in shell.ok("runs", "list")


@pytest.mark.parametrize(
    "words",
    [("resume", "r1"), ("runs", "list"), ("runs", "check"), ("serve-runs", "--once"), ("doctor",)],
)
def test_a_file_that_is_no_store_is_told_and_left_alone(shell, words):
    shell.path.write_bytes(b"no store " * 1000)
    status, _, said = shell.run(*words)
    assert status == 1
    if words != ("doctor",):
        assert "error[E910]" in said
    assert shell.path.read_bytes() == b"no store " * 1000


def test_a_damaged_store_is_told(shell):
    parked(shell)
    with shell.path.open("r+b") as file:  # the log is gone with the last process
        size = file.seek(0, os.SEEK_END)
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    status, output, said = shell.run("runs", "check")
    assert status == 1
    assert output or "E910" in said
    status, output, _ = shell.run("doctor")
    assert status == 1
    assert "error" in output


def test_a_folder_that_cannot_be_written(shell):
    """Nobody makes files in /proc, not even root."""
    file = shell.write("(display 1)")
    folder = "/proc" if os.geteuid() == 0 else str(shell.folder / "sealed")
    if folder != "/proc":
        Path(folder).mkdir(mode=0o500)
    status, output, said = shell.run("run", "--durable", "--store", f"{folder}/runs.db", file)
    assert (status, output) == (1, "")
    assert "error[E910]" in said
    assert "make others beside it" in said


def test_a_folder_that_is_not_there(shell):
    file = shell.write("(display 1)")
    status, output, said = shell.run("run", "--durable", "--store", "no/runs.db", file)
    assert (status, output) == (1, "")
    assert "there is no folder" in said


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


# -- looking ---------------------------------------------------------------------------------------


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


# -- export and replay -----------------------------------------------------------------------------


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


# -- the store -------------------------------------------------------------------------------------


def test_a_backup_is_put_back(shell):
    parked(shell)
    shell.ok("runs", "backup", "kept.db")
    status, _, _ = shell.run("runs", "backup", "kept.db")
    assert status == 1  # overwrites nothing
    shell.ok("runs", "cancel", "r1")
    status, _, said = shell.run("runs", "restore", "kept.db")
    assert status == 2
    assert "--replace" in said
    assert shell.store().run("r1").state == "cancelled"
    shell.ok("runs", "restore", "kept.db", "--replace")
    assert shell.store().run("r1").state == "suspended"
    assert shell.ok("runs", "check") == "omega-runs.db is whole\n"
    assert shell.run("runs", "restore", "nothing.db", "--replace")[0] == 1
    assert shell.store().run("r1").state == "suspended"


def test_runs_that_have_ended_are_pruned(shell):
    parked(shell)
    assert shell.run("run", "--durable", "--run-id", "z", shell.write("1", "other.omega"))[0] == 0
    assert shell.ok("runs", "prune", "--older-than", "1") == "0 runs are deleted\n"
    assert shell.ok("runs", "prune", "--older-than", "0") == "1 run is deleted\n"
    assert [line["id"] for line in shell.lines("runs", "list")] == ["r1"]


def test_the_doctor_looks_at_the_place(shell):
    status, output, _ = shell.run("doctor")
    assert status == 0
    for part in ("Python", "SQLite", "greenlet", "lark", "file system", "no store yet"):
        assert part in output, part
    assert not shell.path.exists()
    parked(shell)
    assert "omega-runs.db is whole: 1 run" in shell.ok("doctor")
    assert {line["severity"] for line in shell.lines("doctor")} <= {"note", "warning"}
    status, output, _ = shell.run("doctor", "--store", "no/runs.db")
    assert status == 1
    assert "folder is not there" in output


# -- serving ---------------------------------------------------------------------------------------


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
