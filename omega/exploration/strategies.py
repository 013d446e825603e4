"""How schedules are found: dice, priorities, or one point after another.

Owns: the choosers of a search. Refuses: how often and in which order they run (search.py).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from omega.concurrency import Task
from omega.concurrency.choices import SLICE_STEPS
from omega.exploration.choosers import Follower, Horizon, Place
from omega.exploration.schedule import CLOCK, Schedule

POINTS_MAX = 20_000  # that a run notes; what a longer one does behind them is only sampled
SEED = 0  # of chance in the program: every run has the same
STOPS = (1, 1, 2, 2, 3, 4, 6)  # how many of them a run has that stops tasks so many times
PLACED = 0.75  # of them, where they change something unless another one has before


def dice_of_runs() -> random.Random:
    """What chance in a program that is run comes from; `seed(SEED)` makes it as new."""
    return random.Random(SEED)


class Dice(Follower):
    """Stops tasks at random steps, and chooses at random. length: steps such runs take. places:
    steps at which a stop changes something, in the usual order.

    Runs differ in how often they deviate: bugs that need one deviation are seldom found by runs of
    a hundred, and the other way round.
    """

    def __init__(
        self, seed: str, length: int, horizon: Horizon, places: Sequence[int] = ()
    ) -> None:
        super().__init__((), horizon)
        rng = self.rng = random.Random(seed)
        if rng.random() < 0.5:  # so many stops, where they may change something or anywhere
            self._stops = sorted(
                rng.choice(places)
                if places and rng.random() < PLACED
                else rng.randrange(length + 1)
                for _ in range(rng.choice(STOPS))
            )
            self._gap = 0.0
        else:  # again and again
            self._stops = []
            self._gap = rng.choice((1.0, 3.0, 10.0, 30.0, 100.0))
        self._reorder = rng.choice((0.0, 0.1, 0.5, 1.0))
        self._jump = rng.choice((0.0, 0.0, 0.1, 0.3))
        self._trouble = rng.choice((0.0, 0.1, 0.3))
        self._at = self._next_stop(0)

    def steps_to_point(self, task: Task) -> int:
        return max(1, self._at - self.kernel.steps)

    def is_point(self, task: Task) -> bool:
        return self.kernel.steps >= self._at

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        self._at = self._next_stop(self.kernel.steps)
        if not ready:
            return CLOCK if self._jump or not self._gap else None
        if self.next_event_us() is not None and self.rng.random() < self._jump:
            return CLOCK
        return self.id_of(self.rng.choice(ready))

    def order(self, place: Place, ready: list[Task]) -> int:
        return self.rng.randrange(len(ready)) if self.rng.random() < self._reorder else 0

    def begin(self, place: Place, n: int) -> int:
        return self.rng.randrange(n) if self.rng.random() < self._reorder else 0

    def befall(self, place: Place, choices: Iterable[str]) -> str | None:
        return self.rng.choice(list(choices)) if self.rng.random() < self._trouble else None

    def _next_stop(self, now: int) -> int:
        if self._gap:
            return now + 1 + int(self.rng.expovariate(1 / self._gap))
        return self._stops.pop(0) if self._stops else 1 << 60


class Priorities(Follower):
    """Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): tasks have random
    priorities, the highest runs; at depth - 1 random steps the running one falls behind all others.
    It finds a bug of that depth, in a run of `length` steps of n tasks, with a probability of at
    least 1 / (n * length ** (depth - 1)). One that yields falls behind all others, too: it may wait
    for them that way.
    """

    def __init__(self, seed: str, length: int, depth: int, horizon: Horizon) -> None:
        super().__init__((), horizon)
        rng = self.rng = random.Random(seed)
        self._changes = deque(sorted(rng.randrange(length + 1) for _ in range(depth - 1)))
        self._jump = rng.choice((0.0, 0.0, 0.5))
        self._trouble = rng.choice((0.0, 0.1, 0.3))
        self._ranks: dict[Task, float] = {}
        self._fallen = 0

    def became_ready(self, task: Task) -> None:
        running = self.kernel.current
        if running is not None and self._rank(task) > self._rank(running) and not self.is_fair:
            self.kernel.cut_slice(running)

    def steps_to_point(self, task: Task) -> int:
        return max(1, self._changes[0] - self.kernel.steps) if self._changes else SLICE_STEPS

    def is_point(self, task: Task) -> bool:
        return True

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        while self._changes and self._changes[0] <= self.kernel.steps:
            self._changes.popleft()
            self._fall(task)
            if self.rng.random() < self._jump:
                return CLOCK
        best = max(ready, key=self._rank, default=None)
        if best is None or self._rank(best) <= self._rank(task):
            return None
        return self.id_of(best)

    def order(self, place: Place, ready: list[Task]) -> int:
        if self._last in ready:
            self._fall(self._last)
        return max(range(len(ready)), key=lambda i: self._rank(ready[i]))

    def begin(self, place: Place, n: int) -> int:
        return self.rng.randrange(n)

    def befall(self, place: Place, choices: Iterable[str]) -> str | None:
        return self.rng.choice(list(choices)) if self.rng.random() < self._trouble else None

    def _fall(self, task: Task) -> None:
        self._fallen += 1
        self._ranks[task] = -self._fallen

    def _rank(self, task: Task) -> float:
        rank = self._ranks.get(task)
        if rank is None:
            rank = self._ranks[task] = self.rng.random()
        return rank


class Point(NamedTuple):
    """A place behind the last deviation of a schedule, and what else could have been done there."""

    place: Place
    choices: tuple[str, ...]


class Prober(Follower):
    """Follows `schedule` and notes every point behind its last deviation; there is one at each
    step.

    places: the steps of the run at which tasks could be stopped. is_whole: no points were left out.
    """

    def __init__(self, schedule: Schedule, horizon: Horizon) -> None:
        super().__init__(schedule, horizon)
        self._left = len(schedule)
        self.found: list[Point] = []
        self.places: list[int] = []
        self.is_whole = True
        self._met: set[tuple[Place, str]] = set()

    def became_ready(self, task: Task) -> None:
        running = self.kernel.current
        if running is not None and len(self.found) < POINTS_MAX and not self.is_fair:
            self.kernel.cut_slice(running)  # from here on there is a choice at each step

    def steps_to_point(self, task: Task) -> int:
        if self.kernel.has_ready() or self.next_event_us() is not None:
            if len(self.found) < POINTS_MAX:
                return 1
            self.is_whole = False
        return super().steps_to_point(task)

    def is_point(self, task: Task) -> bool:
        return True

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        choice = super().stop(task, ready)
        if choice is None:
            choices = [self.id_of(each) for each in ready]
            if self.next_event_us() is not None:
                choices.append(CLOCK)
            if len(self.places) < POINTS_MAX:
                self.places.append(self.kernel.steps)
            self._found(self.moment(task), choices)
        return choice

    def order(self, place: Place, ready: list[Task]) -> int:
        chosen = super().order(place, ready)
        if not chosen:
            self._found(place, [self.id_of(each) for each in ready[1:]])
        return chosen

    def begin(self, place: Place, n: int) -> int:
        chosen = super().begin(place, n)
        if not chosen:
            self._found(place, [str(i) for i in range(1, n)])
        return chosen

    def befall(self, place: Place, choices: Iterable[str]) -> str | None:
        choice = super().befall(place, choices)
        if choice is None:
            self._found(place, choices)
        return choice

    def _found(self, place: Place, choices: Iterable[str]) -> None:
        """A place may come again, with a task that has taken no step meanwhile: to decide there
        means to decide where it came first.
        """
        new = [choice for choice in choices if (place, choice) not in self._met]
        self._met.update((place, choice) for choice in new)
        if len(self.found) >= POINTS_MAX:
            self.is_whole = False
        elif new and len(self.taken) == self._left:
            self.found.append(Point(place, tuple(new)))

    def forget(self) -> None:
        super().forget()
        self._met.clear()
