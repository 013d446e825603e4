"""Rows: what tasks, timers, channels and scopes cost as there are more of them, up to a million.

Owns: the scheduler's part of the curves; sizes, and how much memory the largest may take. Refuses:
how a curve is shown; growth.py does.

What only the scheduler's own structures do runs under virtual time: no waiting, no I/O.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.bench.growth import growth_row
from tests.bench.kit import Bench, Case, Row, Skipped, cpu

SIZES = (1_000, 10_000, 100_000)
MILLION = (*SIZES, 1_000_000)
QUICK = (100, 1_000)
GIGABYTE = 1 << 30
MEMORY_MAX = 8 * GIGABYTE
TURNS = 200_000  # switches in all, however many tasks share them

Made = Callable[[Any, int], float]  # (scheduler, n) -> microseconds


def curve(name: str, made: Made, sizes: tuple[int, ...] = SIZES) -> Case:
    def work(bench: Bench, n: int) -> float:
        del bench
        return run(lambda scheduler: made(scheduler, n))

    return growth_row(name, work, sizes, QUICK)


def run(main: Callable[[Any], float], **config: Any) -> float:
    from omega.concurrency import Scheduler, SchedulerConfig, VirtualDriver

    most = 2_000_000
    config = {"max_concurrent_tasks": most, "max_started_tasks": most, **config}
    scheduler = Scheduler(SchedulerConfig(**config), driver=VirtualDriver())
    try:
        return float(scheduler.wait(scheduler.spawn(lambda: main(scheduler))))
    finally:
        scheduler.close()


def timed(function: Callable[[], Any]) -> float:
    began = cpu()
    function()
    return (cpu() - began) * 1e6


def nothing() -> None:
    pass


def spawned(scheduler: Any, n: int) -> float:
    def body() -> None:
        for _ in range(n):
            scheduler.spawn(nothing)

    return timed(lambda: scheduler.with_scope(body))


def timers(scheduler: Any, n: int) -> float:
    """Set in no order, fired in order."""

    def body() -> None:
        for i in range(n):
            scheduler.call_later(1 + (i * 7919 % n) * 1e-6, nothing)
        scheduler.sleep(3)

    return timed(body)


def cancelled_timers(scheduler: Any, n: int) -> float:
    def body() -> None:
        handles = [scheduler.call_later(1 + (i * 7919 % n) * 1e-6, nothing) for i in range(n)]
        for handle in handles:
            handle.cancel()
        scheduler.sleep(3)

    return timed(body)


def channels(scheduler: Any, n: int) -> float:
    """All at once; a value through each."""

    def body() -> None:
        made = [scheduler.channel(1) for _ in range(n)]
        for channel in made:
            channel.send(1)
        for channel in made:
            channel.recv()

    return timed(body)


def cancelled_children(scheduler: Any, n: int) -> float:
    """A scope whose children all wait."""
    from omega.errors import Cancelled

    took: list[float] = []

    def body() -> None:
        scope = scheduler.current.inner
        gate = scheduler.cell()
        for _ in range(n):
            scheduler.spawn(lambda: scheduler.sync(gate.event))
        scheduler.sleep(0.001)
        began.append(cpu())
        scheduler.cancel_scope(scope, "enough")
        scheduler.yield_now()

    began: list[float] = []
    try:
        scheduler.with_scope(body)
    except Cancelled:
        took.append((cpu() - began[0]) * 1e6)
    return took[0]


def cancelled_unstarted(scheduler: Any, n: int) -> float:
    tasks = [scheduler.spawn(nothing) for _ in range(n)]
    return timed(lambda: [scheduler.cancel(task) for task in tasks])


def ready(scheduler: Any, n: int) -> float:
    """Switches among n ready tasks, all begun; as if they were n, for the curve is per unit."""
    rounds = max(2, TURNS // n)
    over: list[bool] = []

    def turns() -> None:
        while not over:
            scheduler.yield_now()

    def body() -> float:
        for _ in range(n):
            scheduler.spawn(turns)
        scheduler.yield_now()
        before = scheduler.stats().switches
        began = cpu()
        for _ in range(rounds):
            scheduler.yield_now()
        took = (cpu() - began) * 1e6
        over.append(True)
        return took / (scheduler.stats().switches - before) * n

    return float(scheduler.with_scope(body))


def prioritised(scheduler: Any, n: int) -> float:
    scheduler.configure(fairness_mode="priority", ageing=None)
    return ready(scheduler, n)


def alone(bench: Bench) -> Row:
    """A busy task and nobody else: slice ends that switch to nobody."""
    slices = bench.size(100_000)

    def main(scheduler: Any) -> float:
        before = scheduler.stats()
        scheduler.charge(1)  # from a slice's beginning on
        for _ in range(slices):
            scheduler.charge(100)
        after = scheduler.stats()
        assert after.slices - before.slices >= slices
        return float(after.switches - before.switches)

    found = run(main)
    return Row(
        "switches of a busy task that is alone",
        "",
        found,
        float(slices),
        goal=0,
        judged="omega",
        note="reference: its slice ends",
    )


def memory_row(what: str, title: str, n: int, quick: int) -> Case:
    def measure(bench: Bench) -> Row:
        count = quick if bench.quick else n
        expected = count * (8_500 if what == "suspended" else 1_500)
        if free_memory() < 2 * expected:
            raise Skipped(f"needs {2 * expected / GIGABYTE:.0f} GB of free memory")
        command = [sys.executable, "-m", "tests.bench.memory", what, str(count)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Skipped(f"failed: {(done.stderr.splitlines() or ['no message'])[-1]}")
        total = float(done.stdout) * count
        return Row(
            title,
            "GB",
            total / GIGABYTE,
            goal=MEMORY_MAX / GIGABYTE,
            judged="omega",
            note=f"{count:,}; {total / count:,.0f} B each",
        )

    return Case(title, measure)


def free_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


CASES = [
    curve("tasks, spawned and finished, from Python", spawned, MILLION),
    curve("timers, set and fired", timers, MILLION),
    curve("timers, set and cancelled", cancelled_timers, MILLION),
    curve("channels, a value through each", channels),
    curve("scope cancelled: its waiting children", cancelled_children),
    curve("unstarted tasks cancelled", cancelled_unstarted),
    curve("ready tasks: a switch", ready),
    curve("ready tasks: a switch, by priority", prioritised),
    Case("switches of a busy task that is alone", alone),
    memory_row("unstarted", "memory of a million unstarted tasks", 1_000_000, 10_000),
    memory_row("suspended", "memory of 500k sleeping tasks", 500_000, 5_000),
]
