"""The traps of greenlets and asyncio that architecture.md lists, one test each; deep recursion."""

from __future__ import annotations

import contextvars
import gc
import sys
import time
import tracemalloc
import weakref

import pytest

from omega.concurrency import AsyncioDriver, Scheduler, SchedulerConfig, VirtualDriver, never
from omega.errors import Cancelled, LimitExceeded, TaskCancelled, TasksFailed
from tests.concurrency.programs import run_python

PRINT_DEEP = """
import sys
from omega.concurrency import Scheduler, VirtualDriver
def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)
s = Scheduler(driver=VirtualDriver())
before = sys.getrecursionlimit()
print(s.wait(s.spawn(lambda: deep(1_000_000))))
assert sys.getrecursionlimit() == before
"""


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def test_recursion_of_a_million_frames_works_in_a_task():
    assert run_python(PRINT_DEEP) == "1000000"


def test_recursion_beyond_the_limit_is_an_ordinary_recursion_error():
    s = Scheduler(driver=VirtualDriver(), depth_max=20_000)
    task = s.spawn(lambda: deep(100_000))
    with pytest.raises(RecursionError):
        s.wait(task)
    assert s.wait(s.spawn(lambda: deep(15_000))) == 15_000
    s._check()
    s.close()


def test_the_hosts_recursion_limit_is_back_whenever_the_host_runs(s):
    host = sys.getrecursionlimit()
    seen = []
    s.call_later(1, lambda: seen.append(sys.getrecursionlimit()))
    s.wait(s.spawn(lambda: (s.sleep(2), seen.append(sys.getrecursionlimit()))))
    assert seen[0] == host and seen[1] > host
    assert sys.getrecursionlimit() == host


def test_new_stacks_start_from_the_shallow_hub_not_from_the_spawner(kit):
    """A greenlet inherits the recursion depth of whoever starts it."""
    s = Scheduler(driver=VirtualDriver(), depth_max=30_000)

    def dig(n):
        if n == 0:
            return s.await_task(s.spawn(lambda: deep(25_000)))
        return dig(n - 1)

    assert s.wait(s.spawn(lambda: dig(25_000))) == 25_000
    s.close()


def test_deep_tasks_can_switch_and_be_cancelled(s, run):
    def dig(n):
        if n == 0:
            s.sleep(100)
        return dig(n - 1)

    def body():
        tasks = [s.spawn(lambda: dig(5_000)) for _ in range(3)]
        s.sleep(1)
        for task in tasks:
            s.cancel(task)
        s.await_all(tasks, "settle")

    run(body)


def test_a_fresh_stack_has_the_context_of_the_spawner(s, run):
    var = contextvars.ContextVar("var", default="default")

    def child():
        before = var.get()
        var.set("child")
        s.yield_now()
        return before, var.get()

    def body():
        var.set("parent")
        first = s.spawn(child)
        var.set("changed")
        second = s.spawn(child)
        return s.await_task(first), s.await_task(second), var.get()

    assert run(body) == (("parent", "child"), ("changed", "child"), "changed")
    assert var.get() == "default"
    assert run(lambda: var.get()) == "default", "a pooled stack keeps nothing of its last task"


def test_exception_state_is_each_tasks_own_across_switches(s, run):
    def body():
        def other():
            try:
                raise KeyError("other")
            except KeyError:
                s.yield_now()
                return sys.exc_info()[1]

        task = s.spawn(other)
        try:
            raise ValueError("mine")
        except ValueError:
            s.yield_now()
            mine = sys.exc_info()[1]
        return repr(mine), repr(s.await_task(task))

    assert run(body) == ("ValueError('mine')", "KeyError('other')")


def test_kernel_exceptions_have_no_context_and_do_not_chain_over_retries(s, run):
    contexts = []

    def stubborn():
        for _ in range(5):
            try:
                s.sleep(1)
            except Cancelled as cancelled:
                contexts.append((cancelled.__context__, cancelled.__cause__))

    def body():
        task = s.spawn(stubborn)
        s.yield_now()
        s.cancel(task)
        s.await_all([task], "settle")

    run(body)
    assert contexts == [(None, None)] * 5


