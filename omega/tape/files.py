"""The file of a tape: lines of JSON, appended while the run goes on, read as they are needed.

Owns: `TapeWriter`, `TapeReader`, the format:

  line 1      an object: what the run was started with (`header`)
  then        a list for each fact: its kind, then its fields. Those with a position begin with
              kind, turns, stage, us (see concurrency/recording.py), the others are asked for by
              the program in the order in which they stand (but for `slow`, which tells where it
              belongs)
  last        ["end", turns, stage, us, status]. A tape without it is torn: the run was
              killed. A last line that is not whole is ignored

Times of the clock stand as differences, many to a line. Refuses: deciding which facts there are.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from omega.errors import HostError, LispFileError, ReplayDivergence, Span, TapeEnded
from omega.tape.values import Unwritable, decode, decode_error, digest, encode, encode_error

FORMAT = 1
STEP_MODEL = 2  # raised when programs come to take other numbers of steps: older tapes are refused
FLUSH_BYTES = 1 << 16
CLOCKS_MAX = 1_000  # times in a line

# The facts that have a position.
PLACED = frozenset(("interrupt", "posts", "post", "timers", "ended", "part", "slept", "standstill",
                    "act", "returned", "mark", "end"))  # fmt: skip
SLOW = "slow"  # a slice that took long: has a position of its own, and nothing follows from it
FILE = "file"  # the text of a program's file, or where it was found; in no order


class TapeWriter:
    """A Log (concurrency/recording.py) in a file. Raises LispFileError when it cannot be made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lines: list[str] = []
        self._size = 0
        self._clocks: list[int] = []
        self._us = 0
        self._failure: OSError | None = None
        try:
            self._file: Any = open(path, "wb", buffering=0)  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise _cannot("write", path, error) from None

    def begin(self, header: dict[str, Any]) -> None:
        self._append(json.dumps({"omega-tape": FORMAT, "step-model": STEP_MODEL, **header}))
        self.flush()

    def write(self, kind: str, *fields: Any) -> None:
        if self._clocks:
            self._put_clocks()
        self._append(json.dumps([kind, *fields], separators=(",", ":")))

    def clock(self, us: int) -> None:
        self._clocks.append(us - self._us)
        self._us = us
        if len(self._clocks) >= CLOCKS_MAX:
            self._put_clocks()

    def outcome(self, value: Any, error: BaseException | None) -> Any:
        if error is not None:
            return ["error", encode_error(error)]
        try:
            return ["ok", encode(value)]
        except Unwritable as unwritable:
            return ["unwritable", str(unwritable)]

    def subject(self, subject: Any) -> list[Any]:
        return told(subject)

    def flush(self) -> None:
        if self._clocks:
            self._put_clocks()
        if not self._lines:
            return
        data = "".join(self._lines).encode()
        self._lines, self._size = [], 0
        try:
            while data:
                data = data[self._file.write(data) :]
        except (OSError, ValueError) as error:
            # The run goes on; `close` tells that its tape is worth nothing from here on.
            self._failure = self._failure or (error if isinstance(error, OSError) else None)

    def close(self) -> LispFileError | None:
        """What went wrong since it was opened. A second close does nothing."""
        self.flush()
        self._file.close()
        failure, self._failure = self._failure, None
        return None if failure is None else _cannot("write", self.path, failure)

    @property
    def is_open(self) -> bool:
        return not self._file.closed

    def _put_clocks(self) -> None:
        clocks, self._clocks = self._clocks, []
        self._append(json.dumps(["clock", *clocks], separators=(",", ":")))

    def _append(self, line: str) -> None:
        self._lines.append(line + "\n")
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()


def told(subject: Any) -> list[Any]:
    """Who asks for what, as fields: the task, its how manieth effect, a text and a hash."""
    if subject is None:
        return []
    (task, n), asked = subject
    return [task, n, *digest(asked)]


