"""The governor when a provider refuses, and when a deadline nears."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from omega.errors import LLMError
from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.lane import LaneLimits, Outcome
from tests.llm.governing import OK, RATE, asked, refused, sent


def rounds_after_a_burst_is_refused(limits: LaneLimits) -> list[int]:
    """40 calls are sent at once, and all of them refused; how many go in each round afterwards."""
    governor: Governor[int] = Governor(100)
    governor.lane("A", limits)
    for number in range(40):
        governor.ask(number, "A", now_s=0)
    governor.ask(99, "B", now_s=0)
    assert len(sent(governor, 0)) == 41
    for number in range(40):
        governor.requeue(number, 0.1, RATE, now_s=0.05)
    assert sent(governor, 2.0) == [] and governor.next_due_s() == 2.05
    now_s, rounds = 2.05, []
    while governor.queued:
        batch = sent(governor, now_s)
        rounds.append(len(batch))
        now_s += 0.1
        for number in batch:
            governor.finished(number, OK, now_s=now_s)
    assert governor.stats(now_s)["lanes"]["A"]["throttled"] == {"rate": 40}
    return rounds


def test_a_refused_burst_closes_the_gate_of_its_lane_and_a_ramp_follows() -> None:
    assert rounds_after_a_burst_is_refused(LaneLimits()) == [1, 2, 4, 8, 16, 9]


def test_where_the_rate_is_known_the_bucket_paces_what_follows() -> None:
    known = LaneLimits(requests=Rate(100, burst=1000))
    assert rounds_after_a_burst_is_refused(known) == [40], "2 s later 200 have come back"
    known = LaneLimits(requests=Rate(5, burst=100))
    assert rounds_after_a_burst_is_refused(known)[:5] == [10, 0, 1, 0, 1]


def test_headers_of_the_vendor_become_the_buckets_of_the_lane() -> None:
    governor: Governor[int] = Governor(100)
    for number in range(30):
        governor.ask(number, "A", now_s=0)
    governor.set_limit(1)
    assert sent(governor, 0) == [0]
    requests = SimpleNamespace(limit=20, remaining=5, reset_s=0.075)
    limits = SimpleNamespace(requests=requests, tokens=None, input_tokens=None, output_tokens=None)
    governor.note(0, Outcome(limits=limits), now_s=0.02)
    governor.set_limit(100)
    assert sent(governor, 0.02) == [1, 2, 3, 4, 5]
    assert governor.next_due_s() == pytest.approx(0.025)
    shown = governor.stats(0.02)["lanes"]["A"]["buckets"]["requests"]
    assert (shown["burst"], shown["per_s"]) == (20, pytest.approx(200))


def test_a_quota_that_is_used_up_fails_who_waits_and_who_comes_without_sending_them() -> None:
    governor = asked(2, "a", "b", "c", "d")
    assert sent(governor, 0) == ["a", "b"]
    governor.ask("elsewhere", "B")
    error = LLMError("the account is empty", kind="refused", throttle="quota")
    governor.finished("a", Outcome(throttle="quota", error=error), now_s=1)
    admission = governor.admit(1)
    assert admission.calls == ["elsewhere"], "it is another account's"
    assert [(r.call_id, r.reason) for r in admission.refused] == [("c", "quota"), ("d", "quota")]
    for refusal in admission.refused:
        assert refusal.error is not error and refusal.error.message == error.message
    assert governor.is_holding("b"), "what is under way goes on"
    governor.ask("e", now_s=60.9)
    assert refused(governor, 60.9) == [("e", "quota", pytest.approx(0.1))]
    governor._check()


def test_after_a_minute_a_single_call_finds_out_whether_the_quota_is_used_up_still() -> None:
    governor: Governor[str] = Governor(9)
    governor.ask("first")
    sent(governor, 0)
    governor.finished("first", Outcome(throttle="quota"), now_s=0)
    for now_s, outcome in ((60, Outcome(throttle="quota")), (120, OK)):
        assert refused(governor, now_s - 1) == []
        for name in ("a", "b", "c", "d"):
            governor.ask(f"{name}{now_s}", now_s=now_s)
        assert sent(governor, now_s) == [f"a{now_s}"]
        governor.finished(f"a{now_s}", outcome, now_s=now_s)
        if not outcome.is_ok:
            assert [reason for _, reason, _ in refused(governor, now_s)] == ["quota"] * 3
    assert sent(governor, 120) == ["b120", "c120"], "and then it goes faster again"
    governor._check()


def test_the_cap_learns_from_throttled_calls_and_from_success() -> None:
    governor: Governor[int] = Governor(100)
    governor.lane(None, LaneLimits(gate_s=0.001))
    for number in range(200):
        governor.ask(number)
    batch = sent(governor, 0)
    for number in batch[:50]:
        governor.finished(number, Outcome(throttle="concurrency"), now_s=0)
    assert governor.stats(0)["lanes"][None]["cap"] == 1, "the ramp"
    for number in batch[50:]:
        governor.finished(number, OK, now_s=0)
    now_s = 0.0
    while governor.queued or governor.in_flight:
        now_s += 1
        batch = sent(governor, now_s)
        assert len(batch) <= 55
        for number in batch:
            governor.finished(number, OK, now_s=now_s)
    assert governor.peak == 100


def test_retries_are_a_share_of_all_calls_and_beyond_it_a_failure_is_final() -> None:
    governor: Governor[int] = Governor(1000)
    governor.lane(None, LaneLimits(retry_share=0.2, retry_constant=3))
    for number in range(50):
        governor.ask(number)
    sent(governor, 0)
    answers = [governor.requeue(number, 1.0, Outcome()) for number in range(50)]
    assert answers == [None] * 13 + ["retries"] * 37
    assert all(governor.is_holding(number) for number in range(13, 50))
    governor._check()
    stats = governor.stats(0)["lanes"][None]
    assert (stats["retries"], stats["retries_refused"]) == (13, 37)


def test_calls_refused_for_coming_too_fast_are_no_storm_and_always_wait_again() -> None:
    governor: Governor[int] = Governor(1000)
    governor.lane(None, LaneLimits(retry_share=0, retry_constant=0))
    for number in range(50):
        governor.ask(number)
    sent(governor, 0)
    assert {governor.requeue(number, 1.0, RATE) for number in range(50)} == {None}


def test_hedges_are_a_share_of_all_calls() -> None:
    governor: Governor[int] = Governor(1)
    governor.lane("A", LaneLimits(hedge_share=0.05, hedge_constant=0))
    for number in range(100):
        governor.ask(number, "A")
    assert [governor.try_hedge("A") for _ in range(7)] == [True] * 5 + [False] * 2


# -- deadlines -----------------------------------------------------------------------------------


def test_a_closed_gate_fails_those_at_once_who_cannot_wait_for_it() -> None:
    governor: Governor[str] = Governor(1)
    governor.ask("sent", now_s=0)
    sent(governor, 0)
    governor.ask("patient", now_s=1)
    governor.ask("hasty", deadline_s=5, now_s=1)
    governor.ask("able", deadline_s=12, now_s=1)
    governor.finished("sent", Outcome(throttle="rate", retry_after_s=10), now_s=1)
    (refusal,) = governor.admit(1).refused
    assert (refusal.call_id, refusal.reason, refusal.wait_s) == ("hasty", "gate", 10)
    assert isinstance(refusal.error, LLMError) and refusal.error.kind == "llm-timeout"
    assert "in 10 s at the earliest, not within 4 s" in refusal.error.message
    governor.ask("too late", deadline_s=7, now_s=2)
    assert refused(governor, 2) == [("too late", "gate", 9)]
    assert sent(governor, 11) == ["patient"]
    governor._check()


def test_a_gate_longer_than_anybody_waits_fails_everybody_at_once() -> None:
    governor = asked(1, "a", "b", "c")
    sent(governor, 0)
    governor.finished("a", Outcome(throttle="rate", retry_after_s=3600), now_s=0)
    admission = governor.admit(0)
    assert [(r.call_id, r.reason, r.wait_s) for r in admission.refused] == [
        ("b", "gate", 3600),
        ("c", "gate", 3600),
    ]
    assert "3.6e+03 s" in admission.refused[0].error.message
    assert admission.refused[0].error.kind == "rate-limited"
    governor.ask("d", now_s=3590)
    assert refused(governor, 3590) == []
    assert sent(governor, 3600) == ["d"]


def test_a_deadline_that_passes_in_the_queue_is_told_when_it_passes() -> None:
    governor: Governor[str] = Governor(1)
    governor.ask("holder", now_s=0)
    sent(governor, 0)
    governor.ask("waits", deadline_s=3, now_s=1)
    assert governor.next_due_s() == 3
    assert refused(governor, 2.9) == []
    assert refused(governor, 3) == [("waits", "deadline", 2)]
    assert governor.next_due_s() is None


def test_a_bucket_that_cannot_fill_before_the_deadline_fails_fast_and_blocks_nobody() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane(None, LaneLimits(tokens=Rate(1, burst=10), margin_s=0))
    governor.ask("first", input_tokens=10, now_s=0)
    sent(governor, 0)
    governor.ask("large", input_tokens=10, deadline_s=20, now_s=0)
    governor.ask("small", input_tokens=1, deadline_s=20, now_s=0)
    governor.note("first", OK, now_s=0)
    governor.finished("first", Outcome(True, input_tokens=15, output_tokens=0), now_s=1)
    # now 14 s for "large": it can wait; a smaller allowance of time cannot
    assert refused(governor, 1) == []
    governor.set_priority("small", 1)
    governor.ask("hasty", input_tokens=10, deadline_s=9, priority=2, now_s=1)
    assert refused(governor, 1) == [("hasty", "tokens", 14)]
    assert sent(governor, 6) == ["small"]
    governor.finished("small", Outcome(True, input_tokens=9, output_tokens=0), now_s=6)
    assert refused(governor, 6) == [("large", "tokens", 24)]
    assert governor.queued == 0


def test_an_expected_wait_in_the_queue_beyond_the_deadline_fails_fast() -> None:
    governor: Governor[int] = Governor(2)
    now_s = 0.0
    for number in range(5):  # answers that tell how long one takes
        governor.ask(number, now_s=now_s)
        sent(governor, now_s)
        now_s += 2
        governor.finished(number, OK, now_s=now_s)
    for number in range(10, 20):
        governor.ask(number, now_s=now_s)
    sent(governor, now_s)
    governor.ask(90, deadline_s=now_s + 8, now_s=now_s)
    governor.ask(91, deadline_s=now_s + 8, group="another", now_s=now_s)
    governor.ask(92, deadline_s=now_s + 8, priority=1, now_s=now_s)
    governor.ask(93, deadline_s=now_s + 12, now_s=now_s)
    assert refused(governor, now_s) == [(90, "queue", pytest.approx(9))]
    assert governor.queued == 8 + 3


def test_a_retry_that_is_due_after_the_deadline_is_final() -> None:
    governor: Governor[str] = Governor(1)
    governor.ask("a", deadline_s=5)
    sent(governor, 0)
    assert governor.requeue("a", 6.0, Outcome(), now_s=1) == "deadline"
    assert governor.is_holding("a")
    assert governor.requeue("a", 5.0, Outcome(), now_s=1) is None
    assert sent(governor, 4.9) == []
    assert refused(governor, 5) == [("a", "deadline", 5)]
