"""Equality, booleans, symbols, keywords, procedures, several values, the unspecified value, and
conditions as data.

Owns: R7RS 6.1, 6.3, 6.5, the predicates of 6.10, and what can be asked of a condition (6.11).
Refuses: raising and handling (control procedures do), calling anything.
"""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from omega.errors import OmegaError, is_kind
from omega.lisp.data import Keyword, Symbol, Values, to_list
from omega.lisp.equality import is_eq, is_equal, is_eqv
from omega.lisp.primitives import check
from omega.lisp.primitives.registry import primitive

_PROCEDURES = (FunctionType, BuiltinFunctionType, MethodType)

# -- equality -------------------------------------------------------------------------------------


@primitive("eq?", result="bool")
def eq(a: Any, b: Any) -> bool:
    """(eq? a b) -> boolean: whether a and b are the same object; integers are compared by value."""
    return is_eq(a, b)


@primitive("eqv?", result="bool")
def eqv(a: Any, b: Any) -> bool:
    """(eqv? a b) -> boolean: like eq?, with numbers by value and exactness, and strings by
    value.
    """
    return is_eqv(a, b)


@primitive("equal?", result="bool")
def equal(a: Any, b: Any, *, rt: Any) -> bool:
    """(equal? a b) -> boolean: whether a and b have the same structure and equal parts. Ends on
    circular data too.
    """
    return is_equal(a, b, rt.charge)


# -- booleans -------------------------------------------------------------------------------------


@primitive("not", result="bool")
def not_(x: Any) -> bool:
    """(not x) -> boolean: #t if x is #f, else #f."""
    return x is False


@primitive("boolean?", result="bool")
def is_boolean(x: Any) -> bool:
    """(boolean? x) -> boolean: whether x is #t or #f."""
    return x is True or x is False


@primitive("boolean=?", result="bool")
def boolean_equal(a: Any, b: Any, *more: Any) -> bool:
    """(boolean=? a b ...) -> boolean: whether all are #t or all are #f."""
    for at, x in enumerate((a, b, *more), 1):
        if x is not True and x is not False:
            raise check.wrong_type("boolean=?", at, "a boolean", x)
    return all(x is a for x in (b, *more))


# -- symbols and keywords -------------------------------------------------------------------------


def _symbol(name: str, position: int, x: Any) -> Symbol:
    if type(x) is not Symbol:
        raise check.wrong_type(name, position, "a symbol", x)
    return x


@primitive("symbol?", result="bool")
def is_symbol(x: Any) -> bool:
    """(symbol? x) -> boolean: whether x is a symbol."""
    return type(x) is Symbol


@primitive("symbol=?", result="bool")
def symbol_equal(a: Any, b: Any, *more: Any) -> bool:
    """(symbol=? a b ...) -> boolean: whether all are the same symbol."""
    for at, x in enumerate((a, b, *more), 1):
        _symbol("symbol=?", at, x)
    return all(x is a for x in (b, *more))


@primitive("symbol->string", result="string")
def symbol_to_string(symbol: Any) -> str:
    """(symbol->string symbol) -> string: its name."""
    return _symbol("symbol->string", 1, symbol).name


@primitive("string->symbol", "intern", result="symbol")
def string_to_symbol(s: Any) -> Symbol:
    """(string->symbol s) -> symbol: the symbol of that name."""
    return Symbol.of(check.string("string->symbol", 1, s))


@primitive("string->uninterned-symbol", result="symbol")
def string_to_uninterned_symbol(s: Any) -> Symbol:
    """(string->uninterned-symbol s) -> symbol: a fresh symbol of that name, equal to no other."""
    return Symbol(check.string("string->uninterned-symbol", 1, s))


@primitive("symbol-append", result="symbol")
def symbol_append(*symbols: Any) -> Symbol:
    """(symbol-append symbol ...) -> symbol: the symbol whose name joins theirs."""
    return Symbol.of(
        "".join([_symbol("symbol-append", at, x).name for at, x in enumerate(symbols, 1)])
    )


@primitive("gensym", "generate-uninterned-symbol", result="symbol")
def gensym(prefix: Any = "g") -> Symbol:
    """(gensym [prefix]) -> symbol: a fresh symbol, equal to no other; for macros."""
    if type(prefix) is Symbol:
        prefix = prefix.name
    return Symbol(check.string("gensym", 1, prefix))


