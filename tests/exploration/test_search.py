"""A search that is broken off, by time or by Ctrl-C, has told what came of it so far."""

from __future__ import annotations

import pytest

from omega.errors import LimitExceeded
from omega.exploration import allowance
from omega.exploration.allowance import Allowance
from omega.exploration.runs import scenario_run
from omega.exploration.search import explore, follow
from tests.concurrency.programs import steps


def racing(s):
    order = []
    s.await_all([s.spawn(lambda n=n: (steps(s, 9), order.append(n))) for n in "abc"])
    assert order[0] == "a"


def well(s):
    s.await_all([s.spawn(lambda: steps(s, 9)) for _ in range(3)])


class Clock:
    def __init__(self, monkeypatch):
        self.now_us = 0
        monkeypatch.setattr(allowance, "now_us", lambda: self.now_us)

    def runs(self, scenario, *, took_us=1_000_000):
        inner = scenario_run(scenario)

        def run(chooser):
            self.now_us += took_us
            return inner(chooser)

        return run


def test_time_ends_a_search_after_the_run_that_used_it_up(monkeypatch):
    clock = Clock(monkeypatch)
    made = explore(clock.runs(well), strategy="random", runs=1000, allowance=Allowance(all_s=10))
    assert made.is_over and made.runs == 10 and made.failure is None and not made.complete


def test_a_run_that_time_broke_off_is_none(monkeypatch):
    clock, seen = Clock(monkeypatch), []

    def run(chooser):
        result = scenario_run(well)(chooser)
        seen.append(result)
        if len(seen) == 3:
            clock.now_us += 20_000_000
            return result._replace(failure=LimitExceeded("wall", 1, 1, "seconds"))
        return result

    made = explore(run, runs=1000, allowance=Allowance(all_s=10))
    assert made.is_over and made.runs == 2 and made.failure is None
    made = follow(run, (), allowance=Allowance(all_s=0.001))
    assert made.runs == 1  # it ended well, and only then time was over


def test_a_failure_is_kept_as_small_as_time_allows(monkeypatch):
    clock = Clock(monkeypatch)
    found = explore(clock.runs(racing, took_us=0), strategy="random", runs=1000)
    assert found.failure is not None and len(found.failure.found) > 1
    until_s = found.runs + 1
    made = explore(
        clock.runs(racing), strategy="random", runs=1000, allowance=Allowance(all_s=until_s)
    )
    assert made.failure is not None and made.failure.found == found.failure.found
    assert made.all == until_s < found.all
    assert len(made.failure.schedule) >= len(found.failure.schedule)


def test_a_run_that_takes_too_long_is_told_as_it_was_found():
    def run(chooser):
        result = scenario_run(well)(chooser)
        late = len(chooser.taken) > 2
        error = LimitExceeded("wall", 3, 2, "seconds for one run")
        return result._replace(failure=error if late else None)

    made = explore(run, strategy="random", runs=1000, allowance=Allowance(run_s=2))
    assert made.failure is not None and made.failure.schedule == made.failure.found
    assert made.all == made.runs  # another try would only wait again


def test_what_ctrl_c_breaks_off_is_known_to_who_looks():
    looked = []

    def look(made):
        looked.append((made, made.failure is not None))
        if made.failure is not None and made.all > made.runs + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(scenario_run(racing), strategy="random", runs=1000, look=look)
    made, _ = looked[-1]
    assert made.failure is not None and isinstance(made.failure.error, AssertionError)
    assert [known for _, known in looked] == [False] * (made.runs - 1) + [True] * (
        len(looked) - made.runs + 1
    )
