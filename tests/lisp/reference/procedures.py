"""The kinds of procedures of the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Procedure:
    """low, high: how many arguments it takes; high None: any number."""

    low: int
    high: int | None

    def __call__(self, *arguments: Any) -> Any:
        """Only so that it counts as a procedure."""
        raise AssertionError("a procedure of the reference is applied by its machine")


class Primitive(Procedure):
    itself: Any = None  # Omega's own function

    def __init__(self, name: str, function: Callable[..., Any], low: int, high: int | None) -> None:
        self.name, self.function, self.low, self.high = name, function, low, high


class Control(Procedure):
    """run: given the machine first, unless it is the program's `own`."""

    def __init__(
        self,
        name: str,
        run: Callable[..., Any],
        low: int,
        high: int | None,
        *,
        own: bool = True,
    ) -> None:
        self.name, self.run, self.low, self.high, self.own = name, run, low, high, own
