"""Errors: every failure Omega reports, one class per condition kind.

Owns: `OmegaError` and its families, `Span`, `Source`. The codes are in codes.py.
Refuses: to know about Lisp data, tasks or files. Anything may import this module; it imports
nothing of Omega but the codes.

An `OmegaError` instance IS the Lisp condition object: what Lisp code raises, handles and inspects
is what the host catches. Families: program (`LispError`), limit (`LimitExceeded`), host
(`HostError`), bug (`OmegaBug`).

Invariant: an error's `kind` is a key of `CODES`; its class is the one that the family promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from omega.codes import CODES


class Source:
    """A program text and the name it is reported under."""

    __slots__ = ("_lines", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._lines: list[str] | None = None

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its end; '' when there is no such line."""
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines[number - 1].rstrip("\r") if 1 <= number <= len(self._lines) else ""


_UNPRINTABLE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]"


def printable(text: str) -> str:
    """`text` as any stream takes it and no terminal obeys it: control characters and lone
    surrogates are written as a Lisp string writes them, `\\xd800;`.
    """
    import re

    return re.sub(_UNPRINTABLE, lambda match: f"\\x{ord(match.group()):x};", text)


class Span:
    """A half-open region of a source: lines from 1, columns from 1 and in characters; `end_column`
    is exclusive.
    """

    __slots__ = ("column", "end_column", "end_line", "file", "line")

    def __init__(self, file: str, line: int, column: int, end_line: int, end_column: int) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.end_line = end_line
        self.end_column = end_column

    def __repr__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, int, int, int, int]:
        return (self.file, self.line, self.column, self.end_line, self.end_column)


class OmegaError(Exception):
    """Base of all errors. `message` says the fact with the names and values involved, `hint` the
    way out.

    irritants: Lisp values given with the message (`(error "no such ticket" id)`).
    span: where in a Lisp source, when known. lisp_traceback: (procedure name, Span) pairs,
    innermost first. Both are found when somebody first asks: most errors are handled unseen.
    notes: further facts with their places, as (text, Span or None) pairs ("opened here").
    in_tail_call: about a call that left no trace; `span` is the call of the procedure that made it.
    severity: "error", or "warning" of what was found in a text and stops no program.
    others: further mistakes of the same text, found before it ran.
    """

    # What most errors do not have stands here once: they are made and dropped by the thousand.
    kind = "error"
    severity = "error"
    others: Sequence[OmegaError] = ()
    in_tail_call = False
    irritants: Sequence[Any] = ()
    hint: str | None = None
    task: str | None = None
    excerpt: str | None = None  # the formatted report, filled at the seam to the host
    signalled = False  # the Lisp handlers in force have seen it
    find_place: Callable[[OmegaError], None] | None = None  # fills in the two, once
    origin: Any = None  # (code, instruction) of the program that raised it first
    _span: Span | None = None
    _lisp_traceback: list[tuple[str, Span]] | None = None
    _notes: list[tuple[str, Span | None]] | None = None

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        irritants: Iterable[Any] = (),
        hint: str | None = None,
        span: Span | None = None,
        notes: Iterable[tuple[str, Span | None]] = (),
    ) -> None:
        self.args = (message,)
        self.message = message
        if kind is not None:
            self.kind = kind
        if irritants:
            self.irritants = list(irritants)
        if hint is not None:
            self.hint = hint
        if span is not None:
            self._span = span
        if notes:
            self._notes = list(notes)

    @property
    def notes(self) -> list[tuple[str, Span | None]]:
        notes = self._notes
        if notes is None:
            notes = self._notes = []
        return notes

    @property
    def span(self) -> Span | None:
        self.locate()
        return self._span

    @span.setter
    def span(self, span: Span | None) -> None:
        self.locate()
        self._span = span

    @property
    def lisp_traceback(self) -> list[tuple[str, Span]]:
        self.locate()
        return self._lisp_traceback or []

    @lisp_traceback.setter
    def lisp_traceback(self, places: list[tuple[str, Span]]) -> None:
        self.locate()
        self._lisp_traceback = places

    def locate(self) -> None:
        """Have the place found that the error's Python traceback tells, if it was not yet."""
        find, self.find_place = self.find_place, None
        if find is not None:
            find(self)

    @property
    def own_kind(self) -> str:
        """Its kind, as the program calls it: of a condition of the program's own making that name,
        else `kind`.
        """
        return self.kind

    @property
    def code(self) -> str:
        """The stable code of this error's kind, such as "E201"."""
        return CODES[self.kind][0]

    def __str__(self) -> str:
        if self.excerpt is not None:
            return self.excerpt
        return printable(self.message if self.span is None else f"{self.span}: {self.message}")


