"""Exploring schedules from Python tests: `explore`, `explore_program`, `explore_file`.

Owns: how a test asks, and what it is told. Refuses: searching (omega/exploration does).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from omega.concurrency import SchedulerConfig
from omega.effects import Grants
from omega.errors import OmegaError, Source
from omega.exploration.programs import Faults, Llm, program_run
from omega.exploration.runs import Run, Scenario, scenario_run
from omega.exploration.schedule import read
from omega.exploration.search import (
    DEVIATIONS_MAX,
    RUNS,
    Exploration,
    Strategy,
    follow,
)
from omega.exploration.search import explore as search
from omega.exploration.story import told
from omega.interpreter import Interpreter
from omega.lisp.report import report
from omega.llm import Budget
from omega.programs import read_source


class ScheduleFailed(AssertionError):
    """A schedule was found under which a run fails; the text tells which and how.

    error: what it fails with. schedule: its text, for `schedule=`. exploration: what else is known.
    """

    def __init__(
        self, text: str, error: BaseException, schedule: str, exploration: Exploration
    ) -> None:
        super().__init__(text)
        self.error, self.schedule, self.exploration = error, schedule, exploration


def explore(
    scenario: Scenario,
    *,
    runs: int = RUNS,
    seed: int = 0,
    strategy: Strategy = "mixed",
    deviations: int = DEVIATIONS_MAX,
    horizon: int | None = None,
    same_result: bool = False,
    schedule: str | None = None,
    config: SchedulerConfig | None = None,
    faults: bool = False,
) -> Exploration:
    """Run `scenario(scheduler)` under up to `runs` schedules, each on a new scheduler with virtual
    time.

    Raises ScheduleFailed for the first under which it raises, leaves a failed task that nobody
    waited for, comes to a standstill or does not end; with `same_result` also when its value is
    another. strategy: "mixed" (random stops and random priorities in turn), "random", "pct", or
    "systematic" (all schedules of up to `deviations` deviations from the usual order). horizon:
    the steps of a run after which it is healed (turns are fair, nothing more goes wrong), and must
    end; many times what the first takes, if None. schedule: try only this one, the text of a
    failure. faults: what it asks of the outside (`scheduler.external`, `.blocking`) may fail.
    """
    return _explored(
        scenario_run(scenario, config=config, faults=faults),
        runs, seed, strategy, deviations, horizon, same_result, schedule, None,
    )  # fmt: skip


def explore_program(
    text: str,
    *,
    filename: str = "<program>",
    runs: int = RUNS,
    seed: int = 0,
    strategy: Strategy = "mixed",
    deviations: int = DEVIATIONS_MAX,
    horizon: int | None = None,
    same_output: bool = False,
    schedule: str | None = None,
    config: SchedulerConfig | None = None,
    llm: Llm = None,
    budget: Callable[[], Budget | None] | None = None,
    faults: Faults = False,
    grants: Grants | None = None,
    arguments: Sequence[str] = (),
    load_path: Sequence[str] = (),
) -> Exploration:
    """`explore` for the text of an Omega program, each run in a new interpreter with virtual time.

    llm: a specification such as "scripted:rules.json", or what makes a provider, or models, for
    each run: how long calls take is explored too. budget: what makes the one that the calls of a
    run are paid from. faults: what may fail as well: "llm" (calls of models), "host"
    (functions of the host that suspend), "files"; True is all. grants: nothing unless given.
    same_output: what it writes must be the same. Raises LispError for a text that does not compile.
    """
    run = program_run(
        Interpreter,
        text,
        filename,
        llm=llm,
        budget=budget,
        config=config,
        grants=grants,
        arguments=arguments,
        load_path=load_path,
        faults=faults,
    )
    source = Source(filename, text)
    return _explored(run, runs, seed, strategy, deviations, horizon, same_output, schedule, source)


def explore_file(path: str | os.PathLike[str], **options: object) -> Exploration:
    """`explore_program` for the file at `path`, whose folder is on the load path."""
    name = str(path)
    folder = str(Path(name).parent)
    return explore_program(read_source(name), filename=name, load_path=[folder], **options)  # type: ignore[arg-type]


def _explored(
    run: Run,
    runs: int,
    seed: int,
    strategy: Strategy,
    deviations: int,
    horizon: int | None,
    same: bool,
    schedule: str | None,
    source: Source | None,
) -> Exploration:
    show: Callable[[object], str] | None = (
        (lambda value: value if isinstance(value, str) else repr(value)) if same else None
    )
    if schedule is not None:
        made = follow(run, read(schedule), horizon=horizon, same_result=show)
        runs = 1
    else:
        made = search(
            run, runs=runs, seed=seed, strategy=strategy, deviations=deviations, horizon=horizon,
            same_result=show,
        )  # fmt: skip
    if made.failure is None:
        return made
    error = told(run, made, runs, lambda text: f'schedule="{text}"')
    text = report(error, lambda file: source if source and file == source.name else None)
    cause = made.failure.error
    raised = ScheduleFailed(text, cause, str(made.failure), made)
    raise raised from (None if isinstance(cause, OmegaError) else cause)
