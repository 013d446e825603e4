"""What calls wait for, and until when: as a program and a host see it, and as people are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omega import Interpreter, Model, Models
from omega.calls.seeing import LongWaits
from omega.llm import LaneLimits, Rate, ScriptedProvider

RULES = [
    {"match": "busy", "fault": "429", "retry_after_ms": 90_000, "times": 1, "latency_ms": 10},
    {"reply": "ok", "latency_ms": 10},
]
Watched = tuple[Interpreter, Callable[[], list[str]]]


def watched(**limits: Any) -> Watched:
    """An interpreter, and what somebody who looks now is told."""
    provider = ScriptedProvider(RULES)
    model = Model("slow", provider, "big", limits=LaneLimits(margin_s=0, **limits))
    models = Models(provider, {"slow": model}, default="slow")
    omega = Interpreter(llm=models, virtual_time=True)
    waits = LongWaits(lambda moment_s: f"{moment_s:.0f} s")
    return omega, lambda: waits.news(omega.calls, omega.scheduler.driver.now())


@pytest.fixture
def by_rate() -> Watched:
    return watched(requests=Rate.per_minute(2, burst=1))


def test_calls_that_wait_for_a_rate_are_told_once(by_rate: Watched) -> None:
    omega, look = by_rate
    with omega:
        seen: list[list[str]] = []
        omega.define("look", lambda: seen.append(look()))
        omega.eval("""
            (define (ask i) (llm.infer (number->string i)))
            (define all (map (lambda (i) (async (lambda () (ask i)))) (iota 5)))
            (sleep 1000) (look) (sleep 1000) (look)
            (define more (map (lambda (i) (async (lambda () (ask i)))) (iota 8)))
            (sleep 1000) (look) (sleep 1000) (look)
            (for-each await all) (for-each await more)""")
        rate = "calls of slow (big) wait for its rate of requests: the next is sent at 30 s"
        assert seen == [
            [f"4 {rate}, the last at about 120 s"],
            [],
            [f"12 {rate}, the last at about 360 s"],  # more than twice as long
            [],
        ]
        assert look() == []


def test_a_wait_that_is_short_is_not_told(by_rate: Watched) -> None:
    omega, look = by_rate
    with omega:
        seen: list[list[str]] = []
        omega.define("look", lambda: seen.append(look()))
        omega.eval("""
            (define all (map (lambda (i) (async (lambda () (llm.infer "x" :cache #f)))) (iota 2)))
            (sleep 1000) (look) (for-each await all)""")
        assert seen == [[]]


def test_a_vendor_who_wants_nothing_sent_is_told() -> None:
    omega, look = watched(cap_start=1)
    with omega:
        seen: list[list[str]] = []
        omega.define("look", lambda: seen.append(look()))
        omega.eval('(define a (async (lambda () (llm.infer "busy")))) (sleep 1000) (look)')
        assert seen == [
            ["1 call of slow (big) waits for its vendor, who wants nothing sent before: until 90 s"]
        ]
        assert omega.eval("(await a)") == "ok"


def test_a_program_sees_it_in_its_statistics(by_rate: Watched) -> None:
    omega, _ = by_rate
    with omega:
        omega.eval("""
            (define all (map (lambda (i) (async (lambda () (llm.infer "x" :cache #f)))) (iota 5)))
            (define (lane) (hash-ref (hash-ref (llm.stats) :lanes) :slow))
            (define (facts) (map (lambda (key) (hash-ref (lane) key))
                                 '(:waits-for :queued :next-s :last-s)))
            (sleep 1000)
            (define before (facts))
            (for-each await all)""")
        what, count, next_s, last_s = omega.eval("before")
        assert (what, count) == ("requests", 4)
        assert (next_s, last_s) == (pytest.approx(30, abs=0.1), pytest.approx(120, abs=0.1))
        assert list(omega.eval("(facts)"))[1:2] == [0]
        assert not omega.eval("(hash-ref (lane) :waits-for)")


def test_to_look_changes_nothing(by_rate: Watched) -> None:
    """Equal runs are equal whether somebody watches or not."""
    program = """
        (define (ask i) (sleep (* 7 i)) (llm.infer (number->string i)) (current-jiffy))
        (par-map ask (iota 7))"""
    times = []
    for looks in (False, True):
        omega, look = watched(requests=Rate(7.3, burst=2))
        seen: list[object] = []
        with omega:
            if looks:
                omega.scheduler.listeners.append(Looking(look, seen))
            times.append(list(omega.eval(program)))
    assert times[0] == times[1]
    assert len(seen) > 7


class Looking:
    """Looks at every event."""

    def __init__(self, look: Callable[[], list[str]], seen: list[object]) -> None:
        self._look, self._seen = look, seen

    def __call__(self, *event: Any) -> None:
        self._seen.append(self._look())
