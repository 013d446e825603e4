"""Channels: values from task to task, first come first served.

Owns: the buffer and the two queues of a channel. Refuses: unbounded buffers.
Invariant: receivers wait only while the buffer is empty and no sender waits; senders only while it
is full. A value is handed over in the same claim that wakes the other side, so a cancelled receiver
consumes nothing and a cancelled sender delivers nothing.

Fairness: who waits is served in order of arrival, but a task that runs could go on without waiting
until the buffer is empty (or full), and its peers that have been served, and not run since, would
find nothing left. So whoever is served without waiting right after a peer was goes once behind
every ready task, with what it got in hand: peers take turns, and a task that has a channel's side
for itself pays nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from omega.concurrency.events import UNREADY, Event
from omega.concurrency.task import Task, Waiters
from omega.errors import HostError, TaskError

if TYPE_CHECKING:
    from omega.concurrency.scheduler import Kernel

CLOSED: Any = object()  # what a wait is woken with when its channel closes
RAISE: Any = object()  # at_end: receiving from a closed, empty channel raises


class Channel:
    """capacity: values it holds for a receiver to come; 0 is a rendezvous.

    at_end: what receiving gives once the channel is closed and empty; by default it raises
    channel-closed.
    """

    __slots__ = (
        "__weakref__",
        "_receive",
        "at_end",
        "capacity",
        "closed",
        "items",
        "last_receiver",
        "last_sender",
        "name",
        "receiver_is_new",
        "receivers",
        "scheduler",
        "sender_is_new",
        "senders",
    )

    def __init__(
        self,
        scheduler: Kernel,
        capacity: int = 0,
        name: str = "a channel",
        at_end: Any = RAISE,
    ) -> None:
        if capacity < 0:
            raise HostError(f"a channel has a capacity of at least 0, not {capacity}")
        self.scheduler = scheduler
        self.capacity = capacity
        self.name = name
        self.at_end = at_end
        self.closed = False
        self.items: deque[Any] = deque()
        self.receivers = Waiters()
        self.senders = Waiters()
        self.last_receiver: Task | None = None  # whom it served last
        self.last_sender: Task | None = None
        self.receiver_is_new = False  # a peer was served before, and it has not stepped aside since
        self.sender_is_new = False
        self._receive = RecvEvent(self)

    def recv_event(self) -> Event:
        """Receive one value; at the end of a closed channel, see `at_end`."""
        return self._receive

    def send_event(self, value: Any) -> Event:
        """Deliver `value` (or put it into the buffer); the event's value is None.

        Raises channel-closed.
        """
        return SendEvent(self, value)

    def send(self, value: Any) -> None:
        self.scheduler.sync(SendEvent(self, value))

    def recv(self) -> Any:
        return self.scheduler.sync(self._receive)

    def close(self) -> None:
        """Nothing more can be sent; what is in the buffer can still be received.

        Everyone who waits is woken.
        """
        if self.closed:
            return
        self.closed = True
        for waiters in (self.receivers, self.senders):
            entries = waiters.entries
            self.scheduler.owe(len(entries))
            while entries:
                task, gen, branch, _ = entries.popleft()
                if task.gen == gen:
                    self.scheduler.claim(task, gen, branch, CLOSED)

    def end(self) -> Any:
        """What a receiver gets at the end; raises where that is the way."""
        if self.at_end is RAISE:
            raise self.closed_error()
        return self.at_end

    def closed_error(self) -> TaskError:
        return TaskError(
            f"{self.name} is closed",
            kind="channel-closed",
            hint="close it when all has been sent; who receives then gets the eof object",
        )


class RecvEvent(Event):
    __slots__ = ("channel",)

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        channel = self.channel
        if channel.items:
            value = channel.items.popleft()
            if channel.senders.entries:
                refill = _take_sender(scheduler, channel)
                if refill is not None:
                    channel.items.append(refill[0])
        else:
            direct = _take_sender(scheduler, channel) if channel.senders.entries else None
            if direct is None:
                return channel.end() if channel.closed else UNREADY
            value = direct[0]
        last = channel.last_receiver
        if last is not task or channel.receiver_is_new:
            channel.last_receiver = task
            channel.receiver_is_new = False
            # The very first one as well if there is more: its peers may not have begun.
            if channel.items if last is None else not last.is_done:
                scheduler.step_aside(task)
        return value

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        self.channel.receivers.add(task, branch)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        self.channel.receivers.forget()

    def finish(self, value: Any) -> Any:
        return self.channel.end() if value is CLOSED else value

    def describe(self) -> str:
        return f"a value from {self.channel.name}"


class SendEvent(Event):
    __slots__ = ("channel", "value")

    def __init__(self, channel: Channel, value: Any) -> None:
        self.channel = channel
        self.value = value

    def try_now(self, scheduler: Kernel, task: Task) -> Any:
        channel = self.channel
        if channel.closed:
            raise channel.closed_error()
        entries = channel.receivers.entries
        while entries:
            other, gen, branch, _ = entries.popleft()
            if other.gen == gen:
                scheduler.claim(other, gen, branch, self.value)
                if channel.last_receiver is not other:
                    channel.last_receiver = other
                    channel.receiver_is_new = True
                break
        else:
            if len(channel.items) >= channel.capacity:
                return UNREADY
            channel.items.append(self.value)
        last = channel.last_sender
        if last is not task or channel.sender_is_new:
            channel.last_sender = task
            channel.sender_is_new = False
            if last is not None and not last.is_done:
                scheduler.step_aside(task)
        return None

    def block(self, scheduler: Kernel, task: Task, branch: int) -> None:
        self.channel.senders.add(task, branch, self.value)

    def lost(self, scheduler: Kernel, task: Task) -> None:
        self.channel.senders.forget()

    def finish(self, value: Any) -> Any:
        if value is CLOSED:
            raise self.channel.closed_error()
        return None

    def describe(self) -> str:
        return f"a receiver on {self.channel.name}"


def _take_sender(scheduler: Kernel, channel: Channel) -> tuple[Any] | None:
    """Claim the head sender and take its value."""
    entries = channel.senders.entries
    while entries:
        other, gen, branch, value = entries.popleft()
        if other.gen == gen:
            scheduler.claim(other, gen, branch)
            if channel.last_sender is not other:
                channel.last_sender = other
                channel.sender_is_new = True
            return (value,)
    return None
