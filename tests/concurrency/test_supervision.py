"""supervise: restarts one-for-one or of all, delays, giving up, cancellation. On virtual time."""

from __future__ import annotations

import pytest

from omega.errors import Cancelled, HostError, TasksFailed


class Flaky:
    """A child that fails its first `times`, after `seconds` each, and then gives `value`."""

    def __init__(self, s, times, value="done", seconds=0.0):
        self.s, self.times, self.value, self.seconds = s, times, value, seconds
        self.began = []

    def __call__(self):
        self.began.append(round(self.s.driver.now(), 3))
        self.s.sleep(self.seconds)
        if len(self.began) <= self.times:
            raise ValueError(f"failure {len(self.began)}")
        return self.value


def test_children_that_complete_give_their_values_in_order(s, run):
    assert run(lambda: s.supervise([lambda: 1, ("two", lambda: s.sleep(1) or 2)])) == [1, 2]
    assert run(lambda: s.supervise([])) == []


def test_one_for_one_restarts_only_what_failed(s, run):
    steady, flaky = Flaky(s, 0, "steady", 1), Flaky(s, 2, "flaky")
    assert run(lambda: s.supervise([steady, ("flaky", flaky)])) == ["steady", "flaky"]
    assert len(steady.began) == 1 and len(flaky.began) == 3


def test_all_restarts_every_child_the_others_cancelled_newest_first(s, run):
    log = []
    flaky = Flaky(s, 1, "flaky", 0.5)

    def other(name):
        log.append(f"{name} begins")
        try:
            s.sleep(2)
        except Cancelled:
            s.shielded(lambda: s.sleep(0.1))
            log.append(f"{name} stops")
            raise
        return name

    children = [lambda: other("a"), flaky, lambda: other("b"), lambda: log.append("quick")]
    values = run(lambda: s.supervise(children, strategy="all"))
    assert values == ["a", "flaky", "b", None]
    first = ["a begins", "b begins", "quick"]
    assert log == [*first, "b stops", "a stops", *first]
    assert flaky.began == [0, 0.6]  # at once after the cleanup: that took the delay's time


def test_the_delay_doubles_up_to_its_limit_and_starts_again_after_a_good_period(s, run):
    flaky = Flaky(s, 6)
    run(lambda: s.supervise([flaky], intensity=9, period=60, delay=1, delay_max=5))
    gaps = [b - a for a, b in zip(flaky.began, flaky.began[1:], strict=False)]
    assert gaps == pytest.approx([1, 2, 4, 5, 5, 5], abs=0.01)

    slow = Flaky(s, 4, seconds=10)  # each lives for a whole period
    run(lambda: s.supervise([slow], period=10, delay=1))
    gaps = [b - a for a, b in zip(slow.began, slow.began[1:], strict=False)]
    assert gaps == pytest.approx([11] * 4, abs=0.01)


def test_it_gives_up_upwards_with_the_last_errors_after_cleaning_up(s, run):
    log = []

    def steady():
        try:
            s.sleep(1000)
        finally:
            s.shielded(lambda: s.sleep(0.5))
            log.append("cleaned")

    flaky = Flaky(s, 99)
    with pytest.raises(
        TasksFailed, match="gave up on child flaky: it bears 3 restarts within 60 s"
    ) as caught:
        run(lambda: s.supervise([steady, ("flaky", flaky)], intensity=3, period=60))
    assert log == ["cleaned"]
    errors = [str(error) for _, error in caught.value.outcomes]
    assert errors == [f"failure {i}" for i in (1, 2, 3, 4)]
    assert str(caught.value.__cause__) == "failure 4"
    assert s.live == 0


def test_restarts_that_are_further_apart_than_the_period_are_borne_for_ever(s, run):
    assert run(lambda: s.supervise([Flaky(s, 50, seconds=6)], intensity=1, period=5)) == ["done"]
    with pytest.raises(
        TasksFailed, match=r"it bears 0 restarts within 5 s; the last failure: .*failure 1"
    ):
        run(lambda: s.supervise([Flaky(s, 1)], intensity=0))


def test_supervisors_nest_and_an_outer_one_restarts_an_inner_one_that_gave_up(s, run):
    flaky = Flaky(s, 5)
    inner = ("inner", lambda: s.supervise([flaky], intensity=1, period=60))
    assert run(lambda: s.supervise([inner])) == [["done"]]
    assert len(flaky.began) == 6


@pytest.mark.parametrize("when", [0.05, 0.15, 0.25])
@pytest.mark.parametrize("strategy", ["one-for-one", "all"])
def test_cancelling_the_supervisor_ends_the_children_whatever_it_waits_for(s, strategy, when):
    """While they run; while one waits for its restart; while others are stopped for its sake."""
    log = []

    def stubborn():
        log.append("begins")
        try:
            s.sleep(1000)
        finally:
            s.shielded(lambda: s.sleep(0.1))
            log.append("cleaned")

    flaky = Flaky(s, 99, seconds=0.1)
    supervisor = s.spawn(lambda: s.supervise([stubborn, flaky], strategy=strategy, delay=0.1))
    s.call_later(when, lambda: s.cancel(supervisor, "enough"))
    s.run()
    assert supervisor.state == "cancelled" and s.live == 0
    assert log == ["begins", "cleaned"] * (len(log) // 2) and log
    s._check()


def test_a_child_that_is_cancelled_is_not_started_again(s, run):
    def body():
        def children():
            return s.supervise([("a", lambda: s.sleep(10)), ("b", lambda: s.sleep(1) or "b")])

        supervisor = s.spawn(children)
        s.sleep(0.5)
        s.cancel(next(task for task in s.all_tasks() if task.name == "a"))
        return s.await_task(supervisor)

    assert run(body) == [None, "b"]


def test_always_restarts_what_completes_too(s, run):
    count = 0

    def child():
        nonlocal count
        count += 1
        s.sleep(1)

    def body():
        with pytest.raises(TasksFailed, match="gave up on a child: it bears 2 restarts"):
            s.supervise([child], restart="always", intensity=2, period=60)

    run(body)
    assert count == 3


def test_the_host_is_told_to_end_at_once(s):
    def child():
        raise SystemExit(3)

    s.spawn(lambda: s.supervise([child]))
    with pytest.raises(SystemExit):
        s.run()


def test_what_makes_no_sense_is_refused(s, run):
    for bad in (
        {"strategy": "some"},
        {"restart": "never"},
        {"intensity": -1},
        {"period": 0},
        {"delay": 2, "delay_max": 1},
    ):
        with pytest.raises(HostError):
            run(lambda bad=bad: s.supervise([lambda: 1], **bad))


def test_restarts_are_told_in_the_event_stream(s, run):
    seen = []
    s.listeners.append(lambda event: seen.append(event) if "Child" in event["event"] else None)
    run(lambda: s.supervise([("w", Flaky(s, 2))], delay=0.5))
    assert [(e["name"], e["failures"], e["wait_us"]) for e in seen] == [
        ("w", 1, 500_000),
        ("w", 2, 1_000_000),
    ]
