"""Forms to core nodes: macro expansion, scoping, bodies, definitions.

Owns: `Expander`. The special forms themselves are in forms.py and macros.py; each is a function
`(expander, form, scope, span) -> Node` registered under its name. Parameter lists: parameters.py.
Refuses: evaluating anything but macro transformers, and those only through the `evaluate` it is
given.

Invariants: operands are expanded, and so evaluated, left to right; every node made from a form with
a known place carries that place, or the place of the nearest form around it; expansion never
changes its input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omega.errors import LimitExceeded, LispError, LispSyntaxError, LispValueError, Span
from omega.lisp.core import (
    Call,
    Const,
    Global,
    Lambda,
    Let,
    Letrec,
    Local,
    Node,
    Receive,
    Seq,
    SetGlobal,
    Variable,
    defined_by,
)
from omega.lisp.data import Nil, Pair, Symbol, spine
from omega.lisp.environment import (
    Alias,
    GlobalBinding,
    Identifier,
    Import,
    ImportSet,
    Macro,
    Scope,
    Special,
    TopLevel,
    expansion_note,
    is_library,
    lookup,
    strip,
    stripped,
    symbol_of,
)
from omega.lisp.expansion import MADE_MAX, Work, goes_round, size_of
from omega.lisp.mistakes import Mistakes, too_much
from omega.lisp.places import Places
from omega.lisp.reader import SourcePair, strip_source

NESTING_MAX = 1_000  # forms within forms, after expansion
EXPANSIONS_MAX = 100_000  # macro uses in one top-level form
QUOTED_PER_FORM = 16  # pairs of a constant that are copied while a form is expanded
SHOWN_MAX = 200  # characters of a form in a message
FIXED = "(interaction-environment) is the program's own, where definitions and assignments go"
_LOGIC = ("and", "or")  # syntax that is often passed on as if it were a procedure
ROUND_EVERY = 4_096  # elements of a list after which it is looked at whether it ends
# What the expander itself goes by: no program may mean something else by these at its top level.
KEPT = frozenset(
    {"begin", "define", "define-values", "define-record-type", "define-syntax", "define-macro"}
)

Part = tuple[Any, Span | None]
AnyScope = Scope | TopLevel


class Expander:
    """Expands one program's top-level forms, one after the other.

    top: the program's top level. evaluate: runs a transformer's Lambda node and returns the
    procedure;
    call: calls such a procedure with data. charge: called with the steps that expanding what macros
    make is worth; may raise. declarations: the Declarations that `import` and its like are put to.
    """

    def __init__(
        self,
        top: TopLevel,
        evaluate: Callable[[Node, list[Node]], Any],
        call: Callable[[Any, list[Any]], Any],
        charge: Callable[[int], None],
        declarations: Any,
    ) -> None:
        self.top = top
        self.evaluate = evaluate
        self.call = call
        self.work = Work(charge)
        self.declarations = declarations
        self.imports: list[ImportSet] = []  # of this text
        self.taken: dict[str, Import] = {}  # what it did not have before
        self.noted: set[str] = set()  # names this text defines
        self.definitions: list[Node] = []  # of this text's globals so far, for transformers
        self.places = Places()
        self.made_syntax = False
        # (file, line, column) of a use -> the macro that was expanded there
        self.uses: dict[tuple[str, int, int], Macro] = {}
        # uses of macros, which may leave out what they are given: findings.py asks what that was
        self.expanded: list[tuple[Macro, Any, AnyScope]] = []
        self.mistakes: Mistakes | None = None  # None: the first one ends the expansion
        self._depth = 0
        # the macro uses the current form came out of, outermost first
        self._chain: list[tuple[Macro, Any]] = []
        self._here: Span | None = None

    # -- entry ---------------------------------------------------------------------------------

    def program(self, forms: Sequence[Part], characters: int) -> list[Node]:
        """The nodes of a whole text, `characters` long. Raises its first mistake, with the
        others.
        """
        nodes, mistakes = self.attempt(forms, characters)
        mistakes.raise_first()
        return nodes

    def attempt(self, forms: Sequence[Part], characters: int) -> tuple[list[Node], Mistakes]:
        """The nodes of a whole text, with something in the place of what is wrong. Its global
        definitions are visible to all of it.
        """
        mistakes = self.mistakes = Mistakes()
        self._own_work(forms, 2 * characters + 1)  # 'x is two elements of a list
        for datum, span in forms:
            self._here = span
            self._note_definition(datum)
        nodes: list[Node] = []
        for datum, span in forms:
            self._here = span
            nodes += self.toplevel(datum, self.top, span)
        return nodes, mistakes

    def _own_work(self, forms: Sequence[Part], most: int) -> None:
        """Let the text's own forms be free. Only labels make them more than `most`."""
        size = size_of([datum for datum, _ in forms], most)
        self.work.text(size)
        if size >= most:
            for datum, span in forms:
                self.refuse_round(datum, span)

    def refuse_round(self, form: Any, span: Span | None = None) -> None:
        """An error if `form` contains itself."""
        if goes_round(form):
            raise self.error(
                "a form contains itself, and code must have an end",
                span,
                "circular data are quoted: '#0=(a . #0#)",
            )

    def _note_definition(self, form: Any) -> None:
        """Make names defined anywhere at the top level of this text the program's own, before any
        is used.
        """
        if not (isinstance(form, Pair) and isinstance(form.car, Symbol)):
            return
        meaning = lookup(form.car, self.top)
        if not isinstance(meaning, Special):
            return
        if meaning.name == "begin":
            for part in spine(form.cdr):
                self._note_definition(part)
        elif meaning.names is not None:
            names = {n.name for n in meaning.names(form) if isinstance(n, Symbol)}
            self.noted.update(names - KEPT)
            self.top.defined.update(names - KEPT)

    def refuse_kept(self, name: str, span: Span | None) -> None:
        """An error if the top level must not give `name` another meaning."""
        if name in KEPT:
            raise self.error(
                f"`{name}` cannot be redefined at the top level",
                span,
                "definitions are found by it; a parameter or a local variable may be called so",
            )

    def has_defined(self, name: str) -> bool:
        """Whether what was expanded of this text so far defines the global `name`."""
        own = self.top.own(name)
        return any(own in defined_by(node) for node in self.definitions)

    def refuse_imported(self, name: str, span: Span | None) -> None:
        """An error if this text imports `name`, unless that yields, or the program has it without
        importing.
        """
        for each in self.imports:
            imported = None if each.yields else each.names.get(name)
            if imported is not None and (self.top.home or not imported.home.is_library):
                raise self.error(
                    f"`{name}` is imported from {imported.library} and defined here as well",
                    span,
                    f"import it by another name: (rename {imported.library} ({name} NAME)), "
                    f"or not at all: (except {imported.library} {name})",
                )

    def identifier(self, name: Any, span: Span | None) -> Identifier:
        """`name`, which must be one."""
        if not isinstance(name, (Symbol, Alias)):
            raise self.error(
                f"a variable must be a symbol, not {shown(name)}",
                span,
                "names are written without quotes and brackets",
            )
        return name

    def toplevel(self, form: Any, scope: AnyScope, span: Span | None) -> list[Node]:
        """The nodes of one top-level form; `begin` is spliced."""
        before = self._enter()
        meaning: Any = None
        try:
            span = self._here = self.span_of(form, span)
            form, meaning = self.head(form, scope, span)
            if isinstance(meaning, Special):
                if meaning.name == "begin":
                    return [
                        node
                        for datum, at in self.parts(form)[1:]
                        for node in self.toplevel(datum, scope, at)
                    ]
                if meaning.names is not None:
                    return self._toplevel_definitions(meaning, form, scope, span)
                if meaning.declares:
                    meaning.expand(self, form, scope, span)
                    return [Const(span, None)]
            return [self.expand(form, scope, span)]
        except LispError as error:
            if self.mistakes is None:
                raise
            self.mistakes.accept_definition(error, form, meaning, self.top)
            return []
        finally:
            self._leave(before)

    def _toplevel_definitions(
        self, meaning: Special, form: Any, scope: AnyScope, span: Span | None
    ) -> list[Node]:
        if self.top.fixed:
            raise self.error("nothing can be defined in this environment", span, FIXED)
        nodes: list[Node] = []
        for target, make in meaning.expand(self, form, scope, self.span_of(form, span)):
            if target is None:
                nodes.append(make(scope))
            elif isinstance(target, tuple):
                nodes.append(self._define_values(target, make(scope), span))
            else:
                place = self.span_of(form, span)
                name = symbol_of(self.identifier(target, place)).name
                self.refuse_kept(name, place)
                self.refuse_imported(name, place)
                self.top.defined.add(name)
                own = self.top.own(name)
                nodes.append(SetGlobal(place, own, self.top.is_library, make(scope), True))
            if target is not None:
                self.definitions.append(nodes[-1])
        return nodes

    def _define_values(self, targets: tuple[Any, ...], producer: Node, span: Span | None) -> Node:
        required = [Variable(symbol_of(t).name) for t in targets if not isinstance(t, tuple)]
        rest = [Variable(symbol_of(t[0]).name) for t in targets if isinstance(t, tuple)]
        body: list[Node] = []
        for var in required + rest:
            self.refuse_kept(var.name, span)
            self.refuse_imported(var.name, span)
            self.top.defined.add(var.name)
            own = self.top.own(var.name)
            body.append(SetGlobal(span, own, self.top.is_library, Local(span, var), True))
        body.append(Const(span, None))
        return Receive(span, required, rest[0] if rest else None, producer, Seq(span, body))

    # -- expressions ---------------------------------------------------------------------------

    def expand(self, form: Any, scope: AnyScope, span: Span | None = None) -> Node:
        """The node of an expression."""
        if isinstance(form, (Symbol, Alias)):
            return self.reference(form, scope, span)
        if isinstance(form, Node):
            return form
        if not isinstance(form, Pair):
            return self._atom(form, span)
        before = self._enter()
        try:
            span = self._here = self.span_of(form, span)
            form, meaning = self.head(form, scope, span)
            if isinstance(meaning, Special):
                if meaning.names is not None:
                    raise self.error(
                        f"`{meaning.name}` is not allowed here",
                        span,
                        "definitions stand at the top level or at the start of a body",
                    )
                if meaning.declares:
                    raise self.error(
                        f"`{meaning.name}` is not allowed here", span, "it stands at the top level"
                    )
                node: Node = meaning.expand(self, form, scope, span)
                return node
            if not isinstance(form, Pair):
                return self.expand(form, scope, span)
            return self._call(form, scope, span)
        except LispError as error:
            if self.mistakes is None:
                raise
            self.mistakes.accept(error)
            return Const(span, None)
        finally:
            self._leave(before)

    def _enter(self) -> tuple[Span | None, int]:
        """One form deeper; what to give `_leave`."""
        if self._depth >= NESTING_MAX:
            raise self.too_much(self._depth, NESTING_MAX, "forms within forms")
        self._depth += 1
        return self._here, len(self._chain)

    def _leave(self, before: tuple[Span | None, int]) -> None:
        self._depth -= 1
        self._here = before[0]
        del self._chain[before[1] :]

    def head(self, form: Any, scope: AnyScope, span: Span | None) -> tuple[Any, Any]:
        """Expand macros at the head of `form`; what is left, and what its head means."""
        while isinstance(form, Pair) and isinstance(form.car, (Symbol, Alias)):
            meaning = lookup(form.car, scope)
            if not isinstance(meaning, Macro):
                return form, meaning
            if len(self._chain) >= EXPANSIONS_MAX:
                raise self.too_much(len(self._chain), EXPANSIONS_MAX, "macro uses in one form")
            place = self.span_of(form, span)
            self._chain.append((meaning, form))
            self.expanded.append((meaning, form, scope))
            form = meaning.transform(form, scope, self)
            if place is not None:
                self.uses.setdefault(start_of(place), meaning)
        return form, None

    def _atom(self, datum: Any, span: Span | None) -> Node:
        if datum is Nil:
            raise self.error("`()` is not an expression", span, "write '() for the empty list")
        if type(datum) is list:
            datum = self.constant(datum, span)
        return Const(span or self._here, datum)

    def reference(self, name: Identifier, scope: AnyScope, span: Span | None) -> Node:
        meaning = lookup(name, scope)
        span = span or self._here
        if isinstance(meaning, Variable):
            return Local(span, meaning)
        if isinstance(meaning, GlobalBinding):
            return Global(span, meaning.name, meaning.library, meaning.kind)
        called = symbol_of(name).name
        raise self.error(
            f"`{called}` is syntax and has no value",
            span,
            f"use it as ({called} ...)"
            + (f"; as a procedure: (lambda (a b) ({called} a b))" if called in _LOGIC else ""),
        )

    def _call(self, form: Pair, scope: AnyScope, span: Span | None) -> Node:
        parts = self.parts(form)
        function = self.expand(parts[0][0], scope, parts[0][1])  # f(*args) would recurse through C
        arguments = self.each(parts[1:], scope)
        if (
            isinstance(function, Lambda)
            and function.is_plain
            and len(function.required) == len(arguments)
        ):
            return Let(span, function.required, arguments, function.body)
        return Call(span, function, arguments)

    def each(self, parts: list[Part], scope: AnyScope) -> list[Node]:
        return [self.expand(datum, scope, span) for datum, span in parts]

    def sequence(self, parts: list[Part], scope: AnyScope, span: Span | None) -> Node:
        """Expressions in a row; none at all is the unspecified value."""
        nodes = self.each(parts, scope)
        if not nodes:
            return Const(span, None)
        return nodes[0] if len(nodes) == 1 else Seq(span, nodes)

    def library(self, name: str, span: Span | None) -> Global:
        """A reference to the library's own `name`, whatever the program calls so."""
        return Global(span, name, True, self.top.library.get(name))

    def library_call(self, name: str, arguments: list[Node], span: Span | None) -> Call:
        return Call(span, self.library(name, span), arguments)

    # -- bodies --------------------------------------------------------------------------------

    def body(self, parts: list[Part], outer: AnyScope, span: Span | None, what: str) -> Node:
        """A body: internal definitions become a letrec*."""
        scope = Scope(outer)
        found: list[tuple[Any, Callable[[AnyScope], Node]]] = []
        self._scan(parts, scope, found)
        if not found:
            raise self.error(
                f"{what} has no body", span, "write what it gives, at least one expression"
            )
        if all(target is None for target, _ in found):
            nodes = [make(scope) for _, make in found]
            return nodes[0] if len(nodes) == 1 else Seq(span, nodes)
        if found[-1][0] is not None:
            raise self.error(f"{what} ends with a definition", span, "end it with an expression")
        return self._letrec_body(found, scope, span)

    def _scan(
        self,
        parts: list[Part],
        scope: Scope,
        found: list[tuple[Any, Callable[[AnyScope], Node]]],
    ) -> None:
        """Find a body's definitions, binding their names in `scope` before anything is expanded."""
        for datum, at in parts:
            before = self._enter()
            try:
                where = self._here = self.span_of(datum, at)
                form, meaning = self.head(datum, scope, at)
                if isinstance(meaning, Special) and meaning.name == "begin":
                    self._scan(self.parts(form)[1:], scope, found)
                elif isinstance(meaning, Special) and meaning.names is not None:
                    for target, make in meaning.expand(self, form, scope, where):
                        for name in target if isinstance(target, tuple) else [target]:
                            name = name[0] if isinstance(name, tuple) else name
                            if name is not None:
                                self.bind(name, scope, where, self._defined_at(form, meaning))
                        found.append((target, make))
                else:
                    found.append((None, _later(self, form, where)))
            finally:
                self._leave(before)

    def _letrec_body(
        self, found: list[tuple[Any, Callable[[AnyScope], Node]]], scope: Scope, span: Span | None
    ) -> Node:
        """definitions and expressions in their order; the last is the value."""
        variables: list[Variable] = []
        inits: list[Node] = []
        for i, (target, make) in enumerate(found):
            rest = found[i:]
            if all(t is None for t, _ in rest):
                nodes = [m(scope) for _, m in rest]
                body = nodes[0] if len(nodes) == 1 else Seq(span, nodes)
                return Letrec(span, variables, inits, body) if variables else body
            if isinstance(target, tuple):
                # Values need a scope of their own: what follows is the body of a Receive.
                required = [scope.bindings[t] for t in target if not isinstance(t, tuple)]
                tail = [scope.bindings[t[0]] for t in target if isinstance(t, tuple)]
                producer = make(scope)
                inner = self._letrec_body(found[i + 1 :], scope, span)
                node = Receive(span, required, tail[0] if tail else None, producer, inner)
                return Letrec(span, variables, inits, node) if variables else node
            variables.append(Variable("_") if target is None else scope.bindings[target])
            inits.append(make(scope))
        raise AssertionError("a body ends with an expression")

    def _defined_at(self, form: Any, meaning: Special) -> Span | None:
        """Where the name that a `define` binds is written."""
        if meaning.name != "define":
            return None
        at = form.cdr
        while isinstance(at.car, Pair):
            at = at.car
        return self.place_of_car(at)

    def bind(
        self, name: Any, scope: Scope, place: Span | None = None, written: Span | None = None
    ) -> Variable:
        """A new variable for `name` in `scope`; twice in one scope is an error. written: see
        Variable.span.
        """
        self.identifier(name, place)
        self.refuse_twice(name, scope, place)
        var = scope.bindings[name] = Variable(symbol_of(name).name)
        var.span = written
        return var

    def refuse_twice(self, name: Identifier, scope: Scope, place: Span | None) -> None:
        """An error if `scope` binds `name` already."""
        if name in scope.bindings:
            raise self.error(
                f"`{symbol_of(name).name}` is bound twice here",
                place,
                "give one of the two another name; `set!` changes a variable",
            )

    # -- helpers -------------------------------------------------------------------------------

    @property
    def here(self) -> Span | None:
        """Where the innermost form that is being expanded stands."""
        return self._here

    def placed(self, first: Any, rest: Any, place: Span | None) -> Pair:
        """A pair whose first element is known to stand at `place`."""
        pair = Pair()
        pair.car, pair.cdr = first, rest
        self.places.note(pair, place, place)
        return pair

    def parts(self, form: Any) -> list[Part]:
        """The elements of a list form with their places; an improper list is an error."""
        result: list[Part] = []
        at = form
        while isinstance(at, Pair):
            place = at.car_span if type(at) is SourcePair else self.places.of(at)[1]
            result.append((at.car, place))
            at = at.cdr
            if len(result) % ROUND_EVERY == 0:
                self.count(ROUND_EVERY)
        self.count(len(result) % ROUND_EVERY)
        if at is not Nil:
            raise self.error(
                "a form must be a proper list",
                self.span_of(form, None),
                "data are quoted: '(a . b)",
            )
        return result

    def constant(self, datum: Any, span: Span | None) -> Any:
        """What quoting `datum` gives: plain data, with tables for table literals."""
        result, size, has_tables = stripped(datum)
        self.count(size // QUOTED_PER_FORM)
        if not has_tables:
            return result
        try:
            return strip_source(result)
        except LispValueError as error:  # circular data are no key
            raise self.error(error.message, span, error.hint) from None

    def count(self, forms: int) -> None:
        """Note that so many more forms were looked at or made."""
        try:
            few = self.work.count(forms)
        except LimitExceeded as error:
            error.span = self._here
            raise
        if not few:
            raise self.too_much(self.work.made, MADE_MAX, "forms made by macros in one program")

    def called(self, form: Any) -> str:
        """The keyword of `form` for a message: what a library's macro inserted goes by its name."""
        head = form.car
        if isinstance(head, Alias) and self._chain and is_library(head.scope):
            return self._chain[-1][0].name
        return symbol_of(head).name

    def span_of(self, form: Any, default: Span | None) -> Span | None:
        span = self.places.of(form)[0] if isinstance(form, Pair) else None
        return span or default or self._here

    def place_of_car(self, pair: Pair) -> Span | None:
        """Where the first element of the list from `pair` on stands."""
        return self.places.of(pair)[1]

    def plain(self, datum: Any) -> Any:
        """`datum` as plain data for a transformer; what it gives back keeps the places of the parts
        it kept.
        """
        result = strip(datum)
        self.places.copy(datum, result, self.count)
        return result

    def error(
        self, message: str, span: Span | None = None, hint: str | None = None
    ) -> LispSyntaxError:
        place = span or self._here
        macro = self.uses.get(start_of(place)) if place is not None else None
        notes = [expansion_note(macro.name, macro.span)] if macro is not None else []
        return LispSyntaxError(message, span=place, hint=hint, notes=notes)

    def too_much(self, used: int, allowed: int, what: str) -> LimitExceeded:
        """The error for forms beyond a limit; a macro that goes on and on is named."""
        error = too_much(self._chain, used, allowed, what)
        error.span = self._here
        return error

    def is_literal(self, datum: Any, scope: AnyScope, name: str) -> bool:
        """Whether `datum` is the auxiliary keyword `name` (else, =>, ...), not shadowed."""
        if not isinstance(datum, (Symbol, Alias)) or symbol_of(datum).name != name:
            return False
        return not isinstance(lookup(datum, scope), Variable)


def start_of(span: Span) -> tuple[str, int, int]:
    """Where something begins; what a macro makes begins where it is used."""
    return span.file, span.line, span.column


def _later(expander: Expander, form: Any, at: Span | None) -> Callable[[AnyScope], Node]:
    return lambda scope: expander.expand(form, scope, at)


def shown(datum: Any) -> str:
    """A form as a message shows it."""
    from omega.lisp.printer import shorten

    return shorten(strip(datum), SHOWN_MAX)
