"""The reader: text to forms, which are data that know where they were written.

Owns: `read_all`, `read_one`, `is_incomplete`, `SourcePair`, `HASH_LITERAL`, and the parser built
from grammar.lark. Refuses: evaluating or expanding anything. Characters are lexer.py's.

Forms are plain data: symbols, numbers, strings, vectors as `list`; lists are `SourcePair`s, which
carry the span of every list and of every element. `'x` reads as (quote x). `{k v}` reads as a list
headed by `HASH_LITERAL`, a symbol no program can write, so that the expander makes a fresh table
of it.

Lark and lexer.py are imported when the first text is parsed, never when this module is: a warm
start reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from omega.errors import LimitExceeded, ReadError, Source, Span
from omega.lisp.data import Nil, Pair, Symbol
from omega.lisp.numbers import Charge, free

if TYPE_CHECKING:
    from omega.lisp.lexer import Lexer, Token

DOT_HINT = "a dotted pair is written (a . b), with blanks around the dot"
SIZE_HINT = "data can stand in files of their own, for `read-file` or `csv-read`"
SOURCE_CHARACTERS_MAX = 4_000_000
_CHARGE_EVERY = 64  # tokens, or nodes of data, between charges
_TOKEN_STEPS = 4  # steps that one is worth each time it is handled
_CHARACTERS = 64  # read for one step
HASH_LITERAL = Symbol("hash-literal")  # uninterned: only the reader makes it


class SourcePair(Pair):
    """A pair of a form. span: of the whole list, on its first pair only, else None. car_span: of
    the car.
    """

    __slots__ = ("car_span", "span")
    span: Span | None
    car_span: Span | None


class Node:
    """A datum and its span, on the parser's stack. (An atom's Token serves as its own node.)"""

    __slots__ = ("span", "value")

    def __init__(self, value: Any, span: Span) -> None:
        self.value = value
        self.span = span


def read_all(
    source: Source,
    characters_max: int | None = SOURCE_CHARACTERS_MAX,
    *,
    fold_case: bool = False,
) -> list[tuple[Any, Span]]:
    """All data of `source`, each with its span. fold_case: as if it began with `#!fold-case`.

    Raises ReadError (kinds read-error, unclosed, stray-bracket, bad-literal) at the first mistake,
    and LimitExceeded("source-size") beyond `characters_max` (None: any size).
    """
    if characters_max is not None and len(source.text) > characters_max:
        error = LimitExceeded(
            "source-size", len(source.text), characters_max, "characters", hint=SIZE_HINT
        )
        error.span = Span(source.name, 1, 1, 1, 1)
        raise error
    from omega.lisp.lexer import Lexer

    lexer = Lexer(source)
    lexer.fold_case = fold_case
    return [(node.value, node.span) for node in _parse(lexer, lexer.tokens())]


def read_one(
    source: Source, offset: int = 0, line: int = 1, column: int = 1, charge: Charge = free
) -> tuple[Any, Span, int] | None:
    """The next datum at or after character `offset`: (datum, span, offset behind it); None when
    there is none.

    line, column: where `offset` lies, for the spans. charge: called with steps now and then.
    Raises ReadError as read_all does; text behind the datum is not looked at.
    """
    from omega.lisp.lexer import Lexer

    return read_next(Lexer(source, offset, line, column, charge))


def read_next(lexer: Lexer) -> tuple[Any, Span, int] | None:
    """The next datum of a lexer that is between data, as `read_one` gives it; the lexer knows then
    which directives were met.
    """
    offset, charge = lexer.pos, lexer.charge
    tokens: list[Token] = []
    owed = 1  # data still to come: `#;` owes one more
    for token in lexer.tokens():
        tokens.append(token)
        if len(tokens) % _CHARGE_EVERY == 0:
            charge(_CHARGE_EVERY * _TOKEN_STEPS)
        if token.type == "COMMENT" and not lexer.open:
            owed += 1
        elif token.type in ("ATOM", "CLOSE") and not lexer.open:
            owed -= 1
            if owed == 0:
                break
        elif token.type == "DOT" and not lexer.open:
            break
    charge((lexer.pos - offset) // _CHARACTERS)
    nodes = _parse(lexer, _paid(tokens, charge))
    return (nodes[0].value, nodes[0].span, lexer.pos) if nodes else None


def _paid(tokens: list[Token], charge: Charge) -> Iterator[Token]:
    """The tokens, charged for as they are parsed."""
    for at, token in enumerate(tokens, 1):
        if at % _CHARGE_EVERY == 0:
            charge(_CHARGE_EVERY * _TOKEN_STEPS)
        yield token


def is_incomplete(text: str) -> bool:
    """Whether `text` is right so far but ends inside a bracket, string, comment or quotation: more
    lines may come.
    """
    try:
        read_all(Source("input", text), None)
    except ReadError as error:
        return error.kind == "unclosed"
    return False


# -- the parser -----------------------------------------------------------------------------------

_parser: Any = None


def _parse(lexer: Lexer, tokens: Iterable[Token]) -> list[Any]:
    """The nodes of all data in `tokens`."""
    global _parser
    import lark

    if _parser is None:
        _parser = _build_parser()
    try:
        nodes: list[Any] = _parser.parse(tokens)
    except lark.exceptions.UnexpectedToken as error:
        token, stack = error.token, list(error.state.value_stack)
    else:
        return _resolve_labels(nodes) if lexer.labels else nodes
    return _misplaced(token, stack)


def _build_parser() -> Any:
    import importlib.resources

    import lark
    from lark.lexer import Lexer as LarkLexer

    class Feed(LarkLexer):
        """Hands the tokens of lexer.py on."""

        def __init__(self, conf: Any) -> None:
            pass

        def lex(self, tokens: Any, parser_state: Any = None) -> Iterator[Any]:
            return iter(tokens)

    grammar = importlib.resources.files("omega.lisp").joinpath("grammar.lark").read_text("utf-8")
    # `options.lexer` as a class: Lark neither builds a lexer nor compiles terminals.
    return lark.Lark(grammar, parser="lalr", lexer=Feed, transformer=_Builder())


def _misplaced(token: Any, stack: list[Any]) -> NoReturn:
    """Say why `token` cannot stand where it does. stack: what was read before it."""
    from omega.lisp.lexer import Token

    waiting = next(
        (v for v in reversed(stack) if isinstance(v, Token) and v.type not in ("ATOM", "CLOSE")),
        None,
    )
    kind = waiting.type if waiting is not None else ""
    if kind in ("PREFIX", "COMMENT", "LABEL") and waiting is not None:
        what = {"COMMENT": "#;", "LABEL": "#n="}.get(kind) or _PREFIX_TEXT[waiting.value.name]
        ended = token.type == "$END"
        raise ReadError(
            f"`{what}` must stand before a datum: {'the text ends' if ended else 'none follows'}",
            kind="unclosed" if ended else "read-error",
            span=waiting.span,
            hint="write a datum behind it, or remove it",
        )
    hint = DOT_HINT
    if token.type == "DOT":
        inside = kind == "OPEN"
        message = "a `.` can only stand inside a list, before its last datum"
        raise ReadError(message, span=token.span, hint=hint if inside or not kind else None)
    if kind == "DOT" and waiting is not None:
        few = token.type == "CLOSE"
        message = "nothing follows the `.`" if few else "more than one datum follows the `.`"
        raise ReadError(
            message,
            span=waiting.span if few else token.span,
            hint=hint,
            notes=[("the dot", waiting.span)],
        )
    raise ReadError("this cannot stand here", span=getattr(token, "span", None))


_PREFIX_TEXT = {"quote": "'", "quasiquote": "`", "unquote": ",", "unquote-splicing": ",@"}


def _join(first: Span, last: Span) -> Span:
    return Span(first.file, first.line, first.column, last.end_line, last.end_column)


def _chain(nodes: list[Any], tail: Any) -> Any:
    """The SourcePairs of `nodes`, ending in `tail`."""
    result = tail
    for node in reversed(nodes):
        pair = SourcePair()
        pair.car = node.value
        pair.cdr = result
        pair.car_span = node.span
        pair.span = None
        result = pair
    return result


class _Builder:
    """Lark's callbacks, one per rule alias of grammar.lark; each gets the values of the rule's
    symbols.
    """

    def start(self, parts: list[Any]) -> list[Any]:
        nodes: list[Any] = parts[0]
        return nodes

    def nothing(self, parts: list[Any]) -> list[Any]:
        return []

    def more(self, parts: list[Any]) -> list[Any]:
        nodes: list[Any] = parts[0]
        nodes.append(parts[1])
        return nodes

    def unchanged(self, parts: list[Any]) -> list[Any]:
        nodes: list[Any] = parts[0]
        return nodes

    def proper_list(self, parts: list[Any]) -> Node:
        opening, nodes, closing = parts
        span = _join(opening.span, closing.span)
        result = _chain(nodes, Nil)
        if nodes:
            result.span = span
        return Node(result, span)

    def dotted_list(self, parts: list[Any]) -> Node:
        opening, nodes, dot, _, last, _, closing = parts
        if not nodes:
            raise ReadError("nothing stands before the `.`", span=dot.span, hint=DOT_HINT)
        span = _join(opening.span, closing.span)
        result = _chain(nodes, last.value)
        result.span = span
        return Node(result, span)

    def vector(self, parts: list[Any]) -> Node:
        opening, nodes, closing = parts
        return Node([node.value for node in nodes], _join(opening.span, closing.span))

    def bytevector(self, parts: list[Any]) -> Node:
        opening, nodes, closing = parts
        for node in nodes:
            if type(node.value) is not int or not 0 <= node.value <= 255:
                raise ReadError(
                    "a bytevector holds integers from 0 to 255 only",
                    kind="bad-literal",
                    span=node.span,
                    hint="a vector, #(...), holds anything",
                )
        return Node(bytearray(n.value for n in nodes), _join(opening.span, closing.span))

    def hash_literal(self, parts: list[Any]) -> Node:
        opening, nodes, closing = parts
        span = _join(opening.span, closing.span)
        if len(nodes) % 2:
            raise ReadError(
                f"a hash table literal holds keys and values in turn, not {len(nodes)} data",
                span=opening.span,
                hint="write {key value key value ...}",
                notes=[("this key has no value", nodes[-1].span)],
            )
        pair = SourcePair()
        pair.car, pair.cdr = HASH_LITERAL, _chain(nodes, Nil)
        pair.span, pair.car_span = span, opening.span
        return Node(pair, span)

    def prefixed(self, parts: list[Any]) -> Node:
        prefix, _, node = parts
        span = _join(prefix.span, node.span)
        pair = SourcePair()
        pair.car, pair.cdr = prefix.value, _chain([node], Nil)
        pair.span, pair.car_span = span, prefix.span
        return Node(pair, span)

    def labelled(self, parts: list[Any]) -> Node:
        label, _, node = parts
        if node.value is label.value:
            raise ReadError(f"`#{label.value.number}=` labels nothing but itself", span=label.span)
        label.value.target = node.value
        return Node(node.value, _join(label.span, node.span))


def _resolve_labels(nodes: list[Any]) -> list[Any]:
    """Replace every `#n#` by what `#n=` stands before; walks the data with a stack."""

    from omega.lisp.lexer import Label

    def final(value: Any) -> Any:
        while type(value) is Label:
            value = value.target
        return value

    seen: set[int] = set()
    work: list[Any] = []
    for at, node in enumerate(nodes):
        nodes[at] = Node(final(node.value), node.span)
        work.append(nodes[at].value)
    while work:
        value = work.pop()
        if not isinstance(value, (Pair, list)) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Pair):
            value.car, value.cdr = final(value.car), final(value.cdr)
            work.append(value.cdr)
            work.append(value.car)
        else:
            value[:] = [final(item) for item in value]
            work.extend(value)
    return nodes


def strip_source(datum: Any, charge: Charge = free) -> Any:
    """The same data as plain pairs, and hash literals as tables: what `read` and `quote` give a
    program.

    Sharing and cycles (datum labels) are kept. charge: called with steps now and then.
    LispValueError when circular data is the key of a table.
    """
    from omega.lisp.table import HashTable

    made: dict[int, Any] = {}
    fills: list[tuple[HashTable, list[Any]]] = []
    work: list[Any] = []

    def plain(value: Any) -> Any:
        if not isinstance(value, Pair) and type(value) is not list:
            return value
        found = made.get(id(value))
        if found is None:
            if not isinstance(value, Pair):
                found = []
            else:
                found = HashTable() if value.car is HASH_LITERAL else Pair()
            made[id(value)] = found
            work.append((value, found))
        return found

    result = plain(datum)
    turns = 0
    while work:
        turns += 1
        if turns % _CHARGE_EVERY == 0:
            charge(_CHARGE_EVERY)
        value, copy = work.pop()
        if type(value) is list:
            copy.extend([plain(item) for item in value])
        elif isinstance(copy, HashTable):
            items: list[Any] = []
            value = value.cdr
            while isinstance(value, Pair):
                items.append(plain(value.car))
                value = value.cdr
            fills.append((copy, items))
        else:
            copy.car = plain(value.car)
            copy.cdr = plain(value.cdr)
    for table, items in reversed(fills):  # inner tables are met after the outer ones
        for at in range(0, len(items) - 1, 2):
            table.put(items[at], items[at + 1], charge)
    return result
