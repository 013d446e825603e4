"""What headers prove: the rate, the level, and a client that knows nothing else.

`OMEGA_MODELS=3000 pytest tests/llm/test_told.py` tries so many vendors.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from omega.llm.buckets import Bucket, Rate
from omega.llm.told import ROUND, ToldLevel, ToldRate
from tests.llm.vendor_bucket import ROUNDINGS, Vendor, Wire, drive

# What fails, fails by chance: nothing simpler would tell more.
PHASES = [phase for phase in Phase if phase is not Phase.shrink]
EXAMPLES = int(os.environ.get("OMEGA_MODELS", "30"))


@given(
    rate=st.floats(0.5, 500),
    burst=st.integers(16, 200),
    rounding=st.sampled_from(sorted(ROUNDINGS)),
    reset_s=st.sampled_from([0, 0.001]),
    there_s=st.floats(0, 0.1),
    back_s=st.floats(0, 1),
    jitter=st.floats(0, 1),
    back_jitter_s=st.floats(0, 1),
    at_end=st.booleans(),
    is_configured=st.booleans(),
    seed=st.integers(0, 10**9),
)
@example(200, 20, "down", 0.001, 0.01, 0.02, 1, 0.01, False, False, 1)
@example(2.6, 16, "nearest", 0.001, 0.1, 1, 1, 1, False, False, 1)
@example(370, 200, "up", 0, 0.1, 1, 0, 0, False, False, 1)
@example(0.99, 16, "down", 0, 0.06, 1, 0, 0.05, True, False, 2065)
@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES)
def test_a_vendor_known_by_headers_alone_refuses_one_in_a_hundred_at_most(
    rate: float,
    burst: int,
    rounding: str,
    reset_s: float,
    there_s: float,
    back_s: float,
    jitter: float,
    back_jitter_s: float,
    at_end: bool,
    is_configured: bool,
    seed: int,
) -> None:
    """And grants its rate: 95 % of it, or, if it does not round down, what is proven then.

    Chance moves the moment at which a vendor counts by what its bucket can bear: an eighth of it.
    Under way are at most as many calls as it holds eight times.
    """
    bearable_s = burst / 8 / rate
    back_s, back_jitter_s = (min(s, 4 * burst / rate) for s in (back_s, back_jitter_s))
    there_jitter_s = min(0.3, jitter * bearable_s)
    if at_end:
        back_s, back_jitter_s = min(back_s, bearable_s / 2), min(back_jitter_s, bearable_s / 2)
    wire = Wire(there_s, there_jitter_s, back_s, back_jitter_s, at_end)
    # Long beside what it takes to learn: the burst, and what is under way meanwhile.
    calls = 1_500 + 20 * burst + int(8 * rate * (there_s + back_s + back_jitter_s))
    bucket = Bucket(Rate(rate, burst) if is_configured else None)
    driven = drive(bucket, Vendor(rate, burst, rounding, reset_s), wire, calls, Random(seed))
    assert driven.throttled <= 0.01, driven
    assert driven.used >= (0.95 if rounding == "down" else 0.95 - 2 / burst), driven


@given(
    rate=st.floats(0.1, 1e4),
    limit=st.integers(2, 10**6),
    levels=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    rounding=st.sampled_from(sorted(ROUNDINGS)),
)
@settings(max_examples=EXAMPLES * 4, deadline=None)
def test_the_rate_that_is_believed_is_within_what_rounding_hides(
    rate: float, limit: int, levels: list[float], rounding: str
) -> None:
    told = ToldRate()
    deepest = 0.0
    for share in levels:
        missing = limit * (0.5 + share / 2)
        remaining = ROUNDINGS[rounding](limit - missing)
        told.tell(limit, remaining, missing / rate)
        if 2 * (limit - remaining) >= limit:
            deepest = max(deepest, missing)
    if told.per_s is None or deepest == 0:
        return
    flattest = min(limit * (0.5 + share / 2) for share in levels)
    over = 1 / flattest if rounding != "up" else 0.0
    assert rate * (1 - 1.001 / flattest) <= told.per_s * 1.001
    assert told.per_s <= rate * (1 + over) * 1.001


def test_a_unit_of_time_as_coarse_as_the_reset_itself_hides_the_rate() -> None:
    told = ToldRate()
    told.tell(100, 30, 1.0)  # whole seconds, as far as is known: between 0.5 and 1.5
    assert told.per_s == 70
    told.tell(100, 20, 2.0)
    assert told.per_s == 40, "the flattest: it may well be so"
    told.tell(100, 10, 2.0)
    assert told.per_s == 40


def test_slopes_that_contradict_each_other_are_a_new_limit() -> None:
    told = ToldRate()
    told.tell(100, 0, 10.0)
    told.tell(100, 40, 6.0)
    assert told.per_s == 10
    told.tell(100, 0, 5.0)
    assert told.per_s == 20, "it was doubled"
    told.tell(100, 0, 20.5)
    assert told.per_s == pytest.approx(100 / 20.5)
    told.tell(200, 0, 10)
    assert told.per_s == 20, "another number is another limit"


def test_headers_with_little_missing_count_until_one_says_more() -> None:
    told = ToldRate()
    told.tell(100, 99, 0.0)
    told.tell(100, 100, 3.0)
    assert told.per_s is None
    told.tell(100, 99, 0.001)
    assert told.per_s is None, "a single unit: the first may be nearly back"
    told.tell(100, 98, 0.013)
    assert told.per_s == pytest.approx(153.85, abs=0.01)
    told.tell(100, 40, 3.0)
    told.tell(100, 99, 0.5)
    assert told.per_s == 20


def test_the_lowest_of_two_rounds_of_answers_is_believed() -> None:
    told, now_s = ToldLevel(), 0.0

    def hear(left: float, times: int) -> None:
        nonlocal now_s
        for _ in range(times):
            now_s += 1
            told.keep(left, now_s, now_s)

    hear(5, 1)
    hear(9, ROUND - 1)
    assert told.lowest == 5
    hear(9, ROUND)
    assert told.lowest == 5, "of the round before"
    hear(9, 1)
    assert told.lowest == 9
    hear(3, 1)
    assert told.lowest == 3, "less is believed at once"
    told.change(2.5, burst=10)
    assert told.lowest == 5.5


def test_a_round_is_no_shorter_than_the_way_of_a_call() -> None:
    told = ToldLevel()
    told.keep(5, 0, 10)
    for _ in range(2 * ROUND):
        told.keep(9, 9, 11)
    assert told.lowest == 5, "the first round began after them"
    for sent_s in (10, 10, 11, 12):
        for _ in range(ROUND):
            told.keep(9, sent_s, 12)
    assert told.lowest == 9


def test_the_moment_that_headers_tell_of_is_found_out() -> None:
    """A bucket of 50 that gains 10 a second; calls take 2 s. After a burst, and a pause."""
    for tells_of_sending in (True, False):
        told = ToldLevel()
        estimates = []
        for taken, gained, at_sending, at_answer in [(40, 20, 49, 30), (0, 20, 10, 30)] * 4:
            remaining = at_sending if tells_of_sending else at_answer
            estimates.append(told.estimate(remaining, taken, gained, 50))
            told.keep(estimates[-1], 0, 0)
        if tells_of_sending:
            assert estimates[0] == 29 and estimates[-1] == 30, "the truth, once it is known"
        else:
            assert max(estimates) <= 30


def test_a_rate_nobody_told_is_doubled_while_the_vendor_has_all_of_it() -> None:
    """It is back within the time of a call: headers never show anything missing."""
    bucket = Bucket()
    bucket.adopt(60, 60, 0, taken_before=0, sent_s=0, now_s=0)
    assert bucket.rate_s == 1
    bucket.adopt(60, 60, 0, taken_before=0, sent_s=0, now_s=1)
    assert bucket.rate_s == 1, "nothing waited for it"
    bucket.take(60, 1)
    for sent_s, now_s, rate in [(1, 1.5, 2), (1.2, 1.6, 2), (1.6, 1.7, 4)]:
        bucket.adopt(60, 60, 0, taken_before=0, sent_s=sent_s, now_s=now_s)
        assert bucket.rate_s == rate, "once per round trip"
    bucket.adopt(60, 30, 3, taken_before=60, sent_s=2, now_s=2)
    assert bucket.rate_s == 10, "now it is told"
