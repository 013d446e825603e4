"""Which model a name means: the provider that reaches it, the lane it is governed in, its price.

Owns: `Model`, `Models`, `UnreadyProvider`. Refuses: to reach one (providers do), to read files
(llm/settings.py does).

A name of the configuration is that entry; any other name is passed to the default provider as it
is. So a program can never reach a provider that the host has not set up.

What is wrong with a configuration itself is told when the models are made. What this machine lacks
for one of its entries, a key or a package, is told to whoever asks that model: the same file serves
programs that use others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from omega.errors import HostError, LLMError, OmegaError
from omega.llm.failures import NOT_READY, misconfigured, not_ready
from omega.llm.lane import LaneLimits
from omega.llm.provider import Provider, Sleep
from omega.llm.spec import DEFAULT_SPEC

if TYPE_CHECKING:
    from omega.llm.cache import ReplyCache
    from omega.llm.prices import Price, PriceTable
    from omega.llm.request import LLMReply, LLMRequest
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
    def problem(self) -> LLMError | None:
        """Why nobody can ask it on this machine, or None."""
        lacks: tuple[str, str | None] | None = getattr(self.provider, "lacks", None)
        return None if lacks is None else not_ready(*lacks)

    @property
    def shown(self) -> str:
        """What programs call it: in data, such as figures and the fields of errors."""
        return self.name or self.vendor_name or self.provider.name

    @property
    def title(self) -> str:
        """What people read of it: `fast (gpt-4o-mini)`, or `gpt-4o-mini` alone."""
        return self.titled(self.vendor_name)

    def titled(self, vendor_name: str | None) -> str:
        """The name it was asked for by and, if that is another, `vendor_name`."""
        if vendor_name in (None, "", self.shown, self.provider.name):
            return self.shown
        return f"{self.shown} ({vendor_name})"


class UnreadyProvider:
    """In place of one that this machine lacks something for. message, hint: what."""

    needs_real_time = True

    def __init__(self, name: str, model: str | None, message: str, hint: str | None) -> None:
        self.name, self.model = name, model
        self.lacks = (message, hint)

    async def infer(self, request: LLMRequest, *, sleep: Sleep) -> LLMReply:
        raise not_ready(*self.lacks)

    async def aclose(self) -> None:
        """It has no connections."""


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
        self.source: str | None = None  # the file of the configuration
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

        Raises LLMError (llm-configuration) when a provider cannot be made whatever this machine
        has.
        """
        from omega.llm.prices import PriceTable, price_of, standard_prices
        from omega.llm.spec import provider_from_spec

        made: dict[tuple[str | None, ...], Provider] = {}
        named: dict[str, Model] = {}
        for name, each in settings.models.items():
            # An entry without a model of its own must not ask for another entry's.
            is_without = each.model is None and each.provider in VENDORS
            key = (each.provider, each.key, each.base_url, name if is_without else None)
            found = made.get(key)
            if found is None:
                found = _provider_told(each, settings.source)
                if not isinstance(found, UnreadyProvider):  # which names its entry
                    made[key] = found
            price = None
            if each.price is not None:
                price = price_of(name, each.price, settings.source)
            named[name] = Model(
                name,
                found,
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
        made_of.source, made_of.cache_file = settings.source, settings.cache
        return made_of

    def open_cache(self) -> ReplyCache | None:
        """The cache in the file of the configuration, which whoever opens it closes.

        Raises LLMError (llm-configuration), naming file and field, when it cannot be used.
        """
        if self.cache_file is None:
            return None
        from omega.llm.cache_sqlite import SQLiteCache

        try:
            return SQLiteCache(self.cache_file)
        except LLMError as error:
            error.message = f"{self.source}: llm.cache: {error.message}"
            raise

    def need_ready(self, name: str) -> None:
        """Raise LLMError (llm-configuration) when this machine lacks what the model needs."""
        problem = self.find(name).problem
        if problem is not None:
            raise problem

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
    """`provider_of`, whose errors tell the file and the model; what is not ready stands in."""
    try:
        return provider_of(settings)
    except OmegaError as error:
        error.message = f"{source}: models.{settings.name}: {error.message}"
        if not isinstance(error, LLMError) or error.reason != NOT_READY:
            raise
        name, _, model = settings.provider.partition(":")
        return UnreadyProvider(name, settings.model or model or None, error.message, error.hint)


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
        if not options["api_key"] and not settings.key.isupper():
            # Who has put the key itself there must not find it in a log.
            raise misconfigured(
                "the environment variable that `key` names is not set",
                'export NAME=..., and key = "NAME" in the file',
            )
    if name == "openai":
        from omega.llm.openai_provider import OpenAIProvider

        return OpenAIProvider(settings.model, **options)
    from omega.llm.anthropic_provider import AnthropicProvider

    return AnthropicProvider(settings.model, **options)
