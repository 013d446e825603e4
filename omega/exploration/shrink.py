"""Making a failing schedule small: the fewest deviations that still fail the same way.

Owns: `shrink`. Refuses: running.
Source: delta debugging (Zeller and Hildebrandt, 2002); then what it cannot take out: pairs that
only make sense together, and ways round (from 1 to 2 and from there to 3, instead of from 1 to 3).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from omega.concurrency.clock import now_us, to_us
from omega.exploration.runs import Outcome
from omega.exploration.schedule import CALLS, CLOCK, START, Deviation, Schedule

TRIES_MAX = 2_000
SECONDS_MAX = 20.0
PAIRS_OF_MAX = 12  # deviations of which all pairs are tried
WAYS_OF_MAX = 8
_WHO = ("preempt", "next")  # deviations that choose a task

Try = Callable[[Schedule], tuple[Schedule, Outcome]]
Better = Callable[[Schedule, BaseException], None]


class _Shrinking:
    def __init__(self, found: Schedule, result: Outcome, attempt: Try, better: Better) -> None:
        self.kind, self.attempt, self.better = result.kind, attempt, better
        self.best = found
        self.tries = 0
        self.until_us = now_us() + to_us(SECONDS_MAX)
        self.seen: set[Schedule] = {found}
        who = {each.task for each in found} | {each.choice for each in found if each.kind in _WHO}
        self.who = sorted(who - {START, CLOCK})

    @property
    def is_over(self) -> bool:
        return self.tries >= TRIES_MAX or now_us() >= self.until_us

    def fails(self, schedule: Schedule) -> bool:
        """Whether this schedule fails the same way, and is simpler than the best so far."""
        if schedule in self.seen or self.is_over:
            return False
        self.seen.add(schedule)
        self.tries += 1
        taken, result = self.attempt(schedule)
        if result.kind != self.kind or result.failure is None or _size(taken) >= _size(self.best):
            return False
        self.best = taken
        self.better(taken, result.failure)
        return True

    def chunks(self) -> None:
        """Without each half, each quarter, ... each single deviation, as long as that helps."""
        if self.best and self.fails(()):
            return
        size = max(1, len(self.best) // 2)
        while self.best and not self.is_over:
            at = 0
            helped = False
            while at < len(self.best):
                if self.fails(self.best[:at] + self.best[at + size :]):
                    helped = True
                else:
                    at += size
            if size > 1:
                size = max(1, size // 2)
            elif not helped:
                return

    def pairs(self) -> bool:
        """Without two that only make sense together."""
        if not 2 < len(self.best) <= PAIRS_OF_MAX:
            return False
        return any(
            self.fails(tuple(each for i, each in enumerate(self.best) if i not in pair))
            for pair in list(combinations(range(len(self.best)), 2))
        )

    def ways_round(self) -> bool:
        """With another that leads elsewhere, without one or two."""
        if not 1 < len(self.best) <= WAYS_OF_MAX:
            return False
        best = self.best
        where = range(len(best))
        for out in [(), *combinations(where, 1), *combinations(where, 2)]:
            for other in where:
                if other in out:
                    continue
                for there in self.instead_of(best[other]):
                    rest = (there if i == other else best[i] for i in where if i not in out)
                    if self.fails(tuple(rest)):
                        return True
        return False

    def instead_of(self, one: Deviation) -> list[Deviation]:
        """What might lead there without another one: another task; the first call like it."""
        if one.kind in _WHO:
            return [one._replace(choice=choice) for choice in self.who]
        return [one._replace(step=1)] if one.kind in CALLS and one.step > 1 else []


def _size(schedule: Schedule) -> tuple[int, int]:
    """Fewer deviations are simpler, then those that lead to fewer parents: what one does there is
    mostly to wait.
    """
    return len(schedule), sum(each.task.startswith(f"{each.choice}.") for each in schedule)


def shrink(found: Schedule, result: Outcome, attempt: Try, better: Better) -> None:
    """Make `found`, under which a run ended with `result`, small. attempt: runs a schedule, and
    tells what of it had an effect. better: called with a smaller one that fails the same way, and
    what it fails with; the last is the smallest.
    """
    work = _Shrinking(found, result, attempt, better)
    work.chunks()
    while work.pairs() or work.ways_round():
        work.chunks()
