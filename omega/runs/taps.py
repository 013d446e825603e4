"""What the effect door asks in a durable run: first the journal, and behind its end the outside.

Owns: `DurableTap`; functions of the host by their effect classes; the key of an effect.
Refuses: effects that wait: the driver keeps them. What becomes of an effect whose end nobody knows
(unknown.py).

Classes of what a function of the host does:
  pure           nothing that could be seen: it is called again by whoever goes on
  idempotent     may be done twice under one key (`effect_key`): again when nobody knows its end
  paid           is not done twice without a word: see unknown.py
  transactional  in the store's own transaction: it is done when the journal says so
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from omega.concurrency import never
from omega.concurrency.durable import unwritable
from omega.concurrency.recalling import Recall
from omega.effects import Act
from omega.errors import HostError, LispFileError, RunStopped
from omega.runs.journal import JournalReader, JournalWriter, joined
from omega.runs.outputs import InputFile, OutputFile
from omega.tape.taps import Recorder, Replayer
from omega.tape.values import decode, decode_error, digest

CLASSES = ("pure", "idempotent", "paid", "transactional")
LINE = "stdin.read-line"
ASKED = "asked"  # the fact that an effect is about to be made

_key: ContextVar[str | None] = ContextVar("omega_effect_key", default=None)


def effect_key() -> str:
    """Within a function of the host that a durable run has called: the key of this effect. It is
    the same whenever the effect is made again, and no other effect's.
    """
    key = _key.get()
    if key is None:
        raise HostError(
            "no durable run has called this function",
            hint='define it with effect="idempotent" or "paid", and call it in a durable run',
        )
    return key


Outcome = tuple[Any, BaseException | None]

# What becomes of an effect whose process died: (number, class, what it is) -> its outcome; None:
# make it again.
Settle = Callable[[int, str, str], Outcome | None]


class DurableTap:
    """A Tap (effects.py). is_live: whether the journal's facts are behind us."""

    def __init__(
        self,
        scheduler: Any,
        writer: JournalWriter,
        reader: JournalReader | None,
        is_live: Callable[[], bool],
    ) -> None:
        self._scheduler, self._writer, self._reader = scheduler, writer, reader
        self._is_live = is_live
        self._recorder = Recorder(writer, scheduler)
        self._replayer: Replayer | None = None
        if reader is not None:
            self._replayer = Replayer(reader, scheduler)
            self._recorder.count_on_from(self._replayer)
        self._outputs: WeakSet[OutputFile] = WeakSet()
        self.classes: dict[str, str] = {}  # of the functions of the host
        self.recall: Recall | None = None  # of the run that this one begins anew from
        self.is_trial = False  # nothing is done that is not recalled
        self.connection: Any = None  # while a transactional one runs
        self.settle: Settle = lambda number, effect_class, what: None
        self.door: Any = None
        writer.before_commit = self._sync

    @property
    def is_over(self) -> bool:
        return self._failure is not None

    @property
    def _failure(self) -> HostError | None:
        return self._writer.failure or self._scheduler.driver.failure

    def _tap(self) -> Recorder | Replayer:
        failure = self._failure
        if failure is not None:
            raise failure
        if self._replayer is None or self._is_live():
            return self._recorder
        return self._replayer

    def reply(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        if kind == "file.open-write":
            return self._open_output(arguments, act)
        if kind == "file.open-read":
            return self._open_input(arguments, act)
        if kind == "file.delete":
            return self._delete(arguments, act)
        return self._fact(kind, arguments, act)

    def _fact(self, kind: str, arguments: tuple[Any, ...], act: Act) -> Any:
        tap = self._tap()
        if self.recall is not None and tap is self._recorder:
            recall = self.recall

            def recalled() -> Any:
                asked, hash_ = digest(arguments)
                found = recall.take(kind, *tap.last_identity, asked, hash_)
                if found is None and self.is_trial and kind == LINE:  # it may be long in coming
                    recall.miss(kind, *tap.last_identity, "a line of standard input", hash_)
                    self._scheduler.sync(never)
                return act() if found is None else _answered(outcome_of(found.outcome))

            return tap.fact(kind, arguments, recalled)
        return tap.fact(kind, arguments, act)

    def written(self, kind: str, act: Act) -> None:
        if not self.is_over:
            self._keep_due()
            self._tap().written(kind, act)

    def _keep_due(self) -> None:
        """Keep what is due, before something that is seen, or may take long."""
        if self._tap() is self._recorder:
            self._scheduler.driver.commit()

    def file(self, key: str, act: Act) -> Any:
        tap = self._tap()
        if tap is self._replayer and not self._replayer.tape.has_file(key):
            tap = self._recorder  # its process was dead before it kept what it found
        return tap.file(key, act)

    def text(self, filename: str, text: str) -> None:
        self._scheduler.host_acts("evaluate", filename)
        self._tap().given(filename, text)

    def entered(self) -> None:
        if self._scheduler.current is not None:
            raise HostError(
                "a function of the host cannot use the interpreter in a durable run",
                hint="have the program call what it needs, and give the function the values",
            )

    # ------------------------------------------------------------------ files

    def _open_output(self, arguments: tuple[Any, ...], act: Act) -> OutputFile:
        opened: list[Any] = []

        def begins_at() -> int:
            if self.is_trial:
                return 0
            opened.append(act().raw())
            return int(opened[0].tell())

        at = self._tap().fact("file.open-write", arguments, begins_at)
        output = OutputFile(
            arguments[0],
            at,
            opened[0] if opened else None,
            lambda: self.door.open_again(*arguments).raw(),
            self.written,
        )
        self._outputs.add(output)
        return output

    def _open_input(self, arguments: tuple[Any, ...], act: Act) -> InputFile:
        opened: list[Any] = []

        def open_it() -> bool:
            opened.append(act())
            return True

        self._fact("file.open-read", arguments, open_it)
        return InputFile(arguments[0], opened[0] if opened else None, act, self.reply)

    def _delete(self, arguments: tuple[Any, ...], act: Act) -> Any:
        def again() -> Any:
            """The process that is dead may have done it."""
            try:
                return act()
            except LispFileError:
                if self.door.is_there(*arguments):
                    raise
                return None

        return self.effect("file.delete", arguments, "idempotent", act, again)

    def _sync(self) -> None:
        for output in self._outputs:
            output.sync()

    def close(self) -> None:
        """The run has stopped, or ended, in this process."""
        for output in self._outputs:
            if not self.is_over:
                output.sync()
            output.drop()

    def go_on(self) -> None:
        """The journal's facts are behind us: files are open again. Raises HostError."""
        for output in self._outputs:
            output.go_on()

    # ------------------------------------------------------------------ effects of the host

    def host(self, name: str, arguments: Any, act: Act) -> Any:
        if self._scheduler.current is None:
            return act()
        effect_class = self.class_of(name)
        if effect_class == "pure":
            self._keep_due()
            return act()
        return self.effect(f"host {name}", arguments, effect_class, act, act)

    def next_identity(self) -> tuple[str, int]:
        return self._recorder.next_identity()

    def waits(self, external: Any, name: str, arguments: Any) -> None:
        """A task waits for a function of the host that runs elsewhere."""
        identity = self._recorder.next_identity()
        external.subject = (identity, arguments)
        external.effect_class = self.class_of(name)
        external.context.run(_key.set, self.key(*identity))

    def class_of(self, name: str) -> str:
        """The effect class of a function of the host. Raises HostError when it has none."""
        found = self.classes.get(name)
        if found is None:
            raise HostError(
                f"`{name}` of the host has no effect class, and this is a durable run",
                hint=f'define("{name}", f, effect="pure"), or "idempotent", "paid",'
                ' "transactional": what may be done when nobody knows whether it was done',
            )
        return found

    def key(self, task: str, n: int) -> str:
        """The key of an effect: see `effect_key`."""
        return f"{self._writer.lease.run}/{task}/{n}"

    def effect(self, kind: str, arguments: Any, effect_class: str, act: Act, again: Act) -> Any:
        """What `act` answers, which is intended first. again: what to do when its process died."""
        is_replayed = self._tap() is self._replayer
        identity = self._recorder.next_identity()
        number = self._scheduler.driver.number_call()
        asked = [*identity, kind, *digest(arguments)]
        outcome: Outcome | None = None
        is_intended = True  # else it is not made: its outcome is recalled
        if is_replayed:
            assert self._reader is not None
            self._reader.take_beginning([ASKED, number, *asked])
            if not self._is_live():
                kept = self._reader.take_beginning(["effect", *asked])[6]
                return _answered(self._reader.outcome(kept))
            outcome, act = self._settled(number, effect_class, kind), again
        else:
            if self.recall is not None:
                outcome = self._recalled(kind, [*identity, *asked[3:]])
                if outcome is not None:  # a slice may be given many, and they may be long
                    self._scheduler.driver.commit()
            self._writer.write(ASKED, number, *asked)
            is_intended = outcome is None
            if is_intended:
                self._writer.intends(number, [*identity, *asked[3:]], kind, effect_class)
                if effect_class != "transactional":
                    self._scheduler.driver.commit()
        if outcome is None:
            token = _key.set(self.key(*identity))
            try:
                if effect_class == "transactional":
                    return self._transacted(number, asked, act)
                outcome = _tried(act)
            finally:
                _key.reset(token)
        # Kept with whatever is to be kept next: at the end of the slice, at the latest.
        return _answered(self._keep(number if is_intended else None, asked, outcome))

    def _recalled(self, kind: str, subject: list[Any]) -> Outcome | None:
        """What came of it in the run that is recalled; None: it is made."""
        assert self.recall is not None
        found = self.recall.take(kind, *subject)
        if found is not None:
            return outcome_of(found.outcome)
        self.recall.miss(kind, *subject)
        if self.is_trial:
            self._scheduler.sync(never)
        return None

    def _settled(self, number: int, effect_class: str, kind: str) -> Outcome | None:
        failure: HostError | None = None
        try:
            return self.settle(number, effect_class, kind)
        except RunStopped as stopped:
            failure = stopped
        self._scheduler.driver.stop(failure)
        raise failure

    def _keep(self, number: int | None, asked: list[Any], outcome: Outcome) -> Outcome:
        """Write how an effect ended; what the program gets: an error for what no journal holds.
        number: of one that was intended.
        """
        kept: list[Any] = self._writer.outcome(*outcome)
        if kept[0] == "unwritable":
            error = unwritable(asked[2], kept[1])
            outcome, kept = (None, error), self._writer.outcome(None, error)
        if number is not None:
            self._writer.ends(number, kept)
        self._writer.write("effect", *asked, kept)
        return outcome

    def _transacted(self, number: int, asked: list[Any], act: Act) -> Any:
        """What `act` answers, done in the store's transaction; with it, the journal tells of it."""
        writer = self._writer
        value: Any = None
        before = writer.batch()  # it may be done more than once

        def inside(connection: Any) -> Any:
            nonlocal value
            self.connection = connection
            try:
                value = act()
            except Exception as error:  # also of a store: not of this one's transaction
                raise _Failed(error) from None
            finally:
                self.connection = None
            kept = writer.outcome(value, None)
            if kept[0] == "unwritable":  # undoes what it did
                raise unwritable(asked[2], kept[1])
            self._keep(number, asked, (value, None))
            return joined(before, writer.batch())

        failure: Exception | None = None
        try:
            writer.guarded(lambda: writer.store.transact(writer.lease, inside, called=asked[2]))
        except _Failed as failed:
            failure = failed.error
        except Exception as error:
            failure = error
        if writer.failure is not None:
            self._scheduler.driver.stop(writer.failure)
        if failure is None:
            return value
        writer.put_back(before)
        self._keep(number, asked, (None, failure))
        self._scheduler.driver.commit()
        raise failure


class _Failed(Exception):
    """What a function has raised, on its way out of the store's transaction."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def outcome_of(kept: Any) -> Outcome:
    """What a kept outcome stands for."""
    how, content = kept
    return (None, decode_error(content)) if how == "error" else (decode(content), None)


def _tried(act: Act) -> Outcome:
    try:
        return act(), None
    except Exception as error:
        return None, error


def _answered(outcome: Outcome) -> Any:
    value, failure = outcome
    if failure is not None:
        raise failure
    return value
