"""Types of variables and results, and versions of procedures for arguments of known types.

Owns: `type_of`, `settle_types`, `choose_versions`. A type is a primitive's result
tag ("int", "float", "bool", ...) or None; it is what a value surely is, whatever happens.
Refuses: guessing. A version runs only after a test of the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod

from omega.lisp.core import (
    Attempt,
    Call,
    Const,
    Fail,
    Global,
    Guard,
    If,
    InForce,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Parameterize,
    Receive,
    Seq,
    Variable,
    children,
    enters_loop,
    fits,
    is_primitive,
)
from omega.lisp.data import Char

CalleeOf = Callable[[Call], Lambda | None]

_SUMS = frozenset({"+", "-", "*", "/"})
_EXTREMES = frozenset({"min", "max"})
_RESULTS_INT = frozenset({"quotient", "remainder", "modulo", "floor-quotient", "floor-remainder"})
_OF_INTS = _RESULTS_INT | _EXTREMES  # what is an integer if all operands are

TYPE_ROUNDS = 10  # over the loops of a text's form, before they are taken to be of no type


def settle_types(node: Node) -> None:
    """Variable.type of what is bound below `node`: from inits; loop variables to a fixed point.

    A loop's variables are taken to be of the types it is entered with, until a jump contradicts;
    that goes on for all loops together: each to its own end in every round of those around it would
    take time exponential in their nesting.
    """
    loops: dict[Lambda, None] = {}
    for _ in range(TYPE_ROUNDS):
        if not _settle(node, loops):
            return
    for loop in loops:
        for var in loop.required:
            var.type = var.low = None
    _settle(node, loops)


def _settle(node: Node, loops: dict[Lambda, None]) -> bool:
    """One round; whether a loop variable's type was contradicted. loops: those met so far."""
    if isinstance(node, Let):
        changed = False
        for var, init in zip(node.variables, node.inits, strict=True):
            changed |= _settle(init, loops)
            _take(var, init)
        return _settle(node.body, loops) or changed
    loop = enters_loop(node) if isinstance(node, Letrec) else None
    if loop is not None and loop.loop:
        assert isinstance(node, Letrec)
        assert isinstance(node.body, Call)
        changed = False
        for argument in node.body.arguments:
            changed |= _settle(argument, loops)
        if loop in loops:
            changed |= _weaken(loop, node.body.arguments)
        else:
            loops[loop] = None
            for var, argument in zip(loop.required, node.body.arguments, strict=True):
                _take(var, argument)
        return _settle(loop.body, loops) or changed
    changed = False
    for child in children(node):
        changed |= _settle(child, loops)
    if isinstance(node, Call) and node.jump in loops:
        changed |= _weaken(node.jump, node.arguments)
    return changed


def _take(var: Variable, init: Node) -> None:
    """The variable is of its initial value's type, unless it is assigned."""
    var.type = None if var.assigned else type_of(init)
    var.low = low_of(init) if var.type == "int" else None


def _weaken(loop: Lambda, arguments: list[Node]) -> bool:
    """Forget what the arguments of a jump to the loop contradict; whether there was such a type."""
    changed = False
    for var, argument in zip(loop.required, arguments, strict=True):
        if var.type is not None and type_of(argument) != var.type:
            var.type, var.low, changed = None, None, True
        elif var.low is not None:
            low = low_of(argument)
            if low is None or low < var.low:
                var.low, changed = None if low is None or low < 0 else 0, True
    return changed


def _jumps(node: Node, loop: Lambda) -> list[Call]:
    found: list[Call] = []
    work = [node]
    while work:
        at = work.pop()
        if isinstance(at, Call) and at.jump is loop:
            found.append(at)
        if not (isinstance(at, Lambda) and not at.loop):
            work.extend(children(at))
    return found


VERSION_NODES_MAX = 150  # larger procedures have one version
_ARITHMETIC = frozenset(
    {"+", "-", "*", "=", "<", ">", "<=", ">=", "zero?", "positive?", "negative?", "even?", "odd?",
     "quotient", "remainder", "modulo", "min", "max"}
)  # fmt: skip
_OF_VECTORS = {
    "vector-ref": ("vector", "int"),
    "vector-set!": ("vector", "int"),
    "vector-length": ("vector",),
}


