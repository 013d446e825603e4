"""Hash tables: what takes no procedure of SRFI 69 and 125, under our short names and under theirs.

Owns: every primitive on HashTable.
Refuses: procedures as arguments (hash-update!, hash-for-each, hash-map, ... are in the Lisp
library).
"""

from __future__ import annotations

from itertools import islice
from types import FunctionType
from typing import Any

from omega.errors import LispKeyError, LispValueError
from omega.lisp.data import Pair, Values, cons, to_list
from omega.lisp.equality import PLAIN_KEYS
from omega.lisp.primitives import check
from omega.lisp.primitives.check import table, wrong_type
from omega.lisp.primitives.registry import PRIMITIVES, primitive
from omega.lisp.table import HashTable

_ABSENT: Any = object()
_KEYS_SHOWN = 5
_KEYS_SEARCHED = 100  # for one that is spelled alike
_EQUALITIES = ("equal?", "eqv?", "eq?", "string=?", "symbol=?", "char=?", "boolean=?")


@primitive("hash-table?", "hash?", result="bool")
def is_hash_table(x: Any) -> bool:
    """(hash-table? x) -> boolean: whether x is a hash table."""
    return isinstance(x, HashTable)


def _compared(name: str, position: int, arguments: tuple[Any, ...]) -> None:
    """Refuse an equality other than those under which what is a key to `equal?` is one as well. A
    size (an integer) may stand in its place; what follows (a hash function, ...) does not matter.
    """
    if not arguments or type(arguments[0]) is int:
        return
    same = arguments[0]
    if not callable(same):
        raise wrong_type(name, position, "an equality such as equal?", same)
    known = isinstance(same, FunctionType) and same.__name__ in _EQUALITIES
    if not known or same.__code__ is not PRIMITIVES[same.__name__].function.__code__:
        from omega.lisp.printer import shorten

        raise LispValueError(
            f"`{name}` makes tables that compare keys by equal?, not by {shorten(same)}",
            irritants=[same],
            hint="leave it out, and use keys that are equal? when they mean the same: "
            "(string-foldcase s) for s, (exact n) for n",
        )


@primitive("make-hash-table", result="table")
def make_hash_table(*equality: Any) -> HashTable:
    """(make-hash-table [equality ...]) -> hash table: a fresh, empty one. Keys are compared by
    equal?; equal?, eqv?, eq?, string=?, symbol=? and the like may be given and change nothing,
    others are refused.
    """
    _compared("make-hash-table", 1, equality)
    return HashTable()


@primitive("hash-table", "hash")
def hash_table(*items: Any, rt: Any) -> HashTable:
    """(hash-table key value ...) -> hash table: a fresh one of the keys and values given in
    turn.
    """
    if len(items) % 2:
        raise check.invalid(
            "hash-table", f"expected keys and values in turn, got {len(items)} objects"
        )
    result = HashTable()
    _put_all(result, items, rt)
    return result


def _put_all(target: HashTable, items: tuple[Any, ...], rt: Any) -> None:
    """Put values under keys; items: keys and values in turn."""
    check.spend_each(rt, 4 * len(items))
    for at in range(0, len(items), 2):
        target.put(items[at], items[at + 1], rt.charge)


def _missing(name: str, t: HashTable, key: Any) -> LispKeyError:
    from omega.lisp.printer import shorten

    keys = [k for k, _ in islice(t.entries(), _KEYS_SEARCHED)]
    shown = ", ".join(shorten(k, 30) for k in keys[:_KEYS_SHOWN])
    more = f" and {len(t) - _KEYS_SHOWN:,} more" if len(t) > _KEYS_SHOWN else ""
    hint = f"its keys are {shown}{more}" if keys else "the table is empty"
    near = _near(key, keys)
    if near is not None:
        hint = f"did you mean {near}? {hint}"
    return LispKeyError(f"`{name}` found no key {shorten(key)}", irritants=[key], hint=hint)


def _near(key: Any, keys: list[Any]) -> str | None:
    """A key of the same spelling but another type, or one letter off in case."""
    from omega.lisp.printer import shorten

    wanted = shorten(key, 40).strip(':"|').casefold()
    for other in keys:
        if shorten(other, 40).strip(':"|').casefold() == wanted:
            return shorten(other, 40)
    return None


@primitive("hash-ref")
def hash_ref(t: Any, key: Any, default: Any = _ABSENT, *, rt: Any) -> Any:
    """(hash-ref table key [default]) -> the value under the key; without it, the default, or else
    a key-error.
    """
    if type(t) is HashTable and type(key) in PLAIN_KEYS:
        found = t.canonical().get(key, default)
    else:
        found = table("hash-ref", 1, t).get(key, default, rt.charge)
    if found is _ABSENT:
        raise _missing("hash-ref", t, key)
    return found


@primitive("%missing-key")
def missing_key(name: Any, t: Any, key: Any) -> Any:
    """(%missing-key name table key) -> never returns: raises the key-error of a primitive."""
    raise _missing(check.string("%missing-key", 1, name), table("%missing-key", 2, t), key)


@primitive("hash-table-ref/default")
def hash_table_ref_default(t: Any, key: Any, default: Any, *, rt: Any) -> Any:
    """(hash-table-ref/default table key default) -> the value under the key, or the default."""
    return table("hash-table-ref/default", 1, t).get(key, default, rt.charge)


@primitive("hash-set!", "hash-table-set!")
def hash_set(t: Any, key: Any, value: Any, *more: Any, rt: Any) -> None:
    """(hash-set! table key value ...) -> unspecified: puts values under keys, in place of what was
    there.
    """
    if type(t) is HashTable and not more:
        t.put(key, value, rt.charge)
        return
    target = table("hash-set!", 1, t)
    if len(more) % 2:
        raise check.invalid("hash-set!", "expected keys and values in turn")
    target.put(key, value, rt.charge)
    if more:
        _put_all(target, more, rt)


