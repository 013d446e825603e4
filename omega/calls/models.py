"""Which model a name means: the provider that reaches it, the lane it is governed in, its price.

Owns: `Model`, `Models`. Refuses: to reach one (providers do), to read files (llm/settings.py does).

A name of the configuration is that entry; any other name is passed to the default provider as it
is. So a program can never reach a provider that the host has not set up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from omega.errors import HostError, OmegaError
from omega.llm.failures import misconfigured
from omega.llm.lane import LaneLimits
from omega.llm.provider import Provider
from omega.llm.spec import DEFAULT_SPEC

if TYPE_CHECKING:
    from omega.llm.prices import Price, PriceTable
    from omega.llm.settings import ModelSettings, Settings

VENDORS = ("openai", "anthropic")  # providers that take a key and a base URL


class Model:
    """name: as a program calls it; None is the default. model: as the provider knows it; None is
    the provider's own default. limits: of its lane. price: None takes the table's. fallback: names
    of others to ask when it cannot answer.
    """

    __slots__ = ("fallback", "lane", "limits", "model", "name", "price", "provider")

    def __init__(
        self,
        name: str | None,
        provider: Provider,
        model: str | None = None,
        *,
        limits: LaneLimits | None = None,
        price: Price | None = None,
        fallback: Iterable[str] = (),
    ) -> None:
        self.name, self.provider, self.model = name, provider, model
        self.limits, self.price, self.fallback = limits, price, tuple(fallback)
        # One lane for each provider, model and key: an object of a provider has one key.
        self.lane = (id(provider), model)

    @property
    def vendor_name(self) -> str | None:
        """What the provider calls it: its prices and its tokenizer go by that. None: unknown."""
        return self.model or getattr(self.provider, "model", None)

    @property
    def shown(self) -> str:
        """What figures and errors call it."""
        return self.name or self.vendor_name or self.provider.name


class Models:
    """provider: the default one. named: the models of the configuration. default: the name of the
    one that a call without a model means. prices: of tokens.
    """

    def __init__(
        self,
        provider: Provider,
        named: Mapping[str, Model] | None = None,
        *,
        default: str | None = None,
        prices: PriceTable | None = None,
    ) -> None:
        self.provider = provider
        self.named = dict(named or {})
        self.default = default
        self.own_prices = prices  # None: those that omega comes with
        self.cache_file: str | None = None
        self._found: dict[str | None, Model] = {}
        for model in self.named.values():
            for name in model.fallback:
                if name not in self.named:
                    raise HostError(
                        f"the fallback `{name}` of the model `{model.name}` is not configured",
                        hint=f"there are: {', '.join(sorted(self.named))}",
                    )
        if default is not None and default not in self.named:
            raise HostError(f"the default model `{default}` is not configured")

    @classmethod
    def of(cls, llm: str | Provider | Models | None) -> Models:
        """What a host gives as `llm`: a specification, a provider, several models; None is the
        scripted provider.
        """
        from omega.llm.spec import provider_from_spec

        if isinstance(llm, Models):
            return llm
        if llm is None or isinstance(llm, str):
            llm = provider_from_spec(llm or DEFAULT_SPEC)
        return cls(llm)

    @classmethod
    def from_file(cls, path: str, provider: Provider | None = None) -> Models:
        """The models of a file such as omega.toml. provider: as of `of_settings`.

        Raises LispFileError and LLMError (llm-configuration), naming file and field.
        """
        from omega.llm.settings import read_settings

        return cls.of_settings(read_settings(path), provider)

    def refuse_real_time(self) -> None:
        """Raise HostError when one of the providers cannot run under virtual time."""
        for provider in self.providers():
            if provider.needs_real_time:
                raise HostError(
                    f"the provider `{provider.name}` needs real time", hint="leave out virtual_time"
                )

    @classmethod
    def of_settings(
        cls,
        settings: Settings,
        provider: Provider | None = None,
    ) -> Models:
        """The models of a configuration. provider: the default one; None takes the provider of the
        default model, or the scripted one.

        Raises LLMError (llm-configuration) when a provider cannot be made.
        """
        from omega.llm.prices import PriceTable, price_of, standard_prices
        from omega.llm.spec import provider_from_spec

        made: dict[tuple[str | None, ...], Provider] = {}
        named: dict[str, Model] = {}
        for name, each in settings.models.items():
            # An entry without a model of its own must not ask for another entry's.
            is_without = each.model is None and each.provider in VENDORS
            key = (each.provider, each.key, each.base_url, name if is_without else None)
            if key not in made:
                made[key] = _provider_told(each, settings.source)
            price = None
            if each.price is not None:
                price = price_of(name, each.price, settings.source)
            named[name] = Model(
                name,
                made[key],
                each.model,
                limits=each.limits,
                price=price,
                fallback=each.fallback,
            )
        default = None if provider is not None else settings.default
        if provider is None:
            first = named.get(default) if default is not None else None
            provider = provider_from_spec(DEFAULT_SPEC) if first is None else first.provider
        prices = None
        if settings.prices is not None:
            own = PriceTable.of_data(settings.prices, settings.source)
            prices = standard_prices().with_own(own)
        made_of = cls(provider, named, default=default, prices=prices)
        made_of.cache_file = settings.cache
        return made_of

    def find(self, name: str | None) -> Model:
        """The model that a request names."""
        if name is None:
            name = self.default
        found = self._found.get(name)
        if found is None:
            found = None if name is None else self.named.get(name)
            if found is None:
                found = Model(None, self.provider, name)
            if len(self._found) < 1_000:
                self._found[name] = found
        return found

    def wrapped(self, wrap: Callable[[Provider], Provider]) -> Models:
        """The same models, each reached through what `wrap` makes of its provider."""
        made = {id(each): wrap(each) for each in self.providers()}
        other = Models(made[id(self.provider)], default=None, prices=self.own_prices)
        for name, model in self.named.items():
            other.named[name] = Model(
                name,
                made[id(model.provider)],
                model.model,
                limits=model.limits,
                price=model.price,
                fallback=model.fallback,
            )
        other.default = self.default
        return other

    def known(self) -> list[Model]:
        """Those that were asked for, or are configured."""
        return [*self._found.values(), *self.named.values()]

    def fallbacks(self, model: Model) -> list[Model]:
        return [self.named[name] for name in model.fallback]

    @property
    def prices(self) -> PriceTable:
        if self.own_prices is not None:
            return self.own_prices
        from omega.llm.prices import standard_prices

        return standard_prices()

    def price(self, model: Model) -> Price | None:
        """What its tokens cost; None: nobody knows."""
        if model.price is not None:
            return model.price
        name = model.vendor_name
        return None if name is None else self.prices.find(name)

    def providers(self) -> list[Provider]:
        """All of them, the default first, each once."""
        found = {id(self.provider): self.provider}
        for model in self.named.values():
            found.setdefault(id(model.provider), model.provider)
        return list(found.values())


def _provider_told(settings: ModelSettings, source: str) -> Provider:
    """`provider_of`, whose errors tell the file and the model."""
    try:
        return provider_of(settings)
    except OmegaError as error:
        error.message = f"{source}: models.{settings.name}: {error.message}"
        raise


def provider_of(settings: ModelSettings) -> Provider:
    """The provider of a configured model. Its own model is the entry's, so that the first one
    serves others with the same key.
    """
    from omega.llm.spec import provider_from_spec

    name, colon, _ = settings.provider.partition(":")
    if settings.key is None and settings.base_url is None:
        spec = settings.provider
        if not colon and settings.model is not None and name != DEFAULT_SPEC:
            spec = f"{name}:{settings.model}"
        return provider_from_spec(spec)
    if name not in VENDORS:
        raise misconfigured(
            f"the provider `{name}` takes no key or base-url",
            f"they are for {' and '.join(VENDORS)}",
        )
    options: dict[str, Any] = {"base_url": settings.base_url}
    if settings.key is not None:
        options["key_name"] = settings.key
        options["api_key"] = os.environ.get(settings.key, "")
        if not options["api_key"]:
            # Who has put the key itself there must not find it in a log.
            shown = settings.key if settings.key.isupper() else "that `key` names"
            name = settings.key if settings.key.isupper() else "NAME"
            raise misconfigured(
                f"the environment variable {shown} is not set",
                f'export {name}=..., and key = "{name}" in the file',
            )
    if name == "openai":
        from omega.llm.openai_provider import OpenAIProvider

        return OpenAIProvider(settings.model, **options)
    from omega.llm.anthropic_provider import AnthropicProvider

    return AnthropicProvider(settings.model, **options)