def choose_versions(unit_nodes: list[Node], known: set[Lambda], callee_of: CalleeOf) -> None:
    """Lambda.kinds of procedures that compute with their parameters, if they are `known` globals or
    may run for long by themselves; worker and result of the known ones.
    """
    for lambda_ in procedures(unit_nodes):
        nodes = own_nodes(lambda_) if lambda_.is_plain else None
        if nodes is None:
            continue
        is_known = lambda_ in known
        if not (is_known or lambda_.jumps or any(isinstance(node, Lambda) for node in nodes)):
            continue
        wanted = _wanted(nodes)
        kinds = {var: wanted[var] for var in lambda_.required if not var.assigned and var in wanted}
        calls = [
            node
            for node in nodes
            if isinstance(node, Call) and node.jump is None and callee_of(node) is lambda_
        ]
        if kinds or (is_known and calls):
            _choose_version(lambda_, kinds, calls if is_known else [])


def procedures(nodes: list[Node]) -> list[Lambda]:
    """The procedures in `nodes` that are no loops."""
    found: list[Lambda] = []
    work = list(nodes)
    while work:
        node = work.pop()
        if isinstance(node, Lambda) and not (node.loop or node.in_place):
            found.append(node)
        work.extend(children(node))
    return found


LOOP_NODES_MAX = 60  # larger loops have one version


def worth_testing(loop: Lambda) -> dict[Variable, str]:
    """Variables from outside of an innermost loop that would better be known to be of these types:
    its turns would not test them each time.
    """
    nodes = own_nodes(loop, LOOP_NODES_MAX)
    if nodes is None or any(isinstance(node, Lambda) for node in nodes):
        return {}
    bound = set(loop.required)
    for node in nodes:
        if isinstance(node, (Let, Letrec, Receive)):
            bound.update(node.required if isinstance(node, Receive) else node.variables)
    found = _wanted(nodes)
    return {var: kind for var, kind in found.items() if var not in bound and not var.assigned}


def own_nodes(lambda_: Lambda, most: int = VERSION_NODES_MAX) -> list[Node] | None:
    """The nodes of the body; None when too many, or with closures, which would be made twice."""
    found: list[Node] = []
    work: list[Node] = [lambda_.body]
    while work:
        node = work.pop()
        if len(found) > most or (isinstance(node, Lambda) and not node.loop):
            return None
        found.append(node)
        work.extend(children(node))
    return found


def _wanted(nodes: list[Node]) -> dict[Variable, str]:
    """The types that the operands of arithmetic and of vectors' primitives had better be known to
    have; those of unlike uses are left out.
    """
    found: dict[Variable, str] = {}
    unlike: set[Variable] = set()
    for node in nodes:
        if not (isinstance(node, Call) and is_primitive(node)):
            continue
        assert isinstance(node.function, Global)
        name = node.function.name
        kinds = _OF_VECTORS.get(name, ())
        if name in _ARITHMETIC or name == "/":
            floats = any(type_of(argument) == "float" for argument in node.arguments)
            if floats or name != "/":
                kinds = ("float" if floats else "int",) * len(node.arguments)
        for argument, kind in zip(node.arguments, kinds, strict=False):
            if not isinstance(argument, Local) or type_of(argument) is not None:
                continue
            if found.setdefault(argument.var, kind) != kind:
                unlike.add(argument.var)
    return {var: kind for var, kind in found.items() if var not in unlike}


def _choose_version(lambda_: Lambda, kinds: dict[Variable, str], calls: list[Call]) -> None:
    """calls: those in its body, of itself, that are no jumps."""
    for call in calls:
        call.worker = lambda_
    while True:
        lambda_.kinds, lambda_.worker, lambda_.result = kinds, bool(calls), "int"
        with assuming(lambda_):
            if result_of(lambda_.body) != {"int"}:
                lambda_.result = None
                settle_types(lambda_.body)
            jumps = _jumps(lambda_.body, lambda_)
            kept = {
                var: kinds[var]
                for i, var in enumerate(lambda_.required)
                if var in kinds and all(type_of(jump.arguments[i]) == kinds[var] for jump in jumps)
            }
            takes = any(takes_kinds(call, lambda_) for call in calls)
        if kept == kinds:
            break
        kinds = kept
    if not takes or not (kinds or lambda_.result):
        lambda_.worker, lambda_.result = False, None


@contextmanager
def assuming(lambda_: Lambda) -> Iterator[None]:
    """Within, the types below `lambda_` are those of its version for the kinds chosen."""
    for var, kind in lambda_.kinds.items():
        var.type = kind
    lambda_.assumed = True
    settle_types(lambda_.body)
    try:
        yield
    finally:
        for var in lambda_.kinds:
            var.type = None
        lambda_.assumed = False
        settle_types(lambda_.body)


