"""Primitives the compiler writes out as Python operators, with the checks Lisp needs.

Owns: the table of templates. `A` and `B` are the operands; `A_` and `B_` stand where each is
evaluated (first, and in order). The test decides; the slow path on the right is the primitive
itself, which does every other type and makes every error. So a template never changes what a
primitive does.
Refuses: emitting calls of procedures.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Any

from omega.lisp.names import library_name
from omega.lisp.syntax import parse_template

# A and B are of one type, T, and that is an integer's or a float's.
_SAME = "(T := _type(A_)) is _type(B_)"
_INT_OR_FLOAT = f"{_SAME} and (T is _int or T is _float)"


def _arithmetic(op: str, slow: str) -> dict[str, str]:
    """Templates by what is known of the operands: "a-int" is that A is an integer, and so on. An
    integer and a float meet in the primitive: the integer may be beyond all floats.
    """
    return {
        "known": f"A_ {op} B_",
        "a-int": f"(A_ {op} B) if _type(B_) is _int else {slow}(A, B)",
        "b-int": f"(A {op} B_) if _type(A_) is _int else {slow}(A, B_)",
        "a-small": f"(A_ {op} B) if (T := _type(B_)) is _int or T is _float else {slow}(A, B)",
        "b-small": f"(A {op} B_) if (T := _type(A_)) is _int or T is _float else {slow}(A, B_)",
        "a-float": f"(A_ {op} B) if _type(B_) is _float else {slow}(A, B)",
        "b-float": f"(A {op} B_) if _type(A_) is _float else {slow}(A, B_)",
        "both": f"(A {op} B) if {_INT_OR_FLOAT} else {slow}(A, B)",
    }


# An integer of one digit of CPython's: what it multiplies or divides takes no more than a sum does,
# and it is compared fastest.
DIGIT = (1 << 30) - 1
# Products grow by doubling: with both operands beyond a digit, and one beyond 4,096 bits, one is
# charged for, made in pieces and refused beyond the limit.
_WATCHED = (
    f"A * B if B < {DIGIT} and B > -{DIGIT} else "
    "A * B if _LOW < A < _BIG > B > _LOW else _product(A, B)"
)
_OF_INTS = f"A * B if A < {DIGIT} and A > -{DIGIT} else {_WATCHED}"
_PRODUCT = _arithmetic("*", "_mul") | {
    "ints": f"A * B if (A_ < {DIGIT}) & (B_ is not None) and A > -{DIGIT} else {_WATCHED}",
    "a-int": f"({_OF_INTS}) if _type(B_) is _int else _mul(A, B)",
    "b-int": f"({_OF_INTS}) if _type(A_) is _int else _mul(A, B)",
    "both": f"(({_OF_INTS}) if T is _int else A * B if T is _float else _mul(A, B)) "
    f"if {_SAME} else _mul(A, B)",
}
# Exact quotients are the primitive's: they may be ratios.
_QUOTIENT = {
    "known": "A_ / B_",
    "floats": "(A / B) if A_ is not None and B_ else _div(A, B)",
    "a-float": "(A / B) if _type(B_) is _float and B else _div(A, B)",
    "b-float": "(A / B) if _type(A_) is _float and B else _div(A, B)",
    "both": "(A / B) if _type(A_) is _type(B_) is _float and B else _div(A, B)",
}

_BINARY: dict[str, dict[str, str]] = {
    "+": _arithmetic("+", "_add"),
    "-": _arithmetic("-", "_sub"),
    "*": _PRODUCT,
    "/": _QUOTIENT,
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
    "string?": "_type(A_) is _str",
    "symbol?": "_type(A_) is _Symbol",
    "vector?": "_type(A_) is _list",
    "char?": "_type(A_) is _Char",
    "exact-integer?": "_type(A_) is _int",
    "eof-object?": "A_ is _Eof",
}

_IN_RANGE = "B < _len(A)"
_ORDERS = {"=?": "==", "<?": "<", ">?": ">", "<=?": "<=", ">=?": ">="}
# What is written out while its operands are of the types wanted: (fast, the type wanted of each
# operand, further comparisons).
_CHECKED: dict[str, tuple[str, tuple[str | None, ...], tuple[str, ...]]] = {
    # What is no pair has no such attribute (refusals.py).
    "car": ("A.__car__", (None,), ()),
    "cdr": ("A.__cdr__", (None,), ()),
    "caar": ("T.car", (None,), ("_type(T := A.__caar__) is _Pair",)),
    "cadr": ("T.car", (None,), ("_type(T := A.__cadr__) is _Pair",)),
    "cdar": ("T.cdr", (None,), ("_type(T := A.__cdar__) is _Pair",)),
    "cddr": ("T.cdr", (None,), ("_type(T := A.__cddr__) is _Pair",)),
    "caddr": ("T.cdr.car", (None,), (
        "_type(T := A.__caddr__) is _Pair", "_type(T.cdr) is _Pair"
    )),
    "cdddr": ("T.cdr.cdr", (None,), (
        "_type(T := A.__cdddr__) is _Pair", "_type(T.cdr) is _Pair"
    )),
    "zero?": ("A == 0", ("int",), ()),
    "positive?": ("A > 0", ("int",), ()),
    "negative?": ("A < 0", ("int",), ()),
    "even?": ("A % 2 == 0", ("int",), ()),
    "odd?": ("A % 2 == 1", ("int",), ()),
    "vector-length": ("_len(A)", ("vector",), ()),
    "string-length": ("_len(A)", ("string",), ()),
    "number->string": ("_str(A)", ("int",), (f"A < {DIGIT}", f"A > -{DIGIT}")),
    # Division of long integers by long ones is more than linear work: the primitive does it in
    # pieces.
    "quotient": ("A // B", ("int", "int"), ("A >= 0", "B > 0", f"B < {DIGIT}")),
    "remainder": ("A % B", ("int", "int"), ("A >= 0", "B > 0", f"B < {DIGIT}")),
    "modulo": ("A % B", ("int", "int"), ("B > 0", f"B < {DIGIT}")),
    **{
        f"string{name}": (f"A {op} B", ("string", "string"), ("_len(A) + _len(B) < 64",))
        for name, op in _ORDERS.items()
    },
    **{
        f"char{name}": (f"A.value {op} B.value", ("char", "char"), ())
        for name, op in _ORDERS.items()
    },
    "cons": ("_cons(A, B)", (None, None), ()),
    "string-append": (
        "A + B", ("string", "string"), ("(_len(A) < 100000) & (_len(B) < 100000)",)
    ),
    "vector-ref": ("A[B]", ("vector", "int"), ("B >= 0", _IN_RANGE)),
    "hash-ref": ("A._data.get(B, C)", ("table", "key", None), ()),
    "hash-has-key?": ("B in A._data", ("table", "key"), ()),
}  # fmt: skip
# ... and again where these hold instead of those: more work to find out.
_AGAIN: dict[str, tuple[str, ...]] = {
    "number->string": ("A < 10**15", "A > -(10**15)"),
    "quotient": ("A >= 0", "A < _BIG", "B > 0"),
    "remainder": ("A >= 0", "A < _BIG", "B > 0"),
    "modulo": ("A < _BIG", "A > _LOW", "B != 0"),
}
_TESTS = {
    "int": "_type({}) is _int",
    "string": "_type({}) is _str",
    "char": "_type({}) is _Char",
    "vector": "_type({}) is _list",
    "pair": "_type({}) is _Pair",
    "table": "_type({}) is _HashTable",
    "key": "_type({}) in _PLAIN",  # equal? only to itself, in any hash table
}
_SATISFIED_BY = {"key": frozenset({"string", "symbol", "char", "int"})}

# Where the value is not used: what is wanted of A and of B; the further test; the place that is
# assigned the last operand, or a call.
_STORES: dict[str, tuple[tuple[str | None, ...], tuple[str, ...], str]] = {
    "vector-set!": (("vector", "int"), ("B >= 0", _IN_RANGE), "A[B]"),
    "hash-set!": (("table", "key"), (), "A._data[B]"),
    "set-car!": (("pair",), (), "A.car"),
    "set-cdr!": (("pair",), (), "A.cdr"),
    "hash-delete!": (("table", "key"), (), "A._data.pop(B, None)"),
    "vector-push!": (("vector",), ("_len(A) < _MOST",), "A.append(B)"),
}
STORES = {
    "vector-set!": 3, "hash-set!": 3, "set-car!": 2, "set-cdr!": 2, "hash-delete!": 2,
    "vector-push!": 2,
}  # fmt: skip
# Subscripts may be written bare, without a look at the length: refusals.py tells then what failed.
SUBSCRIPTS = frozenset({"vector-ref", "vector-set!"})

UNARY: dict[str, ast.expr] = {name: parse_template(text) for name, text in _UNARY.items()}
BINARY: dict[str, dict[str, ast.expr]] = {
    name: {kind: parse_template(text) for kind, text in kinds.items()}
    for name, kinds in _BINARY.items()
}
# Products of integers that are no work: of any, and of one never below 0, on either side.
ATOMS_PRODUCT = parse_template(_OF_INTS)
NATURAL_PRODUCT = parse_template(f"A * B if A < {DIGIT} else {_WATCHED}")
PRODUCT_BY_NATURAL = parse_template(f"A * B if B < {DIGIT} else {_WATCHED}")


def _sums_of_products() -> dict[tuple[str, bool, str | None], ast.expr]:
    """Sums and differences of an atom and a product of what may be anything, whose types are looked
    at together: by the operator, whether the product comes first, and the atom's type. D is the
    product as the primitive makes it.
    """
    found: dict[tuple[str, bool, str | None], ast.expr] = {}
    for op, slow in (("+", "_add"), ("-", "_sub")):
        for is_first in (True, False):
            x, y, atom = "ABC" if is_first else "BCA"
            written = f"{x} * {y} {op} {atom}" if is_first else f"{atom} {op} {x} * {y}"
            otherwise = f"{slow}(D, {atom})" if is_first else f"{slow}({atom}, D)"
            is_short = (
                f"({x} < {DIGIT} and {x} > -{DIGIT} or {y} < {DIGIT} and {y} > -{DIGIT}"
                f" or _LOW < {x} < _BIG > {y} > _LOW)"
            )
            same = f"_type({x}_) is _type({y}_) is"
            tests = {
                None: f"(T := _type({x}_)) is _type({y}_) is _type({atom})"
                f" and ({is_short} if T is _int else T is _float)",
                "int": f"{same} _int and {is_short}",
                "float": f"{same} _float",
            }
            for type_, test in tests.items():
                text = f"({written}) if {test} else {otherwise}"
                found[op, is_first, type_] = parse_template(text)
    return found


SUMS_OF_PRODUCTS = _sums_of_products()
# The less or greater of two integers, by which of them are surely integers.
EXTREMES: dict[str, dict[tuple[bool, bool], ast.expr]] = {
    name: {
        sure: parse_template(f"(A if A {op} B else B) if {test} else {library_name(name)}(A, B)")
        if test
        else parse_template(f"A if A_ {op} B_ else B")
        for sure, test in {
            (True, True): "",
            (True, False): "_type(B_) is _int",
            (False, True): "_type(A_) is _int",
            (False, False): "_type(A_) is _type(B_) is _int",
        }.items()
    }
    for name, op in (("min", "<="), ("max", ">="))
}
EQV_INT = parse_template("A == B if _type(A_) is _int else False")
COMPARISONS = frozenset({"=", "<", ">", "<=", ">="})
BOOLEANS = frozenset(
    {"not", "null?", "pair?", "zero?", "positive?", "negative?", "even?", "odd?", "string?",
     "symbol?", "vector?", "eof-object?", "eq?", "eqv?", "hash-has-key?", "char?",
     "exact-integer?"}
    | {kind + name for kind in ("string", "char") for name in _ORDERS} | COMPARISONS
)  # fmt: skip
SMALL = 1 << 53  # integers below it are floats exactly
_EXACT = {"int", "float"}
_PRODUCTS = frozenset({"*"})


def kind_of(name: str, left: str | None, right: str | None, constants: tuple[Any, Any]) -> str:
    """Which template of BINARY serves operands of these types. constants: the operands' values
    where they are constants, None where not.
    """
    small = [type(value) is int and -SMALL < value < SMALL for value in constants]
    if name == "/":
        if left == "float" and small[1] and constants[1]:
            return "known"
        if left == "float" == right:
            return "floats"
        return "a-float" if left == "float" else "b-float" if right == "float" else "both"
    if left == right and left in _EXACT:
        # A product with a constant grows slowly; any other of integers is watched.
        watched = name in _PRODUCTS and left == "int" and not any(small)
        return "ints" if watched else "known"
    if left in _EXACT and right in _EXACT:
        if any(small) or name in COMPARISONS:
            return "known"
        return "a-float" if left == "float" else "b-float"
    if name in _PRODUCTS and any(small):
        return "a-small" if small[0] else "b-small"
    for side, type_, is_small in (("a", left, small[0]), ("b", right, small[1])):
        if type_ in _EXACT:
            return f"{side}-{'small' if is_small else type_}"
    return "both"


@cache
def names_in(template: ast.expr) -> frozenset[str]:
    """The names a template is written with."""
    return frozenset(part.id for part in ast.walk(template) if isinstance(part, ast.Name))


CHECKED = {name: len(wanted) for name, (_, wanted, _) in _CHECKED.items()}


Types = tuple[str | None, ...]
Lows = tuple[int | None, ...]


@cache
def checked(
    name: str, types: Types, lows: Lows, divisor: object, work: tuple[bool, ...], bare: bool
) -> ast.expr:
    """The template of a primitive of CHECKED for operands of these types; what they make sure is
    not tested. lows: 0 or 1 for an operand that is an integer never below that, else None. divisor:
    the second operand, if it is a constant. work: which operands are more than atoms, and so are to
    be evaluated once, in a place that is always reached. bare: see SUBSCRIPTS.
    """
    fast, wanted, comparisons = _CHECKED[name]
    slow = f"{library_name(name)}({', '.join('ABC'[: len(wanted)])})"
    if type(divisor) is int and divisor > 0 and wanted == ("int", "int"):
        more = [] if name == "modulo" else _unknown(("A >= 0",), lows)
    else:
        more = _unknown(comparisons, lows)
    if more and name in _AGAIN:
        slow = f"{fast} if {' and '.join(_unknown(_AGAIN[name], lows))} else {slow}"
    if bare:
        more = [comparison for comparison in more if comparison != _IN_RANGE]
    unsure = [not _is_sure(want, type_) for want, type_ in zip(wanted, types, strict=True)]
    for i, letter in enumerate("ABC"[: len(wanted)]):
        if not work[i] or unsure[i] or not (more or any(unsure)):
            continue
        if wanted[i] is None and len(wanted) > 1:
            continue
        if any(unsure) or sum(work) > 1 or not re.search(rf"\b{letter}\b", more[0]):
            unsure[i] = True  # its test is where it is evaluated
        else:
            more[0] = re.sub(rf"\b{letter}\b", f"{letter}_", more[0], count=1)
    tests = _type_tests(wanted, unsure, work)
    if not tests and not more:
        return parse_template(re.sub(r"\b([ABC])\b", r"\1_", fast))
    if tests and more and name in _AGAIN:
        fast, more = f"({fast} if {' and '.join(more)} else {slow})", []
        slow = slow.rpartition(" else ")[2]
    return parse_template(f"{fast} if {' and '.join(tests + more)} else {slow}")


def _unknown(comparisons: tuple[str, ...], lows: Lows) -> list[str]:
    """The comparisons that may fail."""
    found = list(comparisons)
    for letter, low in zip("AB", lows, strict=False):
        if low is not None:
            found = [c for c in found if c not in (f"{letter} >= 0", f"{letter} > _LOW")
                     and not c.startswith(f"{letter} > -")]  # fmt: skip
        if low == 1:
            found = [c for c in found if c not in (f"{letter} > 0", f"{letter} != 0")]
    return found


def _is_sure(want: str | None, type_: str | None) -> bool:
    return want is None or type_ == want or type_ in _SATISFIED_BY.get(want, ())


def _type_tests(wanted: Types, unsure: list[bool], work: tuple[bool, ...]) -> list[str]:
    """The tests of what is unsure. All operands that are work are evaluated, whatever the first
    test turns out to be.
    """
    tested = [(letter, want) for letter, want, test in zip("ABC", wanted, unsure, strict=False)
              if test and want is not None]  # fmt: skip
    if len(tested) == 2 and tested[0][1] == tested[1][1]:
        want = _TESTS[tested[0][1]].partition(" is ")[2]
        return [f"_type(A_) is _type(B_) is {want}"]
    parts = [_TESTS[want].format(f"{letter}_") for letter, want in tested]
    if not any(work[1:]):
        return parts
    return [" & ".join(f"({part})" for part in parts)] if parts else []


@cache
def store(name: str, types: Types, lows: Lows, bare: bool) -> tuple[ast.expr, ast.expr]:
    """(test, place) of a primitive of STORES for operands of these types, which are atoms. bare:
    see SUBSCRIPTS.
    """
    wanted, comparisons, place = _STORES[name]
    more = tuple(c for c in comparisons if not (bare and c == _IN_RANGE))
    tests = [
        _TESTS[want].format(letter)
        for letter, want, type_ in zip("AB", wanted, types, strict=False)
        if want is not None and not _is_sure(want, type_)
    ]
    test = " and ".join([*tests, *_unknown(more, lows)])
    return parse_template(test or "True"), parse_template(place)
