"""Libraries of one's own: which are known, where they come from, when they run. R7RS 5.6.

Owns: `Module`: what a `define-library` made; `Modules`: those an evaluator knows, by name.
Refuses: expanding and compiling (library_forms.py, compiler.py), reading files (`Files`, which the
host gives), deciding what a program may read (it, too).

What a library is called in the text is a *name*, (shapes square); the word *module* is for what
stands behind it, since "the library" is Omega's own.

A module is declared once, when its text is compiled, and runs once, before the first text that
imports it does; a file is looked for by the first import that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from omega.errors import LibraryError, Span
from omega.lisp.environment import TopLevel

Name = tuple[str | int, ...]
# What a compiled text depends on, to be looked at again before it is taken from the cache:
# ("library", name, importer, path, text), ("include", written, importer, path, text),
# ("library?", name, importer, whether it was found).
Dependency = tuple[Any, ...]

LIBRARY, INCLUDE, ASKED = "library", "include", "library?"


class Files(Protocol):
    """The files of libraries and of `include`."""

    def locate(self, name: Name, importer: str) -> str | None:
        """The path of a library's file, looked for beside `importer` first."""

    def included(self, written: str, importer: str) -> str:
        """The path of a file that a text includes. Raises LispFileError."""

    def read(self, path: str) -> str:
        """Its text. Raises LispFileError, PermissionDenied."""


class Module:
    """exports: name -> the module's own name for it. needs: the modules it imports from. thunk:
    runs its body. path: of its file; None when the program's text has it. depends: what its
    compiled code was made from. has_syntax: whether its macros are there; code from the cache has
    none.
    """

    __slots__ = (
        "depends", "exports", "has_syntax", "is_ready", "name", "needs", "path", "source", "thunk",
        "top",
    )  # fmt: skip

    def __init__(self, name: str, top: TopLevel, exports: dict[str, str], source: Any) -> None:
        self.name, self.top, self.exports, self.source = name, top, exports, source
        self.needs: list[Module] = []
        self.depends: list[Dependency] = []
        self.thunk: Callable[[], Any] | None = None
        self.path: str | None = None
        self.is_ready = False
        self.has_syntax = True


class Modules:
    """load: compiles the text of a library's file, which declares the modules in it."""

    def __init__(self, load: Callable[[str, str], None]) -> None:
        self.known: dict[str, Module] = {}
        self.files: Files | None = None
        self._load = load
        self._open: list[str] = []  # those whose declaration is under way, outermost first

    def get(self, name: Name, importer: str, span: Span | None) -> Module:
        """The module called `name`, from its file if need be. Raises LibraryError."""
        shown = shown_name(name)
        known = self.known.get(shown)
        if known is not None and known.path is None:
            return known
        if shown in self._open:
            raise self._cycle(shown, span)
        path = None if self.files is None else self.files.locate(name, importer)
        if known is not None:
            if path is not None and path != known.path:
                raise LibraryError(
                    f"there are two libraries {shown}: {known.path}, which is in use, and {path}",
                    span=span,
                    hint="give one of the two another name",
                )
            return known
        if path is None:
            raise self._missing(name, importer, span)
        self._declare(path)
        found = self.known.get(shown)
        if found is None:
            raise LibraryError(
                f"{path} does not define the library {shown}",
                span=span,
                hint=f"it was read because of its name; write (define-library {shown} ...) in it",
            )
        return found

    def _declare(self, path: str) -> None:
        """Know the modules that the file at `path` defines."""
        assert self.files is not None
        before = set(self.known)
        self._load(self.files.read(path), path)
        for shown in self.known.keys() - before:
            if self.known[shown].source.name == path:
                self.known[shown].path = path

    def exists(self, name: Name, importer: str) -> bool:
        if shown_name(name) in self.known:
            return True
        return self.files is not None and self.files.locate(name, importer) is not None

    @contextmanager
    def declaring(self, shown: str, span: Span | None) -> Iterator[None]:
        """While a library's declaration is expanded and compiled."""
        if shown in self._open:
            raise self._cycle(shown, span)
        self._open.append(shown)
        try:
            yield
        finally:
            self._open.pop()

    def _cycle(self, shown: str, span: Span | None) -> LibraryError:
        path = [*self._open[self._open.index(shown) :], shown]
        fact = f"the library {shown} imports itself"
        if len(path) > 2:
            fact = "libraries import each other: " + ", which imports ".join(path)
        return LibraryError(fact, span=span, hint="move what both need into a library of its own")

    def _missing(self, name: Name, importer: str, span: Span | None) -> LibraryError:
        from omega.lisp.library.standard import STANDARD
        from omega.lisp.spelling import near

        shown = shown_name(name)
        here = near(shown, [*STANDARD, *self.known], 1)
        file = "/".join(str(part) for part in name) + ".omega"
        hint = f"it is looked for in {file} beside the program"
        if here:
            hint = f"did you mean {here[0]}?"
        if self.files is None:
            hint = f"write (define-library {shown} ...) in front of the import"
        return LibraryError(f"there is no library {shown}", span=span, hint=hint)

    # -- code from the cache -------------------------------------------------------------------

    def is_unchanged(self, dependency: Dependency) -> bool:
        """Whether what a compiled text depends on is still as it was."""
        kind, what, importer, *rest = dependency
        if kind == ASKED:
            return self.exists(tuple(what), importer) is rest[0]
        path, text = rest
        if self.files is None:
            return False
        found = (
            self.files.locate(tuple(what), importer)
            if kind == LIBRARY
            else self.files.included(what, importer)
        )
        return bool(found == path and self.files.read(path) == text)


def shown_name(name: Name) -> str:
    """(shapes square), as a program writes it."""
    from omega.lisp.data import Symbol, to_list
    from omega.lisp.printer import write_string

    return write_string(to_list([Symbol.of(p) if isinstance(p, str) else p for p in name]))
