"""Exploring from a host: the test kit, and `check-schedules` within an interpreter that does other
things.
"""

from __future__ import annotations

import asyncio
import signal

import pytest

from omega import Budget, HostError, Interpreter, Limits, Model, Models
from omega.errors import LimitExceeded, LispTypeError, LLMError, OmegaBug, OmegaError
from omega.llm import ScriptedProvider
from omega.testing import ScheduleFailed, explore, explore_file, explore_program

WORK = "(define (work) (for-each void '(1 2 3)))"
TWO = f"{WORK} (define (two) (await-all (list (async work) (async work))))"
LOST = f"""{WORK}
(define count 0)
(define (add!) (let ((now count)) (work) (set! count (+ now 1))))
(await-all (list (async add! :name "ada") (async add! :name "bob")))
(unless (= count 2) (error "lost:" count))
"""


def test_a_failure_tells_all_that_is_needed(tmp_path):
    path = tmp_path / "lost.omega"
    path.write_text(LOST, encoding="utf-8")
    with pytest.raises(ScheduleFailed) as caught:
        explore_file(path, runs=500)
    failed = caught.value
    assert isinstance(failed.error, OmegaError) and failed.error.message == "lost:"
    assert f"{path}:5:21: error[E401]: lost: 1" in str(failed)
    assert 'task 1.1 "ada" is stopped' in str(failed) and "set! count" in str(failed)
    with pytest.raises(ScheduleFailed, match="lost: 1"):
        explore_file(path, schedule=failed.schedule)
    assert explore_file(path, schedule="").failure is None


def test_a_python_scenario_is_explored_between_its_waits():
    def scenario(scheduler):
        box = []

        def put(name):
            scheduler.yield_now()
            box.append(name)

        scheduler.await_all([scheduler.spawn(lambda name=name: put(name)) for name in "abc"])
        return box

    assert explore(scenario, runs=50).runs == 50
    with pytest.raises(ScheduleFailed, match="the result depends on the schedule"):
        explore(scenario, runs=50, same_result=True)


def test_a_scheduler_that_breaks_its_rules_is_told_as_a_bug_of_omega():
    def scenario(scheduler):
        order = []

        def visit(name):
            order.append(name)
            if order == ["b"]:
                scheduler.daemons += 1  # what a mistake in the kernel would do
                try:
                    scheduler.sleep(1)
                except OmegaError:  # nothing the program does can hide it
                    pass

        scheduler.await_all([scheduler.spawn(lambda name=name: visit(name)) for name in "ab"])

    with pytest.raises(ScheduleFailed, match="1 tasks are counted as daemons, and 0 are") as caught:
        explore(scenario, runs=50, seed=3)
    assert isinstance(caught.value.error, OmegaBug)
    assert "seed 3" in str(caught.value) and "this is a mistake in Omega" in str(caught.value)
    with pytest.raises(ScheduleFailed, match="counted as daemons"):
        explore(scenario, schedule=caught.value.schedule)
    assert len(caught.value.schedule.split()) == 1


def test_a_program_is_not_blamed_for_a_scheduler_that_breaks_its_rules():
    text = """
    (define (visit)
      (break 0)
      (await-all (map (lambda (x) (async (lambda () (break x)))) '(1 2)))
      (guard (e (#t 'hidden)) (for-each void (iota 500))))
    """
    seen = []

    def break_(x):
        seen.append(x)
        if seen[-3:] == [0, 2, 1]:
            omega.scheduler.daemons += 1

    with Interpreter() as omega:
        omega.define("break", break_)
        omega.eval(text)
        with pytest.raises(OmegaBug, match="counted as daemons") as caught:
            omega.eval("(check-schedules visit :runs 50)")
        assert 'again: (check-schedules thunk :schedule "' in str(caught.value)
        assert omega.eval("(+ 1 2)") == 3


def test_a_failed_assertion_is_the_cause():
    def scenario(scheduler):
        raise AssertionError("this is wrong")

    with pytest.raises(ScheduleFailed, match="this is wrong") as caught:
        explore(scenario)
    assert isinstance(caught.value.__cause__, AssertionError)


