"""What monty is fed: Python source, as plain as the other programs here."""


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def tak(x: int, y: int, z: int) -> int:
    return z if not (y < x) else tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))


def bench_fib() -> int:
    return fib(25)


def bench_tak() -> int:
    return tak(18, 12, 6)


def bench_loop() -> int:
    i = 0
    acc = 0
    while i < 1000000:
        acc += i
        i += 1
    return acc


def bench_list() -> int:
    xs = []
    for i in range(200000):
        xs.append(i)
    acc = 0
    for x in xs:
        acc += x
    return acc


def bench_hof() -> int:
    odd = filter(lambda x: x % 2 == 1, range(200000))
    return sum(map(lambda x: x * 2, odd))  # noqa: C417 - map is what is timed


def bench_str() -> int:
    parts = []
    for i in range(100000):
        parts.append(str(i))
    return len("".join(parts))


def bench_wc() -> int:
    t: dict[str, int] = {}
    for i in range(100000):
        w = "w" + str((i * 7919) % 1000)
        t[w] = t.get(w, 0) + 1
    return len(t)


def is_even(n: int) -> bool:
    return True if n == 0 else is_odd(n - 1)


def is_odd(n: int) -> bool:
    return False if n == 0 else is_even(n - 1)


def bench_even() -> bool:
    return is_even(1000000)
