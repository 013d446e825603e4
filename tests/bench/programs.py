"""What language.py times, in plain Python doing the same work; `idiomatic_*` as one would write it.

Where the Lisp builds lists, `(head, tail)` tuples; where it passes procedures, Python functions and
the same loops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def tak(x: int, y: int, z: int) -> int:
    if not (y < x):
        return z
    return tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))


def bench_fib(n: int) -> int:
    return fib(n)


def bench_tak(n: int) -> int:
    return tak(n, 12, 6)


def bench_loop(n: int) -> int:
    i = acc = 0
    while i < n:
        acc += i
        i += 1
    return acc


def build_up(i: int) -> Any:
    made: Any = None
    while i:
        made = (i, made)
        i -= 1
    return made


def fold(function: Callable[[Any, Any], Any], acc: Any, at: Any) -> Any:
    while at is not None:
        acc = function(at[0], acc)
        at = at[1]
    return acc


def reversed_list(at: Any) -> Any:
    done: Any = None
    while at is not None:
        done = (at[0], done)
        at = at[1]
    return done


def bench_list(n: int) -> int:
    at, acc = build_up(n), 0
    while at is not None:
        head, at = at
        acc += head
    return acc


def idiomatic_list(n: int) -> int:
    made = []
    for i in range(n):
        made.append(i)
    acc = 0
    for x in made:
        acc += x
    return acc


def bench_hof(n: int) -> Any:
    def mapped(function: Callable[[Any], Any], at: Any) -> Any:
        done: Any = None
        while at is not None:
            done = (function(at[0]), done)
            at = at[1]
        return reversed_list(done)

    def filtered(keep: Callable[[Any], bool], at: Any) -> Any:
        done: Any = None
        while at is not None:
            if keep(at[0]):
                done = (at[0], done)
            at = at[1]
        return reversed_list(done)

    odd = filtered(lambda x: x % 2 == 1, build_up(n))
    return fold(lambda x, acc: x + acc, 0, mapped(lambda x: x * 2, odd))


def idiomatic_hof(n: int) -> int:
    return sum([x * 2 for x in range(n + 1) if x % 2 == 1])


def strings(n: int) -> Any:
    made: Any = None
    for i in range(n - 1, -1, -1):
        made = (str(i), made)
    return made


def joined(between: str, at: Any) -> str:
    parts = []
    while at is not None:
        parts.append(at[0])
        at = at[1]
    return between.join(parts)


def bench_string(n: int) -> int:
    return len(joined("", strings(n)))


def bench_join(n: int) -> int:
    return len(joined(",", strings(n)))


def idiomatic_string(n: int) -> int:
    return len("".join([str(i) for i in range(n)]))


def idiomatic_join(n: int) -> int:
    return len(",".join([str(i) for i in range(n)]))


def bench_words(n: int) -> int:
    table: dict[str, int] = {}
    i = 0
    while i < n:
        word = "w" + str((i * 7919) % 1000)
        table[word] = table.get(word, 0) + 1
        i += 1
    return len(table)


def bench_vector(n: int) -> int:
    made = [0] * n
    i = 0
    while i < n:
        made[i] = i * 3
        i += 1
    i = acc = 0
    while i < n:
        acc += made[i]
        i += 1
    return acc


def idiomatic_vector(n: int) -> int:
    return sum([i * 3 for i in range(n)])


def bench_sieve(n: int) -> int:
    made = [True] * (n + 1)
    i, found = 2, 0
    while i <= n:
        if made[i]:
            j = i * i
            while j <= n:
                made[j] = False
                j += i
            found += 1
        i += 1
    return found
