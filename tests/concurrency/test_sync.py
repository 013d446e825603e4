"""Mutexes, semaphores, serializers, barriers, ivars."""

from __future__ import annotations

import pytest

from omega.errors import TaskError


def test_mutex_is_fifo_hand_off_released_on_cancel(s, run):
    from omega.concurrency import Mutex

    order = []

    def body():
        mutex = Mutex(s)

        def worker(i):
            with mutex.held():
                order.append(i)
                s.sleep(1)

        tasks = [s.spawn(lambda i=i: worker(i)) for i in range(4)]
        s.sleep(0.5)
        s.cancel(tasks[0])
        s.cancel(tasks[2])
        s.await_all(tasks, "settle")
        assert mutex.holder is None and mutex.free == 1
        with pytest.raises(TaskError, match="held by nobody"):
            mutex.release()

    run(body)
    assert order == [0, 1, 3]


def test_no_barging_past_the_head_waiter(s, run):
    from omega.concurrency import Mutex

    order = []

    def body():
        mutex = Mutex(s)
        mutex.acquire()
        waiter = s.spawn(lambda: (mutex.acquire(), order.append("waiter"), mutex.release()))
        s.yield_now()
        mutex.release()
        mutex.acquire()  # the slot has been handed over: we queue behind
        order.append("barger")
        mutex.release()
        s.await_task(waiter)

    run(body)
    assert order == ["waiter", "barger"]


def test_semaphore_serializer_barrier_ivar(s, run):
    from omega.concurrency import Barrier, IVar, Semaphore, Serializer

    def body():
        semaphore = Semaphore(s, 2)
        inside = [0, 0]

        def limited():
            with semaphore.held():
                inside[0] += 1
                inside[1] = max(inside)
                s.sleep(1)
                inside[0] -= 1

        s.await_all([s.spawn(limited) for _ in range(5)])
        assert inside == [0, 2]

        serial, log = Serializer(s), []

        def work(i):
            log.append(("in", i))
            s.sleep(1)
            log.append(("out", i))
            return i

        values = s.await_all([s.spawn(serial.wrap(lambda i=i: work(i))) for i in range(3)])
        assert values == [0, 1, 2]
        assert log == [(w, i) for i in range(3) for w in ("in", "out")]

        barrier = Barrier(s, 3)
        assert sorted(s.await_all([s.spawn(barrier.wait) for _ in range(3)])) == [0, 1, 2]
        assert sorted(s.await_all([s.spawn(barrier.wait) for _ in range(3)])) == [0, 1, 2]

        ivar = IVar(s)
        takers = [s.spawn(ivar.take) for _ in range(2)]
        s.yield_now()
        ivar.put(5)
        with pytest.raises(TaskError):
            ivar.put(6)
        assert s.await_all(takers) == [5, 5]

    run(body)


def test_barrier_forgets_a_cancelled_arrival(s, run):
    from omega.concurrency import Barrier

    def body():
        barrier = Barrier(s, 2)
        gone = s.spawn(barrier.wait)
        s.yield_now()
        s.cancel(gone)
        s.yield_now()
        s.yield_now()
        pair = [s.spawn(barrier.wait) for _ in range(2)]
        s.await_all(pair)

    run(body)


def test_semaphore_can_be_resized(s, run):
    from omega.concurrency import Semaphore

    def body():
        semaphore = Semaphore(s, 1)
        semaphore.acquire()
        waiters = [s.spawn(semaphore.acquire) for _ in range(3)]
        s.yield_now()
        semaphore.resize(3)
        s.yield_now()
        assert [task.state for task in waiters] == ["completed", "completed", "suspended"]
        semaphore.resize(1)
        for _ in range(3):
            semaphore.release()
            s.yield_now()
        return [task.state for task in waiters], semaphore.free

    assert run(body) == (["completed"] * 3, 0)
