"""The slower waits: composed events, the end of a scope, and what a doomed task meets.

Owns: the protocol of a choice (try, block, park, refuse the losers). Refuses: switching;
`Kernel.park` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from greenlet import GreenletExit  # type: ignore[import-untyped]

from omega.concurrency import limits, scopes
from omega.concurrency.events import UNREADY, Choice, Event, flatten
from omega.concurrency.scopes import CancelRequest, Scope
from omega.concurrency.state import THROW
from omega.concurrency.task import Task
from omega.errors import OmegaBug

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

DAEMON_ENDS = "its scope has ended, and it is a daemon"
HEEDS_MAX = 1_000  # cancels a task may swallow before it has to share the processor


def sync_choice(kernel: Kernel, me: Task, event: Event) -> Any:
    """`Kernel.sync` of a composed event."""
    choice = Choice()
    try:
        flatten(kernel, event, choice)
    except BaseException:
        choice.refuse(None)
        raise
    branches = choice.branches
    n = len(branches)
    first = 0 if kernel.chooser is None or n < 2 else kernel.chooser.branch(me, n)
    if choice.nacks:
        kernel.choosing = choice
    for i in range(n):
        branch = branches[(first + i) % n]
        try:
            value = branch.event.try_now(kernel, me)
        except BaseException:
            kernel.choosing = None
            choice.refuse(branch)
            raise
        if value is not UNREADY:
            kernel.choosing = None
            choice.refuse(branch)
            if choice.steps_aside:
                kernel.step_aside(me)
            return branch.finish(value)
    kernel.choosing = None
    if me.holds:
        choice.refuse(None)
        limits.refuse_wait(me)
    for i in range(n):
        branches[i].event.block(kernel, me, i)
    kernel.park(me, choice)
    chosen = branches[me.branch] if me.branch >= 0 else None
    for branch in branches:
        if branch is not chosen:
            branch.event.lost(kernel, me)
    choice.refuse(chosen)
    if chosen is None:
        raise_wake(kernel, me)
    value = me.value
    me.value = None
    if chosen.event.stays:
        return chosen.finish(chosen.event.try_now(kernel, me))
    return chosen.finish(chosen.event.finish(value))


def heed(kernel: Kernel, me: Task, doom: CancelRequest) -> None:
    """A checkpoint of a doomed task: raise, except in a section where only limits count."""
    if me.holds and doom.kind != "wall":
        return
    terms = me.own_terms()
    terms.heeds += 1
    if terms.heeds > HEEDS_MAX and kernel.in_batch:
        # It swallows every cancel and comes back for more: at least let the others run.
        if kernel.closed:
            raise GreenletExit
        kernel.go_behind(me)
    raise doom.exception() from None


def raise_wake(kernel: Kernel, me: Task) -> NoReturn:
    """Raise what a cancelled or failed wait was woken with."""
    if me.branch == THROW:
        error = me.value
        me.value = None
        raise error
    if me.doom is not None:
        raise me.doom.exception() from None
    raise OmegaBug(f"task {me.id} was woken for a cancel that is gone")


def wait_scope_end(kernel: Kernel, scope: Scope) -> BaseException | None:
    """Wait until `scope` is empty, whatever is cancelled meanwhile.

    Answers a deadlock that befell the wait.
    """
    me = scopes.scope_owner(scope)
    stuck: BaseException | None = None
    while scope.tasks:
        if me.holds:
            # Nobody else has run since the barrier: its tasks have not begun, and end at once.
            stuck = limits.refused_wait(me)
            request = CancelRequest("failure", stuck.message, me.short_id(), kernel.now_us())
            if not scopes.cancel_scope(kernel, scope, request):
                raise OmegaBug(f"{scope.describe()} outlives a barrier")
            continue
        if len(scope.tasks) <= scope.daemons and scope.cancel is None:
            for task in reversed(list(scope.tasks)):
                asked = CancelRequest("cancel", DAEMON_ENDS, me.own_path(), kernel.now_us())
                scopes.cancel_task(kernel, task, asked)
            if not scope.tasks:
                break
        scope.waiter = (me, me.gen)
        kernel.park(me, scope)
        scope.waiter = None
        if me.branch == THROW:
            stuck = me.value
            me.value = None
            scopes.cancel_scope(
                kernel, scope, CancelRequest("failure", "deadlock", me.short_id(), kernel.now_us())
            )
    return stuck
