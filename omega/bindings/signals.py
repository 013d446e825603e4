"""The Lisp names of what people and other programs send to a durable run.

Owns: `signals`. Refuses: to know where messages are kept (omega/runs).
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table, options, seconds
from omega.errors import TimeoutExpired
from omega.lisp.data import Symbol
from omega.lisp.primitives.check import wrong_type

NONE = object()


def signals(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def wait_signal(name: Any, *rest: Any) -> Any:
        """(wait-signal name [:timeout ms] [:default value]) -> the value of the next signal of that
        name that was sent to this durable run, also before it waited; once the time is over the
        default, or timeout-error. A run that only waits needs no process
        """
        if not isinstance(name, (str, Symbol)):
            raise wrong_type("wait-signal", 1, "a name", name)
        text = name.name if isinstance(name, Symbol) else name
        given = options("wait-signal", 2, rest, timeout=None, default=NONE)

        def wait() -> Any:
            return b.door.perform("signal.wait", (text,))

        if given["timeout"] is None:
            return wait()
        limit = seconds("wait-signal", 2, given["timeout"])
        try:
            return scheduler.with_timeout(limit, wait, f"the wait for the signal `{text}`")
        except TimeoutExpired:
            if given["default"] is NONE:
                raise
        return given["default"]

    table["wait-signal"] = wait_signal
