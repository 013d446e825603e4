"""Equality: `eq?`, `eqv?`, `equal?`, and the hashable key that decides which keys of a table are
the same.

Owns: is_eq, is_eqv, is_equal, key_of.
Refuses: calling `==` or `hash` on compound data or on host objects: C recursion overflows the
stack on deep data, and a host object's `__eq__` is nobody's business. Everything here walks with
explicit stacks.

What is equal: numbers by value and exactness (1, 1.0 and #t differ; 0.0 and -0.0 differ; nan
equals nan), strings and characters by value, pairs, vectors, bytevectors and hash tables by
content, everything else by identity.

Invariant (tested): key_of(a) == key_of(b) exactly when is_equal(a, b), for data without cycles.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from omega.errors import LimitExceeded, LispValueError
from omega.lisp.data import Char, Keyword, Nil, Pair, Symbol

if TYPE_CHECKING:
    from omega.lisp.table import HashTable as _Table

Charge = Callable[[int], None]

# Types whose objects are their own key.
PLAIN_KEYS = frozenset((str, int, Symbol, Keyword, Char))

_SHARING_AFTER = 10_000  # comparisons before is_equal looks for sharing and cycles
_CHARGE_EVERY = 512  # comparisons or parts of a key between charges
_FREE = 32  # so many cost nothing
_STEP = 8  # of them are a step
_NODE = 4  # parts of a key that one node of a key of nested data is worth
_KEYS_WITHIN_KEYS_MAX = 200  # see key_of


def is_eq(a: Any, b: Any) -> bool:
    """Identity; integers by value."""
    return a is b or (type(a) is int and type(b) is int and a == b)


def is_eqv(a: Any, b: Any) -> bool:
    """Identity; numbers by value and exactness; strings by value (they are immutable)."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is int or kind is str or kind is Fraction:
        return bool(a == b)
    if kind is float:
        if a == b:
            return a != 0.0 or str(a) == str(b)
        return bool(a != a and b != b)
    return kind is Char and a.value == b.value


def is_equal(a: Any, b: Any, charge: Charge | None = None) -> bool:
    """Same structure with `eqv?` leaves. Terminates on cycles and stays linear on shared structure
    (R7RS 6.1).

    charge: called with steps now and then, so that comparing big data is paid for and sliced.
    """
    if a is b:
        return True
    if type(a) in PLAIN_KEYS and type(b) is type(a):
        return bool(a == b) if type(a) is not Char else is_eqv(a, b)
    count = total = 0
    links: dict[int, int] | None = None
    stack: list[tuple[Any, Any]] = [(a, b)]
    while stack:
        a, b = stack.pop()
        while True:
            if a is b:
                break
            count += 1
            if count >= _CHARGE_EVERY:
                total += count
                _pay(count, charge)
                count = 0
                if links is None and total > _SHARING_AFTER:
                    links = {}
            if isinstance(a, Pair):
                if not isinstance(b, Pair):
                    return _differ(count, charge)
                if links is not None and _linked(links, id(a), id(b)):
                    break
                left, right = a.car, b.car
                if left is not right:
                    kind = type(left)
                    if kind in PLAIN_KEYS:
                        if not is_eqv(left, right):
                            return _differ(count, charge)
                        if kind is str:
                            count += len(left) >> 10
                    else:
                        stack.append((left, right))
                a, b = a.cdr, b.cdr
            else:
                if _is_compound(a):
                    if links is None or not _linked(links, id(a), id(b)):
                        parts = _parts(a, b, charge)
                        if parts is None:
                            return _differ(count, charge)
                        count += len(parts)
                        stack.extend(parts)
                elif not is_eqv(a, b):
                    return _differ(count, charge)
                else:
                    count += weight(a)
                break
    _pay(count, charge)
    return True


