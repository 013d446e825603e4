"""Scheduler: the kernel with everything a layer above needs, method by method.

Owns: the public names and their meaning. Refuses: mechanism; each method is a line on top of a
module that owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from omega.concurrency import (
    closing,
    combinators,
    deadlock,
    hub,
    invariants,
    leaks,
    limits,
    listing,
    scoped,
    scopes,
    supervision,
)
from omega.concurrency.channels import Channel
from omega.concurrency.clock import to_us
from omega.concurrency.combinators import Mode
from omega.concurrency.config import Stats
from omega.concurrency.events import Cell, TaskEvent
from omega.concurrency.interrupts import Interrupts
from omega.concurrency.leaks import Leak
from omega.concurrency.listing import TaskLine
from omega.concurrency.outside import External, OutsideHold, Start
from omega.concurrency.scheduler import Kernel
from omega.concurrency.scopes import CancelRequest, Scope
from omega.concurrency.state import NO_FUEL_LIMIT, NO_TASK_LIMIT
from omega.concurrency.task import Task
from omega.concurrency.timers import TimerHandle
from omega.errors import HostError, OmegaError, TaskError


class Scheduler(Kernel):
    """One scheduler of one thread: tasks, waits, scopes, limits, and the way outside."""

    __slots__ = ()

    # ------------------------------------------------------------------ waiting

    def await_task(self, task: Task) -> Any:
        """The value of `task`; raises its error, or TaskCancelled."""
        return self.sync(TaskEvent(task))

    def await_all(self, tasks: Iterable[Task], mode: Mode = "all") -> list[Any]:
        """The values of all, in order, after all have ended.

        mode "all": on failure waits for the rest, then raises TasksFailed with every outcome.
        "fail-fast": cancels the rest at the first failure. "settle": ("ok", value) | ("error", e) |
        ("cancelled", e), never raises.
        """
        return combinators.await_all(self, tasks, mode)

    def await_any(self, tasks: Iterable[Task]) -> tuple[Task, Any]:
        """(the first task to complete, its value); ties: the lowest index. The losers run on."""
        return combinators.await_any(self, tasks)

    def await_first(self, tasks: Iterable[Task]) -> Task:
        """The first task to end, however it ended."""
        return combinators.await_first(self, tasks)

    def race(self, thunks: Iterable[Callable[[], Any]]) -> Any:
        """The value of the first thunk to complete, once the others are cancelled and gone."""
        return combinators.race(self, thunks)

    def par_map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        max_par: int | None = None,
        on_error: combinators.OnError = "raise",
    ) -> list[Any]:
        """Results in order, a task per item, `max_par` at a time. "keep": outcomes as "settle"."""
        return combinators.par_map(self, function, items, max_par, on_error)

    def supervise(
        self,
        children: Iterable[supervision.Thunk | tuple[str, supervision.Thunk]],
        *,
        strategy: supervision.Strategy = "one-for-one",
        restart: supervision.Restart = "on-failure",
        intensity: int = 3,
        period: float = 5.0,
        delay: float = 0.1,
        delay_max: float = 30.0,
    ) -> list[Any]:
        """Run `children`, thunks or (name, thunk), in tasks; start again those that fail. Their
        last values, in order, once all have completed (None for one that was cancelled).

        strategy "one-for-one": the one that failed; "all": every child, the others cancelled
        before, newest first. restart "always": also one that completed. A restart waits `delay`
        seconds, twice as long for each failure in a row, `delay_max` at most. More than `intensity`
        restarts within `period` seconds: cancels the children, waits for their cleanup, and raises
        TasksFailed with the last errors.
        """
        policy = supervision.Policy(strategy, restart, intensity, period, delay, delay_max)
        return supervision.supervise(self, children, policy)

    def cell(self, waits_for: str = "a cell") -> Cell:
        """A one-shot box; see Cell."""
        return Cell(self, waits_for)

    def channel(self, capacity: int = 0, name: str = "a channel") -> Channel:
        made = Channel(self, capacity, name)
        self.made[made] = None
        return made

    # ------------------------------------------------------------------ scopes and cancellation

    def with_scope(
        self,
        body: Callable[[], Any],
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        name: str | None = None,
    ) -> Any:
        """Run `body()` in a new scope and end it: wait for its tasks; on failure cancel them first.

        timeout: seconds from now; deadline: a time of `driver.now()`; when over, everything in it
        is cancelled and TimeoutExpired raised. A failure of a task nobody waited for cancels the
        rest and is raised here.
        """
        return scoped.with_scope(self, body, timeout=timeout, deadline=deadline, name=name)

    def with_timeout(self, seconds: float, body: Callable[[], Any], name: str = "the body") -> Any:
        """Run `body()` in a scope that ends with TimeoutExpired after `seconds`; the error says
        that `name` took longer.
        """
        return scoped.with_scope(self, body, timeout=seconds, name=name)

    def shield(self, body: Callable[[], Any]) -> Any:
        """Run `body()` out of reach of cancellation from outside, which waits for its end."""
        return scoped.with_scope(self, body, name="shield", shielded=True)

    def shielded(self, body: Callable[[], Any]) -> Any:
        """Run cleanup: shielded, for scopes.CLEANUP_S seconds once its task is cancelled."""
        if self.current is None:
            return body()
        return scoped.with_scope(self, body, name="cleanup", shielded=True, cleanup=True)

    def atomic(self, body: Callable[[], Any]) -> Any:
        """Run `body()` without a slice end or a cancel inside.

        It may not wait, and has a step cap.
        """
        return limits.run_held(self, "atomic", "atomic", body)

    def no_switch(self, name: str) -> AbstractContextManager[None]:
        """Host code called `name` is on the stack: the task keeps the processor until it left."""
        return limits.no_switch(self, "barrier", name)

    def on_hub(self, function: Callable[[], Any]) -> Any:
        """`function()`, called on the shallow hub stack under the host's own recursion limit.

        For code that recurses through C (parsers, `compile`, host functions); it may not wait.
        """
        return hub.on_hub(self, function)

    def cancel(self, task: Task | str, reason: str | None = None, by: str | None = None) -> bool:
        """Ask a task to end.

        True iff that changed something; does not wait. Unknown ids raise unknown-task.
        """
        self.check_thread()
        if isinstance(task, str):
            task = self.find_task(task)
        me = self.current
        if me is None:
            self.host_acts("cancel", task.id)
        if task.is_done:
            return False
        asker = by or ("host" if me is None else me.own_path())
        return scopes.cancel_task(self, task, CancelRequest("cancel", reason, asker, self.now_us()))

    def cancel_all(self, reason: str | None = None, by: str | None = None) -> int:
        """Ask every live task to end, newest first; answers how many that changed."""
        tasks = [task for task in self.all_tasks() if task is not self.current]
        return sum(self.cancel(task, reason, by) for task in reversed(tasks))

    def cancel_scope(self, scope: Scope, reason: str | None = None, by: str | None = None) -> bool:
        """Ask everything in a scope to end, its body included."""
        return scopes.cancel_scope(self, scope, CancelRequest("cancel", reason, by, self.now_us()))

    def check_cancellation(self) -> None:
        """Raise Cancelled if the current task has been asked to end; nothing outside of tasks."""
        if self.current is not None and self.current.doom is not None:
            raise self.current.doom.exception() from None

    def is_cancelled(self) -> bool:
        """Whether the current task has been asked to end."""
        return self.current is not None and self.current.doom is not None

    # ------------------------------------------------------------------ limits

    def set_fuel(self, steps: int | None) -> None:
        """Allow `steps` steps in total, those used so far included; None lifts the limit."""
        limits.set_fuel(self, steps, NO_FUEL_LIMIT)

    def set_tasks(self, count: int | None) -> None:
        """Allow `count` tasks that have not ended; None lifts the limit. A spawn beyond it raises
        LimitExceeded.
        """
        limits.set_tasks(self, count, NO_TASK_LIMIT)

    def set_wall_deadline(self, seconds: float | None) -> None:
        """Raise LimitExceeded in every task, `seconds` from now; None lifts the limit."""
        if self.wall_timer is not None:
            self.wall_timer.cancel()
        self.wall_timer = limits.set_wall_deadline(self, seconds)

    # ------------------------------------------------------------------ outside

    def external(
        self,
        start: Start,
        *,
        on_done: Callable[[External], None] | None = None,
        waits_for: str = "an external call",
    ) -> External:
        """Have the driver run the coroutine `start()` answers.

        See External; `on_done` runs once, on the hub.
        """
        return External(self, start, None, on_done, waits_for)

    def blocking(
        self,
        function: Callable[[], Any],
        *,
        on_done: Callable[[External], None] | None = None,
        waits_for: str = "a blocking call",
    ) -> External:
        """Have `function()` run in the driver's bounded pool of threads."""
        return External(self, None, function, on_done, waits_for)

    def call_at(self, when: float, callback: Callable[[], None]) -> TimerHandle:
        """Have the hub call `callback` at `when` of `driver.now()`."""
        return self.timers.call(to_us(when), callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        return self.timers.call(self.now_us() + to_us(seconds), callback)

    def hold_external(self) -> OutsideHold:
        """Mark an outside source that may still act; release it, or use it as a context manager."""
        return OutsideHold(self)

    # ------------------------------------------------------------------ from the host

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run tasks on this stack until `done()` or until nothing can ever happen."""
        self.check_host("run")
        self.driver.drive(done)

    def wait(self, task: Task) -> Any:
        """From a task: await it.

        From the host: run until it has ended; its value, or its error raised. Ctrl-C cancels it,
        and is raised as KeyboardInterrupt when it has ended.
        """
        if self.current is not None:
            return self.await_task(task)
        self.check_host("wait")
        self._watch(task)
        try:
            with Interrupts(self):
                self.driver.drive(lambda: task.is_done and not self._is_aborting())
        finally:
            task.own_terms().watched = False
        return self.result_of(task)

    async def wait_async(self, task: Task) -> Any:
        """`wait` inside a running asyncio loop."""
        self.check_host("wait")
        self._watch(task)
        try:
            await self.driver.drive_async(lambda: task.is_done and not self._is_aborting())
        finally:
            task.own_terms().watched = False
        return self.result_of(task)

    def limit_reached(self) -> OmegaError | None:
        """The limit of fuel or wall time that was met; tasks may have made something else of it."""
        if self.fuel_error is not None:
            return self.fuel_error
        return None if self.wall is None else self.wall.error

    def _is_aborting(self) -> bool:
        """Whether a coroutine that was asked to end has not yet: it may still cost money."""
        return any(e.abort_reason is not None and e.function is None for e in self.externals)

    def _watch(self, task: Task) -> None:
        self.host_acts("wait", task.id)
        task.observed = True
        task.own_terms().watched = not task.is_done

    def result_of(self, task: Task) -> Any:
        """The value of an ended task, or its error raised."""
        if not task.is_done:
            raise TaskError(f"task {task.label} can never end: nothing is left that could run it")
        return TaskEvent(task).try_now(self, task)

    def run(self) -> None:
        """Run until no foreground task is left, then cancel the daemons."""
        self.check_host("run")
        with Interrupts(self):
            self.driver.drive(self._is_idle)
            if self.daemons:
                self._cancel_daemons()
                self.driver.drive(lambda: self.live == 0)

    async def run_async(self) -> None:
        """`run` inside a running asyncio loop."""
        self.check_host("run")
        await self.driver.drive_async(self._is_idle)
        if self.daemons:
            self._cancel_daemons()
            await self.driver.drive_async(lambda: self.live == 0)

    def _is_idle(self) -> bool:
        return self.live <= self.daemons and not self.inbox.filled

    def _cancel_daemons(self) -> None:
        for task in reversed(self.all_tasks()):
            self.cancel(task, "the end of the program", "host")

    def check_host(self, doing: str) -> None:
        self.check_thread()
        if self.in_batch:
            raise HostError(f"cannot {doing} here: the scheduler is running")

    # ------------------------------------------------------------------ seeing

    def all_tasks(self) -> list[Task]:
        """Live tasks, in spawn order."""
        return limits.all_tasks(self)

    def known_tasks(self) -> list[Task]:
        """Live tasks and the ring of finished ones, in spawn order."""
        return sorted([*self.finished, *self.all_tasks()], key=lambda task: task.seq)

    def find_task(self, task_id: str) -> Task:
        """The task of that id; raises unknown-task for one that never was or has left the ring."""
        found = self.try_find_task(task_id)
        if found is None:
            raise TaskError(
                f"there is no task {task_id}, or it ended long ago",
                kind="unknown-task",
                hint="(tasks) lists those there are; keep the task itself, not its id",
            )
        return found

    def try_find_task(self, task_id: str) -> Task | None:
        for task in self.all_tasks():
            if task.has_id(task_id):
                return task
        for task in self.finished:
            if task.has_id(task_id):
                return task
        return None

    def tasks(self) -> list[TaskLine]:
        """What `(ps)` shows: a line per known task."""
        return listing.tasks(self, self.known_tasks())

    def wait_graph(self) -> list[str]:
        """A line per suspended task: what it waits for, who holds that, where it was spawned."""
        return deadlock.wait_graph(self)

    def leaks(self) -> list[Leak]:
        """What would be left behind if this scheduler were closed now."""
        return leaks.find(self)

    def unobserved_failures(self) -> list[Task]:
        """Failed tasks nobody has waited for, in spawn order."""
        return sorted(
            (task for task in self.failures if not task.observed), key=lambda task: task.seq
        )

    def stats(self) -> Stats:
        self.driver.tell_held()
        counters = self.counters
        return Stats(
            pending_tasks=self.live - self.started,
            running_tasks=self.running_count(),
            suspended_tasks=self._suspended,
            completed_tasks=self.ended - counters.cancelled - counters.failed,
            cancelled_tasks=counters.cancelled,
            failed_tasks=counters.failed,
            concurrent_llm_calls=counters.llm,
            peak_concurrent_llm_calls=counters.llm_peak,
            steps=self.steps_now(),
            switches=self.turns - self.stays,
            timeouts=counters.timeouts,
            slices=self.turns,
            late_wakeups=counters.late,
            longest_slice_ms=self.watchdog.longest_us / 1000,
        )

    def llm_started(self) -> None:
        """An LLM call is in flight; for Stats."""
        self.counters.llm += 1
        self.counters.llm_peak = max(self.counters.llm_peak, self.counters.llm)

    def llm_finished(self) -> None:
        self.counters.llm -= 1

    def _check(self) -> None:
        """Raise OmegaBug if an invariant does not hold. For tests."""
        invariants.check(self)

    # ------------------------------------------------------------------ the end

    def close(self) -> None:
        """Cancel everything, unwind every stack in order, give back the driver.

        A second close does nothing.
        """
        closing.close(self)
