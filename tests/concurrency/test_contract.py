"""The contract of concurrency.md, line by line; each test is findable by the words of its line."""

from __future__ import annotations

from functools import partial

import pytest

from omega.concurrency import (
    CancellationToken,
    ConcurrencyManager,
    SchedulerConfig,
    Semaphore,
    VirtualDriver,
)
from omega.errors import Cancelled, TaskCancelled, TaskError, TasksFailed, TimeoutExpired


@pytest.fixture
def manager():
    with ConcurrencyManager(driver=VirtualDriver()) as made:
        yield made


def make(**config):
    return ConcurrencyManager(SchedulerConfig(**config), driver=VirtualDriver())


def test_submit_creates_a_task(manager):
    task = manager.submit(lambda: 1, name="one", priority=3)
    assert (task.id, task.name, task.priority, task.state) == ("1", "one", 3, "pending")
    assert task.parent_id is None
    assert manager.get_task("1") is task
    assert manager.get_all_tasks() == [task]


def test_submit_never_starts_the_body(manager):
    ran = []
    manager.submit(lambda: ran.append(1))
    assert ran == []


def test_wait_waits_for_completion(manager):
    def body():
        manager.delay(2)
        return "done"

    task = manager.submit(body)
    assert manager.wait(task) == "done"
    assert task.state == "completed" and task.result == "done"
    assert task.completed_at - task.started_at == pytest.approx(2)


def test_every_operation_takes_a_task_or_its_id(manager):
    one, two = manager.submit(lambda: 1), manager.submit(lambda: manager.delay(5) or 2)
    assert manager.wait("1") == 1
    assert manager.wait_any(["1", two]) is one
    assert manager.wait_all([one, "2"]) == [1, 2]
    assert manager.cancel("2") is False
    for operation in (manager.wait, manager.cancel, lambda task: manager.wait_all([task])):
        with pytest.raises(TaskError) as caught:
            operation("99.9")
        assert caught.value.kind == "unknown-task"


def test_a_token_is_whole(manager):
    """Idempotent; callbacks in order of subscription; unsubscribing twice; tasks that have ended
    are left alone.
    """
    token = manager.create_cancellation_token()
    assert not token.is_cancelled and token.reason is None
    token.throw_if_cancelled()
    seen = []
    token.on_cancel(lambda reason: seen.append(1))
    second = token.on_cancel(lambda reason: seen.append(2))
    token.on_cancel(lambda reason: seen.append(3))
    second()
    second()
    done = manager.submit(lambda: "done", token=token)
    manager.wait(done)
    running = manager.submit(lambda: manager.delay(9), token=token)
    queued = manager.submit(lambda: seen.append("never"), token=token)
    assert token.cancel("first") is True and token.cancel("second") is False
    manager.run()
    assert token.reason == "first" and seen == [1, 3]
    assert [t.state for t in (done, running, queued)] == ["completed", "cancelled", "cancelled"]
    assert running.error.reason == "first" and running.error.by == "token"
    with pytest.raises(Cancelled, match="first"):
        token.throw_if_cancelled()


def test_wait_raises_the_tasks_error(manager):
    def body():
        raise KeyError("lost")

    task = manager.submit(body)
    with pytest.raises(KeyError, match="lost"):
        manager.wait(task)
    assert task.state == "error" and isinstance(task.error, KeyError)


def test_wait_all_waits_for_all(manager):
    tasks = [manager.submit(lambda i=i: (manager.delay(3 - i), i)[1]) for i in range(3)]
    assert manager.wait_all(tasks) == [0, 1, 2]


def test_wait_all_reports_every_outcome(manager):
    def bad():
        raise ValueError("no")

    tasks = [manager.submit(lambda: 1), manager.submit(bad), manager.submit(lambda: 3)]
    with pytest.raises(TasksFailed, match=r"1 of 3 tasks failed.*no") as caught:
        manager.wait_all(tasks)
    kinds = [kind for kind, _ in caught.value.outcomes]
    assert kinds == ["ok", "error", "ok"]
    assert isinstance(caught.value.__cause__, ValueError)


def test_wait_any_returns_the_first(manager):
    slow = manager.submit(lambda: (manager.delay(5), "slow")[1])
    fast = manager.submit(lambda: (manager.delay(1), "fast")[1])
    assert manager.wait_any([slow, fast]) is fast
    assert slow.state == "suspended"


