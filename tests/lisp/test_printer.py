"""The printer: written forms, the law read(write(x)) = x, cycles, depth, host objects."""
# ruff: noqa: E501  (tables of cases read best one case beside another)

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from omega.errors import LimitExceeded, LispTypeError, Source
from omega.lisp.data import Char, Eof, Keyword, Nil, Record, Symbol, Values, cons, to_list
from omega.lisp.equality import is_equal
from omega.lisp.printer import display_string, shorten, write_string
from omega.lisp.reader import read_all
from omega.lisp.table import HashTable
from tests.lisp.data_strategies import DATA


def read(text: str) -> Any:
    ((datum, _),) = read_all(Source("t", text))
    return datum


@given(DATA)
@settings(max_examples=1500, deadline=None)
def test_what_is_written_reads_back_equal(datum: Any) -> None:
    assert is_equal(read(write_string(datum)), datum)
    assert is_equal(read(write_string(datum, labels="shared")), datum)


class Point(Record):
    __slots__ = ("f0", "f1")
    type_name = "point"
    field_names = ("x", "y")


def point(x: Any, y: Any) -> Point:
    made = Point()
    made.f0, made.f1 = x, y  # type: ignore[attr-defined]
    return made


class Silent:
    def __repr__(self) -> str:
        raise AssertionError("asked")

    __str__ = __repr__


def list_to_vector() -> None:
    pass


@pytest.mark.parametrize(
    ("obj", "written", "displayed"),
    [
        ("a\"b\\\n\x07\x1f\u200b", '"a\\"b\\\\\\n\\a\\x1f;\u200b"', "a\"b\\\n\x07\x1f\u200b"),
        (Char.of("a"), r"#\a", "a"), (Char.of(" "), r"#\space", " "), (Char.of("\x00"), r"#\null", "\0"),
        (Char.of("\x1f"), r"#\x1f", "\x1f"), (Char.of("("), r"#\(", "("), (Char.of("λ"), r"#\λ", "λ"),
        (Symbol.of("a b"), "|a b|", "a b"), (Symbol.of(""), "||", ""), (Symbol.of("1"), "|1|", "1"),
        (Symbol.of("+i"), "|+i|", "+i"), (Symbol.of("a|b"), r"|a\|b|", "a|b"), (Symbol.of("."), "|.|", "."),
        (Symbol.of("..."), "...", "..."), (Symbol.of("->x"), "->x", "->x"), (Symbol.of("1+"), "1+", "1+"),
        (Symbol.of("#t"), "|#t|", "#t"), (Symbol.of(":k"), "|:k|", ":k"), (Symbol.of("λ"), "λ", "λ"),
        (Keyword.of("k"), ":k", ":k"), (Keyword.of("a b"), ":|a b|", ":a b"),
        (True, "#t", "#t"), (False, "#f", "#f"), (Nil, "()", "()"), (None, "#<unspecified>", "#<unspecified>"),
        (Eof, "#<eof>", "#<eof>"), (3.0, "3.0", "3.0"), (Fraction(1, 3), "1/3", "1/3"), (1e21, "1e21", "1e21"),
        ([1, "a", [Char.of("b")]], '#(1 "a" #(#\\b))', "#(1 a #(b))"), ([], "#()", "#()"),
        (bytearray(b"\x01\xff"), "#u8(1 255)", "#u8(1 255)"),
        (to_list([1, to_list([2]), "x"]), '(1 (2) "x")', "(1 (2) x)"), (cons(1, 2), "(1 . 2)", "(1 . 2)"),
        (to_list([1, 2], 3), "(1 2 . 3)", "(1 2 . 3)"), (to_list([None]), "(#<unspecified>)", "(#<unspecified>)"),
        (to_list([Symbol.of("quote"), Symbol.of("x")]), "'x", "'x"),
        (to_list([Symbol.of("quote")]), "(quote)", "(quote)"),
        (to_list([Symbol.of("quote"), 1, 2]), "(quote 1 2)", "(quote 1 2)"),
        (to_list([Symbol.of("unquote"), Symbol.of("@x")]), ",|@x|", ",@x"),
        (HashTable([(Keyword.of("a"), 1), ("b", to_list([2]))]), '{:a 1 "b" (2)}', "{:a 1 b (2)}"),
        (HashTable(), "{}", "{}"), (point(1, "a"), '#<point x: 1 y: "a">', "#<point x: 1 y: a>"),
        (LispTypeError('no "x"'), '#<type-error "no \\"x\\"">', '#<type-error "no \\"x\\"">'),
        (Silent(), "#<Silent>", "#<Silent>"), (to_list([Silent()]), "(#<Silent>)", "(#<Silent>)"),
        (list_to_vector, "#<procedure list-to-vector>", "#<procedure list-to-vector>"), (len, "#<procedure len>", "#<procedure len>"),
        (lambda: 0, "#<procedure>", "#<procedure>"), (Values((1, "a")), '#<values 1 "a">', "#<values 1 a>"),
        (Values(()), "#<values>", "#<values>"), (read("'{:a 1}"), "'{:a 1}", "'{:a 1}"),
    ],
)  # fmt: skip
def test_written_and_displayed_forms(obj: Any, written: str, displayed: str) -> None:
    assert write_string(obj) == written
    assert display_string(obj) == displayed


