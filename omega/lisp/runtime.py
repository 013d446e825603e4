"""One interpreter's inside: the globals dict of its generated code and everything that code leans
on.

Owns: `Runtime`: the registers (globals dict), the marker and its driver, safepoint helpers,
installation of primitives, control procedures and the library, what printing and errors need to
know of procedures.
Refuses: compiling (compiler.py), scheduling (the host), talking to the outside
(the host's `perform`).

Read emitter.py first: the names set up here (`_it`, `_M`, `_drive`, ...) are the ones it emits.

Invariants: generated code sees no Python builtins; a tail-call marker is consumed by whoever
called; between setting the register `_t` and the driver reading it nothing else runs.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, repeat
from types import CodeType, FunctionType, MethodType
from typing import Any, NoReturn

from omega.errors import ArityError, LimitExceeded, Source
from omega.lisp.conditions import Conditions
from omega.lisp.control import MARKING, control_procedures
from omega.lisp.data import Char, Eof, Nil, Pair, Symbol, Values, cons, to_list
from omega.lisp.docstring import signature_of
from omega.lisp.equality import PLAIN_KEYS
from omega.lisp.host import WIDE_MAX, Host
from omega.lisp.keywords import UNSET, bind_keywords, missing_keyword
from omega.lisp.names import demangle, library_name
from omega.lisp.primitives import load, support  # noqa: F401  (registers the library's own)
from omega.lisp.primitives import numbers as slow
from omega.lisp.primitives.check import wrong_type
from omega.lisp.primitives.registry import Native, Primitive
from omega.lisp.records import RECORD_PROCEDURES, class_of
from omega.lisp.table import HashTable

WIDE_DEPTH_MAX = 200  # nested calls with more than that
APPLY_MAX = 8
VALUES_HINT = "(values a b) gives two; `receive` with a rest parameter takes any number"

METERED_SLICE = 10_000  # steps between two looks at whether code outside of tasks may go on

# Primitives the library has procedures of the same names for, which take more and fall back on
# these: there `%assoc` is the primitive.
EXTENDED = (
    "assoc", "member", "delete", "delete-duplicates",
    "string-index", "string-trim", "string-trim-left", "string-trim-right",
)  # fmt: skip
MARKER = object()


class RuntimeLimits:
    """depth: Python frames per task. output_bytes: None or the most a program may write.
    alloc_items: the largest single vector, string or list a primitive makes. source_bytes: the
    largest text that is read.
    """

    __slots__ = ("alloc_items", "depth", "output_bytes", "source_bytes")

    def __init__(
        self,
        depth: int = 1_100_000,
        output_bytes: int | None = None,
        alloc_items: int = 50_000_000,
        source_bytes: int = 4_000_000,
    ) -> None:
        self.depth, self.output_bytes = depth, output_bytes
        self.alloc_items, self.source_bytes = alloc_items, source_bytes


class Runtime:
    def __init__(self, host: Host, limits: RuntimeLimits | None = None) -> None:
        self.host = host
        self.limits = limits or RuntimeLimits()
        self.depth_max = self.limits.depth
        self.registers: dict[str, Any] = host.registers
        self.marker = MARKER
        self.conditions = Conditions(self)
        self.library: dict[str, Primitive | Native | None] = {}  # None: a procedure like any other
        self.parts: dict[str, str] = {}  # name -> the part of the library that has it
        self.regexes: Any = None  # the patterns known, once a program uses one
        self.tests: Any = None  # what the checks of a program found: bindings/testing.py
        # the program's own kinds: name -> (kind of CODES, fields, names from its own upwards)
        self.condition_kinds: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {}
        self.source_of: Callable[[str], Source | None] = lambda file: None  # the texts of reports
        self.metered_steps = 0  # taken in the last `metered` block, in those within it too
        # of the innermost one under way: takes steps, gives how many are left
        self._spend: Callable[[int], int] | None = None
        self._charge: Callable[[int], None] = host.charge  # ... : raises when none is left
        self._look: Callable[[], None] | None = None  # ... : see `metered`
        self._set_up_registers()
        self._install_natives()

    # -- setting up ----------------------------------------------------------------------------

    def _set_up_registers(self) -> None:
        self.drive = FunctionType(_drive.__code__, self.registers, "_drive")
        self.registers.update(
            __builtins__={},
            __name__="omega",
            _M=MARKER, _U=UNSET, _Nil=Nil, _Eof=Eof, _t=(),
            _Pair=Pair, _Symbol=Symbol, _Char=Char, _type=type, _int=int, _float=float, _list=list,
            _str=str, _len=len,
            _BIG=1 << 4096, _LOW=-(1 << 4096), _cons=cons, _HashTable=HashTable,
            _PLAIN=PLAIN_KEYS,
            _MOST=sys.maxsize if self.limits.alloc_items is None else self.limits.alloc_items,
            _drive=self.drive,
            _dynamics=self.host.dynamics,
            _class_of=class_of,
            _guard_left=self.conditions.guard_left,
            _raise_within=self.conditions.raise_within,
            _parameterize=self._parameterize,
            _parameterize_left=self._parameterize_left,
            _BaseException=BaseException,
            _wide=self._wide_call,
            _slice_end=self.host.slice_end,
            _slice_end_at_entry=self._slice_end_at_entry,
            _to_list=to_list,
            _receive=self._receive,
            _receive_rest=self._receive_rest,
            _bind_keywords=bind_keywords,
            _value_entry=self._value_entry,
            _worker_entry=self._worker_entry,
            **{"_" + f.__name__: _bound_to(f, self) for f in slow.LIMITED},
            _num_eq=slow.num_eq,
        )  # fmt: skip

    def _install_natives(self) -> None:
        for name, primitive in load().items():
            function = primitive.function
            if primitive.needs_runtime:
                function = _bound_to(function, self)
            self.registers[library_name(name)] = function
            self.library[name] = primitive
        for own in EXTENDED:
            self.install("%" + own, self.registers[library_name(own)], self.library[own])
            self.library[own] = None
        for name, native in control_procedures(self).items():
            self.install(name, native, None if name in MARKING else Native(name))
        for name, native in RECORD_PROCEDURES.items():
            self.install(name, native, Native(name))
        self.install("%missing-keyword", missing_keyword, Native("%missing-keyword"))
        self.install("%assertion-failed", self._assertion_failed, Native("%assertion-failed"))

    def install(self, name: str, function: Any, kind: Primitive | Native | None = None) -> None:
        """Put a procedure into the library. kind: what the compiler may rely on; None: nothing, as
        of a Lisp one.
        """
        self.registers[library_name(name)] = function
        self.library[name] = kind

    # -- calling -------------------------------------------------------------------------------

    def tail(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Answer with this to have `function` called in place of the caller."""
        self.registers["_t"] = (function, *arguments)
        return MARKER

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a Lisp procedure from Python; the value, never a marker."""
        match arguments:
            case ():
                value = function()
            case (argument,):
                value = function(argument)
            case _:
                return self.call_with(function, arguments)
        return self.drive() if value is MARKER else value

    def call_with(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """`call`, for as many arguments as there are: a call with a star would go through C."""
        self.tail(function, arguments)
        return self.drive()

    def _wide_call(self, call: tuple[Any, ...]) -> Any:
        """A call with many arguments. Beyond WIDE_MAX it goes through C: its nesting is bounded."""
        if len(call) - 1 <= WIDE_MAX:
            return _CALLERS[len(call) - 1](call)
        dynamics = self.host.dynamics()  # each task has a stack of its own
        if dynamics.wide_depth >= WIDE_DEPTH_MAX:
            raise LimitExceeded(
                "native-depth",
                dynamics.wide_depth,
                WIDE_DEPTH_MAX,
                f"nested calls with over {WIDE_MAX} arguments",
            )
        dynamics.wide_depth += 1
        try:
            return call[0](*call[1:])
        finally:
            dynamics.wide_depth -= 1

    def _slice_end_at_entry(self) -> None:
        """A procedure's entry found the slice used up: start the next one and take the step from
        it.
        """
        self.host.slice_end()
        for _ in self.registers["_it"]:
            return

    @contextmanager
    def metered(
        self, steps: int, where: str, look: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Lisp code called outside of any task may take `steps` steps, then it is stopped.

        look: called now and every METERED_SLICE steps; may raise. Within another such block, that
        one's serves.
        """
        look = look or self._look
        registers = self.registers
        names = ("_it", "_slice_end", "_slice_end_at_entry")
        before = [registers[name] for name in names]
        left = steps  # not handed out yet
        outer = self._spend, self._charge, self._look

        def hand_out() -> None:
            nonlocal left
            if look is not None:
                look()
            slice_ = left if look is None else min(left, METERED_SLICE)
            left -= slice_
            registers["_it"] = repeat(None, slice_)

        def used_up() -> None:
            # A loop that still holds an older iterator comes here too; it goes on with the one in
            # force.
            if registers["_it"].__length_hint__():
                return
            if not left:
                raise LimitExceeded("fuel", steps, steps, f"steps {where}")
            hand_out()

        def charge(taken: int) -> None:
            if look is not None:
                look()
            enough = taken <= spend(0)
            spend(taken)
            if not enough:
                raise LimitExceeded("fuel", steps, steps, f"steps {where}")

        def spend(taken: int) -> int:
            """Take steps for a block within this one; how many are left."""
            nonlocal left
            it = registers["_it"]
            deque(islice(it, max(0, taken - left)), 0)
            left = max(0, left - taken)
            return left + int(it.__length_hint__())

        self.metered_steps = 0
        hand_out()
        self._spend, self._charge, self._look = spend, charge, look
        registers.update(_slice_end=used_up, _slice_end_at_entry=used_up)
        try:
            yield
        finally:
            self.metered_steps = steps - left - registers["_it"].__length_hint__()
            registers.update(zip(names, before, strict=True))
            self._spend, self._charge, self._look = outer
            if self._spend is not None:
                self._spend(self.metered_steps)

    def metered_left(self) -> int | None:
        """The steps left in the innermost `metered` block; None outside of one."""
        return None if self._spend is None else self._spend(0)

    def _value_entry(self, function: Any) -> Any:
        """`function` as callers use it that look for no marker."""
        if type(function) is not FunctionType:
            return function
        code = function.__code__
        plain = not (code.co_flags & 0x0C) and not function.__defaults__
        n = code.co_argcount
        if not plain or n > APPLY_MAX:
            entry = _any_entry(self, function)
        else:
            entry = _ENTRIES[n](function, self.drive)
        entry.__name__, entry.__qualname__ = function.__name__, function.__qualname__
        entry.__doc__ = function.__doc__
        return entry

    def _worker_entry(self, function: Any) -> Any:
        """What an earlier definition's worker, still running, calls after a redefinition: only
        integers will do.
        """

        def entry(*arguments: Any) -> Any:
            value = self.call_with(function, arguments)
            if type(value) is not int:
                from omega.errors import LispTypeError

                raise LispTypeError(
                    f"`{demangle(function.__name__)}` was redefined while it ran, and gave "
                    f"{self.shorten(value)} for an integer"
                )
            return value

        return entry

    # -- helpers of generated code -------------------------------------------------------------

    def _receive(self, value: Any, n: int) -> tuple[Any, ...]:
        items = value.items if type(value) is Values else (value,)
        if len(items) != n:
            raise ArityError(f"{n} values were expected here, {len(items)} came", hint=VALUES_HINT)
        return tuple(items)

    def _receive_rest(self, value: Any, n: int) -> tuple[Any, ...]:
        items = value.items if type(value) is Values else (value,)
        if len(items) < n:
            raise ArityError(
                f"at least {n} values were expected here, {len(items)} came", hint=VALUES_HINT
            )
        return (*items[:n], to_list(items[n:]))

    def _parameterize(self, dyn: Any, items: tuple[Any, ...]) -> dict[Any, Any]:
        """Give parameters values: items are both in turns. What all of them had before."""
        before: dict[Any, Any] = dyn.parameters
        fresh = before.copy()
        at = iter(items)
        for parameter in at:
            value = next(at)
            if type(parameter) is not FunctionType:
                raise wrong_type("parameterize", 1, "a parameter", parameter)
            try:
                converter = parameter.converter  # type: ignore[attr-defined]
            except AttributeError:
                raise wrong_type("parameterize", 1, "a parameter", parameter) from None
            fresh[parameter] = value if converter is None else self.call(converter, value)
        dyn.parameters = fresh
        return before

    def _parameterize_left(
        self, dyn: Any, before: dict[Any, Any], failure: BaseException
    ) -> NoReturn:
        """`failure` leaves the body of a parameterize: handlers run with the values it gave."""
        failure = self.conditions.at_boundary(failure, dyn.handlers)
        dyn.parameters = before
        try:
            raise failure
        finally:
            del failure  # its traceback keeps this frame

    def _assertion_failed(self, expression: Any, *message: Any) -> Any:
        from omega.errors import LispError

        text = "".join(f": {self.display(m)}" for m in message)
        raise LispError(f"assertion failed{text}: {self.shorten(expression)}")

    # -- ports and the outside -----------------------------------------------------------------

    def set_up_ports(self) -> None:
        """Make the current ports, over the effects of standard input and output."""
        from omega.lisp import ports

        make = self.registers[library_name("make-parameter")]
        self._ports = {
            "current-output-port": make(ports.standard_output(self)),
            "current-error-port": make(ports.standard_error(self)),
            "current-input-port": make(ports.standard_input(self)),
        }
        for name, parameter in self._ports.items():
            parameter.__name__ = parameter.__qualname__ = name
            parameter.__doc__ = f"({name}) -> the port in use; parameterize changes it"
            self.install(name, parameter, Native(name))

    def current_output(self) -> Any:
        return self._ports["current-output-port"]()

    def current_error(self) -> Any:
        return self._ports["current-error-port"]()

    def current_input(self) -> Any:
        return self._ports["current-input-port"]()

    def perform(self, kind: str, *arguments: Any) -> Any:
        return self.host.perform(kind, arguments)

    def charge(self, steps: int) -> None:
        """Count `steps` more steps for work of our own, in the `metered` block under way if one
        is. May raise LimitExceeded.
        """
        self._charge(steps)

    # -- what is known of procedures -----------------------------------------------------------

    def is_procedure(self, value: Any) -> bool:
        return isinstance(value, (FunctionType, MethodType)) or (
            callable(value) and not isinstance(value, type)
        )

    def arity(self, function: Any) -> tuple[int, int | None]:
        """(fewest, most) arguments; most is None when any number is taken."""
        function = getattr(function, "__func__", function)
        code = function.__code__
        given = len(function.__defaults__ or ())
        return code.co_argcount - given, None if code.co_flags & 0x04 else code.co_argcount

    def signature(self, function: Any) -> str:
        """`(name param ...)` as shown to people."""
        return signature_of(function) or f"({demangle(function.__name__)} ...)"

    def code_of(self, function: Any) -> CodeType | None:
        """The code of a procedure written in Lisp: it knows its file and line."""
        if type(function) is FunctionType and function.__globals__ is self.registers:
            return function.__code__
        return None

    def arity_error(self, name: str, given: int, signatures: list[str]) -> ArityError:
        return ArityError(
            f"`{name}` has no clause for {given} argument{'' if given == 1 else 's'}",
            hint="it has " + ", ".join(signatures),
        )

    def suggest(self, name: str, here: Sequence[str] = ()) -> str:
        """A hint for an unbound name. here: names like it where it stands."""
        from omega.lisp.spelling import suggestion

        known = {n for n in self.library if not n.startswith("%")}
        known |= {
            demangle(key)
            for key in self.registers
            if key[:1] != "_" and not key.endswith(("_", "ǁv")) and "ǁm" not in key
        }
        return suggestion(name, known, here)

    # -- printing ------------------------------------------------------------------------------

    def display(self, value: Any) -> str:
        from omega.lisp.printer import display_string

        return display_string(value)

    def shorten(self, value: Any, most: int = 60) -> str:
        from omega.lisp.printer import shorten

        return shorten(value, most)


