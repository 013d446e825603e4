"""The learned cap, the gate and the allowances: examples, and state machines beside models."""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.errors import HostError
from omega.llm.allowance import Allowance
from omega.llm.gate import Gate
from omega.llm.learned import LearnedCap


class Flight:
    """A provider's calls, in the order they are sent, under one learned cap."""

    def __init__(self, cap: LearnedCap) -> None:
        self.cap, self.last, self.open = cap, 0, []  # type: ignore[var-annotated]

    def fill(self, most: int = 10_000) -> int:
        """Send as many as may be; how many are then in flight."""
        while len(self.open) < min(self.cap.limit(), most):
            self.last += 1
            self.open.append(self.last)
            self.cap.sent(self.last, len(self.open))
        return len(self.open)

    def succeed(self) -> None:
        self.cap.succeeded(self.open[0])
        self.open.pop(0)

    def throttle(self) -> bool:
        lowered = self.cap.throttled(self.open[0], self.last, len(self.open))
        self.open.pop(0)
        return lowered

    def round(self, most: int = 10_000) -> int:
        """All that may be in flight is, and succeeds."""
        count = self.fill(most)
        for _ in range(count):
            self.succeed()
        return count


def test_until_something_is_throttled_the_cap_doubles_per_round() -> None:
    flight = Flight(LearnedCap(4, ceiling=30))
    assert [flight.round() for _ in range(5)] == [4, 8, 16, 30, 30]


def test_after_that_it_grows_by_about_one_per_round_that_uses_it() -> None:
    flight = Flight(LearnedCap(8))
    flight.fill()
    flight.throttle()
    for _ in range(7):
        flight.succeed()
    assert [flight.round() for _ in range(6)] == [4, 4, 5, 6, 7, 8]


def test_a_cap_that_is_not_used_does_not_grow() -> None:
    flight = Flight(LearnedCap(4))
    for _ in range(100):
        flight.round(most=3)
    assert flight.cap.limit() == 4


def test_a_burst_of_throttled_calls_lowers_the_cap_once() -> None:
    flight = Flight(LearnedCap(64))
    flight.fill()
    assert [flight.throttle() for _ in range(64)] == [True] + [False] * 63
    assert flight.cap.limit() == 32
    flight.fill()
    assert flight.throttle() and flight.cap.limit() == 16, "a call sent since tells something new"


def test_without_a_start_the_first_throttled_call_shows_where_the_cap_is() -> None:
    flight = Flight(LearnedCap())
    flight.fill(most=40)
    flight.throttle()
    assert flight.cap.limit() == 20


def test_the_floor_holds() -> None:
    flight = Flight(LearnedCap(8, floor=3))
    for _ in range(10):
        flight.fill()
        flight.throttle()
    assert flight.cap.limit() == 3


def test_a_ramp_that_starts_anew_doubles_per_round_until_the_cap() -> None:
    flight = Flight(LearnedCap(40))
    flight.fill()
    flight.throttle()
    flight.cap.gate_closed(1, flight.last, is_anew=True)
    for _ in range(39):
        flight.succeed()  # sent before: they tell nothing of what comes after
    assert [flight.round() for _ in range(7)] == [1, 2, 4, 8, 16, 20, 21]


@pytest.mark.parametrize(
    ("refused", "rounds"),
    [(1, [20, 20, 21]), (2, [19, 20, 21]), (11, [10, 20, 20]), (20, [1, 2, 4]), (40, [1, 2, 4])],
)
def test_after_the_gate_half_goes_on_less_one_for_every_further_refusal(
    refused: int, rounds: list[int]
) -> None:
    flight = Flight(LearnedCap(40))
    flight.fill()
    for number in range(refused):
        flight.throttle()
        flight.cap.gate_closed(number + 1, flight.last, is_anew=False)
    for _ in range(40 - refused):
        flight.succeed()
    assert [flight.round() for _ in range(3)] == rounds


def test_a_ramp_may_start_higher_and_is_none_where_the_cap_is_not_above_it() -> None:
    flight = Flight(LearnedCap(40, ceiling=40, ramp=8))
    flight.fill()
    flight.cap.gate_closed(flight.last, flight.last, is_anew=True)
    for _ in range(40):
        flight.succeed()
    assert [flight.round() for _ in range(4)] == [8, 16, 32, 40]
    small = LearnedCap(8, ramp=8)
    small.gate_closed(1, 1, is_anew=True)
    assert not small.is_ramping and small.limit() == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": 0},
        {"start": 5, "floor": 6},
        {"start": 5, "ceiling": 4},
        {"floor": 0},
        {"ceiling": 10**9},
        {"decrease": 1},
        {"decrease": 0},
        {"ramp": 0},
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(HostError, match="learned cap"):
        LearnedCap(**wrong)


