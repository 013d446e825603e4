"""Externals: results, aborts, contexts, callbacks of the hub; under both drivers."""

from __future__ import annotations

import contextvars

import pytest

from omega.concurrency import (
    AsyncioDriver,
    VirtualDriver,
    choose,
    timer_event,
    wrap,
)
from omega.errors import Cancelled, TaskCancelled


@pytest.fixture(params=["virtual", "asyncio"])
def d(request, kit):
    """A scheduler under each driver: the contract of externals is one."""
    return kit.scheduler(driver=VirtualDriver() if request.param == "virtual" else AsyncioDriver())


def test_an_external_gives_its_result_and_its_error(d):
    async def good():
        await d.driver.sleep(0.01)
        return 42

    async def bad():
        await d.driver.sleep(0.01)
        raise KeyError("remote")

    def body():
        ended = []
        call = d.external(good, on_done=lambda e: ended.append(e.done))
        assert d.sync(call.event) == 42 and d.sync(call.event) == 42
        with pytest.raises(KeyError, match="remote"):
            d.sync(d.external(bad).event)
        return ended

    assert d.wait(d.spawn(body)) == [True]


def test_losing_a_choice_aborts_it_and_on_done_comes_after_its_cleanup(d):
    log = []

    async def slow():
        try:
            await d.driver.sleep(60)
        finally:
            await d.driver.sleep(0.02)
            log.append("cleaned")

    def body():
        call = d.external(slow, on_done=lambda e: log.append("done"))
        value = d.sync(choose(call.event, wrap(timer_event(0.01), lambda _: "timer")))
        log.append("went on")
        d.sleep(0.1)
        return value, call.done

    assert d.wait(d.spawn(body)) == ("timer", True)
    assert log == ["went on", "cleaned", "done"]


def test_cancelling_the_waiter_aborts_it_and_wakes_the_waiter_at_once(d):
    log = []

    async def slow():
        try:
            await d.driver.sleep(60)
        finally:
            await d.driver.sleep(0.02)
            log.append("cleaned")

    def waiter():
        try:
            d.sync(d.external(slow, on_done=lambda e: log.append("done")).event)
        finally:
            log.append("woken")

    def body():
        task = d.spawn(waiter)
        d.sleep(0.01)
        d.cancel(task)
        d.await_all([task], "settle")
        d.sleep(0.1)

    d.wait(d.spawn(body))
    assert log == ["woken", "cleaned", "done"]


def test_abort_is_idempotent_and_raises_cancelled_in_waiters(d):
    async def slow():
        await d.driver.sleep(60)

    def body():
        call = d.external(slow)
        d.sleep(0.01)
        assert call.abort("enough") is True
        assert call.abort() is False
        with pytest.raises(Cancelled, match="enough"):
            d.sync(call.event)
        assert call.abort() is False

    d.wait(d.spawn(body))


def test_abort_before_the_start_never_runs_the_coroutine(d):
    started, done = [], []

    async def never_runs():
        started.append(1)

    def body():
        call = d.external(never_runs, on_done=lambda e: done.append(1))
        call.abort("changed my mind")
        with pytest.raises(Cancelled):
            d.sync(call.event)

    d.wait(d.spawn(body))
    assert (started, done) == ([], [1])


def test_a_start_that_raises_is_the_externals_error(d):
    def bad():
        raise ValueError("no coroutine")

    with pytest.raises(ValueError, match="no coroutine"):
        d.wait(d.spawn(lambda: d.sync(d.external(bad).event)))


def test_the_coroutine_sees_the_context_of_the_task(d):
    var = contextvars.ContextVar("var", default="none")

    async def reads():
        await d.driver.sleep(0.001)
        return var.get()

    def body():
        var.set("task")
        return d.sync(d.external(reads).event)

    assert d.wait(d.spawn(body)) == "task"
    assert var.get() == "none"


def test_blocking_calls_return_and_raise(d):
    def bad():
        raise OSError("disk")

    def body():
        assert d.sync(d.blocking(lambda: 5).event) == 5
        with pytest.raises(OSError, match="disk"):
            d.sync(d.blocking(bad).event)

    d.wait(d.spawn(body))


def test_on_done_runs_exactly_once_for_every_kind_of_end(d):
    ends = []

    async def quick():
        return 1

    async def fails():
        raise ValueError

    async def slow():
        await d.driver.sleep(60)

    def body():
        calls = [
            d.external(f, on_done=lambda e: ends.append(calls.index(e)))
            for f in (quick, fails, slow)
        ]
        d.sleep(0.02)
        calls[2].abort()
        d.sleep(0.02)

    d.wait(d.spawn(body))
    assert sorted(ends) == [0, 1, 2]
    assert not d.externals


def test_hub_callbacks_make_tasks_ready(d):
    """A governor in small: when a call ends, its callback admits the next one through a cell."""
    queue, log = [], []
    free = 1

    def ended(_):
        nonlocal free
        if queue:
            queue.pop(0).put()
        else:
            free += 1

    def call(i):
        nonlocal free
        if free:
            free -= 1
        else:
            cell = d.cell("llm slot")
            queue.append(cell)
            d.sync(cell.event)
        log.append(i)
        d.sync(d.external(lambda: d.driver.sleep(0.002), on_done=ended).event)

    for i in range(5):
        d.spawn(lambda i=i: call(i))
    d.run()
    assert log == [0, 1, 2, 3, 4] and free == 1


def test_call_at_runs_on_the_hub_and_can_be_cancelled(d):
    seen = []

    def body():
        d.call_at(d.driver.now() + 0.01, lambda: seen.append(d.current))
        gone = d.call_later(0.01, lambda: seen.append("never"))
        gone.cancel()
        gone.cancel()
        d.sleep(0.03)

    d.wait(d.spawn(body))
    assert seen == [None]


def test_cancelled_while_waiting_for_a_call_can_be_awaited(d):
    async def slow():
        await d.driver.sleep(60)

    def body():
        task = d.spawn(lambda: d.sync(d.external(slow).event))
        d.sleep(0.01)
        d.cancel(task, "enough")
        with pytest.raises(TaskCancelled, match="enough"):
            d.await_task(task)

    d.wait(d.spawn(body))
