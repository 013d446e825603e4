"""The end of a scheduler, and what must not keep it from ending: shields, posts, host mistakes."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref

import pytest

from omega import Interpreter
from omega.concurrency import (
    AsyncioDriver,
    ConcurrencyManager,
    Scheduler,
    SchedulerConfig,
    VirtualDriver,
    closing,
    never,
)
from omega.errors import (
    Closed,
    Deadlock,
    HostError,
    TaskError,
)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(closing, "CLOSE_S", 0.05)
    monkeypatch.setattr(closing, "GUEST_CLOSE_S", 0.02)
    monkeypatch.setattr(closing, "GIVE_UP_S", 0.05)


@pytest.mark.parametrize("driver", [VirtualDriver, AsyncioDriver])
def test_a_shield_does_not_keep_a_scheduler_from_closing(driver):
    s = Scheduler(driver=driver())
    ended = []

    def sleeps():
        s.shield(lambda: s.sleep(1e6))

    def spins():
        def forever():
            while True:
                s.charge(10)

        try:
            s.shield(forever)
        finally:
            ended.append("spins")

    s.spawn(sleeps)
    s.spawn(spins)
    s.wait(s.spawn(lambda: s.yield_now()))
    s.close()
    assert s.live == 0 and ended == ["spins"] and not s._stacks


def test_inside_a_running_loop_a_spinning_shield_holds_the_close_up_for_a_moment_only():
    async def main():
        s = Scheduler()

        def spins():
            while True:
                s.charge(10)

        task = s.spawn(lambda: s.shield(spins))
        waiting = asyncio.ensure_future(s.wait_async(task))
        await asyncio.sleep(0)
        s.close()
        assert task.is_done and not s._stacks
        waiting.cancel()

    asyncio.run(main())


def test_what_does_not_end_when_told_is_left_behind_with_a_warning():
    s = Scheduler(driver=AsyncioDriver())
    release = threading.Event()

    async def stubborn():
        while True:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                pass

    s.external(stubborn, waits_for="stubborn")
    s.blocking(lambda: release.wait(10), waits_for="a slow disk")
    s.wait(s.spawn(lambda: s.sleep(0.01)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        s.close()
    release.set()
    messages = [str(each.message) for each in caught]
    assert "closed while still running: a slow disk, stubborn" in messages
    assert s.closed


def test_what_is_posted_while_it_closes_is_dropped():
    manager = ConcurrencyManager()
    manager.submit(lambda: manager.delay(1000))
    manager.wait(manager.submit(lambda: 1))
    manager.submit_threadsafe(lambda: 1)
    manager.close()
    assert manager.scheduler.live == 0 and not manager.scheduler._stacks


def test_one_posted_call_that_fails_keeps_no_other_from_being_made():
    with ConcurrencyManager(driver=VirtualDriver()) as manager:
        done = []
        manager.scheduler.post(lambda: done.append(1))
        manager.scheduler.post(lambda: 1 / 0)
        manager.scheduler.post(lambda: done.append(2))
        with pytest.raises(ZeroDivisionError):
            manager.run()
        assert done == [1, 2]
        with pytest.raises(TypeError, match="bogus"):
            manager.submit_threadsafe(lambda: 1, bogus=2)


def test_an_exit_reaches_the_host_once(kit):
    s = kit.scheduler()

    def leaves():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        s.wait(s.spawn(lambda: s.await_task(s.spawn(leaves))))
    assert s.wait(s.spawn(lambda: 42)) == 42


def test_a_wait_behind_a_shield_in_a_scope_is_a_deadlock_that_is_reported(kit):
    s = kit.scheduler()

    def body():
        s.with_scope(lambda: s.spawn(lambda: s.shield(lambda: s.channel().recv())))

    with pytest.raises(Deadlock):
        s.wait(s.spawn(body))


@pytest.mark.parametrize("kind", ["atomic", "barrier"])
def test_a_scope_that_may_not_wait_ends_its_tasks_and_is_left(kit, kind):
    s = kit.scheduler()
    ran = []

    def body():
        with pytest.raises(TaskError, match="cannot wait"):
            inner = lambda: s.with_scope(lambda: s.spawn(lambda: ran.append(1)))  # noqa: E731
            if kind == "atomic":
                s.atomic(inner)
            with s.no_switch("host"):
                inner()
        s.sleep(1)
        return s.with_scope(lambda: "left in order")

    assert s.wait(s.spawn(body)) == "left in order"
    assert ran == []


def test_slices_have_an_upper_bound():
    with pytest.raises(HostError, match="at most 1,000,000 steps"):
        SchedulerConfig(yield_every=10**9)


def test_calls_under_virtual_time_leave_nothing_behind(kit):
    s = kit.scheduler()

    async def call():
        await s.driver.sleep(0.01)
        return 1

    def body():
        return sum(s.sync(s.external(call).event) for _ in range(50))

    assert s.wait(s.spawn(body)) == 50
    assert not s.driver._running


def test_close_unwinds_every_stack_in_order_and_twice_is_fine():
    log = []
    s = Scheduler(driver=VirtualDriver())

    def body(i):
        try:
            s.sleep(100)
        finally:
            s.shielded(lambda: s.sleep(0.01))
            log.append(i)

    for i in range(3):
        s.spawn(lambda i=i: body(i))
    pending = []
    s.wait(s.spawn(lambda: pending.append(s.spawn(lambda: log.append("never")))))
    s.close()
    s.close()
    assert log == [2, 1, 0] or sorted(map(str, log)) == ["0", "1", "2"]
    assert not s._stacks
    with pytest.raises(Closed):
        s.spawn(lambda: 1)


def test_close_breaks_off_a_task_that_swallows_every_cancel():
    s = Scheduler(driver=VirtualDriver())

    def stubborn():
        while True:
            try:
                s.sync(never)
            except BaseException as error:
                if type(error).__name__ == "GreenletExit":
                    raise

    s.spawn(stubborn)
    s.wait(s.spawn(lambda: 1))
    s.close()
    assert not s._stacks


def test_a_task_cannot_close_its_own_scheduler(s, run):
    def body():
        with pytest.raises(HostError):
            s.close()

    run(body)


def test_a_scheduler_that_nobody_closes_is_collected_once_its_tasks_have_ended():
    def used():
        s = Scheduler(driver=VirtualDriver())
        s.wait(s.spawn(lambda: s.await_all([s.spawn(lambda: s.sleep(1)) for _ in range(3)])))
        return [weakref.ref(s), *(weakref.ref(stack) for stack in s._stacks)]

    kept = used()
    assert len(kept) == 5
    gc.collect()
    assert not any(each() for each in kept)


def test_an_interpreter_that_nobody_closes_is_collected_once_its_tasks_have_ended():
    omega = Interpreter(virtual_time=True)
    assert omega.eval("(await (async (lambda () (sleep 10) 1)))") == 1
    kept = weakref.ref(omega)
    del omega
    gc.collect()
    assert kept() is None
