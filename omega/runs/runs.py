"""Durable runs of one host: begun, gone on with, looked at.

Owns: `Runs`: what `Interpreter.run_durable` and `resume` do.
Refuses: how an interpreter is made (the host's own says), what a journal holds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from omega.bindings import Exit
from omega.durable.records import NewRun, RunRecord
from omega.durable.refusals import checked_id
from omega.durable.store import Store
from omega.durable.waiting import wall_us
from omega.errors import HostError, OmegaBug, OmegaError, RunEnded, UnknownRun
from omega.runs.continuing import text_of
from omega.runs.forks import Trying, brought_up, is_of_this_version
from omega.runs.session import DurableSession, RunSettings, kept_program, new_id, program_of
from omega.tape.values import Unwritable, decode, decode_error, encode, encode_error

NAME_CHARS = 200
CONTINUES = object()  # instead of a value: the run begins anew


def new_run(
    text: str,
    file: str,
    arguments: Sequence[str],
    *,
    id: str | None = None,
    name: str | None = None,
    **about: Any,
) -> NewRun:
    """A run of a program's text, which the store keeps. Raises HostError for an id that no run can
    have.
    """
    program, blobs = kept_program(file, text)
    header = {"program": program, "arguments": list(arguments), **about}
    # The name of a file may have bytes that are no text: the header keeps it as it is.
    shown = (name or file)[:NAME_CHARS].encode("utf-8", "replace").decode()
    return NewRun(new_id(wall_us()) if id is None else checked_id(id), shown, header, blobs)


class Runs:
    """make: an interpreter like the host's, for a session."""

    def __init__(
        self, store: Store, settings: RunSettings, make: Callable[[DurableSession], Any]
    ) -> None:
        self.store, self.settings, self._make = store, settings, make

    def begin(self, text: str, file: str, arguments: Sequence[str], **about: Any) -> Any:
        """The value of a run of `text`. Of one whose id there is already: see `go_on`."""
        return _at_once(self._begin(False, text, file, arguments, about))

    async def begin_async(
        self, text: str, file: str, arguments: Sequence[str], **about: Any
    ) -> Any:
        """The same inside a running asyncio loop, which goes on meanwhile."""
        return await self._begin(True, text, file, arguments, about)

    async def _begin(
        self, is_guest: bool, text: str, file: str, arguments: Sequence[str], about: dict[str, Any]
    ) -> Any:
        run = self._new(text, file, arguments, about)
        if isinstance(run, RunRecord):
            return await self._go_on(is_guest, run.id)
        value = await self._run(is_guest, self._session(new=run), file, text, arguments)
        return await self._go_on(is_guest, run.id) if value is CONTINUES else value

    def _new(
        self, text: str, file: str, arguments: Sequence[str], about: dict[str, Any]
    ) -> NewRun | RunRecord:
        """A run, or the one that has its id. Raises HostError when that one is of another text."""
        run = new_run(text, file, arguments, **about)
        if about.get("id") is None:
            return run
        try:
            there = self.store.run(run.id)
        except UnknownRun:
            return run
        program, _ = kept_program(file, text_of(text, file, there.header))  # it may have begun anew
        for what, asked in (("program", program), ("arguments", run.header["arguments"])):
            if there.header[what] != asked:
                raise HostError(
                    f"there is a run {run.id}, and its {what} are others",
                    hint="use another id, or resume that run",
                )
        return there

    def go_on(self, id: str) -> Any:
        """The value of a run, which goes on if it has not ended. Raises what it has ended with."""
        return _at_once(self._go_on(False, id))

    async def go_on_async(self, id: str) -> Any:
        """The same inside a running asyncio loop, which goes on meanwhile."""
        return await self._go_on(True, id)

    async def _go_on(self, is_guest: bool, id: str) -> Any:
        id = checked_id(id)
        while True:
            record = self.store.run(id)
            if record.outcome is not None:
                return ended_with(record)
            file, text = program_of(self.store, record.header)
            if not is_of_this_version(record):
                trying = Trying(self.store, id, file, text)
                error = await self._tried(
                    is_guest, trying.session, file, trying.text, trying.arguments
                )
                record = brought_up(self.store, record, trying.found(error))
            session = self._session(record=record)
            value = await self._run(is_guest, session, file, text, record.header["arguments"])
            if value is not CONTINUES:
                return value

    def _session(self, **run: Any) -> DurableSession:
        return DurableSession(self.store, self.settings, **run)

    async def _run(
        self,
        is_guest: bool,
        session: DurableSession,
        file: str,
        text: str,
        arguments: Sequence[str],
    ) -> Any:
        """The value of a text that is run for a session, or CONTINUES. Raises what it ends with.
        is_guest: in a running asyncio loop. If not, nothing in here waits for one.
        """
        session.is_guest = is_guest
        interpreter, ending = self._made(session, arguments), _Ending(session)
        try:
            try:
                with ending:
                    if is_guest:
                        ending.value = await interpreter.eval_async(text, filename=file)
                        await interpreter.scheduler.run_async()
                    else:
                        ending.value = interpreter.eval(text, filename=file)
                        interpreter.run()
            finally:
                if is_guest:
                    await interpreter.aclose()
                else:
                    interpreter.close()
            return await session.patiently(ending.tell)
        except OmegaError:
            raise
        except BaseException:  # it came while we closed, or while the end waited for room
            session.left()
            raise

    def _made(self, session: DurableSession, arguments: Sequence[str]) -> Any:
        interpreter = self._make(session)
        interpreter.door.arguments = list(arguments)
        return interpreter

    def run_text(
        self, session: DurableSession, file: str, text: str, arguments: list[str]
    ) -> BaseException | None:
        """Run a text for a session; what it ended with. See RunText (forks.py)."""
        error: BaseException | None = _at_once(self._tried(False, session, file, text, arguments))
        return error

    async def _tried(
        self, is_guest: bool, session: DurableSession, file: str, text: str, arguments: list[str]
    ) -> BaseException | None:
        try:
            await self._run(is_guest, session, file, text, arguments)
        except OmegaError as error:
            return None if error is session.failure else error
        return None


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The value of a coroutine that waits for no loop: there is none."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    coroutine.close()
    raise OmegaBug("a run without a loop has waited for one")


class _Ending:
    """How a run ends in this process: a context manager around it. value: of its text."""

    def __init__(self, session: DurableSession) -> None:
        self._session = session
        self._failure: OmegaError | None = None
        self.value: Any = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, OmegaError):
            self._failure = error
            return True
        if error is not None:
            self._session.left()
        return False

    def tell(self) -> Any:
        """Have the store told. The value, or CONTINUES; raises what it has ended with."""
        session, failure = self._session, self._failure
        if session.failure is not None:
            session.stopped()
            raise session.failure
        if isinstance(failure, Exit):
            session.end(failure.status)
            if not session.continues:
                raise failure
        elif failure is not None:
            session.end(1, {"error": encode_error(failure)})
            raise failure
        else:
            try:
                session.end(0, {"value": encode(self.value)})
            except Unwritable as unwritable:
                session.end(0, {"unwritable": str(unwritable)})
        return CONTINUES if session.continues else self.value


def ended_with(record: RunRecord) -> Any:
    """The value of a run that has ended. Raises its error, or RunEnded."""
    outcome = record.outcome
    if "value" in outcome:
        return decode(outcome["value"])
    if "error" in outcome:
        raise decode_error(outcome["error"])
    why = f", {record.reason}" if record.reason else ""
    raise RunEnded(
        f"run {record.id} has ended ({record.state}{why}), and its value is not kept",
        record.id,
        state=record.state,
    )