def test_finished_tasks_and_what_they_held_are_freed_without_the_collector():
    s = Scheduler(SchedulerConfig(keep_finished=0), driver=VirtualDriver())

    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    gc.disable()
    try:
        task = s.spawn(lambda held=held: s.sleep(1))
        s.wait(task)
        handle = weakref.ref(task)
        del held, task
        assert gone() is None and handle() is None
    finally:
        gc.enable()
    s.close()


def test_cancelled_tasks_are_freed_without_the_collector():
    s = Scheduler(SchedulerConfig(keep_finished=0), driver=VirtualDriver())

    def body():
        task = s.spawn(lambda: s.sync(never))
        s.sleep(1)
        s.cancel(task)
        s.sleep(1)
        return weakref.ref(task)

    gc.collect()
    gc.disable()
    try:
        handle = s.wait(s.spawn(body))
        assert handle() is None
    finally:
        gc.enable()
    s.close()


def test_no_stack_is_left_to_the_collector():
    s = Scheduler(driver=VirtualDriver())
    log = []

    def body():
        try:
            s.sleep(100)
        finally:
            log.append(s.current is not None)

    for _ in range(5):
        s.spawn(body)
    s.wait(s.spawn(lambda: s.sleep(1)))
    stacks = [weakref.ref(stack) for stack in s._stacks]
    s.close()
    assert log == [True] * 5, "cleanup ran as its own task"
    gc.collect()
    assert all(ref() is None or ref().dead for ref in stacks)


def test_worker_stacks_are_pooled():
    s = Scheduler(driver=VirtualDriver())

    def body():
        for _ in range(50):
            s.await_all([s.spawn(lambda: s.sleep(1)) for _ in range(4)])
        return len(s._stacks)

    assert s.wait(s.spawn(body)) <= 6
    s.close()


def test_a_busy_task_alone_never_switches_at_a_slice_end(s, run):
    def body():
        before = s.stats().switches
        for _ in range(100):
            s.charge(100)
        return s.stats().switches - before

    assert run(body) == 0


def test_the_pool_of_spare_stacks_is_bounded(monkeypatch):
    from omega.concurrency import scheduler

    monkeypatch.setattr(scheduler, "SPARE_STACKS_MAX", 3)
    s = Scheduler(driver=VirtualDriver())

    def body():
        for _ in range(3):
            s.await_all([s.spawn(lambda: s.sleep(1)) for _ in range(20)])
        return len(s._stacks)

    assert s.wait(s.spawn(body)) <= 5
    s._check()
    s.close()


def test_a_host_may_run_the_scheduler_from_different_greenlets_of_its_own():
    from greenlet import greenlet

    s = Scheduler(driver=VirtualDriver())
    results = []

    def host():
        results.append(s.wait(s.spawn(lambda: (s.sleep(1), 1)[1])))

    greenlet(host).switch()
    greenlet(host).switch()
    host()
    s.close()
    assert results == [1, 1, 1]


def test_swallowing_cancels_in_a_loop_does_not_stop_the_others(s, run):
    done = []

    def stubborn():
        while not done:
            try:
                s.sleep(1)
            except Cancelled:
                pass

    def body():
        task = s.spawn(stubborn)
        s.yield_now()
        s.cancel(task)
        for _ in range(10):
            s.yield_now()
        done.append(1)
        s.await_all([task], "settle")

    run(body)


def test_a_raising_hub_callback_reaches_the_host_and_leaves_the_scheduler_whole(s):
    def bad():
        raise RuntimeError("callback")

    s.call_later(1, bad)
    task = s.spawn(lambda: (s.sleep(2), "fine")[1])
    with pytest.raises(RuntimeError, match="callback"):
        s.wait(task)
    s._check()
    assert s.wait(task) == "fine"


def test_spawning_100_000_tasks_is_linear_and_an_unstarted_one_holds_no_stack(kit):
    s = kit.scheduler()
    tasks = [s.spawn(lambda: 1) for _ in range(100_000)]
    assert not s._stacks
    s.run()
    assert all(task.state == "completed" for task in tasks)
    assert len(s._stacks) == 1


