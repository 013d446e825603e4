"""Results that come in parts: order, back-pressure, aborts. Daemons that end with their scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omega.concurrency import AsyncioDriver, External, Parts, Scheduler, VirtualDriver, choose, wrap
from omega.errors import Cancelled
from tests.concurrency.conftest import Kit

DRIVERS: list[Callable[[], Any]] = [VirtualDriver, AsyncioDriver]


class Source:
    """A coroutine that tells 0, 1, ... count - 1. told: how far it has come."""

    def __init__(self, s: Scheduler, count: int, capacity: int = 4, pause: float = 0.0) -> None:
        self.s, self.count, self.pause = s, count, pause
        self.told = 0
        self.was_cancelled = False
        self.parts = Parts(s, capacity)
        self.ended = s.cell("the whole result")
        self.external: External = s.external(self._tell, on_done=self._done)
        self.parts.come_from(self.external)

    async def _tell(self) -> str:
        try:
            for i in range(self.count):
                if self.pause:
                    await self.s.driver.sleep(self.pause)
                self.told += 1
                await self.s.driver.tell(self.external, i)
        except BaseException:
            self.was_cancelled = True
            raise
        return "all"

    def _done(self, external: External) -> None:
        if external.error is not None:
            self.ended.fail(external.error)
        else:
            self.ended.put(external.value)

    def next(self) -> Any:
        """(part,), or the result."""
        return self.s.sync(choose(wrap(self.parts.next, lambda part: (part,)), self.ended.event))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("capacity", [1, 2, 5, 100])
@pytest.mark.parametrize("pause", [0.0, 0.0001])
def test_every_part_comes_once_and_in_order(
    kit: Kit, driver: Callable[[], Any], capacity: int, pause: float
) -> None:
    s = kit.scheduler(driver())

    def main() -> list[Any]:
        source = Source(s, 20, capacity, pause)
        got = []
        while isinstance(part := source.next(), tuple):
            got.append(part[0])
        while source.parts.items:
            got.append(source.parts.take())
        return [*got, part]

    assert s.wait(s.spawn(main)) == [*range(20), "all"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_slow_reader_holds_the_coroutine_back(kit: Kit, driver: Callable[[], Any]) -> None:
    s = kit.scheduler(driver())

    def main() -> None:
        source = Source(s, 100, capacity=6)
        for taken in range(20):
            s.sleep(0.001)
            assert source.told <= taken + 6
            assert source.next() == (taken,)
        assert source.told >= 20 + 3

    s.wait(s.spawn(main))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("reads", [0, 3])
def test_an_abort_reaches_a_coroutine_that_is_held_back(
    kit: Kit, driver: Callable[[], Any], reads: int
) -> None:
    s = kit.scheduler(driver())

    def main() -> None:
        source = Source(s, 100, capacity=2)
        for _ in range(reads):
            source.next()
        s.sleep(0.001)
        assert source.external.abort("enough")
        with pytest.raises(Cancelled):
            s.sync(source.ended.event)
        assert source.was_cancelled and source.external.done
        assert source.told < 10

    s.wait(s.spawn(main))


def test_the_daemons_of_a_scope_end_with_its_last_other_task(kit: Kit) -> None:
    s = kit.scheduler()
    order: list[str] = []

    def main() -> str:
        def body() -> str:
            def serve() -> None:
                try:
                    s.sleep(1000.0)
                finally:
                    order.append("daemon ended")

            def work() -> None:
                s.sleep(1.0)
                order.append("worker ended")

            s.spawn(serve, daemon=True)
            s.spawn(work)
            s.spawn(lambda: order.append("never"), daemon=True, priority=-1, name="late")
            return "value"

        value: str = s.with_scope(body)
        order.append("scope ended")
        return value

    assert s.wait(s.spawn(main)) == "value"
    assert order == ["never", "worker ended", "daemon ended", "scope ended"]
    assert s.driver.now() < 2.0
    s._check()


def test_a_scope_with_nothing_but_a_pending_daemon_ends_at_once(kit: Kit) -> None:
    s = kit.scheduler()
    ran: list[int] = []

    def main() -> None:
        s.with_scope(lambda: s.spawn(lambda: ran.append(1), daemon=True) and None)

    s.wait(s.spawn(main))
    assert ran == []
    assert s.live == 0
