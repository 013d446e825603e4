"""Surface forms to the core of core.py, in the most direct way.

Owns: `Expander`: names, calls, bodies, definitions, parameter lists. Its special forms are methods
of forms.py and patterns.py, found by their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omega.errors import Span
from omega.lisp.data import Keyword, Nil, Pair, Symbol
from tests.lisp.reference.core import (
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
from tests.lisp.reference.scopes import (
    Macro,
    Malformed,
    Scope,
    Special,
    Top,
    is_name,
    items_of,
    lookup,
    plain,
    symbol_of,
    top_of,
)

AnyScope = Any
# (name, names with a rest one, or None for no name; what makes the node)
Definition = tuple[Any, Callable[[Any], Node]]
DEFINING = (
    "define", "define-values", "define-record-type", "define-syntax", "define-macro",
)  # fmt: skip


class Expander:
    """transformer: evaluates the Lambda of a define-macro, behind the definitions in front of it;
    the procedure is given data.
    """

    def __init__(self, top: Top, transformer: Callable[[Node, list[Node]], Any]) -> None:
        self.top, self.transformer = top, transformer
        self.globals: list[Global] = []  # still to be told whose they are
        self.nodes: list[Node] = []  # of this text so far
        self.taken: list[str] = []  # names of the library that it makes the program's

    def program(self, forms: list[Any]) -> list[Node]:
        """The nodes of a text."""
        before = set(self.top.defined)
        for form in forms:
            self._note(form)
        for form in forms:
            self._toplevel(form)
        self.settle()
        names = [] if self.top.is_library else sorted(self.top.defined - before)
        self.taken = [name for name in names if self.top.known(name)]
        borrowed: list[Node] = [
            SetGlobal(None, name, False, Global(None, name, True), True) for name in self.taken
        ]
        return borrowed + self.nodes

    def settle(self) -> None:
        """Tell globals whose they are."""
        for node in self.globals:
            if node.library is None:
                node.library = node.name not in self.top.defined or self.top.is_library
            node.is_primitive = node.library and self.is_primitive(node.name)
        self.globals.clear()

    def is_primitive(self, name: str) -> bool:
        raise NotImplementedError

    def _note(self, form: Any) -> None:
        """What a text defines is its own from its start."""
        if not (isinstance(form, Pair) and isinstance(form.car, Symbol)):
            return
        meaning = lookup(form.car, self.top)
        if not isinstance(meaning, Special):
            return
        if meaning.name == "begin":
            for part in items_of(form.cdr):
                self._note(part)
        elif meaning.name in ("define", "define-values", "define-record-type"):
            names = _defined(meaning.name, form)
            self.top.defined.update(n.name for n in names if isinstance(n, Symbol))

    def _toplevel(self, form: Any) -> None:
        form, meaning = self.head(form, self.top)
        name = meaning.name if isinstance(meaning, Special) else ""
        if name == "begin":
            for part in items_of(form.cdr):
                self._toplevel(part)
        elif name in DEFINING:
            for target, make in self.definitions(name, form, self.top):
                self._define(target, make, _span(form))
        else:
            self.nodes.append(self.expand(form, self.top))

    def _define(self, target: Any, make: Callable[[Any], Node], span: Span | None) -> None:
        library = self.top.is_library
        if target is None:
            self.nodes.append(make(self.top))
        elif isinstance(target, tuple):
            required, rest = target
            names = [symbol_of(n).name for n in [*required, *([rest] if rest else [])]]
            self.top.defined.update(names)
            fresh = [Variable(name) for name in names]
            stores: list[Node] = [
                SetGlobal(span, name, library, Local(None, var), True)
                for name, var in zip(names, fresh, strict=True)
            ]
            last = fresh.pop() if rest else None
            body = Seq(span, [*stores, Const(span, None)])
            self.nodes.append(Receive(span, fresh, last, make(self.top), body))
        else:
            name = symbol_of(target).name
            self.top.defined.add(name)
            value = make(self.top)
            if isinstance(value, Lambda):
                value.calls_itself = lambda f: (
                    isinstance(f, Global) and f.name == name and f.library == library
                )
            self.nodes.append(SetGlobal(span, name, library, value, True))

    # -- expressions ---------------------------------------------------------------------------

    def expand(self, form: Any, scope: AnyScope, span: Span | None = None) -> Node:
        if is_name(form):
            return self.name(form, scope, span)
        if not isinstance(form, Pair):
            if form is Nil:
                raise Malformed("()")
            return Const(span, plain(form))
        span = _span(form)  # what a macro inserts has none
        form, meaning = self.head(form, scope)
        if not isinstance(form, Pair):
            return self.expand(form, scope)
        if isinstance(meaning, Special):
            method = getattr(self, "form_" + _python(meaning.name), None)
            if method is None:
                raise Malformed(meaning.name)
            node: Node = method(form, scope, span)
            return node
        parts = items_of(form)
        function = self.expand(parts[0], scope, getattr(form, "car_span", None))
        arguments = self.operands(form.cdr, scope, span)
        if isinstance(function, Lambda) and _fits(function, arguments):
            return Let(span, function.required, arguments, function.body)
        return Call(span, function, arguments)

    def head(self, form: Any, scope: AnyScope) -> tuple[Any, Any]:
        """A form with the macro uses at its head expanded, and what its head means."""
        while isinstance(form, Pair) and is_name(form.car):
            meaning = lookup(form.car, scope)
            if not isinstance(meaning, Macro):
                return form, meaning
            form = meaning.transform(form, scope)
        return form, None

    def name(self, name: Any, scope: AnyScope, span: Span | None) -> Node:
        meaning = lookup(name, scope)
        if isinstance(meaning, Variable):
            return Local(span, meaning)
        if not isinstance(meaning, str):
            raise Malformed(name)
        # An alias of the library's is looked up there.
        home = _home(name, scope)
        library = True if home.is_library else None if self.top.known(meaning) else False
        node = Global(span, meaning, library)
        self.globals.append(node)
        return node

    def library(self, name: str, arguments: list[Node], span: Span | None) -> Call:
        function = Global(span, name, True)
        self.globals.append(function)
        return Call(span, function, arguments)

    def operands(self, items: Any, scope: AnyScope, span: Span | None = None) -> list[Node]:
        found = []
        while isinstance(items, Pair):
            found.append(self.expand(items.car, scope, getattr(items, "car_span", None)))
            items = items.cdr
        if items is not Nil:
            raise Malformed(items)
        return found

    def sequence(self, items: Any, scope: AnyScope, span: Span | None) -> Node:
        nodes = self.operands(items, scope, span)
        if not nodes:
            return Const(span, None)
        return nodes[0] if len(nodes) == 1 else Seq(span, nodes)

    # -- bodies and definitions ----------------------------------------------------------------

    def body(self, items: Any, outer: AnyScope, span: Span | None) -> Node:
        scope = Scope(outer)
        found: list[Definition] = []
        self._scan(items, scope, found)
        if not found or found[-1][0] is not None:
            raise Malformed("body")
        return self._made(found, scope, span)

    def _scan(self, items: Any, scope: Scope, found: list[Definition]) -> None:
        for item in items_of(items):
            form, meaning = self.head(item, scope)
            name = meaning.name if isinstance(meaning, Special) else ""
            if name == "begin":
                self._scan(form.cdr, scope, found)
            elif name in DEFINING:
                for target, make in self.definitions(name, form, scope):
                    if isinstance(target, tuple):
                        for each in [*target[0], *([target[1]] if target[1] else [])]:
                            scope.bind(each)
                    elif target is not None:
                        scope.bind(target)
                    found.append((target, make))
            else:
                found.append((None, lambda inner, form=form: self.expand(form, inner)))  # type: ignore[misc]

    def _made(self, found: list[Definition], scope: Scope, span: Span | None) -> Node:
        """Definitions, and expressions before the last of them, as a letrec*."""
        variables: list[Variable] = []
        inits: list[Node] = []
        for i, (target, make) in enumerate(found):
            if all(name is None for name, _ in found[i:]):
                nodes = [each(scope) for _, each in found[i:]]
                body = nodes[0] if len(nodes) == 1 else Seq(span, nodes)
                return Letrec(span, variables, inits, body) if variables else body
            if isinstance(target, tuple):
                required = [scope.names[name] for name in target[0]]
                rest = scope.names[target[1]] if target[1] else None
                producer = make(scope)
                inner = self._made(found[i + 1 :], scope, span)
                node = Receive(span, required, rest, producer, inner)
                return Letrec(span, variables, inits, node) if variables else node
            variables.append(Variable("_") if target is None else scope.names[target])
            inits.append(make(scope))
        raise Malformed("body")

    def definitions(self, name: str, form: Any, scope: AnyScope) -> list[Definition]:
        found: list[Definition] = getattr(self, "form_" + _python(name))(form, scope, _span(form))
        return found

    # -- procedures ----------------------------------------------------------------------------

    def procedure(self, params: Any, body: Any, scope: AnyScope, span: Span | None) -> Lambda:
        inner = Scope(scope)
        made = Lambda(span, [], Const(span, None))
        at = params
        while isinstance(at, Pair):
            if isinstance(at.car, Keyword):
                self._keyword(made, at, inner, span)
                at = at.cdr.cdr
                continue
            if isinstance(at.car, Pair):
                default = self._default(at.car, inner, span)
                made.optional.append((inner.bind(at.car.car), default))
            else:
                made.required.append(inner.bind(at.car))
            at = at.cdr
        if at is not Nil:
            made.rest = inner.bind(at)
        made.body = self.body(body, inner, span)
        return made

    def _keyword(self, made: Lambda, at: Any, inner: Scope, span: Span | None) -> None:
        name, item = at.car.name, at.cdr.car
        if name == "*":
            made.others = inner.bind(item)
        elif isinstance(item, Pair):
            default = self._default(item, inner, span)
            made.keys.append((name, inner.bind(item.car), default))
        else:
            missing = self.library("%missing-keyword", [Const(span, ""), Const(span, name)], span)
            made.keys.append((name, inner.bind(item), missing))

    def _default(self, item: Any, inner: Scope, span: Span | None) -> Node:
        if item.cdr is Nil:
            return Const(span, False)
        return self.expand(item.cdr.car, inner)


def _fits(function: Lambda, arguments: list[Node]) -> bool:
    others = function.optional or function.keys or function.rest or function.others
    return not others and len(function.required) == len(arguments)


def _home(name: Any, scope: AnyScope) -> Top:
    """The top level at which a name that is not bound is looked up."""
    while not isinstance(name, Symbol):
        name, scope = name.name, name.scope
    return top_of(scope)


def _defined(kind: str, form: Any) -> list[Any]:
    target = form.cdr.car
    if kind == "define":
        while isinstance(target, Pair):
            target = target.car
        return [target]
    if kind == "define-values":
        found = []
        while isinstance(target, Pair):
            found.append(target.car)
            target = target.cdr
        return found if target is Nil else [*found, target]
    parts = items_of(form.cdr)
    names = [p.car if isinstance(p, Pair) else p for p in parts[:3]]
    return names + [name for part in parts[3:] for name in items_of(part)[1:]]


def _python(name: str) -> str:
    spelled = {"set!": "set", "let*": "let_star", "let*-values": "let_values"}
    return spelled.get(name, name.replace("-", "_").replace("*", ""))


def _span(form: Any) -> Span | None:
    return getattr(form, "span", None)
