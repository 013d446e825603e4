"""`omega check`: its findings, each true; files and directories; JSON for other programs."""

from __future__ import annotations

import gc
import json
import os
import pty
import re
import signal
import subprocess
import weakref
from pathlib import Path
from typing import Any

import pytest

import omega
from omega.cli import schedules
from omega.codes import CODES

ROOT = Path(__file__).resolve().parents[2]
PLACE = {"file": str, "line": int, "column": int, "end_line": int, "end_column": int}
FIELDS = {
    **PLACE,
    "severity": str,
    "code": str,
    "kind": str,
    "message": str,
    "hint": str | None,
    "notes": list,
    "backtrace": list,
    "task": str | None,
}


def found(text: str) -> list[str]:
    """What is found in a text: "line:column code"."""
    with omega.Interpreter() as interpreter:
        errors = interpreter.check(text)
    assert all(e.span is not None and e.hint for e in errors), errors
    return [f"{e.span.line}:{e.span.column} {e.code}" for e in errors]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # names
        ("(let ((x 1)) 2)", ["1:8 W201"]),
        ("(let* ((x 1) (y x)) 2)", ["1:15 W201"]),
        ("(letrec ((f (lambda () (f)))) 2)", ["1:11 W201"]),
        ("(define (f)\n  (define x 1)\n  2)", ["2:11 W201"]),
        ("(define (f)\n  (define (g) (g))\n  2)", ["2:12 W201"]),
        ("(define (f)\n  (define ((g a) b) a b)\n  2)", ["2:13 W201", "2:21 W301"]),
        ("(let ((x 1)) (set! x 2))", ["1:8 W201"]),
        ("(do ((i 0 (+ i 1)) (x 1 2)) ((= i 3)))", ["1:21 W201"]),
        ("(let ((x 1)) (let ((x 2)) x))", ["1:8 W201"]),
        ("(define (f) 1)\n(define f 2)", ["2:1 W202"]),
        (
            "(define-record-type p (make x) p? (x p-x))\n"
            "(define-record-type p (make x) p? (x p-x))",
            ["2:1 W202"],
        ),
        # no effect
        ("(define (f x) x 5)", ["1:15 W301"]),
        ("(define (f) newline 5)", ["1:13 W301"]),
        ('(define (f) (display 1) "no comment" 5)', ["1:25 W301"]),
        ("(define (f) (lambda () 1) 5)", ["1:13 W301"]),
        ("(if (f) (begin 1 2)) (define (f) 3)", ["1:16 W301"]),
        ("(define (f x) (if nil 1 x))", ["1:19 W302"]),
        ("(define (f x) (cond (= x 1) (else 2)))", ["1:22 W302", "1:24 W301"]),
        ("(define (f x) (if null? 1 x))", ["1:19 W302"]),
        ("(define (f null?) (if null? 1 2))", []),
        ("(define (f g) ((or g car) '(1)))", []),
        ("(list (1 2 3))", ["1:7 E301"]),
        ("(define (f x) (x 1)) (f 2)", []),
        ("(define nil #f) (define (f x) (if nil 1 x))", []),
        # tests and clauses
        ("(if '() 1 2)", ["1:5 W302"]),
        ('(when "" 1)', ["1:7 W302"]),
        ("(cond (0 1))", ["1:8 W302"]),
        ("(define (f x) (cond (#t 1) ((= x 1) 2)))", ["1:22 W303"]),
        ("(define (f x) (cond (#t x) (else 2)))", ["1:22 W303"]),
        ("(guard (e (#t 1) (else 2)) 3)", ["1:12 W303"]),
        ("(define (f x) (case x ((1 2) 3) ((a 2.0 2) 4)))", ["1:41 W303"]),
        # together with what stops a program
        ("(if)\n(nowhere)\n(car)", ["1:1 E110", "2:2 E201", "3:1 E302"]),
        ("(define (f)\n  (if)\n  (quote)\n  (let ((x)) x))", ["2:3 E110", "3:3 E110", "4:9 E110"]),
    ],
)
def test_what_is_odd_is_found_where_it_stands(text, wanted):
    assert found(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        # names that say it, and names a position asks for
        "(let ((_x 1)) 2)",
        "(lambda (x) 1)",
        "(let-values (((a b) (values 1 2))) a)",
        "(define (f) (define-values (a b) (values 1 2)) a)",
        "(guard (e (#t 1)) 2)",
        "(define (f) (define-record-type p (make x) p? (x p-x)) (make 1))",
        "(let loop ((i 0) (x 1)) (if (< i 3) (loop (+ i 1) x)))",
        "(letrec ((odd (lambda (n) (even n))) (even (lambda (n) (odd n)))) (odd 1))",
        # what a macro made, or may have left out or quoted
        "(define-syntax m (syntax-rules () ((_ x) (let ((t 1) (x 2)) 3))))\n(m y)",
        "(define-syntax m (syntax-rules () ((_ x body) (let (x) body))))\n(m (y 1) 2)",
        "(define-syntax drop (syntax-rules () ((_ x) 1)))\n(let ((x 1)) (drop x))",
        "(define-syntax name (syntax-rules () ((_ x) 'x)))\n(let ((x 1)) (name (f x)))",
        "(define-macro (drop x) 1)\n(let ((x 1)) (drop (+ x 1)))",
        "(define-macro (bind b) `(let (,b) 1))\n(bind (x 1))",
        "(let ((x 1)) (cond-expand (omega 2) (else x)))",
        "(define-syntax both (syntax-rules () ((_ x) (if #f x '(let ((y 1)) y)))))"
        "\n(both (let ((y 1)) y))",
        "(define-syntax m (syntax-rules () ((_ x) (begin x 1))))\n(m 5)",
        "(define-syntax m (syntax-rules () ((_ c ...) (cond c ... (else 1) ))))\n(m (#t 5))",
        "(define-macro (m c) `(begin ,@c))\n(m (5 6))",
        "(define-syntax d (syntax-rules () ((_ x) (define x 1))))\n(d a)\n(d a)",
        # idioms
        "(if #f #f)",
        "(define (f x) (cond ((f x) 1) (#t 2)))",
        "(define (f x) (case x ((1) 2) (else 3)))",
        "(define (f x) (and 1 x))",
        "(let loop () (while #t (loop)))",
        "(do () (#f) (display 1))",
        '(define (f) "documentation" 5)',
        '(define (f) "documentation" (define x 1) x)',
        "(define (key-is? key) (or (eqv? key 1) (eqv? key 1)))",
        "(parameterize () 5)",
        "(let () (define-syntax m (syntax-rules () ((_) 1))) (m))",
    ],
)
def test_what_is_not_odd_is_not_found(text):
    assert found(text) == []


