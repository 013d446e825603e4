"""Slots and stacks: max_concurrent_tasks and max_started_tasks, whatever tasks do meanwhile.

No limit is passed, no slot stays empty while somebody could use it, who was woken comes before who
is new, and both come in their order: under every policy, also while the limits change.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from omega.concurrency import Scheduler, SchedulerConfig, VirtualDriver
from omega.errors import Cancelled
from tests.concurrency.states import watched_states

TASKS_MAX = 12
MODES = ("fifo", "round-robin", "priority")


class Gates(RuleBasedStateMachine):
    """Every task spins (it keeps a slot), waits (it gives it back) or ends, as it is told."""

    @initialize(mode=st.sampled_from(MODES), running=st.integers(1, 3), started=st.integers(1, 5))
    def make(self, mode, running, started):
        self.watching = watched_states()
        self.watching.__enter__()
        self.is_priority = mode == "priority"
        config = SchedulerConfig(
            fairness_mode=mode,
            max_concurrent_tasks=running,
            max_started_tasks=started,
            ageing=None,
        )
        self.s = Scheduler(config, driver=VirtualDriver())
        self.s.listeners.append(self.heard)
        self.tasks = []
        self.orders = {}  # task -> spin, wait or end
        self.gates = {}
        self.woken = []  # in the order they were
        self.faults = []

    def live(self, *states):
        return [task for task in self.tasks if task.state in states]

    # -- what tasks do

    def body(self):
        task = self.s.current
        while self.orders[task] != "end":
            if self.orders[task] == "spin":
                self.s.yield_now()
            else:
                gate = self.gates[task] = self.s.cell()
                try:
                    self.s.sync(gate.event)
                except Cancelled:
                    self.orders[task] = "end"
                    raise
            self.s._check()

    def heard(self, event):
        """Looks at the scheduler at every start and every return from a wait."""
        if event["event"] not in ("TaskStarted", "TaskResumed"):
            return
        s = self.s
        limit, stacks = s.config.max_concurrent_tasks, s.config.max_started_tasks
        task = self.tasks[int(event["task"]) - 1]
        self.expect(s.running_count() <= limit, f"{task} is one too many")
        if event["event"] == "TaskResumed":
            before = [each for each in self.woken[: self.woken.index(task)] if each.is_ready]
            self.woken.remove(task)
        else:
            self.expect(s.started <= stacks, f"{task} has a stack too many")
            used = s.running_count() + s.woken_count()
            self.expect(used <= limit, f"{task} took the slot of one that was woken")
            before = [each for each in self.live("pending") if each.seq < task.seq]
        if not self.is_priority:  # test_policies.py tells who is first there
            self.expect(not before, f"{task} overtook {before}")

    def expect(self, holds, otherwise):
        """Noted: to raise here would hit the kernel in the middle of something."""
        if not holds:
            self.faults.append(otherwise)

    # -- rules

    @precondition(lambda self: len(self.live("pending", "running", "suspended")) < TASKS_MAX)
    @rule(
        priority=st.integers(0, 2),
        order=st.sampled_from(["spin", "wait", "end"]),
        many=st.booleans(),
    )
    def spawn(self, priority, order, many):
        for _ in range(3 if many else 1):
            task = self.s.spawn(self.body, priority=priority)
            self.orders[task] = order
            self.tasks.append(task)

    @precondition(lambda self: self.live("running", "suspended"))
    @rule(data=st.data(), order=st.sampled_from(["spin", "wait", "end"]))
    def tell(self, data, order):
        task = data.draw(st.sampled_from(self.live("running", "suspended")))
        self.orders[task] = order
        if task.state == "suspended" and task.waiting is not None:
            self.woken.append(task)
            self.gates[task].put()

    @precondition(lambda self: self.live("suspended"))
    @rule(data=st.data(), order=st.sampled_from(["spin", "wait", "end"]), us=st.integers(1, 40))
    def tell_later(self, data, order, us):
        """While the others spin."""
        task = data.draw(st.sampled_from(self.live("suspended")))

        def tell():
            if task.state == "suspended" and task.waiting is not None:
                self.orders[task] = order
                self.woken.append(task)
                self.gates[task].put()

        self.s.call_later(us * 1e-6, tell)

    @precondition(lambda self: self.live("pending", "running", "suspended"))
    @rule(data=st.data(), us=st.integers(0, 40))
    def cancel(self, data, us):
        task = data.draw(st.sampled_from(self.live("pending", "running", "suspended")))

        def cancel():
            if task.state == "suspended" and task.waiting is not None:
                self.woken.append(task)
            self.s.cancel(task)

        if us:
            self.s.call_later(us * 1e-6, cancel)
        else:
            cancel()

    @rule(running=st.integers(1, 4), started=st.integers(1, 6), us=st.integers(0, 40))
    def configure(self, running, started, us):
        def change():
            # What is in flight is never preempted, so only what comes is held back.
            running_now = max(running, self.s.running_count())
            self.s.configure(
                max_concurrent_tasks=running_now, max_started_tasks=max(started, self.s.started)
            )

        if us:
            self.s.call_later(us * 1e-6, change)
        else:
            change()

    @rule(us=st.integers(1, 50))
    def settle(self, us):
        reached = []

        def over():
            reached.append(True)
            self.s._stop = True  # spinners never let a batch end

        self.s.call_later(us * 1e-6, over)
        self.s.run_until(lambda: bool(reached))
        self.s._check()
        for task in self.tasks:
            if task.state == "error":
                raise task.outcome
        assert not self.faults, self.faults

    @rule()
    def nobody_waits_in_vain(self):
        """After some time without news: no slot is empty that somebody could use."""
        self.settle(60)
        s = self.s
        running, woken = s.running_count(), s.woken_count()
        limit = s.config.max_concurrent_tasks
        is_full = running + woken >= limit or s.started >= s.config.max_started_tasks
        # A policy may leave someone waiting for the processor, but nobody for a slot that is free.
        assert running >= limit or not s._passed_ready
        assert is_full or not any(task.state == "pending" for task in s._passed_new)
        if not self.is_priority:
            assert running >= limit or not woken
            assert is_full or not self.live("pending")

    def teardown(self):
        if not hasattr(self, "s"):
            return
        try:
            self.s.listeners.clear()
            self.s.close()
            self.s._check()
            assert all(task.is_done for task in self.tasks)
            assert (self.s.live, self.s.started, self.s.running_count()) == (0, 0, 0)
        finally:
            self.watching.__exit__(None, None, None)


TestGates = Gates.TestCase
TestGates.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=30, deadline=None
)
