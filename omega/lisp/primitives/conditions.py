"""Conditions as data: what can be asked of one, and kinds of a program's own.

Owns: R7RS 6.11 but for raising and handling, a predicate for each kind of errors.py, and
`make-condition`. A kind is named by a symbol; those a program defines lie below one of Omega's,
whose code their reports have.
Refuses: raising and handling (control procedures do).
"""

from __future__ import annotations

from typing import Any

from omega.codes import CODES, is_kind
from omega.errors import OmegaError, OwnCondition, Raised
from omega.lisp.data import Symbol, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.registry import primitive

_SHOWN_STEPS = 4  # what it takes to show an irritant, in brief, in a report

# -- kinds -----------------------------------------------------------------------------------------

# Kinds that are no matter of programs: how a host misuses Omega, what is no condition, the roots.
UNASKED = frozenset({"condition", "error", "raised", "bug", "usage", "closed", "loop-is-running"})


def _predicate(kind: str) -> None:
    def test(x: Any) -> bool:
        return isinstance(x, OmegaError) and is_kind(x.kind, kind)

    test.__doc__ = f"({kind}? x) -> boolean: whether x is a condition of kind {kind}, or below it."
    primitive(f"{kind}?", result="bool")(test)


for _kind in CODES:
    if _kind not in UNASKED:
        _predicate(_kind)


def _known(name: str, position: int, kind: Any, rt: Any) -> str:
    if type(kind) is not Symbol:
        raise check.wrong_type(name, position, "a symbol", kind)
    if kind.name not in CODES and kind.name not in rt.condition_kinds:
        raise check.invalid(name, f"knows no kind of condition `{kind.name}`", kind)
    return kind.name


@primitive("condition-kind", "condition-type", result="symbol")
def condition_kind(condition: Any) -> Symbol:
    """(condition-kind condition) -> symbol: its kind, such as type-error."""
    return Symbol.of(_condition("condition-kind", condition).own_kind)


@primitive("condition-is?", result="bool")
def condition_is(x: Any, kind: Any, *, rt: Any) -> bool:
    """(condition-is? x kind) -> boolean: whether x is a condition of `kind` (a symbol) or of a
    kind below it.
    """
    name = _known("condition-is?", 2, kind, rt)
    if not isinstance(x, OmegaError):
        return False
    if name in CODES:
        return is_kind(x.kind, name)
    return _is_own(x, name, rt)


def _is_own(x: Any, kind: str, rt: Any) -> bool:
    """Whether x is a condition of a kind of the program's own, or below it."""
    if not isinstance(x, OwnCondition):
        return False
    check.spend_each(rt, len(x.kinds))
    return kind in x.kinds


@primitive("%define-condition-kind")
def define_condition_kind(kind: Any, parent: Any, fields: Any, *, rt: Any) -> None:
    """(%define-condition-kind kind parent fields) -> nothing: make-condition makes it."""
    if type(kind) is not Symbol:
        raise check.wrong_type("define-condition-type", 1, "a symbol", kind)
    above = _known("define-condition-type", 2, parent, rt)
    if kind.name in CODES:
        raise check.invalid("define-condition-type", f"`{kind.name}` is a kind of Omega's", kind)
    names = []
    for field in check.proper_list("define-condition-type", 3, fields, rt):
        if type(field) is not Symbol:
            raise check.wrong_type("define-condition-type", "a field", "a symbol", field)
        names.append(field.name)
    base, inherited, kinds = rt.condition_kinds.get(above, (above, (), ()))
    check.spend_each(rt, len(inherited) + len(kinds))
    if kind.name in kinds:
        raise check.invalid("define-condition-type", f"`{kind.name}` lies above itself", kind)
    rt.condition_kinds[kind.name] = (base, (*inherited, *names), (kind.name, *kinds))


@primitive("make-condition")
def make_condition(kind: Any, message: Any, *fields: Any, rt: Any) -> OmegaError:
    """(make-condition kind message :field value ...) -> a condition of a kind that
    define-condition-type made, or of one of Omega's (without fields); for `raise`.
    """
    name = _known("make-condition", 1, kind, rt)
    text = check.string("make-condition", 2, message)
    base, names, kinds = rt.condition_kinds.get(name, (name, (), ()))
    check.spend_each(rt, len(names) + len(fields))
    given = check.options("make-condition", fields, 3, dict.fromkeys(names))
    if missing := [field for field in names if field not in given]:
        raise check.invalid("make-condition", f"got no :{missing[0]}, which {name} has", kind)
    return OwnCondition(text, base, kinds or (name,), given)


