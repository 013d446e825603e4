"""Core nodes as statements: where values go, branches, stores, tail calls.

Owns: `Statements`, `Dest`, `Frame`. See emitter.py for how the parts work together.
Refuses: expressions (expressions.py) and making procedures (emitter.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from omega.errors import Span
from omega.lisp import inline
from omega.lisp.analysis import known_callee
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
    Parameterize,
    Receive,
    Seq,
    SetGlobal,
    SetLocal,
    is_direct,
    is_primitive,
)
from omega.lisp.expressions import is_or
from omega.lisp.names import library_name, mangle
from omega.lisp.positions import positions
from omega.lisp.primitive_calls import PrimitiveCalls
from omega.lisp.syntax import STORE, Block
from omega.lisp.versions import type_of

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
                    if self.letrec(node, dest):
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
                case Parameterize():
                    self.parameterize(node, dest)
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
                self.jump(node, dest)
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
            case Call() if (
                dest.kind == "return" and node.tail and self._positional_tail(node, dest)
            ):
                return
            case Call() if dest.kind == "return" and node.tail and not is_direct(node):
                self._tail_call(node.span, self.operands([node.function, *node.arguments]), dest)
                return
            case Call() if self.jumps_out(node):
                self.raise_out(node)
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
        outer, self.raising = self.raising, None
        self.out.append(self.forever(self.block(node, dest.within(Frame(None, None)))))
        self.raising = outer

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
        """A guard: see unwinding.py."""
        raise NotImplementedError

    def parameterize(self, node: Parameterize, dest: Dest) -> None:
        """Parameters given values while a body runs: see unwinding.py."""
        raise NotImplementedError

    def raise_out(self, node: Call) -> None:
        """A raise within the body of a guard: see unwinding.py."""
        raise NotImplementedError

    def letrec(self, node: Letrec, dest: Dest) -> bool:
        """Bindings and loops: see loops.py."""
        raise NotImplementedError

    def jump(self, node: Call, dest: Dest) -> None:
        """The next turn of a loop: see loops.py."""
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

    def _positional_tail(self, node: Call, dest: Dest) -> bool:
        """A tail call of a worker that takes every parameter in its place; False if it is none."""
        callee = known_callee(node, self.unit)
        if callee is None or not callee.positional or not isinstance(node.function, Global):
            return False
        given = positions(node, callee)
        if given is None:
            return False
        values = self._as_atoms(node.arguments)
        self.at(node.span)
        worker, general = self.positional_calls(node, callee, given, values)
        flag = self.flag(node.function.name)
        self._register(self.choose(flag, self.tuple(worker), self.tuple(general)), dest)
        return True

    def _tail_call(self, span: Span | None, call: list[ast.expr], dest: Dest) -> None:
        """Leave callee and arguments in the register and return the marker: the caller makes the
        call.
        """
        self.at(span)
        self._register(self.tuple(call), dest)

    def _register(self, call: ast.expr, dest: Dest) -> None:
        self.globals.add("_t")
        self.out.append(self.assign("_t", call))
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
