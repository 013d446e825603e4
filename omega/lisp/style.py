"""What is worth telling of a text that runs all the same: names nobody uses, code nothing reaches.

Owns: `style`, the findings `omega check` adds to those of findings.py.
Refuses: guessing. What a macro made is not reported, nor what a macro may have left out: a finding
is about what the program's text says itself.

Everything is read off the core nodes before or after they were compiled. A node was made by a macro
when it stands where a macro was used; a variable has a span only when the text writes its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from omega.errors import Span
from omega.lisp.core import (
    Call,
    Const,
    Global,
    If,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Seq,
    SetGlobal,
    SetLocal,
    Variable,
    children,
)
from omega.lisp.data import Pair, Symbol
from omega.lisp.environment import Alias, Macro, Scope, lookup
from omega.lisp.equality import is_eqv
from omega.lisp.expander import AnyScope, Expander, start_of
from omega.lisp.findings import Finding, finding
from omega.lisp.names import plain
from omega.lisp.printer import shorten

ONLY_FALSE = 'only #f is false: 0, "" and \'() are true'
LEAVES_OUT = "cond-expand"  # the one macro of the library that leaves out what it is given

Place = tuple[int, int]


def style(nodes: Sequence[Node], expander: Expander) -> list[Finding]:
    """The findings of a text's nodes."""
    every = [node for node in _below(nodes) if not _is_made(node.span, expander)]
    return [
        *_unused(every, _used(nodes) | _mentioned(expander.expanded)),
        *_unused_imports(expander),
        *_duplicates(nodes, expander),
        *_without_effect(every, expander),
        *_tests(every, expander),
        *_repeated_data(every),
    ]


def _below(nodes: Sequence[Node]) -> Iterator[Node]:
    work = list(reversed(nodes))
    while work:
        node = work.pop()
        yield node
        work.extend(reversed(list(children(node))))


def _is_made(span: Span | None, expander: Expander) -> bool:
    """Whether what stands there was made by a macro."""
    return span is None or start_of(span) in expander.uses


# -- names -----------------------------------------------------------------------------------------


def _used(nodes: Sequence[Node]) -> set[Variable]:
    """The variables whose value is asked for, other than in the procedure they are bound to."""
    used: set[Variable] = set()
    work: list[tuple[Node, tuple[Variable, ...]]] = [(node, ()) for node in nodes]
    while work:
        node, inside = work.pop()
        if isinstance(node, Local):
            if node.var not in inside:
                used.add(node.var)
        elif isinstance(node, Letrec):
            for var, init in zip(node.variables, node.inits, strict=True):
                work.append((init, (*inside, var) if isinstance(init, Lambda) else inside))
            work.append((node.body, inside))
        else:
            work.extend((child, inside) for child in children(node))
    return used


def _mentioned(expanded: Sequence[tuple[Macro, Any, AnyScope]]) -> set[Variable]:
    """The variables that were given to macros of the program, which may leave out or quote what
    they get.
    """
    found: set[Variable] = set()
    seen: set[tuple[int, int]] = set()
    for macro, use, scope in expanded:
        if (macro.span is None and macro.name != LEAVES_OUT) or not isinstance(scope, Scope):
            continue
        work = [use]
        while work:
            item = work.pop()
            if isinstance(item, Pair):
                if (id(item), id(scope)) not in seen:
                    seen.add((id(item), id(scope)))
                    work += (item.car, item.cdr)
            elif type(item) is list:
                work += item
            elif isinstance(item, (Symbol, Alias)):
                meaning = lookup(item, scope)
                if isinstance(meaning, Variable):
                    found.add(meaning)
    return found


def _unused(every: Sequence[Node], used: set[Variable]) -> list[Finding]:
    """Variables nobody asks for. A form that a macro repeats binds several at one place: one that
    is used is enough.
    """
    bound: dict[Span, tuple[Variable, Node | None]] = {}
    assigned: set[Variable] = set()
    needed: set[Span] = set()
    for node in every:
        if isinstance(node, SetLocal):
            assigned.add(node.var)
        inits: Sequence[Node | None] = ()
        variables: list[Variable] = []
        if isinstance(node, (Let, Letrec)):
            variables, inits = node.variables, node.inits
        elif isinstance(node, Lambda):
            variables, inits = node.required, [None] * len(node.required)
        for var, init in zip(variables, inits, strict=True):
            if var.span is None or var.name.startswith("_"):
                continue
            if var in used:
                needed.add(var.span)
            bound[var.span] = (var, init)
    return [
        _unused_finding(var, init, var in assigned)
        for span, (var, init) in bound.items()
        if span not in needed
    ]


def _unused_finding(var: Variable, init: Node | None, is_assigned: bool) -> Finding:
    fact = f"`{var.name}` is {'assigned, but' if is_assigned else 'bound here, but'} never used"
    hint = "leave it out, or begin its name with `_`"
    if isinstance(init, Lambda):
        fact = f"procedure `{var.name}` is never called or used"
        hint = "call it, or leave it out; a name that begins with `_` says that it is meant so"
    return finding("unused-variable", fact, var.span, hint)


def _unused_imports(expander: Expander) -> Iterator[Finding]:
    """Import sets nothing is used of, and names that are listed and not used. A program has the
    standard names whether it imports them or not: that it says so is no fault.
    """
    top = expander.top
    hint = "leave it out of the import"
    for each in expander.imports:
        taken = {name: top.imports[name] for name in each.names if name in top.imports}
        if not taken or each.span is None:
            continue
        if not any(imported.used for imported in taken.values()):
            fact = f"nothing of {each.library} is used"
            yield finding("unused-import", fact, each.span, hint)
            continue
        for name, span in each.listed or ():
            if name in taken and not taken[name].used:
                fact = f"`{name}` is imported, but never used"
                yield finding("unused-import", fact, span, hint)


