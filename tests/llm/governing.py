"""What tests of the governor do again and again."""

from __future__ import annotations

from typing import Any

from omega.llm import Governor
from omega.llm.budget import Amounts
from omega.llm.lane import Outcome

OK = Outcome(True, used=Amounts(1))
RATE = Outcome(throttle="rate", retry_after_s=2.0)


def asked(limit: int, *ids: str) -> Governor[str]:
    governor: Governor[str] = Governor(limit)
    for call_id in ids:
        governor.ask(call_id)
    return governor


def sent(governor: Governor[Any], now_s: float) -> list[Any]:
    """Admit and start."""
    calls = governor.admit(now_s).calls
    for call_id in calls:
        governor.started(call_id)
    return calls


def refused(governor: Governor[Any], now_s: float) -> list[tuple[Any, str, float | None]]:
    return [(r.call_id, r.reason, r.wait_s) for r in governor.admit(now_s).refused]
