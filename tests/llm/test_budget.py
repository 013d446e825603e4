"""Budgets: nothing is ever overspent, however calls overlap; money adds up exactly."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.errors import HostError, LimitExceeded
from omega.llm.budget import (
    NOTHING,
    PICO,
    Amounts,
    Budget,
    BudgetExceeded,
    Reservation,
    dollars,
    pico_dollars,
)


def test_a_call_is_reserved_at_all_levels_or_at_none() -> None:
    outer = Budget(calls=3, name="outer")
    inner = Budget(calls=5, parent=outer, name="inner")
    held = [inner.reserve(Amounts(1)) for _ in range(3)]
    assert all(held) and inner.reserve(Amounts(1)) is None
    assert inner.reserved == outer.reserved == [3, 0, 0]
    assert inner.shortage(Amounts(1)) is outer
    held[0].refund()  # type: ignore[union-attr]
    assert inner.reserved == outer.reserved == [2, 0, 0]
    held[1].settle(Amounts(1))  # type: ignore[union-attr]
    assert inner.settled == outer.settled == [1, 0, 0]


def test_what_can_never_fit_is_told_at_once_and_what_others_hold_is_waited_for() -> None:
    budget = Budget(tokens=100, name="triage")
    with pytest.raises(BudgetExceeded, match="`triage`"):
        budget.reserve(Amounts(1, 101))
    held = budget.reserve(Amounts(1, 60))
    assert held is not None
    assert budget.reserve(Amounts(1, 60)) is None
    held.settle(Amounts(1, 50))
    with pytest.raises(BudgetExceeded) as caught:
        budget.reserve(Amounts(1, 60))
    error = caught.value
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.used, error.allowed) == ("tokens", 110, 100)
    assert (error.budget, error.spent, error.wanted) == (budget, 50, 60)
    assert str(error) == ("tokens limit exceeded: 110 tokens in the budget `triage`, 100 allowed")
    assert "50 spent, and this call may need 60" in str(error.hint)


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    with pytest.raises(BudgetExceeded, match="calls limit exceeded: 1 call in the budget `b`, 0"):
        Budget(calls=0, name="b").reserve(Amounts(1))
    with pytest.raises(BudgetExceeded, match="tokens limit exceeded: 1 token in the budget `b`"):
        Budget(tokens=0, name="b").reserve(Amounts(1, 1))
    with pytest.raises(
        BudgetExceeded, match=r"usd limit exceeded: 1\.0 USD in the budget `b`, 0.5"
    ):
        Budget(usd=0.5, name="b").reserve(Amounts(1, 0, PICO))


def test_the_least_an_answer_may_have_is_as_around_it_unless_it_is_given() -> None:
    outer = Budget(tokens=10, answer_min=7)
    assert Budget(calls=1, parent=outer).answer_min == 7
    assert Budget(calls=1, parent=outer, answer_min=9).answer_min == 9
    for wrong in (0, -1, True, 1.5, "9"):
        with pytest.raises(HostError, match="the answer_min of budget `b`"):
            Budget(name="b", answer_min=wrong)  # type: ignore[arg-type]


def test_several_share_alike_what_is_left_beyond_what_each_needs() -> None:
    outer = Budget(tokens=1000)
    inner = Budget(usd=Fraction(500, PICO), parent=outer)
    needed, each = Amounts(1, 10, 20), Amounts(0, 1, 2)
    assert inner.spare(needed, each, 10_000, lambda level: 1) == 240
    assert inner.spare(needed, each, 100, lambda level: 1) == 100
    assert inner.spare(needed, each, 10_000, lambda level: 2) == 115
    assert inner.spare(needed, each, 10_000, lambda level: 10 if level is outer else 1) == 90
    assert inner.spare(needed, each, 10_000, lambda level: 100) == 0


def test_the_message_about_money_is_in_dollars() -> None:
    budget = Budget(usd=0.5, name="day")
    with pytest.raises(BudgetExceeded, match=r"usd limit exceeded: 1.25 USD in the budget `day`"):
        budget.reserve(Amounts(1, 10, 5 * PICO // 4))


def test_nothing_allowed_is_a_budget_too() -> None:
    budget = Budget(calls=0, name="closed")
    with pytest.raises(BudgetExceeded):
        budget.reserve(Amounts(1))
    assert budget.reserve(NOTHING) is not None


def test_what_was_paid_beyond_the_reservation_counts_and_is_shown() -> None:
    budget = Budget(tokens=100)
    held = budget.reserve(Amounts(1, 50))
    assert held is not None
    held.settle(Amounts(1, 120))
    assert budget.settled[1] == 120 and budget.overrun[1] == 70 and budget.left() == {"tokens": 0}
    budget._check()
    with pytest.raises(BudgetExceeded):
        budget.reserve(Amounts(1, 1))


def test_a_reservation_is_given_back_once() -> None:
    budget = Budget(calls=1)
    held = budget.reserve(Amounts(1))
    assert held is not None
    held.refund()
    with pytest.raises(AssertionError):
        held.refund()
    with pytest.raises(AssertionError):
        held.settle(Amounts(1))
    assert budget.reserved == budget.settled == [0, 0, 0]


def test_money_adds_up_to_the_cent_over_twenty_thousand_calls() -> None:
    """Prices with awkward decimals, settled in another order than reserved, beside Decimal."""
    rng = random.Random(7)
    per_token = [pico_dollars(Decimal(price) / 1_000_000) for price in ("0.15", "0.0375", "2.5")]
    assert per_token == [150_000, 37_500, 2_500_000]
    budget = Budget(usd=1000, name="run")
    exact = Decimal(0)
    held: list[tuple[Reservation, int]] = []
    for number in range(20_000):
        price, tokens = per_token[number % 3], rng.randrange(1, 9000)
        reservation = budget.reserve(Amounts(1, tokens, price * tokens))
        assert reservation is not None
        held.append((reservation, rng.randrange(tokens + 1) * price))
        if rng.random() < 0.5:
            reservation, cost = held.pop(rng.randrange(len(held)))
            reservation.settle(Amounts(1, 0, cost))
            exact += Decimal(cost) / PICO
    for reservation, cost in held:
        reservation.settle(Amounts(1, 0, cost))
        exact += Decimal(cost) / PICO
    assert budget.spent()["usd"] == exact
    assert budget.reserved == [0, 0, 0] and budget.settled[0] == 20_000


@pytest.mark.parametrize(
    ("usd", "pico"),
    [(1, PICO), (0.1, PICO // 10), (Decimal("0.30"), 3 * PICO // 10), (Fraction(1, 3), PICO // 3)],
)
def test_dollars_of_any_type_are_exact(usd: object, pico: int) -> None:
    assert pico_dollars(usd) == pico  # type: ignore[arg-type]
    assert dollars(pico) * PICO == pico


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", True, None, 10**10])
def test_an_amount_of_money_that_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(HostError, match="the USD of budget `b`"):
        pico_dollars(wrong, "the USD of budget `b`")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "9"])
def test_a_limit_that_makes_no_sense_names_its_budget(wrong: object) -> None:
    with pytest.raises(HostError, match="the calls of budget `b`"):
        Budget(calls=wrong, name="b")  # type: ignore[arg-type]
    with pytest.raises(HostError, match="the tokens of budget `b`"):
        Budget(tokens=wrong, name="b")  # type: ignore[arg-type]


def test_watchers_hear_of_every_level_once_all_are_settled() -> None:
    outer = Budget(calls=2)
    inner = Budget(calls=2, parent=outer)
    heard: list[tuple[Budget, list[int], list[int]]] = []
    for budget in (outer, inner):
        budget.watch(lambda level: heard.append((level, [*inner.settled], [*outer.settled])))
    held = inner.reserve(Amounts(1))
    assert held is not None and not heard
    held.settle(Amounts(1))
    assert heard == [(inner, [1, 0, 0], [1, 0, 0]), (outer, [1, 0, 0], [1, 0, 0])]


class _Law(RuleBasedStateMachine):
    """A tree of budgets, against the list of what is open: settled + reserved <= limit, always."""

    def __init__(self) -> None:
        super().__init__()
        top = Budget(calls=6, usd=Fraction(20, PICO), name="top")
        left = Budget(tokens=50, parent=top, name="left")
        self.budgets = [
            top,
            left,
            Budget(calls=4, parent=top, name="right"),
            Budget(usd=Fraction(9, PICO), tokens=30, parent=left, name="leaf"),
        ]
        self.open: list[tuple[Budget, Amounts, Reservation]] = []
        self.paid: list[tuple[Budget, Amounts]] = []

    def sums(self, budget: Budget, amounts: list[tuple[Budget, Amounts]]) -> list[int]:
        below = [amount for at, amount in amounts if budget in at.levels]
        return [sum(amount[kind] for amount in below) for kind in range(3)]

    @rule(
        data=st.data(),
        wanted=st.builds(Amounts, st.integers(0, 2), st.integers(0, 20), st.integers(0, 6)),
    )
    def reserve(self, data: st.DataObject, wanted: Amounts) -> None:
        budget = data.draw(st.sampled_from(self.budgets))
        ever = now = True
        for level in budget.levels:
            paid, held = self.sums(level, self.paid), self.sums(level, [o[:2] for o in self.open])
            for kind, limit in enumerate(level.limits):
                if limit is not None and wanted[kind]:
                    ever = ever and paid[kind] + wanted[kind] <= limit
                    now = now and paid[kind] + held[kind] + wanted[kind] <= limit
        try:
            reservation = budget.reserve(wanted)
        except BudgetExceeded as error:
            assert not ever and error.budget in budget.levels
        else:
            assert ever and (reservation is not None) == now
            if reservation is not None:
                self.open.append((budget, wanted, reservation))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.open) - 1))
        budget, wanted, reservation = self.open.pop(index)
        used = Amounts(*[data.draw(st.integers(0, amount)) for amount in wanted])
        reservation.settle(used)
        self.paid.append((budget, used))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.open) - 1))
        self.open.pop(index)[2].refund()

    @invariant()
    def the_law_holds(self) -> None:
        for budget in self.budgets:
            budget._check()
            assert budget.overrun == [0, 0, 0]
            assert budget.settled == self.sums(budget, self.paid)
            assert budget.reserved == self.sums(budget, [o[:2] for o in self.open])
            for kind, limit in enumerate(budget.limits):
                assert limit is None or budget.settled[kind] + budget.reserved[kind] <= limit

    def teardown(self) -> None:
        for _, _, reservation in self.open:
            reservation.refund()
        assert all(budget.reserved == [0, 0, 0] for budget in self.budgets)


TestBudgetLaw = _Law.TestCase
TestBudgetLaw.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=40, deadline=None
)
