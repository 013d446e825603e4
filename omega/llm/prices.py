"""What calls cost: a dated table of prices, and the user's own above it.

Owns: `Price`, `PriceTable`, the format of such a table, its error messages. Refuses: to guess. A
model without a price costs nobody knows what: `find` says None, and `need`, for whoever limits
money, a condition that tells what to do.

A table is JSON:

    {"as_of": "2025-10-31",
     "models": {"gpt-4o": {"input": 2.5, "cached_input": 1.25, "output": 10,
                           "context": 128000, "output_max": 16384},
                "claude-sonnet-4": {"input": 3, "cached_input": 0.3, "cache_write": 3.75,
                                    "output": 15, "long": {"above": 200000, "input": 6,
                                    "cached_input": 0.6, "cache_write": 7.5, "output": 22.5}}}}

input, output: USD per million tokens, at most six decimals (then a token costs a whole number of
pico-dollars). cached_input: of input read from the vendor's cache; cache_write: of input written to
it, to be kept for the vendor's usual time; absent: as input. long: what all tokens of a call cost
when its input, cached or not, is more than `above`. context, output_max: tokens, where known.
as_of: the day the table was right; models: by the vendor's name.

What a vendor counts apart is part of the input here: the input is fresh, read from the cache or
written to it. Thinking is output.

A name is looked up as it is; then, when it ends with a date or "latest", without that end: vendors
call `gpt-4o-2024-08-06` what they sell as `gpt-4o`. Nothing else is cut off: `gpt-4o-audio-preview`
has another price.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from omega.errors import LLMError
from omega.llm.budget import PICO
from omega.llm.failures import misconfigured

if TYPE_CHECKING:
    from omega.llm.request import Usage

TOKENS_PRICED = 1_000_000  # prices are per so many tokens
USD_MAX = 1_000_000  # per million tokens: more is a mistake of units
TOKENS_MAX = 10**9  # of a context
HINT = 'a price table is {"as_of": "2025-10-31", "models": {"NAME": {"input": 2.5, "output": 10}}}'

_DATED = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)\Z")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RATES = ("input", "cached_input", "cache_write", "output")
_FIELDS = (*_RATES, "long", "context", "output_max")
_PICO_PER_TOKEN = PICO // TOKENS_PRICED  # what a price of 1 USD per million makes of one token


class Price:
    """Of one model. input, cached_input, cache_write, output: pico-dollars per token. context,
    output_max: tokens, None where unknown. long: the price of calls with more input than
    `long_above` tokens, or None.
    """

    __slots__ = (
        *("cache_write", "cached_input", "context", "input", "long", "long_above", "model"),
        *("output", "output_max"),
    )

    def __init__(
        self,
        model: str,
        input: int,
        output: int,
        *,
        cached_input: int | None = None,
        cache_write: int | None = None,
        context: int | None = None,
        output_max: int | None = None,
        long: Price | None = None,
        long_above: int = 0,
    ) -> None:
        self.model, self.input, self.output = model, input, output
        self.cached_input = input if cached_input is None else cached_input
        self.cache_write = input if cache_write is None else cache_write
        self.context, self.output_max = context, output_max
        self.long, self.long_above = long, long_above

    def cost(
        self,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int = 0,
        written_tokens: int = 0,
    ) -> int:
        """Pico-dollars. cached_tokens, written_tokens: how many of the input came from the vendor's
        cache, and how many were written to it.
        """
        if self.long is not None and input_tokens > self.long_above:
            return self.long.cost(input_tokens, output_tokens, cached_tokens, written_tokens)
        cached = min(cached_tokens, input_tokens)
        written = min(written_tokens, input_tokens - cached)
        fresh = input_tokens - cached - written
        kept = cached * self.cached_input + written * self.cache_write
        return fresh * self.input + kept + output_tokens * self.output

    def cost_of(self, usage: Usage) -> int:
        """Pico-dollars that a call came to."""
        return self.cost(
            usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.written_tokens
        )

    def cost_max(self, input_tokens: int, output_tokens: int) -> int:
        """Pico-dollars at most, whatever the cache does, of a call that is no larger."""
        dearest = max(self.input, self.cached_input, self.cache_write)
        # A tier may be the cheaper one, and the call smaller than it is taken for.
        cost = input_tokens * dearest + output_tokens * self.output
        if self.long is None or input_tokens <= self.long_above:
            return cost
        return max(cost, self.long.cost_max(input_tokens, output_tokens))

    def output_max_price(self, input_tokens: int) -> int:
        """Pico-dollars at most of a token of the answer to so much input."""
        if self.long is None or input_tokens <= self.long_above:
            return self.output
        return max(self.output, self.long.output)

    def __repr__(self) -> str:
        return f"Price({self.model!r}, {self.input}, {self.output})"


class PriceTable:
    """Prices by model. as_of: the day of the newest part."""

    __slots__ = ("_prices", "as_of", "source")

    def __init__(self, prices: Mapping[str, Price], as_of: str, source: str) -> None:
        self._prices, self.as_of, self.source = dict(prices), as_of, source

    def find(self, model: str) -> Price | None:
        """The price of `model`, or of what it is a dated version of; None when there is none."""
        price = self._prices.get(model)
        if price is None and (dated := _DATED.search(model)):
            price = self._prices.get(model[: dated.start()])
        return price

    def need(self, model: str, budget: str, title: str | None = None) -> Price:
        """The price of `model`, which `budget` limits the money of. title: what people call it.

        Raises LLMError (llm-configuration) that says how to give one.
        """
        price = self.find(model)
        if price is None:
            raise _unpriced(model, title or model, budget, self)
        return price

    def with_own(self, own: PriceTable) -> PriceTable:
        """This table, and `own` above it."""
        return PriceTable({**self._prices, **own._prices}, max(self.as_of, own.as_of), own.source)

    @property
    def models(self) -> list[str]:
        return sorted(self._prices)

    @classmethod
    def read(cls, text: str, source: str) -> PriceTable:
        """A table from JSON. source: its file, for messages.

        Raises LLMError (llm-configuration) that names the file and the field.
        """
        try:
            data = json.loads(text, parse_float=Decimal, parse_int=_integer)
        except ValueError as error:
            raise misconfigured(f"{source}: no JSON: {error}", HINT) from None
        except RecursionError:
            raise misconfigured(f"{source}: nested too deep", HINT) from None
        return cls.of_data(data, source)

    @classmethod
    def of_data(cls, data: object, source: str) -> PriceTable:
        """A table from JSON data."""
        table = _object(data, source, ("as_of", "models"), needed=("models",))
        as_of = table.get("as_of", "")
        if as_of != "" and not (isinstance(as_of, str) and _DAY.fullmatch(as_of)):
            raise misconfigured(f'{source}: as_of: expected a day such as "2025-10-31"', HINT)
        models = _object(table["models"], f"{source}: models", None)
        prices = {name: price_of(name, entry, source) for name, entry in models.items()}
        return cls(prices, as_of, source)

    @classmethod
    def from_file(cls, path: str, read_text: Callable[[str], str]) -> PriceTable:
        """The table in a file. read_text: path -> text, and the owner of that file's errors."""
        return cls.read(read_text(path), path)


