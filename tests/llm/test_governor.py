"""The governor: examples that name its promises, and a state machine against a small model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.errors import HostError
from omega.llm import Governor


def asked(limit: int, *ids: str) -> Governor[str]:
    governor: Governor[str] = Governor(limit)
    for call_id in ids:
        governor.ask(call_id)
    return governor


def test_the_cap_is_hard_and_slots_are_reused_in_order() -> None:
    governor = asked(2, "a", "b", "c", "d")
    assert governor.admit(0) == ["a", "b"]
    assert governor.admit(0) == []
    governor.started("a")
    governor.finished("a")
    assert governor.admit(0) == ["c"]
    assert (governor.in_flight, governor.peak, governor.queued) == (2, 2, 1)
    governor._check()


def test_larger_priority_first_and_fifo_among_equals() -> None:
    governor: Governor[str] = Governor(1)
    for call_id, priority in [("a", 0), ("b", 5), ("c", 5), ("d", -1)]:
        governor.ask(call_id, priority)
    order = []
    while governor.queued:
        (call_id,) = governor.admit(0)
        order.append(call_id)
        governor.finished(call_id)
    assert order == ["b", "c", "a", "d"]


def test_a_donated_priority_moves_a_queued_call_and_keeps_its_place_among_equals() -> None:
    governor = asked(1, "a", "b", "c")
    governor.set_priority("c", 1)
    governor.set_priority("b", 1)
    assert governor.admit(0) == ["b"]
    governor.set_priority("b", 9)  # in flight: nothing to move
    governor.finished("b")
    assert governor.admit(0) == ["c"]
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
    assert governor.admit(0) == ["c"]
    assert governor.withdrawn == 1


def test_a_retry_holds_no_slot_lets_others_pass_and_keeps_its_place() -> None:
    governor = asked(1, "a", "b", "c")
    governor.admit(0)
    governor.requeue("a", due_s=5.0)
    assert governor.in_flight == 0
    assert governor.admit(1) == ["b"]
    assert governor.next_due_s() is None  # no slot: time alone changes nothing
    governor.finished("b")
    assert governor.next_due_s() == 1  # "c" can start now
    assert governor.admit(5) == ["a"]  # due, and older than "c"
    governor._check()


def test_a_closed_gate_admits_nothing_and_only_moves_later() -> None:
    governor = asked(3, "a", "b")
    governor.close_gate(10)
    governor.close_gate(4)
    assert governor.admit(9.999) == []
    assert governor.next_due_s() == 10
    assert governor.admit(10) == ["a", "b"]
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
    assert governor.admit(0) == [] and governor.in_flight == 2
    governor.finished("b")
    governor.finished("c")
    assert governor.admit(0) == ["d"]
    governor.set_limit(9)
    assert governor.admit(0) == ["e", "f"]
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
    assert len(governor._ready) + len(governor._later) < 500
    governor._check()


class _Model(RuleBasedStateMachine):
    """Against lists: `queue` holds [priority, place, due_s, id]; `holding` the ids that hold a
    slot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.limit = 2
        self.governor: Governor[int] = Governor(self.limit)
        self.queue: list[list[float]] = []
        self.holding: dict[int, list[float]] = {}
        self.started: set[int] = set()
        self.asked = 0
        self.now_s = 0.0
        self.gate_s = 0.0
        self.allowed = self.limit

    @rule(priority=st.integers(-2, 2))
    def ask(self, priority: int) -> None:
        self.asked += 1
        self.governor.ask(self.asked, priority, now_s=self.now_s)
        self.queue.append([priority, self.asked, self.now_s, self.asked])

    @rule(step_s=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    def admit(self, step_s: float) -> None:
        self.now_s += step_s
        expected: list[int] = []
        if self.now_s >= self.gate_s:
            due = [call for call in self.queue if call[2] <= self.now_s]
            due.sort(key=lambda call: (-call[0], call[1]))
            for call in due[: max(0, self.limit - len(self.holding))]:
                self.queue.remove(call)
                self.holding[int(call[3])] = call
                expected.append(int(call[3]))
        assert self.governor.admit(self.now_s) == expected

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.holding)))
        if call_id not in self.started:
            self.governor.started(call_id)
            self.started.add(call_id)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.holding)))
        self.governor.finished(call_id)
        del self.holding[call_id]
        self.started.discard(call_id)

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), delay_s=st.sampled_from([None, 0.0, 0.5, 2.0]))
    def requeue(self, data: st.DataObject, delay_s: float | None) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.holding)))
        due_s = None if delay_s is None else self.now_s + delay_s
        self.governor.requeue(call_id, due_s)
        call = self.holding.pop(call_id)
        call[2] = self.now_s if due_s is None else due_s
        self.queue.append(call)
        self.started.discard(call_id)

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.queue))
        assert self.governor.withdraw(int(call[3]))
        self.queue.remove(call)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), priority=st.integers(-2, 2))
    def donate(self, data: st.DataObject, priority: int) -> None:
        call = data.draw(st.sampled_from(self.queue))
        self.governor.set_priority(int(call[3]), priority)
        call[0] = priority

    @rule(wait_s=st.sampled_from([0.0, 1.0, 2.0]))
    def close_gate(self, wait_s: float) -> None:
        self.governor.close_gate(self.now_s + wait_s)
        self.gate_s = max(self.gate_s, self.now_s + wait_s)

    @rule(limit=st.integers(1, 4))
    def set_limit(self, limit: int) -> None:
        self.governor.set_limit(limit)
        self.allowed = max(limit, len(self.holding))
        self.limit = limit

    @invariant()
    def it_agrees(self) -> None:
        governor = self.governor
        governor._check()
        assert governor.in_flight == len(self.holding) <= max(self.allowed, self.limit)
        assert governor.queued == len(self.queue)
        assert all(governor.is_holding(call_id) for call_id in self.holding)
        due = governor.next_due_s()
        if not self.queue or len(self.holding) >= self.limit:
            assert due is None
        else:
            soonest = min(call[2] for call in self.queue)
            assert due is not None
            assert max(due, self.now_s) == max(soonest, self.gate_s, self.now_s)

    def teardown(self) -> None:
        """Whatever happened, everything can be finished: nothing is stuck and no slot is lost."""
        for call_id in list(self.holding):
            self.governor.finished(call_id)
        for _ in range(len(self.queue) + 1):
            for call_id in self.governor.admit(1e9):
                self.governor.finished(call_id)
        assert self.governor.in_flight == self.governor.queued == 0
        self.governor._check()


TestGovernorAgainstModel = _Model.TestCase
TestGovernorAgainstModel.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
