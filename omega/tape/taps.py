"""What the effect door asks instead of the outside: a `Recorder` writes down what it replies, a
`Replayer` replies what was written.

Owns: who asks (`Identity`: the task, and the how manieth of its effects that reach outside), the
handles of files, functions of the host, the files of a program.
Refuses: effects that wait: they are calls of the driver, which keeps them (recording.py). Chance
and the command line, which follow from what the run was started with.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from omega.concurrency import External
from omega.effects import Act, Tap
from omega.errors import LispError
from omega.lisp.host_calls import is_coroutine
from omega.tape.facts import FILE, FactReader, FactWriter
from omega.tape.values import decode, decode_error, digest, text_hash


class _Calls:
    """Who asks, and which functions of the host are called in which task."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self._counts: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._outside = 0
        self._hosts: WeakKeyDictionary[Any, list[list[Any]]] = WeakKeyDictionary()

    def next(self) -> tuple[str, int]:
        """The identity of an effect that is asked for now."""
        task = self.scheduler.current
        if task is None:
            self._outside += 1
            return "0", self._outside
        self._counts[task] = n = self._counts.get(task, 0) + 1
        return task.id, n

    def hosts(self) -> list[list[Any]]:
        """The functions of the host that the task is in, as [identity, name, has it entered?]."""
        return self._hosts.setdefault(self.scheduler.current, [])


def _tried(act: Act) -> tuple[Any, Exception | None]:
    """(what `act` answered, what it raised): what comes of it may wait, so in no `except` block."""
    try:
        return act(), None
    except Exception as error:
        return None, error


def _handle(tap: Tap, kind: str, arguments: tuple[Any, ...], value: Any) -> Any:
    """A file that an effect has opened, as a handle that asks the tap; value: of a replay None."""
    handle = _Input if kind == "file.open-read" else _Output
    return handle(tap, arguments[0], value)


async def _elsewhere() -> None:
    """In place of the coroutine that a function of the host answered: its end is a fact."""


def _is_told(scheduler: Any, external: External, arguments: Any) -> None:
    """A tape tells which task waits for `external`, and for what."""
    external.subject = ((scheduler.current.id, 0), arguments)


