"""How far a program has come: a bar on a terminal, lines elsewhere, nothing when not wanted."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega import Interpreter
from omega.cli.progress import bar_of, duration, line_of
from omega.progress import Progress, Progresses
from tests.cli.conftest import SECONDS_MAX, Omega

PROGRAM = """
(define p (make-progress "tickets" 3))
(for-each (lambda (i) (sleep 1) (progress-add! p) (displayln i)) '(1 2 3))
(progress-end! p)
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "p.omega"
    path.write_text(PROGRAM)
    return str(path)


def test_where_nothing_can_be_redrawn_the_end_is_told(omega: Omega, program: str) -> None:
    done = omega("run", program)
    assert done.stdout == "1\n2\n3\n"
    assert re.fullmatch(r"tickets: 3 of 3 \(100 %\), [\d.]+/s, in 0\.\d s\n", done.stderr)


@pytest.mark.parametrize("option", ["--no-progress", "--diagnostics=json"])
def test_it_is_not_shown_to_who_does_not_want_it(omega: Omega, program: str, option: str) -> None:
    done = omega("run", option, program)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n2\n3\n", "", 0)


def test_a_replay_shows_none(omega: Omega, program: str) -> None:
    omega("run", "--record", "run.tape", program)
    assert omega("replay", "run.tape").stderr == ""


def test_on_a_terminal_output_and_bar_do_not_share_a_line(
    command: list[str], environment: dict[str, str], program: str
) -> None:
    main, other = pty.openpty()
    process = subprocess.Popen(
        [*command, "run", program], env=environment, stdin=other, stdout=other, stderr=other
    )
    os.close(other)
    screen = b""
    while True:
        try:
            part = os.read(main, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        screen += part
    assert process.wait(SECONDS_MAX) == 0
    os.close(main)
    text = screen.decode()
    # Every number stands right behind an erased line or a line's end.
    for number in "123":
        assert re.search(rf"(^|\n|\x1b\[K){number}\r\n", text), repr(text)
    last = re.split(r"\r(?!\n)", text)[-1]
    assert "3 of 3 (100 %)" in last and last.endswith("\n")


def test_what_it_is_given_is_checked(omega: Omega) -> None:
    for form in ("(make-progress 5)", '(make-progress "x" -1)', "(progress-add! 5)"):
        assert "E301" in omega("eval", form).stderr
    assert omega("eval", '(progress-add! (make-progress "x") -1)').stderr.startswith("<eval>")


def test_a_host_is_told_only_if_it_asks() -> None:
    told: list[tuple[str, int, bool]] = []
    with Interpreter() as interpreter:
        interpreter.eval('(define p (make-progress "x" 2)) (progress-add! p)')
        interpreter.watch_progress(lambda p: told.append((p.label, p.done, p.is_over)))
        interpreter.eval("(progress-add! p) (progress-end! p) (progress-end! p) (progress-add! p)")
    assert told == [("x", 2, False), ("x", 2, True)]


LABELS = st.text(max_size=60)


@given(LABELS, st.none() | st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 300),
       st.floats(0, 1e7), st.booleans())  # fmt: skip
def test_a_bar_fits_its_line_whatever_is_counted(
    label: str, total: int | None, done: int, columns: int, took_s: float, over: bool
) -> None:
    progress = Progress(Progresses(), label, total)
    progress.done, progress.is_over = done, over
    text = bar_of(progress, took_s, ["3 in flight"], columns, has_colour=False)
    assert len(text) < max(columns, 1)
    assert text.isprintable()
    assert line_of(progress, took_s, []).startswith(label + ": ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (48.2, "48 s"), (125, "2:05"), (3725, "1:02:05")],
)
def test_durations_are_written_as_clocks_show_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
