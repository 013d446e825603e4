"""Ctrl-C while a host without a handler of its own drives the scheduler: real signals."""

from __future__ import annotations

import asyncio
import random
import signal
import threading

import pytest

from omega import Interpreter
from omega.concurrency import (
    AsyncioDriver,
    VirtualDriver,
)
from omega.errors import (
    TaskCancelled,
)
from tests.concurrency.programs import steps

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals come elsewhere"
)


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def spins(s):
    while True:
        s.charge(10)


@pytest.mark.parametrize("driver", [VirtualDriver, AsyncioDriver])
def test_the_first_cancels_what_the_host_waits_for(kit, driver):
    s = kit.scheduler(driver=driver())
    cleaned = []

    def body():
        try:
            signal.raise_signal(signal.SIGINT)
            spins(s)
        finally:
            s.shielded(lambda: cleaned.append(s.sleep(0.001)))

    task = s.spawn(body)
    with pytest.raises(KeyboardInterrupt):
        s.wait(task)
    assert task.state == "cancelled" and cleaned == [None]
    assert s.wait(s.spawn(lambda: 42)) == 42


def test_the_second_does_not_wait_for_the_end(kit):
    s = kit.scheduler()

    def body():
        signal.raise_signal(signal.SIGINT)

        def stubborn():
            signal.raise_signal(signal.SIGINT)
            s.sleep(1000)

        s.shield(stubborn)

    task = s.spawn(body)
    with pytest.raises(KeyboardInterrupt):
        s.wait(task)
    assert not task.is_done
    s._check()
    assert s.wait(s.spawn(lambda: 42)) == 42


def test_one_that_comes_at_the_very_end_is_not_for_what_comes_next(kit):
    s = kit.scheduler()
    with pytest.raises(KeyboardInterrupt):
        s.wait(s.spawn(lambda: signal.raise_signal(signal.SIGINT)))
    assert s.wait(s.spawn(lambda: (s.yield_now(), 42)[1])) == 42


def test_run_has_nothing_to_cancel_and_stops(kit):
    s = kit.scheduler()
    s.spawn(lambda: (signal.raise_signal(signal.SIGINT), spins(s)))
    with pytest.raises(KeyboardInterrupt):
        s.run()
    s._check()


def test_at_any_moment_it_leaves_the_kernel_whole():
    """A Lisp program with many switches, interrupted somewhere; nothing is lost of the others."""
    delays = random.Random(7)

    def interrupt(number, frame):
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, interrupt)
    program = """(define (program) (scope (let loop ((i 0)) (when (< i 400)
                   (async (lambda () (yield) (let spin ((n 0)) (if (< n 300) (spin (+ n 1))))))
                   (loop (+ i 1))))))"""
    hit = 0
    try:
        with Interpreter() as omega:
            omega.eval(program)
            run = omega.get("program")
            omega.eval("(define beside (async-detached (lambda () (sleep 20) 'kept)))")
            for _ in range(60):
                signal.setitimer(signal.ITIMER_REAL, delays.uniform(0.0001, 0.03))
                try:
                    try:
                        run()
                    finally:  # it may come as late as here
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    hit += 1
                omega.scheduler._check()
                assert omega.eval("(+ 1 2)") == 3
            assert str(omega.eval("(await beside)")) == "kept"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hit


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
        with pytest.raises(TaskCancelled):
            s.wait(s.spawn(lambda: s.sleep(3_600)))
    finally:
        signal.signal(signal.SIGALRM, old)


@pytest.mark.parametrize("has_loop", [False, True])
def test_a_signal_that_ends_no_wait_is_heard_all_the_same(kit, has_loop):
    """One that another thread gets, or that comes just before the wait begins."""
    s = kit.scheduler(driver=AsyncioDriver())
    waits = threading.Event()

    async def rests():
        await asyncio.sleep(3_600)

    def deliver():
        waits.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    def body():
        if has_loop:
            s.spawn(lambda: s.sync(s.external(rests).event))
            s.sleep(0.001)
        waits.set()
        s.sleep(3_600)

    thread = threading.Thread(target=deliver)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        s.wait(s.spawn(body))
    thread.join()


def test_ctrl_c_storm_leaves_every_task_in_one_queue(kit):
    s = kit.scheduler(driver=AsyncioDriver(), yield_every=10)
    s.on_interrupt = lambda: hits.append(1)
    hits = []
    old = signal.signal(signal.SIGALRM, lambda *_: s.interrupt())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)

        def body():
            while len(hits) <= 50:
                steps(s, 25)
                s.yield_now()

        for _ in range(5):
            s.spawn(body)
        s.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(hits) > 50
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
