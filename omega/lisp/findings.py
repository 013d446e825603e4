"""What can be said of a program without running it: names nothing binds, calls that cannot fit.

Owns: `Finding`, `findings`, `as_error`. (style.py has those that only who asks is told.)
Refuses: stopping anything: a finding is a warning when a program runs, and what
`omega check` is for.

Invariant: a finding has the kind and the message of the error that the run would meet, so that the
two are known to be one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omega.errors import ArityError, LispError, Span
from omega.lisp.analysis import Unit, known_callee
from omega.lisp.arity import Misfit, defined_here
from omega.lisp.conditions import no_procedure
from omega.lisp.core import (
    Call,
    Const,
    Global,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Receive,
    Variable,
    children,
)
from omega.lisp.data import Keyword
from omega.lisp.environment import TopLevel
from omega.lisp.hints import hint_for_call
from omega.lisp.keywords import UNSET, bind_keywords, missing_keyword
from omega.lisp.names import home_of, library_name, mangle, plain
from omega.lisp.printer import shorten
from omega.lisp.spelling import AUXILIARY, near

_BINDING = frozenset(
    {
        "define", "define-macro", "define-record-type", "define-syntax", "define-values", "do",
        "guard", "lambda", "let", "let*", "let-values", "letrec", "letrec*", "receive",
    }
)  # fmt: skip

_NUMBERS = ("integer", "real", "rational")
_OPERATORS = ("+", "-", "*", "/", "=", "<", ">", "<=", ">=")
_SHOWN_MAX = 5  # elements of a call that a hint repeats

# of a procedure: (signature, fewest arguments, most or None, where it is defined)
Shape = tuple[str, int, int | None, Span | None]
Note = tuple[str, Span | None]

# (kind, fact, where, hint, notes, unbound name or "", names of the text and of syntax like it);
# plain data: findings are kept with compiled texts
Finding = tuple[str, str, Span | None, str | None, tuple[Note, ...], str, tuple[str, ...]]


def finding(
    kind: str, fact: str, span: Span | None, hint: str | None, notes: Sequence[Note] = ()
) -> Finding:
    return kind, fact, span, hint, tuple(notes), "", ()


def findings(unit: Unit, registers: dict[str, Any]) -> list[Finding]:
    """Every finding of a text, in its order; an unbound name once, where it is first used."""
    found: list[Finding] = []
    known: set[str] = set()  # names that are bound, or were told not to be
    work: list[Node] = list(reversed(unit.nodes))
    while work:
        node = work.pop()
        if (
            isinstance(node, Global)
            and node.name not in known
            and _is_unbound(node, unit, registers)
        ):
            known.add(node.name)
            found.append(_unbound(node, unit))
        elif isinstance(node, Call):
            misfit = _misfit(node, unit) or _constant_called(node)
            if misfit is not None:
                found.append(misfit)
            known |= _misspelled_binding(node, unit, registers)
        work.extend(reversed(list(children(node))))
    return found


def as_error(found: Finding, suggest: Callable[[str, Sequence[str]], str]) -> LispError:
    """The error that is met when the run comes there, if it is one that stops a run."""
    kind, fact, span, hint, notes, name, here = found
    error = LispError(
        fact, kind=kind, span=span, hint=suggest(name, here) if name else hint, notes=notes
    )
    error.severity = "warning"
    return error


# -- names nothing binds ---------------------------------------------------------------------------


def _unbound(node: Global, unit: Unit) -> Finding:
    top, name = unit.top, plain(node.name)
    names = [*top.syntax, *top.imports, *AUXILIARY, *top.defined, *_locals_at(node, unit.nodes)]
    here = near(name, {each for each in names if not each.startswith("%")})
    fact = f"`{name}` is not bound"
    if _is_bound_beside(node, unit.nodes):
        beside = f"the bindings of `let` do not see each other, those of `let*` do: `{name}` is one"
        return finding("unbound-variable", fact, node.span, beside)
    hint = unimported(name) if top.home and not here else None
    return "unbound-variable", fact, node.span, hint, (), "" if hint else name, tuple(here)


def _locals_at(wanted: Node, nodes: Sequence[Node]) -> list[str]:
    """The names of the local variables in scope at a node."""
    work: list[tuple[Node, tuple[Variable, ...]]] = [(node, ()) for node in nodes]
    while work:
        node, scope = work.pop()
        if node is wanted:
            return [var.name for var in scope]
        match node:
            case Lambda():
                scope = (*scope, *node.parameters())
            case Letrec():
                scope = (*scope, *node.variables)
            case Let():
                work.extend((init, scope) for init in node.inits)
                work.append((node.body, (*scope, *node.variables)))
                continue
            case Receive():
                work.append((node.producer, scope))
                rest = () if node.rest is None else (node.rest,)
                work.append((node.body, (*scope, *node.required, *rest)))
                continue
        work.extend((child, scope) for child in children(node))
    return []


def _is_bound_beside(wanted: Global, nodes: Sequence[Node]) -> bool:
    """Whether a name is used in a value that a `let` binds beside it."""
    work: list[tuple[Node, bool]] = [(node, False) for node in nodes]
    while work:
        node, beside = work.pop()
        if node is wanted:
            return beside
        if isinstance(node, Let):
            is_one = any(var.name == plain(wanted.name) for var in node.variables)
            work.extend((init, beside or is_one) for init in node.inits)
            work.append((node.body, beside))
        else:
            work.extend((child, beside) for child in children(node))
    return False


def _misspelled_binding(node: Call, unit: Unit, registers: dict[str, Any]) -> set[str]:
    """The names in `(lamda (x) ...)` or `(defien (f x) ...)`: that nothing binds them is the fault
    of the one name that was told.
    """
    head = node.function
    if not (isinstance(head, Global) and _is_unbound(head, unit, registers) and node.arguments):
        return set()
    words = [*unit.top.syntax, *unit.top.imports]
    if not any(name in _BINDING for name in near(plain(head.name), words)):
        return set()
    names: set[str] = set()
    work = [node.arguments[0]]
    while work:
        at = work.pop()
        if isinstance(at, Global):
            names.add(at.name)
        work.extend(children(at))
    return {name for name in names if name != head.name}


def _is_unbound(node: Global, unit: Unit, registers: dict[str, Any]) -> bool:
    if node.library:
        return library_name(node.name) not in registers and not unit.top.is_library
    top = unit.top
    is_own = home_of(node.name) == top.home and plain(node.name) in top.defined
    return not is_own and mangle(node.name) not in registers and not _is_elsewhere(node.name, top)


def _is_elsewhere(name: str, top: TopLevel) -> bool:
    """Whether a module that has not run yet defines it: what is imported is bound."""
    return home_of(name) not in ("", top.home)


def unimported(name: str) -> str | None:
    """What to import for a name that a library of the program's does not know."""
    from omega.lisp.library.standard import STANDARD

    for library, names in STANDARD.items():
        if name in names:
            return f"it is in {library}: (import (only {library} {name}))"
    return None


