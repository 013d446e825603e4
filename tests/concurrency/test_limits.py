"""Fuel, wall time, policies, slots, Ctrl-C, deadlocks, invariants, determinism."""

from __future__ import annotations

import io
import itertools
import signal
import threading
import time

import pytest

from omega.concurrency import (
    FINAL_STATES,
    TRANSITIONS,
    AsyncioDriver,
    ConcurrencyManager,
    EventWriter,
    Scheduler,
    SchedulerConfig,
    VirtualDriver,
    choose,
    never,
    timer_event,
)
from omega.errors import (
    Closed,
    Deadlock,
    HostError,
    LimitExceeded,
    LispError,
    TaskCancelled,
    TaskError,
    WrongThread,
)


def steps(s, n=None, each=None):
    """A loop as the compiler emits it; `each(i)` is called every turn."""
    registers = s.registers
    i = 0
    while True:
        for _ in registers["_it"]:
            i += 1
            if each is not None:
                each(i)
            if i == n:
                return i
        else:
            s.slice_end()
            continue


def calls(s, n):
    """Procedure entries as the compiler emits them."""
    registers = s.registers

    def entry():
        for _ in registers["_it"]:
            break
        else:
            s.slice_end()
            for _ in registers["_it"]:
                break

    for _ in range(n):
        entry()
    return n


# ---------------------------------------------------------------------- steps and fuel


