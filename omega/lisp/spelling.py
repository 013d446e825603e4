"""What a name that is not known may have been meant to be.

Owns: `near`, the one measure of names spelled alike, for variables, keywords, options and files
alike; `suggestion`: the hint about a name nothing binds, with what other languages call things.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NEAR_MAX = 3
RELATED_MAX = 4
AUXILIARY = ("else",)  # names of syntax that only stand within forms
LETTERS_MIN = 3  # of a name that something may be like
SURE_LETTERS_MIN = 5  # shorter ones with a wrong letter are other words
PART_LETTERS_MIN = 4  # of a name that may be a part of another one

# What other languages have: a name of ours, or a form.
ELSEWHERE = {
    "print": "display", "println": "displayln", "printf": "string-format", "puts": "displayln",
    "echo": "displayln", "null": "'()", "None": "'()", "True": "#t",
    "False": "#f", "def": "define", "defun": "define", "defn": "define",
    "defvar": "define", "var": "define", "const": "define", "fn": "lambda", "function": "lambda",
    "setq": "set!", "setf": "set!", "progn": "begin", "elif": "cond", "switch": "case",
    "mapcar": "map", "foreach": "for-each", "len": "length",
    "head": "car", "tail": "cdr", "nth": "list-ref", "str": "string",
    "concat": "string-append", "format": "string-format", "==": "equal?", "===": "eq?",
    "!=": "(not (equal? a b))", "&&": "and", "||": "or", "!": "not", "%": "modulo",
    "mod": "modulo", "**": "expt", "pow": "expt", "try": "guard", "catch": "guard",
    "throw": "raise", "return": "call/cc", "spawn": "async", "go": "async", "dict": "hash-table",
    "add1": "1+", "sub1": "-1+", "foldl": "fold", "foldr": "fold-right", "empty": "'()",
    "atom?": "(not (pair? x))", "struct": "define-record-type", "named-lambda": "define",
    "define-struct": "define-record-type", "define-structure": "define-record-type",
    "put": "hash-set!", "get": "hash-ref", "error-message": "condition-message",
    "hash-get": "hash-ref", "llm": "llm.infer", "infer": "llm.infer", "ask": "llm.infer",
}  # fmt: skip


def suggestion(name: str, known: Iterable[str], here: Sequence[str] = ()) -> str:
    """A hint for a name nothing binds. here: names that are known where it stands, and nearer."""
    elsewhere = ELSEWHERE.get(name)
    if elsewhere is not None and not here:
        found = [elsewhere]
    else:
        found = sorted(near(name, {*known, *here}), key=lambda each: each not in here)
    if found:
        return f"did you mean {' or '.join(f'`{each}`' for each in found)}?"
    related = _related(name, known)
    if related:
        return f"names that begin so: {', '.join(f'`{each}`' for each in related)}"
    return f"define it before it is used: (define {name} ...)"


def _related(name: str, known: Iterable[str]) -> list[str]:
    """Names that share the first word with `name`, if they are few enough to tell of."""
    word, dash, _ = name.partition("-")
    if not dash or len(word) < LETTERS_MIN:
        return []
    found = sorted(each for each in known if each.startswith(word + dash))
    return found if len(found) <= RELATED_MAX else []


def near(
    name: str, known: Iterable[str], most: int = NEAR_MAX, sure_letters_min: int = SURE_LETTERS_MIN
) -> list[str]:
    """The names of `known` that `name` may be a slip of, the likeliest first, `most` at most.

    Such a name differs in case, in dashes, or in few letters for its length; or it has the same
    words in another order; or else `name` is one of its words, and both are names of predicates or
    neither is. sure_letters_min: 0 where there are but few names, and so a short one with a wrong
    letter is still likelier than another word.
    """
    wanted = _plain(name)
    allowed = _slips(len(wanted))
    words = sorted(wanted.split("-"))
    ranked: list[tuple[int, int, str]] = []  # slips, letters (the more the better), name
    parts: list[tuple[int, int, str]] = []
    for candidate in known:
        if candidate == name:
            continue
        plain = _plain(candidate)
        if plain == wanted or (len(words) > 1 and sorted(plain.split("-")) == words):
            ranked.append((0, 0, candidate))
            continue
        bound = min(allowed, _slips(len(plain)))
        slips = _distance(wanted, plain, bound, sure_letters_min)
        if slips is not None:
            ranked.append((slips, -len(candidate), candidate))
        elif len(wanted) >= PART_LETTERS_MIN and plain.endswith("?") is wanted.endswith("?"):
            for part in (plain.partition("-")[2], plain.rpartition("-")[0]):
                if len(part) < PART_LETTERS_MIN:
                    continue
                slips = _distance(wanted, part, 1, sure_letters_min)
                if slips is not None:
                    parts.append((slips, len(candidate), candidate))
                    break
    found = sorted(ranked) or sorted(parts)
    best = found[0][0] if found else 0
    return [candidate for slips, _, candidate in found if slips == best][:most]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _slips(letters: int) -> int:
    """How many slips a word of so many letters may have and still be itself."""
    if letters < LETTERS_MIN:
        return 0
    return 1 if letters < 7 else 2 if letters < 11 else 3


def _distance(a: str, b: str, most: int, sure_letters_min: int) -> int | None:
    """How many slips make `b` of `a`: a letter left out, put in, exchanged with the next, or
    another one; None when more than `most`.
    """
    if a == b:
        return 0
    if most < 1 or abs(len(a) - len(b)) > most:
        return None
    wrong = 1 if min(len(a), len(b)) >= sure_letters_min else 2
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(b, 1):
            least = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + wrong * (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
        if min(row) > most:
            return None
    return row[-1] if row[-1] <= most else None
