"""The compiler against a tiny direct evaluator: generated programs give equal values, effects and steps.

Owns: `Reference`, which walks forms and knows nothing of compiling; `Programs`, which makes them; and
the law that both agree on the value (or the code of the error), on everything noted in order, and on
the number of steps as omega/lisp/core.py defines them.

A form here is a number, a boolean, a string (a name) or a list; `text` writes it down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from omega.errors import OmegaError
from omega.interpreter import Interpreter
from omega.lisp.data import Nil, Pair, Symbol

BUDGET = 3_000  # evaluations the reference spends on a program before it is given up
EXAMPLES = 300

# -- the reference evaluator -----------------------------------------------------------------------


class Failure(Exception):
    """An error, by its code."""


class Raise(Exception):
    """`(raise value)`."""


class Escape(Exception):
    """A continuation was called."""


class TooLong(Exception):
    """The program does not end soon enough to be of use."""


class Scope:
    def __init__(self, names: dict[str, Any], outer: Scope | None) -> None:
        self.names, self.outer = names, outer

    def holder(self, name: str) -> Scope | None:
        at: Scope | None = self
        while at is not None and name not in at.names:
            at = at.outer
        return at


class Closure:
    def __init__(self, params: list[str], body: list[Any], scope: Scope) -> None:
        self.params, self.body, self.scope = params, body, scope
        self.has_step = any(calls(form, scope) for form in body)


def integers(*values: Any) -> None:
    if any(type(value) is not int for value in values):
        raise Failure("E301")


def arithmetic(f: Callable[[int, int], Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        integers(*values)
        result = values[0]
        for value in values[1:]:
            result = f(result, value)
        return result

    return apply


def comparison(f: Callable[[int, int], bool]) -> Callable[..., bool]:
    def apply(*values: Any) -> bool:
        integers(*values)
        return all(f(a, b) for a, b in zip(values, values[1:], strict=False))

    return apply


def modulo(a: Any, b: Any) -> int:
    integers(a, b)
    if b == 0:
        raise Failure("E305")
    return int(a % b)


def half_of_pair(i: int) -> Callable[[Any], Any]:
    def apply(pair: Any) -> Any:
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise Failure("E301")
        return pair[i]

    return apply


PRIMITIVES: dict[str, Callable[..., Any]] = {
    "+": arithmetic(lambda a, b: a + b),
    "-": arithmetic(lambda a, b: a - b),
    "*": arithmetic(lambda a, b: a * b),
    "<": comparison(lambda a, b: a < b),
    "=": comparison(lambda a, b: a == b),
    ">=": comparison(lambda a, b: a >= b),
    "modulo": modulo,
    "not": lambda a: a is False,
    "cons": lambda a, b: (a, b),
    "car": half_of_pair(0),
    "cdr": half_of_pair(1),
    "pair?": lambda a: isinstance(a, tuple) and len(a) == 2,
    "eqv?": lambda a, b: a is b or (type(a) is type(b) is int and a == b),
    "vector": lambda *items: list(items),
}

SPECIAL = frozenset(
    "if begin set! let let* letrec lambda define cond case and or when unless do guard".split()
)


def calls(form: Any, scope: Scope | None) -> bool:
    """Whether a form's own code (not that of procedures it makes) calls anything but a primitive."""
    if not isinstance(form, list) or not form:
        return False
    head, rest = form[0], form[1:]
    if not isinstance(head, str):
        if isinstance(head, list) and head[:1] == ["lambda"]:
            return any(calls(part, scope) for part in [*rest, *head[2:]])
        return True
    match head:
        case "lambda" | "quote":
            return False
        case "let" if isinstance(rest[0], str):
            return True
        case "do" | "guard":
            return True
        case "let" | "let*" | "letrec":
            return any(calls(part, scope) for part in [*(b[1] for b in rest[0]), *rest[1:]])
        case "define":
            return not isinstance(rest[0], list) and calls(rest[1], scope)
        case "cond":
            arrows = any(len(clause) == 3 and clause[1] == "=>" for clause in rest)
            return arrows or any(calls(part, scope) for clause in rest for part in clause)
        case "case":
            return any(
                calls(part, scope) for part in [rest[0], *(p for c in rest[1:] for p in c[1:])]
            )
        case "receive":
            return any(calls(part, scope) for part in rest[1:])
        case "values" | "if" | "begin" | "set!" | "and" | "or" | "when" | "unless":
            return any(calls(part, scope) for part in rest)
    return head not in PRIMITIVES or any(calls(part, scope) for part in rest)


