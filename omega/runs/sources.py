"""Journals that a run which begins anew recalls, as its header names them.

Owns: `recall_of`; `recalls`, `recalls_next`: what a header says of them; where an entry of one is
found again.
Refuses: to keep what the journals hold in memory.

A header names one journal, and in it, as `before`, the one that its run was recalling when it was
left: what that run had not asked for yet is in no journal but that one. Of the two the nearer one
counts, where both tell of the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omega.concurrency.recalling import Recall
from omega.durable.records import RunRecord
from omega.durable.store import Store
from omega.runs.journal import JournalReader, fact_of

RECALLS = "recalls"  # in a header
ENTRIES_AHEAD = 8  # read at once


class JournalSource:
    """A Source (concurrency/recalling.py) in a store. named: as a header names it."""

    def __init__(self, store: Store, named: Mapping[str, Any]) -> None:
        self._store, self._run = store, named["run"]
        self._incarnation: int | None = named.get("incarnation")
        effect, outcome = named.get("instead", (0, None))
        self.instead: tuple[int, Any] = (effect, outcome)
        self._after: int | None = None  # the entry before its first
        self._ahead: dict[int, list[str]] = {}

    def entries(self) -> Iterator[list[list[Any]]]:
        for lines in self._store.journal(self._run, incarnation=self._incarnation):
            yield [fact_of(self._store, line) for line in lines]

    def entry(self, at: int) -> list[list[Any]]:
        if at not in self._ahead:
            if self._after is None:
                self._after = self._store.span(self._run, self._incarnation)[0]
            before = self._after + at
            self._ahead = dict(enumerate(self._journal(before, before + ENTRIES_AHEAD), at))
        return [fact_of(self._store, line) for line in self._ahead[at]]

    def _journal(self, after: int, until: int) -> Iterator[list[str]]:
        return self._store.journal(self._run, after, until, incarnation=self._incarnation)


def recall_of(store: Store, header: Mapping[str, Any], *, is_trial: bool = False) -> Recall | None:
    """What a run with this header is given again; None: it does not begin anew."""
    named = header.get(RECALLS)
    sources = []
    while named is not None:
        sources.append(JournalSource(store, named))
        named = named.get("before")
    return Recall(sources, is_trial=is_trial) if sources else None


def left_to_recall(store: Store, record: RunRecord) -> Recall | None:
    """What a run that began anew has not been given again yet, as far as its journal tells; None:
    nothing.
    """
    recall = recall_of(store, record.header)
    if recall is not None:
        recall.forget(JournalReader(store, record.id, incarnation=record.incarnation).facts())
    return None if recall is None or recall.is_used_up else recall


def recalls(store: Store, record: RunRecord) -> dict[str, Any]:
    """What the header of a run says that begins anew on what `record` has got."""
    before = record.header.get(RECALLS)
    if record.seq < record.first_seq and before is not None:
        return dict(before)  # it has got nothing but what it was to recall
    named = {"run": record.id, "incarnation": record.incarnation}
    if left_to_recall(store, record) is None:
        return named
    return {**named, "before": before}


def recalls_next(store: Store, header: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the header of the next incarnation says, of a run with this header that has come to its
    `continue-as`: where it recalls another run that has come so far, too, what that got behind its
    own is recalled then. None: nothing.
    """
    named = header.get(RECALLS)
    while named is not None:
        last = store.run(named["run"])
        for incarnation in range(named["incarnation"] + 1, last.incarnation + 1):
            record = store.run(last.id, incarnation=incarnation)
            if record.header.get(RECALLS, {}).get("run") != last.id:  # else its program was changed
                return recalls(store, record)
        named = named.get("before")
    return None
