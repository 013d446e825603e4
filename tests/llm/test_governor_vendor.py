"""The governor against a vendor that counts, in simulated time: throughput and refusals.

The vendor has a token bucket of requests, answers after a latency, refuses beyond its rate with 429
and Retry-After, and tells its limits in headers, or does not.
"""

from __future__ import annotations

import heapq
import random
from types import SimpleNamespace
from typing import Any

import pytest

from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.lane import LaneLimits, Outcome

CALLS = 2_000
RATE_S, BURST = 200.0, 20.0


class Vendor:
    def __init__(self, has_headers: bool, seed: int, latency_s: float) -> None:
        self.level, self.at_s = BURST, 0.0
        self.has_headers, self.latency_s = has_headers, latency_s
        self.random = random.Random(seed)
        self.taken = self.refused = 0

    def arrive(self, now_s: float) -> tuple[float, Outcome]:
        """When the answer is there, and what it says."""
        self.level = min(BURST, self.level + RATE_S * (now_s - self.at_s))
        self.at_s = now_s
        is_taken = self.level >= 1
        self.level -= is_taken
        remaining = int(self.level)
        requests = SimpleNamespace(
            limit=int(BURST), remaining=remaining, reset_s=(BURST - remaining) / RATE_S
        )
        limits: Any = None
        if self.has_headers:
            limits = SimpleNamespace(
                requests=requests, tokens=None, input_tokens=None, output_tokens=None
            )
        if not is_taken:
            self.refused += 1
            wait_s = (1 - self.level) / RATE_S
            outcome = Outcome(throttle="rate", retry_after_s=wait_s, limits=limits)
            return now_s + 0.001, outcome
        self.taken += 1
        return now_s + self.latency_s * self.random.uniform(0.5, 1.5), Outcome(True, limits=limits)


def run(governor: Governor[int], vendor: Vendor) -> float:
    """All calls, from 0 s; how long that took."""
    for number in range(CALLS):
        governor.ask(number, group=number % 5, now_s=0.0)
    answers: list[tuple[float, int, Outcome]] = []
    now_s = 0.0
    while governor.queued or governor.in_flight:
        for number in governor.admit(now_s).calls:
            governor.started(number)
            due_s, outcome = vendor.arrive(now_s + 0.002)
            heapq.heappush(answers, (due_s, number, outcome))
        governor._check() if governor.queued % 97 == 0 else None
        wake_s = governor.next_due_s()
        if answers and (wake_s is None or answers[0][0] <= wake_s):
            now_s, number, outcome = heapq.heappop(answers)
            if outcome.is_ok:
                governor.finished(number, outcome, now_s=now_s)
            else:
                assert governor.requeue(number, now_s, outcome, now_s=now_s) is None
        else:
            assert wake_s is not None and wake_s > now_s, "something always happens, and only once"
            now_s = wake_s
    assert vendor.taken == CALLS == governor.finished_count
    return now_s


@pytest.mark.parametrize("latency_s", [0.02, 0.2])
@pytest.mark.parametrize("known", ["configured", "headers", "both"])
def test_a_known_rate_is_used_fully_and_hardly_ever_exceeded(known: str, latency_s: float) -> None:
    """At least 95 % of what the vendor permits, at most 1 % refused."""
    governor: Governor[int] = Governor(64)
    requests = None if known == "headers" else Rate(RATE_S, BURST)
    governor.lane(None, LaneLimits(requests=requests, cap_start=int(BURST)))
    vendor = Vendor(known != "configured", 1, latency_s)
    took_s = run(governor, vendor)
    assert vendor.refused <= CALLS / 100, vendor.refused
    permitted_s = (CALLS - BURST) / RATE_S
    assert took_s <= permitted_s / 0.95 + 2 * latency_s, took_s


def test_without_any_figures_refusals_alone_teach_the_rate() -> None:
    """Neither configured nor told: the cap learns. Nobody is refused for good, and the rate is
    used to two thirds at least.
    """
    governor: Governor[int] = Governor(64)
    vendor = Vendor(False, 1, 0.02)
    took_s = run(governor, vendor)
    assert vendor.refused <= CALLS / 5, vendor.refused
    assert took_s <= 1.5 * (CALLS - BURST) / RATE_S, took_s
