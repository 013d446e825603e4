"""Scopes against a pure model: nesting, spawns, failures, cancels, shields, timeouts, dooms.

The model knows a tree and one rule: going outwards from where a task is, the first thing that was
told to end counts, unless a shield comes before it.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omega.concurrency import Scheduler, VirtualDriver, always, choose, end_event
from omega.errors import Cancelled, OmegaError
from tests.concurrency.states import watched_states

ACTORS_MAX = 9
KINDS = ("plain", "plain", "shield", "timeout")


# ---------------------------------------------------------------------- the model


class Request:
    def __init__(self, kind):
        self.kind = kind


class ModelScope:
    def __init__(self, parent, owner, shielded=False):
        self.parent, self.owner, self.shielded = parent, owner, shielded
        self.cancel = None
        self.tasks, self.failed = [], []


class Actor:
    def __init__(self, scope):
        self.scope = scope  # owns it
        self.inner = scope
        self.asked = None
        self.log = []
        self.state = "suspended"
        self.leaving = None  # (how its body ended,) while it waits for the end of its scope
        self.observed = False

    @property
    def is_done(self):
        return self.state != "suspended"


class Tree:
    """What must happen. `settle()` lets everybody react until nobody has to."""

    def __init__(self):
        self.root = ModelScope(None, None)
        self.actors = []

    def spawn(self, scope):
        actor = Actor(scope)
        scope.tasks.append(actor)
        self.actors.append(actor)
        return actor

    def doom(self, actor):
        scope, owner = actor.inner, actor
        while scope is not None:
            while owner is not None and scope is owner.scope:
                if owner.asked is not None:
                    return owner.asked
                owner = scope.owner
            if scope.cancel is not None:
                return scope.cancel
            if scope.shielded:
                return None
            scope = scope.parent
        return None

    def cancel_task(self, actor, kind):
        if not actor.is_done and actor.asked is None:
            actor.asked = Request(kind)

    def cancel_scope(self, scope, kind):
        if scope.cancel is None:
            scope.cancel = Request(kind)

    def settle(self):
        while any(self._react(actor) for actor in self.actors if not actor.is_done):
            pass

    def _react(self, actor):
        if actor.leaving is not None:
            if actor.inner.tasks:
                return False
            self._leave(actor)
            return True
        doom = self.doom(actor)
        if doom is None:
            return False
        self.raise_in(actor, doom)
        return True

    def raise_in(self, actor, failure):
        """`failure` (a Request or a text) goes up from where the actor is."""
        if actor.inner is not actor.scope:
            if actor.inner.tasks:
                self.cancel_scope(actor.inner, "failure")
            actor.leaving = (failure,)
        elif isinstance(failure, Request) and failure.kind == "timeout" and failure is actor.asked:
            self.end(actor, "error", "timeout-error")
        elif isinstance(failure, Request):
            self.end(actor, "cancelled", None)
        else:
            self.end(actor, "error", failure)

    def _leave(self, actor):
        scope, (failure,) = actor.inner, actor.leaving
        actor.inner, actor.leaving = scope.parent, None
        own = failure is not None and failure is scope.cancel
        failed = [task for task in scope.failed if not task.observed]
        if (failure is None or own) and failed:
            for task in failed:
                task.observed = True
            actor.log.append(failed[0].error if len(failed) == 1 else "tasks-failed")
        elif own:
            actor.log.append("timeout-error" if failure.kind == "timeout" else "cancelled here")
        elif isinstance(failure, Request):
            actor.log.append("cancelled")
            self.raise_in(actor, failure)
        else:
            actor.log.append("left" if failure is None else failure)

    def end(self, actor, state, error):
        actor.state, actor.error = state, error
        actor.scope.tasks.remove(actor)
        if state == "error" and not actor.observed and actor.scope is not self.root:
            actor.scope.failed.append(actor)
            self.cancel_scope(actor.scope, "failure")


# ---------------------------------------------------------------------- the real ones


class Real:
    def __init__(self):
        self.s = Scheduler(driver=VirtualDriver())
        self.tasks, self.mail, self.log, self.open = [], [], [], []

    def spawn(self, **options):
        """From a task, or from the host: a task that does what it is told."""
        i = len(self.tasks)
        self.mail.append(self.s.channel(1))
        self.log.append([])
        self.open.append([])
        self.tasks.append(self.s.spawn(lambda: self.listen(i), **options))

    def listen(self, i):
        while True:
            command = self.mail[i].recv()
            if command == "leave":
                return
            command()

    def enter(self, i, **options):
        """Opens a scope and listens in it; logs how it was left."""
        mine = []

        def body():
            mine.append(self.s.current.inner)
            self.open[i].append(mine[0])
            self.listen(i)

        try:
            if options.pop("shielded", False):
                self.s.shield(body)
            else:
                self.s.with_scope(body, **options)
            how = "left"
        except Cancelled as error:
            if not mine or error.request is not mine[0].cancel:
                self.log[i].append("cancelled")
                raise
            how = "cancelled here"
        except OmegaError as error:
            how = error.kind
        except ValueError:
            how = "ValueError"
        finally:
            del self.open[i][-1:]
        self.log[i].append(how)

    def settle(self, seconds=0.0):
        reached = []
        self.s.call_later(seconds, lambda: reached.append(True))
        self.s.run_until(lambda: bool(reached) and not self.s.has_work())
        self.s._check()


class Scopes(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.watching = watched_states()
        self.watching.__enter__()
        self.real, self.tree = Real(), Tree()
        self.moment = 0  # no two timeouts tie: test_ties is about those
        self.timers = []
        for _ in range(2):
            self.real.spawn()
            self.tree.spawn(self.tree.root)
        self.agree()

    def tell(self, data, command):
        """Any actor that waits for a command; answers its model."""
        free = [
            i for i, actor in enumerate(self.tree.actors) if not actor.is_done and not actor.leaving
        ]
        i = data.draw(st.sampled_from(free), label="actor")
        given = command if command == "leave" else lambda: command(i)
        entries = self.real.mail[i].receivers.entries
        while not self.real.s.claim(*entries.popleft()[:3], given):
            pass  # a wait it was called away from
        return self.tree.actors[i]

    def someone_free(self):
        return any(not actor.is_done and not actor.leaving for actor in self.tree.actors)

    someone = precondition(someone_free)
    room = precondition(
        lambda self: sum(not actor.is_done for actor in self.tree.actors) < ACTORS_MAX
    )

    def timeout_s(self, ms):
        self.moment += 1
        return ms / 1000 + self.moment * 1e-6

    def due(self, seconds, then):
        self.timers.append((self.real.s.driver.now() + seconds, then))

    @someone
    @rule(data=st.data(), kind=st.sampled_from(KINDS), ms=st.integers(1, 9))
    def enter(self, data, kind, ms):
        seconds = self.timeout_s(ms)
        options = {"plain": {}, "shield": {"shielded": True}, "timeout": {"timeout": seconds}}[kind]
        actor = self.tell(data, lambda i: self.real.enter(i, **options))
        actor.inner = scope = ModelScope(actor.inner, actor, kind == "shield")
        if kind == "timeout":
            self.due(seconds, lambda: self.time_out(scope))
        self.agree()

    def depth(self, actor):
        n, scope = 0, actor.inner
        while scope is not actor.scope:
            n, scope = n + 1, scope.parent
        return n

    def time_out(self, scope):
        actor = scope.owner
        inner = actor.inner
        while not actor.is_done and inner is not actor.scope:
            if inner is scope:
                self.tree.cancel_scope(scope, "timeout")
                return
            inner = inner.parent

    @someone
    @room
    @rule(data=st.data(), ms=st.none() | st.integers(1, 9))
    def spawn(self, data, ms):
        seconds = None if ms is None else self.timeout_s(ms)
        actor = self.tell(data, lambda i: self.real.spawn(timeout=seconds))
        child = self.tree.spawn(actor.inner)
        if seconds is not None:
            self.due(seconds, lambda: self.tree.cancel_task(child, "timeout"))
        self.agree()

    @someone
    @rule(data=st.data())
    def leave(self, data):
        actor = self.tell(data, "leave")
        if actor.inner is actor.scope:
            self.tree.end(actor, "completed", None)
        else:
            actor.leaving = (None,)
        self.agree()

    @someone
    @rule(data=st.data())
    def fail(self, data):
        def command(i):
            raise ValueError(i)

        actor = self.tell(data, command)
        self.tree.raise_in(actor, "ValueError")
        self.agree()

    @someone
    @rule(data=st.data())
    def cancel_task(self, data):
        j = data.draw(st.integers(0, len(self.real.tasks) - 1), label="whom")
        self.tell(data, lambda i: self.real.s.cancel(self.real.tasks[j]))
        self.tree.cancel_task(self.tree.actors[j], "cancel")
        self.agree()

    @someone
    @rule(data=st.data())
    def cancel_scope(self, data):
        chosen = [(j, k) for j, scopes in enumerate(self.real.open) for k in range(len(scopes))]
        if not chosen:
            return
        j, k = data.draw(st.sampled_from(chosen), label="whose, which")
        self.tell(data, lambda i: self.real.s.cancel_scope(self.real.open[j][k]))
        actor = self.tree.actors[j]
        scope = actor.inner
        for _ in range(self.depth(actor) - 1 - k):
            scope = scope.parent
        self.tree.cancel_scope(scope, "cancel")
        self.agree()

    @someone
    @rule(data=st.data())
    def observe(self, data):
        j = data.draw(st.integers(0, len(self.real.tasks) - 1), label="whom")
        s = self.real.s
        self.tell(data, lambda i: s.sync(choose(end_event(self.real.tasks[j]), always(None))))
        self.tree.actors[j].observed = True
        self.agree()

    @rule(ms=st.integers(1, 6))
    def wait(self, ms):
        until = self.real.s.driver.now() + ms / 1000
        self.real.settle(ms / 1000)
        self.timers.sort(key=lambda timer: timer[0])
        while self.timers and self.timers[0][0] <= until:
            self.timers.pop(0)[1]()
            self.tree.settle()
        self.agree()

    def agree(self):
        self.real.settle()
        self.tree.settle()
        for task, log, actor in zip(self.real.tasks, self.real.log, self.tree.actors, strict=True):
            assert (task.state, log) == (actor.state, actor.log), task.id
            if not actor.is_done:
                assert (task.doom is None) == (self.tree.doom(actor) is None), task.id
                assert [child.seq for child in task.inner.tasks] == [
                    self.tree.actors.index(child) + 1 for child in actor.inner.tasks
                ]

    @invariant()
    def it_is_sound(self):
        self.real.s._check()

    def teardown(self):
        try:
            s = self.real.s
            s.close()
            s._check()
            assert s.live == 0
            assert all(task.is_done for task in self.real.tasks)
            assert all(not scopes for scopes in self.real.open), "every scope was left"
        finally:
            self.watching.__exit__(None, None, None)


TestScopes = Scopes.TestCase
TestScopes.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "60")), stateful_step_count=40, deadline=None
)
