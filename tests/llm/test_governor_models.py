"""The governor's order against plain lists, and its laws under any interleaving of lanes, budgets,
deadlines, throttling and retries.
"""

from __future__ import annotations

import os
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.budget import Amounts, Budget, BudgetExceeded, Elastic
from omega.llm.lane import LaneLimits, Outcome
from tests.llm.rings import Rings

OK = Outcome(True, used=Amounts(1))


class _Order(RuleBasedStateMachine):
    """Two lanes, groups, priorities, retries, gates and the hard cap, against plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 2
        self.governor: Governor[int] = Governor(self.limit)
        self.clock = count(1)
        self.rings = [Rings(self.clock), Rings(self.clock)]
        self.gates = [0.0, 0.0]
        self.later: dict[int, tuple[float, int, int]] = {}  # place: due, turn, order of requeue
        self.facts: dict[int, tuple[int, int, str]] = {}  # place: lane, priority, group
        self.turns: dict[int, int] = {}
        self.holding: list[int] = []
        self.started: set[int] = set()
        self.asked = self.requeues = 0
        self.now_s = 0.0
        self.allowed = self.limit

    @rule(lane=st.integers(0, 1), priority=st.integers(-1, 1), group=st.sampled_from("ab"))
    def ask(self, lane: int, priority: int, group: str) -> None:
        self.asked += 1
        self.governor.ask(self.asked, lane, priority=priority, group=group, now_s=self.now_s)
        self.facts[self.asked] = (lane, priority, group)
        self.rings[lane].insert(self.asked, priority, group)

    @rule(step_s=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    def admit(self, step_s: float) -> None:
        self.now_s += step_s
        due = sorted((due_s, order, place) for place, (due_s, _, order) in self.later.items())
        for lane in (0, 1):  # lanes are asked one after the other
            for due_s, _, place in due:
                if due_s <= self.now_s and self.facts[place][0] == lane:
                    _, priority, group = self.facts[place]
                    self.rings[lane].insert(place, priority, group, self.later.pop(place)[1])
        expected: list[int] = []
        while len(self.holding) < self.limit:
            heads = [
                (ring.head(), lane)
                for lane, ring in enumerate(self.rings)
                if ring.head() is not None and self.gates[lane] <= self.now_s
            ]
            if not heads:
                break
            place, _, _, turn = self.rings[min(heads)[1]].pop()  # type: ignore[type-var]
            self.turns[place] = turn
            self.holding.append(place)
            expected.append(place)
        admission = self.governor.admit(self.now_s)
        assert (admission.calls, admission.refused) == (expected, [])

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.holding)))
        if place not in self.started:
            self.governor.started(place)
            self.started.add(place)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.holding)))
        self.governor.finished(place)
        self.holding.remove(place)
        self.started.discard(place)
        del self.facts[place]

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), delay_s=st.sampled_from([None, 0.0, 0.5, 2.0]))
    def requeue(self, data: st.DataObject, delay_s: float | None) -> None:
        place = data.draw(st.sampled_from(sorted(self.holding)))
        due_s = None if delay_s is None else self.now_s + delay_s
        if self.governor.requeue(place, due_s, Outcome()) is not None:
            return  # the share of retries is used up: its own model is the allowance's
        self.holding.remove(place)
        self.started.discard(place)
        lane, priority, group = self.facts[place]
        if delay_s:
            assert due_s is not None
            self.requeues += 1
            self.later[place] = (due_s, self.turns[place], self.requeues)
        else:
            self.rings[lane].insert(place, priority, group, self.turns[place])

    def queued(self) -> list[int]:
        return sorted([*self.later, *self.rings[0].order(), *self.rings[1].order()])

    @precondition(lambda self: self.queued())
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.queued()))
        assert self.governor.withdraw(place)
        lane = self.facts.pop(place)[0]
        assert self.rings[lane].remove(place) != (self.later.pop(place, None) is not None)

    @precondition(lambda self: self.facts)
    @rule(data=st.data(), priority=st.integers(-1, 1))
    def donate(self, data: st.DataObject, priority: int) -> None:
        place = data.draw(st.sampled_from(sorted(self.facts)))
        lane, before, group = self.facts[place]
        self.governor.set_priority(place, priority)
        self.facts[place] = (lane, priority, group)
        if priority != before and self.rings[lane].remove(place):
            self.rings[lane].insert(place, priority, group)

    @rule(lane=st.integers(0, 1), wait_s=st.sampled_from([0.0, 1.0, 2.0]))
    def close_gate(self, lane: int, wait_s: float) -> None:
        self.governor.close_gate(self.now_s + wait_s, lane)
        self.gates[lane] = max(self.gates[lane], self.now_s + wait_s)

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
        assert governor.queued == len(self.queued())
        assert all(governor.is_holding(place) for place in self.holding)
        starts = [
            max(self.later[place][0] if place in self.later else self.now_s, gate_s, self.now_s)
            for place in self.queued()
            for gate_s in [self.gates[self.facts[place][0]]]
        ]
        due_s = governor.next_due_s()
        if not starts or len(self.holding) >= self.limit:
            assert due_s is None
        else:
            assert due_s is not None and max(due_s, self.now_s) == min(starts)

    def teardown(self) -> None:
        """Whatever happened, everything can be finished: nothing is stuck and no slot is lost."""
        for place in self.holding:
            self.governor.finished(place)
        for _ in range(len(self.queued()) + 1):
            for place in self.governor.admit(1e9).calls:
                self.governor.finished(place)
        assert self.governor.in_flight == self.governor.queued == 0
        self.governor._check()


TestOrderAgainstModel = _Order.TestCase
TestOrderAgainstModel.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=50, deadline=None
)


# -- the laws, under everything ------------------------------------------------------------------


class _Laws(RuleBasedStateMachine):
    """Everything at once. What is never allowed to happen is written without the governor's own
    order: from its answers, the budgets, and buckets counted anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self.governor: Governor[int] = Governor(4)
        requests, tokens = Rate(2, burst=3), Rate(20, burst=40)
        limits = LaneLimits(requests=requests, tokens=tokens, cap_start=3, retry_constant=2)
        self.lanes = [
            self.governor.lane(0, limits),
            self.governor.lane(1, LaneLimits(cap_start=2, gate_s=1, gate_wait_s_max=5)),
        ]
        top = Budget(calls=12, usd=1e-9, name="top")
        left = Budget(tokens=200, parent=top, name="left")
        self.budgets = [top, left, Budget(tokens=90, parent=left, name="leaf")]
        self.asked = 0
        self.now_s = 0.0
        self.sent_at: list[tuple[int, float]] = []  # of lane 0: what has taken a request, and when
        self.calls: dict[int, dict[str, Any]] = {}
        self.holding: dict[int, bool] = {}  # whether it was started

    @rule(
        lane=st.integers(0, 1),
        priority=st.integers(0, 1),
        group=st.sampled_from("ab"),
        tokens=st.integers(0, 50),
        budget=st.sampled_from([None, 0, 1, 2]),
        patience_s=st.none() | st.floats(0.1, 20),
        most=st.none() | st.integers(0, 99),
    )
    def ask(
        self,
        lane: int,
        priority: int,
        group: str,
        tokens: int,
        budget: int | None,
        patience_s: float | None,
        most: int | None,
    ) -> None:
        self.asked += 1
        self.calls[self.asked] = {
            "lane": lane,
            "tokens": tokens,
            "budget": None if budget is None else self.budgets[budget],
            "reserve": Amounts(1, 2 * tokens, 7 * tokens),
            "deadline_s": None if patience_s is None else self.now_s + patience_s,
            "most": most,
            "held": False,
        }
        call = self.calls[self.asked]
        self.governor.ask(
            self.asked,
            lane,
            priority=priority,
            group=group,
            input_tokens=tokens,
            deadline_s=call["deadline_s"],
            budget=call["budget"],
            reserve=call["reserve"],
            elastic=None if most is None else Elastic(Amounts(0, 1, 3), most),
            now_s=self.now_s,
        )

    @rule(step_s=st.sampled_from([0.0, 0.1, 1.0, 7.0]))
    def admit(self, step_s: float) -> None:
        self.now_s += step_s
        gates = [lane.gate.until_s for lane in self.lanes]
        admission = self.governor.admit(self.now_s)
        for call_id in admission.calls:
            call = self.calls[call_id]
            assert gates[call["lane"]] <= self.now_s, "through a closed gate"
            assert call["deadline_s"] is None or call["deadline_s"] > self.now_s
            call["held"] = call["budget"] is not None
            extra = self.governor.extra_of(call_id)
            assert 0 <= extra <= (call["most"] or 0)
            one, tokens, cost = call["reserve"]
            call["reserved"] = Amounts(one, tokens + extra, cost + 3 * extra)
            self.holding[call_id] = False
            if call["lane"] == 0:
                self.sent_at.append((call_id, self.now_s))
        for refusal in admission.refused:
            call = self.calls.pop(refusal.call_id)
            if refusal.reason == "budget":
                with pytest.raises(BudgetExceeded):
                    call["budget"].shortage(call["reserve"])
            elif call["deadline_s"] is None:
                assert refusal.reason == "gate" and gates[call["lane"]] - self.now_s > 5
            elif refusal.reason == "deadline":
                assert call["deadline_s"] <= self.now_s
        assert self.governor.in_flight <= 4
        for lane in {call["lane"] for call in map(self.calls.get, admission.calls) if call}:
            assert self.lanes[lane].in_flight <= self.lanes[lane].cap.limit()
        self.no_slot_stays_empty()
        due_s = self.governor.next_due_s()
        assert due_s is None or due_s > self.now_s, "it would be asked again at once, for ever"
        if due_s is not None and due_s - self.now_s > 1e-3:
            self.now_s += (due_s - self.now_s) / 2
            early = self.governor.admit(self.now_s)
            assert (early.calls, early.refused) == ([], []), "sooner than it was told"

    def no_slot_stays_empty(self) -> None:
        """Whoever waits, waits for something that is really not there."""
        for key, lane in enumerate(self.lanes):
            waiting = self.governor._lanes[key].waiting
            if self.governor.in_flight >= self.governor.limit or lane.is_full:
                continue
            first = waiting.first()
            if first is not None and lane.open_s(self.now_s) <= self.now_s:
                assert lane.ready_s(first[1].needs, self.now_s) > self.now_s
            lines = {id(c.line): c.line for c in waiting.everyone() if c.line is not None}
            for line in lines.values():
                if not line.is_awake:  # one that is stands beside the queue in `first`
                    head = line.queue.head()
                    assert head is not None and head.item.budget is not None
                    assert head.item.budget.shortage(head.item.reserve) is not None

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.holding)))
        if not self.holding[call_id]:
            self.governor.started(call_id)
            self.holding[call_id] = True

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), end=st.sampled_from(["ok", "failed", "unknown", "requeue", "paid"]))
    def end(self, data: st.DataObject, end: str) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.holding)))
        call = self.calls[call_id]
        throttles = st.none() | st.sampled_from(["rate", "overload", "concurrency"])
        throttle = None if end in ("ok", "unknown") else data.draw(throttles)
        wait_s = data.draw(st.sampled_from([None, 0.5, 3.0, 30.0]))
        before = self.governor.in_flight
        truth = data.draw(st.integers(0, 2 * call["tokens"]))
        paid = Amounts(1 if end == "ok" else 0, truth, truth) if end in ("ok", "paid") else None
        outcome = Outcome(
            end == "ok",
            used=paid or Amounts(),
            input_tokens=truth if end == "ok" else None,
            output_tokens=0 if end == "ok" else None,
            throttle=throttle,
            retry_after_s=wait_s,
        )
        if end in ("requeue", "paid"):
            due_s = self.now_s + data.draw(st.sampled_from([0.0, 0.7, 4.0]))
            if self.governor.requeue(call_id, due_s, outcome, now_s=self.now_s) is not None:
                assert self.governor.in_flight == before, "it holds its slot"
                return
            call["held"] = call["held"] and (not self.holding[call_id] or not any(outcome.used))
        else:
            given = None if end == "unknown" else outcome
            self.governor.finished(call_id, given, now_s=self.now_s)
            del self.calls[call_id]
        assert self.governor.in_flight == before - 1
        if not self.holding.pop(call_id):  # never sent: its request went back
            mine = [entry for entry in self.sent_at if entry[0] == call_id]
            self.sent_at = [entry for entry in self.sent_at if entry not in mine[-1:]]

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.calls)))
        told = [refusal.call_id for refusal in self.governor._refusals]
        is_queued = call_id not in self.holding and call_id not in told
        assert self.governor.withdraw(call_id) == is_queued
        if is_queued:
            del self.calls[call_id]

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), priority=st.integers(0, 2))
    def donate(self, data: st.DataObject, priority: int) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.calls)))
        if call_id in self.governor._calls:
            self.governor.set_priority(call_id, priority)

    @invariant()
    def the_laws_hold(self) -> None:
        self.governor._check()
        assert self.governor.in_flight == len(self.holding) <= 4
        held = [call for call in self.calls.values() if call["held"]]
        for budget in self.budgets:
            budget._check()
            inside = [call["reserved"] for call in held if budget in call["budget"].levels]
            assert budget.reserved == [
                sum(amounts[kind] for amounts in inside) for kind in range(3)
            ]
            for kind, limit in enumerate(budget.limits):
                assert limit is None or budget.settled[kind] + budget.reserved[kind] <= limit
        times = [when for _, when in self.sent_at]
        for first, when in enumerate(times):
            assert len(times) - first <= 3 + 2 * (times[-1] - when) + 1e-3, "more than the rate"

    def teardown(self) -> None:
        """Everything comes to an end, and everything that was held is given back."""
        for call_id in list(self.holding):
            self.governor.finished(call_id, now_s=self.now_s)
        for _ in range(3 * len(self.calls) + 3):
            self.now_s += 200
            for call_id in self.governor.admit(self.now_s).calls:
                self.governor.started(call_id)
                self.governor.finished(call_id, OK, now_s=self.now_s)
        assert (self.governor.queued, self.governor.in_flight) == (0, 0)
        assert self.governor.next_due_s() is None
        assert all(budget.reserved == [0, 0, 0] for budget in self.budgets)
        assert all(not budget._watchers for budget in self.budgets)
        assert [bucket.level(self.now_s + 1e3) for bucket in self.lanes[0].buckets[:2]] == [3, 40]
        self.governor._check()


TestLaws = _Laws.TestCase
TestLaws.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=50, deadline=None
)
