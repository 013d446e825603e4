"""Supervision: children that are started again when they fail, up to a limit (after Erlang/OTP).

Owns: the meaning of strategies, restarts, delays, and of giving up.
Refuses: anything the kernel has no public name for. A supervisor is the task that called
`supervise`, waiting in a scope of its own: whatever ends the scope ends the children, cleanup
included, before the supervisor goes on.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from omega.concurrency import endings, scoped
from omega.concurrency.clock import to_us
from omega.concurrency.combinators import GroupEvent, span_of
from omega.concurrency.config import CANCELLED, COMPLETED
from omega.concurrency.events import Cell, Event, choose, timer_event
from omega.concurrency.task import Task
from omega.errors import HostError, LimitExceeded, TasksFailed

if TYPE_CHECKING:
    from omega.concurrency.interface import Scheduler

Strategy = Literal["one-for-one", "all"]
Restart = Literal["on-failure", "always"]
Thunk = Callable[[], Any]

STRATEGIES = ("one-for-one", "all")
RESTARTS = ("on-failure", "always")
RESTART_STEPS = 10  # what it is worth to stop one child, and to start it again
ERRORS_KEPT = 10  # the last failures, for the error of who gives up


class Policy:
    """When children are started again. intensity: restarts within `period` seconds that are borne;
    one more and the supervisor gives up. delay: seconds before a restart, doubled for each failure
    in a row up to delay_max; a child that ran for a whole period is no longer in a row.
    """

    def __init__(
        self,
        strategy: Strategy,
        restart: Restart,
        intensity: int,
        period: float,
        delay: float,
        delay_max: float,
    ) -> None:
        if strategy not in STRATEGIES:
            raise HostError(f"a strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
        if restart not in RESTARTS:
            raise HostError(f"restart is one of {', '.join(RESTARTS)}, not {restart!r}")
        if intensity < 0:
            raise HostError(f"intensity is at least 0 restarts, not {intensity}")
        if period <= 0 or delay < 0 or delay_max < delay:
            raise HostError(
                "a supervisor has period > 0 and 0 <= delay <= delay_max, "
                f"not {period}, {delay} and {delay_max}"
            )
        self.strategy, self.restart = strategy, restart
        self.intensity, self.period_us = intensity, to_us(period)
        self.period, self.delay, self.delay_max = period, delay, delay_max

    def delay_us(self, failures: int) -> int:
        """How long the restart after so many failures in a row has to wait."""
        if self.delay == 0:
            return 0
        doublings = min(failures - 1, 64)
        return to_us(min(self.delay_max, self.delay * 2.0**doublings))


class Child:
    def __init__(self, name: str | None, thunk: Thunk) -> None:
        self.name, self.thunk = name, thunk
        self.task: Task | None = None  # while it runs
        self.value: Any = None
        self.failures = 0  # in a row
        self.began_us = 0

    @property
    def label(self) -> str:
        return "a child" if self.name is None else f"child {self.name}"


class Supervisor:
    def __init__(
        self, scheduler: Scheduler, children: Iterable[Thunk | tuple[str, Thunk]], policy: Policy
    ) -> None:
        self.scheduler = scheduler
        self.policy = policy
        self.children = [
            Child(*each) if isinstance(each, tuple) else Child(None, each) for each in children
        ]
        self.running: dict[Child, None] = {}
        self.due: list[tuple[int, int, Child]] = []  # a heap of (when to start it, number, child)
        self.restarts = 0
        self.ended: deque[tuple[Child, Task]] = deque()
        self.news = Cell(scheduler, "its children")
        self.restarts_us: deque[int] = deque()  # those of the last period
        self.errors: deque[BaseException] = deque(maxlen=ERRORS_KEPT)

    def run(self) -> list[Any]:
        for child in self.children:
            self.start(child)
        while True:
            while self.ended:
                self.look_at(*self.ended.popleft())
            while self.due and self.due[0][0] <= self.scheduler.now_us():
                self.start(heapq.heappop(self.due)[2])
            if not self.due and not self.running:
                return [child.value for child in self.children]
            self.wait(self.due[0][0] if self.due else None)

    def wait(self, until_us: int | None) -> None:
        """Until a child ends, or one is to be started."""
        if self.ended:
            return
        self.news = Cell(self.scheduler, "its children")
        self.news.holders = lambda: [child.task for child in self.running if child.task]
        event: Event = self.news.event
        if until_us is not None:
            event = choose(event, timer_event((until_us - self.scheduler.now_us()) / 1e6))
        self.scheduler.sync(event)

    def start(self, child: Child) -> None:
        self.running[child] = None
        child.began_us = self.scheduler.now_us()
        task = child.task = self.scheduler.spawn(
            child.thunk, name=child.name, span=span_of(child.thunk)
        )
        task.observed = True  # here: else a failure would end the scope at once
        task.watch(self, lambda task: self.heard_of(child, task))

    def heard_of(self, child: Child, task: Task) -> None:
        """A child has ended. Called by the kernel: it only takes note."""
        self.ended.append((child, task))
        self.news.put()

    # ------------------------------------------------------------------ ends of children

    def look_at(self, child: Child, task: Task) -> None:
        if child.task is not task:
            return  # it was stopped for another's sake
        child.task = None
        del self.running[child]
        policy = self.policy
        failed = task.state not in (COMPLETED, CANCELLED)
        if failed and (
            not isinstance(task.outcome, Exception) or isinstance(task.outcome, LimitExceeded)
        ):
            # The host is told to end, or a limit has been met: starting again would not lift it.
            raise task.outcome.with_traceback(task.trace)
        if task.state is COMPLETED:
            child.value = task.outcome
        if task.state is CANCELLED or (not failed and policy.restart != "always"):
            return  # it is done, or somebody wanted its end
        now = self.scheduler.now_us()
        child.failures = 1 if now - child.began_us >= policy.period_us else child.failures + 1
        if failed:
            self.errors.append(task.outcome)
        self.count_restart(child, now)
        due_us = now + policy.delay_us(child.failures)
        self.scheduler.emit(
            "ChildRestarted", task, name=child.name, failures=child.failures, wait_us=due_us - now
        )
        if policy.strategy == "all":
            self.stop_all(f"{child.label} failed")
            self.due = [(due_us, i, each) for i, each in enumerate(self.children)]
        else:
            self.restarts += 1
            heapq.heappush(self.due, (due_us, len(self.children) + self.restarts, child))

    def stop_all(self, reason: str) -> None:
        """Every child that runs ends, newest first; what it comes to is not looked at."""
        self.scheduler.owe(len(self.children), RESTART_STEPS)
        tasks = [child.task for child in self.running if child.task is not None]
        for child in self.running:
            child.task = None
        self.running.clear()
        for task in sorted(tasks, key=lambda task: task.seq, reverse=True):
            self.scheduler.cancel(task, reason)
        self.scheduler.sync(GroupEvent(tasks, until_failure=False))

    def count_restart(self, child: Child, now: int) -> None:
        """Give up if this is one too many."""
        policy, restarts = self.policy, self.restarts_us
        restarts.append(now)
        while restarts[0] <= now - policy.period_us:
            restarts.popleft()
        if len(restarts) <= policy.intensity:
            return
        text = (
            f"supervision gave up on {child.label}: it bears {policy.intensity} restarts within "
            f"{policy.period:g} s"
        )
        if self.errors:
            text += f"; the last failure: {endings.describe_error(self.errors[-1])}"
        error = TasksFailed(text, [("error", each) for each in self.errors])
        error.hint = "mend what failed, or allow more by intensity, or wait longer by delay"
        error.__cause__ = self.errors[-1] if self.errors else None
        raise error


def supervise(
    scheduler: Scheduler, children: Iterable[Thunk | tuple[str, Thunk]], policy: Policy
) -> list[Any]:
    """See `Scheduler.supervise`."""
    supervisor = Supervisor(scheduler, children, policy)
    values: list[Any] = scoped.with_scope(scheduler, supervisor.run, name="supervise")
    return values