class LispError(OmegaError):
    """A condition of the program: what Lisp code can raise, handle and inspect."""

    @property
    def condition(self) -> Any:
        """The object Lisp handlers see: the error itself, or the payload of `(raise payload)`."""
        return self


class OwnCondition(LispError):
    """A condition of a program's own making. `kind` is the one of CODES that it lies below.

    kinds: its own kind and those between, innermost first. fields: name -> value.
    """

    def __init__(
        self, message: str, kind: str, kinds: tuple[str, ...], fields: dict[str, Any]
    ) -> None:
        super().__init__(message, kind=kind)
        self.kinds, self.fields = kinds, fields

    @property
    def own_kind(self) -> str:
        return self.kinds[0]


class Raised(LispError):
    """`(raise payload)` of what is no condition, on its way to a handler or to the host."""

    kind = "raised"

    def __init__(self, payload: Any, message: str = "uncaught raise") -> None:
        super().__init__(message)
        self.payload = payload

    @property
    def condition(self) -> Any:
        return self.payload


class ReadError(LispError):
    kind = "read-error"


class LispSyntaxError(LispError):
    kind = "syntax-error"


class LibraryError(LispSyntaxError):
    """A library that cannot be had, or a name that one does not have."""

    kind = "library-error"


class UnboundVariable(LispError):
    kind = "unbound-variable"


class LispTypeError(LispError):
    kind = "type-error"


class ArityError(LispError):
    """blames_caller: raised by the first steps of a procedure, for what its caller gave it."""

    kind = "arity-error"
    blames_caller = False


class LispIndexError(LispError):
    kind = "index-error"


class LispKeyError(LispError):
    kind = "key-error"


class DivisionByZero(LispError):
    kind = "division-by-zero"


class LispValueError(LispError):
    """An argument of the right type whose value the primitive cannot take."""

    kind = "value-error"


class LispFileError(LispError):
    kind = "file-error"


class JsonError(LispError):
    kind = "json-error"


class PermissionDenied(LispError):
    kind = "permission-denied"


class HostFunctionError(LispError):
    """A host function raised; `__cause__` is its exception."""

    kind = "host-error"


class TimeoutExpired(LispError):
    kind = "timeout-error"

    def __init__(self, message: str) -> None:
        hint = "allow more time, or go on without: `guard` with (condition-is? e 'timeout-error)"
        super().__init__(message, hint=hint)


class TaskError(LispError):
    kind = "task-error"


class TaskCancelled(TaskError):
    """What awaiting a cancelled task raises. task: its id; reason, by: who cancelled it and why."""

    kind = "task-cancelled"

    def __init__(
        self, task: str, reason: str | None, by: str | None, *, name: str | None = None
    ) -> None:
        label = f'{task} "{name}"' if name else task
        why = f": {reason}" if reason else ""
        who = "" if not by else " (by the host)" if by == "host" else f" (by task {by})"
        super().__init__(
            f"task {label} was cancelled{why}{who}",
            hint="`guard` with (condition-is? e 'task-cancelled) goes on without its value",
        )
        self.task_id, self.reason, self.by = task, reason, by


class Deadlock(TaskError):
    """Nothing can ever happen. graph: a line per waiting task, where all wait for each other."""

    kind = "deadlock"
    graph: tuple[str, ...] = ()


class TasksFailed(TaskError):
    """Several tasks failed. outcomes: by index, ("ok", value) | ("error", exception) |
    ("cancelled", exception).
    """

    kind = "tasks-failed"

    def __init__(self, message: str, outcomes: Iterable[tuple[str, Any]]) -> None:
        super().__init__(message)
        self.outcomes = list(outcomes)


class LLMError(LispError):
    """An LLM call failed. kind tells how: see CODES under llm-error.

    status: the HTTP status the provider answered, when there was one (or that its error in the
    middle of a stream stands for). retry_after_s: seconds it asked to wait.
    retryable: the same call may succeed when it is made again (read by the retry policy, nobody
    else).
    throttle: which kind of 429, 503 or 529: "concurrency" (too many at once), "rate" (too many in a
    time), "slope" (growing too fast), "quota" (no waiting cures it), "overload" (the server's own
    trouble). None: no throttling.
    reason: why a request was refused, when that is known: "key", "model", "context" (too long),
    "content" (the model or its filter will not), "schema", "tools", "images" (what the server or
    the model cannot do); "not-ready": this machine lacks a key or a package for the model;
    "not-sent": nobody waited for it any more.
    model: which was asked. attempts: how often in all. partial: the text that had come of a stream,
    usage: the tokens told so far, limits: the vendor's (omega/llm/rate_limits.py). None: unknown.
    """

    kind = "llm-error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        retryable: bool = False,
        throttle: str | None = None,
        reason: str | None = None,
        model: str | None = None,
        attempts: int | None = None,
        partial: str | None = None,
        usage: Any = None,
        limits: Any = None,
        **base: Any,
    ) -> None:
        super().__init__(message, **base)
        self.status, self.retry_after_s, self.retryable = status, retry_after_s, retryable
        self.throttle, self.reason, self.model, self.attempts = throttle, reason, model, attempts
        self.partial, self.usage, self.limits = partial, usage, limits


