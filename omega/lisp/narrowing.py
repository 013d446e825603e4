"""What a test has found out about a variable, for the code that runs because of it.

Owns: `narrow`, which writes Local.sure: in `(if (pair? x) (car x) ...)` the x of `(car x)` is a
pair, and nobody needs to look again.
Refuses: variables that are assigned anywhere: another task or a closure may do it meanwhile.

A fact holds for the value of a variable, so it holds in closures and on the next turns of a loop
just where the test was met; what is mutable about a pair or a vector is not its type.
"""

from __future__ import annotations

from omega.lisp.core import (
    Call,
    Const,
    Global,
    If,
    Let,
    Local,
    Node,
    Variable,
    children,
    is_primitive,
)

FACTS = {
    "pair?": "pair",
    "string?": "string",
    "symbol?": "symbol",
    "vector?": "vector",
    "exact-integer?": "int",
}
Facts = dict[Variable, str]


def narrow(node: Node, known: Facts) -> None:
    """Write Local.sure below `node`, where `known` holds."""
    if isinstance(node, Local):
        node.sure = known.get(node.var)
        return
    if isinstance(node, If):
        narrow(node.test, known)
        narrow(node.then, _and(known, if_true(node.test)))
        narrow(node.other, _and(known, if_false(node.test)))
        return
    for child in children(node):
        narrow(child, known)


def _and(known: Facts, more: Facts) -> Facts:
    return {**known, **more} if more else known


def if_true(test: Node) -> Facts:
    """What is known where `test` has not given #f."""
    match test:
        case Call(function=Global(name=name), arguments=[argument]) if is_primitive(test):
            if name == "not":
                return if_false(argument)
            if name in FACTS and isinstance(argument, Local) and not argument.var.assigned:
                return {argument.var: FACTS[name]}
        case If() if _is_false(test.other):
            return _and(if_true(test.test), if_true(test.then))
    return {}


def if_false(test: Node) -> Facts:
    """What is known where `test` has given #f."""
    match test:
        case Call(function=Global(name="not"), arguments=[argument]) if is_primitive(test):
            return if_true(argument)
        case If(then=Const(value=value)) if value is not False:
            return _and(if_false(test.test), if_false(test.other))
        case Let(variables=[var], inits=[first], body=If(then=Local(var=same)) as branch):
            if same is var and isinstance(branch.test, Local) and branch.test.var is var:
                return _and(if_false(first), if_false(branch.other))  # what `or` expands to
    return {}


def _is_false(node: Node) -> bool:
    return isinstance(node, Const) and node.value is False
