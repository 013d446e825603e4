"""What patterns of `match` ask of values beyond the ordinary primitives.

Owns: the pairs of a list of any kind, records by their type, and the error when no clause fits.
Refuses: patterns (omega/lisp/patterns.py makes the calls).
"""

from __future__ import annotations

from typing import Any

from omega.errors import LispError, LispTypeError
from omega.lisp.data import Pair, Record, RecordType, Symbol
from omega.lisp.primitives import check
from omega.lisp.primitives.registry import primitive


@primitive("%pairs", result="int")
def pairs(value: Any, *, rt: Any) -> int:
    """(%pairs x) -> integer: how many pairs a list has, proper or not; -1 when it goes round."""
    items, end = check.walked(value, rt)
    return -1 if isinstance(end, Pair) else len(items)


@primitive("%record-of-type?", result="bool")
def is_record_of_type(value: Any, kind: Any, fields: Any) -> bool:
    """(%record-of-type? x type n) -> boolean: whether x is a record of the type, which has n fields
    (-1: any number).
    """
    if type(kind) is not RecordType:
        raise check.wrong_type("match", "the record pattern", "a record type", kind)
    cls, given = kind.cls, check.integer("%record-of-type?", 3, fields)
    if given >= 0 and given != len(cls.field_names):
        names = " ".join(cls.field_names)
        raise LispTypeError(
            f"the pattern has {given} field{'s' * (given != 1)}, "
            f"a {cls.type_name} has {len(cls.field_names)}",
            hint=f"they are ({names}); (@ type (field pattern) ...) takes some of them",
        )
    return type(value) is cls


@primitive("%record-field")
def record_field(record: Any, field: Any) -> Any:
    """(%record-field record field) -> its field of that index or name."""
    if not isinstance(record, Record):
        raise check.wrong_type("%record-field", 1, "a record", record)
    names = record.field_names
    if type(field) is Symbol and field.name in names:
        field = names.index(field.name)
    if type(field) is not int or not 0 <= field < len(names):
        from omega.lisp.printer import shorten

        raise LispTypeError(
            f"a {record.type_name} has no field `{shorten(field)}`",
            hint=f"it has {', '.join(names)}" if names else None,
        )
    return getattr(record, f"f{field}")


@primitive("%match-failed")
def match_failed(name: Any, value: Any) -> Any:
    """(%match-failed name x) -> never returns: no pattern of the form `name` fits x."""
    from omega.lisp.printer import shorten

    check.string("%match-failed", 1, name)
    is_one = name in ("match-let", "match-let*", "match-letrec", "match-define")
    raise LispError(
        f"{'the pattern' if is_one else 'no clause'} of `{name}` fits {shorten(value)}",
        kind="match-error",
        irritants=[value],
        hint=None if is_one else "a last clause (_ ...) takes whatever is left",
    )
