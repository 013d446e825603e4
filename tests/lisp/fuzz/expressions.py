"""Random expressions of a wanted type.

Owns: `Scope`, `Expressions`: atoms and calls of primitives and library procedures.
Refuses: control forms (generator.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.lisp.fuzz.forms import Form

NAMES = ("x", "y", "z", "_x", "_1", "a-b", "class", "t")
KINDS = (
    "int", "int", "int", "int", "number", "float", "bool", "list", "list", "string", "symbol",
    "char", "vector", "table", "any",
)  # fmt: skip
SIZE = 55  # forms of a program's expressions


class Scope:
    """kinds: what is in sight: a type, or ("procedure", parameters, result)."""

    def __init__(self, kinds: dict[str, Any]) -> None:
        self.kinds = kinds

    def having(self, name: str, kind: Any) -> Scope:
        return Scope({**self.kinds, name: kind})

    def with_all(self, names: Sequence[str], kinds: Sequence[str]) -> Scope:
        return Scope({**self.kinds, **dict(zip(names, kinds, strict=True))})


class Expressions:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.left = SIZE
        self.macros: list[str] = []  # that the program has
        self.records = False  # whether it has points

    # -- chance --------------------------------------------------------------------------------

    def pick(self, n: int) -> int:
        return int(self.random.random() * n)

    def one_in(self, n: int) -> bool:
        return self.random.random() * n < 1

    def choose(self, items: Sequence[Any]) -> Any:
        return items[int(self.random.random() * len(items))]

    def name(self) -> str:
        chosen: str = self.choose(NAMES)
        return chosen

    def names(self, n: int) -> list[str]:
        return self.random.sample(NAMES, n)

    def kind(self) -> str:
        if self.records and self.one_in(6):
            return "point"
        chosen: str = self.choose(KINDS)
        return chosen

    def parameters(self) -> tuple[list[str], list[str]]:
        names = self.names(self.choose((0, 1, 1, 2, 2, 3)))
        return names, [self.kind() for _ in names]

    # -- expressions ---------------------------------------------------------------------------

    def control(self, kind: str, scope: Scope, depth: int) -> Form:
        raise NotImplementedError

    def expr(self, kind: Any, scope: Scope, depth: int) -> Form:
        self.left -= 1
        if self.one_in(90):
            kind = self.kind()  # a mistake
        if kind == "any":
            kind = self.kind()
            kind = "int" if kind == "any" else kind
        if kind == "down":
            kind = "int"
        if depth <= 0 or self.left <= 0:
            return self.leaf(kind, scope)
        if self.one_in(2):
            return self.control(kind, scope, depth - 1)
        made: Form = getattr(self, "make_" + kind)(scope, depth - 1)
        return made

    def several(self, kind: str, scope: Scope, depth: int, n: int) -> list[Form]:
        return [self.expr(kind, scope, depth) for _ in range(n)]

    def sequence(self, kind: str, scope: Scope, depth: int) -> list[Form]:
        """A body."""
        effects = [self.effect(scope, depth)] if self.one_in(4) else []
        return [*effects, self.expr(kind, scope, depth)]

    def effect(self, scope: Scope, depth: int) -> Form:
        plain = [n for n, of in scope.kinds.items() if isinstance(of, str)]
        of = {k: [n for n in plain if scope.kinds[n] == k] for k in ("vector", "table")}
        match self.pick(6):
            case 0 if plain:
                name = self.choose(plain)
                return ["set!", name, self.expr(scope.kinds[name], scope, depth)]
            case 1 if of["vector"]:
                return ["vector-set!", self.choose(of["vector"]), self.index(scope, depth),
                        self.expr("int", scope, depth)]  # fmt: skip
            case 2 if of["table"]:
                return ["hash-set!", self.choose(of["table"]), self.expr("symbol", scope, 0),
                        self.expr("int", scope, depth)]  # fmt: skip
            case 3 if depth > 0:
                return self.control("any", scope, depth - 1)
            case 4 if self.records:
                known = [n for n in plain if scope.kinds[n] == "point"] or ["5"]
                return ["set-point-y!", self.choose(known), self.expr("int", scope, depth)]
        return ["note", self.expr("any", scope, depth - 1)]

    def counted(self, i: str) -> Form:
        return ["+", i, "1"]

    def index(self, scope: Scope, depth: int) -> Form:
        return self.choose(("0", "0", "0", "1", "1", "2" if self.one_in(3) else "0",
                            self.expr("int", scope, depth) if self.one_in(3) else "1"))  # fmt: skip

    def leaf(self, kind: str, scope: Scope) -> Form:
        kind = "int" if kind == "any" else kind
        fitting = [n for n, of in scope.kinds.items() if of == kind or (kind, of) in _SERVES]
        if fitting and not self.one_in(3):
            return self.choose(fitting)
        return self.choose(_LEAVES[kind])

    def test(self, scope: Scope, depth: int) -> Form:
        if self.one_in(6):
            return self.expr("any", scope, depth)
        return self.expr("bool", scope, depth)

    # -- one type each -------------------------------------------------------------------------

    def make_int(self, scope: Scope, depth: int) -> Form:
        a = self.expr("int", scope, depth)
        match self.pick(17):
            case 0 | 1 | 2 | 3:
                return [self.choose(("+", "-", "*", "+", "-")), a, self.expr("int", scope, depth)]
            case 4:
                return ["+", a, *self.several("int", scope, depth, 1 + self.pick(3))]
            case 5:
                divisor = self.choose(("2", "3", "-2", self.expr("int", scope, depth)))
                return [self.choose(("quotient", "modulo", "remainder")), a, divisor]
            case 6:
                return ["length", self.expr("list", scope, depth)]
            case 7:
                return ["vector-ref", self.expr("vector", scope, depth), self.index(scope, depth)]
            case 8:
                if self.one_in(4):
                    return [self.choose(("car", "cadr")), self.expr("list", scope, depth)]
                return ["car", ["cons", a, self.expr("list", scope, depth)]]
            case 9:
                return ["hash-ref", self.expr("table", scope, depth),
                        self.expr("symbol", scope, depth), a]  # fmt: skip
            case 10:
                return [self.choose(("string-length", "string->number")),
                        self.expr("string", scope, depth)]  # fmt: skip
            case 11:
                f = self.choose(
                    ("+", "*", "max", self.lambda_(("int", "int"), "int", scope, depth))
                )
                return [self.choose(("fold", "fold-right", "reduce")), f, a,
                        self.expr("list", scope, depth)]  # fmt: skip
            case 12:
                return [self.choose(("-", "abs", "square", "vector-length")), a]
            case 13:
                return [self.choose(("max", "min", "gcd", "expt")), a, self.leaf("int", scope)]
            case 14 if self.records:
                of = "point" if not self.one_in(12) else "any"
                return [self.choose(("point-x", "point-y")), self.expr(of, scope, depth)]
            case 15:
                return ["char->integer", self.expr("char", scope, depth)]
            case 16:
                return ["vector-length", self.expr("vector", scope, depth)]
        return ["apply", self.choose(("+", "*")), self.expr("list", scope, depth)]

    def make_float(self, scope: Scope, depth: int) -> Form:
        pair = [
            self.expr("float", scope, depth),
            self.expr(self.choose(("float", "int")), scope, depth),
        ]
        if self.one_in(2):
            pair.reverse()
        match self.pick(6):
            case 0:
                return ["exact->inexact", self.expr("number", scope, depth)]
            case 1:
                return [self.choose(("-", "abs", "floor", "round", "truncate")), pair[0]]
            case 2:
                return [self.choose(("max", "min")), *pair]
        return [self.choose(("+", "-", "*", "/", "+", "*")), *pair]

    def make_number(self, scope: Scope, depth: int) -> Form:
        kinds = ("int", "int", "float", "number")
        pair = [self.expr(self.choose(kinds), scope, depth) for _ in range(2)]
        return [self.choose(("+", "-", "*", "/", "/", "+", "max", "min")), *pair]

    def make_bool(self, scope: Scope, depth: int) -> Form:
        of = self.choose(("int", "int", "int", "number", "float"))
        pair = self.several(of, scope, depth, 2)
        match self.pick(9):
            case 8:
                of = self.choose(("string", "char"))
                kinds = (of, of, of, of, "any")
                texts = [self.expr(self.choose(kinds), scope, depth) for _ in range(2)]
                order = self.choose(("=?", "<?", ">?", "<=?", ">=?"))
                return [of + order, *texts, *([texts[0]] if self.one_in(8) else [])]
            case 0:
                return ["not", self.expr("bool", scope, depth)]
            case 1:
                name = self.choose(("pair?", "null?", "string?", "symbol?", "vector?", "procedure?",
                                    "char?", "integer?", "exact-integer?",
                                    "hash-table?"))  # fmt: skip
                return [name, self.expr("any", scope, depth)]
            case 2:
                return [
                    self.choose(("eq?", "eqv?", "equal?")),
                    *self.several("any", scope, depth, 2),
                ]
            case 3:
                return [self.choose(("zero?", "positive?", "negative?", "even?", "odd?")),
                        self.expr(self.choose(("int", "int", "number")), scope, depth)]  # fmt: skip
            case 4:
                return [self.choose(("and", "or")), *self.several("bool", scope, depth, 2)]
            case 5 if self.records and self.one_in(2):
                return ["point?", self.expr("any", scope, depth)]
            case 5:
                return [
                    "hash-has-key?",
                    self.expr("table", scope, depth),
                    self.leaf("symbol", scope),
                ]
            case 6 if self.one_in(2):
                return [self.choose(("<", "=", "<=")), *pair, self.expr(of, scope, depth)]
        return [self.choose(("<", ">", "<=", ">=", "=")), *pair]

    def make_list(self, scope: Scope, depth: int) -> Form:
        a = self.expr("list", scope, depth)
        match self.pick(12):
            case 0 | 1:
                return ["cons", self.expr("int", scope, depth), a]
            case 2:
                return ["list", *self.several("int", scope, depth, self.pick(4))]
            case 3:
                return [self.choose(("cdr", "reverse", "list-copy")), a]
            case 4:
                return ["append", a, self.expr("list", scope, depth)]
            case 5 | 6:
                more = [self.expr("list", scope, depth)] if self.one_in(4) else []
                f = self.lambda_(("int",) * (1 + len(more)), "int", scope, depth)
                return [self.choose(("map", "map", "map", "filter-map", "append-map")),
                        f, a, *more]  # fmt: skip
            case 7:
                f = self.lambda_(("int",), "bool", scope, depth)
                return [self.choose(("filter", "remove", "take-while", "find-tail")), f, a]
            case 8:
                item = self.expr("int", scope, depth)
                splice = ["unquote-splicing", a]
                templates = (
                    [["unquote", item], splice],
                    ["1", splice, "2"],
                    ["x", ["unquote", item]],
                    [["unquote", item], ".", ["unquote", a]],
                    [["unquote", item], ["unquote", "5"]],
                )
                return ["quasiquote", self.choose(templates)]
            case 9:
                return ["vector->list", self.expr("vector", scope, depth)]
            case 10:
                return ["sort", a, self.choose(("<", ">"))]
            case 11:
                item = self.expr("int", scope.having("i", "int"), depth)
                more = ["lambda", ["i"], ["set!", "acc", ["cons", item, "acc"]]]
                return ["let", [["acc", "'()"]], ["for-each", more, a], "acc"]
        return a

    def make_pair(self, scope: Scope, depth: int) -> Form:
        return ["cons", self.expr("any", scope, depth), self.expr("any", scope, depth)]

    def make_string(self, scope: Scope, depth: int) -> Form:
        a = self.expr("string", scope, depth)
        match self.pick(6):
            case 0:
                return ["number->string", self.expr("int", scope, depth)]
            case 1:
                return ["symbol->string", self.expr("symbol", scope, depth)]
            case 2:
                return ["substring", a, "0", self.index(scope, depth)]
            case 3:
                return ["string", *self.several("char", scope, depth, self.pick(3))]
            case 4:
                return ["list->string", ["map", self.lambda_(("char",), "char", scope, depth),
                                         ["string->list", a]]]  # fmt: skip
        return ["string-append", a, self.expr("string", scope, depth)]

    def make_symbol(self, scope: Scope, depth: int) -> Form:
        return ["string->symbol", self.expr("string", scope, depth)]

    def make_char(self, scope: Scope, depth: int) -> Form:
        if self.one_in(2):
            return ["char-upcase", self.expr("char", scope, depth)]
        return ["string-ref", self.expr("string", scope, depth), self.index(scope, depth)]

    def make_vector(self, scope: Scope, depth: int) -> Form:
        match self.pick(5):
            case 0:
                return ["make-vector", self.choose(("0", "1", "3")), self.expr("int", scope, depth)]
            case 1:
                return ["vector-map", self.lambda_(("int",), "int", scope, depth),
                        self.expr("vector", scope, depth)]  # fmt: skip
            case 2:
                return ["list->vector", self.expr("list", scope, depth)]
            case 3:
                store = ["vector-set!", "v", self.index(scope, depth),
                         self.expr("int", scope.having("v", "vector"), depth)]  # fmt: skip
                return ["let", [["v", self.expr("vector", scope, depth)]], store, "v"]
        return ["vector", *self.several("int", scope, depth, 1 + self.pick(3))]

    def make_point(self, scope: Scope, depth: int) -> Form:
        made = ["make-point", *self.several("int", scope, depth, 2)]
        if self.one_in(2):
            return made
        store = ["set-point-x!", "pt", self.expr("int", scope.having("pt", "point"), depth)]
        return ["let", [["pt", made]], store, "pt"]

    def make_table(self, scope: Scope, depth: int) -> Form:
        made = ["hash-table", ["quote", "a"], self.expr("int", scope, depth)]
        if self.one_in(2):
            return made
        inner = scope.having("h", "table")
        store: Form = [
            "hash-set!",
            "h",
            self.expr("symbol", inner, depth),
            self.expr("int", inner, depth),
        ]
        if self.one_in(3):
            change = self.lambda_(("int",), "int", inner, depth)
            store = [
                "hash-update!",
                "h",
                ["quote", "a"],
                change,
                self.choose((["lambda", [], "0"], "0")),
            ]
        return ["let", [["h", made]], store, "h"]

    def lambda_(self, kinds: Sequence[str], of: str, scope: Scope, depth: int) -> Form:
        """A procedure: a lambda, or one in sight."""
        known = [
            n
            for n, k in scope.kinds.items()
            if not isinstance(k, str) and k[1:] == (tuple(kinds), of)
        ]
        if known and self.one_in(2):
            return self.choose(known)
        names = self.names(len(kinds))
        return ["lambda", names, *self.sequence(of, scope.with_all(names, kinds), depth)]


_SERVES = {("number", "int"), ("number", "float"), ("int", "down"), ("pair", "list")}
_LEAVES: dict[str, tuple[str, ...]] = {
    "int": ("0", "1", "2", "3", "-1", "5", "10", "100", "4611686018427387904", "-7"),
    "float": ("0.5", "2.0", "-1.5", "0.0", "-0.0", "1e300", "3.0"),
    "number": ("1/2", "2", "0.5", "-3/4", "7", "1.0", "36893488147419103232"),
    "bool": ("#t", "#f"),
    "list": ("'(1 2 3)", "'(1 2 3)", "'(5 6)", "'(3 1 2)", "'(4 4 -1 0)", "'()"),
    "pair": ("'(1 . 2)", "'(1 2)", "'(a b)"),
    "string": ('"abc"', '"x"', '"12"', '"hello"'),
    "symbol": ("'a", "'b", "'c"),
    "char": ("#\\a", "#\\b", "#\\space"),
    "vector": ("(vector 1 2 3)", "'#(7 8)", "(vector 3 2 1 0)"),
    "point": ("(make-point 1 2)", "(make-point 3 '())"),
    "table": ("(hash-table 'a 1)", "(make-hash-table)"),
}
