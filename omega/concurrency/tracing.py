"""A trace of a run for viewers such as Perfetto and chrome://tracing: a lane per task.

Owns: `TraceWriter`, the translation of the event stream.
Refuses: files (whoever opens one closes it), and to know what a task does.
Source: the Trace Event Format, JSON array form. An event is a line, so a trace that was broken off
can be read as well.

What is shown: a span for each state of a task (pending, running, what it waits for, and ready, when
that has happened and it waits for its turn), an arrow from where it was made to where it starts,
calls of models as spans of their own with the wait for a slot before them, how many are in flight,
and a mark for each cancel, failure, timeout and deadlock.
"Running" means started and not waiting: that tasks take turns on one processor shows in the steps
that a span has taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from omega.concurrency.listing import TextOut

TASKS, MODELS = 1, 2  # what viewers call processes
_LANES = {TASKS: "tasks", MODELS: "calls of models"}
_ENDS = {"TaskCompleted": "completed", "TaskFailed": "failed", "TaskCancelled": "cancelled"}
_MARKS = frozenset(
    {"Deadlock", "SliceOverrun", "CleanupOverrun", "TimeoutOverrun", "TaskFailed", "TaskCancelled"}
)
_OWN = frozenset({"event", "slice", "steps", "us", "task"})


class TraceWriter:
    """A listener that writes the trace to `file`. now_us: the time, in microseconds."""

    def __init__(self, file: TextOut, now_us: Callable[[], int]) -> None:
        self._write: Callable[[str], object] = file.write
        self._now_us = now_us
        self._lanes: dict[str, int] = {}  # task id -> lane
        self._open: dict[str, int] = {}  # task id -> steps of all when its span began
        self._calls: dict[str, str] = {}  # call -> the span it is in
        self._in_flight = 0
        self._is_first = True
        file.write("[")
        for process, name in _LANES.items():
            self._put("M", "process_name", process, 0, None, args={"name": name})

    def __call__(self, event: dict[str, Any]) -> None:
        name, task = event["event"], event["task"]
        now = self._now_us()
        details = {key: value for key, value in event.items() if key not in _OWN}
        if name.startswith("LLM"):
            self._call(name, task, details, now)
        elif name == "TaskCreated":
            self._created(task, details["name"], now)
        elif name == "TaskStarted":
            lane = self._lane(task)
            self._put("f", "spawn", TASKS, lane, now, id=lane, bp="e", cat="spawn")
            self._span(task, "running", now, event["steps"])
        elif name == "TaskResumed":
            self._span(task, "running", now, event["steps"])
        elif name == "TaskReady":
            self._span(task, "ready", now, event["steps"])
        elif name == "TaskSuspended":
            self._span(task, f"waits for {details['waits_for']}", now, event["steps"])
        elif name in _ENDS:
            self._end(task, now, event["steps"], {"outcome": _ENDS[name], **details})
        if name in _MARKS:
            lane = self._lanes.get(task, 0)
            self._put("i", name, TASKS, lane, now, s="t" if lane else "g", args=_json(details))

    def close(self) -> None:
        """End what is open; the trace is whole, and what happens now is no part of it. Whoever
        opened the file closes it.
        """
        now = self._now_us()
        for task in list(self._open):
            self._end(task, now, None, {"outcome": "not ended"})
        for call in list(self._calls):
            self._call_span(call, None, now, {})
        self._write("\n]\n")
        self._write = lambda text: None

    # -- tasks ---------------------------------------------------------------------------------

    def _lane(self, task: str, name: str | None = None) -> int:
        lane = self._lanes.get(task)
        if lane is None:
            lane = self._lanes[task] = len(self._lanes) + 1
            shown = f'{task} "{name}"' if name else task
            self._put("M", "thread_name", TASKS, lane, None, args={"name": shown})
            self._put("M", "thread_sort_index", TASKS, lane, None, args={"sort_index": lane})
        return lane

    def _created(self, task: str, name: str | None, now: int) -> None:
        lane = self._lane(task, name)
        parent = self._lanes.get(task.rpartition(".")[0])
        self._put("s", "spawn", TASKS, parent or lane, now, id=lane, cat="spawn")
        self._open[task] = 0
        self._put("B", "pending", TASKS, lane, now, cat="task")

    def _span(self, task: str, name: str, now: int, steps: int) -> None:
        """The span of `task` ends, the next one begins."""
        if task in self._open:
            self._end(task, now, steps, {})
        self._open[task] = steps
        self._put("B", name, TASKS, self._lane(task), now, cat="task")

    def _end(self, task: str, now: int, steps: int | None, details: dict[str, Any]) -> None:
        began = self._open.pop(task, None)
        if began is None:
            return
        args = _json(details)
        if steps is not None:
            args["steps of all tasks"] = steps - began
        self._put("E", None, TASKS, self._lane(task), now, args=args)

    # -- calls of models -----------------------------------------------------------------------

    def _call(self, name: str, task: str, details: dict[str, Any], now: int) -> None:
        call = details.pop("call")
        if name == "LLMQueued":
            self._call_span(call, "queued", now, {"task": task})
            return
        if name == "LLMStarted":
            self._in_flight += 1
            self._call_span(call, f"attempt {details['attempt']}", now, {})
        else:
            if self._calls.get(call, "").startswith("attempt"):
                self._in_flight -= 1
            following = "waits to be tried again" if details["outcome"] == "retry" else None
            self._call_span(call, following, now, details)
        args = {"in flight": self._in_flight}
        self._put("C", "calls in flight", MODELS, 0, now, args=args)

    def _call_span(self, call: str, name: str | None, now: int, details: dict[str, Any]) -> None:
        """The span of a call ends, the next one, if there is one, begins."""
        last = self._calls.pop(call, None)
        if last is not None:
            self._put("e", last, MODELS, 0, now, id=call, cat="llm", args=_json(details))
        if name is not None:
            self._calls[call] = name
            self._put("b", name, MODELS, 0, now, id=call, cat="llm", args={"call": call})

    # -- the file ------------------------------------------------------------------------------

    def _put(
        self, kind: str, name: str | None, process: int, lane: int, now: int | None, **more: Any
    ) -> None:
        event: dict[str, Any] = {"ph": kind, "pid": process, "tid": lane}
        if name is not None:
            event["name"] = name
        if now is not None:
            event["ts"] = now
        event.update((key, value) for key, value in more.items() if value)
        comma = "" if self._is_first else ","
        self._is_first = False
        self._write(f"{comma}\n{json.dumps(event)}")


def _json(details: dict[str, Any]) -> dict[str, Any]:
    """Details as JSON has them."""
    return {
        key: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for key, value in details.items()
    }
