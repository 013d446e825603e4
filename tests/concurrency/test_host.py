"""What the host may do from where, and what it is told else."""

from __future__ import annotations

import threading

import pytest

from omega.concurrency import (
    ConcurrencyManager,
    SchedulerConfig,
)
from omega.errors import (
    HostError,
    TaskError,
    WrongThread,
)


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


def test_the_manager_is_a_context_manager_and_usable_without_lisp():
    with ConcurrencyManager(SchedulerConfig(max_concurrent_tasks=2)) as manager:
        assert manager.wait(manager.submit(lambda: (manager.delay(0.001), 4)[1])) == 4


def test_unknown_id_is_an_error_for_operations_and_none_for_lookups(s):
    with pytest.raises(TaskError) as caught:
        s.find_task("9.9")
    assert caught.value.kind == "unknown-task"
    assert s.try_find_task("9.9") is None
