"""What becomes of calls and effects whose process died before it kept what came of them.

Owns: `Policy`, `Unknown`: asking a person, making them again, failing them, having the host find
out; `settle`: what a person has said.
Refuses: to guess. What was paid for is not made twice unless somebody has said so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from omega.calls.calls import WAITS_FOR
from omega.concurrency import External
from omega.concurrency.durable import Again
from omega.durable.records import Intent, RunRecord, Signal
from omega.durable.store import Store
from omega.errors import HostError, RunStopped, UnknownOutcome
from omega.lisp.printer import shorten
from omega.llm.request import LLMReply, Usage
from omega.runs.journal import OPEN_CLASSES
from omega.runs.shown import shown
from omega.runs.signals import is_wait

Policy = Literal["ask", "retry", "fail"]
POLICIES: tuple[Policy, ...] = ("ask", "retry", "fail")
SETTLED = "omega:settled"  # the name of the message that tells what became of an effect
REASON = "unknown-outcome"
REPLY_SHOWN = 60  # characters

# Finds out what became of an effect: its reply; or RETRY when it was surely not made, ASK when that
# cannot be found out.
RETRY, ASK = object(), object()
Reconcile = Callable[[Intent], Any]
Outcome = tuple[Any, BaseException | None]


@dataclass(frozen=True)
class Settlement:
    """how: "retry", "fail" or "reply". reply: the text that it has answered."""

    how: str
    reply: Any = None

    @classmethod
    def told(cls, signal: Signal) -> tuple[int, Settlement]:
        value = signal.value
        return value["number"], cls(value["how"], value.get("reply"))

    def __str__(self) -> str:
        return self.how if self.how != "reply" else f"reply {shorten(self.reply, REPLY_SHOWN)}"


def unsettled(store: Store, record: RunRecord) -> list[Intent]:
    """The effects of a run whose outcome nobody knows, and that nobody has settled. Of one that is
    alive they are on their way.
    """
    said = settlements(store, record.id, record.epoch)
    return [
        intent
        for intent, _ in store.effects(record.id, open_only=True)
        if intent.effect_class == "paid" and intent.number not in said
    ]


def settlements(
    store: Store, run: str, stopped: int | None
) -> dict[int, tuple[Settlement, Signal]]:
    """What people have said of the effects of a run since it stopped, in that epoch; of those at
    which it was forked, in its first incarnation: another one has other numbers.
    """
    found, incarnation = {}, store.run(run).incarnation
    for signal in store.signals(run, waiting_only=False):
        if signal.name != SETTLED or signal.value.get("incarnation", incarnation) != incarnation:
            continue
        if signal.value.get("epoch", stopped) == stopped:
            number, settlement = Settlement.told(signal)
            found[number] = settlement, signal
    return found


def settle(
    store: Store, record: RunRecord, number: int, settlement: Settlement, *, who: str
) -> Settlement | None:
    """Say what became of an effect of a run that has stopped. None: that is what counts now. A
    settlement: somebody has said so before, and that counts: the process that goes on may have
    heard of it. Raises HostError for a reply that the effect cannot have.

    It counts for the next process that goes on with the run. An effect that is made again, and
    whose process dies again, is settled anew.
    """
    value: dict[str, Any] = {"number": number, "how": settlement.how, "epoch": record.epoch}
    if settlement.how == "reply":
        for intent, _ in store.effects(record.id):
            if intent.number == number:
                check_reply(record.id, intent, settlement.reply)
        value["reply"] = settlement.reply
    key = f"{SETTLED}/{number}/{record.epoch}"
    if store.signal(record.id, SETTLED, value, key=key, who=who):
        return None
    return settlements(store, record.id, record.epoch)[number][0]


def check_reply(run: str, intent: Intent, reply: Any) -> None:
    """Whether an effect can have answered that, as far as can be told from what was asked: of a
    function, any JSON data. Raises HostError.
    """
    of_run = f"effect {intent.number} of run {run}"
    if is_wait(intent.kind):
        raise HostError(
            f"{of_run} waits for a message, and has no reply: {shown(intent)}",
            hint="fork it there without a reply, and send the new run another message:"
            " omega signal RUN NAME VALUE",
        )
    if intent.kind == WAITS_FOR and not (isinstance(reply, str) and reply):
        got = "an empty one" if reply == "" else f"a value of the type {type(reply).__name__}"
        raise HostError(
            f"{of_run} asks a model, which answers with a text, got {got}: {shown(intent)}",
            hint="give what it could have said, such as --reply 'I do not know'",
        )


def reply_of(text: str) -> LLMReply:
    """What a model is said to have answered."""
    return LLMReply(text, Usage(0, 0, is_reported=False), "", "stop")


class Unknown:
    """Of one run. policy: for those that nobody has settled. reconcile: asked before the policy.
    stopped: the epoch in which it stopped: what people have said since.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        policy: Policy,
        reconcile: Reconcile | None = None,
        *,
        stopped: int | None = None,
    ) -> None:
        self._store, self._run, self._stopped = store, run, stopped
        self.policy, self.reconcile = policy, reconcile
        self._settled: dict[int, Settlement] | None = None
        self._intents: dict[int, Intent] = {}

    def _look(self) -> None:
        if self._settled is None:
            said = settlements(self._store, self._run, self._stopped)
            self._settled = {number: settlement for number, (settlement, _) in said.items()}
            open_ones = self._store.effects(self._run, open_only=True)
            self._intents = {intent.number: intent for intent, _ in open_ones}

    def calls(self, left: Sequence[tuple[int, External]]) -> Sequence[Again]:
        """See OnLive (concurrency/resuming.py)."""
        again: list[Again] = []
        asked: list[int] = []
        for number, external in left:
            settled = None
            if external.abort_reason is None:
                settled = self._settlement(number, external.effect_class)
            if settled is not None:
                again.append((number, external, self._start(number, external, settled)))
            elif external.effect_class == "paid" and external.abort_reason is None:
                asked.append(number)
            else:
                again.append((number, external, None))
        if asked:
            raise self.stopped(asked)
        return again

    def effect(self, number: int, effect_class: str, what: str) -> Outcome | None:
        """See Settle (taps.py)."""
        settled = self._settlement(number, effect_class)
        if settled is None and effect_class == "paid":
            raise self.stopped([number])
        if settled is None or settled.how == "retry":
            return None
        if settled.how == "fail":
            return None, self._error(number)
        return settled.reply, None

    def is_intended(self, number: int) -> bool:
        """Whether it is open in the store."""
        self._look()
        return number in self._intents

    def is_settled(self, number: int) -> bool:
        """Whether a person has said what became of it."""
        self._look()
        return self._settled is not None and number in self._settled

    def _settlement(self, number: int, effect_class: str) -> Settlement | None:
        """What a person has said, whatever its class: in a fork, say. Else, of a paid one, what is
        found out, or the policy: None asks a person. Others are made again.
        """
        if effect_class not in OPEN_CLASSES:
            return None
        self._look()
        assert self._settled is not None
        settled = self._settled.get(number)
        if settled is not None or effect_class != "paid":
            return settled
        if self.reconcile is not None and number in self._intents:
            found = self.reconcile(self._intents[number])
            if found is RETRY:
                return Settlement("retry")
            if found is not ASK:
                return Settlement("reply", found)
        return None if self.policy == "ask" else Settlement(self.policy)

    def _start(self, number: int, external: External, settled: Settlement) -> Any:
        """What to run for a call instead of the call; None: the call itself."""
        if settled.how == "retry":
            return None
        error = self._error(number) if settled.how == "fail" else None
        reply = settled.reply
        if external.label == WAITS_FOR and isinstance(reply, str):
            reply = reply_of(reply)

        async def answered() -> Any:
            if error is not None:
                raise error
            return reply

        return answered

    def _shown(self, number: int) -> str:
        intent = self._intents.get(number)
        if intent is None:
            return f"effect {number}"
        return f"effect {number}, {shown(intent)}"

    def _error(self, number: int) -> UnknownOutcome:
        return UnknownOutcome(
            f"nobody knows whether this was done: {self._shown(number)}",
            hint="its process was killed meanwhile; ask the vendor, or whoever it was sent to",
        )

    def stopped(self, numbers: list[int]) -> HostError:
        """The error that ends the run in this process, until a person has said what to do."""
        self._look()
        which = "; ".join(self._shown(number) for number in numbers[:3])
        more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
        return RunStopped(
            f"run {self._run} was killed, and nobody knows what became of {which}{more}",
            *(self._run, "blocked", REASON),
            hint=f"omega runs resolve {self._run} --retry (it may be paid twice), --fail, or"
            " --reply TEXT; then omega resume",
        )
