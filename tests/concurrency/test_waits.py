"""Waiting for tasks and groups of them; events and how they compose."""

from __future__ import annotations

import pytest

from omega.concurrency import (
    always,
    choose,
    end_event,
    guard_event,
    never,
    task_event,
    timer_event,
    with_nack,
    wrap,
)
from omega.errors import Deadlock, HostError, LimitExceeded, TaskCancelled, TasksFailed


def sleeper(s, seconds, value=None):
    return s.spawn(lambda: (s.sleep(seconds), value)[1])


def failing(s, seconds, error):
    def body():
        s.sleep(seconds)
        raise error

    return s.spawn(body)


def test_awaiting_a_failed_task_raises_its_own_error_each_time_without_growing_tracebacks(s, run):
    boom = ValueError("boom")

    def body():
        task = failing(s, 1, boom)
        lengths = []
        for _ in range(3):
            with pytest.raises(ValueError) as caught:
                s.await_task(task)
            assert caught.value is boom
            at, n = boom.__traceback__, 0
            while at is not None:
                at, n = at.tb_next, n + 1
            lengths.append(n)
        return lengths

    lengths = run(body)
    assert len(set(lengths)) == 1


def test_awaiting_a_cancelled_task_raises_and_the_waiter_lives_on(s, run):
    def body():
        task = sleeper(s, 10)
        s.yield_now()
        s.cancel(task, "no more")
        with pytest.raises(TaskCancelled, match=r"no more \(by task 1\)") as caught:
            s.await_task(task)
        assert (caught.value.task_id, caught.value.reason, caught.value.by) == (
            "1.1",
            "no more",
            "1",
        )
        s.sleep(1)
        return "alive"

    assert run(body) == "alive"


def test_await_all_waits_for_the_rest_before_it_raises(s, run):
    def body():
        tasks = [
            failing(s, 1, ValueError("a")),
            sleeper(s, 5, "paid"),
            failing(s, 2, KeyError("b")),
        ]
        with pytest.raises(
            TasksFailed, match=r"2 of 3 tasks failed.*task 1.1: ValueError: a"
        ) as caught:
            s.await_all(tasks)
        assert [kind for kind, _ in caught.value.outcomes] == ["error", "ok", "error"]
        assert caught.value.outcomes[1] == ("ok", "paid")
        return s.driver.now()

    assert run(body) == pytest.approx(5)


def test_await_all_fail_fast_cancels_the_rest(s, run):
    def body():
        tasks = [sleeper(s, 50), failing(s, 1, ValueError("a")), sleeper(s, 60)]
        with pytest.raises(TasksFailed) as caught:
            s.await_all(tasks, "fail-fast")
        assert [kind for kind, _ in caught.value.outcomes] == ["cancelled", "error", "cancelled"]
        return s.driver.now()

    assert run(body) == pytest.approx(1, abs=0.001)


def test_await_all_settle_never_raises(s, run):
    def body():
        gone = sleeper(s, 9)
        tasks = [sleeper(s, 1, 1), failing(s, 1, ValueError("a")), gone]
        s.cancel(gone, "x")
        outcomes = s.await_all(tasks, "settle")
        assert outcomes[0] == ("ok", 1)
        assert outcomes[1][0] == "error" and isinstance(outcomes[1][1], ValueError)
        assert outcomes[2][0] == "cancelled" and isinstance(outcomes[2][1], TaskCancelled)

    run(body)
    assert s.unobserved_failures() == []


def test_await_all_of_nothing_is_nothing(s, run):
    assert run(lambda: s.await_all([])) == []
    with pytest.raises(HostError):
        run(lambda: s.await_all([], "sideways"))


def test_await_any_takes_the_first_to_complete_and_tells_which(s, run):
    def body():
        tasks = [failing(s, 1, ValueError("a")), sleeper(s, 3, "slow"), sleeper(s, 2, "fast")]
        task, value = s.await_any(tasks)
        assert task is tasks[2] and value == "fast"
        assert tasks[1].state == "suspended", "losers run on"

    run(body)


def test_await_any_ties_go_to_the_lowest_index(s, run):
    def body():
        tasks = [sleeper(s, 1, i) for i in range(3)]
        s.await_all(tasks)
        assert s.await_any(list(reversed(tasks)))[1] == 2
        assert s.await_first(tasks) is tasks[0]

    run(body)


def test_await_any_of_only_failures_raises_all_causes(s, run):
    def body():
        tasks = [failing(s, 2, ValueError("a")), failing(s, 1, KeyError("b"))]
        with pytest.raises(TasksFailed) as caught:
            s.await_any(tasks)
        assert [type(error) for _, error in caught.value.outcomes] == [ValueError, KeyError]

    run(body)


def test_await_first_takes_the_first_to_end_however(s, run):
    def body():
        tasks = [sleeper(s, 3), failing(s, 1, ValueError("a"))]
        assert s.await_first(tasks) is tasks[1]

    run(body)


