"""Literals in code objects: what `marshal` cannot hold stands as a placeholder constant until the
code is loaded.

Owns: `LITERAL`, the mark of a placeholder (a tuple (LITERAL, index), which no Lisp constant can
be), and `patch`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

LITERAL = "\0literal"


def load(code: CodeType, literals: list[Any], registers: dict[str, Any]) -> Callable[[], Any]:
    """The text's function over `registers`, with its literals in place."""
    if literals:
        code = patch(code, literals)
    return FunctionType(code, registers, "_unit")


def patch(code: CodeType, literals: list[Any]) -> CodeType:
    """`code` with the literals in place of their placeholders, nested code included."""
    consts = tuple(_patched(const, literals) for const in code.co_consts)
    if all(a is b for a, b in zip(consts, code.co_consts, strict=True)):
        return code
    return code.replace(co_consts=consts)


def _patched(const: Any, literals: list[Any]) -> Any:
    if isinstance(const, CodeType):
        return patch(const, literals)
    if isinstance(const, tuple):
        if len(const) == 2 and const[0] == LITERAL:
            return literals[const[1]]
        # CPython folds a tuple of constants into one constant.
        items = tuple(_patched(item, literals) for item in const)
        return const if all(a is b for a, b in zip(items, const, strict=True)) else items
    return const
