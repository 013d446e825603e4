"""What durable runs did, in words.

Owns: the words for effects and for facts of a journal. Refuses: to read a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omega.durable.records import Intent
from omega.lisp.printer import shorten
from omega.llm.request import LLMReply
from omega.tape.facts import FactReader
from omega.tape.values import decode, in_words, model_asked

VALUE_CHARS = 120
ENTRY_KINDS = ("effect", "ended", "part")


def shown(intent: Intent) -> str:
    """An effect."""
    asked = in_words(intent.asked)
    return f"{intent.kind} of task {intent.task}" + (f": {asked}" if asked else "")


def asked_model(intent: Intent | None, settings: Mapping[str, Any]) -> str | None:
    """The model that an effect asks, or the one that is asked when none is named; None: none.
    settings: of the run.
    """
    if intent is not None:
        if not intent.asked.startswith("LLMRequest("):
            return None
        named = model_asked(intent.asked)
        if named is not None:
            return named
    models = settings.get("models")
    if models is None:
        return None
    name, _, model, *_ = models["providers"][0]
    return str(models.get("default") or model or name)


def words(fact: list[Any]) -> str:
    """A fact of a journal."""
    kind = fact[0]
    if kind == "call":
        return f"call {fact[1]}: {FactReader.shown(fact)}"
    if kind == "asked":
        return f"call {fact[1]}, about to be made: {FactReader.shown(fact)}"
    if kind == "clock":
        return (
            "a reading of the clock" if len(fact) == 2 else f"{len(fact) - 1} readings of the clock"
        )
    if kind == "file":
        return fact[1] if isinstance(fact[1], str) else "a file of the program"
    if kind == "slow":
        return f"a slice that took {fact[5] / 1000:.1f} ms"
    if kind == "end":
        return f"the end, exit code {fact[4]}"
    if kind == "again":
        return f"call {fact[4]} is made again, in turn {fact[1]}"
    return FactReader.shown(fact)


def came(fact: list[Any]) -> str:
    """What came of an effect, behind its words; "" of other facts."""
    if fact[0] not in ENTRY_KINDS:
        return ""
    how, content = fact[6]
    if how == "error":
        return f": error: {content.get('message')}"
    if how == "unwritable":
        return f": {content}"
    value = decode(content)
    if isinstance(value, LLMReply):
        value = value.text
    return f": {shorten(value, VALUE_CHARS)}"