def _pay(count: int, charge: Charge | None) -> None:
    """Charge for so many comparisons or parts of a key."""
    if count > _FREE and charge is not None:
        charge(count // _STEP)


def _differ(count: int, charge: Charge | None) -> bool:
    _pay(count, charge)
    return False


def _is_compound(a: Any) -> bool:
    from omega.lisp.table import HashTable

    return type(a) is list or type(a) is bytearray or isinstance(a, HashTable)


def _parts(a: Any, b: Any, charge: Charge | None) -> list[tuple[Any, Any]] | None:
    """What must be equal for `a` (vector, bytevector, table) and `b` to be; None when they already
    differ.
    """
    if type(a) is list:
        if type(b) is not list or len(a) != len(b):
            return None
        if len(a) <= _CHARGE_EVERY:
            parts = [(x, y) for x, y in zip(a, b, strict=False) if x is not y]
        else:
            parts = []
            for at in range(0, len(a), _CHARGE_EVERY):
                _pay(_CHARGE_EVERY >> 1, charge)
                pairs = zip(a[at : at + _CHARGE_EVERY], b[at : at + _CHARGE_EVERY], strict=False)
                parts += [(x, y) for x, y in pairs if x is not y]
        parts.reverse()
        return parts
    if type(a) is bytearray:
        _pay(len(a) >> 10, charge)
        return [] if type(b) is bytearray and a == b else None
    from omega.lisp.table import HashTable

    if not isinstance(b, HashTable) or len(a) != len(b):
        return None
    _pay(len(a), charge)
    left, right = a.canonical(), b.canonical()
    if any(key not in right for key in left):
        return None
    return [(value, right[key]) for key, value in left.items()]


def weight(atom: Any) -> int:
    """How many comparisons of small atoms one with `atom` is worth beyond one."""
    if type(atom) is str:
        return len(atom) >> 10
    return atom.bit_length() >> 13 if type(atom) is int else 0


def _linked(links: dict[int, int], a: int, b: int) -> bool:
    """Union-find: whether a and b are already assumed equal; if not, they are from now on."""
    while links.get(a, a) != a:
        links[a] = links.get(links[a], links[a])
        a = links[a]
    while links.get(b, b) != b:
        links[b] = links.get(links[b], links[b])
        b = links[b]
    if a == b:
        return True
    links[a] = b
    return False


# -- keys -----------------------------------------------------------------------------------------


class _Tag:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_TRUE, _FALSE = _Tag("true"), _Tag("false")
_FLOAT, _BYTES, _LIST, _DATA = _Tag("float"), _Tag("bytes"), _Tag("list"), _Tag("data")
_PAIR, _VECTOR, _TABLE, _PART = _Tag("pair"), _Tag("vector"), _Tag("table"), _Tag("node")


class _Identity:
    """The key of an object compared by identity, whatever its own `__eq__` and `__hash__` say.
    Keeps it alive.
    """

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing) >> 4


def key_of(a: Any, charge: Charge | None = None) -> Any:
    """A hashable, flat stand-in for `a`: equal exactly when the data are `equal?`.

    LispValueError for circular data, which no table takes as a key. LimitExceeded where keys of
    tables are tables with such keys, and so on: each of those tables keeps the whole of its keys,
    so that what n of them hold grows with the square of n and what it takes with the cube. Later
    changes of `a` do not change the key. charge: called with steps now and then.
    """
    if type(a) in PLAIN_KEYS:
        return a
    if isinstance(a, Pair):
        atoms = _flat_list(a, charge)
        return _node_key(a, charge) if atoms is None else atoms
    if type(a) is list or _is_table(a):
        return _node_key(a, charge)
    if type(a) is bytearray:
        _pay(len(a) >> 10, charge)
    return _atom_key(a)


def _atom_key(a: Any) -> Any:
    kind = type(a)
    if kind in PLAIN_KEYS or a is None or a is Nil or kind is Fraction:
        return a
    if kind is bool:
        return _TRUE if a else _FALSE
    if kind is float:
        return (_FLOAT, a) if a == a and a != 0.0 else (_FLOAT, str(a))
    if kind is bytearray:
        return (_BYTES, bytes(a))
    return _Identity(a)


def _is_table(a: Any) -> bool:
    from omega.lisp.table import HashTable

    return isinstance(a, HashTable)


def _is_node(a: Any) -> bool:
    kind = type(a)
    if kind in PLAIN_KEYS:
        return False
    return kind is Pair or kind is list or isinstance(a, Pair) or _is_table(a)


def _flat_list(a: Pair, charge: Charge | None) -> tuple[Any, ...] | None:
    """The key of a proper list of atoms; None for any other."""
    due = known = _CHARGE_EVERY
    key: list[Any] = [_LIST]
    at: Any = a
    met: Any = None
    while isinstance(at, Pair):
        item = at.car
        if type(item) not in PLAIN_KEYS:
            if _is_node(item):
                return None
            item = _atom_key(item)
        key.append(item)
        at = at.cdr
        if at is met and at is not None:
            return None
        if len(key) > due:
            due += _CHARGE_EVERY
            _pay(_CHARGE_EVERY, charge)
            if len(key) > known:  # Brent: a pair met again is one of a round
                met, known = at, 2 * len(key)
    if len(key) > _FREE:
        _pay(len(key) + _CHARGE_EVERY - due, charge)
    return tuple(key) if at is Nil else None


