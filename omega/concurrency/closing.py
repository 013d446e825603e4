"""The end of a scheduler: stacks are unwound in order, none is left to the collector.

Owns: how long cleanup may take then, and what becomes of what does not end.
Refuses: cancelling and driving, which are scopes.py's and the driver's.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from greenlet import GreenletExit, getcurrent  # type: ignore[import-untyped]

from omega.concurrency import depth, limits, scopes
from omega.concurrency.clock import to_us
from omega.concurrency.scopes import CancelRequest
from omega.errors import HostError

if TYPE_CHECKING:
    from omega.concurrency.interface import Scheduler
    from omega.concurrency.scheduler import Kernel

CLOSE_S = 5.0  # how long cleanup, shields included, may take once a scheduler is closed
GUEST_CLOSE_S = 0.2  # the same inside a host's running loop, which stands still meanwhile
GIVE_UP_S = 1.0  # after that, for what is left to unwind
ROUNDS_MAX = (
    3  # how often a task that does not end is cancelled again before its stack is broken off
)


def close(scheduler: Scheduler) -> None:
    scheduler.check_thread()
    if scheduler.closed:
        return
    if scheduler.in_batch:
        raise HostError("a task cannot close its own scheduler")
    scheduler.host_acts("close", None)
    guest = scheduler.driver.is_guest_now()
    seconds = GUEST_CLOSE_S if guest else CLOSE_S
    scheduler.set_fuel(None)
    scheduler.set_wall_deadline(seconds)  # also shields end then
    request = CancelRequest("cancel", "the scheduler is closed", "host", scheduler.now_us())
    scopes.cancel_scope(scheduler, scheduler.root, request)
    scheduler.closed = True
    for external in list(scheduler.externals):
        external.abort("the scheduler is closed")
    try:
        _drive(scheduler, guest, scheduler.now_us() + to_us(seconds + GIVE_UP_S))
    finally:  # whoever interrupts it does not want to wait, and leaves nothing behind either
        _end(scheduler, guest, request)


def _end(scheduler: Scheduler, guest: bool, request: CancelRequest) -> None:
    left = sorted({external.label for external in scheduler.externals})
    break_stacks(scheduler)
    for task in limits.all_tasks(scheduler):
        if task.state == "pending":
            scheduler.end_unstarted(task, request)
    scheduler.driver.close(abandon=bool(left) or guest)
    if left and not guest and scheduler.driver.failure is None:
        warnings.warn(
            f"closed while still running: {', '.join(left)}", ResourceWarning, stacklevel=4
        )


def _drive(scheduler: Scheduler, guest: bool, until_us: int) -> None:
    """Let cancelled tasks clean up; inside a host's running loop only without waiting. Nothing of a
    run goes on that has stopped where it is.
    """
    if scheduler.driver.failure is not None:
        return
    if guest:
        for _ in range(ROUNDS_MAX):
            if scheduler.has_work():
                scheduler.run_batch()
        return
    is_late, down_us = False, scheduler.down_us

    def late() -> None:
        nonlocal is_late, down_us
        since_us, down_us = scheduler.down_us - down_us, scheduler.down_us
        if since_us:  # its process was killed meanwhile: see limits.was_down
            wait(until_us + since_us)
        else:
            is_late = True

    def wait(us: int) -> None:
        nonlocal until_us
        until_us = us
        scheduler.timers.call(us, late).passive = True

    wait(until_us)

    def is_over() -> bool:
        return is_late or (scheduler.live == 0 and not scheduler.externals)

    scheduler.driver.drive(is_over)


def break_stacks(kernel: Kernel) -> None:
    """Unwind what did not end by itself, in order, and let the idle stacks end."""
    kernel._breaking = True
    kernel._poll_at = -1  # a stack that gets control ends
    # What unwinds may be as deep as it was let to be: CPython 3.11 aborts below a lower limit.
    depth.enter(kernel.stack_depth)
    try:
        _break_all(kernel)
    finally:
        depth.leave()


def _break_all(kernel: Kernel) -> None:
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
