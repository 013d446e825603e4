"""What the emitter needs to know about core nodes: loops, tail calls, captured variables, types.

Owns: `analyse`, which writes its findings into the nodes' slots. Each pass walks the tree:
  resolve   whose a global is, which calls are to primitives, where safepoints stand
  accessors (accessors.py) which globals belong to record types
  inlining  (inlining.py) small known procedures in place of their calls
  narrow    (narrowing.py) what tests have made sure of
  loops     which letrec-bound procedures are only ever jumped to, and so become loops of their
            parent
  places    which Python function and loop holds each variable, which variables closures capture;
            tail calls and jumps
  types     (versions.py, local_types.py) of variables and results
  versions  (versions.py) which procedures get a version of their code for arguments of known types
Refuses: changing what the program does or how many steps it takes.

A Unit that is not optimised gets `resolve` and `places` alone: no call is replaced, none becomes a
jump, nothing is known of types, and every procedure that is called is the one its name has then.

Invariant: a variable that a closure captures and that is bound inside a loop is never assigned; a
loop that would break this stays a procedure (each turn of it then makes its own variables).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from omega.lisp.accessors import Accessor, accessors
from omega.lisp.core import (
    Attempt,
    Call,
    Global,
    Guard,
    If,
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
    enters_loop,
    fits,
    is_direct,
    is_primitive,
    own_calls,
)
from omega.lisp.environment import TopLevel
from omega.lisp.inlining import inline_calls
from omega.lisp.local_types import settle_local
from omega.lisp.narrowing import narrow
from omega.lisp.positions import positions
from omega.lisp.versions import choose_versions, settle_types

# Loops and guards within each other of one Python function: CPython allows 20 blocks, a loop takes
# two.
LOOP_DEPTH_MAX = 6


class Unit:
    """One text's nodes and what is known of its globals.

    known: global name -> Lambda, for globals defined exactly once here and never assigned.
    """

    def __init__(self, nodes: list[Node], top: TopLevel, optimize: bool) -> None:
        self.nodes = nodes
        self.top = top
        self.optimize = optimize
        self.known: dict[str, Lambda] = {}
        self.globals: set[tuple[str, bool]] = set()  # (name, is library's) named anywhere
        self.accessors: dict[str, Accessor] = {}  # globals that are of a record type
        # globals of which some call was replaced, by what is good only while they are in force
        self.inlined: set[str] = set()
        self.calling: set[Node] = set()  # what contains, procedures made apart, a Call with a step
        # global procedure -> the library's names in it that a later text may make the program's
        self.lent: dict[str, list[str]] = {}


def resolve(nodes: list[Node], top: TopLevel, optimize: bool = True) -> Unit:
    """The first pass: the nodes still are what the text says."""
    unit = Unit(nodes, top, optimize)
    _Resolve(unit).run()
    return unit


def analyse(unit: Unit) -> None:
    """The other passes, over what `resolve` made."""
    nodes = unit.nodes
    if not unit.optimize:
        unit.known = {}
        _Places(unit).run()
        return
    if not unit.top.is_library:
        unit.accessors = accessors(nodes)
    inline_calls(unit)
    narrow(nodes)
    while True:
        loops = _Loops(unit)
        for node in nodes:
            loops.uses(node, False)
        places = _Places(unit)
        places.run()
        if not places.undo():
            break
    for node in nodes:
        settle_types(node)
    settle_local(nodes)
    choose_versions(nodes, set(unit.known.values()), lambda call: known_callee(call, unit))
    if not unit.top.is_library:
        _bind_arguments(unit)


def _bind_arguments(unit: Unit) -> None:
    """Lambda.positional of the globals that known calls can bind the parameters of."""
    work = list(unit.nodes)
    while work:
        node = work.pop()
        work.extend(children(node))
        if isinstance(node, Call) and isinstance(node.function, Global):
            callee = known_callee(node, unit)
            if callee is not None and positions(node, callee) is not None:
                callee.positional = True
                unit.inlined.add(node.function.name)


class _Resolve:
    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.assignments: dict[str, int] = {}
        self.lent: set[str] = set()  # see Unit.lent; of the node under way

    def run(self) -> None:
        for node in self.unit.nodes:
            self.lent.clear()
            self._walk(node)
            if self.lent and isinstance(node, SetGlobal) and isinstance(node.value, Lambda):
                self.unit.lent[node.name] = sorted(self.lent)
        for node in self.unit.nodes:
            if isinstance(node, SetGlobal) and isinstance(node.value, Lambda) and node.define:
                _find_turns(node.value, partial(_is_global, node.name, node.library))
                if self.assignments[node.name] == 1:
                    self.unit.known[node.name] = node.value
                    node.value.name = node.name

    def _walk(self, node: Node) -> bool:
        """Whether `node` is one of `Unit.calling`."""
        top = self.unit.top
        match node:
            case Global():
                if node.library is None:
                    node.library = node.name not in top.defined
                    if node.library and not top.is_library:
                        self.lent.add(node.name)
                if not node.library or (top.is_library and node.name in top.defined):
                    node.primitive = node.native = None
                self.unit.globals.add((node.name, node.library))
            case SetGlobal():
                self.assignments[node.name] = self.assignments.get(node.name, 0) + 1
                self.unit.globals.add((node.name, node.library))
        calls = isinstance(node, (Guard, Parameterize))
        for child in children(node):
            calls |= self._walk(child)
        if isinstance(node, Call):  # whose its function is, is known by now
            calls |= not is_primitive(node)
        if isinstance(node, Lambda):
            node.safepoint, calls = calls, False
            defaults = [default for _, default in node.optional]
            defaults += [default for _, _, default in node.keys]
            node.turns = any(default in self.unit.calling for default in defaults)
        if isinstance(node, (Let, Letrec)):
            for var, init in zip(node.variables, node.inits, strict=True):
                if not isinstance(init, Lambda):
                    continue
                if isinstance(node, Letrec):
                    _find_turns(init, partial(_is_local, var))
                if not var.assigned:
                    var.value, init.is_local = init, True
        if calls:
            self.unit.calling.add(node)
        return calls


def _find_turns(lambda_: Lambda, is_it: Callable[[Node], bool]) -> None:
    """Lambda.turns of a procedure that its own body knows as what `is_it`."""
    found = {tail for _, tail in own_calls(lambda_, is_it)}
    lambda_.turns = lambda_.turns or found == {True}


def _is_global(name: str, library: bool, node: Node) -> bool:
    return isinstance(node, Global) and node.name == name and node.library == library


def _is_local(var: Variable, node: Node) -> bool:
    return isinstance(node, Local) and node.var is var


def known_callee(call: Call, unit: Unit) -> Lambda | None:
    """The Lambda a call reaches, when that is certain for as long as this text is all there is."""
    function = call.function
    if isinstance(function, Local) and unit.optimize:
        value: Lambda | None = function.var.value
        return value
    if isinstance(function, Global) and function.library == unit.top.is_library:
        return unit.known.get(function.name)
    return None


class _Loops:
    """Decides Lambda.loop: bound by a letrec of its own whose body is just the call that enters it,
    and otherwise only called in tail position of its own body (through other such loops standing in
    tail position).
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def uses(self, node: Node, tail: bool) -> dict[Variable, bool]:
        """For each variable used below: whether all uses are calls in tail position of `node`,
        itself at `tail`.
        """
        match node:
            case Local():
                return {node.var: False}
            case If():
                found = self.uses(node.test, False)
                _merge(found, self.uses(node.then, tail))
                return _merge(found, self.uses(node.other, tail))
            case Attempt():
                found = self.uses(node.first, tail)
                return _merge(found, self.uses(node.other, tail))
            case Seq():
                found = {}
                for part in node.body[:-1]:
                    _merge(found, self.uses(part, False))
                return _merge(found, self.uses(node.body[-1], tail))
            case Let() | Receive():
                found = {}
                for part in [node.producer] if isinstance(node, Receive) else node.inits:
                    _merge(found, self.uses(part, False))
                return _merge(found, self.uses(node.body, tail))
            case Letrec():
                return self._letrec(node, tail)
            case Guard():
                found = _merge(self.uses(node.body, False), self.uses(node.selector, False))
                for clause in node.clauses:
                    _merge(found, self.uses(clause.body, tail))
                return found
            case Call():
                return self._call(node, tail)
            case Lambda():
                found = {}
                for child in children(node):
                    _merge(found, self.uses(child, child is node.body))
                return dict.fromkeys(found, False)
        found = {}
        for child in children(node):
            _merge(found, self.uses(child, False))
        return found

    def _call(self, node: Call, tail: bool) -> dict[Variable, bool]:
        found: dict[Variable, bool] = {}
        function = node.function
        if isinstance(function, Local):
            callee = function.var.value
            found[function.var] = tail and callee is not None and fits(node, callee)
        else:
            _merge(found, self.uses(function, False))
        for argument in node.arguments:
            _merge(found, self.uses(argument, False))
        return found

    def _letrec(self, node: Letrec, tail: bool) -> dict[Variable, bool]:
        loop = enters_loop(node)
        if loop is None:
            found: dict[Variable, bool] = {}
            for init in node.inits:
                _merge(found, self.uses(init, False))
            return _merge(found, self.uses(node.body, tail))
        inner = self.uses(loop.body, True)
        only_jumps = inner.pop(node.variables[0], True)
        if loop.may_loop:
            loop.loop = only_jumps and loop.is_plain
        if not (loop.loop and tail):
            inner = dict.fromkeys(inner, False)
        assert isinstance(node.body, Call)
        for argument in node.body.arguments:
            _merge(inner, self.uses(argument, False))
        return inner


