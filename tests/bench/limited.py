"""Rows: LLM calls with a key that is limited, and from many interpreters, beside the vendor's SDK.

Owns: the workload (RATE a second, BURST at once, 429 beyond it) and how a rate is known: from the
host's configuration, or from the headers of the answers alone. The SDK has a semaphore, as in
models.py, and tries again by itself.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from tests.bench.kit import Bench, Case, Row
from tests.bench.loopback_process import MODEL, ServerProcess
from tests.bench.models import Took, measured, needs_sdk, now

RATE, BURST, CALLS, LATENCY_S, LIMIT = 200.0, 20, 2_000, 0.05, 64
WORLDS, CALLS_OF_EACH, EACH_LIMIT = 100, 100, 8
ASK_ALL = """
(define (ask i) (llm.infer (string-append "question " (number->string i))))
(define (ask-all n) (length (par-map ask (iota n))))
"""

Ran = tuple[float, int, int]  # wall seconds, requests, those answered 429


def omega(calls: int, is_told: bool) -> Ran:
    from omega.calls import Model, Models
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter
    from omega.llm import LaneLimits, Rate
    from omega.llm.openai_provider import OpenAIProvider

    with ServerProcess(LATENCY_S, (RATE, BURST)) as server:
        provider = OpenAIProvider(MODEL, api_key=server.api_key, base_url=server.base_url)
        limits = LaneLimits(requests=Rate(RATE, BURST)) if is_told else LaneLimits(cap_start=BURST)
        models = Models(provider, {"m": Model("m", provider, MODEL, limits=limits)}, default="m")
        config = SchedulerConfig(max_concurrent_llm_calls=LIMIT)
        with Interpreter(llm=models, scheduler=config) as made:
            made.eval(ASK_ALL)
            began = now()
            assert made.get("ask-all")(calls) == calls
            wall, _ = measured(began)
        return wall, *server.seen()[1:]


def vendor(calls: int) -> Ran:
    async def main(server: ServerProcess) -> float:
        from openai import AsyncOpenAI

        client = AsyncOpenAI(api_key=server.api_key, base_url=server.base_url, max_retries=1_000)
        slots = asyncio.Semaphore(LIMIT)

        async def ask(i: int) -> None:
            async with slots:
                messages: Any = [{"role": "user", "content": f"question {i}"}]
                await client.chat.completions.create(model=MODEL, messages=messages)

        began = now()
        await asyncio.gather(*[ask(i) for i in range(calls)])
        wall, _ = measured(began)
        await client.close()
        return wall

    with ServerProcess(LATENCY_S, (RATE, BURST)) as server:
        wall = asyncio.run(main(server))
        return wall, *server.seen()[1:]


def ran(bench: Bench, who: str) -> Ran:
    needs_sdk()
    calls = bench.size(CALLS)
    run = {"told": lambda: omega(calls, True), "learned": lambda: omega(calls, False),
           "vendor": lambda: vendor(calls)}[who]  # fmt: skip
    found: Ran = bench.once(f"limited {who}", run)
    return found


def refused(who: str) -> Case:
    how = "rate configured" if who == "told" else "rate learned from headers"
    name = f"calls at {RATE:.0f}/s, {how}: answered 429"

    def run(bench: Bench) -> Row:
        _, requests, limited = ran(bench, who)
        _, theirs, their_limited = ran(bench, "vendor")
        return Row(
            name,
            "%",
            100 * limited / requests,
            100 * their_limited / theirs,
            goal=1.0,
            judged="omega",
            note=f"{limited} of {requests:,} requests; the SDK's {their_limited:,} of {theirs:,}",
        )

    return Case(name, run)


def pace(who: str) -> Case:
    how = "rate configured" if who == "told" else "rate learned from headers"
    name = f"calls at {RATE:.0f}/s, {how}: wall over what is permitted"

    def run(bench: Bench) -> Row:
        permitted_s = (bench.size(CALLS) - BURST) / RATE + LATENCY_S
        ours, theirs = ran(bench, who)[0], ran(bench, "vendor")[0]
        return Row(
            name,
            "x",
            ours / permitted_s,
            theirs / permitted_s,
            goal=1 / 0.95,
            judged="omega",
            note=f"permitted: {permitted_s:.2f} s",
        )

    return Case(name, run)


def worlds(bench: Bench) -> Row:
    """Many interpreters as guests of one loop, beside as many users of one client."""
    needs_sdk()
    count, calls = bench.size(WORLDS), CALLS_OF_EACH
    with ServerProcess(0.02) as server:
        rounds = [
            (asyncio.run(_worlds(server, count, calls)), asyncio.run(_users(server, count, calls)))
            for _ in range(1 if bench.quick else 3)
        ]
    per = 1e6 / (count * calls)
    ours, theirs = [o[1] * per for o, _ in rounds], [t[1] * per for _, t in rounds]
    walls = statistics.median(o[0] / t[0] for o, t in rounds)
    return Row(
        f"{count} interpreters, {calls} calls each: CPU per call",
        "us",
        statistics.median(ours),
        statistics.median(theirs),
        ratio=statistics.median(o / t for o, t in zip(ours, theirs, strict=True)),
        goal=1.5,
        note=f"wall {walls:.2f}x",
    )


async def _worlds(server: ServerProcess, count: int, calls: int) -> Took:
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter
    from omega.llm.openai_provider import OpenAIProvider

    provider = OpenAIProvider(MODEL, api_key=server.api_key, base_url=server.base_url)
    config = SchedulerConfig(max_concurrent_llm_calls=EACH_LIMIT)
    made = [Interpreter(llm=provider, scheduler=config) for _ in range(count)]
    for each in made:
        await each.eval_async(ASK_ALL)
    began = now()
    answers = await asyncio.gather(*[each.eval_async(f"(ask-all {calls})") for each in made])
    took = measured(began)
    assert answers == [calls] * count
    for each in made:
        await each.aclose()
    return took


async def _users(server: ServerProcess, count: int, calls: int) -> Took:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=server.api_key, base_url=server.base_url, max_retries=0)

    async def user(number: int) -> None:
        slots = asyncio.Semaphore(EACH_LIMIT)

        async def ask(i: int) -> None:
            async with slots:
                messages: Any = [{"role": "user", "content": f"question {number} {i}"}]
                await client.chat.completions.create(model=MODEL, messages=messages)

        await asyncio.gather(*[ask(i) for i in range(calls)])

    began = now()
    await asyncio.gather(*[user(number) for number in range(count)])
    took = measured(began)
    await client.close()
    return took


CASES = [
    *(refused(who) for who in ("told", "learned")),
    *(pace(who) for who in ("told", "learned")),
    Case("interpreters in one loop: CPU per call", worlds),
]
