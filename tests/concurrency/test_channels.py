"""Channels: rendezvous, buffers, hand-over, closing, cancelled sides."""

from __future__ import annotations

import pytest

from omega.concurrency import (
    choose,
    wrap,
)
from omega.errors import TaskCancelled, TaskError


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
