"""The models of a recorded run, as a tape tells of them: all that decides what becomes of a call.

Owns: `data_of`, `models_of`, `RecordedProvider`. Refuses: keys, addresses, and to ask anybody.
"""

from __future__ import annotations

from typing import Any

from omega.calls.models import Model, Models
from omega.errors import OmegaBug
from omega.llm import LLMRequest, Provider
from omega.llm.buckets import Rate
from omega.llm.lane import KINDS, LaneLimits
from omega.llm.prices import Price, PriceTable

_PRICE = ("model", "input", "output", "cached_input", "context", "output_max")


class RecordedProvider:
    """In place of the provider of a recorded run, which is asked nothing. model: its default one.
    has_schemas: whether it passes a schema on.
    """

    def __init__(
        self, name: str, needs_real_time: bool, model: str | None = None, has_schemas: bool = False
    ) -> None:
        self.name, self.needs_real_time = name, needs_real_time
        self.model, self.has_schemas = model, has_schemas

    async def infer(self, request: LLMRequest, *, sleep: Any) -> Any:
        raise OmegaBug("a replay asked a provider")

    async def aclose(self) -> None:
        """It has no connections."""


def data_of(models: Models) -> dict[str, Any]:
    """`models` as JSON data."""
    providers = models.providers()
    table = models.own_prices
    return {
        "providers": [_provider_data(each) for each in providers],
        "named": {
            name: [
                next(i for i, each in enumerate(providers) if each is model.provider),
                model.model,
                None if model.limits is None else _limits_data(model.limits),
                None if model.price is None else _price_data(model.price),
                list(model.fallback),
            ]
            for name, model in models.named.items()
        },
        "default": models.default,
        "prices": None
        if table is None
        else [{name: _price_data(table.find(name)) for name in table.models}, table.as_of],
    }


def models_of(data: dict[str, Any], source: str) -> Models:
    """The models that `data` tells of. source: the tape, for messages."""
    providers = [RecordedProvider(*each) for each in data["providers"]]
    named = {
        name: Model(
            name,
            providers[number],
            model,
            limits=None if limits is None else _limits(limits),
            price=None if price is None else _price(price),
            fallback=fallback,
        )
        for name, (number, model, limits, price, fallback) in data["named"].items()
    }
    prices = None
    if data["prices"] is not None:
        kept, as_of = data["prices"]
        prices = PriceTable({name: _price(each) for name, each in kept.items()}, as_of, source)
    return Models(providers[0], named, default=data["default"], prices=prices)


def _provider_data(provider: Provider) -> list[Any]:
    model, has_schemas = (getattr(provider, name, None) for name in ("model", "has_schemas"))
    known = model if isinstance(model, str) else None
    return [provider.name, provider.needs_real_time, known, bool(has_schemas)]


def _limits_data(limits: LaneLimits) -> dict[str, Any]:
    kept = {name: getattr(limits, name) for name in LaneLimits.__slots__ if name != "rates"}
    rates = [None if rate is None else [rate.per_s, rate.burst] for rate in limits.rates]
    return {**kept, "rates": rates}


def _limits(kept: dict[str, Any]) -> LaneLimits:
    given = {name: value for name, value in kept.items() if name != "rates"}
    for kind, rate in zip(KINDS, kept["rates"], strict=True):
        given[kind] = None if rate is None else Rate(*rate)
    return LaneLimits(**given)


def _price_data(price: Price | None) -> list[Any]:
    assert price is not None
    return [getattr(price, name) for name in _PRICE]


def _price(kept: list[Any]) -> Price:
    model, put, got, cached, context, most = kept
    return Price(model, put, got, cached_input=cached, context=context, output_max=most)
