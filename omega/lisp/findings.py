"""What can be said of a program without running it: names nothing binds, calls that cannot fit.

Owns: `findings`.
Refuses: stopping anything: a finding is a warning when a program runs, and what
`omega check` is for.
"""

from __future__ import annotations

from typing import Any

from omega.errors import Span
from omega.lisp.analysis import Unit, known_callee
from omega.lisp.core import Call, Global, Lambda, Node, children
from omega.lisp.names import library_name, mangle

Finding = tuple[str, str, str, Span | None]  # (kind of condition, name, fact, where)


def findings(unit: Unit, registers: dict[str, Any]) -> list[Finding]:
    """Every finding of a text, in its order; an unbound name once, where it is first used."""
    found: list[Finding] = []
    unbound: set[str] = set()
    work: list[Node] = list(reversed(unit.nodes))
    while work:
        node = work.pop()
        if (
            isinstance(node, Global)
            and node.name not in unbound
            and _is_unbound(node, unit, registers)
        ):
            unbound.add(node.name)
            found.append(("unbound-variable", node.name, f"`{node.name}` is not bound", node.span))
        elif isinstance(node, Call):
            fact = _misfit(node, unit)
            if fact is not None:
                found.append(("arity-error", "", fact, node.span))
        work.extend(reversed(list(children(node))))
    return found


def _is_unbound(node: Global, unit: Unit, registers: dict[str, Any]) -> bool:
    if node.library:
        return library_name(node.name) not in registers and not unit.top.is_library
    return node.name not in unit.top.defined and mangle(node.name) not in registers


def _misfit(node: Call, unit: Unit) -> str | None:
    """Why a call of a primitive or of a procedure known for good cannot fit its parameters."""
    given = len(node.arguments)
    function = node.function
    if isinstance(function, Global) and function.primitive is not None:
        primitive = function.primitive
        if given < primitive.low or (primitive.high is not None and given > primitive.high):
            shape = primitive.doc.split(" -> ", 1)[0].strip() or f"({function.name} ...)"
            return _fact(function.name, shape, given)
        return None
    callee = known_callee(node, unit)
    if not isinstance(callee, Lambda) or callee.keys or callee.all_keys:
        return None
    low = len(callee.required)
    high = None if callee.rest is not None else low + len(callee.optional)
    if given < low or (high is not None and given > high):
        return _fact(callee.name, callee.signature, given)
    return None


def _fact(name: str, shape: str, given: int) -> str:
    plural = "" if given == 1 else "s"
    return f"`{name}` is called as {shape}, but it is given {given} argument{plural}"