def test_each_run_has_a_provider_of_its_own():
    made = []

    def provider():
        made.append(ScriptedProvider({"rules": [{"match": "hi", "reply": "yes", "times": 1}]}))
        return made[-1]

    text = '(unless (equal? (llm.infer "hi") "yes") (error "no"))'
    explored = explore_program(text, llm=provider, runs=20)
    assert len(made) == explored.all > 1


def test_each_run_has_models_and_a_budget_of_its_own():
    made = []

    def models():
        small = ScriptedProvider({"rules": [{"match": "hi", "reply": "yes", "times": 1}]})
        made.append(Models(ScriptedProvider(), {"small": Model("small", small)}))
        return made[-1]

    text = """(unless (equal? (llm.infer "hi" :model "small") "yes") (error "no"))
              (llm.infer "others")"""
    explored = explore_program(text, llm=models, budget=lambda: Budget(2), runs=20)
    assert len(made) == explored.all > 1
    with pytest.raises(ScheduleFailed, match="budget"):
        explore_program(text, llm=models, budget=lambda: Budget(1), runs=20)
    with pytest.raises(HostError, match="needs new models, got one Models"):
        explore_program(text, llm=models())


def test_calls_fail_only_where_faults_are_asked_for():
    text = '(par-map (lambda (n) (llm.infer (string-append "q" (number->string n)))) (iota 3))'
    assert explore_program(text, runs=40).failure is None
    with pytest.raises(ScheduleFailed) as caught:
        explore_program(text, runs=300, faults=True)
    assert isinstance(caught.value.error, LLMError)
    assert 'the call with the prompt "q' in str(caught.value)


def test_what_comes_afterwards_is_as_if_nothing_had_been_tried():
    after = "(define t (async (lambda () (sleep 5) (random 1000)))) (list (await t) (task-id t))"
    with Interpreter(virtual_time=True) as omega:
        omega.eval(TWO)
        before = omega.scheduler.steps
        assert omega.eval("(check-schedules (lambda () (random 9) (two)) :runs 20)") == 20
        assert omega.scheduler.steps - before > 20 * 6  # what it took is counted
        value = str(omega.eval(f"(define n 1) {after}"))
    with Interpreter(virtual_time=True) as omega:
        omega.eval(TWO)
        omega.eval("1")
        assert str(omega.eval(f"(define n 1) {after}")) == value  # chance goes on, and so do ids


def test_runs_share_the_stacks_of_the_interpreter_and_leave_none_behind():
    with Interpreter(virtual_time=True) as omega:
        omega.eval(f"""
        {TWO}
        (define (stuck) (async (lambda () (recv! (make-channel)))) (await-all (list (async work))))
        (define (deep) (scope (async work) (await (async (lambda () (await (async work)))))))
        """)
        scheduler = omega.scheduler
        for name in ("two", "stuck", "deep", "stuck", "two"):
            try:
                omega.eval(f"(await (async (lambda () (check-schedules {name} :runs 40))))")
            except OmegaError:  # a standstill
                pass
            stacks = list(scheduler._stacks)
            assert len(stacks) <= 8 and set(scheduler._spare) == set(stacks)
            assert not any(stack.dead for stack in stacks)
            assert all(stack.parent not in stacks for stack in stacks)
        # They can be used, and broken off, by whoever comes next.
        assert omega.eval("(await-all (map async (make-list 20 (lambda () 7))))")
        omega.eval("(define t (async (lambda () (recv! (make-channel)))))  (yield)")
        omega.leaks()


def test_other_tasks_and_calls_keep_it_from_beginning():
    with Interpreter(virtual_time=True) as omega:
        omega.eval(f"{TWO} (define c (make-channel)) (define r (async (lambda () (recv! c))))")
        with pytest.raises(OmegaError, match=r"nothing else goes on, and 1\.1 has not ended"):
            omega.eval("(check-schedules (lambda () (send! c 1)))")
        assert omega.eval("(send! c 5) (await r)") == 5
        # Whoever waits for the task that explores is no other.
        assert omega.eval("(await (async (lambda () (check-schedules two :runs 5))))") == 5


def test_limits_hold_inside_of_a_run():
    with Interpreter(limits=Limits(tasks=10)) as omega, pytest.raises(LimitExceeded, match="tasks"):
        omega.eval("(check-schedules (lambda () (map async (make-list 50 (lambda () 1)))))")
    with (
        Interpreter(limits=Limits(wall_s=0.2)) as omega,
        pytest.raises(LimitExceeded, match="wall"),
    ):
        omega.eval("(check-schedules (lambda () (let loop ((l (iota 9999))) (loop (reverse l)))))")