def takes_kinds(call: Call, callee: Lambda) -> bool:
    """Whether the call gives what is wanted for all of `callee.kinds`."""
    if not fits(call, callee):
        return False
    for var, argument in zip(callee.required, call.arguments, strict=True):
        if var in callee.kinds and type_of(argument) != callee.kinds[var]:
            return False
    return True


def result_of(node: Node) -> set[str | None]:
    """The types of what a procedure or loop with this body gives, jumps aside."""
    match node:
        case If():
            return result_of(node.then) | result_of(node.other)
        case Attempt():
            return result_of(node.first) | result_of(node.other)
        case Fail():
            return set()
        case Seq():
            return result_of(node.body[-1])
        case Let() | Receive():
            return result_of(node.body)
        case Letrec():
            loop = enters_loop(node)
            return result_of(loop.body if loop is not None and loop.loop else node.body)
        case Guard():
            return {None}.union(*(result_of(clause.body) for clause in node.clauses))
        case Call() if node.jump is not None:
            return set()
    return {type_of(node)}


_CONSTANTS: dict[type, str] = {
    int: "int", float: "float", bool: "bool", str: "string", Char: "char"
}  # fmt: skip


def type_of(node: Node) -> str | None:
    """What the value of `node` surely is: a primitive's result tag, or None."""
    match node:
        case Const():
            return _CONSTANTS.get(type(node.value))
        case Local():
            return node.sure or node.var.type
        case If():
            then = type_of(node.then)
            return then if then is not None and then == type_of(node.other) else None
        case Seq():
            return type_of(node.body[-1])
        case Let() | Receive():
            return type_of(node.body)
        case Letrec():
            types = result_of(node)
            return types.pop() if len(types) == 1 else None
        case Parameterize():
            return type_of(node.body.body)
        case Lambda():
            return "procedure"
        case InForce():
            return "bool"
        case Call() if isinstance(node.function, Local):
            callee: Lambda | None = node.function.var.value
            return callee.gives if callee is not None and fits(node, callee) else None
        case Call() if isinstance(node.function, Global):
            if node.function.primitive is not None:
                return _primitive_type(node.function.primitive.name, node)
            worker = node.worker
            if worker is not None and worker.assumed and takes_kinds(node, worker):
                return worker.result
    return None


_LENGTHS = frozenset({"vector-length", "string-length", "length", "bytevector-length"})


def low_of(node: Node) -> int | None:
    """What the value of `node`, an integer, is never below; None when nothing is known."""
    match node:
        case Const() if type(node.value) is int:
            return node.value
        case Local() if node.var.type == "int":
            return node.var.low
        case If():
            then, other = low_of(node.then), low_of(node.other)
            return None if then is None or other is None else min(then, other)
        case Seq():
            return low_of(node.body[-1])
        case Call() if is_primitive(node) and node.arguments:
            assert isinstance(node.function, Global)
            return _low_of_call(node.function.name, node.arguments)
    return None


def _low_of_call(name: str, arguments: list[Node]) -> int | None:
    if name in _LENGTHS:
        return 0
    if any(type_of(argument) != "int" for argument in arguments):
        return None
    lows = [low_of(argument) for argument in arguments]
    if name == "-" and len(lows) == 2 and lows[0] is not None:
        taken = arguments[1]
        return lows[0] - taken.value if isinstance(taken, Const) else None
    if name == "modulo" and lows[1:] and lows[1] is not None and lows[1] > 0:
        return 0
    known = [low for low in lows if low is not None]
    if len(known) < len(lows):
        return None
    if name == "+":
        return sum(known)
    if name in _EXTREMES:
        return min(known) if name == "min" else max(known)
    if min(known) < 0:
        return None
    if name == "*":
        return prod(known)
    return 0 if name in _RESULTS_INT else None


def _primitive_type(name: str, node: Call) -> str | None:
    if name in _SUMS and node.arguments:
        kinds = {type_of(argument) for argument in node.arguments}
        if kinds == {"int"} and name != "/":
            return "int"
        return "float" if "float" in kinds else None  # whatever the others are
    if name in _OF_INTS and all(type_of(argument) == "int" for argument in node.arguments):
        return "int"
    assert isinstance(node.function, Global) and node.function.primitive is not None
    return node.function.primitive.result
