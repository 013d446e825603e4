"""Token buckets: against a history in exact fractions, and against a vendor that counts."""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.errors import HostError
from omega.llm.buckets import SLACK_S, Bucket, Rate


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(Rate(2, burst=3))
    assert [bucket.reserve(1, 10.0) for _ in range(5)] == [10, 10, 10, 10.5, 11]
    assert bucket.level(10) == -2
    assert bucket.ready_s(1, 10) == 11.5


def test_more_than_the_bucket_holds_goes_when_it_is_full_and_leaves_a_debt() -> None:
    bucket = Bucket(Rate(10, burst=10))
    assert bucket.reserve(45, 0.0) == 0
    assert bucket.level(0) == -35
    assert bucket.ready_s(1, 0) == 3.6


def test_a_truth_larger_than_the_estimate_is_paid_off_and_a_smaller_one_is_given_back() -> None:
    bucket = Bucket(Rate(1, burst=10))
    bucket.reserve(4, 0)
    bucket.settle(4, 16, 0)
    assert bucket.level(0) == -6
    assert bucket.ready_s(1, 0) == 7
    bucket.reserve(1, 7)
    bucket.settle(1, 0.5, 7)
    assert bucket.level(7) == 0.5
    bucket.refund(100, 7)
    assert bucket.level(7) == 10, "never more than the burst"


def test_nothing_known_is_no_limit_until_the_vendor_speaks() -> None:
    bucket = Bucket()
    assert not bucket.is_known and bucket.ready_s(1e9, 5) == 5
    bucket.reserve(1, 5)
    bucket.reserve(1, 5)
    bucket.adopt(20, 17, 0.015, taken_before=1, sent_s=5, now_s=5)
    assert bucket.is_known and bucket.burst == 20
    assert bucket.level(5) == 16, "one of the 17 was taken since"
    assert bucket.rate_s == pytest.approx(200)


def test_a_limit_without_a_deficit_is_taken_as_per_minute() -> None:
    bucket = Bucket()
    bucket.adopt(600, 600, 0, taken_before=0, sent_s=0, now_s=0)
    assert bucket.rate_s == 10


def test_a_configured_bucket_is_only_ever_made_stricter() -> None:
    bucket = Bucket(Rate(1, burst=10))
    bucket.adopt(1000, 900, 1, taken_before=0, sent_s=0, now_s=0)
    assert (bucket.level(0), bucket.burst, bucket.rate_s) == (10, 10, 1)
    bucket.adopt(5, 2, 6, taken_before=0, sent_s=0, now_s=0)
    assert (bucket.level(0), bucket.burst, bucket.rate_s) == (2, 5, 0.5)
    bucket.adopt(1000, 400, 1, taken_before=0, sent_s=2, now_s=2)
    assert (bucket.level(2), bucket.burst, bucket.rate_s) == (3, 10, 1), "it takes that back"


def test_what_came_back_while_a_call_was_under_way_is_counted_up_to_what_the_vendor_said() -> None:
    bucket = Bucket(Rate(10, burst=100))
    for _ in range(8):
        bucket.reserve(1, 0)
    bucket.adopt(100, 50, 5, taken_before=1, sent_s=0, now_s=0.3)
    assert bucket.level(0.3) == pytest.approx(50 - 7 + 3)
    bucket.adopt(100, 20, 8, taken_before=1, sent_s=0, now_s=0.9)
    assert bucket.level(0.9) == 20, "nothing is known to have come back beyond that"


def test_a_rate_is_not_learned_from_a_deficit_that_rounding_explains() -> None:
    bucket = Bucket()
    bucket.adopt(100, 0, 10, taken_before=0, sent_s=0, now_s=0)
    bucket.adopt(100, 99, 1, taken_before=0, sent_s=0, now_s=0)
    assert bucket.rate_s == 10
    bucket.adopt(100, 40, 3, taken_before=0, sent_s=0, now_s=0)
    assert bucket.rate_s == 20


