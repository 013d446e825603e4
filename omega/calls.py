"""LLM calls on the scheduler: the governor, the retries and a provider put together.

Owns: `Calls`: from a request to a reply, slots, retries, cancellation, the LLM events of the
stream.
Refuses: deciding who may start (llm/governor.py), when to try again (llm/retry.py), how a
model is reached (a provider), what a program may call (the door).

A call is queued, admitted, in flight, maybe queued again, and over. It holds a slot from its
admission until its coroutine has really ended, cancelled ones included: `_ended` is the one place
where a slot is given back. Whoever waits for it may leave at any time; then a queued call is
withdrawn and one in flight is aborted.
"""

from __future__ import annotations

import random
from typing import Any

from omega.concurrency import Cell, External, Scheduler, Task
from omega.errors import Cancelled, LLMError, OmegaError
from omega.llm import Governor, LLMReply, LLMRequest, Provider, RetryPolicy
from omega.llm.lane import Outcome

Identity = tuple[str, int]

# Ends of connections under way in hosts' loops, which themselves hold tasks only weakly.
_closing: set[Any] = set()


class _Call:
    __slots__ = ("abandoned", "attempt", "cell", "external", "identity", "request", "task")

    def __init__(self, identity: Identity, request: LLMRequest, task: Task, cell: Cell) -> None:
        self.identity, self.request, self.task, self.cell = identity, request, task, cell
        self.attempt = 0
        self.external: External | None = None
        self.abandoned = False


class CallingScheduler(Scheduler):
    """A scheduler that tells its LLM calls when their cap changes, whoever changes it."""

    __slots__ = ("calls",)
    calls: Calls

    def configure(self, **changes: Any) -> None:
        super().configure(**changes)
        self.calls.limit_changed()