# The names below exist in the registers, which are the globals of `_drive` once a runtime has made
# it its own.
_t: Any = ()
_M: Any = MARKER
_len = len
_wide: Any = None


def _drive() -> Any:
    """The driver: makes the call the register `_t` holds (callee and arguments), and the next,
    until a value comes.
    """
    while True:
        call = _t
        match _len(call):
            case 2:
                f, a = call
                value = f(a)
            case 3:
                f, a, b = call
                value = f(a, b)
            case 1:
                (f,) = call
                value = f()
            case 4:
                f, a, b, c = call
                value = f(a, b, c)
            case 5:
                f, a, b, c, d = call
                value = f(a, b, c, d)
            case 6:
                f, a, b, c, d, e = call
                value = f(a, b, c, d, e)
            case _:
                value = _wide(call)
        if value is not _M:
            return value


class _Made(dict[int, Any]):
    """Functions for a number of arguments, made from a template when first asked for."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.template = template

    def __missing__(self, n: int) -> Any:
        scope: dict[str, Any] = {"marker": MARKER}
        params = ", ".join(f"a{i}" for i in range(n))
        exec(self.template.replace("PARAMS", params), scope)
        self[n] = made = scope["made"]
        return made


_CALLERS = _Made("def made(call):\n f, PARAMS, = call\n return f(PARAMS)\n")
_ENTRIES = _Made(
    "def made(function, drive):\n def entry(PARAMS):\n  value = function(PARAMS)\n"
    "  return drive() if value is marker else value\n return entry\n"
)


def _any_entry(rt: Runtime, function: Any) -> Any:
    def entry(*arguments: Any) -> Any:
        return rt.call_with(function, arguments)

    return entry


def _bound_to(function: FunctionType, rt: Runtime) -> FunctionType:
    """The function with its keyword-only parameter `rt` filled in."""
    bound = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    bound.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "rt": rt}
    bound.__qualname__, bound.__doc__ = function.__qualname__, function.__doc__
    return bound
