"""The queue that is fair by turns: its promises, and a state machine against plain lists."""

from __future__ import annotations

import os
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.llm.turns import STALE_MIN, Spot, TurnQueue
from tests.llm.rings import Rings


def filled(*entries: tuple[str, int]) -> TurnQueue[str]:
    """(group and number, priority) each, pushed in order: "a1" is of group "a"."""
    queue: TurnQueue[str] = TurnQueue(count(1))
    for place, (name, priority) in enumerate(entries):
        queue.push(name, priority, name[0], place)
    return queue


def drained(queue: TurnQueue[str]) -> list[str]:
    taken = []
    while queue.head() is not None:
        taken.append(queue.pop().item)
        queue._check()
    return taken


def test_groups_take_turns_and_entries_of_one_keep_their_order() -> None:
    names = ["a1", "a2", "a3", "b1", "b2", "c1"]
    assert drained(filled(*[(name, 0) for name in names])) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_larger_priorities_go_first_whatever_their_group() -> None:
    queue = filled(("a1", 0), ("b1", 2), ("a2", 2), ("b2", 2), ("c1", 1), ("a3", -1))
    assert drained(queue) == ["b1", "a2", "b2", "c1", "a1", "a3"]


def test_a_thousand_entries_of_one_group_delay_the_only_one_of_another_by_one() -> None:
    queue = filled(*[(f"a{number}", 0) for number in range(1000)])
    queue.pop()
    queue.push("b1", 0, "b", 1000)
    assert [queue.pop().item for _ in range(3)] == ["a1", "b1", "a2"]


def test_an_entry_with_a_turn_of_its_own_goes_where_it_was_and_costs_its_group_nothing() -> None:
    queue = filled(("a1", 0), ("a2", 0), ("b1", 0), ("b2", 0))
    first = queue.pop()
    queue.push("a1 again", 0, "a", first.place, first.turn)
    assert drained(queue) == ["a1 again", "b1", "a2", "b2"]


def test_a_removed_entry_never_comes_up_and_leaves_no_garbage() -> None:
    queue: TurnQueue[int] = TurnQueue(count(1))
    queue.push(-1, 9, "keep", 0)
    queue.push(-2, 0, "a", 1)
    for place in range(2, 5000):
        queue.remove(queue.push(place, place % 3, ("a", "b")[place % 2], place))
    held = sum(
        len(level.ring) + sum(len(group.heap) for group in level.groups.values())
        for level in queue._levels.values()
    )
    assert held < 10 * STALE_MIN and len(queue) == 2
    assert [queue.pop().item, queue.pop().item] == [-1, -2]


class _Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue: TurnQueue[int] = TurnQueue(count(1))
        self.model = Rings(count(1))
        self.places = 0
        self.spots: dict[int, Spot[int]] = {}
        self.taken: list[tuple[int, int, str, int]] = []  # place, priority, group, turn

    @rule(priority=st.integers(0, 2), group=st.sampled_from("abc"))
    def push(self, priority: int, group: str) -> None:
        self.places += 1
        before = self.model.order()
        ahead = self.queue.ahead_of(priority, group)
        self.spots[self.places] = self.queue.push(self.places, priority, group, self.places)
        self.model.insert(self.places, priority, group)
        others = {source[1] for source in self.model.rings[priority]} - {group}
        assert 0 <= self.model.order().index(self.places) - ahead <= len(others)
        assert [place for place in self.model.order() if place != self.places] == before

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), in_turn=st.booleans())
    def push_again(self, data: st.DataObject, in_turn: bool) -> None:
        again = data.draw(st.sampled_from(self.taken))
        self.taken.remove(again)
        place, priority, group, turn = again
        old = turn if in_turn else None
        self.spots[place] = self.queue.push(place, priority, group, place, old)
        self.model.insert(place, priority, group, old)

    @precondition(lambda self: self.spots)
    @rule()
    def pop(self) -> None:
        head = self.queue.head()
        spot = self.queue.pop()
        expected = self.model.pop()
        assert spot is head
        assert (spot.item, spot.priority, spot.turn) == (expected[0], expected[1], expected[3])
        del self.spots[spot.item]
        self.taken.append(expected)

    @precondition(lambda self: self.spots)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.spots)))
        self.queue.remove(self.spots.pop(place))
        assert self.model.remove(place)

    @precondition(lambda self: self.spots)
    @rule(data=st.data(), priority=st.integers(0, 2))
    def move(self, data: st.DataObject, priority: int) -> None:
        place = data.draw(st.sampled_from(sorted(self.spots)))
        group = self.model.group_of[place]
        self.queue.remove(self.spots[place])
        self.spots[place] = self.queue.push(place, priority, group, place)
        assert self.model.remove(place)
        self.model.insert(place, priority, group)

    @invariant()
    def it_agrees(self) -> None:
        self.queue._check()
        assert sorted(self.queue.items()) == sorted(self.spots) == sorted(self.model.order())
        head = self.queue.head()
        assert (None if head is None else head.key) == self.model.head()

    def teardown(self) -> None:
        order = self.model.order()
        assert [self.queue.pop().item for _ in range(len(self.queue))] == order


TestTurnsAgainstModel = _Model.TestCase
TestTurnsAgainstModel.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=40, deadline=None
)
