"""LLM calls on the scheduler: the governor, the retries and the providers put together.

Owns: `Calls`: from a request to a reply: slots, retries, hedges, fallbacks, sharing, LLM events.
Refuses: deciding who may be sent (llm/governor.py), when to try again (llm/retry.py), how a model
is reached (a provider), what a program may call (the door).

A call is queued, admitted, in flight, maybe queued again, and over. It holds a slot from its
admission until its coroutine has really ended, cancelled ones included: `_ended` is the one place
where a slot is given back. Whoever waits for it may leave at any time; when nobody is left, a
queued call is withdrawn and one in flight is aborted.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from omega.calls import seeing
from omega.calls.failing import NOT_AGAIN, as_error, empty_answer, next_fallback, told
from omega.calls.figures import Figures, total
from omega.calls.flight import Call, CallId, Flight, Identity, Receiver, Telling
from omega.calls.models import Model, Models
from omega.calls.providers import Preparing, close_soon
from omega.calls.spending import Sent, Spending
from omega.concurrency import External, Parts, Scheduler, Task, choose, wrap
from omega.concurrency.limits import deadline_us
from omega.errors import LimitExceeded, LLMError, OmegaError
from omega.llm.budget import Budget
from omega.llm.failures import NOT_SENT, not_sent
from omega.llm.governor import Governor
from omega.llm.lane import Outcome
from omega.llm.provider import checked_reply, stream_from
from omega.llm.request import LLMReply, LLMRequest
from omega.llm.retry import RetryPolicy

PIECES = 16  # of a stream that wait for its task, before the server waits
GATHERING_S = 0.001  # in which those ask who ask together
WAITS_FOR = "an LLM call"

if TYPE_CHECKING:
    from omega.llm.cache import ReplyCache


class Observer(Protocol):
    """Who is told of calls as they go on."""

    def begun(self, flight: Flight, shown: str) -> None:
        """A call of the program is queued, to a model called `shown`; in its task."""

    def sent(self, call: Call) -> None:
        """An attempt is on its way."""

    def over(self, flight: Flight, reply: LLMReply | None, error: BaseException | None) -> None:
        """The call is over. Neither: nobody waits for it any more."""


class CallingScheduler(Scheduler):
    """A scheduler that tells its LLM calls when their cap changes, whoever changes it."""

    __slots__ = ("calls",)
    calls: Calls

    def configure(self, **changes: Any) -> None:
        super().configure(**changes)
        self.calls.limit_changed()


class Calls:
    """One interpreter's LLM calls."""

    def __init__(
        self,
        scheduler: Scheduler,
        models: Models,
        rng: random.Random,
        retry: RetryPolicy | None = None,
        cache: ReplyCache | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.models = models
        self.retry = retry or RetryPolicy()
        self._cache = cache
        self.budget = budget  # that all calls are paid from
        self.spending = Spending(models)
        self.governor: Governor[CallId] = Governor(scheduler.config.max_concurrent_llm_calls)
        self.figures: dict[str, Figures] = {}
        self._preparing = Preparing(scheduler)
        self._rng = rng
        self._live: dict[CallId, Call] = {}
        self._paying: dict[External, Call] = {}  # attempts in flight
        self._shared: dict[str, Flight] = {}
        self._flights: dict[Task, Flight] = {}  # by who waits, for listings
        self._left: tuple[Task | None, Flight | None] = (None, None)  # who was last made to leave
        self._timer: Any = None
        self.observers: list[Observer] = []
        self.used = False
        scheduler.remark = self.remark

    # -- what a program asks for ---------------------------------------------------------------

    def infer(
        self, identity: Identity, request: LLMRequest, budget: Budget | None = None
    ) -> LLMReply:
        """The reply to `request`. Waits; raises LLMError when the call failed for good, and
        LimitExceeded when `budget`, or one around it, does not allow it.
        """
        task = self.scheduler.running_task("call a model")
        model = self.models.find(request.model)
        key = self._key(request, model)
        while True:
            found = None if key is None else self._answered(key, request, model)
            if isinstance(found, LLMReply):
                return found
            if found is None and self._preparing.wait(model.provider):
                continue
            is_sharer = found is not None
            flight = found or self._begin(identity, request, model, budget, task, key, None)
            left = self._wait(flight, task, partial(self.scheduler.sync, flight.cell.event))
            if left is None:
                reply: LLMReply = flight.cell.value
                return reply
            if not (is_sharer and isinstance(left, OmegaError)):
                raise left
            # Another's budget could not pay for it, ours may.
            if not isinstance(left, LimitExceeded) or budget is flight.budget:
                break
        # Who shares a failure has one of his own: places and notes are told of each.
        raise copy.copy(left)

    def stream(
        self,
        identity: Identity,
        request: LLMRequest,
        receiver: Receiver,
        budget: Budget | None = None,
    ) -> LLMReply:
        """`infer`, with every piece of the text for `receiver` as it comes."""
        task = self.scheduler.running_task("call a model")
        parts = Parts(self.scheduler, PIECES)
        model = self.models.find(request.model)
        self._preparing.wait(model.provider)
        flight = self._begin(identity, request, model, budget, task, None, parts)
        flight.receiver = receiver

        def handed_on() -> None:
            if flight.calls and flight.calls[0].noted is not None:
                receiver.note(flight.calls[0].noted)

        def read() -> None:
            event = choose(wrap(parts.next, lambda piece: (piece,)), flight.cell.event)
            while True:
                got = self.scheduler.sync(event)
                handed_on()
                if not isinstance(got, tuple):
                    return
                receiver.send(got[0])

        left = self._wait(flight, task, read)
        if left is None or (flight.is_over and left is flight.cell.error):
            while parts.items:  # they came before the end did
                receiver.send(parts.take())
        if left is not None:
            raise left
        reply: LLMReply = flight.cell.value
        receiver.note(reply.usage)
        return reply

    def prepare(self, request: LLMRequest) -> None:
        """Have the running task wait until its model can be asked, unless its answer is kept."""
        model = self.models.find(request.model)
        if self._preparing.is_needed(model.provider):
            key = self._key(request, model) if request.cache else None
            if key is None or self.cache.get(key) is None:
                self._preparing.wait(model.provider)

    def _wait(self, flight: Flight, task: Task, wait: Callable[[], object]) -> BaseException | None:
        """Have `task` wait for `flight`; answers what it is to raise."""
        flight.waiters += 1
        self._flights[task] = flight
        left: BaseException | None = None
        try:
            wait()
        except BaseException as raised:
            left = raised
        flight.waiters -= 1
        self._flights.pop(task, None)
        if left is not None and not flight.waiters and not flight.is_over:
            self._abandon(flight)
        if left is not None:
            self._left = (task, flight)
        return left

    def left_by(self, task: Task) -> Flight | None:
        """What the running task waited for, when it has just been made to leave that."""
        left, flight = self._left
        return flight if left is task else None

    # -- sharing -------------------------------------------------------------------------------

    def _key(self, request: LLMRequest, model: Model) -> str | None:
        """What equal calls have in common; None when this one is nobody else's business."""
        if request.cache is False or (request.cache is None and request.temperature != 0):
            return None
        return f"{model.shown} {request.content_hash()}"

    def _answered(self, key: str, request: LLMRequest, model: Model) -> LLMReply | Flight | None:
        """The answer that an equal call got, or is about to get."""
        if request.cache:
            kept = self.cache.get(key)
            if kept is not None:
                self.figures_of(model).cached += 1
                return kept
        flight = self._shared.get(key)
        if flight is not None:
            self.figures_of(model).shared += 1
        return flight

    @property
    def cache(self) -> ReplyCache:
        """Of answers: in the file that the host has named, else in memory."""
        if self._cache is None:
            from omega.llm.cache import MemoryCache

            self._cache = MemoryCache()
        return self._cache

    # -- a flight begins -----------------------------------------------------------------------

    def _begin(
        self,
        identity: Identity,
        request: LLMRequest,
        model: Model,
        budget: Budget | None,
        task: Task,
        key: str | None,
        parts: Parts | None,
    ) -> Flight:
        cell = self.scheduler.cell(WAITS_FOR)
        flight = Flight(identity, request, task, cell, budget, parts, model)
        flight.fallbacks = self.models.fallbacks(model)
        cell.on_urge = lambda level: self._urge(flight, level)
        self.used = True
        for observer in self.observers:
            observer.begun(flight, model.shown)
        try:
            self._ask(flight, model)
        except OmegaError as error:
            self._over(flight, None, told(flight, error))
            raise
        if key is not None and not flight.is_over:
            flight.key = key
            self._shared[key] = flight
        return flight

    def _ask(self, flight: Flight, model: Model) -> None:
        """Queue one call more for `flight`."""
        scheduler, task = self.scheduler, flight.task
        now_s = scheduler.driver.now()
        flight.model = model
        problem = model.problem
        if problem is not None:
            raise problem
        sent = self.spending.outgoing(flight.request, model, flight.budget)
        call = Call((*flight.identity, flight.made), flight, model, sent)
        call.queued_s = now_s
        flight.made += 1
        flight.calls.append(call)
        self._live[call.id] = call
        scheduler.emit("LLMQueued", task, call=flight.shown)
        lending = scheduler.lending
        group = task.scope.group
        until_us = deadline_us(task)
        self.governor.lane(model.lane, model.limits)
        self.governor.ask(
            call.id,
            model.lane,
            priority=task.priority if lending is None else lending.level(task),
            group=group,
            input_tokens=sent.input_tokens,
            output_tokens=sent.output_tokens,
            deadline_s=None if until_us is None else until_us / 1e6,
            budget=flight.budget,
            reserve=sent.reserve,
            elastic=sent.elastic,
            now_s=now_s,
        )
        if sent.elastic is None or not self._is_scarce(flight.budget, sent):
            self._admit()
        else:  # not before those who ask at about the same time are known: they share what is left
            scheduler.call_later(GATHERING_S, self._admit)

    def _is_scarce(self, budget: Budget | None, sent: Sent) -> bool:
        """Whether as many as may be in flight cannot all have what they would take."""
        assert budget is not None and sent.elastic is not None
        each, most = sent.elastic
        return budget.spare(sent.reserve, each, most, lambda level: self.governor.limit) < most

    def _hedge(self, flight: Flight) -> None:
        """Its answer has taken long: ask once more, if the lane's share of such calls allows."""
        if flight.is_over or len(flight.calls) != 1:
            return
        model = flight.calls[0].model
        if self.governor.try_hedge(model.lane):
            self.figures_of(model).hedges += 1
            self._ask(flight, model)

    # -- a flight ends -------------------------------------------------------------------------

    def _abandon(self, flight: Flight) -> None:
        """Nobody waits any more."""
        self._over(flight, None, None)
        for call in list(flight.calls):
            self._drop(call)
        self._admit()

    def _over(self, flight: Flight, reply: LLMReply | None, error: BaseException | None) -> None:
        for observer in self.observers:
            observer.over(flight, reply, error)
        if flight.key is not None:
            del self._shared[flight.key]
            flight.key = None
        if flight.timer is not None:
            flight.timer.cancel()
            flight.timer = None

    def _drop(self, call: Call) -> None:
        """Nobody wants its answer: forget it in the queue, abort it in flight."""
        call.is_unwanted = True
        if self.governor.withdraw(call.id):
            self._forget(call)
            self._finished(call, "withdrawn")
        elif call.external is not None:
            call.external.abort("nobody waits for it")

    def _forget(self, call: Call) -> None:
        del self._live[call.id]
        call.flight.calls.remove(call)

    def _succeeded(self, call: Call, reply: LLMReply) -> None:
        flight = call.flight
        request = flight.request
        if request.cache and flight.key is not None and reply.text:
            self.cache.put(flight.key, reply)
        self._over(flight, reply, None)
        flight.cell.put(reply)
        for other in list(flight.calls):
            self._drop(other)

    def _failed(self, call: Call, error: OmegaError) -> None:
        """`call` has failed for good: its flight goes on with another one, or fails."""
        flight = call.flight
        if flight.calls:
            return  # a hedge may still answer
        fallback = next_fallback(flight, error)
        if fallback is not None:
            flight.tried.append((flight.model.title, flight.attempts))
            try:
                self._ask(flight, fallback)
                return
            except OmegaError as raised:  # it cannot even be asked
                error = raised
        told(flight, error)
        self._over(flight, None, error)
        self.figures_of(call.model).failures += 1
        flight.cell.fail(error)

    # -- attempts ------------------------------------------------------------------------------

    def _admit(self) -> None:
        now_s = self.scheduler.driver.now()
        has_left_out = True
        while has_left_out:
            admission, has_left_out = self.governor.admit(now_s), False
            for call_id in admission.calls:
                call = self._live[call_id]
                if call.flight.is_given_up:  # its slot is for another
                    self.governor.finished(call_id, now_s=now_s)
                    self._left_out(call)
                    has_left_out = True
                else:
                    self._start(call, now_s)
            for refusal in admission.refused:
                call = self._live[refusal.call_id]
                self._forget(call)
                self._finished(call, "refused")
                self._failed(call, refusal.error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self.governor.next_due_s()
        if due_s is not None:
            # The scheduler counts in microseconds: a call before the moment would be for nothing.
            self._timer = self.scheduler.call_at(max(due_s, now_s) + 2e-6, self._admit)

    def _left_out(self, call: Call) -> None:
        """It was not sent: whoever waited for it was cancelled before."""
        flight = call.flight
        self._forget(call)
        self._finished(call, "withdrawn")
        if flight.is_given_up and not flight.calls:
            self._over(flight, None, None)
            flight.cell.fail(not_sent())
        elif not flight.is_given_up and not call.is_unwanted:  # another one joined it meanwhile
            self._ask(flight, call.model)

    def _start(self, call: Call, now_s: float) -> None:
        flight, scheduler = call.flight, self.scheduler
        self.governor.started(call.id)
        call.stretch(self.governor.extra_of(call.id))
        call.attempt += 1
        flight.attempts += 1
        call.sent_s, call.first_s, call.noted = now_s, None, None
        figures = self.figures_of(call.model)
        figures.calls += 1
        figures.queued.add(max(0.0, now_s - call.queued_s))
        scheduler.llm_started()
        scheduler.emit("LLMStarted", flight.task, call=flight.shown, attempt=call.attempt)
        call.external = external = scheduler.external(
            lambda: self._attempt(call, external),
            on_done=lambda external: self._ended(call, external),
            waits_for=WAITS_FOR,
        )
        for observer in self.observers:
            observer.sent(call)
        external.subject, external.effect_class = (flight.identity, call.request), "paid"
        self._paying[external] = call
        if flight.parts is not None:
            flight.parts.source = external
            external.on_part = lambda part: self._part(call, part)
        hedge_s = flight.request.hedge_after_s
        if hedge_s is not None and flight.attempts == 1:
            flight.timer = scheduler.call_at(now_s + hedge_s, lambda: self._hedge(flight))

    async def _attempt(self, call: Call, external: External) -> LLMReply:
        """One attempt."""
        driver, provider = self.scheduler.driver, call.model.provider
        if call.flight.is_given_up:
            raise not_sent()
        if call.flight.parts is None:
            return checked_reply(await provider.infer(call.request, sleep=driver.sleep))
        emit = Telling(driver, external)
        reply = await stream_from(provider, call.request, sleep=driver.sleep, emit=emit)
        return checked_reply(reply)

    def _part(self, call: Call, part: Any) -> None:
        """A piece of a stream's text has come, or what is known of it."""
        now_s = self.scheduler.driver.now()
        flight = call.flight
        if not isinstance(part, str):
            usage, limits = part
            call.noted = usage or call.noted
            self.governor.note(call.id, Outcome(limits=limits), now_s=now_s)
            return
        if call.first_s is None:
            call.first_s = now_s
            self.figures_of(call.model).first_token.add(now_s - call.sent_s)
        flight.pieces += len(part)
        if not call.is_unwanted and flight.parts is not None:
            flight.parts.add(part)

    def _ended(self, call: Call, external: External) -> None:
        """The attempt is over and its connection closed. Runs on the hub."""
        self.scheduler.llm_finished()
        call.external = None
        del self._paying[external]
        now_s = self.scheduler.driver.now()
        figures = self.figures_of(call.model)
        reply, error = external.value, external.error
        call.is_sent = external.begun and not (
            isinstance(error, LLMError) and error.reason == NOT_SENT
        )
        outcome, usage = self.spending.outcome(call, reply, error)
        if usage is not None:
            assert outcome.used is not None
            figures.spend(usage, outcome.used.cost if self.spending.is_priced(call) else None)
        if error is None:
            figures.replies += 1
            figures.latency.add(now_s - call.sent_s)
            self._done(call, outcome, now_s)
            empty = empty_answer(call.flight, reply)
            if call.is_unwanted:
                self._finished(call, "late")
            elif empty is not None:
                self._finished(call, empty.kind, lambda: self._failed(call, empty))
            else:
                self._finished(call, "ok", lambda: self._succeeded(call, reply))
        elif not call.is_sent:
            figures.calls -= 1
            call.flight.attempts -= 1
            self.governor.finished(call.id, outcome, now_s=now_s)
            self._left_out(call)
        elif call.is_unwanted:
            self._done(call, outcome, now_s)
            self._finished(call, "cancelled")
        else:
            figures.throttled += outcome.throttle not in (None, "quota")
            self._retry(call, as_error(call, error), outcome, now_s)
        self._admit()

    def _retry(self, call: Call, error: OmegaError, outcome: Outcome, now_s: float) -> None:
        """An attempt failed: queue the call again, or have it fail."""
        delay = None
        if not call.flight.pieces:  # what has been handed out cannot be taken back
            delay = self.retry.delay(call.attempt, error, self._rng.random())
        if delay is not None:
            # Where the gate closes, it says when; the call keeps its turn behind it.
            due_s = now_s if outcome.throttle is not None else now_s + delay
            why = self.governor.requeue(call.id, due_s, outcome, now_s=now_s)
            if why is None:
                self.figures_of(call.model).retries += 1
                call.queued_s = now_s
                self._finished(call, "retry")
                return
            if why == "retries":
                error.notes.append((NOT_AGAIN, None))
        self._done(call, outcome, now_s)
        self._finished(call, error.kind, lambda: self._failed(call, error))

    def _done(self, call: Call, outcome: Outcome, now_s: float) -> None:
        self.governor.finished(call.id, outcome, now_s=now_s)
        self._forget(call)

    def _finished(self, call: Call, outcome: str, then: Callable[[], None] | None = None) -> None:
        """Whoever waits hears of it before the stream of events does: in the order there was."""
        if then is not None:
            then()
        flight = call.flight
        self.scheduler.emit("LLMFinished", flight.task, call=flight.shown, outcome=outcome)

    # -- seeing and setting --------------------------------------------------------------------

    def figures_of(self, model: Model) -> Figures:
        found = self.figures.get(model.shown)
        if found is None:
            found = self.figures[model.shown] = Figures(model.title, model.vendor_name)
        return found

    def stats(self, now_s: float) -> dict[str, Any]:
        """What there is to see, as plain data; seconds are the driver's."""
        return seeing.stats(self, now_s)

    @property
    def total(self) -> Figures:
        """Of all models."""
        return total(self.figures.values())

    def paid(self, external: External, reply: Any, error: BaseException | None) -> tuple[int, int]:
        """(tokens, pico-dollars) of an attempt that has ended so, as its vendor has told."""
        call = self._paying.get(external)
        usage = getattr(reply if error is None else error, "usage", None)
        return (0, 0) if call is None or usage is None else self.spending.paid(call.model, usage)

    def reserved(self, external: External) -> int:
        """Pico-dollars that an attempt which is about to be made may cost at most."""
        return self.spending.cost_max(self._paying[external]) if external in self._paying else 0

    def facts(self) -> list[str]:
        """What is told beside a progress."""
        return seeing.facts(self)

    def remark(self, task: Task) -> str | None:
        """How far the call that `task` waits for has come."""
        flight = self._flights.get(task)
        if flight is None:
            return None
        return f"{WAITS_FOR}: {flight.remark(self.scheduler.driver.now())}"

    def _urge(self, flight: Flight, level: int) -> None:
        """Whoever waits for it is as urgent as `level` now: so are its calls, in their queue."""
        for call in flight.calls:
            self.governor.set_priority(call.id, level)

    def limit_changed(self) -> None:
        """`max_concurrent_llm_calls` has changed; calls in flight go on."""
        self.governor.set_limit(self.scheduler.config.max_concurrent_llm_calls)
        self._admit()

    @property
    def is_connected(self) -> bool:
        """Whether a provider may have connections open."""
        return self.used and any(each.needs_real_time for each in self.models.providers())

    def close(self) -> None:
        """No call follows: give back what is kept open, but for connections."""
        if self._cache is not None:
            self._cache.close()

    async def aclose(self) -> None:
        """Give back the connections of the running loop."""
        for provider in self.models.providers():
            await provider.aclose()

    def close_soon(self) -> None:
        """Have the running asyncio loop close the providers' connections."""
        close_soon(self.aclose())
