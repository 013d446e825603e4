"""Primitives the compiler writes out as Python operators, with the checks Lisp needs.

Owns: the table of templates. `A` and `B` are the operands; `A_` and `B_` stand where each is
evaluated (first, and in order). The test decides; the slow path on the right is the primitive
itself, which does every other type and makes every error. So a template never changes what a
primitive does.
Refuses: emitting calls of procedures.
"""

from __future__ import annotations

import ast
from functools import cache

from omega.lisp.names import library_name
from omega.lisp.syntax import parse_template

_INTS = "_type(A_) is _type(B_) is _int"


def _arithmetic(op: str, slow: str) -> dict[str, str]:
    return {
        "known": f"A_ {op} B_",
        "a-known": f"(A_ {op} B) if _type(B_) is _int else {slow}(A, B)",
        "b-known": f"(A {op} B_) if _type(A_) is _int else {slow}(A, B_)",
        "both": f"(A {op} B) if {_INTS} else {slow}(A, B)",
    }


# Products grow by doubling: one beyond 4,096 bits is charged for, and refused beyond the limit. `R`
# is the result.
_WATCHED = "(R if -_BIG < (R := {}) < _BIG else _product(R))"
_PRODUCT = {
    "known": "A_ * B_",
    "ints": _WATCHED.format("A_ * B_"),
    "a-known": f"{_WATCHED.format('A * B')} if _type(B_) is _int else _mul(A, B)",
    "b-known": f"{_WATCHED.format('A * B')} if _type(A_) is _int else _mul(A, B)",
    "both": f"{_WATCHED.format('A * B')} if {_INTS} else _mul(A, B)",
}

_BINARY: dict[str, dict[str, str]] = {
    "+": _arithmetic("+", "_add"),
    "-": _arithmetic("-", "_sub"),
    "*": _PRODUCT,
    "=": _arithmetic("==", "_num_eq"),
    "<": _arithmetic("<", "_lt"),
    ">": _arithmetic(">", "_gt"),
    "<=": _arithmetic("<=", "_le"),
    ">=": _arithmetic(">=", "_ge"),
}

_UNARY = {
    "not": "A_ is False",
    "null?": "A_ is _Nil",
    "pair?": "_type(A_) is _Pair",
    "car": "A.car if _type(A_) is _Pair else {slow}(A)",
    "cdr": "A.cdr if _type(A_) is _Pair else {slow}(A)",
    "zero?": "A == 0 if _type(A_) is _int else {slow}(A)",
    "positive?": "A > 0 if _type(A_) is _int else {slow}(A)",
    "negative?": "A < 0 if _type(A_) is _int else {slow}(A)",
    "even?": "A % 2 == 0 if _type(A_) is _int else {slow}(A)",
    "odd?": "A % 2 == 1 if _type(A_) is _int else {slow}(A)",
    "vector-length": "_len(A) if _type(A_) is _list else {slow}(A)",
    "string-length": "_len(A) if _type(A_) is _str else {slow}(A)",
    "number->string": "_str(A) if _type(A_) is _int and -10**15 < A < 10**15 else {slow}(A)",
    "string?": "_type(A_) is _str",
    "symbol?": "_type(A_) is _Symbol",
    "vector?": "_type(A_) is _list",
    "eof-object?": "A_ is _Eof",
}

# Templates over two operands whose test needs more than their types: (fast, what the test asks of
# A, of B, and of both).
_CHECKED = {
    "quotient": ("A // B", "int", "int", "A >= 0 and B > 0"),
    "remainder": ("A % B", "int", "int", "A >= 0 and B > 0"),
    "modulo": ("A % B", "int", "int", "B != 0"),
    "cons": ("_cons(A, B)", None, None, ""),
    "string-append": ("A + B", "string", "string", "_len(A) < 100000 > _len(B)"),
    "vector-ref": ("A[B]", "vector", "int", "-1 < B < _len(A)"),
}
_CLASSES = {"int": "_int", "string": "_str", "vector": "_list"}

# Templates over three operands, of which the last must be an atom.
_TERNARY = {
    "hash-ref": "A._data.get(B, C) if (_type(A_) is _HashTable) & (_type(B_) in _PLAIN) else "
    "{slow}(A, B, C)",
}

# Where the value is not used: what is tested of A, of B, and of both; the place that is assigned
# the last operand.
_STORES = {
    "vector-set!": ("vector", "int", "-1 < B < _len(A)", "A[B]"),
    "hash-set!": (None, None, "_type(A) is _HashTable and _type(B) in _PLAIN", "A._data[B]"),
    "set-car!": (None, None, "_type(A) is _Pair", "A.car"),
    "set-cdr!": (None, None, "_type(A) is _Pair", "A.cdr"),
}
STORES = frozenset(_STORES)

TERNARY: dict[str, ast.expr] = {
    name: parse_template(text.replace("{slow}", library_name(name)))
    for name, text in _TERNARY.items()
}
UNARY: dict[str, ast.expr] = {
    name: parse_template(text.replace("{slow}", library_name(name)))
    for name, text in _UNARY.items()
}
BINARY: dict[str, dict[str, ast.expr]] = {
    name: {kind: parse_template(text) for kind, text in kinds.items()}
    for name, kinds in _BINARY.items()
}
EQV_INT = parse_template("A == B if _type(A_) is _int else False")
COMPARISONS = frozenset({"=", "<", ">", "<=", ">="})
BOOLEANS = frozenset(
    {"not", "null?", "pair?", "zero?", "positive?", "negative?", "even?", "odd?", "string?",
     "symbol?", "vector?", "eof-object?", "eq?", "eqv?"} | COMPARISONS
)  # fmt: skip
CHECKED = frozenset(_CHECKED)


@cache
def checked(name: str, a: str | None, b: str | None, divisor: object) -> ast.expr:
    """The template of a primitive of CHECKED for operands of types `a` and `b`; what they make sure
    is not tested. divisor: the second operand, if it is a constant.
    """
    fast, want_a, want_b, more = _CHECKED[name]
    tests = []
    if type(divisor) is int and divisor > 0 and want_b == "int" and want_a == "int":
        more = "" if name == "modulo" else "A >= 0"
    if a != want_a and b != want_b and want_a == want_b and want_a is not None:
        tests.append(f"_type(A_) is _type(B_) is {_CLASSES[want_a]}")
    else:
        # Both operands are evaluated whatever the first turns out to be.
        parts = [f"(_type(A_) is {_CLASSES[want_a]})"] if want_a is not None and a != want_a else []
        if want_b is not None and b != want_b:
            parts.append(f"(_type(B_) is {_CLASSES[want_b]})")
        tests += [" & ".join(parts)] if parts else []
    if more:
        tests.append(more)
    if not tests:
        return parse_template(fast.replace("A", "A_").replace("B", "B_"))
    return parse_template(f"{fast} if {' and '.join(tests)} else {library_name(name)}(A, B)")


@cache
def store(name: str, a: str | None, b: str | None) -> tuple[ast.expr, ast.expr]:
    """(test, place) of a primitive of STORES for operands of types `a` and `b`."""
    want_a, want_b, more, place = _STORES[name]
    tests = []
    if want_a is not None and a != want_a:
        tests.append(f"_type(A) is {_CLASSES[want_a]}")
    if want_b is not None and b != want_b:
        tests.append(f"_type(B) is {_CLASSES[want_b]}")
    return parse_template(" and ".join([*tests, more])), parse_template(place)
