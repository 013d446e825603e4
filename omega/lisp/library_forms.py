"""The special forms of libraries: define-library, import, include, cond-expand. R7RS 4.1.7, 4.2.1,
5.2, 5.6.

Owns: what these forms look like, import sets, what a library declares.
Refuses: finding and keeping libraries (modules.py), compiling them (the expander's `declarations`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omega.errors import LibraryError, Span
from omega.lisp.data import Nil, Pair, Symbol, spine
from omega.lisp.environment import Alias, Import, ImportSet, Macro, strip, symbol_of
from omega.lisp.expander import AnyScope, Expander, Part, shown
from omega.lisp.library.standard import FEATURES, is_standard
from omega.lisp.modules import Name, shown_name
from omega.lisp.special import SPECIALS, args, special, specials_scope

NAME_SHAPE = "a library is named by a list of words and numbers, such as (shapes square)"
REQUIREMENT = "a requirement is a feature, (and ...), (or ...), (not ...), (library ...) or else"
MODIFIERS = {
    "only": "(only SET name ...)",
    "except": "(except SET name ...)",
    "prefix": "(prefix SET prefix)",
    "rename": "(rename SET (name new-name) ...)",
}
DECLARATIONS = (
    "export, import, begin, include, include-ci, include-library-declarations and cond-expand"
)

# -- import ----------------------------------------------------------------------------------------


@special("import", declares=True)
def import_(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> None:
    for datum, at in args(ex, form, span, 1, None, "(import (library name) ...)"):
        take(ex, import_set(ex, datum, at or span))


def take(ex: Expander, each: ImportSet) -> None:
    """Have the top level know what an import set gives."""
    for earlier in ex.imports:
        if each.yields or earlier.yields:
            continue
        for name in each.names.keys() & earlier.names.keys():
            if not each.names[name].is_same(earlier.names[name]):
                raise _error(
                    ex,
                    f"`{name}` is imported from {earlier.names[name].library} and from "
                    f"{each.names[name].library}",
                    each.span,
                    f"leave one of the two out: (except {each.library} {name})",
                )
    ex.imports.append(each)
    top = ex.top
    for name, imported in each.names.items():
        if each.yields and name in top.imports:
            continue
        if name in ex.noted:  # its definition will be refused, or shadows Omega's own name
            if ex.has_defined(name):
                ex.refuse_imported(name, each.span)
        elif top.home or not (imported.home.is_library and _is_known(ex, name, imported)):
            top.imports[name] = ex.taken[name] = imported
            top.defined.discard(name)


def _is_known(ex: Expander, name: str, imported: Import) -> bool:
    """Whether a program has it without importing."""
    top = ex.top
    return name == imported.name and name not in top.defined and name not in top.imports


def import_set(ex: Expander, datum: Any, span: Span | None) -> ImportSet:
    modifiers: list[tuple[str, list[Part]]] = []
    parts = _set_parts(ex, datum, span)
    while len(parts) > 1 and isinstance(parts[1][0], Pair):
        word = _word_of(parts[0][0])
        if word not in MODIFIERS:
            break
        modifiers.append((word, parts[2:]))
        parts = _set_parts(ex, parts[1][0], parts[1][1] or span)
    name = name_of(ex, parts, span)
    home, exports = ex.declarations.exports(name, _importer(ex, span), span)
    library = shown_name(name)
    names = {outside: Import(home, inside, library) for outside, inside in exports.items()}
    listed: list[tuple[str, Span | None]] | None = None
    for word, operands in reversed(modifiers):
        names, taken = _modified(ex, word, operands, names, library, span)
        listed = taken if word in ("only", "rename") else listed
    return ImportSet(span, library, names, listed)


def _set_parts(ex: Expander, datum: Any, span: Span | None) -> list[Part]:
    if not isinstance(datum, Pair):
        raise ex.error(f"{shown(datum)} is no import set", span, NAME_SHAPE)
    return ex.parts(datum)


def _modified(
    ex: Expander,
    word: str,
    operands: list[Part],
    names: dict[str, Import],
    library: str,
    span: Span | None,
) -> tuple[dict[str, Import], list[tuple[str, Span | None]]]:
    """What `only`, `except`, `prefix` or `rename` makes of names, and those it lists."""
    if word == "prefix":
        if len(operands) != 1:
            raise _malformed_set(ex, word, span)
        prefix = _word(ex, operands[0], word)
        return {prefix + name: found for name, found in names.items()}, []
    if word == "rename":
        pairs = [_renaming(ex, part, word) for part in operands]
        changed = dict(pairs)
        for (old, _), (_, at) in zip(pairs, operands, strict=True):
            _require(ex, old, names, library, at or span)
        result: dict[str, Import] = {}
        for name, found in names.items():
            name = changed.get(name, name)
            if name in result:
                raise _error(
                    ex,
                    f"two names of {library} are imported as `{name}`",
                    span,
                    "rename one of the two, or leave it out with except",
                )
            result[name] = found
        return result, []
    listed = [(_word(ex, part, word), part[1] or span) for part in operands]
    for name, at in listed:
        _require(ex, name, names, library, at)
    if word == "only":
        return {name: names[name] for name, _ in listed}, listed
    left_out = {name for name, _ in listed}
    return {name: found for name, found in names.items() if name not in left_out}, []


def _require(
    ex: Expander, name: str, names: dict[str, Import], library: str, span: Span | None
) -> None:
    from omega.lisp.spelling import near

    if name not in names:
        found = near(name, names, 1)
        hint = f"did you mean `{found[0]}`?" if found else None
        raise _error(ex, f"{library} has no `{name}`", span, hint or "its exports are all it has")


def _word(ex: Expander, part: Part, modifier: str) -> str:
    if not isinstance(part[0], (Symbol, Alias)):
        raise _malformed_set(ex, modifier, part[1])
    return symbol_of(part[0]).name


def _renaming(ex: Expander, part: Part, modifier: str) -> tuple[str, str]:
    items = ex.parts(part[0]) if isinstance(part[0], Pair) else []
    if len(items) != 2:
        raise _malformed_set(ex, modifier, part[1])
    return _word(ex, items[0], modifier), _word(ex, items[1], modifier)


def _malformed_set(ex: Expander, word: str, span: Span | None) -> Exception:
    return ex.error(f"malformed `{word}`", span, f"expected {MODIFIERS[word]}")


def name_of(ex: Expander, parts: list[Part], span: Span | None) -> Name:
    """The name of a library, from the parts of its list."""
    name: list[str | int] = []
    for datum, at in parts:
        if isinstance(datum, (Symbol, Alias)):
            name.append(symbol_of(datum).name)
        elif type(datum) is int and datum >= 0:
            name.append(datum)
        else:
            raise ex.error(f"{shown(datum)} is no part of a library's name", at or span, NAME_SHAPE)
    if not name:
        raise ex.error("a library needs a name", span, NAME_SHAPE)
    return tuple(name)


def _importer(ex: Expander, span: Span | None) -> str:
    here = span or ex.here
    return "" if here is None else here.file


def _error(ex: Expander, fact: str, span: Span | None, hint: str | None) -> LibraryError:
    return LibraryError(fact, span=span or ex.here, hint=hint)


# -- define-library --------------------------------------------------------------------------------


class Declared:
    """What a define-library form says. exports: name -> (its own name, place)."""

    def __init__(self) -> None:
        self.exports: dict[str, tuple[str, Span | None]] = {}
        self.imports: list[Part] = []
        self.body: list[Part] = []


@special("define-library", declares=True)
def define_library(ex: Expander, form: Any, scope: AnyScope, span: Span | None) -> None:
    parts = args(ex, form, span, 1, None, "(define-library (name ...) declaration ...)")
    datum, at = parts[0]
    if not isinstance(datum, Pair):
        raise ex.error("malformed `define-library`", at or span, NAME_SHAPE)
    name = name_of(ex, ex.parts(datum), at or span)
    if is_standard(shown_name(name)):
        raise _error(
            ex, f"{shown_name(name)} is Omega's own library", at or span, "give yours another name"
        )
    declared = Declared()
    _declare(ex, parts[1:], declared, span)
    ex.declarations.define(name, declared, at or span)


def _declare(ex: Expander, parts: list[Part], into: Declared, span: Span | None) -> None:
    work = list(reversed(parts))
    while work:
        datum, at = work.pop()
        items = ex.parts(datum)[1:] if isinstance(datum, Pair) else []
        word = _word_of(datum.car) if isinstance(datum, Pair) else ""
        match word:
            case "export":
                for part in items:
                    _export(ex, part, into, at or span)
            case "import":
                into.imports += items
            case "begin":
                into.body += items
            case "include" | "include-ci":
                for part in _included(ex, items, datum, word == "include-ci"):
                    into.body.append(part)
            case "include-library-declarations":
                work += reversed(list(_included(ex, items, datum, False)))
            case "cond-expand":
                chosen = _chosen(ex, datum)
                work += reversed(ex.parts(chosen))
            case _:
                raise ex.error(
                    f"{shown(datum)} is no declaration of a library",
                    at or span,
                    f"declarations are {DECLARATIONS}; code stands in (begin ...)",
                )


def _export(ex: Expander, part: Part, into: Declared, span: Span | None) -> None:
    datum, at = part
    at = at or span
    if isinstance(datum, Pair):
        items = ex.parts(datum)
        word = _word_of(items[0][0])
        if len(items) != 3 or word != "rename":
            raise ex.error(
                "malformed `export`", at, "expected (export name (rename name other-name) ...)"
            )
        inside, outside = _word(ex, items[1], "rename"), _word(ex, items[2], "rename")
    else:
        inside = outside = symbol_of(ex.identifier(datum, at)).name
    if outside in into.exports:
        raise _error(ex, f"`{outside}` is exported twice", at, "leave one of the two out")
    into.exports[outside] = (inside, at)


def _word_of(datum: Any) -> str:
    return symbol_of(datum).name if isinstance(datum, (Symbol, Alias)) else ""


# -- include ---------------------------------------------------------------------------------------


def _included(ex: Expander, items: list[Part], form: Any, fold_case: bool) -> Iterator[Part]:
    """The forms of the files that an include form names."""
    place = ex.span_of(form, None)
    for datum, at in items:
        if not isinstance(datum, str):
            raise ex.error(
                f"a file's name is a string, not {shown(datum)}",
                at or place,
                'expected (include "file.omega" ...)',
            )
        yield from ex.declarations.include(ex, datum, at or place, fold_case=fold_case)


def _include(form: Any, scope: AnyScope, ex: Expander) -> Any:
    """(include "file" ...): the forms of the files, as if they stood here."""
    word = ex.called(form)
    items = args(ex, form, ex.span_of(form, None), 1, None, f'({word} "file" ...)')
    body: Any = Nil
    for datum, place in reversed(list(_included(ex, items, form, word == "include-ci"))):
        body = ex.placed(datum, body, place)
    return _begin_form(body)


SPECIALS["include"] = Macro("include", _include)
SPECIALS["include-ci"] = Macro("include-ci", _include)


# -- cond-expand -----------------------------------------------------------------------------------


def _cond_expand(form: Any, scope: AnyScope, ex: Expander) -> Any:
    """(cond-expand (requirement form ...) ...): the forms of the first requirement that holds."""
    return _begin_form(_chosen(ex, form))


SPECIALS["cond-expand"] = Macro("cond-expand", _cond_expand)


def _chosen(ex: Expander, form: Any) -> Any:
    """What stands behind the first requirement of a cond-expand form that holds."""
    for clause in spine(form.cdr):
        if not isinstance(clause, Pair):
            raise _malformed(ex, form, clause)
        if _holds(ex, form, clause.car):
            return clause.cdr
    return Nil


def _holds(ex: Expander, form: Any, requirement: Any) -> bool:
    if isinstance(requirement, (Symbol, Alias)):
        return _word_of(requirement) in (*FEATURES, "else")
    if not isinstance(requirement, Pair):
        raise _malformed(ex, form, requirement)
    parts = spine(requirement.cdr)
    match _word_of(requirement.car):
        case "and":
            return all(_holds(ex, form, part) for part in parts)
        case "or":
            return any(_holds(ex, form, part) for part in parts)
        case "not" if len(parts) == 1:
            return not _holds(ex, form, parts[0])
        case "library" if len(parts) == 1 and isinstance(parts[0], Pair):
            place = ex.span_of(parts[0], ex.span_of(form, None))
            name = name_of(ex, ex.parts(parts[0]), place)
            return bool(ex.declarations.has(name, _importer(ex, place)))
    raise _malformed(ex, form, requirement)


def _malformed(ex: Expander, form: Any, datum: Any) -> Exception:
    from omega.lisp.printer import shorten

    return ex.error(
        f"malformed `cond-expand`: {shorten(strip(datum), 60)}",
        ex.span_of(datum, ex.span_of(form, None)),
        REQUIREMENT,
    )


def _begin_form(body: Any) -> Any:
    pair = Pair()
    pair.car, pair.cdr = Alias(Symbol.of("begin"), specials_scope()), body
    return pair
