"""What `import`, `define-library` and `include` of a text are put to, while it is expanded.

Owns: `Declarations`: the names a library exports, what a define-library form becomes, the forms of
included files, and the account of what the text depends on.
Refuses: syntax (library_forms.py), files and their rights (modules.Files).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omega.errors import LibraryError, LispError, OmegaError, Span
from omega.lisp.environment import EVERYTHING, TopLevel
from omega.lisp.expansion import size_of
from omega.lisp.library.standard import STANDARD, is_standard
from omega.lisp.modules import ASKED, INCLUDE, LIBRARY, Module, Name, shown_name
from omega.lisp.reader import read_all

if TYPE_CHECKING:
    from omega.lisp.compiler import Compiled, Compiler, Text
    from omega.lisp.expander import Expander, Part
    from omega.lisp.library_forms import Declared


class Declarations:
    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler

    # -- libraries -----------------------------------------------------------------------------

    def exports(
        self, name: Name, importer: str, span: Span | None
    ) -> tuple[TopLevel, dict[str, str]]:
        """(where a library's names are looked up, its exports -> its own names for them)."""
        shown = shown_name(name)
        library = self.compiler.library
        if shown == EVERYTHING:
            names = [*library.syntax, *library.library, *library.parts]
            return library, {each: each for each in names if each[:1] != "%"}
        if shown in STANDARD:
            return library, {each: each for each in STANDARD[shown] if self._is_there(each)}
        text = self.compiler.text
        module = self.compiler.texts.modules.get(name, importer, span)
        if not module.has_syntax:
            self.compiler.texts.with_syntax(module)
        text.requires[name, importer] = module
        self._depend_on(module, name, importer)
        return module.top, module.exports

    def _is_there(self, name: str) -> bool:
        library = self.compiler.library
        return name in library.syntax or name in library.library or name in library.parts

    def has(self, name: Name, importer: str) -> bool:
        """Whether there is a library, for cond-expand."""
        if is_standard(shown_name(name)):
            return True
        found = self.compiler.texts.modules.exists(name, importer)
        self.compiler.text.depends.append((ASKED, name, importer, found))
        return found

    def _depend_on(self, module: Module, name: Name, importer: str) -> None:
        depends = self.compiler.text.depends
        found = list(module.depends)
        if module.path is not None:
            found.append((LIBRARY, name, importer, module.path, module.source.text))
        depends += [each for each in found if each not in depends]

    def define(self, name: Name, declared: Declared, span: Span | None) -> None:
        """Compile a library and know it from now on."""
        compiler = self.compiler
        shown = shown_name(name)
        outer = compiler.text
        if any(shown == earlier for earlier, _ in outer.modules):
            raise LibraryError(
                f"the library {shown} is defined twice in this text", span=span,
                hint="give one of the two another name",
            )  # fmt: skip
        top = compiler.new_module(shown[1:-1])
        module = Module(shown, top, _inside(declared), outer.source)
        try:
            with compiler.texts.modules.declaring(shown, span), compiler.compiling(outer.source):
                compiled = self._compiled(top, declared, outer)
        except LispError:
            compiler.texts.modules.known[shown] = module  # its mistake is told once
            raise
        if compiled is None:  # it was only checked
            compiler.texts.modules.known[shown] = module
            return
        compiled.facts["exports"] = _inside(declared)
        outer.modules.append((shown, compiled))
        compiler.texts.register(shown, compiled, outer.source, top)

    def _compiled(self, top: TopLevel, declared: Declared, outer: Text) -> Compiled | None:
        from omega.lisp.library_forms import import_set, take

        compiler = self.compiler
        compiler.text.included.update(outer.included)
        compiler.text.depends += outer.depends
        expander = compiler.expander(top)
        for datum, at in declared.imports:
            take(expander, import_set(expander, datum, at))
        nodes, mistakes = expander.attempt(declared.body, len(outer.source.text))
        if not mistakes.found:
            _check_exports(declared, top)
        if not compiler.is_checking:
            mistakes.raise_first()
            return compiler.finished(nodes, expander, set())
        outer.mistakes += mistakes.in_order()
        outer.findings += compiler.examined(nodes, expander, is_sound=not mistakes.found)
        return None

    # -- files ---------------------------------------------------------------------------------

    def include(
        self, ex: Expander, written: str, span: Span | None, *, fold_case: bool
    ) -> list[Part]:
        """The forms of a file, which are the text's own."""
        text, modules = self.compiler.text, self.compiler.texts.modules
        importer = text.source.name if span is None else span.file
        if modules.files is None:
            raise LibraryError("no files can be included here", span=span, hint="load a file")
        try:
            path = modules.files.included(written, importer)
            content = modules.files.read(path)
        except OmegaError as error:
            if error.span is None:
                error.span = span
            raise
        at: str | None = importer
        while at is not None:
            if at == path:
                raise LibraryError(f"{path} includes itself", span=span, hint="leave that out")
            at = text.included.get(at)
        is_first = path not in text.included
        text.included[path] = importer
        text.depends.append((INCLUDE, written, importer, path, content))
        source = self.compiler.texts.remember(content, path)
        forms = read_all(source, self.compiler.rt.limits.source_bytes, fold_case=fold_case)
        if is_first:  # else its forms are made, as a macro makes forms
            ex.work.text(size_of([datum for datum, _ in forms], 2 * len(content) + 1))
        return list(forms)


def _inside(declared: Declared) -> dict[str, str]:
    return {outside: inside for outside, (inside, _) in declared.exports.items()}


def _check_exports(declared: Declared, top: TopLevel) -> None:
    from omega.lisp.spelling import near

    for inside, span in declared.exports.values():
        if inside in top.defined or inside in top.syntax:
            continue
        if inside in top.imports:
            top.imports[inside].used = True
            continue
        found = near(inside, [*top.defined, *top.syntax], 1)
        raise LibraryError(
            f"the library exports `{inside}`, which it neither defines nor imports",
            span=span,
            hint=f"did you mean `{found[0]}`?" if found else f"define `{inside}`, or leave it out",
        )
