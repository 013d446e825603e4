"""Exploring: run after run until one fails, and then the least that makes it fail.

Owns: `explore`, its strategies and their order, `Exploration` and `Failure`.
Refuses: what a run is (runs.py), what is decided in it (choosers.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from omega.concurrency.clock import now_us
from omega.errors import HostError, LimitExceeded
from omega.exploration.allowance import Allowance
from omega.exploration.choosers import Follower, Horizon
from omega.exploration.runs import Outcome, ResultDiffers, Run
from omega.exploration.schedule import Deviation, Schedule, text_of
from omega.exploration.shrink import shrink
from omega.exploration.strategies import Dice, Point, Priorities, Prober

RUNS = 1_000
DEPTH_MAX = 6  # of bugs that priorities look for
# The horizon of the first run, and of others: so many times what that one takes, within bounds.
# (Years: a program may sleep for as long as it likes.)
FIRST = Horizon(5_000_000, 500_000, 10 * 365 * 86_400 * 1_000_000, 500)
LEAST = Horizon(2_000, 500, 3_600 * 1_000_000, 100)
HORIZON_TIMES = 5
# In runs that search, invariants of the kernel are looked at every so many slice ends, in another
# run at others, and when it is over; in runs that make a failure smaller at each.
CHECK_EVERY = 16
DEVIATIONS_MAX = 2  # in a systematic search, unless asked for more
POINTS_KEPT_MAX = 200_000  # of runs that have been: those of others are found again when needed
# Of the last so many runs chosen by chance, so many were none but repeated others: there are few.
REPEATS_OF, REPEATS = 50, 40

Strategy = Literal["mixed", "random", "pct", "systematic"]
STRATEGIES: tuple[Strategy, ...] = ("mixed", "random", "pct", "systematic")
Show = Callable[[object], str]


@dataclass(slots=True)
class Failure:
    """A schedule under which a run fails: as few deviations as could be.

    error: what it fails with. found: the schedule it was found with. number: of that run, from 1.
    """

    schedule: Schedule
    error: BaseException
    found: Schedule
    number: int

    def __str__(self) -> str:
        return text_of(self.schedule)


@dataclass(slots=True)
class Exploration:
    """What came of it. runs: those that searched; schedules: how many different ones they had; all:
    runs that made a failure smaller, too. complete: there is no more to try; deviations: within
    this bound, if there is one. is_over: it was ended by the time it had.
    """

    seed: int
    runs: int = 0
    schedules: int = 0
    all: int = 0
    steps: int = 0
    horizon: Horizon = FIRST
    seconds: float = 0.0
    complete: bool = False
    deviations: int | None = None
    is_over: bool = False
    failure: Failure | None = field(default=None)


Look = Callable[[Exploration], None]


def explore(
    run: Run,
    *,
    runs: int = RUNS,
    seed: int = 0,
    strategy: Strategy = "mixed",
    deviations: int = DEVIATIONS_MAX,
    horizon: int | None = None,
    same_result: Show | None = None,
    look: Look | None = None,
    allowance: Allowance | None = None,
) -> Exploration:
    """Try up to `runs` schedules of `run`, the usual order first, and stop at the first that fails.

    strategy: "random" stops tasks anywhere, "pct" gives them priorities; "systematic" tries every
    schedule with one deviation, then with two, up to `deviations`; "mixed" tries those with one,
    unless they are many, then random stops and priorities in turn, and where these repeat
    themselves all schedules there are, those with the fewest deviations first.
    horizon: steps after which a run is healed, and must end; None: many times what the first run
    takes. same_result: the value of a run, as this writes it, must be that of the first. look:
    called after every run, with what is known then; may raise. allowance: of time, for all.
    """
    if strategy not in STRATEGIES:
        raise HostError(f"a strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
    if runs < 1:
        raise HostError(f"at least 1 run is needed, not {runs}")
    if horizon is not None and horizon < 1:
        raise HostError(f"a horizon is at least 1 step, not {horizon}")
    search = _Search(run, seed, horizon, same_result, look, allowance)
    with search:
        search.run(runs, strategy, deviations)
    return search.made


def follow(
    run: Run,
    schedule: Schedule,
    *,
    horizon: int | None = None,
    same_result: Show | None = None,
    look: Look | None = None,
    allowance: Allowance | None = None,
) -> Exploration:
    """One run, under `schedule`, which an exploration with the same options has found."""
    search = _Search(run, 0, horizon, same_result, look, allowance)
    with search:
        search.follow(schedule)
    return search.made


def horizon_of(first: Outcome, steps: int | None = None) -> Horizon:
    """The horizon of an exploration whose first run came to this. steps: as it was asked for."""

    def within(least: int, taken: int, most: int) -> int:
        return max(least, min(HORIZON_TIMES * taken, most))

    return Horizon(
        steps or within(LEAST.steps, first.steps, FIRST.steps),
        within(LEAST.events, first.events, FIRST.events),
        within(LEAST.time_us, first.time_us, FIRST.time_us),
        max(LEAST.grace, first.events),
    )


class _Search:
    """Runs one after another, and what is known of them. A context manager, which takes the time.

    Its result is as good as it can be whenever it is left, by Ctrl-C too.
    """

    def __init__(
        self,
        run: Run,
        seed: int,
        horizon: int | None,
        show: Show | None,
        look: Look | None,
        allowance: Allowance | None,
    ) -> None:
        self.made = Exploration(seed)
        self._run, self._horizon, self._show, self._look = run, horizon, show, look
        self._allowance = allowance or Allowance()
        self._expected: str | None = None
        self._tried: set[int] = set()  # hashes of the schedules that have been

    def __enter__(self) -> None:
        self._began_us = now_us()

    def __exit__(self, *_: object) -> None:
        self.made.seconds = (now_us() - self._began_us) / 1e6

    # ------------------------------------------------------------------ runs

    def judged(self, chooser: Follower) -> Outcome:
        """One run, and whether its result is that of the first."""
        made = self.made
        try:
            result = self._run(chooser)
        finally:
            chooser.forget()
        made.is_over = self._allowance.is_over()
        made.all += 1
        if self._show is not None and result.failure is None:
            shown = self._show(result.value)
            if self._expected is None:
                self._expected = shown
            elif shown != self._expected:
                result = result._replace(failure=ResultDiffers(self._expected, shown))
        return result

    def looked(self) -> None:
        if self._look is not None:
            self._look(self.made)

    def first(self) -> tuple[Prober, Outcome]:
        """The run in the usual order, which sets the horizon of all others."""
        steps = FIRST.steps if self._horizon is None else self._horizon
        chooser = Prober((), FIRST._replace(steps=steps))
        result = self.judged(chooser)
        self.made.horizon = horizon_of(result, self._horizon)
        return chooser, result

    def attempt(self, schedule: Schedule) -> tuple[Schedule, Outcome]:
        """(what of the schedule had an effect, how the run under it ended)."""
        chooser = Follower(schedule, self.made.horizon)
        result = self.judged(chooser)
        self.looked()
        return tuple(chooser.taken), result

    def follow(self, schedule: Schedule) -> None:
        made = self.made
        _, result = self.first()
        if made.is_over:
            return
        _, result = self.attempt(schedule)
        if _broken_off(made, result):
            return
        made.runs = made.schedules = 1
        made.steps = result.steps
        if result.failure is not None:
            made.failure = Failure(schedule, result.failure, schedule, 1)

    # ------------------------------------------------------------------ searching

    def run(self, runs: int, strategy: Strategy, deviations: int) -> None:
        made = self.made
        first, result = self.first()
        chooser: Follower = first
        rest = _Order(self, first, max(1, result.steps), runs, strategy, deviations)
        while not _broken_off(made, result):
            made.runs += 1
            made.steps += result.steps
            rest.length = max(rest.length, min(result.steps, made.horizon.steps))
            self._note(chooser, rest)
            if result.failure is not None:
                self._shrink(tuple(chooser.taken), result)
                return
            self.looked()
            following = next(rest, None)
            if following is None:
                made.complete, made.deviations = rest.is_whole, rest.deviations
                return
            if made.runs >= runs or made.is_over:
                return
            chooser = following
            chooser.check_every(CHECK_EVERY, made.runs)
            result = self.judged(chooser)

    def _note(self, chooser: Follower, rest: _Order) -> None:
        """How many schedules there have been, and whether chance still finds others."""
        schedule = hash(tuple(chooser.taken))
        rest.repeats.append(schedule in self._tried)
        self._tried.add(schedule)
        self.made.schedules = len(self._tried)

    def _shrink(self, found: Schedule, result: Outcome) -> None:
        """The failure is known at once, and again whenever it has become smaller."""
        error, made = result.failure, self.made
        assert error is not None
        failure = made.failure = Failure(found, error, found, made.runs)
        self.looked()

        def better(schedule: Schedule, error: BaseException) -> None:
            failure.schedule, failure.error = schedule, error

        def attempt(schedule: Schedule) -> tuple[Schedule, Outcome]:
            if made.is_over:
                raise _Enough
            return self.attempt(schedule)

        if isinstance(error, LimitExceeded) and error.limit == "wall":
            return  # how long a run takes hangs on more than its schedule
        with suppress(_Enough):
            shrink(found, result, attempt, better)
        self._allowance.lift()


class _Enough(Exception):
    """There is no time to make a failure smaller."""


def _broken_off(made: Exploration, result: Outcome) -> bool:
    """Whether a run was ended because all had had their time: it tells nothing."""
    limit = result.failure
    return made.is_over and isinstance(limit, LimitExceeded) and limit.limit == "wall"


class _Order(Iterator[Follower]):
    """The choosers of a search, one after another.

    is_whole, deviations: what it means that there are no more. repeats: whether the last runs had
    schedules that had been before. length: steps a run takes.
    """

    def __init__(
        self,
        search: _Search,
        first: Prober,
        length: int,
        runs: int,
        strategy: Strategy,
        deviations: int,
    ) -> None:
        self._search, self._first = search, first
        self.length = length
        self.is_whole = first.is_whole
        self.deviations: int | None = None
        self.repeats: deque[bool] = deque(maxlen=REPEATS_OF)
        self._choosers = self._of(strategy, runs, deviations)

    def __next__(self) -> Follower:
        return next(self._choosers)

    def _of(self, strategy: Strategy, runs: int, deviations: int) -> Iterator[Follower]:
        if strategy == "systematic":
            self.deviations = deviations
            yield from self._systematic(deviations)
            return
        if not self._first.found:
            return
        singles = sum(len(point.choices) for point in self._first.found)
        if strategy == "mixed" and singles <= runs // 4:
            yield from self._systematic(1)
        yield from self._sampled(strategy)
        yield from self._systematic(None)

    def _sampled(self, strategy: Strategy) -> Iterator[Follower]:
        """What one decides is set by the seed and its number. Of "mixed", until most repeat what
        has been.
        """
        number, seed = 0, self._search.made.seed
        horizon, places = self._search.made.horizon, self._first.places
        self.repeats.clear()
        while strategy != "mixed" or sum(self.repeats) < REPEATS:
            number += 1
            name = f"{seed}:{number}"
            if strategy == "random" or (strategy == "mixed" and number % 2):
                yield Dice(name, self.length, horizon, places)
            else:
                yield Priorities(name, self.length, 1 + number // 2 % DEPTH_MAX, horizon)

    def _systematic(self, deviations: int | None) -> Iterator[Follower]:
        """Every schedule with one more deviation than one that has run, fewest first. Each is met
        once: what is added comes behind what is there.
        """
        horizon = self._search.made.horizon
        self.is_whole = self._first.is_whole
        kept = len(self._first.found)
        done: deque[tuple[Schedule, list[Point] | None]] = deque([((), self._first.found)])
        while done:
            schedule, points = done.popleft()
            if points is None:
                again = Prober(schedule, horizon)
                self._search.judged(again)
                points = again.found
            else:
                kept -= len(points)
            for point in points:
                for choice in point.choices:
                    longer = (*schedule, Deviation(*point.place, choice))
                    if len(longer) == deviations:
                        yield Follower(longer, horizon)
                        continue
                    prober = Prober(longer, horizon)
                    yield prober
                    self.is_whole &= prober.is_whole
                    if prober.found:
                        keeps = kept + len(prober.found) <= POINTS_KEPT_MAX
                        kept += len(prober.found) if keeps else 0
                        done.append((longer, prober.found if keeps else None))
