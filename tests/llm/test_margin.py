"""A rate that is configured exactly as the vendor has it, who tells nothing of it in headers: what
the margin of its bucket is good for, in virtual time.

`OMEGA_MODELS=3000 pytest tests/llm/test_margin.py` tries so many vendors.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st

from omega.errors import HostError
from omega.llm.buckets import SLOWED, Bucket, Rate
from omega.llm.lane import MARGIN_S, LaneLimits
from tests.llm.vendor_bucket import Driven, Vendor, Wire, drive

PHASES = [phase for phase in Phase if phase is not Phase.shrink]  # what fails, fails by chance
EXAMPLES = int(os.environ.get("OMEGA_MODELS", "30"))

rates = st.floats(0.5, 500)
bursts = st.integers(1, 200)
seeds = st.integers(0, 10**9)


def driven(rate: float, burst: int, wire: Wire, seed: int, margin_s: float = MARGIN_S) -> Driven:
    bucket = Bucket(Rate(rate, burst), margin_s)
    vendor = Vendor(rate, burst, "down", 0)
    return drive(bucket, vendor, wire, 2_000 + 20 * burst, Random(seed), tells=False)


@given(rate=rates, burst=bursts, share=st.floats(0, 1), stalls=st.booleans(), seed=seeds)
@example(200, 20, 1.0, True, 1)
@example(1, 1, 1.0, False, 1)
@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES)
def test_nobody_is_refused_whose_way_varies_by_no_more_than_the_margin(
    rate: float, burst: int, share: float, stalls: bool, seed: int
) -> None:
    """Nor is more given up than SLOWED of the rate; where the burst has no room for the margin, it
    is only good for so much.
    """
    varies_s = 0.999 * share * min(MARGIN_S, (burst - 1 + SLOWED) / rate)
    chance_s = varies_s / 2 if stalls else varies_s
    found = driven(rate, burst, Wire(0.01, chance_s, 0.02, 0.1, False, varies_s - chance_s), seed)
    assert found.throttled == 0, found
    assert found.used >= 0.97, found


@given(rate=rates, burst=st.integers(4, 200), share=st.floats(0, 1), seed=seeds)
@example(50, 8, 1.0, 1)
@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES)
def test_beyond_the_margin_one_in_a_hundred_is_refused_at_most(
    rate: float, burst: int, share: float, seed: int
) -> None:
    """And at least 95 % of the rate are used, while the vendor's burst lasts four times as long as
    the way varies.
    """
    varies_s = share * burst / 4 / rate
    assume(varies_s < 2)
    found = driven(rate, burst, Wire(0.01, varies_s / 2, 0.02, 0.1, False, varies_s / 2), seed)
    assert found.throttled <= 0.01, found
    assert found.used >= 0.95, found


@given(rate=st.floats(0.5, 20), share=st.floats(0, 0.2), seed=seeds)
@example(8.3, 0.17, 1)
@settings(max_examples=EXAMPLES, deadline=None, phases=PHASES)
def test_without_any_burst_refusals_teach_how_far_apart_calls_must_be(
    rate: float, share: float, seed: int
) -> None:
    """A rate a minute that is enforced call by call: one in a hundred is refused at most, and what
    is lost of the rate is what the way varies by.
    """
    found = driven(rate, 1, Wire(0.01, share / rate, 0.02, 0.1, False), seed)
    assert found.throttled <= 0.01, found
    assert found.used >= 0.95 / (1 + share), found


def test_without_the_margin_a_third_of_such_calls_would_be_refused() -> None:
    wire = Wire(0.01, 0.02, 0.02, 0.1, False)
    assert driven(1, 1, wire, 1, margin_s=0).throttled > 0.3
    assert driven(1, 1, wire, 1).throttled == 0


def test_refused_calls_that_were_sent_together_teach_once_and_it_is_forgotten() -> None:
    bucket = Bucket(Rate(10, burst=10), margin_s=0.1)

    def kept() -> float:
        """What of a full bucket is not there to be taken."""
        now_s = bucket._at_s + 100
        bucket.take(1, now_s)
        return 9 - bucket.level(now_s)

    bucket.level(0)
    assert kept() == pytest.approx(1)
    sent_with = bucket.taken
    for _ in range(5):
        bucket.refused(sent_with, bucket._at_s)
    assert kept() == pytest.approx(1.5)
    bucket.refused(sent_with, bucket._at_s)  # an old one, told late
    assert kept() < 1.5
    for _ in range(500):
        bucket.take(0, bucket._at_s)
    assert kept() == pytest.approx(1)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_margin_is_seconds(wrong: float) -> None:
    with pytest.raises(HostError, match="margin_s must be seconds"):
        LaneLimits(margin_s=wrong)