def test_cancel_cancels(manager):
    task = manager.submit(lambda: manager.delay(100))
    other = manager.submit(lambda: manager.delay(1))
    manager.wait(other)
    assert manager.cancel(task, "enough") is True
    with pytest.raises(TaskCancelled, match=r"task 1 was cancelled: enough \(by the host\)"):
        manager.wait(task)
    assert task.state == "cancelled"
    assert manager.cancel(task) is False


def test_cancellation_token_works(manager):
    token = manager.create_cancellation_token()
    seen = []
    token.on_cancel(seen.append)
    tasks = [manager.submit(lambda: manager.delay(100), token=token) for _ in range(3)]
    trigger = manager.submit(lambda: (manager.delay(1), token.cancel("stop"))[1])
    assert manager.wait(trigger) is True
    manager.run()
    assert [task.state for task in tasks] == ["cancelled"] * 3
    assert seen == ["stop"] and token.is_cancelled and token.reason == "stop"
    assert tasks[0].cancellation_token is token
    with pytest.raises(Cancelled):
        token.throw_if_cancelled()


def test_cancellation_token_late_and_raising_callbacks():
    token = CancellationToken()
    seen = []

    def bad(reason):
        raise RuntimeError("callback")

    token.on_cancel(bad)
    token.on_cancel(seen.append)
    gone = token.on_cancel(lambda _: seen.append("never"))
    gone()
    with pytest.raises(RuntimeError):
        token.cancel("why")
    assert seen == ["why"]
    token.on_cancel(lambda reason: seen.append(("late", reason)))
    assert seen[-1] == ("late", "why")
    assert token.cancel() is False


def test_token_thrown_before_submit_ends_the_task_unstarted(manager):
    token = manager.create_cancellation_token()
    token.cancel("early")
    task = manager.submit(lambda: 1, token=token)
    assert task.state == "cancelled" and task.started_at is None


def test_check_cancellation_raises_when_cancelled(manager):
    def body():
        manager.scheduler.cancel(manager.scheduler.current, "self")
        manager.check_cancellation()

    task = manager.submit(body)
    with pytest.raises(TaskCancelled, match="self"):
        manager.wait(task)
    manager.check_cancellation()  # outside of tasks: nothing to raise


def test_priorities_are_respected():
    with make(fairness_mode="priority", max_concurrent_tasks=1) as manager:
        order = []
        for priority in (1, 10, 5, 10):
            manager.submit(lambda p=priority: order.append(p), priority=priority)
        manager.run()
        assert order == [10, 10, 5, 1]


def test_fifo_ordering_works():
    for mode in ("fifo", "round-robin"):
        with make(fairness_mode=mode, max_concurrent_tasks=1) as manager:
            order = []
            for i in range(5):
                manager.submit(partial(order.append, i))
            manager.run()
            assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
@pytest.mark.parametrize("limit", [1, 3])
def test_concurrency_limits_are_enforced(mode, limit):
    with make(fairness_mode=mode, max_concurrent_tasks=limit) as manager:
        inside = peak = 0

        def body():
            nonlocal inside, peak
            inside += 1
            peak = max(peak, inside)
            for _ in range(3):
                manager.yield_now()
                manager.scheduler._check()
            inside -= 1

        for _ in range(10):
            manager.submit(body)
        manager.run()
        assert peak == limit


@pytest.mark.parametrize("mode", ["fifo", "round-robin", "priority"])
@pytest.mark.parametrize("n", [3, 20])
def test_several_llm_calls_overlap(mode, n):
    with make(fairness_mode=mode, max_concurrent_llm_calls=8) as manager:
        scheduler = manager.scheduler
        slots = Semaphore(scheduler, scheduler.config.max_concurrent_llm_calls)

        def ended(_):
            scheduler.llm_finished()
            slots.release()

        def body():
            slots.acquire()
            scheduler.llm_started()
            call = scheduler.external(lambda: scheduler.driver.sleep(1), on_done=ended)
            scheduler.sync(call.event)

        for _ in range(n):
            manager.submit(body)
        manager.run()
        stats = manager.get_stats()
        assert stats.peak_concurrent_llm_calls == min(n, 8)
        assert stats.concurrent_llm_calls == 0


def generated_loop(scheduler, turns=None):
    """A loop as the compiler emits it: steps are taken from the iterator in the registers."""
    registers = scheduler.registers
    i = 0
    while True:
        for _ in registers["_it"]:
            i += 1
            if i == turns:
                return i
            continue
        else:
            scheduler.slice_end()
            continue


