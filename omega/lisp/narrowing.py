"""What is known of a variable where it is used, because of what was evaluated before.

Owns: `narrow`, which writes Local.sure. In `(if (pair? x) (car x) ...)` the x of `(car x)` is a
pair, and behind `(car x)` it is one, too: nobody needs to look again.
Refuses: variables that are assigned anywhere: another task or a closure may do it meanwhile.

A fact holds for the value of a variable, so it holds in closures made and on the turns of loops
begun where it is known; what is mutable about a pair or a vector is not its type.
"""

from __future__ import annotations

from omega.lisp.core import (
    Attempt,
    Call,
    Const,
    Global,
    If,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Variable,
    children,
    enters_loop,
    is_primitive,
)

# What the operand of a test is when the test gives true.
FACTS = {
    "pair?": "pair",
    "string?": "string",
    "symbol?": "symbol",
    "char?": "char",
    "vector?": "vector",
    "hash-table?": "table",
    "exact-integer?": "int",
}
# What the operands of a primitive are when it has given a value.
_OF_PAIRS = (
    "car", "cdr", "caar", "cadr", "cdar", "cddr", "caddr", "cdddr", "set-car!", "set-cdr!",
)  # fmt: skip
_ORDERS = ("=?", "<?", ">?", "<=?", ">=?")
OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_OF_PAIRS, ("pair",)),
    "vector-ref": ("vector", "int"),
    "vector-set!": ("vector", "int"),
    "vector-length": ("vector",),
    "string-length": ("string",),
    **{f"{kind}{order}": (kind,) * 2 for kind in ("string", "char") for order in _ORDERS},
    "hash-ref": ("table",),
    "hash-set!": ("table",),
    "hash-has-key?": ("table",),
}
Facts = list[tuple[Variable, str]]


def narrow(nodes: list[Node]) -> None:
    """Write Local.sure below `nodes`, the forms of a text."""
    for node in nodes:
        _Narrowing().walk(node)


class _Narrowing:
    """A walk in the order of evaluation. `known`: what holds where it is; `trail`: what was known
    of the variables before, to go back.
    """

    def __init__(self) -> None:
        self.known: dict[Variable, str] = {}
        self.trail: list[tuple[Variable, str | None]] = []

    def walk(self, node: Node) -> None:
        match node:
            case Local():
                node.sure = self.known.get(node.var)
            case If():
                self._if(node)
            case Attempt():
                for child in children(node):
                    self._apart(child, [])
            case Lambda():
                for child in children(node):
                    self._apart(child, [])
            case Letrec() if (loop := enters_loop(node)) is not None:
                assert isinstance(node.body, Call)
                for argument in node.body.arguments:
                    self.walk(argument)
                self._apart(loop, [])
                self.walk(node.body.function)
            case Call():
                for child in children(node):
                    self.walk(child)
                if is_primitive(node):
                    assert isinstance(node.function, Global)
                    types = OPERANDS.get(node.function.name, ())
                    for argument, type_ in zip(node.arguments, types, strict=False):
                        if isinstance(argument, Local) and not argument.var.assigned:
                            self._learn(argument.var, type_)
            case _:
                for child in children(node):
                    self.walk(child)

    def _if(self, node: If) -> None:
        at = node
        self.walk(at.test)
        mark = len(self.trail)
        while True:  # long chains do not recurse
            self._apart(at.then, if_true(at.test))
            for var, type_ in if_false(at.test):
                self._learn(var, type_)
            if not isinstance(at.other, If):
                break
            at = at.other
            self.walk(at.test)
        self.walk(at.other)
        self._forget(mark)

    def _apart(self, node: Node, facts: Facts) -> None:
        """What is evaluated on one way only, or at another time."""
        mark = len(self.trail)
        for var, type_ in facts:
            self._learn(var, type_)
        self.walk(node)
        self._forget(mark)

    def _learn(self, var: Variable, type_: str) -> None:
        self.trail.append((var, self.known.get(var)))
        self.known[var] = type_

    def _forget(self, mark: int) -> None:
        while len(self.trail) > mark:
            var, before = self.trail.pop()
            if before is None:
                del self.known[var]
            else:
                self.known[var] = before


def if_true(test: Node) -> Facts:
    """What is known where `test` has not given #f."""
    match test:
        case Call(function=Global(name=name), arguments=[argument]) if is_primitive(test):
            if name == "not":
                return if_false(argument)
            if name in FACTS and isinstance(argument, Local) and not argument.var.assigned:
                return [(argument.var, FACTS[name])]
        case If() if _is_false(test.other):
            return if_true(test.test) + if_true(test.then)
    return []


def if_false(test: Node) -> Facts:
    """What is known where `test` has given #f."""
    match test:
        case Call(function=Global(name="not"), arguments=[argument]) if is_primitive(test):
            return if_true(argument)
        case If(then=Const(value=value)) if value is not False:
            return if_false(test.test) + if_false(test.other)
        case Let(variables=[var], inits=[first], body=If(then=Local(var=same)) as branch):
            if same is var and isinstance(branch.test, Local) and branch.test.var is var:
                return if_false(first) + if_false(branch.other)  # what `or` expands to
    return []


def _is_false(node: Node) -> bool:
    return isinstance(node, Const) and node.value is False
