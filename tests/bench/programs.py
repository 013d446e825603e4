"""What language.py times, in plain Python doing the same work; `idiomatic_*` as one would write it.

Where the Lisp builds lists, `(head, tail)` tuples; where it passes procedures, Python functions and
the same loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


# -- the programs of the field's own benchmarks ----------------------------------------------------


def ackermann(m: int, n: int) -> int:
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 1)
    return ackermann(m - 1, ackermann(m, n - 1))


def bench_ackermann(n: int) -> int:
    return ackermann(2, n)


def bench_queens(n: int) -> int:
    def is_safe(row: int, distance: int, placed: Any) -> bool:
        while placed is not None:
            other, placed = placed
            if other == row + distance or other == row - distance or other == row:
                return False
            distance += 1
        return True

    def place(column: int, placed: Any) -> int:
        if column == n:
            return 1
        found = row = 0
        while row < n:
            if is_safe(row, 1, placed):
                found += place(column + 1, (row, placed))
            row += 1
        return found

    return place(0, None)


def is_prime(n: int) -> bool:
    d = 2
    while d * d <= n:
        if n % d == 0:
            return False
        d += 1
    return True


def bench_primes(n: int) -> int:
    found = 0
    i = 2
    while i < n:
        if is_prime(i):
            found += 1
        i += 1
    return found


def make_matrix(n: int, f: Callable[[int, int], int]) -> list[list[int]]:
    rows: list[list[int]] = [[]] * n
    i = 0
    while i < n:
        row = [0] * n
        j = 0
        while j < n:
            row[j] = f(i, j)
            j += 1
        rows[i] = row
        i += 1
    return rows


def multiply(a: list[list[int]], b: list[list[int]], n: int) -> list[list[int]]:
    def cell(i: int, j: int) -> int:
        row = a[i]
        k = total = 0
        while k < n:
            total += row[k] * b[k][j]
            k += 1
        return total

    return make_matrix(n, cell)


def bench_matrix(n: int) -> int:
    a = make_matrix(n, lambda i, j: i + j)
    return multiply(a, a, n)[n - 1][n - 1]


def escapes_after(cr: float, ci: float, most: int) -> int:
    zr = zi = 0.0
    i = 0
    while True:
        zr2, zi2 = zr * zr, zi * zi
        if i == most or zr2 + zi2 > 4.0:
            return i
        zr, zi = zr2 - zi2 + cr, 2.0 * zr * zi + ci
        i += 1


def bench_mandelbrot(n: int) -> int:
    total = y = 0
    while y < n:
        x = 0
        while x < n:
            total += escapes_after((3.0 * x) / n - 2.0, (2.0 * y) / n - 1.0, 50)
            x += 1
        y += 1
    return total


def quicksort(v: list[int], low: int, high: int) -> None:
    if low < high:
        pivot = v[(low + high) // 2]
        i, j = low, high
        while True:
            while v[i] < pivot:
                i += 1
            while v[j] > pivot:
                j -= 1
            if i > j:
                break
            v[i], v[j] = v[j], v[i]
            i += 1
            j -= 1
        quicksort(v, low, j)
        quicksort(v, i, high)


def bench_quicksort(n: int) -> int:
    v = [0] * n
    seed = 42
    i = 0
    while i < n:
        v[i] = seed
        seed = (seed * 1103515245 + 12345) % 2147483648
        i += 1
    quicksort(v, 0, n - 1)
    return v[n // 2]


def derive(e: Any) -> Any:
    if isinstance(e, int):
        return 0
    if isinstance(e, str):
        return 1 if e == "x" else 0
    operator, (left, (right, _)) = e
    if operator == "+":
        return ("+", (derive(left), (derive(right), None)))
    if operator == "*":
        one = ("*", (left, (derive(right), None)))
        other = ("*", (derive(left), (right, None)))
        return ("+", (one, (other, None)))
    raise ValueError("unknown operator")


def count_atoms(e: Any) -> int:
    if isinstance(e, tuple):
        return count_atoms(e[0]) + count_atoms(e[1])
    return 0 if e is None else 1


def _call(operator: str, left: Any, right: Any) -> Any:
    return (operator, (left, (right, None)))


FORMULA = _call(
    "+",
    _call("*", 3, _call("*", "x", "x")),
    _call("+", _call("*", "a", _call("*", "x", "x")), _call("*", "b", "x")),
)


def bench_deriv(n: int) -> int:
    total = i = 0
    while i < n:
        total += count_atoms(derive(FORMULA))
        i += 1
    return total


def make_tree(depth: int) -> Any:
    return None if depth == 0 else (make_tree(depth - 1), make_tree(depth - 1))


def count_nodes(tree: Any) -> int:
    return 1 if tree is None else 1 + count_nodes(tree[0]) + count_nodes(tree[1])


def bench_trees(n: int) -> int:
    return count_nodes(make_tree(n))


def bench_churn(n: int) -> int:
    table: dict[int, int] = {}
    i = 0
    while i < n:
        key = (i * 31) % 1009
        if key in table:
            del table[key]
        else:
            table[key] = i
        i += 1
    return len(table)


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


def bench_records(n: int) -> int:
    p = Point(0, 1)
    i = 0
    while i < n:
        p.x = p.x + Point(i, 2).y
        i += 1
    return p.x


def make_counter(start: int) -> Callable[[int], int]:
    def counter(by: int) -> int:
        nonlocal start
        start += by
        return start

    return counter


def compose(f: Callable[[int], int], g: Callable[[int], int]) -> Callable[[int], int]:
    return lambda x: f(g(x))


def bench_closures(n: int) -> int:
    total = i = 0
    while i < n:
        counter = make_counter(i)
        twice = compose(counter, counter)
        total += twice(1)
        i += 1
    return total


class Third(Exception):
    pass


def risky(i: int) -> int:
    if i % 3 == 0:
        raise Third
    return i


def bench_exceptions(n: int) -> int:
    total = i = 0
    while i < n:
        try:
            total += risky(i)
        except Third:
            total += 1
        i += 1
    return total


def leaves(tree: Any) -> Iterator[int]:
    if isinstance(tree, tuple):
        yield from leaves(tree[0])
        yield from leaves(tree[1])
    elif tree is not None:
        yield tree


def numbered(n: int) -> Any:
    return None if n == 0 else (n, (numbered(n // 2), numbered(n // 2)))


def bench_generators(n: int) -> int:
    total = 0
    for value in leaves(numbered(n)):
        total += value
    return total
