"""Small known procedures in place of their calls.

Owns: `inline_calls`, a pass over core nodes between `resolve` and `loops` of analysis.py. A call of
a procedure that is known, small and not recursive becomes an Inlined: a copy of its body with the
arguments in place of the parameters. Mutual recursion becomes recursion of one procedure that
way, and in tail position a loop. A small recursive procedure is copied into itself, once.
A local procedure that nobody needs any more is dropped.
Refuses: what would change the program: steps are taken where core.py says, operands are evaluated
in their order, and a global is looked at each time (InForce), since a later text may redefine it.

Bodies that make procedures, assign or bind recursively are left alone: a copy would need copies of
their variables' analysis, too, and they are seldom small.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from omega.lisp.core import (
    Attempt,
    Call,
    Const,
    Global,
    Guard,
    Guarded,
    If,
    InForce,
    Inlined,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Parameterize,
    Receive,
    Seq,
    SetGlobal,
    SetLocal,
    Variable,
    children,
    fits,
    own_calls,
)

if TYPE_CHECKING:
    from omega.lisp.analysis import Unit

BODY_NODES_MAX = 20  # of a procedure that is copied
GROWTH_NODES_MAX = 200  # that copies may add to one procedure
NESTING_MAX = 2  # copies within copies
RECURSIVE_NODES_MAX = 40  # of a procedure that is copied into itself

_COPIED = (Const, Local, Global, If, Seq, Call, Let)


def inline_calls(unit: Unit) -> None:
    """Replace the calls of the unit's small known procedures; `unit.inlined` gets the globals'
    names.
    """
    inliner = _Inliner(unit)
    unit.nodes[:] = [inliner.top(node) for node in unit.nodes]


class _Inliner:
    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.bodies: dict[Lambda, Node] = {}  # of what may be copied, as they were written
        # ... into themselves, once for each call that is no tail call, and those
        self.recursive: dict[Lambda, Node] = {}
        self.inner_calls: set[Call] = set()
        self.growth = 0  # nodes added to the procedure around here
        self.within: tuple[Lambda, ...] = ()  # procedures around here, and those being copied
        self.nesting = 0
        self.available: set[Variable] = set()  # local procedures that are surely made by now
        self.replaced: set[Variable] = set()  # ... of which a call was replaced
        for procedure in unit.known.values():
            self._keep(procedure)

    def top(self, node: Node) -> Node:
        self.growth = 0
        return self.walk(node)

    # -- the walk ------------------------------------------------------------------------------

    def walk(self, node: Node) -> Node:
        """`node`, changed in place, or what replaces it."""
        match node:
            case Call():
                for i, argument in enumerate(node.arguments):
                    node.arguments[i] = self.walk(argument)
                callee = self._callee(node)
                if callee is not None:
                    return self._inlined(node, callee)
                node.function = self.walk(node.function)
            case If():
                at = node
                while True:  # long chains do not recurse
                    at.test, at.then = self.walk(at.test), self.walk(at.then)
                    if not isinstance(at.other, If):
                        break
                    at = at.other
                at.other = self.walk(at.other)
            case Seq():
                node.body[:] = [self.walk(part) for part in node.body]
            case Letrec():
                return self._letrec(node)
            case Let():
                made = self._kept(node.variables, node.inits)
                node.inits[:] = [self.walk(init) for init in node.inits]
                self.available |= made
                node.body = self.walk(node.body)
                return self._without_unused(node)
            case Attempt():
                node.first, node.other = self.walk(node.first), self.walk(node.other)
            case Receive():
                node.producer, node.body = self.walk(node.producer), self.walk(node.body)
            case SetLocal() | SetGlobal():
                node.value = self.walk(node.value)
            case Lambda():
                self._lambda(node)
            case Guard():
                for part in (node.body, node.selector, *node.clauses):
                    self._lambda(part)
            case Parameterize():
                node.items[:] = [self.walk(item) for item in node.items]
                self._lambda(node.body)
        return node

    def _lambda(self, node: Lambda) -> None:
        outer = self.growth, self.within
        self.growth, self.within = 0, (*self.within, node)
        node.optional[:] = [(var, self.walk(default)) for var, default in node.optional]
        node.keys[:] = [(key, var, self.walk(default)) for key, var, default in node.keys]
        node.body = self.walk(node.body)
        self.growth, self.within = outer

    def _letrec(self, node: Letrec) -> Node:
        """Procedures that follow each other are made together: each may be called by all."""
        inits = node.inits
        for i, init in enumerate(inits):
            if isinstance(init, Lambda) and (i == 0 or not isinstance(inits[i - 1], Lambda)):
                end = next(
                    (j for j in range(i, len(inits)) if not isinstance(inits[j], Lambda)),
                    len(inits),
                )
                self.available |= self._kept(node.variables[i:end], inits[i:end])
            inits[i] = self.walk(init)
        node.body = self.walk(node.body)
        return self._without_unused(node)

    def _kept(self, variables: list[Variable], inits: list[Node]) -> set[Variable]:
        """Which of the variables are bound for good to procedures that may be copied."""
        return {
            var
            for var, init in zip(variables, inits, strict=True)
            if isinstance(init, Lambda) and var.value is init and self._keep(init)
        }

    def _without_unused(self, node: Let | Letrec) -> Node:
        """Without the procedures all of whose calls were replaced."""
        candidates = self.replaced.intersection(node.variables)
        if not candidates:
            return node
        used = _used(node)
        kept = [
            (var, init)
            for var, init in zip(node.variables, node.inits, strict=True)
            if var in used or var not in candidates
        ]
        if not kept:
            return node.body
        node.variables = [var for var, _ in kept]
        node.inits = [init for _, init in kept]
        return node

    # -- what is copied ------------------------------------------------------------------------

    def _callee(self, call: Call) -> Lambda | None:
        """The procedure a call is replaced by."""
        function = call.function
        callee: Lambda | None = None
        if isinstance(function, Local) and function.var in self.available:
            callee = function.var.value
        elif isinstance(function, Global) and function.library == self.unit.top.is_library:
            callee = self.unit.known.get(function.name)
        if call in self.inner_calls and callee is not None:
            is_own = self.within[-1:] == (callee,) and self.nesting == 0
            return callee if is_own and self.growth <= GROWTH_NODES_MAX else None
        if (
            callee is None
            or callee not in self.bodies
            or callee in self.within
            or self.nesting == NESTING_MAX
            or self.growth > GROWTH_NODES_MAX
            or not fits(call, callee)
        ):
            return None
        return callee

    def _keep(self, procedure: Lambda) -> bool:
        """Keep the body as it was written, if it may be copied; whether it may."""
        if procedure in self.bodies:
            return True
        size = self._size(procedure)
        if size is None:
            return False
        calls = dict(own_calls(procedure, partial(self._names, procedure)))
        if size > (RECURSIVE_NODES_MAX if calls else BODY_NODES_MAX):
            return False
        growth = self.growth
        copy = self._copy(procedure.body, {})
        self.growth = growth
        if not calls:
            self.bodies[procedure] = copy
            return True
        if not isinstance(procedure.parent, Lambda):
            self.recursive[procedure] = copy
            self.inner_calls.update(
                call for call, tail in calls.items() if not tail and fits(call, procedure)
            )
        return False

    def _size(self, procedure: Lambda) -> int | None:
        """How many nodes the body has; None if it may not be copied."""
        if not procedure.is_plain or procedure.turns:
            return None
        if any(var.assigned for var in procedure.required):
            return None
        count = 0
        work: list[Node] = [procedure.body]
        while work:
            node = work.pop()
            count += 1
            if count > RECURSIVE_NODES_MAX or not isinstance(node, _COPIED):
                return None
            work.extend(children(node))
        return count

    def _names(self, procedure: Lambda, function: Node) -> bool:
        if isinstance(function, Global):
            return (
                function.library == self.unit.top.is_library
                and self.unit.known.get(function.name) is procedure
            )
        return isinstance(function, Local) and function.var.value is procedure

    # -- copying -------------------------------------------------------------------------------

    def _inlined(self, call: Call, callee: Lambda) -> Inlined:
        function = call.function
        variables: list[Variable] = []
        inits: list[Node] = []
        test: Node | None = None
        if isinstance(function, Global) and not self.unit.top.is_library:
            self.unit.inlined.add(function.name)
            test = InForce(function.span, function.name)
            waits = all(_is_atom(argument) for argument in call.arguments) or (
                # It is bound, since it runs; and nothing in them may redefine it.
                callee in self.recursive and self.unit.calling.isdisjoint(call.arguments)
            )
            if not waits:
                # The procedure is looked at before its arguments are evaluated.
                guard = Variable(function.name)
                guard.type = "bool"
                variables.append(guard)
                inits.append(test)
                test = Local(function.span, guard)
        elif isinstance(function, Local):
            self.replaced.add(function.var)
        meaning: dict[Variable, Node | Variable] = {}
        for i, (var, argument) in enumerate(zip(callee.required, call.arguments, strict=True)):
            if _is_atom(argument):
                meaning[var] = argument
                continue
            fresh = meaning[var] = Variable(var.name)
            variables.append(fresh)
            inits.append(argument)
            call.arguments[i] = Local(argument.span, fresh)
        within, self.within = self.within, (*self.within, callee)
        self.nesting += 1
        template = self.bodies.get(callee) or self.recursive[callee]
        body = self.walk(self._copy(template, meaning))
        self.nesting -= 1
        self.within = within
        if test is not None:
            body = Guarded(call.span, test, body, call)
        inlined = Inlined(call.span, callee, variables, inits, body)
        self.unit.calling.update((inlined, body))
        return inlined

    def _copy(self, node: Node, meaning: dict[Variable, Node | Variable]) -> Node:
        self.growth += 1
        copy = self._copied(node, meaning)
        if node in self.unit.calling:
            self.unit.calling.add(copy)
        return copy

    def _copied(self, node: Node, meaning: dict[Variable, Node | Variable]) -> Node:
        span = node.span
        match node:
            case Const():
                return Const(span, node.value)
            case Local():
                now = meaning.get(node.var, node.var)
                if isinstance(now, Variable):
                    return Local(span, now)
                return Local(span, now.var) if isinstance(now, Local) else now
            case Global():
                return Global(span, node.name, node.library, node.primitive or node.native)
            case If():
                test = self._copy(node.test, meaning)
                then = self._copy(node.then, meaning)
                return If(span, test, then, self._copy(node.other, meaning))
            case Seq():
                return Seq(span, [self._copy(part, meaning) for part in node.body])
            case Call():
                function = self._copy(node.function, meaning)
                arguments = [self._copy(argument, meaning) for argument in node.arguments]
                return Call(span, function, arguments)
            case Let():
                inits = [self._copy(init, meaning) for init in node.inits]
                fresh = []
                for var in node.variables:
                    fresh.append(Variable(var.name))
                    meaning[var] = fresh[-1]
                return Let(span, fresh, inits, self._copy(node.body, meaning))
        raise AssertionError(f"no template holds a {type(node).__name__}")


def _is_atom(node: Node) -> bool:
    """Whether it can stand in several places, and later than it was written."""
    return isinstance(node, Const) or (isinstance(node, Local) and not node.var.assigned)


def _used(node: Node) -> set[Variable]:
    """The variables named in and below `node`."""
    found: set[Variable] = set()
    work: list[Node] = [node]
    while work:
        at = work.pop()
        if isinstance(at, (Local, SetLocal)):
            found.add(at.var)
        work.extend(children(at))
    return found
