"""Types of what local procedures are given and give.

Owns: `settle_local`, which writes Variable.type of parameters and Lambda.gives, and the types that
follow from them. All calls of a local procedure that is only ever called are known, so what they
all give a parameter is its type, and what its body gives is the type of the calls.
Refuses: procedures of the top level: a later text may call them, or define them anew.

Types are assumed, then contradictions are taken back until there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from omega.lisp.core import Call, Lambda, Local, Node, Variable, children, fits
from omega.lisp.versions import TYPE_ROUNDS, own_nodes, procedures, result_of, settle_types, type_of

Calls = dict[Lambda, list[Call]]


def settle_local(nodes: list[Node]) -> None:
    """Of the procedures below `nodes`, the types of whose variables are settled."""
    calls = _calls(nodes)
    if calls:
        _settle_parameters(nodes, calls)
    _settle_results(nodes)


def _calls(nodes: list[Node]) -> Calls:
    """The calls of each local procedure that is used in no other way."""
    found: Calls = {}
    escaped: set[Variable] = set()
    work = list(nodes)
    while work:
        node = work.pop()
        below: Sequence[Node] = children(node)
        if isinstance(node, Local):
            escaped.add(node.var)
        elif isinstance(node, Call) and isinstance(node.function, Local):
            callee = node.function.var.value
            if callee is not None and not callee.loop and fits(node, callee):
                found.setdefault(callee, []).append(node)
                below = node.arguments
        work.extend(below)
    return {
        callee: calls
        for callee, calls in found.items()
        if not any(_variable(call) in escaped for call in calls)
    }


def _variable(call: Call) -> Variable:
    assert isinstance(call.function, Local)
    return call.function.var


def _settle_parameters(nodes: list[Node], calls: Calls) -> None:
    assumed: list[tuple[Variable, int, list[Call]]] = []
    for callee, of in calls.items():
        for i, var in enumerate(callee.required):
            types = {type_of(call.arguments[i]) for call in of} - {None}
            if len(types) == 1 and not var.assigned:
                (var.type,) = types
                assumed.append((var, i, of))
    for left in reversed(range(TYPE_ROUNDS)):
        for node in nodes:
            settle_types(node)
        wrong = [
            (var, i, of)
            for var, i, of in assumed
            if any(type_of(call.arguments[i]) != var.type for call in of)
        ]
        if not wrong:
            return
        for var, _, _ in wrong if left else assumed:
            var.type = None
        assumed = [each for each in assumed if each[0].type is not None]
    for node in nodes:
        settle_types(node)


def _settle_results(nodes: list[Node]) -> None:
    found = False
    for lambda_ in reversed(procedures(nodes)):
        if lambda_.is_local and own_nodes(lambda_) is not None:
            lambda_.gives = None
            types = result_of(lambda_.body) - {None}
            if len(types) == 1:
                (lambda_.gives,) = types
                settle_types(lambda_.body)
                if result_of(lambda_.body) == types:
                    found = True
                else:
                    lambda_.gives = None
                    settle_types(lambda_.body)
    if found:
        for node in nodes:
            settle_types(node)
