"""What a kernel knows: its fields, its settings, and what needs no switch.

Owns: the declaration of the state with its invariants, configuration, choice, the event stream's
door.
Refuses: to move a task: `scheduler.py`, built on top, does.

Invariants (checked by invariants.py: in tests after every step, in explored runs now and then):
  Each live task is in exactly one place: running now (`current`), in `_ready`, in `_passed_ready`
  or `_passed_new` (no slot free), about to run (`_resume`), or parked (suspended, `waiting` set).
  `started - _suspended` tasks are in state running; `_woken` of the suspended ones are in `_ready`.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from omega.concurrency import limits, listing
from omega.concurrency.asyncio_driver import AsyncioDriver
from omega.concurrency.choices import Chooser, ChosenQueue
from omega.concurrency.config import SUSPENDED, SchedulerConfig
from omega.concurrency.driver import Driver
from omega.concurrency.events import Choice
from omega.concurrency.lending import Lending
from omega.concurrency.outside import External, Inbox
from omega.concurrency.ready import PassedQueue, PriorityQueue, Ready, ScopeQueue, fifo_queue
from omega.concurrency.scopes import CancelRequest, Scope
from omega.concurrency.task import Task, Waiters
from omega.concurrency.timers import TimerHandle, Timers
from omega.concurrency.watchdog import Watchdog
from omega.errors import Deadlock, HostError, LimitExceeded, WrongThread

if TYPE_CHECKING:
    from greenlet import greenlet  # type: ignore[import-untyped]

DEPTH_RESERVE = 10_000  # frames above depth_max: the kernel's own, and the host's below the hub
NO_FUEL_LIMIT = 1 << 62
NO_TASK_LIMIT = 1 << 62
FREE_WORK = 64  # fewer tasks, waits or branches are looked at for nothing
SLICE_TUPLE_MAX = 100_000  # steps in a slice that are kept as a tuple
CANCEL = -1  # branch of a wake-up that makes the waiter raise its doom
THROW = -2  # branch of a wake-up whose value is an exception to raise
HUB_STEPS: Any = repeat(None, 1 << 62)  # outside of tasks nothing is counted


class Counters:
    """Totals since the start; `Stats` shows them."""

    __slots__ = (
        "cancelled",
        "dropped_failures",
        "failed",
        "late",
        "llm",
        "llm_peak",
        "timeouts",
    )

    def __init__(self) -> None:
        self.cancelled = self.failed = self.timeouts = self.late = 0
        self.llm = self.llm_peak = self.dropped_failures = 0


class KernelState:
    """One scheduler of one thread. See the module's docstring and docs on concurrency.

    registers: the globals of generated code; `_it` in it is kept the running task's step iterator.
    depth_max: how many Python frames deep a task's stack may be. remark: what a listing tells of
    what a task waits for, where more is known: how far it has come.
    """

    __slots__ = (
        "__weakref__",
        "_append_last",
        "_breaking",
        "_escape",
        "_escaped",
        "_hub",
        "_interrupted",
        "_last",
        "_max_running",
        "_max_started",
        "_passed",
        "_passed_new",
        "_passed_ready",
        "_poll_at",
        "_ready",
        "_resume",
        "_rotates",
        "_slice",
        "_slice_steps",
        "_spare",
        "_stacks",
        "_stamp",
        "_stop",
        "_suspended",
        "_task_timeout",
        "_thread",
        "_woken",
        "annexes",
        "annexes_max",
        "came",
        "chooser",
        "choosing",
        "chores",
        "closed",
        "config",
        "counters",
        "current",
        "daemons",
        "depth_max",
        "down_us",
        "driver",
        "ended",
        "externals",
        "failures",
        "finished",
        "fuel_end",
        "fuel_error",
        "host_children",
        "in_batch",
        "inbox",
        "lending",
        "listeners",
        "made",
        "on_interrupt",
        "on_stall",
        "outside_holds",
        "registers",
        "remark",
        "root",
        "spawn_end",
        "spawned",
        "stall",
        "started",
        "stays",
        "steps",
        "tasks_max",
        "timers",
        "turns",
        "wall",
        "wall_timer",
        "watchdog",
    )  # fmt: skip

    def __init__(
        self,
        config: SchedulerConfig | None = None,
        *,
        driver: Driver | None = None,
        registers: dict[str, Any] | None = None,
        depth_max: int = 1_100_000,
    ) -> None:
        self.config = config or SchedulerConfig()
        self.registers: dict[str, Any] = {} if registers is None else registers
        self.registers["_it"] = HUB_STEPS
        self.current: Task | None = None
        self.root = Scope(None, None, "root")
        self.annexes: dict[Scope | Task, Scope] = {}  # group -> where its detached tasks live
        self.timers = Timers()
        self.counters = Counters()
        # Channels and locks that are looked at for leaks -> where they were made.
        self.made: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.chooser: Chooser | None = None
        self.on_interrupt: Callable[[], None] | None = None
        self.on_stall: Callable[[Deadlock], None] | None = None
        self.remark: Callable[[Task], str | None] | None = None
        self.stall: tuple[str, ...] = ()  # the last wait-for graph that the host was told of
        self.fuel_error: LimitExceeded | None = None  # the fuel ran out: the host gets it
        self.wall: CancelRequest | None = None  # the wall limit was hit: every checkpoint raises it
        self.wall_timer: TimerHandle | None = None
        self.depth_max = depth_max
        self.steps = 0  # accounted so far; `steps_now()` adds what the running slice has used
        self.turns = 0  # the slice number: how often some task got the processor
        self.stays = 0  # turns in which the task that had the processor kept it
        self.spawned = self.ended = self.host_children = self.annexes_max = self.down_us = 0
        self.tasks_max = NO_TASK_LIMIT  # live ones
        self.spawn_end = NO_TASK_LIMIT  # up to this `spawned` they cannot be too many
        self.fuel_end = NO_FUEL_LIMIT
        self.choosing: Choice | None = None  # with nacks; they are told before anybody else runs
        self.externals: dict[External, None] = {}  # in flight, in starting order
        self.daemons = self.outside_holds = 0  # live daemon tasks; sources that may yet act
        self.chores: deque[Callable[[], None]] = deque()  # for the hub
        self.failures: dict[Task, None] = {}
        self.finished: deque[Task] = deque(maxlen=self.config.keep_finished)
        self.inbox = Inbox()
        self.closed = self._interrupted = False
        self.started = 0  # tasks that have a stack, or are about to get one
        self._suspended = 0  # those of them in state suspended
        self._woken = 0  # suspended tasks in `_ready`
        self._breaking = False  # close() breaks off what did not end by itself
        self._stop = False  # a task the host waits for has ended
        # KeyboardInterrupt or SystemExit of a task on its way to the host.
        self._escape: BaseException | None = None
        self._escaped: BaseException | None = None  # the last that went there
        self.in_batch = False
        self._resume: Task | None = None  # runs next, before any ready task
        self._hub: greenlet = None
        self.came: Task | None = None  # had the processor when the hub was visited last
        self._last: Task | None = None  # the same, if it did not wait for anything
        self._spare: list[greenlet] = []
        self._stacks: dict[greenlet, None] = {}  # every stack ever started and not ended, in order
        self._poll_at = 0  # once `turns` is greater, the hub is visited
        self._thread = get_ident()
        self._passed_ready: Ready = deque()  # woken, but no slot was free
        self._passed_new: Ready = deque()  # pending, but no slot or stack was free
        self._passed = False  # whether there may be some in one of them
        self._ready: Ready = deque()
        self.lending: Lending | None = None  # there is one while priorities decide
        self.watchdog = Watchdog(self)
        self._use_config()
        self.driver: Driver = driver if driver is not None else AsyncioDriver()
        self.driver.bind(self)  # type: ignore[arg-type]  # what is made is always a Scheduler
        self._stamp = self.driver.now_ns

    # ------------------------------------------------------------------ configuration

    def _use_config(self) -> None:
        """Take over `self.config`. The queues are rebuilt in their present order."""
        config = self.config
        self._rotates = config.fairness_mode == "round-robin"
        # A chooser is asked before the first step: that is a slice end.
        self._slice = n = config.yield_every if self.chooser is None else 0
        # What slices take their steps from: iterators of a tuple are made and run fastest.
        self._slice_steps: Iterable[Any] = (None,) * n if n <= SLICE_TUPLE_MAX else range(n)
        self._max_running = config.max_concurrent_tasks
        self._max_started = config.max_started_tasks
        self._task_timeout = config.task_timeout
        self.watchdog.limit(config.slow_slice)
        self._woken += len(self._passed_ready)
        queued = [
            task
            for queue in (self._passed_ready, self._passed_new, self._ready)
            for task in drained(queue)
        ]
        by_priority = config.fairness_mode == "priority" and self.chooser is None
        lends_anew = by_priority and self.lending is None
        lending = self.lending = (self.lending or Lending(self)) if by_priority else None
        self._passed_ready = self._new_queue(passed=True)
        self._passed_new = self._new_queue(passed=True)
        self._ready = self._new_queue()
        self._append_last = self.appends_last()
        for task in queued:
            self._ready.append(task)
        if lending is not None and lends_anew:
            self._passed = True  # has `park` tell of every wait
            for task in limits.all_tasks(self):
                if task.state is SUSPENDED:
                    lending.begin(task, task.waiting)
        if self.finished.maxlen != config.keep_finished:
            self.finished = deque(self.finished, maxlen=config.keep_finished)

    def appends_last(self) -> Callable[[Task], None]:
        """What queues a task that yields, behind every ready one: in a queue of priorities that is
        not the end. While somebody would hear of a slow slice, the driver is told.
        """
        append: Callable[[Task], None] = getattr(self._ready, "append_last", self._ready.append)
        if not self.listeners or self.config.slow_slice is None:
            return append
        leaves = self.driver.leaves

        def leave_and_append(task: Task) -> None:
            leaves()
            append(task)

        return leave_and_append

    def _new_queue(self, passed: bool = False) -> Ready:
        if self.chooser is not None:
            return fifo_queue() if passed else ChosenQueue(self.chooser)
        if self.lending is not None:
            kind = PassedQueue if passed else PriorityQueue
            return kind(self.config.ageing, lambda: self.turns, self.lending)
        if self.config.fair_by == "scope" and self.config.fairness_mode == "round-robin":
            return ScopeQueue()
        return fifo_queue()

    def _should_rotate(self, me: Task) -> bool:
        """Whether `me`, at the end of its slice, goes behind others."""
        if self.wall is not None and me.terms.watched:
            return False  # the host waits for it, and it ends now
        if self.chooser is not None:
            return len(self._ready) > 0 and self.chooser.preempts(me)
        if self._rotates:
            return len(self._ready) > 0
        return isinstance(self._ready, PriorityQueue) and self._ready.preempts(me)

    def queues(self) -> tuple[Any, ...]:
        """Where tasks wait for the processor."""
        return self._ready, self._passed_ready, self._passed_new

    def configure(self, **changes: Any) -> None:
        """Change settings while running; they hold from the next slice end on."""
        self.check_thread()
        self.host_acts("configure", None)
        self.config = self.config.changed(**changes)
        self._use_config()

    def choose_by(self, chooser: Chooser) -> None:
        """Have `chooser` answer wherever the order is free, instead of a policy."""
        self.check_thread()
        chooser.kernel = self  # type: ignore[assignment]  # what is made is always a Scheduler
        self.chooser = chooser
        self._use_config()

    def host_acts(self, what: str, whom: str | None) -> None:
        """Tell the driver that the host is about to do something between batches, if it is."""
        if self.current is None and not self.in_batch:
            self.driver.acted(what, whom)

    @property
    def is_own_thread(self) -> bool:
        return get_ident() == self._thread

    def check_thread(self) -> None:
        if not self.is_own_thread:
            raise WrongThread(
                "a scheduler belongs to the thread that made it",
                hint="use post() or submit_threadsafe() from others",
            )

    def running_task(self, doing: str) -> Task:
        """The current task; an error that says what cannot be done outside of one."""
        me = self.current
        if me is None or get_ident() != self._thread:
            self.check_thread()
            raise HostError(
                f"only a task can {doing}",
                kind="cannot-suspend-here",
                hint="spawn a task and wait for it; in a running loop, await call_async",
            )
        return me

    def now_us(self) -> int:
        return self.driver.now_us()

    def steps_now(self) -> int:
        """Steps used so far, to the step."""
        me = self.current
        if me is None or me.stack is None:
            return self.steps
        return self.steps + me.left - int(me.it.__length_hint__())

    @property
    def stack_depth(self) -> int:
        """How many Python frames deep a task's stack may be, the kernel's and the host's own."""
        return self.depth_max + DEPTH_RESERVE

    def poll_soon(self) -> None:
        """Have the hub visited at the next switch or slice end."""
        self._poll_at = -1

    def poll_after(self, switches: int) -> None:
        """Have the hub visited after so many switches; sooner if that was asked for meanwhile: it
        has a chore then, or the batch is to end.
        """
        if self._poll_at >= 0:
            self._poll_at = self.turns + switches

    @property
    def live(self) -> int:
        """How many tasks have not ended."""
        return self.spawned - self.ended

    # ------------------------------------------------------------------ wake-ups

    def claim(self, task: Task, gen: int, branch: int, value: Any = None) -> bool:
        """Wake the wait `gen` of `task`.

        False: another wake-up had won; this one is dropped and counted.
        """
        if task.gen != gen:
            self.counters.late += 1
            return False
        task.gen = gen + 1
        task.branch = branch
        task.value = value
        task.waiting = None
        self._woken += 1
        self._ready.append(task)
        if self.listeners:
            me = self.current
            self.emit("TaskReady", task, by=None if me is None else me.id)
        if not self.in_batch:
            self.driver.notify()
        return True

    def wake_all(self, waiters: Waiters) -> None:
        """Wake everyone in `waiters`, in order of arrival; they look themselves what happened."""
        entries = waiters.entries
        if len(entries) >= FREE_WORK:
            self.owe(len(entries))
        while entries:
            task, gen, branch, _ = entries.popleft()
            if task.gen == gen:
                self.claim(task, gen, branch)
        waiters.stale = 0

    def wake_cancelled(self, task: Task) -> None:
        self.claim(task, task.gen, CANCEL)

    def throw(self, task: Task, error: BaseException) -> None:
        """End the wait of a parked task with `error`."""
        self.claim(task, task.gen, THROW, error)

    # ------------------------------------------------------------------ for the layers above

    def has_work(self) -> bool:
        """Whether another batch has something to do at once."""
        if self._interrupted or self.inbox.filled:
            return True
        if len(self._ready) or self._resume or self.chores:
            return True
        return self._passed and self._lets_in()

    def _lets_in(self) -> bool:
        """Whether there is a slot for one that was passed over.

        Asked right before the next task is taken, so nobody can take the slot in between.
        """
        free = self._max_running - self.started + self._suspended
        if self._passed_ready:
            return free > 0
        if self._passed_new:
            return free > self._woken and self.started < self._max_started
        self._passed = self.lending is not None  # which is told of every wait
        return False

    def post(self, call: Callable[[], None]) -> None:
        """Have the hub call `call`; from any thread."""
        self.inbox.post(call)
        self.driver.wake()

    def add_chore(self, call: Callable[[], None]) -> None:
        """Have the hub call `call` once the running task gives up control."""
        self.chores.append(call)
        self._poll_at = -1
        if not self.in_batch:
            self.driver.notify()

    def has_ready(self) -> bool:
        return len(self._ready) > 0

    def queued(self) -> list[Task]:
        """Every task in some queue, ended ones that were not skipped yet left out.

        For the invariants.
        """
        resume = [] if self._resume is None else [self._resume]
        queued = [*resume, *(task for queue in self.queues() for task in queue)]
        return [task for task in queued if not task.is_done]

    def running_count(self) -> int:
        return self.started - self._suspended

    def woken_count(self) -> int:
        return self._woken + len(self._passed_ready)

    def interrupt(self) -> None:
        """Ctrl-C: sets a flag and ends the slice; may be called from a signal handler."""
        self._interrupted = True
        me = self.current
        if me is not None and me.stack is not None and self.driver.cuts_slices:
            deque(me.it, 0)
        self.driver.wake()

    def account(self, task: Task) -> None:
        """Count the steps `task` has taken since they were last counted."""
        left = task.it.__length_hint__()
        used = task.left - left
        task.left = left
        task.steps += used
        self.steps += used

    def owe(self, items: int, steps_each: int = 1) -> None:
        """Count steps for work that the running task did on so many tasks, waits or branches where
        no slice may end; if they are too many, the slice ends at its next step. A few are free.
        """
        me = self.current
        if me is None or items < FREE_WORK:
            return
        steps = items * steps_each
        if me.stack is not None:
            it = me.it
            left = it.__length_hint__()
            deque(islice(it, steps), 0)
            steps -= left
        if steps > 0:
            me.steps += steps
            self.steps += steps

    def cut_slice(self, task: Task) -> None:
        """Have `task` come to a slice end at its next step; the rest it has not taken."""
        if task.stack is None:
            return
        self.account(task)
        deque(task.it, 0)
        task.left = 0

    @property
    def is_interrupted(self) -> bool:
        """Whether an interrupt has come that the hub has not heard yet."""
        return self._interrupted

    def forget_interrupt(self) -> None:
        """An interrupt that came too late for the hub to hear is not for what runs next."""
        self._interrupted = False

    def emit(self, event: str, task: Task | None = None, /, **fields: Any) -> None:
        """Tell the listeners.

        Hot paths look at `listeners` first and build nothing when it is empty.
        """
        if self.listeners:
            made = listing.make_event(self, event, task, fields)
            for listener in list(self.listeners):
                listener(made)


def drained(queue: Ready) -> Iterable[Task]:
    """Empty `queue`, in its order."""
    while len(queue):
        yield queue.popleft()
