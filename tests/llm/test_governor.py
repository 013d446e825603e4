"""The governor: examples that name its promises, and what its operations cost.

Its order and its laws under any interleaving: test_governor_models.py.
"""

from __future__ import annotations

import sys
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from omega.errors import HostError, LLMError
from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.budget import Amounts, Budget, BudgetExceeded
from omega.llm.lane import LaneLimits, Outcome


def asked(limit: int, *ids: str) -> Governor[str]:
    governor: Governor[str] = Governor(limit)
    for call_id in ids:
        governor.ask(call_id)
    return governor


def test_the_cap_is_hard_and_slots_are_reused_in_order() -> None:
    governor = asked(2, "a", "b", "c", "d")
    assert governor.admit(0).calls == ["a", "b"]
    assert governor.admit(0).calls == []
    governor.started("a")
    governor.finished("a")
    assert governor.admit(0).calls == ["c"]
    assert (governor.in_flight, governor.peak, governor.queued) == (2, 2, 1)
    governor._check()


def test_larger_priority_first_and_fifo_among_equals() -> None:
    governor: Governor[str] = Governor(1)
    for call_id, priority in [("a", 0), ("b", 5), ("c", 5), ("d", -1)]:
        governor.ask(call_id, priority=priority)
    order = []
    while governor.queued:
        (call_id,) = governor.admit(0).calls
        order.append(call_id)
        governor.finished(call_id)
    assert order == ["b", "c", "a", "d"]


def test_a_donated_priority_moves_a_queued_call_and_keeps_its_place_among_equals() -> None:
    governor = asked(1, "a", "b", "c")
    governor.set_priority("c", 1)
    governor.set_priority("b", 1)
    assert governor.admit(0).calls == ["b"]
    governor.set_priority("b", 9)  # in flight: nothing to move
    governor.finished("b")
    assert governor.admit(0).calls == ["c"]
    governor._check()


def test_a_second_release_is_an_assertion() -> None:
    governor = asked(1, "a")
    governor.admit(0)
    governor.finished("a")
    with pytest.raises(AssertionError):
        governor.finished("a")
    with pytest.raises(AssertionError):
        governor.requeue("a")
    assert governor.in_flight == 0


def test_what_holds_no_slot_cannot_start_or_finish() -> None:
    governor = asked(1, "a", "b")
    governor.admit(0)
    governor.started("a")
    with pytest.raises(AssertionError):
        governor.started("a")
    for refuse in (governor.started, governor.finished, governor.requeue):
        with pytest.raises(AssertionError):
            refuse("b")
    with pytest.raises(AssertionError):
        governor.ask("a")
    governor._check()


def test_a_withdrawn_call_never_starts_and_one_in_flight_cannot_be_withdrawn() -> None:
    governor = asked(1, "a", "b", "c")
    governor.admit(0)
    assert not governor.withdraw("a") and not governor.withdraw("nobody")
    assert governor.withdraw("b") and not governor.withdraw("b")
    governor.finished("a")
    assert governor.admit(0).calls == ["c"]
    assert governor.withdrawn == 1


def test_a_retry_holds_no_slot_lets_others_pass_and_keeps_its_place() -> None:
    governor = asked(1, "a", "b", "c")
    governor.admit(0)
    governor.requeue("a", due_s=5.0)
    assert governor.in_flight == 0
    assert governor.admit(1).calls == ["b"]
    assert governor.next_due_s() is None  # no slot: time alone changes nothing
    governor.finished("b")
    assert governor.next_due_s() == 1  # "c" can start now
    assert governor.admit(5).calls == ["a"]  # due, and older than "c"
    governor._check()


def test_a_closed_gate_admits_nothing_and_only_moves_later() -> None:
    governor = asked(3, "a", "b")
    governor.close_gate(10)
    governor.close_gate(4)
    assert governor.admit(9.999).calls == []
    assert governor.next_due_s() == 10
    assert governor.admit(10).calls == ["a", "b"]
    assert governor.next_due_s() is None


def test_the_gate_and_the_due_time_both_count() -> None:
    governor = asked(1, "a")
    governor.admit(0)
    governor.requeue("a", due_s=7)
    governor.close_gate(3)
    assert governor.next_due_s() == 7
    governor.close_gate(12)
    assert governor.next_due_s() == 12


