"""What a fork of a run asks a model, instead of what its program asks.

Owns: `Prompts`: which calls those are, kept in the header of a run; `with_prompt`.
Refuses: to change anything but the text of the user's last turn.

The request is replaced where the program asks, before anything follows from it: the journal, the
budget and the provider know the new one only, and a replay replaces it in the same place. Another
program may ask something else there; then nothing is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omega.durable.records import Intent
from omega.llm.request import LLMRequest
from omega.tape.values import prompt_asked

OVERRIDES = "overrides"  # in the header of a run


class Prompts:
    """kept: of the header: task, n, was (the prompt as `prompt_asked` has it) and prompt."""

    def __init__(self, kept: Sequence[Mapping[str, Any]]) -> None:
        self._kept = {(each["task"], each["n"]): each for each in kept}

    def replaced(self, identity: tuple[str, int], request: LLMRequest) -> LLMRequest:
        """What is asked where the program asks `request`."""
        kept = self._kept.get(identity)
        if kept is None or kept["was"] != prompt_asked(repr(request)):
            return request
        return with_prompt(request, kept["prompt"])


def with_prompts(header: Mapping[str, Any], intent: Intent, prompt: str) -> dict[str, Any]:
    """The header of a fork that asks `prompt` where its parent, with `header`, made `intent`."""
    kept = {(each["task"], each["n"]): each for each in header.get(OVERRIDES, ())}
    place = (intent.task, intent.n)
    # What the parent asked there may be another prompt than the program's already.
    was = kept[place]["was"] if place in kept else prompt_asked(intent.asked)
    kept[place] = {"task": intent.task, "n": intent.n, "was": was, "prompt": prompt}
    return {**header, OVERRIDES: list(kept.values())}


def with_prompt(request: LLMRequest, prompt: str) -> LLMRequest:
    """The same request with another prompt: the text of the user's last turn. Images in it stay."""
    at = [i for i, turn in enumerate(request.messages) if turn["role"] == "user"]
    if request.prompt or not at:
        return request.replaced(prompt=prompt)
    turns = list(request.messages)
    turn = turns[at[-1]]
    turns[at[-1]] = {**turn, "content": _with_text(turn["content"], prompt)}
    return request.replaced(messages=turns)


def _with_text(content: Any, text: str) -> Any:
    if isinstance(content, str):
        return text
    return [*(part for part in content if part["type"] != "text"), {"type": "text", "text": text}]
