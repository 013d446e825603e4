"""Task: one thread of evaluation, as plain data, and the queue of those who wait for something.

Owns: what is known about a task, the claim that makes one wake-up win (`gen`), the list of waiters.
Refuses: to change a task's state: only the scheduler does.

Invariant: `gen` names the current wait of a task. Whoever wakes it presents the `gen` it saw when
the wait was registered; the first one wins and raises `gen`, everyone later is told no.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from itertools import repeat
from typing import TYPE_CHECKING, Any

from omega.concurrency.config import CANCELLED, COMPLETED, ERROR, PENDING, SUSPENDED, State
from omega.errors import TaskCancelled

if TYPE_CHECKING:
    from greenlet import greenlet  # type: ignore[import-untyped]

    from omega.concurrency.scopes import CancelRequest, Scope
    from omega.concurrency.tokens import CancellationToken

NO_STEPS: Any = repeat(None, 0)
# How many waits of one task, channel or cell may be stale before its queue is swept.
STALE_WAITERS_MAX = 16


class Task:
    """A unit of concurrent work. Hosts only read it; `locals` belongs to the layer above.

    id: the spawn path ("1.3.2"), equal in every run. Times are seconds of the driver's clock, None
    until known.
    """

    __slots__ = (
        "__weakref__",
        "_id",
        "_number",
        "_prefix",
        "body",
        "branch",
        "cancel",
        "children",
        "context",
        "created_ns",
        "daemon",
        "deaf",
        "doom",
        "effects",
        "ended_ns",
        "gen",
        "heeds",
        "holds",
        "inner",
        "it",
        "left",
        "locals",
        "name",
        "observed",
        "outcome",
        "path",
        "priority",
        "rank",
        "rare",
        "scope",
        "seq",
        "since",
        "span",
        "stack",
        "started_ns",
        "state",
        "steps",
        "timeout",
        "timer",
        "token",
        "token_off",
        "trace",
        "value",
        "waiters",
        "waiting",
        "watched",
        "watchers",
    )  # fmt: skip

    def __init__(
        self,
        prefix: str,
        number: int,
        seq: int,
        body: Callable[[], Any],
        scope: Scope,
        name: str | None,
        priority: int,
    ) -> None:
        self._id: str | None = None
        self.path = ""  # what its children's ids begin with, once it has some
        self._prefix = prefix
        self._number = number
        self.seq = seq  # spawn order in the whole interpreter
        self.name = name
        self.priority = priority
        self.state: State = PENDING
        self.scope = scope  # owns this task
        self.inner = scope  # innermost scope its stack has entered; children are spawned there
        self.body: Callable[[], Any] | None = body
        self.stack: greenlet | None = None
        self.it: Any = NO_STEPS  # its step iterator
        self.left = 0  # steps `it` had left when they were last accounted
        self.steps = 0
        self.gen = 0
        self.value: Any = None  # what the wake-up delivers
        self.branch = (
            0  # which branch of the wait won; negative: see scheduler.CANCEL, scheduler.THROW
        )
        self.waiting: Any = None  # the event it waits on; None once a wake-up has won
        self.since = 0  # the slice in which it began to wait
        self.waiters: Waiters | None = None
        self.watchers: dict[Any, Callable[[Task], None]] | None = (
            None  # called at its end, in order
        )
        self.cancel: CancelRequest | None = None  # asked of this very task
        self.doom: CancelRequest | None = None  # what every checkpoint raises; kept by scopes.py
        self.outcome: Any = None  # value, exception, or CancelRequest, by state
        self.trace: Any = None
        self.observed = False  # someone waited for it or read its result
        self.watched = False  # the host waits for it right now
        self.daemon = False
        self.locals: Any = None
        self.span: Any = None
        self.context: Context | None = None
        self.created_ns = 0
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.timeout: float | None = None
        self.timer: Any = None
        self.token: CancellationToken | None = None
        self.token_off: Callable[[], None] | None = None
        self.children = 0
        self.effects = 0
        self.holds: list[Hold] | None = None  # barriers and atomic sections on its stack
        self.heeds = 0  # how often a checkpoint has raised its doom
        self.rank = (0, 0)
        self.rare = False  # it has a token, watchers, or is a daemon
        self.deaf = False  # it waits where a cancel must not wake it

    @property
    def id(self) -> str:
        """The spawn path. Built when first asked for: most tasks never are."""
        if self._id is None:
            self._id = f"{self._prefix}{self._number}"
        return self._id

    def make_path(self) -> str:
        self.path = f"{self.id}."
        return self.path

    @property
    def parent_id(self) -> str | None:
        return self._prefix[:-1] or None

    @property
    def is_done(self) -> bool:
        return self.state is COMPLETED or self.state is ERROR or self.state is CANCELLED

    @property
    def is_ready(self) -> bool:
        """Suspended, but what it waited for has happened: it waits only for its turn."""
        return self.state is SUSPENDED and self.waiting is None

    @property
    def result(self) -> Any:
        """The value of a completed task, else None. Reading it observes the task."""
        self.observed = True
        return self.outcome if self.state is COMPLETED else None

    @property
    def error(self) -> BaseException | None:
        """Why a task failed or was cancelled, else None. Reading it observes the task."""
        self.observed = True
        if self.state is ERROR:
            return self.outcome  # type: ignore[no-any-return]
        if self.state is CANCELLED:
            return self.cancelled_error()
        return None

    def cancelled_error(self) -> TaskCancelled:
        """A fresh error for one who waited for this cancelled task."""
        return TaskCancelled(self.id, self.outcome.reason, self.outcome.by, name=self.name)

    @property
    def cancellation_token(self) -> CancellationToken | None:
        return self.token

    @property
    def created_at(self) -> float:
        return self.created_ns / 1e9

    @property
    def started_at(self) -> float | None:
        return None if self.started_ns is None else self.started_ns / 1e9

    @property
    def completed_at(self) -> float | None:
        return None if self.ended_ns is None else self.ended_ns / 1e9

    def next_effect(self) -> tuple[str, int]:
        """The identity of this task's next effect: (task id, 1, 2, ...), equal in every run."""
        self.effects += 1
        return self.id, self.effects

    @property
    def label(self) -> str:
        return f'{self.id} "{self.name}"' if self.name else self.id

    def __repr__(self) -> str:
        return f"<task {self.label} {self.state}>"