class Calls:
    """One interpreter's LLM calls. calls, retries, failures and tokens are totals."""

    def __init__(
        self,
        scheduler: Scheduler,
        provider: Provider,
        rng: random.Random,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.provider = provider
        self.retry = retry or RetryPolicy()
        self.governor: Governor[Identity] = Governor(scheduler.config.max_concurrent_llm_calls)
        self._rng = rng
        self._live: dict[Identity, _Call] = {}
        self._timer: Any = None
        self.used = False
        self.calls = self.retries = self.failures = 0
        self.input_tokens = self.output_tokens = 0

    def infer(self, identity: Identity, request: LLMRequest) -> LLMReply:
        """The reply to `request`. Waits; raises LLMError when the call failed for good."""
        task = self.scheduler.running_task("call a model")
        call = _Call(identity, request, task, self.scheduler.cell("an LLM call"))
        self._live[identity] = call
        self.used = True
        self.scheduler.emit("LLMQueued", task, call=_shown(identity))
        lending = self.scheduler.lending
        level = task.priority if lending is None else lending.level(task)
        self.governor.ask(identity, level, now_s=self.scheduler.driver.now())
        call.cell.on_urge = lambda level: self._urge(identity, level)
        self._admit()
        left: BaseException | None = None
        try:
            reply: LLMReply = self.scheduler.sync(call.cell.event)
        except BaseException as raised:
            left = raised
        if left is None:
            return reply
        if identity in self._live:
            self._abandon(call)
        raise left

    @property
    def is_connected(self) -> bool:
        """Whether the provider may have connections open."""
        return self.used and self.provider.needs_real_time

    def close_soon(self) -> None:
        """Have the running asyncio loop close the provider's connections."""
        import asyncio

        task = asyncio.Task(self.provider.aclose(), loop=asyncio.get_running_loop())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    # -- inside --------------------------------------------------------------------------------

    def _abandon(self, call: _Call) -> None:
        """Nobody waits any more: forget a queued call, abort one in flight."""
        call.abandoned = True
        if self.governor.withdraw(call.identity):
            del self._live[call.identity]
            self.scheduler.emit(
                "LLMFinished", call.task, call=_shown(call.identity), outcome="withdrawn"
            )
        elif call.external is not None:
            call.external.abort("nobody waits for it")

    def _urge(self, identity: Identity, level: int) -> None:
        """Whoever waits for the call is as urgent as `level` now: so is the call, in its queue."""
        if identity in self._live:
            self.governor.set_priority(identity, level)

    def limit_changed(self) -> None:
        """`max_concurrent_llm_calls` has changed; calls in flight go on."""
        self.governor.set_limit(self.scheduler.config.max_concurrent_llm_calls)
        self._admit()

    def _admit(self) -> None:
        now_s = self.scheduler.driver.now()
        admission = self.governor.admit(now_s)
        for refusal in admission.refused:
            self._refused(self._live.pop(refusal.call_id), refusal.error)
        for identity in admission.calls:
            self._start(self._live[identity])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self.governor.next_due_s()
        if due_s is not None:
            # The scheduler counts in microseconds: a call before the moment would be for nothing.
            self._timer = self.scheduler.call_at(max(due_s, now_s) + 2e-6, self._admit)

    def _start(self, call: _Call) -> None:
        self.governor.started(call.identity)
        call.attempt += 1
        self.calls += 1
        self.scheduler.llm_started()
        self.scheduler.emit(
            "LLMStarted", call.task, call=_shown(call.identity), attempt=call.attempt
        )
        sleep = self.scheduler.driver.sleep
        call.external = self.scheduler.external(
            lambda: self.provider.infer(call.request, sleep=sleep),
            on_done=lambda external: self._ended(call, external),
            waits_for="an LLM call",
        )
        call.external.subject = (call.identity, call.request)

    def _ended(self, call: _Call, external: External) -> None:
        """The attempt is over and its connection closed. Runs on the hub."""
        self.scheduler.llm_finished()
        error = external.error
        call.external = None
        delay = None
        if error is not None and not call.abandoned and not isinstance(error, Cancelled):
            delay = self.retry.delay(call.attempt, error, self._rng.random())
        now_s = self.scheduler.driver.now()
        told = Outcome(error is None)
        if delay is not None:
            assert isinstance(error, LLMError)
            if error.status in (429, 529) and error.retry_after_s is not None:
                self.governor.close_gate(now_s + error.retry_after_s)
            why = self.governor.requeue(call.identity, now_s + delay, told, now_s=now_s)
            if why is not None:
                delay = None
                error.notes.append((f"not tried again: {_FINAL[why]}", None))
        if delay is not None:
            self.retries += 1
            outcome = "retry"
        else:
            self.governor.finished(call.identity, told, now_s=now_s)
            del self._live[call.identity]
            outcome = self._deliver(call, external)
        self.scheduler.emit("LLMFinished", call.task, call=_shown(call.identity), outcome=outcome)
        self._admit()

    def _refused(self, call: _Call, error: OmegaError) -> None:
        """The governor will not let a queued call go."""
        self.failures += 1
        self.scheduler.emit("LLMFinished", call.task, call=_shown(call.identity), outcome="refused")
        call.cell.fail(error)

    def _deliver(self, call: _Call, external: External) -> str:
        error = external.error
        if error is None:
            reply: LLMReply = external.value
            self.input_tokens += reply.usage.input_tokens
            self.output_tokens += reply.usage.output_tokens
            call.cell.put(reply)
            return "ok"
        if call.abandoned:
            return "cancelled"
        self.failures += 1
        if not isinstance(error, OmegaError):
            wrapped = LLMError(
                f"the provider `{self.provider.name}` raised {type(error).__name__}: {error}"
            )
            wrapped.__cause__ = error
            error = wrapped
        call.cell.fail(error)
        return error.kind


_FINAL = {
    "retries": "too many calls fail for each of them to be repeated",
    "deadline": "its deadline comes before",
}


def _shown(identity: Identity) -> str:
    return f"{identity[0]}#{identity[1]}"
