"""The models a host sets up, as `omega.toml` tells them: which there are, what they may be asked.

Owns: the format below, its checks and its errors. Refuses: to make providers before they are
needed, to read keys (they are in the environment; a file names the variable).

    [llm]
    model = "fast"                       # what a call without :model means
    prices = "prices.json"               # in place of what omega knows, beside this file
    cache = "answers.sqlite"             # of :cache #t; beside this file; absent: in memory

    [models.fast]
    provider = "openai"                  # as --llm names it
    model = "gpt-4o-mini"                # as the provider knows it
    key = "OPENAI_API_KEY"               # the environment variable of the key
    base-url = "http://localhost:11434/v1"
    max-concurrent = 16                  # calls in flight
    start-concurrent = 4                 # of a cap that is learned: where it begins
    min-concurrent = 2                   # and how far refusals may lower it
    requests-per-minute = 500            # and tokens-, input-tokens-, output-tokens-per-minute
    burst = 20                           # requests at once
    price = { input = 0.15, cached_input = 0.075, output = 0.60 }   # USD per million tokens; also
                                         # cache_write, and long = { above = TOKENS, input, output }
    fallback = ["slow"]                  # asked when this one cannot answer, in this order; theirs
                                         # are not followed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from omega.errors import LispFileError, LLMError
from omega.llm.buckets import Rate
from omega.llm.failures import misconfigured
from omega.llm.lane import LaneLimits
from omega.llm.spec import SETTINGS_FILE

RATES = ("requests", "tokens", "input-tokens", "output-tokens")
# Of calls in flight, from the lowest to the highest.
CAPS = {
    "min-concurrent": "cap_floor",
    "start-concurrent": "cap_start",
    "max-concurrent": "cap_ceiling",
}


class ModelSettings:
    """One model: see the module. price: a table of USD per million tokens, or None."""

    __slots__ = ("base_url", "fallback", "key", "limits", "model", "name", "price", "provider")

    def __init__(self, name: str) -> None:
        self.name = name
        self.provider = ""
        self.model: str | None = None
        self.key: str | None = None
        self.base_url: str | None = None
        self.limits: LaneLimits | None = None
        self.price: dict[str, Any] | None = None
        self.fallback: tuple[str, ...] = ()


class Settings:
    """default: the name of a model, or None. prices: a table of them, or None. cache: a path.
    source: the file, for messages.
    """

    __slots__ = ("cache", "default", "models", "prices", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.default: str | None = None
        self.prices: dict[str, Any] | None = None
        self.cache: str | None = None
        self.models: dict[str, ModelSettings] = {}


def read_settings(path: str) -> Settings:
    """The settings in the file at `path`. Raises LispFileError (unreadable), LLMError
    (llm-configuration) that names the file and the field.
    """
    import os

    return parse_settings(_text_of(path), path, os.path.dirname(path))


def parse_settings(text: str, source: str = SETTINGS_FILE, folder: str = "") -> Settings:
    """The settings in a text. folder: what paths in it are relative to."""
    import os
    import tomllib

    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = str(error)
    else:
        return _Reader(source, lambda path: os.path.join(folder, path)).settings(data)
    raise misconfigured(f"{source} is not TOML: {problem}", "toml.io shows how it is written")


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise LispFileError(f"cannot read {path}: {reason}") from None
    except UnicodeDecodeError:
        raise misconfigured(f"{path} is not UTF-8 text") from None


def _table_of(path: str) -> dict[str, Any]:
    """The table of prices in a file, checked."""
    import json

    from omega.llm.prices import PriceTable

    text = _text_of(path)
    PriceTable.read(text, path)
    table: dict[str, Any] = json.loads(text)
    return table


class _Reader:
    def __init__(self, source: str, beside: Callable[[str], str]) -> None:
        self._source, self._beside = source, beside

    def settings(self, data: Mapping[str, Any]) -> Settings:
        made = Settings(self._source)
        for section in data:
            if section not in ("llm", "models"):
                raise self._wrong(section, "unknown section", "there are [llm] and [models.NAME]")
        general = self._table("llm", data.get("llm", {}))
        known = ("model", "prices", "cache")
        self._known("llm", general, known)
        if "model" in general:
            made.default = self._text("llm.model", general["model"])
        if "cache" in general:
            made.cache = self._beside(self._text("llm.cache", general["cache"]))
        if isinstance(general.get("prices"), dict):
            from omega.llm.prices import PriceTable

            made.prices = general["prices"]
            PriceTable.of_data(made.prices, f"{self._source}: llm.prices")
        elif "prices" in general:
            made.prices = _table_of(self._beside(self._text("llm.prices", general["prices"])))
        for name, fields in self._table("models", data.get("models", {})).items():
            made.models[name] = self._model(name, self._table(f"models.{name}", fields))
        names = ", ".join(sorted(made.models)) or "none"
        if made.default is not None and made.default not in made.models:
            raise self._wrong(
                "llm.model", f"there is no model `{made.default}`", f"models: {names}"
            )
        for model in made.models.values():
            for other in model.fallback:
                if other not in made.models or other == model.name:
                    raise self._wrong(
                        f"models.{model.name}.fallback",
                        f"there is no other model `{other}`",
                        f"models: {names}",
                    )
        return made

    def _model(self, name: str, fields: Mapping[str, Any]) -> ModelSettings:
        where = f"models.{name}"
        rates = tuple(f"{rate}-per-minute" for rate in RATES)
        texts = ("provider", "model", "key", "base-url")
        self._known(where, fields, (*texts, *rates, *CAPS, "burst", "price", "fallback"))
        made = ModelSettings(name)
        for field in texts:
            if field in fields:
                text = self._text(f"{where}.{field}", fields[field])
                setattr(made, field.replace("-", "_"), text)
        if made.key is not None and not (made.key.isascii() and made.key.isidentifier()):
            # Not shown: it may be the key itself.
            raise self._wrong(
                f"{where}.key",
                "expected the name of an environment variable",
                'such as key = "OPENAI_API_KEY"; the key itself is never written into the file',
            )
        if not made.provider:
            raise self._wrong(where, "no provider", 'such as provider = "openai"')
        made.limits = self._limits(where, fields, rates)
        if "price" in fields:
            from omega.llm.prices import price_of

            made.price = dict(self._table(f"{where}.price", fields["price"]))
            price_of(f"{name}.price", made.price, self._source)  # mistakes are told at once
        fallback = fields.get("fallback", [])
        if not isinstance(fallback, list):
            raise self._wrong(f"{where}.fallback", "expected a list of names of models")
        made.fallback = tuple(self._text(f"{where}.fallback", each) for each in fallback)
        return made

    def _limits(self, where: str, fields: Mapping[str, Any], rates: tuple[str, ...]) -> Any:
        given: dict[str, Any] = {}
        burst = self._number(where, "burst", fields) if "burst" in fields else None
        for rate, field in zip(RATES, rates, strict=True):
            if field in fields:
                most = burst if rate == "requests" else None
                units = self._number(where, field, fields)
                given[rate.replace("-", "_")] = Rate.per_minute(units, most)
        if burst is not None and "requests" not in given:
            raise self._wrong(
                f"{where}.burst", "there is no requests-per-minute that it belongs to"
            )
        for field, name in CAPS.items():
            if field in fields:
                given[name] = self._whole(where, field, fields)
        if not given:
            return None
        ordered = [(field, given[name]) for field, name in CAPS.items() if name in given]
        for (lower, least), (higher, most) in pairwise(ordered):
            if least > most:
                raise self._wrong(f"{where}.{lower}", f"it is larger than {higher}")
        return LaneLimits(**given)

    def _number(self, where: str, field: str, fields: Mapping[str, Any]) -> float:
        value = fields[field]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e15:
            raise self._wrong(f"{where}.{field}", f"expected a number above 0, got {value!r}")
        return float(value)

    def _whole(self, where: str, field: str, fields: Mapping[str, Any]) -> int:
        value = fields[field]
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
            raise self._wrong(
                f"{where}.{field}", f"expected a whole number from 1 on, got {value!r}"
            )
        return value

    def _text(self, where: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(where, f"expected a text, got {value!r}")
        return value.strip()

    def _table(self, where: str, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, f"expected a table, got {type(value).__name__}")
        return value

    def _known(self, where: str, fields: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for field in fields:
            if field not in known:
                raise self._wrong(f"{where}.{field}", "unknown field", f"known: {', '.join(known)}")

    def _wrong(self, where: str, problem: str, hint: str | None = None) -> LLMError:
        return misconfigured(f"{self._source}: {where}: {problem}", hint)
