"""What a store takes and gives: plain values, the same for every backend.

Owns: `NewRun`, `RunRecord`, `Lease`, `Batch`, `Intent`, `Result`, `Change`, `Signal`, `Totals`.
Refuses: behaviour; the rules are the store's.

What is made with every write is a named tuple: a frozen dataclass takes four times as long.

Times are whole microseconds since 1970 (UTC), money is whole pico-dollars, as everywhere in Omega.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

NO_BLOBS: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has cost so far: paid effects made, tokens, pico-dollars."""

    effects: int = 0
    tokens: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is to be created. header: what it was started with (JSON data): settings,
    arguments, versions, the names and hashes of its texts. blobs: content by hash that it refers
    to. parent, parent_seq: the run whose journal it shares up to that entry.
    """

    id: str
    name: str
    header: Mapping[str, Any]
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    parent: str | None = None
    parent_seq: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the store has it now. seq: of the last entry of its journal. waits_for: names of
    signals. wake_at_us: when it is to go on by itself. outcome: JSON data, once it has ended.
    reserved: what its open effects may cost at most.
    """

    id: str
    name: str
    state: str
    reason: str | None
    header: Mapping[str, Any]
    parent: str | None
    parent_seq: int
    incarnation: int
    first_seq: int  # the first entry of this incarnation
    seq: int
    epoch: int
    owner: str | None
    lease_until_us: int | None
    wake_at_us: int | None
    waits_for: tuple[str, ...]
    outcome: Any
    totals: Totals
    reserved: int
    created_us: int
    updated_us: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a run, until it passes or somebody else takes it over."""

    run: str
    owner: str
    epoch: int
    generation: str  # of the store, when it was given
    until_us: int


class Intent(NamedTuple):
    """An effect that is about to be made. identity: path of the task and the number of its effect
    there. number: of the call within the run. hash: of what is asked; asked: the same for people.
    reserved: what it may cost at most.
    """

    number: int
    task: str
    n: int
    kind: str
    effect_class: str  # "idempotent", "paid", "transactional"
    hash: str
    asked: str
    reserved: int = 0


class Result(NamedTuple):
    """How the effect of that intent ended. outcome: "ok", "error", or "unknown" once its outcome
    has been settled as one that nobody knows. tokens, cost: what it did cost.
    """

    number: int
    outcome: str
    tokens: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A run goes from its state to another one. wake_at_us, waits_for: of one that is suspended.
    outcome: JSON data of one that has ended.
    """

    state: str
    reason: str | None = None
    wake_at_us: int | None = None
    waits_for: Sequence[str] = ()
    outcome: Any = None


class Batch(NamedTuple):
    """What is written at once, or not at all. facts: lines of the journal, one entry together.
    taken: ids of signals that the run has received. continues_with: the header of the next
    incarnation, whose journal begins behind this entry; the run has no open effects then.
    """

    facts: Sequence[str] = ()
    intents: Sequence[Intent] = ()
    results: Sequence[Result] = ()
    blobs: Mapping[str, bytes] = NO_BLOBS
    taken: Sequence[int] = ()
    change: Change | None = None
    continues_with: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A message for a run. key: who sends it twice sends it once. who: as the sender says."""

    id: int
    run: str
    name: str
    value: Any  # JSON data
    key: str
    who: str
    at_us: int
    taken_seq: int | None
