"""Strings: R7RS 6.7, and what programs need of SRFI 13/130.

Owns: everything on strings that calls no procedure. Strings are immutable: string-set! and friends
say so. Refuses: formats, which have their module.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from omega.errors import LispValueError
from omega.lisp.data import Char, Symbol, to_list
from omega.lisp.primitives import check
from omega.lisp.primitives.check import FREE_ITEMS, string, wrong_type
from omega.lisp.primitives.registry import primitive

_FEW = 64  # characters to trim that are found at once

# -- making and taking apart ----------------------------------------------------------------------


def _char(name: str, position: int, x: Any) -> str:
    if type(x) is not Char:
        raise wrong_type(name, position, "a character", x)
    return x.value


def _long(name: str, s: Any, rt: Any) -> str:
    """A string as first argument, all of which is worked on."""
    text = s if type(s) is str else string(name, 1, s)
    if len(text) > FREE_ITEMS:
        check.spend(rt, len(text))
    return text


@primitive("string?", result="bool")
def is_string(x: Any) -> bool:
    """(string? x) -> boolean: whether x is a string."""
    return type(x) is str


@primitive("make-string", result="string")
def make_string(n: Any, char: Any = None, *, rt: Any) -> str:
    """(make-string n [char]) -> string: n times the character, a space unless given."""
    count = check.natural("make-string", 1, n)
    text = " " if char is None else _char("make-string", 2, char)
    check.size(rt, count, "characters")
    return text * count


@primitive("string", result="string")
def string_(*parts: Any, rt: Any) -> str:
    """(string x ...) -> string: the characters as a string; other objects as `display` shows
    them.
    """
    if len(parts) > FREE_ITEMS:
        check.spend_each(rt, len(parts))
    for part in parts:
        if type(part) is not Char:
            break
    else:
        return "".join([part.value for part in parts])
    return "".join([_shown(part, rt) for part in parts])


def _shown(x: Any, rt: Any) -> str:
    if type(x) is str:
        return x
    from omega.lisp.printer import display_string

    text = display_string(x, characters_max=rt.limits.alloc_items, charge=rt.charge)
    check.spend(rt, len(text))
    return text


@primitive("string-length", result="int")
def string_length(s: Any) -> int:
    """(string-length s) -> integer: how many characters it has."""
    return len(string("string-length", 1, s))


@primitive("string-ref", result="char")
def string_ref(s: Any, k: Any) -> Char:
    """(string-ref s k) -> character k of the string, counting from 0."""
    text = string("string-ref", 1, s)
    return Char.of(text[check.index("string-ref", 2, k, len(text), "string")])


@primitive("substring", result="string")
def substring(s: Any, start: Any, end: Any = None, *, rt: Any) -> str:
    """(substring s start [end]) -> string: the characters from start to before end."""
    return _part("substring", s, start, end, rt)


@primitive("string-copy", result="string")
def string_copy(s: Any, start: Any = None, end: Any = None, *, rt: Any) -> str:
    """(string-copy s [start [end]]) -> string: the characters from start to before end."""
    return _part("string-copy", s, start, end, rt)


def _part(name: str, s: Any, start: Any, end: Any, rt: Any) -> str:
    text = s if type(s) is str else string(name, 1, s)
    first, last = check.span(name, 2, start, end, len(text), "string")
    if last - first > FREE_ITEMS:
        check.spend(rt, last - first)
    return text[first:last]


def _joined(parts: Sequence[str], between: str, rt: Any) -> str:
    text_size = len(between) * (len(parts) - 1) if between and parts else 0
    check.size(rt, text_size + sum(map(len, parts)), "characters")
    if len(parts) > FREE_ITEMS:
        check.spend_each(rt, len(parts))
    return between.join(parts)


@primitive("string-append", result="string")
def string_append(*strings: Any, rt: Any) -> str:
    """(string-append s ...) -> string: all strings in one."""
    for part in strings:
        if type(part) is not str:
            at = next(at for at, each in enumerate(strings, 1) if each is part)
            raise wrong_type("string-append", at, "a string", part)
    return _joined(strings, "", rt)


@primitive("string-concatenate", result="string")
def string_concatenate(strings: Any, *, rt: Any) -> str:
    """(string-concatenate list) -> string: all strings of a list in one."""
    return string_join(strings, "", rt=rt)


_GRAMMARS = ("infix", "strict-infix", "suffix", "prefix")


@primitive("string-join", result="string")
def string_join(strings: Any, between: Any = " ", grammar: Any = None, *, rt: Any) -> str:
    """(string-join list [between [grammar]]) -> string: the strings of a list or vector in one,
    with `between` (a space) between them; behind or before each for the grammars 'suffix and
    'prefix. 'infix is the default; 'strict-infix refuses an empty list."""
    if type(strings) is list:
        items = strings.copy()  # another task may change it while the work is charged for
    else:
        items = check.proper_list("string-join", 1, strings, rt)
    for item in items:
        if type(item) is not str:
            raise wrong_type("string-join", 1, "a list of strings", strings)
    glue = between if type(between) is str else string("string-join", 2, between)
    text = _joined(items, glue, rt)
    if grammar is None:
        return text
    kind = grammar.name if type(grammar) is Symbol else None
    if kind not in _GRAMMARS:
        raise wrong_type("string-join", 3, "infix, strict-infix, suffix or prefix", grammar)
    if kind == "strict-infix" and not items:
        raise check.invalid("string-join", "expected a string at least, for strict-infix", strings)
    if kind in ("infix", "strict-infix") or not items:
        return text
    return text + glue if kind == "suffix" else glue + text


