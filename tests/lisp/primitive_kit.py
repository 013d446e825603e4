"""A runtime small enough to call primitives without a compiler, and an evaluator of nested primitive calls."""
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from omega.errors import LispFileError, Source
from omega.lisp.data import Nil, Pair, Symbol, Values
from omega.lisp.names import library_name
from omega.lisp.ports import TextInput, TextOutput
from omega.lisp.primitives import load
from omega.lisp.printer import write_string
from omega.lisp.reader import read_all, strip_source

PRIMITIVES = load()


class Limits:
    def __init__(
        self, alloc_items: int | None = 1_000_000, output_bytes: int | None = None
    ) -> None:
        self.alloc_items = alloc_items
        self.output_bytes = output_bytes


class Reading:
    """A file handle for reading that gives `size` items at a time."""

    def __init__(self, data: Any, size: int) -> None:
        self.data, self.size, self.is_closed = data, size, False

    def read(self, n: int) -> Any:
        piece, self.data = self.data[: self.size], self.data[self.size :]
        return piece

    def close(self) -> None:
        self.is_closed = True


class Writing:
    def __init__(self, files: dict[str, bytes], path: str) -> None:
        self.files, self.path = files, path

    def write(self, data: Any) -> None:
        self.files[self.path] += data if isinstance(data, bytes) else data.encode()

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


PROCEDURES = {library_name(name): p.function for name, p in PRIMITIVES.items()}


class FakeRuntime:
    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.charged = 0
        self.registers = dict(PROCEDURES)
        self.regexes: Any = None
        self.condition_kinds: dict[str, Any] = {}
        self.source_of = lambda file: None
        self.conditions = self
        self.files: dict[str, bytes] = {}
        self.chunk = 3
        self.output = TextOutput("test output", write=lambda text: None)
        self.shown = TextOutput()
        self.input = TextInput("")

    def as_condition(self, error: Any) -> Any:
        return error

    def charge(self, steps: int) -> None:
        assert steps >= 0
        self.charged += steps

    def current_output(self) -> TextOutput:
        return self.shown

    def current_error(self) -> TextOutput:
        return self.shown

    def current_input(self) -> TextInput:
        return self.input

    def perform(self, kind: str, *arguments: Any) -> Any:
        path = arguments[0]
        if kind == "file.exists":
            return path in self.files
        if kind == "file.open-write":
            if not arguments[1]:
                self.files[path] = b""
            self.files.setdefault(path, b"")
            return Writing(self.files, path)
        if path not in self.files:
            raise LispFileError(f"no file {path}")
        if kind == "file.delete":
            del self.files[path]
            return None
        assert kind == "file.open-read"
        data = self.files[path]
        return Reading(data if arguments[1] else data.decode(), self.chunk)


def call(name: str, *arguments: Any, rt: Any = None) -> Any:
    """Call the primitive of a Lisp name."""
    primitive = PRIMITIVES[name]
    if primitive.needs_runtime:
        return primitive.function(*arguments, rt=rt or FakeRuntime())
    return primitive.function(*arguments)


def evaluate(text: str, rt: Any = None) -> Any:
    """The value of the last of the expressions: nested calls of primitives, `quote`, `begin`, (define name x)."""
    names: dict[Symbol, Any] = {}
    runtime = rt or FakeRuntime()
    value = None
    for form, _ in read_all(Source("test", text)):
        value = _evaluate(strip_source(form), names, runtime)
    return value


def _evaluate(form: Any, names: dict[Symbol, Any], rt: Any) -> Any:
    if isinstance(form, Symbol):
        return names[form]
    if not isinstance(form, Pair):
        return form
    head, rest = form.car.name, list(form.cdr)
    if head == "quote":
        return rest[0]
    if head == "define":
        names[rest[0]] = _evaluate(rest[1], names, rt)
        return None
    values = [_evaluate(part, names, rt) for part in rest]
    return values[-1] if head == "begin" else call(head, *values, rt=rt)


def written(text: str, rt: Any = None) -> str:
    """What `write` shows of the value of `text`; several values between blanks."""
    value = evaluate(text, rt)
    if isinstance(value, Values):
        return " ".join(write_string(item) for item in value.items)
    return "" if value is None else write_string(value)


__all__ = ["PRIMITIVES", "FakeRuntime", "Nil", "call", "evaluate", "written"]
