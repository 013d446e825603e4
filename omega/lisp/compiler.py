"""The pipeline: text -> forms -> core nodes -> Python syntax -> code.

Owns: `Compiler` (the two top levels, macro evaluation) and `Compiled`.
Refuses: running programs (evaluator.py) and keeping files (cache.py).

Our own passes recurse in pure Python, which takes no C stack, so they run under a raised recursion
limit; CPython's `compile()` recurses in C and runs under an ordinary one.
"""

from __future__ import annotations

import ast
import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType
from typing import Any, Protocol

from omega.errors import LibraryError, LimitExceeded, OmegaError, Source, Span
from omega.lisp import macros  # noqa: F401  registers the special forms
from omega.lisp.analysis import Unit, analyse, resolve
from omega.lisp.core import Global, Lambda, Node, SetGlobal, children, defined_by
from omega.lisp.data import Pair, Symbol
from omega.lisp.declarations import Declarations
from omega.lisp.emitter import Emitter
from omega.lisp.environment import GlobalBinding, Import, TopLevel, strip
from omega.lisp.expander import Expander
from omega.lisp.findings import Finding, Shape, findings, shapes_of
from omega.lisp.library import MACROS, SYNTAX, part_text, text_of
from omega.lisp.library_forms import import_set, take
from omega.lisp.literals import LITERAL, load
from omega.lisp.modules import Dependency, Module, Modules, Name
from omega.lisp.names import home_of
from omega.lisp.reader import read_all
from omega.lisp.special import SPECIALS
from omega.lisp.syntax import calls_of

MACRO_STEPS_MAX = 10_000_000  # steps of all macros while one text is compiled
PASSES_DEPTH = 100_000  # Python frames for our own passes, over what is in use
COMPILE_DEPTH = 1_500  # ... and for CPython's compiler
MADE = "<omega-eval>"  # the text of a form that a program made
COMMON = ""  # the part of the library's syntax that is there from the start
ENVIRONMENT = "environment"  # the home of what `environment` makes: of no module, so never defined


_DEFINE_LIBRARY = Symbol.of("define-library")

# what a top level has defined, its syntax, its imports, and the modules there are
Known = tuple[set[str], dict[str, Any], dict[str, Import], dict[str, Module]]
# a macro's use (file, line, column), its name, and where it is defined
Expansion = tuple[tuple[str, int, int], str, Span]


class Compiled:
    """code: of the text's one function, placeholders in place of literals. modules: those the text
    declares, by name. facts: what loading it must tell the top level: {"defined": names, "lent":
    see Unit, "entries" and "workers": see Emitter, "macros": whether it defined syntax, "findings":
    see findings.py, "expansions": (place of a use, macro's name and place), "steps": charged for
    its macros, "imports": (name, Import.origin, the name there), "requires": the (name, importer)
    of modules that run before it, "depends": see modules.Dependency}; of a module "exports" and
    "shapes" as well.
    """

    __slots__ = ("code", "facts", "literals", "modules")

    def __init__(
        self,
        code: CodeType,
        literals: list[Any],
        facts: dict[str, Any],
        modules: list[tuple[str, Compiled]],
    ) -> None:
        self.code, self.literals, self.facts, self.modules = code, literals, facts, modules


class Texts(Protocol):
    """What the compiler needs of whoever has texts compiled: the evaluator."""

    entries: set[str]  # see Emitter
    workers_of: dict[str, int]  # see Emitter
    modules: Modules

    def load_part(self, part: str) -> None:
        """Define the procedures of a part of the library, unless they are."""

    def register(self, shown: str, compiled: Compiled, source: Source, top: TopLevel) -> None:
        """Know a module that was compiled."""

    def instantiate(self, module: Module) -> None:
        """Run a module, and those it needs, unless they have run."""

    def remember(self, text: str, filename: str) -> Source:
        """Keep a text for showing errors."""

    def with_syntax(self, module: Module) -> None:
        """Have the macros of a module that came from the cache."""


