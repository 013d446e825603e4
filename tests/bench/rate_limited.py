"""Rows: calls of models under a vendor's rate limit, many interpreters at once, streams that are
cancelled; each beside the vendor's SDK with asyncio alone.

The server is another process. Where the SDK must do something about a 429, it does what it has:
its own retries, which heed Retry-After.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from random import Random
from time import monotonic
from typing import Any

from tests.bench.kit import Bench, Case, Row
from tests.bench.loopback_process import MODEL, ServerProcess
from tests.bench.models import LISP, Took, measured, needs_sdk, now

RATE, BURST, CALLS, LIMIT = 200, 20, 2_000, 64
LATENCY_S = 0.02
RETRIES = 50  # of the SDK
PERMITTED = 0.95  # of the permitted rate
THROTTLED = 1.0  # percent of the requests
INTERPRETERS, EACH, EACH_LIMIT = 100, 100, 4
STREAMS, BYTES_PER_S, PIECE, PIECES = 200, 50_000, 5_000, 60
CLOSED_MS = 100.0
SENT_LEAST = 0.9  # of the streams


class Run:
    """wall_s: of all calls. share: percent of the requests answered 429. failed: calls."""

    def __init__(self, wall_s: float, server: ServerProcess, failed: int = 0) -> None:
        counts = server.counts()
        self.wall_s, self.failed = wall_s, failed
        self.share = 100 * counts["limited"] / counts["requests"]


def limiting() -> ServerProcess:
    return ServerProcess(LATENCY_S, limits={"requests_per_s": RATE, "burst": BURST})


def omega_limited(calls: int, configured: bool) -> Run:
    from omega.calls import Model, Models
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter
    from omega.llm.buckets import Rate
    from omega.llm.lane import LaneLimits
    from omega.llm.openai_provider import OpenAIProvider

    with limiting() as server:
        provider = OpenAIProvider(MODEL, api_key=server.api_key, base_url=server.base_url)
        limits = LaneLimits(requests=Rate(RATE, BURST)) if configured else None
        models = Models(provider, {"m": Model("m", provider, limits=limits)}, default="m")
        config = SchedulerConfig(max_concurrent_llm_calls=LIMIT)
        with Interpreter(llm=models, scheduler=config) as made:
            made.eval(LISP)
            ask_all = made.get("ask-all")
            ask_all(1)  # the SDK is loaded
            began = now()
            assert ask_all(calls - 1) == calls - 1
            return Run(measured(began)[0], server)


def vendor_limited(calls: int) -> Run:
    failed: list[int] = []

    async def main(server: ServerProcess) -> float:
        from openai import AsyncOpenAI, RateLimitError

        url, key = server.base_url, server.api_key
        client = AsyncOpenAI(api_key=key, base_url=url, max_retries=RETRIES)
        slots = asyncio.Semaphore(LIMIT)

        async def ask(i: int) -> bool:
            async with slots:
                messages: Any = [{"role": "user", "content": f"question {i}"}]
                try:
                    await client.chat.completions.create(model=MODEL, messages=messages)
                except RateLimitError:
                    return False
                return True

        await ask(0)
        began = now()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(i)) for i in range(calls - 1)]
        failed.append(sum(not task.result() for task in asked))
        took = measured(began)[0]
        await client.close()
        return took

    with limiting() as server:
        return Run(asyncio.run(main(server)), server, failed[0])


def limited(bench: Bench) -> dict[str, Run]:
    def run() -> dict[str, Run]:
        needs_sdk()
        calls = bench.size(CALLS)
        return {
            "configured": omega_limited(calls, True),
            "learned": omega_limited(calls, False),
            "vendor": vendor_limited(calls),
        }

    found: dict[str, Run] = bench.once("rate limited runs", run)
    return found


def throughput(how: str) -> Callable[[Bench], Row]:
    def row(bench: Bench) -> Row:
        runs = limited(bench)
        calls = bench.size(CALLS)
        ideal_s = (calls - BURST) / RATE
        ratio = runs[how].wall_s / ideal_s
        note = f"reference: the permitted rate; {100 / ratio:.1f} % of it, wanted >= 95 %"
        alone = runs["vendor"]
        note += f"; the SDK alone {alone.wall_s / ideal_s:.2f}x, {alone.failed} of its calls failed"
        name = f"{calls} calls at {RATE}/s, burst {BURST}, {how}: wall"
        return Row(
            *(name, "ms", runs[how].wall_s * 1e3, ideal_s * 1e3),
            ratio=ratio,
            goal=1 / PERMITTED,
            note=note,  # type: ignore[arg-type]
        )

    return row


def refusals(how: str) -> Callable[[Bench], Row]:
    def row(bench: Bench) -> Row:
        runs = limited(bench)
        name = f"{bench.size(CALLS)} calls at {RATE}/s, {how}: answered 429"
        return Row(name, "%", runs[how].share, runs["vendor"].share, goal=THROTTLED, judged="omega")

    return row


# -- many interpreters -----------------------------------------------------------------------------


def omega_many(server: ServerProcess, count: int, each: int) -> Took:
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter
    from omega.llm.openai_provider import OpenAIProvider

    config = SchedulerConfig(max_concurrent_llm_calls=EACH_LIMIT)

    async def main() -> Took:
        made = []
        for _ in range(count):
            provider = OpenAIProvider(MODEL, api_key=server.api_key, base_url=server.base_url)
            made.append(Interpreter(llm=provider, scheduler=config))
        for each_one in made:
            await each_one.eval_async(LISP + "(ask 0)")
        began = now()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one.eval_async(f"(ask-all {each})")) for one in made]
        took = measured(began)
        assert all(task.result() == each for task in asked)
        for one in made:
            one.close()
        await asyncio.sleep(0.1)
        return took

    return asyncio.run(main())


def vendor_many(server: ServerProcess, count: int, each: int) -> Took:
    async def main() -> Took:
        from openai import AsyncOpenAI

        url, key = server.base_url, server.api_key
        clients = [AsyncOpenAI(api_key=key, base_url=url, max_retries=0) for _ in range(count)]
        slots = [asyncio.Semaphore(EACH_LIMIT) for _ in range(count)]

        async def ask(which: int, i: int) -> Any:
            async with slots[which]:
                messages: Any = [{"role": "user", "content": f"question {i}"}]
                reply = await clients[which].chat.completions.create(model=MODEL, messages=messages)
                return reply.choices[0].message.content

        for which in range(count):
            await ask(which, 0)
        began = now()
        async with asyncio.TaskGroup() as group:
            for which in range(count):
                for i in range(each):
                    group.create_task(ask(which, i))
        took = measured(began)
        for client in clients:
            await client.close()
        return took

    return asyncio.run(main())


def many(bench: Bench, at: int) -> tuple[str, float, float]:
    """(what, ours, theirs) of wall (0) or CPU (1) seconds."""
    needs_sdk()
    count = bench.size(INTERPRETERS)

    def run() -> tuple[Took, Took]:
        with ServerProcess(LATENCY_S) as server:
            return omega_many(server, count, EACH), vendor_many(server, count, EACH)

    ours, theirs = bench.once("many interpreters", run)
    return f"{count} interpreters, {EACH} calls each", ours[at], theirs[at]


def many_wall(bench: Bench) -> Row:
    what, ours, theirs = many(bench, 0)
    note = f"at most {EACH_LIMIT} at once in each; beside as many clients"
    return Row(f"{what}: wall", "ms", ours * 1e3, theirs * 1e3, goal=1.5, note=note)


def many_processor(bench: Bench) -> Row:
    what, ours, theirs = many(bench, 1)
    per = 1e6 / (bench.size(INTERPRETERS) * EACH)
    return Row(f"{what}: CPU per call", "us", ours * per, theirs * per, goal=1.5)


# -- streams that are cancelled --------------------------------------------------------------------

READ = """
(define (read-all s) (unless (eof-object? (recv! s)) (read-all s)))
(define (stream-and-leave i ms)
  (let ((task (async (lambda () (read-all (llm.stream (string "stream " i)))))))
    (sleep ms)
    (cancelling i)
    (cancel task "enough")
    (guard (e ((task-cancelled? e) #t)) (await task))))
(define (all times) (par-map (lambda (i) (stream-and-leave i (vector-ref times i)))
                             (iota (vector-length times))))
"""


def streaming() -> ServerProcess:
    piece = "x" * (PIECE - 1) + " "
    return ServerProcess(LATENCY_S, pieces=[piece] * PIECES, bytes_per_s=BYTES_PER_S)


def omega_cancels(times_ms: list[float]) -> list[float]:
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter
    from omega.llm.openai_provider import OpenAIProvider

    cancelled: dict[str, float] = {}

    def cancelling(i: int) -> None:
        cancelled[f"stream {i}"] = monotonic()

    with streaming() as server:
        provider = OpenAIProvider(MODEL, api_key=server.api_key, base_url=server.base_url)
        config = SchedulerConfig(max_concurrent_llm_calls=len(times_ms))
        with Interpreter(llm=provider, scheduler=config) as made:
            made.define("cancelling", cancelling)
            made.eval(READ)
            made.eval('(recv! (llm.stream "the SDK is loaded"))')
            made.get("all")(times_ms)
            made.eval("(sleep 500)")  # the loop goes on, as it does in a program
            return closing_ms(server, cancelled)


def vendor_cancels(times_ms: list[float]) -> list[float]:
    cancelled: dict[str, float] = {}

    async def main(server: ServerProcess) -> None:
        from openai import AsyncOpenAI

        client = AsyncOpenAI(api_key=server.api_key, base_url=server.base_url, max_retries=0)

        async def read(prompt: str) -> None:
            messages: Any = [{"role": "user", "content": prompt}]
            opening: Any = client.chat.completions.create(
                model=MODEL, messages=messages, stream=True
            )
            async with await opening as stream:
                async for _ in stream:
                    pass

        async def leave(i: int, ms: float) -> None:
            task = asyncio.create_task(read(f"stream {i}"))
            await asyncio.sleep(ms / 1e3)
            cancelled[f"stream {i}"] = monotonic()
            task.cancel()
            await asyncio.wait([task])

        async with asyncio.TaskGroup() as group:
            for i, ms in enumerate(times_ms):
                group.create_task(leave(i, ms))
        await asyncio.sleep(0.5)
        await client.close()

    with streaming() as server:
        asyncio.run(main(server))
        return closing_ms(server, cancelled)


def closing_ms(server: ServerProcess, cancelled: dict[str, float]) -> list[float]:
    """From each cancel until the server saw the connection close, sorted. What was cancelled before
    the server heard of it has no connection; on a busy machine some are.
    """
    took = []
    for prompt, outcome, _, ended in server.calls():
        if prompt in cancelled:
            assert outcome == "closed" and ended is not None, (prompt, outcome)
            took.append(max(0.0, ended - cancelled[prompt]) * 1e3)
    assert len(took) >= SENT_LEAST * len(cancelled), "hardly a stream was sent before its cancel"
    return sorted(took)


def cancels(bench: Bench) -> Row:
    needs_sdk()
    dice = Random(1)
    times_ms = [dice.uniform(1_000, 3_000) for _ in range(bench.size(STREAMS))]
    ours, theirs = omega_cancels(times_ms), vendor_cancels(times_ms)
    note = ", ".join(f"p{p} {quantile(ours, p):.0f} ({quantile(theirs, p):.0f})" for p in (50, 95))
    name = f"{len(times_ms)} streams of 50 KB/s, cancelled: closed after"
    unsent = len(times_ms) - len(ours)
    note = f"the longest; {note}" + (f"; {unsent} were not sent yet" if unsent else "")
    return Row(name, "ms", ours[-1], theirs[-1], goal=CLOSED_MS, judged="omega", note=note)


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


CASES = [
    Case("rate limit, configured: wall", throughput("configured")),
    Case("rate limit, configured: 429s", refusals("configured")),
    Case("rate limit, learned from headers: wall", throughput("learned")),
    Case("rate limit, learned from headers: 429s", refusals("learned")),
    Case("many interpreters: wall", many_wall),
    Case("many interpreters: CPU per call", many_processor),
    Case("streams cancelled: closed", cancels),
]
