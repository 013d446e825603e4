"""A model's server on 127.0.0.1: real HTTP/1.1, scripted behaviour, an exact record.

Owns: `LoopbackServer` and the wire: chat completions in OpenAI's shape, keep-alive, Content-Length
both ways, faults on purpose. Refuses: streaming, chunked requests, TLS, any interface but loopback.

It runs in a thread of its own with an event loop of its own, the one place in the kit that may:
what is tested are clients that block, cancel and stall their own loop, and a server in that loop
would stall and stop with them.

Invariants: every field of the record is written by the server's thread under `_changed`; readers
copy under it. `in_flight` counts requests read completely and neither answered nor left; it is 0
when nothing is connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.utils import formatdate
from types import TracebackType
from typing import Any, cast

STARTED_WITHIN_S = 10.0
HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
BACKLOG = 1024


def http_date(in_s: float = 0.0) -> str:
    """The HTTP date `in_s` seconds from now (whole seconds, rounded down), as `Retry-After` may
    hold.
    """
    return formatdate(time.time() + in_s, usegmt=True)


class Fault:
    """What goes wrong with one request. kind: "status", "cut", "garbage" or "stall".

    status, headers, body: of a status fault. after_bytes: how much of the answer's body is sent
    before a cut; None cuts before the first byte of the answer.
    """

    __slots__ = ("after_bytes", "body", "headers", "kind", "status")

    def __init__(
        self,
        kind: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        after_bytes: int | None = None,
    ) -> None:
        self.kind = kind
        self.status = status
        self.headers = dict(headers or {})
        self.body = body
        self.after_bytes = after_bytes

    @classmethod
    def http(
        cls, status: int, *, code: str | None = None, message: str = "fault", **headers: str
    ) -> Fault:
        """An error answer in OpenAI's shape. headers: names in snake case (`retry_after="1.5"`)."""
        body = {"error": {"message": message, "type": "fault", "param": None, "code": code}}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls("status", status=status, headers=named, body=body)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """The scripted provider's words: "429", "500" (any status), "timeout", "cut", "cut:K",
        "garbage".
        """
        if text.isdigit():
            return cls.http(int(text))
        if text == "timeout":
            return cls("stall")
        if text == "garbage":
            return cls("garbage")
        name, _, count = text.partition(":")
        if name == "cut":
            return cls("cut", after_bytes=int(count) if count else None)
        raise ValueError(f"unknown fault {text!r}")


class LoopbackCall:
    """One request that arrived, and what became of it. Times are seconds since the server started.

    body: the JSON sent. headers: names in lower case. prompt: the text of the last message.
    outcome: "pending", "replied", "fault", or "closed" when the client left before the answer was
    complete.
    """

    __slots__ = ("arrived_s", "body", "connection", "ended_s", "headers", "index", "outcome")

    def __init__(
        self,
        index: int,
        connection: int,
        headers: dict[str, str],
        body: dict[str, Any],
        at_s: float,
    ) -> None:
        self.index = index
        self.connection = connection
        self.headers = headers
        self.body = body
        self.arrived_s = at_s
        self.ended_s: float | None = None
        self.outcome = "pending"

    @property
    def prompt(self) -> str:
        messages = self.body.get("messages") or [{}]
        content = messages[-1].get("content")
        return content if isinstance(content, str) else ""

    def __repr__(self) -> str:
        return f"LoopbackCall({self.index}, {self.prompt[:40]!r}, {self.outcome})"