@pytest.mark.parametrize("yield_every", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("body", [steps, calls])
def test_step_accounting_is_exact_for_every_slice_length(kit, yield_every, body):
    s = kit.scheduler(yield_every=yield_every)
    tasks = [s.spawn(lambda n=n: body(s, n)) for n in (1, 50, 333)]
    s.run()
    assert [task.steps for task in tasks] == [1, 50, 333]
    assert s.stats().steps == 384


def test_steps_are_exact_across_waits_and_in_the_running_task(s, run):
    def body():
        steps(s, 30)
        s.sleep(1)
        steps(s, 50)
        mine = next(line for line in s.tasks() if line.id == "1")
        return mine.steps, s.stats().steps

    assert run(body) == (80, 80)


def test_a_task_that_waited_goes_on_with_the_remainder_of_its_slice(s, run):
    def body():
        steps(s, 30)
        s.sleep(1)
        assert s.registers["_it"].__length_hint__() == 70
        return s.stats().slices

    run(body)


def test_a_stale_exhausted_iterator_does_not_end_the_current_slice(s, run):
    def body():
        before = s.stats().slices
        s.slice_end()  # the current iterator has steps left
        assert s.stats().slices == before
        return s.stats().steps

    assert run(body) == 0


@pytest.mark.parametrize("yield_every", [1, 10, 100, 1000])
@pytest.mark.parametrize("fuel", [1, 99, 100, 101, 500])
@pytest.mark.parametrize("body", [steps, calls])
def test_fuel_ends_exactly_at_its_number_of_steps(kit, yield_every, fuel, body):
    s = kit.scheduler(yield_every=yield_every)
    s.set_fuel(fuel)
    assert s.wait(s.spawn(lambda: body(s, fuel))) == fuel
    s.set_fuel(2 * fuel)
    task = s.spawn(lambda: body(s, fuel + 1))
    with pytest.raises(LimitExceeded) as caught:
        s.wait(task)
    assert caught.value.limit == "fuel"
    assert s.stats().steps == 2 * fuel


def test_fuel_covers_all_tasks_together_and_raises_at_every_slice_end(s):
    s.set_fuel(1000)
    hits = []

    def body():
        for _ in range(3):
            try:
                steps(s)
            except LimitExceeded:
                hits.append(1)
        raise ValueError("out")

    for _ in range(4):
        s.spawn(body)
    s.run()
    assert len(hits) == 12
    assert s.stats().steps == 1000


def test_fuel_may_be_set_and_lifted_while_running(s, run):
    def body():
        steps(s, 10)
        s.set_fuel(25)
        with pytest.raises(LimitExceeded, match="25 allowed"):
            steps(s)
        s.set_fuel(None)
        return steps(s, 100)

    assert run(body) == 100
    assert s.stats().steps == 125


def test_charge_consumes_steps_and_fuel(s, run):
    def body():
        s.charge(30)
        assert s.registers["_it"].__length_hint__() == 70
        s.charge(1000)
        s.set_fuel(2000)
        s.charge(970)
        with pytest.raises(LimitExceeded):
            s.charge(1)

    run(body)
    assert s.stats().steps == 2001


def test_yield_costs_a_step_so_a_yielding_loop_uses_fuel(s, run):
    s.set_fuel(100)

    def body():
        while True:
            s.yield_now()

    with pytest.raises(LimitExceeded):
        run(body)


def test_wall_deadline_stops_busy_and_waiting_tasks(s):
    s.set_wall_deadline(2)
    busy = s.spawn(lambda: steps(s))
    waiting = s.spawn(lambda: s.sleep(100))
    stuck = s.spawn(lambda: s.shield(lambda: s.sync(choose(never, timer_event(500)))))
    s.run()
    for task in (busy, waiting, stuck):
        assert task.state == "error" and task.error.limit == "wall"
    assert s.driver.now() == pytest.approx(2, abs=0.01)
    late = s.spawn(lambda: 1)
    assert late.state == "error" and late.error.limit == "wall"
    s.set_wall_deadline(None)
    assert s.wait(s.spawn(lambda: (s.sleep(1), 5)[1])) == 5


def test_wall_deadline_reaches_into_a_barrier(s):
    s.set_wall_deadline(0.01)

    def body():
        with s.no_switch("host"):
            steps(s)

    with pytest.raises(LimitExceeded, match="wall"):
        s.wait(s.spawn(body))


def test_a_wall_deadline_does_not_hide_a_deadlock(s):
    s.set_wall_deadline(1000)
    with pytest.raises(Deadlock):
        s.wait(s.spawn(lambda: s.sync(never)))
    assert s.driver.now() < 1


# ---------------------------------------------------------------------- policies and slots


def program(s, log):
    """Two busy tasks and one that waits; what the three policies do with them differs."""

    def busy(name, n):
        for i in range(n):
            log.append(f"{name}{i}")
            steps(s, 100)
        log.append(f"{name}.")

    def waiter():
        for i in range(2):
            s.sleep(0.0001)
            log.append(f"w{i}")

    s.spawn(waiter, priority=5)
    s.spawn(lambda: busy("a", 4), priority=1)
    s.spawn(lambda: busy("b", 4), priority=2)
    s.run()
    return log


def test_three_policies_show_three_different_traces(kit):
    traces = {}
    for mode in ("fifo", "round-robin", "priority"):
        traces[mode] = program(kit.scheduler(fairness_mode=mode), [])
    assert len({tuple(trace) for trace in traces.values()}) == 3
    assert traces["fifo"] == [
        "a0",
        "a1",
        "a2",
        "a3",
        "a.",
        "w0",
        "b0",
        "b1",
        "b2",
        "b3",
        "b.",
        "w1",
    ] or (traces["fifo"][:5] == ["a0", "a1", "a2", "a3", "a."])
    assert traces["round-robin"].index("b0") < traces["round-robin"].index("a2")
    assert traces["priority"][:2] == ["b0", "b1"]
    for trace in traces.values():
        assert sorted(trace) == sorted(traces["fifo"]), "the same events, in another order"


def test_fifo_slice_ends_still_look_at_timers_and_cancels(kit):
    s = kit.scheduler(fairness_mode="fifo")
    task = s.spawn(lambda: steps(s))
    s.call_later(0.01, lambda: s.cancel(task, "timer"))
    with pytest.raises(TaskCancelled, match="timer"):
        s.wait(task)
    assert s.driver.now() == pytest.approx(0.01, abs=0.0002)


@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
def test_an_explicit_yield_goes_once_behind_every_ready_task(kit, mode):
    s = kit.scheduler(fairness_mode=mode)
    log = []

    def yielder():
        log.append("before")
        s.yield_now()
        log.append("after")

    s.spawn(yielder)
    for i in range(3):
        s.spawn(lambda i=i: log.append(i))
    s.run()
    assert log == ["before", 0, 1, 2, "after"]


def test_strict_priority_starves_and_ageing_does_not(kit):
    def low_ran_at(ageing):
        s = kit.scheduler(fairness_mode="priority", ageing=ageing)
        ran = []
        s.spawn(lambda: steps(s, 100_000), priority=10)
        s.spawn(lambda: ran.append(s.stats().slices), priority=0)
        s.run()
        return ran[0]

    assert low_ran_at(None) >= 1000
    # The bound: (10 - 0) points of 16 slices each, and the slice in which it is noticed.
    assert low_ran_at(16) <= 10 * 16 + 16 + 2


def test_priority_preempts_at_slice_ends(kit):
    s = kit.scheduler(fairness_mode="priority")
    log = []

    def low():
        steps(s, 1000, lambda i: log.append(i) if i % 100 == 0 else None)

    def high():
        s.sleep(0.00025)
        log.append("high")

    s.spawn(low, priority=0)
    s.spawn(high, priority=9)
    s.run()
    assert log.index("high") in (2, 3)


def test_tasks_passed_over_for_a_slot_keep_their_rank(kit):
    """Two queues once numbered their entries separately, and equal numbers compared tasks."""
    s = kit.scheduler(fairness_mode="priority", max_concurrent_tasks=2)
    order = []

    def body():
        order.append(s.current.priority)
        s.sleep(0.001)
        s.yield_now()

    for i in range(18):
        s.spawn(body, priority=i % 3)
    s.run()
    assert order == [2] * 6 + [1] * 6 + [0] * 6


def test_children_inherit_the_priority_of_their_parent(s, run):
    assert s.wait(s.spawn(lambda: s.spawn(lambda: 1).priority, priority=7)) == 7


@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
def test_nested_await_never_deadlocks_at_any_limit(kit, limit, mode):
    s = kit.scheduler(max_concurrent_tasks=limit, fairness_mode=mode, max_started_tasks=limit)

    def nest(n):
        if n == 0:
            return 0
        return 1 + s.await_task(s.spawn(lambda: nest(n - 1)))

    assert s.wait(s.spawn(lambda: nest(50))) == 50


def test_a_ready_task_takes_the_next_slot_before_any_new_start(kit):
    s = kit.scheduler(max_concurrent_tasks=1)
    log = []

    def first():
        s.spawn(lambda: log.append("child"))
        s.sleep(0.00001)
        log.append("first again")

    s.spawn(first)
    for i in range(3):
        s.spawn(lambda i=i: (steps(s, 100), log.append(i)))
    s.run()
    assert log.index("first again") == 1, log


def test_limit_1_with_fifo_is_serial_for_bodies_that_do_not_wait(kit):
    s = kit.scheduler(max_concurrent_tasks=1, fairness_mode="fifo")
    log = []

    def body(i):
        log.append(("in", i))
        steps(s, 1000)
        log.append(("out", i))

    for i in range(4):
        s.spawn(lambda i=i: body(i))
    s.run()
    assert log == [(w, i) for i in range(4) for w in ("in", "out")]


def test_max_started_tasks_bounds_the_stacks_without_deadlock(kit):
    s = kit.scheduler(max_started_tasks=3)
    peak = 0

    def body():
        nonlocal peak
        peak = max(peak, s.started)
        s.sleep(1)

    for _ in range(10):
        s.spawn(body)
    s.run()
    assert peak == 3

    gate = s.cell()
    for _ in range(5):
        s.spawn(lambda: s.sync(gate.event))
    last = s.spawn(gate.put)
    s.run()
    assert last.state == "completed"


def test_the_limit_can_be_lowered_and_raised_while_running(kit):
    s = kit.scheduler(max_concurrent_tasks=4)
    inside = 0
    seen = []

    def body():
        nonlocal inside
        inside += 1
        seen.append(inside)
        for _ in range(5):
            s.yield_now()
            s._check()
        inside -= 1

    for _ in range(12):
        s.spawn(body)
    s.call_later(0.000005, lambda: s.configure(max_concurrent_tasks=1))
    s.run()
    assert max(seen) == 4 and seen[-1] == 1
    with pytest.raises(HostError, match="no setting"):
        s.configure(nonsense=1)
    for bad in (
        {"yield_every": 0},
        {"fairness_mode": "lottery"},
        {"task_timeout": -1},
        {"ageing": 0},
    ):
        with pytest.raises(HostError):
            s.configure(**bad)


def test_policies_can_be_changed_while_running(kit):
    s = kit.scheduler(fairness_mode="fifo")
    log = []
    s.spawn(lambda: (log.append("a"), s.configure(fairness_mode="priority"), s.yield_now()))
    s.spawn(lambda: log.append("low"), priority=1)
    s.spawn(lambda: log.append("high"), priority=2)
    s.run()
    assert log == ["a", "high", "low"]


# ---------------------------------------------------------------------- deadlocks


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


# ---------------------------------------------------------------------- states, invariants, events


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


def test_pick_decides_every_free_choice(kit):
    orders = set()
    for seed in itertools.product(range(3), repeat=2):
        s = kit.scheduler()
        choices = iter(seed)
        s.picker = lambda n, tag, choices=choices: next(choices, 0) % n
        s.configure()
        log = []
        for i in range(3):
            s.spawn(lambda i=i, log=log: log.append(i))
        s.run()
        orders.add(tuple(log))
    assert len(orders) == 6


# ---------------------------------------------------------------------- the host


def test_another_thread_is_told_so(s):
    seen = []

    def other():
        for call in (
            lambda: s.spawn(lambda: 1),
            lambda: s.cancel("1"),
            s.run,
            lambda: s.configure(),
        ):
            try:
                call()
            except WrongThread:
                seen.append(1)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(seen) == 4


def test_a_wait_from_a_hub_callback_is_refused(s):
    caught = []

    def callback():
        try:
            s.run()
        except HostError as error:
            caught.append(str(error))

    s.call_later(1, callback)
    s.wait(s.spawn(lambda: s.sleep(2)))
    assert caught == ["cannot run here: the scheduler is running"]


def test_ctrl_c_sets_a_flag_and_ends_the_slice(kit):
    s = kit.scheduler(driver=AsyncioDriver(), yield_every=1_000_000)
    task = s.spawn(lambda: steps(s))
    before = signal.signal(signal.SIGINT, lambda *_: s.interrupt())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        old = signal.signal(signal.SIGALRM, lambda *_: s.interrupt())
        with pytest.raises(TaskCancelled, match="interrupted"):
            s.wait(task)
        signal.signal(signal.SIGALRM, old)
    finally:
        signal.signal(signal.SIGINT, before)
    s._check()
    assert s.wait(s.spawn(lambda: "goes on")) == "goes on"


def test_ctrl_c_wakes_an_idle_wait(kit):
    s = kit.scheduler(driver=AsyncioDriver())
    old = signal.signal(signal.SIGALRM, lambda *_: s.interrupt())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        began = time.monotonic()
        with pytest.raises(TaskCancelled):
            s.wait(s.spawn(lambda: s.sleep(60)))
        assert time.monotonic() - began < 5
    finally:
        signal.signal(signal.SIGALRM, old)


def test_ctrl_c_storm_leaves_every_task_in_one_queue(kit):
    s = kit.scheduler(driver=AsyncioDriver(), yield_every=10)
    s.on_interrupt = lambda: hits.append(1)
    hits = []
    old = signal.signal(signal.SIGALRM, lambda *_: s.interrupt())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
        until = time.monotonic() + 0.4

        def body():
            while time.monotonic() < until:
                steps(s, 25)
                s.yield_now()

        for _ in range(5):
            s.spawn(body)
        s.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(hits) > 20
    assert s.stats().completed_tasks == 5
    s._check()


def test_keyboard_interrupt_and_system_exit_in_a_task_reach_the_host(s):
    def leave():
        raise SystemExit(3)

    task = s.spawn(leave)
    with pytest.raises(SystemExit):
        s.run()
    assert task.state == "error"
    s._check()


def test_close_unwinds_every_stack_in_order_and_twice_is_fine():
    log = []
    s = Scheduler(driver=VirtualDriver())

    def body(i):
        try:
            s.sleep(100)
        finally:
            s.shielded(lambda: s.sleep(1))
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


def test_the_manager_is_a_context_manager_and_usable_without_lisp():
    with ConcurrencyManager(SchedulerConfig(max_concurrent_tasks=2)) as manager:
        assert manager.wait(manager.submit(lambda: (manager.delay(0.001), 4)[1])) == 4


def test_unknown_id_is_an_error_for_operations_and_none_for_lookups(s):
    with pytest.raises(TaskError) as caught:
        s.find_task("9.9")
    assert caught.value.kind == "unknown-task"
    assert s.try_find_task("9.9") is None
