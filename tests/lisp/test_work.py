"""Work that grows with its arguments is paid for in steps, and none of it is long in one piece."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import pytest

from omega.errors import LimitExceeded, LispTypeError
from omega.lisp.data import Char, Nil, cons, to_list
from omega.lisp.evaluator import Evaluator
from omega.lisp.host import PlainHost
from omega.lisp.numbers import RATIO_BITS_MAX, floored, integer_root, parse_number
from omega.lisp.table import HashTable
from tests.lisp.primitive_kit import FakeRuntime, call

# -- rationals and long integers ------------------------------------------------------------------


def run(text: str, fuel: int = 1_000_000) -> Any:
    host = PlainHost(fuel=fuel)
    made = Evaluator(host, use_cache=False)
    host.start()
    made.load_library()
    thunk, _ = made.prepare(text)
    return made.runtime.call(thunk)


@pytest.mark.parametrize(
    "step", ["(* x x)", "(/ x (/ 1 x))", "(+ x (* x x))", "(- x (* x x))", "(square x)"]
)
def test_a_rational_that_grows_is_refused(step: str) -> None:
    with pytest.raises(LimitExceeded, match="bits of a rational number"):
        run(f"(let loop ((x 3/7) (i 0)) (if (< i 22) (loop {step} (+ i 1)) 1))")


def test_work_on_long_rationals_is_paid_for() -> None:
    x, y = Fraction(3**50_000, 7**30_000), Fraction(5**30_000, 11**20_000)
    for name in ("+", "-", "*", "/"):
        rt = FakeRuntime()
        call(name, x, y, rt=rt)
        assert rt.charged > 1_000, name
    for name in ("floor", "ceiling", "round", "truncate", "square"):
        rt = FakeRuntime()
        call(name, x, rt=rt)
        assert rt.charged > 1_000, name


def test_the_limit_of_rationals_holds_for_what_is_asked_before_it_is_worked_out() -> None:
    for name, arguments in {
        "expt": [(Fraction(3, 7), 1_000_000), (3, -1_000_000)],
        "/": [(3**400_000, 7**400_000)],
        "gcd": [(3**400_000, 7**400_000)],
        "lcm": [(3**400_000, 7**400_000)],
        "rationalize": [(Fraction(1, 3**400_000), Fraction(1, 7**400_000))],
    }.items():
        for given in arguments:
            with pytest.raises(LimitExceeded, match="200,000 allowed"):
                call(name, *given, rt=FakeRuntime(alloc_items=5_000_000))
    digits = "1" * (RATIO_BITS_MAX // 3)
    with pytest.raises(LimitExceeded, match="rational"):
        parse_number(f"{digits}/{digits}3")
    with pytest.raises(LimitExceeded, match="20,000 allowed"):
        call(
            "*", Fraction(1, 3**10_000), Fraction(1, 7**10_000), rt=FakeRuntime(alloc_items=20_000)
        )


def test_long_integers_divide_into_integers_whatever_their_size() -> None:
    x, y = 3**300_000, 3**299_000
    assert call("/", x, y) == 3**1_000
    assert call("gcd", x, y) == y


def test_a_product_by_the_procedure_is_limited_as_one_in_compiled_code() -> None:
    with pytest.raises(LimitExceeded, match="bits of a product"):
        call("*", 2**600_000, 2**600_000, rt=FakeRuntime())
    with pytest.raises(LimitExceeded, match="bits of a power"):
        call("expt", 2, 10**9)


def test_long_division_and_roots_agree_with_python() -> None:
    chance = random.Random(1)
    charged: list[int] = []
    for _ in range(200):
        x = chance.getrandbits(chance.choice([10, 5_000, 20_000, 90_000]) + chance.randrange(50))
        y = chance.getrandbits(chance.choice([3, 4_000, 4_100, 9_000, 33_000])) or 1
        y = chance.choice([y, (1 << y.bit_length()) - 1])
        x = chance.choice([x, x * y, x * y - 1])
        for a, b in ((x, y), (-x, y), (x, -y), (-x, -y)):
            assert floored(a, b, charged.append) == divmod(a, b)
            q, r = call("truncate/", a, b).items
            assert q * b + r == a
            assert abs(r) < abs(b)
            assert r == 0 or (r < 0) is (a < 0)
        for n in (abs(x), x * x, x * x + 2 * abs(x), x * x + 1):
            root, rest = integer_root(n, charged.append)
            assert (root, rest) == (math.isqrt(n), n - math.isqrt(n) ** 2)
    assert max(charged) < 200  # every piece is a short one


@pytest.mark.parametrize(
    "name",
    ["quotient", "remainder", "modulo", "floor-quotient", "floor/", "truncate/", "gcd", "lcm"],
)
def test_work_on_long_integers_is_paid_for(name: str) -> None:
    rt = FakeRuntime()
    call(name, 10**50_000 + 1, 7**30_000, rt=rt)
    assert rt.charged > 100


def test_the_simplest_rational_is_the_one_of_least_denominator() -> None:
    chance = random.Random(2)
    for _ in range(500):
        x = Fraction(chance.randrange(-400, 400), chance.randrange(1, 200))
        y = Fraction(chance.randrange(30), chance.randrange(1, 2_000))
        found = Fraction(call("rationalize", x, y))
        assert abs(found - x) <= y
        below = next(d for d in range(1, 400_000) if math.ceil((x - y) * d) <= (x + y) * d)
        assert found.denominator == below


# -- lists and strings ----------------------------------------------------------------------------

SIZE = 100_000
LIST = to_list(list(range(SIZE)))
PAIRS = to_list([cons(at, at) for at in range(SIZE)])
VECTOR = list(range(SIZE))
CHARS = [Char.of("a")] * SIZE
TEXT = "ab c\n" * (SIZE // 5)
LAST = SIZE - 1
KEYS = to_list(list(range(-SIZE, 0)))

ON_A_LIST = (
    "list? circular-list? dotted-list? length length+ last last-pair reverse list-copy "
    "list->vector flatten delete-duplicates"
)
ON_A_TEXT = (
    "string-upcase string-downcase string-foldcase string-titlecase string-reverse string-trim "
    "string-trim-left string-trim-right string->list string-lines string-split"
)
ON_MANY = "+ * - = < max min gcd lcm list vector bytevector"

# Calls that take a while: the arguments of each.
LONG: dict[str, list[Any]] = {
    "append-reverse": [LIST, Nil], "append": [LIST, Nil], "concatenate": [LIST],
    "list-tail": [LIST, LAST], "list-ref": [LIST, LAST], "list-set!": [LIST, LAST, LAST],
    "take": [LIST, LAST], "take-right": [LIST, LAST], "drop-right": [LIST, 1],
    "split-at": [LIST, LAST], "sublist": [LIST, 0, LAST], "alist-copy": [PAIRS],
    "memq": [-1, LIST], "memv": [-1, LIST], "member": [-1, LIST], "delete": [-1, LIST],
    "assq": [-1, PAIRS], "assv": [-1, PAIRS], "assoc": [-1, PAIRS], "assoc-ref": [PAIRS, -1],
    "hash-select": [HashTable(), KEYS], "alist->hash": [PAIRS],
    "list->string": [to_list(CHARS)], "vector->string": [CHARS],
    "vector-reverse!": [VECTOR], "string-join": [to_list(["a"] * SIZE)],
    "string-contains": [TEXT, "zz"], "string-index": [TEXT, Char.of("z")],
    "string-rindex": [TEXT, Char.of("z")], "string=?": [TEXT, TEXT + ""],
    "string-ci=?": [TEXT, TEXT.upper()],
    "cons*": [*[1] * SIZE, Nil],
}  # fmt: skip
LONG |= {name: [LIST] for name in ON_A_LIST.split()}
LONG |= {name: [TEXT] for name in ON_A_TEXT.split()}
LONG |= {name: [1] * SIZE for name in ON_MANY.split()}
LONG["concatenate"] = [to_list([to_list([1])] * SIZE)]


@pytest.mark.parametrize("name", sorted(LONG))
def test_what_takes_long_is_paid_for(name: str) -> None:
    rt = FakeRuntime(alloc_items=10 * SIZE)
    call(name, *LONG[name], rt=rt)
    assert rt.charged >= SIZE // 100


@pytest.mark.parametrize("name", ["list-ref", "memq", "length", "list?"])
def test_a_walk_is_paid_for_while_it_lasts(name: str) -> None:
    class Enough(Exception):
        pass

    class Sliced(FakeRuntime):
        def charge(self, steps: int) -> None:
            assert steps <= 64
            super().charge(steps)
            if self.charged > 500:
                raise Enough

    with pytest.raises(Enough):
        call(name, *LONG[name], rt=Sliced())


@pytest.mark.parametrize("size", [1, 2, 3, 4095, 4096, 4097, 9_000, 50_000])
@pytest.mark.parametrize("lead", [0, 1, 4096, 5_000])
def test_lists_without_end_are_noticed(size: int, lead: int) -> None:
    ring = to_list(list(range(size)))
    end = ring
    while end.cdr is not Nil:
        end = end.cdr
    end.cdr = ring
    whole = to_list([0] * lead, ring)
    assert call("list?", whole) is False
    assert call("circular-list?", whole) is True
    assert call("dotted-list?", whole) is False
    assert call("length+", whole) is False
    assert call("list-ref", whole, lead + 10**12) == 10**12 % size
    for name, arguments in {"memq": [-1, whole], "length": [whole], "last": [whole]}.items():
        with pytest.raises(LispTypeError):
            call(name, *arguments)
