"""Scopes and cancellation: who owns whom, who asked for an end, what checkpoints raise.

Owns: Scope, CancelRequest, the walk down a tree that is cancelled.
Refuses: switching; it marks tasks and wakes them through the scheduler. `scoped.py` runs bodies in
scopes.

Cancellation is level-triggered. A scope that is cancelled stays so until it is left; a task that is
cancelled stays so until it has ended. `task.doom` is the request its checkpoints raise: the
innermost one on the way from the scope its stack is in, out to the root, that no shield hides.
Invariant: `task.doom is doom_of(scheduler, task)` for every live task; whatever changes one side
updates the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omega.concurrency.clock import to_us
from omega.concurrency.config import PENDING, SUSPENDED
from omega.concurrency.task import Path, Task, short_path_text
from omega.errors import Cancelled, LimitExceeded, OmegaError

if TYPE_CHECKING:
    from omega.concurrency.coroutines import Coroutine
    from omega.concurrency.scheduler import Kernel

CANCEL_STEPS = 2  # what it is worth to tell one task to end
ANNEXES_MIN = 64  # so many are kept, though they may be empty
CLEANUP_S = 5.0  # how long cleanup may take once its task is cancelled


class CancelRequest:
    """Who asked for an end, why, when. kind: cancel, timeout, failure, cleanup or wall.

    asker: a task's path, which becomes its id when somebody wants to know, or a word.
    """

    __slots__ = ("_asker", "error", "kind", "reason", "when_us")

    def __init__(
        self,
        kind: str,
        reason: str | None,
        asker: Path | str | None,
        when_us: int,
        error: OmegaError | None = None,
    ) -> None:
        self.kind = kind
        self.reason = reason
        self._asker = asker
        self.when_us = when_us
        self.error = error  # what "wall" raises

    @property
    def by(self) -> str | None:
        asker = self._asker
        return short_path_text(asker) if isinstance(asker, tuple) else asker

    def exception(self) -> BaseException:
        """A fresh exception for a checkpoint to raise."""
        if isinstance(self.error, LimitExceeded):
            limit = self.error
            return LimitExceeded(limit.limit, limit.used, limit.allowed, "seconds")
        return Cancelled(self.reason, None, self)


class Scope:
    """Owns tasks and ends after them.

    The root scope is the interpreter's own and never ends by itself.
    """

    __slots__ = (
        "cancel",
        "cleanup",
        "coroutines",
        "daemons",
        "explicit",
        "failures",
        "group",
        "name",
        "owner",
        "parent",
        "scopes",
        "seq",
        "shielded",
        "tasks",
        "timer",
        "waiter",
    )  # fmt: skip

    def __init__(self, parent: Scope | None, owner: Task | None, name: str | None = None) -> None:
        self.name = name
        self.parent = parent
        # What its tasks take turns with others as, where that is fair by scope: the outermost scope
        # it is in, below the root, or a task of the root; None for the root itself. See `annex`.
        self.group: Scope | Task | None = None if parent is None else parent.group or self
        self.owner = owner  # the task whose stack is in it; None for the root
        self.tasks: dict[Task, None] = {}  # live ones, in spawn order
        self.scopes: dict[Scope, None] | None = None  # open ones below, in opening order
        self.coroutines: dict[Coroutine, None] | None = None  # made in it, not yet ended
        self.daemons = 0  # of its tasks; they are asked to end when no other is left
        self.cancel: CancelRequest | None = None
        self.shielded = False  # cancellation from outside stops here
        self.cleanup = False  # shielded for CLEANUP_S only, counted from the first cancel it hides
        self.explicit = parent is not None  # an unobserved failure ends it
        self.failures: list[Task] | None = None
        self.waiter: tuple[Task, int] | None = None  # its owner, waiting at its end
        self.timer: Any = None
        self.seq = 0

    def describe(self) -> str:
        count = len(self.tasks)
        return f"the end of its scope ({count} task{'' if count == 1 else 's'})"

    def waits_on(self) -> list[Task]:
        return list(self.tasks)

    def lends_to(self) -> tuple[Scope]:
        return (self,)

    def held_by(self) -> list[Task]:
        return list(self.tasks)

    def urge(self, level: int) -> None:
        return None


def home(kernel: Kernel, spawner: Task, scope: Scope) -> Scope:
    """The owner of a task that `spawner` makes in `scope`."""
    return annex(kernel, spawner) if scope is kernel.root else scope


def annex(kernel: Kernel, spawner: Task) -> Scope:
    """Where tasks live that `spawner` makes in the root: a scope as much the interpreter's own as
    the root is, in which they, and what they make, count to the group of their spawner.
    """
    group = spawner.scope.group or spawner
    annexes = kernel.annexes
    found = annexes.get(group)
    if found is None:
        root = kernel.root
        if root.scopes is None:
            root.scopes = {}
        if len(annexes) >= kernel.annexes_max:
            for of, old in list(annexes.items()):
                if not (old.tasks or old.coroutines or old.scopes):
                    del annexes[of], root.scopes[old]
            kernel.annexes_max = max(ANNEXES_MIN, 2 * len(annexes))
        found = annexes[group] = Scope(root, None, "root")
        found.group, found.explicit = group, False
        root.scopes[found] = None
    return found


def doom_of(scheduler: Kernel, task: Task) -> CancelRequest | None:
    """What a checkpoint of `task` has to raise now, if anything."""
    if scheduler.wall is not None:
        return scheduler.wall
    scope: Scope | None = task.scope if task.stack is None else task.inner
    asked = task.terms.cancel
    if asked is not None and scope is task.scope:
        return asked
    while scope is not None:
        if scope.cancel is not None:
            return scope.cancel
        if scope.shielded:
            return None
        parent = scope.parent
        owner = scope.owner
        if owner is not None and owner.terms.cancel is not None and parent is owner.scope:
            return owner.terms.cancel  # the outermost scope on the stack of a cancelled task
        scope = parent
    return None


def cancel_task(scheduler: Kernel, task: Task, request: CancelRequest) -> bool:
    """Ask one task to end, with everything in the scopes its stack has entered.

    False: it changed nothing.
    """
    if task.is_done or task.terms.cancel is not None:
        return False
    task.own_terms().cancel = request
    if task.stack is not None:
        outermost: Scope | None = None
        scope = task.inner
        while scope is not task.scope:
            outermost = scope
            assert scope.parent is not None
            scope = scope.parent
        if outermost is not None and not hides(scheduler, outermost):
            _cancel_below(scheduler, outermost)
    mark(scheduler, task)
    return True


def cancel_scope(scheduler: Kernel, scope: Scope, request: CancelRequest) -> bool:
    """Ask everything in `scope` to end, newest first. False: it was asked before."""
    if scope.cancel is not None:
        return False
    scope.cancel = request
    if scheduler.wall is None:  # else all are told to end
        _cancel_below(scheduler, scope)
    if scope.owner is not None:
        mark(scheduler, scope.owner)
    return True


def hides(scheduler: Kernel, scope: Scope) -> bool:
    """Whether a cancel from outside stops at `scope`.

    The first one starts the clock of a cleanup.
    """
    if not scope.shielded:
        return False
    if scope.cleanup and scope.timer is None:
        scope.timer = scheduler.timers.call(
            scheduler.now_us() + to_us(CLEANUP_S), lambda: _cleanup_over(scheduler, scope)
        )
        scope.timer.grace = True
    return True


def _cleanup_over(scheduler: Kernel, scope: Scope) -> None:
    owner = scope.owner
    scheduler.emit("CleanupOverrun", owner, seconds=CLEANUP_S)
    request = CancelRequest(
        "cleanup", f"cleanup took longer than {CLEANUP_S:g} s", None, scheduler.now_us()
    )
    cancel_scope(scheduler, scope, request)


def _cancel_below(scheduler: Kernel, top: Scope) -> None:
    """Mark every task in and below `top`, newest first, stopping at shields and at what was told
    to end before.

    Flat for any depth, and linear when scopes within scopes end one after the other.
    """
    work: list[Scope] = [top]
    doomed: list[Task] = []
    while work:
        scope = work.pop()
        doomed.extend(scope.tasks)
        for below in scope.scopes or ():
            if below.cancel is None and not hides(scheduler, below):
                work.append(below)
    doomed.sort(key=_seq, reverse=True)
    scheduler.owe(len(doomed), CANCEL_STEPS)
    for task in doomed:
        mark(scheduler, task)


def _seq(task: Task) -> int:
    return task.seq


def mark(scheduler: Kernel, task: Task) -> None:
    """Bring `task.doom` up to date and act on it: a pending task ends, a waiting one wakes."""
    task.doom = doom_of(scheduler, task)
    if task.doom is None:
        if task.stack is not None and task.inner is not task.scope:
            _start_cleanup_clock(scheduler, task)
        return
    if task.state is PENDING:
        scheduler.end_unstarted(task, task.doom)
        return
    heed_soon(scheduler, task)
    if (
        task.state is SUSPENDED
        and task.waiting is not None
        and not isinstance(task.waiting, Scope)  # an end of a scope is waited for whatever comes
    ):
        scheduler.wake_cancelled(task)


def heed_soon(scheduler: Kernel, task: Task) -> None:
    """`task` is doomed: where somebody chooses, when it heeds that does not hang on its slice."""
    if scheduler.chooser is not None:
        scheduler.cut_slice(task)
        scheduler.chooser.doomed(task)


def _start_cleanup_clock(scheduler: Kernel, task: Task) -> None:
    """A cancelled task's stack is inside a shield: if that is cleanup, its time runs now."""
    scope = task.inner
    while scope is not task.scope:
        if scope.shielded:
            hides(scheduler, scope)
            return
        assert scope.parent is not None
        scope = scope.parent


def scope_owner(scope: Scope) -> Task:
    assert scope.owner is not None
    return scope.owner
