"""Waiting in the middle of a slice, inside of a host's event loop, which goes on meanwhile.

Owns: `Patience`: a piece of the driver's work that runs on a stack of its own, so that it can be
left in the middle, and is gone on with when the loop calls.
Refuses: to have anything else of the run happen meanwhile: for the run no time passes. Whoever
comes from the loop looks at `is_waiting` first.

What waits is the store, for room: a write is made wherever a task is, and the kernel is to know
nothing of it, since nothing of it is in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from omega.errors import HostError

SOON_S = 0.01  # between two looks whether those before have done


class Patience:
    """Of one driver. is_on: a loop of the host runs it. on_over: told when a wait is over."""

    # Invariant: at most one piece of work waits, and `_stack` is its; nothing else writes then.

    def __init__(self) -> None:
        self.is_on = False
        self.on_over: Callable[[], None] = lambda: None
        self._outer: greenlet = None  # the loop's stack, while a piece of work runs
        self._stack: greenlet = None  # of the piece that waits
        self._inner: greenlet = None  # where in it
        self._is_given_up = False
        self._handle: Any = None

    @property
    def is_waiting(self) -> bool:
        return self._inner is not None

    def wait(self, seconds: float) -> bool:
        """Within a piece of work: let the loop go on for so long. False: there is no loop that
        could, or nobody waits any more.
        """
        if self._outer is None or self._is_given_up:
            return False
        self._inner = getcurrent()
        self._outer.switch(seconds)
        return not self._is_given_up

    def call(self, act: Callable[[], Any], loop: Any) -> None:
        """`act()`, in a callback of the loop; if it waits, the loop calls us again."""
        if not self.is_on or self._outer is not None:
            act()
        else:
            self._go_on(self._made(act), loop)

    async def run(self, act: Callable[[], Any]) -> Any:
        """What `act()` answers, in a task of the loop. Others that wait come first."""
        import asyncio

        if not self.is_on or self._outer is not None:
            return act()
        while self.is_waiting:
            await asyncio.sleep(SOON_S)
        stack = self._made(act)
        told = self._switch(stack)
        while not stack.dead:
            try:
                await asyncio.sleep(told)
            except BaseException:
                self.give_up()
                raise
            if not stack.dead:  # else it was given up
                told = self._resumed(stack)
        return told

    def give_up(self) -> None:
        """The host waits no longer: whoever is waiting is told."""
        self._is_given_up = True
        if self._handle is not None:
            self._handle.cancel()
        if self.is_waiting:
            try:
                self._resumed(self._stack)
            except HostError:
                pass  # the run has stopped by that: it is the driver's `failure`

    def _made(self, act: Callable[[], Any]) -> greenlet:
        stack = greenlet(act)
        stack.gr_context = copy_context()
        return stack

    def _go_on(self, stack: greenlet, loop: Any) -> None:
        self._handle = None
        seconds = self._resumed(stack) if stack is self._stack else self._switch(stack)
        if not stack.dead:
            self._handle = loop.call_later(seconds, self._go_on, stack, loop)

    def _resumed(self, stack: greenlet) -> Any:
        inner, self._inner, self._stack = self._inner, None, None
        try:
            return self._switch(stack, inner)
        finally:
            if stack.dead:
                self.on_over()

    def _switch(self, stack: greenlet, inner: greenlet = None) -> Any:
        """Run it: for how many seconds it waits, or, once it is dead, what it has answered."""
        stack.parent = self._outer = getcurrent()
        try:
            told = stack.switch() if inner is None else inner.switch()
        finally:
            self._outer = None
        if self._inner is not None:
            self._stack = stack
        return told
