"""Program files: reading their text.

Owns: `read_source`, `decoded`.
Refuses: effects of programs: this is the host's own reading, with the
host's rights.
"""

from __future__ import annotations

import os

from omega.errors import LimitExceeded, LispFileError, Span

UTF8_BYTES = 4  # of one character, at most
SUFFIX = ".omega"
PROGRAMS_SHOWN = 3  # of a folder


def read_source(path: str, characters_max: int | None = None) -> str:
    """The text of a program file. Raises LispFileError, naming the file and what is wrong.

    characters_max: a text that is longer than that for sure is not read to its end: LimitExceeded.
    """
    try:
        with open(path, "rb") as file:
            data = (
                file.read()
                if characters_max is None
                else file.read(UTF8_BYTES * characters_max + 1)
            )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LispFileError(
            f"cannot open {path}: {reason.lower()}", hint=_instead(path, error)
        ) from None
    if characters_max is not None and len(data) > UTF8_BYTES * characters_max:
        from omega.lisp.reader import SIZE_HINT

        raise LimitExceeded(
            "source-size", None, None, f"{path} is longer than {characters_max:,} characters",
            hint=SIZE_HINT,
        )  # fmt: skip
    return decoded(data, path)


def _instead(path: str, error: Exception) -> str:
    """What to do about a program file that cannot be opened."""
    folder = path if isinstance(error, IsADirectoryError) else os.path.dirname(path)
    try:
        names = os.listdir(folder or os.curdir)
    except (OSError, ValueError):
        names = []
    if isinstance(error, IsADirectoryError):
        programs = sorted(name for name in names if name.endswith(SUFFIX))[:PROGRAMS_SHOWN]
        if programs:
            return f"name a program in it: {_listed(folder, programs)}"
        return "name a file; `-` is standard input"
    if isinstance(error, FileNotFoundError):
        near = [] if not names else _near(os.path.basename(path), names)
        where = os.path.abspath(folder or os.curdir)
        if near:
            return f"did you mean {_listed(os.path.dirname(path), near)}? (looked for in {where})"
        return f"it was looked for in {where}"
    if isinstance(error, PermissionError):
        return "check the permissions of the file and of the directories above it"
    return "check the name of the file"


def _near(name: str, names: list[str]) -> list[str]:
    """The names most like one that was mistyped, or given without its ending."""
    from omega.lisp.spelling import near

    if name + SUFFIX in names:
        return [name + SUFFIX]
    return near(name, names)


def _listed(folder: str, names: list[str]) -> str:
    return " or ".join(os.path.join(folder, name) for name in names)


def decoded(data: bytes, path: str) -> str:
    """The text of `data`, which was read from `path`. Raises LispFileError (bad-encoding)."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        before = data[data.rfind(b"\n", 0, error.start) + 1 : error.start]
        column = len(before.decode("utf-8-sig")) + 1
        raise LispFileError(
            f"not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}",
            kind="bad-encoding",
            hint="save the file as UTF-8",
            span=Span(path, line, column, line, column + 1),
        ) from None
