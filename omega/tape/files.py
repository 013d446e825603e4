"""The file of a tape: lines of JSON, appended while the run goes on, read as they are needed.

Owns: `TapeWriter`, `TapeReader`, the format:

  line 1      an object: what the run was started with (`header`)
  then        a list for each fact: see facts.py
  last        ["end", turns, stage, us, status]. A tape without it is torn: the run was
              killed. A last line that is not whole is ignored

Refuses: to know what facts there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from omega.errors import HostError, LispFileError
from omega.tape.facts import STEP_MODEL, FactReader, FactWriter

FORMAT = 1
FLUSH_BYTES = 1 << 16


class TapeWriter(FactWriter):
    """Facts in a file. Raises LispFileError when it cannot be made."""

    def __init__(self, path: str, shows_prompts: bool = True) -> None:
        super().__init__(shows_prompts)
        self.path = path
        self._lines: list[str] = []
        self._size = 0
        self._failure: OSError | None = None
        try:
            self._file: Any = open(path, "wb", buffering=0)  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise _cannot("write", path, error) from None

    def begin(self, header: dict[str, Any], step_model: int = STEP_MODEL) -> None:
        format_ = {"omega-tape": FORMAT, "step-model": step_model, "prompts": self.shows_prompts}
        self.put(json.dumps({**format_, **header}))
        self.flush()

    def put(self, line: str) -> None:
        self._lines.append(line + "\n")
        self._size += len(line)
        if self._size >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        self.put_clocks()
        if not self._lines:
            return
        data = "".join(self._lines).encode()
        self._lines, self._size = [], 0
        try:
            while data:
                data = data[self._file.write(data) :]
        except (OSError, ValueError) as error:
            # The run goes on; `close` tells that its tape is worth nothing from here on.
            self._failure = self._failure or (error if isinstance(error, OSError) else None)

    def close(self) -> LispFileError | None:
        """What went wrong since it was opened. A second close does nothing."""
        self.flush()
        self._file.close()
        failure, self._failure = self._failure, None
        return None if failure is None else _cannot("write", self.path, failure)

    @property
    def is_open(self) -> bool:
        return not self._file.closed


class TapeReader(FactReader):
    """A tape in a file.

    Raises LispFileError when there is no such file, HostError when it is no tape of this version.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file: Any = open(path, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise _cannot("open", path, error) from None
        self.header = self._read_header()
        self.shows_prompts = self.header.get("prompts", True)
        super().__init__(path, self._read_facts())

    def _read_header(self) -> dict[str, Any]:
        try:
            header = json.loads(self._file.readline())
            format_, model = header["omega-tape"], header["step-model"]
        except (ValueError, KeyError, TypeError):
            raise HostError(
                f"{self.path} is no tape", hint="omega run --record FILE writes one"
            ) from None
        if (format_, model) != (FORMAT, STEP_MODEL):
            raise HostError(
                f"{self.path} was recorded by Omega {header.get('version')}, whose tapes this "
                "version cannot replay",
                hint="replay it with that version",
            )
        return dict(header)

    def _read_facts(self) -> Iterator[list[Any]]:
        for number, line in enumerate(self._file, start=2):
            if not line.endswith(b"\n"):
                return  # torn
            try:
                fact = json.loads(line)
                if type(fact[0]) is not str:
                    raise ValueError
            except (ValueError, LookupError, TypeError):
                raise HostError(f"{self.path} is damaged in line {number}") from None
            yield fact

    def scan(self, kind: str) -> Iterator[list[Any]]:
        start = f'["{kind}",'.encode()
        with open(self.path, "rb") as file:
            for line in file:
                if line.startswith(start) and line.endswith(b"\n"):
                    yield json.loads(line)

    def close(self) -> None:
        self._file.close()


def _cannot(doing: str, path: str, error: Exception) -> LispFileError:
    reason = getattr(error, "strerror", None) or str(error)
    hint = None
    if doing == "write":
        hint = "name a file that can be written, in a directory that exists"
    elif not os.path.exists(path):
        hint = "omega run --record FILE writes one"
    return LispFileError(f"cannot {doing} {path}: {reason.lower()}", hint=hint)
