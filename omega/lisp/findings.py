"""What can be said of a program without running it: names nothing binds, calls that cannot fit.

Owns: `findings`, `as_error`.
Refuses: stopping anything: a finding is a warning when a program runs, and what
`omega check` is for.

Invariant: a finding has the kind and the message of the error that the run would meet, so that the
two are known to be one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import ArityError, LispError, Span
from omega.lisp.analysis import Unit, known_callee
from omega.lisp.arity import Misfit, defined_here
from omega.lisp.core import Call, Const, Global, Lambda, Node, children
from omega.lisp.data import Keyword
from omega.lisp.keywords import UNSET, bind_keywords, missing_keyword
from omega.lisp.names import library_name, mangle

# (kind of condition, unbound name, fact, where, hint, what was called and where it is defined);
# plain data: findings are kept with compiled texts
Finding = tuple[str, str, str, Span | None, str | None, tuple[str, Span] | None]


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
            fact = f"`{node.name}` is not bound"
            found.append(("unbound-variable", node.name, fact, node.span, None, None))
        elif isinstance(node, Call):
            misfit = _misfit(node, unit)
            if misfit is not None:
                found.append(misfit)
        work.extend(reversed(list(children(node))))
    return found


def as_error(finding: Finding, suggest: Callable[[str], str]) -> LispError:
    """The error that is met when the run comes there."""
    kind, name, fact, span, hint, defined = finding
    notes = [] if defined is None else [defined_here(*defined)]
    return LispError(fact, kind=kind, span=span, hint=suggest(name) if name else hint, notes=notes)


def _is_unbound(node: Global, unit: Unit, registers: dict[str, Any]) -> bool:
    if node.library:
        return library_name(node.name) not in registers and not unit.top.is_library
    return node.name not in unit.top.defined and mangle(node.name) not in registers


def _misfit(node: Call, unit: Unit) -> Finding | None:
    """A call of a primitive or of a procedure known for good that cannot fit its parameters."""
    given = len(node.arguments)
    function = node.function
    if isinstance(function, Global) and function.primitive is not None:
        primitive = function.primitive
        shape = primitive.doc.split(" -> ", 1)[0].strip() or None
        own_name = primitive.function.__name__  # it may have others, too
        misfit = Misfit(own_name, shape, given, primitive.low, primitive.high, of_program=False)
        return _finding(node, misfit, None) if misfit.is_one else None
    callee = known_callee(node, unit)
    if not isinstance(callee, Lambda):
        return None
    low = len(callee.required)
    is_open = callee.rest is not None or callee.keys or callee.all_keys is not None
    high = None if is_open else low + len(callee.optional)
    misfit = Misfit(callee.name, callee.signature, given, low, high, of_program=True)
    if misfit.is_one:
        return _finding(node, misfit, callee)
    refusal = _keyword_refusal(node, callee) if callee.keys else None
    return None if refusal is None else _finding(node, refusal, callee)


def _keyword_refusal(node: Call, callee: Lambda) -> ArityError | None:
    """What binding the keywords of a call will raise, when its constants tell."""
    arguments = node.arguments[len(callee.required) :]
    at = 0
    while at < min(len(arguments), len(callee.optional)):
        if not isinstance(arguments[at], Const):
            return None  # whether it is a keyword is known in the run
        if isinstance(_value(arguments[at]), Keyword):
            break
        at += 1
    if not all(isinstance(argument, Const) for argument in arguments[at::2]):
        return None
    data = [_value(argument) for argument in arguments]
    keywords = tuple(keyword for keyword, _, _ in callee.keys)
    signature, optional = callee.signature, len(callee.optional)
    try:
        bound = bind_keywords(
            signature, tuple(data), optional, keywords, callee.all_keys is not None
        )
        for (keyword, _, default), value in zip(callee.keys, bound[optional:], strict=False):
            if value is UNSET and _must_be_given(default):
                missing_keyword(signature, keyword)
    except ArityError as error:
        return error
    return None


def _value(argument: Node) -> Any:
    return argument.value if isinstance(argument, Const) else None


def _must_be_given(default: Node) -> bool:
    """Whether a keyword parameter has the default of those without one: an error."""
    function = default.function if isinstance(default, Call) else None
    return isinstance(function, Global) and function.name == "%missing-keyword"


def _finding(node: Call, wrong: Misfit | ArityError, callee: Lambda | None) -> Finding:
    fact = wrong.fact if isinstance(wrong, Misfit) else wrong.message
    defined = None
    if callee is not None and callee.span is not None:
        defined = (callee.name, callee.span)
    return ("arity-error", "", fact, node.span, wrong.hint, defined)
