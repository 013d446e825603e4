"""The loopback server: its thread, its loop, and how it answers.

Owns: `LoopbackServer`. Refuses: bytes (`connection.py`), a vendor's shapes (the wires).

It runs in a thread of its own with an event loop of its own, the one place in the kit that may:
what is tested are clients that block, cancel and stall their own loop, and a server in that loop
would stall and stop with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from omega.testing.loopback.connection import Connection
from omega.testing.loopback.faults import Fault, http_date
from omega.testing.loopback.limits import Limiter, LoopbackLimits, Refusal
from omega.testing.loopback.record import LoopbackCall, Record, Snapshot
from omega.testing.loopback.replies import LoopbackReply

STARTED_WITHIN_S = 10.0
BACKLOG = 1024
ACCEPT_TURNS = 4  # of the loop, within which a client that was let in has its connection

Reply = str | LoopbackReply
Faults = Iterable[Fault | str | None] | Callable[[LoopbackCall], Fault | str | None]
Number = float | Callable[[LoopbackCall], float]


class LoopbackServer:
    """A context manager; the server listens while inside.

    reply: the answer, a text or a LoopbackReply, or LoopbackCall -> one; by default `echo: ` and
    the prompt. A text answers a request that forces a tool as the arguments of its call.
    latency_s: seconds before answering (faults too), or LoopbackCall -> seconds. piece_s: seconds
    between the events of a stream, the same. bytes_per_s: of every body; None: at once.
    faults: one entry for each request in the order of arrival (None: none), then none; or
    LoopbackCall -> entry.
    usage: (prompt tokens, completion tokens), or None to leave usage out.
    headers: of every answer, or LoopbackCall -> headers.
    limits: beyond them the answer is 429; every answer tells them in the vendor's headers.
    checks_key, models, context_words, lacks: whether a wrong key, an unknown model, a longer prompt
    and a request that uses one of "schema", "tools", "images" are refused as the vendors do.
    streams: whether it streams when it is asked to, or answers as if it had not been.
    send_buffer_bytes: how much the server's side of a connection holds; small ones make it wait for
    slow readers soon.
    `reply`, `latency_s`, `piece_s`, `bytes_per_s`, `faults`, `headers`, `models`, `context_words`,
    `lacks` may be assigned while it runs. Callables run in the server's thread, and an exception in
    one is answered with status 500 and its text.
    """

    def __init__(
        self,
        *,
        reply: Reply | Callable[[LoopbackCall], Reply] | None = None,
        latency_s: Number = 0.0,
        piece_s: Number = 0.0,
        bytes_per_s: float | None = None,
        faults: Faults = (),
        usage: tuple[int, ...] | None = (7, 5),
        model: str = "loopback-model",
        headers: Mapping[str, str] | Callable[[LoopbackCall], Mapping[str, str]] | None = None,
        limits: LoopbackLimits | None = None,
        checks_key: bool = False,
        models: Collection[str] | None = None,
        context_words: int | None = None,
        lacks: Collection[str] = (),
        streams: bool = True,
        send_buffer_bytes: int | None = None,
    ) -> None:
        self.reply = reply
        self.latency_s = latency_s
        self.piece_s = piece_s
        self.bytes_per_s = bytes_per_s
        self.usage = usage
        self.model = model
        self.headers = headers
        self.checks_key = checks_key
        self.models = models
        self.context_words = context_words
        self.lacks = lacks
        self.streams = streams
        self.send_buffer_bytes = send_buffer_bytes
        self.api_key = "sk-loopback-0123456789abcdef"
        self.port = 0
        self.record = Record()
        self._limiter = Limiter(limits or LoopbackLimits(), http_date)
        self._let_in: set[int] = set()  # calls that count against the limits' concurrency
        self._faults_lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listening = threading.Event()
        self._problem: BaseException | None = None
        self.faults = faults

    # -- from outside ------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        """What ANTHROPIC_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._faults_lock:
            self._faults = faults
            self._next_fault: Iterator[Fault | str | None] | None = (
                None if callable(faults) else iter(faults)
            )

    @property
    def calls(self) -> list[LoopbackCall]:
        """Every request, in the order of arrival."""
        return self.record.calls()

    def snapshot(self) -> Snapshot:
        """The counters now."""
        return self.record.snapshot()

    def now_s(self) -> float:
        """Seconds since the server started, on the clock of its record."""
        return self.record.now_s()

    def wait_until(self, predicate: Callable[[Snapshot], bool], timeout_s: float = 5.0) -> Snapshot:
        """Block until `predicate(snapshot)` holds. Raises TimeoutError that shows the counters.

        Inside an event loop: `await asyncio.to_thread(server.wait_until, ...)`.
        """
        return self.record.wait_until(predicate, timeout_s)

    def environment(self) -> dict[str, str]:
        """Variables that point the official SDKs and the providers here."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key,
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "ANTHROPIC_API_KEY": self.api_key,
        }

    def __enter__(self) -> LoopbackServer:
        assert self._thread is None, "a LoopbackServer is entered once"
        self._thread = threading.Thread(target=self._run, name="loopback-server", daemon=True)
        self._thread.start()
        if not self._listening.wait(STARTED_WITHIN_S):
            raise TimeoutError("the loopback server did not start")
        if self._problem is not None:
            self._thread.join()
            raise self._problem
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._loop is not None and self._thread is not None
        with contextlib.suppress(RuntimeError):  # its loop is closed already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    # -- in the server's thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._problem = error
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(
            lambda: Connection(self), "127.0.0.1", 0, backlog=BACKLOG
        )
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        for _ in range(ACCEPT_TURNS):
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        while self._connections:  # connection_lost comes with the loop's next turn
            await asyncio.sleep(0)
        await server.wait_closed()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def joined(self, connection: Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def answering(
        self, call: LoopbackCall, wire: Any, connection: Connection
    ) -> Callable[[], Awaitable[str]]:
        # Here and not in the answer's task: a limit counts requests in the order of arrival.
        refusal = self._limiter.refusal(self.record.now_s(), sum((self.usage or (0, 0))[:2]))
        if refusal is None:
            self._let_in.add(call.index)
        told = wire.limit_headers(self._limiter.told(self.record.now_s()))
        return partial(_Answer(self, call, wire, connection, told).give, refusal)

    def over(self, call: LoopbackCall) -> None:
        if call.index in self._let_in:
            self._let_in.discard(call.index)
            self._limiter.left()

    def fault_for(self, call: LoopbackCall) -> Fault | None:
        """What goes wrong with a call, by the test's word."""
        with self._faults_lock:
            faults = self._faults
            following = self._next_fault
        fault = faults(call) if callable(faults) else next(following or iter(()), None)
        return Fault.parse(fault) if isinstance(fault, str) else fault

    def refusal_of(self, call: LoopbackCall, wire: Any) -> Fault | None:
        """Why the server itself refuses a call."""
        if self.checks_key and wire.api_key(call.headers) != self.api_key:
            return Fault.http(401, kind="key")
        if self.models is not None and call.body["model"] not in self.models:
            return Fault.http(404, kind="model")
        limit = self.context_words
        if limit is not None and len(json.dumps(call.body["messages"]).split()) > limit:
            return Fault.http(400, kind="context")
        missing = sorted(wire.features(call.body).intersection(self.lacks))
        return Fault.http(400, kind=missing[0]) if missing else None

    def reply_for(self, call: LoopbackCall, wire: Any) -> LoopbackReply:
        reply = self.reply(call) if callable(self.reply) else self.reply
        if reply is None:
            reply = f"echo: {call.prompt}"
        if isinstance(reply, LoopbackReply):
            return reply
        tool = wire.forced_tool(call.body)
        return LoopbackReply(reply) if tool is None else LoopbackReply(reply).as_call_of(tool)

    def headers_for(self, call: LoopbackCall) -> dict[str, str]:
        headers = self.headers(call) if callable(self.headers) else self.headers
        return dict(headers or {})


