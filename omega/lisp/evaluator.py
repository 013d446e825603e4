"""Evaluating texts: the language's own front door, below the interpreter that hosts use.

Owns: `Evaluator`: a runtime with its library loaded, the program's top level, the sources errors
are shown from, and the decision whether a text is compiled or taken from the cache.
Refuses: tasks,
effects, grants (the host's).

A text becomes a thunk (`prepare`); whoever calls it decides on which stack. Compiling happens in
`prepare`, on the caller's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from omega.errors import (
    HostError,
    LimitExceeded,
    LispError,
    LispSyntaxError,
    OmegaError,
    Source,
    Span,
)
from omega.lisp import cache
from omega.lisp.environment import Import, TopLevel
from omega.lisp.evaluation import MARKING, evaluation_procedures
from omega.lisp.host import Host
from omega.lisp.literals import load
from omega.lisp.modules import Module, Modules
from omega.lisp.names import home_of, library_name, mangle, member
from omega.lisp.primitives.registry import Native
from omega.lisp.runtime import MARKER, Runtime, RuntimeLimits

if TYPE_CHECKING:
    from omega.lisp.compiler import Compiled, Compiler
    from omega.lisp.findings import Finding

SOURCES_MAX = 1_000  # texts kept for showing errors
PART_STEPS = 10_000  # steps that the definitions of a part of the library may take
LEFT_NO_TRACE = "the call is the last thing that is done by what is called here"
SPAN = "\0span"  # what a packed span begins with: no name, fact or hint does


class How(Enum):
    """What a text is: the library's own, the program's, the file of modules."""

    LIBRARY = 0
    PROGRAM = 1
    FILE = 2


class Evaluator:
    def __init__(
        self,
        host: Host,
        limits: RuntimeLimits | None = None,
        *,
        use_cache: bool = True,
        optimize: bool = True,
    ) -> None:
        self.runtime = Runtime(host, limits)
        self.runtime.source_of = self.source
        self.use_cache, self.optimize = use_cache, optimize
        self.sources: dict[str, Source] = {}
        self.entries: set[str] = set()  # see Emitter
        self.workers_of: dict[str, int] = {}
        self.defined: set[str] = set()  # the program's own names
        # a name the program imports -> (Import.origin, the name there)
        self.imports: dict[str, tuple[str, str]] = {}
        self.modules = Modules(self._load_file)
        # runs a body while nothing else runs one for the same module
        self.once: Callable[[Module, Callable[[], None]], None] = lambda module, body: body()
        # global procedure -> the text that defines it, the library's names it uses
        self.lent: dict[str, tuple[Source, frozenset[str]]] = {}
        # file -> (line, column) of a macro's use -> name and place of the macro
        self.expansions: dict[str, dict[tuple[int, int], tuple[str, Span]]] = {}
        self._compiler: Compiler | None = None
        self._has_macros = False
        # macros of one text serve the next; False where there is no next (a script)
        self._keeps_syntax = True
        self._parts_loaded: set[str] = set()
        self._found: list[Finding] = []  # in modules, not told yet
        for name, procedure in evaluation_procedures(self).items():
            kind = None if name in MARKING else Native(name)
            self.runtime.install(name, procedure, kind)

    # -- texts ---------------------------------------------------------------------------------

    def load_library(self) -> None:
        """Define the library's Lisp procedures; natives a host adds must be installed before."""
        from omega.lisp.library import PARTS, PRELUDE, text_of
        from omega.lisp.names import demangle

        before = set(self.runtime.registers)
        unit, _ = self._unit(Source("<omega>", text_of(PRELUDE)), "library", How.LIBRARY)
        self._run(unit)
        library = self.runtime.library
        for key in set(self.runtime.registers) - before:
            if key.endswith("_") and key[:1] != "_":
                library[demangle(key)] = None
        for part, (procedures, syntax) in PARTS.items():
            names = procedures.split()
            library.update(dict.fromkeys(names))
            self.runtime.parts.update(dict.fromkeys(names + syntax.split(), part))

    def load_part(self, part: str) -> None:
        """Define the procedures of a part of the library, and of those it needs, if they are
        not.
        """
        from omega.lisp.library import part_text

        if part in self._parts_loaded:
            return
        self._parts_loaded.add(part)
        text = part_text(part)
        try:
            if text:
                unit, _ = self._unit(Source(f"<omega-{part}>", text), "library", How.LIBRARY)
                with self.runtime.metered(PART_STEPS, "loading the library"):
                    self._run(unit)
        except BaseException:  # a limit, Ctrl-C: who asks next loads it
            self._parts_loaded.discard(part)
            raise

    def _run(self, thunk: Callable[[], Any]) -> Any:
        value = thunk()
        return self.runtime.drive() if value is MARKER else value

    def prepare(
        self, text: str, filename: str = "<eval>"
    ) -> tuple[Callable[[], Any], list[Finding]]:
        """(thunk, findings) of a text; see findings.py. Raises what reading and expanding raise,
        with the report attached.
        """
        source = self.remember(text, filename)
        self._found = []
        try:
            thunk, found = self._unit(source, self._options(), How.PROGRAM)
            return thunk, [*self._found, *found]
        except OmegaError as error:
            is_over = isinstance(error, LimitExceeded) and error.limit == "wall"  # for all of it
            if error.span is None and not is_over:
                error.span = Span(source.name, 1, 1, 1, 1)
            raise

    def check(self, text: str, filename: str) -> list[OmegaError]:
        """What keeps a text from being a program, and its findings, style.py's among them, in its
        order. Nothing of it is run but macros.
        """
        from omega.lisp.findings import as_error

        source = self.remember(text, filename)
        try:
            mistakes, found, expansions = self.compiler.check(
                source, self.runtime.limits.source_bytes
            )
        except (LispError, LimitExceeded) as error:
            mistakes, found, expansions = [error, *error.others], [], []
            error.others = ()
        for (file, line, column), name, at in expansions:
            self.expansions.setdefault(file, {})[line, column] = (name, at)
        mistakes += [as_error(each, self.runtime.suggest) for each in found]
        return sorted(mistakes, key=_position)

    def _options(self) -> str:
        """What else than its text the code of a program's text depends on."""
        shadowed = sorted(name for name in self.defined if name in self.runtime.library)
        imports = sorted(self.imports.items()) if self.imports else ""
        return f"program|{' '.join(shadowed)}|{self._promised(of_modules=False)}|{imports}"

    def _promised(self, *, of_modules: bool) -> str:
        """What compiled code relies on of the globals of modules, or of the program's."""

        def concerned(name: str) -> bool:
            return (home_of(name) != "") is of_modules

        workers = sorted(each for each in self.workers_of.items() if concerned(each[0]))
        return f"{' '.join(sorted(filter(concerned, self.entries)))}|{workers}"

    def _unit(
        self, source: Source, options: str, how: How
    ) -> tuple[Callable[[], Any], list[Finding]]:
        """(thunk, findings) of a text."""
        usable = self.use_cache and not (how is How.PROGRAM and self._has_macros)
        key = f"{options}|{'' if self.optimize else 'no-opt'}|{source.name}"
        compiled = self._cached(source, key, how) if usable else None
        if compiled is None:
            compiled = self._compiled(source, how)
            if usable:
                cache.save(source.text, key, compiled)
        facts = compiled.facts
        if how is How.PROGRAM:
            if self._take([name for name in facts["defined"] if name in self.runtime.library]):
                return self._unit(source, self._options(), how)
            if not compiled.modules:  # they are declared once
                names = ((name, frozenset(used)) for name, used in facts["lent"].items())
                self.lent.update((name, (source, used)) for name, used in names)
            self._has_macros = self._has_macros or facts["macros"]
            self._adopt(facts)
        return self._loaded(compiled), [_unpacked(each) for each in facts["findings"]]

    def _compiled(self, source: Source, how: How) -> Compiled:
        compiler, limit = self.compiler, self.runtime.limits.source_bytes
        if how is How.FILE:
            return _packed_facts(compiler.compile_file(source, limit=limit))
        top = compiler.library if how is How.LIBRARY else compiler.program
        return _packed_facts(compiler.compile(source, top, limit=limit))

    def _cached(self, source: Source, key: str, how: How) -> Compiled | None:
        """What the cache has of a text, if all it was made from is as it was; its modules are known
        then.
        """
        compiled: Compiled | None = cache.load(source.text, key)
        if compiled is None:
            return None
        facts = compiled.facts
        inner = [each.facts for _, each in compiled.modules]
        is_whole = not facts["macros"] and all(map(_is_plain, inner))
        if how is How.PROGRAM and self._keeps_syntax and not is_whole:
            return None
        depends = [one for each in (facts, *inner) for one in each["depends"]]
        if not all(map(self.modules.is_unchanged, depends)):
            return None
        if how is not How.LIBRARY:
            for each in (facts, *inner):
                self.runtime.charge(each["steps"])  # a warm start has the cost of a cold one
        for shown, module in compiled.modules:
            self.register(shown, module, source, None)
        return compiled

    def _adopt(self, facts: dict[str, Any]) -> None:
        """Have the program's top level know what a text has made of it."""
        self._note_code(facts)
        imports = {name: (library, own) for name, library, own in facts["imports"]}
        defined = set(facts["defined"])
        self.defined = (self.defined - imports.keys()) | defined
        self.imports = {
            name: what for name, what in {**self.imports, **imports}.items() if name not in defined
        }
        if self._compiler is not None:
            self._know(self._compiler)

    def _note_code(self, facts: dict[str, Any]) -> None:
        for place, name, defined in facts["expansions"]:
            file, line, column = place
            self.expansions.setdefault(file, {})[line, column] = (name, _unpacked(defined))
        self.entries.update(facts["entries"])
        self.workers_of.update(facts["workers"])

    def _loaded(self, compiled: Compiled) -> Callable[[], Any]:
        """The thunk of compiled code; the modules it needs run first."""
        facts = compiled.facts
        for part in facts["parts"]:
            self.load_part(part)
        thunk = load(compiled.code, compiled.literals, self.runtime.registers)
        modules = self._required(facts)
        return thunk if not modules else partial(self._run_after, modules, thunk)

    def _required(self, facts: dict[str, Any]) -> list[Module]:
        needs = [(tuple(name), importer) for name, importer in facts["requires"]]
        return [self.modules.get(name, importer, None) for name, importer in needs]

    # -- modules -------------------------------------------------------------------------------

    def register(self, shown: str, compiled: Any, source: Source, top: TopLevel | None) -> None:
        """Know a module that was compiled. top: its top level; None when it is from the cache."""
        facts = compiled.facts
        home = TopLevel({}, self.runtime.library, home=shown[1:-1]) if top is None else top
        if top is None:
            home.defined.update(facts["defined"])
            home.shapes = {n: _unpacked(shape) for n, shape in facts["shapes"].items()}
        module = Module(shown, home, dict(facts["exports"]), source)
        module.has_syntax = top is not None or _is_plain(facts)
        module.needs = self._required(facts)
        module.depends = [tuple(each) for each in facts["depends"]]
        self.modules.known[shown] = module
        if self._compiler is not None:
            self._know(self._compiler)
        self._note_code(facts)
        for part in facts["parts"]:
            self.load_part(part)
        module.thunk = load(compiled.code, compiled.literals, self.runtime.registers)
        self._found += [_unpacked(each) for each in facts["findings"]]

    def instantiate(self, module: Module) -> None:
        """Run a module, and those it needs, unless they have run."""
        if module.is_ready:
            return
        for need in module.needs:
            self.instantiate(need)
        self.once(module, partial(self._run_module, module))

    def _run_module(self, module: Module) -> None:
        if not module.is_ready and module.thunk is not None:
            self._run(module.thunk)
            module.is_ready = True

    def _run_after(self, modules: list[Module], thunk: Callable[[], Any]) -> Any:
        for module in modules:
            self.instantiate(module)
        return thunk()

    def with_syntax(self, module: Module) -> None:
        """Have the macros of a module that came from the cache."""
        texts = self.modules
        kept = {n: m for n, m in texts.known.items() if m.source.name == module.source.name}
        for shown in kept:
            del texts.known[shown]
        found = len(self._found)
        self.compiler.compile_file(module.source)
        del self._found[found:]
        for shown, old in kept.items():
            new = texts.known.get(shown)
            if new is not None:
                old.top, old.exports, old.has_syntax = new.top, new.exports, True
            texts.known[shown] = old

    def _load_file(self, text: str, path: str) -> None:
        """Declare the modules of a library's file."""
        source = self.remember(text, path)
        self._unit(source, f"file|{self._promised(of_modules=True)}", How.FILE)

    def _take(self, names: Sequence[str]) -> bool:
        """Make these names of the library the program's own, if procedures of earlier texts use
        them: they are defined again, and mean the program's from now on. Whether there were any.

        It is done before the text that takes the names is compiled for good, since what is known of
        the program's procedures is then another (see Emitter).
        """
        again: dict[str, tuple[Source, set[str]]] = {}
        for name, (source, used) in self.lent.items():
            if not used.isdisjoint(names) and self._is_from(name, source):
                again.setdefault(source.name, (source, set()))[1].add(name)
        if not again:
            return False
        for name in names:
            self._bind(name, self.lookup(name))
        for source, procedures in again.values():
            with suppress(LispSyntaxError):  # a macro of its has become another one
                definitions = self.compiler.again(source, procedures)
                with self.runtime.metered(PART_STEPS, "defining procedures again"):
                    self._run(definitions)
        return True

    def _is_from(self, name: str, source: Source) -> bool:
        """Whether the value of a global is the procedure of this name that `source` defines."""
        value = self.runtime.registers.get(mangle(name))
        if not isinstance(value, FunctionType) or value.__name__ != mangle(name):
            return False
        return value.__code__.co_filename == source.name

    @property
    def compiler(self) -> Compiler:
        if self._compiler is None:
            from omega.lisp.compiler import Compiler

            self._compiler = Compiler(self.runtime, self, self.optimize)
            self._know(self._compiler)
        return self._compiler

    def _know(self, compiler: Compiler) -> None:
        """Have the compiler's program define and import what the evaluator knows of."""
        program, known = compiler.program, self.modules.known
        program.defined |= self.defined
        program.defined -= self.imports.keys()
        for name, (origin, own) in self.imports.items():
            if name not in program.imports and (not origin or origin in known):
                home = known[origin].top if origin else compiler.library
                program.imports[name] = Import(home, own, origin)

    # -- data ----------------------------------------------------------------------------------

    def prepare_form(self, form: Any, top: TopLevel | None) -> Callable[[], Any]:
        """The thunk of a form that a program made, in `top`; None: the program's top level."""
        compiler = self.compiler
        compiled = compiler.compile_form(form, compiler.program if top is None else top)
        if top is None:
            self._has_macros = self._has_macros or compiled.facts["macros"]
            self._adopt(_packed_facts(compiled).facts)
        return self._loaded(compiled)

    def prepare_file(self, text: str, path: str, top: TopLevel | None) -> Callable[[], Any]:
        """The thunk of a file's text that a program loads, in `top`; None: the program's own."""
        if top is None:
            return self.prepare(text, path)[0]
        source = self.remember(text, path)
        return self._loaded(self.compiler.compile(source, top, limit=len(text)))

    def only_text(self) -> None:
        """Say that the next text is the only one (a script): its macros need not outlive it."""
        self._keeps_syntax = False

    # -- names ---------------------------------------------------------------------------------

    def define(self, name: str, value: Any) -> None:
        """Bind a global of the program."""
        if name in self.runtime.library and name not in self.defined:
            self._take([name])
        self._bind(name, value)

    def _bind(self, name: str, value: Any) -> None:
        registers = self.runtime.registers
        registers[mangle(name)] = value
        self.defined.add(name)
        self.imports.pop(name, None)
        if name in self.entries:
            registers[mangle(name) + "ǁv"] = registers["_value_entry"](value)
        if name in self.workers_of:
            number = self.workers_of[name]
            registers[f"{mangle(name)}ǁf{number}"] = False
            registers[f"{mangle(name)}ǁr{number}"] = registers["_U"]
            registers[f"{mangle(name)}ǁi{number}"] = registers["_worker_entry"](value)
            registers[f"{mangle(name)}ǁw{number}"] = registers["_value_entry"](value)
        if self._compiler is not None:
            self._compiler.program.defined.add(name)

    def lookup(self, name: str) -> Any:
        """The value of a global of the program, else of the library. Raises KeyError."""
        registers = self.runtime.registers
        if name in self.imports:
            origin, name = self.imports[name]
            if origin:
                return registers[mangle(member(name, origin[1:-1]))]
        elif mangle(name) in registers:
            return registers[mangle(name)]
        if name in self.runtime.library and name in self.runtime.parts:
            self.load_part(self.runtime.parts[name])
        return registers[library_name(name)]

    # -- sources -------------------------------------------------------------------------------

    def remember(self, text: str, filename: str) -> Source:
        """Keep a text for showing errors; a second text under one name gets a number."""
        if not isinstance(text, str):
            raise HostError(f"a program is a str, got {type(text).__name__}")
        source = Source(filename, text)
        name, n = source.name, 1
        while name in self.sources and self.sources[name].text != source.text:
            n += 1
            name = f"{source.name[:-1]} {n}>" if source.name.endswith(">") else f"{source.name} {n}"
            if not source.name.endswith(">"):
                name = source.name
                break
        kept = Source(name, source.text)
        self.sources[name] = kept
        if len(self.sources) > SOURCES_MAX:
            oldest = next(iter(self.sources))
            del self.sources[oldest]
            self.expansions.pop(oldest, None)
        return kept

    def complete(self, error: OmegaError, findings: Sequence[OmegaError] = ()) -> None:
        """Add to an error what only compiling knew: the place of a call that left no trace (when it
        is one of `findings`), and the macro an expression came out of.
        """
        if error.in_tail_call:
            error.in_tail_call = False
            same = [found for found in findings if found.message == error.message]
            if len(same) == 1:
                error.span = same[0].span
            else:
                error.notes.append((LEFT_NO_TRACE, None))
        if error.kind in ("unbound-variable", "type-error"):
            for found in findings:  # knows the names in scope there, and what is called
                if found.message == error.message and found.span == error.span:
                    error.hint = found.hint
        cause = error.__cause__
        if error.hint is None and isinstance(cause, OmegaError):
            error.hint = cause.hint
        place = error.span
        if place is None or place.file not in self.expansions:
            return
        from omega.lisp.environment import EXPANDED, expansion_note

        macro = self.expansions[place.file].get((place.line, place.column))
        if macro is not None and not any(text.startswith(EXPANDED) for text, _ in error.notes):
            error.notes.append(expansion_note(*macro))

    def source(self, file: str) -> Source | None:
        """The text reported under `file`."""
        return self.sources.get(file)


def _position(error: OmegaError) -> tuple[int, int]:
    return (0, 0) if error.span is None else (error.span.line, error.span.column)


def _is_plain(facts: dict[str, Any]) -> bool:
    """Whether a module's exports are globals of its own, which need no expanding to be known."""
    return set(facts["exports"].values()) <= set(facts["defined"])


def _packed_facts(compiled: Compiled) -> Compiled:
    """What was compiled, with facts as `marshal` writes them."""
    for each in (compiled, *(module for _, module in compiled.modules)):
        for what in ("findings", "expansions"):
            each.facts[what] = [_packed(one) for one in each.facts[what]]
        each.facts["shapes"] = {n: _packed(shape) for n, shape in each.facts["shapes"].items()}
    return compiled


def _packed(value: Any) -> Any:
    """Tuples with spans in them as `marshal` writes them."""
    if isinstance(value, Span):
        return (SPAN, value.file, value.line, value.column, value.end_line, value.end_column)
    return tuple(_packed(part) for part in value) if isinstance(value, tuple) else value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    if value[:1] == (SPAN,):
        return Span(*value[1:])
    return tuple(_unpacked(part) for part in value)
