"""Exploring: run after run until one fails, and then the least that makes it fail.

Owns: `explore`, its strategies and their order, `Exploration` and `Failure`.
Refuses: what a run is (runs.py), what is decided in it (choosers.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from omega.concurrency.clock import now_us
from omega.errors import HostError
from omega.exploration.choosers import Dice, Follower, Point, Priorities, Prober
from omega.exploration.runs import Outcome, ResultDiffers, Run
from omega.exploration.schedule import Deviation, Schedule, text_of
from omega.exploration.shrink import shrunk

RUNS = 1_000
DEPTH_MAX = 6  # of bugs that priorities look for
# The horizon of the first run, and of others: so many times the steps of that one, within bounds.
HORIZON_MAX, HORIZON_TIMES, HORIZON_LEAST = 5_000_000, 5, 2_000
# In runs that search, invariants of the kernel are looked at every so many slice ends, in another
# run at others, and when it is over; in runs that make a failure smaller at each.
CHECK_EVERY = 16
DEVIATIONS_MAX = 2  # in a systematic search, unless asked for more

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
    """What came of it. runs: those that searched; all: those that made a failure smaller, too.
    complete: there is no more to try, within the bound of a systematic search.
    """

    seed: int
    runs: int = 0
    all: int = 0
    steps: int = 0
    points: int = 0
    horizon: int = 0
    seconds: float = 0.0
    complete: bool = False
    failure: Failure | None = field(default=None)


def explore(
    run: Run,
    *,
    runs: int = RUNS,
    seed: int = 0,
    strategy: Strategy = "mixed",
    deviations: int = DEVIATIONS_MAX,
    horizon: int | None = None,
    same_result: Show | None = None,
    look: Callable[[Exploration], None] | None = None,
) -> Exploration:
    """Try up to `runs` schedules of `run`, the usual order first, and stop at the first that fails.

    strategy: "random" stops tasks anywhere, "pct" gives them priorities; "systematic" tries every
    schedule with one deviation, then with two, up to `deviations`; "mixed" tries those with one,
    unless they are many, and then random stops and priorities in turn.
    horizon: steps after which a run is left in peace, and must end; None: many times what the first
    run takes. same_result: the value of a run, as this writes it, must be that of the first. look:
    called after every run; may raise.
    """
    if strategy not in STRATEGIES:
        raise HostError(f"a strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
    if runs < 1:
        raise HostError(f"at least 1 run is needed, not {runs}")
    if horizon is not None and horizon < 1:
        raise HostError(f"a horizon is at least 1 step, not {horizon}")
    made = Exploration(seed)
    began_us = now_us()
    try:
        _search(run, made, runs, strategy, deviations, horizon, same_result, look)
    finally:
        made.seconds = (now_us() - began_us) / 1e6
    return made


def follow(
    run: Run,
    schedule: Schedule,
    *,
    horizon: int | None = None,
    same_result: Show | None = None,
    look: Callable[[Exploration], None] | None = None,
) -> Exploration:
    """One run, under `schedule`, which an exploration with the same options has found."""
    made = Exploration(0)
    began_us = now_us()
    judge = _Judge(run, made, same_result, look)
    first = judge(Prober((), HORIZON_MAX if horizon is None else horizon))
    made.horizon = horizon_of(first) if horizon is None else horizon
    result = judge(Follower(schedule, made.horizon))
    made.runs = 1
    made.seconds, made.steps = (now_us() - began_us) / 1e6, result.steps
    if result.failure is not None:
        made.failure = Failure(schedule, result.failure, schedule, 1)
    return made


class _Judge:
    """Runs, and whether their results are that of the first."""

    def __init__(
        self,
        run: Run,
        made: Exploration,
        show: Show | None,
        look: Callable[[Exploration], None] | None,
    ) -> None:
        self._run, self._made, self._show, self._look = run, made, show, look
        self._expected: str | None = None

    def __call__(self, chooser: Follower) -> Outcome:
        try:
            result = self._run(chooser)
        finally:
            chooser.forget()
        self._made.all += 1
        if self._show is not None and result.failure is None:
            shown = self._show(result.value)
            if self._expected is None:
                self._expected = shown
            elif shown != self._expected:
                result = result._replace(failure=ResultDiffers(self._expected, shown))
        if self._look is not None:
            self._look(self._made)
        return result


def horizon_of(first: Outcome) -> int:
    """The horizon of an exploration whose first run came to this."""
    return max(HORIZON_LEAST, min(HORIZON_TIMES * first.steps, HORIZON_MAX))


def _search(
    run: Run,
    made: Exploration,
    runs: int,
    strategy: Strategy,
    deviations: int,
    given: int | None,
    show: Show | None,
    look: Callable[[Exploration], None] | None,
) -> None:
    judged = _Judge(run, made, show, look)
    first = Prober((), HORIZON_MAX if given is None else given)
    chooser: Follower = first
    result = judged(chooser)
    horizon = made.horizon = horizon_of(result) if given is None else given
    length = max(1, result.steps)
    rest: Iterator[Follower] = iter(())
    if strategy == "systematic":
        rest = _systematic(first, deviations, horizon)
    elif first.found:
        rest = _sampled(strategy, made.seed, lambda: length, horizon)
        if strategy == "mixed" and sum(len(point.choices) for point in first.found) <= runs // 4:
            rest = chain(_systematic(first, 1, horizon), rest)
    while True:
        made.runs += 1
        made.steps += result.steps
        made.points += chooser.points
        length = max(length, min(result.steps, horizon))
        if result.failure is not None:
            found = tuple(chooser.taken)
            smallest, error = shrunk(found, result, lambda s: _tried(judged, s, horizon))
            made.failure = Failure(smallest, error, found, made.runs)
            return
        if made.runs >= runs:
            return
        following = next(rest, None)
        if following is None:
            made.complete = True
            return
        chooser = following
        chooser.check_every(CHECK_EVERY, made.runs)
        result = judged(chooser)


def _tried(
    judged: Callable[[Follower], Outcome], schedule: Schedule, horizon: int
) -> tuple[Schedule, Outcome]:
    """(what of the schedule had an effect, how the run under it ended)."""
    chooser = Follower(schedule, horizon)
    result = judged(chooser)
    return tuple(chooser.taken), result


def _sampled(
    strategy: Strategy, seed: int, length: Callable[[], int], horizon: int
) -> Iterator[Follower]:
    """Choosers without end. What one decides is set by the seed and its number."""
    number = 0
    while True:
        number += 1
        name = f"{seed}:{number}"
        if strategy == "random" or (strategy == "mixed" and number % 2):
            yield Dice(name, length(), horizon)
        else:
            yield Priorities(name, length(), 1 + number // 2 % DEPTH_MAX, horizon)


def _systematic(first: Prober, deviations: int, horizon: int) -> Iterator[Follower]:
    """Every schedule with one more deviation than one that has run, fewest first. Each is met
    once: what is added comes behind what is there.
    """
    done: deque[tuple[Schedule, list[Point]]] = deque([((), first.found)])
    while done:
        schedule, points = done.popleft()
        for point in points:
            for choice in point.choices:
                longer = (*schedule, Deviation(*point.place, choice))
                if len(longer) == deviations:
                    yield Follower(longer, horizon)
                    continue
                prober = Prober(longer, horizon)
                yield prober
                done.append((longer, prober.found))