class Recorder:
    def __init__(self, tape: FactWriter, scheduler: Any) -> None:
        self.tape = tape
        self._calls = _Calls(scheduler)
        self._writes = _Calls(scheduler)  # counted apart: they are in the tape only when they fail
        self._scheduler = scheduler
        self._known: dict[str, Any] = {}
        self.last_identity = ("0", 0)  # of the effect that is made

    is_over = False

    def count_on_from(self, replayer: Replayer) -> None:
        """Its run goes on here."""
        self._calls, self._writes = replayer._calls, replayer._writes

    def next_identity(self) -> tuple[str, int]:
        return self._calls.next()

    def reply(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        opened: list[Any] = []

        def opens() -> bool:
            opened.append(act())
            return True

        if not kind.startswith("file.open"):
            return self.fact(kind, arguments, act)
        self.fact(kind, arguments, opens)
        return _handle(self, kind, arguments, opened[0])

    def fact(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        """`reply` of what is plain data."""
        identity = self.last_identity = self._calls.next()
        value, failure = _tried(act)
        self._write(identity, kind, arguments, value, failure)
        if failure is not None:
            raise failure
        return value

    def _write(
        self,
        identity: tuple[str, int],
        kind: str,
        arguments: Any,
        value: Any,
        failure: BaseException | None,
    ) -> None:
        outcome = self.tape.outcome(value, failure)
        self.tape.write("effect", *identity, kind, *digest(arguments), outcome)

    def written(self, kind: str, act: Act) -> None:
        identity = self._writes.next()
        try:
            act()
        except Exception as error:
            self._write(identity, kind, (), None, error)
            raise

    def host(self, name: str, arguments: Any, act: Act) -> Any:
        if self._scheduler.current is None:
            return act()
        identity = self._calls.next()
        hosts = self._calls.hosts()
        hosts.append([identity, name, False])
        try:
            value, failure = _tried(act)
        except BaseException as left:  # for the host, or since its task is unwound
            if not self._scheduler.closed:
                self._write(identity, f"host {name}", arguments, None, left)
            raise
        finally:
            hosts.pop()
        kept = {"async": True} if is_coroutine(value) else value
        self._write(identity, f"host {name}", arguments, kept, failure)
        if failure is not None:
            raise failure
        return value

    def waits(self, external: External, name: str, arguments: Any) -> None:
        _is_told(self._scheduler, external, arguments)

    def entered(self) -> None:
        if self._scheduler.current is None:
            return
        for call in self._calls.hosts():
            if not call[2]:
                call[2] = True
                self.tape.write("entered", *call[0], call[1])

    def file(self, key: str, act: Act) -> Any:
        value, failure = _tried(act)
        outcome = self.tape.outcome(value, failure)
        if self._known.get(key) != outcome:
            self._known[key] = outcome
            self.tape.write(FILE, key, outcome)
        if failure is not None:
            raise failure
        return value

    def text(self, filename: str, text: str) -> None:
        self._scheduler.host_acts("evaluate", filename)
        self.given(filename, text)

    def given(self, filename: str, text: str) -> None:
        self.tape.write("text", filename, text_hash(text), text)


class Replayer:
    """takes_any_text: the program may be another one than was recorded, as long as it does the
    same.
    """

    takes_any_text = False
    is_paused = False  # somebody looks at the run: nothing is asked of the outside for that

    def __init__(self, tape: FactReader, scheduler: Any) -> None:
        self.tape = tape
        self._calls = _Calls(scheduler)
        self._writes = _Calls(scheduler)
        self._scheduler = scheduler

    @property
    def is_over(self) -> bool:
        return self._scheduler.driver.failure is not None

    def _next(self, what: str) -> tuple[str, int]:
        """The identity of what is asked for now."""
        if self.is_paused:
            raise LispError(
                f"{what} reaches outside, and while a replay is stopped nothing does",
                hint="look at what the program has got: its variables",
            )
        return self._calls.next()

    def reply(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        value = self.fact(kind, arguments, act)
        if kind.startswith("file.open"):
            return _handle(self, kind, arguments, None)
        return value

    def fact(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        """`reply` of what is plain data."""
        identity = self._next(f"the effect `{kind}`")
        value, failure = self._take(identity, kind, arguments)
        if failure is not None:
            raise failure
        return value

    def _take(
        self, identity: tuple[str, int], kind: str, arguments: Any
    ) -> tuple[Any, BaseException | None]:
        asked = ["effect", *identity, kind, *digest(arguments)]
        fact = self.tape.peek()
        if fact is None or fact[:6] != asked:
            self.tape.miss(self.tape.shown(asked))
        return self.tape.outcome(self.tape.take("effect")[6])

    def _has_failed(self, identity: tuple[str, int], kind: str) -> bool:
        fact = self.tape.peek()
        return fact is not None and fact[:4] == ["effect", *identity, kind]

    def written(self, kind: str, act: Act) -> None:
        if self.is_paused:
            act()
            return
        identity = self._writes.next()
        if self._has_failed(identity, kind):
            failure = self._take(identity, kind, ())[1]
            assert failure is not None
            raise failure
        act()

    def host(self, name: str, arguments: Any, act: Act) -> Any:
        if self._scheduler.current is None and not self.is_paused:
            return act()
        identity = self._next(f"`{name}` of the host")
        kind = f"host {name}"
        fact = self.tape.peek()
        has_entered = fact is not None and fact == ["entered", *identity, name]
        asked = ["effect", *identity, kind, *digest(arguments)]
        if not has_entered and (fact is None or fact[:6] != asked):
            self.tape.miss(self.tape.shown(asked))
        assert fact is not None
        if has_entered or fact[6][0] == "unwritable":
            # What it did then is not in the tape, or not all of it: it has to do it again.
            self.tape.take(fact[0])
            hosts = self._calls.hosts()
            hosts.append([identity, name, has_entered])
            try:
                value = act()
            finally:
                hosts.pop()
                if has_entered:
                    self.tape.take("effect")
            if is_coroutine(value):
                value.close()
            return value
        kept = self.tape.take("effect")[6]
        if kept == ["ok", {"dict": [["async", True]]}]:
            pending = _elsewhere()
            pending.close()
            return pending
        value, failure = self.tape.outcome(kept)
        if failure is not None:
            raise failure
        return value

    def waits(self, external: External, name: str, arguments: Any) -> None:
        _is_told(self._scheduler, external, arguments)

    def entered(self) -> None:
        if self._scheduler.current is None or self.is_paused:
            return
        for identity, name, has_entered in self._calls.hosts():
            if not has_entered:
                self.tape.miss(f"a call of the program by `{name}`, number {identity[1]}")

    def file(self, key: str, act: Act) -> Any:
        how, content = self.tape.file(key)
        if how == "error":
            raise decode_error(content)
        return decode(content)

    def text(self, filename: str, text: str) -> None:
        if self.is_paused:
            return
        self._scheduler.host_acts("evaluate", filename)
        self.given(filename, text)

    def given(self, filename: str, text: str) -> None:
        fact = self.tape.peek()
        given = ["text", filename, text_hash(text)]
        if fact is None or fact[0] != "text" or fact[1] != filename:
            self.tape.miss(self.tape.shown(given))
        if fact[2] != given[2] and not self.takes_any_text:
            told = f"the text {filename} has changed: its hash is {given[2]}, not {fact[2]}"
            self.tape.stop(self.tape.differs(told))
        self.tape.take("text")


class _Input:
    """The handle of a file that is read."""

    def __init__(self, tap: Tap, path: str, handle: Any) -> None:
        self._tap, self._path, self._handle = tap, path, handle

    def read(self, n: int) -> Any:
        return self._tap.reply("file.read", (self._path, n), lambda: self._handle.read(n))

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()


class _Output:
    """The handle of a file that is written; a replay writes nothing."""

    def __init__(self, tap: Tap, path: str, handle: Any) -> None:
        self._tap, self._path, self._handle = tap, path, handle

    def write(self, data: Any) -> None:
        self._tap.reply("file.write", (self._path, data), lambda: self._done("write", data))

    def flush(self) -> None:
        self._tap.reply("file.flush", (self._path,), lambda: self._done("flush"))

    def close(self) -> None:
        self._tap.reply("file.close", (self._path,), lambda: self._done("close"))

    def _done(self, what: str, *arguments: Any) -> None:
        getattr(self._handle, what)(*arguments)
