"""The end of a scheduler: stacks are unwound in order, none is left to the collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import GreenletExit, getcurrent  # type: ignore[import-untyped]

from omega.concurrency import limits, scopes
from omega.concurrency.driver import Driver
from omega.concurrency.scopes import CancelRequest
from omega.errors import HostError

if TYPE_CHECKING:
    from omega.concurrency.interface import Scheduler
    from omega.concurrency.scheduler import Kernel

ROUNDS_MAX = (
    3  # how often a task that does not end is cancelled again before its stack is broken off
)


def close(scheduler: Scheduler) -> None:
    scheduler.check_thread()
    if scheduler.closed:
        return
    if scheduler.in_batch:
        raise HostError("a task cannot close its own scheduler")
    scheduler.set_wall_deadline(None)
    scheduler.set_fuel(None)
    request = CancelRequest("cancel", "the scheduler is closed", "host", scheduler.now_us())
    scopes.cancel_scope(scheduler, scheduler.root, request)
    scheduler.closed = True
    for external in list(scheduler.externals):
        external.abort("the scheduler is closed")
    _drive(scheduler, scheduler.driver)
    break_stacks(scheduler)
    for task in limits.all_tasks(scheduler):
        if task.state == "pending":
            scheduler.end_unstarted(task, request)
    scheduler.driver.close()


def _drive(scheduler: Scheduler, driver: Driver) -> None:
    """Let cancelled tasks clean up; inside a host's running loop only without waiting."""
    if driver.is_guest_now():
        for _ in range(ROUNDS_MAX):
            if scheduler.has_work():
                scheduler.run_batch()
        return
    driver.drive(lambda: scheduler.live == 0 and not scheduler.externals)


def break_stacks(kernel: Kernel) -> None:
    """Unwind what did not end by itself, in order, and let the idle stacks end."""
    kernel._breaking = True
    kernel._poll_at = -1  # a stack that gets control ends
    for task in limits.all_tasks(kernel):
        if task.stack is not None:
            kernel.current = task
            task.stack.parent = getcurrent()
            task.stack.throw(GreenletExit)
    kernel.current = None
    for stack in list(kernel._stacks):
        if not stack.dead:
            stack.parent = getcurrent()
            stack.throw(GreenletExit)
    kernel._stacks.clear()
    kernel._spare.clear()
