"""Vectors and bytevectors: R7RS 6.8 and 6.9, and what of SRFI 133 takes no procedure.

Owns: everything on `list` (vectors) and `bytearray` (bytevectors) that calls no procedure.
"""

from __future__ import annotations

from typing import Any

from omega.errors import LispIndexError, LispValueError
from omega.lisp.data import to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import vector, wrong_type
from omega.lisp.primitives.registry import primitive

# -- vectors --------------------------------------------------------------------------------------

EMPTY_HINT = "test with (zero? (vector-length v)) before"


@primitive("vector?", result="bool")
def is_vector(x: Any) -> bool:
    """(vector? x) -> boolean: whether x is a vector."""
    return type(x) is list


@primitive("make-vector", result="vector")
def make_vector(n: Any, fill: Any = None, *, rt: Any) -> list[Any]:
    """(make-vector n [fill]) -> vector: n times fill."""
    count = check.natural("make-vector", 1, n)
    check.size(rt, count)
    return [fill] * count


@primitive("vector", result="vector")
def vector_(*items: Any, rt: Any) -> list[Any]:
    """(vector x ...) -> vector: a fresh vector of the arguments."""
    check.spend_each(rt, len(items))
    return list(items)


@primitive("vector-length", result="int")
def vector_length(v: Any) -> int:
    """(vector-length v) -> integer: how many elements it has."""
    return len(vector("vector-length", 1, v))


@primitive("vector-ref")
def vector_ref(v: Any, k: Any) -> Any:
    """(vector-ref v k) -> element k of the vector, counting from 0."""
    items = vector("vector-ref", 1, v)
    return items[check.index("vector-ref", 2, k, len(items), "vector")]


@primitive("vector-set!")
def vector_set(v: Any, k: Any, x: Any) -> None:
    """(vector-set! v k x) -> unspecified: makes x element k of the vector."""
    items = vector("vector-set!", 1, v)
    items[check.index("vector-set!", 2, k, len(items), "vector")] = x


@primitive("vector-first")
def vector_first(v: Any) -> Any:
    """(vector-first v) -> its first element."""
    items = vector("vector-first", 1, v)
    return items[check.index("vector-first", 1, 0, len(items), "vector")]


@primitive("vector-last")
def vector_last(v: Any) -> Any:
    """(vector-last v) -> its last element."""
    items = vector("vector-last", 1, v)
    if not items:
        raise LispIndexError(
            "`vector-last` expected a vector with an element, got an empty one", hint=EMPTY_HINT
        )
    return items[-1]


@primitive("vector->list", result="list")
def vector_to_list(v: Any, start: Any = None, end: Any = None, *, rt: Any) -> Any:
    """(vector->list v [start [end]]) -> list: the elements from start to before end."""
    items = vector("vector->list", 1, v)
    first, last = check.span("vector->list", 2, start, end, len(items), "vector")
    check.spend_each(rt, last - first)
    return to_list(items[first:last])


@primitive("list->vector", result="vector")
def list_to_vector(lst: Any, *, rt: Any) -> list[Any]:
    """(list->vector list) -> vector: of its elements."""
    return check.proper_list("list->vector", 1, lst, rt)


@primitive("vector-fill!")
def vector_fill(v: Any, x: Any, start: Any = None, end: Any = None, *, rt: Any) -> None:
    """(vector-fill! v x [start [end]]) -> unspecified: makes x every element from start to before
    end.
    """
    items = vector("vector-fill!", 1, v)
    first, last = check.span("vector-fill!", 3, start, end, len(items), "vector")
    check.spend(rt, last - first)
    items[first:last] = [x] * (last - first)


@primitive("vector-copy", "subvector", result="vector")
def vector_copy(v: Any, start: Any = None, end: Any = None, *, rt: Any) -> list[Any]:
    """(vector-copy v [start [end]]) -> vector: a fresh one of the elements from start to before
    end.
    """
    items = vector("vector-copy", 1, v)
    first, last = check.span("vector-copy", 2, start, end, len(items), "vector")
    check.size(rt, last - first)
    return items[first:last]


def _target(name: str, size: int, at: Any, count: int, what: str) -> int:
    """Where `count` elements go in something of `size`."""
    if type(at) is not int:
        raise wrong_type(name, 2, "an index (an exact integer)", at)
    if not 0 <= at <= size - count:
        from omega.lisp.printer import shorten

        raise LispIndexError(
            f"`{name}` cannot put {count} elements at {shorten(at, 30)} "
            f"of a {what} of length {size}"
        )
    return at