class Reference:
    """Evaluates forms; counts steps and keeps what `note` was given."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.steps = 0
        self.left = BUDGET
        self.globals = Scope(
            {"note": self.note, "call/cc": self.call_cc, "raise": self.raise_}, None
        )
        self.globals.names["dynamic-wind"] = self.dynamic_wind

    def note(self, value: Any) -> Any:
        self.log.append(value)
        return value

    def raise_(self, value: Any) -> Any:
        raise Raise(value)

    def call_cc(self, f: Any) -> Any:
        tag = object()

        def k(value: Any) -> Any:
            raise Escape(tag, value)

        try:
            return self.apply(f, [k])
        except Escape as escape:
            if escape.args[0] is not tag:
                raise
            return escape.args[1]

    def dynamic_wind(self, before: Any, thunk: Any, after: Any) -> Any:
        self.apply(before, [])
        try:
            value = self.apply(thunk, [])
        except (Failure, Raise, Escape):
            self.apply(after, [])
            raise
        self.apply(after, [])
        return value

    def program(self, forms: list[Any]) -> Any:
        value = None
        for form in forms:
            value = self.eval(form, self.globals)
        return value

    def apply(self, f: Any, arguments: list[Any]) -> Any:
        if not isinstance(f, Closure):
            if not callable(f):
                raise Failure("E301")
            try:
                signature(f).bind(*arguments)
            except TypeError:
                raise Failure("E302") from None
            return f(*arguments)
        if len(f.params) != len(arguments):
            raise Failure("E302")
        if f.has_step:
            self.steps += 1
        scope = Scope(dict(zip(f.params, arguments, strict=True)), f.scope)
        return self.body(f.body, scope)

    def body(self, forms: list[Any], scope: Scope) -> Any:
        defined = [form[1][0] if isinstance(form[1], list) else form[1] for form in forms
                   if isinstance(form, list) and form[:1] == ["define"]]  # fmt: skip
        if defined:
            scope = Scope({}, scope)
        for form in forms[:-1]:
            self.eval(form, scope)
        return self.eval(forms[-1], scope)

    def eval(self, form: Any, scope: Scope) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TooLong
        if isinstance(form, str):
            return self.lookup(form, scope)
        if not isinstance(form, list):
            return form
        head = form[0]
        if isinstance(head, str):
            special = getattr(self, f"_{SPELLED.get(head, head)}", None)
            if special is not None and scope.holder(head) is None and head not in PRIMITIVES:
                return special(form, scope)
            if head in PRIMITIVES:
                return PRIMITIVES[head](*[self.eval(part, scope) for part in form[1:]])
        f, *arguments = [self.eval(part, scope) for part in form]
        if isinstance(head, list) and head[0] == "lambda":  # a let
            assert isinstance(f, Closure)
            return self.body(f.body, Scope(dict(zip(f.params, arguments, strict=True)), f.scope))
        return self.apply(f, arguments)

    def lookup(self, name: str, scope: Scope) -> Any:
        holder = scope.holder(name)
        if holder is None:
            return PRIMITIVES[name]
        return holder.names[name]

    # -- special forms -------------------------------------------------------------------------

    def _quote(self, form: Any, scope: Scope) -> Any:
        return ()

    def _if(self, form: Any, scope: Scope) -> Any:
        if self.eval(form[1], scope) is not False:
            return self.eval(form[2], scope)
        return self.eval(form[3], scope) if len(form) > 3 else None

    def _begin(self, form: Any, scope: Scope) -> Any:
        value = None
        for part in form[1:]:
            value = self.eval(part, scope)
        return value

    def _when(self, form: Any, scope: Scope) -> Any:
        return self._begin(form[1:], scope) if self.eval(form[1], scope) is not False else None

    def _unless(self, form: Any, scope: Scope) -> Any:
        return self._begin(form[1:], scope) if self.eval(form[1], scope) is False else None

    def _set(self, form: Any, scope: Scope) -> Any:
        value = self.eval(form[2], scope)
        holder = scope.holder(form[1])
        assert holder is not None
        holder.names[form[1]] = value

    def _define(self, form: Any, scope: Scope) -> Any:
        if isinstance(form[1], list):
            scope.names[form[1][0]] = Closure(form[1][1:], form[2:], scope)
        else:
            scope.names[form[1]] = self.eval(form[2], scope)

    def _lambda(self, form: Any, scope: Scope) -> Any:
        return Closure(form[1], form[2:], scope)

    def _let(self, form: Any, scope: Scope) -> Any:
        if isinstance(form[1], str):
            values = [self.eval(init, scope) for _, init in form[2]]
            inner = Scope({}, scope)
            loop = Closure([name for name, _ in form[2]], form[3:], inner)
            inner.names[form[1]] = loop
            return self.apply(loop, values)
        names = {name: self.eval(init, scope) for name, init in form[1]}
        return self.body(form[2:], Scope(names, scope))

    def _let_star(self, form: Any, scope: Scope) -> Any:
        for name, init in form[1]:
            scope = Scope({name: self.eval(init, scope)}, scope)
        return self.body(form[2:], scope)

    def _letrec(self, form: Any, scope: Scope) -> Any:
        inner = Scope({}, scope)
        for name, init in form[1]:
            inner.names[name] = self.eval(init, inner)
        return self.body(form[2:], inner)

    def _do(self, form: Any, scope: Scope) -> Any:
        names = [b[0] for b in form[1]]
        values = [self.eval(b[1], scope) for b in form[1]]
        while True:
            self.steps += 1
            inner = Scope(dict(zip(names, values, strict=True)), scope)
            if self.eval(form[2][0], inner) is not False:
                return self._begin(form[2], inner) if len(form[2]) > 1 else None
            for part in form[3:]:
                self.eval(part, inner)
            values = [self.eval(b[2] if len(b) > 2 else b[0], inner) for b in form[1]]

    def _and(self, form: Any, scope: Scope) -> Any:
        value: Any = True
        for part in form[1:]:
            value = self.eval(part, scope)
            if value is False:
                return False
        return value

    def _or(self, form: Any, scope: Scope) -> Any:
        for part in form[1:]:
            value = self.eval(part, scope)
            if value is not False:
                return value
        return False

    def _cond(self, form: Any, scope: Scope) -> Any:
        for clause in form[1:]:
            value = True if clause[0] == "else" else self.eval(clause[0], scope)
            if value is False:
                continue
            if len(clause) == 1:
                return value
            if clause[1] == "=>":
                return self.apply(self.eval(clause[2], scope), [value])
            return self._begin(clause, scope) if clause[0] == "else" else self._rest(clause, scope)
        return None

    def _rest(self, clause: Any, scope: Scope) -> Any:
        return self._begin(["begin", *clause[1:]], scope)

    def _case(self, form: Any, scope: Scope) -> Any:
        key = self.eval(form[1], scope)
        for clause in form[2:]:
            if clause[0] == "else" or any(PRIMITIVES["eqv?"](key, datum) for datum in clause[0]):
                return self._rest(clause, scope)
        return None

    def _receive(self, form: Any, scope: Scope) -> Any:
        values = [self.eval(part, scope) for part in form[2][1:]]
        if len(values) != len(form[1]):
            raise Failure("E302")
        return self.body(form[3:], Scope(dict(zip(form[1], values, strict=True)), scope))

    def _guard(self, form: Any, scope: Scope) -> Any:
        """(guard (name (test body) ...) body): thunks for the body, for the clauses, and for what a clause does."""
        try:
            return self.apply(Closure([], form[2:], scope), [])
        except Raise as raised:
            condition = raised.args[0]
            failure: Exception = raised
        except Failure as raised_error:
            condition = "error"
            failure = raised_error
        name, *clauses = form[1]
        inner = Scope({name: condition}, scope)
        # The selector is one procedure; its own calls are those of the tests.
        self.steps += any(calls(test, inner) for test, _ in clauses if test != "else")
        for test, then in clauses:
            if test == "else" or self.eval(test, inner) is not False:
                return self.apply(Closure([], [then], inner), [])
        raise failure


SPELLED = {"set!": "set", "let*": "let_star"}

# -- generated programs ----------------------------------------------------------------------------

NAMES = ["x", "y", "z", "_x", "_1", "_k", "a-b", "class"]


class Programs:
    """Makes forms from draws. `scope` lists the variables in sight; procedures carry their arity."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        self.size = 60  # forms still allowed

    def pick(self, n: int) -> int:
        value: int = self.draw(st.integers(0, n - 1))
        return value

    def name(self) -> str:
        return NAMES[self.pick(len(NAMES))]

    def atom(self, scope: dict[str, int]) -> Any:
        plain = [name for name, arity in scope.items() if arity < 0]
        if plain and self.pick(4):
            return plain[self.pick(len(plain))]
        if self.pick(12) == 0:
            return [False, True, ["quote", []]][self.pick(3)]
        return self.pick(6) - 1

    def expr(self, scope: dict[str, int], depth: int) -> Any:
        self.size -= 1
        if depth <= 0 or self.size <= 0:
            return self.atom(scope)
        make = self.EXPRESSIONS[self.pick(len(self.EXPRESSIONS))]
        return make(self, scope, depth - 1)

    def some(self, scope: dict[str, int], depth: int, least: int = 1, most: int = 3) -> list[Any]:
        return [self.expr(scope, depth) for _ in range(least + self.pick(most - least + 1))]

    def _atom(self, scope: dict[str, int], depth: int) -> Any:
        return self.atom(scope)

    def _arithmetic(self, scope: dict[str, int], depth: int) -> Any:
        operator = ["+", "-", "*", "modulo", "+", "-"][self.pick(6)]
        return [operator, self.expr(scope, depth), self.expr(scope, depth)]

    def _wide(self, scope: dict[str, int], depth: int) -> Any:
        return [["+", "*", "vector", "<", "-"][self.pick(5)], *self.some(scope, depth, 2, 4)]

    def _test(self, scope: dict[str, int], depth: int) -> Any:
        operator = ["<", "=", ">=", "eqv?"][self.pick(4)]
        return [operator, self.expr(scope, depth), self.expr(scope, depth)]

    def _not(self, scope: dict[str, int], depth: int) -> Any:
        return ["not", self.expr(scope, depth)]

    def _pair(self, scope: dict[str, int], depth: int) -> Any:
        pair = ["cons", self.expr(scope, depth), self.expr(scope, depth)]
        return [pair, ["car", pair], ["cdr", pair], ["pair?", self.expr(scope, depth)]][
            self.pick(4)
        ]

    def _note(self, scope: dict[str, int], depth: int) -> Any:
        return ["note", self.expr(scope, depth)]

    def _if(self, scope: dict[str, int], depth: int) -> Any:
        form = ["if", self._any_test(scope, depth), *self.some(scope, depth, 2, 2)]
        return form

    def _any_test(self, scope: dict[str, int], depth: int) -> Any:
        return self._test(scope, depth) if self.pick(2) else self.expr(scope, depth)

    def _begin(self, scope: dict[str, int], depth: int) -> Any:
        return ["begin", *self.some(scope, depth)]

    def _set(self, scope: dict[str, int], depth: int) -> Any:
        plain = [name for name, arity in scope.items() if arity < 0]
        if not plain:
            return self.atom(scope)
        name = plain[self.pick(len(plain))]
        return ["begin", ["set!", name, self.expr(scope, depth)], self.expr(scope, depth)]

    def _let(self, scope: dict[str, int], depth: int) -> Any:
        names = list(dict.fromkeys(self.name() for _ in range(1 + self.pick(3))))
        inner = {**scope, **dict.fromkeys(names, -1)}
        bindings = [[name, self.expr(scope, depth)] for name in names]
        return ["let", bindings, *self.some(inner, depth, 1, 2)]

    def _let_star(self, scope: dict[str, int], depth: int) -> Any:
        bindings = []
        for _ in range(1 + self.pick(2)):
            name = self.name()
            bindings.append([name, self.expr(scope, depth)])
            scope = {**scope, name: -1}
        return ["let*", bindings, self.expr(scope, depth)]

    def _logic(self, scope: dict[str, int], depth: int) -> Any:
        return [["and", "or", "when", "unless"][self.pick(4)], *self.some(scope, depth, 2, 3)]

    def _cond(self, scope: dict[str, int], depth: int) -> Any:
        clauses: list[Any] = [
            [self._any_test(scope, depth), *self.some(scope, depth, 0, 2)]
            for _ in range(1 + self.pick(2))
        ]
        if self.pick(4) == 0:
            name = self.name()
            receiver = ["lambda", [name], self.expr({**scope, name: -1}, depth)]
            clauses.append([self.expr(scope, depth), "=>", receiver])
        if self.pick(2):
            clauses.append(["else", *self.some(scope, depth, 1, 2)])
        return ["cond", *clauses]

    def _case(self, scope: dict[str, int], depth: int) -> Any:
        clauses = [
            [[self.pick(3), 3 + i], self.expr(scope, depth)] for i in range(1 + self.pick(2))
        ]
        return ["case", self.expr(scope, depth), *clauses, ["else", self.expr(scope, depth)]]

    def _lambda(self, scope: dict[str, int], depth: int) -> Any:
        """A procedure, bound and called."""
        params = list(dict.fromkeys(self.name() for _ in range(self.pick(3))))
        body = self.some({**scope, **dict.fromkeys(params, -1)}, depth, 1, 2)
        name = ["f", "g", "h"][self.pick(3)]
        inner = {**scope, name: len(params)}
        return ["let", [[name, ["lambda", params, *body]]], *self.some(inner, depth, 1, 2)]

    def _applied(self, scope: dict[str, int], depth: int) -> Any:
        name = self.name()
        return [["lambda", [name], self.expr({**scope, name: -1}, depth)], self.expr(scope, depth)]

    def _call(self, scope: dict[str, int], depth: int) -> Any:
        known = [(name, arity) for name, arity in scope.items() if arity >= 0]
        if not known:
            return self._note(scope, depth)
        name, arity = known[self.pick(len(known))]
        if self.pick(20) == 0:
            arity = self.pick(3)
        return [name, *(self.expr(scope, depth) for _ in range(arity))]

    def _closures(self, scope: dict[str, int], depth: int) -> Any:
        """Closures made in a loop, all called behind it."""
        i, n = self.name(), 1 + self.pick(3)
        inner = {**scope, i: -1}
        thunk = ["lambda", [], self.expr(inner, depth)]
        again = ["loop", ["+", i, 1], ["cons", thunk, "fs"]]
        if self.pick(2):
            again = ["begin", self.expr(inner, depth), again]
        made = ["let", "loop", [[i, 0], ["fs", ["quote", []]]], ["if", [">=", i, n], "fs", again]]
        if self.pick(2):
            steps = [[i, 0, ["+", i, 1]], ["fs", ["quote", []], ["cons", thunk, "fs"]]]
            made = ["do", steps, [[">=", i, n], "fs"], *self.some(inner, depth, 0, 1)]
        walk = ["if", ["pair?", "at"], ["cons", [["car", "at"]], ["walk", ["cdr", "at"]]], 0]
        return ["let", "walk", [["at", made]], walk]

    def _do(self, scope: dict[str, int], depth: int) -> Any:
        i, other = self.name(), self.name()
        inner = {**scope, i: -1, other: -1}
        specs: list[Any] = [[i, 0, ["+", i, 1]]]
        if other != i:
            spec = [other, self.expr(scope, depth)]
            specs.append(spec + ([self.expr(inner, depth)] if self.pick(2) else []))
        else:
            inner = {**scope, i: -1}
        result = self.some(inner, depth, 0, 1)
        return ["do", specs, [[">=", i, self.pick(4)], *result], *self.some(inner, depth, 0, 2)]

    def _loop(self, scope: dict[str, int], depth: int) -> Any:
        return self.loop(scope, depth, [])

    def loop(self, scope: dict[str, int], depth: int, outer: list[Any]) -> Any:
        """A named let. outer: the loops a tail position in it may continue, as (name, counter, others)."""
        label = ["loop", "again", "next"][self.pick(3)]
        i, other = self.name(), self.name()
        params = [i] if i == other else [i, other]
        inner = {**scope, **dict.fromkeys(params, -1)}
        inner.pop(label, None)
        me = (label, i, params[1:])
        seen = [o for o in outer if o[0] != label and o[0] not in params and o[1] not in params]
        inits: list[Any] = [[i, 0], *([p, self.expr(scope, depth)] for p in params[1:])]
        end = self.tail(inner, depth, seen) if seen else self.expr(inner, depth)
        body = ["if", [">=", i, self.pick(4)], end, self.tail(inner, depth, [*seen, me])]
        if self.pick(4) == 0:
            body = ["begin", self.expr(inner, depth), body]
        return ["let", label, inits, body]

    def tail(self, scope: dict[str, int], depth: int, loops: list[Any]) -> Any:
        """A form in tail position of loops, which it may continue."""
        self.size -= 1
        kind = self.pick(14) if depth > 0 and self.size > 0 else 0
        less = depth - 1
        match kind:
            case 5:
                return [
                    "if",
                    self._any_test(scope, less),
                    self.tail(scope, less, loops),
                    self.tail(scope, less, loops),
                ]
            case 6:
                return ["begin", self.expr(scope, less), self.tail(scope, less, loops)]
            case 7:
                name = self.name()
                inside = [o for o in loops if name not in (o[0], o[1])]
                body = self.tail({**scope, name: -1}, less, inside)
                return ["let", [[name, self.expr(scope, less)]], body]
            case 8:
                clause = [self.expr(scope, less), self.tail(scope, less, loops)]
                return ["cond", clause, ["else", self.tail(scope, less, loops)]]
            case 9:
                return [
                    ["and", "or", "when"][self.pick(3)],
                    self.expr(scope, less),
                    self.tail(scope, less, loops),
                ]
            case 10:
                return self.loop(scope, less, loops)
            case 11:
                return ["cons", self.expr(scope, less), self.tail(scope, less, loops)]
            case 12:
                thunk = ["lambda", [], self.tail(scope, less, loops)]
                return ["let", [["f", thunk]], ["begin", self.expr(scope, less), ["f"]]]
            case 13:
                return self.expr(scope, depth)
        if not loops:
            return self.expr(scope, depth)
        label, i, others = loops[self.pick(len(loops))]
        return [label, ["+", i, 1], *(self.expr(scope, less) for _ in others)]

    def _letrec(self, scope: dict[str, int], depth: int) -> Any:
        """Two procedures that call each other, downwards."""
        inner = {**scope, "ping": 1, "pong": 1}
        bindings = []
        for me, other in (("ping", "pong"), ("pong", "ping")):
            name = self.name()
            call: Any = [other, ["-", name, 1]]
            if self.pick(3) == 0:
                call = ["cons", self.expr({**scope, name: -1}, depth), call]
            body = ["if", ["<", name, 1], self.expr({**scope, name: -1}, depth), call]
            bindings.append([me, ["lambda", [name], body]])
        if self.pick(2):
            defines = [["define", [name, *f[1]], *f[2:]] for name, f in bindings]
            return ["let", [], *defines, self.expr(inner, depth)]
        return ["letrec", bindings, self.expr(inner, depth)]

    def _defines(self, scope: dict[str, int], depth: int) -> Any:
        name, param = self.name(), self.name()
        inner = {**scope, name: -1, "f": 1}
        body = self.expr({**inner, param: -1}, depth) if param != name else self.expr(inner, depth)
        return [
            "let", [], ["define", name, self.expr({**scope, **{}}, depth) if name not in scope else self.pick(5)],
            ["define", ["f", param], body], *self.some(inner, depth, 1, 2),
        ]  # fmt: skip

    def _call_cc(self, scope: dict[str, int], depth: int) -> Any:
        return ["call/cc", ["lambda", ["k"], *self.some({**scope, "k": 1}, depth, 1, 2)]]

    def _guard(self, scope: dict[str, int], depth: int) -> Any:
        clauses = [[self.expr(scope, depth), self.expr(scope, depth)] for _ in range(self.pick(2))]
        if self.pick(3):
            clauses.append(["else", self.expr(scope, depth)])
        if not clauses:
            clauses.append([True, self.expr(scope, depth)])
        body = self.some(scope, depth, 1, 2)
        if self.pick(2):
            body.insert(self.pick(len(body) + 1), ["raise", self.expr(scope, depth)])
        return ["guard", ["condition", *clauses], *body]

    def _wind(self, scope: dict[str, int], depth: int) -> Any:
        thunk = ["lambda", [], self.expr(scope, depth)]
        return ["dynamic-wind", ["lambda", [], ["note", 10]], thunk, ["lambda", [], ["note", 11]]]

    def _receive(self, scope: dict[str, int], depth: int) -> Any:
        names = list(dict.fromkeys([self.name(), self.name()]))
        producer = ["values", *(self.expr(scope, depth) for _ in names)]
        inner = {**scope, **dict.fromkeys(names, -1)}
        if len(names) == 1:
            return self.expr(scope, depth)
        return ["receive", names, producer, self.expr(inner, depth)]

    EXPRESSIONS: list[Callable[..., Any]] = [
        _atom, _arithmetic, _arithmetic, _wide, _test, _not, _pair, _note, _note, _if, _if, _begin, _set, _set,
        _let, _let, _let_star, _logic, _cond, _case, _lambda, _lambda, _applied, _call, _call, _closures, _do,
        _loop, _loop, _loop, _letrec, _defines, _call_cc, _guard, _wind, _receive,
    ]  # fmt: skip

    def program(self) -> list[Any]:
        """Global procedures that call each other while their first argument lasts, then an expression."""
        count = self.pick(4)
        scope = {f"p{i}": 2 for i in range(count)}
        forms: list[Any] = [["define", "total", self.pick(5)]] if self.pick(2) else []
        if forms:
            scope["total"] = -1
        for i in range(count):
            name = self.name()
            inner = {**{k: v for k, v in scope.items() if v < 0}, "n": -1, name: -1, "note": 1}
            callee = f"p{self.pick(count)}"
            call: Any = [callee, ["-", "n", 1], self.expr(inner, 2)]
            match self.pick(4):
                case 0:
                    call = ["cons", self.expr(inner, 2), call]
                case 1:
                    call = ["begin", self.expr(inner, 2), call]
                case 2:
                    call = ["let", [[self.name(), call]], self.expr(inner, 2)]
            body = ["if", ["<", "n", 1], self.expr(inner, 3), call]
            forms.append(["define", [f"p{i}", "n", name], body])
        scope["note"] = 1
        return [*forms, self.expr(scope, 5)]


