"""The constructors, predicates, accessors and modifiers of record types that a text defines.

Owns: `Accessor`, `accessors`. A use of one is written out as a look at the class and at the slot,
and goes to the procedure for everything else (expressions.py).
Refuses: what is defined twice or assigned: only while a name means what the text says may its use
be written out. A later text may define it anew; then the class that uses compare with is taken away
(`nameǁr1`, as flags of workers are: docs/decisions/0003).
"""

from __future__ import annotations

from omega.lisp.core import Call, Const, Global, Node, Seq, SetGlobal, children

_KINDS = {
    "%record-constructor": "make",
    "%record-predicate": "is",
    "%record-accessor": "get",
    "%record-modifier": "set",
}


class Accessor:
    """kind: of _KINDS. slots: what it gives, stores, or is given, by the names of the class."""

    __slots__ = ("kind", "slots")

    def __init__(self, kind: str, slots: list[str]) -> None:
        self.kind, self.slots = kind, slots

    @property
    def takes(self) -> int:
        """The number of arguments."""
        return {"make": len(self.slots), "is": 1, "get": 1, "set": 2}[self.kind]


def accessors(nodes: list[Node]) -> dict[str, Accessor]:
    """name -> what it is, of what is defined once by these forms of a text."""
    found: dict[str, Accessor] = {}
    assigned: set[str] = set()
    work = [(node, True) for node in nodes]
    while work:
        node, is_top = work.pop()
        if isinstance(node, SetGlobal):
            accessor = _accessor(node.value) if node.define and is_top else None
            if accessor is not None and node.name not in assigned:
                found[node.name] = accessor
            else:
                found.pop(node.name, None)
            assigned.add(node.name)
        work.extend((child, is_top and isinstance(node, Seq)) for child in children(node))
    return found


def _accessor(value: Node) -> Accessor | None:
    if not (isinstance(value, Call) and isinstance(value.function, Global)):
        return None
    function = value.function
    kind = _KINDS.get(function.name) if function.native is not None else None
    if kind is None:
        return None
    of = value.arguments[-1]
    assert isinstance(of, Const)
    if kind == "is":
        return Accessor(kind, [])
    return Accessor(kind, [f"f{i}" for i in (of.value if kind == "make" else [of.value])])