@pytest.mark.parametrize("nonsense", [-1.0, float("nan"), float("inf"), None])
def test_nonsense_in_headers_is_not_believed(nonsense: float | None) -> None:
    bucket = Bucket()
    bucket.adopt(nonsense, nonsense, nonsense, taken_before=0, sent_s=0, now_s=0)
    assert not bucket.is_known
    bucket = Bucket(Rate(1, burst=10))
    bucket.adopt(nonsense, nonsense, nonsense, taken_before=0, sent_s=0, now_s=0)
    assert bucket.level(0) == 10


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_rate_that_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(HostError, match="positive number"):
        Rate(wrong)  # type: ignore[arg-type]
    with pytest.raises(HostError, match="positive number"):
        Rate.per_minute(wrong)  # type: ignore[arg-type]


class _History(RuleBasedStateMachine):
    """Against the fold of everything that happened, in fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.rate, self.burst = Fraction(3, 2), Fraction(8)
        self.bucket = Bucket(Rate(1.5, burst=8))
        self.now = Fraction(0)
        self.level = self.burst
        self.held: list[int] = []

    @rule(step=st.integers(0, 4000))
    def wait(self, step: int) -> None:
        self.now += Fraction(step, 1000)
        self.level = min(self.burst, self.level + self.rate * Fraction(step, 1000))

    @rule(amount=st.integers(0, 8))
    def take_what_fits(self, amount: int) -> None:
        ready_s = self.bucket.ready_s(amount, float(self.now))
        exact = self.now + max(Fraction(0), (amount - self.level) / self.rate)
        assert ready_s == pytest.approx(float(exact), abs=2 * SLACK_S)
        if ready_s <= float(self.now):
            assert self.bucket.reserve(amount, float(self.now)) == float(self.now)
            self.level -= amount
            self.held.append(amount)

    @rule(amount=st.integers(0, 30))
    def reserve_ahead(self, amount: int) -> None:
        ready_s = self.bucket.reserve(amount, float(self.now))
        wait = max(Fraction(0), (min(amount, self.burst) - self.level) / self.rate)
        assert ready_s == pytest.approx(float(self.now + wait), abs=2 * SLACK_S)
        self.level -= amount
        self.held.append(amount)

    @precondition(lambda self: self.held)
    @rule(truth=st.integers(0, 20))
    def settle(self, truth: int) -> None:
        estimate = self.held.pop()
        self.bucket.settle(estimate, truth, float(self.now))
        self.level = min(self.burst, self.level + estimate - truth)

    @invariant()
    def the_level_is_the_fold(self) -> None:
        assert self.bucket.level(float(self.now)) == pytest.approx(float(self.level), abs=1e-6)


TestBucketAgainstHistory = _History.TestCase
TestBucketAgainstHistory.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=40, deadline=None
)


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(1, 100),
    asks=st.lists(st.tuples(st.floats(0, 2), st.floats(0, 100)), max_size=40),
)
@settings(deadline=None)
def test_no_window_gets_more_than_burst_and_rate(
    rate: float, burst: float, asks: list[tuple[float, float]]
) -> None:
    """Takers that wait until `ready_s`: in any window at most burst + rate * t, above the burst
    only by what one amount exceeds it.
    """
    bucket, now_s = Bucket(Rate(rate, burst)), 0.0
    given: list[tuple[float, float]] = []
    for pause_s, amount in asks:
        now_s = max(now_s + pause_s, bucket.ready_s(amount, now_s + pause_s))
        assert bucket.ready_s(amount, now_s) == now_s, "at the moment that was told, it fits"
        assert bucket.reserve(amount, now_s) == now_s
        given.append((now_s, amount))
    for first in range(len(given)):
        total = 0.0
        for last in range(first, len(given)):
            total += given[last][1]
            over = max(0.0, given[last][1] - burst)  # the last may leave a debt
            allowed = burst + over + rate * (given[last][0] - given[first][0])
            assert total <= allowed * (1 + 1e-9) + rate * SLACK_S * len(given) + 1e-6


class _Vendor:
    """Counts as vendors do: a token bucket of its own, seen only through headers."""

    def __init__(self, rate_s: float, burst: float) -> None:
        self.rate_s, self.burst, self.level, self.at_s = rate_s, burst, burst, 0.0

    def arrive(self, now_s: float) -> tuple[bool, tuple[float, float, float]]:
        self.level = min(self.burst, self.level + self.rate_s * (now_s - self.at_s))
        self.at_s = now_s
        is_taken = self.level >= 1 - 1e-6
        if is_taken:
            self.level -= 1
        remaining = float(int(max(0.0, self.level)))
        return is_taken, (self.burst, remaining, (self.burst - remaining) / self.rate_s)


@pytest.mark.parametrize("rate", [0.5, 5.0, 300.0])
def test_a_rate_configured_too_high_falls_once_headers_miss_more_than_one_unit(rate: float) -> None:
    """Of one unit that is missing, rounding may be all: until then what was configured holds."""
    vendor, bucket = _Vendor(rate, 10), Bucket(Rate(10 * rate, 100))
    for missing in (1, 2, 3):
        bucket.reserve(1, 0.0)
        taken = bucket.taken
        _, (limit, remaining, reset_s) = vendor.arrive(0.0)
        bucket.adopt(limit, remaining, reset_s, taken_before=taken, sent_s=0.0, now_s=0.0)
        assert bucket.burst == 10
        expected = 10 * rate if missing == 1 else rate
        assert bucket.rate_s == pytest.approx(expected, rel=0.35)


@given(
    rate=st.floats(0.5, 500),
    burst=st.integers(4, 50),
    configured=st.sampled_from([None, 0.5, 1.0]),
    up_s=st.floats(0, 0.2),
    latencies=st.lists(st.floats(0, 3), min_size=1, max_size=10),
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.01, 1.0]), min_size=1, max_size=60),
)
@settings(deadline=None, max_examples=200)
def test_a_bucket_that_believes_headers_is_never_refused_after_the_first_answer(
    rate: float,
    burst: int,
    configured: float | None,
    up_s: float,
    latencies: list[float],
    pauses: list[float],
) -> None:
    """Whatever was configured (nothing, too little, the truth), whatever latencies do: once one
    answer has been read and what was sent blindly is over, nothing is refused, of bursts of four
    and more. A rate that was configured too high is another matter: see the test above.
    """
    vendor = _Vendor(rate, burst)
    bucket = Bucket(None if configured is None else Rate(rate * configured, burst * configured))
    now_s = 0.0
    # (when its headers come, number, the headers, what was taken when it was sent, when that was)
    answers: list[tuple[float, int, tuple[float, float, float], float, float]] = []
    is_known = False
    for number, pause_s in enumerate(pauses):
        now_s += pause_s
        if number == 1:  # one call alone first: then its headers are all there is to know
            now_s = answers[0][0]
        while True:
            due = [answer for answer in answers if answer[0] <= now_s]
            for answer in sorted(due):
                answers.remove(answer)
                limit, remaining, reset_s = answer[2]
                bucket.adopt(
                    limit,
                    remaining,
                    reset_s,
                    taken_before=answer[3],
                    sent_s=answer[4],
                    now_s=now_s,
                )
                is_known = True
            ready_s = bucket.ready_s(1, now_s)
            soonest = min([answer[0] for answer in answers], default=ready_s)
            if ready_s <= now_s:
                break
            now_s = min(ready_s, max(soonest, now_s)) if soonest > now_s else ready_s
        bucket.reserve(1, now_s)
        is_taken, headers = vendor.arrive(now_s + up_s)
        assert is_taken or not is_known
        latency_s = up_s + latencies[number % len(latencies)]
        answers.append((now_s + latency_s, number, headers, bucket.taken, now_s))
