"""Runs that begin where another one was: forks, and runs whose program is changed.

Owns: `fork`, `try_program` and `migrate`: what of the other run's journal is shared, what is given
again by who asked for it. What a fork asks a model instead is kept by prompts.py.
Refuses: to run anything for real; whoever resumes the run does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from omega.calls.calls import WAITS_FOR
from omega.concurrency.recalling import Effects, Key, Missed
from omega.durable.memory import MemoryStore
from omega.durable.records import Batch, Change, Intent, Lease, NewRun, Result, RunRecord
from omega.durable.store import Store
from omega.durable.waiting import wall_us
from omega.errors import ArityError, HostError, LispTypeError, ReadError, UnboundVariable
from omega.lisp.printer import shorten
from omega.runs.continuing import CONTINUED, text_of
from omega.runs.journal import JournalReader, fact_of
from omega.runs.owners import take_over
from omega.runs.prompts import with_prompts
from omega.runs.session import (
    TTL_US,
    DurableSession,
    RunSettings,
    kept_program,
    new_id,
    program_of,
)
from omega.runs.shown import shown
from omega.runs.sources import RECALLS, left_to_recall, recall_of, recalls
from omega.runs.unknown import SETTLED, check_reply, reply_of
from omega.tape.facts import SLOW, STEP_MODEL
from omega.tape.values import decode, encode

# What an error is when a procedure is not there, is none, or takes other arguments.
NOT_CALLED = (UnboundVariable, ArityError, LispTypeError)


@dataclass(frozen=True)
class Cut:
    """Where a journal is cut: whole entries up to `seq`, and these lines of the next one, with the
    effects that begin there, and those that begin before it and end there.
    """

    seq: int
    lines: tuple[str, ...]
    intents: tuple[Intent, ...]
    results: tuple[Result, ...]


def fork(
    store: Store,
    run: str,
    effect: int,
    *,
    incarnation: int | None = None,
    reply: Any = None,
    prompt: str | None = None,
    program: tuple[str, str] | None = None,
    who: str,
    id: str | None = None,
    name: str | None = None,
) -> str:
    """The id of a new run that is `run` up to an effect, by its number, and shares its journal.
    incarnation: whose numbers these are; by default the latest's.

    There the effect is made again; or its reply is `reply`; or the model is asked `prompt`, in
    place of the text of the user's last turn. What the other run got later is given to the new one
    wherever that asks for the same. program: (file, text) of another one; the new run begins with
    it as `migrate` has a run go on, and is given what the other one got before the effect in the
    same way. Raises HostError.
    """
    if reply is not None and prompt is not None:
        raise HostError(
            "a fork takes a reply or a prompt, and got both",
            hint="with a reply the model is not asked, so there is no prompt",
        )
    record = store.run(run, incarnation=incarnation)
    asked = cache(lambda: asked_for(store, record, effect))  # it reads the journal
    if reply is not None:
        check_reply(run, asked(), reply)
    source = recalls(store, record)
    header = {**record.header, RECALLS: source,
              "fork": {"effect": effect, "is_replied": reply is not None}}  # fmt: skip
    if prompt is None:
        cut = _cut_before_end(store, record, effect)
    else:
        intent = asked()
        if intent.kind != WAITS_FOR:
            raise HostError(
                f"effect {effect} of run {run} asks no model, and has no prompt: {shown(intent)}",
                hint="a fork with a reply has it answer otherwise",
            )
        cut = _cut_before_asked(store, record, intent)
        header = with_prompts(header, intent, prompt)
    # The entry before the first one of an incarnation is the last one's: nothing of it is shared.
    shared = cut.seq if cut.seq >= record.first_seq else 0
    blobs: Mapping[str, bytes] = {}
    if prompt is None:  # whoever recalls this fork is given that, too, and not what its parent got
        is_model = asked().kind == WAITS_FOR
        given = reply_of(reply) if is_model and reply is not None else reply
        source["instead"] = [effect, None if reply is None else ["ok", encode(given)]]
    if program is not None:
        kept, blobs = _kept(record, *program)
        header, shared = _of_program(header, kept), 0
    made = store.create(
        NewRun(id or new_id(wall_us()), name or record.name, header, blobs, run, shared)
    )
    if program is None:
        if prompt is None:
            how = {"how": "retry"} if reply is None else {"how": "reply", "reply": reply}
            said = {"number": effect, "incarnation": made.incarnation, **how}
            store.signal(made.id, SETTLED, said, key=f"fork-{effect}", who=who)
        intents = cut.intents
        if prompt is None and _is_none_of(store, record, effect):
            # It was recalled there, and so was no effect of that run; it is one of this run.
            intents += (asked()._replace(effect_class="paid"),)
        lease = take_over(store, made, TTL_US)
        store.append(lease, Batch(cut.lines, intents, cut.results, change=Change("pending")))
    return made.id


def asked_for(store: Store, record: RunRecord, effect: int) -> Intent:
    """What a run asked for by that number, also where it was recalled. Raises HostError."""
    found = _asked_in(store, record, effect, record.incarnation)
    if found is None:
        raise _no_effect(store, record, effect, "")
    return found


def _asked_in(store: Store, record: RunRecord, effect: int, incarnation: int) -> Intent | None:
    for fact in JournalReader(store, record.id, incarnation=incarnation).facts():
        if fact[0] == "asked" and fact[1] == effect:
            return Intent(effect, fact[2], fact[3], fact[4], "", fact[6], fact[5])
        if fact[0] == "call" and fact[1] == effect and len(fact) > 3:
            return Intent(effect, fact[3], fact[4], fact[2], "", fact[6], fact[5])
    return None


def _is_none_of(store: Store, record: RunRecord, effect: int) -> bool:
    """Whether an effect was none of the run's own, but recalled."""
    made = store.effects(record.id, incarnation=record.incarnation)
    return all(each.number != effect for each, _ in made)


