"""The few forms everything means, and what steps are, said a second time.

Owns: the nodes, `calls`, `turns`: which code counts steps, and where.
Refuses: evaluating (machine.py) and syntax (expander.py).

A procedure that calls nothing but primitives takes no step. One that turns (calls itself, only in
tail position) takes one when its body begins. Any other takes one where it comes to the first part
that calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span


class Variable:
    def __init__(self, name: str) -> None:
        self.name = name


class Node:
    """span: where it is written; None of what nobody wrote. calls: see `calls`."""

    span: Span | None
    known_calls: bool | None = None

    def parts(self) -> list[Node]:
        """The nodes below, in the order of evaluation."""
        return []

    def last(self) -> list[Node]:
        """Those of them whose value is this node's."""
        return []


class Const(Node):
    def __init__(self, span: Span | None, value: Any) -> None:
        self.span, self.value = span, value


class Local(Node):
    def __init__(self, span: Span | None, var: Variable) -> None:
        self.span, self.var = span, var


class Global(Node):
    """library: whether it is the library's; None until the text is expanded."""

    is_primitive = False

    def __init__(self, span: Span | None, name: str, library: bool | None) -> None:
        self.span, self.name, self.library = span, name, library


class SetLocal(Node):
    def __init__(self, span: Span | None, var: Variable, value: Node) -> None:
        self.span, self.var, self.value = span, var, value

    def parts(self) -> list[Node]:
        return [self.value]


class SetGlobal(Node):
    def __init__(
        self, span: Span | None, name: str, library: bool, value: Node, define: bool
    ) -> None:
        self.span, self.name, self.library, self.value = span, name, library, value
        self.define = define

    def parts(self) -> list[Node]:
        return [self.value]


class If(Node):
    def __init__(self, span: Span | None, test: Node, then: Node, other: Node) -> None:
        self.span, self.test, self.then, self.other = span, test, then, other

    def parts(self) -> list[Node]:
        return [self.test, self.then, self.other]

    def last(self) -> list[Node]:
        return [self.then, self.other]


class Seq(Node):
    def __init__(self, span: Span | None, body: list[Node]) -> None:
        self.span, self.body = span, body

    def parts(self) -> list[Node]:
        return self.body

    def last(self) -> list[Node]:
        return self.body[-1:]


class Lambda(Node):
    """optional, keys: (variable, default) and (keyword, variable, default)."""

    def __init__(self, span: Span | None, required: list[Variable], body: Node) -> None:
        self.span, self.required, self.body = span, required, body
        self.optional: list[tuple[Variable, Node]] = []
        self.keys: list[tuple[str, Variable, Node]] = []
        self.others: Variable | None = None
        self.rest: Variable | None = None
        self.calls_itself: Callable[[Node], bool] | None = None  # the name it is bound to

    def parts(self) -> list[Node]:
        return [*self.defaults(), self.body]

    def defaults(self) -> list[Node]:
        return [node for _, node in self.optional] + [node for _, _, node in self.keys]


class Call(Node):
    def __init__(self, span: Span | None, function: Node, arguments: list[Node]) -> None:
        self.span, self.function, self.arguments = span, function, arguments

    def parts(self) -> list[Node]:
        return [self.function, *self.arguments]


class Let(Node):
    def __init__(
        self, span: Span | None, variables: list[Variable], inits: list[Node], body: Node
    ) -> None:
        self.span, self.variables, self.inits, self.body = span, variables, inits, body

    def parts(self) -> list[Node]:
        return [*self.inits, self.body]

    def last(self) -> list[Node]:
        return [self.body]


class Letrec(Let):
    """letrec*. A procedure knows itself by the name it is bound to here."""

    def __init__(
        self, span: Span | None, variables: list[Variable], inits: list[Node], body: Node
    ) -> None:
        super().__init__(span, variables, inits, body)
        for var, init in zip(variables, inits, strict=True):
            if isinstance(init, Lambda):
                init.calls_itself = lambda f, var=var: isinstance(f, Local) and f.var is var  # type: ignore[misc]


class Receive(Node):
    def __init__(
        self,
        span: Span | None,
        required: list[Variable],
        rest: Variable | None,
        producer: Node,
        body: Node,
    ) -> None:
        self.span, self.required, self.rest = span, required, rest
        self.producer, self.body = producer, body

    def parts(self) -> list[Node]:
        return [self.producer, self.body]

    def last(self) -> list[Node]:
        return [self.body]


class Attempt(Node):
    """`first`, and where that comes to a Fail, `other`. tests: what may be evaluated until then."""

    def __init__(self, span: Span | None, first: Node, other: Node, tests: list[Node]) -> None:
        self.span, self.first, self.other, self.tests = span, first, other, tests

    def parts(self) -> list[Node]:
        return [self.first, self.other]

    def last(self) -> list[Node]:
        return [self.first, self.other]


class Fail(Node):
    span = None


def calls(node: Node) -> bool:
    """Whether a node's own code, not that of procedures it makes, calls more than primitives."""
    if node.known_calls is None:
        if isinstance(node, Lambda):
            node.known_calls = False
        elif isinstance(node, Call) and not is_primitive(node):
            node.known_calls = True
        else:
            node.known_calls = any(calls(part) for part in node.parts())
    return node.known_calls


def globals_of(node: Node) -> set[str]:
    """The names of the library's globals in a node, the procedures it makes included."""
    found = {node.name} if isinstance(node, Global) and node.library else set()
    return found.union(*(globals_of(part) for part in node.parts()))


def is_primitive(call: Call) -> bool:
    return isinstance(call.function, Global) and call.function.is_primitive


def takes_step(procedure: Lambda) -> bool:
    return any(calls(part) for part in procedure.parts())


def turns(procedure: Lambda) -> bool:
    """Whether it takes its step when its body begins."""
    if any(calls(default) for default in procedure.defaults()):
        return True
    knows = procedure.calls_itself
    return knows is not None and set(_tails(procedure.body, knows, True)) == {True}


def _tails(node: Node, knows: Callable[[Node], bool], tail: bool) -> list[bool]:
    """For each call of what it `knows`: whether that is in tail position."""
    if isinstance(node, Lambda):
        return []
    found = [tail] if isinstance(node, Call) and knows(node.function) else []
    for part in node.parts():
        found += _tails(part, knows, tail and part in node.last())
    return found
