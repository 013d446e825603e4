"""The library's procedures on lists, strings, vectors, tables and bits do what obvious definitions do."""
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omega import Interpreter
from omega.lisp.printer import write_string

LAWS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
SMALL = st.integers(-4, 4)
ITEMS = st.lists(SMALL, max_size=8)
TEXT = st.text("ab1 ", max_size=8)


@pytest.fixture(scope="module")
def lisp() -> Iterator[Any]:
    with Interpreter() as interpreter:

        def run(text: str) -> str:
            kept: list[Any] = []
            interpreter._seam.to_host = kept.append  # type: ignore[method-assign,assignment]
            interpreter.eval(text)
            return write_string(kept[-1])

        yield run


def shown(items: Any) -> str:
    if isinstance(items, bool):
        return "#t" if items else "#f"
    if isinstance(items, (list, tuple)):
        return "(" + " ".join(map(shown, items)) + ")"
    return f'"{items}"' if isinstance(items, str) else str(items)


def quoted(items: Any) -> str:
    return "'" + shown(items)


@LAWS
@given(a=ITEMS, b=ITEMS, c=ITEMS)
def test_several_lists(lisp: Any, a: list[int], b: list[int], c: list[int]) -> None:
    rows, three = list(zip(a, b)), list(zip(a, b, c))  # noqa: B905 (the shortest ends it)
    lists = f"{quoted(a)} {quoted(b)}"
    assert lisp(f"(map + {lists})") == shown([x + y for x, y in rows])
    assert lisp(f"(map + {lists} {quoted(c)})") == shown([x + y + z for x, y, z in three])
    assert lisp(f"(vector->list (vector-map - {lists.replace(chr(39), '#')}))") == shown(
        [x - y for x, y in rows]
    )
    folded = 0
    for x, y in rows:
        folded = x - (y - folded)
    assert lisp(f"(fold (lambda (x y acc) (- x (- y acc))) 0 {lists})") == shown(folded)
    folded = 0
    for x, y in reversed(rows):
        folded = x - (y - folded)
    assert lisp(f"(fold-right (lambda (x y acc) (- x (- y acc))) 0 {lists})") == shown(folded)
    assert lisp(f"(zip {lists} {quoted(c)})") == shown(three)
    assert lisp(f"(count < {lists})") == shown(sum(x < y for x, y in rows))
    assert lisp(f"(vector-count < {lists.replace(chr(39), '#')})") == shown(
        sum(x < y for x, y in rows)
    )
    assert lisp(f"(any < {lists})") == shown(any(x < y for x, y in rows))
    assert lisp(f"(list-index = {lists})") == shown(
        next((i for i, (x, y) in enumerate(rows) if x == y), False)
    )
    assert lisp(f"(filter-map (lambda (x y) (and (< x y) (* x y))) {lists})") == shown(
        [x * y for x, y in rows if x < y]
    )
    assert lisp(f"(list= = {lists})") == shown(a == b)
    assert lisp(f"(append! (list-copy {quoted(a)}) (list-copy {quoted(b)}) {quoted(c)})") == shown(
        a + b + c
    )


@LAWS
@given(
    a=ITEMS, b=ITEMS, same=st.sampled_from(["equal?", "eqv?", "eq?", "=", "(lambda (a b) (= a b))"])
)
def test_sets(lisp: Any, a: list[int], b: list[int], same: str) -> None:
    lists = f"{same} {quoted(a)} {quoted(b)}"
    assert lisp(f"(lset-intersection {lists})") == shown([x for x in a if x in b])
    assert lisp(f"(lset-difference {lists})") == shown([x for x in a if x not in b])
    assert lisp(f"(lset<= {lists})") == shown(set(a) <= set(b))
    assert lisp(f"(lset= {lists})") == shown(set(a) == set(b))
    assert lisp(f"(list-sort < (delete-duplicates (lset-union {lists})))") == shown(
        sorted(set(a) | set(b))
    )
    assert lisp(f"(list-sort < (delete-duplicates (lset-xor {lists})))") == shown(
        sorted(set(a) ^ set(b))
    )
    assert lisp(f"(delete-duplicates {quoted(a)} {same})") == shown(list(dict.fromkeys(a)))
    assert lisp(f"(delete 1 {quoted(a)} {same})") == shown([x for x in a if x != 1])


@LAWS
@given(a=ITEMS, b=ITEMS)
def test_order(lisp: Any, a: list[int], b: list[int]) -> None:
    one, two = sorted(a), sorted(b)
    assert lisp(f"(list-sort < {quoted(a)})") == shown(one)
    assert lisp(f"(list-sorted? < {quoted(a)})") == shown(a == one)
    assert lisp(f"(list-merge < {quoted(one)} {quoted(two)})") == shown(sorted(a + b))
    assert lisp(f"(vector->list (vector-merge < #{shown(one)} #{shown(two)}))") == shown(
        sorted(a + b)
    )
    assert lisp(
        f"(generator->list (gmerge < (list->generator {quoted(one)}) (list->generator {quoted(two)})))"
    ) == shown(sorted(a + b))
    dups = [x for x, before in zip_longest(one, [None, *one[:-1]]) if x != before] if one else []
    assert lisp(f"(list-delete-neighbor-dups = {quoted(one)})") == shown(dups)
    for x in {*a, 0}:
        found = lisp(f"(vector-binary-search #{shown(dups)} {x} -)")
        assert found == shown(dups.index(x) if x in dups else False)


