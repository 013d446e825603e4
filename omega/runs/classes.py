"""Functions of the host, by what they do outside: see taps.py for the classes.

Owns: `classified`. Refuses: to call them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from omega.errors import HostError
from omega.lisp.host_calls import is_coroutine_function
from omega.runs.taps import CLASSES
from omega.tape.values import decode_error, encode_error

# Whose exceptions that are no `Exception` pass through a function: they end what it waits for.
CONTROL = ("omega", "greenlet", "_greenlet", "asyncio")

if TYPE_CHECKING:
    from omega.runs.session import DurableSession


def classified(
    session: Any,
    name: str,
    value: Any,
    effect: str,
    *,
    blocking: bool,
    is_interrupted: Callable[[], bool],
) -> Any:
    """`value` as it is bound: a function that is transactional is given a connection. session: of
    the interpreter it is bound in. is_interrupted: whether somebody has pressed Ctrl-C just now.
    Raises HostError.
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
        if effect != "pure":  # which has no outcome that is kept
            return _failing(value, is_interrupted)
    return value


def _failing(function: Callable[..., Any], is_interrupted: Callable[[], bool]) -> Any:
    """`function`, whose SystemExit and the like are failures as others are: what it has raised is
    known, and kept. Left to end the process, they would be no outcome, as if it had been killed.
    """

    def failure(raised: BaseException) -> BaseException:
        is_control = type(raised).__module__.partition(".")[0] in CONTROL
        by_user = isinstance(raised, KeyboardInterrupt) and is_interrupted()
        if isinstance(raised, Exception | GeneratorExit) or is_control or by_user:
            return raised
        return decode_error(encode_error(raised))

    if is_coroutine_function(function):

        @wraps(function)
        async def later(*positional: Any, **keywords: Any) -> Any:
            try:
                return await function(*positional, **keywords)
            except BaseException as raised:
                if (told := failure(raised)) is raised:
                    raise
                raise told from raised

        return later

    @wraps(function)
    def call(*positional: Any, **keywords: Any) -> Any:
        try:
            return function(*positional, **keywords)
        except BaseException as raised:
            if (told := failure(raised)) is raised:
                raise
            raise told from raised

    return call


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
