"""The reference evaluator: core nodes walked as they stand, one Python call within the other.

Owns: `Machine`: environments, calls, steps, and where errors happen. `run` evaluates a program.
Refuses: primitives' own work (primitives.py), control (control.py) and syntax (expander.py).

A failure meets its handlers where it happens. What nobody handles is an Uncaught.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import (
    ArityError,
    LispTypeError,
    OmegaError,
    Source,
    Span,
    UnboundVariable,
)
from omega.lisp.data import Values, to_list
from omega.lisp.reader import read_all
from tests.lisp.reference.core import (
    Attempt,
    Call,
    Const,
    Fail,
    Global,
    If,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Receive,
    Seq,
    SetGlobal,
    SetLocal,
    Variable,
    calls,
    globals_of,
    is_primitive,
    takes_step,
    turns,
)
from tests.lisp.reference.library import LIBRARY
from tests.lisp.reference.procedures import Control, Primitive, Procedure

BUDGET = 30_000  # evaluations spent on a program before it is given up
DEPTH_MAX = 1_500  # calls within calls
UNSET = object()


class TooLong(BaseException):
    """The program does not end soon enough to be of use."""


class Uncaught(BaseException):
    """A condition that no handler took; place: (line, column) of what failed, if it is known."""

    def __init__(self, condition: Any, place: tuple[int, int] | None) -> None:
        self.condition, self.place = condition, place


class GuardExit(BaseException):
    def __init__(self, tag: object, thunk: Any) -> None:
        self.tag, self.thunk = tag, thunk


class Escape(BaseException):
    def __init__(self, tag: object, values: list[Any]) -> None:
        self.tag, self.values = tag, values


class Failed(BaseException):
    """A pattern does not fit."""


class Frame:
    """The variables of one scope."""

    def __init__(self, values: dict[Variable, Any], outer: Frame | None) -> None:
        self.values, self.outer = values, outer

    def holder(self, var: Variable) -> dict[Variable, Any]:
        """Where a variable is. One whose `define-values` is still to come is nowhere yet."""
        at: Frame | None = self
        while at is not None and var not in at.values:
            at = at.outer
        return {var: UNSET} if at is None else at.values


class Closure(Procedure):
    def __init__(self, node: Lambda, frame: Frame) -> None:
        self.node, self.frame = node, frame
        self.takes_step, self.turns = takes_step(node), turns(node)
        self.low = len(node.required)
        many = node.rest or node.keys or node.others
        self.high = None if many else self.low + len(node.optional)


class Handlers:
    """handler: a procedure, or a guard's (selector, tag, the parameters where it stands)."""

    def __init__(self, handler: Any, outer: Handlers | None) -> None:
        self.handler, self.outer = handler, outer


