"""Streams of models as channels: the task that owns a call, and what a reader gets of it.

Owns: `Stream`, when its call ends, and that a reader never takes a part for the whole.
Refuses: to make the call itself: that goes through the effect door, as `llm.stream`.

A task of its own makes the call and sends the pieces; when the channel is full it waits, and with
it the model's server. It is a daemon of the scope in which the stream was opened, and ends with the
task that opened it as well, unless the host did that (a prompt's forms, a script's main task).
"""

from __future__ import annotations

from typing import Any

from omega.bindings.base import Bindings
from omega.calls.flight import Receiver
from omega.concurrency import Channel, Event, Task
from omega.concurrency.waits import DAEMON_ENDS
from omega.errors import Cancelled, LispTypeError, OmegaError, TaskError, TimeoutExpired
from omega.lisp.data import Eof
from omega.lisp.primitives.check import wrong_type
from omega.llm import LLMRequest, Usage

PIECES = 16  # that wait for a reader, before the model's server waits


class Stream(Channel):
    """The pieces of a reply's text. pump: the task that makes the call. reply: what the call
    answered, once it has ended well.
    """

    __slots__ = ("_failure", "_noted", "_pieces", "_request", "pump", "reply")

    def __init__(self, scheduler: Any, request: LLMRequest) -> None:
        super().__init__(scheduler, PIECES, "a stream of a model", Eof)
        self._request = request
        self._pieces: list[str] = []
        self._failure: OmegaError | None = None
        self._noted: Any = None
        self.pump: Task | None = None
        self.reply: Any = None

    @property
    def text(self) -> str:
        """What has come so far."""
        return "".join(self._pieces)

    @property
    def characters(self) -> int:
        """Of the prompt and of what has come."""
        return len(self._request.prompt_text) + sum(map(len, self._pieces))

    def usage(self) -> dict[str, int]:
        known = self.known_usage()
        return {"input_tokens": known.input_tokens, "output_tokens": known.output_tokens}

    def known_usage(self) -> Usage:
        """The tokens so far: as told, else as estimated."""
        usage = getattr(self.reply, "usage", None) or getattr(self._failure, "usage", None)
        noted = self._noted
        if usage is not None and usage.is_reported:
            return usage  # type: ignore[no-any-return]
        from omega.llm.tokens import TokenCounter, typical_tokens

        got = typical_tokens(self.text)
        if noted is not None and noted.is_reported:  # before its end, that tells of the input only
            return Usage(noted.input_tokens, max(noted.output_tokens, got))
        put = TokenCounter().input(self._request, exact=False).typical
        return Usage(put, got, is_reported=False)

    def deliver(self, piece: str) -> None:
        """A piece has come: waits while the reader is behind."""
        self._pieces.append(piece)
        super().send(piece)

    def send(self, value: Any) -> None:
        raise _written_by_its_model("send!")

    def send_event(self, value: Any) -> Event:
        raise _written_by_its_model("send-event")

    def note(self, usage: Any) -> None:
        """The tokens known so far."""
        self._noted = usage

    def close(self) -> None:
        """The reader wants no more: the call ends."""
        super().close()
        self.items.clear()
        if self.pump is not None and not self.pump.is_done:
            self.scheduler.cancel(self.pump, "its stream was closed")  # type: ignore[attr-defined]

    def ended(self, failure: OmegaError | None) -> None:
        """The call has ended: the reader gets what has come, and then the failure, if any."""
        if not self.closed:
            self._failure = failure
            super().close()

    def end(self) -> Any:
        if self._failure is not None:
            self._failure.signalled = False  # every reader has handlers of its own
            raise self._failure
        return super().end()


def _written_by_its_model(name: str) -> OmegaError:
    return LispTypeError(
        f"`{name}` expected a channel of the program, got a stream of a model",
        hint="only the model writes into its stream; pass its pieces on by a channel of your own",
    )


class _Receiver(Receiver):
    """owner: the task that the stream ends with, or None."""

    __slots__ = ("_owner", "_stream")

    def __init__(self, stream: Stream, owner: Task | None) -> None:
        self._stream, self._owner = stream, owner

    def send(self, piece: Any) -> None:
        """(send piece)"""
        if not isinstance(piece, str):
            raise wrong_type("send", 1, "a string", piece)
        self._stream.deliver(piece)

    def note(self, usage: Usage) -> None:
        self._stream.note(usage)

    def is_wanted(self) -> bool:
        return self._owner is None or self._owner.doom is None


def open_stream(b: Bindings, request: LLMRequest, limit: float | None) -> Stream:
    """The stream of the reply to `request`; limit: seconds it may take in all."""
    from omega.bindings.models import answered_text, timeout_error

    scheduler = b.scheduler
    me = scheduler.running_task("open a stream")
    stream = Stream(scheduler, request)

    is_tied = me.parent_id is not None  # else the host opened it
    receiver = _Receiver(stream, me if is_tied else None)

    def call() -> None:
        if is_tied and me.doom is not None:
            raise TaskError(f"the stream has ended early: {me.doom.reason or 'cancelled'}")
        reply = b.door.perform("llm.stream", (request, receiver.send))
        if isinstance(reply, str) and not stream.text:
            stream.deliver(reply)  # a handler of the program's own gave all of it at once
        stream.reply = reply
        answered_text(reply)

    def body() -> None:
        failure: BaseException | None = None
        try:
            if limit is None:
                call()
            else:
                b.door.prepare("llm.stream", request)
                scheduler.with_timeout(limit, call)
        except TimeoutExpired:
            failure = late = timeout_error(b, limit or 0.0)
            late.partial, late.usage = stream.text, stream.known_usage()
        except BaseException as raised:
            failure = raised
        me.unwatch(stream)
        if isinstance(failure, OmegaError):
            stream.ended(failure)
        elif isinstance(failure, Cancelled):
            why = failure.reason or "cancelled"
            if why == DAEMON_ENDS:
                why = "the scope it was opened in has ended"
            stream.ended(TaskError(f"the stream has ended early: {why}"))
            raise failure
        elif failure is not None:
            stream.ended(b.rt.conditions.as_condition(failure))
        else:
            stream.ended(None)

    stream.pump = pump = scheduler.spawn(
        body, name="llm.stream", daemon=True, locals=b.rt.host.dynamics().snapshot()
    )
    if is_tied:
        me.watch(stream, lambda _: _end(b, pump))
    return stream


def _end(b: Bindings, pump: Task) -> None:
    b.scheduler.cancel(pump, "the task that opened it has ended")
