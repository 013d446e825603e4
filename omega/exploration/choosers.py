"""Who decides in an explored run: a given schedule, dice, priorities, or one point after another.

Owns: `Follower` and what it does where the schedule says nothing; the strategies made of it.
Refuses: running programs (runs.py), the order in which schedules are tried (search.py).

Whatever decides, a run notes each decision that is not the usual one as a Deviation: following
these gives the same run again, without the dice.

Beyond `horizon` steps every chooser is fair and lets nothing more go wrong: what does not end then,
does not end because of the program.

Steps take no time before the horizon. Time passes when nothing is ready, and where a schedule says
so: what a timer meets is decided like everything else, not by how long a slice is.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from omega.concurrency import Task, VirtualDriver, invariants
from omega.concurrency.choices import SLICE_STEPS, Chooser
from omega.concurrency.listing import steps_of
from omega.errors import OmegaBug
from omega.exploration.schedule import CLOCK, START, Deviation, Schedule

FAIR_SLICE = 100
POINTS_MAX = 20_000  # that a run notes; what a longer one does behind them is only sampled
_TURN = "turn"  # go behind the others, by no decision

Place = tuple[str, str, int, int]  # kind, task, step, turn


class Follower(Chooser):
    """Follows `schedule`, and the usual order where that says nothing or what cannot be.

    taken: the deviations that had an effect, in order. points: how often there was a choice.
    breach: an invariant of the kernel that did not hold, looked at every so many slice ends.
    """

    def __init__(self, schedule: Schedule, horizon: int) -> None:
        self.horizon = horizon
        self.taken: list[Deviation] = []
        self.breach: str | None = None
        self._check_every = self._checks_in = 1
        self.points = 0
        self._preempts: dict[str, deque[tuple[int, str]]] = {}
        self._others: dict[Place, str] = {}
        for each in sorted(schedule, key=lambda each: each.step):
            if each.kind == "preempt":
                self._preempts.setdefault(each.task, deque()).append((each.step, each.choice))
            else:
                self._others[each[:4]] = each.choice
        self._ids: dict[Task, str] = {}
        self._turns: dict[tuple[str, str, int], int] = {}
        self._last: Task | None = None  # who was given the processor last
        self._since = 0  # steps it had taken then
        self._target: str | None = None  # who runs next, decided at a slice end

    # -- what strategies decide ----------------------------------------------------------------

    def steps_to_point(self, task: Task) -> int:
        """After how many steps of `task` `stop` is asked; at least 1."""
        planned = self._preempts.get(self.id_of(task))
        return max(1, planned[0][0] - task.steps) if planned else SLICE_STEPS

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        """At a slice end of `task`: who runs instead (an id or CLOCK); None lets it go on."""
        planned = self._preempts.get(self.id_of(task))
        choice = None
        while planned and planned[0][0] <= task.steps:
            choice = planned.popleft()[1]
        return choice

    def order(self, place: Place, ready: list[Task]) -> int:
        """Which of the ready tasks goes on, by index."""
        choice = self._others.get(place)
        return 0 if choice is None else max(0, self._index(choice, ready))

    def begin(self, place: Place, n: int) -> int:
        """With which of `n` branches a choice of events begins."""
        choice = self._others.get(place, "0")
        return int(choice) % n if choice.isdecimal() and choice.isascii() else 0

    def befall(self, place: Place, choices: Iterable[str]) -> str | None:
        """What befalls a call of a model, of `choices`; None: nothing."""
        choice = self._others.get(place)
        return choice if choice is not None and choice in choices else None

    # -- the kernel's questions ----------------------------------------------------------------

    def slice(self, task: Task) -> int:
        self._target = None  # nobody else was there to take its place
        if self.is_fair:
            return FAIR_SLICE
        left = SLICE_STEPS - (task.steps - self._since)
        return max(1, min(self.steps_to_point(task), left))

    def slice_ended(self, task: Task, ready: Iterable[Task]) -> None:
        self._target = None
        self._checks_in -= 1
        if not self._checks_in:
            self._checks_in = self._check_every
            self.check()
        if self.is_fair:
            self._target = _TURN
            return
        others = [each for each in ready if not each.is_done]
        when_us = self.next_event_us()
        if not others and when_us is None:
            return
        self.points += 1
        choice = self.stop(task, others)
        if choice is not None and (
            when_us is not None if choice == CLOCK else self._index(choice, others) >= 0
        ):
            self.note(("preempt", self.id_of(task), task.steps, 0), choice)
            if choice == CLOCK:
                assert when_us is not None
                self.kernel.driver.skip_to(when_us)
            self._target = choice
        elif task.steps - self._since >= SLICE_STEPS:
            self._target = _TURN

    def preempts(self, task: Task) -> bool:
        return self._target is not None

    def next(self, ready: list[Task]) -> int:
        target, self._target = self._target, None
        if target is not None:
            chosen = max(0, self._index(target, ready))
        elif len(ready) == 1 or self.is_fair:
            chosen = 0
        else:
            self.points += 1
            last = self._last
            place = self._place("next", last, 0 if last is None else last.steps)
            chosen = self.order(place, ready)
            if chosen:
                self.note(place, self.id_of(ready[chosen]))
        self._last = task = ready[chosen]
        self._since = task.steps
        return chosen

    def branch(self, task: Task, n: int) -> int:
        self.points += 1
        place = self._place("branch", task, steps_of(self.kernel, task))
        chosen = 0 if self.is_fair else self.begin(place, n)
        if chosen:
            self.note(place, str(chosen))
        return chosen

    def call_befalls(
        self, prompt: str, text: str, count: int, choices: Iterable[str]
    ) -> str | None:
        """What befalls the `count`-th call with a prompt of this hash, and this text."""
        self.points += 1
        place = ("llm", prompt, count, 0)
        choice = None if self.is_fair else self.befall(place, choices)
        if choice is not None:
            self.note(place, choice)
        return choice

    def check_every(self, slices: int, first: int) -> None:
        """Look at the invariants every so many slice ends only, at the first one after `first`."""
        self._check_every, self._checks_in = slices, 1 + first % slices

    def check(self) -> None:
        """Look at the kernel's invariants. Once one does not hold, the run ends."""
        if self.breach is None:
            self.breach = invariants.breach(self.kernel)
            if self.breach is not None:
                self.kernel.fuel_end = self.kernel.steps
                raise OmegaBug(self.breach)

    def forget(self) -> None:
        """The run is over: let go of all that it was made of."""
        self._ids.clear()
        self._last = None
        del self.kernel

    # -- helpers -------------------------------------------------------------------------------

    def next_event_us(self) -> int | None:
        """Where time can jump to."""
        timers = self.kernel.timers
        return timers.next_event_us() if timers.heap else None

    @property
    def is_fair(self) -> bool:
        return self.kernel.steps >= self.horizon

    def note(self, place: Place, choice: str) -> None:
        """A deviation has been decided."""
        self.taken.append(Deviation(*place, choice))

    def id_of(self, task: Task | None) -> str:
        if task is None:
            return START
        found = self._ids.get(task)
        if found is None:
            found = self._ids[task] = task.id
        return found

    def _place(self, kind: str, task: Task | None, step: int) -> Place:
        key = (kind, self.id_of(task), step)
        turn = self._turns[key] = self._turns.get(key, -1) + 1
        return (*key, turn)

    def _index(self, target: str, ready: list[Task]) -> int:
        for i, task in enumerate(ready):
            if self.id_of(task) == target:
                return i
        return -1


