"""Seeing it: the event stream, the listing of tasks, the texts of what tasks wait for.

Owns: the format of the stream. Refuses: wall time, ids of objects, hash order: equal runs write
equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any, Protocol

from omega.concurrency.config import CANCELLED, COMPLETED, SUSPENDED, State
from omega.concurrency.task import Task
from omega.errors import OmegaError

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel
    from omega.concurrency.state import KernelState


CELL_MAX = 60  # characters of a name or a wait that are shown
TREE_INDENT = "  "


class TextOut(Protocol):
    def write(self, text: str, /) -> object: ...


def describe(event: Any, now_us: int | None = None) -> str:
    """What a wait is for, in words. An int is a sleep until that microsecond."""
    if event is None:
        return "its turn"
    if isinstance(event, int):
        return (
            "a sleep" if now_us is None else f"a sleep, {max(event - now_us, 0) / 1e6:.3g} s left"
        )
    return str(event.describe())


def stream_text(scheduler: Kernel, event: Any) -> str:
    """`describe` for the event stream: nothing in it depends on the machine's clock."""
    if isinstance(event, int):
        return "sleep"
    return describe(event)


def make_event(
    scheduler: KernelState, name: str, task: Task | None, fields: dict[str, Any]
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event": name,
        "slice": scheduler.turns,
        "steps": scheduler.steps_now(),
    }
    if scheduler.driver.virtual:
        event["us"] = scheduler.now_us()
    event["task"] = None if task is None else task.id
    event.update(fields)
    return event


def emit_end(scheduler: Kernel, task: Task) -> None:
    if task.state is COMPLETED:
        scheduler.emit("TaskCompleted", task, task_steps=task.steps)
    elif task.state is CANCELLED:
        request = task.outcome
        scheduler.emit(
            "TaskCancelled", task, task_steps=task.steps, reason=request.reason, by=request.by
        )
    else:
        error = task.outcome
        kind = error.kind if isinstance(error, OmegaError) else type(error).__name__
        scheduler.emit("TaskFailed", task, task_steps=task.steps, error=kind)


class EventWriter:
    """A listener that writes a line per event: name, slice, steps, virtual us, task, fields."""

    def __init__(self, file: TextOut) -> None:
        self._file = file

    def __call__(self, event: dict[str, Any]) -> None:
        words = []
        for key, value in event.items():
            if key == "event":
                continue
            words.append(f"{key}={'-' if value is None else _word(value)}")
        self._file.write(f"{event['event']} {' '.join(words)}\n")


def _word(value: Any) -> str:
    if isinstance(value, str):
        return (
            value if value and value.isprintable() and not set(value) & set(' "=') else repr(value)
        )
    if isinstance(value, (int, float)):
        return str(value)
    return f"<{type(value).__name__}>"


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One line of a task listing. since_slice: when its wait began, None if it does not wait."""

    id: str
    name: str | None
    state: State
    steps: int
    waits_for: str | None
    since_slice: int | None
    span: str | None


def tasks(scheduler: Kernel, listed: list[Task]) -> list[TaskLine]:
    lines = []
    now_us = scheduler.now_us()
    for task in listed:
        waits = task.state is SUSPENDED
        waits_for = describe(task.waiting, now_us) if waits else None
        remark = scheduler.remark(task) if waits and scheduler.remark is not None else None
        if remark is not None:
            waits_for = remark
        lines.append(
            TaskLine(
                task.id,
                task.name,
                task.state,
                steps_of(scheduler, task),
                waits_for,
                task.since if waits else None,
                place(task),
            )
        )
    return lines


def tree(lines: list[TaskLine]) -> str:
    """The lines as a table, each task below the one that made it."""
    rows = [("ID", "STATE", "STEPS", "NAME", "WAITS FOR")]
    above: list[str] = []  # those the next one may be below, outermost first
    for line in sorted(lines, key=lambda line: [int(n) for n in line.id.split(".")]):
        while above and not line.id.startswith(above[-1]):
            above.pop()
        depth = len(above)
        above.append(line.id + ".")
        waits = "" if line.waits_for is None else _cut(line.waits_for)
        if line.since_slice is not None and waits:
            waits += f" (since slice {line.since_slice:,})"
        name = _cut(line.name or "")
        rows.append((TREE_INDENT * depth + line.id, line.state, f"{line.steps:,}", name, waits))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    shown = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        shown.append("  ".join([*cells, row[4]]).rstrip())
    return "\n".join(shown)


def _cut(text: str) -> str:
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:CELL_MAX])
    return text if len(text) < CELL_MAX else text[: CELL_MAX - 3] + "..."


def place(task: Task) -> str | None:
    """`file:line` of what was spawned."""
    span = task.span
    if isinstance(span, CodeType):  # kept as it is, to save every spawn the text
        return f"{span.co_filename}:{span.co_firstlineno}"
    return None if span is None else str(span)


def steps_of(scheduler: Kernel, task: Task) -> int:
    """Steps of a task so far; exact also for the one that is running."""
    if task is scheduler.current and task.stack is not None:
        return task.steps + task.left - int(task.it.__length_hint__())
    return task.steps
