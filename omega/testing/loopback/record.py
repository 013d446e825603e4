"""What reached a loopback server, and what became of it.

Owns: `LoopbackCall`, `Snapshot`, and `Record`, which holds them under one lock. Refuses: to decide
anything.

Invariants: every field is written by the server's thread, counters and outcomes under `_changed`;
readers copy under it. What a call has sent so far is a number of its own, read at any time.
`in_flight` counts requests read completely and neither answered nor left; it is 0 when nothing is
connected.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any


class LoopbackCall:
    """One request that arrived, and what became of it. Times are seconds since the server started.

    wire: "openai" or "anthropic". body: the JSON sent. headers: names in lower case. prompt: the
    text of the last message. arrived_s: when it was read completely; ended_s: when it was answered
    completely, or its client left.
    outcome: "pending", "replied", "fault", "limited" (429), or "closed" when the client left before
    the answer was complete. bytes_sent, events_sent: of the answer, so far.
    """

    __slots__ = (
        *("arrived_s", "body", "bytes_sent", "connection", "ended_s", "events_sent"),
        *("headers", "index", "outcome", "wire"),
    )

    def __init__(
        self,
        index: int,
        connection: int,
        wire: str,
        headers: dict[str, str],
        body: dict[str, Any],
        at_s: float,
    ) -> None:
        self.index = index
        self.connection = connection
        self.wire = wire
        self.headers = headers
        self.body = body
        self.arrived_s = at_s
        self.ended_s: float | None = None
        self.outcome = "pending"
        self.bytes_sent = self.events_sent = 0

    @property
    def prompt(self) -> str:
        messages = self.body.get("messages") or [{}]
        return _text(messages[-1].get("content"))

    @property
    def is_streamed(self) -> bool:
        return bool(self.body.get("stream"))

    def __repr__(self) -> str:
        return f"LoopbackCall({self.index}, {self.prompt[:40]!r}, {self.outcome})"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (
        part.get("text") or _text(part.get("content"))
        for part in parts
        if isinstance(part, Mapping)
    )
    return "".join(texts)


class Snapshot:
    """The server's counters at one moment.

    requests: arrived in all. in_flight: being answered now. peak: the most at once.
    connections: opened in all. open_connections: now.
    early_closes: requests whose client left before the answer was complete. replied: answered
    without a fault. limited: answered 429 by the server's limits.
    """

    __slots__ = (
        *("connections", "early_closes", "in_flight", "limited", "open_connections"),
        *("peak", "replied", "requests"),
    )

    def __init__(self) -> None:
        self.requests = self.in_flight = self.peak = 0
        self.connections = self.open_connections = 0
        self.early_closes = self.replied = self.limited = 0

    def copy(self) -> Snapshot:
        other = Snapshot()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Snapshot({fields})"


class Record:
    """The calls and counters of one server."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._state = Snapshot()
        self._calls: list[LoopbackCall] = []
        self._started_s = time.monotonic()

    # From any thread

    def now_s(self) -> float:
        return time.monotonic() - self._started_s

    def calls(self) -> list[LoopbackCall]:
        with self._changed:
            return list(self._calls)

    def snapshot(self) -> Snapshot:
        with self._changed:
            return self._state.copy()

    def wait_until(self, predicate: Callable[[Snapshot], bool], timeout_s: float) -> Snapshot:
        with self._changed:
            if self._changed.wait_for(lambda: predicate(self._state), timeout_s):
                return self._state.copy()
            raise TimeoutError(f"not within {timeout_s:g} s: {self._state!r}")

    # In the server's thread

    def opened(self) -> int:
        """The number of a new connection."""
        with self._changed:
            self._state.connections += 1
            self._state.open_connections += 1
            self._changed.notify_all()
            return self._state.connections

    def closed(self) -> None:
        with self._changed:
            self._state.open_connections -= 1
            self._changed.notify_all()

    def arrived(
        self, connection: int, wire: str, headers: dict[str, str], body: dict[str, Any]
    ) -> LoopbackCall:
        with self._changed:
            number = len(self._calls)
            call = LoopbackCall(number, connection, wire, headers, body, self.now_s())
            self._calls.append(call)
            state = self._state
            state.requests += 1
            state.in_flight += 1
            state.peak = max(state.peak, state.in_flight)
            self._changed.notify_all()
        return call

    def ended(self, call: LoopbackCall, outcome: str) -> None:
        with self._changed:
            call.outcome = outcome
            call.ended_s = self.now_s()
            state = self._state
            state.in_flight -= 1
            if outcome == "closed":
                state.early_closes += 1
            elif outcome == "replied":
                state.replied += 1
            elif outcome == "limited":
                state.limited += 1
            self._changed.notify_all()
