"""Scopes, cancellation, timeouts, shields, unobserved failures."""

from __future__ import annotations

import sys

import pytest

from omega.concurrency.scopes import CLEANUP_S
from omega.errors import Cancelled, TaskCancelled, TasksFailed, TimeoutExpired


def bad(error):
    def body():
        raise error

    return body


def test_a_scope_ends_after_its_tasks(s, run):
    def body():
        ended = []
        value = s.with_scope(lambda: (s.spawn(lambda: (s.sleep(3), ended.append(1))), "value")[1])
        return value, ended, s.driver.now()

    value, ended, at = run(body)
    assert (value, ended) == ("value", [1]) and at == pytest.approx(3)


def test_children_belong_to_the_current_scope_and_detached_ones_to_the_root(s, run):
    def body():
        made = []

        def inner():
            made.append(s.spawn(lambda: s.sleep(1)))
            made.append(s.spawn(lambda: s.sleep(50), scope=s.root))

        s.with_scope(inner)
        return [task.state for task in made]

    assert run(body) == ["completed", "suspended"]


def test_a_failing_body_cancels_its_tasks_and_waits_for_them(s, run):
    cleaned = []

    def child():
        try:
            s.sleep(100)
        finally:
            s.shielded(lambda: s.sleep(2))
            cleaned.append(s.driver.now())

    def body():
        def inner():
            s.spawn(child)
            s.sleep(1)
            raise ValueError("body")

        with pytest.raises(ValueError, match="body"):
            s.with_scope(inner)

    run(body)
    assert cleaned == [pytest.approx(3, abs=0.001)]


def test_an_unobserved_failure_cancels_the_scope_body_included_and_is_raised_at_its_end(s, run):
    seen = []

    def body():
        def inner():
            s.spawn(bad(ValueError("child")), name="kid")
            sibling.append(s.spawn(lambda: s.sleep(100)))
            try:
                s.sleep(50)
            except Cancelled as cancelled:
                seen.append(cancelled.reason)
                raise

        sibling = []
        with pytest.raises(ValueError, match="child"):
            s.with_scope(inner)
        assert sibling[0].state == "cancelled"
        return s.driver.now()

    assert run(body) < 1
    assert seen == ["task 1.1 \"kid\" failed: ValueError('child')"]
    assert s.unobserved_failures() == []


def test_several_unobserved_failures_are_raised_together(s, run):
    def body():
        def child(i):
            try:
                s.sleep(i)
            except Cancelled:
                pass
            raise ValueError(i)

        def inner():
            for i in range(3):
                s.spawn(lambda i=i: child(i))

        with pytest.raises(TasksFailed, match="3 of 3") as caught:
            s.with_scope(inner)
        assert [str(error) for _, error in caught.value.outcomes] == ["0", "2", "1"]

    run(body)


def test_an_observed_failure_does_not_end_the_scope(s, run):
    def body():
        def inner():
            task = s.spawn(bad(ValueError("x")))
            with pytest.raises(ValueError):
                s.await_task(task)
            s.sleep(1)
            return "went on"

        return s.with_scope(inner)

    assert run(body) == "went on"


def test_the_root_only_reports_failures_in_spawn_order(s):
    def late():
        s.sleep(1)
        raise KeyError("late")

    first = s.spawn(late)
    second = s.spawn(bad(ValueError("x")))
    read = s.spawn(bad(ValueError("read")))
    gone = s.spawn(lambda: s.sleep(10))
    s.call_later(2, lambda: s.cancel(gone))
    s.run()
    assert isinstance(read.error, ValueError)
    assert s.unobserved_failures() == [first, second]


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


def test_cancelling_a_scope_cancels_its_body_and_tasks(s, run):
    def body():
        def inner():
            scope.append(s.current.inner)
            made.append(s.spawn(lambda: s.sleep(100)))
            s.sleep(100)

        scope, made = [], []
        task = s.spawn(lambda: s.with_scope(inner))
        s.sleep(1)
        assert s.cancel_scope(scope[0], "scope") is True
        assert s.cancel_scope(scope[0]) is False
        s.await_all([task], "settle")
        return task.state, made[0].state

    assert run(body) == ("cancelled", "cancelled")


def test_cancelling_many_children_is_linear(kit):
    s = kit.scheduler(max_started_tasks=1_000_000)

    def calls(n):
        """How many calls of Python functions it takes."""
        count = 0

        def called(frame, event, argument):
            nonlocal count
            count += event == "call"

        def body():
            def inner():
                for _ in range(n):
                    s.spawn(lambda: None)
                s.cancel_scope(s.current.inner, "all")

            sys.setprofile(called)
            try:
                with pytest.raises(Cancelled):
                    s.with_scope(lambda: (inner(), s.yield_now()))
            finally:
                sys.setprofile(None)
            return count

        return s.wait(s.spawn(body))

    assert calls(20_000) < 10.5 * calls(2_000)
    s._check()


def test_the_exception_that_leaves_a_scope_has_no_context_chain(s, run):
    def body():
        try:
            s.with_scope(bad(ValueError("x")))
        except ValueError as error:
            return error.__context__, error.__cause__

    assert run(body) == (None, None)


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


# ---------------------------------------------------------------------- deadlines of tasks


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
