"""Scopes: who belongs to whom, unobserved failures, what an end waits for and raises."""

from __future__ import annotations

import sys

import pytest

from omega.errors import Cancelled, TasksFailed
from tests.concurrency.programs import bad


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