def test_two_schedulers_may_nest_one_inside_the_other(kit):
    outer, inner = kit.scheduler(), kit.scheduler()

    def body():
        value = inner.wait(inner.spawn(lambda: (inner.sleep(1), "inner")[1]))
        outer.sleep(1)
        return value

    assert outer.wait(outer.spawn(body)) == "inner"


def test_asyncio_driver_survives_an_outer_asyncio_run_after_standalone_use(kit):
    import asyncio

    s = kit.scheduler(driver=AsyncioDriver())

    async def call():
        await asyncio.sleep(0.001)
        return 1

    def body():
        return s.sync(s.external(call).event)

    assert s.wait(s.spawn(body)) == 1

    async def main():
        return await s.wait_async(s.spawn(body))

    assert asyncio.run(main()) == 1
    assert s.wait(s.spawn(body)) == 1
    assert asyncio.run(main()) == 1


def test_a_task_cancelled_before_the_hub_gave_it_a_stack_never_runs_its_body(s):
    ran = []

    def body():
        child = s.spawn(lambda: ran.append(1))
        s.call_later(0, lambda: s.cancel(child))
        s.sleep(1)

    s.wait(s.spawn(body))
    assert ran in ([], [1])
    with pytest.raises(TaskCancelled):
        task = s.spawn(lambda: ran.append(2))
        s.cancel(task)
        s.wait(task)
    assert 2 not in ran


def test_on_hub_runs_on_a_shallow_stack_under_the_hosts_limit(s, run):
    host = sys.getrecursionlimit()

    def dig(n):
        if n:
            return dig(n - 1)
        with pytest.raises(RecursionError):
            s.on_hub(lambda: deep(5_000))
        with pytest.raises(ValueError, match="from the hub"):
            s.on_hub(lambda: int("from the hub"))
        return s.on_hub(lambda: (sys.getrecursionlimit(), s.current))

    assert run(lambda: dig(3_000)) == (host, None)
    assert s.on_hub(lambda: 5) == 5


def test_on_hub_keeps_the_context_of_the_task_and_works_inside_a_barrier(s, run):
    var = contextvars.ContextVar("var", default="default")

    def body():
        var.set("task")
        s.spawn(lambda: order.append("other"))
        with s.no_switch("host function"):
            seen = s.on_hub(var.get)
            order.append("barrier")
        return seen

    order = []
    assert run(body) == "task"
    assert order[0] == "barrier"


def test_a_chain_of_tasks_that_wait_for_each_other_takes_memory_in_proportion(kit):
    def peak_bytes(count):
        s = kit.scheduler()

        def link(n):
            return 0 if n == 0 else 1 + s.await_task(s.spawn(lambda: link(n - 1)))

        tracemalloc.start()
        try:
            assert s.wait(s.spawn(lambda: link(count))) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(100)
    assert peak_bytes(8_000) < 6 * peak_bytes(2_000)


@pytest.mark.parametrize("form", ["scope", "timeout", "shield", "atomic", "race", "par-map"])
def test_leaving_nested_scopes_takes_time_in_proportion(kit, form):
    def seconds(depth):
        s = kit.scheduler(keep_finished=10)
        inside = {
            "scope": s.with_scope,
            "timeout": lambda body: s.with_timeout(1e6, body),
            "shield": s.shield,
            "atomic": s.atomic,
            "race": lambda body: s.race([body]),
            "par-map": lambda body: s.par_map(lambda _: body(), [1]),
        }[form]
        began = 0.0

        def nest(n):
            nonlocal began
            if n:
                return inside(lambda: nest(n - 1))
            began = time.process_time()
            if form in ("race", "par-map"):
                s.sleep(1e9)  # the wall limit wakes all
            raise LimitExceeded("size", 1, 1, "items")

        s.set_wall_deadline(1)
        with pytest.raises((LimitExceeded, TasksFailed)):
            s.wait(s.spawn(lambda: nest(depth)))
        used = time.process_time() - began
        s.set_wall_deadline(None)
        s.close()
        return used

    gc.collect()
    gc.disable()  # it looks at all that live, now and then
    try:
        few, many = (min(seconds(n) for _ in range(3)) for n in (500, 4_000))
    finally:
        gc.enable()
    assert many < 30 * few  # 8 times as many; 64 times as long if it were quadratic
