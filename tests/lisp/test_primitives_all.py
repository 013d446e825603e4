"""What holds of every primitive: documentation, arity, and no bare Python exception whatever it is given."""
# ruff: noqa: E501

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from omega.errors import LispTypeError, OmegaError
from omega.lisp.data import Char, Eof, Keyword, Nil, Pair, Record, Symbol, Values, cons, to_list
from omega.lisp.ports import BytesInput, BytesOutput, TextInput, TextOutput
from omega.lisp.table import HashTable
from tests.lisp.primitive_kit import PRIMITIVES, FakeRuntime

_SHAPE = re.compile(r"\(([^\s()]+)[^\n]*\) -> \S")


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_opens_its_documentation_with_its_call(name: str) -> None:
    doc = PRIMITIVES[name].doc
    found = _SHAPE.match(" ".join(doc.split("\n\n")[0].split()))
    assert found is not None, doc
    assert found.group(1) == PRIMITIVES[name].function.__name__
    assert doc.rstrip().endswith(".")


class Host:
    """Refuses to be looked at."""

    __hash__ = None  # type: ignore[assignment]

    def _never(self, *_: Any) -> Any:
        raise RuntimeError("a primitive asked a host object")

    __repr__ = __str__ = __eq__ = __bool__ = __len__ = __iter__ = __lt__ = __add__ = __index__ = (
        _never  # type: ignore[assignment]
    )
    __float__ = __int__ = __contains__ = __getitem__ = __call__ = _never


class Spot(Record):
    __slots__ = ("f0",)
    type_name = "spot"
    field_names = ("x",)


def _spot() -> Spot:
    spot = Spot()
    spot.f0 = 1  # type: ignore[attr-defined]
    return spot


def _ring() -> Pair:
    ring = cons(1, cons(2, Nil))
    ring.cdr.cdr = ring
    return ring


def _self_vector() -> list[Any]:
    vector: list[Any] = [1]
    vector.append(vector)
    return vector


def _self_table() -> HashTable:
    table = HashTable()
    table["me"] = table
    return table


# Made anew for every example: primitives change them.
MAKERS: list[Any] = [
    lambda: 0, lambda: 1, lambda: 2, lambda: -1, lambda: 3, lambda: 10, lambda: 255, lambda: 10**30,
    lambda: -(10**30), lambda: 2**70, lambda: 0.0, lambda: -0.0, lambda: 1.5, lambda: -2.5, lambda: 2.0,
    lambda: 1e308, lambda: float("inf"), lambda: float("-inf"), lambda: float("nan"),
    lambda: Fraction(1, 3), lambda: Fraction(-7, 2), lambda: Fraction(10**400, 3), lambda: True, lambda: False,
    lambda: "", lambda: "a", lambda: "abc", lambda: "12", lambda: "{} {0} {:8}", lambda: "\ud800",
    lambda: "{\"a\": [1]}", lambda: "a,b\n1,2\n", lambda: Char.of("a"), lambda: Char.of("ß"),
    lambda: Char.of("\U0001f600"), lambda: Symbol.of("a"), lambda: Symbol.of("type-error"), lambda: Symbol("g"),
    lambda: Keyword.of("a"), lambda: Keyword.of("indent"), lambda: Keyword.of("header"), lambda: Nil, lambda: None,
    lambda: Eof, lambda: cons(1, 2), lambda: to_list([1, 2, 3]), lambda: to_list(["a", "b"]),
    lambda: to_list([cons("a", 1), cons("b", 2)]), lambda: to_list([Char.of("a")]), lambda: to_list([Nil, Nil]),
    _ring, lambda: cons(_ring(), Nil), _self_vector, _self_table, list, lambda: [3, 1, 2], lambda: ["a"],
    lambda: [Char.of("x")], lambda: bytearray(b""), lambda: bytearray(b"ab\xff"), lambda: HashTable(),
    lambda: HashTable([("a", 1), (Symbol.of("b"), [2])]), lambda: HashTable([([1], 1)]), lambda: Values((1, 2)),
    lambda: print, lambda: test_every_primitive_opens_its_documentation_with_its_call, Host, _spot,
    lambda: LispTypeError("no", hint="yes"), lambda: object(), lambda: TextInput("(a b"), lambda: TextInput("x\ny"),
    lambda: TextOutput(), lambda: BytesInput(b"ab"), lambda: BytesOutput(), lambda: object, lambda: Host,
]  # fmt: skip


CALLS = 60  # of each primitive, with as many arguments as it takes; the same each time

# One name of each primitive: aliases are the same function.
OWN_NAMES = sorted({p.function.__name__ for p in PRIMITIVES.values()})


def _is_data(value: Any) -> bool:
    return value is not NotImplemented


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_primitive_answers_or_raises_a_condition(name: str) -> None:
    primitive, random = PRIMITIVES[name], Random(name)
    high = primitive.low + 4 if primitive.high is None else primitive.high
    for _ in range(CALLS):
        count = random.randint(primitive.low, high)
        _try(name, [make() for make in random.choices(MAKERS, k=count)])


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_primitive_of_one_or_two_arguments_takes_every_pair(name: str) -> None:
    primitive = PRIMITIVES[name]
    if primitive.low <= 1 and (primitive.high is None or primitive.high >= 1):
        for make in MAKERS:
            _try(name, [make()])
    if primitive.low <= 2 and (primitive.high is None or primitive.high >= 2):
        for make in MAKERS:
            for other in MAKERS[:: 3 - len(name) % 2]:
                _try(name, [make(), other()])


def _try(name: str, arguments: list[Any]) -> None:
    primitive = PRIMITIVES[name]
    rt = FakeRuntime(alloc_items=10_000)
    rt.input = TextInput("some (text) 12\n")
    rt.files = {"a": b"x,y\n1,2\n", "abc": b"\xff".replace(b"\xff", b"z")}
    keywords = {"rt": rt} if primitive.needs_runtime else {}
    try:
        value = primitive.function(*arguments, **keywords)
    except OmegaError as error:
        assert error.code
        assert isinstance(error.message, str)
        return
    assert _is_data(value)
    if primitive.result is not None:
        assert _RESULTS[primitive.result](value), f"{name}: {type(value)} is no {primitive.result}"


_RESULTS: dict[str, Any] = {
    "table": lambda x: type(x) is HashTable,
    "int": lambda x: type(x) is int,
    "number": lambda x: type(x) in (int, float) or (type(x) is Fraction and x.denominator != 1),
    "bool": lambda x: type(x) is bool,
    "string": lambda x: type(x) is str,
    "pair": lambda x: isinstance(x, Pair),
    "list": lambda x: x is Nil or isinstance(x, Pair),
    "char": lambda x: type(x) is Char,
    "vector": lambda x: type(x) is list,
    "symbol": lambda x: type(x) is Symbol,
}


def test_importing_the_primitives_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); from omega.lisp.primitives import load; load()\n"
        "heavy = {'lark', 'dataclasses', 'inspect', 'json', 'csv', 'asyncio',"
        " 'sqlite3', 'greenlet'} & (set(sys.modules) - before)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
