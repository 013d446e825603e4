"""The process itself: pipes that break, Ctrl-C, what a warm start loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omega.cli import interrupts

WAIT_S = 60.0


def shell(line: str, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
    """A line of sh in which "$@" is the command."""
    return subprocess.run(
        ["sh", "-c", line, "sh", *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=WAIT_S,
        check=False,
    )


@pytest.fixture
def endless(command):
    return [*command, "eval", '(let loop ((i 0)) (display "line") (newline) (loop (+ i 1)))']


def test_a_reader_that_leaves_ends_the_program_quietly(command, endless, environment):
    done = shell('{ "$@"; echo "status $?" >&2; } | head -n 1', endless, environment)
    assert (done.stdout, done.stderr) == ("line\n", "status 0\n")


def test_a_reader_that_leaves_ends_background_printing(command, environment):
    text = "(async (lambda () (let loop () (displayln 1) (sleep 1) (loop)))) (sleep 3600000)"
    done = shell('"$@" | head -n 1', [*command, "eval", text], environment)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_output_to_a_closed_stdout_is_an_error(command, environment):
    done = shell('"$@" >&-', [*command, "eval", "(display 1)"], environment)
    assert done.returncode == 1
    assert "cannot write to standard output: it is closed" in done.stderr
    assert "Traceback" not in done.stderr
    silent = shell('"$@" >&-', [*command, "eval", "(exit 0)"], environment)
    assert (silent.returncode, silent.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(command, environment):
    done = shell('"$@" >/dev/full', [*command, "eval", "(display 1)"], environment)
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_stderr_changes_nothing(command, environment):
    done = shell('"$@" 2>&-', [*command, "eval", "(car 5)"], environment)
    assert done.returncode == 1


@pytest.fixture
def started(command, environment):
    """Start a program; answers its process once it has printed `ready`."""
    processes = []

    def start(text: str, *options: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, "eval", *options, f'(displayln "ready") {text}'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@pytest.mark.parametrize(
    "text",
    [
        "(sleep 3600000)",
        "(let loop () (loop))",
        "(await (async (lambda () (let loop () (yield) (loop)))))",
        "(guard (e (#t 1)) (sleep 3600000))",
        "(async (lambda () (sleep 3600000)))",
        "(read-line)",
    ],
)
def test_ctrl_c_ends_the_program_with_130(started, text):
    process = started(text)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT_S)
    assert (process.returncode, said) == (130, "interrupted\n")


def test_ctrl_c_runs_cleanup(started):
    text = '(dynamic-wind void (lambda () (sleep 3600000)) (lambda () (display "cleaned")))'
    text = text.replace("void", "(lambda () 1)")
    process = started(text)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=WAIT_S)
    assert (process.returncode, output) == (130, "cleaned")


def test_a_second_ctrl_c_does_not_wait_for_cleanup(started):
    text = (
        "(dynamic-wind (lambda () 1) (lambda () (sleep 3600000))"
        ' (lambda () (displayln "cleaning") (sleep 3600000)))'
    )
    process = started(text)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=4.0)  # cleanup alone may take 5 s
    assert process.returncode == 130


def test_a_warm_start_loads_neither_lark_nor_asyncio(environment):
    code = (
        "import sys; from omega.cli.main import main; status = main(['eval', '(+ 1 2)'])\n"
        "print(status, [m for m in ('lark', 'asyncio', 'json', 'argparse', 'openai', 'ast',"
        " 'sqlite3', 'readline', 'omega.lisp.compiler') if m in sys.modules])"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=environment,
            timeout=WAIT_S,
            check=False,
        )
    loaded = done.stdout.splitlines()
    assert loaded[0] == "3"
    # `ast` comes with dataclasses, while the scheduler's settings are one.
    assert loaded[1].replace("'ast'", "").replace("[]", "") in ("0 ", "0 []")


def test_a_script_that_defines_macros_starts_warm(environment, command, tmp_path: Path):
    script = tmp_path / "m.omega"
    script.write_text(
        "(define-syntax twice (syntax-rules () ((_ e) (begin e e))))\n"
        "(define (read-nothing) 1)\n(twice (display 1))\n"
    )
    code = (
        "import sys; from omega.cli.main import main; main(['run', sys.argv[1]])\n"
        "print('lark' in sys.modules)"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code, str(script)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=WAIT_S,
            check=False,
        ).stdout
        for _ in range(2)
    ]
    assert outputs == ["11True\n", "11False\n"]


def test_without_a_safepoint_ctrl_c_ends_the_process_all_the_same(started):
    """Under virtual time standard input is read in place: nothing is heard until there is some."""
    process = started("(read-line)", "--virtual-time")
    with process:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WAIT_S) == 130


def test_a_third_ctrl_c_ends_the_process_whatever_the_others_did(monkeypatch):
    class Program:
        on_interrupt = None
        asked = 0

        def interrupt(self):
            self.asked += 1

    def leave():
        raise SystemExit

    program, insisted = Program(), []
    monkeypatch.setattr(interrupts, "leave_now", leave)
    with interrupts.Interrupts(program, lambda: None, lambda: insisted.append(True)):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert (program.asked, insisted) == (1, [True])
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGINT)
