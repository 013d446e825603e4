"""Integers as bits in two's complement (SRFI 151), as far as numbers.py and reals.py have not.

Owns: every operation on bits and fields of bits that calls no procedure. Bit 0 is the lowest; a
field runs from bit `start` to before bit `end`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import LispIndexError
from omega.lisp.data import to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import integer, natural
from omega.lisp.primitives.registry import primitive


def _spend(rt: Any, *values: int) -> None:
    """Charge for going over the words of the integers."""
    check.spend(rt, max(value.bit_length() for value in values) // 64)


def _field(name: str, position: int, start: Any, end: Any) -> tuple[int, int]:
    """(start, width) of a field."""
    first, last = natural(name, position, start), natural(name, position + 1, end)
    if first > last:
        raise LispIndexError(
            f"`{name}` expected a field that ends where it starts or later, got {first} to {last}",
            hint="a field runs from bit start to before bit end",
        )
    return first, last - first


def _mask(rt: Any, start: int, width: int, value: int = 0) -> int:
    """Ones in a field. Those above all bits of a number that is not negative do not matter to it:
    `value` says what the mask is for, -1 when all matter.
    """
    if value >= 0:
        width = max(0, min(width, value.bit_length() - start))
        if width == 0:
            return 0
    check.size(rt, start + width, "bits")
    return ((1 << width) - 1) << start


# -- several integers at once ----------------------------------------------------------------------


@primitive("bitwise-eqv", result="int")
def bitwise_eqv(*numbers: Any, rt: Any) -> int:
    """(bitwise-eqv n ...) -> integer: the bits an even number of them lacks; -1 without arguments.
    SRFI 151.
    """
    result = -1
    for at, n in enumerate(numbers, 1):
        result = ~(result ^ integer("bitwise-eqv", at, n))
        _spend(rt, result)
    return result


def _of_two(name: str, shown: str, text: str, combine: Callable[[int, int], int]) -> None:
    def operate(n: Any, m: Any, *, rt: Any) -> int:
        a, b = integer(name, 1, n), integer(name, 2, m)
        _spend(rt, a, b)
        return combine(a, b)

    operate.__doc__ = f"({name} n m) -> integer: {text}: {shown}. SRFI 151."
    primitive(name, result="int")(operate)


for _name, _shown, _text, _combine in (
    ("bitwise-nand", "not (n and m)", "the bits not both have", lambda a, b: ~(a & b)),
    ("bitwise-nor", "not (n or m)", "the bits neither has", lambda a, b: ~(a | b)),
    ("bitwise-andc1", "(not n) and m", "the bits m has and n lacks", lambda a, b: ~a & b),
    ("bitwise-andc2", "n and (not m)", "the bits n has and m lacks", lambda a, b: a & ~b),
    ("bitwise-orc1", "(not n) or m", "the bits n lacks or m has", lambda a, b: ~a | b),
    ("bitwise-orc2", "n or (not m)", "the bits n has or m lacks", lambda a, b: a | ~b),
):
    _of_two(_name, _shown, _text, _combine)


@primitive("bitwise-if", result="int")
def bitwise_if(mask: Any, n: Any, m: Any, *, rt: Any) -> int:
    """(bitwise-if mask n m) -> integer: the bits of n where the mask is 1, those of m where it is
    0. SRFI 151.
    """
    chosen = integer("bitwise-if", 1, mask)
    a, b = integer("bitwise-if", 2, n), integer("bitwise-if", 3, m)
    _spend(rt, chosen, a, b)
    return (chosen & a) | (~chosen & b)


# -- single bits -----------------------------------------------------------------------------------


@primitive("bit-set?", result="bool")
def is_bit_set(index: Any, n: Any) -> bool:
    """(bit-set? index n) -> boolean: whether the bit at that index is 1. SRFI 151."""
    at, value = natural("bit-set?", 1, index), integer("bit-set?", 2, n)
    return value < 0 if at >= value.bit_length() else value >> at & 1 == 1


@primitive("copy-bit", result="int")
def copy_bit(index: Any, n: Any, bit: Any, *, rt: Any) -> int:
    """(copy-bit index n bit) -> integer: n with the bit at that index 1 if `bit` is true, else 0.
    SRFI 151.
    """
    at, value = natural("copy-bit", 1, index), integer("copy-bit", 2, n)
    _spend(rt, value)
    wanted = bit is not False
    if wanted == is_bit_set(at, value):
        return value
    check.size(rt, at, "bits")
    return value ^ 1 << at


@primitive("bit-swap", result="int")
def bit_swap(i: Any, j: Any, n: Any, *, rt: Any) -> int:
    """(bit-swap i j n) -> integer: n with the bits at i and j exchanged. SRFI 151."""
    a, b = natural("bit-swap", 1, i), natural("bit-swap", 2, j)
    value = integer("bit-swap", 3, n)
    first, second = is_bit_set(a, value), is_bit_set(b, value)
    return copy_bit(b, copy_bit(a, value, second, rt=rt), first, rt=rt)


@primitive("any-bit-set?", result="bool")
def is_any_bit_set(test: Any, n: Any, *, rt: Any) -> bool:
    """(any-bit-set? test n) -> boolean: whether n has any of the bits of `test`. SRFI 151."""
    bits, value = integer("any-bit-set?", 1, test), integer("any-bit-set?", 2, n)
    _spend(rt, bits, value)
    return bits & value != 0


@primitive("every-bit-set?", result="bool")
def is_every_bit_set(test: Any, n: Any, *, rt: Any) -> bool:
    """(every-bit-set? test n) -> boolean: whether n has all bits of `test`. SRFI 151."""
    bits, value = integer("every-bit-set?", 1, test), integer("every-bit-set?", 2, n)
    _spend(rt, bits, value)
    return bits & value == bits


@primitive("first-set-bit", result="int")
def first_set_bit(n: Any, *, rt: Any) -> int:
    """(first-set-bit n) -> integer: the index of the lowest bit that is 1, -1 if there is none.
    SRFI 151.
    """
    value = integer("first-set-bit", 1, n)
    _spend(rt, value)
    return (value & -value).bit_length() - 1


# -- fields ----------------------------------------------------------------------------------------


@primitive("bit-field", result="int")
def bit_field(n: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field n start end) -> integer: the bits of the field, moved down to bit 0. SRFI 151."""
    value = integer("bit-field", 1, n)
    first, width = _field("bit-field", 2, start, end)
    return _field_of(value, first, width, rt)


