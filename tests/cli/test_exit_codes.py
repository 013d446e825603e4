"""Every exit code of the command line, and what stands on which stream."""

from __future__ import annotations

import os

import pytest


def test_a_program_that_ends_well_exits_with_0_and_writes_only_its_output(omega, program):
    done = omega("run", program("#!/usr/bin/env omega\n(display (command-line))\n"), "a", "--b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "(program.omega a --b)", "")


def test_a_program_may_come_from_standard_input(omega):
    done = omega("run", "-", "x", stdin="(display (command-line))")
    assert (done.returncode, done.stdout) == (0, "(- x)")


def test_eval_prints_the_value_as_write_does(omega):
    assert omega("eval", '(list 1 "a" #\\b (/ 1 3))').stdout == '(1 "a" #\\b 1/3)\n'


def test_eval_prints_nothing_for_the_unspecified_value(omega):
    assert omega("eval", "(if #f #f)").stdout == ""


def test_eval_takes_an_expression_that_looks_like_a_number(omega):
    assert omega("eval", "-5").stdout == "-5\n"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "(car 5)"),
        (1, "(raise 'odd)"),
        (1, "(+ 1"),
        (1, "(if)"),
        (3, "(vector-ref (make-vector 100000000) 0)"),
        (4, "(recv! (make-channel))"),
        (4, "(async (lambda () (recv! (make-channel)))) 1"),
        (4, "(await-all (list (async (lambda () (recv! (make-channel))))))"),
        (0, "(exit)"),
        (0, "(exit #t)"),
        (1, "(exit #f)"),
        (7, "(exit 7)"),
        (8, "(guard (e (#t 0)) (exit 8))"),
        (9, "(async (lambda () (exit 9))) (sleep 60000)"),
        (10, "(await (async (lambda () (exit 10))))"),
    ],
)
def test_exit_code_of_an_ending(omega, code, text):
    assert omega("eval", text).returncode == code


def test_exit_runs_the_afters_of_dynamic_wind(omega):
    text = '(dynamic-wind (lambda () 1) (lambda () (exit 5)) (lambda () (display "after")))'
    done = omega("eval", text)
    assert (done.returncode, done.stdout, done.stderr) == (5, "after", "")


def test_tasks_are_waited_for_at_the_end(omega, program):
    name = program('(async (lambda () (sleep 50) (display "late")))')
    assert omega("run", name).stdout == "late"
    assert omega("run", "--no-wait", name).stdout == ""


def test_failures_nobody_observed_are_all_reported_in_spawn_order(omega, program):
    name = program(
        '(async (lambda () (sleep 20) (error "first")) :name "a")\n'
        '(async (lambda () (error "second")) :name "b")\n(display "done")\n'
    )
    done = omega("run", name)
    assert (done.returncode, done.stdout) == (1, "done")
    assert done.stderr.count("error[E401]") == 2
    assert done.stderr.index("first") < done.stderr.index("second")
    assert 'task "a"' in done.stderr


def test_one_limit_is_reported_once(omega):
    done = omega("eval", "--fuel", "5000", "(async (lambda () (let l () (l)))) (let l () (l))")
    assert done.returncode == 3
    assert done.stderr.count("error[E801]") == 1


def test_live_tasks_are_limited(omega):
    text = "(do ((i 0 (+ i 1))) ((= i 4) 'fine) (async (lambda () (sleep 1))))"
    words = ("eval", "--virtual-time", "--max-live-tasks")  # the program itself is a task, too
    assert omega(*words, "5", text).stdout == "fine\n"
    done = omega(*words, "4", text)
    assert done.returncode == 3
    assert "5 live tasks, 4 allowed" in done.stderr
    assert "--max-live-tasks N allows more" in done.stderr


def test_stats_are_printed_on_standard_error(omega):
    done = omega("eval", "--stats", '(llm.infer "x")')
    assert done.returncode == 0
    assert "1 calls, 0 retries" in done.stderr
    assert "steps" in done.stderr
    busy = "(let loop ((i 0)) (when (< i 10000) (loop (+ i 1))))"
    assert ", longest slice " in omega("eval", "--stats", busy).stderr
    assert "longest slice" not in omega("eval", "--virtual-time", "--stats", busy).stderr


