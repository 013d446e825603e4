"""How two runs differ: what each has asked of the outside, and got.

Owns: `differences`. Refuses: to say why.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from omega.durable.store import Store
from omega.runs.journal import JournalReader
from omega.runs.signals import SOMEBODY, received, senders


@dataclass(frozen=True)
class Made:
    """An effect of a run: what was asked, a hash of it, and what came (as a journal keeps it);
    outcome: None when it has not ended; of a wait for a signal the value alone. who: has sent it.
    """

    asked: str
    hash: str
    outcome: Any
    who: str | None = field(default=None, compare=False)


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
    found: dict[tuple[str, str, int], list[Made]] = {}
    open_ones: dict[int, tuple[list[Made], int, str]] = {}  # where an effect's end is to be told
    who = senders(store, run)
    last = 0  # the number of the function of the host that was asked last: it ends before others
    for fact in JournalReader(store, run).facts():
        kind, number = fact[0], 0
        if kind == "call" and len(fact) > 3:
            _, number, label, task, n, text, hash_ = fact
        elif kind == "asked":
            _, number, task, n, label, text, hash_ = fact
            last = number
        elif kind in ("ended", "effect"):
            ended = fact[4] if kind == "ended" else last
            attempts, index, label = open_ones.pop(ended, ([], 0, ""))
            message, sender, outcome = received(label, fact[6]), None, fact[6]
            if message is not None:
                outcome, sender = ["ok", message[1]], who.get(message[0], SOMEBODY)
            if attempts:
                attempts[index] = replace(attempts[index], outcome=outcome, who=sender)
        if number:
            attempts = found.setdefault((label, task, n), [])
            open_ones[number] = attempts, len(attempts), label
            attempts.append(Made(text, hash_, None))
    return found
