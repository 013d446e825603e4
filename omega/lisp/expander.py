"""Forms to core nodes: macro expansion, scoping, bodies, definitions, parameter lists.

Owns: `Expander`. The special forms themselves are in forms.py and macros.py; each is a function
`(expander, form, scope, span) -> Node` registered under its name.
Refuses: evaluating anything but macro transformers, and those only through the `evaluate` it is
given.

Invariants: operands are expanded, and so evaluated, left to right; every node made from a form with
a known place carries that place, or the place of the nearest form around it; expansion never
changes its input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omega.errors import LimitExceeded, LispSyntaxError, Span
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
)
from omega.lisp.data import Keyword, Nil, Pair, Symbol, cons
from omega.lisp.environment import (
    Alias,
    GlobalBinding,
    Identifier,
    Macro,
    Scope,
    Special,
    TopLevel,
    lookup,
    strip,
    symbol_of,
)
from omega.lisp.reader import SourcePair

NESTING_MAX = 1_000  # forms within forms, after expansion
EXPANSIONS_MAX = 100_000  # macro uses in one top-level form
FORMS_MAX = 3_000_000  # elements of forms looked at in one text: no expansion is endless

Part = tuple[Any, Span | None]
AnyScope = Scope | TopLevel


class Expander:
    """Expands one program's top-level forms, one after the other.

    top: the program's top level. evaluate: runs a transformer's Lambda node and returns the
    procedure;
    call: calls such a procedure with data.
    """

    def __init__(
        self,
        top: TopLevel,
        evaluate: Callable[[Node, dict[str, SetGlobal]], Any],
        call: Callable[[Any, list[Any]], Any],
    ) -> None:
        self.top = top
        self.evaluate = evaluate
        self.call = call
        # this text's global procedures, for transformers
        self.procedures: dict[str, SetGlobal] = {}
        self.places: dict[int, tuple[Pair, Span | None, Span | None]] = {}
        self.made_syntax = False
        self._depth = 0
        self._expansions = 0
        self._forms = 0
        self._here: Span | None = None

    # -- entry ---------------------------------------------------------------------------------

    def program(self, forms: Sequence[Part]) -> list[Node]:
        """The nodes of a whole text. Its global definitions are visible to all of it."""
        for datum, _ in forms:
            self._note_definition(datum)
        nodes: list[Node] = []
        for datum, span in forms:
            self._here, self._expansions = span, 0
            nodes += self.toplevel(datum, self.top, span)
        return nodes

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
            self.top.defined.update(n.name for n in meaning.names(form) if isinstance(n, Symbol))

    def toplevel(self, form: Any, scope: AnyScope, span: Span | None) -> list[Node]:
        """The nodes of one top-level form; `begin` is spliced."""
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
        return [self.expand(form, scope, span)]

    def _toplevel_definitions(
        self, meaning: Special, form: Any, scope: AnyScope, span: Span | None
    ) -> list[Node]:
        nodes: list[Node] = []
        for target, make in meaning.expand(self, form, scope, self.span_of(form, span)):
            if target is None:
                nodes.append(make(scope))
            elif isinstance(target, list):
                nodes.append(self._define_values(target, make(scope), span))
            else:
                name = symbol_of(target).name
                self.top.defined.add(name)
                value = make(scope)
                node = SetGlobal(self.span_of(form, span), name, self.top.is_library, value, True)
                if isinstance(value, Lambda):
                    self.procedures[name] = node
                nodes.append(node)
        return nodes

    def _define_values(self, targets: list[Any], producer: Node, span: Span | None) -> Node:
        required = [Variable(symbol_of(t).name) for t in targets if not isinstance(t, tuple)]
        rest = [Variable(symbol_of(t[0]).name) for t in targets if isinstance(t, tuple)]
        body: list[Node] = []
        for var in required + rest:
            self.top.defined.add(var.name)
            body.append(SetGlobal(span, var.name, self.top.is_library, Local(span, var), True))
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
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise LimitExceeded("nesting", self._depth, NESTING_MAX, "forms within forms")
        before = self._here
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
                node: Node = meaning.expand(self, form, scope, span)
                return node
            if not isinstance(form, Pair):
                return self.expand(form, scope, span)
            return self._call(form, scope, span)
        finally:
            self._depth -= 1
            self._here = before

    def head(self, form: Any, scope: AnyScope, span: Span | None) -> tuple[Any, Any]:
        """Expand macros at the head of `form`; what is left, and what its head means."""
        while isinstance(form, Pair) and isinstance(form.car, (Symbol, Alias)):
            meaning = lookup(form.car, scope)
            if not isinstance(meaning, Macro):
                return form, meaning
            self._expansions += 1
            if self._expansions > EXPANSIONS_MAX:
                raise LimitExceeded(
                    "nesting", self._expansions, EXPANSIONS_MAX, "macro uses in one form"
                )
            form = meaning.transform(form, scope)
        return form, None

    def _atom(self, datum: Any, span: Span | None) -> Node:
        if datum is Nil:
            raise self.error("`()` is not an expression", span, "write '() for the empty list")
        if type(datum) is list:
            datum = strip(datum)
        return Const(span or self._here, datum)

    def reference(self, name: Identifier, scope: AnyScope, span: Span | None) -> Node:
        meaning = lookup(name, scope)
        span = span or self._here
        if isinstance(meaning, Variable):
            return Local(span, meaning)
        if isinstance(meaning, GlobalBinding):
            return Global(span, meaning.name, meaning.library, meaning.kind)
        raise self.error(
            f"`{symbol_of(name).name}` is syntax and has no value",
            span,
            f"use it as ({symbol_of(name).name} ...)",
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
        if not parts:
            raise self.error(f"{what} has no body", span)
        scope = Scope(outer)
        found: list[tuple[Any, Callable[[AnyScope], Node]]] = []
        self._scan(parts, scope, found)
        if all(target is None for target, _ in found):
            nodes = [make(scope) for _, make in found]
            return nodes[0] if len(nodes) == 1 else Seq(span, nodes)
        while found and found[-1][0] is not None:
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
            form, meaning = self.head(datum, scope, at)
            if isinstance(meaning, Special) and meaning.name == "begin":
                self._scan(self.parts(form)[1:], scope, found)
            elif isinstance(meaning, Special) and meaning.names is not None:
                where = self.span_of(form, at)
                for target, make in meaning.expand(self, form, scope, where):
                    for name in target if isinstance(target, list) else [target]:
                        name = name[0] if isinstance(name, tuple) else name
                        if name is not None:
                            self.bind(name, scope)
                    found.append((target, make))
            else:
                found.append((None, _later(self, form, at)))

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
            if isinstance(target, list):
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

    def bind(self, name: Any, scope: Scope) -> Variable:
        """A new variable for `name` in `scope`; twice in one scope is an error."""
        if not isinstance(name, (Symbol, Alias)):
            raise self.error("a variable must be a symbol", self._here)
        if name in scope.bindings:
            raise self.error(f"`{symbol_of(name).name}` is bound twice here", self._here)
        var = scope.bindings[name] = Variable(symbol_of(name).name)
        return var

    # -- procedures ----------------------------------------------------------------------------

    def lambda_(
        self, name: str, params: Any, body: list[Part], scope: AnyScope, span: Span | None
    ) -> Lambda:
        """A procedure of a parameter list and a body. language.md, Forms: optional and keyword
        parameters.
        """
        inner = Scope(scope)
        node = Lambda(span, name, [], Const(span, None))
        at = params
        mode = "required"
        while isinstance(at, Pair):
            item = at.car
            if isinstance(item, Keyword):
                mode = "keys"
                at = self._keyword_parameter(node, at, inner, span)
                continue
            if isinstance(item, Pair):
                if mode == "keys":
                    raise self.error("an optional parameter follows a keyword one", span)
                mode = "optional"
                default = self._default(item, inner, span)
                node.optional.append((self.bind(item.car, inner), default))
            elif mode == "required":
                node.required.append(self.bind(item, inner))
            else:
                raise self.error(
                    f"required parameter `{_shown(item)}` follows an optional one", span
                )
            at = at.cdr
        if at is not Nil:
            if node.keys or node.all_keys:
                raise self.error("keyword and rest parameters exclude each other", span)
            node.rest = self.bind(at, inner)
        node.signature = _signature(name, params)
        if len(body) > 1 and isinstance(body[0][0], str):
            node.doc = body[0][0]
        node.body = self.body(body, inner, span, f"`{name}`")
        return node

    def _keyword_parameter(self, node: Lambda, at: Pair, inner: Scope, span: Span | None) -> Any:
        """`:name var`, `:name (var default)` or `:* var`; returns what follows."""
        keyword = at.car.name
        if not isinstance(at.cdr, Pair):
            raise self.error(f"keyword parameter :{keyword} names no variable", span)
        item = at.cdr.car
        if keyword == "*":
            node.all_keys = self.bind(item, inner)
        elif isinstance(item, Pair):
            default = self._default(item, inner, span)
            node.keys.append((keyword, self.bind(item.car, inner), default))
        else:
            # Without a default the keyword must be given: its default raises.
            missing = self.library_call("%missing-keyword", [Const(span, keyword)], span)
            node.keys.append((keyword, self.bind(item, inner), missing))
        return at.cdr.cdr

    def _default(self, item: Pair, inner: Scope, span: Span | None) -> Node:
        parts = self.parts(item)
        if len(parts) > 2:
            raise self.error("an optional parameter is (name default)", span)
        if len(parts) == 1:
            return Const(span, False)
        return self.expand(parts[1][0], inner, parts[1][1])

    # -- helpers -------------------------------------------------------------------------------

    def parts(self, form: Any) -> list[Part]:
        """The elements of a list form with their places; an improper list is an error."""
        result: list[Part] = []
        at = form
        while isinstance(at, Pair):
            result.append((at.car, self._places(at)[1]))
            at = at.cdr
            self.count(1)
        if at is not Nil:
            raise self.error("a form must be a proper list", self.span_of(form, None))
        return result

    def count(self, forms: int) -> None:
        """Note that so many more forms were looked at or made."""
        self._forms += forms
        if self._forms > FORMS_MAX:
            raise LimitExceeded("nesting", self._forms, FORMS_MAX, "forms in one program")

    def span_of(self, form: Any, default: Span | None) -> Span | None:
        span = self._places(form)[0] if isinstance(form, Pair) else None
        return span or default or self._here

    def _places(self, pair: Pair) -> tuple[Span | None, Span | None]:
        """Where the list from `pair` on stands, and its first element."""
        if isinstance(pair, SourcePair):
            return pair.span, pair.car_span
        known = self.places.get(id(pair))
        return (known[1], known[2]) if known is not None and known[0] is pair else (None, None)

    def plain(self, datum: Any) -> Any:
        """`datum` as plain data for a transformer; what it gives back keeps the places of the parts
        it kept.
        """
        result = strip(datum)
        work = [(datum, result)]
        while work:
            form, copy = work.pop()
            while isinstance(form, Pair):
                if id(copy) in self.places:
                    break
                self.places[id(copy)] = (copy, *self._places(form))
                self.count(1)
                if isinstance(form.car, Pair):
                    work.append((form.car, copy.car))
                form, copy = form.cdr, copy.cdr
        return result

    def error(
        self, message: str, span: Span | None = None, hint: str | None = None
    ) -> LispSyntaxError:
        return LispSyntaxError(message, span=span or self._here, hint=hint)

    def is_literal(self, datum: Any, scope: AnyScope, name: str) -> bool:
        """Whether `datum` is the auxiliary keyword `name` (else, =>, ...), not shadowed."""
        if not isinstance(datum, (Symbol, Alias)) or symbol_of(datum).name != name:
            return False
        return not isinstance(lookup(datum, scope), Variable)


def _later(expander: Expander, form: Any, at: Span | None) -> Callable[[AnyScope], Node]:
    return lambda scope: expander.expand(form, scope, at)


def spine(lst: Any) -> list[Any]:
    """The elements of a list up to its tail; an improper tail counts as one more."""
    items = []
    while isinstance(lst, Pair):
        items.append(lst.car)
        lst = lst.cdr
    if lst is not Nil and lst is not None:
        items.append(lst)
    return items


def _shown(datum: Any) -> str:
    from omega.lisp.printer import write_string

    return write_string(strip(datum))


def _signature(name: str, params: Any) -> str:
    return _shown(cons(Symbol.of(name), params))