@primitive("hash-delete!", "hash-table-delete!", "hash-remove!")
def hash_delete(t: Any, *keys: Any, rt: Any) -> None:
    """(hash-delete! table key ...) -> unspecified: drops the keys; those that are not there do not
    matter.
    """
    target = table("hash-delete!", 1, t)
    check.spend_each(rt, 8 * len(keys))
    for key in keys:
        target.discard(key, rt.charge)


@primitive("hash-has-key?", "hash-table-contains?", "hash-table-exists?", result="bool")
def hash_has_key(t: Any, key: Any, *, rt: Any) -> bool:
    """(hash-has-key? table key) -> boolean: whether there is a value under the key."""
    return table("hash-has-key?", 1, t).get(key, _ABSENT, rt.charge) is not _ABSENT


@primitive("hash-count", "hash-table-size", "hash-size", result="int")
def hash_count(t: Any) -> int:
    """(hash-count table) -> integer: how many keys it has."""
    return len(table("hash-count", 1, t))


@primitive("hash-empty?", "hash-table-empty?", result="bool")
def hash_empty(t: Any) -> bool:
    """(hash-empty? table) -> boolean: whether it has no keys."""
    return len(table("hash-empty?", 1, t)) == 0


@primitive("hash-keys", "hash-table-keys", result="list")
def hash_keys(t: Any, *, rt: Any) -> Any:
    """(hash-keys table) -> list: its keys, in the order they were first put in."""
    keys = table("hash-keys", 1, t).keys()
    check.spend_each(rt, len(keys))
    return to_list(keys)


@primitive("hash-values", "hash-table-values", result="list")
def hash_values(t: Any, *, rt: Any) -> Any:
    """(hash-values table) -> list: its values, in the order of hash-keys."""
    values = table("hash-values", 1, t).values()
    check.spend_each(rt, len(values))
    return to_list(values)


@primitive("hash->alist", "hash-table->alist", result="list")
def hash_to_alist(t: Any, *, rt: Any) -> Any:
    """(hash->alist table) -> list: of (key . value) pairs, in the order of hash-keys."""
    items = table("hash->alist", 1, t).items()
    check.spend_each(rt, 2 * len(items))
    return to_list([cons(key, value) for key, value in items])


@primitive("alist->hash", "alist->hash-table")
def alist_to_hash(alist: Any, *equality: Any, rt: Any) -> HashTable:
    """(alist->hash alist [equality ...]) -> hash table: of a list of (key . value) pairs; the first
    of two equal keys wins. The equality as for make-hash-table.
    """
    _compared("alist->hash", 2, equality)
    items = check.proper_list("alist->hash", 1, alist, rt)
    check.spend_each(rt, 8 * len(items))
    result = HashTable()
    for item in items:
        if not isinstance(item, Pair):
            raise wrong_type("alist->hash", 1, "a list of pairs", alist)
        if result.get(item.car, _ABSENT, rt.charge) is _ABSENT:
            result.put(item.car, item.cdr, rt.charge)
    return result


@primitive("hash-clear!", "hash-table-clear!")
def hash_clear(t: Any, *, rt: Any) -> None:
    """(hash-clear! table) -> unspecified: drops every key."""
    source = table("hash-clear!", 1, t)
    check.spend(rt, len(source))
    source.clear()


@primitive("hash-table-pop!")
def hash_table_pop(t: Any) -> Values:
    """(hash-table-pop! table) -> two values: the key last put in, and its value; both leave the
    table. SRFI 125.
    """
    target = table("hash-table-pop!", 1, t)
    if not len(target):
        raise LispKeyError(
            "`hash-table-pop!` expected a table with a key, got an empty one",
            hint="test with (hash-empty? table) before",
        )
    return Values(target.popitem())


@primitive("hash-copy", "hash-table-copy")
def hash_copy(t: Any, *ignored: Any, rt: Any) -> HashTable:
    """(hash-copy table) -> hash table: a fresh one of the same keys and values."""
    source = table("hash-copy", 1, t)
    check.spend_each(rt, len(source))
    return source.copy()


@primitive("hash-merge")
def hash_merge(t: Any, *tables: Any, rt: Any) -> HashTable:
    """(hash-merge table ...) -> hash table: a fresh one of the keys of all; the last of two equal
    keys wins.
    """
    result = hash_copy(t, rt=rt)
    for at, other in enumerate(tables, 2):
        check.spend_each(rt, len(table("hash-merge", at, other)))
        result.update(other)
    return result


@primitive("hash-merge!", "hash-table-merge!")
def hash_merge_into(t: Any, *tables: Any, rt: Any) -> HashTable:
    """(hash-merge! table other ...) -> table: puts the keys of the others into it; the last of two
    equal keys wins.
    """
    target = table("hash-merge!", 1, t)
    for at, other in enumerate(tables, 2):
        check.spend_each(rt, len(table("hash-merge!", at, other)))
        target.update(other)
    return target


@primitive("hash-select")
def hash_select(t: Any, keys: Any, *, rt: Any) -> HashTable:
    """(hash-select table keys) -> hash table: a fresh one with only those keys of the list that
    are there.
    """
    source = table("hash-select", 1, t)
    result = HashTable()
    wanted = check.proper_list("hash-select", 2, keys, rt)
    check.spend_each(rt, 8 * len(wanted))
    for key in wanted:
        value = source.get(key, _ABSENT, rt.charge)
        if value is not _ABSENT:
            result.put(key, value, rt.charge)
    return result
