"""Core nodes to Python expressions: operands in order, tests, calls.

Owns: `Expressions`, the half of the emitter that answers with a Python expression. What an
expression needs done before it goes to `self.out` as statements.
Refuses: calls of primitives (primitive_calls.py) and control flow (statements.py).

Invariants: operands are evaluated from left to right, whatever needs statements; no call goes
through C (`f(*args)`, `__call__`); expressions nest at most EXPR_DEPTH_MAX deep.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from omega.lisp import inline
from omega.lisp.accessors import Accessor
from omega.lisp.analysis import Unit, known_callee
from omega.lisp.core import (
    Call,
    Const,
    Global,
    Guarded,
    If,
    InForce,
    Inlined,
    Lambda,
    Let,
    Local,
    Node,
    Seq,
    SetGlobal,
    SetLocal,
    Variable,
    children,
    fits,
    is_direct,
    is_primitive,
)
from omega.lisp.data import Char, Keyword, Nil, Symbol
from omega.lisp.host import WIDE_MAX
from omega.lisp.literals import LITERAL
from omega.lisp.names import library_name, mangle
from omega.lisp.positions import Positions, positions
from omega.lisp.refusals import Subscripts
from omega.lisp.sites import Sites
from omega.lisp.syntax import Block, Builder
from omega.lisp.versions import takes_kinds, type_of

EXPR_DEPTH_MAX = 40

_LEAVES = (Const, Local, Global, Lambda)
IDENTITY = (Symbol, Keyword, Char, bool, type(None), type(Nil))


class Raising:
    """The body of a guard: the temporaries that hold the guard's entry, the Dynamics, what left the
    body and what the guard is to do. `used` once a raise jumps out of it.
    """

    __slots__ = ("chosen", "dynamics", "entry", "left", "used")

    def __init__(self, entry: str, dynamics: str, left: str, chosen: str) -> None:
        self.entry, self.dynamics, self.left, self.chosen = entry, dynamics, left, chosen
        self.used = False


class Expressions(Builder):
    def __init__(self, unit: Unit, entries: set[str], workers_of: dict[str, int]) -> None:
        """entries: program globals that some compiled text calls through their value entry.
        workers_of: how many workers each has had. Both are added to; a definition that comes later
        keeps what the earlier ones promise. See docs/decisions/0003.
        """
        super().__init__()
        self.unit = unit
        self.entries, self.workers_of = entries, workers_of
        self.literals: list[Any] = []
        self.out: Block = []
        self.owner: Any = unit
        self.globals: set[str] = set()  # assigned by the function being emitted
        self.nonlocals: set[str] = set()
        # Each definition that calls were replaced of has a flag: whether it is in force.
        self.flags = {name: workers_of.get(name, 0) + 1 for name in unit.inlined}
        # ... and each procedure of a record type has its class there, as long.
        self.classes = {
            name: f"{mangle(name)}ǁr{workers_of.get(name, 0) + 1}" for name in unit.accessors
        }
        self.sites, self.subscripts = Sites(), Subscripts()
        self.taken = {self.global_name(name, lib) for name, lib in unit.globals}
        self.counts: dict[str, int] = {}
        self.depth = 0
        self.pinned = 0
        self.selectors: Block = []  # of guards: procedures that need nothing around them
        self.kept: set[Node] = set()  # see `keep`
        self.built: list[str] = []  # temporaries that name what was kept
        self.workers: list[tuple[str, list[str], Block]] = []  # of the procedure being emitted
        self.made_workers: Block = []
        self.of_loops: dict[Lambda, dict[Variable, None]] = {}  # see Emitter
        self._simple: dict[int, bool] = {}
        # The procedure being emitted takes a step and has not yet, on the way to this place.
        self.owes_step = False
        self.in_worker = False  # it is a worker
        self.checks_name = False  # the definition being emitted looks whether it is still in force
        # The guard in whose body this place is, if a `break` from here leaves just that.
        self.raising: Raising | None = None

    # -- names ---------------------------------------------------------------------------------

    def global_name(self, name: str, library: bool | None) -> str:
        return library_name(name) if library else mangle(name)

    def fresh(self, name: str) -> str:
        """A Python name for a local called `name`, used nowhere else in this text."""
        base = mangle(name)
        while True:
            n = self.counts[base] = self.counts.get(base, 0) + 1
            spelled = base if n == 1 else f"{base}ǁ{n}"
            if spelled not in self.taken:
                return spelled

    def temp(self) -> str:
        n = self.counts["_"] = self.counts.get("_", 0) + 1
        return f"_{n}"

    def named(self, variables: list[Variable]) -> list[str]:
        for var in variables:
            if not var.python:
                var.python = self.fresh(var.name)
        return [var.python for var in variables]

    # -- what the other half gives -------------------------------------------------------------

    def into_temp(self, node: Node) -> str:
        """Evaluate `node` by statements into a temporary; its name."""
        raise NotImplementedError

    def effect(self, node: Node) -> None:
        """Statements that evaluate `node` and drop its value."""
        raise NotImplementedError

    def procedures(self, group: list[Lambda], names: list[str]) -> list[str]:
        """Make procedures that may name each other, under `names`."""
        raise NotImplementedError

    def selector(self, fn: Lambda) -> str:
        """Make a guard's selector; its name."""
        raise NotImplementedError

    # -- expressions ---------------------------------------------------------------------------

    def expr(self, node: Node) -> ast.expr:
        """A Python expression for the value; statements it needs go to `self.out` first."""
        self.depth += 1
        place = self.place
        try:
            if self.depth > EXPR_DEPTH_MAX and not self.pinned and not isinstance(node, _LEAVES):
                depth, self.depth = self.depth, 0
                name = self.into_temp(node)
                self.depth = depth
                return self.name(name)
            self.at(node.span)
            return self._expr(node)
        finally:
            self.depth -= 1
            self.place = place

    def _expr(self, node: Node) -> ast.expr:
        match node:
            case Const():
                return self.constant(node.value)
            case Local():
                return self.name(self.named([node.var])[0])
            case Global():
                return self.name(self.global_name(node.name, node.library))
            case Call() if node.jump is None:
                return self.call_expr(node)
            case Inlined() if self.is_simple(node):
                return self._inlined_expr(node, self.expr)
            case InForce():
                return self.flag(node.name)
            case If() if self.is_simple(node):
                test = self.test(node.test)
                self.pinned += 1  # what a branch needs must not move out of it
                then, other = self.expr(node.then), self.expr(node.other)
                self.pinned -= 1
                return self.choose(test, then, other)
            case Let() if self.is_simple(node):
                self.pinned += 1
                either = self._or_expr(node)
                self.pinned -= 1
                return either
            case Lambda():
                return self.name(self.procedures([node], [self.fresh(node.name)])[0])
            case Seq():
                for part in node.body[:-1]:
                    self.effect(part)
                return self.expr(node.body[-1])
            case SetLocal() | SetGlobal():
                self.effect(node)
                return self.const(None)
        return self.name(self.into_temp(node))

    def _inlined_expr(self, node: Inlined, part: Callable[[Node], ast.expr]) -> ast.expr:
        """A call that is replaced, where nothing needs statements. part: makes its value."""
        body = node.body
        outer = self.site
        self.pinned += 1
        if isinstance(body, Guarded):
            other = part(body.other)
            flag = self.test(body.test)
            self.site = self.sites.number(node.callee.name, node.span, outer)
            value: ast.expr = self.choose(flag, part(body.then), other)
        else:
            self.site = self.sites.number(node.callee.name, node.span, outer)
            value = part(body)
        self.site = outer
        self.pinned -= 1
        return value

    def flag(self, name: str) -> ast.expr:
        """Whether the global still means what this text defines."""
        return self.name(f"{mangle(name)}ǁf{self.flags[name]}")

    def _or_expr(self, node: Let) -> ast.expr:
        """`(or a b)` in value position: `t if (t := a) is not False else b`."""
        assert isinstance(node.body, If)
        name = self.temp()
        first = self.walrus(name, self.expr(node.inits[0]))
        test = self.compare(first, ast.IsNot(), self.const(False))
        return self.choose(test, self.name(name), self.expr(node.body.other))

    def constant(self, value: Any) -> ast.expr:
        if value is Nil:
            return self.name("_Nil")
        if value is None or type(value) in (bool, int, float, str):
            return self.const(value)
        for i, known in enumerate(self.literals[-64:], max(0, len(self.literals) - 64)):
            if known is value:
                return self.const((LITERAL, i))
        self.literals.append(value)
        return self.const((LITERAL, len(self.literals) - 1))

    def operands(self, nodes: list[Node]) -> list[ast.expr]:
        """Expressions of `nodes`, evaluated in order also when some need statements."""
        done: list[ast.expr] = []
        for i, node in enumerate(nodes):
            outer, self.out = self.out, []
            value = self.expr(node)
            before, self.out = self.out, outer
            if before:
                for j in range(i):
                    if not self._is_stable(nodes[j], done[j]):
                        name = self.temp()
                        self.out.append(self.assign(name, done[j]))
                        done[j] = self.name(name)
                self.out += before
            done.append(value)
        return done

    def _behind(self, name: ast.expr, nodes: list[Node]) -> list[ast.expr]:
        """Operands of a call of what `name` is: an unbound name is noticed before any of them."""
        mark = len(self.out)
        values = self.operands(nodes)
        if len(self.out) > mark:
            self.out.insert(mark, self.evaluate(name))
        return values

    def _is_stable(self, node: Node, value: ast.expr) -> bool:
        if isinstance(value, ast.Constant):
            return True
        if isinstance(value, ast.Name) and value.id.startswith("_"):
            return True
        return isinstance(node, Local) and not node.var.assigned and isinstance(value, ast.Name)

    def is_simple(self, node: Node) -> bool:
        """Whether `expr(node)` needs no statements."""
        known = self._simple.get(id(node))
        if known is None:
            known = self._simple[id(node)] = self._is_simple(node)
        return known

    def _is_simple(self, node: Node) -> bool:
        match node:
            case Const() | Local() | Global() | InForce():
                return True
            case Inlined():
                return not (node.variables or node.callee.safepoint) and self.is_simple(node.body)
            case If() | Call():
                if isinstance(node, Call) and (node.jump is not None or self.jumps_out(node)):
                    return False
                if not _shallow(node):
                    return False
                for part in children(node):  # noqa: SIM110  all() would recurse through C
                    if not self.is_simple(part):
                        return False
                return True
            case Let():
                if not is_or(node) or not _shallow(node):
                    return False
                assert isinstance(node.body, If)
                return self.is_simple(node.inits[0]) and self.is_simple(node.body.other)
        return False

    def jumps_out(self, node: Call) -> bool:
        """Whether it is a raise within the body of a guard, which asks that guard and leaves it."""
        return (
            self.raising is not None
            and isinstance(node.function, Global)
            and node.function.native is not None
            and node.function.native.name == "raise"
            and len(node.arguments) == 1
        )

    # -- tests ---------------------------------------------------------------------------------

    def test(self, node: Node) -> ast.expr:
        """A Python expression that is truthy iff the node's value is not #f."""
        self.at(node.span)
        match node:
            case Const():
                return self.const(node.value is not False)
            case InForce():
                return self.flag(node.name)
            case Inlined() if self.is_simple(node):
                return self._inlined_expr(node, self.test)
            case If() if _is_const(node.other, False) and self.is_simple(node.then):
                return self._either(ast.And(), node.test, node.then)
            case If() if _is_const(node.then, True) and self.is_simple(node.other):
                return self._either(ast.Or(), node.test, node.other)
            case Let() if is_or(node) and self.is_simple(node):
                assert isinstance(node.body, If)
                return self._either(ast.Or(), node.inits[0], node.body.other)
            case Call() if self.unit.optimize and names(node, "not") and len(node.arguments) == 1:
                return self.not_(self.test(node.arguments[0]))
        value = self.expr(node)
        if self.unit.optimize and (type_of(node) == "bool" or _is_inlined_boolean(node)):
            return value
        return self.compare(value, ast.IsNot(), self.const(False))

    def _either(self, op: ast.boolop, first: Node, second: Node) -> ast.expr:
        tests = [self.test(first)]
        self.pinned += 1
        tests.append(self.test(second))
        self.pinned -= 1
        return self.both(op, tests)

    # -- calls ---------------------------------------------------------------------------------

    def call_expr(self, node: Call) -> ast.expr:
        """A call that is not the last thing its procedure does: its value, never a marker."""
        if is_primitive(node):
            assert isinstance(node.function, Global)
            optimize = self.unit.optimize
            inlined = self.inline(node, node.function.name) if optimize else None
            if inlined is not None:
                return inlined
            arguments = self.operands(node.arguments)
            self.at(node.span)
            return self.call(library_name(node.function.name), *arguments)
        if is_direct(node):
            function, *arguments = self.operands([node.function, *node.arguments])
            self.at(node.span)
            return self.call(function, *arguments)
        worker = node.worker
        if (
            worker is not None
            and worker is self.owner
            and self.in_worker
            and takes_kinds(node, worker)
        ):
            assert isinstance(node.function, Global)
            arguments = self.operands(node.arguments)
            self.at(node.span)
            return self._checked(
                self.invoke(self.name(self.worker_name(node.function.name, worker)), arguments),
                not worker.marks,
            )
        accessor = self.accessor(node)
        if accessor is not None and accessor.kind in ("is", "get"):
            return self._record_expr(node, accessor)
        callee = known_callee(node, self.unit)
        sure = callee is not None and not callee.marks and fits(node, callee)
        sure = sure or (accessor is not None and accessor.kind == "make")
        if sure and isinstance(node.function, Global) and not self.unit.top.is_library:
            self.entries.add(node.function.name)
            self.at(node.function.span)
            entry = self.name(mangle(node.function.name) + "ǁv")
            arguments = self._behind(entry, node.arguments)
            self.at(node.span)
            return self.invoke(entry, arguments)
        if callee is not None and callee.positional:
            given = positions(node, callee)
            if given is not None:
                return self._positional_call(node, callee, given)
        function, *arguments = self.operands([node.function, *node.arguments])
        self.at(node.span)
        return self._checked(self.invoke(function, arguments), sure)

    def _positional_call(self, node: Call, callee: Lambda, given: Positions) -> ast.expr:
        """`(worker a b) if in force else (procedure a :by b)`, the arguments evaluated before."""
        assert isinstance(node.function, Global)
        self.at(node.function.span)
        flag = self.flag(node.function.name)
        values = self._behind(flag, node.arguments)
        before: list[ast.expr] = [flag]
        for i, argument in enumerate(node.arguments):
            if not self.is_atom(argument):
                name = self.temp()
                before.append(self.walrus(name, values[i]))
                values[i] = self.name(name)
        self.at(node.span)
        worker, general = self.positional_calls(node, callee, given, values)
        fast = self._checked(self.invoke(worker[0], worker[1:]), not callee.marks)
        slow = self._checked(self.invoke(general[0], general[1:]), False)
        value = self.choose(flag, fast, slow)
        if len(before) == 1:
            return value
        return self.part_of(self.tuple([*before, value]), len(before))

    def positional_calls(
        self, node: Call, callee: Lambda, given: Positions, values: list[ast.expr]
    ) -> tuple[list[ast.expr], list[ast.expr]]:
        """(worker and its arguments, the procedure and its own) of a call, in atoms."""
        assert isinstance(node.function, Global)
        name = node.function.name
        unset = self.name("_U")
        placed = values[: len(callee.required)]
        placed += [unset if i is None else values[i] for i in given.given]
        if given.rest is not None:
            rest: ast.expr = self.name("_Nil")
            for i in reversed(given.rest):
                rest = self.call("_cons", values[i], rest)
            placed.append(rest)
        worker = self.name(f"{mangle(name)}ǁk{self.flags[name]}")
        return [worker, *placed], [self.name(mangle(name)), *values]

    def accessor(self, node: Call) -> Accessor | None:
        """What of a record type the call is of, if it fits."""
        function = node.function
        if not isinstance(function, Global) or function.library:
            return None
        found = self.unit.accessors.get(function.name)
        return found if found is not None and found.takes == len(node.arguments) else None

    def _record_expr(self, node: Call, accessor: Accessor) -> ast.expr:
        """`obj.f0 if class is type(obj) else (accessor obj)`; the class is looked at first, as the
        accessor would be.
        """
        assert isinstance(node.function, Global)
        (argument,) = node.arguments
        self.at(node.function.span)
        class_ = self.name(self.classes[node.function.name])
        (value,) = self._behind(class_, node.arguments)
        self.at(node.span)
        again = value
        if not self.is_atom(argument):
            name = self.temp()
            value, again = self.walrus(name, value), self.name(name)
        test = self.compare(class_, ast.Is(), self.call("_type", value))
        call = self.invoke(self.name(mangle(node.function.name)), [again])
        slow = self._checked(call, False)
        if accessor.kind == "get":
            return self.choose(test, self.attribute(again, accessor.slots[0]), slow)
        gone = self.compare(class_, ast.Is(), self.name("_U"))
        return self.both(ast.Or(), [test, self.both(ast.And(), [gone, slow])])

    def invoke(self, function: ast.expr, arguments: Sequence[ast.expr]) -> ast.expr:
        """A call of a procedure. CPython makes a call with many arguments through C: those go where
        their depth is bounded.
        """
        if len(arguments) <= WIDE_MAX:
            return self.call(function, *arguments)
        return self.call("_wide", self.tuple([function, *arguments]))

    def _checked(self, call: ast.expr, sure: bool) -> ast.expr:
        """The value of a call that may answer with the marker, unless it is sure not to."""
        if sure:
            return call
        name = self.temp()
        test = self.compare(self.walrus(name, call), ast.Is(), self.name("_M"))
        return self.choose(test, self.call("_drive"), self.name(name))

    def worker_name(self, name: str, worker: Lambda) -> str:
        """The worker of the definition that is being emitted: one name a definition, and another
        when its callers count on an integer.
        """
        return self.numbered(name, "ǁi" if worker.result == "int" else "ǁw")

    def numbered(self, name: str, suffix: str) -> str:
        """What belongs to the definition of a global that is being emitted."""
        number = self.workers_of.get(name, 0) + 1
        return f"{self.global_name(name, self.unit.top.is_library)}{suffix}{number}"

    def inline(self, node: Call, name: str) -> ast.expr | None:
        """A call of a primitive, written out; None where it stays a call."""
        raise NotImplementedError

    def keep(self, nodes: Iterable[Node]) -> None:
        """What these nodes make is kept: see primitive_calls.py."""
        raise NotImplementedError

    def is_atom(self, node: Node) -> bool:
        """Whether the operand can be written twice: no work, and nothing evaluated in between
        changes it.
        """
        if isinstance(node, Local):
            return not (node.var.assigned and node.var.captured)
        return isinstance(node, Const)


# -- shapes ----------------------------------------------------------------------------------------


def _is_const(node: Node, value: Any) -> bool:
    return isinstance(node, Const) and node.value is value


def is_or(node: Node) -> bool:
    """`(let ((t a)) (if t t b))`, what `or` expands to, where b does not use t."""
    if not (type(node) is Let and len(node.variables) == 1 and isinstance(node.body, If)):
        return False
    var, branch = node.variables[0], node.body
    if var.assigned or var.captured or var.uses != 2:
        return False
    return all(isinstance(part, Local) and part.var is var for part in (branch.test, branch.then))


def names(node: Call, name: str) -> bool:
    return is_primitive(node) and isinstance(node.function, Global) and node.function.name == name


def _is_inlined_boolean(node: Node) -> bool:
    return (
        isinstance(node, Call)
        and is_primitive(node)
        and isinstance(node.function, Global)
        and node.function.name in inline.BOOLEANS
    )


def _shallow(node: Node, most: int = EXPR_DEPTH_MAX // 2) -> bool:
    """Whether the tree under `node` is at most `most` deep."""
    level = [node]
    for _ in range(most):
        level = [child for parent in level for child in children(parent)]
        if not level:
            return True
    return False