def test_a_procedure_that_stands_in_place_of_its_calls_is_looked_at_once():
    text = "(define (f x) (car x 2))\n(define (g x) x 5)\n(f 1)\n(f 2)\n(g 3)\n(g 4)"
    assert found(text) == ["1:15 E302", "2:15 W301"]


def test_a_misspelled_form_is_one_finding():
    assert found("(lamda (x) (* x 2))\n(defien (f y) y)\n(f 1)") == ["1:2 E201", "2:2 E201"]


# -- no finding of ours is false -------------------------------------------------------------------


def test_nothing_is_found_in_programs_that_are_used():
    done = [
        (path.name, each)
        for folder in ("examples", "tests/bench")
        for path in (ROOT / folder).rglob("*.omega")
        for each in found(path.read_text("utf-8"))
    ]
    assert done == []


# -- the command -----------------------------------------------------------------------------------


def test_files_and_directories_are_looked_at_and_counted(omega, program, tmp_path):
    (tmp_path / "folder" / "below" / ".hidden").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    one = program("(car 1 2)\n(nowhere)")
    program("(if)", "folder/below/two.omega")
    program("1", "folder/three.omega")
    program("(if)", "folder/note.txt")
    program("(if)", "folder/below/.hidden/no.omega")
    done = omega("check", one, "folder")
    heads = [line for line in done.stderr.splitlines() if "[E" in line]
    assert [head.split(": ")[0] for head in heads] == [
        "program.omega:1:1",
        "program.omega:2:2",
        "folder/below/two.omega:1:1",
    ]
    assert done.stderr.splitlines()[-1] == "3 findings in 2 files of 3"
    assert (done.returncode, done.stdout) == (1, "")
    clean = omega("check", "folder/three.omega")
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "")
    both = omega("check", "folder/three.omega", "folder/three.omega")
    assert (both.returncode, both.stderr) == (0, "nothing found in 2 files\n")
    assert omega("check", one).stderr.splitlines()[-1] == "2 findings in 1 file"
    empty = omega("check", "empty")
    assert empty.returncode == 2
    assert "there is no program in empty" in empty.stderr
    missing = omega("check", "nowhere.omega", "folder")
    assert missing.returncode == 2
    assert "cannot open nowhere.omega" in missing.stderr
    assert "two.omega:1:1: error[E110]" in missing.stderr


