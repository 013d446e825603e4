"""One run under a chooser: of a Python scenario on a scheduler of its own.

Owns: `Outcome`, what counts as a failure of a run.
Refuses: to choose. programs.py runs whole Omega programs the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from omega.concurrency import Scheduler, SchedulerConfig
from omega.concurrency.invariants import breach
from omega.errors import HostError, LimitExceeded, OmegaBug, OmegaError, TaskError
from omega.exploration.choosers import Follower
from omega.exploration.driver import StillDriver
from omega.exploration.weather import Weather, fault_kinds

SHOWN_MAX = 100  # characters of a result
ENDLESS_HINT = (
    "a loop may wait for what never comes; a run that needs more is given a larger horizon"
)

Scenario = Callable[[Scheduler], Any]


class Outcome(NamedTuple):
    """How a run ended. failure: None if well. value: of the scenario. events: how often a task was
    given the processor.
    """

    failure: BaseException | None
    value: Any
    steps: int
    events: int = 0
    time_us: int = 0

    @property
    def kind(self) -> tuple[str, str] | None:
        """What failures have in common that are taken for the same."""
        failure = self.failure
        if failure is None:
            return None
        kind = failure.kind if isinstance(failure, OmegaError) else ""
        return type(failure).__name__, kind


Run = Callable[[Follower], Outcome]


class ScheduleFailure(TaskError):
    """What a run failed with that is no condition: an AssertionError of a scenario."""

    kind = "schedule-failure"


class ResultDiffers(TaskError):
    """A run ended with another value than the first one."""

    kind = "schedule-failure"

    def __init__(self, first: str, now: str) -> None:
        super().__init__(
            f"the result depends on the schedule: {_around(now, first)}, and "
            f"{_around(first, now)} as a rule"
        )


class Endless(TaskError):
    """A run went on far beyond its horizon."""

    kind = "schedule-failure"

    def __init__(self, steps: int, events: int, seconds: float) -> None:
        super().__init__(
            f"the run did not finish after everything was healed: {steps:,} steps, "
            f"{events:,} turns and {seconds:,.0f} s in all",
            hint=ENDLESS_HINT,
        )


class KernelBreach(OmegaBug):
    """The scheduler did not keep to its own rules."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the scheduler has broken its own rules: {what}")


def _around(text: str, other: str) -> str:
    """The text; of a long one, where it begins to differ from the other."""
    if len(text) <= SHOWN_MAX:
        return text
    at = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), len(other))
    start = max(0, at - SHOWN_MAX // 4)
    before = "..." if start else ""
    return f"{before}{text[start : start + SHOWN_MAX]}..."


def scenario_run(
    scenario: Scenario,
    *,
    config: SchedulerConfig | None = None,
    faults: bool = False,
) -> Run:
    """Runs of `scenario(scheduler)`, each as the first task of a new scheduler. A run fails when
    the scenario or a task that nobody waited for does, and when it does not end. faults: what it
    asks of the outside may fail.
    """
    config, kinds = config or SchedulerConfig(), fault_kinds(faults)

    def run(chooser: Follower) -> Outcome:
        scheduler = Scheduler(config, driver=StillDriver(chooser, Weather(chooser, kinds)))
        scheduler.choose_by(chooser)
        scheduler.set_fuel(chooser.horizon.fuel)
        try:
            main = scheduler.spawn(partial(_called, scenario, scheduler), name="main")
            return outcome(scheduler, chooser, lambda: scheduler.wait(main))
        finally:
            scheduler.close()

    return run


def _called(scenario: Scenario, scheduler: Scheduler) -> Any:
    value = scenario(scheduler)
    if hasattr(value, "cr_await"):
        value.close()
        raise HostError(
            "a scenario is no async function: nothing of it would run",
            hint="it waits with the methods of its scheduler, as in scheduler.sleep(1)",
        )
    return value


def outcome(scheduler: Scheduler, chooser: Follower, main: Callable[[], Any]) -> Outcome:
    """What `main()`, which runs the scheduler, and the tasks it leaves come to. A scheduler that
    broke its own rules counts before all else: nothing of such a run means anything.
    """
    failure: BaseException | None = None
    value: Any = None
    try:
        value = main()
        scheduler.run()
    except Exception as error:
        failure = error
    limit = scheduler.limit_reached()
    out_of_fuel = isinstance(limit, LimitExceeded) and limit.limit == "fuel"
    if chooser.is_endless or (out_of_fuel and scheduler.fuel_end >= chooser.horizon.fuel):
        failure = Endless(scheduler.steps, chooser.events, scheduler.driver.now())
    elif limit is not None:
        failure = limit
    elif failure is None:
        failed = scheduler.unobserved_failures()
        failure = failed[0].outcome if failed else None
    broken = chooser.breach or breach(scheduler)
    if broken is not None:
        failure = KernelBreach(broken)
    return Outcome(failure, value, scheduler.steps, chooser.events, scheduler.now_us())
