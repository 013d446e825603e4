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
    """`code` with the literals in place of their placeholders, nested code included: which nests as
    deep as the program's procedures do.
    """
    order = [code]
    for each in order:  # what a code object holds stands behind it
        order.extend(const for const in each.co_consts if isinstance(const, CodeType))
    done: dict[int, CodeType] = {}  # by identity: code compares by value
    for each in reversed(order):
        consts = tuple(
            done[id(const)] if isinstance(const, CodeType) else _patched(const, literals)
            for const in each.co_consts
        )
        same = all(a is b for a, b in zip(consts, each.co_consts, strict=True))
        done[id(each)] = each if same else each.replace(co_consts=consts)
    return done[id(code)]


def _patched(const: Any, literals: list[Any]) -> Any:
    if isinstance(const, tuple):
        if len(const) == 2 and const[0] == LITERAL:
            return literals[const[1]]
        # CPython folds a tuple of constants into one constant.
        items = tuple(_patched(item, literals) for item in const)
        return const if all(a is b for a, b in zip(items, const, strict=True)) else items
    return const
