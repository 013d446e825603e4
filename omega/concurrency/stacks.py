"""Worker stacks: what a task runs on, and what is left when none does.

Owns: `live`, the outermost frame of every worker stack.
Refuses: to hold the kernel while the stack lies in the pool: the collector does not look into a
stack that has begun, so a kernel that nobody closed could never be collected.
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING

from greenlet import getcurrent  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


def live(first: list[Kernel]) -> None:
    """Run tasks whenever the stack is taken from the pool; it is given its kernel each time. first:
    holds the kernel at first, as a stack keeps to its end what it began with.
    """
    kernel: Kernel | None = first.pop()
    getcurrent().gr_context = Context()
    while kernel is not None:
        following = kernel._work(getcurrent())
        if following is None:
            return
        kernel = None
        kernel = following.switch()