class Hold:
    """Why a task may not give up the processor: a barrier or an atomic section."""

    __slots__ = ("began", "kind", "name", "overrun")

    def __init__(self, kind: str, name: str, began: int) -> None:
        self.kind = kind
        self.name = name
        self.began = began  # steps of the task when it was entered
        self.overrun = 0  # slice ends it held up


class Waiters:
    """Who waits for one thing, in order of arrival. Entries are (task, gen, branch, payload).

    A waiter that went away leaves a stale entry; `forget` counts them and sweeps, so a queue on
    which waits only ever time out stays small (amortised O(1)).
    """

    __slots__ = ("entries", "stale")

    def __init__(self) -> None:
        self.entries: deque[tuple[Task, int, int, Any]] = deque()
        self.stale = 0

    def add(self, task: Task, branch: int, payload: Any = None) -> None:
        self.entries.append((task, task.gen, branch, payload))

    def forget(self) -> None:
        """One entry has become stale."""
        self.stale += 1
        if self.stale > STALE_WAITERS_MAX and self.stale * 2 > len(self.entries):
            self.entries = deque(entry for entry in self.entries if entry[0].gen == entry[1])
            self.stale = 0

    def live(self) -> Iterator[Task]:
        return (task for task, gen, _, _ in self.entries if task.gen == gen)

    def __bool__(self) -> bool:
        return any(True for _ in self.live())
