"""The virtual driver: time that costs nothing."""

from __future__ import annotations

import asyncio

import pytest

from omega.errors import HostError, TimeoutExpired


def test_virtual_time_is_free_and_exact(s, run):
    run(lambda: s.sleep(3_600))  # an hour that passed would be noticed
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
            s.with_timeout(0.0002, talk)
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