def _merge(into: dict[Variable, bool], more: dict[Variable, bool]) -> dict[Variable, bool]:
    if len(more) > len(into):
        into_copy = dict(into)
        into.clear()
        into.update(more)
        more = into_copy
    for var, flag in more.items():
        into[var] = into.get(var, True) and flag
    return into


class _Places:
    """Variable.owner/loop/captured, Lambda.parent/in_loop/jumps/marks, Call.tail/jump."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.variables: list[Variable] = []
        self.names = {id(value): name for name, value in unit.known.items()}

    def run(self) -> None:
        for node in self.unit.nodes:
            self._walk(node, self.unit, None, False, {}, 0)

    def undo(self) -> bool:
        """Take back loops whose variables closures capture although they are assigned; whether
        there were any.
        """
        changed = False
        for var in self.variables:
            if var.captured and var.assigned and var.loop is not None and var.loop.may_loop:
                var.loop.may_loop = False
                var.loop.loop = False
                changed = True
        return changed

    def _bind(self, variables: list[Variable], owner: Any, loop: Lambda | None) -> None:
        for var in variables:
            var.owner, var.loop, var.captured, var.uses = owner, loop, False, 0
            var.python = ""
            self.variables.append(var)

    def _use(self, var: Variable, owner: Any) -> None:
        var.uses += 1
        if var.owner is not owner:
            var.captured = True
            if var.owner is None:  # used before its binding was met: a forward reference
                var.assigned = True

    def _walk(
        self,
        node: Node,
        owner: Any,
        loop: Lambda | None,
        tail: bool,
        targets: dict[Any, Lambda],
        depth: int,
    ) -> None:
        """targets: what a call in tail position here can jump to, by Variable or global name."""
        match node:
            case Local():
                self._use(node.var, owner)
            case SetLocal():
                self._walk(node.value, owner, loop, False, {}, depth)
                self._use(node.var, owner)
            case If():
                self._walk(node.test, owner, loop, False, {}, depth)
                self._walk(node.then, owner, loop, tail, targets, depth)
                self._walk(node.other, owner, loop, tail, targets, depth)
            case Attempt():
                self._walk(node.first, owner, loop, tail, targets, depth)
                self._walk(node.other, owner, loop, tail, targets, depth)
            case Seq():
                for part in node.body[:-1]:
                    self._walk(part, owner, loop, False, {}, depth)
                self._walk(node.body[-1], owner, loop, tail, targets, depth)
            case Let():
                for init in node.inits:
                    self._walk(init, owner, loop, False, {}, depth)
                self._bind(node.variables, owner, loop)
                self._walk(node.body, owner, loop, tail, targets, depth)
            case Receive():
                variables = node.required + ([node.rest] if node.rest else [])
                self._bind(variables, owner, loop)
                for var in variables:
                    var.owner = None  # the producer of define-values may name them
                self._walk(node.producer, owner, loop, False, {}, depth)
                for var in variables:
                    var.owner = owner
                self._walk(node.body, owner, loop, tail, targets, depth)
            case Letrec():
                self._letrec(node, owner, loop, tail, targets, depth)
            case Guard():
                self._guard(node, owner, loop, tail, targets, depth)
            case Parameterize():
                for item in node.items:
                    self._walk(item, owner, loop, False, {}, depth)
                self._body_of(node, owner, loop, depth)
            case Lambda():
                self._lambda(node, owner, loop, None)
            case SetGlobal():
                if isinstance(node.value, Lambda):
                    self._lambda(node.value, owner, loop, self.names.get(id(node.value)))
                else:
                    self._walk(node.value, owner, loop, False, {}, depth)
            case Call():
                self._call(node, owner, loop, tail, targets, depth)

    def _lambda(self, node: Lambda, owner: Any, loop: Lambda | None, name: Any) -> None:
        node.parent, node.in_loop = owner, loop
        node.jumps, node.marks = False, False
        params = node.parameters()
        # Whether the body becomes a loop is known only after it was walked; its variables count as
        # bound in it.
        may_jump = self.unit.optimize and name is not None and node.is_plain and node.may_loop
        inner = node if may_jump else None
        self._bind(params, node, inner)
        for _, default in node.optional:
            self._walk(default, node, inner, False, {}, 0)
        for _, _, default in node.keys:
            self._walk(default, node, inner, False, {}, 0)
        self._walk(node.body, node, inner, True, {name: node} if may_jump else {}, 1)

    def _letrec(
        self,
        node: Letrec,
        owner: Any,
        loop: Lambda | None,
        tail: bool,
        targets: dict[Any, Lambda],
        depth: int,
    ) -> None:
        entered = enters_loop(node)
        if entered is not None and entered.loop and depth < LOOP_DEPTH_MAX:
            assert isinstance(node.body, Call)
            for argument in node.body.arguments:
                self._walk(argument, owner, loop, False, {}, depth)
            node.body.jump = entered
            entered.parent, entered.in_loop, entered.jumps = owner, loop, True
            self._bind(entered.required, owner, entered)
            inner = {**targets, node.variables[0]: entered}
            self._walk(entered.body, owner, entered, tail, inner, depth + 1)
            return
        if entered is not None:
            entered.loop = False
        self._bind(node.variables, owner, loop)
        for var in node.variables:
            var.owner = None
        for i, (var, init) in enumerate(zip(node.variables, node.inits, strict=True)):
            if isinstance(init, Lambda):
                # The procedures that follow without a value between them are made together.
                for later in range(i, len(node.inits)):
                    if not isinstance(node.inits[later], Lambda):
                        break
                    node.variables[later].owner = owner
                self._lambda(init, owner, loop, None if var.assigned else var)
            else:
                self._walk(init, owner, loop, False, {}, depth)
                var.owner = owner
        self._walk(node.body, owner, loop, tail, targets, depth)

    def _guard(
        self,
        node: Guard,
        owner: Any,
        loop: Lambda | None,
        tail: bool,
        targets: dict[Any, Lambda],
        depth: int,
    ) -> None:
        self._body_of(node, owner, loop, depth)
        self._lambda(node.selector, owner, loop, None)
        for clause in node.clauses:
            self._bind(clause.required, owner, loop)
            self._walk(clause.body, owner, loop, tail, targets, depth)

    def _body_of(
        self, node: Guard | Parameterize, owner: Any, loop: Lambda | None, depth: int
    ) -> None:
        """The body in place, unless the Python function has too many blocks around it."""
        node.apart = depth >= LOOP_DEPTH_MAX
        node.body.in_place = not node.apart
        if node.apart:
            self._lambda(node.body, owner, loop, None)
        else:
            self._walk(node.body.body, owner, loop, False, {}, depth + 1)

    def _call(
        self,
        node: Call,
        owner: Any,
        loop: Lambda | None,
        tail: bool,
        targets: dict[Any, Lambda],
        depth: int,
    ) -> None:
        node.tail, node.jump = tail, None
        function = node.function
        key: Any = None
        if isinstance(function, Local):
            key = function.var
        elif isinstance(function, Global) and function.library == self.unit.top.is_library:
            key = function.name
        target = targets.get(key) if key is not None else None
        if target is not None and fits(node, target):
            node.jump = target
            target.jumps = True
            if isinstance(function, Local):
                function.var.uses += 1
        else:
            self._walk(function, owner, loop, False, {}, depth)
            if tail and isinstance(owner, Lambda) and not is_direct(node):
                owner.marks = True
        for argument in node.arguments:
            self._walk(argument, owner, loop, False, {}, depth)
