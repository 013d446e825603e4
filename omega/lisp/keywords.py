"""Keyword arguments: what a procedure with optional and keyword parameters was given, sorted out.

Owns: `bind_keywords`, which such a procedure calls first; its errors blame the caller.
Used before the run as well: findings.py binds the constants of a call.
"""

from __future__ import annotations

from typing import Any

from omega.errors import ArityError
from omega.lisp.data import Keyword
from omega.lisp.table import HashTable

UNSET = object()  # no value was given: the parameter has its default


def bind_keywords(
    signature: str,
    given: tuple[Any, ...],
    optional: int,
    keywords: tuple[str, ...],
    others: bool,
) -> tuple[Any, ...]:
    """Values for optional parameters, then keyword ones (UNSET: use the default), then the table of
    others.
    """
    values = [UNSET] * (optional + len(keywords))
    if not given and not others:
        return tuple(values)
    at, end = 0, len(given)
    while at < end and at < optional and type(given[at]) is not Keyword:
        values[at] = given[at]
        at += 1
    more: dict[str, Any] = {}
    for i in range(at, end, 2):
        keyword = given[i]
        if type(keyword) is not Keyword:
            raise _misuse(
                f"{_named(signature)} is called as {signature}, but it is given more",
                f"leave it out, or name what it is for: {_shown(keywords)}",
            )
        name = keyword.name
        if name in keywords:
            place = optional + keywords.index(name)
            is_given = values[place] is not UNSET
        elif others:
            is_given = name in more
        else:
            raise _misuse(f"{_named(signature)} has no keyword :{name}", _instead(name, keywords))
        if i + 1 == end:
            raise _misuse(
                f"{_named(signature)}: keyword :{name} has no value", f"write :{name} value"
            )
        if is_given:
            raise _misuse(
                f"{_named(signature)}: keyword :{name} is given twice", "leave one of them out"
            )
        if name in keywords:
            values[place] = given[i + 1]
        else:
            more[name] = given[i + 1]
    if others:
        table = HashTable()
        for name, value in more.items():
            table[Keyword.of(name)] = value
        values.append(table)
    return tuple(values)


def missing_keyword(signature: str, keyword: str) -> Any:
    """What the default of a keyword parameter without one is."""
    raise _misuse(
        f"{_named(signature)}: keyword :{keyword} must be given", f"write :{keyword} value"
    )


def _misuse(message: str, hint: str) -> ArityError:
    error = ArityError(message, hint=hint)
    error.blames_caller = True
    return error


def _named(signature: str) -> str:
    """The procedure a signature is of: "(f x :k k)" is of `f`."""
    name = signature[1:-1].partition(" ")[0]
    return "this procedure" if name == "lambda" else f"`{name}`"


def _instead(name: str, keywords: tuple[str, ...]) -> str:
    from omega.lisp.spelling import near

    found = near(name, keywords, 1, sure_letters_min=0)
    return f"did you mean :{found[0]}?" if found else f"it takes {_shown(keywords)}"


def _shown(keywords: tuple[str, ...]) -> str:
    return ", ".join(":" + keyword for keyword in keywords) or "no keywords"
