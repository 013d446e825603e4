"""Equal calls share one answer: against plain lists of who waits for what."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.llm.sharing import Flight, Sharing


def test_the_first_starts_the_call_and_all_get_its_answer_in_order() -> None:
    sharing: Sharing[str] = Sharing()
    flight, is_new = sharing.join("k", "a")
    assert is_new
    assert sharing.join("k", "b") == (flight, False) and sharing.join("k", "c") == (flight, False)
    assert sharing.shared == 2
    assert sharing.land(flight) == ["a", "b", "c"] and len(sharing) == 0
    assert sharing.flight_of("a") is None


def test_when_one_leaves_even_the_first_the_others_still_get_the_answer() -> None:
    sharing: Sharing[str] = Sharing()
    flight, _ = sharing.join("k", "a")
    sharing.join("k", "b")
    assert sharing.leave("a") is None
    assert sharing.land(flight) == ["b"]


def test_the_last_to_leave_is_told_and_a_newcomer_gets_a_new_call() -> None:
    sharing: Sharing[str] = Sharing()
    old, _ = sharing.join("k", "a")
    assert sharing.leave("a") is old
    assert sharing.leave("a") is None
    new, is_new = sharing.join("k", "b")
    assert is_new and new is not old
    assert sharing.land(old) == [], "the aborted call closes later, and is nobody's"
    assert sharing.flight_of("b") is new
    assert sharing.land(new) == ["b"]


def test_a_flight_lands_once_and_a_member_waits_for_one() -> None:
    sharing: Sharing[str] = Sharing()
    flight, _ = sharing.join("k", "a")
    with pytest.raises(AssertionError):
        sharing.join("j", "a")
    sharing.land(flight)
    with pytest.raises(AssertionError):
        sharing.land(flight)


class _Model(RuleBasedStateMachine):
    """`flights` holds [flight, key, members]; `dying` those that everybody has left."""

    def __init__(self) -> None:
        super().__init__()
        self.sharing: Sharing[int] = Sharing()
        self.flights: list[tuple[Flight[int], str, list[int]]] = []
        self.dying: list[Flight[int]] = []
        self.members = 0

    @rule(key=st.sampled_from("abc"))
    def join(self, key: str) -> None:
        self.members += 1
        flight, is_new = self.sharing.join(key, self.members)
        known = [entry for entry in self.flights if entry[1] == key]
        assert is_new == (not known)
        if is_new:
            assert flight not in self.dying
            self.flights.append((flight, key, [self.members]))
        else:
            assert flight is known[0][0]
            known[0][2].append(self.members)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        member = data.draw(st.integers(1, self.members))
        left = self.sharing.leave(member)
        for entry in self.flights:
            if member in entry[2]:
                entry[2].remove(member)
                assert left is (None if entry[2] else entry[0])
                if not entry[2]:
                    self.flights.remove(entry)
                    self.dying.append(entry[0])
                return
        assert left is None

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.flights))
        self.flights.remove(entry)
        assert self.sharing.land(entry[0]) == entry[2]

    @precondition(lambda self: self.dying)
    @rule()
    def close(self) -> None:
        assert self.sharing.land(self.dying.pop(0)) == []

    @invariant()
    def it_agrees(self) -> None:
        self.sharing._check()
        assert len(self.sharing) == len(self.flights)
        for flight, key, members in self.flights:
            assert flight.key == key and list(flight.members) == members


TestSharingAgainstModel = _Model.TestCase
TestSharingAgainstModel.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=40, deadline=None
)
