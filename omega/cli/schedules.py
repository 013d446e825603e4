"""`omega check --schedules N FILE`: a program under many schedules.

Owns: what the options mean, what is said of a program that does well, and of one that does not;
progress on a terminal; Ctrl-C, which ends the search and has told what came of it so far.
Refuses: searching (omega/exploration does).
"""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from omega.cli import terminal
from omega.cli.advice import HOW_TO_RAISE
from omega.cli.interrupts import leave_now
from omega.cli.models import budget_of, models_of_runs
from omega.cli.options import usage
from omega.concurrency.clock import now_us
from omega.effects import Grants
from omega.errors import HostError, LimitExceeded, OmegaError
from omega.exploration.allowance import Allowance
from omega.exploration.programs import program_run
from omega.exploration.schedule import Schedule, read
from omega.exploration.search import DEVIATIONS_MAX, RUNS, Exploration, explore, follow
from omega.exploration.story import told
from omega.interpreter import Interpreter, Limits

RUNS_MAX = 1 << 60  # where only time limits them
SHOWN_EVERY_US = 200_000
# Whole runs are collected together: that is cheaper than by how many objects there are.
COLLECTED_EVERY, COLLECTED_AFTER = 4, 100_000
# Options that are told with a schedule: it means nothing without them.
FLAGS = ("same-output",)
VALUES = ("llm", "config", "arguments", "fuel", "timeout", "max-live-tasks")
LISTS = ("faults", "load-path", "allow-write")  # whose value may be left out


class Checked(NamedTuple):
    """failure: what the program fails with, or None. text: what is said of it if nothing."""

    failure: OmegaError | None
    text: str
    interrupted: bool = False


def check(text: str, name: str, given: dict[str, Any]) -> Checked:
    # It may read what its user may, and changes nothing: it is run again and again.
    grants = Grants(read=True, env=True, write=given.get("allow-write", ()))
    folder = os.path.dirname(name) or os.curdir
    all_s = given.get("time-limit")
    allowance = Allowance(fuel=given.get("fuel"), run_s=given.get("timeout"), all_s=all_s)
    run = program_run(
        _interpreter,
        text,
        name,
        llm=models_of_runs(given),
        budget=lambda: budget_of(given),
        grants=grants,
        arguments=[name, *shlex.split(given.get("arguments", ""))],
        load_path=[*given.get("load-path", ()), folder],
        faults=given.get("faults", False),
        limits=Limits(tasks=given.get("max-live-tasks")),
        allowance=allowance,
    )
    schedule = _schedule(given)
    runs = given.get("schedules", RUNS if all_s is None else None)
    with _Watch(name, runs, allowance) as watch:
        if schedule is not None:
            runs = 1
            made = follow(run, schedule, same_result=_same(given), look=watch, allowance=allowance)
        else:
            made = explore(
                run,
                runs=RUNS_MAX if runs is None else runs,
                seed=given.get("seed", 0),
                strategy=given.get("strategy", "mixed"),
                deviations=given.get("deviations", DEVIATIONS_MAX),
                same_result=_same(given),
                look=watch,
                allowance=allowance,
            )
    if made.failure is not None:
        allowance.lift()
        options = _options(given)

        def again(schedule: str) -> str:
            return f"omega check{options} --schedule '{schedule}' {shlex.quote(name)}"

        return Checked(told(run, made, runs, again), "", watch.interrupted)
    if watch.interrupted:
        return Checked(None, f"{name}: interrupted; {_so_far(made)}", True)
    if not made.runs:
        wanted = f"no run of {name} has ended within {all_s:g} s"
        return Checked(
            LimitExceeded("wall", None, None, wanted, "--time-limit SECONDS allows more"), ""
        )
    return Checked(None, f"{name}: {_clean(made, runs, all_s)}")


def _interpreter(**options: Any) -> Interpreter:
    made = Interpreter(**options)
    made.how_to_raise = HOW_TO_RAISE
    return made


