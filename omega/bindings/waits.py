"""The Lisp names of scopes, effect handlers, events and channels.

Owns: `scopes`, `events`. Bodies given as thunks run behind `Bindings.guarded`: a failure
meets its handlers there, before the form it leaves is undone.
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings, Table, of_kind, options, seconds, shown
from omega.concurrency import (
    Channel,
    Event,
    always,
    choose,
    guard_event,
    never,
    task_event,
    timer_event,
    with_nack,
    wrap,
)
from omega.errors import LimitExceeded, LispError, LispTypeError
from omega.lisp.data import Eof, Keyword, Symbol
from omega.lisp.primitives.check import wrong_type

# -- scopes ----------------------------------------------------------------------------------------


def scopes(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def scope(thunk: Any) -> Any:
        """(%scope thunk) -> its value, after every task made in it has ended"""
        return scheduler.with_scope(b.guarded(thunk))

    def shield(thunk: Any) -> Any:
        """(%shield thunk) -> its value; cancellation waits until it has ended"""
        return scheduler.shield(b.guarded(thunk))

    def atomic(thunk: Any) -> Any:
        """(%atomic thunk) -> its value; no other task runs meanwhile"""
        return scheduler.atomic(b.guarded(thunk))

    def with_timeout(ms: Any, thunk: Any) -> Any:
        """(%with-timeout ms thunk) -> its value, or timeout-error after ms milliseconds"""
        limit = seconds("with-timeout", 1, ms)
        return scheduler.with_timeout(limit, b.guarded(thunk), "the body of `with-timeout`")

    def with_handler(handlers: Any, thunk: Any) -> Any:
        """(%with-handler ((kind . procedure) ...) thunk) -> its value, its effects going to the
        procedures
        """
        dyn = b.rt.host.dynamics()
        outer, outer_tag = dyn.effects, dyn.abort
        tag = object()
        entries = b.elements("with-handler", 1, handlers, "a list of handlers")
        named = {str(entry.car): entry.cdr for entry in entries}
        dyn.effects = (named, tag, outer)
        failure: BaseException | None = None
        try:
            value = scheduler.with_scope(b.guarded(thunk))
        except _Abort as abort:
            if abort.tag is not tag:
                failure = abort
            else:
                value = abort.value
        except BaseException as raised:
            failure = raised
        dyn.effects, dyn.abort = outer, outer_tag
        if failure is not None:
            raise failure
        return value

    def abort(value: Any = None) -> Any:
        """(abort value) -> never returns: the with-handler form whose clause this runs in ends with
        value
        """
        tag = b.rt.host.dynamics().abort
        if tag is None:
            raise LispError("`abort` is used outside of an effect handler")
        raise _Abort(tag, value)

    def effect(kind: Any, *arguments: Any) -> Any:
        """(effect kind arg ...) -> the reply of whatever handles effects of that kind"""
        if not isinstance(kind, Symbol):
            raise wrong_type("effect", 1, "a symbol", kind)
        return b.door.perform(kind.name, arguments)

    table["%scope"], table["%shield"], table["%atomic"] = scope, shield, atomic
    table["%with-timeout"], table["%with-handler"] = with_timeout, with_handler
    table["abort"], table["effect"] = abort, effect


class _Abort(BaseException):
    def __init__(self, tag: object, value: Any) -> None:
        self.tag, self.value = tag, value


# -- events, channels ------------------------------------------------------------------------------

channel = of_kind(Channel, "a channel")


def events(b: Bindings, table: Table) -> None:
    scheduler = b.scheduler

    def make_channel(*rest: Any) -> Channel:
        """(make-channel [capacity] [:name "n"]) -> a channel; without capacity, senders wait to be
        received
        """
        capacity, given = (0, rest) if not rest or type(rest[0]) is Keyword else (rest[0], rest[1:])
        if type(capacity) is not int or capacity < 0:
            raise wrong_type("make-channel", 1, "a capacity", capacity)
        allowed = b.rt.limits.alloc_items
        if allowed is not None and capacity > allowed:
            raise LimitExceeded("size", None, allowed, "items in a channel")
        name = named("make-channel", "channel", len(rest) - len(given) + 1, given)
        made: Channel = b.made(Channel(scheduler, capacity, name, at_end=Eof))
        return made

    def send(ch: Any, value: Any) -> None:
        """(send! channel value) -> nothing, once the value is taken or has room"""
        channel("send!", ch).send(value)

    def recv(ch: Any) -> Any:
        """(recv! channel) -> the next value; the end-of-file object once the channel is closed and
        empty
        """
        return channel("recv!", ch).recv()

    def close(ch: Any) -> None:
        """(close! channel) -> nothing; wakes everybody who waits on it"""
        channel("close!", ch).close()

    def is_channel(value: Any) -> bool:
        """(channel? obj) -> whether obj is a channel"""
        return isinstance(value, Channel)

    def sync(event: Any) -> Any:
        """(sync event) -> the value of the event, once it has happened"""
        return scheduler.sync(_event("sync", 1, event))

    def choose_(*events: Any) -> Event:
        """(choose event ...) -> the event of whichever happens first"""
        b.spend(len(events))
        return choose(*(_event("choose", i + 1, e) for i, e in enumerate(events)))

    def wrap_(event: Any, f: Any) -> Event:
        """(wrap event f) -> the event with (f value) as its value"""
        return wrap(_event("wrap", 1, event), lambda value: b.rt.call(f, value))

    def timer(ms: Any) -> Event:
        """(timer-event ms) -> the event of so many milliseconds having passed"""
        return timer_event(seconds("timer-event", 1, ms))

    def recv_event(ch: Any) -> Event:
        """(recv-event channel) -> the event of receiving from it"""
        return channel("recv-event", ch).recv_event()

    def send_event(ch: Any, value: Any) -> Event:
        """(send-event channel value) -> the event of having sent the value"""
        return channel("send-event", ch).send_event(value)

    def task_event_(task: Any) -> Event:
        """(task-event task) -> the event of its end; its value is the task's"""
        return task_event(b.task("task-event", task))

    table["make-channel"], table["send!"], table["recv!"], table["close!"] = (
        make_channel,
        send,
        recv,
        close,
    )
    table["channel?"], table["sync"], table["choose"], table["wrap"] = (
        is_channel,
        sync,
        choose_,
        wrap_,
    )
    table["timer-event"], table["recv-event"], table["send-event"] = timer, recv_event, send_event
    table["task-event"] = task_event_
    _composed(b, table)


