"""What there is to see of the calls of models: for programs, and beside a progress.

Owns: `stats`, `facts`: plain data and texts. Refuses: to change anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omega.calls.figures import money

if TYPE_CHECKING:
    from omega.calls.calls import Calls


def stats(calls: Calls, now_s: float) -> dict[str, Any]:
    """All of it, as plain data; seconds are the driver's."""
    whole, governor = calls.total, calls.governor
    told = governor.stats(now_s)
    lanes: dict[str, Any] = {}
    shown = {(id(m.provider), m.model): m.shown for m in calls.models.known()}
    for key, lane in told["lanes"].items():
        by_group = lane.pop("queued_by_group")
        lane["queued_by_scope"] = {_group_name(each): n for each, n in by_group.items()}
        lanes[shown.get(key, "default")] = lane
    return {
        "calls": whole.calls,
        "retries": whole.retries,
        "failures": whole.failures,
        "in_flight": governor.in_flight,
        "queued": governor.queued,
        "peak": governor.peak,
        "limit": governor.limit,
        "next_s": told["next_s"],
        "usd": whole.usd,
        "models": {name: each.as_data() for name, each in calls.figures.items()},
        "lanes": lanes,
    }


def facts(calls: Calls) -> list[str]:
    """What is told beside a progress."""
    governor, usd = calls.governor, calls.total.usd
    found = [f"{governor.in_flight} in flight"] if governor.in_flight else []
    if governor.queued:
        found.append(f"{governor.queued} queued")
    if usd:
        found.append(f"${money(usd)}")
    return found


def _group_name(group: Any) -> str:
    """A scope, as a program knows it."""
    if group is None:
        return "root"
    owner = group.owner
    of = "" if owner is None else f" of task {owner.label}"
    return f"{group.name or 'a scope'}{of}"
