"""Patterns: from text to a tree.

Owns: the syntax, its limits, and every message about a pattern that cannot be.

    abc . \\d \\w \\s \\D \\W \\S [a-z_] [^"\\]] [[:alpha:]]   characters
    \\n \\t \\r \\f \\v \\a \\0 \\xHH \\uHHHH \\UHHHHHHHH, \\ before punctuation  escapes
    ^ $ \\A \\z \\Z \\b \\B                                  places
    (x) (?:x) (?<name>x) (?P<name>x) x|y                   groups, alternatives
    x* x+ x? x{m} x{m,} x{,n} x{m,n}, lazy with a ? after   repetition
    (?i) (?m) (?s) (?x) at the start, (?i-s:x) for a group    flags

Refuses: what no automaton can do in linear time (back-references, look-around, atomic groups,
possessive repetition), and says so. The meaning of what it takes is that of Python's `re`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from omega.errors import LispValueError
from omega.regex.atoms import POSIX, Atom, Member, category, dot, literal, members

PATTERN_MAX = 20_000  # characters
REPEAT_MAX = 1_000  # of a counted repetition
NESTING_MAX = 100  # groups within groups
GROUPS_MAX = 200
_CHARGED = 64  # pieces of a pattern read for a step

Charge = Callable[[int], None]


class RegexError(LispValueError):
    """A pattern that cannot be. pattern, position: where; position counts from 0."""

    kind = "regex-error"

    def __init__(self, problem: str, pattern: str, position: int, hint: str | None = None) -> None:
        first = max(0, position - 50)
        shown = "".join(
            char if char.isprintable() else " " for char in pattern[first : first + 100]
        )
        note = f"{shown}\n  {' ' * (position - first)}^"
        super().__init__(
            f"bad regular expression: {problem}, at character {position + 1} of the pattern",
            irritants=[pattern],
            hint=hint,
            notes=[(note, None)],
        )
        self.problem, self.pattern, self.position = problem, pattern, position


# -- the tree --------------------------------------------------------------------------------------


class Node:
    """A piece of a pattern. nullable: it may match nothing at all."""

    __slots__ = ("nullable",)
    nullable: bool


class Char(Node):
    __slots__ = ("atom",)

    def __init__(self, atom: Atom) -> None:
        self.atom, self.nullable = atom, False


class Place(Node):
    """kind: one of the PLACES."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind, self.nullable = kind, True


class Sequence(Node):
    __slots__ = ("items",)

    def __init__(self, items: list[Node]) -> None:
        self.items = items
        self.nullable = all(item.nullable for item in items)


class Either(Node):
    __slots__ = ("options",)

    def __init__(self, options: list[Node]) -> None:
        self.options = options
        self.nullable = any(option.nullable for option in options)


class Repeat(Node):
    """high: None is without end. at: where it stands in the pattern."""

    __slots__ = ("at", "body", "greedy", "high", "low")

    def __init__(self, body: Node, low: int, high: int | None, greedy: bool, at: int) -> None:
        self.body, self.low, self.high, self.greedy, self.at = body, low, high, greedy, at
        self.nullable = low == 0 or body.nullable


class Group(Node):
    __slots__ = ("body", "number")

    def __init__(self, body: Node, number: int) -> None:
        self.body, self.number, self.nullable = body, number, body.nullable


