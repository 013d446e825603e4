"""How two runs differ: what each has asked of the outside, and got.

Owns: `differences`. Refuses: to say why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omega.durable.store import Store
from omega.runs.journal import JournalReader


@dataclass(frozen=True)
class Made:
    """An effect of a run: what was asked, a hash of it, and what came (as a journal keeps it);
    outcome: None when it has not ended.
    """

    asked: str
    hash: str
    outcome: Any


@dataclass(frozen=True)
class Difference:
    """Of one effect. first, second: what each run made of it; None: nothing."""

    kind: str
    task: str
    n: int
    first: Made | None
    second: Made | None

    @property
    def is_asked_otherwise(self) -> bool:
        first, second = self.first, self.second
        return first is not None and second is not None and first.hash != second.hash


def differences(store: Store, first: str, second: str) -> list[Difference]:
    """In the order in which the effects were asked for."""
    ours, theirs = _made(store, first), _made(store, second)
    found = []
    for key in {**ours, **theirs}:
        one, other = ours.get(key, []), theirs.get(key, [])
        for index in range(max(len(one), len(other))):
            a = one[index] if index < len(one) else None
            b = other[index] if index < len(other) else None
            if a != b:
                found.append(Difference(*key, a, b))
    return found


def _made(store: Store, run: str) -> dict[tuple[str, str, int], list[Made]]:
    """By kind, task and number: each attempt."""
    asked: dict[int, tuple[tuple[str, str, int], int]] = {}
    found: dict[tuple[str, str, int], list[Made]] = {}
    for key, made, number in _effects(store, run):
        found.setdefault(key, []).append(made)
        asked[number] = key, len(found[key]) - 1
    for number, outcome in _ends(store, run):
        if number in asked:
            key, index = asked[number]
            found[key][index] = Made(found[key][index].asked, found[key][index].hash, outcome)
    return found


def _effects(store: Store, run: str) -> Iterator[tuple[tuple[str, str, int], Made, int]]:
    for fact in JournalReader(store, run).facts():
        if fact[0] == "call" and len(fact) > 3:
            _, number, kind, task, n, text, hash_ = fact
            yield (kind, task, n), Made(text, hash_, None), number
        elif fact[0] == "asked":
            _, number, task, n, kind, text, hash_ = fact
            yield (kind, task, n), Made(text, hash_, None), number


def _ends(store: Store, run: str) -> Iterator[tuple[int, Any]]:
    number = 0
    for fact in JournalReader(store, run).facts():
        if fact[0] == "ended":
            yield fact[4], fact[6]
        elif fact[0] == "asked":
            number = fact[1]
        elif fact[0] == "effect" and number:
            yield number, fact[6]
            number = 0
