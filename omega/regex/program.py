"""From a tree to a program: the nodes of a nondeterministic automaton.

Owns: the nodes, their size limit, and what the automata need to know of symbols (their categories,
which characters of the pattern they are).

Repetitions of what may match nothing follow `re`: a round that began where the one before began is
not made; after a round that matched nothing, the repetition is over. So where the rounds in
progress began matters as long as nothing is consumed: `level`, the depth of the outermost
repetition a round of which began at this very place (NOWHERE: none did). See ENTER and AGAIN in
`Program.follow`.

A symbol is a character, END (there is none: the text ends or begins here) or FINAL (a line end
that is the text's last character, where `$` can tell).
"""

from __future__ import annotations

from collections.abc import Callable

from omega.regex.atoms import Atom, is_word
from omega.regex.syntax import (
    Char,
    Charge,
    Either,
    Group,
    Node,
    Place,
    RegexError,
    Repeat,
    Sequence,
)

NODES_MAX = 20_000
SYMBOLS_KEPT = 4_000  # characters whose signature is remembered
_CHARGED = 64  # nodes made for a step

# What a node does. first, second: the nodes that follow, the preferred one first.
CHAR, SPLIT, SAVE, PLACE, ENTER, AGAIN, MATCH = range(7)

END, FINAL = "", "\n\n"
WORD, LINE, LAST_LINE, EDGE = 1, 2, 4, 8  # categories of symbols, as bits
NOWHERE = 1 << 30

# kind of place -> (bits it looks at before, bits it looks at after)
_BEFORE = {"text-start": EDGE, "line-start": EDGE | LINE}
_AFTER = {"text-end": EDGE, "line-end": EDGE | LINE, "last-line-end": EDGE | LAST_LINE}