def test_the_event_stream_is_equal_in_equal_runs(omega, tmp_path):
    text = "(await-all (map (lambda (i) (async (lambda () (sleep i) i))) (list 3 2 1)))"
    streams = []
    for name in ("a", "b"):
        assert omega("eval", "--virtual-time", "--events", name, text).returncode == 0
        streams.append((tmp_path / name).read_text())
    assert streams[0] == streams[1]
    assert streams[0].startswith("TaskCreated ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_events_that_cannot_be_written_make_the_run_fail(omega):
    done = omega("eval", "--events", "/dev/full", "1")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert "cannot write /dev/full: no space left on device" in done.stderr


def test_options_reach_the_scheduler(omega):
    text = "(configure-scheduler! :yield-every 7) (await (async (lambda () 3)))"
    words = ("--fairness", "fifo", "--max-tasks", "2", "--max-llm", "3", "--yield-every", "9")
    words += ("--fair-by", "scope")
    assert omega("eval", *words, text).stdout == "3\n"


def test_a_seed_decides_chance(omega):
    one = omega("eval", "--seed", "1", "(random 1000000)").stdout
    assert one == omega("eval", "--seed=1", "(random 1000000)").stdout
    assert one != omega("eval", "--seed", "2", "(random 1000000)").stdout


def test_the_sandbox_grants_only_what_is_added(omega, tmp_path):
    (tmp_path / "data").write_text("hello")
    read = '(display (read-file "data"))'
    assert omega("eval", read).stdout == "hello"
    refused = omega("eval", "--sandbox", read)
    assert refused.returncode == 1
    assert "E503" in refused.stderr
    assert "--allow-read" in refused.stderr
    assert omega("eval", "--sandbox", "--allow-read", read).stdout == "hello"
    assert omega("eval", "--sandbox", "--allow-read=data", read).stdout == "hello"
    assert omega("eval", "--sandbox", "--allow-read=other", read).returncode == 1
    assert omega("eval", "--sandbox", "(read-line)").returncode == 1
    home = '(get-environment-variable "HOME")'
    assert omega("eval", "--sandbox", home).returncode == 1
    assert omega("eval", "--sandbox", "--allow-env=HOME", home).returncode == 0


def test_version_and_help_go_to_standard_output(omega):
    assert omega("--version").stdout.startswith("omega 0.")
    assert "usage: omega COMMAND" in omega("--help").stdout
    for name in ("run", "eval", "repl", "check", "compile"):
        done = omega(name, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"usage: omega {name}")


def test_every_option_is_in_the_help_of_its_command():
    from omega.cli.dispatch import COMMANDS
    from omega.cli.options import help_of

    for command in COMMANDS:
        text = help_of(command)
        for option in command.options:
            assert f"  {option.shape}" in text


def test_check_reports_every_syntax_error_and_unbound_name(omega, program):
    name = program("(define (f) (if))\n(let ((x)) x)\n(define (g) (f) (nowhere))\n(car 1 2)\n")
    done = omega("check", name)
    assert done.returncode == 1
    places = [line.split(": ")[0] for line in done.stderr.splitlines() if line.startswith(name)]
    assert places == [f"{name}:1:13", f"{name}:2:7", f"{name}:3:18", f"{name}:4:1"]
    assert "`f`" not in done.stderr


def test_check_does_not_run_the_program(omega, program):
    done = omega("check", program('(display "ran") (car 5)'))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_compile_shows_the_python(omega, program):
    done = omega("compile", "--show-python", program("(define (square x) (* x x))"))
    assert done.returncode == 0
    assert "def square(x):" in done.stdout


LEAKING = "(define ch (make-channel 3)) (send! ch 1) (define nap (async (lambda () (sleep 1))))"


def test_what_a_program_leaves_behind_is_told_at_its_end_and_changes_no_exit_code(omega):
    done = omega("eval", LEAKING)
    assert done.returncode == 0
    assert "warning[W401]: a channel holds a value nobody received" in done.stderr
    assert "task" not in done.stderr.replace("W401", ""), "tasks are waited for"
    assert '"code": "W401"' in omega("eval", "--diagnostics", "json", LEAKING).stderr


@pytest.mark.parametrize("end", ["(exit 0)", "(car 5)", "(recv! ch)"])
def test_a_program_that_exits_fails_or_leaves_nothing_is_not_told(omega, end):
    assert "W401" not in omega("eval", f"{LEAKING} {end}").stderr
    assert "W401" not in omega("eval", "--no-wait", LEAKING).stderr


@pytest.mark.parametrize(
    ("end", "status", "written"),
    [
        ("", 0, "kept"),
        ("(exit 3)", 3, "kept"),
        ("(car 5)", 1, "kept"),
        ("(emergency-exit 3)", 3, ""),
    ],
)
def test_ports_that_are_open_are_written_at_the_end(omega, program, tmp_path, end, status, written):
    text = f'(define out (open-output-file "out.txt")) (display "kept" out) {end}'
    for options in ((), ("--durable", "--store", "s.db")):
        assert omega("run", *options, program(text)).returncode == status
        assert (tmp_path / "out.txt").read_text() == written


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_port_that_cannot_be_written_at_the_end_fails_the_program(omega, program):
    text = '(define out (open-output-file "/dev/full" :append #t)) (display "lost" out)'
    done = omega("run", program(text))
    assert done.returncode == 1
    assert "no space left" in done.stderr
