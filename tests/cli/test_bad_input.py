"""Whatever the input: one message, its place, a hint, the right exit code, no Python traceback."""

from __future__ import annotations

import socket
import subprocess

import pytest

HINTED = "  hint: "


def only_message(done: subprocess.CompletedProcess[str], code: str, *, hinted: bool = True) -> str:
    """The report, which must be the only one, and have a hint."""
    heads = [line for line in done.stderr.splitlines() if "error[" in line or "warning[" in line]
    assert len(heads) == 1, done.stderr
    assert f"error[{code}]" in heads[0], done.stderr
    assert (HINTED in done.stderr) or not hinted, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "code", "place", "hint"),
    [
        ("(display 1)\n(define (f\n  (g 2)\n", "E102", "2:9", "add `))`"),
        ("(define (f)\n  (g 2)\n\n(define (h) 1)\n", "E102", "1:1", "line 4 begins like a form"),
        ("(display 1))\n", "E103", "1:12", ""),
        ("(define x = 5)", "E110", "1:1", "no sign between the two: (define x value)"),
        ("(define f (x) (* x x))", "E110", "1:1", "(define (f param ...) body ...)"),
        ("(let (x 1) (y 2) (+ x y))", "E110", "1:7", "in brackets: (let ((x 1) (y 2)) ...)"),
        ("(let ((x 1) (y 2) (+ x y)))", "E110", "1:1", "expected (let ((name value) ...) body"),
        ("(map and '(1) '(2))", "E110", "1:6", "(lambda (a b) (and a b))"),
        ("(let ((x 1) (y (+ x 1))) (list x y))", "E201", "1:19", "those of `let*` do"),
        ("(display (1 2 3))", "E301", "1:10", "'(1 2 3) or (list 1 2 3)"),
        ("(define (f x) (2 * x))\n(f 1)", "E301", "1:15", "the procedure stands first: (* 2 x)"),
        ("(add1 5)", "E201", "1:2", "did you mean `1+`?"),
        ("(display #\\nonsense)", "E104", "1:10", "newline"),
        ("(car 5)", "E301", "1:1", "`cons` and `list` make pairs"),
        ('(+ 1 "a")', "E301", "1:1", "`string-append` joins strings"),
        ('(- 1 "5")', "E301", "1:1", '(string->number "5")'),
        ('(string-append "a" 5)', "E301", "1:1", "(number->string 5)"),
        ("(string-append 'b)", "E301", "1:1", "(symbol->string 'b)"),
        ("(vector-ref '(1 2) 0)", "E301", "1:1", "(list->vector '(1 2))"),
        ("(+ 1 car)", "E301", "1:1", "to call it, write it in brackets, (car ...)"),
        ("(+ 1 (async (lambda () 1)))", "E301", "1:1", "(await task)"),
        ("(+ 1 (assv 2 '((1 . 1))))", "E301", "1:1", "test for it before"),
        ("(+ 1 (if #f #f))", "E301", "1:1", "`if` without an else"),
        ("(car '())", "E301", "1:1", "`null?`"),
        ("(async (car '(1)))", "E301", "1:1", "write (lambda () ...) around"),
        ("('f 1)", "E301", "1:1", "leave out the quote"),
        ("((list 1 2) 0)", "E301", "1:1", "(list-ref list k)"),
        ("(((lambda () 5)))", "E301", "1:1", "one pair of brackets too many?"),
        ("(await 5)", "E301", "1:1", "(async (lambda () ...)) makes a task"),
        ("(cancel 'x)", "E301", "1:1", "leave out the quote"),
        ("(car)", "E302", "1:1", "give `pair` as well"),
        ("(map car)", "E302", "1:1", "give `lst` as well"),
        ("(define (f x)\n  x)\n(apply f '(1 2))", "E302", "3:1", "(define (f x . more) ...)"),
        ("(await (async (lambda (x) x)))", "E302", "1:15", "without arguments"),
        ("(define (f) (+ 1 (f))) (f)", "E801", "1:18", "no option for more"),
        ("(vector-ref (make-vector 100000000) 0)", "E801", "1:13", "no option for more"),
        ("(no-such-thing-at-all)", "E201", "1:2", "(define no-such-thing-at-all ...)"),
        ("(print 1)", "E201", "1:2", "did you mean `display`?"),
        ("(define (f q :a (a 1) :a (b 2)) q)", "E110", "1:23", "leave one of the two out"),
        ("(define (f q (q 1)) q)", "E110", "1:14", "another name"),
        ('(read-file "nowhere")', "E501", "1:1", "`file-exists?`"),
    ],
)
def test_a_program_that_is_wrong(omega, program, text, code, place, hint):
    name = program(text)
    done = omega("run", name)
    assert done.returncode == (3 if code == "E801" else 1)
    report = only_message(done, code)
    assert f"{name}:{place}: error" in report
    assert hint in report.partition(HINTED)[2]


