"""Deadlocks: the report, who gets it, when there is none."""

from __future__ import annotations

import threading

import pytest

from omega.concurrency import (
    AsyncioDriver,
    never,
)
from omega.errors import (
    Deadlock,
    LispError,
)


def test_deadlock_carries_the_whole_graph_with_holders_and_places(s):
    from omega.concurrency import Mutex

    mutex, channel = Mutex(s, "mutex m"), s.channel(name="channel c")

    def holder():
        mutex.acquire()
        channel.recv()

    def waiter():
        mutex.acquire()

    first = s.spawn(holder, name="holder", span="plan.omega:3:1")
    second = s.spawn(waiter, name="waiter", span="plan.omega:4:1")
    with pytest.raises(Deadlock) as caught:
        s.wait(second)
    text = str(caught.value)
    assert 'task 1 "holder" waits for a value from channel c (spawned at plan.omega:3:1)' in text
    waits = 'task 2 "waiter" waits for mutex m, held by task 1 "holder"'
    assert f"{waits} (spawned at plan.omega:4:1)" in text
    assert first.state == "suspended"
    s.run()  # the rest is stuck too
    assert isinstance(first.error, Deadlock)


def test_run_gives_the_deadlock_to_the_oldest_stuck_foreground_task(s):
    tasks = [s.spawn(lambda: s.sync(never)) for _ in range(3)]
    keep = s.spawn(lambda: [s.sleep(10) for _ in iter(int, 1)], daemon=True)
    s.run()
    assert all(isinstance(task.error, Deadlock) for task in tasks)
    assert keep.state == "cancelled", (
        "daemons do not count as progress and are cancelled at the end"
    )
    assert s.driver.now() < 1


def test_a_deadlock_can_be_handled_by_the_task_that_gets_it(s, run):
    def body():
        try:
            s.sync(never)
        except LispError as error:
            return error.kind

    assert run(body) == "deadlock"


def test_a_deadlock_at_the_end_of_a_scope_cancels_it(s, run):
    def body():
        with pytest.raises(Deadlock):
            s.with_scope(lambda: s.spawn(lambda: s.sync(never)))

    run(body)
    assert s.live == 0


def test_no_deadlock_while_an_outside_source_is_held(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    cell = s.cell()
    hold = s.hold_external()
    task = s.spawn(lambda: s.sync(cell.event))
    timer = threading.Timer(0.05, lambda: s.post(lambda: (cell.put("outside"), hold.release())))
    timer.start()
    assert s.wait(task) == "outside"
    timer.join()