class LimitExceeded(OmegaError):
    """A limit was reached. Not catchable by Lisp code, unless it is a budget of calls of models: a
    program that goes on without them spends nothing.

    limit: "fuel", "depth", "native-depth", "wall", "output", "memory", "source-size", "nesting",
    "atomic", "size", "number-size", "tasks"; of a budget "calls", "tokens", "usd".
    is_final: whether handlers of the program never see it.
    """

    kind = "limit-exceeded"
    is_final = True

    def __init__(
        self,
        limit: str,
        used: float | int | None,
        allowed: float | int | None,
        unit: str,
        hint: str | None = None,
    ) -> None:
        facts = f"{unit}, {allowed:,} allowed" if allowed is not None else unit
        count = f"{used:,} {facts}" if used is not None else facts
        super().__init__(f"{limit} limit exceeded: {count}", hint=hint)
        self.limit, self.used, self.allowed = limit, used, allowed

    @property
    def condition(self) -> Any:
        return self


class HostError(OmegaError):
    """The embedding program used Omega in a way that cannot work."""

    kind = "usage"

    def __str__(self) -> str:
        """With the hint: nobody but a Python traceback will show it."""
        text = super().__str__()
        return text if self.excerpt is not None or not self.hint else f"{text}\n  hint: {self.hint}"


class WrongThread(HostError):
    kind = "wrong-thread"


class LoopIsRunning(HostError):
    kind = "loop-is-running"


class Closed(HostError):
    kind = "closed"


class ReplayDivergence(HostError):
    """A replayed program does something else than the recorded one did."""

    kind = "replay-divergence"


class TapeEnded(HostError):
    """A tape ends although the run went on: whatever recorded it was killed."""

    kind = "tape-ended"


class StoreError(HostError):
    """A store of runs cannot be used. StoreFull, StoreBusy: nothing was written, try it again."""

    kind = "store-error"


class StoreFull(StoreError):
    kind = "store-full"


class StoreBusy(StoreError):
    kind = "store-busy"


class Fenced(HostError):
    kind = "fenced"


class RunStopped(HostError):
    """A durable run goes no further in this process. run: its id. state: what it is in now.
    reason: of one that is blocked.
    """

    kind = "run-stopped"

    def __init__(
        self, message: str, run: str, state: str, reason: str | None = None, *, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint or None)
        self.run, self.state, self.reason = run, state, reason


class UnknownOutcome(LispError):
    """Nobody knows whether an effect was made: its process died meanwhile."""

    kind = "unknown-outcome"


class RunError(LispError):
    """What is asked of another run, and cannot be. run: its id. state: of one that has ended.
    owner, until_us: who holds its lease, and until when.
    """

    def __init__(self, message: str, run: str, *, hint: str | None = None, **facts: Any) -> None:
        super().__init__(message, hint=hint)
        self.run, self.state = run, facts.get("state")
        self.owner, self.until_us = facts.get("owner"), facts.get("until_us")


class UnknownRun(RunError):
    kind = "unknown-run"


class RunExists(RunError):
    kind = "run-exists"


class RunOwned(RunError):
    kind = "run-owned"


class RunEnded(RunError):
    kind = "run-ended"


class OmegaBug(OmegaError):
    """Omega itself went wrong. Please report it."""

    kind = "bug"


class Cancelled(BaseException):
    """Unwinds a cancelled task. Passes every Lisp handler; only the scheduler catches it.

    reason, by: why, and the id of the task (or "host") that asked. request: what the scheduler
    raised it for, which then knows who asked.
    """

    # Every cancelled task raises one: no dictionary, no constructor of the base.
    __slots__ = ("_by", "reason", "request")

    def __init__(
        self, reason: str | None = None, by: str | None = None, request: Any = None
    ) -> None:
        self.args = (reason or "cancelled",)
        self.reason, self._by, self.request = reason, by, request

    @property
    def by(self) -> str | None:
        return self._by if self.request is None else self.request.by
