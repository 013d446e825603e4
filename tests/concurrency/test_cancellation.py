"""Cancellation: what a request reaches and when it is heeded; what is shielded from it."""

from __future__ import annotations

import pytest

from omega.concurrency.scopes import CLEANUP_S
from omega.errors import Cancelled, TaskCancelled, TimeoutExpired


def test_cancel_is_level_triggered(s, run):
    hits = []

    def stubborn():
        for _ in range(3):
            try:
                s.sleep(100)
            except Cancelled:
                hits.append("wait")
        try:
            s.yield_now()
        except Cancelled:
            hits.append("yield")
        s.check_cancellation()

    def body():
        task = s.spawn(stubborn)
        s.yield_now()
        s.cancel(task)
        with pytest.raises(TaskCancelled):
            s.await_task(task)

    run(body)
    assert hits == ["wait"] * 3 + ["yield"]


def test_cancel_carries_who_why_when(s, run):
    def body():
        task = s.spawn(lambda: s.sleep(100))
        s.sleep(2)
        assert s.cancel(task, "why") is True
        assert s.cancel(task, "again") is False
        s.yield_now()
        request = task.outcome
        assert (request.by, request.reason) == ("1", "why")
        assert request.when_us == pytest.approx(2_000_000, abs=10)
        assert isinstance(task.error, TaskCancelled)

    run(body)


def test_cancel_of_a_pending_task_ends_it_at_once(s, run):
    ran = []

    def body():
        task = s.spawn(lambda: ran.append(1))
        assert s.cancel(task) is True
        assert task.state == "cancelled" and task.started_at is None
        s._check()
        s.yield_now()

    run(body)
    assert ran == []


def test_cancel_of_a_completed_task_is_false(s, run):
    def body():
        task = s.spawn(lambda: 1)
        s.await_task(task)
        return s.cancel(task)

    assert run(body) is False


def test_cancel_by_id_and_unknown_ids(s, run):
    from omega.errors import TaskError

    def body():
        s.spawn(lambda: s.sleep(9))
        assert s.cancel("1.1") is True
        with pytest.raises(TaskError, match="there is no task 7") as caught:
            s.cancel("7")
        return caught.value.kind

    assert run(body) == "unknown-task"


def test_cancelling_a_task_goes_down_into_its_scopes_at_once(s, run):
    order = []

    def child(i):
        try:
            s.sleep(100)
        finally:
            order.append(i)

    def parent():
        def inner():
            for i in range(3):
                s.spawn(lambda i=i: child(i))
            s.with_scope(lambda: (s.spawn(lambda: child("deep")), s.sleep(100)))

        s.with_scope(inner)

    def body():
        task = s.spawn(parent)
        s.sleep(1)
        s.cancel(task, "down")
        s._check()
        with pytest.raises(TaskCancelled, match="down"):
            s.await_task(task)
        return s.driver.now()

    assert run(body) == pytest.approx(1, abs=0.001)
    assert order == ["deep", 2, 1, 0]


def test_a_task_spawned_inside_a_cancelled_scope_never_starts(s, run):
    ran = []

    def parent():
        try:
            s.with_scope(lambda: s.sleep(100))
        finally:
            late.append(s.spawn(lambda: ran.append(1)))

    late = []

    def body():
        task = s.spawn(lambda: s.with_scope(parent))
        s.yield_now()
        s.cancel(task)
        s.await_all([task], "settle")

    run(body)
    assert ran == [] and late[0].state == "cancelled"


# -- shields, cleanup, atomic sections -------------------------------------------------------------


def test_shield_delays_cancellation_until_it_ends(s, run):
    log = []

    def body():
        def shielded():
            s.shield(lambda: (s.sleep(5), log.append("done")))
            log.append("after")
            s.sleep(0)
            log.append("never")

        task = s.spawn(shielded)
        s.sleep(1)
        s.cancel(task)
        s._check()
        s.await_all([task], "settle")
        return task.state, s.driver.now()

    state, at = run(body)
    assert state == "cancelled" and at == pytest.approx(5, abs=0.001)
    assert log == ["done", "after"]


def test_a_shielded_scope_keeps_its_own_timeout(s, run):
    def body():
        with pytest.raises(TimeoutExpired):
            s.shield(lambda: s.with_timeout(1, lambda: s.sleep(10)))

    run(body)


def test_cleanup_is_shielded_with_a_deadline(s, run):
    log = []

    def body():
        def cleaner():
            try:
                s.sleep(100)
            finally:
                try:
                    s.shielded(lambda: s.sleep(60))
                finally:
                    log.append(s.driver.now())

        task = s.spawn(cleaner)
        s.sleep(1)
        s.cancel(task)
        s.await_all([task], "settle")
        return task.state

    assert run(body) == "cancelled"
    assert log == [pytest.approx(1 + CLEANUP_S, abs=0.001)]


def test_cleanups_clock_starts_at_the_cancel_not_before(s, run):
    def body():
        task = s.spawn(lambda: s.shielded(lambda: s.sleep(60)))
        s.sleep(50)
        s.cancel(task)
        s.await_all([task], "settle")
        return s.driver.now()

    assert run(body) == pytest.approx(50 + CLEANUP_S, abs=0.001)


def test_cleanup_without_a_cancel_has_no_deadline(s, run):
    assert run(lambda: s.shielded(lambda: (s.sleep(60), "calm")[1])) == "calm"


def test_cleanup_that_never_looks_is_reported(s, run):
    events = []
    s.listeners.append(lambda event: events.append(event["event"]))

    def body():
        def inner():
            s.sleep(6)
            return 1

        task = s.spawn(lambda: s.shielded(inner))
        s.yield_now()
        s.cancel(task)
        s.await_all([task], "settle")

    run(body)
    assert "CleanupOverrun" in events


def test_atomic_sections_are_not_sliced_not_cancelled_and_may_not_wait(s, run):
    from omega.errors import LimitExceeded, TaskError

    order = []

    def body():
        s.spawn(lambda: order.append("other"))

        def section():
            s.cancel(s.current, "inside")
            for _ in range(5):
                s.charge(100)
            order.append("section")
            with pytest.raises(TaskError) as caught:
                s.sleep(1)
            return caught.value.kind

        kind = s.atomic(section)
        order.append("after")
        with pytest.raises(Cancelled):
            s.charge(200)
        return kind

    assert run(body) == "cannot-suspend-here"
    assert order[:2] == ["section", "after"]

    def endless():
        while True:
            s.charge(100)

    with pytest.raises(LimitExceeded, match="atomic"):
        run(lambda: s.atomic(endless))


def test_no_switch_keeps_the_processor_and_names_the_host_function(s, run):
    from omega.errors import TaskError

    order, events = [], []
    s.listeners.append(lambda event: events.append(event))

    def body():
        s.spawn(lambda: order.append("other"))
        with s.no_switch("my_callback"):
            for _ in range(20):
                s.charge(100)
            s.yield_now()
            order.append("callback")
            with pytest.raises(TaskError, match="`my_callback`") as caught:
                s.sleep(1)
            assert caught.value.kind == "cannot-suspend-here"
        s.yield_now()

    run(body)
    assert order == ["callback", "other"]
    assert [e["by"] for e in events if e["event"] == "SliceOverrun"] == ["my_callback"]
