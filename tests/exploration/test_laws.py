"""Laws of explored runs: a schedule is all that decides, and its text is the schedule."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import EventWriter, Scheduler
from omega.concurrency.invariants import check
from omega.errors import HostError
from omega.exploration.choosers import Dice, Follower, Priorities, Prober
from omega.exploration.runs import scenario_run
from omega.exploration.schedule import Deviation, read, text_of
from omega.exploration.search import explore
from tests.concurrency.programs import steps
from tests.concurrency.test_random_programs import wild

HORIZON = 5_000
SETTINGS = settings(max_examples=150, deadline=None)

ids = st.lists(st.integers(1, 30), min_size=1, max_size=4).map(lambda ns: ".".join(map(str, ns)))
counts = st.integers(0, 10**6)
deviations = st.one_of(
    st.builds(Deviation, st.just("preempt"), ids, counts, st.just(0), ids | st.just("clock")),
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
    follower = Follower(tuple(chooser.taken), HORIZON)
    assert stream(program, follower) == found
    assert follower.taken == chooser.taken
    # However finely it is looked at.
    prober = Prober(tuple(chooser.taken), HORIZON)
    assert stream(program, prober) == found
    assert prober.taken == chooser.taken


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
    assert made.failure is not None and "has not ended after" in str(made.failure.error)


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