def _field_of(value: int, first: int, width: int, rt: Any) -> int:
    _spend(rt, value)
    shifted = value >> min(first, value.bit_length())
    return shifted & _mask(rt, 0, width, shifted)


@primitive("bit-field-any?", result="bool")
def is_field_any(n: Any, start: Any, end: Any, *, rt: Any) -> bool:
    """(bit-field-any? n start end) -> boolean: whether a bit of the field is 1. SRFI 151."""
    value = integer("bit-field-any?", 1, n)
    return _field_of(value, *_field("bit-field-any?", 2, start, end), rt) != 0


@primitive("bit-field-every?", result="bool")
def is_field_every(n: Any, start: Any, end: Any, *, rt: Any) -> bool:
    """(bit-field-every? n start end) -> boolean: whether all bits of the field are 1. SRFI 151."""
    value = integer("bit-field-every?", 1, n)
    return _field_of(~value, *_field("bit-field-every?", 2, start, end), rt) == 0


@primitive("bit-field-clear", result="int")
def bit_field_clear(n: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field-clear n start end) -> integer: n with 0 in the field. SRFI 151."""
    value = integer("bit-field-clear", 1, n)
    first, width = _field("bit-field-clear", 2, start, end)
    return value & ~_mask(rt, first, width, value)


@primitive("bit-field-set", result="int")
def bit_field_set(n: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field-set n start end) -> integer: n with 1 in the field. SRFI 151."""
    value = integer("bit-field-set", 1, n)
    first, width = _field("bit-field-set", 2, start, end)
    return value | _mask(rt, first, width, ~value if value < 0 else -1)


def _replaced(value: int, field: int, first: int, width: int, rt: Any) -> int:
    """`value` with the low bits of `field` in the field."""
    mask = _mask(rt, first, width, -1)
    return (value & ~mask) | (field << first & mask)


