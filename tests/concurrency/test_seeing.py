"""States, invariants, listings, the event stream, ids, free choices."""

from __future__ import annotations

import asyncio
import io
import itertools

import pytest

from omega import Interpreter
from omega.concurrency import (
    FINAL_STATES,
    TRANSITIONS,
    AsyncioDriver,
    EventWriter,
    Scheduler,
    VirtualDriver,
    choose,
    hub,
    never,
    timer_event,
)
from omega.concurrency.choices import Chooser
from omega.errors import (
    LispError,
    TaskError,
)
from tests.concurrency.programs import steps


def test_every_transition_of_the_state_table_happens_and_no_other(kit):
    """Exhaustive: run a program with every kind of end under a spy on Task.state."""
    seen = set()
    s = kit.scheduler(max_concurrent_tasks=3)
    states = {}

    def look(event):
        task = event["task"]
        if task is None:
            return
        found = s.try_find_task(task)
        if found is None:
            return
        before = states.get(task)
        if before is not None and before != found.state:
            seen.add((before, found.state))
        states[task] = found.state

    s.listeners.append(look)

    def bad():
        raise ValueError

    def body():
        s.spawn(bad)
        s.spawn(lambda: s.sleep(1))
        sleeper = s.spawn(lambda: s.sleep(5))
        s.cancel(s.spawn(lambda: 1))
        s.spawn(lambda: s.sleep(0.5), queue_timeout=0.0001)
        steps(s, 1000)
        s.sleep(2)
        s.cancel(sleeper)
        s.yield_now()
        s.sleep(1)

    s.spawn(body)
    s.run()
    allowed = {(a, b) for a, after in TRANSITIONS.items() for b in after}
    assert seen == allowed
    assert all(not TRANSITIONS[state] for state in FINAL_STATES)
    assert {"pending", "running", "suspended"} | FINAL_STATES == set(TRANSITIONS)


def test_the_listing_tells_what_each_task_waits_for(s, run):
    def body():
        s.spawn(lambda: s.sleep(5), name="sleeper", span="f:1:1")
        s.spawn(lambda: s.sync(choose(never, s.channel(name="c").recv_event())))
        s.yield_now()
        return {line.id: (line.state, line.waits_for, line.span) for line in s.tasks()}

    listed = run(body)
    assert listed["1"] == ("running", None, None)
    assert listed["1.1"] == ("suspended", "a sleep, 5 s left", "f:1:1")
    assert listed["1.2"][1] == "nothing that can happen or a value from c"


def noisy_program(s):
    def child(i):
        steps(s, 37 * i + 1)
        s.sleep(0.001 * (i % 3))
        if i % 4 == 3:
            raise ValueError(i)
        return i

    def main():
        channel = s.channel(1)

        def pump():
            for i in range(5):
                channel.send(i)
            channel.close()

        s.spawn(pump, name="pump it")
        tasks = [s.spawn(lambda i=i: child(i)) for i in range(8)]
        s.cancel(tasks[5], "not needed")
        out = [channel.recv() for _ in range(5)]
        s.await_all(tasks, "settle")
        try:
            s.with_timeout(0.01, lambda: steps(s))
        except LispError:
            pass
        call = s.external(lambda: s.driver.sleep(0.5))
        s.sync(choose(call.event, timer_event(0.1)))
        return s.par_map(lambda x: x * x, out, max_par=2)

    return s.wait(s.spawn(main))


def test_equal_runs_write_byte_identical_event_streams_100_times():
    streams = set()
    for _ in range(100):
        s = Scheduler(driver=VirtualDriver())
        text = io.StringIO()
        s.listeners.append(EventWriter(text))
        assert noisy_program(s) == [0, 1, 4, 9, 16]
        s._check()
        s.close()
        streams.add(text.getvalue())
    assert len(streams) == 1
    stream = streams.pop()
    for name in ("TaskCreated", "TaskStarted", "TaskSuspended", "TaskResumed", "TaskCompleted"):
        assert name in stream
    assert "name='pump it'" in stream and "error=ValueError" in stream and "0x" not in stream


def test_nothing_is_built_when_nobody_listens(s, run, monkeypatch):
    from omega.concurrency import listing

    monkeypatch.setattr(listing, "make_event", lambda *_: pytest.fail("built"))
    run(lambda: s.await_task(s.spawn(lambda: s.sleep(1))))


