"""What is left behind when an interpreter is closed is told; nothing is when nothing was."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from omega import Interpreter
from omega.errors import OmegaError


def messages(interpreter: Interpreter) -> list[str]:
    return [error.message for error in interpreter.leaks()]


@pytest.fixture
def lisp():
    with Interpreter(virtual_time=True) as made:
        yield made
        made.leaks()  # those were looked at


def test_tasks_that_never_ended_are_told_with_what_they_wait_for_and_where_they_were_made(lisp):
    lisp.eval(
        """(define jobs (make-channel :name "jobs"))
           (async (lambda () (recv! jobs)) :name "worker")
           (async (lambda () (sleep 1000)) :daemon #t)
           (define told (async (lambda () (sleep 1000))))
           (sleep 1)
           (cancel told)
           (async void)""",
        filename="server.omega",
    )
    assert messages(lisp) == [
        'task 1.1 "worker" has not ended: it waits for a value from channel jobs '
        "(spawned at server.omega:2)",
        "task 1.4 has not begun",
    ]


def test_channels_with_what_nobody_received_and_locks_still_held_are_told(lisp):
    lisp.eval(
        """(define full (make-channel 3 :name "full"))
           (send! full 1)
           (define read (make-channel 3))
           (send! read 1) (recv! read)
           (define m (make-mutex :name "m"))
           (await (async (lambda () (sync (mutex-event m))) :name "taker"))
           (define s (make-semaphore 2 :name "s"))
           (sync (semaphore-event s))
           (with-mutex (make-mutex) 1)
           (guard (e (#t e)) (with-semaphore (make-semaphore 1) (car 5)))""",
        filename="plan.omega",
    )
    assert messages(lisp) == [
        "channel full holds a value nobody received",
        'mutex m is still held by task 1.1 "taker", which has ended',
        "semaphore s has 1 of 2 slots taken, and no task is left",
    ]
    assert [str(error.span) for error in lisp.leaks()] == [
        "plan.omega:1:14",
        "plan.omega:5:22",
        "plan.omega:7:22",
    ]
    assert {error.code for error in lisp.leaks()} == {"W401"}
    assert all(error.severity == "warning" and error.hint for error in lisp.leaks())


def test_what_is_gone_is_no_leak_and_is_not_kept(lisp):
    lisp.eval("(for-each (lambda (i) (send! (make-channel 1) i)) (iota 100))")
    gc.collect()
    assert messages(lisp) == []
    assert len(lisp.scheduler.made) == 0


def test_a_host_gets_a_resource_warning_when_it_closes():
    interpreter = Interpreter()
    interpreter.eval(
        "(define ch (make-channel 2 :name 'ch)) (send! ch 1) (send! ch 2)", filename="p"
    )
    with pytest.warns(ResourceWarning, match="left behind:\n  p:1:12: channel ch holds 2 values"):
        interpreter.close()


def test_in_a_loop_too():
    async def main():
        async with Interpreter() as interpreter:
            interpreter.submit("(sleep 1000)", name="nap")

    with pytest.warns(ResourceWarning, match='task 1 "nap" has not begun'):
        asyncio.run(main())


@pytest.mark.parametrize("program", ["(await (async (lambda () 1)))", "(make-channel 3)", "5"])
def test_it_is_quiet_when_nothing_leaked(program):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Interpreter() as interpreter:
            interpreter.eval(program)


def test_who_has_asked_and_who_leaves_by_an_error_is_not_warned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Interpreter() as interpreter:
            interpreter.submit("1")
            assert len(interpreter.leaks()) == 1
        with pytest.raises(OmegaError), Interpreter() as interpreter:
            interpreter.submit("1")
            interpreter.eval("(car 5)")
