"""Exploring from a host: the test kit, and `check-schedules` within an interpreter that does other
things.
"""

from __future__ import annotations

import asyncio
import signal

import pytest

from omega import Interpreter, Limits
from omega.errors import Deadlock, LimitExceeded, LispTypeError, LLMError, OmegaError
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


def test_calls_fail_only_where_faults_are_asked_for():
    text = '(par-map (lambda (n) (llm.infer (string-append "q" (number->string n)))) (iota 3))'
    assert explore_program(text, runs=40).failure is None
    with pytest.raises(ScheduleFailed) as caught:
        explore_program(text, runs=300, faults=True)
    assert isinstance(caught.value.error, LLMError)
    assert 'the call with the prompt "q' in str(caught.value)


def test_what_the_interpreter_was_doing_goes_on_afterwards():
    with Interpreter(virtual_time=True) as omega:
        omega.eval(f"{TWO} (define t (async (lambda () (sleep 5) (random 1000)))) (yield)")
        before = omega.scheduler.steps
        assert omega.eval("(check-schedules two :runs 20)") == 20
        assert omega.scheduler.steps - before > 20 * 6  # what it took is counted
        assert str(omega.eval("(task-state t)")) == "suspended"
        value = omega.eval("(await t)")
    with Interpreter(virtual_time=True) as omega:
        omega.eval(f"{TWO} (define t (async (lambda () (sleep 5) (random 1000)))) (yield)")
        assert omega.eval("(await t)") == value  # and so is chance


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


def test_it_works_in_a_running_loop_and_within_itself():
    async def main():
        async with Interpreter() as omega:
            return await omega.eval_async(f"{TWO} (check-schedules two :runs 30)")

    assert asyncio.run(main()) == 30
    with Interpreter() as omega:
        omega.eval(TWO)
        inner = "(lambda () (check-schedules two :runs 3))"
        assert omega.eval(f"(check-schedules {inner} :runs 3)") == 1


def test_what_waits_outside_is_not_woken_from_inside():
    with Interpreter(virtual_time=True) as omega:
        omega.eval("(define c (make-channel)) (define r (async (lambda () (recv! c)))) (yield)")
        with pytest.raises(OmegaError, match="waits outside of the schedules that are tried"):
            omega.eval("(check-schedules (lambda () (send! c 1)))")
        omega.eval("(define t (async (lambda () (sleep 5) 'x))) (yield)")
        with pytest.raises(Deadlock):
            omega.eval("(check-schedules (lambda () (await t)))")
        assert str(omega.eval("(await t)")) == "x"
        assert len(omega.leaks()) == 1


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
