"""Core nodes as statements: where values go, branches, loops, jumps, stores.

Owns: `Statements`, `Dest`, `Frame`. See emitter.py for how the parts work together.
Refuses: expressions (expressions.py) and making procedures (emitter.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from omega.errors import Span
from omega.lisp import inline
from omega.lisp.core import (
    Attempt,
    Call,
    Fail,
    Global,
    Guard,
    Guarded,
    If,
    Inlined,
    Lambda,
    Let,
    Letrec,
    Node,
    Receive,
    Seq,
    SetGlobal,
    SetLocal,
    Variable,
    enters_loop,
    is_direct,
    is_primitive,
)
from omega.lisp.expressions import is_or
from omega.lisp.names import library_name, mangle
from omega.lisp.primitive_calls import PrimitiveCalls
from omega.lisp.syntax import STORE, Block
from omega.lisp.versions import settle_types, type_of, worth_testing

TESTED_MAX = 5  # variables whose types are tested before a loop
PYTHON_TYPES = {"int": "_int", "float": "_float", "vector": "_list"}
CHAIN_MAX = 12  # clauses of a cond that may nest as Python `elif`s


class Frame:
    """A loop around the current position, in whose turn the position is last. `outer` is the loop
    it is last in.
    """

    __slots__ = ("escapes", "lambda_", "outer")

    def __init__(self, lambda_: Lambda | None, outer: Frame | None) -> None:
        self.lambda_ = lambda_
        self.outer = outer
        self.escapes: list[Frame] = []  # loops further out that are continued from inside


class Dest:
    """Where a value goes: "return", "value" (into the temporary `name`) or "effect" (nowhere).

    frame: the loop this position is the last of its turn in; delivering a value then leaves the
    loop. cleared: (variable, the `frame` it is bound in) that are to name nothing when control
    leaves here.
    """

    __slots__ = ("cleared", "frame", "kind", "name")

    def __init__(
        self,
        kind: str,
        name: str = "",
        frame: Frame | None = None,
        cleared: tuple[tuple[str, Frame | None], ...] = (),
    ) -> None:
        self.kind, self.name, self.frame, self.cleared = kind, name, frame, cleared

    def within(self, frame: Frame | None) -> Dest:
        return Dest(self.kind, self.name, frame, self.cleared)

    def clearing(self, name: str) -> Dest:
        return Dest(self.kind, self.name, self.frame, (*self.cleared, (name, self.frame)))

    def left_by(self, target: Frame) -> list[str]:
        """What is to be cleared when the next turn of `target` begins."""
        return [name for name, frame in self.cleared if _is_in(frame, target)]

    @property
    def transfers(self) -> bool:
        """Whether control never goes on behind a delivered value."""
        return self.kind == "return" or self.frame is not None


def _is_in(frame: Frame | None, target: Frame) -> bool:
    while frame is not None and frame is not target:
        frame = frame.outer
    return frame is target


RETURN, EFFECT = Dest("return"), Dest("effect")


class Statements(PrimitiveCalls):
    def into_temp(self, node: Node) -> str:
        name = self.temp()
        self.stmt(node, Dest("value", name))
        return name

    def effect(self, node: Node) -> None:
        self.stmt(node, EFFECT)

    # -- statements ----------------------------------------------------------------------------

    def stmt(self, node: Node, dest: Dest) -> None:
        """Statements that evaluate `node` and deliver its value to `dest`."""
        while True:  # the last part of a node goes round again: long chains do not recurse
            self.at(node.span)
            if self.owes_step and self._comes_to_call(node):
                self._step()
            match node:
                case Seq():
                    for part in node.body[:-1]:
                        if self.owes_step and part in self.unit.calling:
                            self._step()
                        self.stmt(part, EFFECT)
                    node = node.body[-1]
                case Inlined() if not self.is_simple(node) or dest.kind == "return":
                    self._inlined(node, dest)
                    return
                case Let() if self.owes_step or not (is_or(node) and self.is_simple(node)):
                    self._bind(node)
                    node = node.body
                case Receive():
                    self._receive(node)
                    node = node.body
                case Letrec():
                    if self._letrec(node, dest):
                        return
                    node = node.body
                case Attempt() if dest.transfers:
                    self.stmt(node.first, dest)  # what fails comes out behind it
                    node = node.other
                case Fail():
                    return
                case Guard():
                    self.guard(node, dest)
                    return
                case If() if dest.transfers:
                    self._branch(node, dest)
                    node = node.other
                case _:
                    break
        self._leaf(node, dest)

    def _comes_to_call(self, node: Node) -> bool:
        """Whether the step of a procedure that has come to `node` has to be taken before it, not in
        some of its last parts.
        """
        calling = self.unit.calling
        match node:
            case If() if not isinstance(node, Guarded):
                return node.test in calling
            case Let() if not isinstance(node, Inlined):
                return any(init in calling for init in node.inits)
            case Seq():
                return False
            case Receive():
                return node.producer in calling
            case Attempt():
                return any(test in calling for test in node.tests)
        return node in calling

    def _step(self) -> None:
        """The step of the procedure being emitted, here."""
        ran_out: Block = [self.evaluate(self.call("_slice_end_at_entry"))]
        self.out.append(self.per_step([self.break_()], ran_out))
        self.owes_step = False

    def _leaf(self, node: Node, dest: Dest) -> None:
        match node:
            case If():
                self._chain(node, dest)
                return
            case Attempt():
                self._once(node, dest)
                return
            case Call() if node.jump is not None:
                self._jump(node, dest)
                return
            case SetLocal():
                self._set_local(node)
                self.deliver(self.const(None), dest)
                return
            case SetGlobal():
                self.set_global(node)
                self.deliver(self.const(None), dest)
                return
            case Call() if self._record_use(node, dest):
                return
            case Call() if dest.kind == "return" and node.tail and not is_direct(node):
                self._tail_call(node.span, self.operands([node.function, *node.arguments]), dest)
                return
            case Call() if dest.kind == "effect" and self._store(node):
                self.deliver(self.const(None), dest)
                return
        mark = len(self.built)
        if dest.kind != "effect":
            self.keep([node])
        value = self.expr(node)
        if dest.kind == "return":
            del self.built[mark:]
        self.deliver(value, dest, mark)

    def deliver(self, value: ast.expr, dest: Dest, mark: int | None = None) -> None:
        """mark: how many temporaries in `built` are not this value's."""
        if dest.kind == "return":
            if dest.cleared:  # and nothing else is to name the value either
                cleared = [self.walrus(name, self.const(None)) for name, _ in dest.cleared]
                value = self.part_of(self.tuple([value, *cleared]), 0)
            self.out.append(self.return_(value))
            return
        if dest.kind == "value":
            self.out.append(self.assign(dest.name, value))
            if mark is not None:
                self._forget_built(mark)
        elif not isinstance(value, (ast.Constant, ast.Name)):
            self.out.append(self.evaluate(value))
        elif isinstance(value, ast.Name) and not value.id.startswith("_"):
            self.out.append(self.evaluate(value))  # an unbound name must still be noticed
        self.clear(name for name, _ in dest.cleared)
        if dest.frame is not None:
            self.out.append(self.break_())

    def clear(self, names: Iterable[str]) -> None:
        self.out += [self.assign(name, self.const(None)) for name in names]

    def block(self, node: Node, dest: Dest) -> Block:
        outer, self.out = self.out, []
        owes_step = self.owes_step
        self.stmt(node, dest)
        block, self.out = self.out, outer
        self.owes_step = owes_step
        return block

    def _branch(self, node: If, dest: Dest) -> None:
        """`if test: then`, where `then` never comes back; what follows is the other branch."""
        test = self.test(node.test)
        place = self.place
        block = self.block(node.then, dest)
        self.place = place
        self.out.append(self.if_(test, block, []))

    def _chain(self, node: If, dest: Dest) -> None:
        """An if whose branches meet again behind it. A long chain is flat: a loop of one turn, left
        by each branch.
        """
        length = 0
        at: Node = node
        while isinstance(at, If) and length <= CHAIN_MAX:
            length, at = length + 1, at.other
        if length > CHAIN_MAX:
            self._once(node, dest)
            return
        test = self.test(node.test)
        place = self.place
        then = self.block(node.then, dest)
        other = self.block(node.other, dest)
        self.place = place
        if not then and not other:
            self.out.append(self.evaluate(test))
        elif not then:
            self.out.append(self.if_(self.not_(test), other, []))
        else:
            self.out.append(self.if_(test, then, other))

    def _once(self, node: Node, dest: Dest) -> None:
        """A loop of one turn: whatever delivers a value leaves it."""
        self.out.append(self.forever(self.block(node, dest.within(Frame(None, None)))))

    def _bind(self, node: Let) -> None:
        lambdas = [init for init in node.inits if isinstance(init, Lambda)]
        if len(lambdas) == len(node.inits):
            for var, init in zip(node.variables, lambdas, strict=True):
                self.procedures([init], self.named([var]))
            return
        mark = len(self.built)
        self.keep(node.inits)
        values = self.operands(node.inits)
        for name, value in zip(self.named(node.variables), values, strict=True):
            self.out.append(self.assign(name, value))
        self._forget_built(mark)

    def _forget_built(self, mark: int) -> None:
        self.clear(self.built[mark:])
        del self.built[mark:]

    def _inlined(self, node: Inlined, dest: Dest) -> None:
        """A call that is replaced: the step before it is taken, its callee has its own to take."""
        if node.variables:
            self._bind(node)
        body, outer = node.body, self.site
        site = self.sites.number(node.callee.name, node.span, outer)
        if not isinstance(body, Guarded):
            self.site, self.owes_step = site, node.callee.safepoint
            self.stmt(body, dest)
            self.site, self.owes_step = outer, False
            return
        test = self.test(body.test)
        place = self.place
        other = self.block(body.other, dest)
        self.site, self.owes_step = site, node.callee.safepoint
        if dest.transfers:
            self.place = place
            self.out.append(self.if_(self.not_(test), other, []))
            self.stmt(body.then, dest)
        else:
            then = self.block(body.then, dest)
            self.place = place
            self.out.append(self.if_(test, then, other))
        self.site, self.owes_step = outer, False

    def guard(self, node: Guard, dest: Dest) -> None:
        """A guard: see guards.py."""
        raise NotImplementedError

    def _receive(self, node: Receive) -> None:
        value = self.expr(node.producer)
        names = self.named(node.required + ([node.rest] if node.rest else []))
        helper = "_receive_rest" if node.rest else "_receive"
        call = self.call(helper, value, self.const(len(node.required)))
        self.out.append(self.assign_all(names, call) if names else self.evaluate(call))

    def _set_local(self, node: SetLocal) -> None:
        value = self.expr(node.value)
        (name,) = self.named([node.var])
        if node.var.owner is not self.owner:
            self.nonlocals.add(name)
        self.at(node.span)
        self.out.append(self.assign(name, value))

    def set_global(self, node: SetGlobal) -> None:
        """A definition or assignment of a global: see emitter.py."""
        raise NotImplementedError

    def _tail_call(self, span: Span | None, call: list[ast.expr], dest: Dest) -> None:
        """Leave callee and arguments in the register and return the marker: the caller makes the
        call.
        """
        self.at(span)
        self.globals.add("_t")
        self.out.append(self.assign("_t", self.tuple(call)))
        self.clear(name for name, _ in dest.cleared)
        self.out.append(self.return_(self.name("_M")))

    def _record_use(self, node: Call, dest: Dest) -> bool:
        """A record's field, given back or changed as a statement; False when it is neither."""
        accessor = self.accessor(node)
        is_last = dest.kind == "return" and node.tail
        if accessor is None or not (
            (accessor.kind == "set" and (is_last or dest.kind == "effect"))
            or (accessor.kind == "get" and is_last)
        ):
            return False
        assert isinstance(node.function, Global)
        self.at(node.function.span)
        class_: ast.expr = self.name(self.classes[node.function.name])
        if not all(self.is_atom(argument) for argument in node.arguments):
            name = self.temp()  # it is looked at before the arguments, as the procedure would be
            self.out.append(self.assign(name, class_))
            class_ = self.name(name)
        record, *stored = self._as_atoms(node.arguments)
        self.at(node.span)
        test = self.compare(class_, ast.Is(), self.call("_type", record))
        function = self.name(mangle(node.function.name))
        slot = accessor.slots[0]
        outer, self.out = self.out, []
        if stored:
            self.out.append(self.set_attribute(record, slot, stored[0]))
        if is_last:
            self.deliver(self.const(None) if stored else self.attribute(record, slot), dest)
        fast, self.out = self.out, outer
        if is_last:
            self.out.append(self.if_(test, fast, []))
            self._tail_call(node.span, [function, record, *stored], dest)
            return True
        call = self.evaluate(self._checked(self.invoke(function, [record, *stored]), False))
        self.out.append(self.if_(test, fast, [call]))
        self.deliver(self.const(None), dest)
        return True

    def _as_atoms(self, nodes: list[Node]) -> list[ast.expr]:
        """Operands, in temporaries where they are work."""
        values = self.operands(nodes)
        for i, (node, value) in enumerate(zip(nodes, values, strict=True)):
            if not isinstance(value, (ast.Name, ast.Constant)) or not self.is_atom(node):
                name = self.temp()
                self.out.append(self.assign(name, value))
                values[i] = self.name(name)
        return values

    def _store(self, node: Call) -> bool:
        """A primitive that stores, as an assignment; False when it is none of those."""
        if not (self.unit.optimize and is_primitive(node)):
            return False
        assert isinstance(node.function, Global)
        name = node.function.name
        if inline.STORES.get(name) != len(node.arguments):
            return False
        kinds = tuple(type_of(argument) for argument in node.arguments)
        self.at(node.span)
        values = self._as_atoms(node.arguments)
        self.at(node.span)
        parts: dict[str, Any] = dict(zip("ABC", values, strict=False))
        bare = name in inline.SUBSCRIPTS and self.subscripts.add(
            self.place, name, (parts["A"], parts["B"])
        )
        test, place = inline.store(name, kinds, self.lows(node.arguments), bare)
        target: Any = self.fill(place, parts)
        stored: ast.stmt = self.evaluate(target)
        if not isinstance(target, ast.Call):
            target.ctx = STORE
            stored = ast.Assign([target], list(parts.values())[-1], **self.place)
        slow = self.call(library_name(name), *parts.values())
        if isinstance(test, ast.Constant):  # nothing is left to test
            self.out.append(stored)
        else:
            self.out.append(self.if_(self.fill(test, parts), [stored], [self.evaluate(slow)]))
        return True

    # -- loops ---------------------------------------------------------------------------------

    def _letrec(self, node: Letrec, dest: Dest) -> bool:
        """Emit the bindings; True when the body was emitted too, as a loop."""
        loop = enters_loop(node)
        if loop is not None and loop.loop:
            self._loop_versions(node, loop, dest)
            return True
        i = 0
        while i < len(node.inits):
            if not isinstance(node.inits[i], Lambda):
                value = self.expr(node.inits[i])
                self.out.append(self.assign(self.named([node.variables[i]])[0], value))
                i += 1
                continue
            group: list[Lambda] = []
            start = i
            while i < len(node.inits) and isinstance(init := node.inits[i], Lambda):
                group.append(init)
                i += 1
            self.procedures(group, self.named(node.variables[start:i]))
        return False

    def _loop_versions(self, node: Letrec, loop: Lambda, dest: Dest) -> None:
        """A loop; twice, if its turns would test the types of what they get from outside: once with
        that tested before, and once as it is.
        """
        wanted = worth_testing(loop)
        if not wanted or len(wanted) > TESTED_MAX:
            self._loop(node, loop, dest)
            return
        place = self.place
        tests = self.type_tests(wanted)
        for var, kind in wanted.items():
            var.type = kind
        settle_types(node)
        fast = self._loop_block(node, loop, dest)
        for var in wanted:
            var.type = None
        settle_types(node)
        slow = self._loop_block(node, loop, dest)
        self.place = place
        self.out.append(self.if_(self.all_of(tests), fast, slow))

    def type_tests(self, kinds: dict[Variable, str]) -> list[ast.expr]:
        """Tests of whether variables are of these types: one for each type."""
        tests: list[ast.expr] = []
        for kind in sorted(set(kinds.values())):
            names = self.named([var for var in kinds if kinds[var] == kind])
            types = [self.call("_type", self.name(name)) for name in names]
            of_kind = [*types[1:], self.name(PYTHON_TYPES[kind])]
            operators: list[ast.cmpop] = [ast.Is()] * len(types)
            tests.append(ast.Compare(types[0], operators, of_kind, **self.place))
        return tests

    def all_of(self, tests: list[ast.expr]) -> ast.expr:
        if not tests:
            return self.const(True)
        return tests[0] if len(tests) == 1 else self.both(ast.And(), tests)

    def _loop_block(self, node: Letrec, loop: Lambda, dest: Dest) -> Block:
        outer, self.out = self.out, []
        owes_step = self.owes_step
        self._loop(node, loop, dest)
        block, self.out = self.out, outer
        self.owes_step = owes_step
        return block

    def _loop(self, node: Letrec, loop: Lambda, dest: Dest) -> None:
        assert isinstance(node.body, Call)
        values = self.operands(node.body.arguments)
        for name, value in zip(self.named(loop.required), values, strict=True):
            self.out.append(self.assign(name, value))
        frame = Frame(loop, dest.frame)
        if not loop.safepoint:
            self.stmt(loop.body, dest)
            return
        self.owes_step = not loop.turns
        body = self.block(loop.body, dest.within(frame))
        place = self.place
        self.at(loop.span)
        if frame.escapes:
            self.out.append(self.assign("_k", self.const(0)))
        self.owes_step = False
        if loop.turns:
            ran_out: Block = [self.evaluate(self.call("_slice_end")), self.continue_()]
            body = [self.per_step(body, ran_out)]
            if dest.kind != "return" or frame.escapes:
                body.append(self.break_())
        self.out.append(self.forever(body))
        self._after_loop(frame, dest)
        self.place = place

    def _after_loop(self, frame: Frame, dest: Dest) -> None:
        """Behind a loop: continue the outer loop it wanted, or deliver what it left."""
        for number, target in enumerate(frame.escapes, 1):
            test = self.compare(self.name("_k"), ast.Eq(), self.const(number))
            self.out.append(self.if_(test, self._continue(target, frame.outer), []))
        if dest.kind != "return" and dest.frame is not None:
            self.out.append(self.break_())

    def _continue(self, target: Frame, innermost: Frame | None) -> Block:
        """Statements that start the next turn of `target` from within `innermost`."""
        assert innermost is not None
        if target is innermost:
            return [self.continue_()]
        if target not in innermost.escapes:
            innermost.escapes.append(target)
        number = innermost.escapes.index(target) + 1
        return [self.assign("_k", self.const(number)), self.break_()]

    def _jump(self, node: Call, dest: Dest) -> None:
        target = dest.frame
        while target is not None and target.lambda_ is not node.jump:
            target = target.outer
        assert target is not None and node.jump is not None
        names = self.named(node.jump.required)
        mark = len(self.built)
        self.keep(node.arguments)
        values = self.operands(node.arguments)
        moves = [
            (name, value)
            for name, value in zip(names, values, strict=True)
            if not (isinstance(value, ast.Name) and value.id == name)
        ]
        self.at(node.span)
        if len(moves) == 1:
            self.out.append(self.assign(*moves[0]))
        elif moves:
            self.out.append(
                self.assign_all([n for n, _ in moves], self.tuple([v for _, v in moves]))
            )
        self.clear(dest.left_by(target))
        self._forget_built(mark)
        self._look_at_name(node)
        self.out += self._continue(target, dest.frame)

    def _look_at_name(self, node: Call) -> None:
        """A procedure that calls itself by its global name looks whether that still means it; if
        not, it calls what it means, with the arguments the loop has for its next turn.
        """
        function, target = node.function, node.jump
        if target is None or not isinstance(function, Global) or self.unit.top.is_library:
            return
        self.checks_name = True
        name = self.global_name(function.name, False)
        arguments = [self.name(n) for n in self.named(target.required)]
        if self.in_worker:
            call = self.invoke(self.name(self.worker_name(function.name, target)), arguments)
            otherwise: Block = [self.return_(call)]
        elif target.marks:
            self.globals.add("_t")
            register = self.assign("_t", self.tuple([self.name(name), *arguments]))
            otherwise = [register, self.return_(self.name("_M"))]
        else:
            self.entries.add(function.name)
            otherwise = [self.return_(self.invoke(self.name(f"{name}ǁv"), arguments))]
        still = self.name(self.numbered(function.name, "ǁf"))
        self.out.append(self.if_(self.not_(still), otherwise, []))