def test_an_unbound_name_that_is_reached_is_one_message(omega, program):
    done = omega("run", program('(display "on")\n(define (f) (make-chanel))\n(f)'))
    assert (done.returncode, done.stdout) == (1, "on")
    report = only_message(done, "E201")
    assert "program.omega:2:14: error[E201]: `make-chanel` is not bound" in report
    assert "    2 | (define (f) (make-chanel))" in report
    assert "did you mean `make-channel`" in report


def test_an_unbound_name_that_is_not_reached_is_a_warning(omega, program):
    done = omega("run", program('(display "on")\n(if #f (make-chanel))'))
    assert (done.returncode, done.stdout) == (0, "on")
    assert "program.omega:2:9: warning[E201]: `make-chanel` is not bound" in done.stderr
    assert "did you mean `make-channel`" in done.stderr
    left = omega("run", program("(define (f) (make-chanel))\n(exit 7)"))
    assert left.returncode == 7
    assert left.stderr.count("warning[E201]") == 1


def test_what_was_not_reached_is_told_before_what_failed(omega, program):
    done = omega("run", program("(define (f) (make-chanel))\n(list (car 5))\n(hash-reff {} 1)"))
    heads = [line for line in done.stderr.splitlines() if "[E" in line]
    assert [head.split("]")[0].split(": ")[1] for head in heads] == [
        "warning[E201", "warning[E201", "error[E301",
    ]  # fmt: skip


def test_a_program_that_goes_on_warns_meanwhile(omega, program):
    text = '(define (f) (make-chanel)) (sleep 1500) (display "slept" (current-error-port))'
    done = omega("run", program(text))
    assert done.stderr.index("warning[E201]") < done.stderr.index("slept")
    assert done.returncode == 0


@pytest.mark.parametrize("call", ["(f 1 2)", "(define (g) (f 1 2))\n(list (g))"])
def test_wrong_arity_of_a_known_procedure_is_one_message_where_the_call_stands(
    omega, program, call
):
    done = omega("run", program(f'(define (f x) x)\n(display "on")\n{call}'))
    assert (done.returncode, done.stdout) == (1, "on")
    report = only_message(done, "E302")
    column = call.index("(f 1 2)") + 1
    assert f"program.omega:3:{column}: error[E302]: `f` is called as (f x), but it is" in report
    assert "`f` is defined here: program.omega:1:1" in report


def test_a_tail_call_of_what_nobody_knew_says_that_it_left_no_trace(omega, program):
    done = omega(
        "run", program("(define (g f) (f 1 2))\n(define gs (list g))\n(list ((car gs) car))")
    )
    report = only_message(done, "E302")
    assert "program.omega:3:7: error[E302]: `car`" in report
    assert "the call is the last thing that is done by what is called here" in report


@pytest.mark.parametrize(
    ("call", "fact", "hint"),
    [
        ('(search "x" :limt 5)', "`search` has no keyword :limt", "did you mean :limit?"),
        ('(search "x" :limit)', "keyword :limit has no value", "write :limit value"),
        ('(search "x" :limit 1 :limit 2)', "keyword :limit is given twice", "leave one of them"),
        ('(search "x" 1 2)', "but it is given more", ":limit"),
        ("(search :limit 1)", "but it is given more", "or name what it is for: :limit"),
    ],
)
@pytest.mark.parametrize("wrapped", ["{}", "(define (h) (cons 1 {}))\n(h)", "(list {})"])
def test_a_wrong_keyword_is_reported_at_the_call(omega, program, call, fact, hint, wrapped):
    text = wrapped.format(call)
    done = omega("run", program(f"(define (search q :limit (limit 10)) (list q limit))\n{text}"))
    report = only_message(done, "E302")
    column = text.index(call) + 1
    assert f"program.omega:2:{column}: error[E302]" in report
    assert fact in report
    assert hint in report.partition(HINTED)[2]
    assert "`search` is defined here: program.omega:1:1" in report