def test_run_tells_every_mistake_of_a_text_and_nothing_of_style(omega, program):
    name = program("(define (f) (if))\n(let ((x)) x)\n(display 1)\n")
    done = omega("run", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("error[E110]") == 2
    odd = omega("run", program("(let ((x 1)) 2 (display 3))"))
    assert (odd.returncode, odd.stdout, odd.stderr) == (0, "3", "")


def test_a_host_gets_every_mistake_of_a_text():
    with omega.Interpreter() as interpreter:
        with pytest.raises(omega.LispError) as caught:
            interpreter.eval("(if)\n(quote)")
        assert [error.span.line for error in caught.value.others] == [2]
        assert str(caught.value).count("error[E110]") == 2
        assert interpreter.eval("(+ 1 1)") == 2


def test_checking_a_text_leaves_nothing_behind():
    with omega.Interpreter() as interpreter:
        text = "(define (f) 1) (define-syntax m (syntax-rules () ((_) 2))) (define (car x) x)"
        assert interpreter.check(text) == []
        assert interpreter.eval("(car '(1 2))") == 1
        for name in ("f", "m"):
            with pytest.raises(omega.LispError, match="is not bound"):
                interpreter.eval(f"({name})")


# -- JSON ------------------------------------------------------------------------------------------


def checked(line: str) -> dict:
    """An object of a line, which must have the shape docs/cli.md gives it."""
    told = json.loads(line)
    assert list(told) == list(FIELDS)
    for name, wanted in FIELDS.items():
        is_absent = name in PLACE and told["file"] is None and told[name] is None
        assert is_absent or isinstance(told[name], wanted), (name, told)
    assert told["severity"] in ("error", "warning")
    assert CODES[told["kind"]][0] == told["code"]
    for extra, of in (("message", told["notes"]), ("procedure", told["backtrace"])):
        for each in of:
            assert sorted(each) == sorted([*PLACE, extra])
    return told


def test_check_tells_json_on_standard_output(omega, program):
    text = '(define (f x) x)\n(f "é" 2)\n(if)'
    done = omega("check", "--diagnostics", "json", program(text))
    assert (done.returncode, done.stderr) == (1, "")
    first, second = map(checked, done.stdout.splitlines())
    assert (first["line"], first["column"], first["end_column"]) == (2, 1, 10)
    assert (first["code"], first["severity"]) == ("E302", "warning")
    assert first["notes"][0]["line"] == 1
    assert (second["code"], second["severity"]) == ("E110", "error")
    clean = omega("check", "--diagnostics=json", program("1"))
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "")


