"""The asyncio driver: its own loop, and as a guest of the host's."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest

from omega.concurrency import (
    AsyncioDriver,
    Scheduler,
    VirtualDriver,
)
from omega.errors import LoopIsRunning
from tests.concurrency.programs import run_python


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

    async def main():
        gone_on = asyncio.Event()
        await s.wait_async(s.spawn(lambda: 1))
        s.spawn(lambda: (s.sleep(0.005), gone_on.set()))
        await asyncio.wait_for(gone_on.wait(), 60)  # the host itself drives nothing meanwhile

    asyncio.run(main())


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
    cell = s.cell()

    async def main():
        task = s.spawn(lambda: s.sync(cell.event))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(s.wait_async(task), 0.005)
        cell.put("done")
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

    def eager(loop, coroutine, **options):
        # As asyncio.eager_task_factory; that of 3.13.0 does not know what uvloop 0.23 gives it.
        return asyncio.Task(coroutine, loop=loop, **{**options, "eager_start": True})

    async def main():
        asyncio.get_running_loop().set_task_factory(eager)
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


def test_a_batch_that_is_due_when_it_closes_never_runs(kit):
    failures = []
    gate = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        s = Scheduler(driver=AsyncioDriver())
        s.spawn(lambda: s.sync(s.blocking(gate.wait).event))  # a thread is in it to the end
        await s.wait_async(s.spawn(lambda: s.sleep(0.001)))
        s.spawn(lambda: None)  # a batch is due in the loop
        s.close()
        await asyncio.sleep(0.01)  # the loop goes on
        gate.set()

    asyncio.run(main())
    assert failures == []


def test_a_batch_that_was_due_in_the_last_loop_never_runs_in_it():
    s = Scheduler(driver=AsyncioDriver())
    ran_in = []

    def noted():
        ran_in.append(asyncio.get_running_loop())

    async def first():
        await s.wait_async(s.spawn(lambda: None))
        s.spawn(noted)  # a batch is due in this loop, which stops before

    async def second():
        s.spawn(lambda: (s.sleep(0.001), noted()))
        await s.wait_async(s.spawn(s.yield_now))

    one, two = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        one.run_until_complete(first())
        two.run_until_complete(second())
        time.sleep(0.002)
        one.run_until_complete(asyncio.sleep(0.01))
        assert one not in ran_in
        while len(ran_in) < 2:
            two.run_until_complete(asyncio.sleep(0.01))
    finally:
        s.close()
        one.close()
        two.close()
    assert ran_in == [two, two]


def test_closing_in_a_running_loop_closes_the_private_one_too():
    async def reply():
        return 1

    s = Scheduler(driver=AsyncioDriver())
    assert s.wait(s.spawn(lambda: s.sync(s.external(reply).event))) == 1

    async def main():
        s.close()

    asyncio.run(main())


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
