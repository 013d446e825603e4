"""Ports: where text and bytes come from and go to (R7RS 6.13).

Owns: TextInput, TextOutput, BytesInput, BytesOutput: buffering, line counting, the output limit;
what is still in a buffer when the program ends (`Unflushed`); and how ports reach the outside,
which is the effect door alone.
Refuses: opening a file or touching stdin itself. Handlers of these effects do, and are implemented
by the assembly:

  effect            arguments                 reply
  file.open-read    path, binary: bool        a handle: read(n) -> str or bytes, empty at the end;
  close() file.open-write   path, append, binary      a handle: write(str or bytes); flush();
  close() file.exists       path                      bool
  file.delete       path                      anything; a file-error when there is no such file
  stdin.read-line                             str with its line end, "" at the end
  stdout.write      text                      anything
  stderr.write      text                      anything

Invariant: `_text[_at:]` (or `_data[_at:]`) is what was fetched and not yet read; what was read may
be dropped from the front at any time, so nothing keeps an index across a fetch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from omega.errors import LimitExceeded, LispValueError, ReadError, Source
from omega.lisp.data import Eof
from omega.lisp.numbers import Charge, free

CHUNK = 65_536  # characters or bytes asked of a handle at once
_LINE_END = re.compile(r"\r\n?|\n")
_DROP_AFTER = 1_000_000  # characters read before the front of a buffer is dropped
UNFLUSHED_MAX = 64  # ports that hold something back; the eldest is written then


class InputHandle(Protocol):
    def read(self, n: int) -> Any: ...
    def close(self) -> Any: ...


class OutputHandle(Protocol):
    def write(self, data: Any) -> Any: ...
    def flush(self) -> Any: ...
    def close(self) -> Any: ...


class Meter:
    """Counts output bytes; several ports may share one."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0

    def count(self, size: int, allowed: int | None) -> None:
        self.used += size
        if allowed is not None and self.used > allowed:
            raise LimitExceeded("output", self.used, allowed, "bytes")


class Unflushed:
    """Ports that hold back something for a file, the eldest first. They are kept from the collector
    until it is written, even when the program has forgotten them.
    """

    __slots__ = ("_ports",)

    def __init__(self) -> None:
        self._ports: dict[TextOutput | BytesOutput, None] = {}

    def note(self, port: TextOutput | BytesOutput) -> None:
        self._ports[port] = None
        if len(self._ports) > UNFLUSHED_MAX:  # each keeps a file open
            next(iter(self._ports)).flush()

    def forget(self, port: TextOutput | BytesOutput) -> None:
        self._ports.pop(port, None)

    def close(self) -> None:
        """Write all of it: these ports are closed. Raises what the first one raised that could not
        be written.
        """
        failure: Exception | None = None
        for port in list(self._ports):
            try:
                port.close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure


class Port:
    """name: for messages. is_open: whether it may still be used."""

    __slots__ = ("is_open", "name")
    lisp_type = "port"
    is_input = False
    is_textual = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_open = True

    def check_open(self, operation: str) -> None:
        if not self.is_open:
            raise LispValueError(f"`{operation}` needs an open port, but {self.name} is closed")

    def close(self) -> None:
        self.is_open = False