@st.composite
def programs(draw: Callable[..., Any]) -> list[Any]:
    return Programs(draw).program()


# -- both, compared --------------------------------------------------------------------------------


def text(form: Any) -> str:
    if isinstance(form, bool):
        return "#t" if form else "#f"
    if isinstance(form, list):
        if form[:1] == ["quote"]:
            return "'()"
        return "(" + " ".join(text(part) for part in form) + ")"
    return str(form)


def shown(value: Any) -> Any:
    """A value of either evaluator as plain data."""
    if isinstance(value, Pair):
        return (shown(value.car), shown(value.cdr))
    if isinstance(value, tuple):
        return tuple(shown(part) for part in value)
    if isinstance(value, list):
        return [shown(part) for part in value]
    if value is Nil:
        return ()
    if isinstance(value, OmegaError):
        return "error"
    if isinstance(value, Closure) or callable(value):
        return "procedure"
    return value.name if isinstance(value, Symbol) else value


@contextmanager
def deep() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def expected(forms: list[Any]) -> tuple[Any, list[Any], int] | None:
    """(outcome, log, steps) by the reference; None for a program that does not end soon."""
    reference = Reference()
    with deep():
        try:
            outcome: Any = ("value", shown(reference.program(forms)))
        except Failure as failure:
            outcome = ("error", failure.args[0])
        except Raise as raised:
            value = shown(raised.args[0])
            outcome = ("error", "error") if value == "error" else ("raised", value)
        except Escape:
            outcome = ("error", "E307")
        except TooLong:
            return None
    return outcome, [shown(item) for item in reference.log], reference.steps


