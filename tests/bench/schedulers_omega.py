"""Omega's scheduler beside asyncio, row by row, in one run: prints ratio lines (lower is better).

Usage: python tests/bench/schedulers_omega.py [--small]. Rows and sizes mirror the peers' programs for asyncio.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

from omega.concurrency import Scheduler, SchedulerConfig, Semaphore

SMALL = "--small" in sys.argv
SCALE = 10 if SMALL else 1
N_SPAWN = 100_000 // SCALE
N_SWITCH = 500_000 // SCALE
N_SLEEP = 10_000 // SCALE
N_BOUND, LIMIT, IO_S = 10_000 // SCALE, 64, 0.005
N_CANCEL = 10_000 // SCALE
N_MEM = 10_000
N_LAT, LAT_GAP_S = 300 // SCALE, 0.004
QUANTUM = 400
ROUNDS = 3
clock = time.perf_counter
cpu = time.process_time


def rss() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def quantum() -> int:
    x = 1
    for _ in range(QUANTUM):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def omega(main: Callable[[Scheduler], Any]) -> Any:
    """Run `main(scheduler)` as a task and answer its value."""
    scheduler = Scheduler(
        SchedulerConfig(max_concurrent_tasks=1_000_000, max_started_tasks=1_000_000)
    )
    try:
        return scheduler.wait(scheduler.spawn(lambda: main(scheduler)))
    finally:
        scheduler.close()


# ---------------------------------------------------------------------- rows: asyncio, Omega


def spawn_asyncio() -> float:
    async def nop() -> None:
        pass

    async def main() -> float:
        began = clock()
        async with asyncio.TaskGroup() as group:
            for _ in range(N_SPAWN):
                group.create_task(nop())
        return (clock() - began) / N_SPAWN * 1e6

    return asyncio.run(main())


def spawn_omega() -> float:
    def nop() -> None:
        pass

    def main(scheduler: Scheduler) -> float:
        def body() -> None:
            for _ in range(N_SPAWN):
                scheduler.spawn(nop)

        began = clock()
        scheduler.with_scope(body)
        return (clock() - began) / N_SPAWN * 1e6

    return omega(main)


def switch_asyncio() -> float:
    async def turns(n: int) -> None:
        sleep = asyncio.sleep
        for _ in range(n):
            await sleep(0)

    async def main() -> float:
        began = clock()
        await asyncio.gather(turns(N_SWITCH // 2), turns(N_SWITCH // 2))
        return (clock() - began) / N_SWITCH * 1e6

    return asyncio.run(main())


def switch_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        def turns() -> None:
            yield_now = scheduler.yield_now
            for _ in range(N_SWITCH // 2):
                yield_now()

        began = clock()
        scheduler.await_all([scheduler.spawn(turns), scheduler.spawn(turns)])
        return (clock() - began) / N_SWITCH * 1e6

    return omega(main)


def switch_guest() -> float:
    async def main() -> float:
        scheduler = Scheduler()

        def turns() -> None:
            yield_now = scheduler.yield_now
            for _ in range(N_SWITCH // 2):
                yield_now()

        began = clock()
        scheduler.spawn(turns)
        scheduler.spawn(turns)
        await scheduler.run_async()
        took = (clock() - began) / N_SWITCH * 1e6
        scheduler.close()
        return took

    return asyncio.run(main())


def sleep_asyncio() -> float:
    async def main() -> float:
        async def one() -> None:
            await asyncio.sleep(0.01)

        began = cpu()
        async with asyncio.TaskGroup() as group:
            for _ in range(N_SLEEP):
                group.create_task(one())
        return (cpu() - began) / N_SLEEP * 1e6

    return asyncio.run(main())


def sleep_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        def one() -> None:
            scheduler.sleep(0.01)

        def body() -> None:
            for _ in range(N_SLEEP):
                scheduler.spawn(one)

        began = cpu()
        scheduler.with_scope(body)
        return (cpu() - began) / N_SLEEP * 1e6

    return omega(main)


def bounded_asyncio() -> float:
    async def main() -> float:
        slots = asyncio.Semaphore(LIMIT)

        async def job() -> None:
            async with slots:
                await asyncio.sleep(IO_S)

        began = clock()
        async with asyncio.TaskGroup() as group:
            for _ in range(N_BOUND):
                group.create_task(job())
        return (clock() - began) / (N_BOUND / LIMIT * IO_S)

    return asyncio.run(main())


def bounded_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        slots = Semaphore(scheduler, LIMIT)

        def job() -> None:
            slots.acquire()
            try:
                scheduler.sleep(IO_S)
            finally:
                slots.release()

        def body() -> None:
            for _ in range(N_BOUND):
                scheduler.spawn(job)

        began = clock()
        scheduler.with_scope(body)
        return (clock() - began) / (N_BOUND / LIMIT * IO_S)

    return omega(main)


def cancel_asyncio() -> float:
    async def main() -> float:
        tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(N_CANCEL)]
        await asyncio.sleep(0.01)
        began = clock()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return (clock() - began) / N_CANCEL * 1e6

    return asyncio.run(main())


def cancel_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        tasks = [scheduler.spawn(lambda: scheduler.sleep(1000)) for _ in range(N_CANCEL)]
        scheduler.sleep(0.01)
        began = clock()
        for task in tasks:
            scheduler.cancel(task)
        scheduler.await_all(tasks, "settle")
        return (clock() - began) / N_CANCEL * 1e6

    return omega(main)


def memory_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        scheduler.yield_now()
        gc.collect()
        before = rss()
        for _ in range(N_MEM):
            scheduler.spawn(lambda: scheduler.sleep(1000))
        scheduler.sleep(0.2)
        gc.collect()
        used = (rss() - before) / N_MEM
        scheduler.cancel_all()
        return used

    return omega(main)


def memory_asyncio() -> float:
    async def main() -> float:
        gc.collect()
        before = rss()
        tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(N_MEM)]
        await asyncio.sleep(0.2)
        gc.collect()
        used = (rss() - before) / N_MEM
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return used

    return asyncio.run(main())


def unstarted_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        gc.collect()
        before = rss()
        tasks = [scheduler.spawn(quantum) for _ in range(N_MEM * 5)]
        gc.collect()
        used = (rss() - before) / len(tasks)
        for task in tasks:
            scheduler.cancel(task)
        return used

    return omega(main)


CHILD = """
import sys, time, os, struct
fd, n, gap = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
time.sleep(0.15)
for i in range(n):
    time.sleep(gap * (0.75 + 0.5 * ((i * 7919) % 100) / 100))
    os.write(fd, struct.pack("d", time.perf_counter()))