class TextInput(Port):
    """Characters of a string, or of a handle as they are needed."""

    __slots__ = ("_at", "_fold_case", "_handle", "_text", "column", "line")
    lisp_type = "input-port"
    is_input = True

    def __init__(
        self, text: str = "", name: str = "string port", handle: InputHandle | None = None
    ) -> None:
        super().__init__(name)
        self._text = text
        self._at = 0
        self._handle = handle
        self._fold_case = False  # a directive counts for whatever is read from the port later
        self.line = 1
        self.column = 1

    def _fetch(self, n: int = CHUNK) -> bool:
        """Get more text; False at the end."""
        if self._handle is None:
            return False
        more = self._handle.read(n)
        if not more:
            self._end()
            return False
        if self._at > _DROP_AFTER or self._at == len(self._text):
            self._text = self._text[self._at :]
            self._at = 0
        self._text += more
        return True

    def _end(self) -> None:
        """The handle is exhausted. (The terminal may go on after an end of file; files do not.)"""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _take(self, end: int) -> str:
        piece = self._text[self._at : end]
        breaks = piece.count("\n")
        if breaks:
            self.line += breaks
            self.column = len(piece) - piece.rfind("\n")
        else:
            self.column += len(piece)
        self._at = end
        return piece

    def peek_char(self) -> Any:
        if self._at >= len(self._text) and not self._fetch():
            return Eof
        return self._text[self._at]

    def read_char(self) -> Any:
        if self._at >= len(self._text) and not self._fetch():
            return Eof
        return self._take(self._at + 1)

    def read_line(self) -> Any:
        """The next line without its end (\\n, \\r or \\r\\n); Eof at the end."""
        seen = 0
        while True:
            found = _LINE_END.search(self._text, self._at + seen)
            # A \r that is the last of what is there may be half of a line's end.
            if found and (found.group() != "\r" or found.end() < len(self._text)):
                return self._take(found.end())[: -len(found.group())]
            seen = (found.start() if found else len(self._text)) - self._at
            if not self._fetch():
                line = self._take(len(self._text))
                return line.removesuffix("\r") if line else Eof

    def read_string(self, count: int) -> Any:
        """Up to `count` characters; Eof at the end unless count is 0."""
        while len(self._text) - self._at < count and self._fetch():
            pass
        if count and self._at >= len(self._text):
            return Eof
        return self._take(min(len(self._text), self._at + count))

    def read_rest(self, allowed: int | None) -> str:
        """Everything that is left; LimitExceeded("size") beyond `allowed` characters."""
        parts = [self._take(len(self._text))]
        size = len(parts[0])
        while self._fetch():
            parts.append(self._take(len(self._text)))
            size += len(parts[-1])
            if allowed is not None and size > allowed:
                raise LimitExceeded("size", size, allowed, "characters")
        return "".join(parts)

    def read_datum(self, charge: Charge = free) -> Any:
        """The next datum, as plain data; Eof at the end. Raises ReadError. charge: called with
        steps now and then.
        """
        from omega.lisp.lexer import Lexer
        from omega.lisp.reader import read_next, strip_source

        chunk = CHUNK
        while True:
            at_end = self._handle is None
            source = Source(self.name, self._text)
            lexer = Lexer(source, self._at, self.line, self.column, charge, self._fold_case)
            try:
                found = read_next(lexer)
            except ReadError as error:
                may_go_on = error.kind == "unclosed" or _is_cut(error, source)
                if not at_end and may_go_on:
                    self._fetch(chunk)  # at the end of the file: once more, without a handle
                    chunk *= 2
                    continue
                self._take(len(self._text))  # reading on would meet the same mistake for ever
                raise
            end = len(self._text) if found is None else found[2]
            if end == len(self._text) and not at_end and not _is_closed(self._text):
                self._fetch(chunk)  # the datum may go on in the next chunk
                chunk *= 2
                continue
            self._take(end)
            self._fold_case = lexer.fold_case
            return Eof if found is None else strip_source(found[0], charge)

    def is_ready(self) -> bool:
        """Whether there is something to read, or the end, without waiting: files never wait."""
        return self._at < len(self._text) or not isinstance(self._handle, LineHandle)

    def close(self) -> None:
        super().close()
        self._end()


def _is_cut(error: ReadError, source: Source) -> bool:
    """Whether the mistake may be the half of a token that the chunk's end cut in two."""
    end = len(source.text) - (source.text.rfind("\n") + 1)
    return error.span is None or error.span.end_column >= end - 64


def _is_closed(text: str) -> bool:
    return text[-1:] in (")", "]", "}", '"')


