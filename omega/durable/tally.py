"""What the effects of a run have come to: the figures that stand with each entry of its journal.

Owns: `Tally`: how an entry's intents and results change it, and which of them cannot be. Refuses:
SQL, and to know where it is kept.

Each entry tells the sums up to itself, so the last one tells those of the run. Nothing that is
asked for at every look at a store has to be added up, and no second row has to be written with each
entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from omega.durable.records import Batch, Intent, Result
from omega.errors import OmegaBug

NONE = -1  # effects are numbered from 0, or from 1

# An effect under way: whether it is paid for, and what this run has reserved for it.
Opened = tuple[bool, int]


@dataclass(slots=True)
class Tally:
    """effects, tokens, cost: of paid effects that have ended. reserved: by those under way. begun:
    the highest number of an effect so far, NONE before the first. open: those under way, by number.
    """

    effects: int = 0
    tokens: int = 0
    cost: int = 0
    reserved: int = 0
    begun: int = NONE
    open: dict[int, Opened] = field(default_factory=dict)

    def kept(self) -> tuple[int, ...]:
        """As it stands with an entry."""
        return (
            *(self.effects, self.tokens, self.cost, self.reserved),
            *(self.begun, len(self.open)),
        )

    def add(self, run: str, batch: Batch, has_begun: Callable[[int], bool]) -> None:
        """What an entry's effects change. has_begun(number): whether an effect with a number that
        is not above all others has begun already. Raises OmegaBug, and is worth nothing then.
        """
        if batch.intents:
            self._begin(run, batch.intents, has_begun)
        if batch.results:
            self._end(run, batch.results)

    def _begin(self, run: str, intents: Sequence[Intent], has_begun: Callable[[int], bool]) -> None:
        for intent in intents:
            number = intent.number
            if number > self.begun:
                self.begun = number
            elif number in self.open or has_begun(number):
                raise OmegaBug(f"run {run}: there is an effect {number} already")
            self.open[number] = (intent.effect_class == "paid", intent.reserved)
            self.reserved += intent.reserved

    def _end(self, run: str, results: Sequence[Result]) -> None:
        for result in results:
            opened = self.open.pop(result.number, None)
            if opened is None:
                raise OmegaBug(
                    f"run {run}: there is no open effect {result.number} to have a result"
                )
            is_paid, reserved = opened
            self.effects += is_paid
            self.reserved -= reserved
            self.tokens += result.tokens
            self.cost += result.cost