def _misfit(node: Call, unit: Unit) -> Finding | None:
    """A call of a primitive or of a procedure known for good that cannot fit its parameters."""
    given = len(node.arguments)
    function = node.function
    if isinstance(function, Global) and function.primitive is not None:
        primitive = function.primitive
        shape = primitive.doc.split(" -> ", 1)[0].strip() or None
        own_name = primitive.function.__name__  # it may have others, too
        misfit = Misfit(own_name, shape, given, primitive.low, primitive.high, of_program=False)
        return _finding(node, misfit, own_name, None) if misfit.is_one else None
    callee = known_callee(node, unit)
    if not isinstance(callee, Lambda):
        return _misfit_of_import(node, unit.top)
    signature, low, high, span = _shape_of(callee)
    name = plain(callee.name)
    misfit = Misfit(name, signature, given, low, high, of_program=True)
    if misfit.is_one:
        return _finding(node, misfit, name, span)
    refusal = _keyword_refusal(node, callee) if callee.keys else None
    return None if refusal is None else _finding(node, refusal, name, span)


def shapes_of(unit: Unit) -> dict[str, Shape]:
    """The shapes of a module's procedures, by their plain names."""
    return {plain(name): _shape_of(callee) for name, callee in unit.known.items()}


def _shape_of(callee: Lambda) -> Shape:
    low = len(callee.required)
    is_open = callee.rest is not None or callee.keys or callee.all_keys is not None
    high = None if is_open else low + len(callee.optional)
    return callee.signature, low, high, callee.span


def _misfit_of_import(node: Call, top: TopLevel) -> Finding | None:
    """A call that cannot fit of a procedure that a library of the program's exports."""
    function = node.function
    home = home_of(function.name) if isinstance(function, Global) else ""
    if not home or not isinstance(function, Global):
        return None
    modules = (each.home for each in top.imports.values() if each.home.home == home)
    name = plain(function.name)
    for module in modules:
        shape = module.shapes.get(name)
        if shape is None:
            return None
        signature, low, high, span = shape
        given = len(node.arguments)
        misfit = Misfit(name, signature, given, low, high, of_program=True)
        return _finding(node, misfit, name, span) if misfit.is_one else None
    return None


def _constant_called(node: Call) -> Finding | None:
    """A call of a number, a string and the like, as in (1 2 3)."""
    function = node.function
    if not isinstance(function, Const) or function.value is None:
        return None
    fact, given = no_procedure(type(function.value).__name__)
    hint = hint_for_call(given)
    if given in _NUMBERS:
        shown = [_shown(part) for part in (function, *node.arguments)]
        if len(shown) == 3 and shown[1] in _OPERATORS:
            hint = f"the procedure stands first: ({shown[1]} {shown[0]} {shown[2]})"
        else:
            data = " ".join(shown) if len(shown) <= _SHOWN_MAX else f"{shown[0]} ..."
            hint = f"a list of data is written '({data}) or (list {data})"
    return finding("type-error", fact, node.span, hint)


def _shown(node: Node) -> str:
    if isinstance(node, Const):
        return shorten(node.value, 20)
    if isinstance(node, Global):
        return plain(node.name)
    return node.var.name if isinstance(node, Local) else "..."


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


def _finding(node: Call, wrong: Misfit | ArityError, name: str, defined: Span | None) -> Finding:
    fact = wrong.fact if isinstance(wrong, Misfit) else wrong.message
    notes = []
    if defined is not None:
        notes.append(defined_here(name, defined))
    return finding("arity-error", fact, node.span, wrong.hint, notes)
