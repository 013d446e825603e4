"""A tiny evaluator that walks forms, for the compiler to be compared with.

Owns: `Reference`, and with it what steps are, said a second time, of surface forms.
Refuses: everything generated programs do not use. A form is a number, a boolean, a string (a name)
or a list; a pair is a tuple of two, the empty list a tuple of none.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from itertools import pairwise
from typing import Any

BUDGET = 3_000  # evaluations spent on a program before it is given up


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
    """name: what its own body calls it, if that is the name it is being bound to."""

    def __init__(self, params: list[str], body: list[Any], scope: Scope, name: str = "") -> None:
        self.params, self.body, self.scope = params, body, scope
        self.has_step = any(calls(form, scope) for form in body)
        self.turns = calls_in_body(body, name, set(params)) == {True}


def numbers(*values: Any) -> None:
    if any(type(value) not in (int, float) for value in values):
        raise Failure("E301")


def arithmetic(f: Callable[[int, int], Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        numbers(*values)
        result = values[0]
        for value in values[1:]:
            result = f(result, value)
        return result

    return apply


def comparison(f: Callable[[int, int], bool]) -> Callable[..., bool]:
    def apply(*values: Any) -> bool:
        numbers(*values)
        return all(f(a, b) for a, b in pairwise(values))

    return apply


def modulo(a: Any, b: Any) -> Any:
    numbers(a, b)
    if any(value != int(value) for value in (a, b)):
        raise Failure("E301")
    if b == 0:
        raise Failure("E305")
    return a % b


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
    "eqv?": lambda a, b: a is b or (type(a) is type(b) and type(a) in (int, float) and a == b),
    "vector": lambda *items: list(items),
}


def calls(form: Any, scope: Scope | None) -> bool:
    """Whether a form's own code, not that of procedures it makes, calls more than primitives."""
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
            bodies = (part for clause in rest[1:] for part in clause[1:])
            return any(calls(part, scope) for part in [rest[0], *bodies])
        case "receive":
            return any(calls(part, scope) for part in rest[1:])
        case "values" | "if" | "begin" | "set!" | "and" | "or" | "when" | "unless":
            return any(calls(part, scope) for part in rest)
    return head not in PRIMITIVES or any(calls(part, scope) for part in rest)


def calls_in_body(forms: list[Any], name: str, bound: set[str]) -> set[bool]:
    """Whether the calls of `name` by a body, procedures made in it aside, are tail calls."""
    bound = bound | set(defined_names(forms))
    if name in bound:
        return set()
    found = {tail for form in forms[:-1] for tail in calls_of(form, name, False)}
    return found | calls_of(forms[-1], name, True)


def calls_of(form: Any, name: str, tail: bool) -> set[bool]:
    """The same for a form, at `tail`."""
    if not isinstance(form, list) or not form:
        return set()

    def inside(parts: list[Any]) -> set[bool]:
        return {found for part in parts for found in calls_of(part, name, False)}

    def body(forms: list[Any], bound: list[str]) -> set[bool]:
        found = calls_in_body(forms, name, set(bound))
        return found if tail else {False} if found else set()

    head, rest = form[0], form[1:]
    if not isinstance(head, str):
        if head[:1] == ["lambda"]:
            return inside(rest) | body(head[2:], head[1])
        return inside(form)
    match head:
        case "lambda" | "quote" | "guard":
            return set()
        case "let" if isinstance(rest[0], str):
            return inside([init for _, init in rest[1]])
        case "do":
            return inside([spec[1] for spec in rest[0]])
        case "let":
            return inside([init for _, init in rest[0]]) | body(rest[1:], [n for n, _ in rest[0]])
        case "let*":
            if not rest[0]:
                return body(rest[1:], [])
            (first, init), *more = rest[0]
            inner = body([["let*", more, *rest[1:]]], [first])
            return calls_of(init, name, False) | inner
        case "letrec":
            if name in (names := [n for n, _ in rest[0]]):
                return set()
            return inside([init for _, init in rest[0]]) | body(rest[1:], names)
        case "define":
            return set() if isinstance(rest[0], list) else calls_of(rest[1], name, False)
        case "receive":
            return inside(rest[1:2]) | body(rest[2:], rest[0])
        case "cond":
            found = inside([part for part, *_ in rest if part != "else"])
            for _, *then in rest:
                if then[:1] == ["=>"]:
                    found |= inside(then[1:]) | ({tail} if then[1] == name else set())
                elif then:
                    found |= body(then, [])
            return found
        case "case":
            found = inside(rest[:1])
            return found.union(*(body(then, []) for _, *then in rest[1:]))
        case "if":
            return inside(rest[:1]).union(*(calls_of(part, name, tail) for part in rest[1:]))
        case "begin" | "and" | "or" | "when" | "unless":
            return inside(rest[:-1]) | calls_of(rest[-1], name, tail)
    return inside(rest) | ({tail} if head == name else set())