@primitive("vector-copy!")
def vector_copy_into(
    to: Any, at: Any, source: Any, start: Any = None, end: Any = None, *, rt: Any
) -> None:
    """(vector-copy! to at from [start [end]]) -> unspecified: copies elements of `from` into `to`,
    from index at on.
    """
    target = vector("vector-copy!", 1, to)
    items = vector("vector-copy!", 3, source)
    first, last = check.span("vector-copy!", 4, start, end, len(items), "vector")
    place = _target("vector-copy!", len(target), at, last - first, "vector")
    check.spend(rt, last - first)
    target[place : place + last - first] = items[first:last]


@primitive("vector-append", result="vector")
def vector_append(*vectors: Any, rt: Any) -> list[Any]:
    """(vector-append v ...) -> vector: a fresh one of all elements."""
    checked = [vector("vector-append", at, v) for at, v in enumerate(vectors, 1)]
    check.size(rt, sum(map(len, checked)))
    result: list[Any] = []
    for items in checked:
        result.extend(items)
    return result


@primitive("vector-swap!")
def vector_swap(v: Any, i: Any, j: Any) -> None:
    """(vector-swap! v i j) -> unspecified: exchanges elements i and j."""
    items = vector("vector-swap!", 1, v)
    a = check.index("vector-swap!", 2, i, len(items), "vector")
    b = check.index("vector-swap!", 3, j, len(items), "vector")
    items[a], items[b] = items[b], items[a]


@primitive("vector-reverse!")
def vector_reverse_in_place(v: Any, start: Any = None, end: Any = None, *, rt: Any) -> None:
    """(vector-reverse! v [start [end]]) -> unspecified: puts the elements from start to before end
    in reverse order.
    """
    items = vector("vector-reverse!", 1, v)
    first, last = check.span("vector-reverse!", 2, start, end, len(items), "vector")
    check.spend(rt, last - first)
    items[first:last] = items[first:last][::-1]


@primitive("reverse-vector", "vector-reverse", result="vector")
def vector_reverse(v: Any, *, rt: Any) -> list[Any]:
    """(reverse-vector v) -> vector: a fresh one of the elements, the last first."""
    items = vector("reverse-vector", 1, v)
    check.size(rt, len(items))
    return items[::-1]


@primitive("vector-push!")
def vector_push(v: Any, x: Any, *, rt: Any) -> None:
    """(vector-push! v x) -> unspecified: adds x at the end of the vector, which grows."""
    items = vector("vector-push!", 1, v)
    allowed = rt.limits.alloc_items
    if allowed is not None and len(items) >= allowed:
        check.size(rt, len(items) + 1)
    items.append(x)


@primitive("vector-pop!")
def vector_pop(v: Any) -> Any:
    """(vector-pop! v) -> the last element, which leaves the vector."""
    items = vector("vector-pop!", 1, v)
    if not items:
        raise LispIndexError(
            "`vector-pop!` expected a vector with an element, got an empty one", hint=EMPTY_HINT
        )
    return items.pop()


# -- bytevectors ----------------------------------------------------------------------------------


def _bytes(name: str, position: int, x: Any) -> bytearray:
    if type(x) is not bytearray:
        raise wrong_type(name, position, "a bytevector", x)
    return x


@primitive("bytevector?", result="bool")
def is_bytevector(x: Any) -> bool:
    """(bytevector? x) -> boolean: whether x is a bytevector."""
    return type(x) is bytearray


@primitive("make-bytevector")
def make_bytevector(n: Any, byte: Any = 0, *, rt: Any) -> bytearray:
    """(make-bytevector n [byte]) -> bytevector: n times the byte, 0 unless given."""
    count = check.natural("make-bytevector", 1, n)
    fill = check.byte("make-bytevector", 2, byte)
    check.size(rt, count, "bytes")
    return bytearray([fill]) * count


@primitive("bytevector")
def bytevector(*items: Any, rt: Any) -> bytearray:
    """(bytevector byte ...) -> bytevector: of the arguments, integers from 0 to 255."""
    check.spend_each(rt, len(items))
    return bytearray([check.byte("bytevector", at, x) for at, x in enumerate(items, 1)])


