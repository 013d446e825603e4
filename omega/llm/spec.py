"""From the words of `--llm` to a provider. ONE table of the known ones.

Owns: the grammar `NAME[:ARGUMENT]`, and the entry points of the group `omega.providers`: what an
installed package adds to the table. Such an entry point is a function of the argument ("" when
there is none) that makes a provider. Refuses: to read files itself when given a reader, to import a
vendor's SDK, and to let a package take the place of a name of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import OmegaError
from omega.llm.failures import misconfigured
from omega.llm.provider import Provider

ReadText = Callable[[str], str]

DEFAULT_SPEC = "scripted"
SETTINGS_FILE = "omega.toml"  # settings.py reads it; looked for by who need not load that
KNOWN = ("scripted", "scripted:RULES.json", "openai:MODEL", "anthropic:MODEL")
ENTRY_POINTS = "omega.providers"


def provider_from_spec(spec: str, *, read_text: ReadText | None = None) -> Provider:
    """The provider that `spec` names, with its default model.

    spec: "scripted", "scripted:RULES.json", "openai:MODEL", "anthropic:MODEL", or the name of an
    entry point of the group omega.providers, with or without ":ARGUMENT". read_text: path -> text,
    for the rules; open() when None. Raises LLMError (llm-configuration) for what is unknown or
    incomplete, LispFileError for an unreadable file.
    """
    if not isinstance(spec, str):
        raise misconfigured(
            f"an LLM specification is a string, got {type(spec).__name__}", _known_hint()
        )
    name, colon, argument = spec.strip().partition(":")
    build = _BUILDERS.get(name)
    if build is not None:
        return build(argument.strip(), bool(colon), read_text)
    entry_point = _entry_points().get(name)
    if entry_point is None:
        raise misconfigured(f"unknown LLM provider `{name}`", _known_hint())
    return _from_entry_point(name, entry_point, argument.strip())


def _known_hint() -> str:
    return "known: " + ", ".join((*KNOWN, *sorted(set(_entry_points()) - set(_BUILDERS))))


def _entry_points() -> dict[str, Any]:
    """Name -> entry point, of all installed packages."""
    from importlib.metadata import entry_points  # 30 ms, and only a name that is none of ours asks

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _from_entry_point(name: str, entry_point: Any, argument: str) -> Provider:
    problem: BaseException
    try:
        provider = entry_point.load()(argument)
    except OmegaError:
        raise
    except Exception as error:
        problem = error
    else:
        if isinstance(provider, Provider):
            return provider
        problem = TypeError(f"it made a {type(provider).__name__}, which is no provider")
    raise misconfigured(
        f"the provider `{name}` ({entry_point.value}) cannot be made: {problem}",
        "it comes from an installed package: mend or remove that",
    ) from problem


def _scripted(argument: str, is_given: bool, read_text: ReadText | None) -> Provider:
    from omega.llm.scripted import ScriptedProvider

    if not is_given:
        return ScriptedProvider()
    if not argument:
        raise misconfigured(
            "`scripted:` names no rules file", "write scripted:RULES.json, or scripted"
        )
    return ScriptedProvider.from_file(argument, read_text=read_text)


def _openai(argument: str, is_given: bool, read_text: ReadText | None) -> Provider:
    from omega.llm.openai_provider import OpenAIProvider

    if not argument:
        raise misconfigured(
            "`openai` names no model", "write openai:MODEL, such as openai:gpt-4o-mini"
        )
    return OpenAIProvider(argument)


def _anthropic(argument: str, is_given: bool, read_text: ReadText | None) -> Provider:
    from omega.llm.anthropic_provider import AnthropicProvider

    if not argument:
        raise misconfigured(
            "`anthropic` names no model",
            "write anthropic:MODEL, such as anthropic:claude-haiku-4-5",
        )
    return AnthropicProvider(argument)


_BUILDERS: dict[str, Callable[[str, bool, ReadText | None], Provider]] = {
    "scripted": _scripted,
    "openai": _openai,
    "anthropic": _anthropic,
}
