"""The three policies, priorities, the limit of slots and of stacks."""

from __future__ import annotations

import pytest

from omega.concurrency import choose, timer_event
from omega.errors import (
    HostError,
    TaskCancelled,
)
from tests.concurrency.programs import steps


def program(s, log):
    """Two busy tasks and one that waits; what the three policies do with them differs."""

    def busy(name, n):
        for i in range(n):
            log.append(f"{name}{i}")
            steps(s, 100)
        log.append(f"{name}.")

    def waiter():
        for i in range(2):
            s.sleep(0.0001)
            log.append(f"w{i}")

    s.spawn(waiter, priority=5)
    s.spawn(lambda: busy("a", 4), priority=1)
    s.spawn(lambda: busy("b", 4), priority=2)
    s.run()
    return log


def test_three_policies_show_three_different_traces(kit):
    traces = {}
    for mode in ("fifo", "round-robin", "priority"):
        traces[mode] = program(kit.scheduler(fairness_mode=mode), [])
    assert len({tuple(trace) for trace in traces.values()}) == 3
    assert traces["fifo"] == [
        "a0",
        "a1",
        "a2",
        "a3",
        "a.",
        "w0",
        "b0",
        "b1",
        "b2",
        "b3",
        "b.",
        "w1",
    ] or (traces["fifo"][:5] == ["a0", "a1", "a2", "a3", "a."])
    assert traces["round-robin"].index("b0") < traces["round-robin"].index("a2")
    assert traces["priority"][:2] == ["b0", "b1"]
    for trace in traces.values():
        assert sorted(trace) == sorted(traces["fifo"]), "the same events, in another order"


def test_fifo_slice_ends_still_look_at_timers_and_cancels(kit):
    s = kit.scheduler(fairness_mode="fifo")
    task = s.spawn(lambda: steps(s))
    s.call_later(0.01, lambda: s.cancel(task, "timer"))
    with pytest.raises(TaskCancelled, match="timer"):
        s.wait(task)
    assert s.driver.now() == pytest.approx(0.01, abs=0.0002)


@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
def test_an_explicit_yield_goes_once_behind_every_ready_task(kit, mode):
    s = kit.scheduler(fairness_mode=mode)
    log = []

    def yielder():
        log.append("before")
        s.yield_now()
        log.append("after")

    s.spawn(yielder)
    for i in range(3):
        s.spawn(lambda i=i: log.append(i))
    s.run()
    assert log == ["before", 0, 1, 2, "after"]


def test_strict_priority_starves_and_ageing_does_not(kit):
    def low_ran_at(ageing):
        s = kit.scheduler(fairness_mode="priority", ageing=ageing)
        ran = []
        s.spawn(lambda: steps(s, 100_000), priority=10)
        s.spawn(lambda: ran.append(s.stats().slices), priority=0)
        s.run()
        return ran[0]

    assert low_ran_at(None) >= 1000
    # The bound: (10 - 0) points of 16 slices each, and the slice in which it is noticed.
    assert low_ran_at(16) <= 10 * 16 + 16 + 2


def test_priority_preempts_at_slice_ends(kit):
    s = kit.scheduler(fairness_mode="priority")
    log = []

    def low():
        steps(s, 1000, lambda i: log.append(i) if i % 100 == 0 else None)

    def high():
        s.sleep(0.00025)
        log.append("high")

    s.spawn(low, priority=0)
    s.spawn(high, priority=9)
    s.run()
    assert log.index("high") in (2, 3)


def test_tasks_passed_over_for_a_slot_keep_their_rank(kit):
    """Two queues once numbered their entries separately, and equal numbers compared tasks."""
    s = kit.scheduler(fairness_mode="priority", max_concurrent_tasks=2)
    order = []

    def body():
        order.append(s.current.priority)
        s.sleep(0.001)
        s.yield_now()

    for i in range(18):
        s.spawn(body, priority=i % 3)
    s.run()
    assert order == [2] * 6 + [1] * 6 + [0] * 6


def test_children_inherit_the_priority_of_their_parent(s, run):
    assert s.wait(s.spawn(lambda: s.spawn(lambda: 1).priority, priority=7)) == 7


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
def test_nested_await_never_deadlocks_at_any_limit(kit, limit, mode):
    s = kit.scheduler(max_concurrent_tasks=limit, fairness_mode=mode, max_started_tasks=limit)

    def nest(n):
        if n == 0:
            return 0
        return 1 + s.await_task(s.spawn(lambda: nest(n - 1)))

    assert s.wait(s.spawn(lambda: nest(50))) == 50


def test_a_ready_task_takes_the_next_slot_before_any_new_start(kit):
    s = kit.scheduler(max_concurrent_tasks=1)
    log = []

    def first():
        s.spawn(lambda: log.append("child"))
        s.sleep(0.00001)
        log.append("first again")

    s.spawn(first)
    for i in range(3):
        s.spawn(lambda i=i: (steps(s, 100), log.append(i)))
    s.run()
    assert log.index("first again") == 1, log


