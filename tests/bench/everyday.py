"""What else language.py times, in plain Python: what programs are made of besides loops, lists and
vectors. As programs.py, which has the rest.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from fractions import Fraction
from typing import Any

from tests.bench.programs import build_up


def linked(items: Iterable[Any]) -> Any:
    made: Any = None
    for item in reversed(list(items)):
        made = (item, made)
    return made


def find_pair(key: int, at: Any) -> Any:
    while at is not None:
        pair, at = at
        if pair[0] == key:
            return pair
    return None


def find(key: int, at: Any) -> Any:
    while at is not None:
        if at[0] == key:
            return at
        at = at[1]
    return None


def bench_assoc(n: int) -> int:
    table = linked((i * 3, i) for i in range(20))
    few = linked([2, 3, 5])
    found = i = 0
    while i < n:
        if find_pair(i % 60, table) is not None:
            found += 1
        if find(i % 7, few) is not None:
            found += 1
        i += 1
    return found


def pseudo_random(n: int) -> Any:
    made: Any = None
    seed = 42
    while n:
        made = (seed, made)
        seed = (seed * 1103515245 + 12345) % 2147483648
        n -= 1
    return made


def bench_sort(n: int) -> Any:
    """As one sorts a linked list in Python: through a list, by the language's own sort."""
    items = []
    at = pseudo_random(n)
    while at is not None:
        items.append(at[0])
        at = at[1]
    items.sort()
    at = linked(items)
    first = at[0]
    for _ in range(n // 2):
        at = at[1]
    return first + at[0]


def plain(a: int, b: int) -> int:
    return a + b


def with_optional(a: int, b: int = 2) -> int:
    return a + b


def with_rest(a: int, *more: int) -> int:
    return a + more[0] if more else a


def with_keys(a: int, *, by: int = 2) -> int:
    return a + by


def bench_arguments(n: int) -> int:
    arguments = [1, 2]
    total = i = 0
    while i < n:
        total += plain(*arguments) + with_optional(i) + with_rest(i, 1) + with_keys(i, by=3)
        i += 1
    return total


depth: ContextVar[int] = ContextVar("depth", default=0)


def deeper() -> int:
    return 1 + depth.get()


def bench_parameterize(n: int) -> int:
    total = i = 0
    while i < n:
        token = depth.set(i)
        try:
            total += deeper()
        finally:
            depth.reset(token)
        i += 1
    return total


def classified(n: int) -> str:
    if n == 0:
        return "zero"
    if n in (1, 3, 5, 7, 9):
        return "odd"
    if n in (2, 4, 6, 8):
        return "even"
    if n < 20:
        return "teen"
    if n < 100:
        return "tens"
    if n < 1000:
        return "hundreds"
    return "many"


def bench_case(n: int) -> int:
    found = i = 0
    while i < n:
        kind = classified(i % 1100)
        if kind in ("zero", "odd", "even"):
            found += 1
        elif kind in ("teen", "tens"):
            found += 2
        i += 1
    return found


def bench_floats(n: int) -> float:
    x, v = 0.0, 1.0
    i = 0
    while i < n:
        force = -0.5 * x - 0.01 * v * v * v
        v += 0.01 * force
        x += 0.01 * v
        i += 1
    return float(math.trunc(1000.0 * x))


def bench_bignums(n: int) -> int:
    product = i = 1
    while i <= n:
        product *= i
        i += 1
    return product % 1000000007


def bench_rationals(n: int) -> int:
    total = Fraction(0)
    i = 1
    while i <= n:
        total += Fraction(1, i)
        i += 1
    return total.numerator


def copied(at: Any) -> Any:
    return None if at is None else (1 + at[0], copied(at[1]))


def bench_recursion(n: int) -> int:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 2 * n + 1000))
    try:
        at, acc = copied(copied(build_up(n))), 0
    finally:
        sys.setrecursionlimit(before)
    while at is not None:
        head, at = at
        acc += head
    return acc
