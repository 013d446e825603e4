"""Facts as lines of text: what a recorded run got from outside, one JSON list a line.

Owns: `FactWriter`, a Log (concurrency/recording.py); `FactReader`, a Tape
(concurrency/replaying.py); the format:

  a list for each fact: its kind, then its fields. Those with a position begin with kind, turns,
  stage, us (see concurrency/recording.py), the others are asked for by the program in the order in
  which they stand (but for `slow`, which tells where it belongs). Times of the clock stand as
  differences, many to a line.

Refuses: to know where the lines are kept; deciding which facts there are.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from omega.concurrency import External
from omega.errors import HostError, ReplayDivergence, Span, TapeEnded
from omega.tape.values import (
    Unwritable,
    decode,
    decode_error,
    digest,
    encode,
    encode_error,
    in_words,
)

STEP_MODEL = 2  # raised when programs come to take other numbers of steps: older facts are refused
CLOCKS_MAX = 1_000  # times in a line

# The facts that have a position.
PLACED = frozenset(("interrupt", "posts", "post", "timers", "ended", "part", "slept", "standstill",
                    "act", "returned", "again", "mark", "down", "end"))  # fmt: skip
SLOW = "slow"  # a slice that took long: has a position of its own, and nothing follows from it
FILE = "file"  # the text of a program's file, or where it was found; in no order


# A fact as the line that is kept: `json.dumps` would make an encoder for each.
as_line = json.JSONEncoder(separators=(",", ":")).encode


class FactWriter:
    """A Log whose lines go to `put`."""

    def __init__(self, shows_prompts: bool = True) -> None:
        self.shows_prompts = shows_prompts
        self._clocks: list[int] = []
        self._slow: list[str] = []  # see `write`
        self.us = 0  # what the clock has shown last

    def put(self, line: str) -> None:
        """Keep a line, which is without an end."""
        raise NotImplementedError

    def write(self, kind: str, *fields: Any) -> None:
        line = as_line([kind, *fields])
        self.put_clocks()
        if kind == SLOW:
            # Kept with what comes next: nobody asks for it, so a run that is killed behind it could
            # not tell whether it has come there.
            self._slow.append(line)
        else:
            self._put_slow()
            self.put(line)

    def clock(self, us: int) -> None:
        self._clocks.append(us - self.us)
        self.us = us
        if len(self._clocks) >= CLOCKS_MAX:
            self.put_clocks()

    def put_clocks(self) -> None:
        """Keep the times that were told so far."""
        if self._clocks:
            clocks, self._clocks = self._clocks, []  # first: to put a line may flush
            self._put_slow()
            self.put(as_line(["clock", *clocks]))

    def _put_slow(self) -> None:
        slow, self._slow = self._slow, []
        for line in slow:
            self.put(line)

    def outcome(self, value: Any, error: BaseException | None, number: int = 0) -> Any:
        if error is not None:
            return ["error", encode_error(error)]
        try:
            return ["ok", encode(value)]
        except Unwritable as unwritable:
            return ["unwritable", str(unwritable)]

    def called(self, number: int, external: External) -> None:
        self.write("call", number, external.label, *told(external.subject, self.shows_prompts))


def told(subject: Any, shows_prompts: bool = True) -> list[Any]:
    """Who asks for what, as fields: the task, its how manieth effect, a text and a hash."""
    if subject is None:
        return []
    (task, n), asked = subject
    return [task, n, *digest(asked, shows_prompts=shows_prompts)]


# From the id of a task, or None for the one that runs: what it is called, where it is.
Locate = Callable[[str | None], tuple[str | None, Span | None]]


class FactReader:
    """A Tape of facts, which are read as they are needed."""

    ended_since = "was killed"  # why there are no more, when the run had not ended
    shows_prompts = True  # whether their texts are among the facts, or only their hashes

    def __init__(self, name: str, facts: Iterator[list[Any]]) -> None:
        self.name = name  # what people call it
        self.stop: Callable[[HostError], NoReturn] = _raise
        self.locate: Locate = lambda task_id: (None, None)
        self.turns: Callable[[], int] = lambda: 0  # so far; the driver sets it
        self._facts = facts
        self._inside: deque[list[Any]] = deque()  # those before the head
        self.slow: deque[list[Any]] = deque()
        self._clocks: deque[int] = deque()
        self.us = 0  # what the clock has shown last
        self._head: list[Any] | None = None
        self._files: dict[str, Any] | None = None
        self._fill()

    def scan(self, kind: str) -> Iterator[list[Any]]:
        """Every fact of a kind, from the first one on, whatever was read already."""
        raise NotImplementedError

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

    def take_beginning(self, asked: list[Any]) -> list[Any]:
        """The next fact before the head, which is to begin so."""
        fact = self.peek()
        if fact is None or fact[: len(asked)] != asked:
            self.miss(self.shown(asked))
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
        self.us += self._clocks.popleft()
        return self.us

    def file(self, key: str) -> Any:
        """What was found of a program's file. They are asked for in no order: a text that is kept
        compiled asks in another one.
        """
        if not self.has_file(key):
            self.stop(self.differs(f"it asks for {key}, which the recorded run did not"))
        assert self._files is not None
        return self._files[key]

    def has_file(self, key: str) -> bool:
        if self._files is None:
            self._files = {name: outcome for _, name, outcome in self.scan(FILE)}
        return key in self._files

    def texts(self) -> Iterator[tuple[str, str, str]]:
        """(file, hash, text) of every text the run was given."""
        for _, name, hash_, text in self.scan("text"):
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
        return told(subject, self.shows_prompts)

    @staticmethod
    def shown(fact: Any) -> str:
        """A fact in words."""
        kind = fact[0]
        if kind == "call":
            _, number, label, *subject = fact
            return f"{label} ({_asked(subject)})" if subject else f"{label} (call {number})"
        if kind == "effect":
            return f"the effect `{fact[3]}` ({_asked([*fact[1:3], *fact[4:6]])})"
        if kind == "asked":
            return f"the effect `{fact[4]}` ({_asked([*fact[2:4], *fact[5:7]])})"
        if kind == "entered":
            return f"`{fact[3]}` of the host, which calls the program"
        if kind == "text":
            return f"the evaluation of the text {fact[1]}"
        if kind == "act":
            return f"an act of the host: {fact[4]} {fact[5] or ''}".rstrip()
        if kind == "ended":
            return f"the end of call {fact[4]}, in turn {fact[1]}"
        if kind == "decided":
            return f"a decision of the schedule ({fact[1]})"
        if kind == "part":
            return f"a part of what call {fact[4]} gives, in turn {fact[1]}"
        words = {
            "clock": "a reading of the clock", "wall": "the wall limit", "timers": "a timer",
            "standstill": "a standstill", "returned": "the end of a run by the host",
            "end": "the end", "posts": "a call of another thread", "post": "a call of another "
            "thread", "interrupt": "Ctrl-C", "again": "a call that is made again",
            "slept": "a sleep of a coroutine", "down": "a time in which nobody ran it",
            "mark": "nothing",
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
            f"the tape ends here, in turn {self.turns():,}: the run it was recorded from "
            f"{self.ended_since}, and what it did then is not known",
        )


def _asked(fields: list[Any]) -> str:
    task, n, text, _ = fields
    return f"number {n} of task {task}: {in_words(text)}" if text else f"number {n} of task {task}"


def _raise(error: HostError) -> NoReturn:
    raise error