class LineHandle:
    """An input handle over a function that answers a line with its end, "" at the end
    (`stdin.read-line`).
    """

    __slots__ = ("_read_line",)

    def __init__(self, read_line: Callable[[], str]) -> None:
        self._read_line = read_line

    def read(self, n: int) -> str:
        return self._read_line()

    def close(self) -> None:
        pass


class TextOutput(Port):
    """Text to a string (no sink) or to `write`, a function of a string. Bytes are counted for the
    latter.
    """

    __slots__ = ("_handle", "_parts", "_size", "_unflushed", "_write", "meter")
    lisp_type = "output-port"

    def __init__(
        self,
        name: str = "string port",
        write: Callable[[str], Any] | None = None,
        handle: OutputHandle | None = None,
        meter: Meter | None = None,
        unflushed: Unflushed | None = None,
    ) -> None:
        super().__init__(name)
        self._unflushed = unflushed
        self._parts: list[str] = []
        self._size = 0
        self._write = write
        self._handle = handle
        self.meter = meter or Meter()

    @property
    def is_string_port(self) -> bool:
        return self._write is None and self._handle is None

    def write(self, text: str, limits: Any) -> None:
        """Write; LimitExceeded("output") beyond limits.output_bytes, ("size") for a string port."""
        self._size += len(text)
        if self._write is None and self._handle is None:
            if limits.alloc_items is not None and self._size > limits.alloc_items:
                raise LimitExceeded("size", self._size, limits.alloc_items, "characters")
            self._parts.append(text)
            return
        size = len(text)
        if not text.isascii():
            try:
                size = len(text.encode("utf-8"))
            except UnicodeEncodeError:
                text = self._without_surrogates(text)
        self.meter.count(size, limits.output_bytes)
        if self._write is not None:
            self._write(text)
            return
        if not self._parts and self._unflushed is not None:
            self._unflushed.note(self)
        self._parts.append(text)
        if self._size >= CHUNK:
            self.flush()

    def _without_surrogates(self, text: str) -> str:
        """A console shows lone surrogates as U+FFFD; a file refuses them."""
        if self._handle is not None:
            raise LispValueError(
                f"lone surrogates cannot be written to {self.name} as UTF-8", kind="bad-encoding"
            )
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def text(self) -> str:
        """All that was written to a string port."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def flush(self) -> None:
        if self._handle is not None:
            if self._unflushed is not None:
                self._unflushed.forget(self)
            if self._parts:
                text, self._parts, self._size = "".join(self._parts), [], 0
                self._handle.write(text)
            self._handle.flush()

    def close(self) -> None:
        if self.is_open:
            super().close()
            self.flush()
            if self._handle is not None:
                self._handle.close()


class BytesInput(Port):
    """Bytes of a bytevector, or of a handle as they are needed."""

    __slots__ = ("_at", "_data", "_handle")
    lisp_type = "binary-input-port"
    is_input = True
    is_textual = False

    def __init__(
        self, data: bytes = b"", name: str = "bytevector port", handle: InputHandle | None = None
    ) -> None:
        super().__init__(name)
        self._data = data
        self._at = 0
        self._handle = handle

    def _fetch(self) -> bool:
        if self._handle is None:
            return False
        more = self._handle.read(CHUNK)
        if not more:
            handle, self._handle = self._handle, None
            handle.close()
            return False
        self._data = self._data[self._at :] + bytes(more)
        self._at = 0
        return True

    def peek(self) -> Any:
        if self._at >= len(self._data) and not self._fetch():
            return Eof
        return self._data[self._at]

    def read_byte(self) -> Any:
        byte = self.peek()
        if byte is not Eof:
            self._at += 1
        return byte

    def read(self, count: int) -> Any:
        """Up to `count` bytes; Eof at the end unless count is 0."""
        parts: list[bytes] = []
        wanted = count
        while wanted > 0:
            if self._at >= len(self._data) and not self._fetch():
                break
            piece = self._data[self._at : self._at + wanted]
            self._at += len(piece)
            wanted -= len(piece)
            parts.append(piece)
        return Eof if count and not parts else bytearray(b"".join(parts))

    def is_ready(self) -> bool:
        """Whether there is something to read, or the end, without waiting: bytes are those of
        bytevectors and files.
        """
        return True

    def close(self) -> None:
        super().close()
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()


class BytesOutput(Port):
    """Bytes to a bytevector, or to a handle."""

    __slots__ = ("_data", "_handle", "_unflushed", "meter")
    lisp_type = "binary-output-port"
    is_textual = False

    def __init__(
        self,
        name: str = "bytevector port",
        handle: OutputHandle | None = None,
        meter: Meter | None = None,
        unflushed: Unflushed | None = None,
    ) -> None:
        super().__init__(name)
        self._unflushed = unflushed
        self._data = bytearray()
        self._handle = handle
        self.meter = meter or Meter()

    def write(self, data: bytes, limits: Any) -> None:
        """Write; limits as for TextOutput."""
        if self._handle is not None:
            self.meter.count(len(data), limits.output_bytes)
        elif limits.alloc_items is not None and len(self._data) + len(data) > limits.alloc_items:
            raise LimitExceeded("size", len(self._data) + len(data), limits.alloc_items, "bytes")
        if self._unflushed is not None and data and not self._data:
            self._unflushed.note(self)
        self._data += data
        if self._handle is not None and len(self._data) >= CHUNK:
            self.flush()

    @property
    def is_string_port(self) -> bool:
        return self._handle is None

    def bytes(self) -> bytearray:
        """All that was written to a bytevector port."""
        return bytearray(self._data)

    def flush(self) -> None:
        if self._handle is not None:
            if self._unflushed is not None:
                self._unflushed.forget(self)
            if self._data:
                data, self._data = bytes(self._data), bytearray()
                self._handle.write(data)
            self._handle.flush()

    def close(self) -> None:
        if self.is_open:
            super().close()
            self.flush()
            if self._handle is not None:
                self._handle.close()


def output_meter(rt: Any) -> Meter:
    """The meter all ports of a runtime share that lead outside."""
    meter: Meter | None = getattr(rt, "output_meter", None)
    if meter is None:
        meter = rt.output_meter = Meter()
    return meter


def unflushed(rt: Any) -> Unflushed:
    """The ports of a runtime that hold back something for a file."""
    found: Unflushed | None = getattr(rt, "unflushed", None)
    if found is None:
        found = rt.unflushed = Unflushed()
    return found


def standard_input(rt: Any) -> TextInput:
    """The port of `stdin.read-line`."""
    return TextInput("", "standard input", LineHandle(lambda: str(rt.perform("stdin.read-line"))))


def standard_output(rt: Any) -> TextOutput:
    """The port of `stdout.write`."""
    return TextOutput(
        "standard output", lambda text: rt.perform("stdout.write", text), meter=output_meter(rt)
    )


def standard_error(rt: Any) -> TextOutput:
    """The port of `stderr.write`."""
    return TextOutput(
        "standard error", lambda text: rt.perform("stderr.write", text), meter=output_meter(rt)
    )


def open_input(rt: Any, path: str, binary: bool = False) -> TextInput | BytesInput:
    """A port on a file, by `file.open-read`."""
    handle = rt.perform("file.open-read", path, binary)
    return BytesInput(b"", path, handle) if binary else TextInput("", path, handle)


def open_output(
    rt: Any, path: str, append: bool = False, binary: bool = False
) -> TextOutput | BytesOutput:
    """A port on a file, by `file.open-write`."""
    handle = rt.perform("file.open-write", path, append, binary)
    meter = output_meter(rt)
    if binary:
        return BytesOutput(path, handle, meter, unflushed(rt))
    return TextOutput(path, handle=handle, meter=meter, unflushed=unflushed(rt))
