"""The kernel: tasks take turns on one thread, each on a stack of its own.

Owns: the states of tasks, the ready queue, slices and step accounting, every switch between stacks,
the hub.
Refuses: to wait, to read a clock, to do I/O (the driver does), to know Lisp.

How it runs. A task is plain data until it first runs; then it borrows a pooled worker stack (a
greenlet). A task that gives up the processor picks the next one itself and switches straight to it
(`_leave`). The hub is whatever stack called `run_batch`; it is shallow, and it alone starts new
stacks, fires timers, runs callbacks and takes what other threads posted. Tasks go to the hub when
nothing is ready, every POLL_SWITCHES switches, and when something is due.

Steps. Generated code takes steps from `registers["_it"]`, the running task's own iterator. A switch
only stores the next task's iterator there; how many steps were used is read off by
`__length_hint__`.

Only _take, park, force_start and _end change a state; the invariants of the queues are in
`state.py`. No switch happens inside an `except` or `finally` block of this module.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import islice, repeat
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from omega.concurrency import deadlock, depth, endings, hub, limits, listing, scopes, stacks, waits
from omega.concurrency.clock import to_us
from omega.concurrency.config import COMPLETED, ERROR, PENDING, RUNNING, SUSPENDED, State
from omega.concurrency.events import UNREADY, Event
from omega.concurrency.scopes import CancelRequest, Scope
from omega.concurrency.state import HUB_STEPS, KernelState
from omega.concurrency.task import PLAIN, Task
from omega.concurrency.watchdog import CHARGED_STEPS
from omega.errors import Closed, OmegaBug

SPARE_STACKS_MAX = 10_000  # idle worker stacks kept for the next tasks


class Kernel(KernelState):
    """The part of a scheduler that decides who runs, and switches. See the module's docstring.

    registers: the globals of generated code; `_it` in it is kept the running task's step iterator.
    depth_max: how many Python frames deep a task's stack may be.
    """

    __slots__ = ()

    # ------------------------------------------------------------------ tasks begin

    def spawn(
        self,
        body: Callable[[], Any],
        name: str | None = None,
        priority: int | None = None,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        daemon: bool = False,
        scope: Scope | None = None,
        token: Any = None,
        locals: Any = None,
        span: Any = None,
        deadline: float | None = None,
    ) -> Task:
        """A new pending task that will run `body()`; never starts it before returning.

        priority: larger first; None takes the parent's. timeout: seconds from its start;
        queue_timeout: seconds until it must have started. deadline: a time of `driver.now()`, for
        it and for whatever it spawns. daemon: does not keep the interpreter alive. scope: None is
        the current one. Raises LimitExceeded for one task too many.
        """
        # None of the parameters is keyword-only: that alone would be a twentieth of a spawn.
        if get_ident() != self._thread:
            self.check_thread()
        if self.closed:
            raise Closed("this scheduler is closed")
        if self.spawned >= self.spawn_end:
            limits.check_tasks(self)
        context = copy_context()
        self.spawned = seq = self.spawned + 1
        parent = self.current
        if parent is None:
            path = None
            self.host_children = number = self.host_children + 1
            priority = priority or 0
            owner, doom, bound = scope or self.root, self.wall or self.root.cancel, None
        else:
            path = parent.path or parent.make_path()
            parent.children = number = parent.children + 1
            if priority is None:
                priority = parent.priority
            owner = parent.inner if scope is None else scopes.home(self, parent, scope)
            doom, bound = parent.doom, parent.terms.deadline
        stamp = self._stamp  # a local: methods are looked up, slots are read
        task = Task()
        task._parent_path, task._number, task.seq = path, number, seq
        task.name, task.priority = name, priority
        task.state, task.scope = PENDING, owner
        task.body = body
        task.locals, task.span = locals, span
        task.created_ns = stamp()
        task.stack = task.waiters = task.doom = None
        task.steps = 0
        task.observed, task.terms = False, PLAIN
        owner.tasks[task] = None
        if self.listeners:
            self.emit("TaskCreated", task, name=name)
        self._ready.append(task)
        if context:  # an empty one is not worth keeping
            task.own_terms().context = context
        if daemon or timeout is not None or queue_timeout is not None or token is not None:
            limits.set_terms(self, task, daemon, timeout, queue_timeout, token)
        if bound is not None or deadline is not None:
            limits.set_deadline(self, task, None if scope is self.root else bound, deadline)
        # A child starts where its parent's stack is: what dooms that is all that can doom it.
        if doom is not None or scope is not None:
            scopes.mark(self, task)
        if parent is None and not self.in_batch:
            self.driver.notify()
        return task

    def _work(self, stack: greenlet) -> greenlet | None:
        """Run the task given on `stack`, which runs, and the next ones, while they are new.

        Answers the stack to switch to when this one lies in the pool; None: it is to end.
        """
        context = stack.gr_context
        registers = self.registers
        stamp = self._stamp
        now_ns = stamp()
        it: Any = None  # the step iterator of the last task
        left = -1  # how many steps are left in it
        while True:
            task = self.current
            if task is None:
                return None
            if context:  # the last task on this stack has set something in it
                stack.gr_context = context = Context()
            task.started_ns = now_ns
            task.inner = task.scope
            task.gen = 0
            task.waiting = task.holds = task.path = None
            task.left = n = self._slice
            if left != n:  # else the last task has taken no step: this one takes its iterator
                it = registers["_it"] = iter(self._slice_steps)
            task.it = it
            task.stack = stack
            if task.terms is not PLAIN or self._task_timeout is not None:
                if task.terms.context is not None:
                    stack.gr_context = context = task.terms.context
                limits.start_clock(self, task)
            if self.steps + n > self.fuel_end:
                limits.trim(self, task)
            if self.listeners:
                self.emit("TaskStarted", task)
            body: Any = task.body
            task.body = None
            value: Any = None
            error: BaseException | None = None
            try:
                if task.doom is not None:
                    raise task.doom.exception()
                value = body()
            except BaseException as raised:
                error = raised
            # Outside the except block: nothing that switches may run inside one.
            body = None
            now_ns = task.ended_ns = stamp()
            self.started -= 1
            task.stack = None
            it = task.it
            left = it.__length_hint__()
            used = task.left - left
            if used:
                task.steps += used
                self.steps += used
            if error is None:
                self._end(task, COMPLETED, value)
            else:
                self._end(task, *endings.of_failure(self, task, error))
            value = error = task = None
            following = self._take() if self.turns <= self._poll_at else None
            if following is not None and following.stack is None:
                self.current = following
                self.turns += 1
                continue
            return None if self._breaking else self._next_stack(stack, following)

    def _next_stack(self, stack: greenlet, following: Task | None) -> greenlet | None:
        """Nobody needs `stack` now: put it into the pool. See `_work`."""
        self.current = None
        if len(self._spare) >= SPARE_STACKS_MAX:
            self._resume = following
            stack.parent = self._hub
            del self._stacks[stack]
            return None
        self._spare.append(stack)
        if following is None:
            return self._hub
        self._enter(following)
        return following.stack

    # ------------------------------------------------------------------ switching

    def _take(self) -> Task | None:
        """The next task to run, in state running; None when none is ready. The caller enters it."""
        while True:
            if self._passed and self._lets_in():
                self._pull()
            if not self._ready:
                return None
            task = self._ready.popleft()
            state = task.state
            if state is RUNNING:
                return task
            if state is SUSPENDED:
                self._woken -= 1
                if self.started - self._suspended >= self._max_running:
                    self._passed_ready.append(task)
                    self._passed = True
                    continue
                self._suspended -= 1
                task.state = RUNNING
                if self.listeners:
                    self.emit("TaskResumed", task)
                return task
            if state is PENDING:
                # A ready task takes the next free slot before any new start.
                started = self.started
                if (
                    started - self._suspended + self._woken >= self._max_running
                    or started >= self._max_started
                ):
                    self._passed_new.append(task)
                    self._passed = True
                    continue
                self.started = started + 1
                task.state = RUNNING
                return task
            # It ended while it was queued: nothing left to do.

    def _enter(self, task: Task) -> None:
        """`task` has the processor from now on; its stack is switched to next."""
        self.current = task
        self.turns += 1
        if task.stack is not None:
            if self.steps + task.left > self.fuel_end:
                limits.trim(self, task)
            self.registers["_it"] = task.it

    def _leave(self, me: Task) -> None:
        """Give the processor to whoever is next; returns when `me`, queued or parked, has it."""
        left = me.it.__length_hint__()
        used = me.left - left
        if used:
            me.left = left
            me.steps += used
            self.steps += used
        if self.turns > self._poll_at:
            self._hub.switch()
            return
        following = self._take()
        if following is me:
            self.turns += 1
            self.stays += 1
            return
        if following is None:
            self._hub.switch()
            return
        stack = following.stack
        if stack is None:
            if not self._spare:
                self._resume = following
                self._hub.switch()
                return
            stack = self._spare.pop()
            self.current = following
            self.turns += 1
        else:  # _enter, spelled out: this is the switch.
            self.current = following
            self.turns += 1
            if self.steps + following.left > self.fuel_end:
                limits.trim(self, following)
            self.registers["_it"] = following.it
        stack.switch(self)

    def park(self, me: Task, event: Any) -> None:
        """Suspend `me`, whose wait on `event` is registered, until a wake-up has won."""
        me.waiting = event
        me.state = SUSPENDED
        me.since = self.turns
        self._suspended += 1
        if self.listeners:
            self.driver.leaves()
            self.emit("TaskSuspended", me, waits_for=listing.stream_text(self, event))
        if self._passed and self.lending is not None:
            self.lending.begin(me, event)
        self._leave(me)

    def _pull(self) -> None:
        """Let one task that was passed over try again, woken ones first."""
        if self._passed_ready:
            self._woken += 1
            self._ready.appendleft(self._passed_ready.popleft())
        else:
            self._ready.appendleft(self._passed_new.popleft())

    # ------------------------------------------------------------------ waiting

    def sync(self, event: Event) -> Any:
        """Wait for `event` and answer its value, or raise its error.

        The one wait everything else is made of.
        """
        me = self.running_task("wait")
        if me.doom is not None:
            waits.heed(self, me, me.doom)
        if event.composed:
            return waits.sync_choice(self, me, event)
        value = event.try_now(self, me)
        if value is not UNREADY:
            return value
        if me.holds:
            limits.refuse_wait(me)
        if event.links:
            deadlock.check_cycle(self, me, event)
        event.block(self, me, 0)
        self.park(me, event)
        if me.branch < 0:
            event.lost(self, me)
            waits.raise_wake(self, me)
        if event.stays:
            return event.try_now(self, me)
        value = me.value
        me.value = None
        return event.finish(value)

    def yield_now(self) -> None:
        """Go once behind every ready task. Costs one step, so a loop that only yields uses fuel and
        virtual time.
        """
        me = self.current
        if me is None or get_ident() != self._thread:
            me = self.running_task("yield")
        if me.doom is not None:
            waits.heed(self, me, me.doom)
        if self.steps >= self.fuel_end:
            limits.out_of_fuel(self)
        self.steps += 1
        me.steps += 1
        if self.chooser is not None:
            self.cut_slice(me)  # this step is none of the slice's
        if me.holds:
            return
        append = self._append_last  # a local: methods are looked up, slots are read
        append(me)
        self._leave(me)
        if me.doom is not None:
            waits.heed(self, me, me.doom)

    def step_aside(self, me: Task) -> None:
        """Go once behind every ready task, with something in hand: a cancel is heeded later."""
        if self.choosing is not None:
            self.choosing.steps_aside = True
        elif len(self._ready) and not me.holds:
            self.go_behind(me)

    def go_behind(self, me: Task) -> None:
        """Queue the running task behind those that are ready; returns when it runs again."""
        if self.listeners:
            self.driver.leaves()
        self._ready.append(me)
        self._leave(me)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`. Zero or less is a yield."""
        me = self.running_task("sleep")
        if seconds <= 0:
            self.yield_now()
            return
        if me.doom is not None:
            waits.heed(self, me, me.doom)
        if me.holds:
            limits.refuse_wait(me)
        when_us = self.driver.now_us() + to_us(seconds)
        self.timers.wake(when_us, me, 0)
        self.park(me, when_us)
        if me.branch < 0:
            self.timers.forget()
            waits.raise_wake(self, me)

    # ------------------------------------------------------------------ slices

    def slice_end(self) -> None:
        """`registers["_it"]` ran out: account, look around, reload. Is no step itself.

        Raises Cancelled, LimitExceeded. A caller that held a stale iterator while the current one
        has steps left is sent back at once.
        """
        me = self.current
        it = self.registers["_it"]
        if it.__length_hint__() or me is None:
            return
        if self.steps + me.left >= self.fuel_end:
            self.account(me)
            limits.out_of_fuel(self)
        self._end_slice(me)

    def charge(self, steps: int) -> None:
        """Count `steps` more steps for a primitive's work; may end the slice."""
        me = self.current
        if me is None or steps <= 0:
            return
        it = me.it
        left = it.__length_hint__()
        if steps < left:
            deque(islice(it, steps), 0)
            return
        deque(it, 0)
        self.steps += steps - left
        me.steps += steps - left
        self._end_slice(me)
        if steps >= CHARGED_STEPS:
            self.watchdog.charged()

    def _end_slice(self, me: Task) -> None:
        used = me.left - me.it.__length_hint__()
        me.left = 0
        me.steps += used
        self.steps += used
        if self.steps > self.fuel_end:
            limits.out_of_fuel(self)
        chooser = self.chooser
        if me.holds:
            limits.held_slice(self, me)
        else:
            if chooser is not None:
                chooser.slice_ended(me, self._ready)
            if self._interrupted or self.driver.poll_due() or self.turns > self._poll_at:
                self.visit_hub(me)
            elif self._should_rotate(me):
                self._ready.append(me)
                self._leave(me)
            else:
                self.turns += 1
                self.stays += 1
                self._poll_at += self.driver.stay_turns
            if me.doom is not None:
                raise me.doom.exception() from None
        n = self._slice if chooser is None else chooser.slice(me)
        if self.steps + n > self.fuel_end:
            n = self.fuel_end - self.steps
            me.it = repeat(None, n)
        elif chooser is not None:
            me.it = repeat(None, n)
        else:
            me.it = iter(self._slice_steps)
        me.left = n
        self.registers["_it"] = me.it

    def visit_hub(self, me: Task) -> None:
        """Let the hub do its chores; it decides who goes on afterwards."""
        self._resume = me
        self._poll_at = -1
        self._leave(me)

    def _gives_way(self, task: Task) -> bool:
        """Whether `task`, back at the hub, goes behind others; it is queued then."""
        if task.stack is None or task.holds or not self._should_rotate(task):
            return False
        self._ready.append(task)
        return True

    # ------------------------------------------------------------------ tasks end

    def end_unstarted(self, task: Task, request: CancelRequest) -> None:
        """A pending task ends at once: its body never runs."""
        task.ended_ns = self._stamp()
        task.trace = None
        self._end(task, *endings.verdict_unstarted(task, request))

    def _end(self, task: Task, state: State, outcome: Any) -> None:
        """`task` is over: its final state, its owner told, its waiters woken."""
        task.state = state
        task.outcome = outcome
        task.body = task.locals = None
        self.ended += 1
        scope = task.scope
        del scope.tasks[task]
        self.finished.append(task)
        if state is not COMPLETED:
            endings.count_end(self, task)
        terms = task.terms
        if terms is not PLAIN:
            endings.end_terms(self, task, terms)
        if self.listeners:
            if task is self.current:
                self.driver.leaves()
            listing.emit_end(self, task)
        if task.waiters is not None:
            self.wake_all(task.waiters)
        if state is ERROR and not task.observed:
            endings.unobserved(self, task)
        if scope.waiter is not None and len(scope.tasks) <= scope.daemons:
            self.claim(*scope.waiter, 0)
        if terms.watched:
            self._stop = True
            self._poll_at = -1

    # ------------------------------------------------------------------ the hub

    def run_batch(self) -> None:
        """Run tasks until none is ready, the driver is due, or the host's task has ended."""
        if self.in_batch:
            raise OmegaBug("a batch inside a batch")
        self.in_batch = True
        self._stop = False
        self._append_last = self.appends_last()
        self._hub = getcurrent()
        entered = False
        try:
            while not self._stop:
                self._poll_at = self.turns + self.driver.poll_switches()
                if entered:
                    depth.leave()
                    entered = False
                hub.do_chores(self)
                task = self._resume
                self._resume = None
                if task is None or self._gives_way(task):
                    task = self._take()
                if task is None:
                    break
                depth.enter(self.stack_depth)
                entered = True
                self._run_from_hub(task)
                if self._escape is not None:
                    escape, self._escape = self._escape, None
                    raise escape
                if self.driver.wants_control():
                    break
        finally:
            if entered:
                depth.leave()
            self.in_batch = False
            self._hub = None

    def _run_from_hub(self, task: Task) -> None:
        """Switch to `task` and come back when some task gives control to the hub."""
        self.stays += task is self._last  # as if it had not been to the hub
        stack, given = task.stack, self
        if stack is None:
            if self._spare:
                stack = self._spare.pop()
            else:
                stack, given = greenlet(stacks.live), [self]  # type: ignore[assignment]
                self._stacks[stack] = None
        self._enter(task)
        stack.switch(given)
        last = self.came = self.current
        self._last = last if last is not None and last.state is RUNNING else None
        self.current = None
        self.registers["_it"] = HUB_STEPS

    def force_start(self) -> bool:
        """Start a task beyond the limits, because nothing else could ever run.

        False: there is none.
        """
        while self._passed_new:
            task = self._passed_new.popleft()
            if task.state is PENDING:
                self.started += 1
                task.state = RUNNING
                self._resume = task
                return True
        return False
