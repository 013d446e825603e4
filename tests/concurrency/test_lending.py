"""Priority is lent along waits, and every ready task runs within the bound of PriorityQueue."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import (
    Mutex,
    Scheduler,
    SchedulerConfig,
    Semaphore,
    Serializer,
    VirtualDriver,
    choose,
    task_event,
    timer_event,
)
from omega.concurrency import state as state_module
from omega.concurrency.ready import PriorityQueue
from omega.errors import Cancelled, TimeoutExpired
from tests.concurrency.programs import steps


@pytest.fixture
def p(kit):
    return kit.scheduler(fairness_mode="priority", ageing=None)


def inversion(p, hold, wait):
    """A task of priority 1 has what one of 9 waits for, and one of 5 is busy meanwhile. Who got
    where, in order.
    """
    log = []

    def low():
        def inside():
            p.yield_now()  # the others start, and wait or are busy
            steps(p, 300)
            log.append("low")

        hold(inside)

    def middle():
        steps(p, 1000)
        log.append("middle")

    def high():
        wait()
        log.append("high")

    low_task = p.spawn(low, priority=1)
    p.spawn(lambda: (p.spawn(high, priority=9), p.spawn(middle, priority=5)), priority=0)
    p.run()
    p._check()
    assert not p.lending.nodes
    return log, low_task


def test_a_mutex_holder_runs_at_once_when_a_more_urgent_task_waits(p):
    mutex = Mutex(p)

    def hold(inside):
        with mutex.held():
            inside()

    log, _ = inversion(p, hold, lambda: hold(lambda: None))
    assert log == ["low", "high", "middle"]


def test_without_a_wait_between_them_the_middle_one_goes_first(p):
    """The scenario tells something: nothing is lent to a holder nobody waits for."""
    mutex = Mutex(p)

    def hold(inside):
        with mutex.held():
            inside()

    log, _ = inversion(p, hold, lambda: None)
    assert log == ["high", "middle", "low"]


def test_a_semaphore_and_a_serializer_lend_to_their_holders(kit):
    for make in (lambda s: Semaphore(s, 1).held, lambda s: None):
        s = kit.scheduler(fairness_mode="priority", ageing=None)
        held = make(s)
        if held is None:
            hold = Serializer(s).run
        else:

            def hold(inside, held=held):
                with held():
                    inside()

        log, _ = inversion(s, hold, lambda hold=hold: hold(lambda: None))
        assert log == ["low", "high", "middle"]


@pytest.mark.parametrize("way", ["await", "await_all", "choice", "scope"])
def test_a_task_that_is_awaited_is_as_urgent_as_whoever_awaits_it(p, way):
    log = []

    def middle():
        steps(p, 500)
        log.append("middle")

    def low():
        steps(p, 500)
        log.append("low")

    def high():
        if way == "scope":
            p.with_scope(lambda: p.spawn(low, priority=1))
        else:
            task = p.spawn(low, priority=1)
            if way == "await":
                p.await_task(task)
            elif way == "await_all":
                p.await_all([task])
            else:
                p.sync(choose(timer_event(1), task_event(task)))
        log.append("high")

    p.spawn(high, priority=9)
    p.spawn(middle, priority=5)
    p.run()
    assert log == ["low", "high", "middle"]


def test_it_goes_on_along_any_chain_of_waits(p):
    mutex = Mutex(p)
    log = []

    def holder():
        with mutex.held():
            p.yield_now()
            steps(p, 200)
            log.append("holder")

    def chain(n):
        if n == 0:
            with mutex.held():
                return
        p.await_task(p.spawn(lambda: chain(n - 1), priority=2))

    def start():
        p.spawn(lambda: (chain(200), log.append("high")), priority=9)
        p.spawn(lambda: (steps(p, 2000), log.append("middle")), priority=5)

    p.spawn(holder, priority=1)
    p.spawn(start, priority=0)
    p.run()
    assert log == ["holder", "high", "middle"]
    assert not p.lending.nodes


@pytest.mark.parametrize("end", ["cancel", "timeout", "other branch"])
def test_it_ends_with_the_wait_however_that_ends(p, end):
    mutex = Mutex(p)
    seen = []

    def low():
        with mutex.held():
            p.sleep(0.001)
            seen.append(p.lending.level(low_task))
            p.sleep(0.01)
            seen.append(p.lending.level(low_task))

    def high():
        if end == "timeout":
            with pytest.raises(TimeoutExpired):
                p.with_timeout(0.005, mutex.acquire)
        elif end == "cancel":
            with pytest.raises(Cancelled):
                mutex.acquire()
            raise Cancelled
        else:
            p.sync(choose(mutex.event, timer_event(0.005)))

    low_task = p.spawn(low, priority=1)

    def start():
        task = p.spawn(high, priority=9)
        if end == "cancel":
            p.sleep(0.005)
            p.cancel(task)

    p.spawn(start, priority=0)
    p.run()
    assert seen == [9, 1]
    assert not p.lending.nodes


def test_a_mutex_takes_its_waiters_urgency_along_when_it_is_handed_over(p):
    mutex = Mutex(p)
    levels = {}

    def body(name):
        with mutex.held():
            p.sleep(0.001)
            levels[name] = p.lending.level(p.current)

    def start():
        for name, priority in (("first", 1), ("second", 2), ("third", 9)):
            p.spawn(lambda name=name: body(name), priority=priority)
            p.sleep(0.0001)

    p.spawn(start)
    p.run()
    assert levels == {"first": 9, "second": 9, "third": 9}


def test_turning_priorities_on_while_running_counts_the_waits_there_are(kit):
    s = kit.scheduler(fairness_mode="fifo", ageing=None)
    mutex = Mutex(s)
    seen = []

    def low():
        with mutex.held():
            s.sleep(0.001)
            s.configure(fairness_mode="priority")
            seen.append(s.lending.level(s.current))
            s._check()
            s.configure(fairness_mode="round-robin")
            seen.append(s.lending)

    s.spawn(low, priority=1)
    s.spawn(mutex.acquire, priority=9)
    s.run()
    assert seen == [9, None]


@pytest.mark.parametrize("ageing", [None, 16])
def test_a_yield_goes_behind_every_ready_task_also_the_less_urgent(kit, ageing):
    s = kit.scheduler(fairness_mode="priority", ageing=ageing)
    log = []
    s.spawn(lambda: (log.append("before"), s.yield_now(), log.append("after")), priority=9)
    for i in range(3):
        s.spawn(lambda i=i: log.append(i), priority=i)
    s.run()
    assert log == ["before", 2, 1, 0, "after"]


# ---------------------------------------------------------------------- the bound

LOADS = st.lists(
    st.tuples(
        st.integers(-3, 9),  # priority
        st.lists(st.sampled_from(["busy", "yield", "sleep", "spawn", "lock"]), max_size=6),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(load=LOADS, ageing=st.sampled_from([1, 2, 5, 16]))
def test_a_ready_task_runs_within_the_bound_on_random_loads(load, ageing):
    waits = []

    class Watched(PriorityQueue):
        def _append(self, task, key):
            super()._append(task, key)
            task.locals = (self._slice_number(), self._lending.level(task), key)

        def popleft(self):
            task = super().popleft()
            since, level, key = task.locals
            # What it was behind of when it yielded counts as its own priority, see PriorityQueue.
            lowest = min(level, (since - key) // ageing)
            waits.append((self._slice_number() - since, lowest, task))
            return task

    patched = pytest.MonkeyPatch()
    patched.setattr(state_module, "PriorityQueue", Watched)
    s = Scheduler(
        SchedulerConfig(fairness_mode="priority", ageing=ageing, yield_every=10),
        driver=VirtualDriver(),
    )
    patched.undo()
    mutex = Mutex(s)
    made = 0

    def body(priority, acts):
        nonlocal made
        for act in acts:
            if act == "busy":
                steps(s, 95)
            elif act == "yield":
                s.yield_now()
            elif act == "sleep":
                s.sleep(0.00003)
            elif act == "spawn":
                made += 1
                s.spawn(lambda: steps(s, 35), priority=priority + 2)
            else:
                with mutex.held():
                    steps(s, 25)
                    s.sleep(0.00002)

    for priority, acts in load:
        made += 1
        s.spawn(lambda priority=priority, acts=acts: body(priority, acts), priority=priority)
    s.run()
    s._check()
    assert len(waits) >= made
    highest = max(priority for priority, _ in load) + 2
    for waited, lowest, task in waits:
        bound = (highest - lowest + 1) * ageing + made
        assert waited <= bound, f"{task} of level {lowest} waited {waited} slices, not {bound}"
    s.close()