def _number(value: Number, call: LoopbackCall) -> float:
    return value(call) if callable(value) else value


class _Answer:
    """The answer to one request. Cancelled when the client leaves."""

    def __init__(
        self,
        server: LoopbackServer,
        call: LoopbackCall,
        wire: Any,
        connection: Connection,
        told: Mapping[str, str],
    ) -> None:
        self.server, self.call, self.wire, self.connection = server, call, wire, connection
        self._told = told  # of the limits, as they were once the call was counted

    def _headers(self) -> dict[str, str]:
        return {**self._told, **self.server.headers_for(self.call)}

    async def give(self, refusal: Refusal | None) -> str:
        """Its outcome."""
        if refusal is not None:
            await self._status(Fault.http(429, kind=refusal.kind), refusal.headers, "limited")
            return "limited"
        server, call = self.server, self.call
        await asyncio.sleep(_number(server.latency_s, call))
        fault = server.fault_for(call) or server.refusal_of(call, self.wire)
        if fault is not None and fault.kind == "status":
            await self._status(fault, fault.headers)
            return "fault"
        if fault is not None and fault.is_at_once:
            await self._break_off(fault)
            return "fault"
        reply = server.reply_for(call, self.wire)
        headers = {**self._headers(), **reply.headers}
        if call.is_streamed and server.streams:
            return await self._stream(reply, headers, fault)
        return await self._whole(reply, headers, fault)

    async def _status(
        self, fault: Fault, headers: Mapping[str, str], outcome: str = "fault"
    ) -> None:
        body = self.wire.error_body(fault) if fault.body is None else fault.body
        content = json.dumps(body).encode()
        told = {**self._headers(), **headers}
        await self.connection.send(fault.status, told, content, outcome=outcome)

    async def _break_off(self, fault: Fault) -> None:
        if fault.kind == "stall":
            await asyncio.Event().wait()
        self.connection.finish("fault")
        self.connection.close()

    async def _whole(
        self, reply: LoopbackReply, headers: Mapping[str, str], fault: Fault | None
    ) -> str:
        server = self.server
        usage = reply.usage or server.usage
        answer = self.wire.whole(self.call, reply, self.call.body["model"], usage)
        body = json.dumps(answer).encode()
        rate = server.bytes_per_s
        if fault is None:
            await self.connection.send(200, headers, body, outcome="replied", bytes_per_s=rate)
            return "replied"
        if fault.kind == "slow":
            rate = fault.bytes_per_s
            await self.connection.send(200, headers, body, outcome="replied", bytes_per_s=rate)
            return "replied"
        if fault.kind == "garbage":
            garbage = b'{"choices": [{"mess\xff\xfe not json'
            await self.connection.send(200, headers, garbage, outcome="fault")
        elif fault.kind == "error":
            await self._status(Fault.http(500, message=fault.message), fault.headers)
        else:
            only = fault.after_bytes or 0
            send = partial(self.connection.send, only=only, outcome=None)
            await send(200, headers, body, bytes_per_s=rate)
            await self._break_off(fault)
        return "fault"

    async def _stream(
        self, reply: LoopbackReply, headers: Mapping[str, str], fault: Fault | None
    ) -> str:
        server, connection = self.server, self.connection
        usage = reply.usage or server.usage
        events = self.wire.events(self.call, reply, self.call.body["model"], usage)
        rate = server.bytes_per_s
        if fault is not None and fault.kind == "slow":
            rate, fault = fault.bytes_per_s, None
        left = None if fault is None else fault.after_bytes
        await connection.begin_stream(headers)
        for index, event in enumerate(events):
            if fault is not None and left is None and index >= (fault.after_events or 0):
                return await self._go_wrong(fault)
            if index:
                await asyncio.sleep(_number(server.piece_s, self.call))
            if fault is not None and left is not None:
                if left < len(event):
                    await connection.send_part(event[:left], rate)
                    return await self._go_wrong(fault)
                left -= len(event)
            await connection.send_part(event, rate)
            self.call.events_sent += 1
        if fault is not None:
            return await self._go_wrong(fault)
        await connection.end_stream("replied")
        return "replied"

    async def _go_wrong(self, fault: Fault) -> str:
        """In the middle of a stream."""
        if fault.kind in ("cut", "stall"):
            await self._break_off(fault)
            return "fault"
        if fault.kind == "end":
            await self.connection.end_stream("fault")
            return "fault"
        made = (
            self.wire.garbage_event() if fault.kind == "garbage" else self.wire.error_event(fault)
        )
        await self.connection.send_part(made)
        await self.connection.end_stream("fault")
        return "fault"
