"""Numbers as text: syntax, exactness, round trips, long digit strings in good time."""
# ruff: noqa: E501  (tables of cases read best one case beside another)

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.errors import LimitExceeded
from omega.lisp.numbers import format_int, format_number, parse_digits, parse_number

INF = float("inf")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-17", -17), ("+5", 5), ("007", 7), ("1/3", Fraction(1, 3)), ("6/3", 2),
        ("-4/6", Fraction(-2, 3)), ("#xff", 255), ("#XFF", 255), ("#b-101", -5), ("#o17", 15),
        ("#d10", 10), ("#e1.5", Fraction(3, 2)), ("#e.5", Fraction(1, 2)), ("#e1e3", 1000),
        ("#i1/4", 0.25), ("#x#e10", 16), ("#e#x10", 16), ("#i#b10", 2.0), ("1.5", 1.5),
        ("1.", 1.0), (".5", 0.5), ("-.5e1", -5.0), ("1e21", 1e21), ("1E2", 100.0),
        ("+inf.0", INF), ("-inf.0", -INF), ("-INF.0", -INF), ("1e400", INF), ("#xa/b", Fraction(10, 11)),
        ("#e1.2e-1", Fraction(3, 25)),
    ],
)  # fmt: skip
def test_number_syntax_is_read(text: str, value: object) -> None:
    number = parse_number(text)
    assert number == value
    assert type(number) is type(value)


@pytest.mark.parametrize(
    "text",
    ["", "+", "-", ".", "...", "1+", "abc", "1/0", "1/", "/2", "1_000", "١", "1e", "e1", "#", "#x",
     "#xg", "#d#d1", "#e#e1", "#z1", "#e+inf.0", "#x1.5", "1.5/2", "--1", "+-1", "1 ", " 1", "inf.0",
     "1+2i", "+i", "0x10", "#x-", "1.5.5", "1\n"],
)  # fmt: skip
def test_what_is_no_number_answers_none(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (3.0, "3.0"), (-0.0, "-0.0"), (1e21, "1e21"), (1e-7, "1e-7"), (1.5e-300, "1.5e-300"),
        (INF, "+inf.0"), (-INF, "-inf.0"), (float("nan"), "+nan.0"), (Fraction(-1, 3), "-1/3"),
        (1e100, "1e100"), (123456789.125, "123456789.125"),
    ],
)  # fmt: skip
def test_numbers_print_as_the_shortest_text(number: float, text: str) -> None:
    assert format_number(number) == text


@given(st.one_of(st.integers(), st.fractions(), st.floats(allow_nan=False)))
def test_a_printed_number_reads_back(number: int | Fraction | float) -> None:
    if isinstance(number, Fraction) and number.denominator == 1:
        number = number.numerator
    back = parse_number(format_number(number))
    assert back == number
    assert type(back) is type(number)
    assert format_number(back) == format_number(number)


@given(st.integers(), st.integers(0, 9000), st.integers(2, 36))
@settings(max_examples=200, deadline=None)
def test_integers_of_any_length_and_radix_read_back(seed: int, bits: int, radix: int) -> None:
    number = seed * 3**bits + bits
    assert parse_number(format_int(number, radix), radix) == number


@pytest.mark.parametrize("digits", [511, 512, 513, 639, 641, 4299, 4300, 4301, 10_000])
def test_lengths_around_the_limits_of_cpython(digits: int) -> None:
    text = ("1234567890" * 1001)[:digits]
    number = parse_digits(text, 10)
    assert format_int(number) == text
    assert format_int(-number) == "-" + text
    assert number % 10**9 == int(text[-9:])


def test_a_million_digits_take_less_than_quadratic_time() -> None:
    text = "9" * 1_000_000
    began = time.process_time()
    number = parse_number(text)
    assert isinstance(number, int)
    assert format_int(number) == text
    assert time.process_time() - began < 15  # quadratic: minutes


def test_a_giant_exact_exponent_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="size limit"):
        parse_number("#e1e1000001")
    assert parse_number("#e1e1000") == 10**1000
