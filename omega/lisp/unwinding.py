"""Guard and parameterize as statements: a Python `try` around the body, and what follows it.

Owns: `Unwinding`. The entry of a guard in the handler stack is a tuple made here, which stands for
it while its body runs (conditions.py: GUARD_PARTS); a selector is asked where the condition was
signalled, and what it chose is done here, behind the `try`.
Refuses: Lisp code inside an `except`; choosing a clause; what a parameter is.
"""

from __future__ import annotations

import ast

from omega.lisp.core import Call, Guard, Parameterize
from omega.lisp.expressions import Raising
from omega.lisp.loops import Loops
from omega.lisp.statements import CHAIN_MAX, Dest, Frame
from omega.lisp.syntax import Block


class Unwinding(Loops):
    def guard(self, node: Guard, dest: Dest) -> None:
        """Its body in a Python `try`. What leaves that is looked at behind it: no Lisp code runs
        inside an `except`.
        """
        selector = self.selector(node.selector)
        dynamics, entry, left, value = (self.temp() for _ in range(4))
        self.at(node.span)
        place = self.place
        self.out.append(self.assign(dynamics, self.call("_dynamics")))
        state = [
            self.attribute(self.name(dynamics), n) for n in ("handlers", "parameters", "effects")
        ]
        self.out.append(self.assign(entry, self.tuple([self.name(selector), *state])))
        self.out.append(self.set_attribute(self.name(dynamics), "handlers", self.name(entry)))
        to = Raising(entry, dynamics, left, self.temp())
        around, self.raising = self.raising, to
        body = self._body(node, value, "guard")
        self.raising = around
        self.place = place
        if to.used:
            self.clear([left, to.chosen])
            body = [self.forever([*body, self.break_()])]
        else:
            body.append(self.assign(left, self.const(None)))
        self._try(body, left)
        # It went well:
        outer, self.out = self.out, []
        was = self.part_of(self.name(entry), 1)
        self.out.append(self.set_attribute(self.name(dynamics), "handlers", was))
        self.deliver(self.name(value), dest)
        well, self.out = self.out, []
        self._clauses(node, to, dest)
        chosen, self.out = self.out, outer
        self.place = place
        test = self.compare(self.name(left), ast.Is(), self.const(None))
        if dest.transfers:
            self.out += [self.if_(test, well, []), *chosen]
        else:
            self.out.append(self.if_(test, well, chosen))

    def raise_out(self, node: Call) -> None:
        """A raise within the body of a guard, whose clauses stand behind that: a jump, unless the
        guard refuses the condition.
        """
        assert self.raising is not None
        to = self.raising
        to.used = True
        (condition,) = self.operands(node.arguments)
        self.at(node.span)
        state = (self.name(to.entry), self.name(to.dynamics))
        call = self.call("_raise_within", *state, condition)
        self.out += [self.assign(to.chosen, call), self.assign(to.left, self.name(to.chosen))]
        self.out.append(self.break_())

    def parameterize(self, node: Parameterize, dest: Dest) -> None:
        """The same for parameters: what leaves the body goes on behind it, where the parameters are
        as they were, once handlers have run that stand around it.
        """
        dynamics, before, left, value = (self.temp() for _ in range(4))
        items = self.tuple(self.operands(node.items))
        self.at(node.span)
        place = self.place
        self.out.append(self.assign(dynamics, self.call("_dynamics")))
        state = [self.name(dynamics), items]
        self.out.append(self.assign(before, self.call("_parameterize", *state)))
        body = self._body(node, value, "parameterize")
        self.place = place
        self._try([*body, self.assign(left, self.const(None))], left)
        parts = [self.name(name) for name in (dynamics, before, left)]
        leave = self.evaluate(self.call("_parameterize_left", *parts))
        was_left = self.compare(self.name(left), ast.IsNot(), self.const(None))
        self.out.append(self.if_(was_left, [leave], []))
        self.out.append(self.set_attribute(self.name(dynamics), "parameters", self.name(before)))
        self.deliver(self.name(value), dest)

    def _try(self, body: Block, left: str) -> None:
        """`body` in a `try`; what leaves it is in `left`."""
        caught = self.temp()
        kept = self.assign(left, self.name(caught))
        self.out.append(self.try_(body, "_BaseException", caught, [kept]))

    def _body(self, node: Guard | Parameterize, value: str, name: str) -> Block:
        if node.apart:
            outer, self.out = self.out, []
            function = self.name(self.procedures([node.body], [self.fresh(name)])[0])
            call = self._checked(self.call(function), not node.body.marks)
            self.out.append(self.assign(value, call))
            body, self.out = self.out, outer
            return body
        site = self.site
        self.site = self.sites.number(name, node.span, site)
        self.owes_step = node.body.safepoint
        body = self.block(node.body.body, Dest("value", value))
        self.site, self.owes_step = site, False
        return body

    def _clauses(self, node: Guard, to: Raising, dest: Dest) -> None:
        """What a guard does whose body was left: the clause its selector chose, if it did."""
        chosen = to.chosen
        call = self.call("_guard_left", *map(self.name, (to.entry, to.dynamics, to.left)))
        asked: Block = [self.assign(chosen, call)]
        if to.used:
            is_unasked = self.compare(self.name(chosen), ast.Is(), self.const(None))
            asked = [self.if_(is_unasked, asked, [])]
        self.out += asked
        self.clear([to.left])
        if len(node.clauses) > CHAIN_MAX and not dest.transfers:
            outer, self.out = self.out, []
            raising, self.raising = self.raising, None
            self._clause_chain(node, chosen, dest.within(Frame(None, None)))
            self.raising = raising
            chain, self.out = self.out, outer
            self.out.append(self.forever(chain))
        else:
            self._clause_chain(node, chosen, dest)

    def _clause_chain(self, node: Guard, chosen: str, dest: Dest) -> None:
        place, site = self.place, self.site
        blocks: list[tuple[ast.expr, Block]] = []
        test: ast.expr
        for i, clause in enumerate(node.clauses):
            self.at(node.span)
            number = self.part_of(self.name(chosen), 0)
            test = self.compare(number, ast.Eq(), self.const(i))
            outer, self.out = self.out, []
            inner = dest
            for var, part in zip(clause.required, (1, 2), strict=False):
                if var.uses:
                    (name,) = self.named([var])
                    self.out.append(self.assign(name, self.part_of(self.name(chosen), part)))
                    if not var.captured:  # what is caught knows this frame: no circle is to be left
                        inner = inner.clearing(name)
            self.clear([chosen])
            self.site = self.sites.number("guard", clause.span, site)
            self.owes_step = clause.safepoint
            self.stmt(clause.body, inner)
            self.site, self.owes_step = site, False
            block, self.out = self.out, outer
            blocks.append((test, block))
        self.place = place
        if not blocks:
            return
        if dest.transfers:
            for test, block in blocks[:-1]:
                self.out.append(self.if_(test, block, []))
            self.out += blocks[-1][1]
            return
        chain = blocks[-1][1]
        for test, block in reversed(blocks[:-1]):
            chain = [self.if_(test, block, chain)]
        self.out += chain
