"""The procedures that call procedures natively: apply, call/cc, values, dynamic-wind, handlers,
parameters, promises.

Owns: `control_procedures(rt)`, the table of them for one runtime. Each is a Python function whose
frames stand between Lisp frames, so none goes through C, and none runs Lisp code inside an `except`
or `finally`.
Refuses: what can be written in Lisp (library/).

A function here may answer with the tail-call marker: `rt.tail(f, args)`.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import _getframe
from typing import Any

from omega.errors import Cancelled, LispError, LispTypeError, OmegaError
from omega.lisp.conditions import ContinuationEscape
from omega.lisp.data import Nil, Pair, Values
from omega.lisp.names import mangle
from omega.lisp.primitives.check import proper_list, wrong_type
from omega.lisp.restarts import restart_procedures

Table = dict[str, Callable[..., Any]]

# may answer with the marker
MARKING = frozenset(
    {"apply", "call-with-values", "%case-lambda", "%restart-case", "%with-restarts",
     "invoke-restart"}
)  # fmt: skip


def control_procedures(rt: Any) -> Table:
    table: Table = {}
    for add in (_calls, _continuations, _conditions, _parameters, _promises):
        add(rt, table)
    table |= restart_procedures(rt)
    for name, function in table.items():
        function.__qualname__ = function.__name__ = name
    return table


def _calls(rt: Any, table: Table) -> None:
    registers, marker, drive = rt.registers, rt.marker, rt.drive

    def apply(f: Any, *arguments: Any) -> Any:
        """(apply f arg ... list) -> the value of f called with the args and the elements of the
        list
        """
        if not arguments:
            return rt.tail(f, ())
        at = arguments[-1]
        if len(arguments) == 1 and type(at) is Pair:  # mostly it has two
            rest = at.cdr
            if type(rest) is Pair and rest.cdr is Nil:
                registers["_t"] = (f, at.car, rest.car)
                return marker
        last = proper_list("apply", len(arguments) + 1, at, rt)
        registers["_t"] = (f, *arguments[:-1], *last)
        return marker

    def call_with_values(producer: Any, consumer: Any) -> Any:
        """(call-with-values producer consumer) -> the value of consumer called with the values of
        producer
        """
        value = producer()
        if value is marker:
            value = drive()
        registers["_t"] = (consumer, *value.items) if type(value) is Values else (consumer, value)
        return marker

    def case_lambda(name: Any, *clauses: Any) -> Any:
        """(%case-lambda name clause ...) -> a procedure that picks a clause by the number of
        arguments
        """
        ranges = [(*rt.arity(clause), clause) for clause in clauses]

        def choose(*arguments: Any) -> Any:
            n = len(arguments)
            for low, high, clause in ranges:
                if low <= n and (high is None or n <= high):
                    return rt.tail(clause, arguments)
            raise rt.arity_error(name, n, [rt.signature(clause) for clause in clauses])

        choose.__name__ = choose.__qualname__ = mangle(name)
        choose.__doc__ = f"({name} ...)"
        return choose

    table["apply"] = apply
    table["call-with-values"] = call_with_values
    table["%case-lambda"] = case_lambda


def _continuations(rt: Any, table: Table) -> None:
    dynamics, marker, drive = rt.host.dynamics, rt.marker, rt.drive

    def call_cc(f: Any) -> Any:
        """(call/cc f) -> the value of (f k); calling k before that ends makes its arguments the
        value
        """
        dyn = dynamics()
        handlers, parameters, effects = dyn.handlers, dyn.parameters, dyn.effects
        tag: list[bool] = [True]  # whether the extent still lasts

        def k(*values: Any) -> Any:
            """(continuation value ...)"""
            if not tag[0]:
                raise LispError(
                    "this continuation has ended: its call/cc has already returned",
                    kind="continuation-error",
                    hint="continuations escape only; to go on later use make-generator",
                )
            if dynamics() is not dyn:
                raise LispError(
                    "a continuation cannot be called from another task",
                    kind="cannot-escape-task",
                    hint="send a value over a channel, or await the task",
                )
            raise ContinuationEscape(tag, values)

        k.__qualname__ = k.__name__ = "continuation"
        failure: BaseException | None = None
        try:
            value = f(k)
            if value is marker:
                value = drive()
        except BaseException as raised:
            failure = raised
        if isinstance(failure, Exception):  # its handlers may still call k
            failure = rt.conditions.at_boundary(failure, dyn.handlers)
        tag[0] = False
        if failure is None:
            return value
        if not isinstance(failure, ContinuationEscape) or failure.args[0] is not tag:
            raise failure
        dyn.handlers, dyn.parameters, dyn.effects = handlers, parameters, effects
        given = failure.args[1]
        failure = None  # its traceback keeps this frame: a round, for the collector to find
        return given[0] if len(given) == 1 else Values(given)

    shielded = rt.host.shielded

    def dynamic_wind(before: Any, thunk: Any, after: Any) -> Any:
        """(dynamic-wind before thunk after) -> the value of (thunk); after runs however thunk is
        left, and no cancel from outside breaks it off. When after fails as well, its error goes on
        and its report tells of the first
        """
        dyn = dynamics()
        if before() is marker:
            drive()
        handlers, parameters, effects = dyn.handlers, dyn.parameters, dyn.effects
        failure: BaseException | None = None
        try:
            value = thunk()
            if value is marker:
                value = drive()
        except BaseException as raised:
            failure = raised
        if failure is not None:
            failure = rt.conditions.at_boundary(failure, dyn.handlers)
        dyn.handlers, dyn.parameters, dyn.effects = handlers, parameters, effects
        later: BaseException | None = None
        try:
            shielded(lambda: rt.call(after))
        except BaseException as raised:
            later = raised
        if later is not None and not isinstance(failure, Cancelled):
            # A cancel goes on, whatever its cleanup does: nothing may take it back.
            failure = rt.conditions.superseding(later, failure)
        later = None  # the traceback keeps this frame: of very many, each with what it names
        if failure is not None:
            raise failure
        return value

    table["call/cc"] = call_cc
    table["call-with-current-continuation"] = call_cc
    table["call-with-escape-continuation"] = call_cc
    table["dynamic-wind"] = dynamic_wind


def _conditions(rt: Any, table: Table) -> None:
    conditions = rt.conditions

    def with_exception_handler(handler: Any, thunk: Any) -> Any:
        """(with-exception-handler handler thunk) -> the value of (thunk), conditions going to
        handler
        """
        if not rt.is_procedure(handler):
            raise wrong_type("with-exception-handler", 1, "a procedure", handler)
        if not rt.is_procedure(thunk):
            raise wrong_type("with-exception-handler", 2, "a procedure without arguments", thunk)
        dyn = rt.host.dynamics()
        outer = dyn.handlers
        dyn.handlers = (handler, outer)
        failure: BaseException | None = None
        try:
            value = rt.call(thunk)
        except BaseException as raised:
            failure = raised
        if failure is not None:
            failure = conditions.at_boundary(failure, dyn.handlers)
        dyn.handlers = outer
        if failure is not None:
            raise failure
        return value

    dynamics = rt.host.dynamics

    def raise_(condition: Any) -> Any:
        """(raise obj) -> never returns: obj goes to the innermost handler"""
        if isinstance(condition, OmegaError):
            conditions.raised_again(condition, _getframe(1))
        dyn = dynamics()
        raise conditions.signal(condition, dyn, dyn.handlers)

    def raise_continuable(condition: Any) -> Any:
        """(raise-continuable obj) -> what the innermost handler returns"""
        dyn = dynamics()
        return conditions.signal_continuable(condition, dyn)

    def error(message: Any, *irritants: Any) -> Any:
        """(error message irritant ...) -> never returns: raises an error object"""
        text = message if isinstance(message, str) else rt.display(message)
        raised = LispError(text, irritants=irritants)
        conditions.raised_at(raised, _getframe(1))
        dyn = dynamics()
        raise conditions.signal(raised, dyn, dyn.handlers)

    table["with-exception-handler"] = with_exception_handler
    table["raise"] = raise_
    table["raise-continuable"] = raise_continuable
    table["error"] = error


def _parameters(rt: Any, table: Table) -> None:
    dynamics = rt.host.dynamics

    def make_parameter(value: Any, converter: Any = None) -> Any:
        """(make-parameter value [converter]) -> a procedure giving the value parameterize last gave
        it
        """
        if converter is not None:
            value = rt.call(converter, value)

        def parameter() -> Any:
            """(parameter)"""
            return dynamics().parameters.get(parameter, value)

        parameter.converter = converter  # type: ignore[attr-defined]
        return parameter

    table["make-parameter"] = make_parameter


class Promise:
    """`box` is shared by promises chained with delay-force: [done, value or thunk]. R7RS 7.3,
    `make-promise`.
    """

    __slots__ = ("box",)

    box: list[Any]


def _promise(done: bool, value: Any) -> Promise:
    promise = Promise()  # no `__init__`: speed
    promise.box = [done, value]
    return promise


def _promises(rt: Any, table: Table) -> None:
    marker, drive = rt.marker, rt.drive

    def make_lazy(thunk: Any) -> Promise:
        return _promise(False, thunk)

    def make_promise(value: Any) -> Promise:
        """(make-promise obj) -> a promise already forced to obj; a promise is given back itself"""
        return value if isinstance(value, Promise) else _promise(True, value)

    def is_promise(value: Any) -> bool:
        """(promise? obj) -> whether obj is a promise"""
        return isinstance(value, Promise)

    def force(promise: Any) -> Any:
        """(force promise) -> its value, computed at most once; anything else is its own value"""
        if not isinstance(promise, Promise):
            return promise
        while not promise.box[0]:
            inner = promise.box[1]()
            if inner is marker:
                inner = drive()
            if promise.box[0]:
                break
            if not isinstance(inner, Promise):
                raise LispTypeError("delay-force needs a promise")
            promise.box[:] = inner.box
            inner.box = promise.box
        return promise.box[1]

    def make_forced(value: Any) -> Promise:
        """(%make-forced obj) -> a promise that gives obj, also when that is a promise"""
        return _promise(True, value)

    table["%make-lazy"] = make_lazy
    table["%make-forced"] = make_forced
    table["make-promise"] = make_promise
    table["promise?"] = is_promise
    table["force"] = force
