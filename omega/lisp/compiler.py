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
from types import CodeType
from typing import Any

from omega.errors import LimitExceeded, OmegaError, Source, Span
from omega.lisp import macros  # noqa: F401  registers the special forms
from omega.lisp.analysis import Unit, analyse, resolve
from omega.lisp.core import Global, Node, Receive, Seq, SetGlobal, children
from omega.lisp.emitter import Emitter
from omega.lisp.environment import TopLevel, strip
from omega.lisp.expander import Expander
from omega.lisp.findings import Finding, findings
from omega.lisp.library import MACROS, SYNTAX, part_text, text_of
from omega.lisp.literals import LITERAL, load
from omega.lisp.reader import read_all
from omega.lisp.special import SPECIALS

MACRO_STEPS_MAX = 10_000_000  # steps of all macros while one text is compiled
PASSES_DEPTH = 100_000  # Python frames for our own passes, over what is in use
COMPILE_DEPTH = 1_500  # ... and for CPython's compiler


# a macro's use (line, column), its name, and where it is defined
Expansion = tuple[tuple[int, int], str, Span]


class Compiled:
    """code: of the text's one function, placeholders in place of literals. facts: what loading it
    must tell the top
    level: {"defined": names, "entries" and "workers": see Emitter, "macros": whether it defined
    syntax, "findings": see findings.py, "expansions": (line and column of a use, macro's name and
    place), "steps": charged for its macros}.
    """

    __slots__ = ("code", "facts", "literals")

    def __init__(self, code: CodeType, literals: list[Any], facts: dict[str, Any]) -> None:
        self.code, self.literals, self.facts = code, literals, facts


