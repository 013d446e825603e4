"""One client's connection to a loopback server: HTTP/1.1, requests one after another.

Owns: `Connection`: bytes in, complete requests out; answers in, bytes out, whole or in chunks, as
fast as the client takes them. Refuses: chunked requests, and to know what is answered.

The client's leaving cancels the answer at once, whatever is still to be written.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

from omega.testing.loopback import anthropic_wire, openai_wire
from omega.testing.loopback.faults import Fault, http_date
from omega.testing.loopback.record import LoopbackCall, Record

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
SLOW_TURN_S = 0.05  # how often a slow body is written to
WIRES = {wire.PATH: wire for wire in (openai_wire, anthropic_wire)}


class Host(Protocol):
    """What a connection needs of its server."""

    record: Record
    send_buffer_bytes: int | None

    @property
    def is_stopping(self) -> bool: ...

    def joined(self, connection: Connection) -> None: ...

    def left(self, connection: Connection) -> None: ...

    def answering(
        self, call: LoopbackCall, wire: Any, connection: Connection
    ) -> Callable[[], Awaitable[str]]:
        """What answers a request that has just arrived; its value is the call's outcome."""

    def over(self, call: LoopbackCall) -> None:
        """A request is answered, or its client gone. Once for each."""


class Connection(asyncio.Protocol):
    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answering: asyncio.Task[None] | None = None  # kept here: loops hold tasks weakly
        self._call: LoopbackCall | None = None
        self._number = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._owed_s = 0.0  # of waiting, for what was written slowly
        self._is_begun = False  # a head was written that belongs to no finished answer

    # -- from the transport ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What other loops make is one, too, whatever its class.
        self._transport = cast(asyncio.Transport, transport)
        size = self._host.send_buffer_bytes
        if size is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            self._transport.set_write_buffer_limits(high=size)
        self._number = self._host.record.opened()
        self._host.joined(self)

    def eof_received(self) -> bool:
        # No client of HTTP closes only half: it has left, and wants nothing that is still unsent.
        self.abort()
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._host.record.closed()
        self._host.left(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answering is None:
            self._next_request()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- answers -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what is written, then close."""
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        assert self._transport is not None
        self._transport.abort()

    async def send(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        outcome: str | None,
        only: int | None = None,
        bytes_per_s: float | None = None,
    ) -> None:
        """Write one whole answer; with `only`, that many bytes of its body.

        outcome: the call's, when it is then over.
        """
        self._begin_answer(status, {**headers, "Content-Length": str(len(body))}, "json")
        await self._write(body[:only], bytes_per_s, outcome)
        self._is_begun = False

    async def begin_stream(self, headers: Mapping[str, str]) -> None:
        """Write the head of an answer that comes in parts."""
        self._begin_answer(200, {**headers, "Transfer-Encoding": "chunked"}, "stream")

    async def send_part(self, part: bytes, bytes_per_s: float | None = None) -> None:
        """Write one part; waits until the client has taken most of what was written before."""
        if not part:  # a chunk of no bytes is the end of a body
            return
        await self._write(b"%x\r\n%b\r\n" % (len(part), part), bytes_per_s)

    async def end_stream(self, outcome: str) -> None:
        await self._write(b"0\r\n\r\n", None, outcome)
        self._is_begun = False

    def _begin_answer(self, status: int, headers: Mapping[str, str], kind: str) -> None:
        assert self._transport is not None
        content_type = (
            "text/event-stream; charset=utf-8" if kind == "stream" else "application/json"
        )
        lines = [
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Fault'}",
            f"Content-Type: {content_type}",
            f"Date: {http_date()}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._is_begun = True
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    async def _write(
        self, data: bytes, bytes_per_s: float | None, outcome: str | None = None
    ) -> None:
        """outcome: of a call that is over with this."""
        assert self._transport is not None
        size = len(data) if bytes_per_s is None else max(1, int(bytes_per_s * SLOW_TURN_S))
        for at in range(0, len(data), size):
            part = data[at : at + size]
            if bytes_per_s is not None:
                self._owed_s += len(part) / bytes_per_s
                if self._owed_s >= SLOW_TURN_S or outcome:  # not for every small part: timers cost
                    owed_s, self._owed_s = self._owed_s, 0.0
                    await asyncio.sleep(owed_s)
            if self._call is not None:
                self._call.bytes_sent += len(part)
            is_last = outcome is not None and at + size >= len(data)
            if is_last:
                self.finish(outcome or "")
            self._transport.write(part)
            if not is_last:
                await self._writable.wait()

    # -- requests ----------------------------------------------------------------------------------

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
            self._refuse(openai_wire, 411, "a request needs a Content-Length")
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
        wire = next((wire for end, wire in WIRES.items() if path.endswith(end)), None)
        if method != "POST" or wire is None:
            self._refuse(openai_wire, 404, f"there is no {method} {path} here")
            return
        try:
            body = json.loads(content)
        except ValueError as error:
            self._refuse(wire, 400, f"not JSON: {error}")
            return
        problem = wire.problem(body) if isinstance(body, dict) else "expected an object"
        if problem is not None:
            self._refuse(wire, 400, problem)
            return
        record = self._host.record
        self._call = call = record.arrived(self._number, wire.NAME, headers, body)
        answer = self._host.answering(call, wire, self)
        self._answering = asyncio.get_running_loop().create_task(self._serve(wire, answer))

    async def _serve(self, wire: Any, answer: Callable[[], Awaitable[str]]) -> None:
        try:
            outcome = await answer()
        except Exception as error:
            self._refuse(wire, 500, f"the test's own callable failed: {error!r}")
            outcome = "fault"
        self.finish(outcome)
        self._next_request()

    def _leave(self) -> None:
        """The client is gone, or the server ends."""
        if self._answering is not None:
            self._answering.cancel()
            self.finish("fault" if self._host.is_stopping else "closed")

    def finish(self, outcome: str) -> None:
        """Once per request: whoever comes first, the answer or the client's leaving, decides.

        Before the last bytes go out: a client that has its answer finds it in the record.
        """
        if self._call is not None:
            self._host.over(self._call)
            self._host.record.ended(self._call, outcome)
            self._call = self._answering = None

    def _refuse(self, wire: Any, status: int, message: str) -> None:
        """Answer what is no request, and close."""
        assert self._transport is not None
        if self._is_begun:  # nothing can be said in the middle of an answer
            self.abort()
            return
        body = json.dumps(wire.error_body(Fault.http(status, message=message))).encode()
        self._begin_answer(status, {"Content-Length": str(len(body))}, "json")
        self._transport.write(body)
        self.close()
