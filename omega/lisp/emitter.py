"""Core nodes to a Python syntax tree.

Owns: `Emitter`. One text becomes one Python function `_unit`, a long one some; each Lisp procedure
becomes a Python function inside it; loops become `while` loops of the function they stand in.
Spellings of names: names.py.
Refuses: deciding anything analysis.py can decide.

How it works. `expr(node)` gives a Python expression, first appending to `self.out` whatever
statements must run before it; `stmt(node, dest)` appends statements that deliver the node's value
to a destination. Operands stay in order: when a later operand needs statements, earlier ones move
into temporaries first. Expressions are in expressions.py, statements in statements.py, loops in
loops.py, what unwinding stops at in unwinding.py, definitions, procedures and whole texts here.

Invariants: no Lisp code runs inside an `except` or `finally`; statement chains are flat; every
call a procedure makes is behind its step (`owes_step`), where core.py says.
"""

from __future__ import annotations

import ast
from typing import Any

from omega.lisp.core import Lambda, Local, Node, SetGlobal, SetLocal, Variable, children
from omega.lisp.docstring import docstring
from omega.lisp.refusals import Subscripts
from omega.lisp.sites import Sites
from omega.lisp.statements import EFFECT, RETURN, Dest, Frame
from omega.lisp.syntax import Block
from omega.lisp.unwinding import Unwinding
from omega.lisp.versions import assuming

PART_NODES = 100  # forms of a text that share a Python function: see `_code` in compiler.py