class Machine:
    """note: what the program's procedure of that name does with its argument."""

    def __init__(self, note: Callable[[Any], None] = lambda value: None) -> None:
        self.steps = 0
        self.left, self.depth = BUDGET, 0
        self._told = note
        self.globals: dict[str, Any] = {"note": Control("note", self._note, 1, 1)}
        self.handlers: Handlers | None = None
        self.parameters: dict[Any, Any] = {}
        self.place: tuple[int, int] | None = None  # of the failure under way
        # of each global procedure, the text that defined it last, and the definition
        self.texts: dict[str, tuple[list[Any], SetGlobal]] = {}
        self._eval: dict[type, Callable[[Any, Frame], Any]] = {
            Const: lambda node, frame: node.value,
            Local: self._local,
            Global: self._global,
            SetLocal: self._set_local,
            SetGlobal: self._set_global,
            If: self._if,
            Seq: self._seq,
            Lambda: Closure,
            Call: self._call,
            Let: self._let,
            Letrec: self._letrec,
            Receive: self._receive,
            Attempt: self._attempt,
            Fail: self._fail,
        }

    def run(self, texts: list[str]) -> Any:
        """The value of the last form of the last text."""
        value = None
        top = LIBRARY.program_top()
        top.defined.add("note")
        with LIBRARY.serving(self):
            for i, text in enumerate(texts, 1):
                name = "<program>" if i == 1 else f"<program {i}>"  # as Omega calls them
                forms = [datum for datum, _ in self.read(Source(name, text))]
                expander = LIBRARY.expander(top, self.transformer)
                nodes = expander.program(forms)
                self._take(top, expander.taken)
                for node in nodes:
                    if isinstance(node, SetGlobal) and isinstance(node.value, Lambda):
                        self.texts[node.name] = (forms, node)
                for node in nodes:
                    value = self.eval(node, Frame({}, None))
        return value

    def _take(self, top: Any, names: list[str]) -> None:
        """Names of the library become the program's: the procedures of earlier texts that use them
        are defined again, if their names still mean them.
        """
        again: list[tuple[list[Any], str]] = []
        for name, (forms, node) in self.texts.items():
            value = self.globals.get(name)
            is_of_text = isinstance(value, Closure) and value.node is node.value and node.define
            if is_of_text and any(taken in names for taken in globals_of(node.value)):
                again.append((forms, name))
        steps = self.steps
        for name in names if again else []:
            self.globals.setdefault(name, LIBRARY.value(name))
        for forms, name in again:
            for node in LIBRARY.expander(top, self.transformer).program(forms):
                is_it = isinstance(node, SetGlobal) and node.name == name
                if is_it and isinstance(node.value, Lambda):
                    self.eval(node, Frame({}, None))
                    self.texts[name] = (forms, node)
        self.steps = steps

    read = staticmethod(read_all)

    def transformer(self, node: Node, before: list[Node]) -> Callable[[list[Any]], Any]:
        """A macro's procedure, evaluated apart, with the definitions in front of it."""
        apart = Machine()
        for each in before:
            if not isinstance(each, SetGlobal) or not isinstance(each.value, Lambda):
                continue
            if each.define or each.name in apart.globals:
                apart.eval(each, Frame({}, None))
        procedure = apart.eval(node, Frame({}, None))
        return lambda arguments: apart.apply(procedure, arguments)

    def _note(self, value: Any) -> Any:
        self._told(value)
        return value

    # -- failures ------------------------------------------------------------------------------

    def fail(self, error: OmegaError, span: Span | None) -> Any:
        """`error` happens at `span`."""
        known = span is not None and span.file.startswith("<program")
        self.place = (span.line, span.column) if span is not None and known else None
        return self.signal(error, False)

    def signal(self, condition: Any, continuable: bool) -> Any:
        """Offer a condition to the handlers, the innermost first, each with those outside of it."""
        before, place = self.handlers, self.place
        while self.handlers is not None:
            handler = self.handlers.handler
            self.handlers = self.handlers.outer
            if isinstance(handler, tuple):
                selector, tag, there = handler
                here, self.parameters = self.parameters, there
                thunk = self.apply(selector, [condition])
                self.parameters = here
                if thunk is not False:
                    raise GuardExit(tag, thunk)
                continue
            value = self.apply(handler, [condition])
            if continuable:
                self.handlers = before
                return value
            self.place = None
            return self.signal(OmegaErrors.returned(), False)
        raise Uncaught(condition, place)

    # -- calls ---------------------------------------------------------------------------------

    def apply(self, f: Any, arguments: list[Any], span: Span | None = None) -> Any:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise TooLong
        try:
            return self._apply(f, arguments, span)
        finally:
            self.depth -= 1

    def _apply(self, f: Any, arguments: list[Any], span: Span | None) -> Any:
        if not isinstance(f, Procedure):
            return self.fail(LispTypeError("this is not a procedure"), None)
        n = len(arguments)
        if n < f.low or (f.high is not None and n > f.high):
            return self.fail(ArityError("the arguments do not fit"), None)
        if isinstance(f, Primitive):
            try:
                return f.function(*arguments)
            except OmegaError as error:
                failure = error
            return self.fail(failure, span)
        if isinstance(f, Control):
            return f.run(*arguments) if f.own else f.run(self, *arguments)
        assert isinstance(f, Closure)
        return self._enter(f, arguments)

    def _enter(self, f: Closure, arguments: list[Any]) -> Any:
        node = f.node
        frame = Frame(dict(zip(node.required, arguments, strict=False)), f.frame)
        rest = arguments[len(node.required) :]
        if node.keys or node.others is not None:
            misfit = self._keywords(node, rest, frame)
            if misfit:
                return self.fail(ArityError("the keywords do not fit"), None)
        else:
            for var, _ in node.optional:
                frame.values[var] = rest.pop(0) if rest else UNSET
        if f.takes_step and f.turns:
            self.steps += 1
        for var, default in [*node.optional, *((var, default) for _, var, default in node.keys)]:
            if frame.values[var] is UNSET:
                frame.values[var] = self.eval(default, frame)
        if node.rest is not None:
            frame.values[node.rest] = to_list(rest)
        if f.takes_step and not f.turns:
            return self.lead(node.body, frame)
        return self.eval(node.body, frame)

    def _keywords(self, node: Lambda, given: list[Any], frame: Frame) -> bool:
        """Bind optional and keyword parameters to what was given; whether that does not fit."""
        from omega.lisp.data import Keyword
        from omega.lisp.table import HashTable

        for var, _ in node.optional:
            positional = bool(given) and not isinstance(given[0], Keyword)
            frame.values[var] = given.pop(0) if positional else UNSET
        named: dict[str, Any] = {}
        while given:
            keyword = given.pop(0)
            if not isinstance(keyword, Keyword) or not given or keyword.name in named:
                return True
            named[keyword.name] = given.pop(0)
        for name, var, _ in node.keys:
            frame.values[var] = named.pop(name, UNSET)
        if node.others is None:
            return bool(named)
        table = frame.values[node.others] = HashTable()
        for name, value in named.items():
            table[Keyword.of(name)] = value
        return False

    # -- what a procedure does before its step -------------------------------------------------

    def lead(self, node: Node, frame: Frame) -> Any:
        """`eval`, with the procedure's step still to be taken if it comes to a call."""
        if not calls(node):
            return self.eval(node, frame)
        match node:
            case If() if not calls(node.test):
                chosen = node.then if self.eval(node.test, frame) is not False else node.other
                return self.lead(chosen, frame)
            case Seq():
                for i, part in enumerate(node.body[:-1]):
                    if calls(part):
                        self.steps += 1
                        return self.eval(Seq(node.span, node.body[i:]), frame)
                    self.eval(part, frame)
                return self.lead(node.body[-1], frame)
            case Letrec():
                pass
            case Let() if not any(calls(init) for init in node.inits):
                return self.lead(node.body, self._bound(node, frame))
            case Receive() if not calls(node.producer):
                return self.lead(node.body, self._received(node, frame))
            case Attempt() if not any(calls(test) for test in node.tests):
                try:
                    return self.lead(node.first, frame)
                except Failed:
                    pass
                return self.lead(node.other, frame)
        self.steps += 1
        return self.eval(node, frame)

    # -- evaluation ----------------------------------------------------------------------------

    def eval(self, node: Node, frame: Frame) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TooLong
        return self._eval[type(node)](node, frame)

    def _local(self, node: Local, frame: Frame) -> Any:
        value = frame.holder(node.var)[node.var]
        if value is UNSET:
            return self.fail(UnboundVariable(node.var.name), node.span)
        return value

    def _global(self, node: Global, frame: Frame) -> Any:
        if node.library:
            return LIBRARY.value(node.name)
        if node.name not in self.globals:
            return self.fail(UnboundVariable(node.name), node.span)
        return self.globals[node.name]

    def _set_local(self, node: SetLocal, frame: Frame) -> Any:
        value = self.eval(node.value, frame)
        holder = frame.holder(node.var)
        holder[node.var] = value

    def _set_global(self, node: SetGlobal, frame: Frame) -> Any:
        value = self.eval(node.value, frame)
        if node.library:
            LIBRARY.values[node.name] = value
            return None
        if not node.define and node.name not in self.globals:
            return self.fail(UnboundVariable(node.name), node.span)
        self.globals[node.name] = value
        return None

    def _if(self, node: If, frame: Frame) -> Any:
        chosen = node.then if self.eval(node.test, frame) is not False else node.other
        return self.eval(chosen, frame)

    def _seq(self, node: Seq, frame: Frame) -> Any:
        for part in node.body[:-1]:
            self.eval(part, frame)
        return self.eval(node.body[-1], frame)

    def _call(self, node: Call, frame: Frame) -> Any:
        f = self.eval(node.function, frame)
        arguments = [self.eval(part, frame) for part in node.arguments]
        # Other calls may be the last thing a procedure does, and leave no trace.
        return self.apply(f, arguments, node.span if is_primitive(node) else None)

    def _bound(self, node: Let, frame: Frame) -> Frame:
        values = [self.eval(init, frame) for init in node.inits]
        return Frame(dict(zip(node.variables, values, strict=True)), frame)

    def _let(self, node: Let, frame: Frame) -> Any:
        return self.eval(node.body, self._bound(node, frame))

    def _letrec(self, node: Letrec, frame: Frame) -> Any:
        inner = Frame(dict.fromkeys(node.variables, UNSET), frame)
        for var, init in zip(node.variables, node.inits, strict=True):
            inner.values[var] = self.eval(init, inner)
        return self.eval(node.body, inner)

    def _received(self, node: Receive, frame: Frame) -> Frame | Any:
        # What the producer of define-values makes may name them.
        variables = [*node.required, *([node.rest] if node.rest else [])]
        inner = Frame(dict.fromkeys(variables, UNSET), frame)
        value = self.eval(node.producer, inner)
        values = list(value.items) if type(value) is Values else [value]
        n = len(node.required)
        if len(values) < n or (node.rest is None and len(values) > n):
            self.fail(ArityError("other values were expected"), None)
        inner.values.update(zip(node.required, values, strict=False))
        if node.rest is not None:
            inner.values[node.rest] = to_list(values[n:])
        return inner

    def _receive(self, node: Receive, frame: Frame) -> Any:
        return self.eval(node.body, self._received(node, frame))

    def _attempt(self, node: Attempt, frame: Frame) -> Any:
        try:
            return self.eval(node.first, frame)
        except Failed:
            pass
        return self.eval(node.other, frame)

    def _fail(self, node: Fail, frame: Frame) -> Any:
        raise Failed


class OmegaErrors:
    @staticmethod
    def returned() -> OmegaError:
        from omega.errors import LispError

        return LispError("a handler returned from what cannot be continued")
