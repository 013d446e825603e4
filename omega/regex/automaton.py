"""Deterministic automata, made while they run.

Owns: `Forward` (where does the first match end?) and `Backward` (where does it begin, and from
which nodes can its end be reached?), their states, and how many are kept.
Refuses: to hold much: when a machine has grown to UNITS_MAX it forgets its states; those in use
stay valid, but know no moves.

A state is a dict from symbol to state. A *plain* state is its own `moves`; any other (a dead one;
forward also one that tells of a match or waits for a beginning) knows no moves itself, so that the
loop `state = state[symbol]` runs without a test and ends with `Reached` on leaving it; its `moves`
are apart.
Making a move is work; after WORK_MAX of it `Paused` says so, so that a search can charge for it.
"""

from __future__ import annotations

from typing import Any

from omega.regex.program import (
    AGAIN,
    CHAR,
    END,
    ENTER,
    MATCH,
    NOWHERE,
    PLACE,
    SAVE,
    SPLIT,
    Program,
)

UNITS_MAX = 20_000  # moves and nodes of states kept by a machine
WORK_MAX = 4_000  # nodes visited between two charges
NODES_PER_STEP = 4  # visited for a step
_STATE_UNITS = 8

# In a kernel: a match may begin here; one that is not empty may.
BEGIN, BEGIN_SOME = -1, -2

Kernel = tuple[int, ...] | frozenset[int]


class Reached(Exception):
    """A state that is not plain was left."""


class Paused(Exception):
    """Enough work for a while; the move was made, to `state`."""

    def __init__(self, state: Any) -> None:
        super().__init__()
        self.state = state


class State(dict[str, Any]):
    """kernel: nodes; forward in order of preference. context: the category of the symbol before
    (backward: after). is_match: forward, a match ended before the last symbol; backward, one begins
    after it. walk: backward, what a walk through the match does here.
    """

    __slots__ = (
        "by_signature",
        "context",
        "is_dead",
        "is_match",
        "kernel",
        "machine",
        "moves",
        "walk",
    )

    kernel: Kernel
    context: int
    is_dead: bool
    is_match: bool
    machine: Any
    moves: dict[str, Any]
    walk: dict[Any, tuple[int, tuple[int, ...]]]
    by_signature: dict[tuple[int, int], State]

    def __missing__(self, symbol: str) -> State:
        if self.moves is not self:
            raise Reached
        made: State = self.machine.move(self, symbol)
        return made


class Moves(dict[str, Any]):
    """The moves of a state that is not plain."""

    __slots__ = ("state",)
    state: State

    def __missing__(self, symbol: str) -> State:
        made: State = self.state.machine.move(self.state, symbol)
        return made


