"""The errors of primitives that generated code leaves to CPython: which one refuses which operands.

Owns: the names under which generated code reads the slots of a pair; `Subscripts`, what is kept of
`v[i]` written without a look at the length; `refused`, the primitive's own error for the exception
CPython raised. So a use that goes well pays for no test, and one that fails is told as if the
primitive had been called.
Refuses: what may be of another type and still answer: nothing but a pair has attributes of these
names, and only what is known to be a vector, with an index not below 0, is subscripted bare.
"""

from __future__ import annotations

import ast
from itertools import islice
from types import FrameType, TracebackType
from typing import Any

from omega.errors import OmegaError
from omega.lisp.data import Pair
from omega.lisp.docstring import lines_of
from omega.lisp.names import library_name

# primitive -> the slot it reads first
_FIRST = {
    "car": "car", "cdr": "cdr", "caar": "car", "cadr": "cdr", "cdar": "car", "cddr": "cdr",
    "caddr": "cdr", "cdddr": "cdr",
}  # fmt: skip
_SPELLED = {f"__{name}__": name for name in _FIRST}
for _name, _slot in _FIRST.items():
    setattr(Pair, f"__{_name}__", Pair.__dict__[_slot])

_MARK = ";["
Place = tuple[int, int, int, int]


class Subscripts:
    """Those of the function that is being emitted: where each stands in the code, the primitive,
    the vector and the index as they are written in Python.
    """

    def __init__(self) -> None:
        self._known: dict[Place, str] = {}

    def add(self, place: dict[str, int], name: str, parts: tuple[ast.expr, ast.expr]) -> bool:
        """Keep one; whether its operands can be found again. A place has one at most."""
        key = (place["lineno"], place["col_offset"], place["end_lineno"], place["end_col_offset"])
        if key in self._known or not _is_written_out(parts[0], 0) or not _is_written_out(parts[1]):
            return False
        self._known[key] = f"{name} {' '.join(ast.unparse(part) for part in parts)}"
        return True

    def lines(self) -> list[str]:
        """For the docstring."""
        return [f"{_MARK}{':'.join(map(str, key))} {text}" for key, text in self._known.items()]


def _is_written_out(part: ast.expr, nested: int = 1) -> bool:
    """A name, an integer, or the sum or difference of two such."""
    match part:
        case ast.Name():
            return True
        case ast.Constant():
            return type(part.value) is int
        case ast.BinOp(op=ast.Add() | ast.Sub()) if nested:
            return _is_written_out(part.left, 0) and _is_written_out(part.right, 0)
    return False


def refused(failure: Exception, registers: dict[str, Any]) -> OmegaError | None:
    """What the primitive says whose work failed; None when it failed in no generated code, or it is
    none of its own.
    """
    at: TracebackType | None = None
    traceback = failure.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals is registers:
            at = traceback
        traceback = traceback.tb_next
    if at is None:
        return None
    name = ""
    operands: list[Any] = []
    if at.tb_next is not None:
        name, operands = _asked(at.tb_next.tb_frame)
    elif isinstance(failure, AttributeError):
        name, operands = _SPELLED.get(failure.name or "", ""), [failure.obj]
    elif isinstance(failure, IndexError):
        name, operands = _subscript(at)
    if name:
        try:
            registers[library_name(name)](*operands)
        except OmegaError as error:
            return error
    return None


def _asked(frame: FrameType) -> tuple[str, list[Any]]:
    """Of an object of the host that looks its attributes up itself: the primitive that would have
    read one, and the object.
    """
    names = frame.f_code.co_varnames
    if frame.f_code.co_name not in ("__getattr__", "__getattribute__") or len(names) < 2:
        return "", []
    found = [frame.f_locals.get(name) for name in names[:2]]
    return _SPELLED.get(str(found[1]), ""), [found[0]]


def _subscript(traceback: TracebackType) -> tuple[str, list[Any]]:
    """The primitive and its operands; ("", []) when they are not known."""
    code, names = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
    at = next(islice(code.co_positions(), traceback.tb_lasti // 2, None), None)
    if at is None:
        return "", []
    line, end_line, column, end_column = at
    wanted = f"{line}:{column}:{end_line}:{end_column}"
    for text in lines_of(code, _MARK):
        key, name, vector, *index = text.split(" ")
        if key == wanted:
            place = _value(index[0], names)
            if len(index) == 3:
                other = _value(index[2], names)
                place = place + other if index[1] == "+" else place - other
            given = [_value(vector, names), place]
            return name, given if name == "vector-ref" else [*given, None]
    return "", []


def _value(text: str, names: dict[str, Any]) -> Any:
    return names[text] if text in names else int(text)
