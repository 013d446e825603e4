"""Deadlocks: who waits for whom, cycles found at once, and the report when nothing can ever happen.

Owns: the wait-for graph. Refuses: to decide when to look; sync asks about cycles, the driver about
standstill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omega.concurrency import limits, listing
from omega.concurrency.config import SUSPENDED
from omega.concurrency.events import Event
from omega.concurrency.scopes import Scope
from omega.concurrency.task import Task
from omega.errors import Deadlock

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

CYCLE_WALK_MAX = 10_000  # tasks looked at for a cycle; a longer one is found at the standstill
GRAPH_LINES_MAX = 100


def check_cycle(kernel: Kernel, me: Task, event: Event) -> None:
    """Raise Deadlock if waiting for `event` would close a cycle of waits."""
    came_from: dict[Task, Task] = {}
    work = [(me, target) for target in event.waits_on()]
    while work and len(came_from) < CYCLE_WALK_MAX:
        source, task = work.pop()
        if task is me:
            path = [source]
            while path[-1] is not me:
                path.append(came_from[path[-1]])
            raise cycle_error(me, event, path)
        if task in came_from or task.state is not SUSPENDED:
            continue
        came_from[task] = source
        waiting = task.waiting
        if isinstance(waiting, Scope) or (isinstance(waiting, Event) and waiting.links):
            work.extend((task, target) for target in waiting.waits_on())
    kernel.owe(len(came_from) // 2)


def cycle_error(me: Task, event: Event, path: list[Task]) -> Deadlock:
    """The error for `me`, which is about to wait for `event`; `path` leads back, from its end."""
    path.reverse()  # from me on
    takes = event.held
    if len(path) == 1:
        what = f": it holds {event.describe()} already" if takes else ""
        return Deadlock(f"task {me.label} waits for itself{what}", hint=cycle_hint(takes))
    lines = []
    for i, task in enumerate(path):
        waiting = event if task is me else task.waiting
        takes = takes or (isinstance(waiting, Event) and waiting.held)
        lines.append(wait_line(task, waiting, [path[(i + 1) % len(path)]]))
    return Deadlock("a cycle of waits\n  " + "\n  ".join(lines), hint=cycle_hint(takes))


def cycle_hint(takes: bool) -> str:
    if takes:
        return "what one task holds it takes once; several are taken in the same order everywhere"
    return "a task may only wait for tasks that do not wait for it"


def standstill_error(scheduler: Kernel) -> Deadlock:
    """The error for a standstill: the whole graph, in words and as `.graph`."""
    lines = wait_graph(scheduler)
    shown = lines[:GRAPH_LINES_MAX]
    if len(lines) > len(shown):
        shown.append(f"... and {len(lines) - len(shown)} more")
    error = Deadlock(
        "deadlock: nothing can ever happen\n  " + "\n  ".join(shown),
        hint="another task has to send, release, put or close what is waited for before it ends or"
        " waits itself; a task that only serves others may be a daemon",
    )
    error.graph = tuple(lines)
    return error


def wait_graph(scheduler: Kernel) -> list[str]:
    """A line per suspended task: what it waits for, who would have to act, where it was spawned."""
    lines = []
    for task in limits.all_tasks(scheduler):
        if task.state is not SUSPENDED:
            continue
        waiting = task.waiting
        on = [] if waiting is None or isinstance(waiting, int) else waiting.waits_on()
        lines.append(wait_line(task, waiting, on))
    return lines


def wait_line(task: Task, waiting: Any, on: list[Task]) -> str:
    """`task` waits for `waiting`: what that is, which of the tasks `on` would have to act."""
    line = f"task {task.label} waits for {listing.describe(waiting)}"
    if on and not line.endswith(on[0].label):
        word = "held by" if isinstance(waiting, Event) and waiting.held else "that is"
        line += f", {word} {', '.join(_shown(other) for other in on)}"
    where = listing.place(task)
    return line if where is None else f"{line} (spawned at {where})"


def _shown(task: Task) -> str:
    """A task that would have to act; its state is news when it has ended."""
    return f"task {task.label}" + (f" ({task.state})" if task.is_done else "")


def victim(scheduler: Kernel) -> Task | None:
    """Who gets the error: the stuck task the host waits for, else the oldest foreground one.

    Not who waits for the end of a scope that was told to end: that changes nothing. Whoever keeps
    the scope open, behind a shield perhaps, is stuck as well.
    """
    stuck = [
        task
        for task in limits.all_tasks(scheduler)
        if task.state is SUSPENDED
        and task.waiting is not None
        and not (isinstance(task.waiting, Scope) and task.waiting.cancel is not None)
    ]
    for task in stuck:
        if task.terms.watched:
            return task
    for task in stuck:
        if not task.daemon or task.terms.cancel is not None:  # a daemon that was told to end counts
            return task
    return None
