"""Server-sent events (WHATWG HTML, 9.2), read as their bytes come.

Owns: `EventReader`. Refuses: to know what an event means, and an event larger than EVENT_BYTES_MAX.
"""

from __future__ import annotations

EVENT_BYTES_MAX = 16 * 1024 * 1024


class EventReader:
    """Bytes in, complete events out."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []  # of a line that has not ended
        self._size = 0  # of the event under way
        self._name = ""
        self._data: list[str] = []
        self._is_first = True

    def feed(self, chunk: bytes) -> list[tuple[str, str]]:
        """The (name, data) of the events that `chunk` completes; name is "" when there is none.

        Raises ValueError for what is no UTF-8, or too large.
        """
        self._size += len(chunk)
        if self._size > EVENT_BYTES_MAX:
            raise ValueError(f"an event of more than {EVENT_BYTES_MAX:,} bytes")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._pending.append(chunk)
            return []
        lines = b"".join([*self._pending, chunk]).splitlines(keepends=True)
        # A carriage return at the very end may be half of a line's end.
        is_cut = not lines[-1].endswith(b"\n")
        self._pending = [lines.pop()] if is_cut else []
        events = []
        for raw in lines:
            line = raw.decode("utf-8").rstrip("\r\n")
            event = self._line(line)
            if event is not None:
                events.append(event)
            if not line:
                self._size = len(self._pending[0]) if is_cut else 0
        return events

    def _line(self, line: str) -> tuple[str, str] | None:
        if self._is_first:
            line = line.removeprefix("\ufeff")
            self._is_first = False
        if not line:
            name, data = self._name, self._data
            self._name, self._data = "", []
            return (name, "\n".join(data)) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None