class Emitter(Unwinding):
    # -- the text ------------------------------------------------------------------------------

    def modules(self) -> list[ast.Module]:
        """The text as modules holding one function each, `_unit`, to be called one after the other;
        the result of the last is the last form's value.
        """
        nodes = self.unit.nodes
        starts = range(0, len(nodes), PART_NODES) or (0,)
        return [self._part(nodes[at : at + PART_NODES], at == starts[-1]) for at in starts]

    def _part(self, nodes: list[Node], is_last: bool) -> ast.Module:
        self.out, self.globals, self.nonlocals, self.selectors = [], set(), set(), []
        self.sites, self.subscripts = Sites(), Subscripts()
        for node in nodes[:-1] if is_last else nodes:
            self.stmt(node, EFFECT)
        if is_last and nodes:
            self.out.append(self.return_(self.expr(nodes[-1])))
        self.out[:0] = self.selectors
        known = (self.sites.known, self.files.known, self.subscripts.lines())
        facts = docstring("", None, None, *known)
        head: Block = [self.evaluate(self.const(facts))] if facts else []
        body = head + self._with_declarations(self.out)
        return ast.Module([self.def_("_unit", [], body or [self.pass_()])], [])

    def _with_declarations(self, body: Block) -> Block:
        head: Block = []
        if self.globals:
            head.append(self.global_(sorted(self.globals)))
        if self.nonlocals:
            head.append(self.nonlocal_(sorted(self.nonlocals)))
        return head + body

    def set_global(self, node: SetGlobal) -> None:
        name = self.global_name(node.name, node.library)
        self.globals.add(name)
        if isinstance(node.value, Lambda) and node.define:
            self.procedures([node.value], [name])
            for worker in self.made_workers:
                assert isinstance(worker, ast.FunctionDef)
                self.globals.add(worker.name)
                self.out.append(worker)
        elif node.define:
            self.out.append(self.assign(name, self.expr(node.value)))
        else:
            # `set!` of a name that has no value is an error: look, behind the evaluation.
            value = self.expr(node.value)
            if not isinstance(value, ast.Constant):
                temp = self.temp()
                self.out.append(self.assign(temp, value))
                value = self.name(temp)
            self.at(node.span)
            self.out.append(self.evaluate(self.name(name)))
            self.out.append(self.assign(name, value))
        if node.library:
            self.made_workers = []
            return
        known = self.unit.known.get(node.name)
        # Whether this is the only definition there will be, as far as we see.
        sure = known is not None and known is node.value
        if (
            sure and known is not None and not known.marks and known.is_plain
        ) or node.name in self.classes:
            self._alias(name, "ǁv", self.name(name))
        elif node.name in self.entries:
            self._alias(name, "ǁv", self.call("_value_entry", self.name(name)))
        earlier = self.workers_of.get(node.name)
        if earlier is not None:
            # Its public procedure is that worker's no more; calls still running go to the new one.
            self._alias(name, f"ǁf{earlier}", self.const(False))
            self._alias(name, f"ǁr{earlier}", self.name("_U"))
            self._alias(name, f"ǁi{earlier}", self.call("_worker_entry", self.name(name)))
            self._alias(name, f"ǁw{earlier}", self.call("_value_entry", self.name(name)))
        if self.made_workers or self.checks_name or node.name in {**self.flags, **self.classes}:
            number = self.workers_of[node.name] = (earlier or 0) + 1
            self._alias(name, f"ǁf{number}", self.const(True))
            if node.name in self.classes:
                self._alias(name, f"ǁr{number}", self.call("_class_of", self.name(name)))
            self.made_workers, self.checks_name = [], False

    def _alias(self, name: str, suffix: str, value: ast.expr) -> None:
        self.globals.add(name + suffix)
        self.out.append(self.assign(name + suffix, value))

    # -- procedures ----------------------------------------------------------------------------

    def procedures(self, group: list[Lambda], names: list[str]) -> list[str]:
        """Make procedures that may name each other, under `names`.

        A variable of a loop around them that they capture is passed to a factory, so each turn's
        procedures keep that turn's value.
        """
        own = set(names)
        turned = sorted(
            {var.python or self.named([var])[0] for fn in group for var in self._turning(fn)} - own
        )
        defs: Block = [self.function(fn, name) for fn, name in zip(group, names, strict=True)]
        if not turned:
            self.out += defs
            return names
        made = (
            self.tuple([self.name(name) for name in names])
            if len(names) > 1
            else self.name(names[0])
        )
        factory = self.temp()
        for definition in defs:
            assert isinstance(definition, ast.FunctionDef)
        self.out.append(self.def_(factory, turned, [*defs, self.return_(made)]))
        call = self.call(factory, *(self.name(name) for name in turned))
        self.out.append(
            self.assign_all(names, call) if len(names) > 1 else self.assign(names[0], call)
        )
        return names

    def selector(self, fn: Lambda) -> str:
        """A guard's selector: one for all times the guard is entered, if it needs nothing of what
        stands around it.
        """
        (name,) = [self.fresh("guard")]
        work: list[Node] = [fn]
        while work:
            at = work.pop()
            if isinstance(at, (Local, SetLocal)) and not self._is_within(at.var.owner, fn):
                return self.procedures([fn], [name])[0]
            work.extend(children(at))
        self.selectors.append(self.function(fn, name))
        return name

    def _is_within(self, owner: Any, fn: Lambda) -> bool:
        while isinstance(owner, Lambda) and owner is not fn:
            owner = owner.parent
        return owner is fn

    def _turning(self, fn: Lambda) -> list[Variable]:
        """The variables bound in a loop of the current function that `fn` uses."""
        return [
            var
            for var in self._of_loops(fn)
            if var.owner is self.owner and var.loop is not None and var.loop.jumps
        ]

    def _of_loops(self, fn: Lambda) -> dict[Variable, None]:
        """The variables bound in loops that `fn` uses, or what is made in it; found once."""
        found = self.of_loops.get(fn)
        if found is None:
            found = self.of_loops[fn] = {}
            work: list[Node] = list(children(fn))
            while work:
                at = work.pop()
                if isinstance(at, Lambda):
                    found.update(self._of_loops(at))
                    continue
                if isinstance(at, Local) and at.var.loop is not None:
                    found[at.var] = None
                work.extend(children(at))
        return found

    def function(self, fn: Lambda, name: str) -> ast.FunctionDef:
        """The Python function of a procedure."""
        outer = (self.out, self.owner, self.globals, self.nonlocals, self.depth, self.place)
        owes_step, facts = self.owes_step, (self.site, self.sites, self.subscripts)
        raising, self.raising = self.raising, None
        self.site, self.sites, self.subscripts = 0, Sites(), Subscripts()
        self.out, self.owner, self.globals, self.nonlocals, self.depth = [], fn, set(), set(), 0
        self.at(fn.span)
        place = self.place
        self.owes_step = fn.safepoint
        optional: list[str] = []
        rest: str | None = None
        params = self.named(fn.required)
        sorted_: Block = []  # what sorts the arguments
        if fn.keys or fn.all_keys:
            rest = self.temp()
            sorted_.append(self._keyword_prologue(fn, rest))
        else:
            optional = self.named([var for var, _ in fn.optional])
            if fn.rest is not None:
                (rest,) = self.named([fn.rest])
                sorted_.append(self._rest_prologue(rest))
        self._prologue(fn, [] if fn.positional else sorted_)
        self._procedure_body(fn)
        if fn.positional:
            self.out = self._behind_worker(fn, sorted_)
        self.place = place
        written = None if self.unit.top.is_library else fn.span
        sites, files = (self.sites.known, self.files.known) if written else ((), ())
        doc = docstring(fn.signature, written, fn.doc, sites, files, self.subscripts.lines())
        head: Block = [self.evaluate(self.const(doc))]
        body = head + self._with_declarations(self.out)
        for worker_name, worker_params, block in self.workers:
            self.made_workers.append(
                self.def_(worker_name, worker_params, head + self._with_declarations(block))
            )
        self.workers = []
        self.out, self.owner, self.globals, self.nonlocals, self.depth, _ = outer
        self.owes_step, (self.site, self.sites, self.subscripts) = owes_step, facts
        self.raising = raising
        definition = self.def_(name, params, body, optional, rest)
        self.place = outer[5]
        return definition

    def _prologue(self, fn: Lambda, sorted_: Block) -> None:
        """What runs before the body: the arguments are sorted, defaults evaluated."""
        self.out += sorted_
        if fn.turns and not fn.is_plain:
            self._step()  # before defaults, which may call it
        for var, default in fn.optional:
            self._default(var, default)
        for _, var, default in fn.keys:
            self._default(var, default)
        if fn.kinds or fn.worker:
            self._versions(fn)

    def _behind_worker(self, fn: Lambda, sorted_: Block) -> Block:
        """What is emitted becomes a worker that takes every parameter in its place; the code of the
        procedure itself, which calls that.
        """
        params = self.named(fn.parameters())
        worker = self.numbered(fn.name, "ǁk")
        self.workers.append((worker, params, self.out))
        self.nowhere()
        call = self.invoke(self.name(worker), [self.name(param) for param in params])
        return [*sorted_, self.return_(call)]

    def _procedure_body(self, fn: Lambda) -> None:
        """The procedure's step and body; every path returns."""
        place = self.place
        if not fn.jumps:
            if self.owes_step and fn.turns:
                self._step()
            self.stmt(fn.body, RETURN)
            return
        self.owes_step = not fn.turns
        body = self.block(fn.body, RETURN.within(Frame(fn, None)))
        self.place = place
        if fn.turns:
            body = [self.per_step(body, [self.evaluate(self.call("_slice_end"))])]
        self.out.append(self.forever(body))

    def _versions(self, fn: Lambda) -> None:
        """The code for arguments of known types, before the code for any: in place, or as a worker
        that calls itself.
        """
        tests = self.type_tests(fn.kinds)
        outer, self.out = self.out, []
        owes_step = self.owes_step
        self.in_worker = fn.worker
        with assuming(fn):
            self._procedure_body(fn)
        self.in_worker = False
        block, self.out = self.out, outer
        self.owes_step = owes_step
        if fn.worker:
            params = self.named(fn.required)
            worker = self.worker_name(fn.name, fn)
            self.workers.append((worker, params, block))
            self.nowhere()
            block = [self.return_(self.invoke(self.name(worker), [self.name(p) for p in params]))]
            self.at(fn.span)
            if not self.unit.top.is_library:
                # Only while the name still means this procedure: its worker calls itself.
                tests.insert(0, self.name(self.numbered(fn.name, "ǁf")))
        self.out.append(self.if_(self.all_of(tests), block, []))

    def _default(self, var: Variable, default: Node) -> None:
        (name,) = self.named([var])
        test = self.compare(self.name(name), ast.Is(), self.name("_U"))
        self.out.append(self.if_(test, self.block(default, Dest("value", name)), []))

    def _rest_prologue(self, rest: str) -> ast.stmt:
        made = self.call("_to_list", self.name(rest))
        return self.assign(rest, self.choose(self.name(rest), made, self.name("_Nil")))

    def _keyword_prologue(self, fn: Lambda, rest: str) -> ast.stmt:
        """Sort what follows the required arguments into optional and keyword parameters."""
        names = self.named(
            [var for var, _ in fn.optional]
            + [var for _, var, _ in fn.keys]
            + ([fn.all_keys] if fn.all_keys else [])
        )
        keywords = self.tuple([self.const(keyword) for keyword, _, _ in fn.keys])
        call = self.call(
            "_bind_keywords",
            self.const(fn.signature),
            self.name(rest),
            self.const(len(fn.optional)),
            keywords,
            self.const(fn.all_keys is not None),
        )
        return self.assign_all(names, call)
