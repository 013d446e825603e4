"""The hash table of the language: keys by `equal?`, insertion order, a C dict inside.

Owns: `HashTable`.
Refuses: calling Lisp procedures (hash-update! and the walks are Lisp) and comparing keys
(equality.key_of does).

Invariant: `_data` maps key_of(key) to the value; a key that is not its own `key_of` is kept in
`_odd` under the same entry, so both dicts drop it together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from omega.lisp.equality import PLAIN_KEYS, Charge, key_of

_ABSENT: Any = object()


class HashTable:
    """A mutable table. To a host it looks like a mapping; every walk works on a snapshot."""

    __slots__ = ("_data", "_odd")

    def __init__(self, items: Iterable[tuple[Any, Any]] = ()) -> None:
        self._data: dict[Any, Any] = {}
        self._odd: dict[Any, Any] = {}
        for key, value in items:
            self[key] = value

    @classmethod
    def of(cls, mapping: Mapping[Any, Any]) -> HashTable:
        """A table with the entries of a Python mapping."""
        return cls(mapping.items())

    def __setitem__(self, key: Any, value: Any) -> None:
        self.put(key, value)

    def put(self, key: Any, value: Any, charge: Charge | None = None) -> None:
        """Make `value` the one under `key`.

        charge, here and below: called with steps, now and then, for the work a big key makes.
        """
        if type(key) in PLAIN_KEYS:
            self._data[key] = value
            return
        canonical = key_of(key, charge)
        if canonical is not key and canonical not in self._data:
            self._odd[canonical] = key
        self._data[canonical] = value

    def __getitem__(self, key: Any) -> Any:
        """The value under `key`; Python's KeyError when there is none (the host's view)."""
        value = self.get(key, _ABSENT)
        if value is _ABSENT:
            raise KeyError(key)
        return value

    def get(self, key: Any, default: Any = None, charge: Charge | None = None) -> Any:
        return self._data.get(key if type(key) in PLAIN_KEYS else key_of(key, charge), default)

    def __contains__(self, key: object) -> bool:
        return self.get(key, _ABSENT) is not _ABSENT

    def __delitem__(self, key: Any) -> None:
        if not self.discard(key):
            raise KeyError(key)

    def discard(self, key: Any, charge: Charge | None = None) -> bool:
        """Drop the entry of `key`; whether there was one."""
        canonical = key if type(key) in PLAIN_KEYS else key_of(key, charge)
        self._odd.pop(canonical, None)
        return self._data.pop(canonical, _ABSENT) is not _ABSENT

    def popitem(self) -> tuple[Any, Any]:
        """Drop the newest entry: its key and value. Python's KeyError when there is none."""
        canonical, value = self._data.popitem()
        return self._odd.pop(canonical, canonical), value

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return True

    def keys(self) -> list[Any]:
        """The keys, in insertion order, as a fresh list."""
        if not self._odd:
            return list(self._data)
        odd = self._odd
        return [odd.get(canonical, canonical) for canonical in self._data]

    def values(self) -> list[Any]:
        return list(self._data.values())

    def items(self) -> list[tuple[Any, Any]]:
        """(key, value) pairs, in insertion order, as a fresh list."""
        return list(self.entries())

    def entries(self) -> Iterable[tuple[Any, Any]]:
        """What `items` answers, one by one; the table may not change meanwhile."""
        odd = self._odd
        if not odd:
            return self._data.items()
        return ((odd.get(canonical, canonical), value) for canonical, value in self._data.items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def clear(self) -> None:
        self._data.clear()
        self._odd.clear()

    def copy(self) -> HashTable:
        """A table with the same entries; keys and values are shared."""
        copy = HashTable()
        copy._data = self._data.copy()
        copy._odd = self._odd.copy()
        return copy

    def update(self, other: HashTable) -> None:
        """Take over the entries of `other`, which win."""
        for canonical, key in other._odd.items():
            self._odd.setdefault(canonical, key)
        self._data.update(other._data)

    def canonical(self) -> dict[Any, Any]:
        """key_of(key) -> value: the entries as equality compares them. Not to be changed."""
        return self._data

    def to_dict(self) -> dict[Any, Any]:
        """A Python dict of the entries, not deep. Keys Python cannot hash become tuples and bytes;
        keys Python takes for equal (1, 1.0, True) fall together, the last one wins."""
        result: dict[Any, Any] = {}
        for key, value in self.items():
            if type(key) is list:
                key = tuple(key)
            elif type(key) is bytearray:
                key = bytes(key)
            result[key] = value
        return result

    def __repr__(self) -> str:
        return f"<HashTable of {len(self._data)} at {id(self):#x}>"
