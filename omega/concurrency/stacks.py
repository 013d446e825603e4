"""Worker stacks: what a task runs on, and what is left when none does.

Owns: `live`, the outermost frame of every worker stack; `LentStacks`.
Refuses: to hold the kernel while the stack lies in the pool: the collector does not look into a
stack that has begun, so a kernel that nobody closed could never be collected.
"""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any

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


class LentStacks:
    """The idle stacks of a kernel that is put aside: one that runs meanwhile begins with them, and
    leaves those that are idle when it ends. spare, stacks, hub: of the one that is put aside.
    """

    def __init__(self, spare: list[Any], stacks: dict[Any, None], hub: Any) -> None:
        self._spare, self._stacks = spare, stacks
        self._hub = hub or getcurrent()
        self._lent = tuple(spare)

    def lend(self, kernel: Kernel) -> None:
        kernel._spare, kernel._stacks = self._spare, dict.fromkeys(self._spare)

    def take_back(self, kernel: Kernel) -> None:
        """Those that are idle now; what still runs ends with the kernel."""
        kernel._spare = []
        for stack in self._spare:
            del kernel._stacks[stack]
            if stack not in self._stacks:
                self._stacks[stack] = None
                stack.parent = self._hub  # and not the other kernel's, which is a task of this one

    def bury(self) -> None:
        """Forget those that ended with the kernel."""
        for stack in self._lent:
            if stack.dead:
                del self._stacks[stack]
