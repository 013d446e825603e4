"""How far a program has come: a bar on a terminal, lines elsewhere, nothing when not wanted."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega import Interpreter
from omega.cli.progress import bar_of, duration, line_of, terminal_text
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


def test_a_label_keeps_to_its_line_and_moves_no_cursor(omega: Omega) -> None:
    done = omega("eval", r'(progress-end! (make-progress "two\nlines\x1b;[31m" 3))')
    assert done.stderr.startswith("two lines [31m: 0 of 3")


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


class Screen:
    """A terminal that a command writes to, until it ends or is killed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._main, other = pty.openpty()
        self.process = subprocess.Popen(
            command, env=environment, stdin=other, stdout=other, stderr=other
        )
        os.close(other)
        self.text = ""

    def read_until(self, is_there: Callable[[str], bool]) -> str:
        """What has come, once it is as it should be, or the command has ended."""
        end_s = time.monotonic() + SECONDS_MAX
        while not is_there(self.text):
            readable, _, _ = select.select([self._main], [], [], SECONDS_MAX)
            assert readable and time.monotonic() < end_s, self.text
            try:
                part = os.read(self._main, 65_536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            self.text += part.decode(errors="replace")
        return self.text

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(SECONDS_MAX)
        os.close(self._main)


RULES = '{"rules": [{"match": "slow", "reply": "so", "latency_ms": 3600000}]}'
WAITS = {
    "a timer": "(sleep 3600000)",
    "a call": '(llm.infer "slow")',
    "a call beside timers": '(async (lambda () (sleep 3600000))) (llm.infer "slow")',
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=list(WAITS))
def test_its_times_go_on_while_the_program_waits(
    command: list[str], environment: dict[str, str], tmp_path: Path, wait: str
) -> None:
    """Nothing is counted meanwhile, and nothing else happens."""
    path, rules = tmp_path / "p.omega", tmp_path / "rules.json"
    path.write_text(f'(define p (make-progress "tickets" 9)) (progress-add! p) {wait}')
    rules.write_text(RULES)
    words = [*command, "run", "--llm", f"scripted:{rules}", str(path)]
    with Screen(words, environment) as screen:

        def times(text: str) -> set[str]:
            return set(re.findall(r"1 of 9 [^\r]*(after [\d.]+ s)", text))

        text = screen.read_until(lambda text: len(times(text)) >= 4)
        assert len(times(text)) >= 4, text


def test_what_a_program_wrote_of_a_line_is_not_drawn_over(
    command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "p.omega"
    path.write_text("""(define p (make-progress "tickets" 9)) (progress-add! p)
        (display "part of a line") (sleep 1200) (progress-add! p)
        (displayln ".") (sleep 3600000)""")
    with Screen([*command, "run", str(path)], environment) as screen:
        text = screen.read_until(lambda text: "2 of 9" in text)
    assert "part of a line.\r\n" in text, repr(text)


def test_a_standstill_is_seen_beside_a_bar(
    command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "p.omega"
    for before in ("", '(llm.infer "x") '):  # with the loop of asyncio, too
        path.write_text(
            f'(define p (make-progress "x" 2)) {before}(progress-add! p) (recv! (make-channel))'
        )
        with Screen([*command, "run", str(path)], environment) as screen:
            assert "error[E602]" in screen.read_until(lambda text: False)
            assert screen.process.wait(SECONDS_MAX) != 0


def test_virtual_time_is_the_same_beside_a_bar(
    command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "p.omega"
    path.write_text("""(define p (make-progress "x" 2)) (define start (now))
        (progress-add! p) (sleep 3600000) (displayln (string "took " (- (now) start)))""")
    told = []
    for option in ("--no-progress", "--stats"):
        with Screen([*command, "run", "--virtual-time", option, str(path)], environment) as screen:
            text = screen.read_until(lambda text: False)
            told += re.findall(r"took [\d.]+", text)
    assert len(told) == 2 and told[0] == told[1]


def test_whoever_shows_a_run_is_no_part_of_it(tmp_path: Path) -> None:
    """Called again and again while a run waits, it changes no step, no switch and no order."""
    program = """(define (work n) (sleep (* 20 n)) n)
      (await-all (map (lambda (n) (async (lambda () (work n)))) '(1 2 3)))"""
    seen = []

    def glance(called: list[int]) -> float:
        called.append(1)
        return 0.001

    for watched in (False, True):
        called: list[int] = []
        with Interpreter() as interpreter:
            if watched:
                interpreter.scheduler.driver.while_waiting = partial(glance, called)
            assert list(interpreter.eval(program)) == [1, 2, 3]
            scheduler = interpreter.scheduler
            seen.append((scheduler.steps_now(), len(scheduler.timers.heap)))
        assert len(called) >= 3 if watched else not called
    assert seen[0] == seen[1]


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
    line = line_of(progress, took_s, [])
    assert line.startswith(terminal_text(label) + ": ") and line.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (48.2, "48 s"), (125, "2:05"), (3725, "1:02:05")],
)
def test_durations_are_written_as_clocks_show_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


SLOW = """
[llm]
model = "fast"
[models.fast]
provider = "scripted"
model = "big"
requests-per-minute = 1
"""
THREE = "(par-map (lambda (i) (llm.infer (number->string i))) (iota 3)"
TOLD = r"2 calls of fast \(big\) wait for its rate of requests: the next is sent at [\d:]+ \(in "


def test_calls_that_have_to_wait_for_long_are_told_on_a_terminal(
    command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "omega.toml").write_text(SLOW)
    config = ["--config", str(tmp_path / "omega.toml")]
    program = f'(display "so: ") {THREE})'
    with Screen([*command, "eval", *config, program], environment) as screen:
        text = screen.read_until(lambda text: "(in 2:" in text)
    assert re.search(rf"so: \r?\n{TOLD}", text), text


@pytest.mark.parametrize(
    ("words", "program", "is_told"),
    [
        ((), f'{THREE} :progress "asked")', True),
        ((), f"{THREE})", False),
        (("--no-progress",), f'{THREE} :progress "asked")', False),
    ],
)
def test_elsewhere_they_are_told_where_progress_is(
    omega: Omega, tmp_path: Path, words: tuple[str, ...], program: str, is_told: bool
) -> None:
    """The program leaves by itself, as soon as it has waited."""
    (tmp_path / "omega.toml").write_text(SLOW)
    leaves = f"(async (lambda () (sleep 2500) (exit 0))) {program}"
    done = omega("eval", *words, leaves)
    assert done.returncode == 0
    assert bool(re.search(TOLD, done.stderr)) is is_told, done.stderr
