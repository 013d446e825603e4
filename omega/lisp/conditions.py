"""Conditions: raising, handling, and turning whatever Python raised into a condition.

Owns: `Conditions`, one per runtime: `signal`, the boundary rule, `as_condition`, Lisp backtraces.
Refuses: formatting reports (report.py).

How a failure meets its handlers. `raise` and `error` call the handlers where they stand. Anything
else that goes wrong (a primitive, an arity error, an unbound name) is a Python exception on its way
up; the first form it meets that holds dynamic state (guard, with-exception-handler, dynamic-wind,
parameterize) is a *boundary*: there the dynamic state is still that of the failing call, so the
boundary runs the handlers before anything is undone, exactly once (`signalled`). Handlers therefore
always run before unwinding. R7RS 6.11.

Invariant: Cancelled, GuardExit and ContinuationEscape are BaseExceptions and meet no handler;
LimitExceeded is an Exception and is passed on untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import Any

from omega.errors import (
    ArityError,
    DivisionByZero,
    LimitExceeded,
    LispError,
    LispTypeError,
    OmegaBug,
    OmegaError,
    Raised,
    Span,
    UnboundVariable,
)
from omega.lisp.names import demangle

TRACE_MAX = 12  # places of a backtrace that are kept at either end


class GuardExit(BaseException):
    """Unwinds to the guard whose clause matched; `thunk` is that clause's body."""

    def __init__(self, tag: object, thunk: Any) -> None:
        self.tag, self.thunk = tag, thunk


class ContinuationEscape(BaseException):
    """Unwinds to a call/cc; `values` are what its continuation was called with."""

    def __init__(self, tag: object, values: tuple[Any, ...]) -> None:
        self.tag, self.values = tag, values


class GuardEntry:
    """A guard in the handler stack: `selector` tests its clauses."""

    __slots__ = ("selector", "tag")

    def __init__(self, selector: Any, tag: object) -> None:
        self.selector, self.tag = selector, tag


