"""SliceOverrun: who held the processor too long. The clock of these tests is moved by hand."""

from __future__ import annotations

import pytest

from omega import Interpreter, SchedulerConfig
from omega.concurrency import AsyncioDriver, choose, clock, end_event, timer_event
from omega.errors import HostError
from tests.concurrency.programs import steps


class Hand:
    """A clock that stands still unless moved; it counts how often it is read."""

    def __init__(self) -> None:
        self.us = 1_000_000
        self.reads = 0
        self.pace_us = 0  # it moves by itself at each reading

    def __call__(self) -> int:
        self.reads += 1
        self.us += self.pace_us
        return self.us

    def move(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)


@pytest.fixture
def hand(monkeypatch):
    made = Hand()
    monkeypatch.setattr(clock, "now_us", made)
    return made


def overruns(scheduler):
    seen = []
    scheduler.listeners.append(
        lambda event: seen.append(event) if event["event"] == "SliceOverrun" else None
    )
    return seen


@pytest.fixture
def lisp(hand):
    with Interpreter() as interpreter:
        interpreter.define("slow", lambda seconds: hand.move(seconds))
        interpreter.define("quick", lambda: None)
        yield interpreter


PROGRAM = """(define (busy n) (let loop ((i 0)) (when (< i n) (loop (+ i 1)))))
(define (work seconds)
  (slow seconds)
  (quick)
  (busy 1000))
(work SECONDS)
"""


def test_an_overrun_names_the_host_function_its_duration_and_the_place(lisp):
    seen = overruns(lisp.scheduler)
    lisp.eval(PROGRAM.replace("SECONDS", "0.25"), filename="plan.omega")
    (event,) = seen
    assert event["by"] == "slow" and event["place"] == "plan.omega:3"
    assert event["seconds"] == 0.25 and event["task"]
    assert lisp.scheduler.stats().longest_slice_ms == 250
    assert lisp.scheduler.watchdog.longest_by == "`slow`, plan.omega:3"


def test_it_is_told_also_when_the_host_function_fails_or_lets_others_run(lisp, hand):
    def fails():
        hand.move(0.2)
        raise ValueError

    lisp.define("fails", fails)
    lisp.define("reenters", lambda f: (f(), hand.move(0.3)), reentrant=True)
    seen = overruns(lisp.scheduler)
    lisp.eval("(guard (e (#t 'failed)) (fails))", filename="a")
    lisp.eval("(reenters (lambda () (yield)))", filename="b")
    assert [(e["by"], e["seconds"]) for e in seen] == [("fails", 0.2), ("reenters", 0.3)]


def test_below_the_threshold_nothing_is_told_and_none_turns_it_off(lisp):
    seen = overruns(lisp.scheduler)
    lisp.eval(PROGRAM.replace("SECONDS", "0.09"))
    assert seen == []
    lisp.scheduler.configure(slow_slice=None)
    lisp.eval("(work 5)")
    assert seen == []
    assert lisp.scheduler.stats().longest_slice_ms == 5000
    lisp.scheduler.configure(slow_slice=0.01)
    lisp.eval("(work 0.02)")
    assert [event["seconds"] for event in seen] == [0.02]
    with pytest.raises(HostError, match="slow_slice is a number of seconds above 0 or None"):
        lisp.scheduler.configure(slow_slice=0)


def test_an_overrun_names_the_primitive_that_charges_for_its_work(lisp, hand, monkeypatch):
    charge = lisp.scheduler.charge

    def slowly(n):
        hand.move(0.2)
        charge(n)

    monkeypatch.setattr(lisp.runtime, "_charge", slowly)
    seen = overruns(lisp.scheduler)
    lisp.eval("(define v (make-vector 100000 0))\n\n(vector->list v)", filename="long.omega")
    assert {(e["by"], e["place"]) for e in seen} >= {("vector->list", "long.omega:3")}


def test_a_slice_is_not_blamed_for_what_others_took_before(kit, hand):
    """Waits end slices without a reading: what lies between two is nobody's slice."""
    s = kit.scheduler(driver=AsyncioDriver())
    seen = overruns(s)

    def waits():
        for _ in range(3):
            hand.move(0.08)  # below the threshold, thrice
            s.yield_now()

    s.spawn(waits)
    s.spawn(waits)
    s.spawn(lambda: steps(s, 200))
    s.run()
    assert seen == []


def test_without_lisp_the_hosts_own_function_is_named(kit, hand):
    s = kit.scheduler(driver=AsyncioDriver())
    seen = overruns(s)

    def crunches():
        steps(s, 150)
        hand.move(0.2)
        steps(s, 150)

    s.spawn(crunches)
    s.run()
    (event,) = seen
    assert event["by"] == "steps" and "programs.py:" in event["place"]


