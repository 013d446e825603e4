"""Random programs that mostly do something: expressions are made for the type that is wanted.

Owns: `Generator`: programs of definitions, redefinitions and uses; control forms of every type.
Expressions of one type are in expressions.py, macros in macro_programs.py.
Refuses: endless programs: recursion goes down, loops are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.lisp.fuzz.expressions import Expressions, Scope
from tests.lisp.fuzz.forms import Form, parsed
from tests.lisp.fuzz.macro_programs import MACROS
from tests.lisp.fuzz.parameters import Shape

POINT = """(define-record-type point (make-point x y) point?
  (x point-x set-point-x!) (y point-y set-point-y!))"""


class Generator(Expressions):
    def __init__(self, seed: Any) -> None:
        super().__init__(Random(seed))
        self.fancies: dict[str, tuple[Shape, str]] = {}  # global procedures, what they give
        self.changes = False  # whether `change!` redefines something while the program runs

    # -- control, for every type ---------------------------------------------------------------

    def control(self, kind: str, scope: Scope, depth: int) -> Form:
        make: Callable[[str, Scope, int], Form] = self.choose(self.CONTROL)
        return make(self, kind, scope, depth)  # type: ignore[call-arg, arg-type]

    def _if(self, kind: str, scope: Scope, depth: int) -> Form:
        return ["if", self.test(scope, depth), *self.several(kind, scope, depth, 2)]

    def _cond(self, kind: str, scope: Scope, depth: int) -> Form:
        clauses: list[Form] = []
        for _ in range(1 + self.pick(2)):
            clauses.append([self.test(scope, depth), *self.sequence(kind, scope, depth)])
        if self.one_in(3):
            name = self.name()
            body = self.expr(kind, scope.having(name, "any"), depth)
            clauses.append([self.expr("any", scope, depth), "=>", ["lambda", [name], body]])
        elif self.one_in(4):
            clauses.append([self.expr(kind, scope, depth)])
        if not self.one_in(8):
            clauses.append(["else", *self.sequence(kind, scope, depth)])
        return ["cond", *clauses]

    def _case(self, kind: str, scope: Scope, depth: int) -> Form:
        key_kind = self.choose(("int", "int", "symbol", "char"))
        data = {
            "int": ("0", "1", "2", "3", "-1", "1.0"),
            "symbol": ("a", "b", "c"),
            "char": ("#\\a", "#\\b"),
        }[key_kind]
        clauses: list[Form] = [
            [[self.choose(data), self.choose(data)], self.expr(kind, scope, depth)]
            for _ in range(1 + self.pick(2))
        ]
        if self.one_in(4):
            name = self.name()
            body = self.expr(kind, scope.having(name, key_kind), depth)
            clauses.append(["else", "=>", ["lambda", [name], body]])
        else:
            clauses.append(["else", self.expr(kind, scope, depth)])
        return ["case", self.expr(key_kind, scope, depth), *clauses]

    def _logic(self, kind: str, scope: Scope, depth: int) -> Form:
        if self.one_in(2):
            return ["or", self.choose((["not", self.test(scope, depth)], "#f")),
                    *self.several(kind, scope, depth, 1 + self.pick(2))]  # fmt: skip
        return ["and", self.test(scope, depth), self.expr(kind, scope, depth)]

    def _when(self, kind: str, scope: Scope, depth: int) -> Form:
        word = self.choose(("when", "unless"))
        effect = [word, self.test(scope, depth), self.effect(scope, depth)]
        return ["begin", effect, self.expr(kind, scope, depth)]

    def _begin(self, kind: str, scope: Scope, depth: int) -> Form:
        return ["begin", self.effect(scope, depth), self.expr(kind, scope, depth)]

    def _let(self, kind: str, scope: Scope, depth: int) -> Form:
        names = self.names(1 + self.pick(3))
        word = self.choose(("let", "let", "let*"))
        inner, bindings = scope, []
        for name in names:
            of = self.kind()
            bindings.append([name, self.expr(of, inner if word == "let*" else scope, depth)])
            inner = inner.having(name, of)
        return [word, bindings, *self.sequence(kind, inner, depth)]

    def _set(self, kind: str, scope: Scope, depth: int) -> Form:
        name, of = self.name(), self.kind()
        inner = scope.having(name, of)
        assigned = ["set!", name, self.expr(of, inner, depth)]
        use = self.choose(
            (
                ["begin", assigned, self.expr(kind, inner, depth)],
                [["lambda", [], assigned, self.expr(kind, inner, depth)]],
                ["let", [["f", ["lambda", [], assigned]]],
                 ["f"], self.expr(kind, inner.having("f", ("procedure", (), "any")), depth)],
            )
        )  # fmt: skip
        return ["let", [[name, self.expr(of, scope, depth)]], use]

    def _assign(self, kind: str, scope: Scope, depth: int) -> Form:
        plain = [name for name, of in scope.kinds.items() if isinstance(of, str)]
        if not plain:
            return self._set(kind, scope, depth)
        name = self.choose(plain)
        value = self.expr(scope.kinds[name], scope, depth)
        return ["begin", ["set!", name, value], self.expr(kind, scope, depth)]

    def _procedure(self, kind: str, scope: Scope, depth: int) -> Form:
        """A local procedure, bound and used: by let, letrec, an internal define, or at once."""
        params, kinds = self.parameters()
        body = self.sequence(kind, scope.with_all(params, kinds), depth)
        name = self.choose(("f", "g", "h"))
        inner = scope.having(name, ("procedure", tuple(kinds), kind))
        use = self.sequence(kind, inner, depth)
        match self.pick(5):
            case 0:
                return [["lambda", params, *body], *(self.expr(k, scope, depth) for k in kinds)]
            case 1:
                return ["letrec", [[name, ["lambda", params, *body]]], *use]
            case 2:
                return ["let", [], ["define", [name, *params], *body], *use]
        return ["let", [[name, ["lambda", params, *body]]], *use]

    def _fancy(self, kind: str, scope: Scope, depth: int) -> Form:
        """Optional, rest and keyword parameters; case-lambda."""
        globals_ = [name for name, (_, of) in self.fancies.items() if of == kind]
        if globals_ and not self.one_in(3):
            name = self.choose(globals_)
            return self.fancies[name][0].call(self, name, scope, depth)
        if not self.one_in(4):
            shape = Shape(self)
            procedure = shape.procedure(self, kind, scope, depth)
            return ["let", [["f", procedure]], shape.call(self, "f", scope, depth)]
        first, second = self.names(2)
        of = self.kind()
        inner = scope.having(first, of)
        clauses = [
            [[], self.expr(kind, scope, depth)],
            [[first], self.expr(kind, inner, depth)],
            [[first, second], *self.sequence(kind, inner.having(second, "int"), depth)],
        ]
        self.random.shuffle(clauses)
        given = [self.expr(of, scope, depth), self.expr("int", scope, depth)]
        call: Form = ["f", *given[: self.pick(3)]]
        return ["let", [["f", ["case-lambda", *clauses]]], call]

    def _loop(self, kind: str, scope: Scope, depth: int) -> Form:
        """A named let that counts up, perhaps around another."""
        label, i, acc = self.choose(("loop", "next")), *self.names(2)
        inner = scope.having(i, "int").having(acc, kind)
        inner.kinds.pop(label, None)
        step = [label, self.counted(i), self.expr(kind, inner, depth)]
        match self.pick(6):
            case 0:
                step = ["begin", self.effect(inner, depth), step]
            case 1:
                step = ["cond", [self.test(inner, depth), step], ["else", step]]
            case 2:
                step = ["or", "#f", step]
            case 3:
                step = ["and", self.test(inner, depth), step]
            case 4:
                name = self.name()
                if name not in (label, i, acc):
                    step = ["let", [[name, self.expr("any", inner, depth)]], step]
        test = [self.choose((">=", ">=", "=")), i, self.choose(("0", "1", "2", "3", "4"))]
        body: Form = ["if", test, self.expr(kind, inner, depth), step]
        if self.one_in(4):
            body = self.choose((["begin", self.effect(inner, depth), body],
                                ["cons", self.expr("any", inner, depth), body]))  # fmt: skip
        return ["let", label, [[i, "0"], [acc, self.expr(kind, scope, depth)]], body]

    def _nested(self, kind: str, scope: Scope, depth: int) -> Form:
        return self.nest(kind, scope, depth, [])

    def nest(self, kind: str, scope: Scope, depth: int, outer: list[Any]) -> Form:
        """A loop whose tails may continue the loops around it. outer: those, as (label, counter,
        other parameter, its kind).
        """
        label, (i, other), of = self.choose(("loop", "again", "next")), self.names(2), self.kind()
        inner = scope.having(i, "int").having(other, of)
        inner.kinds.pop(label, None)
        seen = [
            o for o in outer if o[0] != label and o[0] not in (i, other) and o[1] not in (i, other)
        ]
        end = self.tail(kind, inner, depth, seen) if seen else self.expr(kind, inner, depth)
        again = self.tail(kind, inner, depth, [*seen, (label, i, of)])
        body = ["if", [">=", i, self.choose(("0", "1", "2", "3"))], end, again]
        return ["let", label, [[i, "0"], [other, self.expr(of, scope, depth)]], body]

    def tail(self, kind: str, scope: Scope, depth: int, loops: list[Any]) -> Form:
        """A form in tail position of loops, which it may continue."""
        self.left -= 1
        less = depth - 1
        match self.pick(16) if depth > 0 and self.left > 0 else 0:
            case 14:
                inner = scope.having("e", "any")
                clause = [self.test(inner, less), self.tail(kind, inner, less, loops)]
                last = ["else", self.expr(kind, inner, less)]
                body = self.choose((self.raising(scope, less), self.expr(kind, scope, less)))
                return ["guard", ["e", clause, last], body]
            case 15:
                body = self.tail(kind, scope, less, [])
                return ["guard", ["e", ["else", self.tail(kind, scope, less, loops)]], body]
            case 5:
                return ["if", self.test(scope, less), self.tail(kind, scope, less, loops),
                        self.tail(kind, scope, less, loops)]  # fmt: skip
            case 6:
                return ["begin", self.effect(scope, less), self.tail(kind, scope, less, loops)]
            case 7:
                name, of = self.name(), self.kind()
                inside = [loop for loop in loops if name not in loop[:2]]
                body = self.tail(kind, scope.having(name, of), less, inside)
                return ["let", [[name, self.expr(of, scope, less)]], body]
            case 8:
                clause = [self.test(scope, less), self.tail(kind, scope, less, loops)]
                return ["cond", clause, ["else", self.tail(kind, scope, less, loops)]]
            case 9:
                word = self.choose(("and", "or", "when", "unless"))
                return [word, self.test(scope, less), self.tail(kind, scope, less, loops)]
            case 10 | 11:
                return self.nest(kind, scope, less, loops)
            case 12:
                thunk = ["lambda", [], self.tail(kind, scope, less, loops)]
                return ["let", [["f", thunk]], ["begin", self.effect(scope, less), ["f"]]]
            case 13:
                name = self.name()
                inside = [loop for loop in loops if name not in loop[:2]]
                body = self.tail(kind, scope.having(name, "any"), less, inside)
                return ["match", self.expr("any", scope, less), [[name], body],
                        ["_", self.tail(kind, scope, less, loops)]]  # fmt: skip
        if not loops:
            return self.expr(kind, scope, depth)
        label, i, of = self.choose(loops)
        return [label, self.counted(i), self.expr(of, scope, less)]

    def _do(self, kind: str, scope: Scope, depth: int) -> Form:
        i, acc = self.names(2)
        inner = scope.having(i, "int").having(acc, kind)
        specs = [[i, "0", self.counted(i)], [acc, self.expr(kind, scope, depth)]]
        if not self.one_in(4):
            specs[1].append(self.expr(kind, inner, depth))
        end = [[">=", i, self.choose(("1", "2", "3", "4"))], self.expr(kind, inner, depth)]
        return ["do", specs, end, *([self.effect(inner, depth)] * self.pick(2))]

    def _closures(self, kind: str, scope: Scope, depth: int) -> Form:
        """Closures made in a loop, called behind it."""
        i = self.name()
        inner = scope.having(i, "int")
        thunk = ["lambda", [], *self.sequence(kind, inner, depth)]
        made: Form = ["let", "loop", [[i, "0"], ["fs", "'()"]],
                      ["if", [">=", i, self.choose(("1", "2", "3"))], "fs",
                       ["loop", self.counted(i), ["cons", thunk, "fs"]]]]  # fmt: skip
        if self.one_in(3):
            made = ["do", [[i, "0", self.counted(i)], ["fs", "'()", ["cons", thunk, "fs"]]],
                    [["=", i, "2"], "fs"], self.effect(inner, depth)]  # fmt: skip
        called = ["map", ["lambda", ["f"], ["f"]], made]
        return ["car", called] if not self.one_in(4) else ["begin", ["note", called], ["car", made]]

    def _mutual(self, kind: str, scope: Scope, depth: int) -> Form:
        """Two local procedures that call each other, downwards."""
        (n,) = self.names(1)
        inner = scope.having(n, "int")
        procedures = []
        for me, other in (("ping", "pong"), ("pong", "ping")):
            call: Form = [other, ["-", n, "1"]]
            match self.pick(5):
                case 0:
                    call = ["begin", self.effect(inner, depth), call]
                case 1:
                    call = ["apply", other, ["list", ["-", n, "1"]]]
                case 2:
                    call = ["cond", [["-", n, "1"], "=>", other], ["else", "0"]]
                case 3:
                    call = ["let", [["v", call]], self.expr(kind, inner.having("v", kind), depth)]
            test = ["<", n, self.choose(("1", "1", "0"))]
            procedures.append((me, n, ["if", test, self.expr(kind, inner, depth), call]))
        use: Form = ["ping", self.choose(("0", "1", "3", "4"))]
        if self.one_in(2):
            return ["let", [], *(["define", [me, n], body] for me, n, body in procedures), use]
        bindings = [[me, ["lambda", [n], body]] for me, n, body in procedures]
        return [self.choose(("letrec", "letrec*")), bindings, use]

    def _values(self, kind: str, scope: Scope, depth: int) -> Form:
        names = self.names(2)
        kinds = [self.kind(), self.kind()]
        inner = scope.with_all(names, kinds)
        count = 1 + self.pick(3) if self.one_in(8) else 2
        produced = [self.expr(k, scope, depth) for k in (kinds * 2)[:count]]
        producer: Form = ["values", *produced]
        if self.one_in(3):
            producer = [["lambda", [], producer]]
        body = self.sequence(kind, inner, depth)
        match self.pick(4):
            case 0:
                return ["receive", names, producer, *body]
            case 1:
                return ["let-values", [[names, producer]], *body]
            case 2:
                return ["call-with-values", ["lambda", [], producer], ["lambda", names, *body]]
        return ["let", [], ["define-values", names, producer], *body]

    def _call_cc(self, kind: str, scope: Scope, depth: int) -> Form:
        inner = scope.having("k", ("procedure", (kind,), kind))
        return [self.choose(("call/cc", "call-with-escape-continuation")),
                ["lambda", ["k"], *self.sequence(kind, inner, depth)]]  # fmt: skip

    def _guard(self, kind: str, scope: Scope, depth: int) -> Form:
        inner = scope.having("e", "any")
        clauses: list[Form] = []
        for _ in range(self.pick(3)):
            test = self.choose((["symbol?", "e"], ["error-object?", "e"], ["string?", "e"],
                                ["integer?", "e"], self.test(inner, depth)))  # fmt: skip
            clauses.append([test, *self.sequence(kind, inner, depth)])
        if self.one_in(4):
            body = ["lambda", ["v"], self.expr(kind, inner.having("v", "any"), depth)]
            clauses.append([["and", ["symbol?", "e"], "e"], "=>", body])
        if not self.one_in(3) or not clauses:
            clauses.append(["else", *self.sequence(kind, inner, depth)])
        body = self.sequence(kind, scope, depth)
        if self.one_in(3):
            body.insert(0, self.raising(scope, depth))
        return ["guard", ["e", *clauses], *body]

    def raising(self, scope: Scope, depth: int) -> Form:
        value = self.choose(("'oops", '"text"', "7", self.expr("any", scope, 0)))
        raised = self.choose((["raise", value], ["error", '"bad"', value], ["car", "'()"],
                              ["vector-ref", ["vector", "1"], "1"], ["modulo", "1", "0"],
                              ["raise-continuable", value], ["nowhere"], ["undefined-name", "1"],
                              ["set!", "unset-name", ["note", value]],
                              [["lambda", ["x"], "x"]], ["5"]))  # fmt: skip
        return raised if self.one_in(2) else ["when", self.test(scope, depth), raised]

    def _wind(self, kind: str, scope: Scope, depth: int) -> Form:
        after: Form = ["note", "'after"]
        if self.one_in(8):
            after = self.effect(scope, depth)
        return ["dynamic-wind", ["lambda", [], ["note", "'before"]],
                ["lambda", [], *self.sequence(kind, scope, depth)],
                ["lambda", [], after]]  # fmt: skip

    def _handler(self, kind: str, scope: Scope, depth: int) -> Form:
        inner = scope.having("c", "any")
        handler = ["lambda", ["c"], *self.sequence(kind, inner, depth)]
        raised: Form = ["raise-continuable", self.expr("any", scope, depth)]
        if self.one_in(4):
            raised = self.raising(scope, depth)
        if self.one_in(3):
            raised = ["let", [["v", raised]], self.expr(kind, scope.having("v", kind), depth)]
        elif self.one_in(3):
            raised = ["begin", self.effect(scope, depth), raised]
        return ["with-exception-handler", handler, ["lambda", [], raised]]

    def _parameter(self, kind: str, scope: Scope, depth: int) -> Form:
        known = scope.kinds.get("p")
        if known is not None and self.one_in(2):
            given = [["p", self.expr(known[2], scope, depth)]]
            return ["parameterize", given, *self.sequence(kind, scope, depth)]
        of = self.kind()
        more = [["lambda", ["v"], self.expr(of, scope.having("v", of), 1)]] * self.one_in(4)
        make = ["make-parameter", self.expr(of, scope, depth), *more]
        inner = scope.having("p", ("procedure", (), of))
        body = self.sequence(kind, inner, depth)
        given = [["p", self.expr(of, inner, depth)]]
        return ["let", [["p", make]], ["parameterize", given, *body]]

    def _promise(self, kind: str, scope: Scope, depth: int) -> Form:
        promise = ["delay", self.expr(kind, scope, depth)]
        if self.one_in(3):
            promise = ["delay-force", promise]
        if self.one_in(3):
            return ["let", [["pr", promise]], ["begin", ["force", "pr"], ["force", "pr"]]]
        return ["force", promise]

    def _match(self, kind: str, scope: Scope, depth: int) -> Form:
        a, b = self.names(2)
        patterns = (
            ([a, b], (a, b)), ([a, ".", b], (a, b)), ([a, "_"], (a,)), ([a, "..."], ()),
            (["?", "symbol?", a], (a,)), (["?", "integer?", a], (a,)), ("1", ()),
            (["quote", "a"], ()),
            (["or", "1", "2"], ()), (["or", ["quote", "b"], ["?", "string?"]], ()),
            (["and", a, ["not", "1"]], (a,)), (["=", "car", a], (a,)), (["#(", a, b], (a, b)),
            (["#(", a, "1"], (a,)), (["quasiquote", ["x", ["unquote", a]]], (a,)), ("'()", ()),
            ([a, a], (a,)), ([["?", "integer?", a], "..."], ()), ([[a, b], "..."], ()),
            (['"s"', b], (b,)),
        )  # fmt: skip
        clauses: list[Form] = []
        for _ in range(1 + self.pick(3)):
            pattern, bound = self.choose(patterns)
            inner = scope.with_all(list(bound), ["any"] * len(bound))
            body = self.sequence(kind, inner, depth)
            if self.one_in(5):
                body.insert(0, ["guard", self.test(inner, depth)])
            elif self.one_in(8):
                body = [["=>", "next"], ["if", self.test(inner, depth), ["next"], *body[-1:]]]
            clauses.append([pattern, *body])
        if not self.one_in(6):
            clauses.append(["_", self.expr(kind, scope, depth)])
        return [
            "match",
            self.expr(self.choose(("list", "any", "pair", "vector")), scope, depth),
            *clauses,
        ]

    def _apply(self, kind: str, scope: Scope, depth: int) -> Form:
        params, kinds = self.parameters()
        body = self.sequence(kind, scope.with_all(params, kinds), depth)
        given = ["list", *(self.expr(k, scope, depth) for k in kinds)]
        return ["apply", ["lambda", params, *body], given]

    def _call(self, kind: str, scope: Scope, depth: int) -> Form:
        """A procedure in sight that gives the kind that is wanted."""
        known = [(name, of) for name, of in scope.kinds.items() if not isinstance(of, str)]
        fitting = [(n, of) for n, of in known if of[2] == kind or self.one_in(6)]
        if not fitting:
            return self.expr(kind, scope, depth - 1)
        name, (_, params, _) = self.choose(fitting)
        arguments = [self.expr(of, scope, depth) for of in params]
        if params[:1] == ("down",):
            arguments[0] = self.choose(("0", "1", "2", "3"))
        if self.one_in(40):
            arguments = [*arguments, "1"] if self.one_in(2) else arguments[1:]
        return [name, *arguments]

    def _note(self, kind: str, scope: Scope, depth: int) -> Form:
        return ["note", self.expr(kind, scope, depth)]

    def _shadow(self, kind: str, scope: Scope, depth: int) -> Form:
        """A primitive's name, or a keyword's, means something else here."""
        name = self.choose(("car", "+", "list", "not", "vector-ref", "if", "else", "when", "=>"))
        of = self.kind()
        value: Form = self.expr(of, scope, depth)
        inner = scope.having(name, of)
        if name in ("car", "not"):
            value = ["lambda", ["x"], self.expr("any", scope.having("x", "any"), depth)]
            inner = scope.having(name, ("procedure", ("any",), "any"))
            use: Form = [name, self.expr("any", inner, depth)]
            return ["let", [[name, value]], ["note", use], self.leaf(kind, inner)]
        return ["let", [[name, value]], self.leaf(kind, inner)]

    def _macro(self, kind: str, scope: Scope, depth: int) -> Form:
        known = [name for name in self.macros if name in MACROS]
        if not known:
            return self._let(kind, scope, depth)
        made: Form = MACROS[self.choose(known)].use(self, kind, scope, depth)
        return made

    CONTROL = (
        _if, _if, _if, _cond, _cond, _case, _logic, _when, _begin, _let, _let, _let, _set, _set,
        _assign, _procedure, _procedure, _procedure, _fancy, _fancy, _fancy, _loop, _loop, _nested,
        _nested, _do, _do, _closures, _mutual, _mutual, _values, _values, _call_cc, _call_cc,
        _guard, _guard, _wind, _handler, _handler, _parameter, _promise, _match, _match, _apply,
        _call, _call, _call, _call, _note, _note, _shadow, _macro, _macro,
    )  # fmt: skip

    # -- whole programs ------------------------------------------------------------------------

    def program(self) -> list[Form]:
        forms: list[Form] = []
        scope = Scope({})
        for name in self.random.sample(sorted(MACROS), self.choose((0, 0, 1, 2, 3))):
            self.macros.append(name)
            forms.append(MACROS[name].definition)
        if self.one_in(4):
            forms += parsed(POINT)
            self.records = True
        for i in range(self.pick(3)):
            of = self.kind()
            forms.append(["define", f"v{i}", self.expr(of, scope, 2)])
            scope = scope.having(f"v{i}", of)
        for i in range(self.pick(3)):
            forms.append(self.fancy(f"k{i}", scope))
        makers = []
        for i in range(self.pick(3)):
            name, maker = f"h{i}", self.helper
            makers.append((name, maker))
        for i in range(self.pick(3)):
            makers.append((f"p{i}", self.recursive))
        self.random.shuffle(makers)
        signatures = {name: self.signature(maker) for name, maker in makers}
        everything = scope
        for name, (_, kinds, of) in signatures.items():
            everything = everything.having(name, ("procedure", tuple(kinds), of))
        self.changes = bool(makers) and self.one_in(3)
        if self.changes:
            everything = everything.having("change!", ("procedure", (), "int"))
        for name, maker in makers:
            forms.append(self.defined(name, maker(name, signatures[name], scope, everything)))
            if maker == self.helper:
                _, kinds, of = signatures[name]
                scope = scope.having(name, ("procedure", tuple(kinds), of))
        scope = everything
        if self.changes and makers:
            name, maker = self.choose(makers)
            again = self.defined(name, maker(name, signatures[name], scope, everything))
            forms.insert(self.pick(len(forms) + 1), self.during(again, scope))
        for _ in range(self.choose((0, 0, 0, 1, 2))):
            if makers:
                forms.append(self.expr(self.kind(), scope, 3))
                name, maker = self.choose(makers)
                forms.append(self.defined(name, maker(name, signatures[name], scope, everything)))
        if self.fancies and self.one_in(4):
            forms.append(self.expr(self.kind(), scope, 3))
            name, self.fancies = self.choose(sorted(self.fancies)), {}
            forms.append(self.fancy(name, scope))
        if self.one_in(12) and len(forms) > 1:
            forms.append(forms.pop(self.pick(len(forms))))  # used before it is there
        if self.one_in(12):
            forms.append(self.taken(scope))
        forms += [shape.call(self, name, scope, 2) for name, (shape, _) in self.fancies.items()]
        for _ in range(1 + self.pick(2)):
            forms.append(self.expr(self.kind(), scope, 5))
        return forms

    def fancy(self, name: str, scope: Scope) -> Form:
        """A definition of a global procedure with more than required parameters."""
        kind, shape = self.kind(), Shape(self)
        form = self.defined(name, shape.procedure(self, kind, scope, 2))
        self.fancies[name] = shape, kind
        return form

    def taken(self, scope: Scope) -> Form:
        """A name of the library becomes the program's own."""
        names = ("car", "+", "not", "map", "vector-ref", "list")
        name = self.choose((*names, "point-x", "point?") if self.records else names)
        value = self.choose((["lambda", "l", ["note", "l"]], ["lambda", ["x"], "x"], name))
        return [self.choose(("define", "set!")), name, value]

    def during(self, again: Form, scope: Scope) -> Form:
        """A procedure that redefines another."""
        if again[0] == "define" and isinstance(again[1], list):
            again = ["set!", again[1][0], ["lambda", again[1][1:], *again[2:]]]
        elif again[0] == "define":
            again = ["set!", *again[1:]]
        return ["define", ["change!"], again, self.leaf("int", scope)]

    def signature(self, maker: Any) -> tuple[list[str], list[str], str]:
        of = self.kind()
        if maker == self.helper:
            params, kinds = self.parameters()
            return params, kinds, of
        (name,) = self.names(1)
        return ["n", name], ["down", self.kind()], of

    def helper(self, name: str, signature: Any, scope: Scope, everything: Scope) -> Form:
        """A small procedure."""
        params, kinds, of = signature
        inner = scope.with_all(params, kinds)
        if self.changes and self.one_in(2):
            inner = inner.having("change!", ("procedure", (), "int"))
        return ["lambda", params, self.expr(of, inner, 1 + self.pick(2))]

    def recursive(self, name: str, signature: Any, scope: Scope, everything: Scope) -> Form:
        """A procedure whose first argument goes down, to itself or to another."""
        params, kinds, of = signature
        inner = scope.with_all(params, kinds)
        if self.changes:
            inner = inner.having("change!", ("procedure", (), "int"))
        others = [
            (n, k) for n, k in everything.kinds.items() if not isinstance(k, str) and "down" in k[1]
        ]
        callee, (_, wanted, given) = (
            (name, ("", tuple(kinds), of)) if self.one_in(2) else self.choose(others)
        )
        call: Form = [callee, ["-", "n", "1"], self.expr(wanted[1], inner, 2)]
        if self.one_in(20):
            call = call[:-1]
        match self.pick(8):
            case 0:
                call = ["begin", self.effect(inner, 2), call]
            case 1:
                call = ["let", [["r", call]], self.expr(of, inner.having("r", given), 2)]
            case 2 if of in ("int", "number"):
                call = [self.choose(("+", "*", "-")), self.expr("int", inner, 1), call]
            case 3 if of == "list":
                call = ["cons", self.expr("int", inner, 1), call]
            case 4:
                call = ["cond", [self.test(inner, 1), call], ["else", self.expr(of, inner, 1)]]
            case 5:
                call = ["or", "#f", call]
            case 6:
                if self.changes:
                    call = ["begin", ["change!"], call]
        test = self.choose((["<", "n", "1"], ["=", "n", "0"], ["zero?", "n"], ["<=", "n", "0"]))
        return ["lambda", params, ["if", test, self.expr(of, inner, 3), call]]

    def defined(self, name: str, value: Form) -> Form:
        if self.one_in(6):
            return [self.choose(("define", "define", "set!")), name, value] if self.one_in(3) else [
                "define", name, value]  # fmt: skip
        return ["define", [name, *value[1]], *value[2:]]
