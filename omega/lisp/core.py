"""The core language: the few node types every form expands to.

Owns: the node classes, `Variable`, and `children` for walking them. The expander makes nodes,
analysis.py writes its findings into their slots, emitter.py turns them into Python; the reference
evaluator in tests/ interprets them as is.
Refuses: any Lisp syntax and any Python syntax.

Steps are defined here. A Lambda whose own body calls nothing but primitives takes none. One that
*turns*, calling itself in tail position and nowhere else, takes one whenever its body begins. Any
other takes one where it comes to the first part that calls: behind the tests and bindings it begins
with, so a case that is settled by these costs none. What the compiler makes of them changes nothing
of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from omega.errors import Span
from omega.lisp.primitives.registry import Native, Primitive


class Variable:
    """A local variable: one object per binding. `python` is its name in the emitted function.

    span: where its name is written, of a variable that the program's text binds because it wants
    one; None of parameters, of the names of several values, and of what a macro made.
    """

    __slots__ = (
        "assigned",
        "captured",
        "loop",
        "low",
        "name",
        "owner",
        "python",
        "span",
        "type",
        "uses",
        "value",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.assigned = False  # some Set names it after its binding
        self.captured = False  # used by a Lambda other than its owner
        self.owner: Any = None  # the Lambda (or Unit) whose Python function holds it
        self.loop: Any = None  # the innermost loop Lambda it is bound inside, within its owner
        self.type: str | None = None  # a primitive's result tag, or None
        self.low: int | None = None  # of type "int": what it is never below, when known
        self.value: Any = None  # the Lambda it is bound to for good, when known
        self.python = ""
        self.span: Span | None = None
        self.uses = 0

    def __repr__(self) -> str:
        return f"<Variable {self.name}>"


class Node:
    """Base of the nodes. `span` is where the form stands in its source, or None."""

    __slots__ = ("span",)
    span: Span | None


class Const(Node):
    __slots__ = ("value",)

    def __init__(self, span: Span | None, value: Any) -> None:
        self.span, self.value = span, value


class Local(Node):
    """A use of a variable. sure: the type that a test on the way here has made sure of, or None."""

    __slots__ = ("sure", "var")

    def __init__(self, span: Span | None, var: Variable) -> None:
        self.span, self.var = span, var
        self.sure: str | None = None


class Global(Node):
    """A global of the program (`library` False), of the library (True), or of whoever has it once
    the whole text is expanded (None). `primitive`, `native`: the registry's entry, if it names one.
    """

    __slots__ = ("library", "name", "native", "primitive")

    def __init__(
        self, span: Span | None, name: str, library: bool | None, kind: Any = None
    ) -> None:
        self.span, self.name, self.library = span, name, library
        self.primitive = kind if isinstance(kind, Primitive) else None
        self.native = kind if isinstance(kind, Native) else None


class SetLocal(Node):
    __slots__ = ("value", "var")

    def __init__(self, span: Span | None, var: Variable, value: Node) -> None:
        self.span, self.var, self.value = span, var, value


class SetGlobal(Node):
    """`define` (True) or `set!` of a global."""

    __slots__ = ("define", "library", "name", "value")

    def __init__(
        self, span: Span | None, name: str, library: bool, value: Node, define: bool
    ) -> None:
        self.span, self.name, self.library, self.value, self.define = (
            span,
            name,
            library,
            value,
            define,
        )


class If(Node):
    __slots__ = ("other", "test", "then")

    def __init__(self, span: Span | None, test: Node, then: Node, other: Node) -> None:
        self.span, self.test, self.then, self.other = span, test, then, other


class Seq(Node):
    """At least one node; the value is the last one's."""

    __slots__ = ("body",)

    def __init__(self, span: Span | None, body: list[Node]) -> None:
        self.span, self.body = span, body