"""


def writer_child() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = [sys.executable, "-c", CHILD, str(theirs.fileno()), str(N_LAT), str(LAT_GAP_S)]
    child = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    return ours, child


def latency_asyncio() -> float:
    async def main() -> float:
        ours, child = writer_child()
        late: list[float] = []

        async def busy() -> None:
            while len(late) < N_LAT:
                quantum()
                await asyncio.sleep(0)

        async def reader() -> None:
            loop = asyncio.get_running_loop()
            while len(late) < N_LAT:
                data = await loop.sock_recv(ours, 8)
                late.append(clock() - struct.unpack("d", data[:8])[0])

        await asyncio.gather(busy(), reader())
        child.wait()
        ours.close()
        return sorted(late)[len(late) // 2] * 1e6

    return asyncio.run(main())


def latency_omega() -> float:
    def main(scheduler: Scheduler) -> float:
        ours, child = writer_child()
        late: list[float] = []

        def busy() -> None:
            while len(late) < N_LAT:
                quantum()
                scheduler.yield_now()

        def reader() -> None:
            def receive() -> Any:
                return asyncio.get_running_loop().sock_recv(ours, 8)

            while len(late) < N_LAT:
                data = scheduler.sync(scheduler.external(receive).event)
                late.append(clock() - struct.unpack("d", data[:8])[0])

        scheduler.await_all([scheduler.spawn(busy), scheduler.spawn(reader)])
        child.wait()
        ours.close()
        return sorted(late)[len(late) // 2] * 1e6

    return omega(main)


def best(row: Callable[[], float]) -> float:
    return min(row() for _ in range(ROUNDS))


def main() -> None:
    rows: list[tuple[str, str, float, Callable[[], float], Callable[[], float]]] = [
        ("spawn+finish", "us", 0.25, spawn_asyncio, spawn_omega),
        ("switch", "us", 0.5, switch_asyncio, switch_omega),
        ("switch as a guest", "us", 0.65, switch_asyncio, switch_guest),
        ("sleep 10 ms, CPU per task", "us", 1.2, sleep_asyncio, sleep_omega),
        ("bounded, wall over ideal", "x", 1.0, bounded_asyncio, bounded_omega),
        ("cancel a sleeper", "us", 1.5, cancel_asyncio, cancel_omega),
        ("memory, suspended", "B", 6.0, memory_asyncio, memory_omega),
        ("memory, unstarted", "B", 0.5, memory_asyncio, unstarted_omega),
        ("I/O wake-up beside busy, p50", "us", 1.2, latency_asyncio, latency_omega),
    ]
    print(f"{'row':32s} {'asyncio':>9s} {'omega':>9s} {'ratio':>7s} {'goal':>6s}")
    for name, unit, goal, peer, ours in rows:
        first, second = best(peer), best(ours)
        ratio = second / first if first else 0.0
        mark = "" if ratio <= goal else "  MISSED"
        print(f"{name:32s} {first:9.2f} {second:9.2f} {ratio:6.2f}x {goal:5.2f}x {unit}{mark}")


if __name__ == "__main__":
    main()
