"""Prices: the table Omega comes with, a user's own, and what a mistake in one says."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.errors import LLMError
from omega.llm import Usage, parse_settings
from omega.llm.budget import PICO, dollars
from omega.llm.prices import Price, PriceTable, price_of, standard_prices


def table(text: str) -> PriceTable:
    return PriceTable.read(text, "own.json")


def test_the_standard_table_is_dated_and_complete() -> None:
    prices = standard_prices()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", prices.as_of)
    assert len(prices.models) >= 25
    for model in prices.models:
        price = prices.find(model)
        assert price is not None and 0 < price.cached_input <= price.input < price.output
        assert price.input <= price.cache_write <= 2 * price.input
        assert price.long is None or (price.long.input > price.input and price.long_above > 9_999)
        assert price.context is not None and price.output_max is not None
        assert price.output_max <= price.context


def test_the_cost_of_a_call_is_exact() -> None:
    price = standard_prices().find("gpt-4o-mini")  # 0.15, 0.075, 0.60 USD per million
    assert price is not None
    assert dollars(price.cost(1_000_000, 1_000_000)) * 100 == 75
    assert price.cost(1000, 10, cached_tokens=400) == 600 * 150_000 + 400 * 75_000 + 10 * 600_000
    assert price.cost(5, 0, cached_tokens=9) == 5 * 75_000, "no more is cached than there is"
    assert price.cost_max(1000, 10) >= price.cost(1000, 10, cached_tokens=400)


def test_what_is_written_to_the_vendors_cache_and_long_inputs_have_their_own_prices() -> None:
    price = standard_prices().find("claude-sonnet-4-5-20250929")
    assert price is not None  # 3, 0.3, 3.75, 15 USD per million; above 200,000: 6, 0.6, 7.5, 22.5
    usd = dollars(price.cost_of(Usage(200_000, 1000, cached_tokens=100_000, written_tokens=40_000)))
    assert usd == Decimal("0.03") + Decimal("0.15") + Decimal("0.18") + Decimal("0.015")
    beyond = dollars(price.cost(200_001, 1000, 100_000, 40_000))
    assert beyond == 2 * (usd - Decimal("0.015")) + Decimal("0.0225") + Decimal("0.000006")
    assert price.cost(5, 0, 3, 9) == 3 * 300_000 + 2 * 3_750_000, "no more than there is"
    assert price.output_max_price(200_000) < price.output_max_price(200_001)


COUNTS = st.integers(0, 3000)
RATES = st.integers(0, 50)


@given(
    rates=st.tuples(RATES, RATES, RATES, RATES),
    beyond=st.none() | st.tuples(RATES, RATES, RATES, RATES),
    above=st.integers(1, 2000),
    most=st.tuples(COUNTS, COUNTS),
    used=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
)
def test_no_call_costs_more_than_was_reserved_for_it(
    rates: Any, beyond: Any, above: int, most: tuple[int, int], used: tuple[int, int, int, int]
) -> None:
    """Whatever the cache does, and in whichever tier it ends."""

    def price(rates: tuple[int, int, int, int], **more: Any) -> Price:
        input, cached, write, output = rates
        return Price("m", input, output, cached_input=cached, cache_write=write, **more)

    long = None if beyond is None else price(beyond)
    made = price(rates, long=long, long_above=above)
    put, got, cached, written = min(used[0], most[0]), min(used[1], most[1]), *used[2:]
    assert 0 <= made.cost(put, got, cached, written) <= made.cost_max(*most)


def test_prices_of_caches_and_long_inputs_may_be_ones_own() -> None:
    settings = parse_settings(
        "[models.m]\nprovider = 'anthropic'\nprice = { input = 1, cache_write = 2, output = 3,"
        " long = { above = 10, input = 4, output = 5 } }"
    )
    price = price_of("m", settings.models["m"].price, "omega.toml")
    assert price.cost(10, 1, 0, 10) == (10 * 2 + 3) * 1_000_000
    assert price.cost(11, 1, 0, 11) == (11 * 4 + 5) * 1_000_000, "absent: as input"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o-mini-2", None),
        ("ft:gpt-4o-2024-08-06:acme", None),
        ("GPT-4o", None),
        ("", None),
    ],
)
def test_a_dated_name_has_the_price_of_its_model_and_nothing_else_is_guessed(
    name: str, model: str | None
) -> None:
    found = standard_prices().find(name)
    assert (found.model if found is not None else None) == model


def test_a_model_without_a_price_is_a_condition_that_says_what_to_do() -> None:
    with pytest.raises(LLMError) as caught:
        standard_prices().need("llama-9", "triage")
    error = caught.value
    assert error.kind == "llm-configuration"
    assert "`llama-9`" in error.message and "`triage`" in error.message
    assert "2025-" in error.message and '"llama-9": {"input"' in str(error.hint)
    assert standard_prices().need("gpt-4o", "triage").model == "gpt-4o"


def test_an_own_table_lies_above_the_standard_one(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(
        '{"as_of": "2026-01-01", "models": {"gpt-4o": {"input": 1, "output": 2},'
        ' "llama-9": {"input": 0.0375, "cached_input": 0, "output": 1e-3, "context": 8192}}}'
    )
    own = PriceTable.from_file(str(path), lambda name: Path(name).read_text("utf-8"))
    both = standard_prices().with_own(own)
    mine, other = both.find("gpt-4o"), both.find("gpt-4o-mini")
    assert mine is not None and mine.input == PICO // 1_000_000 and mine.cached_input == mine.input
    assert other is not None and both.as_of == "2026-01-01"
    llama = both.need("llama-9", "b")
    assert (llama.input, llama.cached_input, llama.output) == (37_500, 0, 1_000)
    assert (llama.context, llama.output_max) == (8192, None)
    assert standard_prices().find("llama-9") is None, "the standard table is as it was"


MODEL = '{"models": {"m": {"input": 1, "output": 1, %s}}}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "own.json: no JSON"),
        ("{", "own.json: no JSON"),
        ("[" * 100_000, "own.json: nested too deep"),
        ("[]", "own.json: expected an object"),
        ("{}", "own.json: needs `models`"),
        ('{"models": []}', "own.json: models: expected an object"),
        ('{"models": {}, "modles": {}}', "own.json: unknown field `modles`"),
        ('{"models": {}, "as_of": "today"}', "own.json: as_of: expected a day"),
        ('{"models": {"m": 3}}', "own.json: models.m: expected an object"),
        ('{"models": {"m": {"input": 3}}}', "own.json: models.m: needs `output`"),
        (MODEL % '"inptu": 1', "own.json: models.m: unknown field `inptu`"),
        ('{"models": {"m": {"input": "3", "output": 1}}}', 'models.m.input: expected USD .* "3"'),
        ('{"models": {"m": {"input": true, "output": 1}}}', "models.m.input: .* true"),
        ('{"models": {"m": {"input": 1, "output": -1}}}', "models.m.output: .* -1"),
        ('{"models": {"m": {"input": NaN, "output": 1}}}', "models.m.input: .* NaN"),
        ('{"models": {"m": {"input": 1e999999999, "output": 1}}}', "models.m.input: expected"),
        (f'{{"models": {{"m": {{"input": {"9" * 5000}, "output": 1}}}}}}', "m.input: expected"),
        ('{"models": {"m": {"input": 0.0000001, "output": 1}}}', "at most six decimals"),
        (MODEL % '"cached_input": []', "models.m.cached_input: expected USD"),
        (MODEL % '"cache_write": "x"', "models.m.cache_write: expected USD"),
        (MODEL % '"long": 5', "models.m.long: expected an object"),
        (MODEL % '"long": {"input": 1, "output": 1}', "models.m.long: needs `above`"),
        (MODEL % '"long": {"above": 0, "input": 1, "output": 1}', "m.long.above: expected"),
        (MODEL % '"long": {"above": 9, "context": 1}', "m.long: unknown field `context`"),
        (MODEL % '"context": 0', "models.m.context: expected a whole number"),
        (MODEL % '"context": 1.5', "models.m.context: expected a whole number"),
        (MODEL % '"output_max": true', "models.m.output_max: expected a whole number"),
    ],
)
def test_a_mistake_in_a_table_names_its_file_and_field(text: str, says: str) -> None:
    with pytest.raises(LLMError, match=says) as caught:
        table(text)
    assert caught.value.kind == "llm-configuration"
    assert len(caught.value.message) < 300
