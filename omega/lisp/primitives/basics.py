"""Equality, booleans, symbols, keywords, procedures, several values, the unspecified value.

Owns: R7RS 6.1, 6.3, 6.5 and the predicates of 6.10.
Refuses: calling anything.
"""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from omega.lisp.data import Keyword, Symbol, Values
from omega.lisp.equality import is_eq, is_equal, is_eqv
from omega.lisp.primitives import check
from omega.lisp.primitives.registry import primitive

_PROCEDURES = (FunctionType, BuiltinFunctionType, MethodType)

# -- equality -------------------------------------------------------------------------------------


@primitive("eq?", result="bool")
def eq(a: Any, b: Any) -> bool:
    """(eq? a b) -> boolean: whether a and b are the same object; integers are compared by value."""
    return a is b or is_eq(a, b)


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
def boolean_equal(a: Any, b: Any, *more: Any, rt: Any) -> bool:
    """(boolean=? a b ...) -> boolean: whether all are #t or all are #f."""
    check.spend_each(rt, len(more))
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
def symbol_equal(a: Any, b: Any, *more: Any, rt: Any) -> bool:
    """(symbol=? a b ...) -> boolean: whether all are the same symbol."""
    check.spend_each(rt, len(more))
    for at, x in enumerate((a, b, *more), 1):
        _symbol("symbol=?", at, x)
    return all(x is a for x in (b, *more))


@primitive("symbol->string", result="string")
def symbol_to_string(symbol: Any) -> str:
    """(symbol->string symbol) -> string: its name."""
    return _symbol("symbol->string", 1, symbol).name


@primitive("string->symbol", "intern", result="symbol")
def string_to_symbol(s: Any, *, rt: Any) -> Symbol:
    """(string->symbol s) -> symbol: the symbol of that name."""
    name = check.string("string->symbol", 1, s)
    check.spend(rt, len(name))
    return Symbol.of(name)


@primitive("string->uninterned-symbol", result="symbol")
def string_to_uninterned_symbol(s: Any) -> Symbol:
    """(string->uninterned-symbol s) -> symbol: a fresh symbol of that name, equal to no other."""
    return Symbol(check.string("string->uninterned-symbol", 1, s))


@primitive("symbol-append", result="symbol")
def symbol_append(*symbols: Any, rt: Any) -> Symbol:
    """(symbol-append symbol ...) -> symbol: the symbol whose name joins theirs."""
    check.spend_each(rt, len(symbols))
    names = [_symbol("symbol-append", at, x).name for at, x in enumerate(symbols, 1)]
    check.size(rt, sum(map(len, names)), "characters")
    return Symbol.of("".join(names))


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
def string_to_keyword(s: Any, *, rt: Any) -> Keyword:
    """(string->keyword s) -> keyword: the keyword of that name; s is without the colon."""
    name = check.string("string->keyword", 1, s)
    check.spend(rt, len(name))
    return Keyword.of(name)


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
