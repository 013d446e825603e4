"""Runs that begin where another one was: forks, and runs whose program is changed.

Owns: `fork`, `try_program` and `migrate`: what of the other run's journal is shared, what is given
again by who asked for it.
Refuses: to run anything for real; whoever resumes the run does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from omega.concurrency.recalling import Key, Missed, Recall
from omega.durable.memory import MemoryStore
from omega.durable.records import Batch, Change, Intent, NewRun, Result, RunRecord
from omega.durable.store import Store
from omega.durable.waiting import wall_us
from omega.errors import HostError
from omega.runs.journal import JournalReader, fact_of
from omega.runs.owners import take_over
from omega.runs.session import (
    TTL_US,
    DurableSession,
    RunSettings,
    kept_program,
    new_id,
    program_of,
)
from omega.runs.unknown import SETTLED
from omega.tape.facts import STEP_MODEL


@dataclass(frozen=True)
class Cut:
    """Where a journal is cut: whole entries up to `seq`, and these lines of the next one."""

    seq: int
    lines: tuple[str, ...]
    intents: tuple[Intent, ...]


def fork(
    store: Store,
    run: str,
    effect: int,
    *,
    reply: Any = None,
    who: str,
    id: str | None = None,
    name: str | None = None,
) -> str:
    """The id of a new run that shares the journal of `run` up to the end of an effect, by its
    number. There it is made again, or its reply is `reply`. What the other run got later is given
    to the new one wherever that asks for the same. Raises HostError.
    """
    record = store.run(run)
    cut = _cut_before_end(store, record, effect)
    header = {**record.header, "recalls": {"run": run, "incarnation": record.incarnation},
              "fork": {"effect": effect, "is_replied": reply is not None}}  # fmt: skip
    new = NewRun(id or new_id(wall_us()), name or record.name, header, {}, run, cut.seq)
    made = store.create(new)
    how = {"how": "retry"} if reply is None else {"how": "reply", "reply": reply}
    store.signal(made.id, SETTLED, {"number": effect, **how}, key=f"fork-{effect}", who=who)
    lease = take_over(store, made, TTL_US)
    store.append(lease, Batch(facts=cut.lines, intents=cut.intents, change=Change("pending")))
    return made.id


def _cut_before_end(store: Store, record: RunRecord, effect: int) -> Cut:
    seq = record.first_seq - 1
    asked: list[Any] | None = None
    for lines in store.journal(record.id):
        for index, line in enumerate(lines):
            fact = fact_of(store, line)
            if fact[0] == "asked" and fact[1] == effect:
                asked = fact
            is_end = fact[0] == "ended" and fact[4] == effect
            if is_end or (asked is not None and fact[:6] == ["effect", *asked[2:]]):
                return Cut(seq, tuple(lines[:index]), _intents(store, record.id, lines[:index]))
        seq += 1
    raise HostError(
        f"run {record.id} has no effect {effect} that has ended",
        hint=f"omega runs journal {record.id} shows its effects, by number",
    )


def _intents(store: Store, run: str, lines: list[str]) -> tuple[Intent, ...]:
    """The effects that are intended in these lines."""
    numbers = set()
    for line in lines:
        fact = fact_of(store, line)
        if fact[0] in ("call", "asked"):
            numbers.add(fact[1])
    return tuple(intent for intent, _ in store.effects(run) if intent.number in numbers)


# -- another program -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """What came of running another program on what a run has got. missed: effects that it makes
    otherwise, or anew; open: those of them that the run had begun itself. left: what the run has
    paid for, and the other program does not ask for. error: it ended with that.
    """

    missed: tuple[Missed, ...] = ()
    open: tuple[Missed, ...] = ()
    left: tuple[tuple[Key, str], ...] = ()
    error: BaseException | None = None
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether it does the same, as far as the run has come: what it makes then is new."""
        has_changed = any(each.was is not None for each in self.missed)
        return not has_changed and not self.left and self.error is None


# Makes an interpreter for a session, runs a text in it as a program, and closes it.
RunText = Callable[[DurableSession, str, str, list[str]], BaseException | None]


def try_program(store: Store, run: str, file: str, text: str, run_text: RunText) -> Trial:
    """Run another program on what `run` has got: nothing is made, and nothing is written."""
    record = store.run(run)
    header = _header_with(record, kept_program(file, text)[0])
    recall = Recall(JournalReader(store, run).facts())
    scratch = NewRun(run, record.name, dict(header))
    session = DurableSession(MemoryStore(), RunSettings(), new=scratch, trial=recall)
    error = run_text(session, file, text, list(header["arguments"]))
    opened = tuple(each for each in recall.missed if each.is_open)
    missed = tuple(each for each in recall.missed if not each.is_open)
    return Trial(missed, opened, tuple(recall.left()), error, header)


def _header_with(record: RunRecord, program: Mapping[str, str]) -> dict[str, Any]:
    return {
        **record.header,
        "step-model": STEP_MODEL,
        "program": program,
        "recalls": {"run": record.id, "incarnation": record.incarnation},
    }


def migrate(store: Store, run: str, file: str, text: str, *, may_pay_again: bool = False) -> None:
    """Have `run` go on with another program, from its beginning, on what it has got.
    may_pay_again: effects whose outcome nobody knows may be made again. Raises RunOwned, RunEnded,
    HostError.
    """
    record = store.run(run)
    program, blobs = kept_program(file, text)
    opened = [intent for intent, _ in store.effects(run, open_only=True)]
    paid = [intent.number for intent in opened if intent.effect_class == "paid"]
    if paid and not may_pay_again:
        raise HostError(
            f"nobody knows what became of effect {paid[0]} of run {run}, which another program"
            " might make again",
            hint=f"resume the run as it is, or allow that it is paid twice (of {len(paid)})",
        )
    lease = take_over(store, record, TTL_US)
    store.append(
        lease,
        Batch(
            results=[Result(intent.number, "unknown") for intent in opened],
            blobs=blobs,
            continues_with=_header_with(record, program),
            change=Change("pending"),
        ),
    )


def bring_up(store: Store, record: RunRecord, run_text: RunText) -> RunRecord:
    """The run, as one that this version of Omega can go on with: one that was begun by a version
    which counts steps in another way begins anew on what it has got. Raises HostError when it would
    do something else then.
    """
    if record.header["step-model"] == STEP_MODEL:
        return record
    file, text = program_of(store, record.header)
    found = try_program(store, record.id, file, text, run_text)
    if not found.is_same:
        raise HostError(
            f"run {record.id} was begun by Omega {record.header['version']}, which counts steps in"
            " another way, and here it would do something else",
            hint=f"resume it with that version; omega migrate {record.id} FILE tells what differs",
        )
    migrate(store, record.id, file, text)
    return store.run(record.id)
