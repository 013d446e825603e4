"""eq?, eqv?, equal? and the keys of tables: laws against a slow reference, cycles, depth."""

from __future__ import annotations

import copy
import time
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.errors import LispValueError
from omega.lisp.data import Char, Keyword, Nil, Pair, Symbol, cons, to_list
from omega.lisp.equality import is_eq, is_equal, is_eqv, key_of
from omega.lisp.table import HashTable
from tests.lisp.data_strategies import SIMILAR


def reference_equal(a: Any, b: Any) -> bool:
    """equal? by plain recursion, for small data without cycles."""
    if isinstance(a, Pair):
        return (
            isinstance(b, Pair) and reference_equal(a.car, b.car) and reference_equal(a.cdr, b.cdr)
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(reference_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, HashTable):
        left, right = a.items(), b.items()
        return len(left) == len(right) and all(
            any(reference_equal(k, j) and reference_equal(v, w) for j, w in right) for k, v in left
        )
    if isinstance(a, float):
        return str(a) == str(b)
    return bool(a == b) if isinstance(a, (int, str, bytearray, Fraction)) else a is b


@given(SIMILAR, SIMILAR)
@settings(max_examples=1500, deadline=None)
def test_equal_agrees_with_the_reference_and_with_the_keys(a: Any, b: Any) -> None:
    expected = reference_equal(a, b)
    assert is_equal(a, b) is expected
    assert (key_of(a) == key_of(b)) is expected
    if expected:
        assert hash(key_of(a)) == hash(key_of(b))


def deep_copy(a: Any) -> Any:
    if isinstance(a, Pair):
        return cons(deep_copy(a.car), deep_copy(a.cdr))
    if isinstance(a, list):
        return [deep_copy(x) for x in a]
    if isinstance(a, HashTable):
        return HashTable([(deep_copy(k), deep_copy(v)) for k, v in reversed(a.items())])
    return copy.copy(a) if isinstance(a, bytearray) else a


@given(SIMILAR)
@settings(max_examples=500, deadline=None)
def test_a_copy_is_equal_and_has_the_same_key(a: Any) -> None:
    b = deep_copy(a)
    assert is_equal(a, b)
    assert key_of(a) == key_of(b)
    assert hash(key_of(a)) == hash(key_of(b))


NAN = float("nan")
LEAVES: list[Any] = [
    1, 1.0, True, False, 0, 0.0, -0.0, Fraction(1, 2), 0.5, "a", Symbol.of("a"), Keyword.of("a"),
    Char.of("a"), Nil, None, [], bytearray(), "", bytearray(b"a"), float("inf"), NAN, -1, -2,
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(LEAVES)))
def test_leaves_of_different_type_or_exactness_differ(at: int) -> None:
    for other, leaf in enumerate(LEAVES):
        assert is_equal(LEAVES[at], leaf) is (at == other)
        assert (key_of(LEAVES[at]) == key_of(leaf)) is (at == other)


def test_numbers_strings_and_chars_are_eqv_by_value() -> None:
    big = 10**30
    assert is_eqv(big, int(str(big)))
    assert is_eq(big, int(str(big)))
    assert is_eqv(NAN, float("nan"))
    assert is_eqv("ab", "".join(["a", "b"]))
    assert is_eqv(0.1, float("0.1"))
    assert is_eqv(Fraction(1, 3), Fraction(1, 3))
    assert not is_eqv(0.0, -0.0)
    assert not is_eqv(1, True)
    assert not is_eqv([1], [1])
    assert not is_eq(1.5, float("1.5"))


class Odd:
    """A host object that must not be asked anything."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("asked")

    def __repr__(self) -> str:
        raise AssertionError("asked")


def test_host_objects_are_compared_by_identity_only() -> None:
    a, b = Odd(), Odd()
    assert is_equal(to_list([a]), to_list([a]))
    assert not is_equal(a, b)
    assert not is_equal(to_list([a]), to_list([b]))
    table = HashTable([(a, 1), (b, 2), ([a], 3)])
    assert (table[a], table[b], table[[a]]) == (1, 2, 3)


def ring(*items: Any) -> Any:
    first = to_list(list(items))
    last = first
    while last.cdr is not Nil:
        last = last.cdr
    last.cdr = first
    return first


def test_equal_terminates_on_cycles() -> None:
    assert is_equal(ring(1, 2), ring(1, 2, 1, 2))
    assert not is_equal(ring(1, 2), ring(1, 2, 1))
    vector: list[Any] = [1]
    vector.append(vector)
    other: list[Any] = [1]
    other.append(other)
    assert is_equal(vector, other)
    table, twin = HashTable(), HashTable()
    table["a"], twin["a"] = table, twin
    assert is_equal(table, twin)
    with pytest.raises(LispValueError, match="circular"):
        key_of(ring(1, 2))
    with pytest.raises(LispValueError, match="circular"):
        key_of(vector)


def nest(make: Any, depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = make(leaf)
    return leaf


@pytest.mark.parametrize(
    "make", [lambda x: cons(x, Nil), lambda x: cons(1, x), lambda x: [x], lambda x: cons([x], 1)]
)
def test_depth_is_no_matter(make: Any) -> None:
    a, b, c = nest(make, 30_000, 1), nest(make, 30_000, 1), nest(make, 30_000, 2)
    assert is_equal(a, b)
    assert not is_equal(a, c)
    assert key_of(a) == key_of(b)
    assert key_of(a) != key_of(c)
    assert hash(key_of(a)) == hash(key_of(b))


def test_sharing_costs_nothing() -> None:
    began = time.process_time()
    for make in (lambda x: cons(x, x), lambda x: [x, x], lambda x: HashTable([("a", x), ("b", x)])):
        a, b = nest(make, 200, 1), nest(make, 200, 1)
        assert is_equal(a, b)
        assert key_of(a) == key_of(b)
        assert key_of(a) != key_of(nest(make, 200, 2))
    assert time.process_time() - began < 10


def test_towers_of_tables_as_keys_of_tables() -> None:
    def tower(height: int) -> HashTable:
        table = HashTable()
        for _ in range(height):
            table = HashTable([(table, 1)])
        return table

    assert is_equal(tower(200), tower(200))
    assert not is_equal(tower(200), tower(199))


def test_the_charge_is_called_for_big_data() -> None:
    paid: list[int] = []
    assert is_equal(list(range(300, 100_000)), list(range(300, 100_000)), paid.append)
    items = to_list(["x" * (1 + i % 3) for i in range(100_000)])
    assert is_equal(items, to_list(["x" * (1 + i % 3) for i in range(100_000)]), paid.append)
    assert sum(paid) >= 1000


@given(st.lists(st.tuples(st.sampled_from([1, 2, "a", 1.0]), st.integers(0, 3))))
def test_tables_are_equal_whatever_the_order_of_insertion(items: list[tuple[Any, int]]) -> None:
    table = HashTable(items)
    assert is_equal(table, HashTable(reversed(table.items())))
    assert key_of(table) == key_of(HashTable(reversed(table.items())))
