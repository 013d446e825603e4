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
from typing import TYPE_CHECKING, Any

from omega.errors import HostError, LimitExceeded, LispError, OmegaError, Source, Span
from omega.lisp import cache
from omega.lisp.host import Host
from omega.lisp.literals import load
from omega.lisp.names import mangle
from omega.lisp.runtime import MARKER, Runtime, RuntimeLimits

if TYPE_CHECKING:
    from omega.lisp.compiler import Compiler
    from omega.lisp.findings import Finding

SOURCES_MAX = 1_000  # texts kept for showing errors
PART_STEPS = 10_000  # steps that the definitions of a part of the library may take
LEFT_NO_TRACE = "the call is the last thing that is done by what is called here"
SPAN = "\0span"  # what a packed span begins with: no name, fact or hint does


class Evaluator:
    def __init__(
        self, host: Host, limits: RuntimeLimits | None = None, *, use_cache: bool = True
    ) -> None:
        self.runtime = Runtime(host, limits)
        self.runtime.source_of = self.source
        self.use_cache = use_cache
        self.sources: dict[str, Source] = {}
        self.entries: set[str] = set()  # see Emitter
        self.workers_of: dict[str, int] = {}
        self.defined: set[str] = set()  # the program's own names
        # file -> (line, column) of a macro's use -> name and place of the macro
        self.expansions: dict[str, dict[tuple[int, int], tuple[str, Span]]] = {}
        self._compiler: Compiler | None = None
        self._has_macros = False
        self._parts_loaded: set[str] = set()

    # -- texts ---------------------------------------------------------------------------------

    def load_library(self) -> None:
        """Define the library's Lisp procedures; natives a host adds must be installed before."""
        from omega.lisp.library import PARTS, PRELUDE, text_of
        from omega.lisp.names import demangle

        before = set(self.runtime.registers)
        unit, _ = self._unit(Source("<omega>", text_of(PRELUDE)), "library", library=True)
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
        if text:
            unit, _ = self._unit(Source(f"<omega-{part}>", text), "library", library=True)
            with self.runtime.metered(PART_STEPS, "loading the library"):
                self._run(unit)

    def _run(self, thunk: Callable[[], Any]) -> Any:
        value = thunk()
        return self.runtime.drive() if value is MARKER else value

    def prepare(
        self, text: str, filename: str = "<eval>"
    ) -> tuple[Callable[[], Any], list[Finding]]:
        """(thunk, findings) of a text; see findings.py. Raises what reading and expanding raise,
        with the report attached.
        """
        source = self._remember(text, filename)
        try:
            return self._unit(source, self._options(), library=False)
        except OmegaError as error:
            if error.span is None:
                error.span = Span(source.name, 1, 1, 1, 1)
            raise

    def check(self, text: str, filename: str) -> list[OmegaError]:
        """What keeps a text from being a program, and its findings, style.py's among them, in its
        order. Nothing of it is run but macros.
        """
        from omega.lisp.findings import as_error

        source = self._remember(text, filename)
        try:
            mistakes, found, expansions = self.compiler.check(
                source, self.runtime.limits.source_bytes
            )
        except (LispError, LimitExceeded) as error:
            mistakes, found, expansions = [error, *error.others], [], []
            error.others = ()
        self.expansions[source.name] = {place: (name, at) for place, name, at in expansions}
        mistakes += [as_error(each, self.runtime.suggest) for each in found]
        return sorted(mistakes, key=_position)

    def _options(self) -> str:
        shadowed = sorted(name for name in self.defined if name in self.runtime.library)
        promised = f"{' '.join(sorted(self.entries))}|{sorted(self.workers_of.items())}"
        return f"program|{' '.join(shadowed)}|{promised}"

    def _unit(
        self, source: Source, options: str, *, library: bool
    ) -> tuple[Callable[[], Any], list[Finding]]:
        registers = self.runtime.registers
        cached = None
        usable = self.use_cache and not self._has_macros
        key = f"{options}|{source.name}"
        if usable:
            cached = cache.load(source.text, key)
        if cached is not None and not (cached[2]["macros"] and not library and self._keeps_syntax):
            code, literals, facts = cached
            if not library:
                self.runtime.charge(facts["steps"])  # a warm start has the cost of a cold one
            found = [_unpacked(finding) for finding in facts["findings"]]
        else:
            compiler = self.compiler
            top = compiler.library if library else compiler.program
            compiled = compiler.compile(source, top, limit=self.runtime.limits.source_bytes)
            code, literals, facts = compiled.code, compiled.literals, compiled.facts
            found = facts["findings"]
            for what in ("findings", "expansions"):
                facts[what] = [_packed(each) for each in facts[what]]
            if usable:
                cache.save(source.text, key, code, literals, facts)
            if facts["macros"] and not library:
                self._has_macros = True
        if not library:
            if facts["expansions"]:
                self.expansions[source.name] = {
                    place: (name, _unpacked(defined))
                    for place, name, defined in facts["expansions"]
                }
            self.entries.update(facts["entries"])
            self.workers_of.update(facts["workers"])
            self.defined.update(facts["defined"])
            if self._compiler is not None:
                self._compiler.program.defined.update(facts["defined"])
        for part in facts["parts"]:
            self.load_part(part)
        return load(code, literals, registers), found

    _keeps_syntax = (
        True  # macros of one text serve the next; False where there is no next (a script)
    )

    @property
    def compiler(self) -> Compiler:
        if self._compiler is None:
            from omega.lisp.compiler import Compiler

            self._compiler = Compiler(self.runtime, self.entries, self.workers_of, self.load_part)
            self._compiler.program.defined |= self.defined
        return self._compiler

    def only_text(self) -> None:
        """Say that the next text is the only one (a script): its macros need not outlive it."""
        self._keeps_syntax = False

    # -- names ---------------------------------------------------------------------------------

    def define(self, name: str, value: Any) -> None:
        """Bind a global of the program."""
        registers = self.runtime.registers
        registers[mangle(name)] = value
        self.defined.add(name)
        if name in self.entries:
            registers[mangle(name) + "ǁv"] = registers["_value_entry"](value)
        if name in self.workers_of:
            number = self.workers_of[name]
            registers[f"{mangle(name)}ǁf{number}"] = False
            registers[f"{mangle(name)}ǁi{number}"] = registers["_worker_entry"](value)
            registers[f"{mangle(name)}ǁw{number}"] = registers["_value_entry"](value)
        if self._compiler is not None:
            self._compiler.program.defined.add(name)

    def lookup(self, name: str) -> Any:
        """The value of a global of the program, else of the library. Raises KeyError."""
        from omega.lisp.names import library_name

        registers = self.runtime.registers
        key = mangle(name)
        if key in registers:
            return registers[key]
        if name in self.runtime.library and name in self.runtime.parts:
            self.load_part(self.runtime.parts[name])
        return registers[library_name(name)]

    # -- sources -------------------------------------------------------------------------------

    def _remember(self, text: str, filename: str) -> Source:
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
        if error.kind == "unbound-variable":
            for found in findings:  # knows the names in scope there
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
