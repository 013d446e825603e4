"""omega.toml: every field means what is written of it, every mistake names its file and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omega.errors import LispFileError, LLMError
from omega.llm.settings import CAPS, RATES, Settings, parse_settings, read_settings

WHOLE = """
[llm]
model = "fast"
prices = "prices.json"
cache = "answers.sqlite"

[models.fast]
provider = "openai"
model = "gpt-4o-mini"
key = "OPENAI_API_KEY"
base-url = "http://localhost:11434/v1"
max-concurrent = 16
start-concurrent = 4
min-concurrent = 2
requests-per-minute = 600
tokens-per-minute = 60000
input-tokens-per-minute = 1200
output-tokens-per-minute = 6.0
burst = 20
price = { input = 0.15, cached_input = 0.075, output = 0.60 }
fallback = ["slow", "spare"]

[models.slow]
provider = "anthropic:claude-haiku-4-5"

[models.spare]
provider = "scripted"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = {"as_of": "2026-01-01", "models": {"mine": {"input": 1, "output": 2}}}
    (tmp_path / "prices.json").write_text(json.dumps(table))
    (tmp_path / "omega.toml").write_text(WHOLE)
    return tmp_path


def test_every_field_is_read(folder: Path) -> None:
    settings = read_settings(str(folder / "omega.toml"))
    assert settings.default == "fast"
    assert settings.cache == str(folder / "answers.sqlite")
    assert settings.prices is not None and list(settings.prices["models"]) == ["mine"]
    assert list(settings.models) == ["fast", "slow", "spare"]
    fast = settings.models["fast"]
    assert (fast.provider, fast.model, fast.key) == ("openai", "gpt-4o-mini", "OPENAI_API_KEY")
    assert fast.base_url == "http://localhost:11434/v1"
    assert fast.fallback == ("slow", "spare")
    assert fast.price == {"input": 0.15, "cached_input": 0.075, "output": 0.60}
    assert fast.limits is not None
    limits = fast.limits
    assert (limits.cap_floor, limits.cap_start, limits.cap_ceiling) == (2, 4, 16)
    assert [rate and rate.per_s for rate in fast.limits.rates] == [10.0, 1000.0, 20.0, 0.1]
    assert fast.limits.rates[0] is not None and fast.limits.rates[0].burst == 20
    slow = settings.models["slow"]
    assert (slow.model, slow.key, slow.base_url, slow.limits, slow.price) == (None,) * 5
    assert slow.fallback == ()


def test_an_empty_text_says_nothing() -> None:
    settings = parse_settings("")
    assert (settings.default, settings.models, settings.prices, settings.cache) == (
        *(None, {}, None, None),
    )


def test_a_price_table_may_stand_in_the_file_itself() -> None:
    settings = parse_settings("[llm.prices.models.mine]\ninput = 1\noutput = 2\n")
    assert settings.prices == {"models": {"mine": {"input": 1, "output": 2}}}


def mistake(text: str, source: str = "omega.toml") -> LLMError:
    with pytest.raises(LLMError) as caught:
        parse_settings(text, source)
    assert caught.value.kind == "llm-configuration"
    return caught.value


