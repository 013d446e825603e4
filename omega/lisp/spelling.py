"""What an unbound name may have been meant to be.

Owns: `suggestion`: names spelled alike, and what other languages call things.
"""

from __future__ import annotations

from collections.abc import Iterable

NEAR_MAX = 3
CUTOFF = 0.7  # of difflib's ratio

# What other languages have: a name of ours, or a form.
ELSEWHERE = {
    "print": "display", "println": "displayln", "printf": "string-format", "puts": "displayln",
    "echo": "displayln", "nil": "'()", "null": "'()", "None": "'()", "true": "#t", "True": "#t",
    "false": "#f", "False": "#f", "def": "define", "defun": "define", "defn": "define",
    "defvar": "define", "var": "define", "const": "define", "fn": "lambda", "function": "lambda",
    "setq": "set!", "setf": "set!", "progn": "begin", "elif": "cond", "switch": "case",
    "mapcar": "map", "foreach": "for-each", "len": "length",
    "head": "car", "tail": "cdr", "nth": "list-ref", "str": "string",
    "concat": "string-append", "format": "string-format", "==": "equal?", "===": "eq?",
    "!=": "(not (equal? a b))", "&&": "and", "||": "or", "!": "not", "%": "modulo",
    "mod": "modulo", "**": "expt", "pow": "expt", "try": "guard", "catch": "guard",
    "throw": "raise", "return": "call/cc", "spawn": "async", "go": "async", "dict": "hash-table",
    "hash-get": "hash-ref", "llm": "llm.infer", "infer": "llm.infer", "ask": "llm.infer",
}  # fmt: skip


def suggestion(name: str, known: Iterable[str]) -> str:
    """A hint for a name nothing binds."""
    from difflib import get_close_matches

    bound = set(known)
    elsewhere = ELSEWHERE.get(name)
    if elsewhere is not None:
        near = [elsewhere]
    else:
        near = get_close_matches(name, bound, n=NEAR_MAX, cutoff=CUTOFF)
    if not near:
        alike = (k for k in bound if k.endswith("-" + name) or k.startswith(name + "-"))
        near = sorted(alike)[:NEAR_MAX]
    if near:
        return f"did you mean {' or '.join(f'`{n}`' for n in near)}?"
    return f"define it before it is used: (define {name} ...)"
