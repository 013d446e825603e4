"""Loops and their turns as statements; the bindings of a letrec.

Owns: `Loops`. A loop is a `while` of the function it stands in, written twice where its turns would
else test the types of what comes from outside.
Refuses: deciding what is a loop (analysis.py) and what its variables are (versions.py).
"""

from __future__ import annotations

import ast

from omega.lisp.core import Call, Global, Lambda, Letrec, Variable, enters_loop
from omega.lisp.statements import Dest, Frame, Statements
from omega.lisp.syntax import Block
from omega.lisp.versions import settle_types, worth_testing

TESTED_MAX = 5  # variables whose types are tested before a loop
PYTHON_TYPES = {"int": "_int", "float": "_float", "vector": "_list"}


class Loops(Statements):
    def letrec(self, node: Letrec, dest: Dest) -> bool:
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
        outer, self.raising = self.raising, None
        body = self.block(loop.body, dest.within(frame))
        self.raising = outer
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

    def jump(self, node: Call, dest: Dest) -> None:
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