class Text:
    """What compiling one text has come to."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.needed: set[str] = set()  # parts of the library that it names
        self.evaluated: set[Node] = set()  # definitions, for its macros
        self.macro_steps = MACRO_STEPS_MAX
        self.modules: list[tuple[str, Compiled]] = []
        self.requires: dict[tuple[Name, str], Module] = {}
        self.depends: list[Dependency] = []
        self.included: dict[str, str] = {}  # file -> what includes it
        self.findings: list[Finding] = []  # of its modules
        self.mistakes: list[OmegaError] = []  # ... when they are checked


class Compiler:
    def __init__(self, rt: Any, texts: Texts, optimize: bool = True) -> None:
        """rt: the Runtime macros run in. optimize: see analysis.py."""
        self.rt, self.texts, self.optimize = rt, texts, optimize
        self.library = TopLevel(dict(SPECIALS), rt.library, rt.parts, self._need, is_library=True)
        self.program = TopLevel(self.library.syntax, rt.library, rt.parts, self._need)
        self.text = Text(Source("", ""))
        self.is_checking = False
        self.shown: list[str] | None = None  # the Python of texts, while somebody wants to see it
        self._syntax_loaded: set[str] = set()  # parts whose macros are there, COMMON first

    def compile(
        self,
        source: Source,
        top: TopLevel,
        *,
        limit: int = 4_000_000,
        refuse: Callable[[list[tuple[Any, Span]]], None] = lambda forms: None,
    ) -> Compiled:
        """Compile a whole text. Raises ReadError, LispSyntaxError or LimitExceeded; a text that
        does not compile has defined nothing. refuse: raises for forms that are not to be there.
        """
        with _collector_at_rest(), self._passes(source, top, limit) as (expander, forms, before):
            refuse(forms)
            nodes = expander.program(forms, len(source.text))
            self.rt.charge(0)  # is there time left?
            return self.finished(nodes, expander, before)

    def compile_file(self, source: Source, *, limit: int = 4_000_000) -> Compiled:
        """Compile the file of a library, which declares modules and does nothing else."""
        top = TopLevel(self.library.syntax, self.rt.library, self.rt.parts, self._need)
        is_checking, self.is_checking = self.is_checking, False  # it is another text
        try:
            return self.compile(source, top, limit=limit, refuse=_refuse_code)
        finally:
            self.is_checking = is_checking

    def compile_form(self, form: Any, top: TopLevel) -> Compiled:
        """Compile a form that a program made. All of it is paid for."""
        self._load_macros()
        with self._undoing(top) as before, self.compiling(Source(MADE, "")):
            expander = self.expander(top)
            nodes = expander.program([(form, None)], 0)
            return self.finished(nodes, expander, before)

    def finished(self, nodes: list[Node], expander: Expander, before: set[str]) -> Compiled:
        """The code of a text that is expanded. before: what its top level had defined."""
        text, top = self.text, expander.top
        unit = self._resolved(self._borrowed(top, before) + nodes, top)
        parts = self._load_needed()
        found = findings(unit, self.rt.registers)
        trees, emitter = self._emit(unit)
        code = _code(trees, text.source.name)
        if self.shown is not None:
            head = f"# library ({top.home})\n" if top.home else ""
            self.shown += [head + _unparse(tree, emitter.literals) for tree in trees]
        facts = {
            "parts": parts,
            "defined": sorted(top.defined - before),
            "lent": unit.lent,
            "entries": sorted(each for each in self.texts.entries if home_of(each) == top.home),
            "workers": {
                name: n for name, n in self.texts.workers_of.items() if home_of(name) == top.home
            },
            "macros": expander.made_syntax or any(map(_is_syntax, expander.taken.values())),
            "expansions": _expansions(expander),
            "findings": found,
            "steps": expander.work.steps + MACRO_STEPS_MAX - text.macro_steps,
            "imports": [
                (name, each.origin, each.name)
                for name, each in expander.taken.items()
                if not _is_syntax(each)
            ],
            "requires": list(text.requires),
            "shapes": self._shapes(unit),
            "depends": text.depends,
        }
        return Compiled(code, emitter.literals, facts, text.modules)

    def _shapes(self, unit: Unit) -> dict[str, Shape]:
        """Have the top level of a module know what its procedures take."""
        if unit.top.home:
            unit.top.shapes = shapes_of(unit)
        return unit.top.shapes

    def again(self, source: Source, names: set[str]) -> Callable[[], Any]:
        """What defines these global procedures of a text anew, now that the program has made names
        its own that were the library's when the text was compiled.
        """
        top = self.program
        known = self._known(top)
        with _collector_at_rest(), self._passes(source, top, None) as (expander, forms, _):
            nodes: list[Node] = [
                node
                for node in expander.program(forms, len(source.text))
                if isinstance(node, SetGlobal) and isinstance(node.value, Lambda)
                if node.name in names
            ]
            unit = self._resolved(nodes, top)
            self._load_needed()
            trees, emitter = self._emit(unit)
            code = _code(trees, source.name)
        self._forget(top, known)
        return load(code, emitter.literals, self.rt.registers)

    def check(
        self, source: Source, limit: int
    ) -> tuple[list[OmegaError], list[Finding], list[Expansion]]:
        """(what keeps a text from being a program, its findings, the expansions): as `compile`, and
        what is worth telling only to who asks. Raises ReadError or LimitExceeded.
        """
        top = self.program
        before = self._known(top)
        self.is_checking = True
        try:
            with self._passes(source, top, limit) as (expander, forms, _):
                nodes, mistakes = expander.attempt(forms, len(source.text))
                found = self.examined(nodes, expander, is_sound=not mistakes.found)
                wrong = mistakes.in_order() + self.text.mistakes
                found += self.text.findings
        finally:  # the text may never be run here
            self.is_checking = False
            self._forget(top, before)
        return wrong, found, _expansions(expander)

    def examined(self, nodes: list[Node], expander: Expander, *, is_sound: bool) -> list[Finding]:
        """The findings of a text that is checked. is_sound: it has no mistake."""
        from omega.lisp.style import style

        unit = self._resolved(nodes, expander.top)
        self._load_needed()
        self._shapes(unit)
        found = findings(unit, self.rt.registers)
        if is_sound:  # else what uses a name may be what they are about
            found += style(nodes, expander)
            trees, _ = self._emit(unit, for_good=False)
            _code(trees, self.text.source.name)
        return found

    def python(self, source: Source) -> str:
        """The generated Python of a text, for people."""
        top = self.program
        self.shown = []
        try:
            with self._passes(source, top, None) as (expander, forms, before):
                self.finished(expander.program(forms, len(source.text)), expander, before)
            return "\n\n".join(self.shown)
        finally:
            self.shown = None

    @contextmanager
    def _passes(
        self, source: Source, top: TopLevel, limit: int | None
    ) -> Iterator[tuple[Expander, list[tuple[Any, Span]], set[str]]]:
        """An expander for a text, its forms, and what the top level had defined before; inside, our
        passes may recurse. What fails has defined nothing.
        """
        if not top.is_library:
            self._load_macros()
        forms = read_all(source, limit)
        with self._undoing(top) as before, self.compiling(source):
            yield self.expander(top), forms, before

    @contextmanager
    def _undoing(self, top: TopLevel) -> Iterator[set[str]]:
        """What fails inside has defined nothing. The names defined before."""
        known = self._known(top)
        try:
            yield set(known[0])
        except BaseException:
            self._forget(top, known)
            raise

    @contextmanager
    def compiling(self, source: Source) -> Iterator[Text]:
        """While a text, which may be one within another, is compiled."""
        outer, self.text = self.text, Text(source)
        try:
            with _Depth(PASSES_DEPTH), self.rt.host.no_switch("the compiler"):
                yield self.text
        finally:
            self.text = outer

    def _known(self, top: TopLevel) -> Known:
        modules = dict(self.texts.modules.known)
        return set(top.defined), dict(top.syntax), dict(top.imports), modules

    def _forget(self, top: TopLevel, known: Known) -> None:
        """Have `top` know these names again, and no other, and the modules that texts had declared.
        Parts of the library, and libraries that have files, stay loaded.
        """
        top.defined, syntax, top.imports, modules = known
        top.syntax = {**self.library.syntax, **syntax}
        files = {n: m for n, m in self.texts.modules.known.items() if m.path is not None}
        self.texts.modules.known.clear()
        self.texts.modules.known.update(files | modules)

    def macroexpand(self, form: Any) -> Any:
        """`form`, which a program made, with the macro uses at its head expanded."""
        self._load_macros()
        with self.compiling(Source(MADE, "")):
            expander = self.expander(self.program)
            expander.refuse_round(form)
            return strip(expander.head(form, self.program, None)[0])

    def new_environment(self, imports: list[Any]) -> TopLevel:
        """A top level with what import sets, which a program made, give, and nothing else."""
        self._load_macros()
        top = self.new_module(ENVIRONMENT)
        with self.compiling(Source(MADE, "")) as text:
            expander = self.expander(top)
            for each in imports:
                take(expander, import_set(expander, each, None))
            self._load_needed()
        for module in text.requires.values():
            self.texts.instantiate(module)
        top.fixed = True
        return top

    def expander(self, top: TopLevel) -> Expander:
        charge = _for_nothing if top.is_library else self.rt.charge
        evaluate = partial(self._evaluate, top)
        return Expander(top, evaluate, self._apply, charge, Declarations(self))

    def new_module(self, home: str) -> TopLevel:
        """The top level of a module, which has nothing but what it will import and define."""
        return TopLevel({}, self.rt.library, self.rt.parts, self._need, home=home)

    def _load_macros(self) -> None:
        """The library's own syntax-rules: needed only where something is expanded."""
        if COMMON in self._syntax_loaded:
            return
        self._expand_library(COMMON, Source("<omega-macros>", text_of(MACROS)))
        self.program.syntax = dict(self.library.syntax)

    def _borrowed(self, top: TopLevel, before: set[str]) -> list[Node]:
        """A name the program takes from the library starts with the library's value: (define
        old-car car) works.
        """
        if top.is_library:
            return []
        taken = sorted(name for name in top.defined - before if top.offers(name))
        self.text.needed.update(top.parts[name] for name in taken if name in top.parts)
        return [SetGlobal(None, name, False, Global(None, name, True), False) for name in taken]

    # -- the library's parts -------------------------------------------------------------------

    def _need(self, part: str) -> None:
        """A text names something of `part`."""
        self.text.needed.add(part)
        if part in self._syntax_loaded:
            return
        known = set(self.library.syntax)
        file = part + SYNTAX
        self._expand_library(part, Source(f"<omega-{file}>", part_text(file)))
        for name in self.library.syntax.keys() - known:
            self.program.syntax.setdefault(name, self.library.syntax[name])

    def _load_needed(self) -> list[str]:
        """Have the procedures defined that the text under way names."""
        parts = sorted(self.text.needed)
        for part in parts:
            self.texts.load_part(part)
        return parts

    def _expand_library(self, part: str, source: Source) -> None:
        """All of it or nothing: a limit may strike meanwhile, or Ctrl-C, and what is compiled with
        half of it would be kept for good in the cache.
        """
        syntax = self.library.syntax
        before = dict(syntax)
        self._syntax_loaded.add(part)
        try:
            self.expander(self.library).program(read_all(source), len(source.text))
        except BaseException:
            self._syntax_loaded.discard(part)
            syntax.clear()
            syntax.update(before)
            raise

    def _resolved(self, nodes: list[Node], top: TopLevel) -> Unit:
        for node in nodes:
            if isinstance(node, SetGlobal) and isinstance(node.value, Global) and node.span is None:
                node.define = True
        return resolve(nodes, top, self.optimize)

    def _emit(self, unit: Unit, *, for_good: bool = True) -> tuple[list[ast.Module], Emitter]:
        """for_good: the code will be run, so that later texts must know what it promises."""
        analyse(unit)
        entries, workers = self.texts.entries, self.texts.workers_of
        if unit.top.is_library:  # each of its texts stands for itself
            entries, workers = set(), {}
        elif not for_good:
            entries, workers = set(entries), dict(workers)
        emitter = Emitter(unit, entries, workers)
        emitter.file = self.text.source.name
        return emitter.modules(), emitter

    # -- macros --------------------------------------------------------------------------------

    def _evaluate(self, top: TopLevel, node: Node, definitions: list[Node]) -> Any:
        """Run a transformer's node now; those of the text's definitions that it needs are evaluated
        first, in their order, and the modules it needs run.
        """
        self._load_needed()
        needed: set[Node] = set()
        modules: dict[str, Module] = {}
        makers = {name: node for node in definitions for name in defined_by(node)}
        work: list[Node] = [node]
        while work:
            at = work.pop()
            if isinstance(at, (Global, SetGlobal)):
                maker = makers.get(at.name)
                if maker is not None and maker not in needed:
                    needed.add(maker)
                    work.append(maker)
                home = home_of(at.name)
                if home not in ("", top.home):
                    module = self.texts.modules.known[f"({home})"]
                    modules[home] = module
            work.extend(children(at))
        for module in modules.values():
            self._metered(partial(self.texts.instantiate, module))
        earlier = [each for each in definitions if each in needed - self.text.evaluated]
        self.text.evaluated |= needed
        trees, emitter = self._emit(self._resolved([*earlier, node], top))
        thunk = load(
            _code(trees, node.span.file if node.span else "<macro>"),
            emitter.literals,
            self.rt.registers,
        )
        return self._metered(thunk)

    def _apply(self, transformer: Any, arguments: list[Any]) -> Any:
        with self.rt.host.no_switch("a macro"):
            return self._metered(transformer, *arguments)

    def _metered(self, function: Any, *arguments: Any) -> Any:
        """Call a procedure while compiling: all such calls of one text share its steps. What fails
        is a condition with its place.
        """
        try:
            with self.rt.metered(self.text.macro_steps, "in the macros of a program"):
                return self.rt.call_with(function, arguments)
        except Exception as failure:
            raise self.rt.conditions.as_condition(failure) from failure.__cause__
        finally:
            self.text.macro_steps -= self.rt.metered_steps
            if self.rt.metered_left() is None:
                self.rt.charge(self.rt.metered_steps)


