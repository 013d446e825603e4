"""What only the hub does: posts of other threads, interrupts, timers, callbacks.

Owns: their order. Refuses: to run on a task's stack; callbacks get the host's own, shallow one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from omega.concurrency import limits, scopes
from omega.concurrency.scopes import CancelRequest
from omega.concurrency.task import Task
from omega.errors import Closed

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


def do_chores(kernel: Kernel) -> None:
    """What only the hub does, under the host's recursion limit: posts, timers, callbacks."""
    if kernel._interrupted:
        kernel._interrupted = False
        kernel.driver.heard_interrupt()
        interrupted(kernel)
    if kernel.inbox.filled:
        take_posts(kernel)
    if kernel.timers.heap:
        now = kernel.driver.due_us()
        entry = kernel.timers.pop_due(now)
        while entry is not None:
            _, _, target, gen, branch = entry
            if isinstance(target, Task):
                kernel.claim(target, gen, branch)
            else:
                target.fire()
            entry = kernel.timers.pop_due(now)
    while kernel.chores:
        kernel.chores.popleft()()


def take_posts(kernel: Kernel) -> None:
    """Every call posted so far is made, whatever the others raise; the host gets the first error.

    What comes too late for a scheduler that is closed is dropped.
    """
    first: Exception | None = None
    for call in kernel.inbox.take():
        try:
            call()
        except Exception as error:
            if first is None and not (kernel.closed and isinstance(error, Closed)):
                first = error
    try:
        if first is not None:
            raise first
    finally:
        first = None  # a frame that keeps its own exception is a cycle


def interrupted(scheduler: Kernel) -> None:
    """Ctrl-C reaches the hub: the host's handler decides, else what it waits for ends."""
    if scheduler.on_interrupt is not None:
        scheduler.on_interrupt()
        return
    cancel_watched(scheduler)


def cancel_watched(kernel: Kernel) -> bool:
    """Cancel what the host waits for. False: it waits for no task."""
    watched = [task for task in limits.all_tasks(kernel) if task.terms.watched]
    for task in watched:
        request = CancelRequest("cancel", "interrupted", "host", kernel.now_us())
        scopes.cancel_task(kernel, task, request)
    return bool(watched)


def on_hub(kernel: Kernel, function: Callable[[], Any]) -> Any:
    """`function()`, called by the hub: on a shallow stack, under the host's recursion limit.

    The task keeps its place; nothing may wait inside. Outside of tasks it is just called.
    """
    me = kernel.current
    if me is None:
        return function()
    context = copy_context()
    value: Any = None
    failure: BaseException | None = None

    def errand() -> None:
        nonlocal value, failure
        try:
            value = context.run(function)
        except BaseException as error:
            failure = error

    kernel.chores.appendleft(errand)
    kernel.visit_hub(me)
    if failure is None:
        return value
    try:
        raise failure
    finally:
        failure = None  # a frame that keeps its own exception is a cycle
