"""Other threads: the inbox, tokens, blocking calls."""

from __future__ import annotations

import sys
import threading

import pytest

from omega.concurrency import (
    AsyncioDriver,
    CancellationToken,
    ConcurrencyManager,
    Scheduler,
)
from omega.errors import Cancelled, TaskCancelled


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
    release, begun = threading.Event(), threading.Event()
    ended = []

    def body():
        first = s.blocking(
            lambda: (begun.set(), release.wait()), on_done=lambda e: ended.append("first")
        )
        task = s.spawn(lambda: s.sync(first.event))
        while not begun.is_set():
            s.sleep(0.001)
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
