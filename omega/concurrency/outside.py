"""What comes from outside: coroutines and blocking calls, and what threads post.

Owns: External, Inbox. Refuses: to run anything itself; the driver does, and calls back on the hub.

Invariant: an External is in `scheduler.externals` from its request until it has really ended;
`on_done` is called exactly once, on the hub, when it leaves. `on_part` is called before that, for
every part of the result that its coroutine tells (`Driver.tell`).
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from omega.concurrency.events import UNREADY, Event
from omega.concurrency.task import Task, Waiters
from omega.errors import Cancelled

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

Start = Callable[[], Coroutine[Any, Any, Any]]


class External:
    """One effect in flight outside. `event` is its end: its result, or its error raised.

    done: it has really ended, cleanup included. abort_reason: set once its end was asked for.
    subject: what is asked of whom, for a driver that records it; set by whoever made it.
    effect_class: whether it may be made again when nobody knows what came of it ("pure"), or not
    without further ado ("idempotent", "paid"): see omega/durable; set by whoever made it.
    on_part: called on the hub with every part of the result; set by whoever made it. is_behind:
    they are not wanted yet: its coroutine waits until `go_on`.
    """

    __slots__ = (
        "abort_reason",
        "begun",
        "context",
        "done",
        "effect_class",
        "error",
        "event",
        "function",
        "handle",
        "is_behind",
        "label",
        "on_done",
        "on_part",
        "scheduler",
        "start",
        "subject",
        "value",
        "waiters",
    )  # fmt: skip

    def __init__(
        self,
        scheduler: Kernel,
        start: Start | None,
        function: Callable[[], Any] | None,
        on_done: Callable[[External], None] | None,
        label: str,
    ) -> None:
        self.scheduler = scheduler
        self.start = start
        self.function = function
        self.on_done = on_done
        self.label = label
        self.subject: Any = None
        self.effect_class = "pure"
        self.on_part: Callable[[Any], None] | None = None
        self.is_behind = False
        self.context = contextvars.copy_context()
        self.done = False
        self.begun = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.handle: Any = None  # the driver's own
        self.waiters = Waiters()
        self.abort_reason: str | None = None
        self.event = ExternalEvent(self)
        scheduler.externals[self] = None
        scheduler.add_chore(self.begin)

    def begin(self) -> None:
        if self.done:
            return
        if self.abort_reason is not None:
            self.finish(None, Cancelled(self.abort_reason))
            return
        self.begun = True
        if self.start is not None:
            self.scheduler.driver.start(self)
        else:
            self.scheduler.driver.start_blocking(self)

    def abort(self, reason: str | None = None) -> bool:
        """Ask it to end.

        False: it has ended, or was asked before. Its slot is free when `on_done` is called.
        """
        if self.done or self.abort_reason is not None:
            return False
        self.abort_reason = reason or "aborted"
        if self.begun:
            self.scheduler.add_chore(self._abort)
        return True

    def _abort(self) -> None:
        if not self.done:
            self.scheduler.driver.abort(self)

    def told(self, part: Any) -> None:
        """The driver's report, on the hub: a part of the result."""
        if self.on_part is not None:
            self.on_part(part)

    def go_on(self) -> None:
        """More parts are wanted."""
        if self.is_behind:
            self.is_behind = False
            self.scheduler.add_chore(self._go_on)

    def _go_on(self) -> None:
        if not self.done:
            self.scheduler.driver.go_on(self)

    def finish(self, value: Any, error: BaseException | None) -> None:
        """The driver's report, on the hub: it has really ended."""
        assert not self.done
        self.done = True
        self.value = value
        self.error = error
        self.start = self.function = self.handle = None
        scheduler = self.scheduler
        del scheduler.externals[self]
        if self.on_done is not None:
            self.on_done(self)
        scheduler.wake_all(self.waiters)


class ExternalEvent(Event):
    __slots__ = ("external",)
    stays = True

    def __init__(self, external: External) -> None:
        self.external = external

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        external = self.external
        if not external.done:
            return UNREADY
        if external.error is not None:
            raise external.error
        return external.value

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        self.external.waiters.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        """Nobody waits any more: its answer is not wanted."""
        self.external.waiters.forget()
        if not self.external.waiters:
            self.external.abort("its answer is no longer waited for")

    def describe(self) -> str:
        return self.external.label


class OutsideHold:
    """Marks an outside source that may still act, so no deadlock is declared.

    A context manager; `release` once.
    """

    __slots__ = ("_held", "_scheduler")

    def __init__(self, scheduler: Kernel) -> None:
        self._scheduler = scheduler
        self._held = True
        scheduler.outside_holds += 1

    def release(self) -> None:
        if self._held:
            self._held = False
            self._scheduler.outside_holds -= 1
            self._scheduler.driver.notify()

    def __enter__(self) -> OutsideHold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Inbox:
    """Calls posted by other threads, for the hub. The only place of the kernel two threads touch.

    `deque.append` and `popleft` are atomic; `filled` may be stale for an instant, the driver's
    wake-up covers that.
    """

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()

    @property
    def filled(self) -> bool:
        return bool(self._calls)

    def inherit(self, other: Inbox) -> None:
        """Take the place of `other`, with what was posted to it and whatever still is."""
        self._calls = other._calls

    def post(self, call: Callable[[], None]) -> None:
        self._calls.append(call)

    def take(self) -> list[Callable[[], None]]:
        """Those posted so far; what they post meanwhile waits for the next visit."""
        return [self._calls.popleft() for _ in range(len(self._calls))]
