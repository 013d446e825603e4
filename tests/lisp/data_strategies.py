"""Hypothesis strategies for Lisp data, shared by the tests of the reader, the printer and equality."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from omega.lisp.data import Char, Keyword, Nil, Symbol, to_list
from omega.lisp.numbers import normalize
from omega.lisp.table import HashTable

NAMES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            "",
            ".",
            "...",
            "+",
            "-",
            "1+",
            "+i",
            "1/2",
            "a b",
            "|",
            "\\",
            "#t",
            ":k",
            "@x",
            "x'",
            "-1x",
            "λ",
        ]
    ),
    st.text("abc+-.0123456789ei@|:#/", max_size=6),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.fractions().map(normalize),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0]),
)
ATOMS = st.one_of(
    NUMBERS,
    st.booleans(),
    st.text(max_size=8),
    NAMES.map(Symbol.of),
    NAMES.filter(bool).map(Keyword.of),
    st.characters(exclude_categories=("Cs",)).map(Char.of),
    st.just(Nil),
    st.binary(max_size=4).map(bytearray),
)


def _compound(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=4).map(to_list),
        st.tuples(st.lists(children, min_size=1, max_size=3), children).map(
            lambda t: to_list(t[0], t[1])
        ),
        st.tuples(
            st.sampled_from(["quote", "quasiquote", "unquote", "unquote-splicing"]), children
        ).map(lambda t: to_list([Symbol.of(t[0]), t[1]])),
    )


# Data with a written form that reads back as it is (a written table reads as a form that makes one).
DATA = st.recursive(ATOMS, _compound, max_leaves=20)


def _with_tables(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _compound(children), st.lists(st.tuples(children, children), max_size=4).map(HashTable)
    )


SMALL_ATOMS = st.one_of(
    st.sampled_from([0, 1, -1, -2, 1.0, True, False, 0.0, -0.0, "a", "1", None, Nil]),
    st.sampled_from(["a", "b"]).map(Symbol.of),
    st.sampled_from(["a", "b"]).map(Keyword.of),
)
# Few different atoms, so that equal data come up often.
SIMILAR = st.recursive(SMALL_ATOMS, _with_tables, max_leaves=8)