class Lambda(Node):
    """A procedure.

    required: variables. optional: (variable, default node) in order. rest: variable or None.
    keys: (keyword name, variable, default node). all_keys: variable of `:* table`, or None.
    default nodes see the parameters before them. signature: as shown to people.
    """

    __slots__ = (
        "all_keys",
        "assumed",
        "body",
        "doc",
        "gives",
        "in_loop",
        "in_place",
        "is_local",
        "jumps",
        "keys",
        "kinds",
        "loop",
        "marks",
        "may_loop",
        "name",
        "optional",
        "parent",
        "positional",
        "required",
        "rest",
        "result",
        "safepoint",
        "signature",
        "turns",
        "worker",
    )  # fmt: skip

    def __init__(self, span: Span | None, name: str, required: list[Variable], body: Node) -> None:
        self.span, self.name, self.required, self.body = span, name, required, body
        self.optional: list[tuple[Variable, Node]] = []
        self.rest: Variable | None = None
        self.keys: list[tuple[str, Variable, Node]] = []
        self.all_keys: Variable | None = None
        self.doc: str | None = None
        self.signature = ""
        self.safepoint = False  # contains a Call to a non-primitive
        self.turns = False  # its step is taken when its body begins
        self.loop = False  # all its calls are jumps: emitted as a loop inside its parent
        self.in_loop: Lambda | None = None  # the loop it is created inside, within its parent
        self.parent: Any = None
        self.jumps = False  # calls itself in tail position: its body is a loop
        self.marks = True  # may answer with the tail-call marker
        self.positional = False  # known calls bind its parameters themselves: see positions.py
        self.in_place = False  # a part of a Guard or Parameterize, emitted where that stands
        self.is_local = False  # bound to a local variable for good
        self.gives: str | None = None  # ... : the type of what it gives, whatever it is given
        self.result: str | None = None  # of what it gives to arguments of these `kinds`
        self.assumed = False  # the types below are settled for such arguments
        self.may_loop = (
            True  # False: its variables would be captured and assigned, so it stays a procedure
        )
        self.kinds: dict[Variable, str] = {}  # types of parameters that get a version of the code
        self.worker = False  # that version is a function of its own, which calls itself

    def parameters(self) -> list[Variable]:
        params = list(self.required)
        params += [var for var, _ in self.optional]
        params += [var for _, var, _ in self.keys]
        params += [var for var in (self.rest, self.all_keys) if var is not None]
        return params

    @property
    def is_plain(self) -> bool:
        """Only required parameters."""
        return not (self.optional or self.rest or self.keys or self.all_keys)


class Call(Node):
    __slots__ = ("arguments", "function", "jump", "tail", "worker")

    def __init__(self, span: Span | None, function: Node, arguments: list[Node]) -> None:
        self.span, self.function, self.arguments = span, function, arguments
        self.tail = False
        self.jump: Lambda | None = None  # the loop this call continues
        self.worker: Lambda | None = (
            None  # the procedure it is in and calls again, whose worker may serve
        )


class Let(Node):
    """Parallel bindings; inits are evaluated left to right outside the scope of `variables`."""

    __slots__ = ("body", "inits", "variables")

    def __init__(
        self, span: Span | None, variables: list[Variable], inits: list[Node], body: Node
    ) -> None:
        self.span, self.variables, self.inits, self.body = span, variables, inits, body


class Inlined(Let):
    """A call of `callee`, replaced by a copy of its body (inlining.py): arguments that are work are
    bound first. The body is a Guarded where the callee may be redefined.
    """

    __slots__ = ("callee",)

    def __init__(
        self,
        span: Span | None,
        callee: Lambda,
        variables: list[Variable],
        inits: list[Node],
        body: Node,
    ) -> None:
        super().__init__(span, variables, inits, body)
        self.callee = callee


class Guarded(If):
    """The body of an Inlined while its callee is in force, otherwise the call."""

    __slots__ = ()


class InForce(Node):
    """Whether the global `name` still means the procedure that this text defines."""

    __slots__ = ("name",)

    def __init__(self, span: Span | None, name: str) -> None:
        self.span, self.name = span, name


class Letrec(Node):
    """`letrec*`: bindings in order, each visible to all."""

    __slots__ = ("body", "inits", "variables")

    def __init__(
        self, span: Span | None, variables: list[Variable], inits: list[Node], body: Node
    ) -> None:
        self.span, self.variables, self.inits, self.body = span, variables, inits, body


class Attempt(Node):
    """The value of `first`; where that comes to a Fail, in one of its last parts, of `other`.

    tests: what `first` may have evaluated when it fails. Every If of `first` with a Fail below its
    `then` has a Fail as its `other`; no loop has one below it.
    """

    __slots__ = ("first", "other", "tests")

    def __init__(self, span: Span | None, first: Node, other: Node, tests: list[Node]) -> None:
        self.span, self.first, self.other, self.tests = span, first, other, tests


class Fail(Node):
    """Go on with the `other` of the innermost Attempt whose `first` this stands in."""

    __slots__ = ()

    def __init__(self, span: Span | None) -> None:
        self.span = span


