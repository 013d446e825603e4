"""What no scheduler on these stacks can be below, timed in the same run: a queue, and nothing else.

Owns: the bare switch (two greenlets and a deque) and the bare task (a record, a queue, a call).
Refuses: everything a scheduler is for: states, steps, cancellation, scopes, errors, time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from tests.bench import runtimes
from tests.bench.kit import Bench, Case, Row
from tests.bench.runtimes import cpu, nop


def bare_switch(n: int) -> float:
    """Microseconds of a switch between two stacks through a queue."""
    queue: deque[Any] = deque()
    hub = getcurrent()

    def turns() -> None:
        me = getcurrent()
        for _ in range(n // 2):
            queue.append(me)
            queue.popleft().switch()
        if queue:
            queue.popleft().switch()
        hub.switch()

    queue.append(greenlet(turns))
    first = greenlet(turns)
    began = cpu()
    first.switch()
    return (cpu() - began) / n * 1e6


class _Bare:
    __slots__ = ("body", "outcome", "scope", "state")


def bare_task(n: int) -> float:
    """Microseconds of a record that is made, queued, taken, called and forgotten."""
    queue: deque[_Bare] = deque()
    scope: dict[_Bare, None] = {}

    def spawn(body: Callable[[], Any]) -> _Bare:
        task = _Bare()
        task.body, task.scope, task.state = body, scope, "pending"
        scope[task] = None
        queue.append(task)
        return task

    began = cpu()
    kept = [spawn(nop) for _ in range(n)]
    while queue:
        task = queue.popleft()
        try:
            task.outcome = task.body()
        except BaseException as error:
            task.outcome = error
        task.state = "ended"
        del scope[task]
    took = cpu() - began
    assert len(kept) == n
    return took / n * 1e6


def floor(title: str, ours: Callable[[int], float], theirs: str, full: int) -> Case:
    def run(bench: Bench) -> Row:
        n = bench.size(full)
        asyncio = getattr(bench.once("runtime asyncio", runtimes.Asyncio), theirs)
        bare, reference, ratio = bench.pairs(lambda: ours(n), lambda: asyncio(n))
        return Row(title, "us", bare, reference, ratio=ratio, note="no scheduler: what is left")

    return Case(title, run)


CASES = [
    floor("floor of a spawn: a record and a queue", bare_task, "spawn", 100_000),
    floor("floor of a switch: two stacks and a queue", bare_switch, "switch", 200_000),
]
