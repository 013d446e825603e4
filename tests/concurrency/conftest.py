"""Fixtures: schedulers under virtual time, checked and closed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from omega.concurrency import Scheduler, SchedulerConfig, VirtualDriver


class Kit:
    """Makes schedulers, and checks and closes them after the test."""

    def __init__(self) -> None:
        self.made: list[Scheduler] = []

    def scheduler(self, driver: Any = None, **config: Any) -> Scheduler:
        made = Scheduler(SchedulerConfig(**config), driver=driver or VirtualDriver())
        self.made.append(made)
        return made


@pytest.fixture
def kit() -> Iterator[Kit]:
    made = Kit()
    yield made
    for scheduler in made.made:
        if not scheduler.closed:
            scheduler._check()
            hidden = [task.error for task in scheduler.unobserved_failures()]
            scheduler.close()
            for error in hidden:
                if isinstance(error, AssertionError):
                    raise error
        assert not scheduler._stacks


@pytest.fixture
def s(kit: Kit) -> Scheduler:
    return kit.scheduler()


@pytest.fixture
def run(s: Scheduler) -> Callable[[Callable[[], Any]], Any]:
    def runs(body: Callable[[], Any]) -> Any:
        value = s.wait(s.spawn(body))
        s._check()
        return value

    return runs