def test_the_clock_is_read_once_a_slice_and_once_a_visit_of_the_hub(kit, hand):
    """And once more when a turn that began with a visit ends in one: here, with the task."""
    hand.pace_us = 10
    s = kit.scheduler(driver=AsyncioDriver())
    visits = []
    s.driver.poll_switches = lambda: visits.append(1) or AsyncioDriver.poll_switches(s.driver)
    before = hand.reads
    s.spawn(lambda: steps(s, 100_000))
    s.run()
    slices = 999
    assert hand.reads - before == slices + len(visits) + 1 and len(visits) < slices / 10


def test_under_virtual_time_nothing_is_measured():
    with Interpreter(virtual_time=True, scheduler=SchedulerConfig(slow_slice=1e-6)) as lisp:
        seen = overruns(lisp.scheduler)
        lisp.define("slow", lambda: sum(range(100_000)))
        lisp.eval("(slow) (let loop ((i 0)) (when (< i 1000) (loop (+ i 1))))")
        assert seen == []
        assert lisp.scheduler.stats().longest_slice_ms == 0


# -- slices that end in a wait ---------------------------------------------------------------------

WAYS = {
    "a yield": lambda s, other: s.yield_now(),
    "a sleep": lambda s, other: s.sync(choose(timer_event(60), end_event(other))),
    "the end of a task": lambda s, other: s.await_task(other),
    "its own end": lambda s, other: None,
    "a value that a peer was served before": lambda s, other: s.step_aside(s.current),
}


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("others", [0, 1, 5])
def test_a_slow_slice_is_seen_however_it_ends(kit, hand, way, others):
    s = kit.scheduler(driver=AsyncioDriver())
    seen = overruns(s)
    other = s.spawn(lambda: [s.yield_now() for _ in range(5)])

    def slow():
        s.yield_now()
        hand.move(0.25)
        WAYS[way](s, other)

    culprit = s.spawn(slow)
    for _ in range(others):
        s.spawn(lambda: [s.yield_now() for _ in range(20)])
    s.run()
    (event,) = seen
    assert event["task"] == culprit.id and event["seconds"] == 0.25
    assert s.stats().longest_slice_ms == 250
    if way != "its own end":
        assert "test_watchdog.py:" in event["place"]


def test_a_primitive_that_was_slow_before_a_wait_is_named(lisp, hand, monkeypatch):
    charge = lisp.scheduler.charge

    def first_charge_then_work(n):
        charge(n)
        hand.move(0.2)

    monkeypatch.setattr(lisp.runtime, "_charge", first_charge_then_work)
    seen = overruns(lisp.scheduler)
    lisp.eval(
        """(define v (make-vector 10 0))
        (define long (make-vector 100000 0))
        (define (work)
          (vector->list long)
          (yield))
        (await (async work))""",
        filename="wait.omega",
    )
    event = seen[-1]
    assert (event["by"], event["place"]) == ("vector->list", "wait.omega:4")
    assert event["task"] == "1.1"


def test_what_was_slow_before_a_wait_and_charged_nothing_is_placed(lisp, hand):
    """A primitive of C, or Python's collector: the wait is the next that is known."""
    seen = overruns(lisp.scheduler)
    lisp.scheduler.driver.host_returned = lambda name: None  # as if it were no host function
    lisp.eval("(slow 0.3)\n(yield)", filename="place.omega")
    (event,) = seen
    assert (event["by"], event["place"], event["seconds"]) == (None, "place.omega:2", 0.3)


def test_slow_slices_are_seen_by_the_hub_when_nobody_listens(kit, hand):
    """Where slices are slow the hub is visited after each, and the clock is read there anyway."""
    s = kit.scheduler(driver=AsyncioDriver())

    def slow(seconds):
        for _ in range(3):
            hand.move(seconds)
            s.yield_now()

    s.spawn(lambda: slow(0.03))
    s.spawn(lambda: slow(0.25))
    s.run()
    assert s.stats().longest_slice_ms == 250
    assert "slow" in s.watchdog.longest_by and "test_watchdog.py:" in s.watchdog.longest_by


@pytest.mark.parametrize("heard", [False, True])
def test_switches_read_the_clock_only_while_somebody_listens(kit, hand, heard):
    hand.pace_us = 1
    s = kit.scheduler(driver=AsyncioDriver())
    if heard:
        overruns(s)
    for _ in range(2):
        s.spawn(lambda: [s.yield_now() for _ in range(10_000)])
    before = hand.reads
    s.run()
    assert (hand.reads - before > 20_000) is heard
    assert heard or hand.reads - before < 20_000 / 10