class Compiler:
    def __init__(
        self,
        rt: Any,
        entries: set[str],
        workers_of: dict[str, int],
        load_part: Callable[[str], None],
    ) -> None:
        """rt: the Runtime macros run in. entries, workers_of: see Emitter; shared with the
        evaluator. load_part: defines the procedures of a part of the library, unless they are.
        """
        self.rt = rt
        self.entries, self.workers_of = entries, workers_of
        self.library = TopLevel(dict(SPECIALS), rt.library, rt.parts, self._need, is_library=True)
        self.program = TopLevel(self.library.syntax, rt.library, rt.parts, self._need)
        self._load_part = load_part
        self._needed: set[str] = set()  # parts of the library that the text under way names
        self._syntax_loaded: set[str] = set()  # parts whose macros are there
        self._macros_loaded = False
        self._macro_steps = MACRO_STEPS_MAX
        self._evaluated: set[Node] = set()  # definitions of the text under way, for its macros

    def compile(self, source: Source, top: TopLevel, *, limit: int = 4_000_000) -> Compiled:
        """Compile a whole text. Raises ReadError, LispSyntaxError or LimitExceeded; a text that
        does not compile has defined nothing.
        """
        with _collector_at_rest(), self._passes(source, top, limit) as (expander, forms, before):
            nodes = expander.program(forms, len(source.text))
            self.rt.charge(0)  # is there time left?
            unit = _resolved(self._borrowed(top, before) + nodes, top)
            parts = self._load_needed()
            found = findings(unit, self.rt.registers)
            tree, emitter = self._emit(unit)
            code = _code(tree, source.name)
            facts = {
                "parts": parts,
                "defined": sorted(top.defined - before),
                "entries": sorted(self.entries),
                "workers": dict(self.workers_of),
                "macros": expander.made_syntax,
                "expansions": _expansions(expander),
                "findings": found,
                "steps": expander.work.steps + MACRO_STEPS_MAX - self._macro_steps,
            }
            return Compiled(code, emitter.literals, facts)

    def check(
        self, source: Source, limit: int
    ) -> tuple[list[OmegaError], list[Finding], list[Expansion]]:
        """(what keeps a text from being a program, its findings, the expansions): as `compile`, and
        what is worth telling only to who asks. Raises ReadError or LimitExceeded.
        """
        from omega.lisp.style import style

        top = self.program
        before = set(top.defined), dict(top.syntax)
        try:
            with self._passes(source, top, limit) as (expander, forms, _):
                nodes, mistakes = expander.attempt(forms, len(source.text))
                unit = _resolved(nodes, top)
                self._load_needed()
                found = findings(unit, self.rt.registers)
                if not mistakes.found:  # else what uses a name may be what they are about
                    found += style(nodes, expander)
                    analyse(unit)
                    tree = Emitter(unit, set(self.entries), dict(self.workers_of)).module()
                    _code(tree, source.name)
        finally:  # the text may never be run here
            self._forget(top, *before)
        return mistakes.in_order(), found, _expansions(expander)

    def python(self, source: Source) -> str:
        """The generated Python of a text, for people."""
        top = self.program
        with self._passes(source, top, None) as (expander, forms, before):
            nodes = expander.program(forms, len(source.text))
            tree, emitter = self._emit(_resolved(self._borrowed(top, before) + nodes, top))
            return _unparse(tree, emitter.literals)

    @contextmanager
    def _passes(
        self, source: Source, top: TopLevel, limit: int | None
    ) -> Iterator[tuple[Expander, list[tuple[Any, Span]], set[str]]]:
        """An expander for a text, its forms, and what the top level had defined before; inside, our
        passes may recurse. What fails has defined nothing.
        """
        if top is self.program:
            self._load_macros()
        forms = read_all(source, limit)
        before, syntax = set(top.defined), dict(top.syntax)
        # A part of the library may be compiled within a text.
        outer = self._needed, self._evaluated, self._macro_steps
        self._needed, self._evaluated, self._macro_steps = set(), set(), MACRO_STEPS_MAX
        try:
            with _Depth(PASSES_DEPTH), self.rt.host.no_switch("the compiler"):
                yield self._expander(top), forms, before
        except BaseException:
            self._forget(top, before, syntax)
            raise
        finally:
            self._needed, self._evaluated, self._macro_steps = outer

    def _forget(self, top: TopLevel, defined: set[str], syntax: dict[str, Any]) -> None:
        """Have `top` know these names again, and no other. Parts of the library stay loaded."""
        top.defined, top.syntax = defined, {**self.library.syntax, **syntax}

    def macroexpand(self, form: Any) -> Any:
        """`form`, which a program made, with the macro uses at its head expanded."""
        self._load_macros()
        self._macro_steps = MACRO_STEPS_MAX
        with self.rt.host.no_switch("the compiler"):
            expander = self._expander(self.program)
            expander.refuse_round(form)
            return strip(expander.head(form, self.program, None)[0])

    def _expander(self, top: TopLevel) -> Expander:
        charge = _for_nothing if top.is_library else self.rt.charge
        return Expander(top, self._evaluate, self._apply, charge)

    def _load_macros(self) -> None:
        """The library's own syntax-rules: needed only where something is expanded."""
        if self._macros_loaded:
            return
        self._macros_loaded = True
        self._expand_library(Source("<omega-macros>", text_of(MACROS)))
        self.program.syntax = dict(self.library.syntax)

    def _borrowed(self, top: TopLevel, before: set[str]) -> list[Node]:
        """A name the program takes from the library starts with the library's value: (define
        old-car car) works.
        """
        if top.is_library:
            return []
        taken = sorted(name for name in top.defined - before if top.offers(name))
        self._needed.update(top.parts[name] for name in taken if name in top.parts)
        return [SetGlobal(None, name, False, Global(None, name, True), False) for name in taken]

    # -- the library's parts -------------------------------------------------------------------

    def _need(self, part: str) -> None:
        """A text names something of `part`."""
        self._needed.add(part)
        if part in self._syntax_loaded:
            return
        self._syntax_loaded.add(part)
        known = set(self.library.syntax)
        file = part + SYNTAX
        self._expand_library(Source(f"<omega-{file}>", part_text(file)))
        for name in self.library.syntax.keys() - known:
            self.program.syntax.setdefault(name, self.library.syntax[name])

    def _load_needed(self) -> list[str]:
        """Have the procedures defined that the text under way names."""
        parts = sorted(self._needed)
        for part in parts:
            self._load_part(part)
        return parts

    def _expand_library(self, source: Source) -> None:
        self._expander(self.library).program(read_all(source), len(source.text))

    def _emit(self, unit: Unit) -> tuple[ast.Module, Emitter]:
        analyse(unit)
        if unit.top.is_library:  # each of its texts stands for itself
            emitter = Emitter(unit, set(), {})
        else:
            emitter = Emitter(unit, self.entries, self.workers_of)
        return emitter.module(), emitter

    # -- macros --------------------------------------------------------------------------------

    def _evaluate(self, node: Node, definitions: list[Node]) -> Any:
        """Run a transformer's node now; those of the text's definitions that it needs are evaluated
        first, in their order.
        """
        self._load_needed()
        needed: set[Node] = set()
        makers = {name: node for node in definitions for name in _defined_by(node)}
        work: list[Node] = [node]
        while work:
            at = work.pop()
            if isinstance(at, (Global, SetGlobal)):
                maker = makers.get(at.name)
                if maker is not None and maker not in needed:
                    needed.add(maker)
                    work.append(maker)
            work.extend(children(at))
        earlier = [each for each in definitions if each in needed - self._evaluated]
        self._evaluated |= needed
        tree, emitter = self._emit(_resolved([*earlier, node], self.program))
        thunk = load(
            _code(tree, node.span.file if node.span else "<macro>"),
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
            with self.rt.metered(self._macro_steps, "in the macros of a program"):
                return self.rt.call_with(function, arguments)
        except Exception as failure:
            raise self.rt.conditions.as_condition(failure) from failure.__cause__
        finally:
            self._macro_steps -= self.rt.metered_steps
            if self.rt.metered_left() is None:
                self.rt.charge(self.rt.metered_steps)


def _for_nothing(steps: int) -> None:
    """The library's own texts are not charged for."""


def _defined_by(node: Node) -> list[str]:
    """The globals that evaluating `node` defines."""
    found: list[str] = []
    work = [node]
    while work:
        at = work.pop()
        if isinstance(at, SetGlobal) and at.define:
            found.append(at.name)
        if isinstance(at, (Receive, Seq)):
            work.extend(children(at))
    return found


def _resolved(nodes: list[Node], top: TopLevel) -> Unit:
    for node in nodes:
        if isinstance(node, SetGlobal) and isinstance(node.value, Global) and node.span is None:
            node.define = True
    return resolve(nodes, top)


def _expansions(expander: Expander) -> list[Expansion]:
    return [
        (place, macro.name, macro.span)
        for place, macro in expander.uses.items()
        if macro.span is not None  # the library's say enough themselves
    ]


def _code(tree: ast.Module, filename: str) -> CodeType:
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