def _no_effect(store: Store, record: RunRecord, effect: int, which: str) -> HostError:
    last = store.run(record.id).incarnation
    of = f"incarnation {record.incarnation} of " if last > 1 else ""
    others = [n for n in range(last, 0, -1) if n != record.incarnation]
    other = next((n for n in others if _asked_in(store, record, effect, n) is not None), None)
    if other is not None:
        hint = f"incarnation {other} has one: it is named by --incarnation, or incarnation="
    else:
        number = f" --incarnation {record.incarnation}" if record.incarnation < last else ""
        hint = f"omega runs journal {record.id}{number} shows its effects, by number"
    return HostError(f"{of}run {record.id} has no effect {effect}{which}", hint=hint)


def _cut_before_end(store: Store, record: RunRecord, effect: int) -> Cut:
    asked: list[Any] | None = None

    def is_end(fact: list[Any]) -> bool:
        nonlocal asked
        if fact[0] == "asked" and fact[1] == effect:
            asked = fact
        if fact[0] == "ended" and fact[4] == effect:
            return True
        return asked is not None and fact[:6] == ["effect", *asked[2:]]

    found = _cut_before(store, record, is_end)
    if found is None:
        raise _no_effect(store, record, effect, " that has ended")
    return found


def _cut_before_asked(store: Store, record: RunRecord, intent: Intent) -> Cut:
    """Before the first attempt: all of them ask the same."""
    who = [intent.kind, intent.task, intent.n]
    found = _cut_before(store, record, lambda fact: fact[0] == "call" and fact[2:5] == who)
    assert found is not None  # what is intended is in the journal
    return found


def _cut_before(
    store: Store, record: RunRecord, is_there: Callable[[list[Any]], bool]
) -> Cut | None:
    seq, effects = record.first_seq - 1, Effects()
    for lines in store.journal(record.id, incarnation=record.incarnation):
        begun, ended = set[int](), set[int]()
        for index, line in enumerate(lines):
            fact = fact_of(store, line)
            if is_there(fact):
                while index and fact_of(store, lines[index - 1])[0] == SLOW:
                    index -= 1  # it stands with what comes behind it
                made = store.effects(record.id, incarnation=record.incarnation)
                return Cut(
                    *(seq, tuple(lines[:index])),
                    tuple(i for i, _ in made if i.number in begun - ended),
                    tuple(Result(i.number, r.outcome) for i, r in made
                          if r is not None and i.number in ended - begun),
                )  # fmt: skip
            if fact[0] in ("call", "asked"):
                begun.add(fact[1])
            end = effects.ended(fact)
            if end is not None:
                ended.add(end[0])
        seq += 1
    return None


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


class _Scratch(MemoryStore):
    """The store of a trial, which is as long as the run: nobody reads its journal."""

    def append(self, lease: Lease, batch: Batch) -> int:
        return super().append(lease, batch._replace(facts=(), blobs={}))