@primitive("string-repeat", result="string")
def string_repeat(s: Any, n: Any, *, rt: Any) -> str:
    """(string-repeat s n) -> string: n times the string."""
    text = string("string-repeat", 1, s)
    count = check.natural("string-repeat", 2, n)
    check.size(rt, len(text) * count, "characters")
    return text * count if text else ""


@primitive("string-reverse", result="string")
def string_reverse(s: Any, *, rt: Any) -> str:
    """(string-reverse s) -> string: its characters, the last first."""
    return _long("string-reverse", s, rt)[::-1]


@primitive("string->list", result="list")
def string_to_list(s: Any, start: Any = None, end: Any = None, *, rt: Any) -> Any:
    """(string->list s [start [end]]) -> list: its characters from start to before end."""
    return to_list(_characters("string->list", s, start, end, rt))


@primitive("string->vector", result="vector")
def string_to_vector(s: Any, start: Any = None, end: Any = None, *, rt: Any) -> list[Char]:
    """(string->vector s [start [end]]) -> vector: its characters from start to before end."""
    return _characters("string->vector", s, start, end, rt)


def _characters(name: str, s: Any, start: Any, end: Any, rt: Any) -> list[Char]:
    text = string(name, 1, s)
    if start is not None or end is not None:
        first, last = check.span(name, 2, start, end, len(text), "string")
        text = text[first:last]
    check.list_size(rt, len(text))
    return Char.each(text)


@primitive("list->string", result="string")
def list_to_string(chars: Any, *, rt: Any) -> str:
    """(list->string list) -> string: of a list of characters."""
    items = check.proper_list("list->string", 1, chars, rt)
    for item in items:
        if type(item) is not Char:
            raise wrong_type("list->string", 1, "a list of characters", chars)
    return "".join([item.value for item in items])


@primitive("vector->string", result="string")
def vector_to_string(chars: Any, start: Any = None, end: Any = None, *, rt: Any) -> str:
    """(vector->string vector [start [end]]) -> string: of a vector of characters, from start to
    before end.
    """
    items = check.vector("vector->string", 1, chars)
    first, last = check.span("vector->string", 2, start, end, len(items), "vector")
    check.spend_each(rt, last - first)
    for item in items[first:last]:
        if type(item) is not Char:
            raise wrong_type("vector->string", 1, "a vector of characters", chars)
    return "".join([item.value for item in items[first:last]])