class Snapshot:
    """The server's counters at one moment.

    requests: arrived in all. in_flight: being answered now. peak: the most at once.
    open_connections: now.
    early_closes: requests whose client left before the answer was complete. replied: answered
    without a fault.
    """

    __slots__ = ("early_closes", "in_flight", "open_connections", "peak", "replied", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.in_flight = 0
        self.peak = 0
        self.open_connections = 0
        self.early_closes = 0
        self.replied = 0

    def copy(self) -> Snapshot:
        other = Snapshot()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Snapshot({fields})"


Faults = Iterable[Fault | str | None] | Callable[[LoopbackCall], Fault | str | None]


class LoopbackServer:
    """A context manager; the server listens while inside.

    reply: the answer's text, or LoopbackCall -> text; by default `echo: ` and the prompt.
    latency_s: seconds before answering (faults too), or LoopbackCall -> seconds.
    faults: one entry for each request in the order of arrival (None: none), then none; or
    LoopbackCall -> entry.
    usage: (prompt tokens, completion tokens), or None to leave usage out.
    `reply`, `latency_s`, `faults` may be assigned while it runs. Callables run in the server's
    thread, and an exception in one is answered with status 500 and its text.
    """

    def __init__(
        self,
        *,
        reply: str | Callable[[LoopbackCall], str] | None = None,
        latency_s: float | Callable[[LoopbackCall], float] = 0.0,
        faults: Faults = (),
        usage: tuple[int, int] | None = (7, 5),
        model: str = "loopback-model",
    ) -> None:
        self.reply = reply
        self.latency_s = latency_s
        self.usage = usage
        self.model = model
        self.api_key = "sk-loopback-0123456789abcdef"
        self.port = 0
        self._changed = threading.Condition()
        self._state = Snapshot()
        self._calls: list[LoopbackCall] = []
        self._connections: set[_Connection] = set()
        self._connection_number = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listening = threading.Event()
        self._problem: BaseException | None = None
        self._started_s = 0.0
        self.faults = faults

    # From outside

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._changed:
            self._faults = faults
            self._next_fault: Iterator[Fault | str | None] | None = (
                None if callable(faults) else iter(faults)
            )

    @property
    def calls(self) -> list[LoopbackCall]:
        """Every request, in the order of arrival."""
        with self._changed:
            return list(self._calls)

    def snapshot(self) -> Snapshot:
        """The counters now."""
        with self._changed:
            return self._state.copy()

    def wait_until(self, predicate: Callable[[Snapshot], bool], timeout_s: float = 5.0) -> Snapshot:
        """Block until `predicate(snapshot)` holds. Raises TimeoutError that shows the counters.

        Inside an event loop: `await asyncio.to_thread(server.wait_until, ...)`.
        """
        with self._changed:
            if self._changed.wait_for(lambda: predicate(self._state), timeout_s):
                return self._state.copy()
            raise TimeoutError(f"not within {timeout_s:g} s: {self._state!r}")

    def environment(self) -> dict[str, str]:
        """Variables that point the official SDK and OpenAIProvider here."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": self.api_key}

    def __enter__(self) -> LoopbackServer:
        assert self._thread is None, "a LoopbackServer is entered once"
        self._started_s = time.monotonic()
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

    # In the server's thread

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
            lambda: _Connection(self), "127.0.0.1", 0, backlog=BACKLOG
        )
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:  # connection_lost comes with the loop's next turn
            await asyncio.sleep(0)
        await server.wait_closed()

    def _now_s(self) -> float:
        return time.monotonic() - self._started_s

    def _opened(self, connection: _Connection) -> int:
        with self._changed:
            self._connections.add(connection)
            self._connection_number += 1
            self._state.open_connections += 1
            self._changed.notify_all()
            return self._connection_number

    def _closed(self, connection: _Connection) -> None:
        with self._changed:
            self._connections.discard(connection)
            self._state.open_connections -= 1
            self._changed.notify_all()

    def _arrived(
        self, connection: int, headers: dict[str, str], body: dict[str, Any]
    ) -> LoopbackCall:
        with self._changed:
            call = LoopbackCall(len(self._calls), connection, headers, body, self._now_s())
            self._calls.append(call)
            state = self._state
            state.requests += 1
            state.in_flight += 1
            state.peak = max(state.peak, state.in_flight)
            self._changed.notify_all()
        return call

    def _ended(self, call: LoopbackCall, outcome: str) -> None:
        with self._changed:
            call.outcome = outcome
            call.ended_s = self._now_s()
            self._state.in_flight -= 1
            if outcome == "closed":
                self._state.early_closes += 1
            elif outcome == "replied":
                self._state.replied += 1
            self._changed.notify_all()

    def _fault_for(self, call: LoopbackCall) -> Fault | None:
        faults = self._faults
        fault = faults(call) if callable(faults) else next(self._next_fault or iter(()), None)
        return Fault.parse(fault) if isinstance(fault, str) else fault

    def _completion(self, call: LoopbackCall) -> bytes:
        reply = self.reply
        text = (
            f"echo: {call.prompt}" if reply is None else reply(call) if callable(reply) else reply
        )
        message = {"role": "assistant", "content": text, "refusal": None}
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{call.index}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": call.body.get("model") or self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
        if self.usage is not None:
            prompt, completion = self.usage
            answer["usage"] = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
        return json.dumps(answer).encode()

    async def _answer(self, call: LoopbackCall, connection: _Connection) -> str:
        """Answer one request; its outcome. Cancelled when the client leaves."""
        latency_s = self.latency_s
        await asyncio.sleep(latency_s(call) if callable(latency_s) else latency_s)
        fault = self._fault_for(call)
        if fault is None:
            connection.send(200, {}, self._completion(call))
            return "replied"
        if fault.kind == "stall":
            await asyncio.Event().wait()
        elif fault.kind == "cut":
            if fault.after_bytes is not None:
                connection.send(200, {}, self._completion(call), only=fault.after_bytes)
            connection.close()
        elif fault.kind == "garbage":
            connection.send(200, {}, b'{"choices": [{"mess\xff\xfe not json')
        else:
            connection.send(fault.status, fault.headers, json.dumps(fault.body).encode())
        return "fault"


class _Connection(asyncio.Protocol):
    """One client's connection: requests one after another; the client's leaving cancels the
    answer.
    """

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answering: asyncio.Task[None] | None = None  # kept here: loops hold tasks weakly
        self._call: LoopbackCall | None = None
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What other loops make is one, too, whatever its class.
        self._transport = cast(asyncio.Transport, transport)
        self._number = self._server._opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._finish("fault" if self._server._stop.is_set() else "closed")
        self._server._closed(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answering is None:
            self._next_request()

    def close(self) -> None:
        """Send what is written, then close."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        assert self._transport is not None
        self._transport.abort()

    def send(
        self, status: int, headers: Mapping[str, str], body: bytes, *, only: int | None = None
    ) -> None:
        """Write one answer; with `only`, that many bytes of its body."""
        assert self._transport is not None
        lines = [
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Fault'}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Date: {http_date()}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self._transport.write(head + body[:only])

    def _next_request(self) -> None:
        """Take one complete request off the buffer, if there is one, and begin to answer it."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                self.abort()
            return
        request_line, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX or "transfer-encoding" in headers:
            self._refuse(411, "a request needs a Content-Length")
            return
        body_end = end + 4 + int(length)
        if len(self._buffer) < body_end:
            return
        content = bytes(self._buffer[end + 4 : body_end])
        del self._buffer[:body_end]
        self._begin(request_line, headers, content)

    def _begin(self, request_line: str, headers: dict[str, str], content: bytes) -> None:
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method != "POST" or not path.endswith("/chat/completions"):
            self._refuse(404, f"there is no {method} {path} here")
            return
        try:
            body = json.loads(content)
        except ValueError as error:
            self._refuse(400, f"not JSON: {error}")
            return
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
            self._refuse(400, "expected an object with messages")
            return
        if body.get("stream"):
            self._refuse(400, "this server does not stream")
            return
        self._call = self._server._arrived(self._number, headers, body)
        self._answering = asyncio.get_running_loop().create_task(self._serve(self._call))

    async def _serve(self, call: LoopbackCall) -> None:
        try:
            outcome = await self._server._answer(call, self)
        except Exception as error:
            self._refuse(500, f"the test's own callable failed: {error!r}")
            outcome = "fault"
        self._finish(outcome)
        self._next_request()

    def _finish(self, outcome: str) -> None:
        """Once per request: whoever comes first, the answer or the client's leaving, decides."""
        if self._call is not None:
            self._server._ended(self._call, outcome)
            self._call = self._answering = None

    def _refuse(self, status: int, message: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        self.send(status, {}, json.dumps({"error": error}).encode())
        self.close()
