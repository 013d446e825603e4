"""Python callables as procedures of a program: how a call of one is made, waited for and told of.

Owns: `HostFunctions`, one per interpreter.
Refuses: converting values (the seam does), the stack they run on (host_stack.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omega.concurrency import External, Scheduler
from omega.errors import HostError
from omega.host_stack import HostStack
from omega.lisp.data import Keyword
from omega.lisp.procedure import Seam, host_failure

if TYPE_CHECKING:
    from omega.effects import Door


class HostFunctions:
    def __init__(self, scheduler: Scheduler, seam: Seam, stack: HostStack, door: Door) -> None:
        self._scheduler, self._seam, self._stack, self._door = scheduler, seam, stack, door

    def procedure(
        self, function: Any, name: str, *, blocking: bool = False, reentrant: bool = False
    ) -> Any:
        """The Lisp side of a Python callable: trailing `:key value` pairs become keywords."""
        from omega.lisp.host_calls import (
            is_coroutine,
            is_coroutine_function,
            refused,
            split_keywords,
        )

        seam, door = self._seam, self._door
        is_async = is_coroutine_function(function)

        def call(positional: list[Any], keywords: dict[str, Any]) -> Any:
            asked = [*positional, *keywords.items()]
            if is_async and door.tap is not None and self._scheduler.current is not None:
                # It is called when its coroutine is run: a replay does not.
                external = self._scheduler.external(
                    lambda: function(*positional, **keywords), waits_for=name
                )
                return self._waited(external, name, asked)
            if blocking and self._scheduler.current is not None:
                return self._waited(
                    self._scheduler.blocking(
                        lambda: function(*positional, **keywords), waits_for=name
                    ),
                    name,
                    asked,
                )

            def run() -> Any:
                return self._run(function, name, positional, keywords, reentrant)

            is_outside = self._scheduler.current is None
            try:
                value = run() if door.tap is None else door.tap.host(name, asked, run)
            finally:
                if not is_outside:
                    self._scheduler.driver.host_returned(name)
            return self._awaited(value, name, asked) if is_coroutine(value) else value

        def host(*arguments: Any) -> Any:
            positional = [seam.to_host(a) for a in arguments]
            keywords: dict[str, Any] = {}
            if Keyword in map(type, positional):
                positional, keywords = split_keywords(name, positional)
            failure: Exception | None = None
            try:
                value = call(positional, keywords)
            except Exception as raised:
                failure = raised
            if isinstance(failure, TypeError):
                failure = refused(function, name, positional, keywords, failure) or failure
            if failure is not None:
                raise host_failure(name, failure)
            return seam.from_host(value)

        host.__name__ = host.__qualname__ = name
        host.__doc__ = f"({name} ...)\n\n{getattr(function, '__doc__', None) or ''}"
        host.host_original = function  # type: ignore[attr-defined]
        return host

    def _run(
        self,
        function: Callable[..., Any],
        name: str,
        positional: list[Any],
        keywords: dict[str, Any],
        reentrant: bool,
    ) -> Any:
        """Call it in the slice."""
        scheduler, stack = self._scheduler, self._stack
        if scheduler.current is None:
            return function(*positional, **keywords)
        if reentrant:
            return stack.run(function, positional, keywords, may_wait=True)
        with scheduler.no_switch(name):
            return stack.run(function, positional, keywords, may_wait=False)

    def _awaited(self, coroutine: Any, name: str, asked: list[Any]) -> Any:
        if self._scheduler.current is None:
            coroutine.close()
            raise HostError(f"`{name}` is asynchronous and can only be called from a task")
        external = self._scheduler.external(lambda: coroutine, waits_for=name)
        try:
            return self._waited(external, name, asked)
        finally:
            if external.handle is None:  # it was told what came of it, and nobody runs it
                coroutine.close()

    def _waited(self, external: External, name: str, asked: list[Any]) -> Any:
        if self._door.tap is not None and self._scheduler.current is not None:
            self._door.tap.waits(external, name, asked)
        return self._scheduler.sync(external.event)
