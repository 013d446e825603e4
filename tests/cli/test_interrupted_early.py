"""Ctrl-C while a command begins: a word, the right exit code; a run is not there, or goes on.

A process sends the signal to itself, at one of the moments that Python tells an audit hook of: when
it imports, opens, compiles. So the moments are the same however fast the machine is, from the first
one at which Omega hears Ctrl-C (before it, Python itself does) to the end of the process.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

from omega.durable.sqlite import SQLiteStore
from tests.cli.kit import WAIT_S

MOMENTS = 24  # of each command, besides the first

# {at}: the moment, or the end when there are fewer: some have a few more than others. Where it is
# far beyond, the number of moments is printed.
COMMAND = """
import os, signal, sys
from omega.cli.main import main
moments = [0]
def hook(event, arguments):
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return
    moments[0] += 1
    if moments[0] == {at}:
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
def leave(status):
    os._exit = last
    if {at} == FAR:
        os.write(2, b"%d moments" % moments[0])
    elif moments[0] < {at}:
        os.kill(os.getpid(), signal.SIGINT)
    last(status)
FAR, last, os._exit = 10**9, os._exit, leave
main()
"""
PROGRAM = '(displayln (llm.infer "one")) (displayln (llm.infer "two"))'
BEGUN = "run r{at} begins; if it is stopped or killed: omega resume r{at}\n"
STOPPED = "run r{at} was interrupted\n  omega resume r{at}\n"
NOTHING = "interrupted: nothing was begun\n"


@pytest.fixture
def interrupted(shell):
    """Run a command whose words may name the moment; (exit code, output, what it said)."""

    def run(at: int, *words: str) -> tuple[int, str, str]:
        shell.command = [sys.executable, "-c", COMMAND.format(at=at)]
        try:
            return shell.run(*(word.format(at=at) for word in words))
        finally:
            shell.command = [sys.executable, "-m", "omega"]

    return run


@pytest.fixture
def moments(interrupted):
    """The moments of a command at which it is to be interrupted, the first one among them."""

    def spread(
        *words: str, many: int = MOMENTS, before: Callable[[], object] = lambda: None
    ) -> list[int]:
        far = 10**9
        before()
        interrupted(far, *words)  # fills the cache
        before()
        count = int(re.search(r"(\d+) moments", interrupted(far, *words)[2])[1])
        assert count > 2 * many
        return [1, *(count * k // many for k in range(1, many)), count]

    return spread


def test_a_durable_run_is_not_begun_or_goes_on(shell, interrupted, moments):
    words = ("run", "--durable", "--run-id", "r{at}", "--seed", "1", shell.write(PROGRAM))
    said_of: dict[str, int] = {}
    for at in moments(*words):
        status, output, said = interrupted(at, *words)
        ends = {
            NOTHING: 130,
            "": 130,  # when all was said and done
            BEGUN + STOPPED: 75,
            BEGUN + "interrupted\n": 130,  # at its end
            BEGUN: 0,
        }
        shown = said.replace(f"r{at}", "r{at}")
        assert ends.get(shown) == status, (at, status, said)
        said_of[shown] = said_of.get(shown, 0) + 1
        is_there = shell.path.exists() and any(r.id == f"r{at}" for r in shell.store().runs())
        assert is_there == (shown != NOTHING), at
        if is_there:
            state = shell.store().run(f"r{at}").state
            assert state in ("blocked", "running", "pending") or status == 0 or output, (at, state)
            assert shell.run("resume", f"r{at}")[0] == 0, at
            assert shell.store().run(f"r{at}").state == "completed"
    assert said_of[NOTHING] and said_of[BEGUN + STOPPED]
    assert SQLiteStore(str(shell.path)).check() == []


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        (("run", "program.omega"), {NOTHING: 130, "interrupted\n": 130, "": 130}),
        (
            ("serve-runs", "--once", "--store", "served.db"),
            {NOTHING: 130, "interrupted\n": 130, "is asked to stop": 130, "stops serving": 0},
        ),
        (("runs", "list", "--store", "served.db"), {NOTHING: 130, "interrupted\n": 130, "": 0}),
    ],
)
def test_whoever_interrupts_a_command_is_told_what_that_has_done(
    shell, interrupted, moments, words, ends
):
    shell.ok("run", "--durable", "--store", "served.db", shell.write(PROGRAM))
    seen = set()
    for at in moments(*words, many=6):
        status, _, said = interrupted(at, *words)
        shown = next((each for each in ends if each and each in said), "")
        assert ends[shown] == status, (at, status, said)
        seen.add(shown)
    assert NOTHING in seen and len(seen) > 1
    status, _, said = interrupted(1, *words, "--diagnostics=json")
    assert (status, said) == (130, "")  # a program that reads lines of JSON gets no other


def test_a_run_that_is_gone_on_with_is_as_it_was_or_goes_on(shell, interrupted, moments):
    file = shell.write('(wait-signal "go") ' + PROGRAM)
    shell.run("run", "--durable", "--run-id", "first", "--park-after", "0", file)
    shell.ok("signal", "first", "go")
    shell.ok("runs", "backup", "parked.db")
    words = ("resume", "first")

    def parked_again() -> None:
        shell.ok("runs", "restore", "parked.db", "--replace")

    seen = set()
    for at in moments(*words, many=8, before=parked_again):
        parked_again()
        status, _, said = interrupted(at, *words)
        assert (status, said) in [
            (130, NOTHING),
            (75, "run first was interrupted\n  omega resume first\n"),
            (130, "interrupted\n"),
            (130, ""),
            (0, ""),
        ], at
        seen.add(said)
        assert shell.run("resume", "first")[0] == 0, at
        assert shell.store().run("first").state == "completed"
    assert NOTHING in seen and len(seen) > 1


# As `python -m omega --version`, interrupted at the {at}th import before Omega hears Ctrl-C, the
# first of which is that of `omega`; beyond the last one, they are printed.
BEFORE = """
import os, runpy, signal, sys
seen = []
def hook(event, arguments):
    if event == "import" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        seen.append(arguments[0])
        if len(seen) == {at}:
            signal.raise_signal(signal.SIGINT)
def leave(status, leave=os._exit):
    os.write(2, " ".join(seen).encode())
    leave(status)
os._exit = leave
sys.argv = ["omega", "--version"]
sys.addaudithook(hook)
runpy.run_module("omega", run_name="__main__", alter_sys=True)
"""


def test_little_is_imported_before_it_is_heard_and_shows_no_traceback(shell):
    """What Python itself imports at its start is Python's own: that it shows where it was."""

    def run(at: int) -> tuple[int, str, str]:
        shell.command = [sys.executable, "-S", "-c", BEFORE.format(at=at)]
        process = shell.start()
        output, said = process.communicate(timeout=WAIT_S)
        return process.returncode, output, said

    status, _, said = run(0)
    assert status == 0
    names = said.split()
    assert set(names) <= {"omega", "__future__", "omega.cli.main", "omega.cli"}, names
    for at, name in enumerate(names, 1):
        if name.startswith("omega.cli"):
            assert run(at) == (130, "", ""), name