@primitive("%condition-field")
def condition_field(accessor: Any, condition: Any, kind: Any, field: Any, *, rt: Any) -> Any:
    """(%condition-field accessor condition kind field) -> what make-condition was given."""
    if not (type(accessor) is type(kind) is type(field) is Symbol):
        raise check.wrong_type("%condition-field", 1, "symbols and a condition", accessor)
    if not _is_own(condition, kind.name, rt):
        raise check.wrong_type(accessor.name, 1, f"a condition of kind {kind.name}", condition)
    return condition.fields.get(field.name, False)


# -- what a condition tells ------------------------------------------------------------------------


@primitive("condition?", result="bool")
def is_condition(x: Any) -> bool:
    """(condition? x) -> boolean: whether x is a condition: an error, a limit, or what `error`
    made.
    """
    return isinstance(x, OmegaError)


@primitive("error-object?", "error?", result="bool")
def is_error_object(x: Any) -> bool:
    """(error-object? x) -> boolean: whether x is a condition that is an error."""
    return isinstance(x, OmegaError) and is_kind(x.kind, "error")


def _condition(name: str, x: Any) -> OmegaError:
    if not isinstance(x, OmegaError):
        raise check.wrong_type(name, 1, "a condition", x)
    return x


@primitive("error-object-message", "condition-message", result="string")
def error_object_message(condition: Any) -> str:
    """(error-object-message condition) -> string: what it says."""
    return _condition("error-object-message", condition).message


@primitive("error-object-irritants", "condition-irritants", result="list")
def error_object_irritants(condition: Any, *, rt: Any) -> Any:
    """(error-object-irritants condition) -> list: the objects given with the message."""
    irritants = _condition("error-object-irritants", condition).irritants
    check.list_size(rt, len(irritants))
    return to_list(irritants)


@primitive("condition-code", result="string")
def condition_code(condition: Any) -> str:
    """(condition-code condition) -> string: its stable code, such as "E301"."""
    return _condition("condition-code", condition).code


@primitive("condition-hint")
def condition_hint(condition: Any) -> Any:
    """(condition-hint condition) -> string or #f: the way out, when one is known."""
    hint = _condition("condition-hint", condition).hint
    return False if hint is None else hint


@primitive("condition-place")
def condition_place(condition: Any, *, rt: Any) -> Any:
    """(condition-place condition) -> string or #f: where it was raised, as "file:line:column"."""
    span = rt.conditions.as_condition(_condition("condition-place", condition)).span
    return False if span is None else repr(span)


@primitive("condition-backtrace", result="list")
def condition_backtrace(condition: Any, *, rt: Any) -> Any:
    """(condition-backtrace condition) -> list of (procedure "file:line:column"), innermost first;
    both strings, the procedure "" at the top level of a text.
    """
    found = _condition("condition-backtrace", condition)
    places = rt.conditions.as_condition(found).lisp_traceback
    return to_list([to_list([name, repr(span)]) for name, span in places])


@primitive("condition->string", result="string")
def condition_to_string(condition: Any, *, rt: Any) -> str:
    """(condition->string condition) -> string: the report as a user sees it, with its place and
    hint; of any other object what an uncaught raise of it says.
    """
    from omega.lisp.printer import shorten
    from omega.lisp.report import report

    if not isinstance(condition, OmegaError):
        condition = Raised(condition, f"raise of {shorten(condition, 120)}")
    rt.charge(_SHOWN_STEPS * len(condition.irritants))
    text = report(rt.conditions.as_condition(condition), rt.source_of)
    check.size(rt, len(text), "characters")
    return text


@primitive("condition/report-string", result="string")
def condition_report_string(condition: Any, *, rt: Any) -> str:
    """(condition/report-string condition) -> string: the first line of its report, without the
    place: its message and the values given with it (MIT Scheme).
    """
    from omega.lisp.report import fact

    found = _condition("condition/report-string", condition)
    rt.charge(_SHOWN_STEPS * len(found.irritants))
    text = fact(found)
    check.size(rt, len(text), "characters")
    return text
