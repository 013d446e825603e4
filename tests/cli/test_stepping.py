"""Stops before steps change nothing: a stopped replay has the events of one that was not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import omega
from omega.cli.stepping import SteppingScheduler
from omega.concurrency import EventWriter, Task
from omega.tape import Replay, TapeReader
from omega.tape.session import arguments_of

CROWD = 70  # as many steps are owed for them

PROGRAM = """
(define (count n) (let loop ((i 0)) (if (< i n) (loop (+ i 1)) n)))
(define (down n) (if (= n 0) 0 (+ 1 (down (- n 1)))))
(define ch (make-channel 2))
(define (worker n)
  (count (* 40 n))
  (yield)
  (send! ch (length (iota (* 90 n))))
  (sleep n)
  (apply + (map (lambda (x) (yield) x) (vector->list (make-vector 30 n))))
  (down (* 30 n)))
(define crowd (make-channel))
(define (disperse)      ; owes steps for those it wakes, in the middle of a slice or at its end
  (let loop ((i 0)) (when (< i 70) (async (lambda () (recv! crowd))) (loop (+ i 1))))
  (sleep 0.01)
  (close! crowd)
  (count 20))
(disperse)
(define tasks (map (lambda (n) (async (lambda () (worker n)))) '(1 2 3 4)))
(define sums (map (lambda (_) (recv! ch)) tasks))
(guard (e (#t 'late)) (with-timeout 3 (count 100000)))
(list sums (map await tasks))
"""


class Lines(list[str]):
    write = list.append


def outcome(interpreter: omega.Interpreter) -> tuple[Any, ...]:
    lines = Lines()
    interpreter.scheduler.listeners.append(EventWriter(lines))
    value = repr(interpreter.eval(PROGRAM))
    return lines, value, interpreter.scheduler.steps, interpreter.scheduler.stats()


@pytest.fixture(scope="module", params=[100, 7])
def recorded(request: pytest.FixtureRequest) -> Any:
    """(tape, what happens)"""
    with tempfile.TemporaryDirectory() as folder:
        tape = str(Path(folder, "run.tape"))
        config = omega.SchedulerConfig(yield_every=request.param)
        with omega.Interpreter(record=tape, scheduler=config) as interpreter:
            seen = outcome(interpreter)
        yield tape, seen


def replayed(tape: str, stop: Any) -> tuple[Any, ...]:
    reader = TapeReader(tape)
    session = Replay(reader, SteppingScheduler)
    with omega.Interpreter(**arguments_of(reader.header), session=session) as interpreter:
        scheduler = interpreter.scheduler
        assert isinstance(scheduler, SteppingScheduler)
        stop(scheduler)
        return outcome(interpreter)


@settings(max_examples=25, deadline=None)
@given(
    task=st.sampled_from(["1", "1.71", "1.72", "1.73", "1.74"]),
    step=st.integers(1, 700),
    moves=st.lists(st.sampled_from(["step", "steps", "next", "go on"]), max_size=12),
)
def test_stops_change_nothing(recorded: Any, task: str, step: int, moves: list[str]) -> None:
    tape, seen = recorded
    left = list(moves)
    stops: list[tuple[str, int]] = []

    def begin(scheduler: SteppingScheduler) -> None:
        def stop(at: Task) -> None:
            taken = scheduler.taken(at)
            assert scheduler.current is at
            stops.append((at.id, taken + 1))
            move = left.pop() if left else "go on"
            if move == "step":
                scheduler.stop_before(at.id, taken + 2)
            elif move == "steps":
                scheduler.stop_before(at.id, taken + 40)
            elif move == "next":
                scheduler.stop_at_other(at)
            else:
                scheduler.go_on()

        scheduler.stop = stop
        scheduler.stop_before(task, step)

    assert replayed(tape, begin) == seen
    for id_, at in stops[:1]:
        # The work of a primitive has no inside: the stop is before it; of what is owed, behind it.
        assert id_ == task and (at <= step or at - step < CROWD)


@pytest.mark.parametrize("step", range(60, 180, 3))
def test_a_stop_near_steps_that_are_owed_changes_nothing(recorded: Any, step: int) -> None:
    tape, seen = recorded

    def begin(scheduler: SteppingScheduler) -> None:
        scheduler.stop = lambda task: scheduler.go_on()
        scheduler.stop_before("1", step)

    assert replayed(tape, begin) == seen


def test_every_step_of_a_task_is_a_place_to_stop(recorded: Any) -> None:
    tape, seen = recorded
    at: list[int] = []

    def begin(scheduler: SteppingScheduler) -> None:
        def stop(task: Task) -> None:
            at.append(scheduler.taken(task) + 1)
            scheduler.stop_before(task.id, at[-1] + 1)

        scheduler.stop = stop
        scheduler.stop_before("1.72", 1)

    assert replayed(tape, begin) == seen
    assert at[:80] == list(range(1, 81)), "every turn of its first loop"
    assert at == sorted(set(at)), "each step once"
