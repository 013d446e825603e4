"""The Lisp name of coroutines: make-generator.

Owns: `generators`. Refuses: mechanism (omega/concurrency/coroutines.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.bindings.base import Bindings, Table
from omega.concurrency.coroutines import END, Coroutine
from omega.lisp.data import Eof
from omega.lisp.primitives.check import wrong_type


def generators(b: Bindings, table: Table) -> None:
    rt, scheduler = b.rt, b.scheduler

    def make_generator(procedure: Any) -> Callable[[], Any]:
        """(make-generator (lambda (yield) ...)) -> a generator (SRFI 158): each call runs the body
        up to the next (yield value) and gives that; the eof object once it has ended
        """
        if not rt.is_procedure(procedure):
            raise wrong_type("make-generator", 1, "a procedure of one argument", procedure)

        def body(suspend: Callable[[Any], None]) -> None:
            def give(value: Any = None) -> None:
                """(yield value)"""
                suspend(value)

            give.__qualname__ = give.__name__ = "yield"
            failure: BaseException | None = None
            try:
                rt.call(procedure, give)
            except Exception as raised:
                failure = raised
            if failure is not None:
                error = rt.conditions.as_condition(failure)
                error.signalled = False  # whoever asks for the value has handlers of its own
                raise error

        coroutine = Coroutine(scheduler, body, rt.host.dynamics().snapshot())
        resume = coroutine.resume

        def generator() -> Any:
            """(generator)"""
            value = resume()
            return Eof if value is END else value

        return generator

    table["make-generator"] = table["make-coroutine-generator"] = make_generator
