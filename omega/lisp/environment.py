"""What names mean while expanding: identifiers, scopes, and the program's top level.

Owns: `Alias` (an identifier a macro template introduced), `Scope`, `TopLevel`, `lookup`, `strip`.
Refuses: expanding anything.

Hygiene by renaming: a template's symbol becomes a fresh Alias that remembers the scope of the
macro's definition. A binding form binds the identifier object itself, so an Alias binds nothing the
program wrote and a symbol of the program captures nothing of the template. An Alias no scope binds
means what its symbol meant at the definition.
Source: the explicit-renaming model of R7RS implementations (chibi); R7RS section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.data import Nil, Pair, Symbol
from omega.lisp.names import member, plain
from omega.lisp.reader import HASH_LITERAL

EVERYTHING = "(omega)"  # the library that has all of a program's names

EXPANDED = "in the expansion of"  # what a note begins with that names a macro


class Alias:
    """An identifier inserted by a macro: `name` (Symbol or Alias) as seen from `scope`."""

    __slots__ = ("name", "scope")

    def __init__(self, name: Symbol | Alias, scope: Scope | TopLevel) -> None:
        self.name = name
        self.scope = scope

    def __repr__(self) -> str:
        return symbol_of(self).name


Identifier = Symbol | Alias


def symbol_of(identifier: Identifier) -> Symbol:
    """The symbol the program's text has for it."""
    while isinstance(identifier, Alias):
        identifier = identifier.name
    return identifier


class Special:
    """A form the expander knows: `expand(expander, form, scope, span) -> Node`.

    A form that defines has `names(form)` -> the names it defines, and its `expand` returns
    definitions instead: (target, make) pairs, where target is an identifier, a tuple of identifiers
    (a rest one as a 1-tuple), or None for what binds nothing at run time, and make(scope) gives the
    node. One that `declares` stands at the top level only, and is no expression either.
    """

    __slots__ = ("declares", "expand", "name", "names")

    def __init__(
        self,
        name: str,
        expand: Any,
        names: Callable[[Any], list[Any]] | None = None,
        *,
        declares: bool = False,
    ) -> None:
        self.name = name
        self.expand = expand
        self.names = names
        self.declares = declares


TABLE = Special("{...}", None)  # what HASH_LITERAL means everywhere; data_forms.py fills it in


class Macro:
    """`transform(form, scope, expander) -> form`: scope is that of the use, expander the one it is
    expanded by.

    span: where the program defines it; None for the library's.
    """

    __slots__ = ("name", "span", "transform")

    def __init__(
        self, name: str, transform: Callable[[Any, Any, Any], Any], span: Span | None = None
    ) -> None:
        self.name = name
        self.transform = transform
        self.span = span


def expansion_note(name: str, defined: Span | None) -> tuple[str, Span | None]:
    """The note of an error that points to the use of a macro. defined: as Macro.span."""
    return f"{EXPANDED} `{name}`" + (", defined here" if defined is not None else ""), defined


class GlobalBinding:
    """A global variable, by its full name. `library`: whose it is; None: the library's unless the
    program's text turns out to define it. `kind`: a Primitive or Native when it names one. is_free:
    nothing has bound it so far.
    """

    __slots__ = ("is_free", "kind", "library", "name")

    def __init__(
        self, name: str, library: bool | None, kind: Any = None, *, is_free: bool = False
    ) -> None:
        self.name = name
        self.library = library
        self.kind = kind
        self.is_free = is_free


class Import:
    """What a name is that was imported: `name` of the top level `home`. library: as it is shown,
    "(shapes square)". used: whether anything asked for it.
    """

    __slots__ = ("home", "library", "name", "used")

    home: TopLevel
    name: str

    def __init__(self, home: TopLevel, name: str, library: str) -> None:
        while name not in home.defined and name in home.imports:  # it is exported again
            home, name = home.imports[name].home, home.imports[name].name
        self.home, self.name, self.library = home, name, library
        self.used = False

    @property
    def origin(self) -> str:
        """The module it is of, as libraries are shown; "" for Omega's own."""
        return f"({self.home.home})" if self.home.home else ""

    def is_same(self, other: Import) -> bool:
        """Whether both are one binding, wherever each came from."""
        if self.home is other.home and self.name == other.name:
            return True
        mine, its = self.home.binding(self.name), other.home.binding(other.name)
        if isinstance(mine, GlobalBinding) and isinstance(its, GlobalBinding):
            return mine.name == its.name and mine.library == its.library
        return mine is its


class ImportSet:
    """One import set of a text. names: what it gives. listed: the names it is written for, with
    their places; None when it takes all there are. yields: other definitions and imports of its
    names win, as in a program: nobody knows all that Omega has.
    """

    __slots__ = ("library", "listed", "names", "span", "yields")

    def __init__(
        self,
        span: Span | None,
        library: str,
        names: dict[str, Import],
        listed: list[tuple[str, Span | None]] | None,
    ) -> None:
        self.span, self.library, self.names, self.listed = span, library, names, listed
        self.yields = library == EVERYTHING and listed is None


class Scope:
    """A local scope: identifier -> Variable, Macro or Special."""

    __slots__ = ("bindings", "outer")

    def __init__(self, outer: Scope | TopLevel) -> None:
        self.bindings: dict[Any, Any] = {}
        self.outer = outer


