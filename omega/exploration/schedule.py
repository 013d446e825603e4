"""A schedule: where a run leaves the usual order. A value with a text, so that it can be kept.

Owns: `Deviation`, the text of schedules and reading it.
Refuses: to run anything.

The usual order is first come, first served, without preemption. A deviation names its place by the
task that had the processor and how many steps that had taken, which hardly depends on what other
deviations there are; so one can be left out without the others losing their meaning.

    1.2@17!1.3    when 1.2 has taken 17 steps it is stopped and 1.3 runs
    1.2@17!clock  it is stopped there and time jumps to the next timer
    1.2@17>1.3    when 1.2 gave up the processor after 17 steps, 1.3 ran rather than who was first
    1.2@17?2      its choice of events began with branch 2 (counted from 0)
    llm:5f1c#2=slow   the second call with a prompt of that hash took long; =429, =outage, ...
    host:5f1c#1=cut   of a function of the host, by its name
    files:5f1c#1=eio  what was to be done to a file
    1.2@17+1>1.3  the second such place there, counted from 0
    1.2@17+1!1.3  it is stopped there when it is about to be cancelled; +2: when it has been
"""

from __future__ import annotations

import re
from typing import NamedTuple

from omega.errors import HostError

CLOCK = "clock"
START = "-"  # before any task has run
_KINDS = {"!": "preempt", ">": "next", "?": "branch"}
_MARKS = {kind: mark for mark, kind in _KINDS.items()}
_PLACE = re.compile(
    r"(?P<task>[\d.]+|-)@(?P<step>\d+)(?:\+(?P<turn>\d+))?(?P<mark>[!>?])(?P<choice>\S+)\Z",
    re.ASCII,
)
CALLS = ("llm", "host", "files")
_CALL = re.compile(
    rf"(?P<kind>{'|'.join(CALLS)}):(?P<task>[0-9a-f]+)#(?P<step>\d+)=(?P<choice>[a-z0-9]+)\Z"
)


class Deviation(NamedTuple):
    """kind: "preempt", "next", "branch", or one of CALLS. task: a spawn path; of calls the hash of
    what is asked. step: steps it had taken; of calls which one that asks this, from 1. turn: which
    place of this kind there. choice: who runs, CLOCK, a branch's number, or what befalls the call.
    """

    kind: str
    task: str
    step: int
    turn: int
    choice: str

    def __str__(self) -> str:
        if self.kind in CALLS:
            return f"{self.kind}:{self.task}#{self.step}={self.choice}"
        turn = f"+{self.turn}" if self.turn else ""
        return f"{self.task}@{self.step}{turn}{_MARKS[self.kind]}{self.choice}"


Schedule = tuple[Deviation, ...]


def text_of(schedule: Schedule) -> str:
    """The schedule as one line; `read` reads it."""
    return " ".join(map(str, schedule))


def read(text: str) -> Schedule:
    """The schedule of a text. Raises HostError."""
    return tuple(map(_deviation, text.split()))


def _deviation(word: str) -> Deviation:
    if found := _CALL.match(word):
        return Deviation(found["kind"], found["task"], int(found["step"]), 0, found["choice"])
    found = _PLACE.match(word)
    if found is None:
        raise HostError(
            f"{word!r} is no part of a schedule",
            hint="a schedule is what a failing exploration prints, such as 1.2@17!1.3",
        )
    kind = _KINDS[found["mark"]]
    return Deviation(
        kind, found["task"], int(found["step"]), int(found["turn"] or 0), found["choice"]
    )