def _immutable(name: str) -> NoReturn:
    raise LispValueError(
        f"`{name}` cannot change a string: strings are immutable",
        kind="immutable",
        hint="make a new one with string-append, substring or list->string; or use a vector",
    )


@primitive("string-set!")
def string_set(s: Any, k: Any, char: Any) -> None:
    """(string-set! s k char) -> an error: strings are immutable, so that they can be shared and be
    keys.
    """
    _immutable("string-set!")


@primitive("string-fill!")
def string_fill(s: Any, char: Any, start: Any = None, end: Any = None) -> None:
    """(string-fill! s char [start [end]]) -> an error: strings are immutable."""
    _immutable("string-fill!")


@primitive("string-copy!")
def string_copy_into(to: Any, at: Any, source: Any, start: Any = None, end: Any = None) -> None:
    """(string-copy! to at from [start [end]]) -> an error: strings are immutable."""
    _immutable("string-copy!")


# -- comparison -----------------------------------------------------------------------------------


def _comparison(name: str, relation: Callable[[str, str], bool], fold: bool, text: str) -> None:
    def compare(s: Any, *strings: Any, rt: Any) -> bool:
        if len(strings) == 1:  # mostly there are two
            (t,) = strings
            if type(s) is type(t) is str:
                if len(s) + len(t) > FREE_ITEMS:
                    check.spend(rt, len(s) + len(t))
                return relation(s.casefold(), t.casefold()) if fold else relation(s, t)
        texts = [string(name, at, x) for at, x in enumerate((s, *strings), 1)]
        check.spend(rt, sum(map(len, texts)))
        if fold:
            texts = [x.casefold() for x in texts]
        return all(relation(texts[at], texts[at + 1]) for at in range(len(texts) - 1))

    compare.__doc__ = (
        f"({name} s ...) -> boolean: whether {text}{', ignoring case' if fold else ''}."
    )
    primitive(name, result="bool")(compare)


for _fold, _prefix in ((False, "string"), (True, "string-ci")):
    _comparison(_prefix + "=?", operator.eq, _fold, "all are the same string")
    _comparison(_prefix + "<?", operator.lt, _fold, "each comes before the next by code points")
    _comparison(_prefix + ">?", operator.gt, _fold, "each comes after the next by code points")
    _comparison(_prefix + "<=?", operator.le, _fold, "none comes after the next by code points")
    _comparison(_prefix + ">=?", operator.ge, _fold, "none comes before the next by code points")


@primitive("string-null?", result="bool")
def is_null(s: Any) -> bool:
    """(string-null? s) -> boolean: whether the string is empty."""
    return not string("string-null?", 1, s)


@primitive("string-prefix?", result="bool")
def is_prefix(
    prefix: Any,
    s: Any,
    start: Any = None,
    end: Any = None,
    start2: Any = None,
    end2: Any = None,
    *,
    rt: Any,
) -> bool:
    """(string-prefix? prefix s [start end [start2 end2]]) -> boolean: whether s begins with the
    prefix. The ranges are of the prefix and of s.
    """
    part, text = _long("string-prefix?", prefix, rt), string("string-prefix?", 2, s)
    if start is None:
        return text.startswith(part)
    first, last = check.span("string-prefix?", 3, start, end, len(part), "string")
    first2, last2 = check.span("string-prefix?", 5, start2, end2, len(text), "string")
    return text.startswith(part[first:last], first2, last2)


@primitive("string-suffix?", result="bool")
def is_suffix(
    suffix: Any,
    s: Any,
    start: Any = None,
    end: Any = None,
    start2: Any = None,
    end2: Any = None,
    *,
    rt: Any,
) -> bool:
    """(string-suffix? suffix s [start end [start2 end2]]) -> boolean: whether s ends with the
    suffix. The ranges are of the suffix and of s.
    """
    part, text = _long("string-suffix?", suffix, rt), string("string-suffix?", 2, s)
    if start is None:
        return text.endswith(part)
    first, last = check.span("string-suffix?", 3, start, end, len(part), "string")
    first2, last2 = check.span("string-suffix?", 5, start2, end2, len(text), "string")
    return text.endswith(part[first:last], first2, last2)


