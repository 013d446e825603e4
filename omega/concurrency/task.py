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
from typing import TYPE_CHECKING, Any, Final

from omega.concurrency.config import CANCELLED, COMPLETED, ERROR, SUSPENDED, State
from omega.errors import TaskCancelled

if TYPE_CHECKING:
    from greenlet import greenlet  # type: ignore[import-untyped]

    from omega.concurrency.deadlines import Deadline
    from omega.concurrency.scopes import CancelRequest, Scope
    from omega.concurrency.timers import TimerHandle
    from omega.concurrency.tokens import CancellationToken

# How many waits of one task, channel or cell may be stale before its queue is swept.
STALE_WAITERS_MAX = 16
LEVELS_SHOWN_MAX = 40  # of an id, in messages

# A place in the tree of spawns: (the parent's path, the number among its siblings, how many are
# above). Shared; as a text it would be copied by every child, and a chain of n tasks would take
# n * n characters.
Path = tuple["Path | None", int, int]


def path_text(path: Path, levels: int | None = None) -> str:
    """Its numbers, with dots; of the innermost `levels` only, if given."""
    numbers: list[str] = []
    above: Path | None = path
    while above is not None and len(numbers) != levels:
        numbers.append(str(above[1]))
        above = above[0]
    return ".".join(reversed(numbers))


def short_path_text(path: Path) -> str:
    """The same for messages; of one that is very long, the end."""
    if path[2] < LEVELS_SHOWN_MAX:
        return path_text(path)
    return f"...{path_text(path, LEVELS_SHOWN_MAX // 2)}"


class Terms:
    """What was asked of a task from outside; most tasks are asked nothing and share `PLAIN`."""

    __slots__ = (
        "cancel",
        "context",
        "daemon",
        "deadline",
        "heeds",
        "timeout",
        "timer",
        "token",
        "token_off",
        "watched",
        "watchers",
    )

    def __init__(self) -> None:
        self.cancel: CancelRequest | None = None  # asked of this very task
        self.context: Context | None = None  # where it was spawned, if anything was set there
        self.daemon = False
        self.deadline: Deadline | None = None  # its own, or its spawner's
        self.timeout: float | None = None  # seconds from its start
        self.timer: TimerHandle | None = None  # of that timeout; before the start, of its queue's
        self.token: CancellationToken | None = None
        self.token_off: Callable[[], None] | None = None
        # Called at its end, in order; None: nobody.
        self.watchers: dict[Any, Callable[[Task], None]] | None = None
        self.watched = False  # the host waits for it right now
        self.heeds = 0  # how often a checkpoint has raised its doom


PLAIN: Final = Terms()  # is only read


