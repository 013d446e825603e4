"""What a program comes to: by the reference, and by Omega in each of its ways.

Owns: `Outcome`, `expected`, `Workbench` (one interpreter that serves one program after the other),
`disagreement`, the law.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from omega.concurrency import SchedulerConfig
from omega.errors import LimitExceeded, OmegaError, Raised, ReadError, Source, Span
from omega.interpreter import Interpreter
from omega.limits import Limits
from omega.lisp import compiler
from omega.lisp.data import Char, Keyword, Nil, Pair, Record, RecordType, Symbol, Values
from omega.lisp.reader import read_all
from omega.lisp.table import HashTable
from tests.lisp.reference.machine import Escape, Machine, TooLong, Uncaught
from tests.lisp.reference.primitives import Unsaid
from tests.lisp.reference.scopes import Malformed

SHOWN_MAX = 400  # parts of a value that are compared
RECURSION = 60_000  # Python frames of the reference
FUEL = 1_000_000
PROGRAMS_MAX = 400  # that one interpreter serves
WAYS = (("optimised", True), ("not optimised", False))


class Outcome:
    """end: ("value", ...), ("error", code) or ("raised", ...). place: of an error, or None."""

    def __init__(self, end: Any, place: Any, log: list[Any], steps: int) -> None:
        self.end, self.place, self.log, self.steps = end, place, log, steps

    def differs(self, other: Outcome) -> list[str]:
        """In what it is another than `other`."""
        found = [
            name for name in ("end", "log", "steps") if getattr(self, name) != getattr(other, name)
        ]
        if self.place != other.place and None not in (self.place, other.place):
            found.append("place")
        return found

    def __repr__(self) -> str:
        return f"{self.end} at {self.place}, {self.steps} steps, log {self.log}"


def shown(value: Any) -> Any:
    """A value of either side as plain data, as far as it goes."""
    left = [SHOWN_MAX]
    return _shown(value, left)


def _shown(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        return "..."
    if isinstance(value, Pair):
        items: list[Any] = []
        while isinstance(value, Pair) and left[0] > 0:
            items.append(_shown(value.car, left))
            value = value.cdr
        return ("list", *items) if value is Nil else ("list", *items, ".", _shown(value, left))
    if value is Nil:
        return ("list",)
    if type(value) is list:
        return ("vector", *(_shown(item, left) for item in value))
    if isinstance(value, Values):
        return ("values", *(_shown(item, left) for item in value.items))
    if isinstance(value, HashTable):
        return ("table", *((_shown(k, left), _shown(v, left)) for k, v in value.items()))
    if isinstance(value, Record):
        parts = (getattr(value, f"f{i}") for i in range(len(value.field_names)))
        return ("record", value.type_name, *(_shown(part, left) for part in parts))
    if isinstance(value, OmegaError):
        return ("condition", value.code)
    if isinstance(value, (Symbol, Keyword)):
        return (type(value).__name__, value.name)
    if isinstance(value, Char):
        return ("char", value.value)
    if isinstance(value, RecordType):
        return ("record type",)
    if callable(value):
        return ("procedure",)
    if value is None or isinstance(value, (bool, int, float, str, bytearray)):
        return (type(value).__name__, repr(value))
    if type(value).__name__ == "Fraction":
        return ("ratio", str(value))
    return (type(value).__name__,)


@contextmanager
def deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def expected(texts: list[str]) -> Outcome | None:
    """What the reference says; None of a program that is none, or that goes on for too long."""
    log: list[Any] = []
    machine = Machine(lambda value: log.append(shown(value)))
    place = None
    with deep():
        try:
            end: Any = ("value", shown(machine.run(texts)))
        except Uncaught as uncaught:
            condition = uncaught.condition
            if isinstance(condition, LimitExceeded):
                return None
            if isinstance(condition, OmegaError):
                end, place = ("error", condition.code), uncaught.place
            else:
                end = ("raised", shown(condition))
        except (Escape, TooLong, Malformed, ReadError, Unsaid):
            return None
    return Outcome(end, place, log, machine.steps)


@lru_cache(50)
def _read(name: str, text: str) -> list[tuple[Any, Span]]:
    return read_all(Source(name, text))


def read_once(source: Source, characters_max: int | None = None) -> list[tuple[Any, Span]]:
    """The reader is not what is tried here: a text that comes again is not read again."""
    return _read(source.name, source.text)


Machine.read = staticmethod(read_once)
compiler.read_all = read_once


class Workbench:
    """Runs programs in one interpreter, which forgets each of them. fresh: one for each program."""

    def __init__(self, optimize: bool, yield_every: int = 100, *, fresh: bool = False) -> None:
        self.optimize, self.yield_every, self.fresh = optimize, yield_every, fresh
        self.interpreter: Interpreter | None = None
        self.served = 0
        self.log: list[Any] = []
        self._kept: dict[str, Any] = {}

    def close(self) -> None:
        if self.interpreter is not None:
            self.interpreter.close()
        self.interpreter = None

    def run(self, texts: list[str]) -> Outcome:
        interpreter = self._ready()
        self.log = []
        steps, place = 0, None
        end: Any = ("value", shown(None))
        for text in texts:
            before = None
            try:
                task = interpreter.spawn_text(text, "<program>")
                before = interpreter.scheduler.stats().steps
                end = ("value", shown(interpreter.scheduler.wait(task)))
            except OmegaError as error:
                if isinstance(error, Raised):
                    end = ("raised", shown(error.condition))
                else:
                    interpreter.explained(error)
                    end, place = ("error", error.code), _place(error)
            if before is not None:
                steps += interpreter.scheduler.stats().steps - before
            if end[0] != "value":
                break
        return Outcome(end, place, list(self.log), steps)

    def _note(self, value: Any) -> Any:
        self.log.append(shown(value))
        return value

    def _ready(self) -> Interpreter:
        if self.interpreter is None or self.fresh or self.served >= PROGRAMS_MAX:
            self.close()
            self.served = 0
            self.interpreter = Interpreter(
                virtual_time=True,
                optimize=self.optimize,
                scheduler=SchedulerConfig(yield_every=self.yield_every),
                limits=Limits(),
            )
            # What a name may have been meant to be is half the work of some programs.
            self.interpreter.runtime.suggest = lambda name, here=(): None  # type: ignore[method-assign]
            self.interpreter._evaluator.compiler._load_macros()
            self._kept = dict(self.interpreter.runtime.registers)
        self.served += 1
        self._forget(self.interpreter)
        return self.interpreter

    def _forget(self, interpreter: Interpreter) -> None:
        """Everything a program can leave behind."""
        evaluator = interpreter._evaluator
        evaluator.use_cache = False
        registers = interpreter.runtime.registers
        for name in [name for name in registers if name not in self._kept]:
            if name[:1] != "_" and name[-1:] != "_" and "_ǁ" not in name:  # not the library's
                del registers[name]
        for kept in (evaluator.entries, evaluator.workers_of, evaluator.defined):
            kept.clear()
        evaluator.sources.clear()
        evaluator.expansions.clear()
        evaluator.imports.clear()
        evaluator.lent.clear()
        evaluator._has_macros = False
        compiler = evaluator.compiler
        compiler.program.defined = set()
        compiler.program.syntax = dict(compiler.library.syntax)
        evaluator.define("note", self._note)


def _place(error: OmegaError) -> Any:
    span = error.span
    if span is None or not span.file.startswith("<program"):
        return None
    return span.line, span.column


class Disagreement:
    """text: for people; empty when there is none. sort: which ways, and in what."""

    def __init__(self, text: str = "", sort: frozenset[Any] = frozenset()) -> None:
        self.text, self.sort = text, sort

    def __bool__(self) -> bool:
        return bool(self.text)


class Bench:
    """The law: the reference, and Omega with and without optimisation, as one text and form by
    form, agree on the end, its place where both know it, on what was noted, and on the steps.
    """

    def __init__(self, *, fresh: bool = False) -> None:
        # Slices of 7 steps: what ends a slice is met in most programs.
        self.ways = [
            (name, Workbench(optimize, every, fresh=fresh))
            for (name, optimize), every in zip(WAYS, (7, 100), strict=True)
        ]

    def close(self) -> None:
        for _, workbench in self.ways:
            workbench.close()

    def disagreement(
        self, texts: list[str], *, whole: bool = True, split: bool = True
    ) -> Disagreement | None:
        """What a program's ways disagree on; None of a program that is not to be compared."""
        found = Disagreement()
        seen: Outcome | None = None
        for is_split in [False] * whole + [True] * split:
            parts = texts if is_split else ["\n".join(texts)]
            wanted = expected(parts)
            if wanted is None:
                return None
            seen = seen or wanted
            for name, workbench in self.ways:
                got = workbench.run(parts)
                if got.end[1][:2] == "E1":  # no program: syntax has tests of its own
                    return None
                if differs := got.differs(wanted):
                    how = "form by form" if is_split else "as one text"
                    found.text += f"{name}, {how}:\n  got      {got}\n  expected {wanted}\n"
                    found.sort |= {(name, each) for each in differs}
        self.outcome = seen
        return found

    outcome: Outcome | None = None  # of the last program that was compared
