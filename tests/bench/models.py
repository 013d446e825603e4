"""Rows: LLM calls through the interpreter and the real SDK, beside the SDK with asyncio alone.

Both sides talk HTTP to a server in another process, and are warmed by one call before each run.
"""

from __future__ import annotations

import asyncio
import gc
import math
import statistics
import time
from typing import Any

from tests.bench.kit import Bench, Case, Row, Skipped
from tests.bench.loopback_process import MODEL, ServerProcess

CAP, CAP_CALLS, CAP_LATENCY_S = 8, 200, 0.05
LIMIT, CALLS, LATENCY_S = 64, 1000, 0.02
ROUNDS = 3

Took = tuple[float, float]  # wall and CPU seconds

LISP = """
(define (ask i) (llm.infer (string-append "question " (number->string i))))
(define (ask-all n) (length (par-map ask (iota n))))
(define (spawn-ask i) (async (lambda () (ask i))))
(define (ask-nested n)
  (fold + 0
    (par-map (lambda (_) (length (await-all (map spawn-ask (iota 10)))))
             (iota (quotient n 10)))))
"""


def measured(began: Took) -> Took:
    return time.perf_counter() - began[0], time.process_time() - began[1]


def now() -> Took:
    gc.collect()
    return time.perf_counter(), time.process_time()


def omega(server: ServerProcess, calls: int, cap: int, nested: bool = False) -> Took:
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter
    from omega.llm.openai_provider import OpenAIProvider

    provider = OpenAIProvider(MODEL, api_key=server.api_key, base_url=server.base_url)
    config = SchedulerConfig(max_concurrent_llm_calls=cap)
    if nested:
        config = SchedulerConfig(max_concurrent_llm_calls=cap, max_concurrent_tasks=1)
    with Interpreter(llm=provider, scheduler=config) as made:
        made.eval(LISP)
        ask_all = made.get("ask-nested" if nested else "ask-all")
        made.get("ask-all")(1)
        began = now()
        assert ask_all(calls) == calls
        return measured(began)


def vendor(server: ServerProcess, calls: int, cap: int) -> Took:
    async def main() -> Took:
        from openai import AsyncOpenAI

        client = AsyncOpenAI(api_key=server.api_key, base_url=server.base_url, max_retries=0)
        slots = asyncio.Semaphore(cap)

        async def ask(i: int) -> Any:
            async with slots:
                messages: Any = [{"role": "user", "content": f"question {i}"}]
                reply = await client.chat.completions.create(model=MODEL, messages=messages)
                return reply.choices[0].message.content

        await ask(0)
        began = now()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(i)) for i in range(calls)]
        took = measured(began)
        assert all(task.result() for task in asked)
        await client.close()
        return took

    return asyncio.run(main())


def needs_sdk() -> None:
    try:
        import openai  # noqa: F401
    except ImportError:
        raise Skipped("the openai SDK is not installed") from None


def capped(bench: Bench) -> Row:
    return _capped(bench, False)


def capped_nested(bench: Bench) -> Row:
    return _capped(bench, True)


def _capped(bench: Bench, nested: bool) -> Row:
    needs_sdk()
    calls = math.ceil(bench.size(CAP_CALLS) / 10) * 10
    ideal = math.ceil(calls / CAP) * CAP_LATENCY_S
    walls, vendors = [], []
    peaks = set()
    for _ in range(1 if bench.quick else ROUNDS):
        with ServerProcess(CAP_LATENCY_S) as server:
            walls.append(omega(server, calls, CAP, nested)[0])
            peaks.add(server.peak_and_requests()[0])
            vendors.append(vendor(server, calls, CAP)[0])
    wall = statistics.median(walls)
    note = f"most in flight {sorted(peaks)}, must be {CAP}; reference: the ideal"
    note += f"; the SDK alone {statistics.median(vendors) / ideal:.2f}x"
    how = ", in nested tasks, one task at a time" if nested else ""
    name = f"{calls} calls of 50 ms, cap {CAP}{how}: wall"
    return Row(name, "ms", wall * 1e3, ideal * 1e3, goal=1.15, holds=peaks == {CAP}, note=note)


def compared(bench: Bench) -> list[tuple[Took, Took]]:
    """(Omega's, the vendor's) of each round."""

    def run() -> list[tuple[Took, Took]]:
        needs_sdk()
        calls = bench.size(CALLS)
        with ServerProcess(LATENCY_S) as server:
            vendor(server, 10, LIMIT), omega(server, 10, LIMIT)
            rounds = range(1 if bench.quick else ROUNDS)
            return [(omega(server, calls, LIMIT), vendor(server, calls, LIMIT)) for _ in rounds]

    found: list[tuple[Took, Took]] = bench.once("llm rounds", run)
    return found


def wall(bench: Bench) -> Row:
    rounds = compared(bench)
    calls = bench.size(CALLS)
    ours, theirs = [o[0] for o, _ in rounds], [t[0] for _, t in rounds]
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    ideal = calls / LIMIT * LATENCY_S * 1e3
    first, second = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    name = f"{calls} calls of 20 ms, limit {LIMIT}: wall"
    return Row(name, "ms", first, second, ratio=ratio, goal=1.10, note=f"ideal {ideal:.0f} ms")


def processor(bench: Bench) -> Row:
    rounds = compared(bench)
    calls = bench.size(CALLS)
    ours, theirs = [o[1] for o, _ in rounds], [t[1] for _, t in rounds]
    ratio = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    per = 1e6 / calls
    first, second = statistics.median(ours) * per, statistics.median(theirs) * per
    name = f"{calls} calls of 20 ms, limit {LIMIT}: CPU per call"
    return Row(name, "us", first, second, ratio=ratio, goal=1.5)


CASES = [
    Case("calls under a cap: wall", capped),
    Case("calls under a cap, in nested tasks: wall", capped_nested),
    Case("calls: wall", wall),
    Case("calls: CPU per call", processor),
]
