"""Standstill: what may still happen, and what to do when nothing can.

Owns: the order of ways out: start a task beyond the limits, else declare a deadlock.
Refuses: to wait; a driver asks when it has nothing to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omega.concurrency import deadlock
from omega.concurrency.task import Task

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


def may_progress(kernel: Kernel) -> bool:
    """With nothing ready: may anything still happen by itself? Daemons and limits do not count."""
    if kernel.externals or kernel.outside_holds:
        return True
    for _, _, target, gen, _ in kernel.timers.heap:
        if target.gen == gen and not (
            target.daemon if isinstance(target, Task) else target.passive
        ):
            return True
    return False


def resolve_idle(kernel: Kernel, closed: bool) -> bool:
    """Nothing is ready or will happen by itself. True: something was made ready after all.

    closed: no one outside can act either, so whoever is stuck is stuck for good.
    """
    if kernel.force_start():
        return True
    victim = deadlock.victim(kernel)
    if victim is None:
        return False
    error = deadlock.standstill_error(kernel)
    if closed:
        kernel.emit("Deadlock", victim, closed=True)
        kernel.throw(victim, error)
        return True
    # The host may act yet: it is told, once.
    if error.graph != kernel.stall:
        kernel.stall = error.graph
        kernel.emit("Deadlock", victim, closed=False)
        if kernel.on_stall is not None:
            kernel.on_stall(error)
    return False