def test_a_keyword_that_must_be_given_is_missed_where_it_is_not(omega, program):
    text = "(define (search q :limit limit) (list q limit))\n(define s search)\n(list (s 1))"
    report = only_message(omega("run", program(text)), "E302")
    assert "program.omega:3:7: error[E302]: `search`: keyword :limit must be given" in report
    assert "defined here: program.omega:1:1" in report


MACROS = {
    "code": (
        "(define-macro (m x) (car x))\n(display 1)\n(list\n  (m 5))",
        "E301",
        "in the expansion of `m`, whose code failed here: program.omega:1:21",
    ),
    "template": (
        "(define-syntax m (syntax-rules () ((_ x) (let ((y)) x))))\n\n\n  (m 5)",
        "E110",
        "in the expansion of `m`, defined here: program.omega:1:1",
    ),
    "run": (
        "(define-syntax m (syntax-rules () ((_ x) (begin (display x) (car x)))))\n\n\n  (m 5)",
        "E301",
        "in the expansion of `m`, defined here: program.omega:1:1",
    ),
    "name": (
        "(define-syntax m (syntax-rules () ((_ x) (oops x))))\n\n\n  (m 5)",
        "E201",
        "in the expansion of `m`, defined here: program.omega:1:1",
    ),
    "endless begin": (
        "(define-syntax m (syntax-rules () ((_ x) (begin (m x)))))\n\n\n  (m 5)",
        "E801",
        "macro `m` expands into itself without end",
    ),
    "endless": (
        "(define-syntax m (syntax-rules () ((_ x) (m x))))\n\n\n  (m 5)",
        "E801",
        "macro `m` expands into itself without end",
    ),
    "endless call": (
        "(define-macro (m x) `(+ 1 (m ,x)))\n\n\n  (m 5)",
        "E801",
        "macro `m` expands into itself without end",
    ),
    "endless body": (
        "(define-syntax m (syntax-rules () ((_ x) (begin (m x)))))\n\n(define (f)\n  (m 5) 1)",
        "E801",
        "macro `m` expands into itself without end",
    ),
}


@pytest.mark.parametrize("case", MACROS)
def test_what_goes_wrong_with_a_macro_points_to_its_use(omega, program, case):
    text, code, said = MACROS[case]
    done = omega("run", program(text))
    report = only_message(done, code)
    assert "program.omega:4:3: error" in report
    assert said in report
    again = omega("run", "program.omega")  # compiled texts that are kept know as much
    assert again.stderr == done.stderr


def test_a_macro_that_ends_but_nests_too_deep_is_not_called_endless(omega, program):
    rules = "((_) #f) ((_ x) x) ((_ x . more) (let ((t x)) (if t (list t) (any . more))))"
    text = f"(define-syntax any (syntax-rules () {rules}))\n(any {'#f ' * 700})"
    report = only_message(omega("run", program(text)), "E801", hinted=False)
    assert "forms within forms" in report


def test_a_failing_cleanup_tells_of_the_failure_before_it(omega, program):
    text = '(dynamic-wind (lambda () 1)\n (lambda () (car 5))\n (lambda () (error "late" 2)))'
    done = omega("run", program(text))
    report = only_message(done, "E401", hinted=False) if "E301" not in done.stderr else done.stderr
    assert "program.omega:3:13: error[E401]: late 2" in report
    assert "it failed in the cleanup after error[E301]: `car` expected a pair" in report
    assert "program.omega:2:13" in report


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
    (tmp_path / "folder" / "main.omega").write_text("1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hello.omega").write_text("1")
    nowhere = f"looked for in {tmp_path.resolve()}"
    for name, fact, hint in (
        ("folder", "is a directory", "name a program in it: folder/main.omega"),
        ("empty", "is a directory", "name a file"),
        ("missing", "no such file", nowhere),
        ("helo.omega", "no such file", f"did you mean hello.omega? ({nowhere})"),
        ("hello", "no such file", "did you mean hello.omega?"),
        ("folder/mian.omega", "no such file", "did you mean folder/main.omega?"),
        ("none/x.omega", "no such file", "looked for in"),
    ):
        done = omega("run", name)
        assert done.returncode == 2
        report = only_message(done, "E501")
        assert f"cannot open {name}: {fact}" in report
        assert hint in report


def test_a_source_beyond_the_limit(omega, program):
    done = omega("run", program("; " + "x" * 4_100_000))
    assert done.returncode == 3
    report = only_message(done, "E801")
    assert "4,000,000" in report
    assert "no option for more" in report
    endless = omega("run", "/dev/zero")
    assert endless.returncode == 3
    assert "no option for more" in only_message(endless, "E801")