def _same(given: dict[str, Any]) -> Callable[[object], str] | None:
    return repr if given.get("same-output") else None


def _schedule(given: dict[str, Any]) -> Schedule | None:
    if "schedule" not in given:
        return None
    try:
        return read(given["schedule"])
    except HostError as error:
        raise usage(error.message, error.hint) from None


def _options(given: dict[str, Any]) -> str:
    options = "".join(f" --{flag}" for flag in FLAGS if given.get(flag))
    for name in VALUES:
        if name in given:
            value = given[name]
            options += f" --{name} {shlex.quote(value if isinstance(value, str) else f'{value:g}')}"
    if "budget" in given:
        options += (
            f" --budget {','.join(f'{kind}={most}' for kind, most in given['budget'].items())}"
        )
    for name in LISTS:
        if name in given:
            value = given[name]
            options += f" --{name}"
            options += "" if value is True else f"={shlex.quote(','.join(value))}"
    return options


def _clean(made: Exploration, runs: int | None, all_s: float | None) -> str:
    if runs == 1:
        return "does well under this schedule"
    if made.complete and made.schedules == 1:
        return "does well; there is only one schedule, since nothing in it happens at the same time"
    if made.complete:
        bound = "there are"
        if made.deviations is not None:
            bound = f"with at most {made.deviations} deviation{'s'[: made.deviations > 1]}"
        return f"does well under all {made.schedules:,} schedules {bound}, {made.steps:,} steps"
    ended = f", ended by --time-limit after {all_s:g} s" if made.is_over else ""
    return f"does well under {_schedules(made)} (seed {made.seed}{ended}), {made.steps:,} steps"


def _schedules(made: Exploration) -> str:
    """How many there have been. Chance may find one again."""
    if made.schedules == made.runs:
        return f"{made.runs:,} schedules"
    return f"{made.schedules:,} schedules in {made.runs:,} runs"


def _so_far(made: Exploration) -> str:
    if not made.runs:
        return "no run has ended"
    return f"does well so far under {_schedules(made)} (seed {made.seed}), {made.steps:,} steps"


class _Watch:
    """A context manager around a search, which calls it after every run. Ctrl-C takes away the time
    that was left: a run ends at a safe place, and with it the search. A second one leaves at once.
    """

    def __init__(self, name: str, runs: int | None, allowance: Allowance) -> None:
        self.interrupted = False
        self._name, self._runs, self._allowance = name, runs, allowance
        self._is_shown = terminal.is_terminal(sys.stderr)
        self._next_us = 0

    def __enter__(self) -> _Watch:
        # Each run leaves a whole interpreter in circles behind; what is here before stays.
        gc.collect()
        gc.freeze()
        self._threshold = gc.get_threshold()
        gc.set_threshold(COLLECTED_AFTER, *self._threshold[1:])
        gc.enable()  # for a run that leaves much
        self._began_us = now_us()
        self._next_us = self._began_us + SHOWN_EVERY_US
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:  # as in the background of a shell
            signal.signal(signal.SIGINT, self._signal)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)
        gc.set_threshold(*self._threshold)
        gc.unfreeze()
        if self._is_shown:
            terminal.show("")

    def _signal(self, number: int, frame: object) -> None:
        if self.interrupted:
            leave_now()
        self.interrupted = True
        self._allowance.stop()

    def __call__(self, made: Exploration) -> None:
        if made.all % COLLECTED_EVERY == 0:
            gc.collect()
        if self._is_shown and now_us() >= self._next_us:
            self._next_us = now_us() + SHOWN_EVERY_US
            terminal.show(self._progress(made))

    def _progress(self, made: Exploration) -> str:
        seconds = (now_us() - self._began_us) / 1e6
        of = "" if self._runs is None else f" of {self._runs:,}"
        text = f"{self._name}: {made.runs:,}{of} runs, {made.all / seconds:,.0f} a second"
        if made.failure is None:
            return f"{text}, no failure"
        return f"{text}, 1 failure, made smaller: {len(made.failure.schedule):,} deviations"
