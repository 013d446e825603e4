"""A schedule in words: what happens where, for whoever has to mend the program.

Owns: `story`. Refuses: to search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from sys import _getframe
from types import FrameType
from typing import Any

import omega
from omega.concurrency import Task, listing
from omega.errors import LimitExceeded, OmegaError, Span
from omega.exploration.choosers import Follower, Horizon, Place
from omega.exploration.runs import KernelBreach, Outcome, ResultDiffers, Run, ScheduleFailure
from omega.exploration.schedule import CALLS, CLOCK, Schedule
from omega.exploration.search import Exploration
from omega.exploration.weather import FILES, HOST, OUTAGE_S

PROMPT_SHOWN = 60  # characters
USUAL = "first come, first served"
_OURS = ("<omega", str(Path(omega.__file__).parent))  # files whose code is not the program's
_BEFALLS = {
    "fast": "is answered at once",
    "slow": "is answered late",
    "429": "is refused for now (429)",
    "500": "is answered with an error (500)",
    "timeout": "is not answered in time",
    "cut": "is cut off before its end",
    "cut0": "is cut off before its first piece",
    "cut1": "is cut off after its first piece",
    "cut4": "is cut off after 4 pieces",
    "refused": "is refused",
    "outage": f"is not answered: an outage of {OUTAGE_S:g} s begins",
    "eio": "fails: input/output error",
    "enospc": "fails: no space left on the device",
}
_ACTS = {
    "file.open-read": "opening",
    "file.open-write": "opening",
    "file.write": "writing",
    "file.delete": "deleting",
}
Told = tuple[str, Span | None]  # what was decided, and where the program was


class _Telling(Follower):
    """Follows a schedule and puts each deviation into words."""

    def __init__(self, schedule: Schedule, horizon: Horizon) -> None:
        super().__init__(schedule, horizon)
        self.told: list[Told] = []
        self._named: dict[str, str] = {}
        self._asked: dict[tuple[str, str], str] = {}

    def next(self, ready: list[Task]) -> int:
        for task in ready:
            self._named[self.id_of(task)] = _label(task)
        return super().next(ready)

    def call_befalls(
        self, kind: str, key: str, text: str, count: int, choices: Iterable[str]
    ) -> str | None:
        self._asked[kind, key] = text
        return super().call_befalls(kind, key, text, count, choices)

    def note(self, place: Place, choice: str) -> None:
        super().note(place, choice)
        kind, _, step, _ = place
        if kind in CALLS:
            which = f" ({step}. time)" if step > 1 else ""
            self._tell(f"{_call(kind, self._asked[kind, place[1]])}{which} {_BEFALLS[choice]}")
            return
        task = self.kernel.current or self._last
        if task is None:
            self._tell(f"{self._name(choice)} runs first")
        elif kind == "branch":
            self._tell(f"{_label(task)} looks at branch {choice} of its choice first", here=True)
        elif kind == "next":
            self._tell(f"when {_left(task)}, {self._name(choice)} runs")
        else:
            jumps = choice == CLOCK
            what = "time jumps to the next timer" if jumps else f"{self._name(choice)} runs"
            before = "before its first step" if step == 0 else f"after its step {step}"
            self._tell(f"{_label(task)} is stopped {before}, and {what}", here=True)

    def _tell(self, text: str, here: bool = False) -> None:
        where, span = _here(self.kernel.registers) if here else ("", None)
        self.told.append((f"{len(self.told) + 1}. {text}{where}", span))

    def _name(self, choice: str) -> str:
        for each in self.kernel.queued():
            self._named.setdefault(self.id_of(each), _label(each))
        return self._named.get(choice, f"task {choice}")


def story(run: Run, schedule: Schedule, horizon: Horizon) -> tuple[list[Told], Outcome]:
    """(what each deviation was, how the run ended)."""
    chooser = _Telling(schedule, horizon)
    result = run(chooser)
    return chooser.told, result


def told(run: Run, made: Exploration, runs: int | None, again: Callable[[str], str]) -> OmegaError:
    """The failure of an exploration, with the schedule as its notes. runs: how many were asked for;
    None: as many as there was time for. again: the text of a schedule -> how to run it again.
    """
    failure = made.failure
    assert failure is not None
    lines, result = story(run, failure.schedule, made.horizon)
    if isinstance(failure.error, (KernelBreach, LimitExceeded)):
        result = result._replace(failure=failure.error)  # that counts, whatever came of it now
    elif not isinstance(failure.error, ResultDiffers) and (
        result.failure is None or type(result.failure) is not type(failure.error)
    ):
        now = "went well" if result.failure is None else f"failed otherwise ({result.failure})"
        return ScheduleFailure(
            f"a run failed, and {now} when it was tried again: {failure.error}",
            hint="something outside decides: real time, chance, or what runs share",
        )
    error = failure.error if result.failure is None else result.failure
    if not isinstance(error, OmegaError):
        error = ScheduleFailure(f"{type(error).__name__}: {error}")
        error.__cause__ = result.failure
    error.excerpt = None  # it was made without the notes
    if not lines:
        error.notes.append((f"in the usual order: {USUAL}", None))
        return error
    which = "this schedule"
    if runs != 1:
        of = "" if runs is None else f" of {runs:,}"
        which = f"schedule {failure.number:,}{of}, seed {made.seed}"
    error.notes.append((f"under {which}: {USUAL}, except that", None))
    error.notes.extend(lines)
    error.notes.append((f"again: {again(str(failure))}", None))
    return error


def _call(kind: str, asked: str) -> str:
    """A call that leaves the program, in words."""
    if kind == HOST:
        return f"the call of the host function `{asked}`"
    if kind == FILES:
        act, _, path = asked.partition(" ")
        return f"{_ACTS[act]} {path}"
    prompt = " ".join(asked.split())
    if len(prompt) > PROMPT_SHOWN:
        prompt = f"{prompt[:PROMPT_SHOWN]}..."
    return f'the call with the prompt "{prompt}"'


def _label(task: Task) -> str:
    return f"task {task.label}"


def _left(task: Task) -> str:
    """Why a task gave up the processor."""
    label = _label(task)
    if task.is_done:
        return f"{label} has ended"
    if task.waiting is not None:
        waits_for = "sleeps" if isinstance(task.waiting, int) else None
        return f"{label} {waits_for or f'waits for {listing.describe(task.waiting)}'}"
    return f"{label} yields after its step {task.steps}"


def _here(registers: dict[str, Any]) -> tuple[str, Span | None]:
    """The program's innermost code on this stack: Python's in words, or a place in Lisp."""
    frame: FrameType | None = _getframe(1)
    python = ""
    while frame is not None:
        code = frame.f_code
        if frame.f_globals is registers and not code.co_filename.startswith(_OURS):
            from omega.lisp.sites import places

            found = places(code, frame.f_lasti)
            if found:
                return "", found[0][1]
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if not python and package not in ("omega", "contextlib"):
            python = f", at {code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return python, None
