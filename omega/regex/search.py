"""Matching: a compiled pattern against a text, in time linear in the text.

Owns: `Regex` and `Match`.
Refuses: to backtrack, and to be long in one piece: `charge` is called with steps every CHUNK
characters and every WORK_MAX nodes of new states; it may raise, and other tasks may run in it and
use the same pattern.

A search is three walks, each linear:

1. Forward finds where the match ends that `re` would find: states are lists of nodes in order of
   preference, cut after a match. While nothing has begun, `str.find` or a class of first
   characters skips to where something may begin.
2. Backward, from that end, finds the leftmost beginning.
3. If there are groups: Backward again, remembering its states, and then from the beginning, at
   every node, the most preferred way that Backward knows to lead to the end. That is the way a
   backtracking matcher would have found.

Patterns whose attempts provably cost `re` a bounded time are handed to it, in windows: linear.py.
`search_all` makes a search for every match: as everywhere, a pattern that has to read far beyond
each of its matches makes that quadratic; it is charged for like all else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omega.regex import linear
from omega.regex.automaton import BEGIN, BEGIN_SOME, Backward, Forward, Paused, Reached, State
from omega.regex.program import CHAR, END, FINAL, MATCH, NOWHERE, PLACE, SAVE, Program
from omega.regex.syntax import Charge, Parser

CHUNK = 4_096  # characters read between two charges
PIECE = 256  # characters first read backward; then more and more, up to CHUNK
CHARS_PER_STEP = 32
WINDOW = 16_384  # characters given to `re` at once; a longer match has it doubled
WINDOW_MAX = 1_048_576
SKIPPED = 65_536  # characters skipped at once
SKIPS_WATCHED = 16  # skips after which their average must be worth while
SKIP_WORTH = 24  # characters

Spans = tuple[tuple[int, int], ...]


def _free(steps: int) -> None:
    """Charges nothing."""


class Match:
    """Where a pattern matched in `text`. spans: (start, end) of the whole and of each group; (-1,
    -1) for a group that took no part.
    """

    __slots__ = ("regex", "spans", "text")
    lisp_type, lisp_text = "regex-match", "matched"

    def __init__(self, regex: Regex, text: str, spans: Spans) -> None:
        self.regex, self.text, self.spans = regex, text, spans

    @property
    def start(self) -> int:
        return self.spans[0][0]

    @property
    def end(self) -> int:
        return self.spans[0][1]

    @property
    def matched(self) -> str:
        """What the whole pattern matched."""
        return self.text[self.start : self.end]

    def group(self, number: int = 0) -> str | None:
        """What a group matched; None when it took no part."""
        start, end = self.spans[number]
        return None if start < 0 else self.text[start:end]


class Regex:
    """A compiled pattern. flags: of "imsx". Raises RegexError. charge: called with steps.

    groups: how many there are. names: name -> number.
    """

    lisp_type, lisp_text = "regex", "pattern"

    def __init__(self, pattern: str, flags: str = "", charge: Charge | None = None) -> None:
        parser = Parser(pattern, flags, charge)
        tree = parser.parse()
        self.pattern, self.flags = pattern, "".join(sorted(set(flags)))
        self.groups, self.names = parser.groups, parser.names
        self._program = Program(pattern, tree, parser.groups, charge)
        self._plain = linear.compiled(tree)
        self._skip = None if self._plain is not None else linear.skipper(tree)
        self._is_at_start = linear.is_at_text_start(tree)
        self._forward: dict[bool, Forward] = {}  # by whether it waits
        self._backward: Backward | None = None

    # -- what users ask

    def search(self, text: str, start: int = 0, charge: Charge = _free) -> Match | None:
        """The first match at or after `start`."""
        return next(self.search_all(text, start, charge), None)

    def search_all(self, text: str, start: int = 0, charge: Charge = _free) -> Iterator[Match]:
        """All matches that do not overlap, from left to right: those of `re.finditer`. One that
        matches nothing may stand right after another, but not where one that matched nothing
        stands.
        """
        if self._plain is not None:
            yield from self._plain_matches(self._plain, text, start, charge)
            return
        at, entry = start, BEGIN
        while True:
            found = self._find(text, at, entry, charge)
            if found is None:
                return
            yield found
            at, entry = found.end, BEGIN_SOME if found.start == found.end else BEGIN

    def full_match(self, text: str, charge: Charge = _free) -> Match | None:
        """The match of the whole text."""
        spans = self._locate(text, 0, len(text), charge)
        return None if spans is None or spans[0][0] > 0 else Match(self, text, spans)

    # -- by `re`, in windows

    def _plain_matches(
        self, plain: linear.Plain, text: str, at: int, charge: Charge
    ) -> Iterator[Match]:
        length, window = len(text), WINDOW
        empty_at = -1  # where the last match matched nothing
        while True:
            begun, stop = at, min(length, at + window)
            # What begins and ends before `certain` does not depend on the window's end.
            certain = stop - plain.reach - 2 if stop < length else length + 1
            for found in plain.finditer(text, at, stop):
                first, last = found.span()
                if last >= certain:
                    at = max(at, min(first, certain))
                    break
                if first == last == empty_at:
                    continue
                yield Match(self, text, found.regs)
                at, empty_at = last, last if first == last else -1
            else:
                at = max(at, certain)
            charge((at - begun) // CHARS_PER_STEP + 1)
            if at > length:
                return
            if at > begun:
                window = WINDOW
            elif window < WINDOW_MAX:
                window *= 2
            else:  # too long to be found in one piece
                match = self._find(text, at, BEGIN if empty_at < at else BEGIN_SOME, charge)
                if match is None:
                    return
                yield match
                at, empty_at = match.end, match.end if match.start == match.end else -1

    # -- by the automata

    def _find(self, text: str, at: int, entry: int, charge: Charge) -> Match | None:
        end = self._find_end(text, at, entry, charge)
        if end is None:
            return None
        spans = self._locate(text, at, end, charge)
        assert spans is not None, "what ends somewhere begins somewhere"
        return Match(self, text, spans)

    def _machine(self, waits: bool) -> Forward:
        machine = self._forward.get(waits)
        if machine is None:
            machine = self._forward[waits] = Forward(self._program, waits)
        return machine

    def _before(self, text: str, at: int) -> int:
        """The category of the symbol before index `at`."""
        return self._program.category(text[at - 1] if at else END)

    def _find_end(self, text: str, at: int, entry: int, charge: Charge) -> int | None:
        """Where the first match that begins at or after `at` ends."""
        if self._is_at_start and entry == BEGIN:
            if at > 0:
                return None
            entry = self._program.start
        machine = self._machine(self._skip is not None)
        limit = len(text) - (self._program.tells_last_line and text.endswith("\n"))
        state = machine.begin(self._before(text, at), entry)
        skips = skipped = 0
        while True:
            if state.moves is not state:
                if state.is_match:
                    return self._furthest_end(machine, state, text, at, charge)
                if state.is_dead:
                    return None
                begin = self._next_beginning(text, at, charge)
                if begin < 0:
                    return None
                skips, skipped, at = skips + 1, skipped + begin - at, begin
                if skips > SKIPS_WATCHED and skipped < skips * SKIP_WORTH:
                    machine = self._machine(False)
                state = machine.begin(self._before(text, at))
                if at < limit and machine.waits:
                    state = _moved(state, text[at])
                    at += 1
                    continue
            if at >= limit:
                break
            begun, stop = at, min(limit, at + CHUNK)
            symbols: Any = iter(text[at:stop])  # it tells how much of it is left
            try:
                for symbol in symbols:
                    state = state[symbol]
                at = stop
            except Reached:
                at = stop - symbols.__length_hint__() - 1
            except Paused as pause:
                at, state = stop - symbols.__length_hint__(), pause.state
            charge((at - begun) // CHARS_PER_STEP + machine.settle())
        if at < len(text):
            state = _moved(state, FINAL)
            at += 1
            if state.is_match:
                return self._furthest_end(machine, state, text, at, charge)
        return at if _moved(state, END).is_match else None

    def _next_beginning(self, text: str, at: int, charge: Charge) -> int:
        """Where the next match may begin, or -1."""
        assert self._skip is not None
        length = len(text)
        while at < length:
            stop = min(length, at + SKIPPED)
            found = self._skip(text, at, stop)
            charge(((found if found >= 0 else stop) - at) // CHARS_PER_STEP)
            if found >= 0:
                return found
            at = stop
        return -1

    def _furthest_end(
        self, machine: Forward, state: State, text: str, at: int, charge: Charge
    ) -> int:
        """From a state that tells of a match: the end of the one that is preferred to all."""
        limit = len(text) - (self._program.tells_last_line and text.endswith("\n"))
        best = at - 1
        while at < limit and not state.is_dead:
            begun = at
            try:
                for symbol in text[at : min(limit, at + CHUNK)]:
                    state = state.moves[symbol]
                    at += 1
                    if state.is_match:
                        best = at - 1
                    if state.is_dead:
                        break
            except Paused as pause:
                state = pause.state
                at += 1
                if state.is_match:
                    best = at - 1
            charge((at - begun) // CHARS_PER_STEP + machine.settle())
        if at < len(text) and not state.is_dead:
            state = _moved(state, FINAL)
            at += 1
            if state.is_match:
                best = at - 1
        if at == len(text) and not state.is_dead and _moved(state, END).is_match:
            best = at
        return best

    # -- where a match begins, and its groups

    def _locate(self, text: str, low: int, end: int, charge: Charge) -> Spans | None:
        """The spans of the match that ends at `end` and begins leftmost, at `low` or after it."""
        machine = self._backward
        if machine is None:
            machine = self._backward = Backward(self._program)
        state = machine.begin(self._program.category(self._symbol(text, end)))
        states = [state]  # of the last piece, from right to left
        marks: list[tuple[int, State]] = []  # where the pieces before it began
        start, at, size = -1, end, PIECE
        while at > low and not state.is_dead:
            begun, stop = at, max(low, at - size)
            if at < end:
                marks.append((at, state))
                states = [state]
            at, state = self._back(machine, text, stop, at, states)
            for number in range(len(states) - 1, 0, -1):
                if states[number].is_match:
                    start = begun - number + 1
                    break
            charge((begun - at) // CHARS_PER_STEP + machine.settle())
            size = min(8 * size, CHUNK)
        if not state.is_dead and _moved(state, text[at - 1] if at else END).is_match:
            start = at
        if start < 0:
            return None
        if not self.groups:
            return ((start, end),)
        if marks:
            return self._walk_pieces(machine, text, start, end, marks, charge)
        slots = [start, end] + [-1] * (2 * self.groups)
        begin = self._before(text, start) if self._program.before else 0
        self._walk(machine, states[end - start :: -1], self._program.start, begin, start, slots)
        charge((end - start) // CHARS_PER_STEP + machine.settle())
        return tuple(zip(slots[::2], slots[1::2], strict=True))

    def _back(
        self, machine: Backward, text: str, low: int, at: int, states: list[State]
    ) -> tuple[int, State]:
        """Read backward to `low` or until all is lost; where, and the state. Adds the states."""
        state, add = states[-1], states.append
        try:
            for symbol in self._symbols_back(text, low, at):
                state = state[symbol]
                add(state)
            return low, state
        except Reached:
            pass
        except Paused as pause:
            add(pause.state)
        return at - len(states) + 1, states[-1]

    def _symbol(self, text: str, at: int) -> str:
        if at == len(text):
            return END
        symbol = text[at]
        is_final = symbol == "\n" and at == len(text) - 1 and self._program.tells_last_line
        return FINAL if is_final else symbol

    def _symbols_back(self, text: str, low: int, high: int) -> Any:
        """The symbols of text[low:high], the last first."""
        if low < high == len(text) and self._symbol(text, high - 1) == FINAL:
            return [FINAL, *text[low : high - 1][::-1]]
        return text[low:high][::-1]

    def _walk_pieces(
        self,
        machine: Backward,
        text: str,
        start: int,
        end: int,
        marks: list[tuple[int, State]],
        charge: Charge,
    ) -> Spans:
        """The spans of a long match and of its groups: its states are made again, piece by piece
        from left to right, so that no more than a piece of them is kept.
        """
        program = self._program
        slots = [start, end] + [-1] * (2 * self.groups)
        node, at = program.start, start
        before = self._before(text, at) if program.before else 0
        marks.insert(0, (end, machine.begin(program.category(self._symbol(text, end)))))
        for high, mark in reversed(marks):
            if high <= start:
                continue
            reached, states = high, [mark]
            while reached > at:
                reached, _ = self._back(machine, text, at, reached, states)
                charge(machine.settle())
            # The state at `high` belongs to the piece to the right, if there is one.
            ahead = states[::-1] if high == end else states[:0:-1]
            node, before = self._walk(machine, ahead, node, before, at, slots)
            charge((high - at) // CHARS_PER_STEP + machine.settle())
            at = high
        return tuple(zip(slots[::2], slots[1::2], strict=True))

    def _walk(
        self,
        machine: Backward,
        states: list[State],
        node: int,
        before: int,
        at: int,
        slots: list[int],
    ) -> tuple[int, int]:
        """Go from a node at `at` through the states ahead, filling the slots passed; the node and
        the category of the symbol before it at the end.
        """
        for state in states:
            try:
                node, passed = state.walk[node, before]
            except KeyError:
                node, passed = self._way(machine, state, node, before)
            if passed:
                for slot in passed:
                    slots[slot] = at
            at += 1
            before = state.context
        return node, before

    def _way(
        self, machine: Backward, state: State, node: int, before: int
    ) -> tuple[int, tuple[int, ...]]:
        """(the next node, the slots passed) of the most preferred way from a node to one of those
        from which Backward knows the end can be reached.
        """
        program, origin = self._program, node
        wanted, after = state.kernel, state.context
        stack: list[tuple[int, int, Any]] = [(node, NOWHERE, None)]
        seen: set[tuple[int, int]] = set()
        followed: list[tuple[int, int]] = []
        while stack:
            node, level, passed = stack.pop()
            if (node, level) in seen:
                continue
            seen.add((node, level))
            what, first = program.operation[node], program.first[node]
            if what in (CHAR, MATCH):
                if node in wanted:
                    break
            elif what == SAVE:
                stack.append((first, level, (program.value[node], passed)))
            elif what == PLACE:
                if program.holds(node, before, after):
                    stack.append((first, level, passed))
            else:
                program.follow(node, level, followed)
                stack += [(n, lv, passed) for n, lv in followed]
                followed.clear()
        else:
            raise AssertionError("Backward leads to the end")
        machine.work += len(seen)
        slots = []
        while passed is not None:
            slot, passed = passed
            slots.append(slot)
        way = state.walk[origin, before] = (program.first[node], tuple(slots))
        return way


def _moved(state: State, symbol: str) -> State:
    try:
        made: State = state.moves[symbol]
        return made
    except Paused as pause:
        paused: State = pause.state
        return paused
