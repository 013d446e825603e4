"""Calls that are not to be sent: why, and what whoever waits for them is told.

Owns: `Refusal`, the errors. Refuses: to decide that a call is refused (`governor.py`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from omega.errors import LLMError, OmegaError
from omega.llm.lane import Lane
from omega.llm.waiting import Call

Id = TypeVar("Id", bound=Hashable)


class Refusal(Generic[Id]):
    """A call that is not queued any more, and never was sent since it was last queued.

    reason: "deadline" (passed), or what would have taken too long: "gate", "retry" (its due time),
    "queue", the kind of a bucket ("requests", "tokens", ...); "quota", of the lane; or "budget".
    wait_s: seconds from `ask` until it could have been sent, as far as is known. error: what to
    tell whoever waits.
    """

    __slots__ = ("call_id", "error", "reason", "wait_s")

    def __init__(self, call_id: Id, reason: str, wait_s: float | None, error: OmegaError) -> None:
        self.call_id, self.reason, self.wait_s, self.error = call_id, reason, wait_s, error

    def __repr__(self) -> str:
        return f"Refusal({self.call_id!r}, {self.reason!r}, wait_s={self.wait_s})"


def spent(lane: Lane) -> OmegaError:
    """What a call fails with that was not sent because another one found the quota used up."""
    first = lane.spent
    if not isinstance(first, LLMError):
        return LLMError("the quota is used up", kind="refused", throttle="quota")
    known = {
        name: getattr(first, name)
        for name in ("kind", "hint", "status", "throttle", "reason", "retry_after_s", "model")
    }
    return LLMError(first.message, **known)


_WAITS_FOR = {
    "gate": "the provider wants nothing sent before",
    "queue": "the calls before it take about as long",
    "deadline": "it was still waiting then",
}


def too_late(call: Call[Any], lane: Lane, reason: str, wait_s: float | None) -> LLMError:
    """What a call fails with that would be sent too late, if at all."""
    what = _WAITS_FOR.get(reason, f"the limit of its {reason.replace('_', ' ')} allows no sooner")
    took = "" if wait_s is None else f" in {wait_s:.3g} s"
    if call.deadline_s is None:
        allowed = f"{lane.limits.gate_wait_s_max:g} s, the longest a call waits for that"
    else:
        allowed = f"{call.deadline_s - call.asked_s:.3g} s, its deadline"
    return LLMError(
        f"the call could be sent{took} at the earliest, not within {allowed}: {what}",
        kind="rate-limited" if call.deadline_s is None else "llm-timeout",
        hint="allow more time, ask for less at once, or ask another model",
    )