class Task:
    """A unit of concurrent work. Hosts only read it; `locals` belongs to the layer above.

    id: the spawn path ("1.3.2"), equal in every run. Times are seconds of the driver's clock, None
    until known.
    """

    # Creating one is the cost of a spawn, and every collection walks over those that live: what is
    # meaningless until something happens is not set before.
    __slots__ = (
        "__weakref__",
        "_number",
        "_parent_path",
        "body",
        "branch",
        "children",
        "created_ns",
        "doom",
        "effects",
        "ended_ns",
        "gen",
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
        "scope",
        "seq",
        "since",
        "span",
        "stack",
        "started_ns",
        "state",
        "steps",
        "terms",
        "trace",
        "value",
        "waiters",
        "waiting",
    )  # fmt: skip

    # Set by Kernel.spawn, which spells this out to save the call of an __init__.
    _parent_path: Path | None  # None: it has no parent
    _number: int
    seq: int  # spawn order in the whole interpreter
    name: str | None
    priority: int
    state: State
    scope: Scope  # owns this task
    body: Callable[[], Any] | None
    locals: Any
    span: Any  # where its body was defined, as listing.place shows it
    created_ns: int
    stack: greenlet | None
    steps: int
    waiters: Waiters | None
    doom: CancelRequest | None  # what every checkpoint raises; kept by scopes.py
    observed: bool  # someone waited for it or read its result
    terms: Terms
    # Set when it starts.
    started_ns: int
    inner: Scope  # innermost scope its stack has entered; children are spawned there
    gen: int
    waiting: Any  # the event it waits on; None once a wake-up has won
    holds: list[Hold] | None  # barriers and atomic sections on its stack
    path: Path | None  # its own, once it has children
    it: Any  # its step iterator
    left: int  # steps `it` had left when they were last accounted
    # Set by its first wait.
    branch: int  # which branch of the wait won; negative: see state.CANCEL, state.THROW
    value: Any  # what the wake-up delivers
    since: int  # the slice in which it began to wait
    rank: Any  # set by the queues that have ranks, each its own
    # Set by its first child, its first effect.
    children: int
    effects: int
    # Set at its end.
    ended_ns: int
    outcome: Any  # value, exception, or CancelRequest, by state
    trace: Any  # of the exception; set when it failed

    def watch(self, key: Any, watcher: Callable[[Task], None]) -> None:
        """Have `watcher` called with it at its end, unless `unwatch(key)` comes first."""
        terms = self.own_terms()
        if terms.watchers is None:
            terms.watchers = {}
        terms.watchers[key] = watcher

    def unwatch(self, key: Any) -> None:
        if self.terms.watchers is not None:
            self.terms.watchers.pop(key, None)

    def own_terms(self) -> Terms:
        """Its terms, to be written to."""
        if self.terms is PLAIN:
            self.terms = Terms()
        return self.terms

    @property
    def id(self) -> str:
        """The spawn path in words, built anew each time: most tasks are never asked."""
        return path_text(self.own_path())

    def has_id(self, task_id: str) -> bool:
        """`id == task_id`, mostly without building it: of siblings, the last number tells."""
        path = self.own_path()
        return (
            task_id.endswith(str(path[1]))
            and path[2] == task_id.count(".")
            and path_text(path) == task_id
        )

    def short_id(self) -> str:
        """`id` for messages; of one that is very long, the end."""
        return short_path_text(self.own_path())

    def make_path(self) -> Path:
        """It gets its first child."""
        self.children = 0
        self.path = path = self.own_path()
        return path

    def own_path(self) -> Path:
        above = self._parent_path
        return (above, self._number, 0 if above is None else above[2] + 1)

    @property
    def parent_id(self) -> str | None:
        return None if self._parent_path is None else path_text(self._parent_path)

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
        return self.terms.token

    @property
    def daemon(self) -> bool:
        """Whether it does not keep the interpreter alive."""
        return self.terms.daemon

    @property
    def created_at(self) -> float:
        return self.created_ns / 1e9

    @property
    def started_at(self) -> float | None:
        started_ns = getattr(self, "started_ns", None)
        return None if started_ns is None else started_ns / 1e9

    @property
    def completed_at(self) -> float | None:
        return self.ended_ns / 1e9 if self.is_done else None

    def next_effect(self) -> tuple[str, int]:
        """The identity of this task's next effect: (task id, 1, 2, ...), equal in every run."""
        self.effects = getattr(self, "effects", 0) + 1
        return self.id, self.effects

    @property
    def label(self) -> str:
        return f'{self.short_id()} "{self.name}"' if self.name else self.short_id()

    def __repr__(self) -> str:
        return f"<task {self.label} {self.state}>"


class Hold:
    """Why a task may not give up the processor: a barrier or an atomic section."""

    __slots__ = ("began", "kind", "name", "outermost_atomic", "overrun")

    def __init__(self, kind: str, name: str, began: int) -> None:
        self.kind = kind
        self.name = name
        self.began = began  # steps of the task when it was entered
        self.overrun = 0  # slice ends it held up
        self.outermost_atomic: Hold | None = self if kind == "atomic" else None


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
