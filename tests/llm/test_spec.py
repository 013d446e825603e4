"""The words of `--llm`, and what importing the package costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from omega.errors import LispFileError, LLMError
from omega.llm import (
    AnthropicProvider,
    LLMRequest,
    OpenAIProvider,
    Provider,
    ScriptedProvider,
    provider_from_spec,
)


def test_scripted_with_and_without_rules() -> None:
    assert isinstance(provider_from_spec("scripted"), ScriptedProvider)
    read: list[str] = []

    def read_text(path: str) -> str:
        read.append(path)
        return '{"rules": [{"reply": "x"}]}'

    provider = provider_from_spec("scripted:C:\\my rules.json", read_text=read_text)
    assert isinstance(provider, ScriptedProvider) and not provider.needs_real_time
    assert read == ["C:\\my rules.json"]
    with pytest.raises(LispFileError):
        provider_from_spec("scripted:/nowhere/rules.json")


def test_openai_has_its_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-12345678")
    provider = provider_from_spec("openai:ft:gpt-4o:me")
    assert isinstance(provider, OpenAIProvider) and isinstance(provider, Provider)
    assert provider.model == "ft:gpt-4o:me" and provider.needs_real_time
    assert "12345678" not in repr(provider)


@pytest.mark.parametrize(
    ("spec", "words", "hint"),
    [
        ("gemini:pro", "unknown LLM provider `gemini`", "scripted:RULES.json, openai:MODEL"),
        ("", "unknown LLM provider ``", "scripted"),
        ("OpenAI:x", "unknown LLM provider `OpenAI`", "openai:MODEL"),
        ("openai", "names no model", "openai:MODEL"),
        ("openai: ", "names no model", "openai:MODEL"),
        ("scripted:", "names no rules file", "scripted:RULES.json"),
        ("anthropic", "names no model", "anthropic:MODEL"),
    ],
)
def test_an_unknown_spec_says_what_is_known(spec: str, words: str, hint: str) -> None:
    with pytest.raises(LLMError, match=words) as caught:
        provider_from_spec(spec)
    assert caught.value.kind == "llm-configuration"
    assert hint in (caught.value.hint or "")


def test_anthropic_has_its_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-12345678")
    provider = provider_from_spec("anthropic:claude-x")
    assert isinstance(provider, AnthropicProvider) and isinstance(provider, Provider)
    assert provider.model == "claude-x" and provider.needs_real_time
    assert "12345678" not in repr(provider)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with entry points, as pip leaves it."""
    (tmp_path / "added_models.py").write_text(
        "from omega.llm import ScriptedProvider\n"
        "def make(argument): return ScriptedProvider([{'reply': argument, 'latency_ms': 0}])\n"
        "def fail(argument): raise ValueError('no licence')\n"
        "def wrong(argument): return 5\n"
    )
    info = tmp_path / "added_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: added-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[omega.providers]\n"
        "added = added_models:make\nfailing = added_models:fail\nwrong = added_models:wrong\n"
        "absent = added_models:nowhere\nopenai = added_models:make\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_an_installed_package_adds_a_provider_by_its_name() -> None:
    for spec, text in [("added: some:argument ", "some:argument"), ("added", "")]:
        provider = provider_from_spec(spec)
        reply = asyncio.run(provider.infer(LLMRequest("p"), sleep=asyncio.sleep))
        assert reply.text == text
    with pytest.raises(LLMError, match="names no model"):
        provider_from_spec("openai")  # nobody takes the place of a name of ours


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("failing:x", "`failing` .added_models:fail. cannot be made: no licence"),
        ("wrong", "it made a int, which is no provider"),
        ("absent", "`absent` .* cannot be made: .*nowhere"),
        ("gemini:pro", "unknown LLM provider `gemini`"),
    ],
)
def test_what_a_package_adds_wrongly_is_a_clear_error(spec: str, words: str) -> None:
    with pytest.raises(LLMError, match=words) as caught:
        provider_from_spec(spec)
    assert caught.value.kind == "llm-configuration" and caught.value.hint
    if spec == "gemini:pro":
        assert (caught.value.hint or "").endswith("anthropic:MODEL, absent, added, failing, wrong")


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["asyncio", "openai", "httpx", "httpx2", "json", "dataclasses", "hashlib", "email"]
    heavy += ["threading", "greenlet", "lark", "sqlite3", "omega.lisp", "omega.testing"]
    heavy += ["anthropic", "datetime", "importlib.metadata", "omega.llm.messages"]
    heavy += ["omega.llm.rate_limits", "omega.llm.vendor"]
    program = f"import sys, omega.llm; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "."},
    )
    assert shown.stdout == "[]\n"


def test_making_a_provider_does_not_load_its_sdk() -> None:
    program = (
        "import sys; from omega.llm import provider_from_spec\n"
        "provider_from_spec('openai:m')\n"
        "provider_from_spec('anthropic:m')\n"
        "print([n for n in ('openai', 'anthropic', 'asyncio', 'json') if n in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": ".",
            "OPENAI_API_KEY": "sk-12345678",
            "ANTHROPIC_API_KEY": "sk-12345678",
        },
    )
    assert shown.stdout == "[]\n"
