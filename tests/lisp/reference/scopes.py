"""What names mean while the reference expands: hygiene by renaming.

A symbol that a template inserts becomes an Alias: a name of its own, which means what its symbol
means where the macro was defined, unless something binds the alias itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.lisp.data import Nil, Pair, Symbol
from omega.lisp.reader import HASH_LITERAL
from tests.lisp.reference.core import Variable


class Malformed(Exception):
    """The text is no program."""


class Alias:
    def __init__(self, name: Symbol | Alias, scope: Scope | Top) -> None:
        self.name, self.scope = name, scope


class Macro:
    """transform(use, scope of the use) -> form"""

    def __init__(self, transform: Callable[[Any, Any], Any]) -> None:
        self.transform = transform


class Special:
    def __init__(self, name: str) -> None:
        self.name = name


class Top:
    """specials: names of the forms there are. known: what the library has. defined: the program's
    own names.
    """

    def __init__(self, specials: dict[str, Any], known: Callable[[str], bool], library: bool):
        self.syntax: dict[str, Any] = dict(specials)
        self.known, self.is_library = known, library
        self.defined: set[str] = set()

    def meaning(self, name: str) -> Any:
        """Syntax, or the name itself of a global."""
        if name in self.defined:
            return name
        return self.syntax.get(name, name)


class Scope:
    def __init__(self, outer: Scope | Top) -> None:
        self.outer = outer
        self.names: dict[Any, Any] = {}

    def bind(self, name: Any) -> Variable:
        if not isinstance(name, (Symbol, Alias)) or name in self.names:
            raise Malformed(name)
        var = self.names[name] = Variable(symbol_of(name).name)
        return var


def is_name(datum: Any) -> bool:
    return isinstance(datum, (Symbol, Alias))


def symbol_of(name: Any) -> Symbol:
    while isinstance(name, Alias):
        name = name.name
    assert isinstance(name, Symbol)
    return name


def lookup(name: Any, scope: Scope | Top) -> Any:
    """A Variable, Macro or Special, or the text of a global's name."""
    while True:
        at: Any = scope
        while isinstance(at, Scope):
            if name in at.names:
                return at.names[name]
            at = at.outer
        if not isinstance(name, Alias):
            return Special("hash-literal") if name is HASH_LITERAL else at.meaning(name.name)
        name, scope = name.name, name.scope


def top_of(scope: Scope | Top) -> Top:
    while isinstance(scope, Scope):
        scope = scope.outer
    return scope


def is_word(datum: Any, scope: Scope | Top, word: str) -> bool:
    """Whether `datum` is else, =>, unquote, ..., not a variable called so."""
    if not is_name(datum) or symbol_of(datum).name != word:
        return False
    return not isinstance(lookup(datum, scope), Variable)


def items_of(form: Any) -> list[Any]:
    found = []
    while isinstance(form, Pair):
        found.append(form.car)
        form = form.cdr
    if form is not Nil:
        raise Malformed(form)
    return found


def plain(datum: Any) -> Any:
    """A datum without aliases and places."""
    if isinstance(datum, Pair):
        if datum.car is HASH_LITERAL:
            from omega.lisp.table import HashTable

            table = HashTable()
            items = [plain(item) for item in items_of(datum.cdr)]
            for key, value in zip(items[::2], items[1::2], strict=True):
                table[key] = value
            return table
        pair = Pair()
        pair.car, pair.cdr = plain(datum.car), plain(datum.cdr)
        return pair
    if type(datum) is list:
        return [plain(item) for item in datum]
    return symbol_of(datum) if isinstance(datum, Alias) else datum
