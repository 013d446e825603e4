"""From the words of `--llm` to a provider. ONE table of the known ones.

Owns: the grammar `NAME[:ARGUMENT]`. Refuses: to read files itself when given a reader, and to
import a vendor's SDK.
"""

from __future__ import annotations

from collections.abc import Callable

from omega.llm.failures import misconfigured
from omega.llm.provider import Provider

ReadText = Callable[[str], str]

DEFAULT_SPEC = "scripted"
KNOWN = ("scripted", "scripted:RULES.json", "openai:MODEL")
_HINT = "known: " + ", ".join(KNOWN)


def provider_from_spec(spec: str, *, read_text: ReadText | None = None) -> Provider:
    """The provider that `spec` names, with its default model.

    spec: "scripted", "scripted:RULES.json", "openai:MODEL". read_text: path -> text, for the rules;
    open() when None. Raises LLMError (llm-configuration) for what is unknown or incomplete,
    LispFileError for an unreadable file.
    """
    if not isinstance(spec, str):
        raise misconfigured(f"an LLM specification is a string, got {type(spec).__name__}", _HINT)
    name, colon, argument = spec.strip().partition(":")
    build = _BUILDERS.get(name)
    if build is None:
        raise misconfigured(f"unknown LLM provider `{name}`", _HINT)
    return build(argument.strip(), bool(colon), read_text)


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
    raise misconfigured("the provider `anthropic` is not available yet", _HINT)


_BUILDERS: dict[str, Callable[[str, bool, ReadText | None], Provider]] = {
    "scripted": _scripted,
    "openai": _openai,
    "anthropic": _anthropic,
}
