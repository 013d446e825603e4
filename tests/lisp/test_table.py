"""HashTable: keys by equal?, order, and the mapping a host sees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.lisp.data import Keyword, Symbol, to_list
from omega.lisp.equality import is_equal
from omega.lisp.table import HashTable
from tests.lisp.data_strategies import SIMILAR


def test_exactness_and_type_make_different_keys() -> None:
    table = HashTable([(1, "int"), (1.0, "real"), (True, "true"), ("1", "string")])
    assert [table[1], table[1.0], table[True], table["1"]] == ["int", "real", "true", "string"]
    assert [type(key) for key in table] == [int, float, bool, str]


def test_compound_keys_are_found_by_content_and_come_back_as_they_are() -> None:
    key = to_list([1, "a", [2.5]])
    table = HashTable([(key, "yes")])
    assert table[to_list([1, "a", [2.5]])] == "yes"
    assert table.keys()[0] is key
    table[to_list([1, "a", [2.5]])] = "new"
    assert table.items() == [(key, "new")]
    assert table.discard([1]) is False
    del table[to_list([1, "a", [2.5]])]
    assert len(table) == 0
    assert table.keys() == []


def test_a_missing_key_is_a_key_error_for_the_host() -> None:
    table = HashTable()
    assert table.get("x") is None
    assert "x" not in table
    with pytest.raises(KeyError):
        table["x"]
    with pytest.raises(KeyError):
        del table["x"]
    assert bool(table)


def test_walks_are_snapshots() -> None:
    table = HashTable([(n, n) for n in range(10)])
    for key in table:
        table.discard(key)
    assert len(table) == 0


def test_to_dict_gives_hashable_keys() -> None:
    table = HashTable(
        [(Symbol.of("a"), 1), ([1, 2], 2), (bytearray(b"x"), 3), (Keyword.of("k"), 4)]
    )
    assert table.to_dict() == {Symbol.of("a"): 1, (1, 2): 2, b"x": 3, Keyword.of("k"): 4}
    assert HashTable.of({"a": 1}).to_dict() == {"a": 1}


@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "delete", "copy", "update"]), SIMILAR, st.integers(0, 9))
    )
)
def test_a_table_agrees_with_a_list_of_entries(script: list[tuple[str, Any, int]]) -> None:
    table = HashTable()
    model: list[tuple[Any, int]] = []
    for action, key, value in script:
        at = next((i for i, (k, _) in enumerate(model) if is_equal(k, key)), None)
        if action == "delete":
            assert table.discard(key) is (at is not None)
            if at is not None:
                del model[at]
            continue
        if action == "copy":
            table = table.copy()
        if action == "update":
            table.update(HashTable([(key, value)]))
        else:
            table[key] = value
        if at is None:
            model.append((key, value))
        else:
            model[at] = (model[at][0], value)
    items = table.items()
    assert len(items) == len(model) == len(table)
    assert all(k is m and v == w for (k, v), (m, w) in zip(items, model, strict=True))