class Trying:
    """Another program that is to be run on what a run has got, or its own. session: to run it for:
    nothing is made, and nothing is written.
    """

    def __init__(
        self, store: Store, run: str, file: str, text: str, incarnation: int | None = None
    ) -> None:
        record = store.run(run, incarnation=incarnation)
        self.file, self.text = file, text_of(text, file, record.header)
        program, blobs = kept_program(file, self.text)
        self._header = _header_with(store, record, program)
        self.arguments: list[str] = list(self._header["arguments"])
        recall = recall_of(store, self._header, is_trial=True)
        assert recall is not None
        self.recall = recall
        self.is_own = program == record.header["program"]
        self.is_recalling = "before" in self._header[RECALLS]  # the run itself, still
        # Its text is there as well: the program may come to its `continue-as`, and ends there.
        scratch = NewRun(run, record.name, dict(self._header), blobs)
        self.session = DurableSession(_Scratch(), RunSettings(), new=scratch, trial=recall)

    def found(self, error: BaseException | None) -> Trial:
        """What came of it. error: that it has ended with."""
        if self.is_own:
            self.recall.pass_over()
        missed = self.recall.missed()
        opened = tuple(each for each in missed if each.is_open)
        others = tuple(each for each in missed if not each.is_open)
        error = self._not_called(error) or error
        return Trial(others, opened, tuple(self.recall.left()), error, self._header)

    def _not_called(self, error: BaseException | None) -> HostError | None:
        """What is wrong where the call stands that the run goes on with; None: nothing."""
        continued = self._header.get(CONTINUED)
        if continued is None or not isinstance(error, NOT_CALLED) or error.in_tail_call:
            return None
        span = error.span
        if span is None or (span.file, span.line) != (self.file, self.text.count("\n")):
            return None
        name = continued["procedure"]
        arguments = "".join(f" {shorten(decode(each))}" for each in continued["arguments"])
        return HostError(
            f"the call that it goes on with, ({name}{arguments}), cannot be made: {error.message}",
            hint=f"define `{name}` at the top level, as a procedure that takes these arguments:"
            " continue-as has carried them over",
        )


def try_program(
    store: Store,
    run: str,
    file: str,
    text: str,
    run_text: RunText,
    *,
    incarnation: int | None = None,
) -> Trial:
    """Run another program on what `run` has got: nothing is made, and nothing is written. Of a run
    that has begun anew by `continue-as`, that is what it has got since, or in another incarnation:
    the program's definitions are evaluated, and then that call.
    """
    try:
        trying = Trying(store, run, file, text, incarnation)
    except ReadError as error:
        return Trial(error=error)
    if trying.is_recalling and not trying.is_own:
        # What its own program would not ask for either is no difference. Only that tells it.
        record = store.run(run, incarnation=incarnation)
        own = Trying(store, run, *program_of(store, record.header), incarnation)
        own.found(run_text(own.session, own.file, own.text, own.arguments))
        trying.recall.passed_over = own.recall.passed_over
    return trying.found(run_text(trying.session, file, trying.text, trying.arguments))


def _header_with(store: Store, record: RunRecord, program: Mapping[str, str]) -> dict[str, Any]:
    return _of_program({**record.header, RECALLS: recalls(store, record)}, program)


def _of_program(header: Mapping[str, Any], program: Mapping[str, str]) -> dict[str, Any]:
    """The header of a run that begins anew with another program."""
    return {**header, "step-model": STEP_MODEL, "program": program}


def _kept(record: RunRecord, file: str, text: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """`kept_program` of what `record` runs of another program. Raises ReadError."""
    return kept_program(file, text_of(text, file, record.header))


def migrate(store: Store, run: str, file: str, text: str, *, may_pay_again: bool = False) -> None:
    """Have `run` go on with another program, from its beginning, on what it has got; after
    `continue-as` from that call on, on what it has got since.
    may_pay_again: effects whose outcome nobody knows may be made again. Raises RunOwned, RunEnded,
    HostError, ReadError.
    """
    record = store.run(run)
    program, blobs = _kept(record, file, text)
    opened = [intent for intent, _ in store.effects(run, open_only=True)]
    paid = _unknown(store, record, opened)
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
            continues_with=_header_with(store, record, program),
            change=Change("pending"),
        ),
    )


def _unknown(store: Store, record: RunRecord, opened: Sequence[Intent]) -> list[int]:
    """The numbers of those that were paid for, and whose outcome nobody knows: a fork shares the
    beginnings of effects whose ends it is still to be given.
    """
    paid = [intent for intent in opened if intent.effect_class == "paid"]
    recall = left_to_recall(store, record) if paid else None
    return [
        each.number
        for each in paid
        if recall is None or not recall.has(each.kind, each.task, each.n, each.asked, each.hash)
    ]


def bring_up(store: Store, record: RunRecord, run_text: RunText) -> RunRecord:
    """The run, as one that this version of Omega can go on with: one that was begun by a version
    which counts steps in another way begins anew on what it has got. Raises HostError when it would
    do something else then.
    """
    if is_of_this_version(record):
        return record
    file, text = program_of(store, record.header)
    return brought_up(store, record, try_program(store, record.id, file, text, run_text))


def is_of_this_version(record: RunRecord) -> bool:
    """Whether its steps are counted as here."""
    return bool(record.header["step-model"] == STEP_MODEL)


def brought_up(store: Store, record: RunRecord, found: Trial) -> RunRecord:
    """`bring_up`, once its program was tried."""
    if not found.is_same:
        raise HostError(
            f"run {record.id} was begun by Omega {record.header['version']}, which counts steps in"
            " another way, and here it would do something else",
            hint=f"resume it with that version; omega migrate {record.id} FILE tells what differs",
        )
    migrate(store, record.id, *program_of(store, record.header))
    return store.run(record.id)
