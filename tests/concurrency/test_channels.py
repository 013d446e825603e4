"""Channels: rendezvous, buffers, hand-over, closing, cancelled sides."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omega.concurrency import Scheduler, SchedulerConfig, VirtualDriver, choose, timer_event, wrap
from omega.concurrency.channels import Channel
from omega.errors import TaskCancelled, TaskError
from tests.concurrency.programs import steps

POLICIES = ("fifo", "priority", "round-robin")
JOBS = 1_000


def test_channel_capacity_0_is_a_rendezvous(s, run):
    log = []

    def body():
        channel = s.channel()

        def sender():
            channel.send("x")
            log.append("sent")

        s.spawn(sender)
        s.sleep(1)
        assert log == []
        log.append(channel.recv())
        s.yield_now()

    run(body)
    assert log == ["x", "sent"]


def test_channel_is_fifo_and_bounded(s, run):
    def body():
        channel = s.channel(2)
        sent = []

        def sender():
            for i in range(5):
                channel.send(i)
                sent.append(i)

        s.spawn(sender)
        s.sleep(1)
        assert sent == [0, 1]
        return [channel.recv() for _ in range(5)]

    assert run(body) == [0, 1, 2, 3, 4]


def test_close_wakes_all_and_drains_the_buffer(s, run):
    def body():
        channel = s.channel(1)
        channel.send("kept")
        blocked = s.spawn(lambda: channel.send("lost"))
        empty = s.channel()
        receivers = [s.spawn(empty.recv) for _ in range(2)]
        s.yield_now()
        channel.close()
        empty.close()
        for task in [blocked, *receivers]:
            with pytest.raises(TaskError, match="closed") as caught:
                s.await_task(task)
            assert caught.value.kind == "channel-closed"
        assert channel.recv() == "kept"
        with pytest.raises(TaskError):
            channel.recv()

    run(body)


def test_a_cancelled_receiver_consumes_nothing_and_a_cancelled_sender_delivers_nothing(s, run):
    def body():
        channel = s.channel()
        gone = s.spawn(channel.recv)
        s.yield_now()
        s.cancel(gone)
        sender = s.spawn(lambda: channel.send("a"))
        s.yield_now()
        s.cancel(sender)
        s.yield_now()
        s.spawn(lambda: channel.send("b"))
        return channel.recv()

    assert run(body) == "b"


def test_a_value_handed_over_before_the_cancel_is_delivered_and_the_cancel_stays_pending(s, run):
    got = []

    def body():
        channel = s.channel()

        def receiver():
            got.append(channel.recv())
            s.sleep(0)  # the next checkpoint raises

        task = s.spawn(receiver)
        s.yield_now()
        channel.send("paid")
        s.cancel(task, "late")
        with pytest.raises(TaskCancelled):
            s.await_task(task)

    run(body)
    assert got == ["paid"]


def test_a_choice_of_send_and_receive_on_one_channel_does_not_meet_itself(s, run):
    def body():
        channel = s.channel()

        def both():
            receive = wrap(channel.recv_event(), lambda v: ("got", v))
            return s.sync(choose(receive, channel.send_event(1)))

        first = s.spawn(both)
        s.yield_now()
        assert first.state == "suspended"
        second = both()
        return second, s.await_task(first)

    assert sorted(map(repr, run(body))) == ["('got', 1)", "None"]


# ---------------------------------------------------------------------- fairness


def shares(s, capacity, receivers, senders, work, senders_first):
    """JOBS go through a channel: how many each receiver got, how many each sender gave."""
    channel = Channel(s, capacity, at_end=None)
    got, given, done = [0] * receivers, [0] * senders, []

    def send(i):
        while sum(given) < JOBS:
            given[i] += 1
            channel.send("job")
        done.append(i)
        if len(done) == senders:
            channel.close()

    def receive(i):
        while channel.recv() is not None:
            got[i] += 1
            steps(s, work)

    sides = [
        [lambda i=i: receive(i) for i in range(receivers)],
        [lambda i=i: send(i) for i in range(senders)],
    ]
    for side in reversed(sides) if senders_first else sides:
        for body in side:
            s.spawn(body)
    s.run()
    assert sum(got) == JOBS
    return got, given


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("capacity", [0, 1, 10, 100, JOBS])
@pytest.mark.parametrize("workers", [2, 5])
def test_equal_workers_get_equal_shares(kit, policy, capacity, workers):
    for senders in (1, 2):
        for work in (1, 7):
            for senders_first in (False, True):
                s = kit.scheduler(fairness_mode=policy)
                got, _ = shares(s, capacity, workers, senders, work, senders_first)
                assert max(got) - min(got) <= JOBS / workers / 10, (senders, work, got)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("capacity", [0, 1, 10])
@pytest.mark.parametrize("count", [2, 5])
def test_equal_senders_get_equal_shares(kit, policy, capacity, count):
    for work in (1, 7):
        s = kit.scheduler(fairness_mode=policy)
        _, given = shares(s, capacity, 1, count, work, False)
        assert max(given) - min(given) <= JOBS / count / 10 + capacity, (work, given)


def test_one_receiver_and_one_sender_switch_only_when_they_have_to(s, run):
    def body():
        channel = s.channel(10)
        s.spawn(lambda: [channel.send(i) for i in range(1_000)])
        for _ in range(1_000):
            channel.recv()

    before = s.turns
    run(body)
    assert s.turns - before < 2 * 1_000 / 10 + 50


def test_what_is_received_in_turn_comes_before_a_cancel(kit):
    s = kit.scheduler(fairness_mode="fifo")
    got = []

    def body():
        channel = s.channel(10)
        for i in range(10):
            channel.send(i)

        def receive(name):
            while True:
                got.append((name, channel.recv()))

        tasks = [s.spawn(lambda name=name: receive(name)) for name in "ab"]
        s.yield_now()  # both have taken one, and wait for their turns
        for task in tasks:
            s.cancel(task)
        s.await_all(tasks, "settle")
        return [channel.recv() for _ in range(8)]

    rest = s.wait(s.spawn(body))
    assert got == [("a", 0), ("b", 1)]
    assert rest == list(range(2, 10))


# ---------------------------------------------------------------------- nothing lost or doubled


def traffic(s, rng, capacity):
    """Random senders and receivers, cancelled at random: (what was sent, what was received)."""
    channel = s.channel(capacity)
    sent, got, tasks = [], [], []

    def a_moment():
        what = rng.randrange(4)
        if what == 0:
            s.yield_now()
        elif what == 1:
            s.sleep(rng.randrange(3) / 1000)
        elif what == 2:
            steps(s, rng.randrange(1, 200))

    def send(name):
        for i in range(rng.randrange(1, 12)):
            value = (name, i)
            if rng.random() < 0.3:
                event = wrap(channel.send_event(value), lambda _: True)
                if not s.sync(choose(event, timer_event(rng.randrange(3) / 1000))):
                    continue
            else:
                channel.send(value)
            sent.append(value)
            a_moment()

    def receive():
        for _ in range(rng.randrange(1, 12)):
            if rng.random() < 0.3:
                event = wrap(channel.recv_event(), got.append)
                s.sync(choose(timer_event(0.001), event))
            else:
                got.append(channel.recv())
            a_moment()

    def cancels():
        for _ in range(rng.randrange(6)):
            a_moment()
            s.cancel(rng.choice(tasks))

    def body():
        for name in range(rng.randrange(1, 6)):
            tasks.append(s.spawn(lambda name=name: send(name)))
        for _ in range(rng.randrange(1, 6)):
            tasks.append(s.spawn(receive))
        cancelling = s.spawn(cancels)
        s.sleep(1)
        for task in [cancelling, *tasks]:
            s.cancel(task)
        s.await_all([cancelling, *tasks], "settle")
        got.extend(channel.items)

    s.wait(s.spawn(body))
    return sent, got


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from(POLICIES),
    st.sampled_from([0, 1, 3, 20]),
    st.sampled_from([1, 100]),
)
def test_nothing_is_lost_or_doubled_whoever_is_cancelled(seed, policy, capacity, every):
    config = SchedulerConfig(fairness_mode=policy, yield_every=every)
    s = Scheduler(config, driver=VirtualDriver())
    try:
        sent, got = traffic(s, random.Random(seed), capacity)
        s._check()
    finally:
        s.close()
    assert Counter(sent) == Counter(got)