class Machine:
    """What both directions share: states by what they are, and how much is kept."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.states: dict[tuple[Kernel, int, bool], State] = {}
        self.units = 0
        self.work = 0  # since it was last charged

    def state(self, kernel: Kernel, context: int, is_match: bool) -> State:
        key = (kernel, context, is_match)
        found = self.states.get(key)
        if found is not None:
            return found
        if self.units > UNITS_MAX:
            self.forget()
        state = State()
        state.machine, state.kernel, state.context = self, kernel, context
        state.is_match, state.is_dead = is_match, not kernel
        state.by_signature, state.walk = {}, {}
        if not kernel or self.is_waiting(kernel, is_match):
            moves = Moves()
            moves.state = state
            state.moves = moves
        else:
            state.moves = state
        self.states[key] = state
        self.units += len(kernel) + _STATE_UNITS
        return state

    def forget(self) -> None:
        for state in self.states.values():
            state.clear()
            state.moves.clear()
            state.by_signature.clear()
            state.walk.clear()
        self.states.clear()
        self.units = 0

    def is_waiting(self, kernel: Kernel, is_match: bool) -> bool:
        """Whether a state is not plain although it is not dead."""
        return False

    def move(self, state: State, symbol: str) -> State:
        """The state after `symbol`. Raises Paused, with it, when much work has been done."""
        program = self.program
        category = program.category(symbol)
        key = (program.signature(symbol), category & (program.before | program.after))
        made = state.by_signature.get(key)
        if made is None or symbol == END:
            made = self.make(state, key[0], category)
            if symbol != END:
                state.by_signature[key] = made
        state.moves[symbol] = made
        self.units += 1
        self.work += 4
        if self.units > 2 * UNITS_MAX:
            self.forget()
        if self.work > WORK_MAX:
            raise Paused(made)
        return made

    def make(self, state: State, signature: int, category: int) -> State:
        raise NotImplementedError

    def settle(self) -> int:
        """Steps to charge for the work done."""
        steps, self.work = self.work // NODES_PER_STEP, self.work % NODES_PER_STEP
        return steps


class Forward(Machine):
    """Reads a text from left to right; knows where the match ends that `re` would find.

    waits: the state in which only BEGIN is left is not plain, so that the search can look for a
    beginning in a faster way.
    """

    def __init__(self, program: Program, waits: bool) -> None:
        self.waits = waits
        super().__init__(program)

    def begin(self, category: int, entry: int = BEGIN) -> State:
        """Before a text, or within it, after a symbol of this category. entry: BEGIN, BEGIN_SOME
        for no match of nothing here, or the program's start: a match begins here or nowhere.
        """
        return self.state((entry,), category & self.program.before, False)

    def is_waiting(self, kernel: Kernel, is_match: bool) -> bool:
        return is_match or (self.waits and kernel == (BEGIN,))

    def make(self, state: State, signature: int, category: int) -> State:
        program = self.program
        operation, first, value = program.operation, program.first, program.value
        before, after = state.context, category & program.after
        stack: list[tuple[int, int]] = []
        seen: set[Any] = set()
        kernel: dict[int, None] = {}  # in order
        is_match = False
        for entry in state.kernel:
            stack.append((program.start if entry < 0 else entry, NOWHERE))
            while stack:
                top = stack.pop()
                if top in seen:
                    continue
                seen.add(top)
                node, level = top
                what = operation[node]
                if what == CHAR:
                    if signature >> value[node] & 1:
                        kernel[first[node]] = None
                elif what == MATCH:
                    if entry != BEGIN_SOME:
                        is_match = True  # whatever is preferred less is not looked at
                        break
                elif what == PLACE:
                    if program.holds(node, before, after):
                        stack.append((first[node], level))
                else:
                    program.follow(node, level, stack)
            if is_match:
                break
            if entry < 0:
                kernel[BEGIN] = None
        self.work += len(seen)
        return self.state(tuple(kernel), category & program.before, is_match)


class Backward(Machine):
    """Reads a text from right to left, from where a match ends."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        count = len(program.operation)
        self.before_node: list[list[int]] = [[] for _ in range(count)]
        self.chars_before: list[list[int]] = [[] for _ in range(count)]
        for node, what in enumerate(program.operation):
            first, second = program.first[node], program.second[node]
            if what == CHAR:
                self.chars_before[first].append(node)
            elif what in (SAVE, PLACE):
                self.before_node[first].append(node)
            elif what in (SPLIT, ENTER, AGAIN):
                for after in {first, second} - {-1}:
                    self.before_node[after].append(node)

    def begin(self, category: int) -> State:
        """At the end of a match; category: of the symbol after it. (The walk through a match reads
        off the contexts what stands before as well, so both kinds of bits are kept.)
        """
        kernel = frozenset((self.program.end,))
        return self.state(kernel, category & (self.program.before | self.program.after), False)

    def make(self, state: State, signature: int, category: int) -> State:
        program = self.program
        operation, value = program.operation, program.value
        before, after = category & program.before, state.context
        reached = set(state.kernel)
        stack = list(reached)
        while stack:
            for node in self.before_node[stack.pop()]:
                if node not in reached and (
                    operation[node] != PLACE or program.holds(node, before, after)
                ):
                    reached.add(node)
                    stack.append(node)
        kernel = [
            node
            for target in reached
            for node in self.chars_before[target]
            if signature >> value[node] & 1
        ]
        self.work += len(reached) + len(kernel)
        is_match = program.start in reached
        context = category & (program.before | program.after)
        return self.state(frozenset(kernel), context, is_match)
