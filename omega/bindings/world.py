"""The Lisp names of clock, chance, environment and exit.

Owns: `world`, `Exit`. Everything here goes through the effect door.
"""

from __future__ import annotations

import math
from typing import Any

from omega.bindings.base import Bindings, Table
from omega.errors import (
    HostError,
)
from omega.lisp.data import cons, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type

JIFFIES_PER_SECOND = 1_000_000
RANDOM_EXACT_MAX = 1 << 53  # what one draw is fine enough for
RANDOM_BITS = 32  # taken from a draw for a larger integer


def world(b: Bindings, table: Table) -> None:
    def now() -> Any:
        """(now) -> seconds since 1970; under virtual time, seconds since the start"""
        return b.door.perform("now", ())

    def current_milliseconds() -> int:
        """(current-milliseconds) -> milliseconds of (now), as an integer"""
        return int(b.door.perform("now", ()) * 1000)

    def random(n: Any = None) -> Any:
        """(random [n]) -> a real from 0 to below 1, or a number from 0 to below n, of n's kind: an
        integer or a real; from the run's seed
        """
        if n is None:
            return b.door.perform("random", ())
        if type(n) is float and 0 < n < math.inf:
            return _below(n, b.door.perform("random", ()))
        if type(n) is not int or n < 1:
            raise wrong_type("random", 1, "a positive integer or real", n)
        if n <= RANDOM_EXACT_MAX:
            return int(b.door.perform("random", ()) * n)
        # As many draws as give 64 bits more than n has: no value is favoured by more than 2^-64.
        words = (n.bit_length() + 64 + RANDOM_BITS - 1) // RANDOM_BITS
        b.rt.host.charge(words)
        drawn = 0
        for _ in range(words):
            drawn = drawn << RANDOM_BITS | int(b.door.perform("random", ()) * (1 << RANDOM_BITS))
        return drawn * n >> (words * RANDOM_BITS)

    def command_line() -> Any:
        """(command-line) -> the list of the script's name and its arguments"""
        words = list(b.door.perform("command-line", ()))
        check.spend_each(b.rt, len(words))
        return to_list(words)

    def environment(name: Any) -> Any:
        """(get-environment-variable name) -> its value, or #f"""
        if not isinstance(name, str):
            raise wrong_type("get-environment-variable", 1, "a string", name)
        return b.door.perform("env", (name,))

    def exit_(code: Any = True) -> Any:
        """(exit [code]) -> never returns: ends the program with code (#t is 0, #f is 1)"""
        status = exit_status("exit", code)
        b.interpreter.exiting(status)
        raise Exit(status)

    def exit_status(name: str, code: Any) -> int:
        status = {True: 0, False: 1}.get(code, code) if isinstance(code, bool) else code
        if type(status) is not int or not 0 <= status <= 255:
            raise wrong_type(name, 1, "an exit code from 0 to 255", code)
        return status

    def emergency_exit(code: Any = True) -> Any:
        """(emergency-exit [code]) -> never returns: ends the program with code at once, as `exit`
        does, but no dynamic-wind cleans up; inside a host that goes on, as exit
        """
        b.interpreter.exiting(exit_status("emergency-exit", code), at_once=True)
        return exit_(code)

    def environment_variables() -> Any:
        """(get-environment-variables) -> the list of (name . value), of those that are granted"""
        granted = list(b.door.perform("env-list", ()))
        check.spend_each(b.rt, len(granted))
        return to_list([cons(*each) for each in granted])

    def current_second() -> float:
        """(current-second) -> seconds since 1970, a real; as (now)"""
        return float(b.door.perform("now", ()))

    def current_jiffy() -> int:
        """(current-jiffy) -> microseconds since some moment before; they never go back"""
        return int(b.door.perform("jiffy", ()))

    def jiffies_per_second() -> int:
        """(jiffies-per-second) -> 1000000"""
        return JIFFIES_PER_SECOND

    table["current-second"], table["current-jiffy"] = current_second, current_jiffy
    table["jiffies-per-second"] = jiffies_per_second
    table["get-environment-variables"] = environment_variables
    table["now"], table["current-milliseconds"], table["random"] = now, current_milliseconds, random
    table["command-line"], table["get-environment-variable"] = command_line, environment
    table["exit"], table["emergency-exit"] = exit_, emergency_exit


def _below(n: float, drawn: float) -> float:
    """A real from 0 to below n; drawn: one from 0 to below 1. A product may be rounded up to n."""
    return min(drawn * n, math.nextafter(n, 0.0))


class Exit(HostError):
    """`(exit code)` on its way to the host: no condition, meets no handler."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the program asked to exit with {status}")
        self.status = status
        self.signalled = True