@cache
def standard_prices() -> PriceTable:
    """The table Omega comes with."""
    from importlib.resources import files  # 10 ms, and only who counts money needs it

    text = files("omega.llm").joinpath("prices.json").read_text("utf-8")
    return PriceTable.read(text, "omega/llm/prices.json")


def _unpriced(model: str, title: str, budget: str, table: PriceTable) -> LLMError:
    return misconfigured(
        f"no price is known for the model `{title}`, and the budget `{budget}` limits money"
        f" (prices as of {table.as_of})",
        f'give one in a price table, {{"models": {{"{model}": {{"input": USD, "output": USD}}}}}}'
        " per million tokens, that omega.toml (or the file of --config) names by `prices`;"
        " or limit calls or tokens",
    )


def price_of(name: str, entry: object, source: str) -> Price:
    """The price of one model, from an entry of a table. Raises as PriceTable.read."""
    where = f"{source}: models.{name}"
    fields = _object(entry, where, _FIELDS, needed=("input", "output"))
    long, above = None, 0
    if "long" in fields:
        needed = ("above", "input", "output")
        beyond = _object(fields["long"], f"{where}.long", ("above", *_RATES), needed=needed)
        above = _tokens(beyond["above"], f"{where}.long.above") or 0
        long = Price(name, **_rates(beyond, f"{where}.long"))
    return Price(
        name,
        **_rates(fields, where),
        context=_tokens(fields.get("context"), f"{where}.context"),
        output_max=_tokens(fields.get("output_max"), f"{where}.output_max"),
        long=long,
        long_above=above,
    )


def _rates(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = [name for name in _RATES if fields.get(name) is not None]
    return {name: _per_token(fields[name], f"{where}.{name}") for name in given}


def _object(
    value: object, where: str, known: tuple[str, ...] | None, needed: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise misconfigured(f"{where}: expected an object", HINT)
    for field in value:
        if known is not None and field not in known:
            raise misconfigured(f"{where}: unknown field `{field}`", f"known: {', '.join(known)}")
    for field in needed:
        if field not in value:
            raise misconfigured(f"{where}: needs `{field}`", HINT)
    return value


def _per_token(value: object, where: str) -> int:
    """Pico-dollars per token."""
    if isinstance(value, float) and value == value:
        value = Decimal(repr(value))  # the decimal it is written as
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= USD_MAX:  # type: ignore[operator]
        raise misconfigured(
            f"{where}: expected USD per million tokens, a number from 0 to {USD_MAX:,},"
            f" got {_shown(value)}"
        )
    assert isinstance(value, (int, Decimal))
    pico = Decimal(value) * _PICO_PER_TOKEN
    if pico != int(pico):
        raise misconfigured(f"{where}: at most six decimals, got {_shown(value)}")
    return int(pico)


def _tokens(value: object, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= TOKENS_MAX:
        raise misconfigured(
            f"{where}: expected a whole number of tokens, at least 1, got {_shown(value)}"
        )
    return value


def _integer(text: str) -> int | Decimal:
    """JSON's integers may be longer than int() reads."""
    return int(text) if len(text) < 30 else Decimal(text)


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
