"""Program files: reading their text, finding those of libraries.

Owns: `read_source`, `decoded`, `ProgramFiles`.
Refuses: effects of programs: what a host names is read with the host's rights. What a program names
is, too, if it lies in a folder of the load path, and else with the program's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from omega.errors import LimitExceeded, LispFileError, PermissionDenied, Span

UTF8_BYTES = 4  # of one character, at most
SUFFIX = ".omega"
PROGRAMS_SHOWN = 3  # of a folder
LIBRARIES = (SUFFIX, ".sld", ".scm")  # how files of libraries end
PROGRAMS = (*LIBRARIES, ".ss")  # ... and files that are included


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


class ProgramFiles:
    """The files a program's text names: libraries it imports, files it includes (modules.Files).

    load_path: folders whose programs may be read whatever else the program may. allowed: raises
    PermissionDenied for a path that it may not read otherwise.
    """

    def __init__(self, load_path: Sequence[str], allowed: Callable[[str], object]) -> None:
        self.load_path = [os.path.realpath(folder) for folder in load_path]
        self._allowed = allowed
        self.characters_max: int | None = None

    def locate(self, name: tuple[str | int, ...], importer: str) -> str | None:
        """The path of a library's file: (shapes square) is shapes/square.omega, beside the file
        that imports it or in a folder of the load path.
        """
        parts = [str(part) for part in name]
        if any(part in ("", os.curdir, os.pardir) or set(part) & set("/\\:\0") for part in parts):
            return None
        for folder in [_folder_of(importer), *self.load_path]:
            base = os.path.join(folder, *parts)
            for suffix in LIBRARIES:
                if self._is_file(base + suffix):
                    return base + suffix
        return None

    def included(self, written: str, importer: str) -> str:
        """The path of a file that is included: as it is written, from where it is included."""
        path = os.path.join(_folder_of(importer), written)
        if "\0" in written:
            raise LispFileError(f"a file name cannot hold a NUL character: {written!r}")
        self._check(path)
        return path

    def read(self, path: str) -> str:
        """Its text. Raises LispFileError, PermissionDenied, LimitExceeded."""
        self._check(path)
        return read_source(path, self.characters_max)

    def _check(self, path: str) -> None:
        real = os.path.realpath(path)
        if real.endswith(PROGRAMS) and any(_is_below(real, folder) for folder in self.load_path):
            return
        self._allowed(path)

    def _is_file(self, path: str) -> bool:
        """Whether there is such a file, for a program that may know."""
        if not any(_is_below(os.path.realpath(path), folder) for folder in self.load_path):
            try:
                self._allowed(path)
            except PermissionDenied:
                return False
        return os.path.isfile(path)


def _folder_of(importer: str) -> str:
    """The folder of a file; of a text that is none, the current one."""
    return "" if importer.startswith("<") else os.path.dirname(importer)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
