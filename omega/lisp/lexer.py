"""From text to tokens: one master regular expression, exact positions, brackets matched as they
come.

Owns: everything about characters: blanks, comments (nested `#| |#` too), strings, characters,
names, keywords, numbers, `#` syntax, the `#!` first line; and bracket matching, so that an
unclosed bracket is reported where it was OPENED and a stray one beside what it would have to close.
Refuses: knowing what tokens combine to (grammar.lark) and importing Lark.

A token's `value` is the finished datum of an atom, so the parser only builds compounds.

Invariant: tokens come out in the order of the text and errors too: whatever is wrong first is
reported first, and `unclosed` only when the text ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from omega.errors import LimitExceeded, ReadError, Source, Span
from omega.lisp.data import CHAR_NAMES, Char, Keyword, Symbol, is_scalar
from omega.lisp.numbers import Charge, free, parse_number


class Token:
    """type: a terminal of grammar.lark. value: the datum of an ATOM, the symbol of a PREFIX, the
    Label of a LABEL.
    """

    __slots__ = ("span", "type", "value")
    # What Lark's end-of-input token borrows from the last one.
    start_pos = line = column = end_line = end_column = end_pos = 0

    def __init__(self, type: str, value: Any, span: Span) -> None:
        self.type = type
        self.value = value
        self.span = span


class Label:
    """The place `#n#` stands for until `#n=`'s datum is known."""

    __slots__ = ("number", "target")

    def __init__(self, number: int) -> None:
        self.number = number
        self.target: Any = self


_ATOM_CHARS = r"""[^\s()\[\]{}"';`,|]"""
_MASTER = re.compile(
    rf"""[ \t]*(?:
      (?P<skip>(?:\s+|;[^\n]*)+)
    | (?P<open>[(\[])
    | (?P<close>[)\]}}])
    | (?P<name>(?:[a-zA-Z!$%&*/<=>?^_~]|[-+](?![0-9.iInN])){_ATOM_CHARS}*)
    | (?P<integer>-?[0-9]{{1,500}}(?=[\s()\[\]{{}}"';`,|]|\Z))
    | (?P<string>"[^"\\\r]*")
    | (?P<keyword>:{_ATOM_CHARS}+)
    | (?P<prefix>,@|['`,])
    | (?P<special>["#|{{]|:\|)
    | (?P<atom>{_ATOM_CHARS}+)
    )""",
    re.VERBOSE,
)
_REST = re.compile(_ATOM_CHARS + "*")
_STRING_PART = re.compile(r'[^"\\\r]+')
_BAR_PART = re.compile(r"[^|\\]+")
_HEX_ESCAPE = re.compile(r"[xX]([0-9a-fA-F]+);")
_LINE_CONTINUATION = re.compile(r"[ \t]*(?:\r?\n|\r)[ \t]*")
_COMMENT_MARK = re.compile(r"#\||\|#")
_LABEL = re.compile(r"#([0-9]{1,9})([=#])")
_DIRECTIVE = re.compile(r"#!([a-zA-Z][^\s()\[\]{}\"';`,|]*)")
_REAL = r"(?:[0-9]+(?:/[0-9]+|\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?"
_SPECIAL = r"[-+](?:inf|nan)\.0"
_COMPLEX = re.compile(
    rf"(?:[-+]?{_REAL}|{_SPECIAL})?(?:[-+](?:{_REAL})?i|{_SPECIAL}i|@(?:[-+]?{_REAL}|{_SPECIAL}))\Z",
    re.IGNORECASE,
)
_HEX = re.compile(r"[xX]([0-9a-fA-F]{1,8})\Z")
_NUMBER_LIKE = re.compile(r"[-+]?\.?[0-9]")

_CLOSER = {"(": ")", "[": "]", "{": "}"}
_ESCAPES = {
    "a": "\a", "b": "\b", "t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\", "|": "|"
}  # fmt: skip
_NO_CHARACTER = "the codes of characters are 0 to D7FF and E000 to 10FFFF"
_PREFIXES = {
    "'": Symbol.of("quote"),
    "`": Symbol.of("quasiquote"),
    ",": Symbol.of("unquote"),
    ",@": Symbol.of("unquote-splicing"),
}
_ODD_NAMES = {".", "1+", "1-", "-1+"}  # begin like numbers, yet are names (or the dot)


