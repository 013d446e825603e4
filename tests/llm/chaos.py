"""Calls of models in bad weather: two vendors' servers that fail, cut, stall and garble, and a
program that cancels, gives up and looks away at random.

Owns: `Chaos`: what befalls each call, decided by a seed; the program; what is counted on both
sides. Refuses: to judge (test_chaos.py does).

Every call has a text of its own, so what arrives at a server can be told apart. How many tokens an
answer has follows from that text as well: so each side can keep books without asking the other.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any, NamedTuple

from omega import Interpreter
from omega.calls import Model, Models
from omega.calls.calls import Calls
from omega.calls.flight import Call, Flight
from omega.concurrency import SchedulerConfig
from omega.concurrency.invariants import check
from omega.llm import AnthropicProvider, LLMReply, OpenAIProvider, Usage
from omega.llm.buckets import Rate
from omega.llm.budget import Amounts, Budget
from omega.llm.lane import LaneLimits, Outcome
from omega.llm.prices import Price
from omega.llm.retry import RetryPolicy
from omega.testing import Fault, LoopbackCall, LoopbackReply, LoopbackServer

LIMIT = 24  # calls in flight
AT_ONCE = 32  # tasks that want some
TROUBLE = 0.2  # the share of requests that fare badly
TROUBLES = ("500", "cut", "cut:", "timeout", "garbage", "slow:", "400")
STREAM_TROUBLES = ("500", "cut", "cut-events:", "stall:", "error:", "garbage:", "end:", "slow:")
THROTTLES = ("429", "slope", "503")
THROTTLED = 0.05  # of the troubles: each makes its whole lane go slowly for a while
TIMEOUTS_MS = (900, 1_500)
PRICES = {"first": (150_000, 600_000), "second": (3_000_000, 15_000_000)}  # pico-dollars a token
# Rates that are not refilled: what was taken and not given back is missing at the end.
BURST = 1e12
STILL = Rate(1e-9, BURST)
PROGRAM = """
(define (read-on stream n)
  (let loop ((i 0))
    (cond ((and n (>= i n)) 'left)
          ((eof-object? (recv! stream)) 'read)
          (else (loop (+ i 1))))))

(define (ask how text model ms n)
  (case how
    ((whole) (llm.infer text :model model :timeout ms))
    ((hedged) (llm.infer text :model model :timeout ms :hedge-after 15))
    ((shared) (llm.infer text :model model :timeout ms :temperature 0))
    ((streamed) (read-on (llm.stream text :model model :timeout ms) #f))
    ((left) (scope (read-on (llm.stream text :model model :timeout ms) n)))
    ((closed) (let ((s (llm.stream text :model model :timeout ms))) (read-on s n) (close! s)))))

(define (call i)
  (let* ((plan (plan-of i)) (how (string->symbol (vector-ref plan 0))) (text (vector-ref plan 1))
         (model (vector-ref plan 2)) (ms (vector-ref plan 3)) (n (vector-ref plan 4))
         (cancel-ms (vector-ref plan 5)) (usd (vector-ref plan 6))
         (task (async (lambda ()
                        (guard (e (#t (condition-code e)))
                          (with-budget {:calls 20 :usd usd} (ask how text model ms n))
                          'ok)))))
    (when cancel-ms
      (sleep cancel-ms)
      (when (cancel task "chaos") (no-more i)))
    (let ((end (guard (e ((task-cancelled? e) 'cancelled)) (await task))))
      (no-more i)
      (list i end))))

(define (run n at-once) (par-map call (iota n) :max-par at-once))
"""


class Plan:
    """What call `number` is, and does. text: its own, but for calls that are shared."""

    def __init__(self, number: int, seed: int) -> None:
        dice = Random(f"{seed} call {number}")
        self.how = dice.choice(
            ("whole", "whole", "whole", "hedged", "shared", "streamed", "left", "closed")
        )
        self.text = f"call {number}"
        if self.how == "shared":
            self.text = f"shared {number // 40}"  # of calls that are made at about the same time
        self.model = dice.choice(("first", "second"))
        self.timeout_ms = dice.randrange(*TIMEOUTS_MS)
        self.pieces = dice.randrange(12)
        self.cancel_ms = dice.randrange(40) if dice.random() < TROUBLE else False


def answer_of(text: str) -> tuple[list[str], tuple[int, int]]:
    """(the pieces, the tokens in and out) of the answer to a text."""
    dice = Random(f"answer {text}")
    pieces = [f"word{n} " for n in range(dice.randrange(1, 30))]
    return pieces, (dice.randrange(1, 40), len(pieces))


class Server:
    """What a loopback server does to requests, by a seed and the order of arrival."""

    def __init__(self, seed: str) -> None:
        self._dice = Random(seed)
        self.troubled = 0
        self.server = LoopbackServer(
            reply=self._reply, latency_s=self._latency_s, piece_s=0.001, faults=self._fault
        )

    def _reply(self, call: LoopbackCall) -> LoopbackReply:
        pieces, usage = answer_of(call.prompt)
        return LoopbackReply("".join(pieces), pieces=pieces, usage=usage)

    def _latency_s(self, call: LoopbackCall) -> float:
        return self._dice.random() * 0.01

    def _fault(self, call: LoopbackCall) -> Fault | str | None:
        dice = self._dice
        if dice.random() >= TROUBLE:
            return None
        self.troubled += 1
        at = dice.randrange(len(answer_of(call.prompt)[0]))  # an event before the last
        kinds = STREAM_TROUBLES if call.is_streamed else TROUBLES
        kind = dice.choice(THROTTLES if dice.random() < THROTTLED else kinds)
        if kind in ("429", "slope"):
            how = "concurrency" if kind == "429" else kind
            return Fault.http(429, kind=how, retry_after_ms=f"{dice.random() * 20:.3f}")
        if kind == "cut:":
            return f"cut:{dice.randrange(150)}"
        if kind == "slow:":
            return f"slow:{dice.randrange(500, 20_000)}"
        return f"{kind}{at}" if kind.endswith(":") else kind


class Entry(NamedTuple):
    """One attempt. usage: None when it is not counted."""

    text: str
    model: str
    usage: Usage | None
    outcome: Outcome
    reply: LLMReply | None
    reserve: Amounts


class Books:
    """What was sent and what came of it, kept at the client's side. An observer of its calls.

    attempts: by the call's text. then: how many there had been when call number i was first
    given up, or over; last: the same by text, when one was so last. entries: of each attempt, what
    is counted for it, and what was answered.
    """

    def __init__(self, calls: Calls) -> None:
        self.attempts: Counter[str] = Counter()
        self.then: dict[int, int] = {}
        self.last: dict[str, int] = {}
        self.entries: list[Entry] = []
        calls.observers.append(self)
        judge = calls.spending.outcome

        def outcome(
            call: Call, reply: LLMReply | None, error: BaseException | None
        ) -> tuple[Outcome, Usage | None]:
            found, usage = judge(call, reply, error)
            text, model = call.request.prompt_text, call.model.shown
            self.entries.append(Entry(text, model, usage, found, reply, call.reserve))
            return found, usage

        calls.spending.outcome = outcome  # type: ignore[method-assign]

    def begun(self, flight: Flight, shown: str) -> None:
        pass

    def sent(self, call: Call) -> None:
        self.attempts[call.request.prompt_text] += 1

    def over(self, flight: Flight, reply: LLMReply | None, error: BaseException | None) -> None:
        pass


class Chaos:
    """One run of `count` calls. After `run`: ends, by number; the books of both sides."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.plans = [Plan(number, seed) for number in range(count)]
        self.servers = {name: Server(f"{seed} {name}") for name in PRICES}
        self.budget = Budget(usd=1_000, name="all of it")
        self.ends: dict[int, str] = {}
        self.sockets_before = self.sockets_after = self.connections_idle = 0
        self.calls_in_flight = -1
        self.calls: Calls
        self.books: Books

    def run(self) -> None:
        first, second = (each.server for each in self.servers.values())
        self.sockets_before = sockets()
        with first, second:
            self._run(first, second)
            for each in (first, second):
                each.wait_until(lambda s: s.in_flight == 0 and s.open_connections == 0)
        self.sockets_after = sockets()

    def _run(self, first: LoopbackServer, second: LoopbackServer) -> None:
        limits = LaneLimits(requests=STILL, tokens=STILL, cap_floor=8, gate_s=0.01, gate_s_max=0.1)
        key, url = first.api_key, first.base_url
        openai = OpenAIProvider("first", api_key=key, base_url=url, stream_usage=True)
        key, url = second.api_key, second.anthropic_url
        anthropic = AnthropicProvider("second", api_key=key, base_url=url)
        named = {
            name: Model(name, provider, name, limits=limits, price=Price(name, *PRICES[name]))
            for name, provider in (("first", openai), ("second", anthropic))
        }
        config = SchedulerConfig(max_concurrent_llm_calls=LIMIT)
        models = Models(openai, named, default="first")
        with Interpreter(llm=models, scheduler=config, budget=self.budget) as omega:
            self.calls = omega.calls
            self.calls.retry = RetryPolicy(attempts=4, base_s=0.01, cap_s=0.05)
            self.books = Books(self.calls)
            omega.define("plan-of", self._plan)
            omega.define("no-more", self._no_more)
            omega.eval(PROGRAM)
            for name in PRICES:  # the SDK is loaded, and all of it at once
                omega.eval(f'(guard (e (#t #f)) (llm.infer "first of all" :model "{name}"))')
            for number, end in omega.get("run")(self.count, AT_ONCE):
                self.ends[number] = str(end)
            omega.scheduler.wait(omega.scheduler.spawn(self._calm))
            check(omega.scheduler)
            self.calls_in_flight = omega.manager.get_stats().concurrent_llm_calls
            servers = (each.server for each in self.servers.values())
            self.connections_idle = sum(each.snapshot().open_connections for each in servers)

    def _calm(self) -> None:
        """Wait until the last aborted call has closed its connection."""
        while self.calls.governor.in_flight:
            self.calls.scheduler.sleep(0.005)

    def _plan(self, number: int) -> list[Any]:
        plan = self.plans[number]
        asked = [plan.how, plan.text, plan.model, plan.timeout_ms, plan.pieces, plan.cancel_ms]
        return [*asked, 0.05]

    def _no_more(self, number: int) -> None:
        """Call `number` is cancelled, or over."""
        text = self.plans[number].text
        self.books.last[text] = self.books.attempts[text]
        self.books.then.setdefault(number, self.books.attempts[text])


def sockets() -> int:
    """How many this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            pass  # it was that of the listing
    return count
