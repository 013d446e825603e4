"""Regular expressions: omega/regex under Lisp names.

Owns: the primitives below, and the compiled patterns an interpreter keeps (`Patterns`).
Refuses: procedures as replacements, which may wait: library/regex.omega.

Wherever a pattern is expected, its text will do. The engine is loaded when a program first uses
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from omega.errors import LispIndexError, LispKeyError
from omega.lisp.data import Keyword, Symbol, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import string, wrong_type
from omega.lisp.primitives.registry import primitive
from omega.lisp.table import HashTable

if TYPE_CHECKING:
    from omega.regex import Match, Regex

PATTERNS_KEPT = 64  # compiled ones, by an interpreter, of those given as text
_COUNTED = 64  # matches between two charges for them
_REFERENCE = re.compile(r"\$(?:(\$)|([0-9]{1,3})|\{(\w{1,100})\})?")
_SPECIAL = re.compile(r"([\\.^$*+?{}\[\]()|#\s-])")


class Patterns:
    """What an interpreter knows of regular expressions: the engine's types, and the patterns it
    compiled last.
    """

    def __init__(self) -> None:
        from omega.regex import Match, Regex

        self.regex, self.match = Regex, Match
        self._kept: dict[tuple[str, str], Regex] = {}

    def compiled(self, pattern: str, flags: str, rt: Any) -> Regex:
        found = self._kept.get((pattern, flags))
        if found is None:
            found = self.regex(pattern, flags, rt.charge)
            if len(self._kept) >= PATTERNS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[pattern, flags] = found
        return found


def _patterns(rt: Any) -> Patterns:
    if rt.regexes is None:
        rt.regexes = Patterns()
    known: Patterns = rt.regexes
    return known


def _regex(name: str, x: Any, rt: Any) -> Regex:
    patterns = _patterns(rt)
    if type(x) is str:
        return patterns.compiled(x, "", rt)
    if type(x) is not patterns.regex:
        raise wrong_type(name, 1, "a regex or a pattern (a string)", x)
    return x


def _match(name: str, x: Any, rt: Any) -> Match:
    if type(x) is not _patterns(rt).match:
        raise wrong_type(name, 1, "a match", x)
    match: Match = x
    return match


# -- patterns -------------------------------------------------------------------------------------


@primitive("regex")
def regex(pattern: Any, flags: Any = "", *, rt: Any) -> Any:
    """(regex pattern [flags]) -> a compiled pattern, to be used wherever a pattern is.

    flags: a string of i (ignore case), m (^ and $ at every line), s (. matches line ends too), x
    (blanks and #-comments in the pattern are left out).
    """
    letters = string("regex", 2, flags)
    if type(pattern) is not str:
        return _regex("regex", pattern, rt)
    if not set(letters) <= set("imsx"):
        raise check.invalid("regex", 'expected flags among "imsx"', flags)
    return _patterns(rt).compiled(pattern, "".join(sorted(set(letters))), rt)


@primitive("regex?", result="bool")
def is_regex(x: Any, *, rt: Any) -> bool:
    """(regex? x) -> boolean: whether x is a compiled pattern."""
    return type(x) is _patterns(rt).regex


@primitive("regex-match?", result="bool")
def is_match(x: Any, *, rt: Any) -> bool:
    """(regex-match? x) -> boolean: whether x is a match, as regex-search gives it."""
    return type(x) is _patterns(rt).match


@primitive("regex-quote", result="string")
def regex_quote(s: Any, *, rt: Any) -> str:
    """(regex-quote s) -> string: the pattern that matches exactly s."""
    text = string("regex-quote", 1, s)
    check.size(rt, 2 * len(text), "characters")
    return _SPECIAL.sub(r"\\\1", text)


# -- searching ------------------------------------------------------------------------------------


@primitive("regex-match")
def regex_match(pattern: Any, s: Any, *, rt: Any) -> Any:
    """(regex-match pattern s) -> the match of the whole string, or #f."""
    compiled = _regex("regex-match", pattern, rt)
    return compiled.full_match(string("regex-match", 2, s), rt.charge) or False


@primitive("regex-search")
def regex_search(pattern: Any, s: Any, start: Any = None, *, rt: Any) -> Any:
    """(regex-search pattern s [start]) -> the first match at or after start, or #f."""
    compiled = _regex("regex-search", pattern, rt)
    text = string("regex-search", 2, s)
    first, _ = check.span("regex-search", 3, start, None, len(text), "string")
    return compiled.search(text, first, rt.charge) or False


def _matches(compiled: Regex, text: str, start: int, rt: Any) -> Iterator[Match]:
    """All matches; each is counted as work, and as an item."""
    for number, match in enumerate(compiled.search_all(text, start, rt.charge), 1):
        if number % _COUNTED == 0:
            rt.charge(_COUNTED)
            check.size(rt, number)
        yield match


@primitive("regex-search-all", result="list")
def regex_search_all(pattern: Any, s: Any, start: Any = None, *, rt: Any) -> Any:
    """(regex-search-all pattern s [start]) -> list: all matches, from left to right."""
    compiled = _regex("regex-search-all", pattern, rt)
    text = string("regex-search-all", 2, s)
    first, _ = check.span("regex-search-all", 3, start, None, len(text), "string")
    return to_list(list(_matches(compiled, text, first, rt)))


def _extract(match: Match, rt: Any) -> Any:
    groups = len(match.spans) - 1
    first, last = match.spans[0]
    check.spend(rt, (last - first) * max(groups, 1))
    if groups == 0:
        return match.group()
    texts = [_group(match, number) for number in range(1, groups + 1)]
    return texts[0] if groups == 1 else to_list(texts)


def _group(match: Match, number: int) -> Any:
    text = match.group(number)
    return False if text is None else text


@primitive("regex-extract")
def regex_extract(pattern: Any, s: Any, *, rt: Any) -> Any:
    """(regex-extract pattern s) -> string, list or #f: of the first match, what its group matched;
    a list of them if the pattern has several groups; the whole match if it has none.

    So (regex-extract "score: (\\\\d+)" "score: 42") gives "42".
    """
    compiled = _regex("regex-extract", pattern, rt)
    found = compiled.search(string("regex-extract", 2, s), 0, rt.charge)
    return False if found is None else _extract(found, rt)


@primitive("regex-extract-all", result="list")
def regex_extract_all(pattern: Any, s: Any, *, rt: Any) -> Any:
    """(regex-extract-all pattern s) -> list: of every match, what regex-extract gives of the
    first.
    """
    compiled = _regex("regex-extract-all", pattern, rt)
    text = string("regex-extract-all", 2, s)
    return to_list([_extract(match, rt) for match in _matches(compiled, text, 0, rt)])


@primitive("regex-split", result="list")
def regex_split(pattern: Any, s: Any, limit: Any = None, *, rt: Any) -> Any:
    """(regex-split pattern s [limit]) -> list: the parts of s between matches, at most limit splits
    (what groups matched is not among them).
    """
    compiled = _regex("regex-split", pattern, rt)
    text = string("regex-split", 2, s)
    most = None if limit is None or limit is False else check.natural("regex-split", 3, limit)
    parts, at = [], 0
    for number, match in enumerate(_matches(compiled, text, 0, rt)):
        if number == most:
            break
        first, last = match.spans[0]
        parts.append(text[at:first])
        at = last
    parts.append(text[at:])
    check.spend(rt, len(text))
    return to_list(parts)


# -- replacing ------------------------------------------------------------------------------------


@primitive("%regex-replace", result="string")
def regex_replace(name: Any, pattern: Any, s: Any, replacement: Any, limit: Any, *, rt: Any) -> str:
    """(%regex-replace name pattern s replacement limit) -> string: s with `limit` matches (#f: all)
    replaced by a template; what `name` does when its replacement is a string.
    """
    name = string("%regex-replace", 1, name)
    compiled = _regex(name, pattern, rt)
    text = string(name, 2, s)
    template = _template(name, compiled, string(name, 3, replacement), rt)
    parts: list[str] = []
    at = size = 0
    for number, match in enumerate(_matches(compiled, text, 0, rt)):
        if limit is not False and number == limit:
            break
        first, last = match.spans[0]
        filled = "".join(
            [part if type(part) is str else match.group(part) or "" for part in template]  # type: ignore[arg-type]
        )
        parts += (text[at:first], filled)
        size += len(filled)
        at = last
        if size > _COUNTED:
            check.size(rt, len(text) + size, "characters")
    parts.append(text[at:])
    check.spend(rt, len(text) + size)
    return "".join(parts)


def _template(name: str, compiled: Regex, text: str, rt: Any) -> list[str | int]:
    """The texts and group numbers a replacement consists of."""
    check.spend(rt, len(text))
    parts: list[str | int] = []
    at = 0
    for found in _REFERENCE.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        dollar, number, group = found.groups()
        if dollar:
            parts.append("$")
        elif number is None and group is None:
            raise check.invalid(
                name, f"cannot read the replacement at character {found.start() + 1}: $ stands "
                "before a group (write $1, ${name}, or $$ for a dollar sign)"
            )  # fmt: skip
        else:
            parts.append(_number_of(name, compiled, int(number) if number else group))
    parts.append(text[at:])
    return [part for part in parts if part != ""]


@primitive("%regex-matches", result="list")
def regex_matches(name: Any, pattern: Any, s: Any, limit: Any, *, rt: Any) -> Any:
    """(%regex-matches name pattern s limit) -> list: the first `limit` matches (#f: all), for
    `name`.
    """
    name = string("%regex-matches", 1, name)
    compiled = _regex(name, pattern, rt)
    found: list[Any] = []
    for match in _matches(compiled, string(name, 2, s), 0, rt):
        if limit is not False and len(found) == limit:
            break
        found.append(match)
    return to_list(found)


# -- matches --------------------------------------------------------------------------------------


def _number_of(name: str, compiled: Regex, group: Any) -> int:
    """The number of a group given by number or name."""
    if type(group) is int:
        if not 0 <= group <= compiled.groups:
            shown = min(group, 10**9) if group > 0 else group
            groups = f"groups 0 to {compiled.groups}" if compiled.groups else "no groups"
            raise LispIndexError(
                f"`{name}` found no group {shown}: the pattern has {groups}",
                hint="group 0 is the whole match; a group is made by round brackets",
            )
        return group
    key = group.name if isinstance(group, (Symbol, Keyword)) else group
    if type(key) is not str:
        raise wrong_type(name, 2, "a group (its number or its name)", group)
    if key not in compiled.names:
        known = ", ".join(compiled.names) or "none"
        raise LispKeyError(
            f"`{name}` found no group named `{key[:60]}`", hint=f"names of the pattern: {known}"
        )
    return compiled.names[key]


@primitive("regex-match-group")
def regex_match_group(match: Any, group: Any = 0, *, rt: Any) -> Any:
    """(regex-match-group match [group]) -> string or #f: what a group (by number or name) matched;
    #f when it took no part; the whole match without a group.
    """
    found = _match("regex-match-group", match, rt)
    number = _number_of("regex-match-group", found.regex, group)
    first, last = found.spans[number]
    check.spend(rt, last - first)
    return _group(found, number)


def _spend_groups(match: Match, rt: Any) -> None:
    """Charge for copying what all groups matched: each may be all of the text."""
    check.spend(rt, sum(last - first for first, last in match.spans[1:]))


@primitive("regex-match-groups", result="list")
def regex_match_groups(match: Any, *, rt: Any) -> Any:
    """(regex-match-groups match) -> list: what groups 1, 2, ... matched, #f for those that took no
    part.
    """
    found = _match("regex-match-groups", match, rt)
    _spend_groups(found, rt)
    return to_list([_group(found, number) for number in range(1, len(found.spans))])


@primitive("regex-match-table")
def regex_match_table(match: Any, *, rt: Any) -> HashTable:
    """(regex-match-table match) -> hash table: the name of each named group (a string) with what it
    matched, #f for one that took no part.
    """
    found = _match("regex-match-table", match, rt)
    _spend_groups(found, rt)
    return HashTable([(n, _group(found, number)) for n, number in found.regex.names.items()])


def _edge(name: str, match: Any, group: Any, edge: int, rt: Any) -> Any:
    found = _match(name, match, rt)
    at = found.spans[_number_of(name, found.regex, group)][edge]
    return False if at < 0 else at


@primitive("regex-match-start")
def regex_match_start(match: Any, group: Any = 0, *, rt: Any) -> Any:
    """(regex-match-start match [group]) -> integer or #f: the index where the match, or the group,
    begins.
    """
    return _edge("regex-match-start", match, group, 0, rt)


@primitive("regex-match-end")
def regex_match_end(match: Any, group: Any = 0, *, rt: Any) -> Any:
    """(regex-match-end match [group]) -> integer or #f: the index after the last character of the
    match, or of the group.
    """
    return _edge("regex-match-end", match, group, 1, rt)
