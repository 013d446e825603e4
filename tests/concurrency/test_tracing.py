"""A trace is what the Trace Event Format says it is, and shows what the tasks did."""

from __future__ import annotations

import io
import itertools
import json

from omega import Interpreter, SchedulerConfig
from omega.concurrency.tracing import TraceWriter
from tests.concurrency.traces import check, spans

PROGRAM = """
(define m (make-mutex :name "the lock"))
(define (busy n) (with-mutex m (sleep n) (for-each void (iota 50))) n)
(define tasks (map (lambda (n) (async (lambda () (busy n)) :name (number->string n))) '(3 5)))
(define answers (par-map (lambda (q) (llm.infer q)) '("a" "b" "c")))
(define lost (async (lambda () (error "on purpose"))))
(define nap (async (lambda () (sleep 100000))))
(guard (e (#t #f)) (await lost))
(cancel nap "enough")
(await-all tasks)
"""


def traced(program, **options):
    file = io.StringIO()
    with Interpreter(virtual_time=True, **options) as omega:
        writer = TraceWriter(file, omega.scheduler.now_us)
        omega.scheduler.listeners.append(writer)
        omega.eval(program, filename="main.omega")
        omega.scheduler.run()
        writer.close()
    return json.loads(file.getvalue())


def test_a_trace_is_as_the_format_has_it_and_shows_what_was_waited_for():
    events = traced(PROGRAM)
    check(events)
    first, second = spans(events, '1.1 "3"'), spans(events, '1.2 "5"')
    assert [name for name, _, _ in first] == [
        "pending",
        "running",
        "waits for sleep",
        "ready",
        "running",
    ]
    assert [name for name, _, _ in second] == [
        "pending",
        "running",
        "waits for mutex the lock",
        "ready",
        "running",
        "waits for sleep",
        "ready",
        "running",
    ]
    assert all(end == begin for (_, _, end), (_, begin, _) in itertools.pairwise(second))
    _, since, until = second[2]
    assert until - since >= 3000  # as long as the first has the lock
    calls = [e for e in events if e["ph"] == "b"]
    assert [e["name"] for e in calls].count("queued") == 3
    assert [e["name"] for e in calls].count("attempt 1") == 3
    marks = {e["name"] for e in events if e["ph"] == "i"}
    assert marks >= {"TaskFailed", "TaskCancelled"}
    assert max(e["args"]["in flight"] for e in events if e["ph"] == "C") == 3


def test_what_is_open_at_the_end_is_closed_and_what_came_later_has_a_lane():
    file = io.StringIO()
    with Interpreter(virtual_time=True) as omega:
        omega.eval("(define t (async (lambda () (sleep 1) (sleep 100000)))) (yield)")
        writer = TraceWriter(file, omega.scheduler.now_us)  # t was there before
        omega.scheduler.listeners.append(writer)
        omega.eval("(sleep 10)")
        writer.close()
        assert len(omega.leaks()) == 1  # it is closed in the middle
    events = json.loads(file.getvalue())
    check(events)
    assert spans(events, "1.1")[-1][0] == "waits for sleep"


def test_a_trace_that_was_broken_off_has_whole_lines():
    file = io.StringIO()
    with Interpreter(virtual_time=True) as omega:
        omega.scheduler.listeners.append(TraceWriter(file, omega.scheduler.now_us))
        omega.eval(PROGRAM)
    lines = file.getvalue().splitlines()
    assert lines[0] == "[" and len(lines) > 50
    for line in lines[1:]:
        json.loads(line.removesuffix(","))


def test_who_has_been_woken_and_waits_for_its_turn_is_ready():
    """As long as others have the processor, or no slot is free."""
    program = """
    (define (busy n) (let loop ((i 0)) (when (< i n) (loop (+ i 1)))))
    (define ch (make-channel))
    (define getter (async (lambda () (recv! ch)) :name "getter"))
    (define others (map (lambda (i) (async (lambda () (busy 1000)))) (iota 10)))
    (sleep 1)
    (send! ch 1)
    (busy 2000)
    (await getter)
    """
    events = traced(program, scheduler=SchedulerConfig(yield_every=1000))
    check(events)
    found = spans(events, '1.1 "getter"')
    assert [name for name, _, _ in found][2:] == [
        "waits for a value from a channel",
        "ready",
        "running",
    ]
    (_, since, until) = found[3]
    assert until - since >= 1000, "a slice of the one that sent, at least"
