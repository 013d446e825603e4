"""Making a failing schedule small: the fewest deviations that still fail the same way.

Owns: `shrunk`. Refuses: running.
Source: delta debugging (Zeller and Hildebrandt, 2002); then what it cannot take out: pairs that
only make sense together, and ways round (from 1 to 2 and from there to 3, instead of from 1 to 3).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from omega.concurrency.clock import now_us, to_us
from omega.exploration.runs import Outcome
from omega.exploration.schedule import CLOCK, START, Schedule

TRIES_MAX = 2_000
SECONDS_MAX = 20.0
PAIRS_OF_MAX = 12  # deviations of which all pairs are tried
WAYS_OF_MAX = 8
_WHO = ("preempt", "next")  # deviations that choose a task

Try = Callable[[Schedule], tuple[Schedule, Outcome]]


class _Shrinking:
    def __init__(self, found: Schedule, result: Outcome, attempt: Try) -> None:
        assert result.failure is not None
        self.kind, self.attempt = result.kind, attempt
        self.best, self.error = found, result.failure
        self.tries = 0
        self.until_us = now_us() + to_us(SECONDS_MAX)
        self.seen: set[Schedule] = {found}
        who = {each.task for each in found} | {each.choice for each in found if each.kind in _WHO}
        self.who = sorted(who - {START, CLOCK})

    def fails(self, schedule: Schedule) -> bool:
        """Whether this schedule fails the same way, and is simpler than the best so far."""
        if schedule in self.seen or self.tries >= TRIES_MAX or now_us() >= self.until_us:
            return False
        self.seen.add(schedule)
        self.tries += 1
        taken, result = self.attempt(schedule)
        if result.kind != self.kind or result.failure is None or _size(taken) >= _size(self.best):
            return False
        self.best, self.error = taken, result.failure
        return True

    def chunks(self) -> None:
        """Without each half, each quarter, ... each single deviation, as long as that helps."""
        if self.best and self.fails(()):
            return
        size = max(1, len(self.best) // 2)
        while self.best and self.tries < TRIES_MAX and now_us() < self.until_us:
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
                if other in out or best[other].kind not in _WHO:
                    continue
                for choice in self.who:
                    there = best[other]._replace(choice=choice)
                    rest = (there if i == other else best[i] for i in where if i not in out)
                    if self.fails(tuple(rest)):
                        return True
        return False


def _size(schedule: Schedule) -> tuple[int, int]:
    """Fewer deviations are simpler, then those that lead to fewer parents: what one does there is
    mostly to wait.
    """
    return len(schedule), sum(each.task.startswith(f"{each.choice}.") for each in schedule)


def shrunk(found: Schedule, result: Outcome, attempt: Try) -> tuple[Schedule, BaseException]:
    """(a small schedule that fails as `result` did, what it fails with). `attempt` runs a schedule,
    and tells what of it had an effect.
    """
    work = _Shrinking(found, result, attempt)
    work.chunks()
    while work.pairs() or work.ways_round():
        work.chunks()
    return work.best, work.error
