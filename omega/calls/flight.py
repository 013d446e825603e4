"""What is known of an LLM call while it lives: a flight, which tasks wait for, and its calls.

Owns: `Flight`, `Call`, `Receiver`: data, and the texts about it. Refuses: to change what it holds;
`calls.py` does.

A flight is one answer. Usually one call is made for it; a hedge makes a second one beside it, a
fallback one after it. Equal requests may share a flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omega.calls.models import Model
from omega.concurrency import Cell, External, Parts, Task
from omega.concurrency.driver import Driver
from omega.llm.budget import Amounts, Budget
from omega.llm.request import LLMRequest, Usage

if TYPE_CHECKING:
    from omega.calls.spending import Sent

CHARACTERS = 4  # of a token, about

Identity = tuple[str, int]
CallId = tuple[str, int, int]  # an identity, and the number of the call made for it


class Call:
    """One place in the governor's queue, and then one attempt after the other.

    request: as it is sent. queued_s: when it last began to wait for a slot. sent_s: when its
    attempt was sent, first_s: when the first piece of its answer came. noted: the tokens told so
    far. is_unwanted: nobody waits for it any more. is_sent: its attempt has reached the provider;
    known when that is over.
    """

    __slots__ = (
        *("attempt", "external", "first_s", "flight", "id", "is_sent", "is_unwanted"),
        *("_sent", "model", "noted", "queued_s", "request", "reserve", "sent_s"),
    )

    def __init__(self, call_id: CallId, flight: Flight, model: Model, sent: Sent) -> None:
        self.id, self.flight, self.model, self.request = call_id, flight, model, sent.request
        self._sent = sent
        self.attempt = 0
        self.external: External | None = None
        self.reserve = sent.reserve
        self.queued_s = self.sent_s = 0.0
        self.first_s: float | None = None
        self.noted: Usage | None = None
        self.is_sent = self.is_unwanted = False

    def stretch(self, extra: int) -> None:
        """Its answer may have so many tokens more than it needs at least."""
        sent = self._sent
        if sent.elastic is not None:
            least = sent.request.max_tokens
            assert least is not None
            self.request = sent.request.replaced(max_tokens=least + extra)
            calls, tokens, cost = sent.reserve
            each = sent.elastic.each
            self.reserve = Amounts(calls, tokens + extra * each.tokens, cost + extra * each.cost)


class Receiver:
    """Who gets a stream, piece by piece. `send` may wait. The methods are called in the task that
    waits for the stream, but `is_wanted` whenever somebody has to know.
    """

    __slots__ = ()

    def send(self, piece: str) -> None:
        """(send piece)"""
        raise NotImplementedError

    def note(self, usage: Usage) -> None:
        """The tokens known so far."""

    def is_wanted(self) -> bool:
        """Whether the call is worth sending, although it is waited for."""
        return True


class Telling:
    """An `emit`: what a provider tells of a stream goes to the external whose coroutine it is."""

    __slots__ = ("_driver", "_external")

    def __init__(self, driver: Driver, external: External) -> None:
        self._driver, self._external = driver, external

    async def __call__(self, piece: str) -> None:
        if not isinstance(piece, str):  # of anybody's code: parts that are no text are ours
            raise TypeError(f"a piece of its stream must be a str, got {type(piece).__name__}")
        await self._driver.tell(self._external, piece)

    def note(self, usage: Any, limits: Any) -> None:
        self._driver.report_part(self._external, (usage, limits))


class Flight:
    """key: of those who share it, None when nobody may. waiters: how many tasks wait for it. model:
    the last that was asked.

    attempts: sent in all, for whatever call. tried: the models that could not answer, with what
    `attempts` had come to then. pieces: characters of a stream that have come.
    receiver: of a stream; whether it wants the call is asked besides, where a task waits for
    another one's sake. timer: of its hedge.
    """

    __slots__ = (
        *("attempts", "budget", "calls", "cell", "fallbacks", "identity", "receiver"),
        *("key", "made", "model", "parts", "pieces", "request", "task", "timer", "tried"),
        "waiters",
    )

    def __init__(
        self,
        identity: Identity,
        request: LLMRequest,
        task: Task,
        cell: Cell,
        budget: Budget | None,
        parts: Parts | None,
        model: Model,
    ) -> None:
        self.identity, self.request, self.task, self.cell = identity, request, task, cell
        self.budget, self.parts, self.model = budget, parts, model
        self.key: str | None = None
        self.waiters = 0
        self.calls: list[Call] = []  # live ones
        self.made = 0
        self.attempts = 0
        self.fallbacks: list[Model] = []
        self.tried: list[tuple[str, int]] = []
        self.pieces = 0
        self.receiver: Receiver | None = None
        self.timer: Any = None

    @property
    def is_over(self) -> bool:
        return self.cell.full

    @property
    def is_given_up(self) -> bool:
        """Whether all who waited for it are cancelled, and have not run since."""
        if not self.waiters or self.is_over:
            return False
        return not self.cell.waiters or (
            self.receiver is not None and not self.receiver.is_wanted()
        )

    @property
    def sent(self) -> int:
        """`attempts`, without those that are about to be made."""
        waiting = [call for call in self.calls if call.external and not call.external.begun]
        return self.attempts - len(waiting)

    @property
    def shown(self) -> str:
        """What events call it."""
        return f"{self.identity[0]}#{self.identity[1]}"

    def remark(self, now_s: float) -> str:
        """How far it has come, for a listing of tasks."""
        sent = [call for call in self.calls if call.external is not None]
        if not sent:
            return "queued"
        first = sent[0].first_s
        if first is None:
            return f"sent {now_s - sent[0].sent_s:.1f} s ago"
        count = self.pieces / CHARACTERS
        rate = count / max(now_s - first, 1e-6)
        return f"about {count:,.0f} tokens, {rate:,.0f}/s"