def test_cancellation_stops_an_evaluation_within_one_slice(manager):
    scheduler = manager.scheduler
    task = manager.submit(lambda: generated_loop(scheduler))

    def killer():
        manager.cancel(task, "loop")
        return task.steps

    at = manager.wait(manager.submit(killer))
    manager.run()
    assert task.state == "cancelled"
    assert task.steps - at <= scheduler.config.yield_every


def test_task_timeout_works():
    with make(task_timeout=1.5) as manager:
        task = manager.submit(lambda: manager.delay(60))
        own = manager.submit(lambda: manager.delay(2), timeout=3)
        manager.run()
        assert task.state == "error" and isinstance(task.error, TimeoutExpired)
        assert task.completed_at - task.started_at == pytest.approx(1.5)
        assert own.state == "completed"
        assert manager.get_stats().timeouts == 1


def test_task_timeout_counts_from_the_start():
    with make(max_concurrent_tasks=1) as manager:
        scheduler = manager.scheduler
        manager.submit(lambda: generated_loop(scheduler, 3_000_000))
        task = manager.submit(lambda: 7, timeout=1)
        assert manager.wait(task) == 7


@pytest.mark.parametrize("limit", [1, 2, 10_000])
def test_nested_tasks_work(limit):
    with make(max_concurrent_tasks=limit) as manager:

        def tree(depth):
            if depth == 0:
                return 1
            children = [manager.submit(lambda: tree(depth - 1)) for _ in range(2)]
            return sum(manager.wait(child) for child in children)

        task = manager.submit(lambda: tree(6))
        assert manager.wait(task) == 64
        assert manager.get_task("1.1.2").parent_id == "1.1"


def test_stats_are_accurate(manager):
    def bad():
        raise ValueError

    manager.submit(lambda: 1)
    manager.submit(bad)
    sleeper = manager.submit(lambda: manager.delay(9))
    manager.wait(manager.submit(lambda: manager.delay(1)))
    extra = manager.submit(lambda: 2)
    stats = manager.get_stats()
    assert (stats.pending_tasks, stats.running_tasks, stats.suspended_tasks) == (1, 0, 1)
    assert (stats.completed_tasks, stats.failed_tasks, stats.cancelled_tasks) == (2, 1, 0)
    manager.cancel(sleeper)
    manager.cancel(extra)
    manager.run()
    assert manager.get_stats().cancelled_tasks == 2
    assert manager.get_stats().pending_tasks == 0


def test_steps_are_counted_exactly(manager):
    scheduler = manager.scheduler
    for turns in (1, 99, 100, 101, 1000, 1001):
        before = manager.get_stats().steps
        task = manager.submit(lambda turns=turns: generated_loop(scheduler, turns))
        manager.wait(task)
        assert task.steps == turns
        assert manager.get_stats().steps - before == turns


def test_tasks_execute_with_cooperative_scheduling(manager):
    order = []

    def body(name):
        for _ in range(3):
            order.append(name)
            manager.yield_now()

    manager.submit(lambda: body("a"))
    manager.submit(lambda: body("b"))
    manager.run()
    assert order == ["a", "b"] * 3


def test_cancellation_is_prompt_and_reliable(manager):
    cleaned = []

    def body(i):
        try:
            manager.delay(1000)
        finally:
            cleaned.append(i)

    tasks = [manager.submit(lambda i=i: body(i)) for i in range(5)]
    manager.wait(manager.submit(lambda: manager.delay(1)))
    before = manager.scheduler.driver.now()
    assert manager.cancel_all("over") == 5
    manager.run()
    assert manager.scheduler.driver.now() - before < 0.001
    assert cleaned == [4, 3, 2, 1, 0], "newest first"
    assert all(task.state == "cancelled" for task in tasks)


def test_keep_finished_is_a_ring():
    with make(keep_finished=3) as manager:
        tasks = [manager.submit(lambda i=i: i) for i in range(5)]
        manager.run()
        assert [task.id for task in manager.get_all_tasks()] == ["3", "4", "5"]
        assert manager.get_task("1") is None
        assert tasks[0].result == 0, "a handle keeps its own result"
        assert [task.id for task in manager.get_tasks_by_state("completed")] == ["3", "4", "5"]


def test_configure_while_running():
    with make(max_concurrent_tasks=1) as manager:
        order = []

        def body(i):
            for _ in range(2):
                order.append(i)
                manager.yield_now()

        manager.submit(lambda: (body(0), manager.configure(max_concurrent_tasks=10)))
        for i in (1, 2):
            manager.submit(lambda i=i: body(i))
        manager.run()
        assert order == [0, 0, 1, 2, 1, 2]
