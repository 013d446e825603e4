"""Laws of explored runs: a schedule is all that decides, and its text is the schedule."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import EventWriter, Scheduler
from omega.concurrency.invariants import check
from omega.errors import HostError, TimeoutExpired
from omega.exploration import search, strategies
from omega.exploration.choosers import Follower, Horizon
from omega.exploration.runs import scenario_run
from omega.exploration.schedule import Deviation, Schedule, read, text_of
from omega.exploration.search import explore
from omega.exploration.strategies import Dice, Priorities, Prober
from tests.concurrency.programs import steps
from tests.concurrency.test_random_programs import wild

HORIZON = Horizon(5_000)
SETTINGS = settings(max_examples=150, deadline=None)

ids = st.lists(st.integers(1, 30), min_size=1, max_size=4).map(lambda ns: ".".join(map(str, ns)))
counts = st.integers(0, 10**6)
deviations = st.one_of(
    st.builds(
        Deviation, st.just("preempt"), ids, counts, st.integers(0, 4), ids | st.just("clock")
    ),
    st.builds(Deviation, st.just("next"), ids | st.just("-"), counts, st.integers(0, 9), ids),
    st.builds(Deviation, st.just("branch"), ids, counts, st.integers(0, 9), st.just("2")),
    st.builds(
        Deviation, st.just("llm"), st.just("5f1c"), st.integers(1, 9), st.just(0), st.just("429")
    ),
)


@given(st.lists(deviations, max_size=6).map(tuple))
def test_the_text_of_a_schedule_is_read_as_it(schedule):
    assert read(text_of(schedule)) == schedule


@pytest.mark.parametrize("text", ["x", "1@", "1@2", "1@2!", "1.2@x>1", "llm:zz#1=429", "1@2!3 !"])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(HostError, match="no part of a schedule"):
        read(text)


class _Lines:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def stream(seed, chooser):
    """The event stream of a wild program under a chooser, with invariants at every slice end."""
    lines = _Lines()

    def scenario(s: Scheduler):
        s.listeners.append(EventWriter(lines))
        wild(s, random.Random(seed), [])

    result = scenario_run(scenario)(chooser)
    # How finely a run is looked at is no part of what happens.
    return re.sub(r" slice=\d+", "", lines.text), result.kind, result.steps


@SETTINGS
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["dice", "pct"]))
def test_following_what_was_decided_gives_the_same_run(program, seed, strategy):
    length = 200
    if strategy == "dice":
        chooser = Dice(str(seed), length, HORIZON)
    else:
        chooser = Priorities(str(seed), length, 1 + seed % 5, HORIZON)
    found = stream(program, chooser)
    assert_followed(program, chooser, found)


def assert_followed(program, chooser, found):
    """Following what was taken gives the same, however finely it is looked at."""
    for kind in (Follower, Prober):
        follower = kind(tuple(chooser.taken), chooser.horizon)
        assert stream(program, follower) == found
        assert follower.taken == chooser.taken


horizons = st.builds(
    Horizon, st.integers(1, 150), st.integers(1, 60) | st.just(1 << 60), st.integers(1, 50_000)
)


@SETTINGS
@given(st.integers(0, 10**9), st.integers(0, 10**9), horizons)
def test_it_does_where_the_run_is_healed_on_its_way_too(program, seed, horizon):
    chooser = Dice(str(seed), 200, horizon)
    assert_followed(program, chooser, stream(program, chooser))


@SETTINGS
@given(st.integers(0, 10**9), st.sampled_from([0.0, 1e-6, 0.001]))
def test_it_does_where_tasks_are_doomed_between_their_steps(seed, timeout_s):
    """What is cut short comes to several slice ends after the same number of steps."""

    def scenario(s, lines):
        s.listeners.append(EventWriter(lines))

        def cut():
            steps(s, 5)
            with suppress(TimeoutExpired):
                s.with_timeout(timeout_s, lambda: [steps(s, 1) for _ in range(30)])
            steps(s, 3)

        def yields():
            for _ in range(10):
                steps(s, 2)
                s.yield_now()

        def sleeps():
            s.sleep(0.001)
            steps(s, 4)

        s.await_all([s.spawn(body) for body in (cut, yields, sleeps, yields, cut)])

    def run(chooser):
        lines = _Lines()
        result = scenario_run(lambda s: scenario(s, lines))(chooser)
        return re.sub(r" slice=\d+", "", lines.text), result.kind, result.steps

    name = str(seed)
    chooser = Dice(name, 120, HORIZON) if seed % 2 else Priorities(name, 120, 4, HORIZON)
    found = run(chooser)
    for kind in (Follower, Prober):
        follower = kind(read(text_of(tuple(chooser.taken))), HORIZON)
        assert run(follower) == found
        assert follower.taken == chooser.taken


@SETTINGS
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_invariants_hold_wherever_a_run_is_stopped(program, seed):
    class Checking(Dice):
        def slice_ended(self, task, ready):
            super().slice_ended(task, ready)
            check(self.kernel)

    stream(program, Checking(str(seed), 200, HORIZON))


def test_the_same_seed_finds_the_same():
    def lost(s):
        box = [0]

        def add():
            now = box[0]
            steps(s, 3)
            box[0] = now + 1

        s.await_all([s.spawn(add) for _ in range(3)])
        assert box[0] == 3

    for strategy in ("mixed", "random", "pct", "systematic"):
        first, second = (explore(scenario_run(lost), seed=7, strategy=strategy) for _ in range(2))
        assert first.failure is not None
        assert first.failure.schedule == second.failure.schedule
        assert first.runs == second.runs and first.all == second.all


def test_systematic_search_tries_all_within_its_bound_once():
    orders = set()

    def scenario(s):
        order = []

        def both(name):
            order.append(name)
            steps(s, 1)
            order.append(name)

        s.await_all([s.spawn(lambda name=name: both(name)) for name in "ab"])
        orders.add("".join(order))

    made = explore(scenario_run(scenario), strategy="systematic", deviations=3, runs=100_000)
    assert made.complete and made.failure is None
    assert orders == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**9))
def test_systematic_search_repeats_no_schedule_and_decides_nothing_in_vain(program):
    met: list[Schedule] = []

    def run(chooser):
        planned = chooser.schedule
        result = scenario_run(lambda s: wild(s, random.Random(program), []))(chooser)
        assert tuple(chooser.taken) == planned
        met.append(planned)
        return result._replace(failure=None)

    made = explore(run, strategy="systematic", deviations=2, runs=60)
    assert made.runs == made.schedules == made.all == len(set(met)) == len(met)
    depths = [len(schedule) for schedule in met]
    assert depths == sorted(depths) and depths[-1] <= 2  # fewest first
    assert made.complete or made.runs == 60
    assert made.deviations == (2 if made.complete else None)


def test_points_that_are_not_kept_are_found_again(monkeypatch):
    def orders():
        found = []

        def scenario(s):
            order = []
            s.await_all([s.spawn(lambda n=n: (steps(s, 1), order.append(n))) for n in "abc"])
            found.append("".join(order))

        made = explore(scenario_run(scenario), strategy="systematic", deviations=2, runs=10_000)
        assert made.complete
        return set(found), made.runs

    whole = orders()
    monkeypatch.setattr(search, "POINTS_KEPT_MAX", 10)
    assert orders() == whole


def test_a_search_tells_that_it_left_points_out(monkeypatch):
    def scenario(s):
        s.await_all([s.spawn(lambda: steps(s, 30)) for _ in range(2)])

    monkeypatch.setattr(strategies, "POINTS_MAX", 20)
    made = explore(scenario_run(scenario), strategy="systematic", deviations=1, runs=10_000)
    assert made.runs < 10_000 and not made.complete


def test_where_chance_only_repeats_itself_all_schedules_are_tried():
    orders = set()

    def scenario(s):
        order = []
        s.await_all([s.spawn(lambda n=n: order.append(n)) for n in "abcd"])
        orders.add("".join(order))

    made = explore(scenario_run(scenario), runs=10_000)
    assert made.complete and made.deviations is None and made.runs < 1_000
    assert len(orders) == 24


def test_one_schedule_is_enough_where_nothing_is_concurrent():
    made = explore(scenario_run(lambda s: steps(s, 100)), runs=1000)
    assert made.complete and made.runs == 1


def test_what_never_ends_is_told_though_it_is_left_in_peace():
    def spins(s):
        go = [False]

        def wait():
            while not go[0]:
                s.yield_now()

        def signal():
            go[0] = True
            steps(s, 2)
            go[0] = False

        s.await_all([s.spawn(signal), s.spawn(wait)])

    made = explore(scenario_run(spins), runs=1, horizon=1_000)
    assert made.failure is not None
    assert "did not finish after everything was healed" in str(made.failure.error)


def test_a_spin_that_only_needs_its_turn_ends():
    def spins(s):
        go = [False]

        def wait():
            while not go[0]:
                steps(s, 1)

        def signal():
            go[0] = True

        s.await_all([s.spawn(wait), s.spawn(signal)])

    made = explore(scenario_run(spins), runs=300)
    assert made.failure is None