# From the id of a task, or None for the one that runs: what it is called, where it is.
Locate = Callable[[str | None], tuple[str | None, Span | None]]


class TapeReader:
    """A Tape (concurrency/replaying.py).

    Raises LispFileError when there is no such file, HostError when it is no tape of this version.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.stop: Callable[[HostError], NoReturn] = _raise
        self.locate: Locate = lambda task_id: (None, None)
        self.turns: Callable[[], int] = lambda: 0  # so far; the driver sets it
        try:
            self._file: Any = open(path, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise _cannot("open", path, error) from None
        self._line = 0
        self._inside: deque[list[Any]] = deque()  # those before the head
        self.slow: deque[list[Any]] = deque()
        self._clocks: deque[int] = deque()
        self._us = 0
        self._head: list[Any] | None = None
        self._files: dict[str, Any] | None = None
        self.header = self._read_header()
        self._facts = self._read_facts()
        self._fill()

    def _read_header(self) -> dict[str, Any]:
        try:
            header = json.loads(self._file.readline())
            format_, model = header["omega-tape"], header["step-model"]
        except (ValueError, KeyError, TypeError):
            raise HostError(
                f"{self.path} is no tape", hint="omega run --record FILE writes one"
            ) from None
        self._line = 1
        if (format_, model) != (FORMAT, STEP_MODEL):
            raise HostError(
                f"{self.path} was recorded by Omega {header.get('version')}, whose tapes this "
                "version cannot replay",
                hint="replay it with that version",
            )
        return dict(header)

    def _read_facts(self) -> Iterator[list[Any]]:
        for line in self._file:
            if not line.endswith(b"\n"):
                return  # torn
            self._line += 1
            try:
                fact = json.loads(line)
                if type(fact[0]) is not str:
                    raise ValueError
            except (ValueError, LookupError, TypeError):
                raise HostError(f"{self.path} is damaged in line {self._line}") from None
            yield fact

    def _fill(self) -> None:
        """Read up to the next head."""
        self._head = None
        for fact in self._facts:
            if fact[0] in PLACED:
                self._head = fact
                return
            if fact[0] == SLOW:
                self.slow.append(fact)
            elif fact[0] != FILE:
                self._inside.append(fact)

    # ------------------------------------------------------------------ facts with a position

    @property
    def head(self) -> list[Any] | None:
        return self._head

    @property
    def is_over(self) -> bool:
        return self._head is None and not self._inside and not self._clocks

    @property
    def is_at_end(self) -> bool:
        """Whether everything was met that the recorded run has met."""
        head = self._head
        return head is not None and head[0] == "end" and not self._inside and not self._clocks

    def take_head(self) -> list[Any]:
        head = self._head
        if head is None:
            self.stop(self.ended())
        if self._inside or self._clocks:
            self.stop(self.left_over())
        self._fill()
        return head

    def left_over(self) -> HostError:
        """The error for a run that has come further although something is left in the tape."""
        if self._clocks:
            left = "a reading of the clock"
        else:
            fact = self._inside[0] if self._inside else self._head
            left = "nothing" if fact is None else self.shown(fact)
        return self.differs(f"the recorded run had {left}, which the replay has left over")

    # ------------------------------------------------------------------ facts that are asked for

    def peek(self) -> list[Any] | None:
        return self._inside[0] if self._inside and not self._clocks else None

    def take(self, kind: str) -> list[Any]:
        fact = self.peek()
        if fact is None or fact[0] != kind:
            self.miss("a call of the outside" if kind == "call" else kind)
        return self._inside.popleft()

    def miss(self, asked: str, by: str | None = None) -> NoReturn:
        """The run asks for something that is not what comes next."""
        if self.is_over:
            self.stop(self.ended())
        fact = ["clock"] if self._clocks else self._inside[0] if self._inside else self._head
        assert fact is not None
        self.stop(self.differs(f"it asks for {asked}; recorded is {self.shown(fact)}", by))

    def clock(self) -> int:
        if not self._clocks:
            if not self._inside or self._inside[0][0] != "clock":
                self.miss("the time")
            self._clocks.extend(self._inside.popleft()[1:])
        self._us += self._clocks.popleft()
        return self._us

    def file(self, key: str) -> Any:
        """What was found of a program's file. They are asked for in no order: a text that is kept
        compiled asks in another one.
        """
        if self._files is None:
            self._files = {}
            with open(self.path, "rb") as file:
                for line in file:
                    if line.startswith(b'["file",') and line.endswith(b"\n"):
                        _, name, outcome = json.loads(line)
                        self._files[name] = outcome
        if key not in self._files:
            self.stop(self.differs(f"it asks for {key}, which the recorded run did not"))
        return self._files[key]

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """(file, hash, text) of every text the run was given."""
        with open(self.path, "rb") as file:
            for line in file:
                if line.startswith(b'["text",') and line.endswith(b"\n"):
                    _, name, hash_, text = json.loads(line)
                    yield name, hash_, text

    # ------------------------------------------------------------------ values, texts

    def outcome(self, kept: Any) -> tuple[Any, BaseException | None]:
        how, content = kept
        if how == "error":
            return None, decode_error(content)
        if how == "unwritable":
            self.stop(HostError(f"the tape does not hold what was answered here: {content}"))
        return decode(content), None

    def subject(self, subject: Any) -> list[Any]:
        return told(subject)

    def shown(self, fact: Any) -> str:
        """A fact in words."""
        kind = fact[0]
        if kind == "call":
            _, number, label, *subject = fact
            return f"{label} ({_asked(subject)})" if subject else f"{label} (call {number})"
        if kind == "effect":
            return f"the effect `{fact[3]}` ({_asked([*fact[1:3], *fact[4:6]])})"
        if kind == "entered":
            return f"`{fact[3]}` of the host, which calls the program"
        if kind == "text":
            return f"the evaluation of the text {fact[1]}"
        if kind == "act":
            return f"an act of the host: {fact[4]} {fact[5] or ''}".rstrip()
        if kind == "ended":
            return f"the end of call {fact[4]}, in turn {fact[1]}"
        if kind == "part":
            return f"a part of what call {fact[4]} gives, in turn {fact[1]}"
        words = {
            "clock": "a reading of the clock", "wall": "the wall limit", "timers": "a timer",
            "standstill": "a standstill", "returned": "the end of a run by the host",
            "end": "the end", "posts": "a call of another thread", "post": "a call of another "
            "thread", "interrupt": "Ctrl-C", "slept": "a sleep of a coroutine",
        }  # fmt: skip
        what: str = words.get(kind, kind)
        return f"{what}, in turn {fact[1]}" if kind in PLACED else what

    def differs(self, fact: str, by: str | None = None) -> ReplayDivergence:
        task, span = self.locate(by)
        error = ReplayDivergence(
            f"the replay differs from the recorded run: {fact}",
            span=span,
            hint="a tape fits the very program, settings and host functions it was recorded with",
        )
        error.task = task
        return error

    def ended(self) -> TapeEnded:
        return TapeEnded(
            f"the tape ends here, in turn {self.turns():,}: the run it was recorded from was "
            "killed, and what it did then is not known",
        )

    def close(self) -> None:
        self._file.close()


def _asked(fields: list[Any]) -> str:
    task, n, text, _ = fields
    return f"number {n} of task {task}: {text}" if text else f"number {n} of task {task}"


def _raise(error: HostError) -> NoReturn:
    raise error


def _cannot(doing: str, path: str, error: Exception) -> LispFileError:
    reason = getattr(error, "strerror", None) or str(error)
    hint = None
    if doing == "write":
        hint = "name a file that can be written, in a directory that exists"
    elif not os.path.exists(path):
        hint = "omega run --record FILE writes one"
    return LispFileError(f"cannot {doing} {path}: {reason.lower()}", hint=hint)