def _composed(b: Bindings, table: Table) -> None:
    def made_by(name: str, value: Any) -> Event:
        if not isinstance(value, Event):
            raise LispTypeError(
                f"`{name}` expected its procedure to give an event, got {shown(value)}"
            )
        return value

    def procedure(name: str, value: Any) -> None:
        if not b.rt.is_procedure(value):
            raise wrong_type(name, 1, "a procedure that gives an event", value)

    def guard(thunk: Any) -> Event:
        """(guard-event thunk) -> the event that thunk gives, called anew whenever it is synced"""
        procedure("guard-event", thunk)
        return guard_event(lambda: made_by("guard-event", b.rt.call(thunk)))

    def nack(f: Any) -> Event:
        """(with-nack f) -> the event that (f nack) gives, called anew whenever it is synced; the
        event nack happens when another one was chosen, or the wait has ended
        """
        procedure("with-nack", f)
        return with_nack(lambda refused: made_by("with-nack", b.rt.call(f, refused)))

    def always_(value: Any) -> Event:
        """(always value) -> an event that has happened, with the value"""
        return always(value)

    def never_() -> Event:
        """(never) -> an event that never happens"""
        return never

    def is_event(value: Any) -> bool:
        """(event? obj) -> whether obj is an event: what sync waits for"""
        return isinstance(value, Event)

    table["guard-event"], table["with-nack"] = guard, nack
    table["always"], table["never"], table["event?"] = always_, never_, is_event


def _event(name: str, position: int, value: Any) -> Event:
    if not isinstance(value, Event):
        raise wrong_type(name, position, "an event", value)
    return value


def named(procedure: str, what: str, position: int, rest: tuple[Any, ...]) -> str:
    """How reports call it, from its keyword :name."""
    name = options(procedure, position, rest, name=None)["name"]
    if name is None:
        return f"a {what}"
    if not isinstance(name, (str, Symbol)):
        raise LispTypeError(f"`{procedure}` expected a string for :name, got {shown(name)}")
    return f"{what} {name}"