@primitive("keyword?", result="bool")
def is_keyword(x: Any) -> bool:
    """(keyword? x) -> boolean: whether x is a keyword such as :name."""
    return type(x) is Keyword


def _keyword(name: str, x: Any) -> Keyword:
    if type(x) is not Keyword:
        raise check.wrong_type(name, 1, "a keyword", x)
    return x


@primitive("keyword->string", result="string")
def keyword_to_string(keyword: Any) -> str:
    """(keyword->string keyword) -> string: its name, without the colon."""
    return _keyword("keyword->string", keyword).name


@primitive("string->keyword")
def string_to_keyword(s: Any) -> Keyword:
    """(string->keyword s) -> keyword: the keyword of that name; s is without the colon."""
    return Keyword.of(check.string("string->keyword", 1, s))


@primitive("keyword->symbol", result="symbol")
def keyword_to_symbol(keyword: Any) -> Symbol:
    """(keyword->symbol keyword) -> symbol: the symbol of the same name."""
    return Symbol.of(_keyword("keyword->symbol", keyword).name)


@primitive("symbol->keyword")
def symbol_to_keyword(symbol: Any) -> Keyword:
    """(symbol->keyword symbol) -> keyword: the keyword of the same name."""
    return Keyword.of(_symbol("symbol->keyword", 1, symbol).name)


# -- procedures, values, the unspecified value ----------------------------------------------------


@primitive("procedure?", result="bool")
def is_procedure(x: Any) -> bool:
    """(procedure? x) -> boolean: whether x can be called."""
    return isinstance(x, _PROCEDURES)


@primitive("values")
def values(*items: Any) -> Any:
    """(values x ...) -> as many values: (values x) is x itself; take them with call-with-values or
    let-values.
    """
    return items[0] if len(items) == 1 else Values(items)


@primitive("void")
def void(*ignored: Any) -> None:
    """(void x ...) -> unspecified: nothing, whatever the arguments."""
    return


@primitive("unspecified?", "void?", result="bool")
def is_unspecified(x: Any) -> bool:
    """(unspecified? x) -> boolean: whether x is the unspecified value, as `(if #f #f)` gives."""
    return x is None


# -- conditions -----------------------------------------------------------------------------------


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


@primitive("file-error?", result="bool")
def is_file_error(x: Any) -> bool:
    """(file-error? x) -> boolean: whether x is a condition about a file."""
    return isinstance(x, OmegaError) and is_kind(x.kind, "file-error")


@primitive("read-error?", result="bool")
def is_read_error(x: Any) -> bool:
    """(read-error? x) -> boolean: whether x is a condition about text that could not be read."""
    return isinstance(x, OmegaError) and is_kind(x.kind, "read-error")


def _condition(name: str, x: Any) -> OmegaError:
    if not isinstance(x, OmegaError):
        raise check.wrong_type(name, 1, "a condition", x)
    return x


@primitive("error-object-message", "condition-message", result="string")
def error_object_message(condition: Any) -> str:
    """(error-object-message condition) -> string: what it says."""
    return _condition("error-object-message", condition).message


@primitive("error-object-irritants", "condition-irritants", result="list")
def error_object_irritants(condition: Any) -> Any:
    """(error-object-irritants condition) -> list: the objects given with the message."""
    return to_list(_condition("error-object-irritants", condition).irritants)


@primitive("condition-kind", "condition-type", result="symbol")
def condition_kind(condition: Any) -> Symbol:
    """(condition-kind condition) -> symbol: its kind, such as type-error."""
    return Symbol.of(_condition("condition-kind", condition).kind)


@primitive("condition-code", result="string")
def condition_code(condition: Any) -> str:
    """(condition-code condition) -> string: its stable code, such as "E301"."""
    return _condition("condition-code", condition).code


@primitive("condition-hint")
def condition_hint(condition: Any) -> Any:
    """(condition-hint condition) -> string or #f: the way out, when one is known."""
    hint = _condition("condition-hint", condition).hint
    return False if hint is None else hint


@primitive("condition-is?", result="bool")
def condition_is(x: Any, kind: Any) -> bool:
    """(condition-is? x kind) -> boolean: whether x is a condition of `kind` (a symbol) or of a
    kind below it.
    """
    from omega.errors import CODES

    name = _symbol("condition-is?", 2, kind).name
    if name not in CODES:
        raise check.invalid("condition-is?", f"knows no kind of condition `{name}`", kind)
    return isinstance(x, OmegaError) and is_kind(x.kind, name)
