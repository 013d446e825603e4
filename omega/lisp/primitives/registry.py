"""The registry of primitives: Python functions Lisp programs can name.

Owns: the `@primitive` decorator and the table it fills at import.
Refuses: higher-order procedures. Whatever calls a Lisp procedure back (map, sort, hash-update!,
...) is written in Lisp (omega/lisp/library/), so no C or Python frame ever stands between two Lisp
frames.

A primitive is a plain Python function taking its Lisp arguments positionally. Its arity is read
off its signature; its docstring opens with the call shape: `(vector-ref v k) -> element k of
vector v`. One that needs the interpreter (ports, the effect door, limits) declares a keyword-only
parameter `rt` (a `Runtime`), which each interpreter binds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_VARARGS = 0x04


class Primitive:
    """name, aliases: Lisp names. low, high: argument counts (high None: any number).

    result: what the compiler may assume of the value when the call returns: "int", "number",
    "bool", "string", "pair", "list", "char", "vector", "symbol" or None (anything).
    needs_runtime: has the keyword-only parameter `rt`.
    """

    __slots__ = ("doc", "function", "high", "low", "name", "needs_runtime", "result")

    def __init__(self, name: str, function: FunctionType, result: str | None) -> None:
        code = function.__code__
        defaults = function.__defaults__ or ()
        self.name = name
        self.function = function
        self.low = code.co_argcount - len(defaults)
        self.high = None if code.co_flags & _VARARGS else code.co_argcount
        self.result = result
        self.needs_runtime = (
            "rt" in code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        )
        self.doc = function.__doc__ or ""


class Native:
    """A Python function that takes part in control: a call to it is a step for its caller, as any
    call is.

    Never answers with the tail-call marker, so it is called in place even as the last thing a
    procedure does: its caller stays on the stack, and an error it raises has a place.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


PRIMITIVES: dict[str, Primitive] = {}


def primitive(*names: str, result: str | None = None) -> Callable[[F], F]:
    """Register the function under each of `names` (the first is its own name)."""

    def register(function: F) -> F:
        assert isinstance(function, FunctionType)
        function.__qualname__ = function.__name__ = names[0]
        for name in names:
            assert name not in PRIMITIVES, f"primitive {name} is defined twice"
            PRIMITIVES[name] = Primitive(name, function, result)
        return function

    return register