class Program:
    """operation, first, second, value: of each node. value: the atom of a CHAR, the slot of a SAVE,
    the kind of a PLACE, the depth of an ENTER or AGAIN.
    """

    def __init__(self, pattern: str, tree: Node, groups: int, charge: Charge | None = None) -> None:
        self.pattern, self.groups = pattern, groups
        self.operation: list[int] = []
        self.first: list[int] = []
        self.second: list[int] = []
        self.value: list[int] = []
        self.atoms: list[Atom] = []
        self.places: list[str] = []
        self.before = self.after = 0  # the bits of categories that matter
        self._atom_numbers: dict[str, int] = {}
        self._charge = charge
        self._depth = 0
        self._at = 0  # where in the pattern the last repetition begins: for the size limit
        self.end = self.node(MATCH)
        self.start = self.emit(tree, self.end)
        self._signatures: dict[str, int] = {}
        self._tests: list[tuple[int, Callable[[str], bool]]] = [
            (1 << i, atom.test) for i, atom in enumerate(self.atoms) if atom.literal is None
        ]
        self._literals = {
            atom.literal: 1 << i for i, atom in enumerate(self.atoms) if atom.literal is not None
        }

    # -- making

    def node(self, operation: int, first: int = -1, second: int = -1, value: int = -1) -> int:
        number = len(self.operation)
        if number >= NODES_MAX:
            raise RegexError(
                f"it is too large when its counted repetitions are written out (over {NODES_MAX:,} "
                "places)",
                self.pattern,
                self._at,
                "use smaller counts, or * and +",
            )
        if self._charge is not None and number % _CHARGED == 0:
            self._charge(1)
        self.operation.append(operation)
        self.first.append(first)
        self.second.append(second)
        self.value.append(value)
        return number

    def emit(self, tree: Node, then: int) -> int:
        """Make the nodes of a tree that go on at node `then`; where they begin."""
        match tree:
            case Char(atom=atom):
                return self.node(CHAR, then, value=self.atom(atom))
            case Sequence(items=items):
                for item in reversed(items):
                    then = self.emit(item, then)
                return then
            case Either(options=options):
                at = self.emit(options[-1], then)
                for option in reversed(options[:-1]):
                    at = self.node(SPLIT, self.emit(option, then), at)
                return at
            case Group(body=body, number=number):
                closing = self.node(SAVE, then, value=2 * number + 1)
                return self.node(SAVE, self.emit(body, closing), value=2 * number)
            case Place(kind=kind):
                self.places.append(kind)
                if kind.endswith("word-edge"):
                    self.before |= WORD
                    self.after |= WORD
                self.before |= _BEFORE.get(kind, 0)
                self.after |= _AFTER.get(kind, 0)
                return self.node(PLACE, then, value=len(self.places) - 1)
        assert isinstance(tree, Repeat)
        return self.repeat(tree, then)

    def repeat(self, tree: Repeat, then: int) -> int:
        body, low, high = tree.body, tree.low, tree.high
        self._at = tree.at
        if high is None and not body.nullable:
            loop = self.split(-1, then, tree.greedy)
            self.lead(loop, self.emit(body, loop), tree.greedy)
            then = loop
        elif high is None or (body.nullable and high > max(low, 1)):
            self._depth += 1
            then = self.rounds(tree, then)
            self._depth -= 1
        else:
            after = then
            for _ in range(high - low):
                then = self.split(self.emit(body, then), after, tree.greedy)
        for _ in range(low):
            self._at = tree.at
            then = self.emit(body, then)
        return then

    def rounds(self, tree: Repeat, after: int) -> int:
        """The optional rounds of a body that may match nothing."""
        depth, greedy = self._depth, tree.greedy
        if tree.high is None:
            again = self.split(-1, after, greedy, AGAIN, depth)
            entry = self.emit(tree.body, again)
            self.lead(again, entry, greedy)
            return self.split(entry, after, greedy, ENTER, depth)
        entry = -1
        for _ in range(tree.high - tree.low):
            again = self.split(entry, after, greedy, AGAIN, depth)
            entry = self.emit(tree.body, again)
        return self.split(entry, after, greedy, ENTER, depth)

    def split(
        self, body: int, after: int, greedy: bool, operation: int = SPLIT, depth: int = -1
    ) -> int:
        """A choice between a body and what comes after it. ENTER and AGAIN mark which one is the
        body by their depth: negative when it comes second.
        """
        if operation == SPLIT:
            return self.node(SPLIT, body, after) if greedy else self.node(SPLIT, after, body)
        return self.node(operation, body, after, depth if greedy else -depth)

    def lead(self, split: int, body: int, greedy: bool) -> None:
        """Fill in the body of a choice."""
        if greedy or self.operation[split] != SPLIT:
            self.first[split] = body
        else:
            self.second[split] = body

    def atom(self, atom: Atom) -> int:
        number = self._atom_numbers.setdefault(atom.source, len(self.atoms))
        if number == len(self.atoms):
            self.atoms.append(atom)
        return number

    # -- symbols

    @property
    def tells_last_line(self) -> bool:
        return bool(self.after & LAST_LINE)

    def category(self, symbol: str) -> int:
        if symbol == END:
            return EDGE
        if symbol == FINAL:
            return LINE | LAST_LINE
        return LINE if symbol == "\n" else int(is_word(symbol))

    def signature(self, symbol: str) -> int:
        """The atoms a symbol is one of, as bits."""
        found = self._signatures.get(symbol)
        if found is not None:
            return found
        if symbol == END:
            return 0
        char = symbol[0]
        bits = self._literals.get(char, 0)
        for bit, test in self._tests:
            if test(char):
                bits |= bit
        if len(self._signatures) >= SYMBOLS_KEPT:
            self._signatures.clear()
        self._signatures[symbol] = bits
        return bits

    def holds(self, node: int, before: int, after: int) -> bool:
        """Whether the place of a PLACE node is between symbols of these categories."""
        kind = self.places[self.value[node]]
        if kind in _BEFORE:
            return bool(before & _BEFORE[kind])
        if kind in _AFTER:
            return bool(after & _AFTER[kind])
        return bool((before ^ after) & WORD) is (kind == "word-edge")

    # -- following

    def follow(self, node: int, level: int, stack: list[tuple[int, int]]) -> None:
        """Push what follows a SPLIT, SAVE, ENTER or AGAIN onto a stack, the preferred last."""
        operation, first, second = self.operation[node], self.first[node], self.second[node]
        if operation == SPLIT:
            stack.append((second, level))
            stack.append((first, level))
        elif operation == SAVE:
            stack.append((first, level))
        else:
            depth = self.value[node]
            greedy, depth = depth > 0, abs(depth)
            is_over = first < 0 or (operation == AGAIN and level <= depth)
            body = (first, min(level, depth))
            after = (second, level if operation == ENTER or level < depth else NOWHERE)
            if is_over:
                stack.append(after)
            elif greedy:
                stack += (after, body)
            else:
                stack += (body, after)
