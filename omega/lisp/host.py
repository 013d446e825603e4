"""The seam between the language and whatever runs it: the Host protocol and the trivial host.

Owns: the calls the language makes outwards (see `Host`), the dynamic state a task carries, and
`PlainHost`, which runs one program on the caller's own stack, without a scheduler.
Refuses: greenlets, clocks, files, network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

from omega.errors import LimitExceeded, PermissionDenied

WIDE_MAX = 30  # arguments a call may have without going through C: CPython's own bound


class Dynamics:
    """The dynamic state of one thread of evaluation; a task inherits a snapshot of its parent's.

    handlers: condition handlers, innermost first, as nested (handler, outer) tuples or None.
    parameters: parameter object -> value, never mutated in place. effects: effect handlers,
    likewise nested tuples. budget: what calls of models are paid from, the host's own; None: no
    limit.
    """

    __slots__ = ("abort", "budget", "effects", "handlers", "parameters", "wide_depth")

    def __init__(self) -> None:
        self.handlers: Any = None
        self.parameters: dict[Any, Any] = {}
        self.effects: Any = None
        self.abort: Any = None
        self.budget: Any = None
        self.wide_depth = 0  # calls within calls that go through C

    def snapshot(self) -> Dynamics:
        """What a task spawned here starts with. Condition handlers stay behind: they belong to this
        stack.
        """
        copy = Dynamics()
        copy.parameters = self.parameters
        copy.effects = self.effects
        copy.budget = self.budget
        return copy


class Host(Protocol):
    """What the language asks of its host.

    registers: the globals dict of the generated code; the host keeps `registers["_it"]` the step
    iterator of whatever runs now: as many steps as its `__length_hint__` are left in the slice.
    """

    registers: dict[str, Any]

    def dynamics(self) -> Dynamics:
        """The dynamic state of whatever runs now."""

    def slice_end(self) -> None:
        """`_it` ran out (or a stale one did). Account, maybe switch, reload. May raise Cancelled or
        LimitExceeded.
        """

    def charge(self, steps: int) -> None:
        """Count `steps` more steps for work a primitive did."""

    def shielded(self, body: Callable[[], Any]) -> Any:
        """Run cleanup (`dynamic-wind` afters) out of reach of cancellation, within the host's
        deadline.
        """

    def perform(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        """The effect door: the reply, or a raised condition."""

    def no_switch(self, name: str) -> Any:
        """A context manager: host code called `name` is on the stack; nothing may wait until it has
        left.
        """


SLICE_STEPS = 1000


class PlainHost:
    """Runs one program on the caller's stack: no tasks, no effects but what `effects` grants, fuel
    if given.
    """

    def __init__(
        self, fuel: int | None = None, effects: dict[str, Callable[..., Any]] | None = None
    ) -> None:
        self.registers: dict[str, Any] = {}
        self._dynamics = Dynamics()
        self._effects = effects or {}
        self._fuel = fuel
        self._granted = 0
        self._used = 0

    def start(self) -> None:
        """Fill the first slice; the registers must be in place."""
        self._reload()

    def dynamics(self) -> Dynamics:
        return self._dynamics

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._used + self._granted - int(self.registers["_it"].__length_hint__())

    def _reload(self) -> None:
        n = SLICE_STEPS if self._fuel is None else min(SLICE_STEPS, self._fuel - self._used)
        if n <= 0:
            self._granted = 0
            raise LimitExceeded("fuel", self._used, self._fuel, "steps")
        self._granted = n
        self.registers["_it"] = itertools.repeat(None, n)

    def slice_end(self) -> None:
        if self.registers["_it"].__length_hint__():
            return
        self._used += self._granted
        self._reload()

    def charge(self, steps: int) -> None:
        self._used += steps

    def shielded(self, body: Callable[[], Any]) -> Any:
        return body()

    def perform(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        handler = self._effects.get(kind)
        if handler is None:
            raise PermissionDenied(f"`{kind}` is not granted here")
        return handler(*arguments)

    def no_switch(self, name: str) -> Any:
        return _Nothing()


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
