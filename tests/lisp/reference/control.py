"""What procedures of the reference do with control: apply, continuations, handlers, parameters.

Owns: CONTROL, the table of them; each is given the machine first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import ArityError, LispError, LispTypeError, OmegaError
from omega.lisp.data import Values
from omega.lisp.primitives.check import proper_list
from tests.lisp.reference.primitives import RUNTIME
from tests.lisp.reference.procedures import Control, Procedure

CONTROL: dict[str, Control] = {}


def control(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        code = function.__code__
        low = code.co_argcount - 1 - len(function.__defaults__ or ())
        high = None if code.co_flags & 0x04 else code.co_argcount - 1
        for name in names:
            CONTROL[name] = Control(name, function, low, high, own=False)
        return function

    return register


def _checked(machine: Any, check: Callable[[], Any]) -> Any:
    try:
        return check()
    except OmegaError as error:
        failure = error
    return machine.fail(failure, None)


@control("apply")
def apply(machine: Any, f: Any, *arguments: Any) -> Any:
    if not arguments:
        return machine.apply(f, [])
    last = _checked(machine, lambda: proper_list("apply", 1, arguments[-1], RUNTIME))
    return machine.apply(f, [*arguments[:-1], *last])


@control("call-with-values")
def call_with_values(machine: Any, producer: Any, consumer: Any) -> Any:
    value = machine.apply(producer, [])
    return machine.apply(consumer, list(value.items) if type(value) is Values else [value])


@control("%case-lambda")
def case_lambda(machine: Any, name: Any, *clauses: Any) -> Any:
    def choose(machine: Any, *arguments: Any) -> Any:
        for clause in clauses:
            n = len(arguments)
            if clause.low <= n and (clause.high is None or n <= clause.high):
                return machine.apply(clause, list(arguments))
        return machine.fail(ArityError("no clause fits"), None)

    return Control("case-lambda", choose, 0, None, own=False)


@control("call/cc", "call-with-current-continuation", "call-with-escape-continuation")
def call_cc(machine: Any, f: Any) -> Any:
    from tests.lisp.reference.machine import Escape

    handlers, parameters = machine.handlers, machine.parameters
    tag = [True]

    def k(*values: Any) -> Any:
        if not tag[0]:
            ended = LispError("this continuation has ended", kind="continuation-error")
            return machine.fail(ended, None)
        raise Escape(tag, list(values))

    try:
        return machine.apply(f, [Control("continuation", k, 0, None)])
    except Escape as escape:
        if escape.tag is not tag:
            raise
        values = escape.values
    finally:
        tag[0] = False
    machine.handlers, machine.parameters = handlers, parameters
    return values[0] if len(values) == 1 else Values(tuple(values))


@control("dynamic-wind")
def dynamic_wind(machine: Any, before: Any, thunk: Any, after: Any) -> Any:
    from tests.lisp.reference.machine import Escape, GuardExit, Uncaught

    machine.apply(before, [])
    handlers, parameters = machine.handlers, machine.parameters
    try:
        value = machine.apply(thunk, [])
    except (Uncaught, GuardExit, Escape):
        machine.handlers, machine.parameters = handlers, parameters
        machine.apply(after, [])
        raise
    machine.handlers, machine.parameters = handlers, parameters
    machine.apply(after, [])
    return value


@control("%guard")
def guard(machine: Any, body: Any, selector: Any) -> Any:
    from tests.lisp.reference.machine import GuardExit, Handlers

    handlers, parameters = machine.handlers, machine.parameters
    tag = object()
    machine.handlers = Handlers((selector, tag, parameters), handlers)
    try:
        value = machine.apply(body, [])
    except GuardExit as leave:
        if leave.tag is not tag:
            raise
        return leave.thunk
    finally:
        machine.handlers, machine.parameters = handlers, parameters
    return Control("value", lambda: value, 0, 0)


@control("with-exception-handler")
def with_exception_handler(machine: Any, handler: Any, thunk: Any) -> Any:
    from tests.lisp.reference.machine import Handlers

    if not isinstance(handler, Procedure) or not isinstance(thunk, Procedure):
        return machine.fail(LispTypeError("two procedures are expected"), None)
    outer = machine.handlers
    machine.handlers = Handlers(handler, outer)
    try:
        return machine.apply(thunk, [])
    finally:
        machine.handlers = outer


@control("raise")
def raise_(machine: Any, condition: Any) -> Any:
    machine.place = None
    return machine.signal(condition, False)


@control("raise-continuable")
def raise_continuable(machine: Any, condition: Any) -> Any:
    machine.place = None
    return machine.signal(condition, True)


@control("error")
def error(machine: Any, message: Any, *irritants: Any) -> Any:
    text = message if isinstance(message, str) else RUNTIME.display(message)
    machine.place = None
    return machine.signal(LispError(text, irritants=irritants), False)


@control("%assertion-failed")
def assertion_failed(machine: Any, expression: Any, *message: Any) -> Any:
    return machine.fail(LispError("assertion failed"), None)


@control("%missing-keyword")
def missing_keyword(machine: Any, signature: Any, keyword: Any) -> Any:
    return machine.fail(ArityError("a keyword must be given"), None)


class Parameter(Control):
    """converter: a procedure, or None."""

    def __init__(self, value: Any, converter: Any) -> None:
        self.converter = converter
        super().__init__("parameter", lambda at: at.parameters.get(self, value), 0, 0, own=False)


@control("make-parameter")
def make_parameter(machine: Any, value: Any, converter: Any = None) -> Any:
    if converter is not None:
        value = machine.apply(converter, [value])
    return Parameter(value, converter)


@control("%parameterize")
def parameterize(machine: Any, bindings: Any, thunk: Any) -> Any:
    outer = machine.parameters
    items = list(bindings)
    fresh = dict(outer)
    for parameter, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(parameter, Parameter):
            return machine.fail(LispTypeError("parameterize needs parameters"), None)
        if parameter.converter is not None:
            value = machine.apply(parameter.converter, [value])
        fresh[parameter] = value
    machine.parameters = fresh
    try:
        return machine.apply(thunk, [])
    finally:
        machine.parameters = outer


class Promise:
    """box: [whether it is done, its value or its thunk], shared by promises that are one."""

    def __init__(self, done: bool, value: Any) -> None:
        self.box = [done, value]


@control("%make-lazy")
def make_lazy(machine: Any, thunk: Any) -> Any:
    return Promise(False, thunk)


@control("make-promise")
def make_promise(machine: Any, value: Any) -> Any:
    return value if isinstance(value, Promise) else Promise(True, value)


@control("promise?")
def is_promise(machine: Any, value: Any) -> Any:
    return isinstance(value, Promise)


@control("force")
def force(machine: Any, promise: Any) -> Any:
    if not isinstance(promise, Promise):
        return promise
    while not promise.box[0]:
        inner = machine.apply(promise.box[1], [])
        if promise.box[0]:
            break
        if not isinstance(inner, Promise):
            return machine.fail(LispTypeError("delay-force needs a promise"), None)
        promise.box[:] = inner.box
        inner.box = promise.box
    return promise.box[1]
