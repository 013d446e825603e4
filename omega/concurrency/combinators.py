"""Waits made of `sync`, `spawn` and scopes: several tasks, races, parallel maps.

Owns: their meanings, as the table of concurrency.md gives them. Refuses: anything the kernel has no
public name for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from omega.concurrency import endings, scoped
from omega.concurrency.config import CANCELLED, COMPLETED, ERROR
from omega.concurrency.events import UNREADY, Choose, EndEvent, Event
from omega.concurrency.sync import Semaphore
from omega.concurrency.task import Task
from omega.errors import HostError

if TYPE_CHECKING:
    from omega.concurrency.interface import Scheduler

Mode = Literal["all", "fail-fast", "settle"]
OnError = Literal["raise", "keep"]


class GroupEvent(Event):
    """The end of several tasks; `until_failure`: or the first failure among them.

    Cheap for any number of tasks.
    """

    __slots__ = ("_left", "tasks", "until_failure")
    stays = True

    def __init__(self, tasks: Sequence[Task], until_failure: bool) -> None:
        self.tasks = tasks
        self.until_failure = until_failure
        # Of the tasks, so many may not have ended: those behind them have.
        self._left = len(tasks)

    def try_now(self, scheduler: Any, task: Task) -> Any:
        for each in self.tasks:
            each.observed = True
        if self.until_failure and any(
            each.state is ERROR or each.state is CANCELLED for each in self.tasks
        ):
            return None
        return UNREADY if self._last() is not None else None

    def _last(self) -> Task | None:
        """The last of the tasks that have not ended.

        Watching that one is enough: those started first mostly end first, so few are ever watched.
        """
        left = self._left
        while left and self.tasks[left - 1].is_done:
            left -= 1
        self._left = left
        return self.tasks[left - 1] if left else None

    def block(self, scheduler: Any, task: Task, branch: int) -> None:
        waiter = (task, task.gen, branch)

        def ended(each: Task) -> None:
            if task.gen != waiter[1]:
                return
            if self.until_failure and each.state is not COMPLETED:
                scheduler.claim(*waiter)
                return
            last = self._last()
            if last is None:
                scheduler.claim(*waiter)
            elif not self.until_failure:
                last.watch(self, ended)

        for each in self.waits_on() if self.until_failure else [self._last()]:
            if each is not None:
                each.watch(self, ended)

    def lost(self, scheduler: Any, task: Task) -> None:
        for each in self.waits_on():
            each.unwatch(self)

    @property
    def links(self) -> bool:  # type: ignore[override]
        return not self.until_failure

    def waits_on(self) -> list[Task]:
        return [each for each in self.tasks if not each.is_done]

    def describe(self) -> str:
        left = self.waits_on()
        shown = ", ".join(task.label for task in left[:5])
        return f"tasks {shown}{', ...' if len(left) > 5 else ''}"


def await_all(scheduler: Scheduler, tasks: Iterable[Task], mode: Mode) -> list[Any]:
    listed = list(tasks)
    if mode not in ("all", "fail-fast", "settle"):
        raise HostError(f"await_all has modes all, fail-fast and settle, not {mode!r}")
    if mode == "fail-fast":
        scheduler.sync(GroupEvent(listed, until_failure=True))
        failed = [task for task in listed if task.is_done and task.state is not COMPLETED]
        for task in reversed(listed):
            if failed and not task.is_done:
                scheduler.cancel(task, f"task {failed[0].label} failed")
    scheduler.sync(GroupEvent(listed, until_failure=False))
    if mode == "settle":
        return [endings.outcome_of(task) for task in listed]
    failed = [task for task in listed if task.state is ERROR] or [
        t for t in listed if t.state is CANCELLED
    ]
    if failed:
        raise endings.tasks_failed(listed, failed)
    return [task.outcome for task in listed]


def await_any(scheduler: Scheduler, tasks: Iterable[Task]) -> tuple[Task, Any]:
    """(the first task to complete, its value); losers run on. All failed: TasksFailed."""
    listed = list(tasks)
    if not listed:
        raise HostError("await_any needs at least one task")
    waiting = listed
    while waiting:
        task = scheduler.sync(Choose(tuple(EndEvent(task) for task in waiting)))
        if task.state is COMPLETED:
            return task, task.outcome
        waiting = [other for other in waiting if other is not task]
    failed = [task for task in listed if task.state is ERROR] or listed
    error = endings.tasks_failed(listed, failed)
    raise error


def await_first(scheduler: Scheduler, tasks: Iterable[Task]) -> Task:
    """The first task to end, however; ties: the lowest index."""
    listed = list(tasks)
    if not listed:
        raise HostError("await_first needs at least one task")
    ended: Task = scheduler.sync(Choose(tuple(EndEvent(task) for task in listed)))
    return ended


def span_of(body: Callable[..., Any]) -> Any:
    """Where the layer above says that `body` was defined; see `Task.span`."""
    return getattr(body, "span", None)


def race(scheduler: Scheduler, thunks: Iterable[Callable[[], Any]]) -> Any:
    """The value of the first thunk to complete; the others are cancelled, and waited for."""
    listed = list(thunks)

    def body() -> Any:
        tasks = [scheduler.spawn(thunk, span=span_of(thunk)) for thunk in listed]
        winner, value = await_any(scheduler, tasks)
        for task in reversed(tasks):
            scheduler.cancel(task, f"task {winner.label} won the race")
        return value

    return scoped.with_scope(scheduler, body, name="race")


def par_map(
    scheduler: Scheduler,
    function: Callable[[Any], Any],
    items: Iterable[Any],
    max_par: int | None,
    on_error: OnError,
) -> list[Any]:
    """`function` of every item, each in its own task, at most `max_par` at a time."""
    if on_error not in ("raise", "keep"):
        raise HostError(f"par_map's on_error is raise or keep, not {on_error!r}")
    if max_par is not None and max_par < 1:
        raise HostError(f"par_map's max_par is at least 1, not {max_par}")
    slots = None if max_par is None else Semaphore(scheduler, max_par)
    tasks: list[Task] = []
    span = span_of(function)

    def body() -> None:
        for item in items:
            if slots is not None:
                slots.acquire()
            task = scheduler.spawn(partial(function, item), span=span)
            task.observed = (
                on_error == "keep"
            )  # else a failure ends the scope, and so the rest, at once
            tasks.append(task)
            if slots is not None:
                task.watch(slots, lambda _: slots.release())

    scoped.with_scope(scheduler, body, name="par-map")
    # What was cancelled here was cancelled for the waiter's sake: nobody may take it for a failure.
    scheduler.check_cancellation()
    if on_error == "keep":
        return [endings.outcome_of(task) for task in tasks]
    for task in tasks:
        if task.state is CANCELLED:
            raise task.cancelled_error()
    return [task.outcome for task in tasks]
