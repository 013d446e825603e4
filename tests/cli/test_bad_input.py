"""Whatever the input: one message, its place, a hint, the right exit code, no Python traceback."""

from __future__ import annotations

import socket
import subprocess

import pytest

HINTED = "  hint: "


def only_message(done: subprocess.CompletedProcess[str], code: str) -> str:
    """The report, which must be the only one."""
    heads = [line for line in done.stderr.splitlines() if "error[" in line]
    assert len(heads) == 1, done.stderr
    assert f"error[{code}]" in heads[0], done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "code", "place", "hinted"),
    [
        ("(display 1)\n(define (f\n  (g 2)\n", "E102", "2:1", True),
        ("(display 1))\n", "E103", "1:12", True),
        ("(display #\\nonsense)", "E104", "1:10", False),
        ("(car 5)", "E301", "1:1", False),
        ("(await 5)", "E301", "1:1", False),
        ("(cancel 'x)", "E301", "1:1", False),
        ("(define (f) (+ 1 (f))) (f)", "E801", "", False),
    ],
)
def test_a_program_that_is_wrong(omega, program, text, code, place, hinted):
    name = program(text)
    done = omega("run", name)
    assert done.returncode == (3 if code == "E801" else 1)
    report = only_message(done, code)
    assert f"{name}:{place}" in report
    if hinted:
        assert HINTED in report


def test_an_unbound_name_is_a_warning_first_and_suggests_another(omega, program):
    done = omega("run", program('(display "on")\n(make-chanel)'))
    assert (done.returncode, done.stdout) == (1, "on")
    assert "program.omega:2:2: warning[E201]: `make-chanel` is not bound" in done.stderr
    assert "did you mean `make-channel`" in done.stderr
    assert done.stderr.count("(make-chanel)") == 1  # the line is shown once
    only_message(done, "E201")


def test_wrong_arity_of_a_known_procedure_is_seen_before_the_run(omega, program):
    done = omega("run", program("(define (f x) x)\n(display 1)\n(f 1 2)"))
    assert done.returncode == 1
    assert "program.omega:3:1: warning[E302]" in done.stderr
    only_message(done, "E302")


def test_text_that_is_not_utf8(omega, tmp_path):
    (tmp_path / "latin").write_bytes(b'(display 1)\n(display "caf\xe9")\n')
    done = omega("run", "latin")
    assert done.returncode == 2
    report = only_message(done, "E105")
    assert "latin:2" in report
    assert HINTED in report


def test_an_empty_file_is_a_program(omega, program):
    done = omega("run", program(""))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_and_a_missing_file(omega, tmp_path):
    (tmp_path / "folder").mkdir()
    for name, fact in (("folder", "is a directory"), ("missing", "no such file")):
        done = omega("run", name)
        assert done.returncode == 2
        assert f"cannot open {name}: {fact}" in only_message(done, "E501")


def test_a_source_beyond_the_limit(omega, program):
    done = omega("run", program("; " + "x" * 4_100_000))
    assert done.returncode == 3
    assert "4,000,000" in only_message(done, "E801")
    endless = omega("run", "/dev/zero")
    assert endless.returncode == 3
    only_message(endless, "E801")


def test_rules_that_are_not_json(omega, tmp_path):
    (tmp_path / "rules.json").write_text("{not json")
    done = omega("eval", "--llm", "scripted:rules.json", "1")
    assert done.returncode == 2
    assert "rules.json" in done.stderr


def test_a_missing_key_and_an_unknown_provider(omega):
    done = omega("eval", "--llm", "openai:some-model", "1")
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in only_message(done, "E706")
    assert HINTED in done.stderr
    unknown = omega("eval", "--llm", "nobody", "1")
    assert unknown.returncode == 2
    assert "scripted" in only_message(unknown, "E706")


def test_a_server_that_is_down(omega):
    with socket.socket() as taken:  # bound, not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        env = {"OPENAI_API_KEY": "sk-nothing", "OPENAI_BASE_URL": url}
        done = omega("eval", "--llm", "openai:some-model", '(llm.infer "x")', env=env)
    assert done.returncode == 1
    assert "<eval>:1:1" in only_message(done, "E705")
    assert "sk-nothing" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("eval", "--fule", "3", "1"), "did you mean --fuel?"),
        (("eval", "-x", "1"), "unknown option -x"),
        (("eval", "--fuel"), "--fuel needs a value"),
        (("eval", "--fuel", "many", "1"), "--fuel takes a whole number from 1 on, got 'many'"),
        (("eval", "--timeout=-1", "1"), "--timeout takes a number of seconds above 0"),
        (("eval", "--fairness", "odd", "1"), "fifo, priority or round-robin"),
        (("eval", "--stats=1", "1"), "--stats takes no value"),
        (("eval",), "eval needs an EXPR"),
        (("eval", "1", "2"), "takes one EXPR"),
        (("run",), "run needs a FILE"),
        (("rum", "x"), "did you mean run?"),
        (("x.omega",), "omega run x.omega"),
        (("repl", "x"), "repl takes no arguments"),
        (("check",), "check takes one FILE"),
        (("run", "--events", "/nowhere/x", "-"), "cannot write /nowhere/x"),
    ],
)
def test_bad_usage_exits_with_2(omega, words, said):
    done = omega(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error[" in line]) == 1


def test_no_command_shows_the_help_on_standard_error(omega):
    done = omega()
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: omega" in done.stderr


def test_an_endless_loop_ends_by_fuel_and_by_time(omega):
    fuel = omega("eval", "--fuel", "100000", "(let loop () (loop))")
    assert fuel.returncode == 3
    assert "fuel limit exceeded" in only_message(fuel, "E801")
    wall = omega("eval", "--timeout", "0.2", "(let loop () (loop))")
    assert wall.returncode == 3
    assert "wall limit exceeded" in only_message(wall, "E801")
    asleep = omega("eval", "--timeout", "0.2", "(sleep 60000)")
    assert asleep.returncode == 3


def test_a_deadlock_names_who_waits(omega):
    done = omega("eval", "(recv! (make-channel))")
    assert done.returncode == 4
    assert "waits for" in only_message(done, "E602")


def test_colour_is_for_terminals_only(omega):
    assert "\033" not in omega("eval", "(car 5)").stderr


def test_a_bug_is_reported_as_one(environment, command, tmp_path):
    code = (
        "import sys, omega.interpreter as i; from omega.cli.main import main\n"
        "def broken(*a, **k): raise ZeroDivisionError('oh')\n"
        "i.Interpreter.spawn_text = broken; sys.exit(main(sys.argv[1:]))"
    )
    for extra in ((), ("--host-traceback",)):
        done = subprocess.run(
            [command[0], "-c", code, "eval", *extra, "1"],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "error[E999]: Omega went wrong: ZeroDivisionError: oh" in done.stderr
        assert "please report it" in done.stderr
        assert ("Traceback" in done.stderr) == bool(extra)