def actual(forms: list[Any], *, split: bool) -> tuple[Any, list[Any], int]:
    """The same by Omega; split: as many texts as there are forms."""
    log: list[Any] = []
    with Interpreter(virtual_time=True) as interpreter:

        def note(value: Any) -> Any:
            log.append(shown(value))
            return value

        interpreter._evaluator.define("note", note)
        interpreter._seam.to_host = lambda value: value
        before = interpreter.scheduler.stats().steps
        texts = [text(form) for form in forms]
        outcome: Any = None
        try:
            for part in texts if split else ["\n".join(texts)]:
                outcome = ("value", shown(interpreter.eval(part)))
        except OmegaError as error:
            if hasattr(error, "payload"):
                value = shown(error.payload)
                outcome = ("raised", value)
            else:
                outcome = ("error", error.code)
        return outcome, log, interpreter.scheduler.stats().steps - before


def check(forms: list[Any]) -> None:
    wanted = expected(forms)
    assume(wanted is not None)
    assert wanted is not None
    for split in (False, True):
        got = actual(forms, split=split)
        if wanted[0] == ("error", "error") and got[0][0] == "error":
            got = (wanted[0], *got[1:])
        assert got == wanted, "\n".join(text(form) for form in forms)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
@given(programs())
def test_compiled_program_equals_direct_evaluation(forms: list[Any]) -> None:
    check(forms)
