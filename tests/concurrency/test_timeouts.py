"""Timeouts of bodies and of queues, deadlines of tasks."""

from __future__ import annotations

import pytest

from omega.errors import Cancelled, TaskCancelled, TimeoutExpired


def test_with_timeout_raises_and_converts_only_its_own_cancel(s, run):
    def body():
        with pytest.raises(TimeoutExpired, match="longer than 2 s"):
            s.with_timeout(2, lambda: s.sleep(10))
        assert s.driver.now() == pytest.approx(2, abs=0.001)
        with pytest.raises(TimeoutExpired, match="longer than 1 s"):
            s.with_timeout(1, lambda: s.with_timeout(5, lambda: s.sleep(10)))
        task = s.spawn(lambda: s.with_timeout(5, lambda: s.sleep(10)))
        s.yield_now()
        s.cancel(task, "outside")
        with pytest.raises(TaskCancelled, match="outside"):
            s.await_task(task)
        assert s.with_timeout(5, lambda: "in time") == "in time"
        s.sleep(10)
        return s.stats().timeouts

    assert run(body) == 2


def test_a_timeout_cancels_what_the_body_spawned(s, run):
    def body():
        made = []

        def inner():
            made.extend(s.spawn(lambda: s.sleep(100)) for _ in range(3))
            s.await_all(made)

        with pytest.raises(TimeoutExpired):
            s.with_timeout(1, inner)
        return [task.state for task in made]

    assert run(body) == ["cancelled"] * 3


def test_an_outer_cancel_wins_after_an_inner_timeout_has_been_handled(s, run):
    def body():
        def inner():
            try:
                s.with_timeout(1, lambda: s.sleep(10))
            except TimeoutExpired:
                pass
            s.sleep(100)

        with pytest.raises(TimeoutExpired, match="longer than 3 s"):
            s.with_timeout(3, inner)

    run(body)


def test_a_deadline_is_a_point_in_time(s, run):
    def body():
        s.sleep(2)
        with pytest.raises(TimeoutExpired):
            s.with_scope(lambda: s.sleep(100), deadline=5)
        with pytest.raises(TimeoutExpired):
            s.with_scope(lambda: s.sleep(100), deadline=1)  # over already
        return s.driver.now()

    assert run(body) == pytest.approx(5, abs=0.001)


def test_a_committed_result_beats_the_timeout_and_the_overrun_is_reported(s, run):
    events = []
    s.listeners.append(lambda event: events.append(event["event"]))

    def body():
        def inner():
            s.charge(5_000_000)
            return "late but paid"

        return s.with_timeout(2, lambda: s.atomic(lambda: late()))

    def late():
        for _ in range(3):
            s.charge(30_000)
        return "late but paid"

    def timed():
        return s.with_timeout(0.05, lambda: s.atomic(late))

    assert run(timed) == "late but paid"
    assert "TimeoutOverrun" in events or s.driver.now() < 0.1
    del body


def test_queue_timeout_counts_until_the_start(kit):
    s = kit.scheduler(max_concurrent_tasks=1)

    def busy():
        for _ in range(30):
            s.charge(100_000)

    s.spawn(busy)
    late = s.spawn(lambda: 1, queue_timeout=1)
    fine = s.spawn(lambda: s.sleep(2), queue_timeout=60)
    s.run()
    assert late.state == "error" and isinstance(late.error, TimeoutExpired)
    assert late.started_at is None
    assert fine.state == "completed"


# -- deadlines of tasks ----------------------------------------------------------------------------


def test_a_deadline_given_to_a_task_bounds_its_children_as_well(s):
    tasks = {}

    def grandchild():
        s.sleep(10)

    def child():
        tasks["grandchild"] = s.spawn(grandchild)
        s.sleep(10)

    def body():
        tasks["child"] = s.spawn(child)
        tasks["free"] = s.spawn(lambda: s.sleep(10), scope=s.root)
        s.sleep(10)

    owner = s.spawn(body, deadline=s.driver.now() + 1)

    def look():
        s._check()
        names = ("child", "grandchild", "free")
        tasks["states"] = [tasks[name].state for name in names]

    s.call_later(1.001, look)
    s.run()
    assert owner.state == "error" and isinstance(owner.error, TimeoutExpired)
    assert "had not ended by its deadline" in str(owner.error)
    assert tasks["states"] == ["cancelled", "cancelled", "suspended"]
    assert tasks["child"].error.reason == "the deadline of task 1 has passed"
    assert tasks["free"].state == "completed"
    assert not s.unobserved_failures() and s.stats().timeouts == 1


def test_the_earlier_of_two_deadlines_holds_and_children_outlive_the_task_it_was_given_to(s):
    ends = {}

    def child(name):
        try:
            s.sleep(10)
        finally:
            ends[name] = s.driver.now()

    def body():
        s.spawn(lambda: child("sooner"), deadline=0.5)
        s.spawn(lambda: child("later"), deadline=5)
        s.spawn(lambda: child("inherited"))

    owner = s.spawn(body, deadline=1)
    s.run()
    assert owner.state == "completed"
    assert ends == pytest.approx({"sooner": 0.5, "later": 1, "inherited": 1}, abs=0.001)


def test_a_deadline_counts_while_a_task_is_queued_and_ends_what_is_spawned_after_it(kit):
    s = kit.scheduler(max_concurrent_tasks=1)
    ran = []

    def stubborn():
        try:
            s.sleep(5)
        except Cancelled:
            ran.append(s.spawn(lambda: ran.append("never")))

    s.spawn(lambda: [s.charge(100_000) for _ in range(30)])
    queued = s.spawn(lambda: ran.append("never"), deadline=1)
    s.spawn(stubborn, deadline=4)
    s.run()
    assert queued.state == "error" and queued.started_at is None
    assert [task.state for task in ran] == ["cancelled"]
    assert s.timers.next_us() is None


def test_each_limit_converts_only_its_own_cancel(s, run):
    """A timeout inside, a deadline outside: what the outer one ends is no timeout of the inner."""

    def body():
        def inner():
            s.with_timeout(5, lambda: s.sleep(10))

        task = s.spawn(inner, deadline=s.driver.now() + 1, timeout=9, queue_timeout=3)
        with pytest.raises(TimeoutExpired, match="had not ended by its deadline"):
            s.await_task(task)
        nested = s.spawn(lambda: s.await_task(s.spawn(lambda: s.sleep(10))), timeout=1)
        with pytest.raises(TimeoutExpired, match="took longer than 1 s"):
            s.await_task(nested)

    run(body)
