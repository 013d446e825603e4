"""Coroutines: bodies that stop in the middle to hand out a value, each on a stack of its own.

Owns: `Coroutine`, which switches straight between its stack and that of whoever asks; `close_all`,
for the end of a scope.
Refuses: to be a task. A coroutine runs as the task that asks it: its steps, its cancellation, its
turn. So when its body waits, that task waits, and nothing about the schedule is different.

Invariant: while a coroutine runs, `task.stack` of the task that asked is its stack; the scheduler
suspends and resumes whatever `task.stack` is. It comes back to the stack that asked, with the
scopes and barriers of the task as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from omega.concurrency.hub import on_hub
from omega.errors import Cancelled, TaskError

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel
    from omega.concurrency.scopes import Scope

END = object()  # what `resume` answers when the body has ended

_NEW, _IDLE, _RUNNING, _ENDED = range(4)


class Coroutine:
    """body(suspend) runs when it is first asked; `suspend(value)` hands out a value. locals: what
    Task.locals is while it runs.

    It belongs to the scope it is made in: when that ends, so does the coroutine, by `Cancelled`
    where it is suspended. It does not keep the scope open.
    """

    __slots__ = (
        "_asker", "_body", "_failure", "_holds", "_inner", "_is_closing", "_kernel", "_locals",
        "_scope", "_stack", "_state", "_value",
    )  # fmt: skip

    def __init__(
        self, kernel: Kernel, body: Callable[[Callable[[Any], None]], Any], locals: Any = None
    ) -> None:
        self._kernel, self._body, self._locals = kernel, body, locals
        self._scope = scope = kernel.running_task("make a generator").inner
        self._state = _NEW
        self._stack: greenlet = None
        self._asker: greenlet = None
        self._value: Any = None
        self._failure: BaseException | None = None
        self._is_closing = False
        self._inner: Scope | None = None
        self._holds = 0
        if scope.coroutines is None:
            scope.coroutines = {}
        scope.coroutines[self] = None

    def resume(self) -> Any:
        """Run the body up to the next value: that, or END once the body has ended. Raises what the
        body raises; TaskError when it is running already or its scope has ended.
        """
        state = self._state
        if state == _RUNNING:
            raise TaskError(
                "the generator is running already: it is asked by its own body, or by another task",
                hint="it gives one value at a time; a channel serves several tasks",
            )
        if self._is_closing:
            raise TaskError(
                "the generator has ended: the scope it was made in has",
                hint="take what is needed before the scope ends, or make it further out",
            )
        if state == _ENDED:
            return END
        if state == _NEW:
            self._state = _RUNNING  # other tasks may run before this one comes back from the hub
            # Its depth is counted from the stack that starts it: the shallow hub.
            on_hub(self._kernel, self._start)
        return self._switch()

    def _start(self) -> None:
        self._stack = stack = greenlet(self._live)
        stack.switch()
        self._kernel._stacks[stack] = None

    def _switch(self) -> Any:
        me = self._kernel.running_task("ask a generator for a value")
        outer, locals = me.stack, me.locals
        self._state = _RUNNING
        self._inner, self._holds = me.inner, len(me.holds or ())
        self._asker = getcurrent()
        me.stack, me.locals = self._stack, self._locals
        self._stack.switch()
        self._locals = me.locals
        me.stack, me.locals = outer, locals
        if self._state == _IDLE:
            value, self._value = self._value, None
            return value
        self._stack = None
        failure, self._failure = self._failure, None
        if failure is None:
            return END
        try:
            raise failure
        finally:
            failure = None  # a frame that keeps its own exception is a cycle

    def suspend(self, value: Any) -> None:
        """Hand out `value`, from the body; comes back when the next one is asked for."""
        if getcurrent() is not self._stack or self._state != _RUNNING:
            raise TaskError(
                "a generator's values are given by its own body, while it runs",
                kind="cannot-suspend-here",
                hint="another generator or task in it cannot do it: hand the values to the body",
            )
        me = self._kernel.running_task("give a value")
        if me.inner is not self._inner or len(me.holds or ()) != self._holds:
            raise TaskError(
                "a generator cannot give a value inside of a scope that its body has opened",
                kind="cannot-suspend-here",
                hint="scope, with-timeout, with-handler and the like end before the value is given",
            )
        if self._is_closing:
            raise TaskError("the generator is being closed", kind="cannot-suspend-here")
        self._value = value
        self._state = _IDLE
        asker, self._asker = self._asker, None
        asker.switch()
        if self._is_closing:
            raise Cancelled("the scope of the generator has ended")

    def _live(self) -> None:
        """The whole life of its stack."""
        stack = getcurrent()
        stack.gr_context = Context()
        stack.parent.switch()
        failure: BaseException | None = None
        try:
            self._body(self.suspend)
        except BaseException as raised:
            failure = raised
        kernel = self._kernel
        self._body = None  # type: ignore[assignment]
        self._scope.coroutines.pop(self, None)  # type: ignore[union-attr]
        self._state = _ENDED
        if kernel._breaking:
            return
        kernel._stacks.pop(stack, None)
        self._failure, failure = failure, None
        # Nothing comes back to this stack: whoever asked goes on as it ends.
        stack.parent, self._asker = self._asker, None

    def close(self) -> None:
        """End it where it is suspended; its cleanup runs now. One that runs in another task ends
        when it next gives a value.
        """
        self._is_closing = True
        if self._state == _NEW:
            self._state, self._body = _ENDED, None  # type: ignore[assignment]
        elif self._state == _IDLE:
            try:
                self._switch()
            except Cancelled:
                pass


def close_all(scope: Scope) -> None:
    """Close the coroutines of a scope that ends, the last made first."""
    while scope.coroutines:
        coroutine, _ = scope.coroutines.popitem()
        coroutine.close()
