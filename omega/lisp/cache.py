"""Compiled texts on disk, as Python keeps .pyc files, so that a warm start neither reads nor
compiles.

Owns: the cache folder and the format of its files.
Refuses: a folder that is not private (0700 and
ours): unmarshalling from a writable place would run foreign code.

A file holds (version tag, text, options, code with its literals and facts, that of its modules); it
counts only if text and options are equal byte for byte, so no hash can be fooled. The file's name
is a short hash. Any fault while reading or writing means "not cached", never an error.
"""

from __future__ import annotations

import marshal
import os
import sys
from fractions import Fraction
from types import CodeType
from typing import Any

from omega.lisp.data import Char, Keyword, Nil, Pair, Symbol
from omega.lisp.table import HashTable

FILES_MAX = 2_000  # beyond it, one of 16 writes first removes the oldest half
OPERATIONS_PER_CHARACTER = 4  # of a text, for its literals: each ' of ''a makes four

_stamp: str | None = None


def stamp() -> str:
    """What a cached file must have been made by: this Omega (sizes and times of its modules) and
    this Python.
    """
    global _stamp
    if _stamp is None:
        here = os.path.dirname(__file__)
        facts = []
        for folder in (here, os.path.join(here, "primitives"), os.path.join(here, "library")):
            with os.scandir(folder) as files:
                for file in sorted(files, key=lambda each: each.name):
                    if file.name.endswith((".py", ".lark", ".omega")):
                        status = file.stat()
                        facts.append(f"{file.name}:{status.st_size}:{status.st_mtime_ns}")
        _stamp = f"{sys.version}|{sys.implementation.cache_tag}|" + "|".join(facts)
    return _stamp


def folder() -> str | None:
    """The cache folder, made if need be; None when there is none that is ours alone."""
    chosen = os.environ.get("OMEGA_CACHE_DIR")
    if chosen == "":
        return None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = chosen or os.path.join(base, "omega")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
    except OSError:
        return None
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    private = os.name == "nt" or (status.st_mode & 0o077) == 0
    is_folder = (status.st_mode & 0o170000) == 0o040000
    return path if mine and private and is_folder else None


def _path(text: str, options: str) -> str | None:
    where = folder()
    if where is None:
        return None
    import _imp

    digest = _imp.source_hash(
        0x6F6D656761, (options + "\0" + text).encode("utf-8", "surrogatepass")
    )
    return os.path.join(where, digest.hex() + ".omc")


class Kept:
    """Compiled code as compiler.Compiled has it, which a warm start does not import."""

    __slots__ = ("code", "facts", "literals", "modules")

    def __init__(self, entry: tuple[CodeType, list[Any], dict[str, Any], list[Any]]) -> None:
        self.code, literals, self.facts, modules = entry
        self.literals = [_decode(item) for item in literals]
        self.modules = [(name, Kept(module)) for name, module in modules]


def load(text: str, options: str) -> Any:
    """The Kept of this text and these options, or None."""
    path = _path(text, options)
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            made_by, kept, kept_options, entry = marshal.loads(file.read())
        if made_by == stamp() and kept == text and kept_options == options:
            return Kept(entry)
    except (OSError, ValueError, EOFError, TypeError, KeyError, IndexError):
        pass
    return None


def save(text: str, options: str, compiled: Any) -> None:
    """Keep a compiler.Compiled of a text; does nothing when it cannot."""
    path = _path(text, options)
    if path is None:
        return
    try:
        data = marshal.dumps((stamp(), text, options, _entry(compiled, len(text))))
        if os.path.basename(path)[0] == "0":  # by chance: a look takes longer than all the rest
            _make_room(os.path.dirname(path))
        part = f"{path}.{os.getpid()}"
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except (OSError, ValueError, TypeError):
        return


def _entry(compiled: Any, characters: int) -> tuple[Any, ...]:
    literals = _encoded(compiled.literals, characters)
    modules = [(name, _entry(each, characters)) for name, each in compiled.modules]
    return compiled.code, literals, compiled.facts, modules


def _make_room(where: str) -> None:
    names = os.listdir(where)
    if len(names) < FILES_MAX:
        return
    paths = sorted((os.path.join(where, name) for name in names), key=os.path.getmtime)
    for path in paths[: FILES_MAX // 2]:
        os.unlink(path)


# Literals as flat programs of a stack machine, so that data of any depth survives marshal (which
# recurses).


def _encoded(literals: list[Any], characters: int) -> list[list[Any]]:
    """The programs of a text's literals. Shared parts are written again each time, and a circle
    without end: what is much longer than the text is not kept.
    """
    left = OPERATIONS_PER_CHARACTER * characters
    programs: list[list[Any]] = []
    for literal in literals:
        programs.append(_encode(literal, left))
        left -= len(programs[-1])
    return programs


def _encode(datum: Any, most: int) -> list[Any]:
    out: list[Any] = []
    work: list[Any] = [datum]
    while work:
        if len(out) + len(work) > most:
            raise ValueError("a literal is longer than its text")
        item = work.pop()
        if type(item) is tuple:  # our own: an operation
            out.append(item)
        elif isinstance(item, Pair):
            work += (("pair",), item.cdr, item.car)
        elif type(item) is list:
            work.append(("vector", len(item)))
            work += reversed(item)
        elif type(item) is HashTable:
            work.append(("table", len(item)))
            work += [part for pair in item.items() for part in pair][::-1]
        elif isinstance(item, (Symbol, Keyword)):
            if isinstance(item, Symbol) and Symbol.of(item.name) is not item:
                raise ValueError("an uninterned symbol cannot be cached")
            out.append(("symbol" if isinstance(item, Symbol) else "keyword", item.name))
        elif isinstance(item, Char):
            out.append(("char", item.value))
        elif isinstance(item, Fraction):
            out.append(("ratio", item.numerator, item.denominator))
        elif isinstance(item, bytearray):
            out.append(("bytes", bytes(item)))
        elif item is Nil:
            out.append(("nil",))
        elif item is None or type(item) in (bool, int, float, str):
            out.append(("atom", item))
        else:
            raise ValueError(f"a literal of type {type(item).__name__} cannot be cached")
    return out


def _decode(operations: list[Any]) -> Any:
    stack: list[Any] = []
    for operation in operations:
        match operation:
            case ("pair",):
                pair = Pair()
                pair.cdr = stack.pop()
                pair.car = stack.pop()
                stack.append(pair)
            case ("vector", n):
                items = stack[len(stack) - n :]
                del stack[len(stack) - n :]
                stack.append(items)
            case ("table", n):
                flat = stack[len(stack) - 2 * n :]
                del stack[len(stack) - 2 * n :]
                table = HashTable()
                for at in range(0, 2 * n, 2):
                    table[flat[at]] = flat[at + 1]
                stack.append(table)
            case ("symbol", name):
                stack.append(Symbol.of(name))
            case ("keyword", name):
                stack.append(Keyword.of(name))
            case ("char", value):
                stack.append(Char.of(value))
            case ("ratio", numerator, denominator):
                stack.append(Fraction(numerator, denominator))
            case ("bytes", value):
                stack.append(bytearray(value))
            case ("nil",):
                stack.append(Nil)
            case (_, value):
                stack.append(value)
    return stack[0]
