"""`syntax-rules`: patterns, templates, and the macro they make. R7RS 4.3.2.

Owns: `Rules`: the check of patterns and templates when the macro is defined, matching a use,
filling in a template.
Hygiene: see environment.py. Nested ellipses, `(... ...)`, custom ellipsis, literals, vectors,
patterns with a tail after the ellipsis.

Invariants: what a template inserts is an Alias (one per symbol and use); what the use gave is
passed on untouched, spans included. A macro whose definition was accepted can fill in its
templates: what is left to a use is whether a rule matches, and whether lists under one ellipsis are
equally long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omega.errors import Span
from omega.lisp.data import Keyword, Nil, Pair, Symbol, cons, spine, to_list
from omega.lisp.environment import Alias, Macro, same_meaning, symbol_of
from omega.lisp.equality import is_equal
from omega.lisp.expander import AnyScope, Expander, shown
from omega.lisp.reader import HASH_LITERAL, SourcePair

WALKED_PER_FORM = 8  # pairs of a pattern that are matched while a form is expanded
SHAPE = "expected (syntax-rules (literal ...) (pattern template) ...)"


# (pair of a template, ellipses left behind its item) -> the pair, the variables that are repeated
_Repeated = dict[tuple[int, int], tuple[Pair, frozenset[Any]]]


class _Many:
    """What a pattern variable under an ellipsis matched: one binding set or datum an occurrence."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items