def test_run_tells_json_on_standard_error(omega, program):
    name = program(
        '(define (f x) (+ 1 (car x)))\n(define (g) (nowhere))\n(display "on")\n'
        '(async (lambda () (error "lost" \'(1 "a"))) :name "t")\n(sleep 1)\n(+ 1 (f 5))\n'
    )
    done = omega("run", "--diagnostics", "json", name)
    assert (done.returncode, done.stdout) == (1, "on")
    warning, error, lost = map(checked, done.stderr.splitlines())
    assert (warning["code"], warning["severity"]) == ("E201", "warning")
    assert [call["procedure"] for call in error["backtrace"]] == ["f"]
    assert (lost["message"], lost["task"]) == ('lost (1 "a")', "t")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("run", "--diagnostics", "json", "nowhere.omega"), 2, "E501"),
        (("run", "--diagnostics=json", "--nonsense"), 2, "E905"),
        (("eval", "--diagnostics=json", "(if)"), 1, "E110"),
        (("eval", "--diagnostics=json", "--fuel", "100", "(let f () (f))"), 3, "E801"),
        (
            ("eval", "--diagnostics=json", '(error (json-read "\\"\\\\ud800\\"") "\\x1b;[31m")'),
            1,
            "E401",
        ),
    ],
)
def test_whatever_goes_wrong_is_json(omega, words, status, code):
    done = omega(*words)
    assert done.returncode == status
    (line,) = done.stderr.splitlines()
    assert checked(line)["code"] == code


def test_the_format_of_diagnostics_is_one_of_two(omega):
    done = omega("check", "--diagnostics", "xml", "x")
    assert done.returncode == 2
    assert "--diagnostics takes text or json, got 'xml'" in done.stderr


# -- explain ---------------------------------------------------------------------------------------


def test_explain_tells_what_a_code_is_about(omega):
    done = omega("explain", "E201")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("E201 unbound-variable\n\nNothing of that name is defined")
    assert "\nTo mend it: " in done.stdout
    assert "    $ omega run E201.omega\n" in done.stdout
    assert "```" not in done.stdout
    assert "<!--" not in done.stdout
    assert omega("explain", "unbound-variable").stdout == done.stdout
    assert omega("explain", "e201").stdout == done.stdout


def test_explain_knows_every_code(capsys):
    from omega.cli.explain import explanation

    for kind, (code, _) in CODES.items():
        text = explanation(code)
        assert text.startswith(f"{code} {kind}\n\n")
        assert "\n## " not in text


def test_explain_of_what_is_no_code_says_so(omega):
    done = omega("explain", "unbound-varable")
    assert done.returncode == 2
    assert "there is no code unbound-varable" in done.stderr
    assert "did you mean unbound-variable?" in done.stderr
    assert omega("explain").returncode == 2


def test_calls_of_what_is_imported_are_looked_at(omega: Any, tmp_path: Path) -> None:
    (tmp_path / "shapes.omega").write_text(
        "(define-library (shapes)\n  (export area (rename round-off rounded))\n"
        "  (import (scheme base))\n  (begin\n    (define (area a b) (* a b))\n"
        "    (define (round-off x (digits 0)) (list x digits))))\n",
        encoding="utf-8",
    )
    (tmp_path / "main.omega").write_text(
        "(import (shapes))\n(area 1)\n(rounded 1 2)\n(rounded 1 2 3)\n", encoding="utf-8"
    )
    for command in (["check", "main.omega"], ["run", "main.omega"], ["run", "main.omega"]):
        done = omega(*command)
        assert "main.omega:2:1" in done.stderr and "`area` is called as (area a b)" in done.stderr
        assert "shapes.omega:5:5" in done.stderr
        if command[0] == "check":
            assert "main.omega:4:1" in done.stderr and "main.omega:3:1" not in done.stderr


def test_mistakes_of_an_imported_library_are_told_at_their_places(
    omega: Any, tmp_path: Path
) -> None:
    (tmp_path / "l.omega").write_text(
        "(define-library (l)\n  (export f)\n  (import (scheme base))\n  (begin\n"
        "    (define (f x) (if))\n    (define (g x) (let ((y)) y))))\n",
        encoding="utf-8",
    )
    (tmp_path / "main.omega").write_text("(import (l))\n(f 1)\n", encoding="utf-8")
    for command in ("check", "run"):
        done = omega(command, "main.omega")
        assert done.returncode == 1
        assert "l.omega:5:19" in done.stderr and "l.omega:6:25" in done.stderr


