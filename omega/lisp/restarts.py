"""Restarts: ways on that a program offers to whoever handles a condition.

Owns: `restart_procedures(rt)`: offering them, finding them, taking one. Handlers run before
anything is unwound, so they see the restarts in force where the failure is.
Refuses: deciding which is taken (handlers do).

The restarts in force are kept among the parameters, so everything that restores those restores
them. A task inherits parameters but no restart: to take one is to leave a form of another stack.
Source: Common Lisp (CLHS 9.1.4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from omega.errors import LispError
from omega.lisp.conditions import ContinuationEscape
from omega.lisp.data import Symbol, to_list
from omega.lisp.primitives.check import wrong_type

Table = dict[str, Callable[..., Any]]

_IN_FORCE = object()  # the key among the parameters: (restart, outer) or None


class Restart:
    """extent: [whether the form that offers it still runs]. leaves: whether taking it leaves that
    form; if not, its procedure is called in place.
    """

    __slots__ = ("dynamics", "extent", "leaves", "name", "procedure")

    type_name = "restart"

    def __init__(
        self, name: Symbol, procedure: Any, dynamics: Any, extent: list[bool], leaves: bool
    ) -> None:
        self.name, self.procedure, self.dynamics = name, procedure, dynamics
        self.extent, self.leaves = extent, leaves


def restart_procedures(rt: Any) -> Table:
    def in_force() -> Iterator[Restart]:
        """The restarts of this task, innermost first."""
        dyn = rt.host.dynamics()
        at = dyn.parameters.get(_IN_FORCE)
        while at is not None:
            restart, at = at
            if restart.dynamics is dyn and restart.extent[0]:
                yield restart

    def offered(offers: Any, thunk: Any, leaves: bool) -> Any:
        """The value of (thunk), with the (name . procedure) pairs offered; a ContinuationEscape
        with one of them when it was taken.
        """
        dyn = rt.host.dynamics()
        handlers, parameters, effects = dyn.handlers, dyn.parameters, dyn.effects
        extent = [True]
        inner = parameters.get(_IN_FORCE)
        for offer in reversed(list(offers)):
            inner = (Restart(offer.car, offer.cdr, dyn, extent, leaves), inner)
        dyn.parameters = {**parameters, _IN_FORCE: inner}
        failure: BaseException | None = None
        try:
            value = rt.call(thunk)
        except BaseException as raised:
            failure = raised
        if isinstance(failure, Exception):  # its handlers may still take one
            failure = rt.conditions.at_boundary(failure, dyn.handlers)
        extent[0] = False
        dyn.handlers, dyn.parameters, dyn.effects = handlers, parameters, effects
        if failure is None:
            return value
        if not isinstance(failure, ContinuationEscape) or failure.args[0] is not extent:
            raise failure
        procedure, *arguments = failure.args[1]
        failure = None  # its traceback keeps this frame
        return rt.tail(procedure, tuple(arguments))

    def restart_case(offers: Any, thunk: Any) -> Any:
        """(%restart-case (list (cons name procedure) ...) thunk)"""
        return offered(offers, thunk, True)

    def with_restarts(offers: Any, thunk: Any) -> Any:
        """(%with-restarts (list (cons name procedure) ...) thunk)"""
        for offer in offers:
            if not rt.is_procedure(offer.cdr):
                raise wrong_type("with-restarts", f"`{offer.car}`", "a procedure", offer.cdr)
        return offered(offers, thunk, False)

    def find_restart(name: Any) -> Any:
        """(find-restart name) -> the innermost restart of that name in force, or #f"""
        if type(name) is not Symbol:
            raise wrong_type("find-restart", 1, "a symbol", name)
        return next((restart for restart in in_force() if restart.name is name), False)

    def compute_restarts() -> Any:
        """(compute-restarts) -> the list of the restarts in force, innermost first"""
        return to_list(list(in_force()))

    def invoke_restart(restart: Any, *arguments: Any) -> Any:
        """(invoke-restart restart arg ...) -> never returns to the caller: the form that offers the
        restart (an object or a name) ends with its clause. One of with-restarts is called in place,
        and its value given
        """
        found = find_restart(restart) if type(restart) is Symbol else restart
        if found is False:
            names = ", ".join(f"`{known.name}`" for known in in_force())
            raise LispError(
                f"no restart `{restart}` is in force here",
                kind="restart-error",
                hint=f"in force are {names}" if names else "(restart-case ...) offers restarts",
            )
        if type(found) is not Restart:
            raise wrong_type("invoke-restart", 1, "a restart or the name of one", restart)
        if not found.extent[0]:
            raise LispError(
                f"restart `{found.name}` has expired: the form that offered it has ended",
                kind="restart-error",
                hint="restarts can be taken while the body of their form runs, as from handlers",
            )
        if found.dynamics is not rt.host.dynamics():
            raise LispError(
                f"restart `{found.name}` belongs to another task",
                kind="cannot-escape-task",
                hint="send a value over a channel, or let the error of this task reach who awaits",
            )
        if not found.leaves:
            return rt.tail(found.procedure, arguments)
        raise ContinuationEscape(found.extent, (found.procedure, *arguments))

    def is_restart(value: Any) -> bool:
        """(restart? obj) -> whether obj is a restart"""
        return type(value) is Restart

    def restart_name(restart: Any) -> Symbol:
        """(restart-name restart) -> its name, a symbol"""
        if type(restart) is not Restart:
            raise wrong_type("restart-name", 1, "a restart", restart)
        return restart.name

    return {
        "%restart-case": restart_case,
        "%with-restarts": with_restarts,
        "find-restart": find_restart,
        "compute-restarts": compute_restarts,
        "invoke-restart": invoke_restart,
        "restart?": is_restart,
        "restart-name": restart_name,
    }