MODEL = '[models.m]\nprovider = "scripted"\n'
MISTAKES = [
    ("x = [", "is not TOML: "),
    ("[lmm]", "lmm: unknown section"),
    ("llm = 3", "llm: expected a table, got int"),
    ("models = []", "models: expected a table, got list"),
    ("[llm]\nmodle = 'x'", "llm.modle: unknown field"),
    ("[llm]\nmodel = 3", "llm.model: expected a text, got 3"),
    ("[llm]\nmodel = 'x'", "llm.model: there is no model `x`"),
    ("[llm]\ncache = false", "llm.cache: expected a text, got False"),
    ("[llm]\ncache = ' '", "llm.cache: expected a text"),
    ("[llm]\nprices = 3", "llm.prices: expected a text, got 3"),
    ("[llm.prices]\nmodels = 3", "llm.prices: models: "),
    ("[models]\nm = 3", "models.m: expected a table, got int"),
    ("[models.m]\nmodel = 'x'", "models.m: no provider"),
    (MODEL + "speed = 3", "models.m.speed: unknown field"),
    (MODEL + "max_concurrent = 3", "models.m.max_concurrent: unknown field"),
    *((MODEL.replace('"scripted"', "5"), "models.m.provider: expected a text, got 5"),),
    *((MODEL + f"{field} = 5", f"models.m.{field}: expected a text, got 5")
      for field in ("model", "key", "base-url")),
    *((MODEL + f"{rate}-per-minute = {bad}", f"models.m.{rate}-per-minute: expected a number above")
      for rate in RATES for bad in ("0", "-1", '"many"', "true", "inf", "nan")),
    (MODEL + "requests-per-minute = 5\nburst = 0", "models.m.burst: expected a number above 0"),
    (MODEL + "burst = 5", "models.m.burst: there is no requests-per-minute"),
    *((MODEL + f"{field} = {bad}", f"models.m.{field}: expected a whole number from 1 on")
      for field in CAPS for bad in ("0", "1.5", '"8"', "true")),
    (MODEL + "max-concurrent = 2\nstart-concurrent = 3", "models.m.start-concurrent: it is larger"),
    (MODEL + "max-concurrent = 2\nmin-concurrent = 3", "models.m.min-concurrent: it is larger"),
    (MODEL + "start-concurrent = 2\nmin-concurrent = 3",
     "models.m.min-concurrent: it is larger than start-concurrent"),
    *((MODEL + f"key = {key!r}", "models.m.key: expected the name of an environment variable")
      for key in ("sk-proj-01", "two words", "1KEY")),
    (MODEL + "price = 3", "models.m.price: expected a table, got int"),
    (MODEL + "price = {input = 1}", "models.m.price: needs `output`"),
    (MODEL + "price = {input = -1, output = 1}", "models.m.price.input: expected USD per million"),
    (MODEL + "price = {inputs = 1, output = 1}", "models.m.price: unknown field `inputs`"),
    (MODEL + "fallback = 'm'", "models.m.fallback: expected a list"),
    (MODEL + "fallback = [3]", "models.m.fallback: expected a text, got 3"),
    (MODEL + "fallback = ['n']", "models.m.fallback: there is no other model `n`"),
    (MODEL + "fallback = ['m']", "models.m.fallback: there is no other model `m`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), MISTAKES, ids=[p for _, p in MISTAKES])
def test_a_mistake_names_its_file_and_field(text: str, problem: str) -> None:
    message = mistake(text, "my.toml").message
    assert message.startswith("my.toml"), message
    assert problem in message, message


def test_an_unknown_field_is_told_with_those_there_are() -> None:
    hint = mistake(MODEL + "limit = 3").hint
    assert hint is not None and "requests-per-minute" in hint and "fallback" in hint


def test_a_missing_model_is_told_with_those_there_are() -> None:
    assert mistake("[llm]\nmodel = 'x'\n" + MODEL).hint == "models: m"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(LispFileError, match=r"cannot read .*no such file"):
        read_settings(str(tmp_path / "nowhere.toml"))
    path = tmp_path / "latin.toml"
    path.write_bytes(b'[llm]\nmodel = "caf\xe9"\n')
    with pytest.raises(LLMError, match=r"latin.toml is not UTF-8"):
        read_settings(str(path))


def test_a_price_file_is_looked_for_beside_the_settings_and_its_mistakes_name_it(
    folder: Path,
) -> None:
    (folder / "prices.json").write_text('{"models": {"m": {"input": 1}}}')
    with pytest.raises(LLMError, match=r"prices\.json: models\.m: needs `output`"):
        read_settings(str(folder / "omega.toml"))
    (folder / "prices.json").unlink()
    with pytest.raises(LispFileError, match=r"cannot read .*prices\.json"):
        read_settings(str(folder / "omega.toml"))


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    (folder / "omega.toml").write_bytes(b"\xef\xbb\xbf" + WHOLE.encode())
    assert isinstance(read_settings(str(folder / "omega.toml")), Settings)