@LAWS
@given(
    s=TEXT,
    t=TEXT,
    wanted=st.sampled_from(
        [("#\\a", "a"), ('"b1"', "b1"), ("char-numeric?", "1"), ("char-whitespace?", " ")]
    ),
    ends=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_strings(lisp: Any, s: str, t: str, wanted: tuple[str, str], ends: tuple[int, int]) -> None:
    criterion, chars = wanted
    start, end = sorted(min(at, len(s)) for at in ends)
    part, arguments = s[start:end], f'"{s}" {criterion} {start} {end}'
    places = [start + i for i, c in enumerate(part) if c in chars]
    others = [start + i for i, c in enumerate(part) if c not in chars]
    assert lisp(f"(string-index {arguments})") == shown(places[0] if places else False)
    assert lisp(f"(string-index-right {arguments})") == shown(places[-1] if places else False)
    assert lisp(f"(string-skip {arguments})") == shown(others[0] if others else False)
    assert lisp(f"(string-skip-right {arguments})") == shown(others[-1] if others else False)
    assert lisp(f"(string-count {arguments})") == shown(len(places))
    assert lisp(f"(string-trim {arguments})") == shown(part.strip(chars))
    assert lisp(f"(string-trim-left {arguments})") == shown(part.lstrip(chars))
    assert lisp(f"(string-trim-right {arguments})") == shown(part.rstrip(chars))
    assert lisp(f"(string-drop-while {arguments})") == shown(part.lstrip(chars))
    assert lisp(f"(string-take-while-right {arguments})") == shown(part[len(part.rstrip(chars)) :])
    assert lisp(f'(string-filter {criterion} "{s}" {start} {end})') == shown(
        "".join(c for c in part if c in chars)
    )
    assert lisp(f'(string-remove {criterion} "{s}" {start} {end})') == shown(
        "".join(c for c in part if c not in chars)
    )
    assert lisp(f'(string-any {criterion} "{s}" {start} {end})') == shown(bool(places))
    assert lisp(f'(string-every {criterion} "{s}" {start} {end})') == shown(not others)
    assert lisp(f'(string-contains "{s}" "{t}")') == shown(s.find(t) if t in s else False)
    assert lisp(f'(string-contains-right "{s}" "{t}")') == shown(s.rfind(t) if t in s else False)
    assert lisp(f'(list->string (string-fold-right cons (list) "{s}"))') == shown(s)
    assert lisp(f'(reverse-list->string (string->list "{s}"))') == shown(s[::-1])
    common = next((i for i, (x, y) in enumerate(zip(s, t)) if x != y), min(len(s), len(t)))  # noqa: B905
    assert lisp(f'(string-prefix-length "{s}" "{t}")') == shown(common)


@LAWS
@given(
    n=st.integers(-(2**70), 2**70),
    m=st.integers(-(2**70), 2**70),
    ends=st.tuples(st.integers(0, 80), st.integers(0, 80)),
    by=st.integers(-90, 90),
)
def test_bits(lisp: Any, n: int, m: int, ends: tuple[int, int], by: int) -> None:
    start, end = sorted(ends)
    bits = [n >> at & 1 for at in range(100)]

    def number(low: list[int]) -> int:
        return sum(bit << at for at, bit in enumerate(low)) + (n >> 100 << 100)

    field = bits[start:end]
    ones = [1] * len(field)
    turned = field[-(by % len(field)) :] + field[: -(by % len(field))] if field else field
    replaced = [m >> at & 1 for at in range(len(field))]
    same = [m >> at & 1 for at in range(start, end)]
    for name, arguments, expected in (
        ("bit-field-clear", "", [0] * len(field)),
        ("bit-field-set", "", ones),
        ("bit-field-reverse", "", field[::-1]),
        ("bit-field-rotate", f"{by}", turned),
        ("bit-field-replace", f"{m}", replaced),
        ("bit-field-replace-same", f"{m}", same),
    ):
        assert lisp(f"({name} {n} {arguments} {start} {end})") == shown(
            number([*bits[:start], *expected, *bits[end:]])
        ), name
    assert lisp(f"(bit-field {n} {start} {end})") == shown(
        sum(bit << at for at, bit in enumerate(field))
    )
    assert lisp(f"(bit-field-any? {n} {start} {end})") == shown(any(field))
    assert lisp(f"(bit-field-every? {n} {start} {end})") == shown(all(field))
    assert lisp(f"(bit-set? {start} {n})") == shown(bits[start] == 1)
    assert lisp(f"(list->bits (bits->list {abs(n)}))") == shown(abs(n))
    assert lisp(f"(bitwise-if {n} {m} {~m})") == shown((n & m) | (~n & ~m))
    assert lisp(f"(bitwise-eqv {n} {m})") == shown(~(n ^ m))
    assert lisp(f"(first-set-bit {n})") == shown((n & -n).bit_length() - 1)