class Guard(Node):
    """The value of `body`, a Lambda without parameters; of a condition that reaches it, `selector`
    is asked where that was signalled: it gives #f, the number of one of `clauses`, or a pair of
    that number and a value. The clause, a Lambda of the condition and that value, if it takes one,
    gives the value then. Neither body nor clauses are made procedures, unless the body is `apart`.
    """

    __slots__ = ("apart", "body", "clauses", "selector")

    def __init__(
        self, span: Span | None, body: Lambda, selector: Lambda, clauses: list[Lambda]
    ) -> None:
        self.span, self.body, self.selector, self.clauses = span, body, selector, clauses
        self.apart = False
        for clause in clauses:
            clause.in_place = True


class Parameterize(Node):
    """The value of `body`, a Lambda without parameters, with parameters given values. items: the
    parameters and values, in turns. The body is not made a procedure, unless it is `apart`.
    """

    __slots__ = ("apart", "body", "items")

    def __init__(self, span: Span | None, items: list[Node], body: Lambda) -> None:
        self.span, self.items, self.body, self.apart = span, items, body, False


class Receive(Node):
    """Binds the values of `producer`: `required` and, if not None, a list of further ones to
    `rest`.
    """

    __slots__ = ("body", "producer", "required", "rest")

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


def _of_lambda(node: Lambda) -> list[Node]:
    defaults = [default for _, default in node.optional]
    return [*defaults, *(default for _, _, default in node.keys), node.body]


def _of_bindings(node: Let | Letrec) -> list[Node]:
    return [*node.inits, node.body]


# By class: walks are most of what compiling does.
_CHILDREN: dict[type[Node], Callable[[Any], Sequence[Node]]] = {
    SetLocal: lambda node: (node.value,),
    SetGlobal: lambda node: (node.value,),
    If: lambda node: (node.test, node.then, node.other),
    Guarded: lambda node: (node.test, node.then, node.other),
    Seq: lambda node: node.body,
    Lambda: _of_lambda,
    Call: lambda node: (node.function, *node.arguments),
    Let: _of_bindings,
    Inlined: _of_bindings,
    Letrec: _of_bindings,
    Receive: lambda node: (node.producer, node.body),
    Guard: lambda node: (node.body, node.selector, *node.clauses),
    Parameterize: lambda node: (*node.items, node.body),
    Attempt: lambda node: (node.first, node.other),
}


def _of_leaf(node: Node) -> Sequence[Node]:
    return ()


def children(node: Node) -> Sequence[Node]:
    """The nodes directly below `node`, in order of evaluation; a Lambda's defaults and body
    included.
    """
    return _CHILDREN.get(type(node), _of_leaf)(node)


def is_primitive(call: Call) -> bool:
    """Whether `call` is to a primitive: no step, never a marker."""
    function = call.function
    return isinstance(function, Global) and function.primitive is not None


def own_calls(lambda_: Lambda, is_it: Callable[[Node], bool]) -> Iterator[tuple[Call, bool]]:
    """Each call in the own body of `lambda_` of what `is_it`, and whether it is a tail call."""
    work: list[tuple[Node, bool]] = [(lambda_.body, True)]
    while work:
        node, tail = work.pop()
        if isinstance(node, Lambda):
            continue
        if isinstance(node, Call) and is_it(node.function):
            yield node, tail
        last: tuple[Node, ...] = ()
        if tail:
            match node:
                case If():
                    last = (node.then, node.other)
                case Attempt():
                    last = (node.first, node.other)
                case Seq():
                    last = (node.body[-1],)
                case Let() | Letrec() | Receive():
                    last = (node.body,)
        work.extend((child, child in last) for child in children(node))


def is_direct(call: Call) -> bool:
    """Whether `call` never gives a marker and needs no frame but its own: a primitive's or a
    native's.
    """
    function = call.function
    return isinstance(function, Global) and (function.primitive or function.native) is not None


def fits(call: Call, callee: Lambda) -> bool:
    return callee.is_plain and len(callee.required) == len(call.arguments)


def enters_loop(node: Letrec) -> Lambda | None:
    """The Lambda of `(letrec ((loop (lambda ...))) (loop init ...))`, the shape of named let and
    do.
    """
    if len(node.variables) != 1 or node.variables[0].assigned:
        return None
    init, body = node.inits[0], node.body
    if not isinstance(init, Lambda) or not isinstance(body, Call):
        return None
    if not isinstance(body.function, Local) or body.function.var is not node.variables[0]:
        return None
    return init if fits(body, init) else None


def defined_by(node: Node) -> list[str]:
    """The globals that evaluating `node`, a form of a text, defines."""
    found: list[str] = []
    work = [node]
    while work:
        at = work.pop()
        if isinstance(at, SetGlobal) and at.define:
            found.append(at.name)
        if isinstance(at, (Receive, Seq)):
            work.extend(children(at))
    return found