def test_a_lowered_limit_lets_calls_finish_and_a_raised_one_admits_at_once() -> None:
    governor = asked(3, *"abcdef")
    governor.admit(0)
    governor.set_limit(1)
    governor.finished("a")
    assert governor.admit(0).calls == [] and governor.in_flight == 2
    governor.finished("b")
    governor.finished("c")
    assert governor.admit(0).calls == ["d"]
    governor.set_limit(9)
    assert governor.admit(0).calls == ["e", "f"]
    governor._check()


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "8", 10_000_000])
def test_a_limit_that_makes_no_sense_is_refused(limit: object) -> None:
    with pytest.raises(HostError, match="limit of LLM calls"):
        Governor(limit)  # type: ignore[arg-type]


def test_withdrawn_calls_leave_no_garbage_behind() -> None:
    governor: Governor[str | int] = Governor(1)
    governor.ask("holder")
    governor.admit(0)
    for number in range(5_000):
        governor.ask(number)
        governor.set_priority(number, number)
        governor.withdraw(number)
    (lane,) = governor._lanes.values()
    levels = lane.waiting._queue._levels.values()
    assert sum(len(level.ring) for level in levels) + len(lane.waiting._later) < 500
    governor._check()


# -- lanes, groups -------------------------------------------------------------------------------

OK = Outcome(True, used=Amounts(1))
RATE = Outcome(throttle="rate", retry_after_s=2.0)


def sent(governor: Governor[Any], now_s: float) -> list[Any]:
    """Admit and start."""
    calls = governor.admit(now_s).calls
    for call_id in calls:
        governor.started(call_id)
    return calls


def test_a_group_with_a_thousand_calls_delays_the_only_one_of_another_by_one() -> None:
    governor: Governor[str] = Governor(1)
    for number in range(1000):
        governor.ask(f"many {number}", group="many")
    sent(governor, 0)
    governor.ask("one", group="one")
    governor.finished("many 0")
    assert sent(governor, 0) == ["many 1"]
    governor.finished("many 1")
    assert sent(governor, 0) == ["one"]
    assert governor.stats(0)["lanes"][None]["queued_by_group"] == {"many": 998}


def test_lanes_share_the_hard_cap_by_the_age_of_their_turns() -> None:
    governor: Governor[str] = Governor(2)
    for number in range(3):
        governor.ask(f"a{number}", "A", group="g")
        governor.ask(f"b{number}", "B", group="g")
    assert sent(governor, 0) == ["a0", "b0"]
    governor.finished("a0")
    governor.finished("b0")
    assert sent(governor, 0) == ["a1", "b1"]


def test_a_blocked_lane_holds_up_no_other() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(requests=Rate(1, burst=1)))
    for number in range(3):
        governor.ask(f"a{number}", "A", now_s=0)
        governor.ask(f"b{number}", "B", now_s=0)
    assert sent(governor, 0) == ["a0", "b0", "b1", "b2"]
    assert governor.next_due_s() == 1
    assert sent(governor, 0.9) == [] and sent(governor, 1) == ["a1"]


def test_tokens_are_reserved_settled_and_given_back() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(tokens=Rate(10, burst=100)))
    for name in ("a", "b", "c"):
        governor.ask(name, "A", input_tokens=30, output_tokens=50, now_s=0)
    assert sent(governor, 0) == ["a"]
    assert governor.next_due_s() == 6
    governor.finished("a", Outcome(True, input_tokens=5, output_tokens=5), now_s=0)
    assert sent(governor, 0) == ["b"], "70 came back"
    governor.requeue("b", now_s=0)
    assert sent(governor, 0) == []
    assert governor.stats(0)["lanes"]["A"]["buckets"]["tokens"]["level"] == 10


def test_a_call_that_was_admitted_and_never_sent_costs_nothing() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(requests=Rate(1, burst=1)))
    budget = Budget(calls=1)
    governor.ask("a", "A", budget=budget, now_s=0)
    assert governor.admit(0).calls == ["a"] and budget.reserved == [1, 0, 0]
    governor.finished("a", now_s=0)
    assert budget.reserved == budget.settled == [0, 0, 0]
    assert governor.stats(0)["lanes"]["A"]["buckets"]["requests"]["level"] == 1


def test_a_large_call_waits_for_its_tokens_and_smaller_ones_do_not_overtake_it_for_ever() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(tokens=Rate(10, burst=100)))
    governor.ask("first", "A", input_tokens=100, now_s=0)
    governor.ask("large", "A", input_tokens=90, now_s=0)
    for number in range(20):
        governor.ask(f"small {number}", "A", input_tokens=10, now_s=0)
    assert sent(governor, 0) == ["first"]
    assert [call for now_s in range(9) for call in sent(governor, now_s)] == []
    assert sent(governor, 9) == ["large"]
    assert sent(governor, 10) == ["small 0"]


