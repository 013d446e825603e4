"""Program files: reading their text.

Owns: `read_source`, `decoded`.
Refuses: effects of programs: this is the host's own reading, with the
host's rights.
"""

from __future__ import annotations

from omega.errors import LimitExceeded, LispFileError

UTF8_BYTES = 4  # of one character, at most


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
        raise LispFileError(f"cannot open {path}: {reason.lower()}") from None
    if characters_max is not None and len(data) > UTF8_BYTES * characters_max:
        raise LimitExceeded(
            "source-size", None, None, f"{path} is longer than {characters_max:,} characters"
        )
    return decoded(data, path)


def decoded(data: bytes, path: str) -> str:
    """The text of `data`, which was read from `path`. Raises LispFileError (bad-encoding)."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LispFileError(
            f"{path}:{line}: not UTF-8 text: byte 0x{data[error.start]:02x} at offset "
            f"{error.start}",
            kind="bad-encoding",
            hint="save the file as UTF-8",
        ) from None