def _duplicates(nodes: Sequence[Node], expander: Expander) -> Iterator[Finding]:
    first: dict[str, Span] = {}
    told: set[Span] = set()  # a record type defines several names at one place
    for node in nodes:
        if not (isinstance(node, SetGlobal) and node.define) or node.span is None:
            continue
        if _is_made(node.span, expander):
            continue
        name = plain(node.name)
        if name in first:
            if node.span in told:
                continue
            told.add(node.span)
            yield finding(
                "duplicate-definition",
                f"`{name}` is defined a second time",
                node.span,
                f"give it another name; to change a variable, write (set! {name} ...)",
                [("the first definition, which this one replaces", first[name])],
            )
        else:
            first[name] = node.span


# -- what does nothing -----------------------------------------------------------------------------


def _without_effect(every: Sequence[Node], expander: Expander) -> Iterator[Finding]:
    """Constants, variables and procedures in a body whose value is dropped. A string that a body
    begins with is a comment.
    """
    for node in every:
        if not isinstance(node, Seq):
            continue
        for i, part in enumerate(node.body[:-1]):
            if _is_made(part.span, expander) or part.span == node.span:
                continue
            hint = "leave it out; the value of a body is that of its last expression"
            match part:
                case Const(value=str()) if i == 0:
                    continue
                case Const(value=None):  # what a `define-syntax` leaves
                    continue
                case Const():
                    fact = f"{shorten(part.value, 40)} has no effect here"
                case Global() if part.library or plain(part.name) in expander.top.defined:
                    fact = f"`{plain(part.name)}` alone has no effect here"
                    if part.library:
                        hint = f"to call it, write it in brackets: ({part.name} ...)"
                case Local():
                    fact = f"`{part.var.name}` alone has no effect here"
                    if isinstance(part.var.value, Lambda):
                        hint = f"to call it, write it in brackets: ({part.var.name} ...)"
                case Lambda():
                    fact = "this procedure has no effect here: nothing calls it"
                    hint = "to call it, write it in brackets: ((lambda ...) ...)"
                case _:
                    continue
            yield finding("no-effect", fact, part.span, hint)


# -- tests and clauses -----------------------------------------------------------------------------


def _tests(every: Sequence[Node], expander: Expander) -> Iterator[Finding]:
    for node in every:
        if not isinstance(node, If):
            continue
        if isinstance(node.test, Global) and node.test.name == "nil" and node.test.library:
            fact = "`nil` as a test is always true: it is the empty list"
            yield finding("constant-test", fact, node.test.span, ONLY_FALSE)
        if (
            isinstance(node.test, Global)
            and node.test.primitive
            and not _is_made(node.span, expander)
        ):
            name = node.test.name
            fact = f"`{name}` as a test is always true: it is a procedure"
            call = f"({name} ...)"
            hint = f"to call it, write it in brackets: {call}"
            if _is_clause(node):
                hint = f"the test of a clause has brackets of its own: ({call} result)"
            yield finding("constant-test", fact, node.test.span, hint)
        if not isinstance(node.test, Const):
            continue
        value, span = node.test.value, node.test.span
        if _is_made(span, expander) or value is None or value is False:
            continue
        if value is True:
            if _is_clause(node) and not _is_implicit(node):
                yield finding(
                    "unreachable-clause",
                    "the clauses behind this one are never tried: its test is always true",
                    span,
                    "move it to the end, as (else ...)",
                )
        elif not (isinstance(node.other, Const) and node.other.value is False):  # no `and`
            fact = f"{shorten(value, 40)} as a test is always true"
            yield finding("constant-test", fact, span, ONLY_FALSE)


def _is_clause(node: If) -> bool:
    """Whether a test is one of a clause: what begins with its own test is no `if` or `when`."""
    here, test = node.span, node.test.span
    assert here is not None and test is not None
    return (here.line, here.column + 1) == (test.line, test.column)


def _is_implicit(node: If) -> bool:
    """Whether no clause follows: the form's own end stands where the whole form does."""
    here, end = node.span, node.other.span
    if not isinstance(node.other, Const) or end is None or here is None:
        return False
    begins_before = (end.line, end.column) < (here.line, here.column)
    return begins_before and (end.end_line, end.end_column) > (here.end_line, here.end_column)


def _repeated_data(every: Sequence[Node]) -> Iterator[Finding]:
    """Data that an earlier clause of the same `case` has."""
    seen: dict[Variable, list[tuple[Any, Span | None]]] = {}
    for node in every:
        if not isinstance(node, Call) or len(node.arguments) != 2:
            continue
        key, datum = node.arguments
        is_test = isinstance(node.function, Global) and node.function.name == "eqv?"
        if not (is_test and isinstance(key, Local) and isinstance(datum, Const)):
            continue
        if key.span != node.span:
            continue  # the program's own call; a clause of `case` has but one place for both
        before = seen.setdefault(key.var, [])
        earlier = next((place for value, place in before if is_eqv(value, datum.value)), None)
        if earlier is None:
            before.append((datum.value, datum.span))
        else:
            yield finding(
                "unreachable-clause",
                f"{shorten(datum.value, 40)} is never met here: an earlier clause has it",
                datum.span,
                "leave out one of the two",
                [("the earlier one", earlier)],
            )