def _refuse_code(forms: list[tuple[Any, Span]]) -> None:
    """An error if a form is no define-library."""
    for form, span in forms:
        if not isinstance(form, Pair) or form.car is not _DEFINE_LIBRARY:
            raise LibraryError(
                "the file of a library holds define-library forms, and nothing else",
                span=span,
                hint="code stands in the (begin ...) of a library",
            )


def _is_syntax(imported: Import) -> bool:
    """Whether a module's macro was imported."""
    home = imported.home
    return not home.is_library and not isinstance(home.binding(imported.name), GlobalBinding)


def _for_nothing(steps: int) -> None:
    """The library's own texts are not charged for."""


def _expansions(expander: Expander) -> list[Expansion]:
    return [
        (place, macro.name, macro.span)
        for place, macro in expander.uses.items()
        if macro.span is not None  # the library's say enough themselves
    ]


def _code(trees: list[ast.Module], filename: str) -> CodeType:
    """The code of the modules' one function, or of a function that calls all of them."""
    parts = [_compiled(tree, filename) for tree in trees]
    if len(parts) == 1:
        return parts[0]
    # CPython copies the set of all global names that a module declares once for each function in
    # it: a long text is compiled in parts, which stand here in place of what does nothing.
    code = _compiled(calls_of("_unit", len(parts)), filename)
    rest = iter(parts)
    consts = [next(rest) if isinstance(const, CodeType) else const for const in code.co_consts]
    return code.replace(co_consts=tuple(consts))