class Conditions:
    def __init__(self, rt: Any) -> None:
        self.rt = rt

    # -- signalling ----------------------------------------------------------------------------

    def signal(self, condition: Any, handlers: Any, continuable: bool) -> Any:
        """Offer `condition` (any object) to `handlers`, innermost first. Comes back only with the
        value of a handler that returned from a continuable condition.
        """
        dyn = self.rt.host.dynamics()
        call: Callable[..., Any] = self.rt.call
        before = dyn.handlers
        while handlers is not None:
            handler, handlers = handlers
            dyn.handlers = handlers
            if isinstance(handler, GuardEntry):
                thunk = call(handler.selector, condition)
                if thunk is not False:
                    dyn.handlers = before
                    raise GuardExit(handler.tag, thunk)
                continue
            value = call(handler, condition)
            if continuable:
                dyn.handlers = before
                return value
            raise self._returned(condition)
        dyn.handlers = before
        raise self.uncaught(condition)

    def _returned(self, condition: Any) -> LispError:
        from omega.lisp.printer import shorten

        shown = condition.message if isinstance(condition, OmegaError) else shorten(condition, 60)
        error = LispError(
            f"an exception handler returned from a condition that cannot be continued: {shown}",
            hint="leave the handler through `guard` or a continuation, or use raise-continuable",
        )
        if isinstance(condition, OmegaError):
            error.span, error.lisp_traceback = condition.span, condition.lisp_traceback
        return error

    def uncaught(self, condition: Any) -> OmegaError:
        """The exception for a condition no handler took."""
        if isinstance(condition, OmegaError):
            error: OmegaError = condition
        else:
            from omega.lisp.printer import shorten

            error = Raised(condition, f"uncaught raise of {shorten(condition, 120)}")
        error.signalled = True
        return error

    def at_boundary(self, failure: BaseException, handlers: Any) -> BaseException:
        """What goes on from a boundary that `failure` reached with `handlers` in force: handlers
        run here, once. A handler that fails in turn is outside of itself: what it raised goes to
        the handlers that were in force there, never again to those that have had their turn.
        """
        dyn = self.rt.host.dynamics()
        before = dyn.handlers
        while isinstance(failure, Exception):
            failure = error = self.as_condition(failure)
            if error.signalled or isinstance(error, (LimitExceeded, OmegaBug)):
                break
            condition = error.condition if isinstance(error, Raised) else error
            try:
                self.signal(condition, handlers, False)
                raise AssertionError("signal came back from a condition that is not continuable")
            except BaseException as raised:
                failure = raised
            handlers = dyn.handlers
        dyn.handlers = before
        return failure

    # -- Python exceptions to conditions -------------------------------------------------------

    def as_condition(self, failure: BaseException) -> OmegaError:
        """The condition for any Python exception that came out of Lisp code; places and backtrace
        filled in.
        """
        error = failure if isinstance(failure, OmegaError) else self._translate(failure)
        if not error.lisp_traceback:
            error.lisp_traceback = self.backtrace(failure.__traceback__)
            if error.span is None and error.lisp_traceback:
                error.span = error.lisp_traceback[0][1]
        return error

    def _translate(self, failure: BaseException) -> OmegaError:
        error: OmegaError
        match failure:
            case NameError():
                error = self._unbound(failure)
            case RecursionError():
                text = str(failure)
                if "while calling" in text or "comparison" in text or "C stack" in text:
                    error = LimitExceeded("native-depth", None, None, "calls nested in host code")
                else:
                    error = LimitExceeded(
                        "depth", None, self.rt.depth_max, "procedure calls within calls",
                        hint="make the recursion a tail call, or raise Limits(depth=...)",
                    )  # fmt: skip
            case ZeroDivisionError():
                error = DivisionByZero("division by zero")
            case MemoryError():
                error = LimitExceeded("memory", None, None, "the process is out of memory")
            case TypeError():
                error = self._bad_call(failure) or OmegaBug(f"TypeError: {failure}")
            case _:
                error = OmegaBug(f"{type(failure).__name__}: {failure}")
        error.__cause__ = None if isinstance(failure, (NameError, TypeError)) else failure
        if isinstance(error, OmegaBug):
            error.__cause__ = failure
        elif isinstance(failure, RecursionError):
            error.__cause__ = None
        return error

    def _unbound(self, failure: NameError) -> OmegaError:
        match = re.search(r"'([^']*)'", str(failure))
        spelled = failure.name or (match.group(1) if match else "?")
        if spelled.startswith("_"):
            return OmegaBug(f"{type(failure).__name__}: {failure}")
        name = demangle(spelled)
        if "free variable" in str(failure) or isinstance(failure, UnboundLocalError):
            return UnboundVariable(
                f"`{name}` is used before its definition was evaluated",
                hint="definitions of a body are evaluated from top to bottom",
            )
        hint = self.rt.suggest(name)
        return UnboundVariable(f"`{name}` is not bound", hint=hint)

    def _bad_call(self, failure: TypeError) -> OmegaError | None:
        text = str(failure)
        if match := re.search(r"'([^']*)' object is not callable", text):
            return LispTypeError(
                f"this is not a procedure: a value of type {_lisp_type(match.group(1))} was called",
                hint="in (f x ...) the first expression must give a procedure",
            )
        if match := re.match(r"(.+?)\(\) takes (.*?) positional arguments? but (\d+)", text):
            return self._arity(match.group(1), int(match.group(3)), None, failure)
        if match := re.match(r"(.+?)\(\) missing (\d+) required positional arguments?: (.*)", text):
            missing = [demangle(name) for name in re.findall(r"'([^']*)'", match.group(3))]
            return self._arity(match.group(1), None, missing, failure)
        if match := re.match(
            r"(.+?)\(\) takes no arguments|(.+?)\(\) missing .* keyword-only", text
        ):
            return self._arity(match.group(1) or match.group(2), None, None, failure)
        return None

    def _arity(
        self, qualified: str, given: int | None, missing: list[str] | None, failure: TypeError
    ) -> OmegaError:
        name = demangle(qualified.rsplit(".", 1)[-1])
        signature = self._driven(failure.__traceback__) or self.rt.signature_named(
            qualified.rsplit(".", 1)[-1], failure.__traceback__
        )
        shape = signature or f"({name} ...)"
        if given is not None:
            fact = f"it was given {given} argument{'' if given == 1 else 's'}"
        elif missing and all(m in shape for m in missing):
            fact = f"no argument was given for {' and '.join(f'`{m}`' for m in missing)}"
        elif missing:
            fact = f"{len(missing)} argument{' is' if len(missing) == 1 else 's are'} missing"
        else:
            fact = "it was given the wrong number of arguments"
        return ArityError(f"`{name}` is called as {shape}, but {fact}")

    def _driven(self, traceback: TracebackType | None) -> str | None:
        """The signature of the procedure the driver was calling when it failed; None when another
        did.
        """
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        if traceback is None or traceback.tb_frame.f_code is not self.rt.drive.__code__:
            return None
        function = traceback.tb_frame.f_locals.get("f")
        shown: str | None = (
            self.rt.signature(function) if isinstance(function, FunctionType) else None
        )
        return shown

    # -- backtraces ----------------------------------------------------------------------------

    def backtrace(self, traceback: TracebackType | None) -> list[tuple[str, Span]]:
        """(procedure, place) pairs, innermost first; long ones keep both ends."""
        found: list[Any] = []
        registers, drive = self.rt.registers, self.rt.drive.__code__
        while traceback is not None:
            if traceback.tb_frame.f_globals is registers and traceback.tb_frame.f_code is not drive:
                found.append((traceback.tb_frame.f_code, traceback.tb_lasti))
                if len(found) > 4 * TRACE_MAX:
                    del found[TRACE_MAX : 2 * TRACE_MAX]
            traceback = traceback.tb_next
        found.reverse()
        if len(found) > 2 * TRACE_MAX:
            found = found[:TRACE_MAX] + found[-TRACE_MAX:]
        result = []
        for code, at in found:
            span = place_in(code, at)
            if span is not None and not span.file.startswith("<omega"):
                name = code.co_name
                result.append(("" if name == "_unit" else demangle(name), span))
        return result


def place_in(code: Any, instruction: int) -> Span | None:
    """The Lisp place of an instruction (a tb_lasti) of generated code."""
    from itertools import islice

    for place in islice(code.co_positions(), instruction // 2, instruction // 2 + 1):
        line, end_line, column, end_column = place
        if line is None or column is None:
            return None
        return Span(
            code.co_filename, line, column + 1, end_line or line, (end_column or column) + 1
        )
    return None


_TYPES = {
    "int": "integer", "float": "real", "Fraction": "rational", "str": "string", "bool": "boolean",
    "NoneType": "unspecified", "list": "vector", "bytearray": "bytevector", "NilType": "empty list",
    "Pair": "pair", "SourcePair": "pair", "HashTable": "hash table", "Symbol": "symbol",
    "Keyword": "keyword", "Char": "character",
}  # fmt: skip


def _lisp_type(python: str) -> str:
    return _TYPES.get(python, python)


def is_procedure(value: Any) -> bool:
    return isinstance(value, FunctionType) or callable(value)