def test_ids_are_spawn_paths_and_effects_are_numbered_per_task(s, run):
    def body():
        child = s.spawn(lambda: [s.current.next_effect() for _ in range(2)])
        s.spawn(lambda: s.spawn(lambda: 1))
        s.yield_now()
        s.yield_now()
        return s.await_task(child), s.current.next_effect(), [task.id for task in s.known_tasks()]

    assert run(body) == ([("1.1", 1), ("1.1", 2)], ("1", 1), ["1", "1.1", "1.2", "1.2.1"])
    assert s.spawn(lambda: 1).id == "2"


def test_a_very_long_id_is_found_whole_and_shown_by_its_end(s, run):
    seen = []

    def link(n):
        if n:
            return s.await_task(s.spawn(lambda: link(n - 1)))
        return seen.append((s.current.id, s.current.parent_id, s.current.label))

    run(lambda: link(60))
    whole, parent, label = seen[0]
    assert whole == ".".join(["1"] * 61) and parent == whole[:-2]
    assert label == f"...{'.'.join(['1'] * 20)}"
    assert s.find_task(whole).id == whole
    with pytest.raises(TaskError):
        s.find_task(f"{whole}.1")


class Script(Chooser):
    def __init__(self, choices):
        self.choices = iter(choices)

    def next(self, ready):
        return next(self.choices, 0) % len(ready)


def test_a_chooser_decides_every_free_choice(kit):
    orders = set()
    for seed in itertools.product(range(3), repeat=2):
        s = kit.scheduler()
        s.choose_by(Script(seed))
        log = []
        for i in range(3):
            s.spawn(lambda i=i, log=log: log.append(i))
        s.run()
        orders.add(tuple(log))
    assert len(orders) == 6


# ---------------------------------------------------------------------- the tree, and standstills


def test_the_tree_shows_each_task_below_the_one_that_made_it():
    written = io.StringIO()
    with Interpreter(virtual_time=True, output=written) as omega:
        omega.eval(
            """
            (define m (make-mutex :name "lock"))
            (define (outer) (with-mutex m (sleep 50) (await (async (lambda () (sleep 100))))))
            (async outer :name "outer")
            (async (lambda () (with-mutex m 1)) :name "second")
            (sleep 60)
            (ps)
            """,
            filename="main.omega",
        )
        assert len(omega.leaks()) == 3  # it is closed in the middle
    rows = written.getvalue().splitlines()
    assert [row.split()[0] for row in rows] == ["ID", "1", "1.1", "1.1.1", "1.2"]
    assert [len(row) - len(row.lstrip()) for row in rows] == [0, 0, 2, 4, 2]
    assert "task 1.1.1 (since slice" in rows[2] and "mutex lock (since slice" in rows[4]
    assert rows[1].split()[1] == "running"


def test_a_host_is_told_of_a_standstill_once_and_can_end_it():
    async def main():
        told, events = [], []
        async with Interpreter() as omega:
            omega.scheduler.on_stall = told.append
            omega.scheduler.listeners.append(lambda event: events.append(event["event"]))
            text = '(define c (make-channel :name "work")) (recv! c)'
            waiting = asyncio.ensure_future(omega.eval_async(text, filename="main.omega"))
            while not told:
                await asyncio.sleep(0)
            for _ in range(3):  # looked at again, with nothing new
                omega.scheduler.post(lambda: None)
                await asyncio.sleep(0.01)
            omega.submit("(send! c 5)")
            return await waiting, [stall.graph for stall in told], events.count("Deadlock")

    value, graphs, count = asyncio.run(main())
    assert value == 5 and count == 1
    assert graphs == [('task 1 "main.omega" waits for a value from channel work',)]


def test_a_busy_task_that_is_alone_is_not_interrupted_to_look_around(monkeypatch):
    """On CPython 3.12 a switch takes time in proportion to how deep the stack is."""
    visits = []
    monkeypatch.setattr(hub, "do_chores", lambda kernel: visits.append(kernel.turns))
    s = Scheduler(driver=AsyncioDriver())
    s.wait(s.spawn(lambda: steps(s, 100_000)))
    assert s.turns >= 1000 and len(visits) <= 5
    s.close()