def _compiled(tree: ast.Module, filename: str) -> CodeType:
    """The code of the module's one function."""
    try:
        with _Depth(COMPILE_DEPTH, exactly=True), warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            module = compile(tree, filename, "exec", dont_inherit=True)
    except (RecursionError, MemoryError):
        raise LimitExceeded(
            "nesting", None, None, "the program nests too deeply to compile"
        ) from None
    for const in module.co_consts:
        if isinstance(const, CodeType):
            return const
    raise AssertionError("the module holds one function")


def _unparse(tree: ast.Module, literals: list[Any]) -> str:
    from omega.lisp.printer import write_string

    class Literals(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            if isinstance(node.value, tuple) and node.value[0] == LITERAL:
                return ast.Name(f"«{write_string(literals[node.value[1]])}»", ast.Load())
            return node

    return ast.unparse(Literals().visit(tree))


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No search for cycles: what is compiled makes few, and its trees are all alive. Twice as fast
    for long texts, and linear.
    """
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()


class _Depth:
    """Set the recursion limit to the depth in use plus `frames`, at least (or exactly) so, and
    back.
    """

    def __init__(self, frames: int, *, exactly: bool = False) -> None:
        self.frames, self.exactly = frames, exactly

    def __enter__(self) -> None:
        self.before = sys.getrecursionlimit()
        depth = 0
        frame = sys._getframe()
        while frame is not None and depth < self.before:
            depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
        wanted = depth + self.frames
        sys.setrecursionlimit(wanted if self.exactly else max(self.before, wanted))

    def __exit__(self, *_: object) -> None:
        sys.setrecursionlimit(self.before)
