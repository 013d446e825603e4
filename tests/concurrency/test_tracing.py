"""A trace is what the Trace Event Format says it is, and shows what the tasks did."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter

from omega import Interpreter
from omega.concurrency.tracing import TraceWriter

REQUIRED = {
    "M": {"name", "pid", "tid", "args"},
    "B": {"name", "pid", "tid", "ts", "cat"},
    "E": {"pid", "tid", "ts"},
    "b": {"name", "pid", "tid", "ts", "id", "cat"},
    "e": {"name", "pid", "tid", "ts", "id", "cat"},
    "s": {"name", "pid", "tid", "ts", "id", "cat"},
    "f": {"name", "pid", "tid", "ts", "id", "cat", "bp"},
    "i": {"name", "pid", "tid", "ts", "s"},
    "C": {"name", "pid", "tid", "ts", "args"},
}
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


def check(events):
    """Raises where `events` are not as the format has them."""
    open_spans, async_spans, starts, last = {}, {}, Counter(), {}
    for event in events:
        kind = event["ph"]
        missing = REQUIRED[kind] - set(event)
        assert not missing, f"{event} has no {missing}"
        assert type(event["pid"]) is int and type(event["tid"]) is int
        lane = (event["pid"], event["tid"])
        if "ts" in event:
            assert event["ts"] >= last.get(lane, 0), f"{event} is before what came before it"
            last[lane] = event["ts"]
        if kind == "B":
            open_spans.setdefault(lane, []).append(event["name"])
        elif kind == "E":
            assert open_spans[lane].pop()
        elif kind == "b":
            async_spans.setdefault((event["cat"], event["id"]), []).append(event["name"])
        elif kind == "e":
            assert async_spans[event["cat"], event["id"]].pop() == event["name"]
        elif kind == "s":
            starts[event["id"]] += 1
        elif kind == "f":
            assert starts[event["id"]] == 1, "an arrow without a start"
        elif kind == "C":
            assert all(type(value) in (int, float) for value in event["args"].values())
    assert not any(open_spans.values()) and not any(async_spans.values())


def traced(program, **options):
    file = io.StringIO()
    with Interpreter(virtual_time=True, **options) as omega:
        writer = TraceWriter(file, omega.scheduler.now_us)
        omega.scheduler.listeners.append(writer)
        omega.eval(program, filename="main.omega")
        omega.scheduler.run()
        writer.close()
    return json.loads(file.getvalue())


def spans(events, lane):
    """(name, from, to) of each span in a lane of tasks, by the lane's name."""
    (tid,) = [e["tid"] for e in events if e.get("args") == {"name": lane}]
    found, open_ = [], []
    for event in events:
        if (event["pid"], event["tid"]) != (1, tid):
            continue
        if event["ph"] == "B":
            open_.append(event)
        elif event["ph"] == "E":
            began = open_.pop()
            found.append((began["name"], began["ts"], event["ts"]))
    return found


def test_a_trace_is_as_the_format_has_it_and_shows_what_was_waited_for():
    events = traced(PROGRAM)
    check(events)
    first, second = spans(events, '1.1 "3"'), spans(events, '1.2 "5"')
    assert [name for name, _, _ in first] == [
        "pending",
        "running",
        "waits for sleep",
        "running",
    ]
    assert [name for name, _, _ in second] == [
        "pending",
        "running",
        "waits for mutex the lock",
        "running",
        "waits for sleep",
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
