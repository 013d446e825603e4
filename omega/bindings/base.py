"""What every binding leans on: argument checks, units, keyword options, bodies behind a boundary.

Owns: `Bindings` (one per interpreter), `options`, `seconds`. Milliseconds in Lisp, seconds below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any, TypeVar

from omega.concurrency import (
    Scheduler,
    Task,
)
from omega.errors import (
    ArityError,
    LispTypeError,
    LispValueError,
)
from omega.lisp.data import Keyword, Nil
from omega.lisp.primitives import check
from omega.lisp.primitives.check import wrong_type
from omega.lisp.table import HashTable

Table = dict[str, Callable[..., Any]]
# What work on one task is worth, in steps of about half a microsecond.
GROUP_STEPS = 4  # to wait for it with others, and give its value
SPAWN_STEPS = 8  # to make it, start it and end it
SHOW_STEPS = 8  # to show it in a list
NEED_A_TASK = frozenset({"await-any", "await-any/values", "await-first"})


class Bindings:
    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter
        self.scheduler: Scheduler = interpreter.scheduler
        self.allowed = self.scheduler.config  # by the host
        self.rt = interpreter.runtime
        self.door = interpreter.door
        run = interpreter.run_procedure
        self._run = lambda thunk: run(thunk)

    def guarded(self, thunk: Any) -> Callable[[], Any]:
        """`thunk` as the body of a form: its failure meets the handlers before the form is left."""
        rt = self.rt

        def body() -> Any:
            failure: BaseException | None = None
            try:
                return rt.call(thunk)
            except Exception as raised:
                failure = raised
            raise rt.conditions.at_boundary(failure, rt.host.dynamics().handlers)

        return body

    def spawn(self, thunk: Any, **options: Any) -> Task:
        rt = self.rt
        if not rt.is_procedure(thunk):
            raise wrong_type("async", 1, "a procedure without arguments", thunk)
        dynamics = rt.host.dynamics()
        # A task that inherits nothing makes its dynamic state when it first needs one.
        inherits = (
            dynamics.parameters or dynamics.effects is not None or dynamics.budget is not None
        )
        task: Task = self.scheduler.spawn(
            # A function bound to its argument is called without C in between, as a partial is not:
            # that would be half a kilobyte more of each stack that waits.
            MethodType(self._run, thunk),
            locals=dynamics.snapshot() if inherits else None,
            span=rt.code_of(thunk),
            **options,
        )
        return task

    def spend(self, items: int, steps_each: int = 1) -> None:
        """Charge for work on so many tasks or waits; a few are free. May end the slice."""
        if items > check.FREE_ITEMS:
            self.rt.charge(items * steps_each)

    def spend_on_all(self, steps_each: int = 1) -> None:
        """Charge for looking at every task there is, before it is done."""
        self.spend(self.scheduler.live, steps_each)

    def task(self, name: str, value: Any, position: int = 1) -> Task:
        """A task from a task or its id."""
        if isinstance(value, Task):
            return value
        if isinstance(value, str):
            self.spend(self.scheduler.live + len(self.scheduler.finished))
            found: Task = self.scheduler.find_task(value)
            return found
        raise wrong_type(name, position, "a task or a task's id", value)

    def tasks(self, name: str, arguments: tuple[Any, ...]) -> list[Task]:
        """Tasks from a list of them, a vector, or several arguments."""
        items: Any = arguments
        if len(arguments) == 1 and not isinstance(arguments[0], (Task, str)):
            items = self.elements(name, 1, arguments[0], "a list of tasks")
        if not items and name in NEED_A_TASK:
            raise LispValueError(f"`{name}` needs at least one task")
        self.spend(len(items), GROUP_STEPS)
        return [self.task(name, item, i + 1) for i, item in enumerate(items)]

    def elements(self, name: str, position: int | str, value: Any, expected: str) -> list[Any]:
        """The elements of a list, or a vector; the walk is charged for."""
        if type(value) is list:
            return value
        items, end = check.walked(value, self.rt)
        if end is not Nil:
            raise wrong_type(name, position, expected, value)
        return items

    def made(self, thing: Any) -> Any:
        """A channel or lock, just made for the program; where, is told if it is left behind."""
        frame = sys._getframe(2)
        self.scheduler.made[thing] = (frame.f_code, frame.f_lasti)
        return thing


T = TypeVar("T")


def of_kind(kind: type[T], what: str) -> Callable[[str, Any], T]:
    """A check of first arguments: (procedure's name, argument) -> the argument, which is `what`."""

    def checked(name: str, value: Any) -> T:
        if not isinstance(value, kind):
            raise wrong_type(name, 1, what, value)
        return value

    return checked


def options(name: str, position: int, given: Iterable[Any], /, **known: Any) -> dict[str, Any]:
    """The `:key value` pairs from argument `position` on, as a dict over the defaults `known`; a
    Lisp `:max-par` is `max_par`.
    """
    items = tuple(given)
    if not known and items:
        raise ArityError(f"`{name}` takes no keywords", hint=f"leave out {shown(items[0])}")
    allowed = tuple(key.replace("_", "-") for key in known)
    found = check.options(name, items, position, allowed)
    return known | {key.replace("-", "_"): value for key, value in found.items()}


def shown(value: Any) -> str:
    from omega.lisp.printer import shorten

    return shorten(value, 60)


def seconds(name: str, position: int | str, ms: Any) -> float:
    """Milliseconds of a program as seconds."""
    if isinstance(ms, bool) or (
        not isinstance(ms, (int, float)) and type(ms).__name__ != "Fraction"
    ):
        if isinstance(position, str):
            raise LispTypeError(f"`{name}` expected milliseconds for {position}, got {shown(ms)}")
        raise wrong_type(name, position, "milliseconds", ms)
    try:
        value = float(ms) / 1000.0
    except OverflowError:
        value = float("inf")
    if not 0 <= value < float("inf"):
        raise LispValueError(f"`{name}` expected milliseconds from 0 on, got {shown(ms)}")
    return value


def optional_seconds(name: str, keyword: str, ms: Any) -> float | None:
    return None if ms is None or ms is False else seconds(name, keyword, ms)


def keyword_table(fields: dict[str, Any]) -> HashTable:
    """A hash table for programs, its keys keywords: `retry_after` is `:retry-after`."""
    result = HashTable()
    for name, value in fields.items():
        result[Keyword.of(name.replace("_", "-"))] = value
    return result