@primitive("bit-field-replace", result="int")
def bit_field_replace(n: Any, source: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field-replace n source start end) -> integer: n with the low bits of source in the
    field. SRFI 151.
    """
    value = integer("bit-field-replace", 1, n)
    field = integer("bit-field-replace", 2, source)
    return _replaced(value, field, *_field("bit-field-replace", 3, start, end), rt)


@primitive("bit-field-replace-same", result="int")
def bit_field_replace_same(n: Any, source: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field-replace-same n source start end) -> integer: n with the same field of source in
    the field. SRFI 151.
    """
    value = integer("bit-field-replace-same", 1, n)
    other = integer("bit-field-replace-same", 2, source)
    first, width = _field("bit-field-replace-same", 3, start, end)
    mask = _mask(rt, first, width, -1)
    return (value & ~mask) | (other & mask)


@primitive("bit-field-rotate", result="int")
def bit_field_rotate(n: Any, count: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field-rotate n count start end) -> integer: n with the field moved up by count bits, or
    down by -count; what leaves it comes in at its other end. SRFI 151.
    """
    value, by = integer("bit-field-rotate", 1, n), integer("bit-field-rotate", 2, count)
    first, width = _field("bit-field-rotate", 3, start, end)
    if width == 0:
        return value
    check.size(rt, first + width, "bits")
    field = _field_of(value, first, width, rt)
    by %= width
    return _replaced(value, field << by | field >> (width - by), first, width, rt)


@primitive("bit-field-reverse", result="int")
def bit_field_reverse(n: Any, start: Any, end: Any, *, rt: Any) -> int:
    """(bit-field-reverse n start end) -> integer: n with the bits of the field in reverse order.
    SRFI 151.
    """
    value = integer("bit-field-reverse", 1, n)
    first, width = _field("bit-field-reverse", 2, start, end)
    if width == 0:
        return value
    check.size(rt, first + width, "bits")
    check.spend_each(rt, width)
    return _replaced(value, _number(_bits(value >> first, width)[::-1]), first, width, rt)


# -- as sequences of booleans ----------------------------------------------------------------------


def _bits(value: int, count: int) -> list[bool]:
    """The lowest `count` bits, the lowest first; in linear time."""
    size = count // 8 + 1
    text = (value & ((1 << count) - 1)).to_bytes(size, "little")
    return [byte >> at & 1 == 1 for byte in text for at in range(8)][:count]


def _number(bits: list[Any]) -> int:
    """The integer whose bits these are, the lowest first; in linear time."""
    padded = [*bits, *[False] * (-len(bits) % 8)]
    return int.from_bytes(
        bytes(
            sum((bit is not False) << at for at, bit in enumerate(padded[start : start + 8]))
            for start in range(0, len(padded), 8)
        ),
        "little",
    )


def _taken_apart(name: str, n: Any, count: Any, rt: Any) -> list[bool]:
    value = integer(name, 1, n)
    if count is None and value < 0:
        raise check.invalid(name, "expected a count of bits for a negative integer", n)
    wanted = value.bit_length() if count is None else natural(name, 2, count)
    check.size(rt, wanted)
    check.spend_each(rt, wanted)
    return _bits(value, wanted)


@primitive("bits->list", result="list")
def bits_to_list(n: Any, count: Any = None, *, rt: Any) -> Any:
    """(bits->list n [count]) -> list: its bits as booleans, the lowest first; as many as n has
    unless a count is given. SRFI 151.
    """
    return to_list(_taken_apart("bits->list", n, count, rt))


@primitive("bits->vector", result="vector")
def bits_to_vector(n: Any, count: Any = None, *, rt: Any) -> list[bool]:
    """(bits->vector n [count]) -> vector: its bits as booleans, the lowest first. SRFI 151."""
    return _taken_apart("bits->vector", n, count, rt)


@primitive("list->bits", result="int")
def list_to_bits(bits: Any, *, rt: Any) -> int:
    """(list->bits list) -> integer: whose bits the booleans are, the lowest first. SRFI 151."""
    items = check.proper_list("list->bits", 1, bits, rt)
    check.spend_each(rt, len(items))
    return _number(items)


@primitive("vector->bits", result="int")
def vector_to_bits(bits: Any, *, rt: Any) -> int:
    """(vector->bits vector) -> integer: whose bits the booleans are, the lowest first. SRFI 151."""
    items = check.vector("vector->bits", 1, bits)
    check.spend_each(rt, len(items))
    return _number(items)


@primitive("bits", result="int")
def bits_(*bits: Any, rt: Any) -> int:
    """(bits boolean ...) -> integer: whose bits the booleans are, the lowest first. SRFI 151."""
    check.spend_each(rt, len(bits))
    return _number(list(bits))
