"""Running a body in a scope: with_scope, timeouts, shields, and what leaves at the end.

Owns: the order of an end: cancel what is left if the body failed, wait for every task, leave, then
answer or raise.
Refuses: to end while a task of the scope lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omega.concurrency import endings, scopes, waits
from omega.concurrency.clock import to_us
from omega.concurrency.coroutines import close_all
from omega.concurrency.scopes import CancelRequest, Scope
from omega.errors import Cancelled, TimeoutExpired

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel


def with_scope(
    scheduler: Kernel,
    body: Callable[[], Any],
    *,
    timeout: float | None = None,
    deadline: float | None = None,
    name: str | None = None,
    shielded: bool = False,
    cleanup: bool = False,
) -> Any:
    """Run `body` on this stack in a scope of its own; see `Scheduler.with_scope`."""
    scope = open_scope(scheduler, name)
    if shielded:
        me = scopes.scope_owner(scope)
        scope.shielded, scope.cleanup = True, cleanup
        if cleanup and me.doom is not None:
            scopes.hides(scheduler, scope)
        me.doom = scheduler.wall
    now = scheduler.now_us()
    until = [] if deadline is None else [to_us(deadline)]
    if timeout is not None:
        until.append(now + to_us(timeout))
    if until:
        _arm(scheduler, scope, min(until), (min(until) - now) / 1e6)
    return run_scope(scheduler, scope, body)


def _arm(scheduler: Kernel, scope: Scope, when_us: int, seconds: float) -> None:
    def over() -> None:
        reason = f"{scope.name or 'it'} took longer than {max(seconds, 0):g} s"
        scopes.cancel_scope(
            scheduler, scope, CancelRequest("timeout", reason, None, scheduler.now_us())
        )

    if when_us <= scheduler.now_us():
        over()  # at once, not when timers are looked at next
        return
    scope.timer = scheduler.timers.call(when_us, over)


def open_scope(scheduler: Kernel, name: str | None) -> Scope:
    """A new scope around what the current task does next."""
    me = scheduler.running_task("open a scope")
    parent = me.inner
    scope = Scope(parent, me, name)
    if parent.scopes is None:
        parent.scopes = {}
    parent.scopes[scope] = None
    me.inner = scope
    return scope


def run_scope(scheduler: Kernel, scope: Scope, body: Callable[[], Any]) -> Any:
    """Run `body` in `scope` (just opened), wait for its tasks, and answer or raise."""
    failure: BaseException | None = None
    value: Any = None
    try:
        value = body()
    except BaseException as error:
        failure = error
    if failure is None and not (scope.tasks or scope.coroutines or scope.failures or scope.cancel):
        _close(scheduler, scope)  # nothing has happened in it
        return value
    # Outside the except block: from here on we may wait, and a new exception must not chain to an
    # old one.
    if failure is not None and scope.tasks:
        why = (
            "the body of its scope was cancelled"
            if isinstance(failure, Cancelled)
            else "the body of its scope failed"
        )
        owner = scopes.scope_owner(scope)
        scopes.cancel_scope(
            scheduler,
            scope,
            CancelRequest("failure", why, owner.short_id(), scheduler.now_us()),
        )
    stuck = waits.wait_scope_end(scheduler, scope)
    while scope.coroutines:  # their cleanup may start tasks, and those make others
        close_all(scope)
        stuck = waits.wait_scope_end(scheduler, scope) or stuck
    _close(scheduler, scope)
    if stuck is not None and (failure is None or _own_request(scope, failure)):
        failure = stuck
    try:
        return _verdict(scheduler, scope, failure, value)
    finally:
        failure = stuck = None  # a frame that keeps its own exception is a cycle


def _close(scheduler: Kernel, scope: Scope) -> None:
    assert not scope.tasks and scope.parent is not None and scope.parent.scopes is not None
    owner = scopes.scope_owner(scope)
    assert owner.inner is scope, "scopes are left in the order they were entered"
    del scope.parent.scopes[scope]
    owner.inner = scope.parent
    if scope.cancel is not None or scope.shielded:
        owner.doom = scopes.doom_of(scheduler, owner)
        if owner.doom is not None:
            scopes.heed_soon(scheduler, owner)
    # Else what dooms it came from further out: the way there is as long as the nesting is deep.
    if scope.timer is not None:
        scope.timer.cancel()


def _own_request(scope: Scope, failure: BaseException | None) -> bool:
    return (
        isinstance(failure, Cancelled)
        and failure.request is scope.cancel
        and scope.cancel is not None
    )


def _verdict(scheduler: Kernel, scope: Scope, failure: BaseException | None, value: Any) -> Any:
    own = _own_request(scope, failure)
    if failure is None or own:
        failed = [task for task in scope.failures or () if not task.observed]
        if failed:
            scheduler.owe(len(failed))
            raise endings.failure_of_scope(failed) from None
    if own and scope.cancel is not None and scope.cancel.kind == "timeout":
        scheduler.counters.timeouts += 1
        raise TimeoutExpired(scope.cancel.reason or "timeout") from None
    if failure is not None:
        raise failure
    if scope.cancel is not None and scope.cancel.kind == "timeout":
        scheduler.emit("TimeoutOverrun", scope.owner, scope=scope.name)
    return value
