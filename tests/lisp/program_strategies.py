"""Generated programs of the core language, for laws about the compiler.

Owns: `programs`, a strategy. A form is a number, a boolean, a string (a name) or a list; `text`
writes it down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

NAMES = ["x", "y", "z", "_x", "_1", "_k", "a-b", "class"]


class Programs:
    """Makes forms from draws. `scope`: the variables in sight; procedures with their arity."""

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
            return [False, True, ["quote", []], 0.5, 2.0][self.pick(5)]
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
        operator = ["+", "*", "vector", "<", "-"][self.pick(5)]
        return [operator, *self.some(scope, depth, 2, 4)]

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
        return ["if", self._any_test(scope, depth), *self.some(scope, depth, 2, 2)]

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
        if name != "k" and self.pick(20) == 0:
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
        """A named let. outer: the loops its tails may continue, as (name, counter, others)."""
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
        value = self.pick(5) if name in scope else self.expr(scope, depth)
        defines = [["define", name, value], ["define", ["f", param], body]]
        return ["let", [], *defines, *self.some(inner, depth, 1, 2)]

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
        _atom, _arithmetic, _arithmetic, _wide, _test, _not, _pair, _note, _note, _if, _if, _begin,
        _set, _set, _let, _let, _let_star, _logic, _cond, _case, _lambda, _lambda, _applied, _call,
        _call, _closures, _do,
        _loop, _loop, _loop, _letrec, _defines, _call_cc, _guard, _wind, _receive,
    ]  # fmt: skip

    def program(self) -> list[Any]:
        """Global procedures that call each other while their first argument lasts, and their use;
        perhaps one is replaced, and they are used again.
        """
        count = self.pick(4)
        scope = {f"p{i}": 2 for i in range(count)}
        forms: list[Any] = [["define", "total", self.pick(5)]] if self.pick(2) else []
        if forms:
            scope["total"] = -1
        helpers = {f"h{i}": 2 for i in range(self.pick(3))}
        for i in range(len(helpers)):
            form = self.helper(i, scope)
            forms.insert(self.pick(len(forms) + 1), form)
        scope.update(helpers)
        order = list(range(count))
        again = count and self.pick(3) == 0
        if again:
            order.append(self.pick(count))
        for at, i in enumerate(order):
            if again and at == count:
                forms.append(self.expr({**scope, "note": 1}, 3))
            name = self.name()
            inner = {k: v for k, v in scope.items() if v < 0 or k in helpers}
            inner.update({"n": -1, name: -1, "note": 1})
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
            if again and at == count and self.pick(2):
                forms.append(["set!", f"p{i}", ["lambda", ["n", name], body]])
            else:
                forms.append(["define", [f"p{i}", "n", name], body])
        if helpers and self.pick(4) == 0:
            again_helper = self.helper(self.pick(len(helpers)), scope)
            if self.pick(2):
                (_, (name, *params), body) = again_helper
                again_helper = ["set!", name, ["lambda", params, body]]
            forms += [self.expr(scope, 3), again_helper]
        elif helpers and self.pick(3) == 0:  # used before it is there
            forms.append(forms.pop(0))
        scope["note"] = 1
        return [*forms, self.expr(scope, 5)]

    def helper(self, i: int, scope: dict[str, int]) -> Any:
        """A small procedure, which may call the helpers before it."""
        first, second = self.name(), self.name()
        if first == second:
            second = "w"
        inner = {k: v for k, v in scope.items() if v < 0}
        inner.update({f"h{j}": 2 for j in range(i)})
        inner.update({first: -1, second: -1})
        if self.pick(3) == 0:
            inner["note"] = 1
        return ["define", [f"h{i}", first, second], self.expr(inner, 1 + self.pick(2))]


@st.composite
def programs(draw: Callable[..., Any]) -> list[Any]:
    return Programs(draw).program()


def text(form: Any) -> str:
    if isinstance(form, bool):
        return "#t" if form else "#f"
    if isinstance(form, list):
        if form[:1] == ["quote"]:
            return "'()"
        return "(" + " ".join(text(part) for part in form) + ")"
    return str(form)
