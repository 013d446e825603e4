"""The outside: externals, blocking calls, posts, drivers, being a guest of asyncio."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import time

import pytest

from omega.concurrency import (
    AsyncioDriver,
    CancellationToken,
    ConcurrencyManager,
    Scheduler,
    VirtualDriver,
    choose,
    timer_event,
    wrap,
)
from omega.errors import Cancelled, HostError, LoopIsRunning, TaskCancelled, TimeoutExpired


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


# ---------------------------------------------------------------------- the virtual driver


def test_virtual_time_is_free_and_exact(s, run):
    began = time.monotonic()
    run(lambda: s.sleep(3_600))
    assert time.monotonic() - began < 1
    assert s.driver.now() == 3_600


def test_virtual_time_costs_a_microsecond_per_step(s, run):
    run(lambda: s.charge(5_000))
    assert s.driver.now_us() == 5_000


def test_busy_loops_and_timeouts_meet_under_virtual_time(s, run):
    def busy():
        while True:
            s.charge(1)

    with pytest.raises(TimeoutExpired):
        run(lambda: s.with_timeout(0.01, busy))
    assert s.driver.now_us() == pytest.approx(10_000, abs=200)


def test_tasks_that_only_exchange_values_do_not_stop_virtual_time(s, run):
    def body():
        channel = s.channel()

        def echo():
            while True:
                channel.recv()

        def talk():
            while True:
                channel.send(1)

        task = s.spawn(echo)
        with pytest.raises(TimeoutExpired):
            s.with_timeout(0.001, talk)
        s.cancel(task)

    run(body)


def test_a_coroutine_that_needs_real_time_is_told_so(s, run):
    async def real():
        await asyncio.get_running_loop().create_future()

    class Other:
        def __await__(self):
            yield "something"

    async def other():
        await Other()

    with pytest.raises(HostError, match="needs real time"):
        run(lambda: s.sync(s.external(other, waits_for="provider x").event))
    with pytest.raises(RuntimeError):
        run(lambda: s.sync(s.external(real).event))


# ---------------------------------------------------------------------- threads


def test_foreign_threads_post_to_the_inbox(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    got = []

    def body():
        with s.hold_external():
            channel = s.channel(100)
            thread = threading.Thread(
                target=lambda: [
                    s.post(lambda i=i: s.spawn(lambda: channel.send(i))) for i in range(50)
                ]
            )
            thread.start()
            for _ in range(50):
                got.append(channel.recv())
            thread.join()

    s.wait(s.spawn(body))
    assert got == list(range(50))


def test_a_token_thrown_in_another_thread_wakes_the_scheduler(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    token = CancellationToken()
    asleep = threading.Event()

    def body():
        asleep.set()
        s.sleep(20)

    def throw():
        asleep.wait(10)
        token.cancel("from outside")

    thread = threading.Thread(target=throw)
    thread.start()
    task = s.spawn(body, token=token)
    with pytest.raises(TaskCancelled, match="from outside"):
        s.wait(task)
    thread.join()
    assert task.outcome.by == "token"


def test_a_token_calls_whoever_subscribes_while_it_is_thrown():
    token = CancellationToken()
    got = []
    token.on_cancel(lambda reason: token.on_cancel(lambda again: got.append((reason, again))))
    token.cancel("now")
    assert got == [("now", "now")]


def test_submit_threadsafe_reaches_an_idle_scheduler():
    with ConcurrencyManager() as manager:
        done = manager.scheduler.cell()
        hold = manager.scheduler.hold_external()
        thread = threading.Timer(0.02, lambda: manager.submit_threadsafe(done.put))
        thread.start()
        manager.wait(manager.submit(lambda: manager.scheduler.sync(done.event)))
        hold.release()
        thread.join()


def test_an_abandoned_blocking_call_keeps_its_slot_until_it_ends(kit):
    s = kit.scheduler(driver=AsyncioDriver(blocking_max=1))
    release = threading.Event()
    ended = []

    def body():
        first = s.blocking(release.wait, on_done=lambda e: ended.append("first"))
        task = s.spawn(lambda: s.sync(first.event))
        s.sleep(0.01)
        s.cancel(task)
        second = s.blocking(lambda: ended.append("second ran"))
        s.sleep(0.02)
        assert ended == [] and not first.done
        release.set()
        s.sync(second.event)

    s.wait(s.spawn(body))
    assert sorted(ended) == ["first", "second ran"]


def test_a_blocking_call_abandoned_in_the_queue_never_begins(kit):
    s = kit.scheduler(driver=AsyncioDriver(blocking_max=1))
    release = threading.Event()
    ran = []

    def body():
        first = s.blocking(release.wait)
        second = s.blocking(lambda: ran.append(1))
        s.sleep(0.01)
        second.abort("no")
        with pytest.raises(Cancelled):
            s.sync(second.event)
        release.set()
        s.sync(first.event)

    s.wait(s.spawn(body))
    assert ran == []


def test_two_schedulers_in_two_threads_do_not_meet():
    results = {}

    def work(name):
        s = Scheduler()
        results[name] = s.wait(
            s.spawn(lambda: s.par_map(lambda i: (s.sleep(0.001), i)[1], range(20)))
        )
        s.close()

    limit = sys.getrecursionlimit()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results[i] == list(range(20)) for i in range(4))
    assert sys.getrecursionlimit() == limit


# ---------------------------------------------------------------------- asyncio


@pytest.mark.parametrize("driver", [AsyncioDriver, VirtualDriver])
def test_wait_and_run_inside_a_running_loop_raise(kit, driver):
    s = kit.scheduler(driver=driver())

    async def main():
        with pytest.raises(LoopIsRunning, match="running"):
            s.wait(s.spawn(lambda: 1))
        with pytest.raises(LoopIsRunning):
            s.run()
        await s.run_async()

    asyncio.run(main())


def test_a_guest_shares_the_loop_fairly(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    ticks = []

    async def ticker():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.001)

    def busy():
        # Ends only when the host's coroutine has had its turns.
        while len(ticks) < 30:
            s.charge(50)

    async def main():
        task = asyncio.create_task(ticker())
        await s.wait_async(s.spawn(busy))
        task.cancel()

    asyncio.run(main())
    assert len(ticks) >= 30


def test_two_interpreters_in_one_loop(kit):
    a, b = kit.scheduler(driver=AsyncioDriver()), kit.scheduler(driver=AsyncioDriver())

    async def reply(x):
        await asyncio.sleep(0.005)
        return x

    def body(s, x):
        return [s.sync(s.external(lambda i=i: reply(x + i)).event) for i in range(3)]

    async def main():
        return await asyncio.gather(
            a.wait_async(a.spawn(lambda: body(a, 10))), b.wait_async(b.spawn(lambda: body(b, 20)))
        )

    assert asyncio.run(main()) == [[10, 11, 12], [20, 21, 22]]


def test_the_same_program_gives_the_same_result_standalone_and_as_a_guest(kit):
    def program(s):
        channel = s.channel()

        def producer():
            for i in range(10):
                s.sleep(0.0005)
                channel.send(i)
            channel.close()

        s.spawn(producer)
        return [channel.recv() for _ in range(10)]

    alone = kit.scheduler(driver=AsyncioDriver())
    guest = kit.scheduler(driver=AsyncioDriver())
    virtual = kit.scheduler()

    async def main(s):
        return await s.wait_async(s.spawn(lambda: program(s)))

    first = alone.wait(alone.spawn(lambda: program(alone)))
    assert first == asyncio.run(main(guest)) == asyncio.run(main(virtual)) == list(range(10))


def test_background_tasks_go_on_while_the_host_loop_does_other_things(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    log = []

    async def main():
        await s.wait_async(s.spawn(lambda: 1))
        s.spawn(lambda: (s.sleep(0.005), log.append("background")))
        await asyncio.sleep(0.05)
        return list(log)

    assert asyncio.run(main()) == ["background"]


def test_a_deadlock_inside_a_host_loop_is_an_event_and_a_report(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    events = []
    s.listeners.append(lambda event: events.append(event["event"]))
    cell = s.cell()

    async def main():
        asyncio.get_running_loop().call_later(0.02, cell.put, "outside after all")
        return await s.wait_async(s.spawn(lambda: s.sync(cell.event)))

    assert asyncio.run(main()) == "outside after all"
    assert "Deadlock" in events


def test_cancelling_the_hosts_wait_leaves_the_task_running(kit):
    s = kit.scheduler(driver=AsyncioDriver())

    async def main():
        task = s.spawn(lambda: (s.sleep(0.02), "done")[1])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(s.wait_async(task), 0.005)
        return await s.wait_async(task)

    assert asyncio.run(main()) == "done"


def test_an_eager_task_factory_does_not_run_coroutines_on_task_stacks(kit):
    if sys.version_info < (3, 12):
        pytest.skip("eager tasks came with 3.12")
    s = kit.scheduler(driver=AsyncioDriver())
    seen = []

    async def call():
        seen.append((s.current, asyncio.current_task() is not None))
        async with asyncio.timeout(1):
            await asyncio.sleep(0)
        return 1

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await s.wait_async(s.spawn(lambda: s.sync(s.external(call).event)))

    assert asyncio.run(main()) == 1
    assert seen == [(None, True)]


def test_inside_a_coroutine_asyncio_timeouts_work_and_inside_a_slice_there_is_no_current_task(kit):
    s = kit.scheduler(driver=AsyncioDriver())

    async def call():
        async with asyncio.timeout(1):
            await asyncio.sleep(0.001)
        return asyncio.current_task() is not None

    def body():
        inside = s.sync(s.external(call).event)
        return inside, asyncio.current_task() is None

    assert s.wait(s.spawn(body)) == (True, True)


def test_the_private_loop_is_made_once_and_waits_mix_with_timers(kit):
    s = kit.scheduler(driver=AsyncioDriver())

    async def call(i):
        await asyncio.sleep(0.001)
        return i, id(asyncio.get_running_loop())

    def body(i):
        s.sleep(0.001)
        value = s.sync(s.external(lambda: call(i)).event)
        s.sleep(0.001)
        return value

    results = [s.wait(s.spawn(lambda i=i: body(i))) for i in range(3)]
    assert [i for i, _ in results] == [0, 1, 2]
    assert len({loop for _, loop in results}) == 1


def test_a_real_io_wait_does_not_stop_other_tasks(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    turns = []

    async def call():
        await asyncio.sleep(0.03)
        return "reply"

    def busy():
        while not turns or turns[-1] != "stop":
            turns.append(1)
            s.charge(100)

    def body():
        s.spawn(busy)
        value = s.sync(s.external(call).event)
        turns.append("stop")
        return value

    assert s.wait(s.spawn(body)) == "reply"
    assert len(turns) > 100


def test_timers_fire_beside_a_busy_loop(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    late = []

    def timer():
        for _ in range(15):
            began = s.driver.now()
            s.sleep(0.01)
            late.append(s.driver.now() - began - 0.01)
        busy.clear()

    busy = [1]

    def loop():
        registers = s.registers
        while busy:
            for _ in registers["_it"]:
                sum(range(10))
            else:
                s.slice_end()

    s.spawn(timer)
    s.spawn(loop)
    s.run()
    # The loop ends only because the timers fired; how late they are is the bench's to say.
    assert len(late) == 15


def test_close_in_the_middle_of_a_call_cleans_up(kit):
    log = []
    s = Scheduler()

    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            log.append("closed")

    s.spawn(lambda: s.sync(s.external(slow).event))
    s.wait(s.spawn(lambda: s.sleep(0.01)))
    s.close()
    assert log == ["closed"] and not s.externals


def test_close_inside_a_running_loop(kit):
    log = []

    async def main():
        s = Scheduler()

        def body():
            try:
                s.sleep(60)
            finally:
                log.append("unwound")

        s.spawn(body)
        await s.wait_async(s.spawn(lambda: s.sleep(0.001)))
        s.close()
        assert not s._stacks

    asyncio.run(main())
    assert log == ["unwound"]


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_asyncio_is_not_imported_before_something_waits_on_io():
    code = """
import sys
from omega.concurrency import Scheduler, ConcurrencyManager
with ConcurrencyManager() as m:
    m.wait(m.submit(lambda: m.delay(0.001)))
    print([x for x in ("asyncio", "lark", "sqlite3", "concurrent.futures") if x in sys.modules])
"""
    assert run_python(code) == "[]"


def test_an_interpreter_that_exits_without_close_is_quiet():
    code = """
from omega.concurrency import Scheduler
s = Scheduler()
def body():
    try: s.sleep(100)
    finally: pass
s.spawn(body)
s.wait(s.spawn(lambda: s.sleep(0.001)))
"""
    assert run_python(code) == ""


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