def _node_key(root: Any, charge: Charge | None) -> tuple[Any, ...]:
    """Number the structurally different nodes below `root` in the order a walk finishes them; the
    key lists each one's shape in terms of earlier numbers. Equal data number alike, whether or not
    they share; no tuple nests deeper than three, so hashing and comparing keys never recurses
    far.
    """
    numbers: dict[Any, int] = {}  # shape -> number
    done: dict[int, int | None] = {}  # id(node) -> number; None while its children are walked
    children: dict[int, list[Any]] = {}
    keys_within: dict[int, int] = {}  # id(node) -> keys within keys below it, if any
    stack: list[tuple[Any, bool]] = [(root, False)]
    count = 0
    while stack:
        node, finished = stack.pop()
        at = id(node)
        count += _NODE
        if count >= _CHARGE_EVERY:
            _pay(count, charge)
            count = 0
        if not finished:
            if at in done:
                if done[at] is None:
                    raise LispValueError("circular data cannot be a key of a hash table")
                continue
            done[at] = None
            parts = children[at] = _children(node)
            count += len(parts)
            stack.append((node, True))
            stack.extend((part, False) for part in reversed(parts) if _is_node(part))
            continue
        shape: list[Any] = [tag := _tag(node)]
        parts = children.pop(at)
        for part in parts:
            shape.append((_PART, done[id(part)]) if _is_node(part) else _atom_key(part))
        if keys_within or (tag is _TABLE and any(map(_is_node, parts[::2]))):
            _count_keys_within(node, parts, keys_within)
        done[at] = numbers.setdefault(tuple(shape), len(numbers))
    _pay(count, charge)
    return (_DATA, *numbers)


def _count_keys_within(node: Any, parts: list[Any], counts: dict[int, int]) -> None:
    """Add to the counts that of a node with these parts: how many compound keys lie within each
    other below it.
    """
    most = max((counts.get(id(part), 0) for part in parts), default=0)
    if _is_table(node):
        for key in parts[::2]:
            if _is_node(key):
                most = max(most, counts.get(id(key), 0) + 1)
    if most > _KEYS_WITHIN_KEYS_MAX:
        raise LimitExceeded(
            "nesting",
            most,
            _KEYS_WITHIN_KEYS_MAX,
            "keys of tables within each other",
            hint="a table as the key of a table keeps a copy of its keys: number the tables",
        )
    if most:
        counts[id(node)] = most


def _tag(node: Any) -> _Tag:
    if isinstance(node, Pair):
        return _PAIR
    return _VECTOR if type(node) is list else _TABLE


def _children(node: Any) -> list[Any]:
    """The parts of a node; of a table its keys and values in an order that does not depend on
    insertion.
    """
    if isinstance(node, Pair):
        return [node.car, node.cdr]
    if type(node) is list:
        return list(node)
    table: _Table = node
    if len(table) == 1:
        return list(table.items()[0])
    entries = list(zip(table.canonical(), table.items(), strict=True))
    entries.sort(key=lambda entry: hash(entry[0]))
    if len({hash(entry[0]) for entry in entries}) < len(entries):
        entries.sort(key=lambda entry: (hash(entry[0]), _detail(entry[0])))
    return [part for _, item in entries for part in item]


def _detail(key: Any) -> str:
    """Tells keys of the same hash apart: different for different keys."""
    out: list[str] = []
    stack = [key]
    while stack:
        part = stack.pop()
        if type(part) is tuple:
            out.append(f"({len(part)}")
            stack.extend(reversed(part))
        elif type(part) is str:
            out.append(f"{len(part)}:{part}")
        elif type(part) is int:
            out.append(f"{part:x}")
        elif type(part) is float or type(part) is bytes:
            out.append(part.hex())
        elif type(part) is Fraction:
            out.append(f"{part.numerator:x}/{part.denominator:x}")
        else:
            out.append(f"@{id(part.thing) if type(part) is _Identity else id(part):x}")
    return " ".join(out)