class Lexer:
    """Tokens of `source` from character `offset` on, where line and column are `line` and `column`.

    pos: where the next token is looked for. open: brackets still open, as (character, Span).
    charge: called with the steps that a long number is worth. fold_case: whether names are folded,
    because of a directive in front of `offset`.
    """

    def __init__(
        self,
        source: Source,
        offset: int = 0,
        line: int = 1,
        column: int = 1,
        charge: Charge = free,
        fold_case: bool = False,
    ) -> None:
        self.charge = charge
        self.text = source.text
        self.file = source.name
        self.pos = offset
        self.line = line
        self.line_start = offset - (column - 1)
        self.open: list[tuple[str, Span]] = []
        self.labels: dict[int, Label] = {}
        self.fold_case = fold_case
        if offset == 0:
            if self.text.startswith("\ufeff"):
                self.pos = 1
            if self.text.startswith("#!", self.pos) and not _DIRECTIVE.match(self.text, self.pos):
                end = self.text.find("\n", self.pos)
                self.pos = len(self.text) if end < 0 else end

    def span(self, start: int, end: int) -> Span:
        """The span of text[start:end]; `start` lies on the current line. Moves on to the line of
        `end`.
        """
        line, column = self.line, start - self.line_start + 1
        breaks = self.text.count("\n", start, end)
        if breaks:
            self.line += breaks
            self.line_start = self.text.rfind("\n", start, end) + 1
        return Span(self.file, line, column, self.line, end - self.line_start + 1)

    def tokens(self) -> Iterator[Token]:
        """All tokens to the end of the text. Raises ReadError at the first mistake."""
        text, file, match, open_ = self.text, self.file, _MASTER.match, self.open
        symbol_of, keyword_of = Symbol.of, Keyword.of
        while True:
            found = match(text, self.pos)
            if found is None:
                break
            kind = found.lastgroup
            end = found.end()
            self.pos = end
            if kind == "skip":
                if text.count("\n", found.start(), end):
                    self.line += text.count("\n", found.start(), end)
                    self.line_start = text.rfind("\n", found.start(), end) + 1
                continue
            assert kind is not None
            piece = found.group(kind)
            line = self.line
            column = end - len(piece) - self.line_start + 1
            span = Span(file, line, column, line, column + len(piece))
            if kind == "name":
                yield Token("ATOM", symbol_of(piece.casefold() if self.fold_case else piece), span)
            elif kind == "open":
                open_.append((piece, span))
                yield Token("OPEN", None, span)
            elif kind == "close":
                self._close(piece, span)
                yield Token("CLOSE", None, span)
            elif kind == "integer":
                yield Token("ATOM", int(piece), span)
            elif kind == "string":
                yield Token("ATOM", piece[1:-1], self.span(end - len(piece), end))
            elif kind == "keyword":
                name = piece[1:].casefold() if self.fold_case else piece[1:]
                yield Token("ATOM", keyword_of(name), span)
            elif kind == "prefix":
                yield Token("PREFIX", _PREFIXES[piece], span)
            elif kind == "atom":
                yield self._atom(piece, span)
            else:
                token = self._special(piece, end - len(piece))
                if token is not None:
                    yield token
        self._end()

    def _end(self) -> None:
        """The text has ended: nothing may be open."""
        if not self.open:
            return
        bracket, span = self.open[-1]
        notes = [("opened here", span)]
        if len(self.open) > 1:
            notes.append(("the outermost open bracket", self.open[0][1]))
        missing = "".join(_CLOSER[opener[-1]] for opener, _ in reversed(self.open[-20:]))
        hint = f"add `{missing}`"
        line = self._begins_anew(self.open[0][1])
        if line is not None:
            hint += f"; line {line} begins like a form of its own: is it missing before that?"
        raise ReadError(
            f"`{bracket}` is never closed",
            kind="unclosed",
            span=span,
            hint=hint,
            notes=notes,
        )

    def _begins_anew(self, opened: Span) -> int | None:
        """The first line after that of an open bracket on which a bracket opens at the margin,
        though the open one stands there, too.
        """
        if opened.column != 1:
            return None
        line, at = 1, 0
        while (at := self.text.find("\n", at) + 1) > 0:
            line += 1
            if line > opened.line and self.text.startswith(("(", "["), at):
                return line
        return None

    # -- brackets and atoms -----------------------------------------------------------------------

    def _close(self, bracket: str, span: Span) -> None:
        if not self.open:
            raise ReadError(
                f"`{bracket}` closes nothing",
                kind="stray-bracket",
                span=span,
                hint="remove it, or look for a bracket that closed too early above",
            )
        opener, opened = self.open.pop()
        wanted = _CLOSER[opener[-1]]
        if bracket != wanted:
            raise ReadError(
                f"`{bracket}` cannot close `{opener}`, which needs `{wanted}`",
                kind="stray-bracket",
                span=span,
                notes=[("opened here", opened)],
                hint=f"close it with `{wanted}`, or look for a bracket that is missing before",
            )

    def _atom(self, piece: str, span: Span) -> Token:
        """A name or number that the quick alternatives left over."""
        if piece == ".":
            return Token("DOT", None, span)
        number = self._number(piece, span)
        if number is not None:
            return Token("ATOM", number, span)
        if piece not in _ODD_NAMES:
            first = piece[0]
            if _COMPLEX.match(piece):
                self._refuse_complex(piece, span)
            if _NUMBER_LIKE.match(piece):
                raise ReadError(
                    f"`{_short(piece)}` begins like a number but is none",
                    kind="bad-literal",
                    span=span,
                    hint=f"a name that begins with a digit is written |{_short(piece)}|",
                )
            if ord(first) < 32 or ord(first) == 127:
                raise ReadError(
                    f"unexpected character U+{ord(first):04X}",
                    span=span,
                    hint="is this a file of text? Such characters are written \\x41; in strings",
                )
        return Token("ATOM", Symbol.of(piece.casefold() if self.fold_case else piece), span)

    def _number(self, piece: str, span: Span) -> Any:
        try:
            return parse_number(piece, charge=self.charge)
        except LimitExceeded as error:
            if error.limit != "number-size":
                raise  # the program's own limit
            message = f"`{_short(piece)}` is too large: {error.message}"
            raise ReadError(message, kind="bad-literal", span=span) from None

    def _refuse_complex(self, piece: str, span: Span) -> NoReturn:
        raise ReadError(
            f"`{_short(piece)}` is a complex number, and Omega has none",
            kind="bad-literal",
            span=span,
            hint=f"as a name, write |{_short(piece)}|; as two numbers, use a pair",
        )

    def _fail(
        self, kind: str, message: str, start: int, end: int, hint: str | None = None
    ) -> NoReturn:
        raise ReadError(message, kind=kind, span=self.span(start, end), hint=hint)

    # -- strings, |names| and `#` -----------------------------------------------------------------

    def _special(self, piece: str, start: int) -> Token | None:
        if piece == "{":
            span = self.span(start, start + 1)
            self.open.append(("{", span))
            return Token("BRACE", None, span)
        if piece == '"':
            value = self._quoted(start, start + 1, '"', _STRING_PART)
            return Token("ATOM", value, self.span(start, self.pos))
        if piece == "|":
            value = self._quoted(start, start + 1, "|", _BAR_PART)
            return Token("ATOM", Symbol.of(value), self.span(start, self.pos))
        if piece == ":|":
            value = self._quoted(start, start + 2, "|", _BAR_PART)
            return Token("ATOM", Keyword.of(value), self.span(start, self.pos))
        return self._hash(start)

    def _quoted(self, start: int, at: int, quote: str, part: re.Pattern[str]) -> str:
        """The contents from `at` to the closing `quote`; self.pos goes behind it."""
        text, pieces, size = self.text, [], len(self.text)
        while at < size:
            found = part.match(text, at)
            if found is not None:
                pieces.append(found.group())
                at = found.end()
                continue
            char = text[at]
            if char == quote:
                self.pos = at + 1
                return "".join(pieces)
            if char == "\r":  # R7RS: every line ending in a literal is one newline
                pieces.append("\n")
                at += 2 if text.startswith("\r\n", at) else 1
                continue
            value, at = self._escape(start, at)
            pieces.append(value)
        what = "string" if quote == '"' else "name"
        opening = text[start : start + 1 if quote == '"' else text.index("|", start) + 1]
        return self._fail(
            "unclosed",
            f"this {what} is never closed",
            start,
            start + len(opening),
            f"add `{quote}` where it ends",
        )

    def _escape(self, start: int, at: int) -> tuple[str, int]:
        """What the backslash at `at` stands for, and where the text goes on."""
        text = self.text
        char = text[at + 1 : at + 2]
        if char in _ESCAPES and char:
            return _ESCAPES[char], at + 2
        found = _HEX_ESCAPE.match(text, at + 1)
        if found is not None:
            code = int(found.group(1)[-8:], 16) if len(found.group(1)) < 9 else 0x110000
            if is_scalar(code):
                return chr(code), found.end()
            self._bad_escape(start, at, found.end(), _NO_CHARACTER)
        found = _LINE_CONTINUATION.match(text, at + 1)
        if found is not None:
            return "", found.end()
        if not char:
            return "", at + 1  # the text ends: the caller reports the string
        hint = (
            r"a character by its code is \x41; with the semicolon"
            if char in "xXuU"
            else r"known are \a \b \t \n \r \" \\ \| \x41; and a line's end; a backslash is \\"
        )
        return self._bad_escape(start, at, at + 2, hint)

    def _bad_escape(self, start: int, at: int, end: int, hint: str) -> NoReturn:
        self.span(start, at)  # moves on to the escape's line
        self._fail("bad-literal", f"unknown escape `{self.text[at:end]}`", at, end, hint)

    def _hash(self, start: int) -> Token | None:
        """What begins with `#` at `start`."""
        text = self.text
        char = text[start + 1 : start + 2]
        if char == "(" or char == "[":
            return self._opened("VECTOR", start, start + 2)
        if char == ";":
            self.pos = start + 2
            return Token("COMMENT", None, self.span(start, self.pos))
        if char == "|":
            self._block_comment(start)
            return None
        if char == "\\":
            return self._character(start)
        if char == "!":
            self._directive(start)
            return None
        if char.isdigit():
            label = _LABEL.match(text, start)
            if label is not None:
                return self._label(label)
        rest = _REST.match(text, start + 1)
        assert rest is not None
        word = text[start : rest.end()]
        if word in ("#u8", "#U8") and text[rest.end() : rest.end() + 1] in ("(", "["):
            return self._opened("BYTES", start, rest.end() + 1)
        self.pos = rest.end()
        span = self.span(start, self.pos)
        lower = word.lower()
        if lower in ("#t", "#true"):
            return Token("ATOM", True, span)
        if lower in ("#f", "#false"):
            return Token("ATOM", False, span)
        return self._hash_number(word, span)

    def _hash_number(self, word: str, span: Span) -> Token:
        if word[1:2] in tuple("bodxeiBODXEI"):
            number = self._number(word, span)
            if number is not None:
                return Token("ATOM", number, span)
            if _COMPLEX.match(word[2:]):
                self._refuse_complex(word, span)
            raise ReadError(
                f"`{_short(word)}` is no number",
                kind="bad-literal",
                span=span,
                hint="numbers in another base are written #xff, #o17, #b101",
            )
        if word.startswith("#<"):
            raise ReadError(
                f"`{_short(word)}` shows an object that has no written form: it cannot be read",
                kind="bad-literal",
                span=span,
                hint="write the expression that makes it",
            )
        raise ReadError(
            f"unknown syntax `{_short(word)}`",
            kind="bad-literal",
            span=span,
            hint=r"known are #t #f #( #u8( #\a #; #| |# #b #o #d #x #e #i #0= #0#",
        )

    def _opened(self, type_: str, start: int, end: int) -> Token:
        self.pos = end
        span = self.span(start, end)
        self.open.append((self.text[start:end], span))
        return Token(type_, None, span)

    def _block_comment(self, start: int) -> None:
        depth, at = 1, start + 2
        while depth:
            mark = _COMMENT_MARK.search(self.text, at)
            if mark is None:
                self._fail(
                    "unclosed",
                    "this comment is never closed",
                    start,
                    start + 2,
                    "add `|#` where it ends",
                )
            depth += 1 if mark.group() == "#|" else -1
            at = mark.end()
        self.pos = at
        self.span(start, at)

    def _character(self, start: int) -> Token:
        text = self.text
        first = text[start + 2 : start + 3]
        if not first:
            self._fail("unclosed", r"`#\` names no character", start, start + 2)
        rest = _REST.match(text, start + 2)
        assert rest is not None
        end = max(rest.end(), start + 3)
        self.pos = end
        name = text[start + 2 : end]
        span = self.span(start, end)
        if len(name) == 1:
            return Token("ATOM", Char.of(name), span)
        value = CHAR_NAMES.get(name.casefold() if self.fold_case else name)
        code = _HEX.match(name)
        hint = r"names are alarm backspace delete escape newline null return space tab, or #\x41"
        if code is not None and value is None:
            if is_scalar(int(code.group(1), 16)):
                value = chr(int(code.group(1), 16))
            else:
                hint = _NO_CHARACTER
        if value is not None:
            return Token("ATOM", Char.of(value), span)
        raise ReadError(
            f"`#\\{_short(name)}` names no character",
            kind="bad-literal",
            span=span,
            hint=hint,
        )

    def _directive(self, start: int) -> None:
        found = _DIRECTIVE.match(self.text, start)
        end = found.end() if found else start + 2
        name = found.group(1) if found else ""
        self.pos = end
        span = self.span(start, end)
        if name in ("fold-case", "no-fold-case"):
            self.fold_case = name == "fold-case"
            return
        raise ReadError(
            f"unknown directive `#!{_short(name)}`",
            kind="bad-literal",
            span=span,
            hint="known are #!fold-case and #!no-fold-case; a script's #! line must be its first",
        )

    def _label(self, found: re.Match[str]) -> Token:
        self.pos = found.end()
        span = self.span(found.start(), found.end())
        number = int(found.group(1))
        if found.group(2) == "=":
            label = self.labels[number] = Label(number)
            return Token("LABEL", label, span)
        known = self.labels.get(number)
        if known is None:
            raise ReadError(
                f"`#{number}#` refers to a label that is not defined before it",
                kind="bad-literal",
                span=span,
                hint=f"`#{number}=` before a datum defines it",
            )
        return Token("ATOM", known, span)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
