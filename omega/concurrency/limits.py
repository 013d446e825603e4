"""Limits: fuel, the wall deadline, live tasks, timeouts of tasks, barriers, Ctrl-C.

Owns: what happens when each of them strikes. Refuses: switching.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from omega.concurrency import scopes
from omega.concurrency.clock import to_us
from omega.concurrency.deadlines import Deadline
from omega.concurrency.scopes import CancelRequest, Scope
from omega.concurrency.task import Hold, Task
from omega.errors import HostError, LimitExceeded, TaskError

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel
    from omega.concurrency.state import KernelState
    from omega.concurrency.timers import TimerHandle
    from omega.concurrency.tokens import CancellationToken

ATOMIC_STEPS_MAX = 100_000  # steps an atomic section may take
OVERRUN_SLICES = 10  # a barrier that held up more slice ends is reported


# ---------------------------------------------------------------------- fuel and wall time


def set_fuel(scheduler: Kernel, steps: int | None, unlimited: int) -> None:
    """Let the interpreter use `steps` steps in total, those already used included."""
    if steps is not None and steps < 0:
        raise HostError(f"fuel is a number of steps of at least 0 or None, not {steps}")
    scheduler.fuel_end = unlimited if steps is None else steps
    scheduler.fuel_error = None
    me = scheduler.current
    if me is None or me.stack is None:
        return
    if scheduler.steps + me.left > scheduler.fuel_end:
        scheduler.account(me)
        trim(scheduler, me)


def trim(scheduler: Kernel, task: Task) -> None:
    """Take from the accounted rest of the slice of `task` what the fuel no longer covers."""
    allowed = max(0, scheduler.fuel_end - scheduler.steps)
    excess = task.left - allowed
    if excess > 0:
        deque(islice(task.it, excess), 0)
        task.left = allowed


def out_of_fuel(scheduler: Kernel) -> None:
    scheduler.fuel_error = LimitExceeded("fuel", scheduler.steps, scheduler.fuel_end, "steps")
    raise scheduler.fuel_error


def set_wall_deadline(scheduler: Kernel, seconds: float | None) -> TimerHandle | None:
    """Arm the wall limit, `seconds` from now. The handle cancels it."""
    if scheduler.wall is not None:
        scheduler.wall = None
        for task in all_tasks(scheduler):
            task.doom = scopes.doom_of(scheduler, task)
    if seconds is None:
        return None
    began, down_us = scheduler.now_us(), scheduler.down_us

    def over() -> None:
        used = (scheduler.now_us() - began - scheduler.down_us + down_us) / 1e6
        end_all(scheduler, LimitExceeded("wall", used, seconds, "seconds"), "wall limit")

    timer = scheduler.timers.call(began + to_us(seconds), over)
    timer.passive = True
    return timer


def was_down(scheduler: Kernel, us: int) -> None:
    """Nobody has run the run for so long: that counts for no wall limit."""
    scheduler.down_us += us
    timer = scheduler.wall_timer
    if timer is None or timer.callback is None:
        return
    scheduler.wall_timer = later = scheduler.timers.call(timer.when_us + us, timer.callback)
    later.passive = True
    timer.cancel()


def end_all(scheduler: Kernel, error: LimitExceeded, reason: str) -> None:
    """Every task ends with `error` at its next checkpoint, and those that begin do at once."""
    scheduler.wall = CancelRequest("wall", reason, None, scheduler.now_us(), error)
    tasks = all_tasks(scheduler)
    # Whoever the host waits for comes first: the host hears of it before all have unwound.
    tasks.sort(key=lambda task: task.terms.watched)
    for task in reversed(tasks):
        scopes.mark(scheduler, task)


def check_wall(scheduler: Kernel) -> None:
    """Inside a barrier the hub is not visited: look at the wall deadline alone."""
    timer = scheduler.wall_timer
    if timer is not None and timer.gen == 0 and scheduler.driver.is_past(timer.when_us):
        timer.fire()
        scheduler.timers.forget()
    if scheduler.wall is not None:
        raise scheduler.wall.exception()


def all_tasks(scheduler: KernelState) -> list[Task]:
    """Every live task, in spawn order."""
    found: list[Task] = []
    work = [scheduler.root]
    while work:
        scope = work.pop()
        found.extend(scope.tasks)
        work.extend(scope.scopes or ())
    found.sort(key=lambda task: task.seq)
    return found


# ---------------------------------------------------------------------- live tasks


def set_tasks(scheduler: Kernel, count: int | None, unlimited: int) -> None:
    """Let `count` tasks live at once."""
    if count is not None and count < 1:
        raise HostError(f"a number of live tasks is at least 1 or None, not {count}")
    scheduler.tasks_max = unlimited if count is None else count
    scheduler.spawn_end = scheduler.ended + scheduler.tasks_max


def check_tasks(scheduler: Kernel) -> None:
    """So many were spawned that too many may live: look how many ended meanwhile."""
    scheduler.spawn_end = scheduler.ended + scheduler.tasks_max
    if scheduler.spawned >= scheduler.spawn_end:
        raise LimitExceeded("tasks", scheduler.live + 1, scheduler.tasks_max, "live tasks")


# ---------------------------------------------------------------------- timeouts of tasks, tokens


def start_clock(scheduler: Kernel, task: Task) -> None:
    """`task` starts: if its time is limited, cancel it then; it ends with TimeoutExpired."""
    terms = task.terms
    if terms.timer is not None:
        terms.timer.cancel()
    seconds = scheduler.config.task_timeout if terms.timeout is None else terms.timeout
    if seconds is None:
        return

    def over() -> None:
        reason = f"task {task.label} took longer than {seconds:g} s"
        scopes.cancel_task(
            scheduler, task, CancelRequest("timeout", reason, None, scheduler.now_us())
        )

    task.own_terms().timer = scheduler.timers.call(scheduler.now_us() + to_us(seconds), over)


def set_terms(
    scheduler: Kernel,
    task: Task,
    daemon: bool,
    timeout: float | None,
    queue_timeout: float | None,
    token: CancellationToken | None,
) -> None:
    """What was asked of a new task: see `Kernel.spawn`."""
    terms = task.own_terms()
    terms.timeout = timeout
    if daemon:
        terms.daemon = True
        scheduler.daemons += 1
        task.scope.daemons += 1
    if queue_timeout is not None:

        def over() -> None:
            reason = f"task {task.label} had not started after {queue_timeout:g} s"
            scopes.cancel_task(
                scheduler, task, CancelRequest("timeout", reason, None, scheduler.now_us())
            )

        terms.timer = scheduler.timers.call(scheduler.now_us() + to_us(queue_timeout), over)
    if token is not None:
        terms.token = token

        def cancel(reason: str | None) -> None:
            request = CancelRequest("cancel", reason, "token", scheduler.now_us())
            scopes.cancel_task(scheduler, task, request)

        def cancelled(reason: str | None) -> None:
            if scheduler.is_own_thread:
                cancel(reason)
            else:
                scheduler.post(lambda: cancel(reason))

        terms.token_off = token.on_cancel(cancelled)


def set_deadline(
    scheduler: Kernel, task: Task, inherited: Deadline | None, seconds: float | None
) -> None:
    """A new task: the earlier one of its spawner's deadline and its own, at `seconds` of
    `driver.now()`, holds.
    """
    when_us = None if seconds is None else to_us(seconds)
    if when_us is not None and (inherited is None or when_us < inherited.when_us):
        Deadline(scheduler, task, when_us).bind(task)
    elif inherited is not None:
        inherited.bind(task)


# ---------------------------------------------------------------------- barriers and atomic
# sections


class no_switch:
    """While inside, the current task keeps the processor, and its waits are refused."""

    __slots__ = ("_kind", "_name", "_scheduler", "_task")

    def __init__(self, scheduler: Kernel, kind: str, name: str) -> None:
        self._scheduler = scheduler
        self._kind = kind
        self._name = name
        self._task: Task | None = None

    def __enter__(self) -> None:
        me = self._task = self._scheduler.current
        if me is None:
            return
        hold = Hold(self._kind, self._name, me.steps + me.left - me.it.__length_hint__())
        if me.holds:
            hold.outermost_atomic = me.holds[-1].outermost_atomic or hold.outermost_atomic
            me.holds.append(hold)
        else:
            me.holds = [hold]

    def __exit__(self, *_: object) -> None:
        me = self._task
        if me is None:
            return
        assert me.holds
        hold = me.holds.pop()
        if hold.overrun:
            if me.holds:
                me.holds[-1].overrun += hold.overrun
            if hold.overrun > OVERRUN_SLICES:
                self._scheduler.emit("SliceOverrun", me, by=hold.name, slices=hold.overrun)


def held_slice(scheduler: Kernel, me: Task) -> None:
    """A slice end inside a barrier or an atomic section: only limits are looked at."""
    assert me.holds
    hold = me.holds[-1]
    hold.overrun += 1  # those around it are told when it ends
    atomic = hold.outermost_atomic  # began first, so is the first to have taken too many
    if atomic is not None and me.steps - atomic.began > ATOMIC_STEPS_MAX:
        raise LimitExceeded("atomic", me.steps - atomic.began, ATOMIC_STEPS_MAX, "steps")
    check_wall(scheduler)


def refuse_wait(me: Task) -> None:
    raise refused_wait(me)


def refused_wait(me: Task) -> TaskError:
    """The error for a wait inside a barrier or an atomic section."""
    assert me.holds
    hold = me.holds[-1]
    if hold.kind == "atomic":
        return TaskError(
            "an atomic section cannot wait",
            kind="cannot-suspend-here",
            hint="wait before it or behind it; (with-mutex mutex ...) keeps others out meanwhile",
        )
    return TaskError(
        f"cannot wait here: the host function `{hold.name}` is on the stack",
        kind="cannot-suspend-here",
        hint="register it with reentrant=True, or make it an async function",
    )


def run_held(scheduler: Kernel, kind: str, name: str, body: Callable[[], Any]) -> Any:
    with no_switch(scheduler, kind, name):
        return body()


def deadline_us(task: Task) -> int | None:
    """When `task` will be asked to end, as far as that is known: its own deadline and timeout, and
    those of the scopes its stack is in.
    """
    terms = task.terms
    found = [] if terms.deadline is None else [terms.deadline.when_us]
    if terms.timer is not None and terms.timer.gen == 0:
        found.append(terms.timer.when_us)
    scope: Scope | None = task.inner
    while scope is not None and not scope.shielded:
        if scope.timer is not None and scope.timer.gen == 0:
            found.append(scope.timer.when_us)
        scope = scope.parent
    return min(found, default=None)
