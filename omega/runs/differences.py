"""How two runs differ: what each has asked of the outside, and got.

Owns: `differences`; which incarnation of one run stands beside which of another. Refuses: to say
why they differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from omega.durable.store import Store
from omega.runs.journal import JournalReader
from omega.runs.signals import SOMEBODY, received, senders
from omega.runs.sources import RECALLS


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
    """Of one effect. first, second: what each run made of it; None: nothing. incarnations: of the
    first run and of the second; None: it has not come so far.
    """

    kind: str
    task: str
    n: int
    first: Made | None
    second: Made | None
    incarnations: tuple[int | None, int | None] = (1, 1)

    @property
    def is_asked_otherwise(self) -> bool:
        first, second = self.first, self.second
        return first is not None and second is not None and first.hash != second.hash


def differences(store: Store, first: str, second: str) -> list[Difference]:
    """In the order in which the effects were asked for; of what both have in their stages."""
    ours, theirs = stages(store, first), stages(store, second)
    begin = max(min(ours), min(theirs))
    found = []
    for stage in range(begin, max(*ours, *theirs) + 1):
        beside = ours.get(stage), theirs.get(stage)
        one, other = _made(store, first, beside[0]), _made(store, second, beside[1])
        for key in {**one, **other}:
            for a, b in zip_longest(one.get(key, ()), other.get(key, ())):
                if a != b:
                    found.append(Difference(*key, a, b, beside))
    return found


def stages(store: Store, run: str) -> dict[int, int]:
    """Incarnations of a run, by how often `continue-as` had led on before them: of those that a
    change of program has made of one another only the last, which has what the others got. A fork
    begins with the stage that it was forked in.
    """
    last, begin = store.run(run).incarnation, 0
    found: dict[int, int] = {}
    for incarnation in range(1, last + 1):
        named = store.run(run, incarnation=incarnation).header.get(RECALLS, {})
        if not found and named:
            above = stages(store, named["run"])
            begin = min(s for s, i in above.items() if i >= named["incarnation"])
        stage = begin + len(found)
        is_changed = bool(found) and named.get("run") == run
        found[stage - is_changed] = incarnation
    return found


def _made(
    store: Store, run: str, incarnation: int | None
) -> dict[tuple[str, str, int], list[Made]]:
    """By kind, task and number: each attempt."""
    if incarnation is None:
        return {}
    found: dict[tuple[str, str, int], list[Made]] = {}
    open_ones: dict[int, tuple[list[Made], int, str]] = {}  # where an effect's end is to be told
    who = senders(store, run)
    last = 0  # the number of the function of the host that was asked last: it ends before others
    for fact in JournalReader(store, run, incarnation=incarnation).facts():
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
