"""How tasks end: from what a body raised to a final state, and what only some ends need.

Owns: the classification, the counts, the rule of failures nobody waited for.
Refuses: to change a state; the kernel does.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit  # type: ignore[import-untyped]

from omega.concurrency import scopes
from omega.concurrency.config import CANCELLED, ERROR, State
from omega.concurrency.scopes import CancelRequest
from omega.concurrency.task import Task, Terms
from omega.errors import Cancelled, OmegaError, TasksFailed, TimeoutExpired

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

FAILURES_MAX = 1_000  # unobserved failures kept for the report at least; twice as many at most


def of_failure(kernel: Kernel, task: Task, error: BaseException) -> tuple[State, Any]:
    """`verdict`, and what is kept of `error` for those who will look at it."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)) and error is not kernel._escaped:
        # Once: whoever waited for this task fails with the same.
        kernel._escape = kernel._escaped = error
        kernel._poll_at = -1
    state, outcome = verdict(kernel, task, error)
    trace = error.__traceback__ if outcome is error else None
    task.trace = None if trace is None else trace.tb_next  # without the kernel's frame
    return state, outcome


def verdict(kernel: Kernel, task: Task, error: BaseException) -> tuple[State, Any]:
    """The final state and outcome of a task whose body raised `error`."""
    if not isinstance(error, Cancelled):
        if isinstance(error, GreenletExit) and kernel.closed and kernel.root.cancel is not None:
            return CANCELLED, kernel.root.cancel
        return ERROR, error
    request: CancelRequest | None = error.request
    if request is None:
        request = CancelRequest("cancel", error.reason, error.by, kernel.now_us())
    if request is task.terms.cancel and request.kind == "timeout":
        return ERROR, TimeoutExpired(request.reason or "timeout")
    return CANCELLED, request


def verdict_unstarted(task: Task, request: CancelRequest) -> tuple[State, Any]:
    """The same for a task that never started."""
    if request.kind == "wall":
        return ERROR, request.error  # one for all: there may be very many
    if request.kind == "timeout" and request is task.terms.cancel:
        return ERROR, TimeoutExpired(request.reason or "timeout")
    return CANCELLED, request


def count_end(scheduler: Kernel, task: Task) -> None:
    """Count an end that is no completion."""
    counters = scheduler.counters
    if task.state is CANCELLED:
        counters.cancelled += 1
        return
    counters.failed += 1
    request = task.terms.cancel
    if isinstance(task.outcome, TimeoutExpired) and request is not None:
        counters.timeouts += request.kind == "timeout"


def end_terms(scheduler: Kernel, task: Task, terms: Terms) -> None:
    """What was asked of `task` has an end with it."""
    terms.context = None
    if terms.timer is not None:
        terms.timer.cancel()
    if terms.daemon:
        scheduler.daemons -= 1
        task.scope.daemons -= 1
    if terms.token_off is not None:
        terms.token_off()
    if terms.watchers:
        watchers, terms.watchers = terms.watchers, None
        for watcher in watchers.values():
            watcher(task)


def unobserved(scheduler: Kernel, task: Task) -> None:
    """`task` failed and nobody has waited for it so far.

    Its scope ends, or the root remembers it.
    """
    scope = task.scope
    if scope.explicit:
        if scope.failures is None:
            scope.failures = []
        scope.failures.append(task)
        error = task.outcome
        fact = error.message if isinstance(error, OmegaError) else repr(error)
        reason = f"task {task.label} failed: {fact}"
        scopes.cancel_scope(
            scheduler, scope, CancelRequest("failure", reason, task.short_id(), scheduler.now_us())
        )
        return
    failures = scheduler.failures
    failures[task] = None
    if len(failures) >= 2 * FAILURES_MAX:  # seldom: every failure may come here
        for seen in [each for each in failures if each.observed]:
            del failures[seen]
        for oldest in list(islice(failures, max(0, len(failures) - FAILURES_MAX))):
            del failures[oldest]
            scheduler.counters.dropped_failures += 1


def failure_of_scope(failed: list[Task]) -> BaseException:
    """What a scope raises for failures nobody waited for: the only one itself, else all."""
    for task in failed:
        task.observed = True
    if len(failed) == 1:
        return failed[0].outcome.with_traceback(failed[0].trace)  # type: ignore[no-any-return]
    return tasks_failed(failed, failed)


def tasks_failed(tasks: list[Task], failed: list[Task]) -> TasksFailed:
    """One error for several outcomes.

    `__cause__` is the first failure, and the message shows it.
    """
    first = failed[0].cancelled_error() if failed[0].state == "cancelled" else failed[0].outcome
    text = f"{len(failed)} of {len(tasks)} tasks failed; the first, task {failed[0].label}: "
    error = TasksFailed(text + describe_error(first), [outcome_of(task) for task in tasks])
    error.__cause__ = first
    return error


def outcome_of(task: Task) -> tuple[str, Any]:
    if task.state == "completed":
        return "ok", task.outcome
    if task.state == "cancelled":
        return "cancelled", task.cancelled_error()
    return "error", task.outcome


def describe_error(error: BaseException) -> str:
    if isinstance(error, OmegaError):
        return error.message
    return f"{type(error).__name__}: {error}"
