"""How Lisp names are spelled in Python: injective, readable, and unable to reach anything of
Python's.

`x-y` is `x_y`, `null?` is `nullʔ`, `set!` is `setǃ`, `->` is `ǁ2dǁᐳ`; any other character is
`ǁhexǁ`. A mangled name never starts or ends with an underscore; a Python keyword gets `ǁǁ` behind
it. So the spellings below cannot collide:
  name    a global or local of the program        name_   a global of the library
  _name   the emitter's own (`_it`, `_drive`)     nameǁ2  the second local of that name in one text
  nameǁmlib   a global of a module (modules.py) with the name `lib`

A module's global has a full name, `member(name, home)`, by which core nodes know it; people are
shown `plain` names.
"""

from __future__ import annotations

import keyword

_LETTERS = {
    "?": "ʔ",
    "!": "ǃ",
    ">": "ᐳ",
    "<": "ᐸ",
    "*": "ж",
    "/": "ノ",
    "=": "ニ",
    "+": "十",
    "-": "_",
}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_BACK = {python: lisp for lisp, python in _LETTERS.items()}
_cache: dict[str, str] = {}

_MEMBER = "\ud800"  # no character, so that no name of a program has it


def member(name: str, home: str) -> str:
    """The full name of the global `name` of the module `home`; of the program, "", just `name`."""
    return f"{name}{_MEMBER}{home}" if home else name


def plain(name: str) -> str:
    """A full name as people know it."""
    return name.partition(_MEMBER)[0]


def home_of(name: str) -> str:
    """The module a full name is of; "" for the program's."""
    return name.partition(_MEMBER)[2]


def mangle(name: str) -> str:
    """The Python spelling of a Lisp name."""
    found = _cache.get(name)
    if found is None:
        found = _mangle(name)
        if len(_cache) < 20_000:
            _cache[name] = found
    return found


def _mangle(name: str) -> str:
    if _MEMBER in name:
        name, _, home = name.partition(_MEMBER)
        return f"{_mangle(name)}ǁm{_mangle(home)}"
    last = len(name) - 1
    parts = []
    for i, char in enumerate(name):
        if char in _PLAIN and not (i == 0 and char.isdigit()):
            parts.append(char)
        elif char == "-" and (i == 0 or i == last):
            parts.append("ǁ2dǁ")
        else:
            parts.append(_LETTERS.get(char) or f"ǁ{ord(char):x}ǁ")
    spelled = "".join(parts) or "ǁǁ"
    if keyword.iskeyword(spelled) or keyword.issoftkeyword(spelled):
        spelled += "ǁǁ"
    return spelled


def demangle(spelled: str) -> str:
    """The plain Lisp name behind a Python spelling of a program's or a library's name."""
    base = spelled[:-1] if spelled.endswith("_") else spelled
    out: list[str] = []
    at = 0
    while at < len(base):
        char = base[at]
        if char == "ǁ":
            end = base.find("ǁ", at + 1)
            digits = base[at + 1 : end] if end > 0 else ""
            if not digits or any(d not in "0123456789abcdef" for d in digits):
                break  # the number of a local, or a module
            out.append(chr(int(digits, 16)))
            at = end + 1
        else:
            out.append(_BACK.get(char, char))
            at += 1
    return "".join(out)


def library_name(name: str) -> str:
    """The Python spelling of a library global."""
    return mangle(name) + "_"
