"""`python -m tests.bench.memory WHAT N`: bytes of resident memory per task, in its own process.

A process that has freed memory before measures nothing: the allocator would use that up first.
WHAT: asyncio, suspended, unstarted, lisp.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

SETTLE_S = 0.3


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def of_asyncio(n: int) -> float:
    async def main() -> float:
        await asyncio.sleep(0)
        gc.collect()
        before = resident()
        tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(n)]
        await asyncio.sleep(SETTLE_S)
        gc.collect()
        used = resident() - before
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return used / n

    return asyncio.run(main())


def of_omega(n: int, is_started: bool) -> float:
    from omega.concurrency import Scheduler, SchedulerConfig

    scheduler = Scheduler(
        SchedulerConfig(max_concurrent_tasks=1_000_000, max_started_tasks=1_000_000)
    )

    def main() -> float:
        scheduler.yield_now()
        gc.collect()
        before = resident()
        tasks = [scheduler.spawn(lambda: scheduler.sleep(1000)) for _ in range(n)]
        if is_started:
            scheduler.sleep(SETTLE_S)
        gc.collect()
        used = resident() - before
        for task in tasks:
            scheduler.cancel(task)
        return used / n

    return float(scheduler.wait(scheduler.spawn(main)))


def of_lisp(n: int) -> float:
    from omega.concurrency import SchedulerConfig
    from omega.interpreter import Interpreter

    config = SchedulerConfig(max_concurrent_tasks=1_000_000, max_started_tasks=1_000_000)
    interpreter = Interpreter(scheduler=config)

    def collected() -> int:
        gc.collect()
        return resident()

    interpreter.define("resident", collected)
    text = f"""
      (define (one) (sleep 1000000))
      (define (some n) (let loop ((i 0)) (when (< i n) (async one :daemon #t) (loop (+ i 1)))))
      (some 10) (sleep 50)
      (define before (resident))
      (some {n}) (sleep 300)
      (- (resident) before)
    """
    return float(interpreter.eval(text)) / n


MEASURES: dict[str, Callable[[int], float]] = {
    "asyncio": of_asyncio,
    "suspended": lambda n: of_omega(n, True),
    "unstarted": lambda n: of_omega(n, False),
    "lisp": of_lisp,
}


def main(arguments: list[str]) -> Any:
    what, n = arguments
    print(MEASURES[what](int(n)), flush=True)
    os._exit(0)  # ending thousands of tasks is no part of this


if __name__ == "__main__":
    main(sys.argv[1:])