def test_race_cancels_the_losers_and_waits_for_their_cleanup(s, run):
    cleaned = []

    def loser():
        try:
            s.sleep(100)
        finally:
            s.shielded(lambda: s.sleep(1))
            cleaned.append(s.driver.now())

    def body():
        value = s.race([loser, lambda: (s.sleep(2), "won")[1], loser])
        assert len(cleaned) == 2
        return value, s.driver.now()

    value, at = run(body)
    assert value == "won" and at == pytest.approx(3, abs=0.001)


def test_race_of_only_failures_raises(s, run):
    def bad():
        raise ValueError("x")

    with pytest.raises(TasksFailed):
        run(lambda: s.race([bad, bad]))


def test_par_map_keeps_order_and_the_bound(s, run):
    inside = peak = 0

    def f(i):
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        s.sleep(10 - i)
        inside -= 1
        return i * i

    assert run(lambda: s.par_map(f, range(10), max_par=3)) == [i * i for i in range(10)]
    assert peak == 3


def test_par_map_first_error_cancels_the_rest(s, run):
    ended = []

    def f(i):
        s.sleep(i)
        if i == 2:
            raise ValueError("two")
        ended.append(i)

    def body():
        with pytest.raises(ValueError, match="two"):
            s.par_map(f, range(1, 6))
        return s.driver.now()

    assert run(body) == pytest.approx(2, abs=0.001)
    assert ended == [1]


def test_par_map_keeps_errors_when_told(s, run):
    def f(i):
        if i == 1:
            raise ValueError("one")
        return i

    outcomes = run(lambda: s.par_map(f, range(3), max_par=1, on_error="keep"))
    assert [kind for kind, _ in outcomes] == ["ok", "error", "ok"]


def test_par_map_from_a_cancelled_task_leaves_nothing_behind(s, run):
    def body():
        task = s.spawn(lambda: s.par_map(lambda i: s.sleep(100), range(10), max_par=2))
        s.sleep(1)
        s.cancel(task)
        with pytest.raises(TaskCancelled):
            s.await_task(task)
        assert [each.id for each in s.all_tasks()] == ["1"]

    run(body)


# ---------------------------------------------------------------------- events


def test_always_never_and_wrap(s, run):
    assert run(lambda: s.sync(always(3))) == 3
    assert run(lambda: s.sync(wrap(wrap(always(3), lambda x: x + 1), lambda x: x * 10))) == 40
    assert run(lambda: s.sync(choose(never, always(1), always(2)))) == 1
    assert (
        run(lambda: s.sync(choose(never, choose(never, wrap(timer_event(1), lambda _: "t")))))
        == "t"
    )


def test_guard_event_is_made_anew_at_every_sync(s, run):
    made = []

    def make():
        made.append(len(made))
        return always(len(made))

    def body():
        event = guard_event(make)
        return s.sync(event), s.sync(choose(never, event))

    assert run(body) == (1, 2)


def test_losing_nacks_happen_and_the_winners_do_not(s, run):
    told = []

    def branch(name, event):
        def make(nack):
            s.spawn(lambda: (s.sync(nack), told.append(name)))
            return event

        return with_nack(make)

    def body():
        chosen = s.sync(
            choose(
                branch("slow", wrap(timer_event(5), lambda _: "slow")),
                branch("fast", wrap(timer_event(1), lambda _: "fast")),
                branch("never", never),
            )
        )
        s.sleep(1)
        for task in s.all_tasks():
            if task is not s.current:
                s.cancel(task)
        return chosen

    assert run(body) == "fast"
    assert told == ["slow", "never"]


def test_all_nacks_happen_when_the_wait_is_cancelled(s, run):
    told = []

    def make(nack):
        s.spawn(lambda: (s.sync(nack), told.append("nack")))
        return never

    def body():
        task = s.spawn(lambda: s.sync(choose(with_nack(make), never)))
        s.sleep(1)
        s.cancel(task)
        s.sleep(1)

    run(body)
    assert told == ["nack"]


def test_a_guard_that_raises_refuses_the_nacks_made_so_far(s, run):
    told = []

    def make(nack):
        s.spawn(lambda: (s.sync(nack), told.append("nack")))
        return never

    def bad():
        raise ValueError("guard")

    def body():
        with pytest.raises(ValueError):
            s.sync(choose(with_nack(make), guard_event(bad)))
        s.sleep(1)

    run(body)
    assert told == ["nack"]


def test_choice_nested_100_000_deep_is_flat(s, run):
    event = always("deep")
    for _ in range(100_000):
        event = choose(event)
    assert run(lambda: s.sync(event)) == "deep"


def test_one_completer_wins_and_late_wake_ups_are_counted(s, run):
    def body():
        a, b = s.cell(), s.cell()
        waiter = s.spawn(lambda: s.sync(choose(a.event, b.event)))
        s.yield_now()
        gen = waiter.gen
        a.put("first")
        assert s.claim(waiter, gen, 1) is False
        b.put("second")
        return s.await_task(waiter)

    assert run(body) == "first"
    assert s.stats().late_wakeups == 1


