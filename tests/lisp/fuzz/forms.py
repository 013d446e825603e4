"""Forms as generators and the shrinker handle them: an atom is its text, a list is a list.

Owns: `written`, `parsed`.
"""

from __future__ import annotations

import re
from typing import Any

Form = Any  # str | list[Form]
_TOKEN = re.compile(
    r"""\s+|;[^\n]*|#\(|[()\[\]'`]|,@|,|"(?:\\.|[^"\\])*"|#\\.[^\s()]*|[^\s()"';`,]+"""
)
_PREFIXES = {"'": "quote", "`": "quasiquote", ",": "unquote", ",@": "unquote-splicing"}
_WRITTEN = {name: prefix for prefix, name in _PREFIXES.items()}


def written(form: Form) -> str:
    if isinstance(form, str):
        return form
    if len(form) == 2 and isinstance(form[0], str) and form[0] in _WRITTEN:
        return _WRITTEN[form[0]] + written(form[1])
    if form[:1] == ["#("]:
        return "#(" + " ".join(written(part) for part in form[1:]) + ")"
    return "(" + " ".join(written(part) for part in form) + ")"


def parsed(text: str) -> list[Form]:
    """The forms of a text."""
    stack: list[list[Form]] = [[]]
    prefixes: list[list[str]] = [[]]

    def add(form: Form) -> None:
        while prefixes[-1]:
            form = [_PREFIXES[prefixes[-1].pop()], form]
        stack[-1].append(form)

    for match in _TOKEN.finditer(text):
        token = match[0]
        if token.isspace() or token[0] == ";":
            continue
        if token in ("(", "#("):
            stack.append([] if token == "(" else ["#("])
            prefixes.append([])
        elif token == ")":
            done = stack.pop()
            prefixes.pop()
            add(done)
        elif token in _PREFIXES:
            prefixes[-1].append(token)
        else:
            add(token)
    return stack[0]


def size(form: Form) -> int:
    return 1 if isinstance(form, str) else 1 + sum(size(part) for part in form)