# -- schedules -------------------------------------------------------------------------------------

LOST = """(define (audit who) (for-each void (list who)))
(define count 0)
(define (add! who) (let ((now count)) (audit who) (set! count (+ now 1))))
(await-all (list (async (lambda () (add! 'ada)) :name "ada") (async (lambda () (add! 'bob)))))
(display count)
"""
ASKS = """(define (ask n) (llm.infer (string-append "question " (number->string n))))
(define answers (par-map ask '(1 2 3)))
(display answers)
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "program.omega"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_schedule_that_fails_is_told_and_can_be_run_again(tmp_path, omega):
    path = write(tmp_path, LOST + '(unless (= count 2) (error "lost:" count))')
    ended = omega("check", "--schedules", "500", str(path))
    assert ended.returncode == 1 and ended.stdout == ""
    assert "program.omega:6:21: error[E401]: lost: 1" in ended.stderr
    assert "first come, first served, except that" in ended.stderr
    schedule = ended.stderr.partition("--schedule '")[2].partition("'")[0]
    again = omega("check", "--schedule", schedule, str(path))
    assert again.returncode == 1 and "error[E401]: lost: 1" in again.stderr
    assert "under this schedule" in again.stderr
    well = omega("check", "--schedule", "", str(path))
    assert well.returncode == 0 and "does well under this schedule" in well.stderr


def test_what_is_written_may_not_depend_on_the_schedule_where_that_is_asked(tmp_path, omega):
    path = write(tmp_path, LOST)
    assert omega("check", "--schedules", "300", str(path)).returncode == 0
    ended = omega("check", "--schedules", "300", "--same-output", str(path))
    assert ended.returncode == 1
    assert "error[E609]: the result depends on the schedule: '1', and '2' as a rule" in ended.stderr
    assert "--same-output --schedule '" in ended.stderr


def test_a_program_without_concurrency_has_one_schedule(tmp_path, omega):
    ended = omega("check", "--schedules", "1000", str(write(tmp_path, "(display (+ 1 2))")))
    assert ended.returncode == 0 and "there is only one schedule" in ended.stderr


def test_models_are_slow_and_with_faults_they_fail(tmp_path, omega):
    path = write(tmp_path, ASKS)
    well = omega("check", "--schedules", "60", "--same-output", str(path))
    assert well.returncode == 0, well.stderr
    ended = omega("check", "--schedules", "300", "--faults", str(path))
    assert ended.returncode == 1
    assert 'the call with the prompt "question ' in ended.stderr
    assert "--faults --schedule 'llm:" in ended.stderr
    only_files = omega("check", "--schedules", "60", "--faults=files,host", str(path))
    assert only_files.returncode == 0, only_files.stderr


def test_programs_that_are_tried_change_nothing(tmp_path, omega):
    target = tmp_path / "made.txt"
    path = write(tmp_path, f'(call-with-output-file "{target}" (lambda (p) (display 1 p)))')
    ended = omega("check", "--schedules", "5", str(path))
    assert ended.returncode == 1 and "error[E503]" in ended.stderr and not target.exists()
    assert omega("check", "--schedules", "5", "--allow-write", str(path)).returncode == 0
    assert target.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--schedules", "0"), "a whole number from 1 on"),
        (("--strategy", "luck"), "mixed, random, pct or systematic"),
        (("--schedule", "1@2"), "is no part of a schedule"),
        (("--schedules", "9", "--faults=network"), "--faults takes llm, host or files"),
        (("--time-limit", "0"), "a number of seconds above 0"),
    ],
)
def test_wrong_options_are_usage(tmp_path, omega, options, told):
    ended = omega("check", *options, str(write(tmp_path, "1")))
    assert ended.returncode == 2 and told in ended.stderr


SPINS = "(define (spin) (spin)) (async spin) (spin)"


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (SPINS, ("--fuel", "5000"), "fuel limit exceeded: 5,000 steps, 5,000 allowed"),
        (SPINS, ("--timeout", "0.2"), "seconds for one run, 0.2 allowed"),
        (
            "(await-all (map async (list void void void)))",
            ("--max-live-tasks", "2"),
            "tasks limit exceeded: 3 live tasks, 2 allowed",
        ),
        (SPINS, ("--time-limit", "0.001"), "no run of program.omega has ended within 0.001 s"),
    ],
)
def test_the_limits_of_a_run_hold_and_how_they_are_raised_is_told(
    tmp_path, omega, text, options, told
):
    write(tmp_path, text)
    ended = omega("check", "--schedules", "20", *options, "program.omega")
    assert ended.returncode == 3, ended.stderr
    assert told in ended.stderr and f"{options[0]} " in ended.stderr


def test_a_limit_is_part_of_how_a_failure_is_run_again(tmp_path, omega):
    path = write(tmp_path, LOST + '(unless (= count 2) (error "lost:" count))')
    limits = ("--fuel", "9000", "--timeout", "50", "--max-live-tasks", "9")
    ended = omega("check", "--schedules", "500", *limits, str(path))
    assert f"again: omega check {' '.join(limits)} --schedule '" in ended.stderr


def test_all_schedules_within_a_bound_are_told_as_all(tmp_path, omega):
    path = write(tmp_path, LOST)
    options = ("--schedules", "100000", "--strategy", "systematic", "--deviations", "1")
    ended = omega("check", *options, str(path))
    assert ended.returncode == 0
    assert re.search(r"does well under all \d+ schedules with at most 1 deviation,", ended.stderr)
    every = omega(
        "check", "--schedules", "100000", str(write(tmp_path, "(async void) (async void)"))
    )
    assert re.search(r"does well under all \d+ schedules there are,", every.stderr)


def test_progress_is_shown_on_a_terminal_and_ctrl_c_gives_the_report_so_far(
    tmp_path, environment, command
):
    path = write(tmp_path, LOST + "(for-each void (iota 500))")
    master, slave = pty.openpty()
    words = [*command, "check", "--schedules", "1000000", "--strategy", "random", str(path)]
    with subprocess.Popen(
        words, stderr=slave, stdin=subprocess.DEVNULL, env=environment
    ) as process:
        os.close(slave)
        shown = ""
        while not re.search(r": [\d,]+ of 1,000,000 runs, [\d,]+ a second, no failure", shown):
            shown += os.read(master, 4096).decode()
        process.send_signal(signal.SIGINT)
        try:
            while more := os.read(master, 4096):
                shown += more.decode()
        except OSError:  # the end, on Linux
            pass
        assert process.wait() == 130
    os.close(master)
    last = shown.rpartition("\x1b[2K")[2]
    assert re.search(r"program.omega: interrupted; does well so far under [\d,]+ schedules", last)


def test_a_long_search_keeps_none_of_its_runs(monkeypatch):
    alive = []

    def remembered(**options: Any) -> omega.Interpreter:
        made = omega.Interpreter(**options)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(schedules, "Interpreter", remembered)
    was_enabled = gc.isenabled()
    gc.disable()  # as the command line begins
    try:
        checked = schedules.check(LOST, "lost.omega", {"schedules": 50})
    finally:
        if was_enabled:
            gc.enable()
    assert checked.failure is None and len(alive) == 50
    assert sum(each() is not None for each in alive) <= schedules.COLLECTED_EVERY


def test_the_program_gets_its_arguments(tmp_path, omega):
    path = write(tmp_path, '(unless (equal? (cdr (command-line)) \'("a b" "c")) (error "no"))')
    assert omega("check", "--schedules", "3", "--arguments", "'a b' c", str(path)).returncode == 0