def test_limit_1_with_fifo_is_serial_for_bodies_that_do_not_wait(kit):
    s = kit.scheduler(max_concurrent_tasks=1, fairness_mode="fifo")
    log = []

    def body(i):
        log.append(("in", i))
        steps(s, 1000)
        log.append(("out", i))

    for i in range(4):
        s.spawn(lambda i=i: body(i))
    s.run()
    assert log == [(w, i) for i in range(4) for w in ("in", "out")]


def test_max_started_tasks_bounds_the_stacks_without_deadlock(kit):
    s = kit.scheduler(max_started_tasks=3)
    peak = 0

    def body():
        nonlocal peak
        peak = max(peak, s.started)
        s.sleep(1)

    for _ in range(10):
        s.spawn(body)
    s.run()
    assert peak == 3

    gate = s.cell()
    for _ in range(5):
        s.spawn(lambda: s.sync(gate.event))
    last = s.spawn(gate.put)
    s.run()
    assert last.state == "completed"


def test_the_limit_can_be_lowered_and_raised_while_running(kit):
    s = kit.scheduler(max_concurrent_tasks=4)
    inside = 0
    seen = []

    def body():
        nonlocal inside
        inside += 1
        seen.append(inside)
        for _ in range(5):
            s.yield_now()
            s._check()
        inside -= 1

    for _ in range(12):
        s.spawn(body)
    s.call_later(0.000005, lambda: s.configure(max_concurrent_tasks=1))
    s.run()
    assert max(seen) == 4 and seen[-1] == 1
    with pytest.raises(HostError, match="no setting"):
        s.configure(nonsense=1)
    for bad in (
        {"yield_every": 0},
        {"fairness_mode": "lottery"},
        {"task_timeout": -1},
        {"ageing": 0},
    ):
        with pytest.raises(HostError):
            s.configure(**bad)


def test_policies_can_be_changed_while_running(kit):
    s = kit.scheduler(fairness_mode="fifo")
    log = []
    s.spawn(lambda: (log.append("a"), s.configure(fairness_mode="priority"), s.yield_now()))
    s.spawn(lambda: log.append("low"), priority=1)
    s.spawn(lambda: log.append("high"), priority=2)
    s.run()
    assert log == ["a", "high", "low"]


@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
def test_one_that_ended_while_it_was_passed_over_takes_no_slot_with_it(kit, mode):
    """Once it was let in for the free slot, and nobody else until another task waited or ended."""
    s = kit.scheduler(max_concurrent_tasks=2, fairness_mode=mode)
    started, released = [], []

    def busy():
        while not released:
            s.yield_now()

    s.spawn(busy)
    s.spawn(lambda: steps(s, 300))
    doomed = [s.spawn(lambda: None) for _ in range(3)]
    s.spawn(lambda: started.append(True))
    s.call_later(0.00015, lambda: [s.cancel(task) for task in doomed])
    s.call_later(0.001, lambda: released.append(True))
    s.call_later(0.0009, lambda: started.append(False))
    s.run()
    assert started == [True, False]


@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
@pytest.mark.parametrize("passed", ["new", "woken"])
def test_who_was_passed_over_keeps_its_place_when_its_slot_goes_to_another(kit, mode, passed):
    """The slot was free when it was let in, and was not when its turn came: it went to the end."""
    s = kit.scheduler(max_concurrent_tasks=1, fairness_mode=mode)
    gate, other, never = s.cell(), s.cell(), s.cell()
    order = []
    s.call_later(0.002, lambda: None)  # a timer is near: the hub is visited at every switch

    def waiter(name, cell):
        s.sync(cell.event)
        order.append(name)

    def slow():
        if passed == "woken":
            gate.put()
        s.yield_now()  # they try, and are passed over
        s.call_later(0.00002, other.put)
        steps(s, 50)  # it is due, and nobody has looked yet
        s.sync(choose(never.event, timer_event(0.001)))

    s.spawn(lambda: waiter("woken at the last moment", other))
    if passed == "woken":
        for name in range(3):
            s.spawn(lambda name=name: waiter(name, gate))
    s.spawn(slow)
    if passed == "new":
        for name in range(3):
            s.spawn(lambda name=name: order.append(name))
    s.run()
    assert [name for name in order if name in range(3)] == [0, 1, 2]
    assert len(order) == 4


def test_a_yield_after_a_lent_priority_waits_no_longer_than_others(kit):
    """What a task was worth before somebody waited for it is no place in the queue."""
    s = kit.scheduler(fairness_mode="priority")
    slices = []

    def spins():
        while not slices:
            steps(s, 100)

    def body():
        low = s.spawn(lambda: steps(s, 300), priority=-1_000_000)
        s.await_task(low)
        began = s.turns
        s.yield_now()
        slices.append(s.turns - began)

    for _ in range(3):
        s.spawn(spins)
    s.spawn(body)
    s.run()
    assert slices[0] <= s.config.ageing + 4
