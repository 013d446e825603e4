"""The governor and budgets: who waits for what others reserved, who is told that it never fits."""

from __future__ import annotations

from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.budget import Amounts, Budget, BudgetExceeded, Elastic
from omega.llm.lane import LaneLimits, Outcome
from tests.llm.governing import OK, refused, sent


def test_a_call_that_never_fits_its_budget_is_told_at_once() -> None:
    governor: Governor[str] = Governor(1)
    governor.ask("holder")
    sent(governor, 0)
    governor.ask("large", budget=Budget(tokens=10, name="small"), reserve=Amounts(1, 11))
    (refusal,) = governor.admit(0).refused
    assert (refusal.call_id, refusal.reason) == ("large", "budget")
    assert isinstance(refusal.error, BudgetExceeded) and refusal.error.budget.name == "small"
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


def test_what_a_call_takes_besides_is_an_equal_share_of_what_is_left() -> None:
    governor: Governor[str] = Governor(4)
    budget = Budget(tokens=1000)
    elastic = Elastic(Amounts(0, 1), 400)
    for name in "abcdef":
        governor.ask(name, budget=budget, reserve=Amounts(1, 50), elastic=elastic)
    assert sent(governor, 0) == ["a", "b", "c", "d"]
    assert [governor.extra_of(name) for name in "abcd"] == [200] * 4
    assert budget.reserved == [4, 1000, 0]
    governor.finished("a", Outcome(True, used=Amounts(1, 100)))
    assert sent(governor, 0) == ["e"] and governor.extra_of("e") == 100
    governor.finished("e", Outcome(True, used=Amounts(1, 150)))
    assert sent(governor, 0) == [], "50 are not left, but will be"
    governor.requeue("b", 1.0, Outcome(used=Amounts(0, 100)))
    assert sent(governor, 0) == ["f"]
    governor._check()
    for name in "cdf":
        governor.finished(name, Outcome(True, used=Amounts(1, 10)))
    assert sent(governor, 1) == ["b"], "and alone it has as much as it may"
    assert governor.extra_of("b") == 400
    governor._check()