# -- searching and changing -----------------------------------------------------------------------


@primitive("string-contains", "string-search-forward")
def string_contains(
    s: Any, part: Any, start: Any = 0, end: Any = None, start2: Any = None, end2: Any = None,
    *, rt: Any,
) -> Any:  # fmt: skip
    """(string-contains s part [start [end [start2 end2]]]) -> integer or #f: where `part` first
    stands in s, at or after start and all before end. start2 and end2 are of part.
    """
    if type(s) is not str or type(part) is not str:
        string("string-contains", 1, s)
        string("string-contains", 2, part)
    text, wanted = s, part
    first, last = check.span("string-contains", 3, start, end, len(text), "string")
    if start2 is not None:
        first2, last2 = check.span("string-contains", 5, start2, end2, len(wanted), "string")
        wanted = wanted[first2:last2]
    if last - first > FREE_ITEMS:
        check.spend(rt, last - first)
    at = text.find(wanted, first, last)
    return False if at < 0 else at


@primitive("string-index")
def string_index(s: Any, char: Any, start: Any = 0, end: Any = None, *, rt: Any) -> Any:
    """(string-index s char [start [end]]) -> integer or #f: where the character first stands, at or
    after start and before end.
    """
    if type(s) is not str or type(char) is not Char:
        string("string-index", 1, s)
        _char("string-index", 2, char)
    first, last = check.span("string-index", 3, start, end, len(s), "string")
    at = s.find(char.value, first, last)
    passed = (last if at < 0 else at) - first
    if passed > FREE_ITEMS:
        check.spend(rt, passed)
    return False if at < 0 else at


@primitive("string-rindex")
def string_rindex(s: Any, char: Any, *, rt: Any) -> Any:
    """(string-rindex s char) -> integer or #f: where the character last stands; see
    string-index-right.
    """
    at = _long("string-rindex", s, rt).rfind(_char("string-rindex", 2, char))
    return False if at < 0 else at


@primitive("string-split", result="list")
def string_split(s: Any, separator: Any = None, limit: Any = None, *, rt: Any) -> Any:
    """(string-split s [separator [limit]]) -> list: the parts between separators (a string or
    character), at most limit splits; without a separator, the words between blanks."""
    text = s if type(s) is str else string("string-split", 1, s)
    most = -1
    if limit is not None and limit is not False:
        most = min(check.natural("string-split", 3, limit), len(text) + 1)
    if len(text) > FREE_ITEMS:
        check.spend(rt, len(text))
    if separator is None or separator is False:
        return _parts(text.split(None, most), rt)
    if type(separator) is str:
        between = separator
    elif type(separator) is Char:
        between = separator.value
    else:
        between = string("string-split", 2, separator)
    if not between:
        raise check.invalid("string-split", "expected a separator that is not empty")
    return _parts(text.split(between, most), rt)


def _parts(parts: list[str], rt: Any) -> Any:
    if len(parts) > FREE_ITEMS:
        check.spend_each(rt, len(parts))
    return to_list(parts)


@primitive("string-lines", result="list")
def string_lines(s: Any, *, rt: Any) -> Any:
    """(string-lines s) -> list: its lines, without their ends (\\n or \\r\\n)."""
    text = string("string-lines", 1, s)
    check.spend(rt, len(text))
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return _parts([line[:-1] if line.endswith("\r") else line for line in lines], rt)


@primitive("string-replace", result="string")
def string_replace(s: Any, old: Any, new: Any, limit: Any = None, *, rt: Any) -> str:
    """(string-replace s old new [limit]) -> string: every `old` in s (at most limit of them)
    replaced by `new`.
    """
    text, a = string("string-replace", 1, s), string("string-replace", 2, old)
    b = string("string-replace", 3, new)
    most = -1 if limit is None or limit is False else check.natural("string-replace", 4, limit)
    if not a:
        raise check.invalid("string-replace", "expected a string to replace that is not empty")
    check.spend(rt, len(text))
    count = text.count(a) if most < 0 else min(most, text.count(a))
    check.size(rt, len(text) + count * (len(b) - len(a)), "characters")
    return text.replace(a, b, count)


