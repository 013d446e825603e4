"""Record types: the classes and procedures behind `define-record-type`. R7RS 5.5.

Owns: the %record- procedures. Each record type is a class with slots f0, f1, ...; constructors and
accessors are small Python functions made from a template once per shape, so using a record costs
one call and no C frame.

Invariant: a program holds the RecordType, never the class: calling a class makes an instance, and
what Python offers of one is no business of a program's.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from omega.errors import LispTypeError
from omega.lisp.data import Record, RecordType
from omega.lisp.primitives.check import wrong_type

_factories: dict[str, Any] = {}  # template text -> factory; pure functions of the text


def record_type(name: Any, fields: list[Any]) -> RecordType:
    """A new record type; `name` and `fields` are symbols."""
    text = name.name.strip("<>") or name.name
    members: dict[str, Any] = {
        "__slots__": tuple(f"f{i}" for i in range(len(fields))),
        "type_name": text,
        "field_names": tuple(field.name for field in fields),
    }
    return RecordType(type(text, (Record,), members))


def _make(text: str, **given: Any) -> Any:
    factory = _factories.get(text)
    if factory is None:
        scope: dict[str, Any] = {}
        exec(f"def factory({', '.join(given)}):\n{text}", scope)
        factory = _factories[text] = scope["factory"]
    return factory(**given)


def _named(function: FunctionType, cls: type[Record], name: Any, signature: str) -> FunctionType:
    function.record_class = cls  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name.name
    function.__doc__ = f"({name.name}{signature})"
    return function


def constructor(kind: RecordType, name: Any, indices: list[int]) -> FunctionType:
    cls = kind.cls
    params = ", ".join(f"a{i}" for i in indices)
    stores = "".join(f"  r.f{i} = a{i}\n" for i in indices)
    unset = "".join(f"  r.f{i} = None\n" for i in range(len(cls.field_names)) if i not in indices)
    text = f" def make({params}):\n  r = cls()\n{stores}{unset}  return r\n return make\n"
    signature = "".join(" " + cls.field_names[i] for i in indices)
    return _named(_make(text, cls=cls), cls, name, signature)


def predicate(kind: RecordType, name: Any) -> FunctionType:
    cls = kind.cls
    text = " def test(obj):\n  return type(obj) is cls\n return test\n"
    return _named(_make(text, cls=cls, type=type), cls, name, " obj")


def accessor(kind: RecordType, name: Any, index: int) -> FunctionType:
    cls = kind.cls
    text = (
        f" def get(r):\n  if type(r) is cls:\n   return r.f{index}\n  raise wrong(r)\n return get\n"
    )
    made = _make(text, cls=cls, type=type, wrong=_wrong(cls, name))
    return _named(made, cls, name, f" {cls.type_name}")


def modifier(kind: RecordType, name: Any, index: int) -> FunctionType:
    cls = kind.cls
    text = (
        " def put(r, value):\n  if type(r) is not cls:\n   raise wrong(r)\n"
        f"  r.f{index} = value\n return put\n"
    )
    made = _make(text, cls=cls, type=type, wrong=_wrong(cls, name))
    return _named(made, cls, name, f" {cls.type_name} value")


def class_of(function: Any) -> type[Record]:
    """The class of the records that one of the procedures above is for."""
    found: type[Record] = function.record_class
    return found


def _wrong(cls: type[Record], name: Any) -> Callable[[Any], LispTypeError]:
    def wrong(value: Any) -> LispTypeError:
        return wrong_type(name.name, 1, f"a {cls.type_name}", value)

    return wrong


RECORD_PROCEDURES: dict[str, Callable[..., Any]] = {
    "%record-type": record_type,
    "%record-constructor": constructor,
    "%record-predicate": predicate,
    "%record-accessor": accessor,
    "%record-modifier": modifier,
}