# -- refusals of the provider --------------------------------------------------------------------


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
    error = LLMError("the account is empty", kind="rate-limited", throttle="quota")
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


def refused(governor: Governor[Any], now_s: float) -> list[tuple[Any, str, float | None]]:
    return [(r.call_id, r.reason, r.wait_s) for r in governor.admit(now_s).refused]


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
    governor.lane(None, LaneLimits(tokens=Rate(1, burst=10)))
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


# -- budgets -------------------------------------------------------------------------------------


def test_a_call_that_never_fits_its_budget_is_told_at_once() -> None:
    governor: Governor[str] = Governor(1)
    governor.ask("holder")
    sent(governor, 0)
    governor.ask("large", budget=Budget(tokens=10, name="small"), reserve=Amounts(1, 11))
    (refusal,) = governor.admit(0).refused
    assert (refusal.call_id, refusal.reason) == ("large", "budget")
    assert isinstance(refusal.error, BudgetExceeded) and refusal.error.budget == "small"
    governor._check()


def test_a_call_waits_for_what_others_reserved_and_calls_of_other_budgets_pass() -> None:
    governor: Governor[str] = Governor(10)
    shared = Budget(tokens=100)
    governor.ask("a", budget=shared, reserve=Amounts(1, 80))
    governor.ask("b", budget=shared, reserve=Amounts(1, 50))
    governor.ask("c", budget=shared, reserve=Amounts(1, 10))
    governor.ask("d", budget=Budget(tokens=100), reserve=Amounts(1, 50))
    governor.ask("e")
    assert sent(governor, 0) == ["a", "d", "e"], "c does not pass b in their budget"
    assert governor.next_due_s() is None
    governor.finished("a", Outcome(True, used=Amounts(1, 40)))
    assert sent(governor, 0) == ["b", "c"]
    governor._check()


def test_a_call_whose_budget_another_lane_took_does_not_hold_up_its_own() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(tokens=Rate(1, burst=10)))
    shared = Budget(calls=1)
    governor.ask("first", "A", input_tokens=5, now_s=0)
    governor.ask("large", "A", input_tokens=9, budget=shared, now_s=0)
    governor.ask("small", "A", input_tokens=1, now_s=0)
    governor.ask("other", "B", budget=shared, now_s=0)
    assert sent(governor, 0) == ["first", "other", "small"]


def test_a_budget_used_up_tells_everybody_who_waits_for_it() -> None:
    governor: Governor[str] = Governor(10)
    budget = Budget(calls=1)
    for name in ("a", "b", "c"):
        governor.ask(name, budget=budget)
    assert sent(governor, 0) == ["a"] and governor.queued == 2
    governor.finished("a", OK)
    assert [reason for _, reason, _ in refused(governor, 0)] == ["budget", "budget"]


def test_a_refund_lets_the_next_one_go() -> None:
    governor: Governor[str] = Governor(10)
    outer = Budget(calls=1)
    for name in ("a", "b"):
        governor.ask(name, budget=Budget(parent=outer, name=name))
    assert governor.admit(0).calls == ["a"]
    governor.finished("a")
    assert governor.admit(0).calls == ["b"]


def test_a_retry_keeps_its_reservation_unless_the_attempt_cost_something() -> None:
    governor: Governor[str] = Governor(10)
    budget = Budget(calls=1, tokens=100)
    governor.ask("a", budget=budget, reserve=Amounts(1, 60))
    sent(governor, 0)
    governor.requeue("a", 5.0, Outcome(used=Amounts()), now_s=0)
    assert budget.reserved == [1, 60, 0]
    assert sent(governor, 5) == ["a"] and budget.reserved == [1, 60, 0]
    governor.requeue("a", 6.0, Outcome(used=Amounts(0, 30)), now_s=5)
    assert (budget.reserved, budget.settled) == ([0, 0, 0], [0, 30, 0])
    assert sent(governor, 6) == ["a"] and budget.reserved == [1, 60, 0]
    governor.requeue("a", 9.0, Outcome(used=Amounts(0, 50)), now_s=6)
    assert [reason for _, reason, _ in refused(governor, 9)] == ["budget"]
    governor.ask("b", budget=budget, reserve=Amounts(1, 20))
    sent(governor, 9)
    governor.requeue("b", 20.0, Outcome(used=Amounts()), now_s=9)
    assert governor.withdraw("b") and budget.reserved == [0, 0, 0]