# What a place is in `re`, by its kind.
PLACES = {
    "text-start": r"\A",
    "text-end": r"\Z",
    "line-start": "(?m:^)",
    "line-end": "(?m:$)",
    "last-line-end": "$",
    "word-edge": r"\b",
    "no-word-edge": r"\B",
}

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}
_HEX = {"x": 2, "u": 4, "U": 8}
_COUNTS = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)>")
_FLAGS = re.compile(r"([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_LINEAR = "patterns are matched in linear time, which this construct does not allow"
_REFUSED = {
    "(?=": "look-ahead `(?=`",
    "(?!": "negative look-ahead `(?!`",
    "(?<=": "look-behind `(?<=`",
    "(?<!": "negative look-behind `(?<!`",
    "(?>": "the atomic group `(?>`",
    "(?P=": "the back-reference `(?P=`",
    "(?(": "the conditional `(?(`",
    "(?R": "recursion `(?R`",
    "(?&": "recursion `(?&`",
    "(?|": "the branch reset `(?|`",
}


class Parser:
    """One pattern. flags: those of "imsx" in force."""

    def __init__(self, pattern: str, flags: str = "", charge: Charge | None = None) -> None:
        if len(pattern) > PATTERN_MAX:
            problem = f"it is longer than {PATTERN_MAX:,} characters"
            raise RegexError(problem, pattern, PATTERN_MAX)
        self.text = pattern
        self.at = 0
        self.flags = frozenset(flags)
        self.names: dict[str, int] = {}
        self.groups = 0
        self.depth = 0
        self.charge = charge
        self.pieces = 0

    def parse(self) -> Node:
        text = self.text
        start = _FLAGS.match(text, 2) if text.startswith("(?") else None
        if start is not None and start[3] == ")" and start[2] is None and start[1]:
            self.flags |= self.known_flags(start[1], 2)
            self.at = start.end()
        tree = self.alternatives()
        if self.at < len(text):
            self.fail("this `)` closes nothing", self.at, r"a bracket itself is written \)")
        return tree

    def fail(self, problem: str, at: int, hint: str | None = None) -> RegexError:
        raise RegexError(problem, self.text, at, hint)

    def alternatives(self) -> Node:
        options = [self.sequence()]
        while self.text.startswith("|", self.at):
            self.at += 1
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Either(options)

    def sequence(self) -> Node:
        items: list[Node] = []
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char in "|)":
                break
            if "x" in self.flags and (char.isspace() or char == "#"):
                end = self.at + 1 if char != "#" else text.find("\n", self.at)
                self.at = end if end >= 0 else len(text)
                continue
            self.pieces += 1
            if self.charge is not None and self.pieces % _CHARGED == 0:
                self.charge(1)
            start = self.at
            item = self.piece(char)
            if item is not None:
                items.append(self.repeated(item, start))
        return items[0] if len(items) == 1 else Sequence(items)

    def piece(self, char: str) -> Node | None:
        at = self.at
        self.at += 1
        match char:
            case "(":
                return self.group(at)
            case "[":
                return Char(self.char_class(at))
            case "\\":
                return self.escape(at)
            case ".":
                return Char(dot("s" in self.flags))
            case "^":
                return Place("line-start" if "m" in self.flags else "text-start")
            case "$":
                return Place("line-end" if "m" in self.flags else "last-line-end")
            case "*" | "+" | "?":
                self.fail(
                    f"there is nothing before `{char}` to repeat", at, f"write \\{char} for itself"
                )
            case "{" if _counts(self.text, at) is not None:
                self.fail("there is nothing to repeat here", at, r"write \{ for itself")
        return Char(literal(char, "i" in self.flags))

    # -- repetition

    def repeated(self, item: Node, start: int) -> Node:
        text, at = self.text, self.skipped()
        quantifier = self.quantifier(at)
        if quantifier is None:
            return item
        low, high, end = quantifier
        if isinstance(item, Place):
            self.fail("a place cannot be repeated", at, "leave the repetition out")
        if high is not None and low > high:
            self.fail(f"{{{low},{high}}} has its counts the wrong way round", at)
        greedy = not text.startswith("?", end)
        self.at = end if greedy else end + 1
        if text.startswith("+", end):
            self.fail("possessive repetition is not supported", end, _LINEAR)
        again = self.skipped()
        if self.quantifier(again) is not None:
            self.fail("a repetition of a repetition", again, "put the first in (?:...)")
        return Repeat(item, low, high, greedy, start)

    def skipped(self) -> int:
        """Where the next piece stands: free spacing may come before a repetition."""
        at, text = self.at, self.text
        while "x" in self.flags and at < len(text) and (text[at].isspace() or text[at] == "#"):
            end = at + 1 if text[at] != "#" else text.find("\n", at)
            at = end if end >= 0 else len(text)
        return at

    def quantifier(self, at: int) -> tuple[int, int | None, int] | None:
        """(low, high, where it ends) of the repetition at `at`, if there is one."""
        match self.text[at : at + 1]:
            case "*":
                return 0, None, at + 1
            case "+":
                return 1, None, at + 1
            case "?":
                return 0, 1, at + 1
            case "{":
                found = _counts(self.text, at)
                if found is None:
                    return None
                low, comma, high = found.groups()
                for digits in (low, high):
                    if len(digits) > 6 or int(digits or 0) > REPEAT_MAX:
                        problem = f"more than {REPEAT_MAX:,} repetitions are not supported"
                        self.fail(problem, at, "use * or +, or check the length of the match")
                most = int(high) if high else None
                return int(low or 0), most if comma else int(low), found.end()
        return None

    # -- groups

    def group(self, at: int) -> Node | None:
        text, outer = self.text, self.flags
        number, name = 0, None
        if not text.startswith("?", self.at):
            number = self.next_group(at)
        elif text.startswith("?#", self.at):
            end = text.find(")", self.at)
            if end < 0:
                self.fail("this comment is never closed", at)
            self.at = end + 1
            return None
        elif text.startswith(("?<", "?P<"), self.at) and text[self.at + 2 : self.at + 3] not in (
            ("=", "!") if text.startswith("?<", self.at) else ()
        ):
            name = self.group_name(text.index("<", self.at) + 1)
            number = self.next_group(at)
            self.names[name] = number
        else:
            self.special(at)
        self.depth += 1
        if self.depth > NESTING_MAX:
            self.fail(f"groups are nested deeper than {NESTING_MAX}", at)
        body = self.alternatives()
        self.depth -= 1
        if not text.startswith(")", self.at):
            self.fail("this `(` is never closed", at, r"a bracket itself is written \(")
        self.at += 1
        self.flags = outer
        return Group(body, number) if number else body if _is_whole(body) else Sequence([body])

    def next_group(self, at: int) -> int:
        self.groups += 1
        if self.groups > GROUPS_MAX:
            self.fail(f"there are more than {GROUPS_MAX} groups", at, "(?:...) does not count")
        return self.groups

    def group_name(self, at: int) -> str:
        found = _NAME.match(self.text, at)
        if found is None:
            hint = "a name is made of letters, digits and _: (?<year>[0-9]+)"
            raise RegexError("this is no name of a group", self.text, at, hint)
        if found[1] in self.names:
            self.fail(f"the group name `{found[1]}` is used twice", at, "choose another")
        self.at = found.end()
        return found[1]

    def special(self, at: int) -> None:
        """`(?:` and `(?i-s:`; everything else that begins with `(?` is refused."""
        text = self.text
        for opening, what in _REFUSED.items():
            if text.startswith(opening, at):
                self.fail(f"{what} is not supported", at, _LINEAR)
        found = _FLAGS.match(text, at + 2)
        if found is None:
            hint = r"(?:...) groups, (?<name>...) names; a bracket itself is written \("
            raise RegexError(f"`{text[at : at + 3]}` is unknown", text, at, hint)
        if found[3] == ")":
            self.fail(
                "flags for the rest stand at the start of the pattern", at, "or write (?i:...)"
            )
        on = self.known_flags(found[1], at + 2)
        off = self.known_flags(found[2] or "", at + 2)
        self.flags = (self.flags | on) - off
        self.at = found.end()

    def known_flags(self, letters: str, at: int) -> frozenset[str]:
        for letter in letters:
            if letter not in "imsx":
                hint = (
                    "flags: i ignores case, m has lines, s lets . match line ends, x free spacing"
                )
                self.fail(f"the flag `{letter}` is unknown", at, hint)
        return frozenset(letters)

    # -- characters

    def escape(self, at: int) -> Node:
        letter = self.text[self.at : self.at + 1]
        places = {
            "b": "word-edge",
            "B": "no-word-edge",
            "A": "text-start",
            "z": "text-end",
            "Z": "text-end",
        }
        if letter in places and letter:
            self.at += 1
            return Place(places[letter])
        if letter and letter in "dDwWsS":
            self.at += 1
            return Char(category(letter))
        return Char(literal(self.escaped(at), "i" in self.flags))

    def escaped(self, at: int) -> str:
        """The character that the escape at `at` means."""
        text = self.text
        letter = text[at + 1 : at + 2]
        self.at = at + 2
        if not letter:
            self.fail("the pattern ends in a backslash", at, r"a backslash itself is written \\")
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter in _HEX:
            digits = text[self.at : self.at + _HEX[letter]]
            if len(digits) == _HEX[letter] and re.fullmatch("[0-9a-fA-F]+", digits):
                code = int(digits, 16)
                if code <= 0x10FFFF:
                    self.at += len(digits)
                    return chr(code)
            self.fail(
                f"`\\{letter}` needs {_HEX[letter]} hexadecimal digits", at, r"such as \u00e9"
            )
        if letter.isdecimal() or letter in "gk":
            what = f"the back-reference `\\{letter}`"
            self.fail(f"{what} is not supported", at, _LINEAR)
        if letter.isalnum():
            hint = r"known: \d \w \s \D \W \S \b \B \A \z \n \t \r \f \v \a \xHH \uHHHH"
            self.fail(f"`\\{letter}` is unknown", at, hint)
        return letter

    def char_class(self, at: int) -> Atom:
        text, items = self.text, list[Member]()
        negated = text.startswith("^", self.at)
        self.at += negated
        first = True
        while True:
            if self.at >= len(text):
                self.fail("this `[` is never closed", at, r"a bracket itself is written \[")
            if text[self.at] == "]" and not first:
                self.at += 1
                return members(items, negated, "i" in self.flags)
            first = False
            start = self.at
            item = self.member()
            # A hyphen at the end, or after or before a category, is one.
            if isinstance(item, str) and len(item) == 1 and not self.is_range():
                items.append((item, item))
            elif isinstance(item, str):
                self.at += 1
                high = self.member()
                if not isinstance(high, str) or high < item:
                    self.fail("this range is the wrong way round", start, r"a hyphen itself: \-")
                items.append((item, str(high)))
            else:
                if self.is_range():
                    self.fail("a range has a character at both ends", start, r"a hyphen itself: \-")
                items.extend(item)

    def is_range(self) -> bool:
        text, at = self.text, self.at
        return text.startswith("-", at) and at + 1 < len(text) and text[at + 1] != "]"

    def member(self) -> str | tuple[Member, ...]:
        """A character of a class, or the members that a category or a POSIX name stands for."""
        text, at = self.text, self.at
        char = text[at]
        if char == "[" and text.startswith("[:", at):
            end = text.find(":]", at)
            name = text[at + 2 : end] if end >= 0 else ""
            if name in POSIX:
                self.at = end + 2
                return POSIX[name]
            known = " ".join(POSIX)
            if end >= 0 and name.isalpha():
                self.fail(f"the class `[:{name}:]` is unknown", at, f"known: {known}")
        if char != "\\":
            self.at += 1
            return char
        letter = text[at + 1 : at + 2]
        if letter and letter in "dDwWsS":
            self.at += 2
            return (letter,)
        if letter == "b":
            self.at += 2
            return "\b"
        return self.escaped(at)


def _is_whole(body: Node) -> bool:
    """Whether a repetition after a group that only groups may take its body as it is."""
    return not isinstance(body, (Repeat, Place))


def _counts(text: str, at: int) -> re.Match[str] | None:
    """The counts {m,n} at `at`; anything else in braces is text, as in `re`."""
    found = _COUNTS.match(text, at)
    return found if found is not None and (found[1] or found[2]) else None
