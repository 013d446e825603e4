"""What the arguments of a known call are bound to, where the text tells.

Owns: `Positions`. A procedure with keyword or rest parameters sorts its arguments whenever it is
called; a call that names it can do that once and for all, and gives them to a worker that takes
every parameter in its place (emitter.py).
Refuses: calls that would be mistakes, or whose arguments may turn out to be keywords: the procedure
sorts those, and tells what is wrong.
"""

from __future__ import annotations

from omega.lisp.core import Call, Const, Lambda, Node
from omega.lisp.data import Keyword
from omega.lisp.versions import type_of


class Positions:
    """For each optional and keyword parameter the number of the argument it is given, None for its
    default; the required ones have the first. rest: the numbers of what is left, if there is a
    parameter for it.
    """

    __slots__ = ("given", "rest")

    def __init__(self, given: list[int | None], rest: range | None) -> None:
        self.given, self.rest = given, rest


def positions(call: Call, callee: Lambda) -> Positions | None:
    """None where the text does not tell."""
    if callee.all_keys is not None or not (callee.keys or callee.rest):
        return None
    arguments, at = call.arguments, len(callee.required)
    if len(arguments) < at:
        return None
    given: list[int | None] = []
    for _ in callee.optional:
        if at < len(arguments) and not _is_keyword(arguments[at]):
            if callee.keys and type_of(arguments[at]) is None:
                return None
            given.append(at)
            at += 1
        else:
            given.append(None)
    if callee.rest is not None:
        return Positions(given, range(at, len(arguments)))
    named: dict[str, int] = {}
    for i in range(at, len(arguments), 2):
        argument = arguments[i]
        if not _is_keyword(argument) or i + 1 == len(arguments):
            return None
        assert isinstance(argument, Const)
        if argument.value.name in named:
            return None
        named[argument.value.name] = i + 1
    if not named.keys() <= {keyword for keyword, _, _ in callee.keys}:
        return None
    return Positions(given + [named.get(keyword) for keyword, _, _ in callee.keys], None)


def _is_keyword(node: Node) -> bool:
    return isinstance(node, Const) and isinstance(node.value, Keyword)
