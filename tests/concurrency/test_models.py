"""Channels and locks against small pure models, whatever is done to them in whatever order."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omega.concurrency import Mutex, Semaphore, always, choose, never, timer_event, wrap
from tests.concurrency.actors import US, Actors, Turns, Wait

SETTINGS = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "60")), stateful_step_count=40, deadline=None
)
ACTORS = 5
DELAYS_US = st.integers(1, 6)
TIMEOUTS_US = st.none() | DELAYS_US


class Machine(RuleBasedStateMachine):
    """Rules for everybody: time, cancels, new actors for those that ended."""

    def __init__(self):
        super().__init__()
        self.real, self.turns = Actors(), Turns()
        for _ in range(ACTORS):
            self.add()

    def add(self):
        assert self.real.add() == self.turns.add()

    def tell(self, data, really, model):
        """Tell an idle actor; the same command, twice."""
        i = data.draw(st.sampled_from(sorted(self.turns.idle)), label="actor")
        assert self.real.is_idle(i)
        self.real.tell(i, really)
        self.turns.tell(i, model)

    def tell_at_once(self, data, really, model):
        """Tell to do what needs no wait: done, whether it has been asked to end or not."""

        def done(i):
            self.turns.log[i].append(("ok", model()))

        self.tell(data, really, done)

    def someone(self, data):
        return data.draw(st.integers(0, len(self.real.tasks) - 1), label="whom")

    is_someone_idle = precondition(lambda self: self.turns.idle)

    @is_someone_idle
    @rule(data=st.data())
    def cancel(self, data):
        j = self.someone(data)
        self.tell_at_once(
            data, lambda: self.real.s.cancel(self.real.tasks[j]), lambda: self.turns.cancel(j)
        )

    @rule(data=st.data(), us=DELAYS_US)
    def cancel_later(self, data, us):
        j = self.someone(data)
        self.real.s.call_later(us * US, lambda: self.real.s.cancel(self.real.tasks[j]))
        self.turns.after(us, lambda: self.turns.cancel(j))

    @is_someone_idle
    @rule(data=st.data(), us=st.integers(1, 8))
    def spend(self, data, us):
        """Time passes while others are ready to go on."""

        def spent(i):
            self.turns.pass_time(us)
            self.turns.log[i].append("cancelled" if i in self.turns.asked else ("ok", None))

        self.tell(data, lambda: self.real.s.charge(us), spent)

    @rule(us=st.integers(0, 10))
    def settle(self, us):
        self.real.settle(us)
        self.turns.settle(us)
        self.agree()
        while len(self.turns.log) - len(self.turns.ended) < ACTORS:
            self.add()

    def agree(self):
        assert self.real.log == self.turns.log
        ended = {i for i, task in enumerate(self.real.tasks) if task.is_done}
        assert ended == self.turns.ended
        idle = {i for i in range(len(self.real.tasks)) if self.real.is_idle(i)}
        assert idle == self.turns.idle
        assert self.real.s.now_us() == self.turns.now_us

    @invariant()
    def it_is_sound(self):
        self.real.s._check()

    def teardown(self):
        self.settle(20)
        self.real.close()

    # -- waiting

    def wait(self, data, branches, timeout_us, is_plain):
        """Have an actor wait for any of `branches`."""

        def really():
            made = [self.event(branch) for branch in branches]
            event = made[0]
            if not is_plain:
                tagged = [wrap(each, lambda value, i=i: (i, value)) for i, each in enumerate(made)]
                event = choose(*tagged)
            s = self.real.s
            if timeout_us is None:
                return s.sync(event)
            return s.with_timeout(timeout_us * US, lambda: s.sync(event))

        def model(i):
            turns = self.turns
            if i in turns.asked:
                turns.log[i].append("cancelled")
                return
            wait = turns.start(i, Wait(branches, is_plain), timeout_us)
            for k, branch in enumerate(branches):
                result = self.try_now(i, branch)
                if result is not None:
                    del turns.waits[i]
                    turns.log[i].append(self.shown(wait, k, result))
                    return
            refused = self.refused(i, branches) if is_plain else None
            if refused is not None:
                del turns.waits[i]
                turns.log[i].append(refused)
                return
            for k, branch in enumerate(branches):
                self.block(i, k, branch)

        self.tell(data, really, model)

    def shown(self, wait, k, result):
        """`result` of branch `k` as the actor logs it."""
        if result[0] != "ok" or wait.is_plain:
            return result if result[0] == "ok" else result[0]
        return ("ok", (k, result[1]))

    def finish(self, i, k, result):
        """Branch `k` of `i` has happened. False: it lost."""
        wait = self.turns.waits.get(i)
        return wait is not None and self.turns.wake(i, self.shown(wait, k, result))

    def event(self, branch):
        if branch[0] == "timer":
            return timer_event(branch[1] * US)
        return always(None) if branch[0] == "always" else never

    def try_now(self, i, branch):
        return ("ok", None) if branch[0] == "always" else None

    def refused(self, i, branches):
        return None

    def block(self, i, k, branch):
        if branch[0] == "timer":
            wait = self.turns.waits[i]

            def due():
                if self.turns.waits.get(i) is wait:
                    self.finish(i, k, ("ok", None))

            self.turns.after(branch[1], due)


OTHERS = st.one_of(
    st.tuples(st.just("timer"), DELAYS_US), st.just(("always",)), st.just(("never",))
)


# ---------------------------------------------------------------------- channels

VALUES = st.integers(0, 99)
CHANNEL_BRANCHES = st.one_of(
    st.tuples(st.just("recv"), st.integers(0, 1)),
    st.tuples(st.just("send"), st.integers(0, 1), VALUES),
)


class ModelChannel:
    def __init__(self, capacity):
        self.capacity, self.items, self.closed = capacity, [], False
        self.receivers, self.senders = [], []  # (actor, branch), (actor, branch, value)


class Channels(Machine):
    @initialize(capacities=st.tuples(st.integers(0, 3), st.integers(0, 3)))
    def make(self, capacities):
        self.channels = [self.real.s.channel(n) for n in capacities]
        self.models = [ModelChannel(n) for n in capacities]
        self.turns.forget = self._forget

    @Machine.is_someone_idle
    @rule(data=st.data(), branch=CHANNEL_BRANCHES, timeout_us=TIMEOUTS_US)
    def send_or_receive(self, data, branch, timeout_us):
        self.wait(data, [branch], timeout_us, is_plain=True)

    @Machine.is_someone_idle
    @rule(
        data=st.data(),
        branches=st.lists(CHANNEL_BRANCHES | OTHERS, min_size=1, max_size=3),
        timeout_us=TIMEOUTS_US,
    )
    def choose(self, data, branches, timeout_us):
        self.wait(data, branches, timeout_us, is_plain=False)

    @Machine.is_someone_idle
    @rule(data=st.data(), which=st.integers(0, 1))
    def close(self, data, which):
        self.tell_at_once(data, self.channels[which].close, lambda: self._close(which))

    # -- the model

    def _forget(self, i):
        for channel in self.models:
            channel.receivers = [entry for entry in channel.receivers if entry[0] != i]
            channel.senders = [entry for entry in channel.senders if entry[0] != i]

    def _close(self, which):
        channel = self.models[which]
        if not channel.closed:
            channel.closed = True
            for i, k, *_ in [*channel.receivers, *channel.senders]:
                self.finish(i, k, ("channel-closed",))

    def event(self, branch):
        if branch[0] == "recv":
            return self.channels[branch[1]].recv_event()
        if branch[0] == "send":
            return self.channels[branch[1]].send_event(branch[2])
        return super().event(branch)

    def try_now(self, i, branch):
        if branch[0] not in ("recv", "send"):
            return super().try_now(i, branch)
        channel = self.models[branch[1]]
        if branch[0] == "recv":
            if channel.senders:
                other, k, value = channel.senders[0]
                channel.items.append(value)
                self.finish(other, k, ("ok", None))
            if channel.items:
                return ("ok", channel.items.pop(0))
            return ("channel-closed",) if channel.closed else None
        if channel.closed:
            return ("channel-closed",)
        if channel.receivers:
            other, k = channel.receivers[0]
            self.finish(other, k, ("ok", branch[2]))
            return ("ok", None)
        if len(channel.items) < channel.capacity:
            channel.items.append(branch[2])
            return ("ok", None)
        return None

    def block(self, i, k, branch):
        if branch[0] == "recv":
            self.models[branch[1]].receivers.append((i, k))
        elif branch[0] == "send":
            self.models[branch[1]].senders.append((i, k, branch[2]))
        else:
            super().block(i, k, branch)

    def agree(self):
        super().agree()
        for channel, model in zip(self.channels, self.models, strict=True):
            assert list(channel.items) == model.items
            assert channel.closed == model.closed
            for waiters, expected in (
                (channel.receivers, model.receivers),
                (channel.senders, model.senders),
            ):
                assert [int(task.name) for task in waiters.live()] == [e[0] for e in expected]
            assert not (model.items and model.receivers)
            assert not model.senders or len(model.items) == model.capacity


# ---------------------------------------------------------------------- semaphores and mutexes

SLOTS = 3  # the number of things with slots: two semaphores, the others mutexes
SLOT_BRANCHES = st.tuples(st.just("take"), st.integers(0, SLOTS))


class ModelSlots:
    def __init__(self, slots, is_mutex):
        self.slots = self.free = slots
        self.is_mutex = is_mutex
        self.waiters = []
        self.holder = None


class Locks(Machine):
    @initialize(slots=st.tuples(st.integers(0, 3), st.integers(1, 2)))
    def make(self, slots):
        s = self.real.s
        self.locks = [*(Semaphore(s, n) for n in slots), Mutex(s), Mutex(s)]
        self.models = [*(ModelSlots(n, False) for n in slots), *(ModelSlots(1, True),) * 0]
        self.models += [ModelSlots(1, True), ModelSlots(1, True)]
        self.turns.forget = self._forget
        self.turns.at_end = self._let_go
        for i in range(ACTORS):
            self._really_let_go(i)

    def add(self):
        super().add()
        self._really_let_go(len(self.real.tasks) - 1)

    def _really_let_go(self, i):
        def at_end():
            for lock in self.locks[2:]:
                if lock.holder is self.real.tasks[i]:
                    lock.release()

        self.real.at_end[i] = at_end

    @Machine.is_someone_idle
    @rule(data=st.data(), branch=SLOT_BRANCHES, timeout_us=TIMEOUTS_US)
    def take(self, data, branch, timeout_us):
        self.wait(data, [branch], timeout_us, is_plain=True)

    @Machine.is_someone_idle
    @rule(
        data=st.data(),
        branches=st.lists(SLOT_BRANCHES | OTHERS, min_size=1, max_size=3),
        timeout_us=TIMEOUTS_US,
    )
    def choose(self, data, branches, timeout_us):
        self.wait(data, branches, timeout_us, is_plain=False)

    @Machine.is_someone_idle
    @rule(data=st.data())
    def give_back(self, data):
        """A slot that was taken, mostly; a semaphore lets anybody give back."""
        taken = [k for k, lock in enumerate(self.models) if lock.free < lock.slots]
        which = data.draw(st.sampled_from(taken or [2]), label="which")

        def model(i):
            lock = self.models[which]
            if lock.is_mutex and lock.holder != i:
                self.turns.log[i].append("task-error")
                return
            self._release(lock)
            self.turns.log[i].append(("ok", None))

        self.tell(data, self.locks[which].release, model)

    @Machine.is_someone_idle
    @rule(data=st.data(), which=st.integers(0, 1), slots=st.integers(0, 4))
    def resize(self, data, which, slots):
        def model():
            lock = self.models[which]
            lock.free += slots - lock.slots
            lock.slots = slots
            while lock.free > 0 and lock.waiters:
                lock.free -= 1
                self._hand_over(lock)

        self.tell_at_once(data, lambda: self.locks[which].resize(slots), model)

    # -- the model

    def _forget(self, i):
        for lock in self.models:
            lock.waiters = [entry for entry in lock.waiters if entry[0] != i]

    def _hand_over(self, lock):
        i, k = lock.waiters[0]
        lock.holder = i
        self.finish(i, k, ("ok", None))

    def _release(self, lock):
        lock.holder = None
        if lock.waiters and lock.free >= 0:
            self._hand_over(lock)
        else:
            lock.free += 1

    def _let_go(self, i):
        for lock in self.models[2:]:
            if lock.holder == i:
                self._release(lock)

    def event(self, branch):
        return self.locks[branch[1]].event if branch[0] == "take" else super().event(branch)

    def try_now(self, i, branch):
        if branch[0] != "take":
            return super().try_now(i, branch)
        lock = self.models[branch[1]]
        if lock.free <= 0:
            return None
        lock.free -= 1
        lock.holder = i
        return ("ok", None)

    def refused(self, i, branches):
        """A cycle of plain waits for mutexes, found before it closes."""
        holder = self._holder(branches[0])
        for _ in range(ACTORS):
            if holder == i:
                return "deadlock"
            wait = self.turns.waits.get(holder)
            if wait is None or wait.result is not None or not wait.is_plain:
                return None
            holder = self._holder(wait.branches[0])
        return None

    def _holder(self, branch):
        lock = self.models[branch[1]]
        return lock.holder if lock.is_mutex else None

    def block(self, i, k, branch):
        if branch[0] == "take":
            self.models[branch[1]].waiters.append((i, k))
        else:
            super().block(i, k, branch)

    def agree(self):
        super().agree()
        for lock, model in zip(self.locks, self.models, strict=True):
            assert (lock.slots, lock.free) == (model.slots, model.free)
            assert [int(task.name) for task in lock.waiters.live()] == [e[0] for e in model.waiters]
            assert model.free <= 0 or not model.waiters, "nobody waits for what is free"
            if model.is_mutex:
                held = None if lock.holder is None else int(lock.holder.name)
                assert held == model.holder
                assert model.free == (held is None), "one slot, held or free"


TestChannels = Channels.TestCase
TestChannels.settings = SETTINGS
TestLocks = Locks.TestCase
TestLocks.settings = SETTINGS
