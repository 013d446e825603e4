"""Procedure: what a Lisp procedure is to the host, and how values cross between the two worlds.

Owns: `Procedure`, `Seam` (one per interpreter: to_host, from_host).
Refuses: running anything itself: a call goes to the interpreter's `enter`.

Inside, a procedure is a bare Python function that may answer with the tail-call marker; outside it
is a `Procedure`, one live wrapper per function, which unwraps back to the same function. Dicts and
tuples of the host become hash tables and vectors (copies), an instance of a subclass of int, float
or str (IntEnum) the plain value; every other object crosses as itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from omega.errors import HostError, HostFunctionError, LimitExceeded, OmegaError
from omega.lisp.conditions import NATIVE_DEPTH_HINT
from omega.lisp.data import Keyword, Pair, Symbol, Values
from omega.lisp.docstring import documentation_of
from omega.lisp.table import HashTable

Enter = Callable[[Any, tuple[Any, ...], str], Any]
PLAIN = (int, float, str)  # instances of their subclasses cross as the plain value


class Procedure:
    """A Lisp procedure. Call it: `f(1, model="x")`; `await f.call_async(...)` inside a running
    asyncio loop.

    name, signature, doc: as defined. Raises what the procedure raises, as omega.LispError and its
    kin.
    """

    __slots__ = ("__weakref__", "_seam", "function")

    def __init__(self, seam: Seam, function: Any) -> None:
        self._seam, self.function = seam, function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._seam.enter(self.function, self._seam.arguments(arguments, keywords), self.name)

    async def call_async(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it inside a running asyncio loop; it may wait."""
        return await self._seam.enter_async(
            self.function, self._seam.arguments(arguments, keywords), self.name
        )

    @property
    def name(self) -> str:
        from omega.lisp.printer import procedure_name

        return procedure_name(self.function)

    @property
    def signature(self) -> str:
        text: str = self._seam.rt.signature(self.function)
        return text

    @property
    def doc(self) -> str | None:
        text = documentation_of(self.function)
        if not text.startswith("(") or " -> " not in text:
            text = text.partition("\n\n")[2]
        return text or None

    def __repr__(self) -> str:
        return f"#<procedure {self.name}>"


class Seam:
    """rt: the Runtime. enter, enter_async: how a call from the host gets onto the scheduler."""

    def __init__(self, rt: Any, enter: Enter, enter_async: Any) -> None:
        self.rt, self.enter, self.enter_async = rt, enter, enter_async
        self._wrappers: weakref.WeakValueDictionary[Any, Procedure] = weakref.WeakValueDictionary()
        self._functions: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self.host_function: Callable[..., Any] = lambda f, name: f

    def to_host(self, value: Any) -> Any:
        """`value` as the host sees it."""
        if type(value) in (FunctionType, MethodType):
            original = getattr(value, "host_original", None)
            if original is not None:
                return original
            found = self._wrappers.get(value)
            if found is None:
                found = self._wrappers[value] = Procedure(self, value)
            return found
        if type(value) is Values:
            return self._tuple(value)
        return value

    def _tuple(self, root: Values) -> tuple[Any, ...]:
        """Several values as a tuple, values among them likewise, to any depth."""
        done: dict[int, tuple[Any, ...]] = {}
        work: list[tuple[Values, list[Any]]] = [(root, [])]
        while work:
            values, made = work[-1]
            if len(made) == len(values.items):
                done[id(values)] = tuple(made)
                work.pop()
                continue
            item = values.items[len(made)]
            if type(item) is not Values:
                made.append(self.to_host(item))
            elif id(item) in done:
                made.append(done[id(item)])
            else:
                work.append((item, []))
        return done[id(root)]

    def from_host(self, value: Any) -> Any:
        """`value` as Lisp code sees it."""
        kind = type(value)
        if kind in (int, float, str, bool, list, Pair, Symbol, HashTable) or value is None:
            return value
        if kind is Procedure and value._seam is self:
            return value.function  # one of another interpreter is a host function
        if kind is dict or kind is tuple:
            return self._copied(value)
        if isinstance(value, PLAIN):
            return _plain(value)
        if callable(value) and not isinstance(value, type):
            return self._wrapped(value)
        if hasattr(value, "__car__") and not isinstance(value, Pair):
            raise HostError(
                f"an object of type {kind.__name__} answers to any name, and would pass for a pair",
                hint="hand over functions that use it instead: see docs/decisions/0019",
            )
        return value

    def arguments(self, positional: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        given = [self.from_host(value) for value in positional]
        for name, value in keywords.items():
            given += (Keyword.of(name.replace("_", "-")), self.from_host(value))
        return tuple(given)

    def _wrapped(self, value: Any) -> Any:
        try:
            found = self._functions.get(value)
        except TypeError:  # neither hashable nor weakly referable
            return self.host_function(value, getattr(value, "__name__", type(value).__name__))
        if found is None:
            found = self.host_function(value, getattr(value, "__name__", type(value).__name__))
            try:
                self._functions[value] = found
            except TypeError:
                pass
        return found

    def _copied(self, root: Any) -> Any:
        """Dicts, tuples and lists, within each other to any depth, as hash tables and vectors. What
        is shared, or contains itself, is so in the copy.
        """
        result: list[Any] = [None]
        copies: dict[int, Any] = {}
        work: list[tuple[Any, Any, Any]] = [(root, result, 0)]
        while work:
            item, target, key = work.pop()
            made = copies.get(id(item))
            if made is not None:
                pass
            elif type(item) is dict:
                made = copies[id(item)] = HashTable()
                named = [(_plain(name), value) for name, value in item.items()]
                for name, _ in named:
                    made[name] = None
                work.extend((value, made, name) for name, value in named)
            elif type(item) in (tuple, list):
                made = copies[id(item)] = [None] * len(item)
                work.extend((value, made, i) for i, value in enumerate(item))
            else:
                made = self.from_host(item)
            target[key] = made
        return result[0]


def _plain(value: Any) -> Any:
    """The int, float or str that an instance of a subclass is; anything else itself."""
    if type(value) in (*PLAIN, bool) or not isinstance(value, PLAIN):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def host_failure(name: str, error: Exception) -> OmegaError:
    """The condition for an exception a host function raised."""
    if isinstance(error, OmegaError):
        return error
    if isinstance(error, RecursionError):
        return LimitExceeded(
            "native-depth", None, None, f"calls nested in host function `{name}`",
            hint=NATIVE_DEPTH_HINT,
        )  # fmt: skip
    raised = HostFunctionError(f"host function `{name}` raised {in_short(error)}")
    raised.__cause__ = error
    return raised


def in_short(error: BaseException) -> str:
    """The class of an exception, and its text if it has one."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be shown)"
    return type(error).__name__ + (f": {text}" if text else "")