def test_cells_are_put_once_from_tasks_or_the_hub(s, run):
    def body():
        cell = s.cell("an answer")
        s.call_later(1, lambda: cell.put("hub"))
        values = [s.sync(cell.event), s.sync(cell.event)]
        assert cell.put("again") is False
        bad = s.cell()
        bad.fail(ValueError("cell"))
        with pytest.raises(ValueError, match="cell"):
            s.sync(bad.event)
        return values

    assert run(body) == ["hub", "hub"]


def test_self_await_is_an_immediate_deadlock(s, run):
    def body():
        with pytest.raises(Deadlock, match="task 1 waits for itself"):
            s.await_task(s.current)
        return s.driver.now()

    assert run(body) == 0


def test_a_cycle_is_found_at_once_and_named(s, run):
    def body():
        tasks = {}
        tasks["a"] = s.spawn(lambda: s.await_task(tasks["b"]), name="a", span="f:3:1")
        tasks["b"] = s.spawn(lambda: s.await_task(tasks["a"]), name="b")
        s.spawn(lambda: s.sleep(100), daemon=True)
        with pytest.raises(Deadlock) as caught:
            s.await_task(tasks["a"])
        assert caught.value.message.splitlines() == [
            "a cycle of waits",
            '  task 1.2 "b" waits for task 1.1 "a"',
            '  task 1.1 "a" waits for task 1.2 "b" (spawned at f:3:1)',
        ]
        assert "do not wait for it" in caught.value.hint
        return s.driver.now()

    assert run(body) < 1


def test_await_all_of_oneself_is_a_cycle_too(s, run):
    def body():
        other = sleeper(s, 1)
        with pytest.raises(Deadlock, match="waits for itself"):
            s.await_all([other, s.current])
        return s.driver.now()

    assert run(body) < 1


def test_taking_a_mutex_twice_or_in_a_circle_is_an_immediate_deadlock(s, run):
    from omega.concurrency import Mutex

    def body():
        a, b = Mutex(s, "a"), Mutex(s, "b")
        a.acquire()
        with pytest.raises(Deadlock, match="waits for itself: it holds a already"):
            a.acquire()

        def other():
            b.acquire()
            a.acquire()

        s.spawn(other)
        s.yield_now()
        with pytest.raises(Deadlock) as caught:
            b.acquire()
        assert caught.value.message.splitlines() == [
            "a cycle of waits",
            "  task 1 waits for b, held by task 1.1",
            "  task 1.1 waits for a, held by task 1",
        ]
        assert "in the same order" in caught.value.hint
        a.release()
        return s.driver.now()

    assert run(body) < 1


def test_waits_outside_of_tasks_are_refused(s):
    for wait in (s.yield_now, lambda: s.sleep(1), lambda: s.sync(never)):
        with pytest.raises(HostError, match="only a task can"):
            wait()


def test_end_event_and_task_event(s, run):
    def body():
        bad = failing(s, 1, ValueError("x"))
        assert s.sync(end_event(bad)) is bad
        with pytest.raises(ValueError):
            s.sync(choose(task_event(bad), never))

    run(body)


def test_stale_waiters_and_timers_do_not_pile_up(s, run):
    def body():
        cell, channel = s.cell(), s.channel()
        forever = s.spawn(lambda: s.sync(cell.event))
        for _ in range(2000):
            s.sync(
                choose(channel.recv_event(), cell.event, task_event(forever), timer_event(0.001))
            )
            s.sync(choose(timer_event(1000), timer_event(0.001)))
        assert len(channel.receivers.entries) < 50
        assert len(cell.waiters.entries) < 50
        assert len(forever.waiters.entries) < 50
        assert len(s.timers.heap) < 200
        cell.put(1)

    run(body)


# ---------------------------------------------------------------------- work that is paid for


def test_taking_a_composed_event_apart_meets_the_limits(kit):
    s = kit.scheduler()

    def doubled():
        event = never
        for _ in range(30):
            event = choose(event, event)
        s.sync(event)

    s.set_fuel(1_000)
    with pytest.raises(LimitExceeded, match="fuel"):
        s.wait(s.spawn(doubled))
    s.set_fuel(None)
    endless = guard_event(lambda: endless)
    s.set_fuel(s.steps + 1_000)
    with pytest.raises(LimitExceeded, match="fuel"):
        s.wait(s.spawn(lambda: s.sync(endless)))
    s.set_fuel(None)


def test_a_supervisor_does_not_start_again_what_met_a_limit(kit):
    s = kit.scheduler()
    s.set_fuel(500)

    def child():
        raise ValueError

    with pytest.raises(LimitExceeded, match="fuel"):
        s.wait(s.spawn(lambda: s.supervise([lambda: (s.charge(10), child())], intensity=10**6)))
    s.set_fuel(None)