def test_cycles_print_with_labels() -> None:
    ring = to_list([1, 2])
    ring.cdr.cdr = ring
    assert write_string(ring) == "#0=(1 2 . #0#)"
    assert write_string(to_list([0, ring])) == "(0 #0=(1 2 . #0#))"
    vector: list[Any] = [1]
    vector.append(vector)
    assert write_string([vector, vector]) == "#(#0=#(1 #0#) #0#)"
    table = HashTable()
    table["me"] = table
    assert display_string(table) == "#0={me #0#}"
    tail = cons(Symbol.of("x"), Nil)
    tail.cdr = to_list([tail])
    assert is_equal(read(write_string(tail)), tail)
    quoted = to_list([Symbol.of("quote"), 1])
    quoted.cdr.car = quoted
    assert write_string(quoted) == "#0='#0#"
    record = point(1, 2)
    record.f0 = record  # type: ignore[attr-defined]
    assert write_string(record) == "#0=#<point x: #0# y: 2>"


def test_only_write_shared_labels_what_is_merely_shared() -> None:
    part = to_list([1])
    both = to_list([part, part])
    assert write_string(both) == "((1) (1))"
    assert write_string(both, labels="shared") == "(#0=(1) #0#)"
    tail = to_list([2])
    assert write_string([cons(1, tail), tail], labels="shared") == "#((1 . #0=(2)) #0#)"


def test_simple_printing_of_a_cycle_ends_at_the_limit() -> None:
    ring = cons(1, Nil)
    ring.cdr = ring
    with pytest.raises(LimitExceeded, match="printed characters"):
        write_string(ring, labels="none", characters_max=10_000)


@pytest.mark.parametrize(
    "make",
    [lambda x: cons(x, Nil), lambda x: cons(1, x), lambda x: [x], lambda x: HashTable([(1, x)]),
     lambda x: to_list([Symbol.of("quote"), x]), lambda x: point(x, 1), lambda x: Values((x, 1))],
)  # fmt: skip
def test_depth_is_no_matter(make: Any) -> None:
    obj: Any = 1
    for _ in range(100_000):
        obj = make(obj)
    for labels in ("cycles", "shared", "none"):
        assert len(write_string(obj, labels=labels)) > 100_000
    assert len(shorten(obj, 60)) <= 60


def test_many_labels_take_linear_time() -> None:
    parts = [to_list([n]) for n in range(50_000)]
    text = write_string(parts + parts, labels="shared")
    assert text.endswith("#49999#)")


@pytest.mark.parametrize(
    ("obj", "limit", "text"),
    [("abc", 60, '"abc"'), ("a" * 10**6, 10, '"aaaaaa...'), (list(range(10**6)), 12, "#(0 1 2 3..."),
     (to_list(range(10**5)), 8, "(0 1 ..."), (1234567890, 8, "12345...")],
)  # fmt: skip
def test_shorten_cuts(obj: Any, limit: int, text: str) -> None:
    assert shorten(obj, limit) == text


def test_shorten_is_cheap_for_big_numbers_and_cycles() -> None:
    assert shorten(7 ** (10**6)) == "#<a number of about 842,206 digits>"
    ring = cons(1, Nil)
    ring.cdr = ring
    assert len(shorten(ring)) == 60


def test_the_charge_is_called_for_big_data() -> None:
    paid: list[int] = []
    write_string(to_list(list(range(100_000))), charge=paid.append)
    write_string([[n] for n in range(100_000)], charge=paid.append)
    assert sum(paid) > 1000
