"""The models of a recorded run, as a tape keeps them: their names, limits and prices, no provider.

Owns: `kept_models`, `models_again`, `RecordedProvider`. Refuses: keys and addresses; a replay asks
nobody.

What decides which call is sent when, to whom and for how much is kept: one lane for each provider
and model, their limits, the order of fallbacks, the prices that budgets go by.
"""

from __future__ import annotations

from typing import Any

from omega.calls import Model, Models
from omega.errors import OmegaBug
from omega.llm import LaneLimits, LLMReply, LLMRequest, Price, PriceTable, Rate

PRICES = ("input", "output", "cached_input", "context", "output_max")
RATES = ("requests", "tokens", "input_tokens", "output_tokens")
LIMITS = tuple(name for name in LaneLimits.__slots__ if name != "rates")


class RecordedProvider:
    """In place of a provider of a recorded run, which is asked nothing."""

    def __init__(
        self,
        name: str,
        needs_real_time: bool,
        model: str | None,
        has_schemas: bool,
        lacks: tuple[str, str | None] | None = None,
        gets_ready: bool = False,
    ) -> None:
        self.name, self.needs_real_time = name, needs_real_time
        self.model, self.has_schemas = model, has_schemas
        self.lacks = lacks  # of one that could not be asked (calls/models.py)
        if gets_ready:
            self.prepare = self._prepare

    async def infer(self, request: LLMRequest, *, sleep: Any) -> LLMReply:
        raise OmegaBug("a replay asked a provider")

    async def _prepare(self, *, sleep: Any) -> None:
        raise OmegaBug("a replay made a provider ready")

    async def aclose(self) -> None:
        """It has no connections."""


def kept_models(models: Models) -> dict[str, Any]:
    """What a tape keeps of them: JSON data."""
    providers = models.providers()
    at = {id(each): index for index, each in enumerate(providers)}
    prices = models.own_prices
    return {
        "providers": [
            [
                each.name,
                each.needs_real_time,
                getattr(each, "model", None),
                bool(getattr(each, "has_schemas", False)),
                getattr(each, "lacks", None),
                hasattr(each, "prepare"),
            ]
            for each in providers
        ],
        "default": models.default,
        "named": {
            name: {
                "provider": at[id(model.provider)],
                "model": model.model,
                "limits": None if model.limits is None else _kept_limits(model.limits),
                "price": None if model.price is None else _kept_price(model.price),
                "fallback": list(model.fallback),
            }
            for name, model in models.named.items()
        },
        "prices": None
        if prices is None
        else {
            "as_of": prices.as_of,
            "models": {name: _kept_price(_found(prices, name)) for name in prices.models},
        },
    }


def models_again(kept: dict[str, Any]) -> Models:
    """Models like those that were kept."""
    providers = [RecordedProvider(*each) for each in kept["providers"]]
    named = {
        name: Model(
            name,
            providers[each["provider"]],
            each["model"],
            limits=None if each["limits"] is None else _limits_again(each["limits"]),
            price=None if each["price"] is None else _price_again(name, each["price"]),
            fallback=each["fallback"],
        )
        for name, each in kept["named"].items()
    }
    prices = kept["prices"]
    table = None
    if prices is not None:
        again = {name: _price_again(name, each) for name, each in prices["models"].items()}
        table = PriceTable(again, prices["as_of"], "the prices of the recorded run")
    return Models(providers[0], named, default=kept["default"], prices=table)


def _kept_limits(limits: LaneLimits) -> dict[str, Any]:
    rates = [None if rate is None else [rate.per_s, rate.burst] for rate in limits.rates]
    return {"rates": rates, **{name: getattr(limits, name) for name in LIMITS}}


def _limits_again(kept: dict[str, Any]) -> LaneLimits:
    fields: dict[str, Any] = {name: kept[name] for name in LIMITS if name != "margin_s"}
    fields["margin_s"] = kept.get("margin_s", 0.0)  # of a run before there was one
    for name, rate in zip(RATES, kept["rates"], strict=True):
        fields[name] = None if rate is None else Rate(*rate)
    return LaneLimits(**fields)


def _found(prices: PriceTable, name: str) -> Price:
    price = prices.find(name)
    assert price is not None
    return price


def _kept_price(price: Price) -> list[int | None]:
    return [getattr(price, name) for name in PRICES]


def _price_again(name: str, kept: list[Any]) -> Price:
    return Price(name, **dict(zip(PRICES, kept, strict=True)))
