"""Which patterns Python's `re` may be trusted with, and the first characters of the others.

Owns: the proof below, the pattern as `re` writes it, and what skips to where a match may begin.
Refuses: to guess. A pattern that does not fit is run by the automata.

`re` backtracks: it is linear on a pattern if every attempt that FAILS costs a bounded number of
steps wherever it begins, and an attempt that succeeds costs no more than a bounded number for each
character it matches (matches do not overlap). `_cost` bounds this by induction on the pattern, and
answers None when it cannot:

- Without an unbounded repetition, the ways through a pattern are finite: all of them are counted
  (`_ways`), and each reads at most so many characters.
- `x*`, `x+`, `x{3,}` of ONE character fails only before its required characters are there. Then it
  has succeeded, and what must never happen is that something after it fails and has it give
  characters back. So everything after the first unbounded repetition of a sequence must be unable
  to fail (`_cannot_fail`): it may match nothing anywhere. Nothing is ever given back then.
- An alternative, an optional part or a group of such things, with nothing after it that can fail,
  fails only as its parts do: at a bounded cost.

Unbounded repetitions of more than one character are left to the automata: `re` keeps some memory
for every round of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from omega.regex.atoms import Atom
from omega.regex.syntax import PLACES, Char, Either, Group, Node, Place, Repeat, Sequence

COST_MAX = 200  # steps of an attempt that fails

Skip = Callable[[str, int, int], int]


class Plain:
    """A pattern for `re`. reach: how far an attempt reads beyond where it begins before it is sure
    to succeed, and how far beyond where a match ends to know that it ends there.
    """

    __slots__ = ("finditer", "reach", "search")

    def __init__(self, source: str, reach: int) -> None:
        pattern = re.compile(source)
        self.search, self.finditer, self.reach = pattern.search, pattern.finditer, reach


def compiled(tree: Node) -> Plain | None:
    """The pattern for `re`, if it is provably linear there."""
    bound = _cost(tree)
    if bound is None or bound[0] > COST_MAX:
        return None
    return Plain(source_of(tree), bound[1])


def _cost(tree: Node) -> tuple[int, int] | None:
    """(steps an attempt that fails may take, reach), when nothing that can fail comes after."""
    ways = _ways(tree)
    if ways is not None:
        return ways[1], ways[2]
    match tree:
        case Group(body=body):
            return _cost(body)
        case Either(options=options):
            costs = [_cost(option) for option in options]
            known = [cost for cost in costs if cost is not None]
            if len(known) < len(costs):
                return None
            return sum(c for c, _ in known), max(r for _, r in known)
        case Repeat(body=Char(), low=low, high=None):
            return low + 1, low + 1
        case Repeat(body=body, low=0, high=1):
            return _cost(body)
        case Sequence(items=items):
            return _sequence_cost(items)
    return None


def _sequence_cost(items: list[Node]) -> tuple[int, int] | None:
    times = 1
    cost = reach = 0
    is_certain = False
    for item in items:
        ways = _ways(item)
        if is_certain:
            bound = _cost(item)
            if bound is None or not _cannot_fail(item):
                return None
        elif ways is not None:
            bound = ways[1], ways[2]
        else:
            bound = _cost(item)
            is_certain = True
            if bound is None:
                return None
        cost, reach = cost + times * bound[0], reach + bound[1]
        if not is_certain and ways is not None:
            times *= ways[0]
        if cost > COST_MAX:
            return None
    return cost, reach


def _cannot_fail(tree: Node) -> bool:
    match tree:
        case Group(body=body):
            return _cannot_fail(body)
        case Repeat(body=body, low=low):
            return low == 0 or _cannot_fail(body)
        case Either(options=options):
            return any(map(_cannot_fail, options))
        case Sequence(items=items):
            return all(map(_cannot_fail, items))
    return False


def _ways(tree: Node) -> tuple[int, int, int] | None:
    """(ways through, steps to try them all, characters read at most) of a pattern without unbounded
    repetition; None when there is one, or too many ways.
    """
    match tree:
        case Char() | Place():
            return 1, 1, 1
        case Group(body=body):
            return _ways(body)
        case Either(options=options):
            each = [_ways(option) for option in options]
            known = [ways for ways in each if ways is not None]
            if len(known) < len(each):
                return None
            total = sum(w[0] for w in known), sum(w[1] for w in known), max(w[2] for w in known)
            return _bounded(*total)
        case Sequence(items=items):
            return _ways_in_turn([_ways(item) for item in items])
        case Repeat(body=body, low=low, high=high):
            if high is None or high > COST_MAX:
                return None
            return _ways_in_turn([_ways(body)] * high, low)
    return None


def _ways_in_turn(
    each: list[tuple[int, int, int] | None], low: int | None = None
) -> tuple[int, int, int] | None:
    """Of a sequence; with `low`, of a repetition, which may end after so many or more."""
    times, cost, length = 1, 0, 0
    ends = int(low == 0)
    for number, ways in enumerate(each, 1):
        if ways is None:
            return None
        cost += times * ways[1]
        times *= ways[0]
        length += ways[2]
        if low is not None and number >= low:
            ends += times
        if cost > COST_MAX or times > COST_MAX:
            return None
    return _bounded(times if low is None else ends, cost, length)


def _bounded(ways: int, cost: int, length: int) -> tuple[int, int, int] | None:
    return None if ways > COST_MAX or cost > COST_MAX else (ways, cost + 1, length)


# -- as `re` writes it -----------------------------------------------------------------------------


def source_of(tree: Node) -> str:
    match tree:
        case Char(atom=atom):
            return atom.source
        case Place(kind=kind):
            return PLACES[kind]
        case Group(body=body):
            return f"({source_of(body)})"
        case Either(options=options):
            return f"(?:{'|'.join(map(source_of, options))})"
        case Sequence(items=items):
            return "".join(map(source_of, items))
    assert isinstance(tree, Repeat)
    high = "" if tree.high is None else tree.high
    lazy = "" if tree.greedy else "?"
    return f"(?:{source_of(tree.body)}){{{tree.low},{high}}}{lazy}"


# -- where a match may begin -----------------------------------------------------------------------


def is_at_text_start(tree: Node) -> bool:
    """Whether a match can begin nowhere but at the start of the text."""
    match tree:
        case Place(kind=kind):
            return kind == "text-start"
        case Group(body=body):
            return is_at_text_start(body)
        case Sequence(items=[first, *_]):
            return is_at_text_start(first)
        case Either(options=options):
            return all(map(is_at_text_start, options))
    return False


def skipper(tree: Node) -> Skip | None:
    """(text, start, end) -> where a match may begin in between, or -1. None: everywhere."""
    if tree.nullable:
        return None
    prefix, _ = _prefix(tree)
    if prefix:
        more = len(prefix) - 1
        return lambda text, start, end: text.find(prefix, start, end + more)
    firsts: dict[str, Atom] = {}
    _firsts(tree, firsts)
    search = re.compile("|".join(firsts)).search

    def skip(text: str, start: int, end: int) -> int:
        found = search(text, start, end)
        return -1 if found is None else found.start()

    return skip


def _prefix(tree: Node) -> tuple[str, bool]:
    """(the text every match begins with, whether it is all of it)."""
    match tree:
        case Char(atom=atom):
            return atom.literal or "", atom.literal is not None
        case Place():
            return "", True
        case Group(body=body):
            return _prefix(body)
        case Repeat(body=body, low=low, high=high) if low > 0:
            prefix, is_all = _prefix(body)
            return prefix, is_all and low == high == 1
        case Sequence(items=items):
            text = ""
            for item in items:
                prefix, is_all = _prefix(item)
                text += prefix
                if not is_all:
                    return text, False
            return text, True
    return "", False


def _firsts(tree: Node, found: dict[str, Atom]) -> None:
    """Gather the atoms a match of `tree` may begin with, by their source."""
    match tree:
        case Char(atom=atom):
            found[atom.source] = atom
        case Group(body=body) | Repeat(body=body):
            _firsts(body, found)
        case Either(options=options):
            for option in options:
                _firsts(option, found)
        case Sequence(items=items):
            for item in items:
                _firsts(item, found)
                if not item.nullable:
                    return