def defined_names(forms: list[Any]) -> list[str]:
    return [
        form[1][0] if isinstance(form[1], list) else form[1]
        for form in forms
        if isinstance(form, list) and form[:1] == ["define"]
    ]


class Reference:
    """Evaluates forms; counts steps and keeps what `note` was given.

    A procedure that calls more than primitives takes one step: at once if it turns, else where it
    comes to the first part that calls; `lead` and its kin evaluate what may come before.
    """

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
        scope = Scope(dict(zip(f.params, arguments, strict=True)), f.scope)
        if f.has_step and not f.turns:
            return self.lead_body(f.body, scope)
        self.steps += f.has_step
        return self.body(f.body, scope)

    # -- what a procedure does before its step -------------------------------------------------

    def lead_body(self, forms: list[Any], scope: Scope) -> Any:
        """A body in which the step is still to be taken, if it comes to a call."""
        if defined_names(forms):
            self.steps += any(calls(form, scope) for form in forms)
            return self.body(forms, scope)
        for at, form in enumerate(forms[:-1]):
            if calls(form, scope):
                self.steps += 1
                return self.body(forms[at:], scope)
            self.eval(form, scope)
        return self.lead(forms[-1], scope)

    def lead(self, form: Any, scope: Scope) -> Any:
        """`eval` of a last part, with the step still to be taken."""
        if not calls(form, scope):
            return self.eval(form, scope)
        head, *arguments = form
        if isinstance(head, str):
            lead = getattr(self, f"_lead_{SPELLED.get(head, head)}", None)
            if lead is not None and scope.holder(head) is None:
                return lead(form, scope)
        elif head[:1] == ["lambda"]:  # a let
            bindings = [list(pair) for pair in zip(head[1], arguments, strict=True)]
            return self.lead(["let", bindings, *head[2:]], scope)
        return self.step_and_eval(form, scope)

    def step_and_eval(self, form: Any, scope: Scope) -> Any:
        self.steps += 1
        return self.eval(form, scope)

    def _lead_begin(self, form: Any, scope: Scope) -> Any:
        return self.lead_body(form[1:], scope)

    def _lead_if(self, form: Any, scope: Scope) -> Any:
        if calls(form[1], scope):
            return self.step_and_eval(form, scope)
        if self.eval(form[1], scope) is not False:
            return self.lead(form[2], scope)
        return self.lead(form[3], scope) if len(form) > 3 else None

    def _lead_when(self, form: Any, scope: Scope) -> Any:
        return self._lead_if(["if", form[1], ["begin", *form[2:]]], scope)

    def _lead_unless(self, form: Any, scope: Scope) -> Any:
        return self._lead_if(["if", ["not", form[1]], ["begin", *form[2:]]], scope)

    def _lead_let(self, form: Any, scope: Scope) -> Any:
        if isinstance(form[1], str) or any(calls(init, scope) for _, init in form[1]):
            return self.step_and_eval(form, scope)
        names = {name: self.eval(init, scope) for name, init in form[1]}
        return self.lead_body(form[2:], Scope(names, scope))

    def _lead_let_star(self, form: Any, scope: Scope) -> Any:
        for at, (name, init) in enumerate(form[1]):
            if calls(init, scope):
                return self.step_and_eval(["let*", form[1][at:], *form[2:]], scope)
            scope = Scope({name: self.eval(init, scope)}, scope)
        return self.lead_body(form[2:], scope)

    def _lead_receive(self, form: Any, scope: Scope) -> Any:
        if calls(form[2], scope):
            return self.step_and_eval(form, scope)
        return self._receive(form, scope, self.lead_body)

    def _lead_and(self, form: Any, scope: Scope) -> Any:
        for at, part in enumerate(form[1:-1], 1):
            if calls(part, scope):
                return self.step_and_eval(["and", *form[at:]], scope)
            if self.eval(part, scope) is False:
                return False
        return self.lead(form[-1], scope)

    def _lead_or(self, form: Any, scope: Scope) -> Any:
        for at, part in enumerate(form[1:-1], 1):
            if calls(part, scope):
                return self.step_and_eval(["or", *form[at:]], scope)
            value = self.eval(part, scope)
            if value is not False:
                return value
        return self.lead(form[-1], scope)

    def _lead_cond(self, form: Any, scope: Scope) -> Any:
        for at, (test, *then) in enumerate(form[1:], 1):
            if test != "else" and calls(test, scope):
                return self.step_and_eval(["cond", *form[at:]], scope)
            value = True if test == "else" else self.eval(test, scope)
            if value is False:
                continue
            if not then:
                return value
            if then[0] == "=>":
                self.steps += 1
                return self.apply(self.eval(then[1], scope), [value])
            return self.lead_body(then, scope)
        return None

    def _lead_case(self, form: Any, scope: Scope) -> Any:
        if calls(form[1], scope):
            return self.step_and_eval(form, scope)
        return self._case(form, scope, self.lead_body)

    # -- evaluation ----------------------------------------------------------------------------

    def body(self, forms: list[Any], scope: Scope) -> Any:
        if defined_names(forms):
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
            if name not in PRIMITIVES:
                raise Failure("E201")
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
        if holder is None:
            raise Failure("E201")
        holder.names[form[1]] = value

    def _define(self, form: Any, scope: Scope) -> Any:
        if isinstance(form[1], list):
            scope.names[form[1][0]] = Closure(form[1][1:], form[2:], scope, form[1][0])
        else:
            scope.names[form[1]] = self.bound(form[1], form[2], scope)

    def bound(self, name: str, form: Any, scope: Scope) -> Any:
        """What `name` is bound to, where its value can name it."""
        if isinstance(form, list) and form[:1] == ["lambda"]:
            return Closure(form[1], form[2:], scope, name)
        return self.eval(form, scope)

    def _lambda(self, form: Any, scope: Scope) -> Any:
        return Closure(form[1], form[2:], scope)

    def _let(self, form: Any, scope: Scope) -> Any:
        if isinstance(form[1], str):
            values = [self.eval(init, scope) for _, init in form[2]]
            inner = Scope({}, scope)
            loop = Closure([name for name, _ in form[2]], form[3:], inner, form[1])
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
            inner.names[name] = self.bound(name, init, inner)
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

    def _case(self, form: Any, scope: Scope, body: Any = None) -> Any:
        key = self.eval(form[1], scope)
        for clause in form[2:]:
            if clause[0] == "else" or any(PRIMITIVES["eqv?"](key, datum) for datum in clause[0]):
                return (body or self.body)(clause[1:], scope)
        return None

    def _receive(self, form: Any, scope: Scope, body: Any = None) -> Any:
        values = [self.eval(part, scope) for part in form[2][1:]]
        if len(values) != len(form[1]):
            raise Failure("E302")
        inner = Scope(dict(zip(form[1], values, strict=True)), scope)
        return (body or self.body)(form[3:], inner)

    def _guard(self, form: Any, scope: Scope) -> Any:
        """(guard (name (test body) ...) body): thunks for the body and for what a clause does."""
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
        stepped = False
        for test, then in clauses:
            if test != "else" and calls(test, inner) and not stepped:
                stepped = True
                self.steps += 1
            if test == "else" or self.eval(test, inner) is not False:
                return self.apply(Closure([], [then], inner), [])
        raise failure


SPELLED = {"set!": "set", "let*": "let_star"}