@primitive("bytevector-length", result="int")
def bytevector_length(b: Any) -> int:
    """(bytevector-length b) -> integer: how many bytes it has."""
    return len(_bytes("bytevector-length", 1, b))


@primitive("bytevector-u8-ref", result="int")
def bytevector_ref(b: Any, k: Any) -> int:
    """(bytevector-u8-ref b k) -> byte k of the bytevector, counting from 0."""
    data = _bytes("bytevector-u8-ref", 1, b)
    return data[check.index("bytevector-u8-ref", 2, k, len(data), "bytevector")]


@primitive("bytevector-u8-set!")
def bytevector_set(b: Any, k: Any, byte: Any) -> None:
    """(bytevector-u8-set! b k byte) -> unspecified: makes it byte k of the bytevector."""
    data = _bytes("bytevector-u8-set!", 1, b)
    at = check.index("bytevector-u8-set!", 2, k, len(data), "bytevector")
    data[at] = check.byte("bytevector-u8-set!", 3, byte)


@primitive("bytevector-copy")
def bytevector_copy(b: Any, start: Any = None, end: Any = None, *, rt: Any) -> bytearray:
    """(bytevector-copy b [start [end]]) -> bytevector: a fresh one of the bytes from start to
    before end.
    """
    data = _bytes("bytevector-copy", 1, b)
    first, last = check.span("bytevector-copy", 2, start, end, len(data), "bytevector")
    check.size(rt, last - first, "bytes")
    return data[first:last]


@primitive("bytevector-copy!")
def bytevector_copy_into(
    to: Any, at: Any, source: Any, start: Any = None, end: Any = None, *, rt: Any
) -> None:
    """(bytevector-copy! to at from [start [end]]) -> unspecified: copies bytes of `from` into
    `to`, from index at on.
    """
    target = _bytes("bytevector-copy!", 1, to)
    data = _bytes("bytevector-copy!", 3, source)
    first, last = check.span("bytevector-copy!", 4, start, end, len(data), "bytevector")
    place = _target("bytevector-copy!", len(target), at, last - first, "bytevector")
    check.spend(rt, last - first)
    target[place : place + last - first] = data[first:last]


@primitive("bytevector-append")
def bytevector_append(*parts: Any, rt: Any) -> bytearray:
    """(bytevector-append b ...) -> bytevector: a fresh one of all bytes."""
    checked = [_bytes("bytevector-append", at, b) for at, b in enumerate(parts, 1)]
    check.size(rt, sum(map(len, checked)), "bytes")
    return bytearray(b"".join(checked))


@primitive("bytevector-fill!")
def bytevector_fill(b: Any, byte: Any, start: Any = None, end: Any = None, *, rt: Any) -> None:
    """(bytevector-fill! b byte [start [end]]) -> unspecified: makes it every byte from start to
    before end.
    """
    data = _bytes("bytevector-fill!", 1, b)
    fill = check.byte("bytevector-fill!", 2, byte)
    first, last = check.span("bytevector-fill!", 3, start, end, len(data), "bytevector")
    check.spend(rt, last - first)
    data[first:last] = bytes([fill]) * (last - first)


@primitive("utf8->string", result="string")
def utf8_to_string(b: Any, start: Any = None, end: Any = None, *, rt: Any) -> str:
    """(utf8->string b [start [end]]) -> string: the bytes from start to before end, decoded as
    UTF-8.
    """
    data = _bytes("utf8->string", 1, b)
    first, last = check.span("utf8->string", 2, start, end, len(data), "bytevector")
    check.size(rt, last - first, "bytes")
    try:
        return data[first:last].decode("utf-8")
    except UnicodeDecodeError as error:
        raise LispValueError(
            f"`utf8->string` found no UTF-8 at byte {first + error.start}", kind="bad-encoding"
        ) from None


@primitive("string->utf8")
def string_to_utf8(s: Any, start: Any = None, end: Any = None, *, rt: Any) -> bytearray:
    """(string->utf8 s [start [end]]) -> bytevector: the characters from start to before end,
    encoded as UTF-8.
    """
    text = check.string("string->utf8", 1, s)
    first, last = check.span("string->utf8", 2, start, end, len(text), "string")
    check.size(rt, last - first, "bytes")
    try:
        return bytearray(text[first:last].encode("utf-8"))
    except UnicodeEncodeError as error:
        raise LispValueError(
            f"`string->utf8` cannot encode the lone surrogate at character {first + error.start}",
            kind="bad-encoding",
        ) from None