class TopLevel:
    """The outermost scope of a program, of the library, or of a module.

    shapes: what is known of a module's procedures, see findings.Shape.
    home: the module's name, "" for the others. A module sees what it defines and imports; a program
    has the whole library besides. fixed: nothing can be defined in it.

    syntax: name -> Special or Macro. defined: names this program has defined or assigned, in this
    text or before.
    library: name -> Primitive, Native or None, what the library offers. A program's own names win
    over both.
    parts: name -> the part of the library that has it. need(part) is told of each that is named,
    and sees to its syntax.
    """

    __slots__ = (
        "defined", "fixed", "home", "imports", "is_library", "library", "need", "parts", "shapes",
        "syntax",
    )  # fmt: skip

    def __init__(
        self,
        syntax: dict[str, Any],
        library: dict[str, Any],
        parts: dict[str, str] | None = None,
        need: Callable[[str], None] = lambda part: None,
        *,
        is_library: bool = False,
        home: str = "",
    ) -> None:
        self.syntax = syntax
        self.defined: set[str] = set()
        self.imports: dict[str, Import] = {}
        self.library = library
        self.parts, self.need = {} if parts is None else parts, need
        self.is_library = is_library
        self.home = home
        self.shapes: dict[str, Any] = {}
        self.fixed = False

    def own(self, name: str) -> str:
        """The full name of its own global `name`."""
        return member(name, self.home)

    def binding(self, name: str) -> Any:
        if name in self.defined:
            return GlobalBinding(self.own(name), self.is_library)
        imported = self.imports.get(name)
        if imported is not None:
            imported.used = True
            return imported.home.binding(imported.name)
        if self.home:
            found = self.syntax.get(name)
            if found is None:
                found = GlobalBinding(self.own(name), False, is_free=True)
            return found
        if name in self.parts and name not in self.syntax:
            self.need(self.parts[name])
        found = self.syntax.get(name)
        if found is not None:
            return found
        if self.offers(name):
            return GlobalBinding(name, True if self.is_library else None, self.library[name])
        return GlobalBinding(name, self.is_library, is_free=True)

    def offers(self, name: str) -> bool:
        """Whether the library has `name` for what is written here. `%` names are its own."""
        return name in self.library and not self.home and (self.is_library or name[:1] != "%")


def top_of(scope: Scope | TopLevel) -> TopLevel:
    """The top level `scope` is in."""
    while isinstance(scope, Scope):
        scope = scope.outer
    return scope


def is_library(scope: Scope | TopLevel) -> bool:
    """Whether `scope` is part of the library's text."""
    return top_of(scope).is_library


def lookup(identifier: Identifier, scope: Scope | TopLevel) -> Any:
    """What `identifier` means in `scope`: a Variable, Macro, Special or GlobalBinding."""
    at: Scope | TopLevel = scope
    while True:
        while isinstance(at, Scope):
            found = at.bindings.get(identifier)
            if found is not None:
                return found
            at = at.outer
        if not isinstance(identifier, Alias):
            return at.binding(identifier.name) if identifier is not HASH_LITERAL else TABLE
        alias = identifier
        identifier, at = alias.name, alias.scope


def imported_as(identifier: Identifier, scope: Scope | TopLevel) -> Import | None:
    """What `identifier` was imported as, where it means that."""
    at: Scope | TopLevel = scope
    while True:
        while isinstance(at, Scope):
            if identifier in at.bindings:
                return None
            at = at.outer
        if not isinstance(identifier, Alias):
            name = identifier.name
            return None if name in at.defined else at.imports.get(name)
        alias = identifier
        identifier, at = alias.name, alias.scope


def same_meaning(
    a: Identifier, scope_a: Scope | TopLevel, b: Identifier, scope_b: Scope | TopLevel
) -> bool:
    """`free-identifier=?`: both are bound alike, or both are the same unbound or global name."""
    meaning_a, meaning_b = lookup(a, scope_a), lookup(b, scope_b)
    if isinstance(meaning_a, GlobalBinding) and isinstance(meaning_b, GlobalBinding):
        if meaning_a.is_free and meaning_b.is_free:
            return plain(meaning_a.name) == plain(meaning_b.name)
        return meaning_a.name == meaning_b.name
    return meaning_a is meaning_b


def strip(datum: Any, most: int | None = None) -> Any:
    """`datum` as plain data: aliases back to symbols, pairs with spans to plain pairs. Never
    recurses; shares nothing with the form, so a constant of the program cannot be reached through
    its source. most: of its pairs and vectors, the first ones; the others are left out.
    """
    return stripped(datum, most)[0]


def stripped(datum: Any, most: int | None = None) -> tuple[Any, int, bool]:
    """(what `strip` gives, how many pairs and vectors it has, whether table literals are in it)"""
    tables = False

    result: list[Any] = [None]
    done: Any
    # (target, slot) says where a stripped datum goes: a list index, or a pair's car (0) or cdr (1).
    work: list[tuple[Any, Any, Any]] = [(datum, result, 0)]
    seen: dict[int, Any] = {}
    while work:
        item, target, slot = work.pop()
        if most is not None and len(seen) > most and isinstance(item, (Pair, list)):
            done = Nil
        elif isinstance(item, Pair):
            done = seen.get(id(item))
            if done is None:
                done = seen[id(item)] = Pair()
                tables = tables or item.car is HASH_LITERAL
                work.append((item.cdr, done, 1))
                work.append((item.car, done, 0))
        elif type(item) is list:
            done = seen.get(id(item))
            if done is None:
                kept = item if most is None else item[:most]
                done = seen[id(item)] = [None] * len(kept)
                work.extend((kept[i], done, i) for i in reversed(range(len(kept))))
        elif isinstance(item, Alias):
            done = symbol_of(item)
        else:
            done = item
        if type(target) is list:
            target[slot] = done
        elif slot == 0:
            target.car = done
        else:
            target.cdr = done
    return result[0], len(seen), tables
