"""`omega run --record` and `omega replay`, as users run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from omega import Interpreter
from omega.testing import Fault, LoopbackCall, LoopbackServer
from tests.cli.conftest import Omega

Program = Callable[..., str]

EVERYTHING = """
(define (ask question) (llm.infer question))
(define (work n) (let loop ((i 0) (total 0)) (if (< i 500) (loop (+ i 1) (+ total i n)) total)))
(define tasks
  (map (lambda (n)
         (define (body) (sleep n) (ask (string-append "q" (number->string (work n)))))
         (async body :name "w"))
       '(1 5 3 2 4)))
(for-each displayln (map await tasks))
(displayln (race (lambda () (sleep 30) 'slow) (lambda () (sleep 3) 'quick)))
(displayln (map car (par-map (lambda (n) (sleep n) (/ 12 n)) '(3 0 4) :max-par 2 :on-error 'keep)))
(displayln (guard (e (#t (condition-message e))) (with-timeout 5 (ask "think"))))
(define doomed (async (lambda () (dynamic-wind (lambda () #f)
                                               (lambda () (sleep 5000))
                                               (lambda () (displayln "cleaned up"))))))
(sleep 2)
(cancel doomed "not needed")
(define ch (make-channel))
(define (produce n) (async (lambda () (sleep n) (send! ch n))))
(for-each produce '(6 2 4))
(displayln (list (recv! ch) (recv! ch) (recv! ch)))
(displayln (list (random 1000) (random)))
(displayln (list (now) (current-jiffy)))
(displayln (list (read-line) (read-line)))
(displayln (read-file "in.txt"))
(displayln (file-exists? "nowhere.txt"))
(displayln (guard (e (#t (list (condition-kind e) (condition-message e))))
             (read-file "nowhere.txt")))
(write-file "out.txt" "written")
(displayln (get-environment-variable "COLOUR"))
(display "to standard error\\n" (current-error-port))
(displayln (hash-ref (llm.stats) :calls))
(displayln (hash-ref (concurrency-stats) :switches))
(exit 7)
"""

RULES = {
    "rules": [
        {"match": "q125250", "fault": "429", "times": 2, "latency_ms": 3},
        {"match": "q12[67].*", "fault": "500", "times": 1, "latency_ms": [1, 9]},
        {"match": "think", "latency_ms": 4000},
        {"match": ".*", "reply": "\\0!", "latency_ms": [1, 20]},
    ]
}


def same(first: object, second: object) -> bool:
    """Whether two processes wrote the same and ended alike."""
    names = ("stdout", "stderr", "returncode")
    return all(getattr(first, name) == getattr(second, name) for name in names)


@pytest.mark.parametrize("time", [(), ("--virtual-time",)])
def test_a_replay_is_the_run_over_again(
    omega: Omega, program: Program, tmp_path: Path, time: tuple[str, ...]
) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    (tmp_path / "in.txt").write_text("from a file")
    path = program(EVERYTHING)
    options = (*time, "--llm", "scripted:rules.json", "--seed", "11", "--events", "a.events")
    first = omega(
        "run", "--record", "run.tape", *options, path, "x",
        stdin="one\ntwo\n", env={"COLOUR": "blue"},
    )  # fmt: skip
    assert first.returncode == 7, first.stderr
    assert "from a file" in first.stdout and "blue" in first.stdout and "one" in first.stdout
    for name in ("rules.json", "in.txt", "out.txt", path):
        (tmp_path / name).unlink()
    again = omega("replay", "run.tape", "--events", "b.events")
    assert same(first, again), (first, again)
    assert (tmp_path / "a.events").read_bytes() == (tmp_path / "b.events").read_bytes()
    assert (tmp_path / "a.events").read_text().count("LLMStarted") >= 9  # retries among them
    assert not (tmp_path / "out.txt").exists(), "a replay writes no files"
    assert omega("replay", "--quiet", "run.tape").stdout == ""


def test_a_replay_needs_no_server_and_no_key(
    omega: Omega, program: Program, tmp_path: Path
) -> None:
    path = program(
        """
        (define (ask n) (llm.infer (string-append "n" (number->string n)) :timeout 60000))
        (for-each displayln (par-map ask '(1 2 3 4 5 6)))
        (displayln (race (lambda () (ask 7)) (lambda () (sleep 1) 'first)))
        (displayln (guard (e (#t (condition-kind e))) (ask 8)))
        (define (pieces s) (let ((p (recv! s))) (if (eof-object? p) '() (cons p (pieces s)))))
        (displayln (pieces (llm.stream "n9")))
        (displayln (scope (recv! (llm.stream "n10"))))
        """
    )
    seen: set[str] = set()

    def fault(call: LoopbackCall) -> Fault | str | None:
        """The first time something is asked: an error that is retried; one is never answered."""
        first, _ = call.prompt not in seen, seen.add(call.prompt)
        if call.prompt == "n8":
            return "garbage"
        if first and call.prompt == "n2":
            return Fault.http(429, retry_after_ms="5")
        return "500" if first and call.prompt == "n3" else None

    def latency_s(call: LoopbackCall) -> float:
        if call.prompt == "n7":  # which loses its race, however slow this machine is
            return 60.0
        return len(call.prompt) * 0.001 * (call.index % 7)

    with LoopbackServer(
        reply=lambda call: f"reply to {call.prompt}",
        latency_s=latency_s,
        faults=fault,
    ) as server:
        environment = server.environment()
        first = omega("run", "--record", "run.tape", "--llm", "openai:gpt-x", path, env=environment)
        key = server.api_key
    assert first.returncode == 0, first.stderr
    assert "reply to n6" in first.stdout and "first" in first.stdout
    assert "(reply  to  n9)" in first.stdout
    again = omega("replay", "run.tape")
    assert same(first, again), (first, again)
    assert key not in (tmp_path / "run.tape").read_text(), "keys are in no tape"


def test_ctrl_c_comes_again_where_it_came(
    command: list[str], environment: dict[str, str], program: Program, tmp_path: Path, omega: Omega
) -> None:
    path = program(
        """
        (define (busy) (let loop ((n 0)) (if (< n 0) n (loop (+ n 1)))))
        (async (lambda () (dynamic-wind (lambda () (displayln "begun")) (lambda () (sleep 60000))
                                        (lambda () (displayln "cleaned up")))))
        (busy)
        """
    )
    words = [*command, "run", "--record", "run.tape", "--events", "a.events", path]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    begun = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (begun, rest, process.returncode) == ("begun\n", "cleaned up\n", 130)
    again = omega("replay", "--events", "b.events", "run.tape")
    assert (again.stdout, again.stderr, again.returncode) == (begun + rest, errors, 130)
    assert (tmp_path / "a.events").read_bytes() == (tmp_path / "b.events").read_bytes()


def test_a_killed_run_is_replayed_up_to_where_its_tape_ends(
    command: list[str], environment: dict[str, str], program: Program, tmp_path: Path, omega: Omega
) -> None:
    path = program(
        """
        (define (tick n) (displayln n) (llm.infer (number->string n)) (tick (+ n 1)))
        (async (lambda () (let loop () (sleep 1) (loop))))
        (tick 0)
        """
    )
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [{"match": ".*", "latency_ms": 2}]}))
    words = [*command, "run", "--record", "run.tape", "--llm", "scripted:rules.json", path]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    tape = tmp_path / "run.tape"
    again = omega("replay", "run.tape")
    assert again.returncode == 0
    assert "the tape ends here, in turn" in again.stderr and "killed" in again.stderr
    lines = again.stdout.split()
    # At most what happened since it was last idle is lost.
    assert lines == [str(n) for n in range(len(lines))] and len(lines) >= 18, lines
    whole = tape.read_bytes()
    for cut in (len(whole) - 3, len(whole) * 2 // 3, whole.index(b"\n", 200) + 1):
        tape.write_bytes(whole[:cut])
        torn = omega("replay", "run.tape")
        assert torn.returncode in (0, 2), torn
        assert lines[: len(torn.stdout.split())] == torn.stdout.split()
        assert "the tape ends here" in torn.stderr or "before the program began" in torn.stderr


ENDS = {
    "a wall limit": (
        ["--timeout", "0.2"],
        "(async (lambda () (let loop () (sleep 3) (loop)))) (display 1) (let loop () (loop))",
        3,
    ),
    "a wall limit where nobody else may run": (
        ["--timeout", "0.2"],
        "(define (f n) (atomic (let loop ((i 0)) (if (< i 50000) (loop (+ i 1))))) (f n)) (f 1)",
        3,
    ),
    "a wall limit while the program is compiled": (
        ["--timeout", "0.001"],
        "".join(f"(define (f{n} x) (if (< x {n}) (f{n} (+ x 1)) x))" for n in range(40)),
        3,
    ),
    "fuel": (["--fuel", "50000"], "(define (f) (sleep 1) (f)) (async f) (let l () (l))", 3),
    "a deadlock": ([], "(define c (make-channel)) (async (lambda () (recv! c))) (recv! c)", 4),
    "failures nobody observed": (
        [],
        '(async (lambda () (sleep 2) (car \'()))) (async (lambda () (sleep 1) (error "no" 1)))',
        1,
    ),
    "an exit in a task": ([], "(async (lambda () (sleep 2) (exit 9))) (sleep 60000)", 9),
    "an emergency": ([], "(async (lambda () (sleep 2) (emergency-exit 8))) (sleep 60000)", 8),
    "not waiting": (["--no-wait"], "(async (lambda () (sleep 60000))) (sleep 2) (display 1)", 0),
    "a text that does not compile": ([], "(define (f", 1),
    "no standard input": (["--sandbox"], "(read-line)", 1),
    "few slots, by priority": (
        ["--max-tasks", "2", "--fairness", "priority", "--yield-every", "7"],
        """(define (f n) (let loop ((i 0)) (if (< i 300) (loop (+ i 1)) (begin (sleep n) n))))
           (displayln (map await (map (lambda (n) (async (lambda () (f n)) :priority n))
                                      '(3 1 2 5 4))))""",
        0,
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_replay_ends_as_the_run_did(
    omega: Omega, program: Program, tmp_path: Path, how: str
) -> None:
    options, text, status = ENDS[how]
    first = omega("run", "--record", "run.tape", "--events", "a.events", *options, program(text))
    assert first.returncode == status, first
    again = omega("replay", "run.tape", "--events", "b.events")
    assert same(first, again), (first, again)
    assert (tmp_path / "a.events").read_bytes() == (tmp_path / "b.events").read_bytes()


def test_a_replay_has_the_files_of_the_program(
    omega: Omega, program: Program, tmp_path: Path
) -> None:
    library = tmp_path / "shapes" / "square.omega"
    library.parent.mkdir()
    library.write_text(
        "(define-library (shapes square) (export area) (import (scheme base))"
        " (begin (define (area n) (* n n))))"
    )
    (tmp_path / "more.omega").write_text("(define side 7)")
    path = program('(import (shapes square)) (include "more.omega") (displayln (area side))')
    first = omega("run", "--record", "run.tape", path)
    warm = omega("run", "--record", "warm.tape", path)  # compiled code is kept
    assert first.stdout == warm.stdout == "49\n"
    library.write_text("(define-library (shapes square) (export area))")
    (tmp_path / "more.omega").unlink()
    for tape in ("run.tape", "warm.tape"):
        assert same(omega("replay", tape), first)


def test_a_reader_that_left_has_left_in_the_replay(
    command: list[str], environment: dict[str, str], program: Program, tmp_path: Path, omega: Omega
) -> None:
    path = program("(define (f n) (displayln n) (if (< n 200000) (f (+ n 1)))) (f 0)")
    line = '"$@" --record run.tape --events a.events ' + path + " | head -n 1"
    words = ["sh", "-c", line, "sh", *command, "run"]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "0\n"
    again = omega("replay", "run.tape", "--events", "b.events")
    assert again.returncode == 0 and again.stdout.startswith("0\n")
    assert len(again.stdout.split()) < 200_000
    assert (tmp_path / "a.events").read_bytes() == (tmp_path / "b.events").read_bytes()


DIVERGING = """
(define (ask q) (llm.infer q))
(define answers (par-map (lambda (q) (sleep 100) (ask q)) '("a" "b" "c")))
(displayln (get-environment-variable "HOME"))
(displayln answers)
"""


@pytest.mark.parametrize(
    ("changed", "to", "told"),
    [
        # another question
        ('"b"', '"x"', ["number 1 of task 1.2", "the prompt 'x'", "the prompt 'b'"]),
        # what was not asked before
        ("(displayln answers)", "(ask \"more\")", ["asks for the time", "program.omega:2:"]),
        ("(displayln answers)", "(read-file \"x\")", ["`file.open-read` (number 2 of task 1:"]),
        # what is not asked any more
        ("(displayln (get-environment-variable \"HOME\"))", "", ["left over", "effect `env`"]),
        # another effect, in the place of one
        ("(displayln (get-environment-variable", "(displayln (file-exists?",
         ["the effect `file.exists` (number 1 of task 1", "the effect `env`", "program.omega:4:"]),
        # another clock
        ("(sleep 100) (ask q)", "(ask q)",
         ["asks for an LLM call (number 1 of task 1.1", "reading of the clock", "omega:2:"]),
        # more tasks
        ('"c"))', '"c" "d"))', ["asks for the time", "recorded is nothing", 'task "1.4"']),
    ],
)  # fmt: skip
def test_a_program_that_does_something_else_is_told_what_and_where(
    omega: Omega, program: Program, tmp_path: Path, changed: str, to: str, told: list[str]
) -> None:
    first = omega("run", "--record", "run.tape", program(DIVERGING))
    assert first.returncode == 0, first.stderr
    assert DIVERGING.count(changed) == 1
    other = program(DIVERGING.replace(changed, to), "other.omega")
    same_text = omega("replay", "--program", "program.omega", "run.tape")
    assert same(first, same_text)
    again = omega("replay", "--program", other, "run.tape")
    assert again.returncode == 1
    assert "error[E902]" in again.stderr
    for text in told:
        assert text in again.stderr, again.stderr


def test_a_tape_that_was_changed_is_refused(omega: Omega, program: Program, tmp_path: Path) -> None:
    omega("run", "--record", "run.tape", "--virtual-time", program(DIVERGING))
    tape = tmp_path / "run.tape"
    whole = tape.read_text()
    tape.write_text(whole.replace("(sleep 100)", "(sleep 200)"))
    again = omega("replay", "run.tape")
    assert again.returncode == 2 and "is not the one it was recorded with" in again.stderr
    tape.write_text(whole.replace('"step-model": ', '"step-model": 9'))
    assert "cannot replay" in omega("replay", "run.tape").stderr
    tape.write_text("something else")
    assert "is no tape" in omega("replay", "run.tape").stderr
    tape.write_text(whole.replace('["returned"', '[returned"', 1))
    assert "is damaged in line" in omega("replay", "run.tape").stderr
    assert omega("replay", "nowhere.tape").returncode == 2
    assert omega("replay").returncode == 2
    assert omega("run", "--record", "no/such/folder/run.tape", "program.omega").returncode == 2


COUNTING = """
(define (count n) (let loop ((i 0) (sum 0)) (if (< i n) (loop (+ i 1) (+ sum i)) sum)))
(define best 10)
(define a (async (lambda () (sleep 1) (count 300)) :name "counter"))
(define b (async (lambda () (count 1000))))
(displayln (+ (await a) (await b)))
"""


def test_a_replay_stops_before_a_step(omega: Omega, program: Program) -> None:
    first = omega("run", "--record", "run.tape", program(COUNTING))
    stopped = omega("replay", "run.tape", "--break", "task=1.1", "step=250")
    assert stopped.returncode == 0 and stopped.stdout == ""
    for text in (
        'stopped before step 250 of task 1.1 "counter"',
        "at program.omega:2:19 (count)",
        "i = 247",  # the steps before: the task's procedure, `count`, 247 turns
        "sum = 30381",
        "1.1  running    249    counter",
    ):
        assert text in stopped.stderr, stopped.stderr
    missed = omega("replay", "--break", "task=1.1,step=5000", "run.tape")
    assert missed.stdout == first.stdout and missed.returncode == 1
    assert "never came to step 5,000 of task 1.1" in missed.stderr
    assert omega("replay", "--break", "here", "run.tape").returncode == 2


def test_a_stop_shows_the_programs_locals_and_no_others(omega: Omega, program: Program) -> None:
    text = "(define (f x) (guard (e ((string? e) 0)) (for-each void (iota x)) (raise 'no)))"
    omega("run", "--record", "run.tape", program(f"{text} (async (lambda () (f 9)))"))
    stopped = omega("replay", "run.tape", "--break", "task=1.1", "step=4").stderr
    assert "  x = 9" in stopped and "guard =" not in stopped, stopped


def test_whoever_looks_at_a_stop_changes_nothing(
    command: list[str], environment: dict[str, str], program: Program, tmp_path: Path, omega: Omega
) -> None:
    """At a terminal: look around, step, go on; the run ends as it did, step by step."""
    text = COUNTING.replace("(sleep 1) ", "")
    first = omega("run", "--record", "run.tape", "--events", "a.events", program(text))
    typed = (
        "i", "(* best 2)", "(begin (set! i 0) i)", "(ps)", "(sleep 10)", "(file-exists? \"x\")",
        "(oops",
        ",step", ",step 10", ",locals", ",where", ",tasks", ",nonsense", ",next", ",continue",
    )  # fmt: skip
    words = [
        *command, "replay", "run.tape", "--break", "task=1.1", "step=250", "--events", "b.events",
    ]  # fmt: skip
    screen = at_terminal(words, typed, environment, tmp_path)
    for text in (
        "247", "20", "stopped before step 251 of task 1.1", "stopped before step 261 of task 1.1",
        "there is no command ,nonsense", "reaches outside", "E102", "E604",
        "stopped before step", "of task 1.2", first.stdout.strip(),
    ):  # fmt: skip
        assert text in screen, screen
    assert (tmp_path / "a.events").read_bytes() == (tmp_path / "b.events").read_bytes()


def at_terminal(
    words: list[str], typed: tuple[str, ...], environment: dict[str, str], folder: Path
) -> str:
    """What a command shows at a terminal where this is typed, a line at each prompt."""
    import pty

    main, other = pty.openpty()
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdin=other, stdout=other, stderr=other
    )
    os.close(other)
    screen, lines, until = "", list(typed), monotonic() + 60
    try:
        while process.poll() is None or not lines:
            assert monotonic() < until, screen
            try:
                part = os.read(main, 65_536).decode()
            except OSError:  # the other end is closed
                break
            screen += part
            if screen.endswith("replay> ") and lines:
                os.write(main, lines.pop(0).encode() + b"\n")
            sleep(0)
        assert process.wait(timeout=60) == 0, screen
    finally:
        os.close(main)
        process.kill()
    return screen


def test_what_explores_schedules_is_replayed_also_where_a_stop_is_waited_for(
    omega: Omega, program: Program
) -> None:
    text = """
    (define (work) (for-each void '(1 2 3)))
    (displayln (check-schedules (lambda () (await-all (list (async work) (async work)))) :runs 9))
    (displayln (await (async (lambda () (work) 7))))
    """
    first = omega("run", "--record", "run.tape", program(text))
    assert first.stdout == "9\n7\n"
    assert omega("replay", "run.tape").stdout == first.stdout
    # The stop is in the program: tasks of a run that is explored have the same ids, and are passed.
    behind = omega("replay", "run.tape", "--break", "task=1.1", "step=2")
    assert behind.returncode == 0 and behind.stdout == "9\n", behind.stderr
    assert "stopped before step 2 of task 1.1" in behind.stderr, behind.stderr
    missed = omega("replay", "run.tape", "--break", "task=9", "step=1")
    assert missed.stdout == first.stdout and "never came to step 1 of task 9" in missed.stderr


def test_a_tape_of_a_host_is_refused_with_what_to_do(omega: Omega, tmp_path: Path) -> None:
    with Interpreter(record=str(tmp_path / "host.tape")) as interpreter:
        interpreter.eval("(+ 1 2)")
    for words in (("host.tape",), ("host.tape", "--break", "task=1")):
        done = omega("replay", *words)
        assert done.returncode == 2
        assert "host.tape was recorded by a Python program, a host" in done.stderr
        assert "omega.replay(path)" in done.stderr


def test_prompts_are_left_out_of_a_tape_on_demand(omega: Omega, tmp_path: Path) -> None:
    (tmp_path / "p.omega").write_text("""
      (define (backwards text) (list->string (reverse (string->list text))))
      (displayln (string-length (llm.infer (string-append "My " (backwards (read-line))))))""")
    words = ("run", "--virtual-time", "--record", "run.tape")
    for more, is_shown in ((), True), (("--no-prompts",), False):
        first = omega(*words, *more, "p.omega", stdin="yraid\n")
        assert (first.stdout, first.returncode) == ("19\n", 0), first.stderr
        call = next(line for line in tape_lines(tmp_path) if line.startswith('["call"'))
        assert ("diary" in call) is is_shown
        again = omega("replay", "run.tape")
        assert (again.stdout, again.returncode) == ("19\n", 0), again.stderr
    done = omega("run", "--no-prompts", "p.omega")
    assert done.returncode == 2 and "--record TAPE writes one" in done.stderr


def tape_lines(folder: Path) -> list[str]:
    return (folder / "run.tape").read_text().splitlines()
