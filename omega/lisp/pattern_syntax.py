"""How patterns of `match` are written: what they begin with, the names in them, quasi-patterns.

Owns: `head_of`, `is_name`, `is_anything`, `is_ellipsis`, `pattern_variables`, `of_template`.
Refuses: what a pattern tests (patterns.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omega.lisp.data import Nil, Pair, Symbol, to_list
from omega.lisp.environment import Alias, Identifier, symbol_of
from omega.lisp.reader import HASH_LITERAL, SourcePair

ELLIPSES = {"...": 0, "___": 0, "..1": 1}  # how many elements at least
HEADS = frozenset({"quote", "quasiquote", "and", "or", "not", "?", "=", "$", "@"})
TABLE: str = HASH_LITERAL.name


def head_of(pattern: Any) -> str:
    """The word a pattern begins with that gives it its meaning; "" when it is a list of patterns,
    or none.
    """
    if not isinstance(pattern, Pair):
        return ""
    if pattern.car is HASH_LITERAL:
        return TABLE
    name: str = symbol_of(pattern.car).name if isinstance(pattern.car, (Symbol, Alias)) else ""
    is_whole = isinstance(pattern.cdr, Pair) or (name in ("and", "or") and pattern.cdr is Nil)
    return name if name in HEADS and is_whole else ""


def is_name(pattern: Any) -> bool:
    """Whether a pattern is a variable."""
    return isinstance(pattern, (Symbol, Alias)) and symbol_of(pattern).name not in ("_", *ELLIPSES)


def is_anything(pattern: Any) -> bool:
    """Whether a pattern fits every value: a variable or `_`."""
    return is_name(pattern) or (
        isinstance(pattern, (Symbol, Alias)) and symbol_of(pattern).name == "_"
    )


def pattern_variables(pattern: Any) -> list[Identifier]:
    """The names a pattern binds, each once, in their order."""
    found: dict[Identifier, None] = {}
    work: list[Any] = [pattern]
    while work:
        at = work.pop()
        if is_name(at):
            found[at] = None
        elif type(at) is list:
            work += reversed(at)
        elif isinstance(at, Pair):
            work += reversed(list(_parts_with_variables(at)))
    return list(found)


def _parts_with_variables(pattern: Pair) -> Iterator[Any]:
    head, rest = head_of(pattern), pattern.cdr
    if head in ("quote", "not"):
        return
    if head == "quasiquote":
        yield of_template(rest.car)
    elif head in ("?", "=", "$"):
        yield from elements_of(rest.cdr)
    elif head == "@":
        for field in elements_of(rest.cdr):
            yield from elements_of(field)[1:]
    elif head == TABLE:
        yield from elements_of(rest)[1::2]
    elif head in ("and", "or"):
        yield from elements_of(rest)
    else:
        yield pattern.car
        yield rest


def elements_of(lst: Any) -> list[Any]:
    items = []
    while isinstance(lst, Pair):
        items.append(lst.car)
        lst = lst.cdr
    return items


def of_template(template: Any) -> Any:
    """The pattern that a quasi-pattern means: what is not unquoted is quoted."""
    if type(template) is list:
        return [of_template(item) for item in template]
    if isinstance(template, (Symbol, Alias)):
        return template if symbol_of(template).name in ELLIPSES else _quoted(template)
    if not isinstance(template, Pair):
        return template
    if _is_unquote(template, "unquote"):
        return template.cdr.car
    items: list[tuple[Any, Any]] = []  # (pattern, the pair it was in)
    at: Any = template
    while isinstance(at, Pair) and not (items and _is_unquote(at, "unquote")):
        if at.cdr is Nil and _is_unquote(at.car, "unquote-splicing"):
            at = at.car  # ,@rest at the end is . ,rest
            break
        items.append((of_template(at.car), at))
        at = at.cdr
    result: Any = Nil
    if at is not Nil:
        result = at.cdr.car if isinstance(at, Pair) else of_template(at)
    for pattern, source in reversed(items):
        pair = SourcePair()
        pair.car, pair.cdr = pattern, result
        pair.span = getattr(source, "span", None)
        pair.car_span = getattr(source, "car_span", None)
        result = pair
    return result


def _is_unquote(datum: Any, name: str) -> bool:
    return (
        isinstance(datum, Pair)
        and isinstance(datum.car, (Symbol, Alias))
        and symbol_of(datum.car).name == name
        and isinstance(datum.cdr, Pair)
        and datum.cdr.cdr is Nil
    )


def _quoted(datum: Any) -> Any:
    return to_list([Symbol.of("quote"), datum])


def is_ellipsis(pattern: Any) -> bool:
    return isinstance(pattern, (Symbol, Alias)) and symbol_of(pattern).name in ELLIPSES
