"""Random programs: invariants after every step, equal results under all policies and slices."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import (
    Mutex,
    Scheduler,
    SchedulerConfig,
    Semaphore,
    VirtualDriver,
    choose,
    end_event,
    timer_event,
    wrap,
)
from omega.concurrency.choices import Chooser
from omega.errors import OmegaError

CONFIGS = [
    SchedulerConfig(fairness_mode=mode, yield_every=every, max_concurrent_tasks=limit)
    for mode in ("fifo", "round-robin", "priority")
    for every, limit in ((1, 10_000), (7, 3), (100, 1), (1_000, 10_000))
] + [
    SchedulerConfig(fair_by="scope", yield_every=every, max_concurrent_tasks=limit)
    for every, limit in ((1, 10_000), (7, 2))
]

SETTINGS = settings(max_examples=60, deadline=None)


# ---------------------------------------------------------------------- race-free programs

LEAF = st.one_of(
    st.tuples(st.just("value"), st.integers(0, 9)),
    st.tuples(st.just("steps"), st.integers(1, 250)),
    st.tuples(st.just("sleep"), st.integers(0, 5)),
    st.tuples(st.just("fail"), st.integers(0, 9)),
)
TREE = st.recursive(
    LEAF,
    lambda below: st.one_of(
        st.tuples(st.just("await"), st.lists(below, min_size=1, max_size=4)),
        st.tuples(st.just("settle"), st.lists(below, min_size=1, max_size=4)),
        st.tuples(st.just("par-map"), st.lists(below, min_size=1, max_size=4)),
        st.tuples(st.just("scope"), st.lists(below, min_size=1, max_size=3)),
        st.tuples(st.just("channel"), st.lists(st.integers(0, 9), max_size=6)),
        st.tuples(st.just("shield"), below),
    ),
    max_leaves=15,
)


def generated(s, n):
    registers = s.registers
    i = 0
    while i < n:
        for _ in registers["_it"]:
            i += 1
            if i == n:
                break
        else:
            s.slice_end()


def evaluate(s, tree):
    """The value of `tree`; what it answers depends on no schedule."""
    kind, what = tree
    if kind == "value":
        return what
    if kind == "steps":
        generated(s, what)
        return what
    if kind == "sleep":
        s.sleep(what / 1000)
        return None
    if kind == "fail":
        raise ValueError(what)
    if kind == "await":
        tasks = [s.spawn(lambda t=t: evaluate(s, t), priority=i) for i, t in enumerate(what)]
        return sum(str(s.await_task(task)) != "x" for task in s_ends(s, tasks))
    if kind == "settle":
        tasks = [s.spawn(lambda t=t: evaluate(s, t)) for t in what]
        return [(kind, repr(value)) for kind, value in s.await_all(tasks, "settle")]
    if kind == "par-map":
        outcomes = s.par_map(lambda t: evaluate(s, t), what, max_par=2, on_error="keep")
        return [(kind, repr(value)) for kind, value in outcomes]
    if kind == "scope":
        tasks = []

        def body():
            tasks.extend(s.spawn(lambda t=t: evaluate(s, ("settle", [t]))) for t in what)

        s.with_scope(body)
        return [task.result for task in tasks]
    if kind == "channel":
        return through_channel(s, what)
    return s.shield(lambda: evaluate(s, what))


def s_ends(s, tasks):
    """The tasks, each ended; so a failing one fails the waiter only in order."""
    s.await_all(tasks, "settle")
    return tasks


def through_channel(s, values):
    channel = s.channel(len(values) % 3)

    def send():
        for value in values:
            channel.send(value)
        channel.close()

    s.spawn(send)
    got = []
    while True:
        try:
            got.append(channel.recv())
        except OmegaError:
            return got


def outcome(config, tree):
    s = Scheduler(config, driver=VirtualDriver())
    try:
        task = s.spawn(lambda: evaluate(s, tree))
        s.listeners.append(lambda event: None)
        s.run()
        s._check()
        assert s.live == 0
        return task.state, repr(task.outcome)
    finally:
        s.close()


@SETTINGS
@given(TREE)
def test_race_free_programs_give_equal_results_under_every_policy_and_slice_length(tree):
    assert len({outcome(config, tree) for config in CONFIGS}) == 1


# ---------------------------------------------------------------------- wild programs


def wild(s, rng, log):
    """A program that does everything at random, with the invariants checked after every step."""
    channels = [s.channel(n) for n in (0, 1, 3)]
    mutex, semaphore = Mutex(s), Semaphore(s, 2)
    tasks = []

    def act(depth):
        s._check()
        what = rng.randrange(14)
        if what == 0:
            s.yield_now()
        elif what == 1:
            s.sleep(rng.randrange(4) / 1000)
        elif what == 2:
            generated(s, rng.randrange(1, 300))
        elif what == 3 and depth < 4:
            options = {"priority": rng.randrange(3), "daemon": rng.random() < 0.1}
            if rng.random() < 0.2:
                options["timeout"] = 0.002
            if rng.random() < 0.2:
                options["queue_timeout"] = 0.001
            tasks.append(s.spawn(lambda: live(depth + 1), **options))
        elif what == 4 and tasks:
            s.cancel(rng.choice(tasks), "wild")
        elif what == 5 and tasks:
            s.sync(choose(end_event(rng.choice(tasks)), timer_event(0.003)))
        elif what == 6:
            s.sync(choose(rng.choice(channels).recv_event(), timer_event(0.001)))
        elif what == 7:
            s.sync(choose(rng.choice(channels).send_event(1), wrap(timer_event(0.001), str)))
        elif what == 8:
            with mutex.held():
                s.sleep(0.0005)
        elif what == 9:
            with semaphore.held():
                s.yield_now()
        elif what == 10 and depth < 4:
            s.with_timeout(rng.randrange(1, 4) / 1000, lambda: live(depth + 1))
        elif what == 11 and depth < 4:
            s.with_scope(lambda: live(depth + 1))
        elif what == 12 and depth < 4:
            s.shield(lambda: act(depth + 1))
        elif what == 13 and rng.random() < 0.2:
            raise ValueError("wild")

    def live(depth):
        try:
            for _ in range(rng.randrange(1, 8)):
                act(depth)
                log.append(s.current.id)
        finally:
            s._check()

    for _ in range(4):
        tasks.append(s.spawn(lambda: live(0)))


class Dice(Chooser):
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def slice(self, task):
        return self.rng.choice((1, 2, 7, 100))

    def preempts(self, task):
        return self.rng.random() < 0.5

    def next(self, ready):
        return self.rng.randrange(len(ready))

    def branch(self, task, n):
        return self.rng.randrange(n)


@SETTINGS
@given(st.integers(0, 10**9), st.sampled_from(CONFIGS), st.booleans())
def test_wild_programs_keep_every_invariant_and_always_end(seed, config, picked):
    def once():
        s = Scheduler(config, driver=VirtualDriver())
        rng, log = random.Random(seed), []
        if picked:
            s.choose_by(Dice(seed + 1))
        wild(s, rng, log)
        s.run()
        s._check()
        assert s.live == 0
        stats = s.stats()
        hidden = [t for t in s.unobserved_failures() if isinstance(t.error, AssertionError)]
        s.close()
        for task in hidden:
            raise task.error
        return log, stats

    assert once() == once(), "same seed, same run"
