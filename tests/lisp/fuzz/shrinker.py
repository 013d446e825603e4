"""Smaller programs that still show what a program shows.

Owns: `shrunk`: greedy, over the forms: parts are left out, replaced by parts of themselves, or by
atoms, as long as that makes them smaller and `shows` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

from tests.lisp.fuzz.forms import Form, size, written

ATOMS = ("0", "1", "'()", "#f", "x")
SECONDS = 60.0


def shrunk(
    forms: list[Form], shows: Callable[[list[Form]], bool], seconds: float = SECONDS
) -> list[Form]:
    """`forms`, made smaller for `seconds` at most."""
    until = monotonic() + seconds
    program: Form = list(forms)
    again = True
    while again:
        again = False
        for path in list(_paths(program)):
            for smaller in _smaller(program, path):
                if monotonic() > until:
                    return list(program)
                if _weight(smaller) < _weight(program) and shows(smaller):
                    program, again = smaller, True
                    break
    return list(program)


def _weight(form: Form) -> tuple[int, int]:
    """Forms count, then the length of their texts."""
    return size(form), len(written(form))


def _paths(form: Form, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """The parts of a program, the largest first."""
    found: list[tuple[int, tuple[int, ...]]] = []
    work: list[tuple[Form, tuple[int, ...]]] = [(form, path)]
    while work:
        at, where = work.pop()
        found.append((size(at), where))
        if not isinstance(at, str):
            work += [(part, (*where, i)) for i, part in enumerate(at)]
    for _, where in sorted(found, key=lambda each: -each[0]):
        yield where


def _smaller(program: Form, path: tuple[int, ...]) -> Iterator[Form]:
    at = program
    for i in path:
        if isinstance(at, str) or i >= len(at):
            return  # an earlier change has taken it away
        at = at[i]
    if not isinstance(at, str):
        step = max(1, len(at) // 2)
        while step:
            for start in range(0, len(at), step):
                yield _with(program, path, at[:start] + at[start + step :])
            step //= 2
        if path:
            for part in sorted((part for part in at if not isinstance(part, str)), key=size):
                yield _with(program, path, part)
    if path and len(path) > 1:
        for atom in ATOMS:
            if atom != at:
                yield _with(program, path, atom)


def _with(program: Form, path: tuple[int, ...], part: Form) -> Form:
    if not path:
        return part
    first, *rest = path
    return [_with(at, tuple(rest), part) if i == first else at for i, at in enumerate(program)]
