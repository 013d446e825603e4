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
LimitExceeded is an Exception and, but for budgets, is passed on untouched.
"""

from __future__ import annotations

import re
from sys import _getframe, version_info
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any

from omega.errors import (
    ArityError,
    Cancelled,
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
from omega.lisp.docstring import place_of, signature_of
from omega.lisp.names import demangle, library_name, mangle
from omega.lisp.refusals import refused
from omega.lisp.sites import places

DEPTH_HINT = "does the recursion end? Tail calls have no limit: pass what is left to do along"
NATIVE_DEPTH_HINT = "what a host function calls must not call it again so deep"
TRACE_MAX = 12  # places of a backtrace that are kept at either end


class GuardExit(BaseException):
    """Unwinds to the guard whose clause was chosen. args: its entry, what its selector gave, the
    condition.
    """


class ContinuationEscape(BaseException):
    """Unwinds to a call/cc. args: the tag of its extent, what its continuation was called with."""


# A guard in the handler stack: (selector, what is around it, parameters and effects to go back to).
# Its tests are evaluated with these (R7RS 4.2.7). The others are (handler, what is around it).
GUARD_PARTS = 4


class Conditions:
    def __init__(self, rt: Any) -> None:
        self.rt = rt

    # -- signalling ----------------------------------------------------------------------------

    def signal(self, condition: Any, dyn: Any, handlers: Any) -> BaseException:
        """Offer `condition` (any object) to `handlers`, innermost first; what the program goes on
        with, to be raised. dyn: this task's Dynamics.
        """
        before, marker = dyn.handlers, self.rt.marker
        while handlers is not None:
            entry, handlers = handlers, handlers[1]
            dyn.handlers = handlers
            if len(entry) != GUARD_PARTS:
                if entry[0](condition) is marker:
                    self.rt.drive()
                return self._returned(condition)
            parameters, effects = dyn.parameters, dyn.effects
            chosen, _, dyn.parameters, dyn.effects = entry
            chosen = chosen(condition)
            if chosen is marker:
                chosen = self.rt.drive()
            dyn.parameters, dyn.effects = parameters, effects
            if chosen is not False:
                dyn.handlers = before
                return GuardExit(entry, chosen, condition)
        dyn.handlers = before
        return self.uncaught(condition)

    def signal_continuable(self, condition: Any, dyn: Any) -> Any:
        """Likewise to those in force; the value of a handler that returns."""
        before = at = dyn.handlers
        while at is not None and len(at) == GUARD_PARTS:
            parameters, effects = dyn.parameters, dyn.effects
            selector, dyn.handlers, dyn.parameters, dyn.effects = at
            chosen = self.rt.call(selector, condition)
            dyn.parameters, dyn.effects = parameters, effects
            if chosen is not False:
                dyn.handlers = before
                raise GuardExit(at, chosen, condition)
            at = at[1]
        if at is None:
            dyn.handlers = before
            raise self.uncaught(condition)
        handler, dyn.handlers = at
        value = self.rt.call(handler, condition)
        dyn.handlers = before
        return value

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
            error.hint = "`guard` handles it; (error message value ...) raises what tells its place"
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
            if error.signalled or isinstance(error, OmegaBug) or _is_final(error):
                break
            condition = error.condition if isinstance(error, Raised) else error
            try:
                failure = self.signal(condition, dyn, handlers)
            except BaseException as raised:
                failure = raised
            handlers = dyn.handlers
        dyn.handlers = before
        return failure

    def guard_left(
        self, entry: Any, dyn: Any, failure: BaseException | None
    ) -> tuple[int, Any, Any]:
        """What a guard is to do whose body was left by `failure`: (the number of its clause, the
        condition, what the clause's test gave). Raises what goes on beyond it.
        """
        in_force = dyn.handlers  # fewer, when a handler failed
        _, dyn.handlers, dyn.parameters, dyn.effects = entry
        if isinstance(failure, Exception):
            failure = self.at_boundary(failure, in_force)
        if type(failure) is GuardExit and failure.args[0] is entry:
            _, chosen, condition = failure.args
            if type(chosen) is int:
                return chosen, condition, None
            return chosen.car, condition, chosen.cdr
        assert failure is not None
        try:
            raise failure
        finally:
            failure = None  # its traceback keeps this frame

    def raise_within(self, entry: Any, dyn: Any, condition: Any) -> tuple[int, Any, Any]:
        """A raise in the body of a guard whose `entry` is the innermost: as `guard_left`."""
        if isinstance(condition, OmegaError):
            self.raised_again(condition, _getframe(1))
        parameters, effects = dyn.parameters, dyn.effects
        selector, dyn.handlers, dyn.parameters, dyn.effects = entry
        chosen = selector(condition)
        if chosen is self.rt.marker:
            chosen = self.rt.drive()
        if chosen is False:
            dyn.parameters, dyn.effects = parameters, effects
            raise self.signal(condition, dyn, entry[1])
        if type(chosen) is int:
            return chosen, condition, None
        return chosen.car, condition, chosen.cdr

    def superseding(self, later: BaseException, first: BaseException | None) -> BaseException:
        """What goes on when cleanup fails with `later` while `first` unwinds.

        The later failure, as from Python's `finally`; the first is its `__context__`, and its
        report tells of it. A limit cannot be got rid of like that: it goes on, and tells of both.
        """
        if isinstance(later, Exception):
            later = self.as_condition(later)
        if first is None or later is first:
            return later
        if isinstance(first, LimitExceeded) and first.is_final and not isinstance(later, Cancelled):
            if not isinstance(later, LimitExceeded):
                first.notes.append(_told("the cleanup failed, too:", _condition_of(later)))
            return first
        failure = _condition_of(later)
        if isinstance(failure, OmegaError):
            reason = _condition_of(first)
            if isinstance(reason, BaseException) and reason is not failure:
                failure.__context__ = reason
            if reason is not None:
                failure.notes.append(_told("it failed in the cleanup after", reason))
        return later

    # -- Python exceptions to conditions -------------------------------------------------------

    def as_condition(self, failure: BaseException) -> OmegaError:
        """The condition for any Python exception that came out of Lisp code; places and backtrace
        filled in.
        """
        if not isinstance(failure, OmegaError):
            failure = self._refused(failure) or failure
        if isinstance(failure, OmegaError):
            error = failure
            if not isinstance(error, ArityError):
                if error.find_place is None and not error.lisp_traceback:
                    error.find_place = self._find_place
                return error
        else:
            error = self._translate(failure)
        if not error.lisp_traceback:
            error.lisp_traceback = self.backtrace(failure.__traceback__)
            if isinstance(error, ArityError):
                entered = error.blames_caller
                if entered:
                    self._blame_caller(error, failure.__traceback__)
                error.in_tail_call = self._is_driven(failure.__traceback__, entered)
            elif isinstance(failure, TypeError):
                error.in_tail_call = self._is_driven(failure.__traceback__, False)
            if error.span is None and error.lisp_traceback:
                error.span = error.lisp_traceback[0][1]
        if error.span is None and isinstance(error, ArityError) and error.notes:
            error.span = error.notes[0][1]  # called from outside: the definition has to do
        return error

    def raised_at(self, error: OmegaError, frame: FrameType) -> None:
        """Remember where the program first raised a condition: handlers may raise it again. One
        that came up as an exception has its place in its traceback.
        """
        if (
            error.origin is None
            and error.__traceback__ is None
            and frame.f_globals is self.rt.registers
            and frame.f_code is not self.rt.drive.__code__  # no place of the program
        ):
            error.origin = (frame.f_code, frame.f_lasti)

    def raised_again(self, error: OmegaError, frame: FrameType) -> None:
        """Have a condition that the program raises meet handlers; nobody gets hold of a limit."""
        if _is_final(error):
            raise error
        error.signalled = False
        self.raised_at(error, frame)

    def _find_place(self, error: OmegaError) -> None:
        places = error.lisp_traceback = self.backtrace(error.__traceback__, error.origin)
        if error.span is None and places:
            error.span = places[0][1]

    def with_callers(self, error: OmegaError) -> OmegaError:
        """The error at the end of a task: its backtrace goes on beyond the boundaries it met."""
        places = error.lisp_traceback
        if places:
            whole = self.backtrace(error.__traceback__, error.origin)
            if places[-1] in whole:
                error.lisp_traceback = places + whole[whole.index(places[-1]) + 1 :]
        return error

    def _blame_caller(self, error: ArityError, traceback: TracebackType | None) -> None:
        """The innermost place is in the first steps of the procedure: the mistake is one further
        out.
        """
        from omega.lisp.arity import defined_here

        frames = self._frames(traceback)
        if frames and not frames[-1][0].co_filename.startswith("<omega") and error.lisp_traceback:
            (name, place), *callers = error.lisp_traceback
            error.lisp_traceback = callers
            error.notes.append(defined_here(name, place))

    def _translate(self, failure: BaseException) -> OmegaError:
        error: OmegaError
        match failure:
            case NameError():
                error = self._unbound(failure)
            case RecursionError():
                if self._is_native(failure):
                    error = LimitExceeded(
                        "native-depth", None, None, "calls nested in host code",
                        hint=NATIVE_DEPTH_HINT,
                    )  # fmt: skip
                else:
                    error = LimitExceeded(
                        "depth", None, self.rt.depth_max, "procedure calls within calls",
                        hint=DEPTH_HINT,
                    )  # fmt: skip
            case ZeroDivisionError():
                error = DivisionByZero("division by zero")
            case MemoryError():
                error = LimitExceeded("memory", None, None, "the process is out of memory")
            case TypeError():
                error = self._bad_call(failure) or _bug(failure)
            case _:
                error = _bug(failure)
        if not isinstance(failure, RecursionError):
            error.__traceback__ = failure.__traceback__
        told = isinstance(failure, (NameError, TypeError, RecursionError))
        is_told = told and not isinstance(error, OmegaBug)
        error.__cause__ = None if is_told else failure
        return error

    def _refused(self, failure: BaseException) -> OmegaError | None:
        """What generated code left to CPython: see refusals.py."""
        if not isinstance(failure, Exception) or isinstance(failure, (NameError, RecursionError)):
            return None
        error = refused(failure, self.rt.registers)
        if error is not None:
            error.__traceback__ = failure.__traceback__
        return error

    def _is_native(self, failure: RecursionError) -> bool:
        """Whether C, not Lisp, went too deep. Before 3.12 both share one counter, so that any call
        of C may be the last straw; then it is whose frame it was that tells.
        """
        text = str(failure)
        if not ("while calling" in text or "comparison" in text or "C stack" in text):
            return False
        if version_info >= (3, 12):
            return True
        names = last_frame(failure).f_globals
        return names is not self.rt.registers and names["__name__"].partition(".")[0] != "omega"

    def _unbound(self, failure: NameError) -> OmegaError:
        match = re.search(r"'([^']*)'", str(failure))
        spelled = failure.name or (match.group(1) if match else "?")
        if spelled.startswith("_"):
            return _bug(failure)
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
            from omega.lisp.hints import hint_for_call

            fact, given = no_procedure(match.group(1))
            return LispTypeError(fact, hint=hint_for_call(given))
        if match := re.match(r"(.+?)\(\) takes (.*?) positional arguments? but (\d+)", text):
            return self._arity(match.group(1), int(match.group(3)), failure)
        if match := re.match(r"(.+?)\(\) missing (\d+) required positional argument", text):
            return self._arity(match.group(1), -int(match.group(2)), failure)
        if match := re.match(r"(.+?)\(\) takes no arguments \((\d+) given", text):
            return self._arity(match.group(1), int(match.group(2)), failure)
        return None

    def _arity(self, qualified: str, given: int, failure: TypeError) -> OmegaError:
        """A call of `qualified` with `given` arguments; below 0: with so many too few."""
        from omega.lisp.arity import Misfit, defined_here

        spelled = qualified.rsplit(".", 1)[-1]
        name = demangle(spelled)
        function = self._called(qualified, spelled, failure)
        if function is None:
            wrong = f"{-given} too few" if given < 0 else f"{given}, which is too many"
            return ArityError(f"the arguments given to `{name}` do not fit: {wrong}")
        low, high = self.rt.arity(function)
        owner = qualified.rpartition(".")[0]
        if owner and not owner.endswith("<locals>"):  # a method: Python counts its `self`
            low, high = low - 1, None if high is None else high - 1
            given -= given > 0
        place = place_of(function)
        misfit = Misfit(
            name, signature_of(function), low + given if given < 0 else given, low, high,
            of_program=place is not None,
        )  # fmt: skip
        error = ArityError(misfit.fact, hint=misfit.hint)
        if misfit.given == 0 and not self._frames(failure.__traceback__):
            error.hint = "tasks and the like call it without arguments: write (lambda () ...)"
        if place is not None:
            error.notes.append(defined_here(name, place))
        return error

    def _called(self, qualified: str, spelled: str, failure: BaseException) -> Any:
        """The function whose call failed, by its qualified name; None when it cannot be found."""
        for value in last_frame(failure).f_locals.values():
            value = getattr(value, "__func__", value)
            if isinstance(value, FunctionType) and value.__qualname__ == qualified:
                return value
        name = demangle(spelled)
        for key in (spelled, mangle(name), library_name(name)):
            value = getattr(self.rt.registers.get(key), "__func__", self.rt.registers.get(key))
            if isinstance(value, FunctionType):
                return value
        return None

    # -- backtraces ----------------------------------------------------------------------------

    def backtrace(
        self, traceback: TracebackType | None, origin: tuple[CodeType, int] | None = None
    ) -> list[tuple[str, Span]]:
        """(procedure, place) pairs, innermost first; long ones keep both ends. origin: where the
        program raised it, if it did: handlers called from there are left out.
        """
        found = self._frames(traceback)
        found.reverse()
        if origin is not None:
            found = found[found.index(origin) :] if origin in found else [origin, *found]
        if len(found) > 2 * TRACE_MAX:
            found = found[:TRACE_MAX] + found[-TRACE_MAX:]
        result = []
        for code, at in found:
            if not code.co_filename.startswith("<omega"):
                result += places(code, at)
        return result

    def _is_driven(self, traceback: TracebackType | None, entered: bool) -> bool:
        """Whether the driver made the innermost call, a tail call then. entered: the procedure that
        was called got as far as code of its own.
        """
        codes = []
        while traceback is not None:
            if traceback.tb_frame.f_globals is self.rt.registers:
                codes.append(traceback.tb_frame.f_code)
            traceback = traceback.tb_next
        return codes[-2 if entered else -1 :][:1] == [self.rt.drive.__code__]

    def _frames(self, traceback: TracebackType | None) -> list[tuple[CodeType, int]]:
        """(code, instruction) of generated code, outermost first; of very many, both ends."""
        found: list[tuple[CodeType, int]] = []
        registers, drive = self.rt.registers, self.rt.drive.__code__
        last: FrameType | None = None
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_globals is registers and frame.f_code is not drive:
                if frame is last:  # a guard there let it pass: what is in it tells its place, too
                    found.pop()
                last = frame
                found.append((frame.f_code, traceback.tb_lasti))
                if len(found) > 4 * TRACE_MAX:
                    del found[TRACE_MAX : 2 * TRACE_MAX]
            traceback = traceback.tb_next
        return found


def _bug(failure: BaseException) -> OmegaBug:
    return OmegaBug(f"{type(failure).__name__}: {failure}")


def _condition_of(unwinding: BaseException) -> Any:
    """The condition because of which a stack unwinds; None when there is none."""
    if isinstance(unwinding, GuardExit):
        return unwinding.args[2]
    return unwinding if isinstance(unwinding, (OmegaError, Cancelled)) else None


def _told(what: str, condition: Any) -> tuple[str, Span | None]:
    """A note that tells of another condition."""
    if isinstance(condition, OmegaError):
        return f"{what} error[{condition.code}]: {condition.message}", condition.span
    if isinstance(condition, Cancelled):
        return f"{what} the task was cancelled", None
    from omega.lisp.printer import shorten

    raised = "" if condition is None else f" raise of {shorten(condition)}"
    return f"{what}{raised}".rstrip(":"), None


def last_frame(failure: BaseException) -> FrameType:
    """Where an exception that was raised came from."""
    traceback = failure.__traceback__
    assert traceback is not None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame


_TYPES = {
    "int": "integer", "float": "real", "Fraction": "rational", "str": "string", "bool": "boolean",
    "NoneType": "unspecified", "list": "vector", "bytearray": "bytevector", "NilType": "empty list",
    "Pair": "pair", "SourcePair": "pair", "HashTable": "hash table", "Symbol": "symbol",
    "Keyword": "keyword", "Char": "character", "RecordType": "record type",
}  # fmt: skip


def no_procedure(python: str) -> tuple[str, str]:
    """(what is said of a call of a value of this type, the type as messages have it)."""
    given = _TYPES.get(python, python)
    return f"this is not a procedure: a value of type {given} was called", given


def is_procedure(value: Any) -> bool:
    return isinstance(value, FunctionType) or callable(value)


def _is_final(failure: BaseException) -> bool:
    """Whether it is a limit that no handler of the program sees."""
    return isinstance(failure, LimitExceeded) and failure.is_final
