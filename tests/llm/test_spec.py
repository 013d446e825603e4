"""The words of `--llm`, and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from omega.errors import LispFileError, LLMError
from omega.llm import OpenAIProvider, Provider, ScriptedProvider, provider_from_spec


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
        ("anthropic:claude", "not available yet", "openai:MODEL"),
    ],
)
def test_an_unknown_spec_says_what_is_known(spec: str, words: str, hint: str) -> None:
    with pytest.raises(LLMError, match=words) as caught:
        provider_from_spec(spec)
    assert caught.value.kind == "llm-configuration"
    assert hint in (caught.value.hint or "")


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["asyncio", "openai", "httpx", "httpx2", "json", "dataclasses", "hashlib", "email"]
    heavy += ["threading", "greenlet", "lark", "sqlite3", "omega.lisp", "omega.testing"]
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
        "print([name for name in ('openai', 'asyncio') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ".", "OPENAI_API_KEY": "sk-12345678"},
    )
    assert shown.stdout == "[]\n"
