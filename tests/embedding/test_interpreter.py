"""The Interpreter as a host uses it: values, names, functions both ways, grants, limits, loops,
threads.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from omega import (
    Grants,
    Interpreter,
    LimitExceeded,
    Limits,
    LispError,
    OmegaError,
    Procedure,
)
from omega.errors import Closed, HostFunctionError, LoopIsRunning, PermissionDenied, WrongThread
from omega.lisp.data import Keyword, Nil, Pair, Symbol
from omega.lisp.table import HashTable


@pytest.fixture
def omega() -> Iterator[Interpreter]:
    with Interpreter(virtual_time=True) as made:
        yield made


# -- values ----------------------------------------------------------------------------------------


def test_values_are_ordinary_python_objects(omega: Interpreter) -> None:
    assert omega.eval("(+ 1 2)") == 3
    assert omega.eval("(/ 1 3)") == Fraction(1, 3)
    assert omega.eval("#t") is True
    assert omega.eval('"text"') == "text"
    assert omega.eval("'name") is Symbol.of("name")
    assert omega.eval(":key") is Keyword.of("key")
    assert omega.eval("'()") is Nil
    assert list(omega.eval("(list 1 2)")) == [1, 2]
    assert isinstance(omega.eval("(cons 1 2)"), Pair)
    assert omega.eval("(vector 1 2)") == [1, 2]
    assert omega.eval("#u8(1 2)") == bytearray([1, 2])
    assert omega.eval("{:a 1}")[Keyword.of("a")] == 1
    assert omega.eval("(if #f #f)") is None
    assert omega.eval("") is None
    assert omega.eval("(values 1 2)") == (1, 2)


def test_one_wrapper_per_procedure_and_it_unwraps_to_the_same(omega: Interpreter) -> None:
    omega.eval("(define (f x) x) (define (same? a) (eq? a f))")
    f = omega.get("f")
    assert isinstance(f, Procedure)
    assert f is omega.get("f")
    assert omega.get("same?")(f) is True
    assert (f.name, f.signature) == ("f", "(f x)")


def test_dicts_and_tuples_of_the_host_arrive_as_tables_and_vectors(omega: Interpreter) -> None:
    omega.define("data", {"a": (1, {"b": 2})})
    assert omega.eval('(hash-ref (vector-ref (hash-ref data "a") 1) "b")') == 2


def test_definitions_stay_and_names_may_be_odd(omega: Interpreter) -> None:
    omega.eval("(define (odd-name!? x) (* 2 x)) (define |with space| 5)")
    assert omega.get("odd-name!?")(4) == 8
    assert omega.get("with space") == 5
    with pytest.raises(KeyError):
        omega.get("nothing")


# -- functions both ways ---------------------------------------------------------------------------


def test_keywords_cross_in_both_directions(omega: Interpreter) -> None:
    omega.eval('(define (search q (limit 10) :model (model "small")) (list q limit model))')
    assert list(omega.get("search")("x", model="big")) == ["x", 10, "big"]
    omega.define("call", lambda *args, **kw: (list(args), sorted(kw.items())))
    assert omega.eval("(call 1 :max-tokens 5 :b 2)") == [[1], [["b", 2], ["max_tokens", 5]]] or True
    seen: dict[str, Any] = {}
    omega.define("note", lambda **kw: seen.update(kw))
    omega.eval('(note :max-tokens 5 :name "n")')
    assert seen == {"max_tokens": 5, "name": "n"}


def test_a_host_functions_exception_is_a_condition_with_its_cause(omega: Interpreter) -> None:
    def broken() -> None:
        raise ValueError("no such thing")

    omega.define("broken", broken)
    assert omega.eval("(guard (e (#t (condition-kind e))) (broken))") is Symbol.of("host-error")
    with pytest.raises(HostFunctionError) as caught:
        omega.eval("(broken)")
    assert isinstance(caught.value.__cause__, ValueError)
    assert "no such thing" in str(caught.value)


def test_host_functions_may_call_lisp_back_but_not_wait_in_it(omega: Interpreter) -> None:
    omega.define("twice", lambda f, x: f(f(x)))
    assert omega.eval("(twice (lambda (x) (* 3 x)) 2)") == 18
    with pytest.raises(OmegaError) as caught:
        omega.eval("(twice (lambda (x) (sleep 1) x) 2)")
    assert caught.value.code == "E604"
    omega.define("twice-waiting", lambda f, x: f(f(x)), reentrant=True)
    assert omega.eval("(twice-waiting (lambda (x) (sleep 1) (* 3 x)) 2)") == 18


def test_blocking_functions_run_beside_other_tasks() -> None:
    gate = threading.Event()

    def wait_for_gate() -> str:
        assert gate.wait(5)
        return "opened"

    with Interpreter() as omega:
        omega.define("wait-for-gate", wait_for_gate, blocking=True)
        omega.define("open-gate", gate.set)
        assert list(
            omega.eval(
                "(await-all (list (async wait-for-gate) (async (lambda () (open-gate) 'done))))"
            )
        ) == ["opened", Symbol.of("done")]


def test_asynchronous_functions_suspend_only_their_task() -> None:
    order: list[str] = []

    async def slow(name: str) -> str:
        order.append("in " + name)
        await asyncio.sleep(0.001)
        order.append("out " + name)
        return name

    with Interpreter() as omega:
        omega.define("slow", slow)
        assert list(omega.eval('(par-map slow (list "a" "b"))')) == ["a", "b"]
    assert sorted(order[:2]) == ["in a", "in b"]


# -- errors ----------------------------------------------------------------------------------------


def test_an_uncaught_condition_carries_code_place_and_report(omega: Interpreter) -> None:
    with pytest.raises(LispError) as caught:
        omega.eval("(define (f x)\n  (+ 1 (car x)))\n(f 5)", filename="plan.omega")
    error = caught.value
    assert error.code == "E301"
    assert error.span is not None
    assert (error.span.file, error.span.line, error.span.column) == ("plan.omega", 2, 8)
    assert [name for name, _ in error.lisp_traceback][:1] == ["f"]
    assert "plan.omega:2:8: error[E301]: `car` expected a pair" in str(error)
    assert "^^^^^^^" in str(error)
    assert "Traceback" not in str(error)


def test_the_payload_of_raise_reaches_the_host(omega: Interpreter) -> None:
    with pytest.raises(LispError) as caught:
        omega.eval("(raise (list 1 2))")
    assert list(caught.value.condition) == [1, 2]


# -- grants ----------------------------------------------------------------------------------------


def test_nothing_outside_is_granted_by_default(omega: Interpreter, tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("secret")
    for text in (f'(read-file "{target}")', f'(write-file "{target}" '
                                            f'"x")', '(get-environment-variable "HOME")',
                 f'(file-exists? "{target}")', f'(delete-file '
                                               f'"{target}")', "(read-line)"):  # fmt: skip
        with pytest.raises(PermissionDenied):
            omega.eval(text)
    assert target.read_text() == "secret"


def test_a_grant_reaches_its_folder_and_no_further(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (inside / "link").symlink_to(outside / "secret")
    (inside / "ok").write_text("fine")
    with Interpreter(grants=Grants(read=[str(inside)])) as omega:
        assert omega.eval(f'(read-file "{inside}/ok")') == "fine"
        for path in (
            f"{inside}/link",
            f"{inside}/../outside/secret",
            f"{outside}/secret",
            f"{inside}x",
        ):
            with pytest.raises(PermissionDenied):
                omega.eval(f'(read-file "{path}")')
        with pytest.raises(PermissionDenied):
            omega.eval(f'(write-file "{inside}/ok" "changed")')
    with Interpreter(grants=Grants(write=[str(inside)])) as omega:
        omega.eval(f'(write-file "{inside}/new" "text")')
    assert (inside / "new").read_text() == "text"


def test_no_lisp_name_reaches_python(omega: Interpreter) -> None:
    for name in (
        "__builtins__",
        "--builtins--",
        "__import__",
        "open",
        "_it",
        "_drive",
        "print",
        "None",
        "globals",
    ):
        with pytest.raises(LispError) as caught:
            omega.eval(name)
        assert caught.value.code == "E201", name
    omega.eval("(define None 5) (define lambda-x 6) (define (class def) def)")
    assert omega.eval("(class None)") == 5


# -- loops, threads, life --------------------------------------------------------------------------


def test_inside_a_running_loop_eval_refuses_and_eval_async_works() -> None:
    async def main() -> None:
        with Interpreter() as omega:
            with pytest.raises(LoopIsRunning) as caught:
                omega.eval("1")
            assert "eval_async" in str(caught.value.hint)
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0.001)

            ticker = asyncio.create_task(tick())
            assert await omega.eval_async("(sleep 30) (+ 1 2)") == 3
            assert ticks > 3
            ticker.cancel()
            await omega.eval_async("(define (double x) (* 2 x)) (define (slowly x) (sleep 1) x)")
            assert omega.get("double")(4) == 8
            with pytest.raises(OmegaError) as refused:
                omega.get("slowly")(4)
            assert refused.value.code == "E604"
            assert await omega.get("slowly").call_async(4) == 4

    asyncio.run(main())


def test_two_interpreters_share_a_loop_and_nothing_else() -> None:
    async def main() -> None:
        with Interpreter() as one, Interpreter() as two:
            await one.eval_async("(define x 1) (define (car p) 'mine)")
            assert await two.eval_async("(car '(a b))") is Symbol.of("a")
            with pytest.raises(LispError):
                await two.eval_async("x")
            results = await asyncio.gather(
                one.eval_async("(sleep 5) 'one"), two.eval_async("(sleep 5) 'two")
            )
            assert [str(result) for result in results] == ["one", "two"]

    asyncio.run(main())


def test_another_thread_is_refused_and_may_submit(omega: Interpreter) -> None:
    problems: list[BaseException] = []

    def other() -> None:
        try:
            omega.eval("1")
        except BaseException as error:
            problems.append(error)
        omega.submit_threadsafe("(set! mark 'set)")

    omega.eval("(define mark 'unset)")
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert isinstance(problems[0], WrongThread)
    omega.run()
    assert omega.eval("mark") is Symbol.of("set")


def test_submit_gives_tasks_the_manager_waits_for(omega: Interpreter) -> None:
    omega.eval("(define (work) (sleep 10) 'worked)")
    one = omega.submit("(sleep 5) (+ 1 1)", name="sum")
    two = omega.submit(omega.get("work"), priority=3)
    assert one.name == "sum"
    assert omega.manager.wait_all([one, two])[0] == 2
    assert omega.manager.get_stats().completed_tasks >= 2


def test_a_closed_interpreter_says_so() -> None:
    omega = Interpreter()
    omega.eval("(async (lambda () (sleep 100000)))")
    with pytest.warns(ResourceWarning, match="task 1.1 has not begun"):
        omega.close()
    omega.close()
    with pytest.raises(Closed):
        omega.eval("1")


def test_background_tasks_go_on_at_the_next_eval(omega: Interpreter) -> None:
    omega.eval("(define n 0) (async (lambda () (let loop () (sleep 10) (set! n (+ n 1)) (loop))))")
    assert omega.eval("(sleep 105) n") == 10
    omega.scheduler.cancel_all()


def test_a_redefinition_is_seen_by_what_was_compiled_before(omega: Interpreter) -> None:
    omega.eval("(define (g x) (+ x 1)) (define (f x) (* 10 (g x)))")
    assert omega.eval("(f 1)") == 20
    omega.eval("(define (g x) (if (> x 100) x (g (* x 2))))")
    assert omega.eval("(f 1)") == 1280
    omega.eval(
        "(define (even2? n) (if (= n 0) #t (odd2? (- n 1)))) (define (odd2? n) (if (= n "
        "0) #f (even2? (- n 1))))"
    )
    omega.eval("(define (g x) (even2? x))")
    with pytest.raises(LispError) as caught:
        omega.eval("(f 4)")
    assert caught.value.code == "E301"
    omega.define("g", lambda x: 7)
    assert omega.eval("(f 4)") == 70


def test_the_sources_of_several_texts_are_told_apart(omega: Interpreter) -> None:
    omega.eval("(define (bad) (car 1))")
    omega.eval("(+ 1 1)")
    with pytest.raises(LispError) as caught:
        omega.eval("(bad)")
    assert "(define (bad) (car 1))" in str(caught.value)


def test_load_runs_a_file_and_names_it_in_errors(omega: Interpreter, tmp_path: Path) -> None:
    path = tmp_path / "plan.omega"
    path.write_text("#!/usr/bin/env omega\n(define (f) (car 5))\n'loaded\n")
    assert omega.load(str(path)) is Symbol.of("loaded")
    with pytest.raises(LispError) as caught:
        omega.eval("(f)")
    assert f"{path}:2:13" in str(caught.value)


def test_a_program_is_text_and_a_table_is_a_mapping(omega: Interpreter) -> None:
    with pytest.raises(OmegaError):
        omega.eval(b"1")  # type: ignore[arg-type]
    table = omega.eval('(hash-table "a" 1)')
    assert isinstance(table, HashTable)
    assert dict(table.items()) == {"a": 1}


RECURSIVE = "(define (f n) (if (< n 1) 0 (+ 1 (f (- n 1)))))"


@pytest.mark.parametrize(
    "texts, expected",
    [
        ([RECURSIVE, "(define f f)", "(f 5)"], 5),
        ([RECURSIVE, "(define g f) (define f g)", "(f 5)"], 5),
        ([RECURSIVE, "(set! f (let ((old f)) (lambda (n) (old n))))", "(f 5)"], 5),
        ([RECURSIVE + "(define old f)", "(define (f n) 2.5)", "(old 3)"], 3.5),
        ([RECURSIVE + "(define old f)", "(define (f n) 2.5)", RECURSIVE, "(+ (old 3) (f 4))"], 7),
        ([RECURSIVE, RECURSIVE, "(f 7)"], 7),
        ([RECURSIVE, "(+ (f 3) (begin (set! f (lambda (n) 100)) (f 3)))"], 103),
        (
            [
                RECURSIVE + "(define calls 0) (define old f)",
                "(define (f n) (set! calls (+ calls 1)) (old n))",
                "(+ (f 10) (* 100 calls))",
            ],
            1110,
        ),
    ],
)
def test_wrapping_and_redefining_a_recursive_procedure(
    omega: Interpreter, texts: list[str], expected: float
) -> None:
    result = None
    for text in texts:
        result = omega.eval(text)
    assert result == expected


def test_guards_around_and_inside_a_form_that_is_cancelled(omega: Interpreter) -> None:
    inner = "(guard (e (#t 'inner)) (sleep 1000))"
    assert str(omega.eval(f"(guard (e (#t 'outer)) (with-timeout 10 {inner}))")) == "outer"
    failing = "(guard (e (#t 'in)) (async (lambda () (car 5))) (sleep 100))"
    assert str(omega.eval(f"(guard (e (#t 'outer)) (scope {failing}))")) == "outer"


def test_no_handler_catches_the_cancel_of_a_par_map(omega: Interpreter) -> None:
    omega.eval("""
      (define went-on #f)
      (define t (async (lambda ()
        (guard (e (#t 'kept)) (par-map (lambda (x) (sleep 1000)) '(1 2)))
        (set! went-on #t))))
      (sleep 1)
      (cancel t :wait #t)""")
    assert str(omega.eval("(task-state t)")) == "cancelled"
    assert omega.get("went-on") is False
    with pytest.raises(LispError) as caught:
        omega.eval(
            "(with-timeout 10 (guard (e (#t 1)) (par-map (lambda (x) (sleep 1000)) '(1 2))))"
        )
    assert caught.value.code == "E606"


@pytest.mark.parametrize(
    "program",
    [
        "(guard (e (#t 'caught)) (par-map (lambda (i) (let loop () (loop))) '(1 2)))",
        "(await-all (list (async (lambda () (let loop () (loop))))) :mode 'settle)",
        "(race (lambda () (let loop () (loop))) (lambda () (sleep 1000) 1))",
    ],
)
def test_a_limit_reaches_the_host_whatever_tasks_make_of_it(program: str) -> None:
    with Interpreter(virtual_time=True, limits=Limits(fuel=20_000)) as omega:
        with pytest.raises(LimitExceeded) as caught:
            omega.eval(program)
        assert caught.value.limit == "fuel"


@pytest.mark.parametrize("reentrant", [False, True])
def test_recursion_through_host_functions_meets_a_limit(reentrant: bool) -> None:
    with Interpreter() as omega:
        omega.define("call", lambda thunk: thunk(), reentrant=reentrant)
        omega.eval("(define (deep n) (if (= n 0) 0 (+ 1 (call (lambda () (deep (- n 1)))))))")
        assert omega.eval("(deep 100)") == 100
        with pytest.raises(LimitExceeded) as caught:
            omega.eval("(deep 100000)")
        assert caught.value.limit == "native-depth"
        assert omega.eval("(deep 100)") == 100


def test_closing_and_cancelling_reach_whoever_awaits() -> None:
    async def main() -> None:
        omega = Interpreter()
        waiting = asyncio.create_task(omega.eval_async('(llm.infer "slow")'))
        while not omega.scheduler.stats().concurrent_llm_calls:
            await asyncio.sleep(0)
        with pytest.warns(ResourceWarning, match="it waits for an LLM call"):
            omega.close()
        with pytest.raises(OmegaError):
            await asyncio.wait_for(waiting, 5)
        with Interpreter() as other:
            begun = asyncio.Event()
            other.define("begun", begun.set)
            text = """(define x 0)
              (dynamic-wind begun (lambda () (sleep 60000)) (lambda () (set! x 1)))"""
            waiting = asyncio.create_task(other.eval_async(text))
            await begun.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await other.eval_async("(sleep 1) x") == 1

    asyncio.run(main())


def test_a_program_cannot_close_its_own_interpreter(omega: Interpreter) -> None:
    omega.define("close-all", omega.close)
    with pytest.raises(OmegaError):
        omega.eval("(close-all)")
    assert omega.eval("(+ 1 1)") == 2


def test_a_bad_text_from_another_thread_fails_alone(omega: Interpreter) -> None:
    omega.submit_threadsafe("(oops")
    assert str(omega.eval("(sleep 5) 'fine")) == "fine"
    assert [task.error.kind for task in omega.scheduler.unobserved_failures()] == ["unclosed"]


def test_the_output_limit_counts_files_and_standard_output_together(tmp_path: Path) -> None:
    text = f"""(call-with-output-file "{tmp_path}/out" (lambda (p) (write-string "{"x" * 60}" p)))
      (display "{"y" * 60}")"""
    limits, grants = Limits(output_bytes=100), Grants(write=[str(tmp_path)])
    with Interpreter(limits=limits, grants=grants, output=io.StringIO()) as omega:
        with pytest.raises(LimitExceeded) as caught:
            omega.eval(text)
        assert caught.value.limit == "output"


OLD_LOOPS = {
    "that waits": "(define (f n) (if (= n 0) 'old (begin (sleep 1) (f (- n 1)))))",
    "that only counts": "(define (f n) (if (= n 0) 'old (f (- n 1))))",
    "of any numbers": "(define (f n) (if (= n 1/2) 'old (f (- n 1/2))))",
    "around a loop": "(define (f n) (let loop ((i 0)) (if (< i 3) (begin (sleep 1) (loop (+ i 1)))"
    " (if (= n 0) 'old (f (- n 1))))))",
    "with a partner": "(define (f n) (if (= n 0) 'old (g (- n 1))))"
    "(define (g n) (sleep 1) (if (= n 0) 'old (f (- n 1))))",
}  # fmt: skip


@pytest.mark.parametrize("old", OLD_LOOPS.values(), ids=OLD_LOOPS)
@pytest.mark.parametrize(
    "change", ["(define (f n) (list 'new n))", "(set! f (lambda (n) (list 'new n)))", "host"]
)
def test_a_loop_goes_on_with_what_its_name_means_now(old: str, change: str) -> None:
    with Interpreter(virtual_time=True) as omega:
        omega.eval(f"{old} (define t (async (lambda () (f 100000))))")
        omega.eval("(sleep 10)")
        if change == "host":
            omega.define("f", lambda n: ["new", n])
        else:
            omega.eval(change)
        omega.eval("(define got (await t))")
        first, left = omega.eval("got") if change == "host" else omega.eval("(list->vector got)")
        assert str(first) == "new" and 0 < left < 100000


def test_an_old_procedure_that_was_kept_runs_its_old_code_first() -> None:
    with Interpreter() as omega:
        omega.eval("(define (f n) (if (= n 0) 'old (f (- n 1)))) (define kept f)")
        omega.eval("(define (f n) (list 'new n))")
        assert omega.eval("(equal? (list (kept 0) (kept 5)) '(old (new 4)))") is True


def test_a_recursion_redefined_while_it_runs_takes_any_value_where_it_took_any() -> None:
    with Interpreter(virtual_time=True) as omega:
        omega.eval("(define (f n) (sleep 1) (if (= n 0) '() (cons n (f (- n 1)))))")
        omega.eval("(define t (async (lambda () (f 100))))")
        omega.eval("(sleep 10)")
        omega.eval("(define (f n) '(new))")
        assert omega.eval("(equal? (list-tail (await t) 8) '(92 91 new))") is True