class _CapModel(RuleBasedStateMachine):
    """Against sets of the calls that were in flight at the moments that count."""

    def __init__(self) -> None:
        super().__init__()
        self.flight = Flight(LearnedCap(6, floor=2, ceiling=9))
        self.exact = 6.0
        self.ramp: int | None = None
        self.was_full: set[int] = set()  # calls in flight at a moment when the limit was reached
        self.old: set[int] = set()  # sent before the last decrease
        self.before_gate: set[int] = set()  # sent before the last burst of refusals was told

    def limit(self) -> int:
        return int(self.exact if self.ramp is None else min(self.exact, self.ramp))

    @rule(count=st.integers(1, 9))
    def send(self, count: int) -> None:
        for _ in range(count):
            if len(self.flight.open) >= self.flight.cap.limit():
                return
            self.flight.fill(len(self.flight.open) + 1)
            if len(self.flight.open) >= self.limit():
                self.was_full.update(self.flight.open)

    @precondition(lambda self: self.flight.open)
    @rule()
    def succeed(self) -> None:
        call = self.flight.open[0]
        self.flight.succeed()
        if call not in self.was_full:
            return
        if self.ramp is not None:
            if call not in self.before_gate:
                self.ramp += 1
                if self.ramp >= self.exact:
                    self.ramp = None
        elif call not in self.old:
            gained = 1 / self.exact if self.old else 1.0
            self.exact = min(9.0, self.exact + gained)

    @precondition(lambda self: self.flight.open)
    @rule(closes=st.booleans(), is_anew=st.booleans())
    def throttle(self, closes: bool, is_anew: bool) -> None:
        call, in_flight = self.flight.open[0], len(self.flight.open)
        assert self.flight.throttle() == (call not in self.old)
        if call not in self.old:
            self.old = set(range(1, self.flight.last + 1))
            self.exact = max(2.0, min(self.exact, in_flight) / 2)
            if self.ramp is not None and self.ramp >= self.exact:
                self.ramp = None
        if closes:
            self.flight.cap.gate_closed(call, self.flight.last, is_anew)
            start = int(self.exact) if call not in self.before_gate else self.limit() - 1
            if call not in self.before_gate:
                self.before_gate = set(range(1, self.flight.last + 1))
            self.ramp = 1 if is_anew else max(1, start)
            if self.ramp >= self.exact:
                self.ramp = None

    @invariant()
    def it_agrees(self) -> None:
        cap = self.flight.cap
        assert cap.limit() >= 1 and 2 <= cap.cap <= 9
        assert cap.is_ramping == (self.ramp is not None)
        assert cap.limit() == self.limit()


TestCapAgainstModel = _CapModel.TestCase
TestCapAgainstModel.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=50, deadline=None
)


def test_the_strictest_answer_wins() -> None:
    gate = Gate()
    gate.close(10, 5.0, sent=1, last=3)
    gate.close(10, 2.0, sent=2, last=3)
    assert gate.until_s == 15
    gate.close(11, 9.0, sent=3, last=3)
    assert gate.until_s == 20 and gate.is_closed(19.9) and not gate.is_closed(20)


def test_a_guess_doubles_with_every_burst_and_not_with_every_call_of_it() -> None:
    gate, last, now_s, waits = Gate(0.5, 4.0), 0, 0.0, []
    for _ in range(6):
        first, last = last + 1, last + 64
        for sent in range(first, last + 1):
            gate.close(now_s, None, sent, last)
        waits.append(gate.until_s - now_s)
        now_s = gate.until_s
    assert waits == [0.5, 1, 2, 4, 4, 4]
    gate.succeeded(1)  # sent long before: it says nothing of now
    gate.close(now_s, None, last + 1, last + 1)
    assert gate.until_s - now_s == 4
    gate.succeeded(last + 2)
    gate.close(now_s + 10, None, last + 3, last + 3)
    assert gate.until_s - now_s == 10.5


def test_a_thousand_bursts_are_still_a_finite_wait() -> None:
    gate = Gate(0.5, 30.0)
    for sent in range(1, 3000):
        gate.close(0, None, sent, sent)
    assert gate.until_s == 30


@pytest.mark.parametrize(("guess_s", "most_s"), [(0, 1), (2, 1), (1, float("inf"))])
def test_a_gate_that_makes_no_sense_is_refused(guess_s: float, most_s: float) -> None:
    with pytest.raises(HostError, match="gate"):
        Gate(guess_s, most_s)


class _AllowanceModel(RuleBasedStateMachine):
    """The law: never more than the constant and the share of all calls, and all of it on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.allowance = Allowance(0.2, 3)
        self.calls = self.extra = 0

    @rule(calls=st.integers(1, 20))
    def call(self, calls: int) -> None:
        self.calls += calls
        for _ in range(calls):
            self.allowance.deposit()

    @rule()
    def take(self) -> None:
        may = self.extra + 1 <= 3 + Fraction(1, 5) * self.calls
        assert self.allowance.take() == may
        self.extra += may

    @precondition(lambda self: self.extra)
    @rule()
    def give_back(self) -> None:
        self.allowance.give_back()
        self.extra -= 1

    @invariant()
    def it_is_within_its_share(self) -> None:
        assert self.allowance.taken == self.extra <= 3 + Fraction(1, 5) * self.calls


TestAllowanceAgainstModel = _AllowanceModel.TestCase
TestAllowanceAgainstModel.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=50, deadline=None
)


@pytest.mark.parametrize(("share", "constant"), [(-0.1, 0), (1.1, 0), (0.5, -1)])
def test_an_allowance_that_makes_no_sense_is_refused(share: float, constant: int) -> None:
    with pytest.raises(HostError, match="allowance"):
        Allowance(share, constant)
