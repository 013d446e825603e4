"""The governor: slots, order, lanes, groups: examples that name its promises.

Its order and its laws under any interleaving: test_governor_models.py.
"""

from __future__ import annotations

import pytest

from omega.errors import HostError
from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.budget import Budget
from omega.llm.lane import LaneLimits, Outcome
from tests.llm.governing import asked, sent


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
    governor.lane("A", LaneLimits(requests=Rate(1, burst=1), margin_s=0))
    for number in range(3):
        governor.ask(f"a{number}", "A", now_s=0)
        governor.ask(f"b{number}", "B", now_s=0)
    assert sent(governor, 0) == ["a0", "b0", "b1", "b2"]
    assert governor.next_due_s() == 1
    assert sent(governor, 0.9) == [] and sent(governor, 1) == ["a1"]


def test_tokens_are_reserved_settled_and_given_back() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(tokens=Rate(10, burst=100), margin_s=0))
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
    governor.lane("A", LaneLimits(requests=Rate(1, burst=1), margin_s=0))
    budget = Budget(calls=1)
    governor.ask("a", "A", budget=budget, now_s=0)
    assert governor.admit(0).calls == ["a"] and budget.reserved == [1, 0, 0]
    governor.finished("a", now_s=0)
    assert budget.reserved == budget.settled == [0, 0, 0]
    assert governor.stats(0)["lanes"]["A"]["buckets"]["requests"]["level"] == 1


def test_a_large_call_waits_for_its_tokens_and_smaller_ones_do_not_overtake_it_for_ever() -> None:
    governor: Governor[str] = Governor(10)
    governor.lane("A", LaneLimits(tokens=Rate(10, burst=100), margin_s=0))
    governor.ask("first", "A", input_tokens=100, now_s=0)
    governor.ask("large", "A", input_tokens=90, now_s=0)
    for number in range(20):
        governor.ask(f"small {number}", "A", input_tokens=10, now_s=0)
    assert sent(governor, 0) == ["first"]
    assert [call for now_s in range(9) for call in sent(governor, now_s)] == []
    assert sent(governor, 9) == ["large"]
    assert sent(governor, 10) == ["small 0"]
