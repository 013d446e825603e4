"""`omega check --schedules N FILE`: a program under many schedules.

Owns: what the options mean, what is said of a program that does well, and of one that does not.
Refuses: searching (omega/exploration does).
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from omega.cli.options import usage
from omega.effects import Grants
from omega.errors import HostError, OmegaError
from omega.exploration.programs import program_run
from omega.exploration.schedule import read
from omega.exploration.search import DEVIATIONS_MAX, RUNS, Exploration, explore, follow
from omega.exploration.story import told
from omega.interpreter import Interpreter


def check(text: str, name: str, given: dict[str, Any]) -> tuple[OmegaError | None, str]:
    """(what the program fails with, or None; what is said of it if nothing)."""
    # It may read what its user may, and changes nothing: it is run again and again.
    grants = Grants(read=True, env=True, write=given.get("allow-write", ()))
    folder = os.path.dirname(name) or os.curdir
    run = program_run(
        Interpreter,
        text,
        name,
        llm=given.get("llm"),
        grants=grants,
        arguments=[name, *shlex.split(given.get("arguments", ""))],
        load_path=[*given.get("load-path", ()), folder],
        faults=bool(given.get("faults")),
    )
    same = repr if given.get("same-output") else None
    if "schedule" in given:
        try:
            schedule = read(given["schedule"])
        except HostError as error:
            raise usage(error.message, error.hint) from None
        runs, made = 1, follow(run, schedule, same_result=same)
    else:
        runs = given.get("schedules", RUNS)
        made = explore(
            run,
            runs=runs,
            seed=given.get("seed", 0),
            strategy=given.get("strategy", "mixed"),
            deviations=given.get("deviations", DEVIATIONS_MAX),
            same_result=same,
        )
    if made.failure is None:
        return None, f"{name}: {_clean(made, runs, given.get('deviations', DEVIATIONS_MAX))}"
    options = "".join(f" --{flag}" for flag in ("faults", "same-output") if given.get(flag))
    for flag in ("llm", "arguments"):
        if flag in given:
            options += f" --{flag} {shlex.quote(given[flag])}"
    if "load-path" in given:
        options += f" --load-path {shlex.quote(','.join(given['load-path']))}"
    if "allow-write" in given:
        paths = given["allow-write"]
        options += " --allow-write" + ("" if paths is True else f"={shlex.quote(','.join(paths))}")

    def again(schedule: str) -> str:
        return f"omega check{options} --schedule '{schedule}' {shlex.quote(name)}"

    return told(run, made, runs, again), ""


def _clean(made: Exploration, runs: int, deviations: int) -> str:
    if runs == 1:
        return "does well under this schedule"
    if not made.points:
        return "does well; there is only one schedule, since nothing in it happens at the same time"
    every = f"seed {made.seed}"
    if made.complete and made.runs < runs:
        every = f"all of at most {deviations} deviations from the usual order"
    return f"does well under {made.runs:,} schedules ({every}), {made.steps:,} steps"
