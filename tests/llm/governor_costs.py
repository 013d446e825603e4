"""What a call costs in the governor, with few and with many waiting: microseconds, printed.

python -m tests.llm.governor_costs
"""

from __future__ import annotations

import gc
from time import perf_counter

from omega.llm import Governor
from omega.llm.buckets import Rate
from omega.llm.budget import Amounts, Budget
from omega.llm.lane import LaneLimits, Outcome

ROUNDS = 3_000


def cost(waiting: int, groups: int, is_limited: bool) -> str:
    """One row. is_limited: with two budgets and a deadline each."""
    governor: Governor[int] = Governor(64)
    governor.lane("m", LaneLimits(requests=Rate(1e6, 1e6), tokens=Rate(1e9, 1e9)))
    budget = Budget(calls=10**9, parent=Budget(tokens=10**12, usd=10**6)) if is_limited else None
    outcome = Outcome(True, used=Amounts(1, 100, 1000), input_tokens=50, output_tokens=50)

    def ask(number: int) -> None:
        governor.ask(
            number,
            "m",
            group=number % groups,
            input_tokens=50,
            output_tokens=50,
            budget=budget,
            reserve=Amounts(1, 200, 2000),
            deadline_s=1e12 if is_limited else None,
        )

    for number in range(waiting):
        ask(number)
    live = governor.admit(0.0).calls
    for number in live:
        governor.started(number)
    spent = dict.fromkeys(("ask", "finished", "admit", "next_due_s"), 0.0)
    for turn in range(ROUNDS):
        now_s = turn * 1e-4
        times = [perf_counter()]
        ask(waiting + turn)
        times.append(perf_counter())
        governor.finished(live.pop(0), outcome, now_s=now_s)
        times.append(perf_counter())
        admitted = governor.admit(now_s).calls
        times.append(perf_counter())
        governor.next_due_s()
        times.append(perf_counter())
        for number in admitted:
            governor.started(number)
            live.append(number)
        for name, start, end in zip(spent, times, times[1:], strict=False):
            spent[name] += end - start
    shown = "  ".join(f"{name} {total / ROUNDS * 1e6:5.1f}" for name, total in spent.items())
    limits = "budgets, deadline" if is_limited else ""
    return f"{waiting:7,} waiting, {groups:7,} groups {limits:18} {shown}  us"


if __name__ == "__main__":
    gc.disable()
    for many in (1_000, 100_000):
        for shape in ((many, 1, False), (many, 100, False), (many, many, False), (many, 100, True)):
            print(cost(*shape))