def _blanks(name: str, blanks: Any, text: str, rt: Any) -> str:
    """What to trim; a set of many characters takes long for each character of `text`."""
    if type(blanks) is Char:
        return blanks.value
    kinds = "".join(dict.fromkeys(string(name, 2, blanks)))
    check.spend_each(rt, len(blanks))
    if len(kinds) > _FEW:
        check.spend(rt, len(text) * len(kinds) // _FEW)
    return kinds


@primitive("string-trim", "string-trim-both", result="string")
def string_trim(s: Any, blanks: Any = None, *, rt: Any) -> str:
    """(string-trim s [chars]) -> string: without blanks (or any of the characters) at both ends."""
    text = _long("string-trim", s, rt)
    return text.strip(None if blanks is None else _blanks("string-trim", blanks, text, rt))


@primitive("string-trim-left", result="string")
def string_trim_left(s: Any, blanks: Any = None, *, rt: Any) -> str:
    """(string-trim-left s [chars]) -> string: without blanks (or any of the characters) at the
    start.
    """
    text = _long("string-trim-left", s, rt)
    return text.lstrip(None if blanks is None else _blanks("string-trim-left", blanks, text, rt))


@primitive("string-trim-right", result="string")
def string_trim_right(s: Any, blanks: Any = None, *, rt: Any) -> str:
    """(string-trim-right s [chars]) -> string: without blanks (or any of the characters) at the
    end.
    """
    text = _long("string-trim-right", s, rt)
    return text.rstrip(None if blanks is None else _blanks("string-trim-right", blanks, text, rt))


@primitive("string-upcase", result="string")
def string_upcase(s: Any, *, rt: Any) -> str:
    """(string-upcase s) -> string: in upper case."""
    return _long("string-upcase", s, rt).upper()


@primitive("string-downcase", result="string")
def string_downcase(s: Any, *, rt: Any) -> str:
    """(string-downcase s) -> string: in lower case."""
    return _long("string-downcase", s, rt).lower()


@primitive("string-foldcase", result="string")
def string_foldcase(s: Any, *, rt: Any) -> str:
    """(string-foldcase s) -> string: as comparison that ignores case sees it."""
    return _long("string-foldcase", s, rt).casefold()


@primitive("string-titlecase", result="string")
def string_titlecase(s: Any, *, rt: Any) -> str:
    """(string-titlecase s) -> string: every word with its first letter in upper case, the others
    in lower case.
    """
    return _long("string-titlecase", s, rt).title()


def _padded(name: str, s: Any, width: Any, char: Any, rt: Any) -> tuple[str, int, str]:
    text = string(name, 1, s)
    count = check.natural(name, 2, width)
    fill = " " if char is None else _char(name, 3, char)
    check.size(rt, count, "characters")
    return text, count, fill


@primitive("string-pad-left", result="string")
def string_pad_left(s: Any, width: Any, char: Any = None, *, rt: Any) -> str:
    """(string-pad-left s width [char]) -> string: s at the right end of `width` characters; cut at
    its left if longer.
    """
    text, count, fill = _padded("string-pad-left", s, width, char, rt)
    return text[len(text) - count :] if len(text) > count else text.rjust(count, fill)


@primitive("string-pad-right", "string-pad", result="string")
def string_pad_right(s: Any, width: Any, char: Any = None, *, rt: Any) -> str:
    """(string-pad-right s width [char]) -> string: s at the left end of `width` characters; cut at
    its right if longer.
    """
    text, count, fill = _padded("string-pad-right", s, width, char, rt)
    return text[:count] if len(text) > count else text.ljust(count, fill)
