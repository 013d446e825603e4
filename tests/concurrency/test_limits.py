"""Steps, fuel and wall time."""

from __future__ import annotations

import pytest

from omega.concurrency import (
    choose,
    never,
    timer_event,
)
from omega.errors import (
    Deadlock,
    HostError,
    LimitExceeded,
)
from tests.concurrency.programs import calls, steps

# ---------------------------------------------------------------------- steps and fuel


@pytest.mark.parametrize("yield_every", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("body", [steps, calls])
def test_step_accounting_is_exact_for_every_slice_length(kit, yield_every, body):
    s = kit.scheduler(yield_every=yield_every)
    tasks = [s.spawn(lambda n=n: body(s, n)) for n in (1, 50, 333)]
    s.run()
    assert [task.steps for task in tasks] == [1, 50, 333]
    assert s.stats().steps == 384


def test_steps_are_exact_across_waits_and_in_the_running_task(s, run):
    def body():
        steps(s, 30)
        s.sleep(1)
        steps(s, 50)
        mine = next(line for line in s.tasks() if line.id == "1")
        return mine.steps, s.stats().steps

    assert run(body) == (80, 80)


def test_a_task_that_waited_goes_on_with_the_remainder_of_its_slice(s, run):
    def body():
        steps(s, 30)
        s.sleep(1)
        assert s.registers["_it"].__length_hint__() == 70
        return s.stats().slices

    run(body)


def test_a_stale_exhausted_iterator_does_not_end_the_current_slice(s, run):
    def body():
        before = s.stats().slices
        s.slice_end()  # the current iterator has steps left
        assert s.stats().slices == before
        return s.stats().steps

    assert run(body) == 0


@pytest.mark.parametrize("yield_every", [1, 10, 100, 1000])
@pytest.mark.parametrize("fuel", [1, 99, 100, 101, 500])
@pytest.mark.parametrize("body", [steps, calls])
def test_fuel_ends_exactly_at_its_number_of_steps(kit, yield_every, fuel, body):
    s = kit.scheduler(yield_every=yield_every)
    s.set_fuel(fuel)
    assert s.wait(s.spawn(lambda: body(s, fuel))) == fuel
    s.set_fuel(2 * fuel)
    task = s.spawn(lambda: body(s, fuel + 1))
    with pytest.raises(LimitExceeded) as caught:
        s.wait(task)
    assert caught.value.limit == "fuel"
    assert s.stats().steps == 2 * fuel


def test_fuel_covers_all_tasks_together_and_raises_at_every_slice_end(s):
    s.set_fuel(1000)
    hits = []

    def body():
        for _ in range(3):
            try:
                steps(s)
            except LimitExceeded:
                hits.append(1)
        raise ValueError("out")

    for _ in range(4):
        s.spawn(body)
    s.run()
    assert len(hits) == 12
    assert s.stats().steps == 1000


def test_fuel_may_be_set_and_lifted_while_running(s, run):
    def body():
        steps(s, 10)
        s.set_fuel(25)
        with pytest.raises(LimitExceeded, match="25 allowed"):
            steps(s)
        s.set_fuel(None)
        return steps(s, 100)

    assert run(body) == 100
    assert s.stats().steps == 125


def test_charge_consumes_steps_and_fuel(s, run):
    def body():
        s.charge(30)
        assert s.registers["_it"].__length_hint__() == 70
        s.charge(1000)
        s.set_fuel(2000)
        s.charge(970)
        with pytest.raises(LimitExceeded):
            s.charge(1)

    run(body)
    assert s.stats().steps == 2001


def test_yield_costs_a_step_so_a_yielding_loop_uses_fuel(s, run):
    s.set_fuel(100)

    def body():
        while True:
            s.yield_now()

    with pytest.raises(LimitExceeded):
        run(body)


def test_wall_deadline_stops_busy_and_waiting_tasks(s):
    s.set_wall_deadline(2)
    busy = s.spawn(lambda: steps(s))
    waiting = s.spawn(lambda: s.sleep(100))
    stuck = s.spawn(lambda: s.shield(lambda: s.sync(choose(never, timer_event(500)))))
    s.run()
    for task in (busy, waiting, stuck):
        assert task.state == "error" and task.error.limit == "wall"
    assert s.driver.now() == pytest.approx(2, abs=0.01)
    late = s.spawn(lambda: 1)
    assert late.state == "error" and late.error.limit == "wall"
    s.set_wall_deadline(None)
    assert s.wait(s.spawn(lambda: (s.sleep(1), 5)[1])) == 5


def test_wall_deadline_reaches_into_a_barrier(s):
    s.set_wall_deadline(0.01)

    def body():
        with s.no_switch("host"):
            steps(s)

    with pytest.raises(LimitExceeded, match="wall"):
        s.wait(s.spawn(body))


def test_a_wall_deadline_does_not_hide_a_deadlock(s):
    s.set_wall_deadline(1000)
    with pytest.raises(Deadlock):
        s.wait(s.spawn(lambda: s.sync(never)))
    assert s.driver.now() < 1


# ---------------------------------------------------------------------- live tasks


def test_a_task_too_many_is_refused_until_another_has_ended(s, run):
    def body():
        s.set_tasks(3)
        first = s.spawn(lambda: s.sleep(1))
        s.spawn(lambda: s.sleep(2))
        for _ in range(2):
            with pytest.raises(LimitExceeded, match="4 live tasks, 3 allowed") as caught:
                s.spawn(lambda: None)
            assert caught.value.limit == "tasks"
        s.await_task(first)
        for _ in range(100):  # any number, one after the other
            s.await_task(s.spawn(lambda: None))
        s.set_tasks(None)
        s.await_all([s.spawn(lambda: None) for _ in range(100)])

    run(body)
    with pytest.raises(HostError):
        s.set_tasks(0)


def test_whoever_the_host_waits_for_hears_of_the_wall_limit_first(kit):
    s = kit.scheduler(keep_finished=10)
    s.set_wall_deadline(1)

    def body():
        for _ in range(2_000):
            s.spawn(lambda: s.sleep(100))
        steps(s)

    with pytest.raises(LimitExceeded):
        s.wait(s.spawn(body))
    assert s.live >= 2_000
    s.run()
    assert s.live == 0
    s.set_wall_deadline(None)


def test_of_very_many_failures_nobody_waited_for_the_last_are_kept(s, run):
    def fails():
        raise ValueError

    run(lambda: [s.spawn(fails) for _ in range(5_000)])
    s.run()
    kept = [task.seq for task in s.unobserved_failures()]
    assert 1_000 <= len(kept) < 2_000 and kept == list(range(5_002 - len(kept), 5_002))
    assert s.counters.dropped_failures == 5_000 - len(kept)