def test_rules_that_are_not_json(omega, tmp_path):
    (tmp_path / "rules.json").write_text("{not json")
    done = omega("eval", "--llm", "scripted:rules.json", "1")
    assert done.returncode == 2
    report = only_message(done, "E706")
    assert "rules.json:1:2: error[E706]: not JSON: Expecting property name" in report
    assert report.count("rules.json") == 1


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
    report = only_message(done, "E705")
    assert "<eval>:1:1" in report
    assert f"openai could not be reached at {url}" in report
    assert "does the server run, and is OPENAI_BASE_URL right?" in report
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
        (("eval", "--fair-by", "odd", "1"), "task or scope"),
        (("eval", "--stats=1", "1"), "--stats takes no value"),
        (("eval",), "eval needs an EXPR"),
        (("eval", "1", "2"), "takes one EXPR"),
        (("run",), "run needs a FILE"),
        (("rum", "x"), "did you mean run?"),
        (("x.omega",), "omega run x.omega"),
        (("repl", "x"), "repl takes no arguments"),
        (("check",), "check needs a FILE"),
        (("run", "--events", "/nowhere/x", "-"), "cannot write /nowhere/x"),
    ],
)
def test_bad_usage_exits_with_2(omega, words, said):
    done = omega(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error[" in line]) == 1
    assert HINTED in done.stderr


def test_no_command_shows_the_help_on_standard_error(omega):
    done = omega()
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: omega" in done.stderr


def test_an_endless_loop_ends_by_fuel_and_by_time(omega):
    fuel = omega("eval", "--fuel", "100000", "(let loop () (loop))")
    assert fuel.returncode == 3
    assert "fuel limit exceeded" in only_message(fuel, "E801")
    assert "--fuel N allows more" in fuel.stderr
    wall = omega("eval", "--timeout", "0.2", "(let loop () (loop))")
    assert wall.returncode == 3
    assert "wall limit exceeded" in only_message(wall, "E801")
    assert "--timeout SECONDS allows more" in wall.stderr
    asleep = omega("eval", "--timeout", "0.2", "(sleep 60000)")
    assert asleep.returncode == 3


def test_a_deadlock_names_who_waits(omega):
    done = omega("eval", "(recv! (make-channel))")
    assert done.returncode == 4
    assert "waits for" in only_message(done, "E602", hinted=False)


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
def test_no_text_breaks_a_report(omega, program, encoding):
    for text in (
        '(error (json-read "\\"a\\\\ud800\\"") (string #\\a #\\x1b #\\[))',
        "(error (string (integer->char 9731)))",
    ):
        done = omega("run", program(text), env={"PYTHONIOENCODING": encoding})
        assert done.returncode == 1
        assert "error[E401]" in done.stderr
        assert "\033" not in done.stderr


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


@pytest.mark.parametrize(
    "text",
    [
        "(lambda (x #(1)) x)",
        "(lambda ((#(1) 2)) x)",
        "(lambda (x . #(1)) x)",
        "(lambda (:a #(1)) x)",
        "(let ((#(1) 1)) 1)",
        "(do ((#(1) 1)) (1))",
        "(let-values (((#(1)) 1)) 1)",
        "(let-values (((a a) 1)) 1)",
        "(let-syntax ((#(1) (syntax-rules ()))) 1)",
        "(define-macro #(1) 1)",
        "(define-values (a a) (values 1 2))",
        "(define-values (a . #(1)) (values 1 2))",
        "(define-record-type p (mk x) p? (x px) (x py))",
        "(guard (#(1) (#t 1)) 1)",
        "(let loop ((i 1) (i 2)) i)",
        "(define (f) (define a 1) (define a 2) a)",
        "(with-timeout 10)",
        "(set! 5 1)",
        "(set! if 1)",
        "(cond (else 1) (1 2))",
        "(syntax-rules ())",
        "(f (a . b))",
    ],
)
def test_a_form_that_is_put_together_wrongly_is_told_how_it_is_meant(omega, program, text):
    done = omega("run", program(text))
    assert done.returncode == 1
    only_message(done, "E110")


def test_another_name_of_a_primitive_is_one_message(omega, program):
    only_message(omega("run", program("(exact->inexact)")), "E302")


def test_tasks_that_fail_together_tell_the_hint_of_the_first(omega, program):
    done = omega("run", program("(await-all (list (async (lambda () (displayn 1)))))"))
    assert "did you mean `displayln`" in only_message(done, "E608")