class Rules:
    """One `syntax-rules`: its literals, ellipsis and (pattern, template) rules."""

    def __init__(
        self, ex: Expander, form: Any, scope: AnyScope, name: str, span: Span | None
    ) -> None:
        self.ex, self.scope, self.name, self.span = ex, scope, name, span
        self.defined = None if ex.top.is_library else span
        self.ellipsis: Any = Symbol.of("...")
        parts = ex.parts(form)[1:]
        # R7RS's `:::` reads as a keyword
        if parts and isinstance(parts[0][0], (Symbol, Alias, Keyword)):
            self.ellipsis = parts.pop(0)[0]
        if not parts:
            raise ex.error("malformed `syntax-rules`", span, SHAPE)
        self.literals = self._literals(parts[0][0], parts[0][1] or span)
        self._names: dict[int, tuple[Any, list[Any]]] = {}  # pattern or template -> what it names
        self._lists: dict[int, tuple[Any, Any]] = {}  # vector of a template -> it, as a list
        self._repeated: _Repeated = {}  # of the rule that is defined or filled in
        self._walked = 0  # pairs of patterns, in the rule that is tried
        self.rules = [self._rule(rule, at or span) for rule, at in parts[1:]]

    def macro(self) -> Macro:
        return Macro(self.name, self.transform, self.defined)

    # -- the definition ------------------------------------------------------------------------

    def _literals(self, form: Any, span: Span | None) -> list[Any]:
        if form is not Nil and not isinstance(form, Pair):
            raise self.ex.error("malformed `syntax-rules`", span, SHAPE)
        literals = [datum for datum, _ in self.ex.parts(form)]
        for literal in literals:
            if not isinstance(literal, (Symbol, Alias)):
                raise self.ex.error(
                    f"a literal of `{self.name}` must be a symbol, not {shown(literal)}",
                    span,
                    "other data stand for themselves in a pattern",
                )
        return literals

    def _rule(self, rule: Any, span: Span | None) -> tuple[Any, Any, _Repeated]:
        """The pattern, the template, and what the ellipses of the template repeat."""
        items = self.ex.parts(rule) if isinstance(rule, Pair) else []
        if len(items) != 2 or not isinstance(items[0][0], Pair):
            raise self.ex.error(
                f"malformed rule of `{self.name}`", span, "expected (pattern template)"
            )
        (pattern, at), (template, template_at) = items
        if not isinstance(pattern.car, (Symbol, Alias)):
            raise self.ex.error(
                f"a pattern of `{self.name}` begins with {shown(pattern.car)}, not with a name",
                at or span,
                f"expected ({self.name} ...) or (_ ...)",
            )
        depths: dict[Any, int] = {}
        self._check_pattern(pattern.cdr, 0, depths, at or span)
        self._repeated = {}
        self._check_template(template, depths, template_at or span)
        return pattern.cdr, template, self._repeated

    def _wrong(self, fact: str, form: Any, span: Span | None, hint: str) -> Exception:
        return self.ex.error(f"{fact} `{self.name}`", self.ex.span_of(form, span), hint)

    def _check_pattern(
        self, pattern: Any, depth: int, depths: dict[Any, int], span: Span | None
    ) -> None:
        """Note the variables of a pattern with the ellipses each is under."""
        if type(pattern) is list:
            pattern = to_list(pattern)
        seen = False
        at = pattern
        while isinstance(at, Pair):
            if self._is_ellipsis(at.car):
                raise self._wrong(
                    "an ellipsis follows nothing in a pattern of",
                    pattern,
                    self.ex.place_of_car(at) or span,
                    "it stands behind what repeats: (item ...)",
                )
            many = isinstance(at.cdr, Pair) and self._is_ellipsis(at.cdr.car)
            if many and seen:
                raise self._wrong(
                    "two ellipses stand in one list of a pattern of",
                    pattern,
                    self.ex.place_of_car(at.cdr) or span,
                    "where the first ends and the second begins could not be told",
                )
            seen = seen or many
            self.ex.count(1)
            self._check_pattern(at.car, depth + many, depths, self.ex.place_of_car(at) or span)
            at = at.cdr.cdr if many else at.cdr
        if at is Nil:
            return
        if isinstance(at, (Symbol, Alias)):
            self._check_variable(at, depth, depths, span)
        elif type(at) is list:
            self._check_pattern(at, depth, depths, span)

    def _check_variable(
        self, name: Any, depth: int, depths: dict[Any, int], span: Span | None
    ) -> None:
        if self._is_ellipsis(name):
            raise self.ex.error(
                f"an ellipsis follows nothing in a pattern of `{self.name}`",
                span,
                "it stands behind what repeats: (item ...)",
            )
        if not self._is_variable(name):
            return
        if name in depths:
            raise self.ex.error(
                f"`{symbol_of(name).name}` stands twice in a pattern of `{self.name}`",
                span,
                "give one of the two another name; `_` matches anything, and often",
            )
        depths[name] = depth

    def _check_template(self, template: Any, depths: dict[Any, int], span: Span | None) -> None:
        """Note what each ellipsis repeats. depths: of every variable, the ellipses it still needs
        here.
        """
        if isinstance(template, (Symbol, Alias)):
            if self._is_ellipsis(template):
                raise self.ex.error(
                    f"an ellipsis follows nothing in a template of `{self.name}`",
                    span,
                    "(... ...) stands for the ellipsis itself",
                )
            if depths.get(template, 0) > 0:
                raise self.ex.error(
                    f"pattern variable `{symbol_of(template).name}` of `{self.name}` needs an "
                    "ellipsis after it",
                    span,
                    "it matches several forms: as many ellipses follow it as in the pattern",
                )
            return
        if type(template) is list:
            template = self._as_list(template)
        if isinstance(template, Pair) and self._is_ellipsis(template.car):
            self._check_escape(template, depths, span)
            return
        at = template
        while isinstance(at, Pair):
            place = self.ex.place_of_car(at) or span
            inner, item, cell = depths, at.car, at
            at, ellipses = self._behind_ellipses(at)
            self.ex.count(1)
            for left in range(ellipses, 0, -1):
                repeated = self._repeated_by(item, left, inner, place)
                known = self._repeated.setdefault((id(cell), left), (cell, repeated))
                if known[1] != repeated:  # `#n#` puts one datum to two places
                    raise self._wrong(
                        "two places share a part with an ellipsis in a template of",
                        template,
                        place,
                        "write the part twice",
                    )
                inner = {name: depth - (name in repeated) for name, depth in inner.items()}
            self._check_template(item, inner, place)
        if at is not Nil and at is not template:
            self._check_template(at, depths, span)

    def _check_escape(self, template: Pair, depths: dict[Any, int], span: Span | None) -> None:
        if not (isinstance(template.cdr, Pair) and template.cdr.cdr is Nil):
            raise self._wrong(
                "an ellipsis follows nothing in a template of",
                template,
                span,
                "(... template) gives a template in which an ellipsis is an ordinary symbol",
            )
        Escaped(self)._check_template(template.cdr.car, depths, span)

    def _behind_ellipses(self, at: Pair) -> tuple[Any, int]:
        """What stands behind the first item of a list and its ellipses, and how many these are."""
        after, ellipses = at.cdr, 0
        while isinstance(after, Pair) and self._is_ellipsis(after.car):
            after, ellipses = after.cdr, ellipses + 1
        return after, ellipses

    def _repeated_by(
        self, item: Any, left: int, depths: dict[Any, int], span: Span | None
    ) -> frozenset[Any]:
        """The variables of `item` that the first of the `left` ellipses behind it repeats.

        All that still need an ellipsis, but for those a part of the item needs for an ellipsis of
        its own: in ((a b ...) ...) the outer one repeats a, if both have one in the pattern.
        """
        wanted = {name for name in self._variables(item) if depths.get(name, 0) > 0}
        for level, part in self._repeating_parts(item):
            names = self._variables(part)
            if not any(depths.get(name, 0) >= left + level for name in names):
                wanted.difference_update(names)
        if not wanted:
            raise self.ex.error(
                f"an ellipsis in a template of `{self.name}` follows nothing that repeats",
                span,
                "in front of it stands a pattern variable that an ellipsis follows in the pattern",
            )
        return frozenset(wanted)

    def _repeating_parts(self, item: Any) -> list[tuple[int, Any]]:
        """The parts of a template that ellipses follow, and how many each is under."""
        found: list[tuple[int, Any]] = []
        work = [(0, item)]
        while work:
            level, at = work.pop()
            at = self._as_list(at) if type(at) is list else at
            if isinstance(at, Pair) and self._is_ellipsis(at.car):
                continue  # (... template)
            while isinstance(at, Pair):
                self.ex.count(1)
                part = at.car
                at, ellipses = self._behind_ellipses(at)
                if ellipses:
                    found.append((level + ellipses, part))
                work.append((level + ellipses, part))
            if type(at) is list:
                work.append((level, at))
        return found

    def _as_list(self, vector: list[Any]) -> Any:
        """The elements of a vector in a template as a list, the same one each time."""
        known = self._lists.get(id(vector))
        if known is None:
            known = self._lists[id(vector)] = (vector, to_list(vector))
        return known[1]

    def _is_ellipsis(self, datum: Any) -> bool:
        if isinstance(self.ellipsis, Keyword):
            return datum is self.ellipsis
        if not isinstance(datum, (Symbol, Alias)) or self._is_literal(datum):
            return False
        return symbol_of(datum) is symbol_of(self.ellipsis)

    def _is_literal(self, name: Any) -> bool:
        return name is HASH_LITERAL or any(name is literal for literal in self.literals)

    def _is_variable(self, name: Any) -> bool:
        return not self._is_literal(name) and symbol_of(name).name != "_"

    # -- matching ------------------------------------------------------------------------------

    def transform(self, use: Any, scope: AnyScope, _expander: Any) -> Any:
        for pattern, template, repeated in self.rules:
            bound: dict[Any, Any] = {}
            self._walked = 0
            fits = self._match(pattern, use.cdr, scope, bound)
            self.ex.count(1 + self._walked // WALKED_PER_FORM)
            if fits:
                self._repeated = repeated
                renamed: dict[Any, Alias] = {}
                return _placed(self._fill(template, bound, renamed), use)
        shapes = [shown(cons(Symbol.of(self.name), rule[0])) for rule in self.rules]
        raise self.ex.error(
            f"no rule of `{self.name}` matches this use",
            self.ex.span_of(use, None),
            "its rules are " + " ".join(shapes) if shapes else "it has no rules",
        )

    def _match(self, pattern: Any, datum: Any, scope: AnyScope, bound: dict[Any, Any]) -> bool:
        while isinstance(pattern, Pair):
            if isinstance(pattern.cdr, Pair) and self._is_ellipsis(pattern.cdr.car):
                return self._match_many(pattern, datum, scope, bound)
            if not isinstance(datum, Pair) or not self._match(pattern.car, datum.car, scope, bound):
                return False
            self._walked += 1
            pattern, datum = pattern.cdr, datum.cdr
        if isinstance(pattern, (Symbol, Alias)):
            if self._is_literal(pattern):
                return isinstance(datum, (Symbol, Alias)) and same_meaning(
                    datum, scope, pattern, self.scope
                )
            if symbol_of(pattern).name != "_":
                bound[pattern] = datum
            return True
        if type(pattern) is list:
            return type(datum) is list and self._match(
                to_list(pattern), to_list(datum), scope, bound
            )
        return not isinstance(datum, (Pair, Alias, list)) and bool(is_equal(pattern, datum))

    def _match_many(
        self, pattern: Pair, datum: Any, scope: AnyScope, bound: dict[Any, Any]
    ) -> bool:
        """`sub ... after`: as many `sub` as leave enough for `after`."""
        sub, after = pattern.car, pattern.cdr.cdr
        least = 0
        at = after
        while isinstance(at, Pair):
            least += 1
            at = at.cdr
        items: list[Any] = []
        rest = datum
        while isinstance(rest, Pair):
            items.append(rest)
            rest = rest.cdr
        self.ex.count(len(items))
        count = len(items) - least
        if count < 0:
            return False
        matches: list[dict[Any, Any]] = []
        for cell in items[:count]:
            inner: dict[Any, Any] = {}
            if not self._match(sub, cell.car, scope, inner):
                return False
            matches.append(inner)
        for var in self._variables(sub):
            bound[var] = _Many([match[var] for match in matches])
        return self._match(after, items[count] if count < len(items) else rest, scope, bound)

    def _variables(self, form: Any) -> list[Any]:
        """What may be a pattern variable in a pattern or template."""
        known = self._names.get(id(form))
        if known is None:
            known = self._names[id(form)] = (form, list(dict.fromkeys(self._symbols(form))))
        return known[1]

    def _symbols(self, form: Any) -> Iterator[Any]:
        work = [form]
        while work:
            item = work.pop()
            if isinstance(item, Pair):
                work += (item.cdr, item.car)
            elif type(item) is list:
                work += item
            elif not isinstance(item, (Symbol, Alias)) or self._is_ellipsis(item):
                continue
            elif self._is_variable(item):
                yield item

    # -- filling in ----------------------------------------------------------------------------

    def _fill(self, template: Any, bound: dict[Any, Any], renamed: dict[Any, Alias]) -> Any:
        if isinstance(template, (Symbol, Alias)):
            if template in bound:
                return bound[template]
            if template is HASH_LITERAL:
                return template
            if template not in renamed:
                renamed[template] = Alias(template, self.scope)
            return renamed[template]
        if isinstance(template, Pair):
            if self._is_ellipsis(template.car):
                return Escaped(self)._fill(template.cdr.car, bound, renamed)
            return self._fill_list(template, bound, renamed)
        if type(template) is list:
            return spine(self._fill(self._as_list(template), bound, renamed))
        return template

    def _fill_list(self, template: Any, bound: dict[Any, Any], renamed: dict[Any, Alias]) -> Any:
        out: list[tuple[Any, Any]] = []  # (datum, place)
        at = template
        while isinstance(at, Pair):
            item = at.car
            after, depth = self._behind_ellipses(at)
            place = at.car_span if isinstance(at, SourcePair) else None
            if depth:
                out += [(v, place) for v in self._fill_many(at, depth, bound, renamed)]
            else:
                out.append((self._fill(item, bound, renamed), place))
            at = after
        self.ex.count(len(out))
        result = Nil if at is Nil else self._fill(at, bound, renamed)
        for datum, _place in reversed(out):
            pair = Pair()
            pair.car, pair.cdr = datum, result
            result = pair
        return result

    def _fill_many(
        self, cell: Pair, depth: int, bound: dict[Any, Any], renamed: dict[Any, Alias]
    ) -> list[Any]:
        """What the first item of a list gives under `depth` ellipses."""
        names = self._repeated[id(cell), depth][1]
        length = max(len(bound[v].items) for v in names)
        if any(len(bound[v].items) != length for v in names):
            raise self.ex.error(
                f"`{self.name}`: parts of different lengths under one ellipsis",
                None,
                "what stands together in front of an ellipsis must repeat equally often",
            )
        result: list[Any] = []
        self.ex.count(length)
        for i in range(length):
            inner = {**bound, **{v: bound[v].items[i] for v in names}}
            if depth > 1:
                result += self._fill_many(cell, depth - 1, inner, renamed)
            else:
                result.append(self._fill(cell.car, inner, renamed))
        return result


class Escaped(Rules):
    """`(... template)`: in it the ellipsis is an ordinary symbol."""

    def __init__(self, rules: Rules) -> None:
        self.ex, self.scope, self.name, self.span = rules.ex, rules.scope, rules.name, rules.span
        self.literals, self.ellipsis = rules.literals, Symbol("no ellipsis")
        self._names, self._lists, self._repeated = {}, {}, {}


def _placed(result: Any, use: Any) -> Any:
    """The expansion, at the place of the macro's use."""
    if isinstance(result, Pair) and isinstance(use, SourcePair):
        placed = SourcePair()
        placed.car, placed.cdr = result.car, result.cdr
        placed.span, placed.car_span = use.span, None
        return placed
    return result
