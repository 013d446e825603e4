"""The Lisp names of durable runs: signals, going on in a fresh journal.

Owns: `durable_runs`. Refuses: to know where anything is kept (omega/runs).
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table, options, seconds
from omega.bindings.world import Exit
from omega.errors import LispError, LispValueError, TimeoutExpired
from omega.lisp.data import Symbol, to_list
from omega.lisp.primitives.check import wrong_type

NONE = object()


def durable_runs(b: Bindings, table: Table) -> None:
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

    def continue_as(procedure: Any, *arguments: Any) -> Any:
        """(continue-as procedure argument ...) -> never returns: this durable run begins anew with
        a fresh journal: the definitions of its program are evaluated, no other forms, and then the
        global procedure is called with the arguments. Nothing else of it lives on: what a
        definition has paid for is paid for again, so carry it over as an argument
        """
        if b.door.continue_as is None:
            raise LispError(
                "only a durable run can begin anew with a fresh journal",
                hint="omega run --durable, or Interpreter(store=...).run_durable",
            )
        from omega.tape.values import Unwritable, encode  # few programs need it

        name = global_name(procedure)
        try:
            kept = [encode(argument) for argument in arguments]
        except Unwritable as unwritable:
            raise LispValueError(
                f"`continue-as` cannot carry over {unwritable}",
                hint="give it plain data: numbers, strings, lists, hash tables",
            ) from None
        b.door.continue_as(name, kept)
        b.interpreter.exiting(0)
        raise Exit(0)

    def global_name(procedure: Any) -> str:
        if isinstance(procedure, Symbol):
            return procedure.name
        if not b.rt.is_procedure(procedure):
            raise wrong_type("continue-as", 1, "a procedure", procedure)
        evaluator = b.interpreter._evaluator

        def is_it(name: str) -> bool:
            try:
                return evaluator.lookup(name) is procedure
            except KeyError:  # a definition further down: it has no value yet
                return False

        found: str | None = next(filter(is_it, sorted(evaluator.defined)), None)
        if found is None:
            raise LispValueError(
                "`continue-as` expected a global procedure of the program",
                hint="define it at the top level: what a closure knows does not live on",
            )
        return found

    def continued_arguments() -> Any:
        """(continued-arguments) -> the list of arguments that continue-as has given to this
        incarnation of a durable run; of the first one the empty list
        """
        if not b.door.continued:
            return to_list([])
        from omega.tape.values import decode

        return to_list([decode(each) for each in b.door.continued])

    table["wait-signal"], table["continue-as"] = wait_signal, continue_as
    table["continued-arguments"] = continued_arguments