class StillDriver(VirtualDriver):
    """Virtual time in which steps take none before the horizon."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self._horizon = horizon

    def drive(self, done: Callable[[], bool]) -> None:
        while self._advance(done, closed=True):  # in a host's loop too: nothing waits for it
            pass

    def now_us(self) -> int:
        return self._offset_us + max(0, self.scheduler.steps_now() - self._horizon)


class Dice(Follower):
    """Stops tasks at random steps, and chooses at random. length: steps such runs take.

    Runs differ in how often they deviate: bugs that need one deviation are seldom found by runs of
    a hundred, and the other way round.
    """

    def __init__(self, seed: str, length: int, horizon: int) -> None:
        super().__init__((), horizon)
        rng = self.rng = random.Random(seed)
        if rng.random() < 0.5:  # so many stops, anywhere
            count = rng.choice((1, 1, 2, 2, 3, 4, 6))
            self._stops = sorted(rng.randrange(length + 1) for _ in range(count))
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

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        if self.kernel.steps < self._at:
            return None
        self._at = self._next_stop(self.kernel.steps)
        if not ready or (self.next_event_us() is not None and self.rng.random() < self._jump):
            return CLOCK if self._jump else None
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

    def __init__(self, seed: str, length: int, depth: int, horizon: int) -> None:
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
    """

    def __init__(self, schedule: Schedule, horizon: int) -> None:
        super().__init__(schedule, horizon)
        self._left = len(schedule)
        self.found: list[Point] = []

    def became_ready(self, task: Task) -> None:
        running = self.kernel.current
        if running is not None and len(self.found) < POINTS_MAX:
            self.kernel.cut_slice(running)  # from here on there is a choice at each step

    def steps_to_point(self, task: Task) -> int:
        may_choose = self.kernel.has_ready() or self.next_event_us() is not None
        if may_choose and len(self.found) < POINTS_MAX:
            return 1
        return super().steps_to_point(task)

    def stop(self, task: Task, ready: list[Task]) -> str | None:
        choice = super().stop(task, ready)
        if choice is None:
            choices = [self.id_of(each) for each in ready]
            if self.next_event_us() is not None:
                choices.append(CLOCK)
            self._found(("preempt", self.id_of(task), task.steps, 0), choices)
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
        if len(self.taken) == self._left and len(self.found) < POINTS_MAX:
            self.found.append(Point(place, tuple(choices)))
