"""The REPL: on a real terminal, and on a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

WAIT_S = 60.0
PROMPT = "omega> "


class Terminal:
    """The REPL on a pseudo-terminal: send lines, wait for texts."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], [*command, "repl"], {**environment, "NO_COLOR": "1"})
        self.text = ""

    def until(self, wanted: str) -> str:
        """What came up to and with `wanted`."""
        end_s = time.monotonic() + WAIT_S
        while wanted not in self.text:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, f"{wanted!r} did not come after {self.text!r}"
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            assert data, f"the REPL ended before {wanted!r}, after {self.text!r}"
            self.text += data.decode()
        end = self.text.index(wanted) + len(wanted)
        found, self.text = self.text[:end], self.text[end:]
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found)

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def interrupt(self, wanted: str) -> None:
        """Press Ctrl-C until `wanted` comes: readline misses one just before it waits."""
        for _ in range(30):
            self.send("\x03")
            while wanted not in self.text and select.select([self.fd], [], [], 1.0)[0]:
                self.text += os.read(self.fd, 4096).decode()
            if wanted in self.text:
                break
        self.until(wanted)

    def ask(self, line: str) -> str:
        """The answer to a line."""
        self.send(line + "\n")
        self.until("\n")  # the echo
        return self.until(PROMPT)[: -len(PROMPT)]

    def status(self) -> int:
        while True:  # until it has closed its side
            try:
                if not os.read(self.fd, 4096):
                    break
            except OSError:
                break
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        os.close(self.fd)
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(command: list[str], environment: dict[str, str]) -> Iterator[Terminal]:
    opened = Terminal(command, environment)
    opened.until(PROMPT)
    yield opened
    opened.close()


def test_values_are_numbered_and_kept(terminal):
    assert terminal.ask("(+ 40 2)") == "$1 = 42\r\n"
    assert terminal.ask("(define (f x) (* x $1))") == ""
    assert terminal.ask("(f 2)") == "$3 = 84\r\n"
    assert terminal.ask('"a" (list $3)') == '$4 = "a"\r\n$5 = (84)\r\n'


def test_a_form_may_take_several_lines(terminal):
    terminal.send("(+ 1\n")
    terminal.until("...> ")
    assert terminal.ask("   2)") == "$1 = 3\r\n"


def test_a_background_task_prints_while_the_prompt_waits(terminal):
    terminal.ask('(define t (async (lambda () (sleep 200) (displayln "tick"))))')
    terminal.send("(+ 1")  # half a line
    assert "tick" in terminal.until("tick\r\n")
    assert terminal.until("(+ 1") == PROMPT + "(+ 1"  # put back under what was printed
    assert terminal.ask(" 1)").endswith(" = 2\r\n")


def test_errors_keep_the_session(terminal):
    assert "error[E301]" in terminal.ask("(car 5)")
    assert "error[E103]" in terminal.ask(")")
    assert "did you mean `make-channel`" in terminal.ask("(make-chanel)")
    assert terminal.ask("1").endswith(" = 1\r\n")


def test_a_failure_nobody_waits_for_is_told_at_the_prompt(terminal):
    terminal.ask("(async (lambda () (sleep 50) (car 5)))")
    assert "error[E301]" in terminal.until(PROMPT)


def test_ctrl_c_clears_the_line(terminal):
    terminal.send("(+ 1")
    terminal.until("(+ 1")
    terminal.interrupt(PROMPT)
    assert terminal.ask("5") == "$1 = 5\r\n"


@pytest.mark.parametrize("form", ["(sleep 3600000)", "(let loop () (loop))"])
def test_ctrl_c_cancels_the_form_and_nothing_else(terminal, form):
    terminal.ask("(define other (async (lambda () (sleep 3600000))))")
    terminal.send(f'(begin (display "going") {form})\n')
    terminal.until("\ngoing")  # not its echo
    terminal.send("\x03")
    assert "interrupted" in terminal.until(PROMPT)
    assert "suspended" in terminal.ask(",tasks")


def test_a_deadlock_of_the_form_is_an_error(terminal):
    assert "deadlock" in terminal.ask("(recv! (make-channel))")


def test_commands(terminal):
    assert "no tasks" in terminal.ask(",tasks")
    terminal.ask('(define t (async (lambda () (sleep 3600000)) :name "sleeper"))')
    assert "sleeper" in terminal.ask(",tasks")
    assert "asked to end" in terminal.ask(",cancel 1.1")
    assert "no tasks" in terminal.ask(",tasks")
    assert "E605" in terminal.ask(",cancel 77")
    assert "steps" in terminal.ask(",stats")
    assert "(map f" in terminal.ask(",doc map")
    assert "did you mean" in terminal.ask(",doc mapp")
    assert ",cancel ID" in terminal.ask(",help")
    assert "did you mean ,tasks?" in terminal.ask(",task")
    terminal.send(",quit\n")
    assert terminal.status() == 0


def test_ctrl_d_leaves_and_the_history_is_private(terminal, environment):
    terminal.ask("(+ 1 2)")
    terminal.send("\x04")
    assert terminal.status() == 0
    history = Path(environment["XDG_STATE_HOME"]) / "omega" / "history"
    assert "(+ 1 2)" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_exit_in_a_background_task_ends_the_session(terminal):
    terminal.send("(async (lambda () (sleep 50) (exit 9)))\n")
    assert terminal.status() == 9


def test_on_a_pipe_there_is_no_prompt(omega):
    text = '(define x 20)\n(* x\n   2)\n"s"\n(display "shown")\n(newline)\n(exit 3)\n'
    done = omega("repl", stdin=text)
    assert (done.returncode, done.stdout, done.stderr) == (3, '40\n"s"\nshown\n', "")


def test_on_a_pipe_errors_keep_the_session_too(omega):
    done = omega("repl", stdin="(car 5)\n(+ 1 1)\n(+ 1\n")
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "error[E301]" in done.stderr
    assert "error[E102]" in done.stderr


def test_limits_hold_for_each_form(omega):
    done = omega("repl", "--fuel", "1000", stdin="(let l () (l))\n(+ 1 1)\n(let l () (l))\n")
    assert done.stdout == "2\n"
    assert done.stderr.count("fuel limit exceeded") == 2


def test_a_value_too_long_to_show_keeps_the_session(omega):
    done = omega("repl", stdin="(make-list 60 (make-string 1000000 #\\x))\n(+ 1 1)\n")
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "error[E801]: size limit exceeded" in done.stderr
