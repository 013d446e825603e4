"""What there is to see of the calls of models: for programs, and beside a progress.

Owns: `stats`, `facts`, `LongWaits`: plain data and texts. Refuses: to change anything.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from omega.calls.figures import money

if TYPE_CHECKING:
    from omega.calls.calls import Calls
    from omega.llm.outlook import Outlook


def stats(calls: Calls, now_s: float) -> dict[str, Any]:
    """All of it, as plain data; seconds are the driver's."""
    whole, governor = calls.total, calls.governor
    told = governor.stats(now_s)
    lanes: dict[str, Any] = {}
    shown = {m.lane: m.shown for m in calls.models.known()}
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


LONG_S = 60.0  # a wait that is told
_WAITS_FOR = {
    "gate": "its vendor, who wants nothing sent before",
    "requests": "its rate of requests",
    "tokens": "its rate of tokens",
    "input_tokens": "its rate of input tokens",
    "output_tokens": "its rate of output tokens",
}


class LongWaits:
    """Tells once of every long wait: again when it has become twice as long, or is for another
    thing. show: from seconds of the driver to a time of the day.
    """

    def __init__(self, show: Callable[[float], str]) -> None:
        self._show = show
        self._told: dict[Hashable, tuple[str, float]] = {}  # of a lane: for what, how long

    def news(self, calls: Calls, now_s: float) -> list[str]:
        """A line for each wait that is to be told now."""
        outlooks = calls.governor.outlooks(now_s)
        self._told = {lane: told for lane, told in self._told.items() if lane in outlooks}
        lines = []
        for lane, outlook in outlooks.items():
            left_s = outlook.last_s - now_s
            what, told_s = self._told.get(lane, ("", 0.0))
            if left_s < LONG_S or (what == outlook.waits_for and left_s < 2 * told_s):
                continue
            self._told[lane] = outlook.waits_for, left_s
            lines.append(self._line(_title(calls, lane), outlook))
        return lines

    def _line(self, title: str, outlook: Outlook) -> str:
        who = "1 call of" if outlook.count == 1 else f"{outlook.count:,} calls of"
        waits = "waits" if outlook.count == 1 else "wait"
        text = f"{who} {title} {waits} for {_WAITS_FOR[outlook.waits_for]}"
        if outlook.count == 1 or outlook.last_s - outlook.next_s < 1:
            return f"{text}: until {self._show(outlook.last_s)}"
        next_, last = self._show(outlook.next_s), self._show(outlook.last_s)
        return f"{text}: the next is sent at {next_}, the last at about {last}"


def _title(calls: Calls, lane: Hashable) -> str:
    titles: dict[Hashable, str] = {m.lane: m.title for m in calls.models.known()}
    return titles.get(lane, "the default model")


def _group_name(group: Any) -> str:
    """A scope, as a program knows it."""
    if group is None:
        return "root"
    owner = group.owner
    of = "" if owner is None else f" of task {owner.label}"
    return f"{group.name or 'a scope'}{of}"
