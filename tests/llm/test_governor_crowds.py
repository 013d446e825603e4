"""What the operations of the governor cost where many wait."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.budget import Amounts, Budget
from omega.llm.lane import LaneLimits, Outcome
from tests.llm.governing import OK, sent


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