def test_an_attempt_whose_cost_nobody_knows_is_charged_what_it_reserved() -> None:
    governor: Governor[str] = Governor(10)
    budget = Budget(tokens=100)
    governor.ask("a", budget=budget, reserve=Amounts(1, 60))
    sent(governor, 0)
    governor.finished("a")
    assert budget.settled == [1, 60, 0]


def test_a_higher_priority_may_pass_a_line() -> None:
    governor: Governor[str] = Governor(10)
    budget = Budget(tokens=100)
    governor.ask("a", budget=budget, reserve=Amounts(1, 80))
    governor.ask("b", budget=budget, reserve=Amounts(1, 50))
    governor.ask("c", budget=budget, reserve=Amounts(1, 20))
    assert sent(governor, 0) == ["a"]
    governor.set_priority("c", 1)
    assert sent(governor, 0) == ["c"]
    governor.set_priority("b", 1)
    assert sent(governor, 0) == []
    governor._check()


# -- what it costs -------------------------------------------------------------------------------


def operations(work: Any) -> int:
    """How many bytecode instructions `work()` runs, its callees' included: no clock is asked."""
    counted = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal counted
        frame.f_trace_opcodes = True
        counted += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def crowded(waiting: int) -> tuple[Governor[int], Budget]:
    """Queues of every kind, each `waiting` long: a shut lane, a full one, a line before a budget
    (of many budgets inside it), retries that are not due.
    """
    governor: Governor[int] = Governor(1000)
    governor.lane("slow", LaneLimits(requests=Rate(0.001, burst=1), gate_wait_s_max=1e9))
    governor.close_gate(1e6, "shut")
    governor.lane("shut").limits.gate_wait_s_max = 1e9
    governor.lane("full", LaneLimits(cap_start=1))
    governor.lane("later", LaneLimits(retry_constant=10**6))
    outer = Budget(calls=1, name="outer")
    for number in range(waiting):
        group, priority = number % 7, number % 3
        deadline_s = 1e12 + number
        governor.ask(5 * number, "slow", group=group, priority=priority, deadline_s=deadline_s)
        governor.ask(5 * number + 1, "shut", group=group, priority=priority)
        governor.ask(5 * number + 2, "full", group=number, deadline_s=deadline_s)
        governor.ask(5 * number + 3, "poor", group=group, budget=Budget(parent=outer))
        governor.ask(5 * number + 4, "later")
    for now_s in range(waiting // 900 + 2):
        for call_id in sent(governor, now_s):
            if call_id % 5 == 4:
                governor.requeue(call_id, 1e6, Outcome(used=Amounts()))
    return governor, outer


def test_every_operation_costs_the_same_in_a_crowd_a_hundred_times_larger() -> None:
    """100,000 calls wait in a few queues of every kind (the larger crowd is 20,000 of each)."""
    costs = []
    for waiting in (20, 200, 20_000):  # the first only wakes up the tracing of every function
        governor, _ = crowded(waiting)
        assert governor.queued >= 5 * waiting - 10
        full = next(c for c, call in governor._calls.items() if c % 5 == 2 and call.number)
        poor = next(c for c, call in governor._calls.items() if c % 5 == 3 and call.number)
        late = governor._now_s + 1

        def settle_poor(governor: Governor[int] = governor, poor: int = poor) -> None:
            governor.finished(poor, Outcome(used=Amounts()))
            assert len(governor.admit(governor._now_s).calls) == 1

        def settle_full(governor: Governor[int] = governor, full: int = full) -> None:
            governor.finished(full, OK)
            governor.admit(governor._now_s)

        steps = {
            "ask": lambda g=governor: g.ask(-1, "slow", group=3, deadline_s=1e12),
            "admit nothing": lambda g=governor, now=late: g.admit(now),
            "next": governor.next_due_s,
            "donate": lambda g=governor, w=waiting: g.set_priority(5 * (w // 2), 9),
            "withdraw": lambda g=governor, w=waiting: g.withdraw(5 * (w // 2) + 1),
            "settle, and admit of a line": settle_poor,
            "settle, and admit of a full lane": settle_full,
        }
        costs.append({name: operations(step) for name, step in steps.items()})
        governor._check() if waiting < 1000 else None
    _, small, large = costs
    for name, cost in large.items():
        assert cost <= 2.5 * small[name] + 200, (name, small[name], cost)
