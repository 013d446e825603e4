"""What a host can set and read: SchedulerConfig, Stats, and the states a task goes through.

Owns: the defaults, their validation, the table of states and transitions.
Refuses: behaviour. The kernel reads a config; it never writes one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from omega.errors import HostError

State = Literal["pending", "running", "suspended", "completed", "error", "cancelled"]

PENDING: Final = "pending"
RUNNING: Final = "running"
SUSPENDED: Final = "suspended"
COMPLETED: Final = "completed"
ERROR: Final = "error"
CANCELLED: Final = "cancelled"

# The one table of states. A live task moves only along these edges; the last three are final and
# never change.
# pending -> error: its queue_timeout ran out, or a limit ended the whole interpreter before it
# could start.
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    PENDING: frozenset((RUNNING, CANCELLED, ERROR)),
    RUNNING: frozenset((SUSPENDED, COMPLETED, ERROR, CANCELLED)),
    SUSPENDED: frozenset((RUNNING,)),
    COMPLETED: frozenset(),
    ERROR: frozenset(),
    CANCELLED: frozenset(),
}
FINAL_STATES: Final[frozenset[State]] = frozenset((COMPLETED, ERROR, CANCELLED))

FairnessMode = Literal["round-robin", "fifo", "priority"]
FairBy = Literal["task", "scope"]
COUNT_MAX: Final = 10**9
SECONDS_MAX: Final = 1e9
YIELD_EVERY_MAX: Final = 1_000_000  # an interrupt takes what is left of a slice away, in no time
MODES: Final = ("round-robin", "fifo", "priority")
FAIR_BY: Final = ("task", "scope")


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """How a scheduler shares the processor. `configure()` changes it from the next slice end on.

    max_concurrent_tasks: tasks started and not waiting. max_started_tasks: stacks alive.
    max_concurrent_llm_calls: LLM effects in flight, over all tasks.
    task_timeout: seconds a task may take from its start; None is no limit.
    fairness_mode: "round-robin", "fifo" or "priority". yield_every: steps in a slice.
    fair_by: "task", or "scope": round-robin takes turns between the scopes opened right below the
    root first (a task of the root itself counts as one), then between the tasks of each.
    slow_slice: seconds a slice may take before an event tells of it; None: no event.
    keep_finished: finished tasks `get_all_tasks` still shows.
    ageing: slices a ready task waits for one point of priority; None is strict priority.
    """

    max_concurrent_tasks: int = 10_000
    max_started_tasks: int = 100_000
    max_concurrent_llm_calls: int = 8
    task_timeout: float | None = None
    fairness_mode: FairnessMode = "round-robin"
    yield_every: int = 100
    keep_finished: int = 1_000
    ageing: int | None = 16
    fair_by: FairBy = "task"
    slow_slice: float | None = 0.1

    def __post_init__(self) -> None:
        for name in (
            "max_concurrent_tasks",
            "max_started_tasks",
            "max_concurrent_llm_calls",
            "yield_every",
        ):
            _check_count(name, getattr(self, name), least=1)
        if self.yield_every > YIELD_EVERY_MAX:
            raise HostError(
                f"yield_every is at most {YIELD_EVERY_MAX:,} steps, not {self.yield_every:,}",
                hint="for no turns between tasks at all, there is fairness_mode fifo",
            )
        _check_count("keep_finished", self.keep_finished, least=0)
        if self.ageing is not None:
            _check_count("ageing", self.ageing, least=1)
        if self.fairness_mode not in MODES:
            raise HostError(
                f"fairness_mode is one of {', '.join(MODES)}, not {self.fairness_mode!r}"
            )
        if self.fair_by not in FAIR_BY:
            raise HostError(f"fair_by is one of {', '.join(FAIR_BY)}, not {self.fair_by!r}")
        for name in ("task_timeout", "slow_slice"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, (int, float)) and 0 < value < SECONDS_MAX
            ):
                raise HostError(f"{name} is a number of seconds above 0 or None, not {value!r}")

    def changed(self, **changes: Any) -> SchedulerConfig:
        """A copy with `changes`; raises HostError for a name that is no field."""
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise HostError(
                    f"there is no setting {name!r}", hint=f"settings: {', '.join(known)}"
                )
        return replace(self, **changes)


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, int) and value > COUNT_MAX:
        raise HostError(f"{name} is at most {COUNT_MAX:,}")
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise HostError(f"{name} is a whole number of at least {least}, not {value!r}")


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters: the first three and concurrent_llm_calls tell what is now, the others totals.

    longest_slice_ms: the longest a task kept the processor, 0 under virtual time.
    """

    pending_tasks: int
    running_tasks: int
    suspended_tasks: int
    completed_tasks: int
    cancelled_tasks: int
    failed_tasks: int
    concurrent_llm_calls: int
    peak_concurrent_llm_calls: int
    steps: int
    switches: int
    timeouts: int
    slices: int
    late_wakeups: int
    longest_slice_ms: float