def test_a_run_has_the_handlers_and_parameters_of_who_explores():
    with Interpreter() as omega:
        omega.eval('(define p (make-parameter 1)) (define (look) (list (p) (llm.infer "x")))')
        omega.eval(
            """
            (define (same? l) (unless (equal? l '(2 "mine")) (error "not mine:" l)))
            (parameterize ((p 2))
              (with-handler ((llm.infer (lambda (request) "mine")))
                (check-schedules (lambda () (same? (look))))))
            """
        )


def test_an_exit_ends_the_run_and_not_the_program():
    with Interpreter() as omega:
        with pytest.raises(OmegaError, match="ends with exit status 3"):
            omega.eval("(check-schedules (lambda () (exit 3)))")
        assert omega.eval("(+ 1 2)") == 3 and omega.exit_status is None


def test_results_are_compared_whole_and_can_be_compared_again():
    order = (
        "(define order '()) (display (make-string 500 #\\x)) (await-all (map (lambda (i) "
        "(async (lambda () (set! order (cons i order))))) '(1 2))) (display order)"
    )
    with pytest.raises(ScheduleFailed, match=r"\.\.\.x+\(1 2\)\.\.\., and") as caught:
        explore_program(order, same_output=True, runs=100)
    with pytest.raises(ScheduleFailed, match="the result depends on the schedule"):
        explore_program(order, same_output=True, schedule=caught.value.schedule)


def test_what_comes_late_is_explored_too():
    text = f"(define (spin n) (if (> n 0) (spin (- n 1)))) (spin 60000) {LOST}"
    with pytest.raises(ScheduleFailed, match="lost: 1"):
        explore_program(text, runs=200)


def test_an_async_scenario_is_refused():
    async def scenario(scheduler):
        raise AssertionError

    with pytest.raises(ScheduleFailed, match="no async function"):
        explore(scenario)


def test_runs_count_on_the_limits():
    with Interpreter(limits=Limits(fuel=30_000)) as omega:
        with pytest.raises(LimitExceeded, match="fuel"):
            omega.eval(f"{TWO} (check-schedules two :runs 100000)")
        assert omega.scheduler.steps == 30_000
    with (
        Interpreter(limits=Limits(wall_s=0.2)) as omega,
        pytest.raises(LimitExceeded, match="wall"),
    ):
        omega.eval(f"{TWO} (check-schedules two :runs 100000000)")


def test_it_works_in_a_running_loop_but_not_within_itself():
    async def main():
        async with Interpreter() as omega:
            return await omega.eval_async(f"{TWO} (check-schedules two :runs 30)")

    assert asyncio.run(main()) == 30
    with Interpreter() as omega, pytest.raises(OmegaError, match="cannot explore"):
        omega.eval(f"{TWO} (check-schedules (lambda () (check-schedules two :runs 3)))")


def test_ctrl_c_ends_it():
    with Interpreter() as omega:
        omega.define("interrupt", lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            omega.eval(f"{TWO} (check-schedules (lambda () (interrupt) (two)) :runs 100000)")
        assert omega.eval("(+ 1 2)") == 3
        omega.leaks()  # what was broken off


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("(check-schedules 5)", "a procedure without arguments"),
        ("(check-schedules two :runs 0)", "at least 1 run"),
        ("(check-schedules two :runs 1.5)", "a whole number for :runs"),
        ("(check-schedules two :strategy 'luck)", "no strategy luck"),
        ('(check-schedules two :schedule "zz")', "no part of a schedule"),
        ("(check-schedules two :schedule 1)", "a string for :schedule"),
        ("(check-schedules two :speed 1)", "takes no :speed"),
        ("(check-schedules car)", "car"),
    ],
)
def test_bad_arguments_are_told(call, told):
    with Interpreter() as omega, pytest.raises(OmegaError, match=told):
        omega.eval(f"{TWO} {call}")


def test_the_error_of_a_bad_call_is_the_programs(tmp_path):
    with pytest.raises(LispTypeError), Interpreter() as omega:
        omega.eval("(check-schedules (lambda () (+ 'a 1)))")
