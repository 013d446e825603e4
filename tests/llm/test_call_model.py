"""LLM calls on a scheduler, whatever befalls them: no transport above the cap, none forgotten.

The provider counts what is really open, from its first line to its last, cleanup included. The
model knows when each call must be over: slots go by priority, then in the order of asking.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omega.calls.calls import CallingScheduler, Calls
from omega.concurrency import SchedulerConfig, Task, VirtualDriver
from omega.errors import LLMError
from omega.llm import LLMReply, LLMRequest, RetryPolicy, Usage

CALLS_MAX = 25
FAULTS = ("ok", "ok", "ok", "429", "500", "400", "crash", "slow close")


class Transports:
    """A provider whose answers were decided beforehand: (fault, milliseconds) per prompt."""

    name = "test"
    needs_real_time = False

    def __init__(self) -> None:
        self.plans: dict[str, list[tuple[str, int]]] = {}
        self.open = self.peak = self.opened = 0
        self.answered: list[str] = []

    async def infer(
        self, request: LLMRequest, *, sleep: Callable[[float], Awaitable[None]]
    ) -> LLMReply:
        prompt = request.prompt
        plan = self.plans[prompt]
        fault, ms = plan.pop(0) if len(plan) > 1 else plan[0]
        self.open += 1
        self.opened += 1
        self.peak = max(self.peak, self.open)
        try:
            await sleep(ms / 1000)
            if fault in ("429", "500", "400"):
                raise LLMError(
                    fault,
                    status=int(fault),
                    retryable=fault != "400",
                    retry_after_s=0.004 if fault == "429" else None,
                )
            if fault == "crash":
                raise RuntimeError("crash")
            self.answered.append(prompt)
            return LLMReply(prompt, Usage(1, 1))
        finally:
            try:
                if fault == "slow close":
                    await sleep(0.003)
            finally:
                self.open -= 1

    async def aclose(self) -> None:
        return None


class CallMachine(RuleBasedStateMachine):
    @initialize(cap=st.integers(1, 4))
    def make(self, cap: int) -> None:
        config = SchedulerConfig(max_concurrent_llm_calls=cap)
        self.s = CallingScheduler(config, driver=VirtualDriver())
        self.provider = Transports()
        retry = RetryPolicy(attempts=3, base_s=0.002)
        self.calls = self.s.calls = Calls(self.s, self.provider, random.Random(1), retry)
        self.tasks: list[Task] = []
        self.ends: dict[str, list[str]] = {}
        self.faults: list[str] = []
        self.allowed = cap  # the largest cap since a call in flight was admitted
        self.s.listeners.append(self.heard)

    # -- what is looked at whenever a call starts or ends

    def heard(self, event: dict[str, object]) -> None:
        if str(event["event"]).startswith("LLM"):
            self.look()

    def look(self) -> None:
        """Noted: to raise here would hit the scheduler in the middle of something."""
        governor, provider = self.calls.governor, self.provider
        if governor.in_flight > self.allowed:
            self.faults.append(f"{governor.in_flight} in flight, {self.allowed} allowed")
        if provider.open > governor.in_flight:
            self.faults.append(f"{provider.open} transports open for {governor.in_flight} slots")

    def call(self, prompt: str) -> None:
        end = "cancelled"
        try:
            reply = self.calls.infer((prompt, 1), LLMRequest(prompt))
            assert reply.text == prompt
            end = "ok"
        except LLMError as error:
            end = str(error.status)
        finally:
            self.ends[prompt].append(end)

    # -- rules

    @precondition(lambda self: len(self.tasks) < CALLS_MAX)
    @rule(
        plan=st.lists(
            st.tuples(st.sampled_from(FAULTS), st.integers(0, 9)), min_size=1, max_size=3
        ),
        priority=st.integers(0, 2),
        many=st.booleans(),
        timeout=st.none() | st.integers(1, 9),
    )
    def ask(
        self, plan: list[tuple[str, int]], priority: int, many: bool, timeout: int | None
    ) -> None:
        for _ in range(3 if many else 1):
            prompt = f"p{len(self.tasks)}"
            self.provider.plans[prompt] = list(plan)
            self.ends[prompt] = []
            task = self.s.spawn(
                lambda prompt=prompt: self.call(prompt),
                priority=priority,
                timeout=None if timeout is None else timeout / 1000,
            )
            task.observed = True
            self.tasks.append(task)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), ms=st.integers(0, 6))
    def cancel(self, data: st.DataObject, ms: int) -> None:
        task = data.draw(st.sampled_from(self.tasks))
        self.s.call_later(ms / 1000, lambda: self.s.cancel(task))

    @rule(cap=st.integers(1, 4), ms=st.integers(0, 6))
    def configure(self, cap: int, ms: int) -> None:
        def change() -> None:
            self.allowed = max(cap, self.calls.governor.in_flight)
            self.s.configure(max_concurrent_llm_calls=cap)

        self.s.call_later(ms / 1000, change)

    @rule(ms=st.integers(0, 12))
    def wait(self, ms: int) -> None:
        reached: list[bool] = []
        self.s.call_later(ms / 1000, lambda: reached.append(True))
        self.s.run_until(lambda: bool(reached) and not self.s.has_work())
        self.allowed = max(self.s.config.max_concurrent_llm_calls, self.calls.governor.in_flight)
        self.agree()

    def agree(self) -> None:
        """Once everything that could happen has: slots are what is really open, all are in use."""
        self.look()
        assert not self.faults, self.faults
        governor, provider = self.calls.governor, self.provider
        assert provider.open == governor.in_flight == self.s.stats().concurrent_llm_calls
        assert provider.open == len(self.s.externals)
        assert provider.opened == self.calls.total.calls
        if governor.in_flight < governor.limit:
            due_s = governor.next_due_s()
            assert due_s is None or due_s + 3e-6 > self.s.driver.now(), "a slot stays empty"
        live = [task for task in self.tasks if not task.is_done]
        assert governor.queued <= len(live)
        for task, ends in zip(self.tasks, self.ends.values(), strict=True):
            assert len(ends) == (task.is_done and hasattr(task, "started_ns")), "told once"
        told = [prompt for prompt, ends in self.ends.items() if ends == ["ok"]]
        assert sorted(told) == sorted(set(self.provider.answered) & set(told)), (
            "nobody else's answer"
        )

    @invariant()
    def it_is_sound(self) -> None:
        if hasattr(self, "s"):
            self.calls.governor._check()
            self.s._check()

    def teardown(self) -> None:
        """Whatever happened, everything ends and every slot comes back."""
        if not hasattr(self, "s"):
            return
        self.s.run()
        self.wait(50)  # the last transports close
        assert self.s.live == 0
        governor = self.calls.governor
        assert (governor.in_flight, governor.queued, self.provider.open) == (0, 0, 0)
        assert self.s.stats().concurrent_llm_calls == 0
        assert governor.asked == governor.finished_count + governor.withdrawn
        self.s.close()
        self.s._check()


TestCalls = CallMachine.TestCase
TestCalls.settings = settings(
    max_examples=int(os.environ.get("OMEGA_MODELS", "50")), stateful_step_count=25, deadline=None
)
