"""Functions of the host, by what they do outside: see taps.py for the classes.

Owns: `classified`. Refuses: to call them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial, wraps
from typing import TYPE_CHECKING, Any
from weakref import finalize

from omega.errors import Cancelled, HostError
from omega.lisp.host_calls import is_coroutine, is_coroutine_function
from omega.runs.taps import CLASSES
from omega.tape.values import decode_error, encode_error

# What ends the stack of a task, and what cancels a coroutine: by name, to load nothing.
UNWINDS, CANCELS = "GreenletExit", "CancelledError"

if TYPE_CHECKING:
    from omega.runs.session import DurableSession


def classified(
    session: Any,
    name: str,
    value: Any,
    effect: str,
    *,
    blocking: bool,
    may_wait: bool,
    is_interrupted: Callable[[], bool],
) -> Any:
    """`value` as it is bound: a function that is transactional is given a connection. session: of
    the interpreter it is bound in. may_wait: procedures that it calls may. is_interrupted: whether
    somebody has pressed Ctrl-C just now. Raises HostError.
    """
    if effect not in CLASSES:
        raise HostError(
            f"define: effect is one of {', '.join(CLASSES)}, got {effect!r}",
            hint="it says what may be done when nobody knows whether the function was called",
        )
    if not callable(value):
        raise HostError(f"define: `{name}` is no function, and has no effect class")
    if effect == "transactional":
        if blocking or is_coroutine_function(value):
            raise HostError(
                f"define: `{name}` is transactional, and so is called in the store's transaction:"
                " it cannot be blocking or `async def`"
            )
        value = _transactional(session, name, value)
    durable = _durable(session)
    if durable is not None:
        durable.classes[name] = effect
        return _failing(value, is_interrupted, may_wait, is_kept=effect != "pure")
    return value


def _failing(
    function: Callable[..., Any],
    is_interrupted: Callable[[], bool],
    may_wait: bool,
    *,
    is_kept: bool,
) -> Any:
    """`function`, whose SystemExit and the like are failures as others are: what it has raised is
    known, and kept. Left to end the process, they would be no outcome, as if it had been killed.
    may_wait: other tasks may run while it does, and what ends its own passes through it. is_kept:
    what it answers is, so it is no coroutine.
    """

    def failure(raised: BaseException) -> BaseException:
        is_unwound = isinstance(raised, Cancelled) or (
            may_wait and type(raised).__name__ == UNWINDS
        )
        by_user = isinstance(raised, KeyboardInterrupt) and is_interrupted()
        if isinstance(raised, Exception) or is_unwound or by_user:
            return raised
        kept = encode_error(raised)
        kept.pop("leaves", None)
        return decode_error(kept)

    async def awaited(coroutine: Any) -> Any:
        asked = _Awaited(coroutine)
        try:
            return await asked
        except BaseException as raised:
            # Whoever cancels it is told so by the driver, and whoever has not.
            if asked.is_closed or type(raised).__name__ == CANCELS:
                raise
            if (told := failure(raised)) is raised:
                raise
            raise told from raised

    @wraps(function)
    async def later(*positional: Any, **keywords: Any) -> Any:
        return await awaited(function(*positional, **keywords))

    @wraps(function)
    def call(*positional: Any, **keywords: Any) -> Any:
        try:
            value = function(*positional, **keywords)
        except BaseException as raised:
            if (told := failure(raised)) is raised:
                raise
            raise told from raised
        if is_coroutine(value):
            if not is_kept:
                made = awaited(value)
                finalize(made, value.close).atexit = False  # a replay awaits neither
                return made
            value.close()  # it is refused, and nobody will await it
        return value

    return later if is_coroutine_function(function) else call


class _Awaited:
    """A coroutine that is awaited. is_closed: it was ended from outside, by GeneratorExit: one that
    raises that by itself looks the same from around it.
    """

    __slots__ = ("_coroutine", "is_closed")

    def __init__(self, coroutine: Any) -> None:
        self._coroutine, self.is_closed = coroutine, False

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        act = partial(coroutine.send, None)
        while True:
            try:
                asked = act()
            except StopIteration as ended:
                return ended.value
            try:
                act = partial(coroutine.send, (yield asked))
            except GeneratorExit:
                self.is_closed = True
                coroutine.close()
                raise
            except BaseException as thrown:
                act = partial(coroutine.throw, thrown)


def _durable(session: Any) -> DurableSession | None:
    return session if hasattr(session, "classes") else None


def _transactional(session: Any, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*positional: Any, **keywords: Any) -> Any:
        durable = _durable(session)
        connection = None if durable is None else durable.tap.connection
        if connection is None:
            raise HostError(
                f"`{name}` is transactional, and this is no durable run",
                hint="Interpreter(store=...).run_durable(...) calls it in the store's transaction",
            )
        return function(connection, *positional, **keywords)

    call.__doc__ = function.__doc__
    return call
